from __future__ import annotations

import asyncio
import hashlib
import math
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from obligor.adapters.anchors.following import follows, head_of
from obligor.core.checkpoints import Checkpoint, parse_checkpoint, parse_note
from obligor.core.errors import IntegrityError, RollbackError, SplitViewError, UnavailableError
from obligor.core.merkle import Frontier
from obligor.governance.audit.restores import LostTree, Tree
from obligor.security.signing import SigningKey, verify_note
from obligor.serving.audit.anchoring import Anchoring, AnchorState
from obligor.serving.holding import Hold
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEY = SigningKey("bank.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))
START = datetime(2026, 11, 26, 19, 40, tzinfo=UTC)


class Clock:
    """A clock that moves when it is told."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


class Log:
    """A log in memory; leaves of a history are those of the true one up to where it parts from it."""

    def __init__(self, leaves: int = 0, history: str = "true") -> None:
        self.hashes = [hashlib.sha256(f"{history} {index}".encode()).digest() for index in range(leaves)]
        self.checkpoints: dict[int, bytes] = {}
        self.anchorings: dict[tuple[str, int], datetime] = {}
        self.down = False
        self.known_to_be_lost: frozenset[Tree] = frozenset()

    def append(self, leaves: int, history: str = "true") -> None:
        first = len(self.hashes)
        self.hashes += [hashlib.sha256(f"{history} {first + each}".encode()).digest() for each in range(leaves)]

    async def size(self) -> int:
        if self.down:
            raise UnavailableError("the store is down")
        return len(self.hashes)

    async def frontier(self, size: int | None = None) -> Frontier:
        return Frontier().extend(self.hashes[:size]).frontier

    async def keep_checkpoint(self, size: int, note: bytes, *, at: datetime) -> None:
        self.checkpoints.setdefault(size, note)

    async def keep_anchoring(self, anchor: str, size: int, *, at: datetime) -> None:
        self.anchorings.setdefault((anchor, size), at)

    async def acknowledged(self) -> frozenset[Tree]:
        return self.known_to_be_lost

    async def anchored(self) -> dict[str, tuple[int, datetime]]:
        newest: dict[str, tuple[int, datetime]] = {}
        for (anchor, size), at in sorted(self.anchorings.items()):
            newest[anchor] = (size, at)
        return newest


class Memory:
    """An anchor that remembers, and does what it is told to."""

    def __init__(self, name: str = "memory", *, tells: bool = True) -> None:
        self.name = name
        self.kept: list[bytes] = []
        self.tells = tells
        self.trouble: Exception | None = None
        self.asked = 0
        self.closed = False

    def publish(self, note: bytes) -> None:
        self.asked += 1
        if self.trouble is not None:
            raise self.trouble
        known = head_of(self.kept[-1]) if self.kept else None
        if follows(head_of(note), known, anchor=self.name):
            self.kept.append(note)

    def latest(self) -> bytes | None:
        if self.trouble is not None:
            self.asked += 1
            raise self.trouble
        return self.kept[-1] if self.kept and self.tells else None

    def close(self) -> None:
        self.closed = True


class Gauges(NoMeter):
    """Keeps what is told of health, and reads what is watched."""

    def __init__(self) -> None:
        self.health: dict[str, bool] = {}
        self.reads: dict[str, Callable[[], float]] = {}

    def healthy(self, dependency: str, *, well: bool) -> None:
        self.health[dependency] = well

    def watch(self, reading: str, read: Callable[[], float]) -> None:
        self.reads[reading] = read

    def __getitem__(self, reading: str) -> float:
        return self.reads[reading]()


def _anchoring(log: Log, *anchors: Any, clock: Clock | None = None, **named: Any) -> Anchoring:
    return Anchoring(log, key=KEY, anchors=anchors, clock=clock or Clock(), **{"meter": NoMeter(), **named})


def _sizes(notes: Sequence[bytes]) -> list[int]:
    return [head_of(note).size for note in notes]


def _start(log: Log, *anchors: Any, **named: Any) -> Anchoring:
    async def started() -> Anchoring:
        anchoring = _anchoring(log, *anchors, **named)
        await anchoring.start()
        return anchoring

    return asyncio.run(started())


def test_a_checkpoint_tells_the_root_of_the_log_and_bears_its_signature() -> None:
    log, anchor = Log(5), Memory()
    _start(log, anchor)
    (note,) = map(parse_note, anchor.kept)
    root = Frontier().extend(log.hashes).root
    assert parse_checkpoint(note.text) == Checkpoint("bank.example/log", 5, root)
    assert verify_note(note, KEY.verifier)
    assert log.checkpoints == {5: anchor.kept[0]}
    assert log.anchorings == {("memory", 5): START}


def test_an_empty_log_has_no_checkpoint() -> None:
    log, anchor = Log(), Memory()
    _start(log, anchor)
    assert (log.checkpoints, anchor.kept) == ({}, [])


@given(grown=st.lists(st.integers(0, 4), max_size=12))
def test_a_log_that_grows_is_anchored_in_order_and_one_that_does_not_costs_nothing(grown: list[int]) -> None:
    async def rounds() -> tuple[Log, Memory]:
        log, anchor = Log(), Memory()
        anchoring = _anchoring(log, anchor)
        await anchoring.start()
        for leaves in grown:
            log.append(leaves)
            await anchoring.round()
            assert anchoring.unanchored == 0
        return log, anchor

    log, anchor = asyncio.run(rounds())
    sizes = sorted({sum(grown[:upto]) for upto in range(1, len(grown) + 1)} - {0})
    assert _sizes(anchor.kept) == sizes == sorted(log.checkpoints)
    assert anchor.asked == len(sizes)


def test_an_anchor_that_fails_is_tried_ever_less_often_and_the_others_go_on() -> None:
    async def rounds() -> None:
        log, dead, live = Log(), Memory("dead"), Memory("live")
        dead.trouble = UnavailableError("dead: did not answer")
        gauges, told = Gauges(), list[AnchorState]()
        anchoring = _anchoring(log, dead, live, meter=gauges, told=told.append)
        await anchoring.start()
        tries = []
        for index in range(40):
            log.append(1)
            before = dead.asked
            await anchoring.round()
            tries += [index] if dead.asked > before else []
        assert tries == [0, 2, 6, 14, 30]
        assert _sizes(live.kept) == list(range(1, 41))
        assert gauges.health == {"anchor dead": False, "anchor live": True, "checkpoints": True}
        assert [state.failures for state in told] == [1, 2, 3, 4, 5, 6]
        assert gauges["unanchored_leaves"] == 0  # one anchor is enough to show a rewrite
        dead.trouble = None
        for _ in range(40):
            await anchoring.round()
        assert _sizes(dead.kept) == [40]
        assert gauges.health["anchor dead"]
        assert (told[-1].failures, told[-1].trouble, told[-1].size) == (0, None, 40)

    asyncio.run(rounds())


def test_leaves_that_no_anchor_has_and_the_age_of_the_newest_checkpoint_are_told() -> None:
    async def rounds() -> None:
        log, anchor, clock, gauges = Log(), Memory(), Clock(), Gauges()
        anchoring = _anchoring(log, anchor, clock=clock, meter=gauges)
        await anchoring.start()
        assert gauges["anchored_age_seconds"] == math.inf
        log.append(3)
        await anchoring.round()
        assert (gauges["tree_size"], gauges["unanchored_leaves"], gauges["anchored_age_seconds"]) == (3, 0, 0)
        anchor.trouble = UnavailableError("memory: did not answer")
        log.append(4)
        clock.now += timedelta(seconds=90)
        await anchoring.round()
        assert (gauges["tree_size"], gauges["unanchored_leaves"], gauges["anchored_age_seconds"]) == (7, 4, 90)

    asyncio.run(rounds())


def test_after_a_new_start_the_age_is_that_of_the_last_anchoring_before_it() -> None:
    log, anchor, clock, gauges = Log(3), Memory(), Clock(), Gauges()
    _start(log, anchor, clock=clock)
    clock.now += timedelta(seconds=90)
    anchor.trouble = UnavailableError("memory: did not answer")
    _start(log, anchor, clock=clock, meter=gauges)
    assert gauges["anchored_age_seconds"] == 90


def test_without_anchors_every_leaf_is_unanchored_and_checkpoints_are_signed_all_the_same() -> None:
    log, gauges = Log(3), Gauges()
    _start(log, meter=gauges)
    assert list(log.checkpoints) == [3]
    assert gauges["unanchored_leaves"] == 3


def test_an_anchor_that_hangs_keeps_nobody_waiting() -> None:
    class Hanging(Memory):
        def __init__(self) -> None:
            super().__init__("hanging")
            self.free = threading.Event()

        def publish(self, note: bytes) -> None:
            self.free.wait(20)
            super().publish(note)

    async def rounds() -> None:
        log, hanging, live = Log(), Hanging(), Memory("live")
        anchoring = _anchoring(log, hanging, live, every_s=0.01)
        await anchoring.start()
        for _ in range(3):
            log.append(1)
            await anchoring.round()
        assert _sizes(live.kept) == [1, 2, 3]
        assert hanging.kept == []
        hanging.free.set()
        while 3 not in _sizes(hanging.kept):
            await anchoring.round()
        assert _sizes(hanging.kept) == [1, 3]  # what was overtaken while it hung is not sent after it
        anchoring.close()

    asyncio.run(rounds())


def test_a_store_that_is_down_stops_no_round_and_what_was_signed_still_goes_out() -> None:
    async def rounds() -> None:
        log, anchor, gauges = Log(3), Memory(), Gauges()
        anchor.trouble = UnavailableError("memory: did not answer")
        anchoring = _anchoring(log, anchor, meter=gauges)
        await anchoring.start()
        anchoring._followers[0].met = True  # it was up for a moment
        log.down, anchor.trouble = True, None
        await anchoring.round()
        assert not gauges.health["checkpoints"]
        log.down = False
        await anchoring.round()
        assert gauges.health["checkpoints"]
        assert _sizes(anchor.kept) == [3]

    asyncio.run(rounds())


def test_the_service_goes_on_round_after_round_until_it_is_ended() -> None:
    async def service() -> tuple[list[float], Memory]:
        log, anchor, slept = Log(), Memory(), list[float]()

        async def sleep(seconds: float) -> None:
            slept.append(seconds)
            log.append(1)
            if len(slept) == 4:
                raise asyncio.CancelledError

        anchoring = _anchoring(log, anchor, every_s=7.0, sleep=sleep)
        await anchoring.start()
        with pytest.raises(asyncio.CancelledError):
            await anchoring.run()
        await anchoring.round()
        anchoring.close()
        return slept, anchor

    slept, anchor = asyncio.run(service())
    assert slept == [7.0] * 4
    assert _sizes(anchor.kept) == [1, 2, 3, 4]  # the last at the end
    assert anchor.closed


# What stops a service when it starts


@pytest.mark.parametrize("tells", [True, False], ids=["tells what it has", "only refuses"])
def test_an_older_backup_is_not_written_to(*, tells: bool) -> None:
    anchor = Memory(tells=tells)
    _start(Log(9), anchor)
    with pytest.raises(RollbackError, match="of 9"):
        _start(Log(6), anchor)


def test_a_store_that_was_set_back_gets_no_signature() -> None:
    anchor = Memory()
    _start(Log(9), anchor)
    for log in (Log(6), Log(9, "forged"), Log(12, "forged")):
        with pytest.raises(IntegrityError):
            _start(log, Memory("new"), anchor)
        assert log.checkpoints == {}


@given(size=st.integers(1, 40), anchored=st.integers(1, 40), parted=st.integers(0, 40), more=st.integers(0, 5))
def test_a_log_starts_exactly_where_it_begins_with_what_was_anchored(
    size: int, anchored: int, parted: int, more: int
) -> None:
    """A log that was rewritten from some leaf on, whoever signed it, starts only where the anchor's leaves came before it."""
    anchor, log = Memory(), Log(min(parted, size))
    log.append(max(0, size - parted), "forged")
    _start(Log(anchored), anchor)
    if anchored > size:
        with pytest.raises(RollbackError):
            _start(log, anchor)
    elif parted < anchored:
        with pytest.raises(SplitViewError, match="the log was rewritten"):
            _start(log, anchor)
    else:
        _start(log, anchor)
        assert _sizes(anchor.kept)[-1] == size


def test_an_empty_store_beside_old_anchors_is_not_written_to() -> None:
    anchor = Memory()
    _start(Log(9), anchor)
    with pytest.raises(
        RollbackError, match=r"has a checkpoint of 9 leaves, and the log has 0\nHint: .*OBLIGOR_ANCHORS"
    ):
        _start(Log(), anchor)


def test_what_an_anchor_has_must_be_signed_by_the_key_of_this_log() -> None:
    log = Log(9)
    root = Frontier().extend(log.hashes).root
    other = Ed25519PrivateKey.from_private_bytes(b"1" * 32)
    for name in (KEY.name, "another.example/log"):
        anchor = Memory()
        anchor.kept = [SigningKey(name, other).sign_note(Checkpoint(name, 9, root).text()).encode()]
        with pytest.raises(IntegrityError, match=r"not by the key of this log, bank\.example/log"):
            _start(log, anchor)


def test_an_anchor_that_says_yes_to_everything_and_keeps_a_page_is_not_believed() -> None:
    anchor = Memory()
    anchor.kept = [b"<html>200 OK</html>"]
    with pytest.raises(IntegrityError, match="what it has is no checkpoint"):
        _start(Log(9), anchor)


def test_an_anchor_that_is_down_when_the_service_starts_is_asked_when_it_is_back() -> None:
    async def rounds() -> None:
        anchor, told = Memory(), list[AnchorState]()
        other = _anchoring(Log(9), anchor)
        await other.start()
        anchor.trouble = UnavailableError("memory: did not answer")
        log = Log(12, "forged")
        anchoring = _anchoring(log, anchor, told=told.append)
        await anchoring.start()  # decisions are not held up for an anchor
        anchor.trouble = None
        await anchoring.round()
        assert isinstance(told[-1].trouble, SplitViewError)
        assert _sizes(anchor.kept) == [9]

    asyncio.run(rounds())


def test_a_fault_that_nobody_foresaw_in_an_anchor_is_a_failure_like_any() -> None:
    async def rounds() -> None:
        anchor, told = Memory(), list[AnchorState]()
        anchor.trouble = ZeroDivisionError("secret words of a library")
        anchoring = _anchoring(Log(3), anchor, told=told.append)
        await anchoring.start()
        assert str(told[-1].trouble) == "memory: failed on a ZeroDivisionError"

    asyncio.run(rounds())


def test_two_processes_of_one_service_share_an_anchor_and_the_slower_one_raises_no_alarm() -> None:
    async def rounds(*, tells: bool) -> None:
        log, anchor = Log(3), Memory(tells=tells)
        slow, quick = _anchoring(log, anchor), _anchoring(log, anchor)
        await slow.start()
        await quick.start()
        log.append(2)
        await slow._sign()
        log.append(2)
        await quick.round()
        await slow._work(slow._followers, slow._follow, patience_s=1)
        assert [state.trouble for state in slow.states] == [None]
        assert _sizes(anchor.kept) == [3, 7]
        await slow.round()
        assert slow.unanchored == 0

    asyncio.run(rounds(tells=True))
    asyncio.run(rounds(tells=False))


# A service over a log that was set back


def _tree(log: Log) -> Tree:
    return Tree(len(log.hashes), Frontier().extend(log.hashes).root)


@pytest.mark.parametrize("log", [Log(6), Log(), Log(12, "forged")], ids=["cut", "empty", "rewritten"])
def test_a_service_begins_over_a_log_that_was_set_back_and_holds_every_act_until_that_is_acknowledged(log: Log) -> None:
    async def served() -> None:
        anchor, before, hold = Memory(), Log(9), Hold()
        await _anchoring(before, anchor).start()
        anchoring = _anchoring(log, anchor, Memory("new"), hold=hold)
        await anchoring.begin()
        assert anchoring.lost == (LostTree("memory", _tree(before)),)
        with pytest.raises(UnavailableError, match="memory: keeps a log of 9 leaves, which this one does not continue"):
            hold.refuse()
        log.append(2, "people who take note")
        await anchoring.round()
        assert (bool(hold.because), log.checkpoints) == (True, {})  # nothing is signed either
        log.known_to_be_lost = frozenset({_tree(before)})
        await anchoring.round()
        assert (hold.because, anchoring.lost) == ("", ())
        await anchoring.round()
        assert list(log.checkpoints) == [len(log.hashes)]
        assert anchoring.unanchored == 0  # by the new one

    asyncio.run(served())


def test_an_anchor_of_a_lost_log_takes_nothing_until_the_log_has_outgrown_it() -> None:
    async def served() -> None:
        anchor, before, log = Memory(), Log(9), Log(6)
        await _anchoring(before, anchor).start()
        log.known_to_be_lost = frozenset({_tree(before)})
        log.append(2, "later")
        anchoring = _anchoring(log, anchor)
        await anchoring.start()
        assert not anchoring.well
        assert _sizes(anchor.kept) == [9]
        log.append(2, "later")
        for _ in range(3):
            await anchoring.round()
        assert anchoring.well
        assert _sizes(anchor.kept) == [9, 10]

    asyncio.run(served())


def test_another_loss_than_was_acknowledged_holds_the_service_again() -> None:
    async def served() -> None:
        anchor, before, log, hold = Memory(), Log(9), Log(6), Hold()
        await _anchoring(before, anchor).start()
        log.known_to_be_lost = frozenset({_tree(before)})
        anchoring = _anchoring(log, anchor, hold=hold)
        await anchoring.begin()
        assert not hold.because
        before.append(3)
        anchor.kept.append(KEY.sign_note(Checkpoint(KEY.name, 12, _tree(before).root).text()).encode())
        log.append(5, "later")
        for _ in range(3):
            await anchoring.round()
        assert "12 leaves" in hold.because

    asyncio.run(served())


def test_a_longer_log_that_turns_up_while_the_service_runs_holds_it() -> None:
    async def served() -> None:
        anchor, log, hold = Memory(), Log(6), Hold()
        anchoring = _anchoring(log, anchor, hold=hold)
        await anchoring.begin()
        assert not hold.because
        longer = Log(30)
        anchor.kept.append(KEY.sign_note(Checkpoint(KEY.name, 30, _tree(longer).root).text()).encode())
        log.append(1)
        await anchoring.round()
        assert "30 leaves" in hold.because
        anchor.trouble = UnavailableError("memory: did not answer")
        await anchoring.round()
        assert "30 leaves" in hold.because  # an anchor that is silent takes nothing back

    asyncio.run(served())

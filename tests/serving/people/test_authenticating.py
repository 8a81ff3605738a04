"""Who is calling: what a key opens, for how long it is believed, and what a refusal tells."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import InvalidInputError, LimitedError, UnauthenticatedError, UnavailableError
from obligor.security import api_keys
from obligor.security.api_keys import RANDOM_BYTES, NewKey, make_key
from obligor.security.tokens import Bound
from obligor.serving.acts import Caller
from obligor.serving.people import authenticating
from obligor.serving.people.authenticating import (
    Attempts,
    Authenticator,
    Limits,
    Rate,
    Sender,
    _is_held,
    _keep,
    network_of,
)
from obligor.serving.rows import ApiKeyRow
from obligor.serving.telemetry.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Awaitable

MADE = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOME, AWAY = "192.0.2.7", "198.51.100.9"


def new_key(seed: int = 1, *, days: int = 365, scopes: tuple[str, ...] = ("decide", "read")) -> NewKey:
    data = seed.to_bytes(8, "big") + bytes([seed % 256]) * (RANDOM_BYTES - 8)
    return make_key(
        data, client_id=f"client-{seed}", scopes=scopes, created_at=MADE, expires_at=MADE + timedelta(days=days)
    )


def row_of(new: NewKey, *, revoked_at: datetime | None = None) -> ApiKeyRow:
    kept = new.kept
    scopes = tuple(sorted(kept.scopes))
    return ApiKeyRow(
        kept.key_id, kept.client_id, kept.name, scopes, kept.secret_sha256, MADE, kept.expires_at, revoked_at
    )


@dataclass
class Store:
    """Keeps keys in memory, counts how often it is asked, and can be down or slow."""

    rows: dict[str, ApiKeyRow] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    down: bool = False
    gate: asyncio.Event | None = None

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        self.asked.append(key_id)
        found = self.rows.get(key_id)
        if self.gate is not None:
            await self.gate.wait()
        if self.down:
            raise UnavailableError("the store does not answer")
        return found


@dataclass
class Door:
    """An authenticator with clocks that a test moves."""

    store: Store
    limits: Limits = field(default_factory=Limits)
    at: datetime = MADE + timedelta(hours=1)
    ticks: float = 1000.0
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inner = Authenticator(
            self.store,
            now=lambda: self.at,
            monotonic=lambda: self.ticks,
            limits=self.limits,
            refused=self.refused.append,
        )

    def ask(self, text: str, peer: str = HOME) -> Awaitable[Caller]:
        return self.inner.authenticate(f"Bearer {text}", peer=peer)


def door(*keys: NewKey, **said: object) -> Door:
    return Door(Store({new.kept.key_id: row_of(new) for new in keys}), **said)


def told_of(new: NewKey, other: int) -> str:
    """A key with the id of one and the secret of another."""
    return new.text[:17] + new_key(other).text[17:]


async def refusal(asked: Awaitable[Caller]) -> str:
    with pytest.raises(UnauthenticatedError) as caught:
        await asked
    return str(caught.value)


def test_a_key_names_its_client_and_what_it_opens() -> None:
    new = new_key()
    caller = asyncio.run(door(new).ask(new.text))
    assert caller == Caller("client-1", new.kept.key_id, frozenset({"decide", "read"}), new.kept.expires_at)


def test_the_scheme_may_be_written_in_any_case() -> None:
    new = new_key()
    caller = asyncio.run(door(new).inner.authenticate(f"bEaReR {new.text}", peer=HOME))
    assert caller.client_id == "client-1"


def test_every_refusal_reads_the_same() -> None:
    good, gone, past = new_key(1), new_key(2), new_key(3, days=1)
    it = door(good, past)
    it.store.rows[gone.kept.key_id] = row_of(gone, revoked_at=MADE)
    it.at = MADE + timedelta(days=2)

    async def run() -> set[str]:
        shown = [None, "", "Basic Zm9v", f"Basic  {good.text}", f"Bearer {good.text[:-1]}\x00", f"Token_ {good.text}"]
        told = [await refusal(it.inner.authenticate(header, peer=HOME)) for header in shown]
        keys = [told_of(good, 9), new_key(4).text, gone.text, past.text]
        return {*told, *[await refusal(it.ask(text)) for text in keys]}

    assert len(asyncio.run(run())) == 1
    assert it.refused == [*["missing"] * 2, *["malformed"] * 4, "wrong", "unknown", "revoked", "expired"]


def test_a_key_that_opens_nothing_is_told_in_the_journal_by_its_id_and_its_network() -> None:
    good, stream = new_key(1), io.BytesIO()
    with Journal(stream, strict=True) as journal:
        it = door(good)
        inner = Authenticator(it.store, now=lambda: it.at, journal=journal)
        asyncio.run(refusal(inner.authenticate(f"Bearer {told_of(good, 9)}", peer="ipv6:%5B2001:db8::7%5D:50051")))
    line = json.loads(stream.getvalue())
    assert {name: line[name] for name in ("event", "level", "why", "key_id", "network")} == {
        "event": "refused", "level": "warning", "why": "wrong", "key_id": good.kept.key_id, "network": "2001:db8::/64",
    }  # fmt: skip
    assert told_of(good, 9)[17:].encode() not in stream.getvalue()


@given(st.text(max_size=100))
def test_no_header_brings_the_door_down(header: str) -> None:
    told = asyncio.run(refusal(door(new_key()).inner.authenticate(header, peer=HOME)))
    assert told == asyncio.run(refusal(door().ask(new_key().text)))
    long = ("Bearer " + header).ljust(67, "\ud800")[:67]
    it = door(new_key())
    asyncio.run(refusal(it.inner.authenticate(long, peer=HOME)))
    asyncio.run(refusal(it.inner.authenticate(long * 200, peer=HOME)))
    assert it.refused == ["malformed"] * 2


def test_a_checked_key_is_believed_for_half_a_minute_and_no_longer() -> None:
    new = new_key()
    it = door(new)

    async def run() -> None:
        for _ in range(100):
            await it.ask(new.text)
        it.ticks += 19.9
        await it.ask(new.text)
        assert len(it.store.asked) == 1
        it.store.rows[new.kept.key_id] = row_of(new, revoked_at=it.at)
        it.ticks += 10.1
        assert [it.inner.known(f"Bearer {new.text}") for _ in range(3)] == [None] * 3
        await refusal(it.ask(new.text))

    asyncio.run(run())


@pytest.mark.parametrize("doubted", [False, True], ids=["when it grows old", "when something may have changed"])
def test_one_request_looks_again_while_the_others_go_on(doubted: bool) -> None:  # noqa: FBT001
    """Or all that come together would, and each would be answered the slow way."""
    new = new_key()
    it, header = door(new), f"Bearer {new.text}"

    async def run() -> None:
        await it.ask(new.text)
        if doubted:
            it.inner.doubt()
        else:
            it.ticks += 20.1
        known = [it.inner.known(header) for _ in range(100)]
        assert [caller is None for caller in known] == [True] + [False] * 99
        await it.ask(new.text)
        assert len(it.store.asked) == 2
        assert all(it.inner.known(header) for _ in range(100))
        it.ticks += 19.8
        assert all(it.inner.known(header) for _ in range(100))
        it.ticks += 0.2
        assert [it.inner.known(header) is None for _ in range(3)] == [True, False, False]

    asyncio.run(run())


def test_whoever_looks_again_at_a_key_that_was_revoked_ends_it_for_all() -> None:
    new = new_key()
    it, header = door(new), f"Bearer {new.text}"

    async def run() -> None:
        await it.ask(new.text)
        it.store.rows[new.kept.key_id] = row_of(new, revoked_at=it.at)
        it.inner.doubt()
        await refusal(it.ask(new.text))
        assert [it.inner.known(header) for _ in range(3)] == [None] * 3

    asyncio.run(run())


def test_nobody_may_believe_a_key_for_longer_than_half_a_minute() -> None:
    assert [Limits(lifetime_s=it).lifetime_s for it in (0.5, 30.0)] == [0.5, 30.0]
    for lifetime_s in (30.1, 0, -1):
        with pytest.raises(InvalidInputError, match="wanted up to 30 s"):
            Limits(lifetime_s=lifetime_s)


def test_a_change_that_was_told_counts_at_once() -> None:
    new, later = new_key(1), new_key(2)
    it = door(new)

    async def run() -> None:
        await it.ask(new.text)
        await refusal(it.ask(later.text))
        it.store.rows = {later.kept.key_id: row_of(later), new.kept.key_id: row_of(new, revoked_at=it.at)}
        it.inner.forget()
        assert [it.inner.known(f"Bearer {new.text}") for _ in range(3)] == [None] * 3
        await refusal(it.ask(new.text))
        assert (await it.ask(later.text)).client_id == "client-2"

    asyncio.run(run())


def test_an_answer_that_was_under_way_when_a_change_was_told_is_not_kept() -> None:
    """The row was read before the key was revoked, and comes after the notice."""
    new = new_key()
    it = door(new)

    async def run() -> None:
        it.store.gate = asyncio.Event()
        under_way = asyncio.create_task(it.ask(new.text))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        it.store.rows[new.kept.key_id] = row_of(new, revoked_at=it.at)
        it.inner.forget()
        after = asyncio.create_task(it.ask(new.text))
        await asyncio.sleep(0)
        it.store.gate.set()
        assert (await under_way).client_id == "client-1"
        await refusal(after)
        await refusal(it.ask(new.text))

    asyncio.run(run())


def test_expiry_is_held_against_the_clock_at_every_request() -> None:
    new = new_key(days=1)
    it = door(new)

    async def run() -> None:
        await it.ask(new.text)
        it.at = MADE + timedelta(days=1)
        await refusal(it.ask(new.text))
        it.at -= timedelta(hours=1)  # the clock was wrong, and was put right
        await it.ask(new.text)

    asyncio.run(run())
    assert it.refused == ["expired"]


def test_where_the_store_is_down_only_keys_checked_lately_open() -> None:
    new, other = new_key(1), new_key(2)
    it = door(new, other)

    async def run() -> None:
        await it.ask(new.text)
        it.store.down = True
        await it.ask(new.text)
        for text in (other.text, new_key(3).text):
            with pytest.raises(UnavailableError):
                await it.ask(text)
        it.ticks += 31
        with pytest.raises(UnavailableError):
            await it.ask(new.text)
        it.store.down = False
        await it.ask(new.text)
        await it.ask(other.text)

    asyncio.run(run())


def test_many_requests_of_a_client_ask_the_store_once() -> None:
    new = new_key()
    it = door(new)

    async def run() -> None:
        callers = await asyncio.gather(*(it.ask(new.text) for _ in range(200)))
        assert {caller.client_id for caller in callers} == {"client-1"}

    asyncio.run(run())
    assert len(it.store.asked) == 1


def test_a_request_that_gives_up_does_not_take_the_answer_from_the_others() -> None:
    new = new_key()
    it = door(new)

    async def run() -> None:
        it.store.gate = asyncio.Event()
        impatient, patient = (asyncio.create_task(it.ask(new.text)) for _ in range(2))
        await asyncio.sleep(0)
        impatient.cancel()
        it.store.gate.set()
        assert (await patient).client_id == "client-1"

    asyncio.run(run())


def test_wrong_secrets_are_held_up_and_the_right_one_elsewhere_is_not() -> None:
    new = new_key()
    it = door(new)

    async def run() -> LimitedError:
        for other in range(2, 12):
            await refusal(it.ask(told_of(new, other), AWAY))
        with pytest.raises(LimitedError) as caught:
            await it.ask(told_of(new, 12), AWAY)
        with pytest.raises(LimitedError):  # even the right one, or guessing would not be held up
            await it.ask(new.text, AWAY)
        await it.ask(new.text, HOME)
        it.ticks += caught.value.retry_after
        await it.ask(new.text, AWAY)
        return caught.value

    held_up = asyncio.run(run())
    assert held_up.kind == "limited"
    assert 1 <= held_up.retry_after <= 6
    assert it.refused == [*["wrong"] * 10, *["limited"] * 2]


def test_a_client_that_was_checked_is_not_locked_out_by_guesses_behind_the_same_proxy() -> None:
    new = new_key()
    it = door(new)

    async def run() -> None:
        await it.ask(new.text)
        for other in range(2, 200):
            with pytest.raises((UnauthenticatedError, LimitedError)):
                await it.ask(new_key(other).text)
        it.ticks += 0.5
        await it.ask(new.text)
        it.ticks += 30
        await it.ask(new.text)

    asyncio.run(run())


def test_other_key_ids_and_other_addresses_of_one_network_evade_no_limit() -> None:
    it = door()

    async def run() -> int:
        tried = 0
        for other in range(200):
            with pytest.raises((UnauthenticatedError, LimitedError)) as caught:
                await it.ask(new_key(other).text, f"2001:db8:0:1::{other:x}")
            tried += caught.type is UnauthenticatedError
        return tried

    assert asyncio.run(run()) == Limits().by_network.burst == len(it.store.asked)


def test_a_stale_key_that_is_tried_again_and_again_leaves_room_for_others_behind_the_proxy() -> None:
    good, gone = new_key(1), new_key(2)
    it = door(good)

    async def run() -> None:
        for _ in range(500):
            with pytest.raises((UnauthenticatedError, LimitedError)):
                await it.ask(gone.text)
        await it.ask(good.text)

    asyncio.run(run())
    assert it.store.asked.count(gone.kept.key_id) == 1


def test_failures_at_the_same_instant_lock_nobody_out_for_longer_than_the_burst() -> None:
    it = door(limits=Limits(by_key=Rate(2, 5.0)))
    gone = new_key(2)

    async def run() -> None:
        it.store.gate = asyncio.Event()
        asked = [asyncio.create_task(it.ask(gone.text)) for _ in range(50)]
        await asyncio.sleep(0)
        it.store.gate.set()
        await asyncio.gather(*asked, return_exceptions=True)
        it.ticks += 5.0
        await refusal(it.ask(gone.text))

    asyncio.run(run())


def test_a_flood_of_unknown_keys_neither_grows_the_memory_nor_pushes_known_ones_out() -> None:
    limits = Limits(most_kept=50, by_network=Rate(10**6, 0.001))
    new = new_key(1)
    it = door(new, limits=limits)

    async def run() -> None:
        await it.ask(new.text)
        for other in range(2, 502):
            await refusal(it.ask(new_key(other).text, f"10.0.{other % 256}.{other // 256}"))
        asked = len(it.store.asked)
        await it.ask(new.text)
        await refusal(it.ask(told_of(new, 7)))
        assert len(it.store.asked) == asked

    asyncio.run(run())
    held = vars(it.inner) | vars(it.inner._attempts)
    assert max(len(kept) for kept in held.values() if isinstance(kept, dict)) == 50


def test_only_so_many_unknown_keys_are_asked_for_at_once() -> None:
    it = door(limits=Limits(most_lookups=5))

    async def run() -> None:
        it.store.gate = asyncio.Event()
        asked = [asyncio.create_task(it.ask(new_key(n).text, f"10.0.0.{n}")) for n in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        it.store.gate.set()
        told = await asyncio.gather(*asked, return_exceptions=True)
        limited = [error for error in told if isinstance(error, LimitedError)]
        assert [error.retry_after for error in limited] == [1] * 15

    asyncio.run(run())
    assert len(it.store.asked) == 5


def test_whoever_waits_for_a_key_that_is_asked_for_takes_no_place_of_others() -> None:
    new = new_key(1)
    it = door(new, limits=Limits(most_lookups=1))

    async def run() -> None:
        it.store.gate = asyncio.Event()
        asked = [asyncio.create_task(it.ask(new.text)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        it.store.gate.set()
        assert {caller.client_id for caller in await asyncio.gather(*asked)} == {"client-1"}

    asyncio.run(run())
    assert len(it.store.asked) == 1


def test_who_failed_too_often_waits_as_long_as_it_takes_however_busy_the_door_is() -> None:
    gone = new_key(2)
    it = door(limits=Limits(by_key=Rate(1, 60.0), most_lookups=1))

    async def run() -> None:
        await refusal(it.ask(gone.text))
        it.store.gate = asyncio.Event()
        busy = asyncio.create_task(it.ask(new_key(3).text, AWAY))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(LimitedError) as caught:
            await it.ask(gone.text)
        assert caught.value.retry_after == 60
        it.store.gate.set()
        await refusal(busy)

    asyncio.run(run())


def test_a_failure_that_is_taken_back_counts_neither_for_who_tried_nor_for_their_network() -> None:
    attempts = Attempts(Limits(by_key=Rate(1, 10.0), by_network=Rate(2, 7.0)))
    for who in ("ada", "bob"):
        attempts.failed(who, HOME, 0.0)
    assert [attempts.wait(who, HOME, 0.0) for who in ("ada", "eve")] == [10.0, 7.0]
    attempts.forgiven("ada", HOME)
    assert [attempts.wait(who, HOME, 0.0) for who in ("ada", "bob", "eve")] == [0.0, 10.0, 0.0]
    attempts.forgiven("eve", AWAY)
    assert [attempts.wait(who, place, 0.0) for who, place in (("eve", AWAY), ("bob", HOME))] == [0.0, 10.0]


def test_what_was_kept_last_is_let_go_last() -> None:
    kept: dict[str, int] = {}
    for name, value in (("a", 1), ("b", 2), ("a", 3), ("c", 4)):
        _keep(kept, name, value, most=2)
    assert kept == {"a": 3, "c": 4}


def test_a_token_of_a_certificate_takes_the_quick_way_by_its_certificate_alone() -> None:
    one, other = bytes(32), bytes(31) + b"\x01"
    assert [_is_held(Bound("certificate", one), Sender(HOME, it)) for it in (one, other, None)] == [True, False, False]
    assert not _is_held(Bound("key", one), Sender(HOME, one))


def test_an_unknown_key_and_a_wrong_secret_cost_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, not timed: as many questions to the store, as many hashes, as many comparisons of equal length."""
    good = new_key(1)
    work: list[str] = []

    def counted(secret: str, kept: bytes) -> bool:
        work.append(f"compare {len(secret)} {len(kept)}")
        return api_keys.is_secret(secret, kept)

    monkeypatch.setattr(authenticating, "is_secret", counted)

    async def steps(text: str) -> list[str]:
        it = door(good)
        for _ in range(3):
            work.append(f"asked {len(it.store.asked)}")
            await refusal(it.ask(text))
        found, work[:] = [*work], []
        return found

    assert asyncio.run(steps(told_of(good, 5))) == asyncio.run(steps(new_key(2).text))


def test_no_secret_stays_in_memory() -> None:
    new = new_key()
    it = door(new)
    asyncio.run(it.ask(new.text))

    def reached(value: object, depth: int = 0) -> str:
        inner = vars(value).values() if hasattr(value, "__dict__") and depth < 3 else ()
        return repr(value) + "".join(reached(each, depth + 1) for each in inner)

    assert new.text[17:] not in reached(it.inner)


@pytest.mark.parametrize(
    ("peer", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:5123", "192.0.2.7"),
        ("ipv4:192.0.2.7:5123", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("[2001:db8:0:1::2]:443", "2001:db8:0:1::/64"),
        ("ipv6:%5B2001:db8:0:1::3%5D:50051", "2001:db8:0:1::/64"),
        ("unix:", "unix:"),
        ("x" * 65, "x" * 64),
        ("", ""),
    ],
)
def test_a_network_is_an_address_or_what_one_subscriber_has(peer: str, network: str) -> None:
    assert network_of(peer) == network

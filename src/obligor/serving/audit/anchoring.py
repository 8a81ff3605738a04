"""Checkpoints of the audit log go out to anchors: places that who holds the database does not hold.

Every so often, where the log has grown, its head is signed, kept in the store, and handed to every anchor. None of this is on
the way of a decision: an anchor that is down, slow or lying is counted, told and tried again, ever less often, and decisions
go on. What is not anchored yet could be rewritten unseen by somebody with the database and the signing key; so its extent is
a metric.

One thing holds a service up: an anchor with a checkpoint, signed by the key of this log, of a longer log than the store has, or
of another root. Then the store is an older backup or was rewritten, and nothing is written or signed until two people took note
of what is lost (``restoring``); the anchor is asked in every round until then. It takes no checkpoint before the log outgrew
what it keeps: another one stands beside it meanwhile.
"""

from __future__ import annotations

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from obligor.core.checkpoints import Checkpoint, parse_checkpoint, parse_note
from obligor.core.errors import (
    AuditError,
    IntegrityError,
    ObligorError,
    RollbackError,
    SplitViewError,
    UnavailableError,
)
from obligor.governance.audit.restores import LostTree, Tree
from obligor.security.signing import verify_note
from obligor.serving.holding import Hold

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from obligor.core.merkle import Frontier
    from obligor.security.signing import SigningKey
    from obligor.serving.telemetry.meter import Meter

EVERY_S = 10.0
START_S = 30.0
_CHECKPOINTS = "checkpoints"
_MOST_DOUBLINGS = 5
_ADVICE = (
    "is the store an older backup? Restore the newest one. Where there is none, two people take note of what is lost "
    "(obligor audit acknowledge); a new log begins at places of its own in OBLIGOR_ANCHORS"
)
Answer = TypeVar("Answer")


class Anchor(Protocol):
    """A place outside the database that keeps signed checkpoints; it is asked from a thread, and may take its time."""

    @property
    def name(self) -> str:
        """What it is called in metrics and messages; no secret is in it."""
        ...

    def publish(self, note: bytes) -> None:
        """Keep a checkpoint; return once it is kept. One that is kept already changes nothing.

        Raises
        ------
        SplitViewError
            Where it has another root for this size.
        RollbackError
            Where it has a checkpoint of a longer log.
        IntegrityError
            Where what it has is no checkpoint of this log.
        UnavailableError
            Where it did not do its part.
        """
        ...

    def latest(self) -> bytes | None:
        """Give the checkpoint of the longest log that it has; None where it has none, or tells nothing.

        Raises
        ------
        IntegrityError, UnavailableError
            As above.
        """
        ...

    def close(self) -> None:
        """Let go of what it holds open."""
        ...


class AnchoredLog(Protocol):
    """The audit log in the store, as far as anchoring needs it."""

    async def size(self) -> int:
        """Give the number of leaves."""
        ...

    async def frontier(self, size: int | None = None) -> Frontier:
        """Give the right edge of the tree of a size, with its root; of all leaves where no size is given."""
        ...

    async def keep_checkpoint(self, size: int, note: bytes, *, at: datetime) -> None:
        """Keep a checkpoint; the first of a size stays."""
        ...

    async def keep_anchoring(self, anchor: str, size: int, *, at: datetime) -> None:
        """Note that an anchor keeps the checkpoint of a size."""
        ...

    async def anchored(self) -> dict[str, tuple[int, datetime]]:
        """Give for each anchor the size of the newest checkpoint that it keeps, and since when."""
        ...

    async def acknowledged(self) -> frozenset[Tree]:
        """Give the trees of anchors that are lost, as two people acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class AnchorState:
    """Where an anchor stands."""

    name: str
    size: int
    """Of the longest log of which it surely has a checkpoint."""
    at: datetime | None
    """When it last took one; None: never."""
    failures: int
    """In a row, up to now."""
    trouble: ObligorError | None
    """What went wrong last, where nothing went right since."""


@dataclass(slots=True, eq=False)
class _Follower:
    anchor: Anchor
    size: int = 0
    at: datetime | None = None
    met: bool = False
    """Whether what it had was held against the log."""
    against: Tree | None = None
    """What it has of a longer log, or of another, as long as nobody acknowledged that."""
    lost: int = 0
    """The size of what it has of a log that is lost, as two people acknowledged."""
    sent: int = 0
    """The size of what it was handed last."""
    failures: int = 0
    trouble: ObligorError | None = None
    pause: int = 0
    """For how many rounds it is left alone."""
    task: asyncio.Task[None] | None = None

    def is_due(self) -> bool:
        """Tell whether it is neither at work nor left alone for this round."""
        if self.task is not None and not self.task.done():
            return False
        waits, self.pause = self.pause > 0, max(0, self.pause - 1)
        return not waits

    def state(self) -> AnchorState:
        return AnchorState(self.anchor.name, self.size, self.at, self.failures, self.trouble)


@dataclass(frozen=True, slots=True)
class _Signed:
    size: int = 0
    note: bytes = b""


@dataclass(slots=True, eq=False)
class Anchoring:
    """Signs checkpoints of a log and hands them to its anchors."""

    log: AnchoredLog
    key: SigningKey
    anchors: Sequence[Anchor]
    clock: Callable[[], datetime]
    meter: Meter
    told: Callable[[AnchorState], None] = lambda _: None
    """Called when an anchor fails, and when it does its part again."""
    every_s: float = EVERY_S
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    hold: Hold = field(default_factory=Hold)
    """What holds all acts of the service up while an anchor shows that the log was set back."""
    _followers: list[_Follower] = field(init=False)
    _signed: _Signed = field(init=False, default=_Signed())
    _size: int = field(init=False, default=0)
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._followers = [_Follower(anchor) for anchor in self.anchors]
        self._threads = ThreadPoolExecutor(max(1, len(self.anchors)), thread_name_prefix="anchor")
        self.meter.watch("tree_size", lambda: float(self._size))
        self.meter.watch("unanchored_leaves", lambda: float(self.unanchored))
        self.meter.watch("anchored_age_seconds", self._age)

    @property
    def states(self) -> tuple[AnchorState, ...]:
        """Where every anchor stands."""
        return tuple(follower.state() for follower in self._followers)

    @property
    def well(self) -> bool:
        """Whether every anchor does its part, as far as is known."""
        return all(follower.trouble is None for follower in self._followers)

    @property
    def unanchored(self) -> int:
        """How many leaves no anchor covers, as of the last round."""
        return max(0, self._size - max((follower.size for follower in self._followers), default=0))

    @property
    def lost(self) -> tuple[LostTree, ...]:
        """What anchors have of a longer log, or of another, and nobody acknowledged."""
        return tuple(LostTree(it.anchor.name, it.against) for it in self._followers if it.against is not None)

    async def start(self) -> None:
        """Begin as :meth:`begin` does, and refuse a log that was set back.

        Raises
        ------
        RollbackError, SplitViewError, IntegrityError
            Where an anchor knows a longer log or another one: the store is an older backup, or was rewritten. Nothing may be
            written then.
        UnavailableError
            Where the store does not answer.
        """
        await self.begin()
        for follower in self._followers:
            if follower.against is not None and follower.trouble is not None:
                raise follower.trouble

    async def begin(self) -> None:
        """Hold the log against what every anchor has, and hand each the present checkpoint; an anchor may be down.

        Nothing is signed before every anchor that answers agrees: a store that was set back must not get a signature. There
        is a hold then, and :meth:`round` looks whether it ends.

        Raises
        ------
        IntegrityError
            Where what an anchor has is no checkpoint of this log.
        UnavailableError
            Where the store does not answer.
        """
        await self.look()
        await self._sign()
        met = [follower for follower in self._followers if follower.met]
        await self._work(met, self._follow, patience_s=START_S)
        self._refuse_broken()

    async def look(self) -> None:
        """Hold the log against what every anchor has; write nothing, and hand them nothing.

        Raises
        ------
        IntegrityError, UnavailableError
            As :meth:`begin`.
        """
        before = await self.log.anchored()
        for follower in self._followers:
            _, follower.at = before.get(follower.anchor.name, (0, None))
        await self._work(self._followers, self._meet, patience_s=START_S)
        self._refuse_broken()

    async def run(self) -> None:
        """Go on for as long as the service runs; what it wrote to begin with goes out at once."""
        while True:
            await self.round()
            await self.sleep(self.every_s)

    async def round(self) -> None:
        """Sign what has grown, and hand it to every anchor that is not at work or left alone; wait no longer than a round."""
        try:
            await self._sign()
        except ObligorError:  # what was signed before can still go out
            self.meter.healthy(_CHECKPOINTS, well=False)
        else:
            self.meter.healthy(_CHECKPOINTS, well=True)
        due = [follower for follower in self._followers if follower.is_due()]
        await self._work(due, self._follow, patience_s=self.every_s)

    def close(self) -> None:
        """Let go of the anchors; what they are at work on goes no further."""
        for follower in self._followers:
            if follower.task is not None:
                follower.task.cancel()
            follower.anchor.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _sign(self) -> None:
        """Sign a checkpoint and keep it in the store, where the log has grown."""
        self._size = await self.log.size()
        if self._size > self._signed.size and not self.hold.because:
            frontier = await self.log.frontier(self._size)
            note = self.key.sign_note(Checkpoint(self.key.name, frontier.size, frontier.root).text()).encode()
            await self.log.keep_checkpoint(frontier.size, note, at=self.clock())
            self._signed = _Signed(frontier.size, note)

    async def _work(
        self, followers: Sequence[_Follower], work: Callable[[_Follower], Awaitable[None]], *, patience_s: float
    ) -> None:
        """Work on several anchors at once; one that takes longer goes on beside the next rounds, and keeps nobody waiting."""
        for follower in followers:
            follower.task = asyncio.create_task(self._attempt(follower, work))
        if tasks := [follower.task for follower in followers if follower.task is not None]:
            await asyncio.wait(tasks, timeout=patience_s)

    async def _attempt(self, follower: _Follower, work: Callable[[_Follower], Awaitable[None]]) -> None:
        """Work on an anchor, and note how it went."""
        try:
            await work(follower)
        except ObligorError as error:
            self._note(follower, error)
        except Exception as error:  # noqa: BLE001  a library's, of whatever kind: the anchor did not do its part
            self._note(follower, UnavailableError(f"{follower.anchor.name}: failed on a {type(error).__name__}"))
        else:
            self._note(follower, None)

    def _note(self, follower: _Follower, trouble: ObligorError | None) -> None:
        was_well = follower.trouble is None
        follower.trouble = trouble
        follower.failures = follower.failures + 1 if trouble else 0
        waits = trouble is not None and follower.against is None  # who may end the hold is asked in every round
        follower.pause = (1 << min(follower.failures - 1, _MOST_DOUBLINGS)) - 1 if waits else 0
        self.hold.because = "; ".join(
            f"{it.anchor}: keeps a log of {it.tree.size:,} leaves, which this one does not continue" for it in self.lost
        )
        self.meter.healthy(f"anchor {follower.anchor.name}", well=trouble is None)
        if trouble is not None or not was_well:
            self.told(follower.state())

    def _refuse_broken(self) -> None:
        for follower in self._followers:
            if isinstance(follower.trouble, IntegrityError) and follower.against is None:
                raise follower.trouble

    async def _meet(self, follower: _Follower) -> None:
        follower.size = await self._hold_against(follower)
        follower.met = True

    async def _follow(self, follower: _Follower) -> None:
        """Bring an anchor up to date."""
        if not follower.met or follower.against is not None:
            await self._meet(follower)
        anchor, signed = follower.anchor, self._signed
        if signed.size <= follower.sent:
            return
        if signed.size <= follower.lost:
            raise UnavailableError(
                f"{anchor.name}: keeps a lost log of {follower.lost} leaves, and takes nothing before this one has more",
                hint="name another place in OBLIGOR_ANCHORS, beside this one",
            )
        try:
            await self._in_thread(lambda: anchor.publish(signed.note))
        except (RollbackError, SplitViewError) as error:
            follower.size = await self._overtaken(follower, error)
            return
        follower.lost = 0
        follower.size = follower.sent = signed.size
        follower.at = self.clock()
        await self.log.keep_anchoring(anchor.name, signed.size, at=follower.at)

    async def _hold_against(self, follower: _Follower) -> int:
        """Hold the log against the newest checkpoint of an anchor; give the size of this log that it has."""
        anchor = follower.anchor
        note = await self._in_thread(anchor.latest)
        if note is None:
            return 0
        told = self._read(note, anchor)
        try:
            await self._require_known(told, anchor)
        except (RollbackError, SplitViewError):
            tree = Tree(told.size, told.root)
            if tree not in await self.log.acknowledged():
                follower.against = tree
                raise
            follower.against, follower.lost = None, told.size
            return 0
        follower.against = None
        return told.size

    async def _require_known(self, told: Checkpoint, anchor: Anchor) -> None:
        """Refuse a checkpoint of a longer log than this, or of another."""
        size = (
            await self.log.size()
        )  # after the anchor was asked: another process may write and anchor at the same time
        if told.size > size:
            raise RollbackError(
                f"{anchor.name}: has a checkpoint of {told.size} leaves, and the log has {size}",
                size=told.size,
                hint=_ADVICE,
            )
        try:
            root = (await self.log.frontier(told.size)).root
        except AuditError as error:
            raise IntegrityError(f"the log of {told.size} leaves cannot be put together: {error.message}") from None
        if root != told.root:
            raise SplitViewError(
                f"{anchor.name}: has another root for the log of {told.size} leaves: the log was rewritten",
                hint=_ADVICE,
            )

    def _read(self, data: bytes, anchor: Anchor) -> Checkpoint:
        """Read what an anchor has, which must be signed by the key of this log."""
        try:
            note = parse_note(data)
            told = parse_checkpoint(note.text)
        except AuditError as error:
            raise IntegrityError(f"{anchor.name}: what it has is no checkpoint ({error.message})") from None
        if told.origin != self.key.name or not verify_note(note, self.key.verifier):
            raise IntegrityError(
                f"{anchor.name}: what it has is signed by {told.origin}, and not by the key of this log, {self.key.name}",
                hint="another key, or another log, needs anchors of its own",
            )
        return told

    async def _overtaken(self, follower: _Follower, error: RollbackError | SplitViewError) -> int:
        """Tell a store that was set back from another process of this service that was quicker."""
        has = await self._hold_against(follower)
        if not has and (isinstance(error, SplitViewError) or error.size > await self.log.size()):
            raise error
        return has

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _age(self) -> float:
        times = [follower.at for follower in self._followers if follower.at is not None]
        return max(0.0, (self.clock() - max(times)).total_seconds()) if times else math.inf

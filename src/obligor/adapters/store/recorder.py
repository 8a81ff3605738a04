"""The one writer of a process: it records acts by group commit, and answers nobody before they are durable.

Who submits waits in a queue. One task takes what waits, up to a bound, and commits it as one transaction. The head of the log
is the single sequencer, whatever number of processes write, and nearly always it stands where this process left it and no
idempotency key was used before. So all of it goes in one round trip: move the head from there, insert leaves, records, rows and
answers, commit. Where the head moved, or a key is taken, the server refuses, and the same is done in two:

1. lock the head, and look up the idempotency keys;
2. insert, move the head, and commit.

A transaction that the server refused for what passes (a deadlock, a full disk, a standby) is tried again within the deadline
of who waits longest. One that it refused for what a submission *is* is tried again one by one, so that nobody fails for
another's fault. Where the connection broke during COMMIT nobody knows the outcome: the next transaction, which cannot begin
before the lost one has ended, looks whether its first leaf is there. The database's patience is no longer than ours, so that a
process that stops in the middle loses its transaction, and with it the lock.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Final, Self

import psycopg

from obligor.adapters.store.address import check_server, connection_info, told
from obligor.adapters.store.arrays import ARRAYS, INT8, TEXT, array, int8, read_int, read_time
from obligor.adapters.store.drafting import STATEMENTS, Draft
from obligor.adapters.store.wire import LostError, RefusedError, Statement, Wire
from obligor.core.errors import (
    InFlightError,
    IntegrityError,
    InvalidInputError,
    KeyReusedError,
    ObligorError,
    UnavailableError,
)
from obligor.core.merkle import Frontier, frontier_of
from obligor.serving.acts import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from obligor.adapters.store.wire import Call, Result
    from obligor.serving.acts import Request, Submission

_FIND = Statement(
    "find",
    """SELECT place, payload_sha256, status, response, leaf_index
    FROM unnest($1, $2, $3) WITH ORDINALITY AS asked (client_id, route, key, place)
    JOIN obligor.request USING (client_id, route, key)""",
    (ARRAYS[TEXT], ARRAYS[TEXT], ARRAYS[TEXT]),
)
_STATEMENTS: Final = (
    Statement("begin", "BEGIN ISOLATION LEVEL READ COMMITTED"),
    Statement("lock", "SELECT size, at FROM obligor.tree_head WHERE one FOR UPDATE"),
    _FIND,
    Statement("tail", "SELECT hash FROM obligor.leaf WHERE index >= $1 AND index < $2 ORDER BY index", (INT8, INT8)),
    Statement(
        "nodes",
        "SELECT hash FROM obligor.node WHERE level = $1 AND index >= $2 AND index < $3 ORDER BY index",
        (INT8, INT8, INT8),
    ),
    *STATEMENTS,
    Statement("commit", "COMMIT"),
    Statement("rollback", "ROLLBACK"),
)
_BEGIN: Final[Call] = (b"begin", None)
_LOCK: Final[Call] = (b"lock", None)
_COMMIT: Final[Call] = (b"commit", None)
_ROLLBACK: Final[Call] = (b"rollback", None)
_PASSING: Final = ("08", "40", "53", "55", "57", "58", "XX", "25")
"""Classes of SQLSTATE that may be gone at the next try: connection, rollback, resources, lock, operator, system, read-only."""
_SAME_SERVER: Final = ("40", "55")
"""Those after which the same connection goes on; after the others another server may be the one to ask."""
_PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    **dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan"), "off"),
}
"""Every look-up is by an index: a plan made while a table was empty would read all of it once it is long."""
_QUIET_TURNS: Final = 2
"""Turns of the loop without a new act after which nobody is about to come: in one a request is read, in the next decided."""
_TILE: Final = 256
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may wait, and for how long."""

    waiting: int = 4096
    """Acts that may wait; more are refused at once."""
    batch: int = 512
    """Acts that are committed together; one submission with more goes alone."""
    together: int = 16
    """Acts from which on a commit does not wait for others that come in the same turns of the loop."""
    patience_s: float = 5.0
    """How long a submission is tried."""


@dataclass(slots=True, eq=False)
class _Waiting:
    submission: Submission
    answer: asyncio.Future[Recorded]
    deadline: float
    begun: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True)
class _Doubt:
    """A commit whose outcome is not known: the first leaf that it wrote, and what it answers if it was done."""

    index: int
    hash: bytes
    answers: tuple[tuple[_Waiting, Recorded], ...]


class PostgresRecorder:
    """Records acts in PostgreSQL; ``async with`` starts and ends it."""

    def __init__(
        self, url: str, *, bounds: Bounds | None = None, counted: Callable[[int, float], None] = lambda *_: None
    ) -> None:
        """``counted`` is told of each commit: how many acts shared it, and how many seconds it took."""
        self._url = url
        self._counted = counted
        self._bounds = bounds or Bounds()
        patience_ms = int(self._bounds.patience_s * 1000)
        self._info = connection_info(
            url,
            name="recorder",
            session={
                "lock_timeout": str(patience_ms // 2),
                "statement_timeout": str(patience_ms),
                "idle_in_transaction_session_timeout": str(patience_ms),
                "client_connection_check_interval": "1000",
                "synchronous_commit": "on",
                "jit": "off",
                **_PLANS,
            },
            target_session_attrs="read-write",
        )
        self._queue: deque[_Waiting] = deque()
        self._queued = 0
        self._in_flight: set[tuple[str, str, str]] = set()
        self._arrived = asyncio.Event()
        self._closing = False
        self._writer: asyncio.Task[None] | None = None
        self._wire: Wire | None = None
        self._frontier = Frontier()
        self._at: datetime | None = None
        """The time of the last leaf, where this process wrote it and the head may stand there still."""
        self._doubt: _Doubt | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write(), name="recorder")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """How many acts wait to be recorded."""
        return self._queued

    async def close(self) -> None:
        """Take no more, record what waits, and end."""
        self._closing = True
        self._arrived.set()
        if self._writer is not None:
            await self._writer
        self._drop()

    async def record(self, submission: Submission) -> Recorded:
        """Record acts; return once they are durable. See :class:`obligor.serving.acts.Recorder`."""
        waiting = self._enqueue(submission)
        try:
            return await waiting.answer
        except asyncio.CancelledError:
            if not waiting.begun:
                self._forget(waiting)
            raise

    def submit(self, submission: Submission) -> asyncio.Future[Recorded]:
        """Begin to record acts. See :class:`obligor.serving.acts.Recorder`."""
        return self._enqueue(submission).answer

    def _enqueue(self, submission: Submission) -> _Waiting:
        if not submission.acts:
            raise InvalidInputError("a submission without an act; wanted one or more")
        if self._closing or self._writer is None:
            raise UnavailableError("the recorder is not running")
        if self._queued and self._queued + len(submission.acts) > self._bounds.waiting:
            raise UnavailableError(f"{self._queued} acts wait to be recorded, which is all that may")
        self._begin(submission)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(submission, loop.create_future(), loop.time() + self._bounds.patience_s)
        self._queue.append(waiting)
        self._queued += len(submission.acts)
        self._arrived.set()
        return waiting

    def _begin(self, submission: Submission) -> None:
        """Note that a request is being recorded."""
        key = _key(submission)
        if key is None:
            return
        if key in self._in_flight:
            raise InFlightError("the same request is being recorded; send it again soon")
        try:
            "".join(key).encode()
        except UnicodeEncodeError:
            raise InvalidInputError("the idempotency key holds half of a character") from None
        self._in_flight.add(key)

    # The writer

    async def _write(self) -> None:
        while self._queue or not self._closing:
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            await self._gather()
            batch = self._take()
            try:
                await self._settle(batch)
            except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait for ever
                self._drop()
                self._refuse(batch, error)
            finally:
                self._refuse(
                    batch, UnavailableError("the recorder was ended")
                )  # those who gave up, or all at a sudden end

    async def _gather(self) -> None:
        """Let those come along who are about to: a commit costs nearly the same for thirty as for three."""
        quiet = 0
        while quiet < _QUIET_TURNS and self._queued < self._bounds.together:
            before = self._queued
            await asyncio.sleep(0)
            quiet = quiet + 1 if self._queued == before else 0

    def _take(self) -> list[_Waiting]:
        """Take from the queue what fits into a batch, and at least one."""
        batch: list[_Waiting] = []
        room = self._bounds.batch
        latest = asyncio.get_running_loop().time() + self._bounds.patience_s / 5
        while self._queue and (not batch or len(self._queue[0].submission.acts) <= room):
            waiting = self._queue.popleft()
            room -= len(waiting.submission.acts)
            self._queued -= len(waiting.submission.acts)
            if waiting.answer.done():  # nobody waits for it any more, and nothing was begun
                self._forget(waiting)
            elif waiting.deadline < latest:  # too late to begin: the store is slow, or was away
                self._refuse([waiting], UnavailableError(f"{told(self._url)} is behind with recording"))
            else:
                waiting.begun = True
                batch.append(waiting)
        return batch

    async def _settle(self, batch: list[_Waiting]) -> None:
        """Commit a batch, again and again while there is time and reason."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while left := [waiting for waiting in batch if not waiting.answer.done()]:
            try:
                async with asyncio.timeout_at(left[0].deadline):
                    await self._attempt(left)
            except RefusedError as error:
                if error.sqlstate[:2] not in _PASSING:
                    await self._settle_each(left, error)
                    return
                if error.sqlstate[:2] not in _SAME_SERVER:
                    self._drop()
                trouble: Exception = error
            except (LostError, TimeoutError, OSError, psycopg.Error) as error:
                self._drop()
                trouble = error
            else:
                continue
            now = loop.time()
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            after = random.uniform(pause / 2, pause)  # noqa: S311  spreads writers apart; nothing is secret
            self._refuse([waiting for waiting in left if waiting.deadline <= now + after], self._unavailable(trouble))
            if not all(waiting.answer.done() for waiting in left):
                await asyncio.sleep(after)

    async def _settle_each(self, batch: list[_Waiting], error: RefusedError) -> None:
        """Find whose fault a refusal was: each alone."""
        if len(batch) == 1:
            self._refuse(batch, self._refusal(error))
        else:
            for waiting in batch:
                await self._settle([waiting])

    async def _attempt(self, batch: list[_Waiting]) -> None:
        """Do one transaction; where it fails, nothing of it stays but what COMMIT may have done."""
        wire = await self._connected()
        try:
            await self._transact(wire, batch)
        except RefusedError:
            await wire.round([_ROLLBACK])
            raise

    async def _transact(self, wire: Wire, batch: list[_Waiting]) -> None:
        begun = perf_counter()
        if self._at is not None and self._doubt is None and await self._at_once(wire, batch, self._at):
            return
        asked = [(waiting, request) for waiting in batch if (request := waiting.submission.request) is not None]
        _, ((size, at),), *found = await wire.round([_BEGIN, _LOCK, *_finding(asked)])
        if self._doubt is not None and await self._was_done(wire, self._doubt):
            await wire.round([_ROLLBACK])
            return
        await self._see(wire, read_int(size or b""))
        self._answer_known(asked, found[0] if found else [])
        draft = Draft(self._frontier, None if at is None else read_time(at))
        answers = self._drafted(draft, batch)
        if not answers:
            await wire.round([_ROLLBACK])
            return
        await self._commit(wire, draft, answers, [], begun=begun)

    async def _at_once(self, wire: Wire, batch: list[_Waiting], at: datetime) -> bool:
        """Commit in one round trip, where the head stands as this process left it; False where it must be looked at."""
        begun, draft = perf_counter(), Draft(self._frontier, at)
        answers = self._drafted(draft, batch)
        if not answers:
            return True
        self._at = None
        try:
            await self._commit(wire, draft, answers, [_BEGIN], begun=begun)
        except RefusedError:  # for whatever reason: it is found again, or is gone
            await wire.round([_ROLLBACK])
            return False
        return True

    async def _commit(
        self, wire: Wire, draft: Draft, answers: list[tuple[_Waiting, Recorded]], opening: list[Call], *, begun: float
    ) -> None:
        """Move the head, insert what was drafted, commit, and answer."""
        frontier, calls = draft.calls()
        self._doubt = _Doubt(self._frontier.size, draft.hashes[0], tuple(answers))
        try:
            await wire.round([*opening, *calls, _COMMIT])
        except RefusedError:
            self._doubt = None  # it did not come to the COMMIT, or that was refused
            raise
        self._frontier, self._doubt, self._at = frontier, None, draft.at
        self._tell(answers)
        self._counted(len(draft.hashes), perf_counter() - begun)

    async def _was_done(self, wire: Wire, doubt: _Doubt) -> bool:
        """Find out whether a commit that nobody answered for was done: whoever made it has ended, for we hold the head."""
        (rows,) = await wire.round([(b"tail", [int8(doubt.index), int8(doubt.index + 1)])])
        self._doubt = None
        if [row[0] for row in rows] != [doubt.hash]:
            return False
        self._tell(doubt.answers)
        return True

    async def _see(self, wire: Wire, size: int) -> None:
        """Know the right edge of the tree; others may have written since."""
        if size == self._frontier.size:
            return
        if not size:
            self._frontier = Frontier()
            return
        ends = [size >> 8 * level for level in range((size.bit_length() + 7) // 8)]
        starts = [(end - 1) // _TILE * _TILE for end in ends]
        spans = [[int8(start), int8(end)] for start, end in zip(starts, ends, strict=True)]
        nodes: list[Call] = [(b"nodes", [int8(level), *span]) for level, span in enumerate(spans[1:], start=1)]
        tails = await wire.round([(b"tail", spans[0]), *nodes])
        self._frontier = frontier_of(
            size, lambda level, start, stop: _hashes(tails[level], start - starts[level], stop - starts[level])
        )

    def _answer_known(self, asked: Sequence[tuple[_Waiting, Request]], found: Result) -> None:
        """Answer requests that were recorded before with the same bytes."""
        for row in found:
            place, payload, status, response, leaf = (value or b"" for value in row)  # none of them is NULL
            waiting, request = asked[read_int(place) - 1]
            if payload == request.payload_sha256:
                self._tell([(waiting, Recorded(response, read_int(status), replayed=True, leaf_index=read_int(leaf)))])
            else:
                self._refuse([waiting], KeyReusedError("the idempotency key was used for another request"))

    def _drafted(self, draft: Draft, batch: list[_Waiting]) -> list[tuple[_Waiting, Recorded]]:
        """Write down what is new; what cannot be written down fails by itself."""
        answers = []
        for waiting in batch:
            if not waiting.answer.done():
                try:
                    answers.append((waiting, draft.add(waiting.submission)))
                except Exception as error:  # noqa: BLE001  the submission's own fault, and its own answer
                    self._refuse([waiting], error)
        return answers

    # The connection

    async def _connected(self) -> Wire:
        if self._wire is None or not self._wire.is_open:
            self._frontier, self._at = Frontier(), None  # another server may answer, with another log
            self._wire = await Wire.connect(self._info, _STATEMENTS)
            check_server(self._wire.server_version, self._url)
        return self._wire

    def _drop(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.close()

    # Answers

    def _tell(self, answers: Sequence[tuple[_Waiting, Recorded]]) -> None:
        for waiting, recorded in answers:
            self._forget(waiting)
            if not waiting.answer.done():
                waiting.answer.set_result(recorded)

    def _refuse(self, batch: Sequence[_Waiting], error: Exception) -> None:
        for waiting in batch:
            self._forget(waiting)
            if not waiting.answer.done():
                waiting.answer.set_exception(error if len(batch) == 1 else copy(error))  # each raises its own

    def _forget(self, waiting: _Waiting) -> None:
        """Let the request be sent again; once, for it may be here again by then."""
        key = _key(waiting.submission)
        if key is not None and not waiting.settled:
            self._in_flight.discard(key)
        waiting.settled = True

    def _unavailable(self, error: Exception) -> UnavailableError:
        code = getattr(error, "sqlstate", None) or type(error).__name__
        return UnavailableError(f"{told(self._url)} did not record in {self._bounds.patience_s:g} s ({code})")

    def _refusal(self, error: RefusedError) -> ObligorError:
        """Say why the store refused one submission, without a value of it."""
        if error.sqlstate.startswith("22"):
            return InvalidInputError(
                f"the store cannot hold a value of this ({error.sqlstate}), such as text with a NUL"
            )
        if error.sqlstate.startswith("23"):
            return IntegrityError(f"the store holds this already, or may not ({error.constraint or error.sqlstate})")
        return UnavailableError(f"{told(self._url)} refused to record ({error.sqlstate})")


def _key(submission: Submission) -> tuple[str, str, str] | None:
    request = submission.request
    return None if request is None else (request.client_id, request.route, request.key)


def _finding(asked: Sequence[tuple[_Waiting, Request]]) -> list[Call]:
    if not asked:
        return []
    columns = zip(*((request.client_id, request.route, request.key) for _, request in asked), strict=True)
    return [(b"find", [array(TEXT, [text.encode() for text in column]) for column in columns])]


def _hashes(rows: Result, start: int, stop: int) -> list[bytes]:
    return [row[0] for row in rows[start:stop] if row[0] is not None]

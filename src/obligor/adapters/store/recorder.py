"""The one writer of a process: it records acts by group commit, and answers nobody before they are durable.

Who submits waits in a queue. One task takes what waits, up to a bound, and commits it as one transaction. The head of the log
is the single sequencer, whatever number of processes write, and nearly always it stands where this process left it and no
idempotency key was used before. So all of it goes in one round trip: insert leaves, records, rows and answers, move the head
from there, commit. A second transaction is sent on another connection before the first is answered, from where that one leaves
the head: it inserts while the disk writes the first, and waits to move the head. Where the head moved, or a key is taken, the
server refuses, whatever was sent after it fails too, and each is done again, one after the other, in two round trips:

1. lock the head, and look up the idempotency keys;
2. insert, move the head, and commit.

Who inserts holds the turn, an advisory lock, until the head is theirs. So no two processes wait for each other: whoever has
inserted and is out of turn has the head too, and waits for nothing but the disk. Only decisions go so, of which none depends
on another. Anything else, such as retiring a key, goes alone: it locks the head first, and passes the turn on last, so that it
sees all that was done before it, and is seen by all that follows.

A transaction that the server refused for what passes (a deadlock, a full disk, a standby) is tried again within the deadline
of who waits longest. One that it refused for what a submission *is* is tried again one by one, so that nobody fails for
another's fault. Where the connection broke during COMMIT nobody knows the outcome: the next transaction, which cannot begin
before the lost one has ended, looks whether its first leaf is there. The database's patience is no longer than ours, so that a
process that stops in the middle loses its transaction, and with it the lock.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import psycopg

from obligor.adapters.store.address import check_server, connection_info, told
from obligor.adapters.store.arrays import ARRAYS, INT8, TEXT, array, int8, read_int, read_time
from obligor.adapters.store.drafting import LOCK, STATEMENTS, TURN, Draft
from obligor.adapters.store.queueing import Bounds, Queue
from obligor.adapters.store.wire import LostError, RefusedError, Statement, Wire
from obligor.core.errors import (
    IntegrityError,
    InvalidInputError,
    KeyReusedError,
    ObligorError,
    UnavailableError,
)
from obligor.core.merkle import Frontier, frontier_of
from obligor.serving.acts import Recorded
from obligor.serving.holding import Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from obligor.adapters.store.inserts import Values
    from obligor.adapters.store.queueing import Waiting
    from obligor.adapters.store.wire import Call, Early, Result
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
    Statement("turn", f"SELECT pg_advisory_lock({TURN})"),
    Statement("pass", f"SELECT pg_advisory_unlock({TURN})"),
    Statement("leave", "SELECT pg_advisory_unlock_all()"),
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
_TAKE_TURN: Final[Call] = (b"turn", None)
_PASS_TURN: Final[Call] = (b"pass", None)
_COMMIT: Final[Call] = (b"commit", None)
_ROLLBACK: Final[tuple[Call, ...]] = ((b"rollback", None), (b"leave", None))
_PASSING: Final = ("08", "40", "53", "55", "57", "58", "XX", "25")
"""Classes of SQLSTATE that may be gone at the next try: connection, rollback, resources, lock, operator, system, read-only."""
_SAME_SERVER: Final = ("40", "55")
"""Those after which the same connection goes on; after the others another server may be the one to ask."""
_PLANS: Final = {
    "plan_cache_mode": "force_generic_plan",
    **dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "enable_bitmapscan"), "off"),
}
"""Every look-up is by an index: a plan made while a table was empty would read all of it once it is long."""
_LANES: Final = 2
"""Transactions that may be in flight together."""
_TILE: Final = 256
_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 1.0
_UNWELL_S: Final = 10.0


class _Tip(NamedTuple):
    """Where the log ends: its tree, and the time and the hash of its last leaf; no hash where nobody else can write."""

    frontier: Frontier
    at: datetime | None
    last: bytes | None = None


@dataclass(slots=True, eq=False)
class _Flight:
    """A transaction whose outcome is not known yet: its first leaf, what it answers if it is done, and the log after it."""

    index: int
    hash: bytes
    answers: list[tuple[Waiting, Recorded]]
    tip: _Tip
    inserts: list[Call]
    move: Values
    begun: float
    alone: bool
    """Nothing may be in flight beside it."""
    has_turn: bool = False
    trouble: Exception | None = None
    task: asyncio.Task[None] | None = None

    @property
    def batch(self) -> list[Waiting]:
        """Who waits for it."""
        return [waiting for waiting, _ in self.answers]


class PostgresRecorder:
    """Records acts in PostgreSQL; ``async with`` starts and ends it."""

    def __init__(
        self,
        url: str,
        *,
        bounds: Bounds | None = None,
        counted: Callable[[int, float], None] = lambda *_: None,
        hold: Hold | None = None,
    ) -> None:
        """``counted`` is told of each commit: how many acts shared it, and how many seconds it took."""
        self._url = url
        self._hold = hold or Hold()
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
        self._queue = Queue(self._bounds, store=told(url))
        self._closing = False
        self._writer: asyncio.Task[None] | None = None
        self._wires: list[Wire] = []
        self._free: list[Wire] = []
        """Those on which nothing is in flight."""
        self._known = Frontier()
        """The log, as far as it is known to be durable."""
        self._tip: _Tip | None = None
        """Where the last transaction that was sent leaves the log; none where that must be looked up."""
        self.latest: datetime | None = None
        """The time of the last act that was in the log when something was recorded here."""
        self._flights: list[_Flight] = []
        """Sent and not answered, and those that failed until they are done again; in order."""
        self._refused_at: float | None = None
        """When something was refused for want of the store, if nothing was recorded since."""
        self._doubts: list[_Flight] = []
        """Those that may have been done although their connection was lost."""

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write(), name="recorder")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def waiting(self) -> int:
        """How many acts wait to be recorded."""
        return self._queue.acts

    @property
    def is_well(self) -> bool:
        """Whether what is submitted is recorded: not where the last was refused for want of the store, a moment ago.

        After that moment it may be tried again: to whom nothing is sent any more, nothing can tell that the store is back.
        """
        return self._refused_at is None or perf_counter() - self._refused_at > _UNWELL_S

    async def close(self) -> None:
        """Take no more, record what waits, and end."""
        self._queue.call_in()
        self._closing = True
        self._queue.stir()
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
                self._queue.forget(waiting)
            raise

    def expect(self, come: Callable[[], None]) -> None:
        """Expect somebody who submits. See :class:`obligor.serving.acts.PromptRecorder`."""
        if self._closing or self._writer is None:
            come()  # and is told so
        else:
            self._queue.expect(come)

    def submit(self, submission: Submission) -> asyncio.Future[Recorded]:
        """Begin to record acts. See :class:`obligor.serving.acts.Recorder`."""
        return self._enqueue(submission).answer

    def drop(self, recorded: asyncio.Future[Recorded]) -> None:
        """Record no more what was submitted. See :class:`obligor.serving.acts.PromptRecorder`."""
        self._queue.drop(recorded)

    def _enqueue(self, submission: Submission) -> Waiting:
        self._hold.refuse()
        if self._closing or self._writer is None:
            raise UnavailableError("the recorder is not running")
        return self._queue.add(submission)

    # The writer

    async def _write(self) -> None:
        try:
            while self._queue or self._flights or not self._closing:
                await self._step()
        finally:  # at a sudden end
            for flight in self._flights:
                if flight.task is not None:
                    flight.task.cancel()
                self._queue.refuse(flight.batch, UnavailableError("the recorder was ended"))

    async def _step(self) -> None:
        """Do again what failed, or send a batch, or wait until there is something to do."""
        if any(flight.trouble for flight in self._flights):
            await self._redo()
        elif self._queue and (not self._flights or self._may_follow()):
            if not self._flights:
                await self._queue.gather()
            batch = self._queue.take(plain=bool(self._flights))
            if not self._send(batch):
                await self._settle_all(batch)
        else:
            await self._queue.wait(self._bounds.ahead if self._flights else 1)

    def _may_follow(self) -> bool:
        """Tell whether a transaction may be sent while another is in flight."""
        last = self._flights[-1]
        return (
            bool(self._free)
            and last.has_turn
            and not last.alone
            and self._queue.acts >= self._bounds.ahead
            and self._queue.is_plain
        )

    def _send(self, batch: list[Waiting]) -> bool:
        """Send a batch from where the head should stand; False where that must be looked up."""
        if not batch:
            return True
        if self._tip is None or not all(wire.is_open for wire in self._wires):
            return False
        flight = self._drafted(self._tip, batch)
        if flight is not None:
            self._tip = flight.tip
            self._flights.append(flight)
            follows = len(self._flights) > 1
            flight.task = asyncio.create_task(self._fly(flight, self._free.pop(), batch[0].deadline, follows=follows))
        return True

    async def _fly(self, flight: _Flight, wire: Wire, deadline: float, *, follows: bool) -> None:
        """Bring a transaction to its end, good or bad; it waits for the head where it follows another."""
        try:
            async with asyncio.timeout_at(deadline):
                if flight.alone:
                    moved: list[Call] = [(b"move", flight.move), _COMMIT, _PASS_TURN]
                    await self._round(wire, [_BEGIN, _TAKE_TURN, LOCK, *flight.inserts, *moved])
                else:
                    wait: list[Call] = [LOCK] if follows else []
                    moved = [*wait, (b"move_and_pass", flight.move), _COMMIT]
                    early = (2, partial(self._go_on, flight)) if len(flight.answers) >= self._bounds.ahead else None
                    await self._round(wire, [_BEGIN, _TAKE_TURN, *flight.inserts, *moved], early=early)
        except Exception as error:  # noqa: BLE001  it is done again, and told then
            flight.trouble, self._tip = error, None
        else:
            self._flights.remove(flight)
            self._free.append(wire)
            self._land(flight)
        self._queue.stir()

    def _go_on(self, flight: _Flight) -> None:
        """Let the next transaction be sent: it cannot get ahead of one that has the turn."""
        flight.has_turn = True
        if self._queue.acts >= self._bounds.ahead:
            self._queue.stir()

    def _land(self, flight: _Flight) -> None:
        """Answer for what is durable."""
        self._refused_at = None
        if flight.tip.frontier.size > self._known.size:
            self._known = flight.tip.frontier
        self._queue.tell(flight.answers)
        took, acts = perf_counter() - flight.begun, flight.tip.frontier.size - flight.index
        self._queue.committed(acts, took)
        self._counted(acts, took)

    async def _redo(self) -> None:
        """Do again what failed, in order and one at a time, once nothing is in flight."""
        await asyncio.gather(*(flight.task for flight in self._flights if flight.task is not None))
        failed, self._flights = self._flights, []
        self._doubts = [flight for flight in failed if not isinstance(flight.trouble, RefusedError)]
        if self._doubts:
            self._drop()
        self._free = list(self._wires)
        for flight in failed:
            await self._settle_all(flight.batch)

    async def _settle_all(self, batch: list[Waiting]) -> None:
        """Commit a batch, or tell everybody in it why not."""
        try:
            await self._settle(batch)
        except Exception as error:  # noqa: BLE001  whatever it is, nobody may wait for ever
            self._drop()
            self._queue.refuse(batch, error)
        finally:
            self._queue.refuse(
                batch, UnavailableError("the recorder was ended")
            )  # those who gave up, or all at a sudden end

    async def _settle(self, batch: list[Waiting]) -> None:
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
            if late := [waiting for waiting in left if waiting.deadline <= now + after]:
                self._refused_at = perf_counter()
                self._queue.refuse(late, self._unavailable(trouble))
            if not all(waiting.answer.done() for waiting in left):
                await asyncio.sleep(after)

    async def _settle_each(self, batch: list[Waiting], error: RefusedError) -> None:
        """Find whose fault a refusal was: each alone."""
        if len(batch) == 1:
            self._queue.refuse(batch, self._refusal(error))
        else:
            for waiting in batch:
                await self._settle([waiting])

    async def _attempt(self, batch: list[Waiting]) -> None:
        """Do one transaction from where the head stands; where it fails, nothing of it stays but what COMMIT may have done."""
        wire = await self._connected()
        asked = [(waiting, request) for waiting in batch if (request := waiting.submission.request) is not None]
        _, _, ((size, at),), *found = await self._round(wire, [_BEGIN, _TAKE_TURN, LOCK, *_finding(asked)])
        if self._doubts and await self._were_done(wire):
            await wire.round(_ROLLBACK)
            return
        await self._see(wire, read_int(size or b""))
        self._answer_known(asked, found[0] if found else [])
        flight = self._drafted(_Tip(self._known, None if at is None else read_time(at)), batch)
        if flight is None:
            await wire.round(_ROLLBACK)
            return
        self._doubts.append(flight)
        try:
            await self._round(wire, [*flight.inserts, (b"move", flight.move), _COMMIT, _PASS_TURN])
        except RefusedError:
            self._doubts.remove(flight)  # it did not come to the COMMIT, or that was refused
            raise
        self._doubts, self._tip = [], flight.tip  # the head moved: what was not done by now never will be
        self._land(flight)

    async def _round(self, wire: Wire, calls: Sequence[Call], *, early: Early | None = None) -> list[Result]:
        """Send calls of a transaction together; where the server refuses one, undo all of it."""
        try:
            return await wire.round(calls, early=early)
        except RefusedError:
            await wire.round(_ROLLBACK)
            raise

    async def _were_done(self, wire: Wire) -> bool:
        """Find out whether a commit that nobody answered for was done: whoever made it has ended, for we hold the head."""
        done = []
        for doubt in self._doubts:
            (rows,) = await wire.round([(b"tail", [int8(doubt.index), int8(doubt.index + 1)])])
            if [row[0] for row in rows] == [doubt.hash]:
                done.append(doubt)
        for doubt in done:
            self._doubts.remove(doubt)
            self._queue.tell(doubt.answers)
        return bool(done)

    async def _see(self, wire: Wire, size: int) -> None:
        """Know the right edge of the tree; others may have written since."""
        if size == self._known.size:
            return
        if not size:
            self._known = Frontier()
            return
        ends = [size >> 8 * level for level in range((size.bit_length() + 7) // 8)]
        starts = [(end - 1) // _TILE * _TILE for end in ends]
        spans = [[int8(start), int8(end)] for start, end in zip(starts, ends, strict=True)]
        nodes: list[Call] = [(b"nodes", [int8(level), *span]) for level, span in enumerate(spans[1:], start=1)]
        tails = await wire.round([(b"tail", spans[0]), *nodes])
        self._known = frontier_of(
            size, lambda level, start, stop: _hashes(tails[level], start - starts[level], stop - starts[level])
        )

    def _answer_known(self, asked: Sequence[tuple[Waiting, Request]], found: Result) -> None:
        """Answer requests that were recorded before with the same bytes."""
        for row in found:
            place, payload, status, response, leaf = (value or b"" for value in row)  # none of them is NULL
            waiting, request = asked[read_int(place) - 1]
            if payload == request.payload_sha256:
                self._queue.tell(
                    [(waiting, Recorded(response, read_int(status), replayed=True, leaf_index=read_int(leaf)))]
                )
            else:
                self._queue.refuse([waiting], KeyReusedError("the idempotency key was used for another request"))

    def _drafted(self, tip: _Tip, batch: list[Waiting]) -> _Flight | None:
        """Write down what is new after a tip, if anything is; what cannot be written down fails by itself."""
        begun, draft, answers = perf_counter(), Draft(*tip), []
        self.latest = tip.at or self.latest
        for waiting in batch:
            if not waiting.answer.done():
                try:
                    answers.append((waiting, draft.add(waiting.submission)))
                except Exception as error:  # noqa: BLE001  the submission's own fault, and its own answer
                    self._queue.refuse([waiting], error)
        if not answers:
            return None
        frontier, inserts, move = draft.calls()
        alone = not all(waiting.is_plain for waiting, _ in answers)
        after = _Tip(frontier, draft.at, draft.hashes[-1])
        return _Flight(tip.frontier.size, draft.hashes[0], answers, after, inserts, move, begun, alone)

    # The connections

    async def _connected(self) -> Wire:
        if not self._wires or not all(wire.is_open for wire in self._wires):
            self._drop()
            self._known, self._tip = Frontier(), None  # another server may answer, with another log
            for _ in range(_LANES):
                self._wires.append(await Wire.connect(self._info, _STATEMENTS))
                check_server(self._wires[-1].server_version, self._url)
            self._free = list(self._wires)
        return self._wires[0]

    def _drop(self) -> None:
        for wire in self._wires:
            wire.close()
        self._wires, self._free = [], []
        self._tip = None

    # What is told of a failure

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


def _finding(asked: Sequence[tuple[Waiting, Request]]) -> list[Call]:
    if not asked:
        return []
    columns = zip(*((request.client_id, request.route, request.key) for _, request in asked), strict=True)
    return [(b"find", [array(TEXT, [text.encode() for text in column]) for column in columns])]


def _hashes(rows: Result, start: int, stop: int) -> list[bytes]:
    return [row[0] for row in rows[start:stop] if row[0] is not None]

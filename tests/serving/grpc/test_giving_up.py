"""A call that is given up while the store is slow: what of it stands, on a PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, cast

import grpc
import psycopg
from google.protobuf.struct_pb2 import Struct
from tests.serving.http.fakes import PLAIN, KnownKeys, house
from tests.stores import as_owner, held

from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.serving.deciding import DecisionService
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.http import Seats
from obligor.serving.sources import live_sources
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from obligor.core.decision import Decision
    from obligor.core.scorer import Score
    from obligor.serving.telemetry.meter import Meter

    Play = Callable[[PostgresRecorder, psycopg.AsyncConnection[Any], grpc.aio.Channel], Awaitable[None]]


def test_a_decision_whose_recording_had_begun_stands_and_one_that_waited_was_never_made(store_url: str) -> None:
    counts, seats = Counts(), Seats()

    async def play(recorder: PostgresRecorder, lock: psycopg.AsyncConnection[Any], channel: grpc.aio.Channel) -> None:
        await decide(channel, "first")
        await lock.execute("LOCK TABLE obligor.leaf IN SHARE MODE")  # the transaction begins, and waits to insert
        begun = asyncio.ensure_future(decide(channel, "begun"))
        await until(lambda: bool(recorder._flights or recorder._doubts))
        waiting = asyncio.ensure_future(decide(channel, "waiting"))
        await until(lambda: bool(recorder._queue.acts))
        begun.cancel()
        waiting.cancel()
        await until(lambda: recorder._queue._waiting[0].answer.done() and not seats.open)
        await lock.rollback()
        await until(lambda: not recorder._queue._under_way)
        assert [row["key"] for row in held(store_url).requests] == ["first", "begun"]
        await until(lambda: len(counts.outcomes) == 2)  # what was recorded counts, though its client has left
        assert [(await decide(channel, key)).replayed for key in ("begun", "waiting")] == [True, False]
        assert [row["key"] for row in held(store_url).requests] == ["first", "begun", "waiting"]

    asyncio.run(serving(store_url, play, meter=counts, seats=seats))


def test_calls_that_come_during_a_commit_are_decided_on_together_and_whoever_left_by_then_is_not(
    store_url: str,
) -> None:
    async def play(recorder: PostgresRecorder, lock: psycopg.AsyncConnection[Any], channel: grpc.aio.Channel) -> None:
        await decide(channel, "first")
        await lock.execute("LOCK TABLE obligor.leaf IN SHARE MODE")
        begun = asyncio.ensure_future(decide(channel, "begun"))
        await until(lambda: bool(recorder._flights or recorder._doubts))
        expected = [asyncio.ensure_future(decide(channel, key)) for key in ("second", "left", "third")]
        await until(lambda: len(recorder._queue._expected) == 3)
        assert not recorder._queue.acts
        expected.pop(1).cancel()
        await until(lambda: any(cast("Any", it).__self__.told.cancelled() for it in recorder._queue._expected))
        await lock.rollback()
        await asyncio.gather(begun, *expected)
        assert sorted(row["key"] for row in held(store_url).requests) == ["begun", "first", "second", "third"]

    asyncio.run(serving(store_url, play, bounds=Bounds(expecting_s=60.0)))


class Counts(NoMeter):
    """Keeps which outcomes were counted."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []

    def decided(self, score: Score, decision: Decision, unusual: Iterable[str]) -> None:
        self.outcomes.append(decision.outcome)


async def serving(
    store_url: str, play: Play, *, bounds: Bounds | None = None, meter: Meter | None = None, seats: Seats | None = None
) -> None:
    connecting = psycopg.AsyncConnection.connect(as_owner(store_url))
    async with PostgresRecorder(store_url, bounds=bounds) as recorder, await connecting as lock:
        server = Server(servicer_of(recorder, meter or NoMeter(), seats or Seats()))
        port = await server.start("127.0.0.1", 0)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await play(recorder, lock, channel)
        finally:
            await server.stop(grace=1.0)


def servicer_of(recorder: PostgresRecorder, meter: Meter, seats: Seats) -> Servicer:
    made = house()
    service = DecisionService(
        releases=made.releases, recorder=recorder, answers=made.store, sources=live_sources(), meter=meter
    )
    return Servicer(service, made.door.register, KnownKeys(), seats=seats, meter=meter)


async def decide(channel: grpc.aio.Channel, key: str) -> Any:
    application = Struct()
    application.update(PLAIN)
    heads = (("authorization", "Bearer one"), ("idempotency-key", key))
    return await DecisionsStub(channel).Decide(  # type: ignore[no-untyped-call]  # as it is generated
        pb.DecideRequest(application=application), metadata=heads
    )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)

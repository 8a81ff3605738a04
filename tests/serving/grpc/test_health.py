"""Health is told to whoever watches it, and nobody who watches holds the service up."""

from __future__ import annotations

import asyncio
import struct
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.serving.grpc.test_listening import Nobody

from obligor.serving.grpc.health import MOST_WATCHING
from obligor.serving.grpc.server import MOST_REFLECTING, SERVICE, Server

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
HEADS = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/grpc.health.v1.Health/Watch"), (b":authority", b"x"),
    (b"content-type", b"application/grpc"), (b"te", b"trailers"),
)  # fmt: skip


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return struct.pack(">I", len(body))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + body


def _watching_and_taking_nothing() -> bytes:
    """Give the bytes of a client of HTTP/2 that watches health with a window of 0."""
    heads = b"".join(b"\0%c%b%c%b" % (len(name), name, len(value), value) for name, value in HEADS)
    no_window = struct.pack(">HI", 4, 0)
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, no_window) + _frame(4, 1, 0, b"")
    return hello + _frame(1, 4, 1, heads) + _frame(0, 1, 1, bytes(5))


def test_a_client_that_takes_no_answer_keeps_nobody_from_hearing_and_the_service_from_nothing() -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()))
        port = await server.start("127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(_watching_and_taking_nothing())
        await asyncio.sleep(0.3)
        async with asyncio.timeout(5), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            await server.tell(ready=False)
            check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[no-untyped-call]
            assert (await check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
            await server.stop(grace=0)
        writer.close()

    asyncio.run(main())


def test_who_watches_hears_of_every_turn_though_another_left() -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()))
        port = await server.start("127.0.0.1", 0)
        async with asyncio.timeout(5), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch  # type: ignore[no-untyped-call]
            one, other = (watch(health_pb2.HealthCheckRequest(service=SERVICE)) for _ in range(2))
            assert [(await it.read()).status for it in (one, other)] == [SERVING] * 2
            other.cancel()
            await asyncio.sleep(0.2)
            for ready, status in ((False, NOT_SERVING), (True, SERVING)):
                await server.tell(ready=ready)
                assert (await one.read()).status == status
            await server.drain()
            await server.tell(ready=True)
            assert (await one.read()).status == NOT_SERVING
            assert await one.read() is grpc.aio.EOF
        await server.stop(grace=0)

    asyncio.run(main())


def test_of_a_service_that_is_none_nothing_is_told() -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()))
        port = await server.start("127.0.0.1", 0)
        async with asyncio.timeout(5), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            asked = health_pb2.HealthCheckRequest(service="nobodys")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Check(asked)
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND
            assert (await stub.Watch(asked).read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        await server.stop(grace=0)

    asyncio.run(main())


@pytest.mark.parametrize(("call", "most"), [("Watch", MOST_WATCHING), ("ServerReflectionInfo", MOST_REFLECTING)])
def test_calls_that_last_as_long_as_a_client_likes_are_so_many_and_keep_no_thread(call: str, most: int) -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()))
        port = await server.start("127.0.0.1", 0)
        async with asyncio.timeout(30), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
            reflecting = channel.stream_stream("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")

            def ask() -> Any:
                return health.Watch(health_pb2.HealthCheckRequest()) if call == "Watch" else reflecting()

            asked = [ask() for _ in range(most + 3)]
            while sum(it.done() for it in asked) < 3:
                await asyncio.sleep(0.01)
            assert [await it.code() for it in asked if it.done()] == [grpc.StatusCode.RESOURCE_EXHAUSTED] * 3
            assert await asyncio.to_thread(lambda: "done") == "done"
            for it in asked:
                it.cancel()
            is_let_in = False
            while not is_let_in:
                again = ask()
                await asyncio.sleep(0.1)
                is_let_in = not again.done()
        await server.stop(grace=0)

    asyncio.run(main())

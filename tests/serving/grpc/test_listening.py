"""The gRPC door listens on every address of its host, as the REST door does."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.serving.http.test_listening import needs_ipv6

from obligor.serving.grpc.server import Server


class Nobody:
    """Answers no call of the service: health is the library's own."""

    def __getattr__(self, name: str) -> Any:
        return None


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("localhost", ["127.0.0.1"]),
        pytest.param("::1", ["[::1]"], marks=needs_ipv6),
        pytest.param("::", ["127.0.0.1", "[::1]"], marks=needs_ipv6),
    ],
)
def test_the_service_answers_at_every_address_of_its_host(host: str, asked: list[str]) -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()))
        port = await server.start(host, 0)
        try:
            for address in asked:
                async with grpc.aio.insecure_channel(f"{address}:{port}") as channel:
                    check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[no-untyped-call]
                    told = await check(health_pb2.HealthCheckRequest(), timeout=10)
                    assert told.status == health_pb2.HealthCheckResponse.SERVING
        finally:
            await server.stop(grace=0)

    asyncio.run(main())


def test_a_connection_that_says_nothing_is_closed() -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()), handshake_s=0.2)
        port = await server.start("127.0.0.1", 0)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(5):
                while await reader.read(1024):
                    pass
            writer.close()
        finally:
            await server.stop(grace=0)

    asyncio.run(main())


def test_beyond_so_many_connections_who_comes_is_turned_away_and_those_who_are_there_are_served() -> None:
    async def main() -> None:
        server = Server(cast("Any", Nobody()), connections=5)
        port = await server.start("127.0.0.1", 0)
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[no-untyped-call]
                await check(health_pb2.HealthCheckRequest(), timeout=10)
                opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(20)]
                read = [asyncio.create_task(reader.read()) for reader, _ in opened]
                async with asyncio.timeout(5):
                    while sum(it.done() for it in read) < 16:
                        await asyncio.sleep(0.01)
                await check(health_pb2.HealthCheckRequest(), timeout=10)
                assert sum(it.done() for it in read) == 16
                for _, writer in opened:
                    writer.close()
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:  # there is room again
                check = health_pb2_grpc.HealthStub(channel).Check  # type: ignore[no-untyped-call]
                await check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True)
        finally:
            await server.stop(grace=0)
            await asyncio.gather(*read, return_exceptions=True)

    asyncio.run(main())

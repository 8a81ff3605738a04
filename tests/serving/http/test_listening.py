"""The door listens on every address of its host, of IPv4 and of IPv6, on one port, or on none."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from typing import Any

import pytest
from tests.serving.http.serving import QUICK, run

from obligor.core.errors import UnavailableError
from obligor.serving.http import Seats, make_server
from obligor.serving.http.listening import listen

V4, V6 = (socket.AF_INET, ("127.0.0.1",)), (socket.AF_INET6, ("::1",))
AWAY = (socket.AF_INET, ("192.0.2.1",))
"""An address for documentation, which no machine has (RFC 5737)."""


def speaks_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not speaks_ipv6(), reason="this machine has no IPv6 loopback, ::1")


def named(*addresses: tuple[socket.AddressFamily, tuple[str]]) -> Any:
    """Resolve any name to some addresses."""

    def resolve(_host: str, port: int, **_: object) -> list[tuple[Any, ...]]:
        rest = {socket.AF_INET: (), socket.AF_INET6: (0, 0)}
        return [(family, socket.SOCK_STREAM, 6, "", (*at, port, *rest[family])) for family, at in addresses]

    return resolve


def places(*addresses: tuple[socket.AddressFamily, tuple[str]], port: int = 0) -> list[tuple[str, int]]:
    """Listen on a name that has some addresses, and tell where."""
    with ExitStack() as closing:
        found = [closing.enter_context(it) for it in listen("lender.example", port, resolve=named(*addresses))]
        return [it.getsockname()[:2] for it in found]


@needs_ipv6
def test_a_name_with_two_addresses_is_listened_to_on_both_by_one_port() -> None:
    (first, port), (second, same) = places(V4, V6, V4)
    assert (first, second) == ("127.0.0.1", "::1")
    assert port == same > 0


@needs_ipv6
def test_one_address_of_ipv6_leaves_those_of_ipv4_to_another_socket() -> None:
    with listen("::1", 0)[0] as six:
        assert six.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
        port = six.getsockname()[1]
        with listen("127.0.0.1", port)[0] as four:
            assert four.getsockname() == ("127.0.0.1", port)


@needs_ipv6
def test_all_addresses_of_both_versions_stand_side_by_side_where_a_name_has_them() -> None:
    found = places((socket.AF_INET, ("0.0.0.0",)), (socket.AF_INET6, ("::",)))  # noqa: S104  what is tested
    assert [it for it, _ in found] == ["0.0.0.0", "::"]  # noqa: S104


def test_an_address_of_another_machine_is_passed_over_and_alone_is_refused() -> None:
    assert [it for it, _ in places(AWAY, V4)] == ["127.0.0.1"]
    with pytest.raises(UnavailableError, match=r"lender\.example:0; wanted an address of this machine"):
        places(AWAY)


@needs_ipv6
def test_where_one_address_is_taken_nothing_is_listened_to() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError, match=rf"lender\.example:{port}; wanted a port that is free"):
            places(V4, V6, port=port)
        assert places(V4, port=port) == [("127.0.0.1", port)], "the first socket was closed again"


@pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 300, "a..b"])
def test_a_name_that_nobody_knows_is_told_as_such(host: str) -> None:
    with pytest.raises(UnavailableError, match="wanted an address, or a name that has one"):
        listen(host, 0)


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        pytest.param("::1", "::1", marks=needs_ipv6),
        pytest.param("::", "::1", marks=needs_ipv6),
        pytest.param("::", "127.0.0.1", marks=needs_ipv6),
    ],
)
def test_the_service_answers_where_its_host_is_looked_for(host: str, asked: str) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        server = make_server(app, seats=Seats(), host=host, port=0, limits=QUICK)
        running = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        for family, _, _, _, place in socket.getaddrinfo(asked, server.port, type=socket.SOCK_STREAM):
            if family == socket.AF_INET6 and not speaks_ipv6():
                continue
            reader, writer = await asyncio.open_connection(*place[:2])
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 204")
            writer.close()
        server.should_exit = True
        await running

    run(main())

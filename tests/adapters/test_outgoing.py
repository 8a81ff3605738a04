"""A request to an address that somebody named goes nowhere unforeseen."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import subprocess
import sys
import threading
from typing import Any

import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.adapters.outgoing import (
    AsyncGuardedBackend,
    GuardedBackend,
    Outgoing,
    addresses,
    check_address,
    inner_address,
    is_public,
    may_ask,
    may_reach,
)
from obligor.core.errors import InvalidInputError, UnavailableError

NOT_PUBLIC = [
    *("127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.3.4", "192.168.1.1", "100.64.0.1", "198.18.0.1", "192.0.2.1"),
    *("0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"),  # noqa: S104  not bound to
    *("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),  # metadata of clouds
    *("::1", "::", "fe80::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1", "100::1", "fec0::1"),
    *("::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0.0.0.0"),
    *("::10.0.0.1", "::127.0.0.1", "::8.8.8.8"),  # IPv4-compatible, which nobody routes
    *("64:ff9b::a00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "64:ff9b:1::808:808"),
    *("2002:7f00:1::", "2002:a00:1::", "2002:a9fe:a9fe::"),
]
PUBLIC = ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_inside_is_not_public_however_it_is_wrapped(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_the_internet_is_public_also_behind_a_translation(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_what_is_public_is_global_and_no_multicast(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if is_public(address):
        inner = inner_address(address)
        assert inner.is_global
        assert not inner.is_multicast
        assert not inner.is_private
        assert not inner.is_link_local


TEREDO = "2001:0:4136:e378:8000:63bf:5601:5601"  # which wraps 169.254.169.254


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "ff02::1", "0.0.0.0", "::ffff:169.254.169.254", "240.0.0.1", TEREDO],  # noqa: S104
)
def test_metadata_is_not_reached_in_development_either(address: str) -> None:
    assert not may_reach("https", production=False)(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["10.0.0.1", "fd00::1", "::ffff:192.168.1.1", "8.8.8.8"])
def test_a_system_of_the_lender_may_stand_on_a_private_network(address: str) -> None:
    assert may_ask("https", production=True)(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254"])
def test_a_system_of_the_lender_is_in_production_neither_this_machine_nor_metadata(address: str) -> None:
    assert not may_ask("https", production=True)(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("scheme", "production", "address", "asked"),
    [
        ("http", True, "10.0.0.1", False),
        ("http", True, "8.8.8.8", True),
        ("https", False, "127.0.0.1", True),
        ("http", False, "127.0.0.1", True),
        ("http", False, "10.0.0.1", False),
    ],
)
def test_elsewhere_a_system_of_the_lender_is_as_any_other(
    scheme: str,
    production: bool,  # noqa: FBT001
    address: str,
    asked: bool,  # noqa: FBT001
) -> None:
    assert may_ask(scheme, production=production)(ipaddress.ip_address(address)) is asked


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "0177.0.0.1", "0x7f.1", "127.1", "127.0.1", "017700000001"],
)
def test_this_machine_in_disguise_is_looked_up_and_refused(host: str) -> None:
    """Numbers that a resolver reads as 127.0.0.1: what they stand for is looked at, and not how they are written."""
    parts = check_address(f"https://{host}/hook", what="an address", production=True)
    assert parts.hostname is not None
    found = [ipaddress.ip_address(each) for each in addresses(parts.hostname, 443)]
    assert found
    assert not any(map(may_reach("https", production=True), found))


@pytest.mark.parametrize(
    "url",
    [
        "http://los.example/hush",
        "http://127.0.0.1/hush",
        "http://[::ffff:10.0.0.1]/hush",
        "http://169.254.169.254/hush",
        "https://10.0.0.1/hush",
        "https://[::1]/hush",
        "https://[::ffff:127.0.0.1]/hush",
        "https://[::ffff:169.254.169.254]/hush",
        "https://user:hush@los.example/",
        "https://los.example@10.0.0.1/hush",
        "https://los.example\\@10.0.0.1/hush",
        "https://10.0.0.1%23.los.example/hush",
        "https://10.0.0.1\\.los.example/hush",
        "https://los.example/#hush",
        "https://los.example:22/hush",
        "https://los.example:6379/hush",
        "https://los.example:0/hush",
        "https://los.example:99999/hush",
        "https://los.example:x/hush",
        "https:///hush",
        "https:los.example/hush",
        "//los.example/hush",
        "file:///etc/hush",
        "gopher://los.example/hush",
        "https://los.example/hush\r\nHost: other",
        "https://los.example/\x00hush",
        "https://l\u043es.example/hush",  # a letter that looks like another
        "https://[::1/hush",
    ],
)
def test_in_production_a_webhook_goes_by_https_to_a_plain_host_and_port_and_the_rest_is_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInputError, match="wanted") as refused:
        check_address(url, what="a webhook's address", production=True, ports={443, 8443})
    assert "hush" not in str(refused.value)
    assert "this machine" not in str(refused.value)


def test_a_port_that_is_refused_is_told_with_those_that_are_not() -> None:
    with pytest.raises(InvalidInputError, match=r"https://los.example: got port 22; wanted 443 or 8443$"):
        check_address("https://los.example:22/", what="an address", production=True, ports={8443, 443})
    assert check_address("https://los.example:22/", what="an address", production=False, ports={443}).port == 22
    assert check_address("https://los.example:22/", what="an address", production=True).port == 22


def test_an_address_of_the_lenders_own_may_be_private_where_it_is_asked_for() -> None:
    assert check_address("https://10.0.0.1/", what="an address", production=True, reach=may_ask).hostname == "10.0.0.1"
    with pytest.raises(InvalidInputError, match="an address that is refused here"):
        check_address("https://127.0.0.1/", what="an address", production=True, reach=may_ask)


@pytest.mark.parametrize("url", ["https://los.example/h", "https://los.example:8443/h?a=b", "https://[2606:4700::1]/"])
def test_in_production_an_address_by_https_is_taken(url: str) -> None:
    assert check_address(url, what="a webhook's address", production=True, ports={443, 8443}).hostname


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://los.example/", "ftp://localhost/", "gopher://127.0.0.1/"],
)
def test_in_development_plain_http_goes_to_this_machine_alone(url: str) -> None:
    with pytest.raises(InvalidInputError, match="http:// to this machine"):
        check_address(url, what="a webhook's address", production=False)
    assert check_address("http://localhost:9/", what="a webhook's address", production=False).port == 9


class Hanging:
    """A resolver that hangs for one host, and knows all others."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = threading.Event()

    def resolve(self, host: str, _port: int) -> list[str]:
        self.asked.append(host)
        if host == "hangs.example":
            self.let_go.wait()
        return ["127.0.0.1"]


def test_a_host_whose_look_up_hangs_keeps_nobody_who_asks_for_another() -> None:
    async def main() -> None:
        resolver = Hanging()
        backend = AsyncGuardedBackend(wanted=lambda _: True, resolve=resolver.resolve, what="the receiver")
        server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        waiting = [asyncio.create_task(backend.connect_tcp("hangs.example", port)) for _ in range(100)]
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(5):
                await (await backend.connect_tcp("answers.example", port)).aclose()
            assert resolver.asked.count("hangs.example") == 1
            for it in waiting[1:]:
                it.cancel()
        finally:
            resolver.let_go.set()
        await (await waiting[0]).aclose()  # whoever left took the answer from nobody
        await (await backend.connect_tcp("hangs.example", port)).aclose()
        assert resolver.asked.count("hangs.example") == 2  # what was found is not kept
        server.close()

    asyncio.run(main())


def test_who_waits_in_a_thread_waits_for_a_look_up_no_longer_than_for_a_connection() -> None:
    resolver = Hanging()
    backend = GuardedBackend(wanted=lambda _: True, resolve=resolver.resolve, what="an anchor")
    try:
        with pytest.raises(httpcore.ConnectTimeout):
            backend.connect_tcp("hangs.example", 443, timeout=0.1)
    finally:
        resolver.let_go.set()


HERE, CLOSED = "127.0.0.1", "127.0.0.2"  # both this machine; nothing listens at the second


@pytest.mark.parametrize(
    ("told", "reached"),
    [([HERE], HERE), ([CLOSED, HERE], HERE), ([HERE, CLOSED], HERE), ([CLOSED, HERE, CLOSED], HERE), ([CLOSED], None)],
)
def test_of_several_addresses_the_first_that_answers_is_connected_to(told: list[str], reached: str | None) -> None:
    named: dict[str, Any] = {"wanted": lambda _: True, "resolve": lambda *_: told, "what": "the receiver"}

    async def main(port: int) -> list[str | None]:
        found: list[str | None] = []
        try:
            stream = await AsyncGuardedBackend(**named).connect_tcp("several.example", port, timeout=5)
            found.append(stream.get_extra_info("server_addr")[0])
            await stream.aclose()
        except httpcore.ConnectError:
            found.append(None)
        try:
            waited = await asyncio.to_thread(GuardedBackend(**named).connect_tcp, "several.example", port, 5.0)
            found.append(waited.get_extra_info("server_addr")[0])
            waited.close()
        except httpcore.ConnectError:
            found.append(None)
        return found

    with socket.create_server((HERE, 0)) as listening:
        assert asyncio.run(main(listening.getsockname()[1])) == [reached] * 2


@pytest.mark.parametrize("told", [[], ["10.0.0.1"], [HERE, "10.0.0.1"], ["10.0.0.1", HERE]])
def test_where_one_of_several_addresses_is_refused_none_is_connected_to(told: list[str]) -> None:
    named: dict[str, Any] = {
        "wanted": may_reach("http", production=False), "resolve": lambda *_: told, "what": "an anchor",
    }  # fmt: skip
    with pytest.raises(UnavailableError, match="an anchor: its name stands for an address that is refused"):
        GuardedBackend(**named).connect_tcp("several.example", 9)
    with pytest.raises(UnavailableError, match="an anchor: its name stands for an address that is refused"):
        asyncio.run(AsyncGuardedBackend(**named).connect_tcp("several.example", 9))


ENDING = """
import asyncio, sys, threading
from obligor.adapters.outgoing import AsyncGuardedBackend

def hangs(host, port):
    threading.Event().wait()

async def main():
    backend = AsyncGuardedBackend(wanted=lambda _: True, resolve=hangs, what="the receiver")
    try:
        async with asyncio.timeout(0.1):
            await backend.connect_tcp("hangs.example", 443)
    except TimeoutError:
        print("left")

asyncio.run(main())
"""


def test_a_process_ends_though_a_look_up_hangs() -> None:
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_a_host_of_a_name_that_none_can_have_does_not_answer(host: str) -> None:
    async def main() -> None:
        outgoing = Outgoing(what="the receiver", wanted={"https": is_public}, patience_s=5.0, most_bytes=100)
        with pytest.raises(UnavailableError, match="the receiver did not answer"):
            await outgoing.ask("POST", f"https://{host}/", headers={})
        await outgoing.close()

    asyncio.run(main())

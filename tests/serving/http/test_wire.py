"""Connections that send slowly, without end, or nothing at all, cost nobody else the service."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from contextlib import ExitStack, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tests.serving.http.fakes import BODY, house, posting
from tests.serving.http.serving import QUICK, run, say, served

from obligor.core.errors import UnavailableError
from obligor.security.networks import Networks, read_networks
from obligor.serving.http import RunLimits, Seats, make_server
from obligor.serving.http.bodies import read_body
from obligor.serving.http.door import CALLER
from obligor.serving.http.guard import Guard, Outgoing
from obligor.serving.http.problems import Answer
from obligor.serving.http.wire import PACE, WireLimits, WireProtocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.types import Message, Receive, Scope, Send

ASK = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    body = await read_body(receive, most=100)
    said = b" ".join(value for name, value in scope["headers"] if name == b"authorization")
    out = Outgoing(closing=False)
    out.answer(Answer(200, body + said))
    for message in out.messages:
        await send(message)


APP = Guard(echo, house().door)


def quick(**limits: float) -> RunLimits:
    return RunLimits(notice_seconds=0.0, drain_seconds=5, wire=WireLimits(**limits))  # type: ignore[arg-type]


def test_a_head_that_comes_too_slowly_is_given_up() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(head_seconds=0.3)) as server:
            found = await say(server.port, b"GET / HTTP/1.1\r\n", *(b"a: b\r\n",) * 20, pause=0.05)
            assert found.startswith(b"HTTP/1.1 408 ")
            assert json.loads(found.partition(b"\r\n\r\n")[2])["type"] == "urn:obligor:problem:too-slow"

    run(main())


def test_a_socket_that_asks_nothing_is_closed() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(head_seconds=0.2)) as server:
            assert await say(server.port, wait=3.0) == b""

    run(main())


def test_headers_without_end_are_cut_off_while_they_come() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(head_bytes=4096)) as server:
            found = await say(server.port, b"GET / HTTP/1.1\r\n", *(b"a: " + b"b" * 1000 + b"\r\n",) * 9)
            assert found.startswith(b"HTTP/1.1 431 ")

    run(main())


def test_a_body_that_comes_too_slowly_is_given_up() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(head_seconds=0.2, request_seconds=0.4)) as server:
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n"
            found = await say(server.port, head, *(b"x",) * 40, pause=0.05)
            assert found.startswith(b"HTTP/1.1 408 ")
            assert found.count(b"HTTP/1.1") == 1

    run(main())


def test_what_is_not_http_is_told_as_a_problem() -> None:
    async def main() -> None:
        async with served(APP) as server:
            for said in (b"\x16\x03\x01\x02\x00", b"GET  HTTP/9.9\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"):
                found = await say(server.port, said)
                assert found.startswith(b"HTTP/1.1 400 "), said
                assert b"application/problem+json" in found

    run(main())


def test_two_lengths_or_a_length_beside_chunks_are_refused() -> None:
    """Whoever stands in between may take the other of the two: one request would hide in another."""

    async def main() -> None:
        async with served(APP) as server:
            for headers in (
                b"content-length: 3\r\ncontent-length: 4\r\n",
                b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
                b"transfer-encoding: chunked, identity\r\n",
                b"transfer-encoding: gzip, chunked\r\n",
                b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            ):
                found = await say(server.port, b"POST / HTTP/1.1\r\nhost: x\r\n" + headers + b"\r\nabc", wait=1.0)
                assert found.startswith(b"HTTP/1.1 400 "), headers

    run(main())


def test_a_request_names_one_host() -> None:
    async def main() -> None:
        async with served(APP) as server:
            for said, wanted in (
                (b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n", b"400"),
                (b"GET / HTTP/1.1\r\nhost: x\r\nHost: x\r\nconnection: close\r\n\r\n", b"400"),
                (b"GET / HTTP/1.0\r\n\r\n", b"200"),
                (b"POST /v1/decisions HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}", b"400"),
            ):
                found = await say(server.port, said, wait=1.0)
                assert found.startswith(b"HTTP/1.1 " + wanted), said
                assert found.count(b"\r\n\r\n") == 1

    run(main())


def test_trailers_are_not_kept() -> None:
    async def main() -> None:
        async with served(APP) as server:
            head = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
            found = await say(server.port, head + b"2\r\nhi\r\n0\r\nauthorization: stolen\r\n\r\n")
            assert found.startswith(b"HTTP/1.1 200 ")
            assert found.endswith(b"\r\n\r\nhi")

    run(main())


def test_a_client_that_asks_first_is_refused_before_it_sends_its_body() -> None:
    async def main() -> None:
        of = house()
        async with served(of.app, seats=of.door.seats) as server:
            head = "".join(f"{name}: {value}\r\n" for name, value in posting(expect="100-continue").items())
            asking = f"POST /v1/decisions HTTP/1.1\r\nhost: x\r\n{head}content-length: "
            for length, key, wanted in ((9, "nobody", b"401"), (2 << 20, "one", b"413"), (9, "one", b"100")):
                whole = f"{asking}{length}\r\nauthorization: Bearer {key}\r\n\r\n"
                found = await say(server.port, whole.encode(), wait=0.5)
                assert found.startswith(b"HTTP/1.1 " + wanted)
                assert (b"100 Continue" in found) == (wanted == b"100")

    run(main())


def test_a_request_that_was_sent_ahead_gets_no_answer_of_another() -> None:
    """What is wrong with the second is not told in place of the first, which may be recorded."""

    async def main() -> None:
        of = house()
        of.store.hold = asyncio.Event()
        async with served(of.app, seats=of.door.seats, limits=quick(head_seconds=0.2, request_seconds=0.3)) as server:

            def asking(key: str) -> bytes:
                lines = (posting(key, authorization="Bearer one") | {"content-length": str(len(BODY))}).items()
                head = "".join(f"{name}: {value}\r\n" for name, value in lines)
                return f"POST /v1/decisions HTTP/1.1\r\nhost: x\r\n{head}\r\n".encode()

            for key, ahead in enumerate((b"\x16\x03 nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nx: ", asking("b") + b"{")):
                assert await say(server.port, asking(f"a{key}") + BODY, ahead, wait=1.0) == b""
            of.store.hold.set()

    run(main())


def test_beyond_the_most_connections_the_longest_idle_gives_way_and_those_who_ask_are_served() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(connections=20)) as server:
            idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
            await asyncio.sleep(0.1)
            assert len(server.server_state.connections) <= 20
            for _ in range(5):
                assert (await say(server.port, ASK)).startswith(b"HTTP/1.1 200 ")
            assert idle[0][0].at_eof() or await gone(idle[0][0])
            for _, writer in idle:
                writer.close()

    run(main())


def test_an_answer_that_comes_before_the_body_leaves_no_connection_behind() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(head_seconds=0.2, request_seconds=0.2)) as server:
            head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n\r\n" + b"x" * 101
            found = await say(server.port, head, *(b"x",) * 20, pause=0.05)
            assert found.startswith(b"HTTP/1.1 413 ")
            await asyncio.sleep(0.5)
            assert not server.server_state.connections

    run(main())


def test_the_answer_names_no_server_and_may_not_be_kept_or_guessed() -> None:
    async def main() -> None:
        async with served(APP, limits=QUICK) as server:
            head = (await say(server.port, ASK)).partition(b"\r\n\r\n")[0].lower()
            assert b"server:" not in head
            for wanted in (b"cache-control: no-store", b"x-content-type-options: nosniff", b"default-src 'none'"):
                assert wanted in head

    run(main())


async def gone(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 3.0) == b""
    except ConnectionError:
        return True


def telling(told: list[int]) -> Callable[[int], Awaitable[None]]:
    async def listening(port: int) -> None:
        told.append(port)

    return listening


def test_a_port_that_is_taken_is_told_by_its_number() -> None:
    async def main() -> None:
        async with served(APP) as server:
            told: list[int] = []
            other = make_server(APP, seats=Seats(), host="127.0.0.1", port=server.port, listening=telling(told))
            with pytest.raises(UnavailableError, match=f"127.0.0.1:{server.port}"):
                await other.serve()
            assert told == [], "nobody is told of a door that never opened"

    run(main())


def test_whoever_waits_for_the_door_is_told_once_it_is_open() -> None:
    async def main() -> None:
        told: list[int] = []
        server = make_server(
            APP, seats=Seats(), host="127.0.0.1", port=0, listening=telling(told),
            limits=RunLimits(notice_seconds=0.0),
        )  # fmt: skip
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        assert told == [server.port]
        server.should_exit = True
        await task

    run(main())


def test_nobody_is_answered_before_whoever_waits_for_the_door_has_been_told() -> None:
    async def main() -> None:
        asked: asyncio.Queue[int] = asyncio.Queue()
        let = asyncio.Event()

        async def listening(port: int) -> None:
            asked.put_nowait(port)
            await let.wait()

        server = make_server(
            APP, seats=Seats(), host="127.0.0.1", port=0, listening=listening, limits=RunLimits(notice_seconds=0.0)
        )
        task = asyncio.create_task(server.serve())
        reader, writer = await asyncio.open_connection("127.0.0.1", await asked.get())
        writer.write(ASK)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.2)
        let.set()
        assert await asyncio.wait_for(reader.read(4), 5.0) == b"HTTP"
        writer.close()
        server.should_exit = True
        await task

    run(main())


def test_a_connection_of_a_proxy_rests_for_longer_than_others() -> None:
    async def rested(port: int, address: str) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        began = asyncio.get_running_loop().time()
        await asyncio.wait_for(reader.read(), 30)
        writer.close()
        return asyncio.get_running_loop().time() - began

    async def main() -> None:
        wire = WireLimits(head_seconds=1.0, proxy_rest_seconds=4)
        limits = RunLimits(notice_seconds=0.0, drain_seconds=5, keep_alive_seconds=1, wire=wire)
        async with served(APP, limits=limits, proxies=Networks(read_networks(["127.0.0.2"]))) as server:
            of_proxy, other = await asyncio.gather(rested(server.port, "127.0.0.2"), rested(server.port, "127.0.0.3"))
            assert 0.99 <= other < of_proxy
            assert of_proxy >= 3.99

    run(main())


def test_a_connection_that_rests_too_long_is_closed_and_one_that_asks_again_in_time_is_not() -> None:
    async def main() -> None:
        limits = RunLimits(notice_seconds=0.0, drain_seconds=5, keep_alive_seconds=1, wire=WireLimits(head_seconds=1.0))
        async with served(APP, limits=limits) as server:
            again = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
            began = asyncio.get_running_loop().time()
            found = await say(server.port, again, again, again, pause=0.6, wait=8.0)
            rested = asyncio.get_running_loop().time() - began - 2 * 0.6
            assert found.count(b"HTTP/1.1 200 ") == 3
            assert 0.99 <= rested < 6.0  # the pauses of the client are no exact ones

    run(main())


ASKS = b"upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\nconnection: upgrade, http2-settings\r\n"


@pytest.mark.parametrize("pause", [0.0, 0.2])
@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_request_that_asks_for_another_protocol_is_answered_by_this_one(version: bytes, pause: float) -> None:
    async def main() -> None:
        async with served(APP) as server:
            head = b"POST / HTTP/%b\r\nhost: x\r\n%bcontent-length: 5\r\n\r\n" % (version, ASKS)
            found = await say(server.port, head, b"hello", *(() if version == b"1.0" else (ASK,)), pause=pause)
            assert found.startswith(b"HTTP/1.1 200 ")
            assert b"\r\n\r\nhello" in found

    run(main())


def test_the_body_of_a_request_that_asks_for_another_protocol_is_no_request() -> None:
    async def main() -> None:
        async with served(APP) as server:
            hidden = b"GET /hidden HTTP/1.1\r\nhost: x\r\n\r\n"
            head = b"POST / HTTP/1.1\r\nhost: x\r\n%bcontent-length: %d\r\n\r\n" % (ASKS, len(hidden))
            found = await say(server.port, head, hidden, ASK, pause=0.2)
            assert found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 ") == 2
            assert hidden in found  # as the body that it is

    run(main())


def test_nobody_is_let_through_a_tunnel() -> None:
    async def main() -> None:
        async with served(APP) as server:
            assert (await say(server.port, b"CONNECT / HTTP/1.1\r\nhost: x:1\r\n\r\n", ASK)).startswith(
                b"HTTP/1.1 400 "
            )

    run(main())


def test_many_requests_that_ask_for_another_protocol_at_once_are_answered_one_by_one() -> None:
    async def main() -> None:
        async with served(APP, limits=quick(open_seconds=0.0)) as server:
            asking = b"GET / HTTP/1.1\r\nhost: x\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n" * 800
            found = await say(server.port, asking + ASK, wait=20.0)
            assert found.count(b"HTTP/1.1 200 ") == found.count(b"HTTP/1.1 ") == 801

    run(main())


def test_requests_that_are_sent_ahead_are_read_a_few_at_a_time() -> None:
    """Each that is read takes a thousand times its bytes: one connection took a gigabyte in ten seconds."""
    may_answer = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await may_answer.wait()
        await echo(scope, receive, send)

    async def main() -> None:
        async with served(waits) as server:
            many = [b"POST / HTTP/1.1\r\nhost:\r\ncontent-length: 4\r\n\r\n%04d" % at for at in range(5000)]
            asked = asyncio.create_task(say(server.port, b"".join(many) + ASK, wait=60.0))
            await asyncio.sleep(0.5)
            (connection,) = server.server_state.connections
            assert 0 < len(connection.pipeline) < 200
            may_answer.set()
            while not asked.done():
                assert len(connection.pipeline) < 200
                await asyncio.sleep(0.001)
            found = await asked
        assert [int(it) for it in re.findall(rb"\r\n\r\n(\d{4})", found)] == list(range(5000))
        assert found.count(b"HTTP/1.1 200 ") == 5001

    run(main())


def test_the_time_of_a_request_stands_still_while_it_is_not_read() -> None:
    async def slowly(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.05)
        await echo(scope, receive, send)

    async def main() -> None:
        async with served(slowly, limits=quick(head_seconds=0.5, request_seconds=0.5)) as server:
            many = b"POST / HTTP/1.1\r\nhost:\r\ncontent-length: 96\r\n\r\n" + b"x" * 96
            found = await say(server.port, many * 60 + ASK, wait=60.0)
        assert found.count(b"HTTP/1.1 200 ") == 61

    run(main())


def test_the_time_of_a_body_stands_still_while_the_answer_before_it_is_waited_for() -> None:
    """The service reads so much of it and no more: its client cannot send the rest."""
    may_answer, body = asyncio.Event(), b"x" * (1 << 20)

    async def waits(_: Scope, receive: Receive, send: Send) -> None:
        await may_answer.wait()
        out = Outgoing(closing=False)
        out.answer(Answer(200, b"%d;" % len(await read_body(receive, most=len(body)))))
        for message in out.messages:
            await send(message)

    async def main() -> None:
        async with served(waits, limits=quick(head_seconds=0.2, request_seconds=0.2)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            first = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
            writer.write(
                first + b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body[: 1 << 19]
            )
            await asyncio.sleep(0.8)
            may_answer.set()
            writer.write(body[1 << 19 :] + ASK)
            found = await asyncio.wait_for(reader.read(), 20)
            writer.close()
        assert re.findall(rb"(\d+);", found) == [b"0", b"%d" % len(body), b"0"]

    run(main())


def test_of_answers_without_a_key_a_connection_gets_four_at_once_and_then_four_a_second() -> None:
    now = 100.0
    connection: Any = SimpleNamespace(
        loop=SimpleNamespace(time=lambda: now), limits=WireLimits(open_at_once=4, open_seconds=0.25), _paced_to=0.0
    )
    assert [WireProtocol.pace(connection) for _ in range(6)] == [0.0, 0.0, 0.0, 0.0, 0.25, 0.5]
    now += 0.5 + 0.25
    assert WireProtocol.pace(connection) == 0.0  # whoever asks no oftener never waits
    now += 3600
    assert [WireProtocol.pace(connection) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, 0.25]


def test_strangers_of_one_address_are_answered_one_in_a_turn_and_those_of_others_beside_them() -> None:
    turn, paced, answered = 0, 0, list[tuple[str, int]]()

    def pace() -> float:
        nonlocal paced
        paced += 1
        return 0.0

    async def lets_in(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["headers"]:
            scope[CALLER] = "one"
        await echo(scope, receive, send)

    async def ask(app: Guard, peer: str, key: str = "") -> None:
        async def nothing() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.append((peer, turn))

        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        path = "/v1/card" if key else "/health/live"
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
                 "headers": headers, "client": (peer, 0), "scheme": "http", "server": ("x", 80), "root_path": "",
                 "http_version": "1.1", PACE: pace}  # fmt: skip
        await app(scope, nothing, told)

    async def main() -> None:
        nonlocal turn
        app = Guard(lets_in, house().door)
        asked = [asyncio.ensure_future(ask(app, "192.0.2.1")) for _ in range(20)]
        asked += [asyncio.ensure_future(ask(app, peer, "one")) for peer in ("192.0.2.2", "192.0.2.2")]
        asked += [asyncio.ensure_future(ask(app, peer)) for peer in ("192.0.2.3", "192.0.2.4")]
        while not all(it.done() for it in asked):
            turn += 1
            await asyncio.sleep(0)

    run(main())
    turns = {peer: [at for its, at in answered if its == peer] for peer, _ in answered}
    assert len(set(turns["192.0.2.1"])) == 20
    assert paced == 22
    assert max(turns["192.0.2.3"] + turns["192.0.2.4"]) < sorted(turns["192.0.2.1"])[5]
    assert max(turns["192.0.2.2"]) < sorted(turns["192.0.2.1"])[10]


def test_a_client_that_takes_no_answer_is_given_up_and_one_that_takes_them_slowly_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        limits = RunLimits(notice_seconds=0.0, drain_seconds=5, keep_alive_seconds=1, wire=WireLimits(head_seconds=1.0))
        async with served(big, limits=limits) as server:
            with socket.socket() as stuck, socket.socket() as slow:
                stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                for it in (stuck, slow):
                    it.connect(("127.0.0.1", server.port))
                    it.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 20)
                    it.setblocking(False)
                slow_one = slow.getsockname()
                async with asyncio.timeout(20):
                    while len(server.server_state.connections) != 1:
                        with suppress(BlockingIOError):
                            assert slow.recv(1 << 18)
                        await asyncio.sleep(0.1)
                (left,) = server.server_state.connections
                assert left.transport.get_extra_info("peername") == slow_one
        assert not caplog.records

    run(main())


def test_beyond_the_most_connections_one_that_takes_no_answer_gives_way() -> None:
    async def main() -> None:
        async with served(big, limits=quick(connections=3)) as server:
            with ExitStack() as stuck:
                for _ in range(3):
                    it = stuck.enter_context(socket.socket())
                    it.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    it.connect(("127.0.0.1", server.port))
                    it.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 20)
                while (
                    not len(server.server_state.connections)
                    == 3
                    == len(next(iter(server.server_state.connections)).stuck)
                ):
                    await asyncio.sleep(0.01)
                assert (await say(server.port, ASK)).startswith(b"HTTP/1.1 200 ")

    run(main())


async def big(_scope: Scope, _receive: Receive, send: Send) -> None:
    body = bytes(1 << 20)
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})

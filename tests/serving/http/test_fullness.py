"""A service that is full says so at once and stays truthful; one that stops loses nothing (GOVERNANCE F6, F7)."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from tests.serving.http.fakes import BODY, House, house, posting
from tests.serving.http.serving import ask, run, say, served

from obligor.core.errors import LimitedError
from obligor.serving.http import Hot, RunLimits, Seats
from obligor.serving.http.run import ACCEPTED_AT_ONCE
from obligor.serving.http.wire import WireLimits
from obligor.serving.telemetry.meter import NoMeter

ROOT = Path(__file__).resolve().parents[3]


async def flood(of: House, *, of_each: int, clients: tuple[str, ...]) -> Counter[int]:
    """Send many requests at a time while the store holds; give how they were answered once it lets go."""
    of.store.hold = asyncio.Event()

    async def one(by: str, at: int) -> int:
        async with of.client(by) as client:
            return (await client.post("/v1/decisions", content=BODY, headers=posting(f"k-{at}"))).status_code

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(one(by, at)) for by in clients for at in range(of_each)]
        while len(of.store.in_flight) + sum(it.done() for it in asked) < len(asked):
            await asyncio.sleep(0.01)
        async with of.client("scraper") as client:
            live, ready = await client.get("/health/live"), await client.get("/health/ready")
            assert (live.status_code, ready.status_code) == (200, 200)
        of.store.hold.set()
    return Counter(it.result() for it in asked)


def test_ten_times_the_load_is_shed_with_when_to_come_again_and_every_decision_was_answered() -> None:
    async def main() -> None:
        of = house(most_open=8)
        statuses = await flood(of, of_each=40, clients=("one", "all"))
        assert statuses[201] == len(of.store.kept) > 0
        assert set(statuses) <= {201, 429, 503}
        assert statuses[429] + statuses[503] >= 80 - 2 * 8
        assert of.door.seats.open == 0
        async with of.client() as client:
            assert (await client.post("/v1/decisions", content=BODY, headers=posting("later"))).status_code == 201

    run(main())


def test_one_client_takes_at_most_half_of_all_seats() -> None:
    async def main() -> None:
        of = house(most_open=8)
        statuses = await flood(of, of_each=8, clients=("one",))
        assert statuses == {201: 4, 429: 4}

    run(main())


def test_a_full_service_refuses_what_is_asked_next_with_a_problem() -> None:
    async def main() -> None:
        of = house(most_open=1)
        of.door.seats.open = 1
        async with of.client() as client:
            answer = await client.get("/v1/card")
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:obligor:problem:unavailable")
            assert int(answer.headers["retry-after"]) > 0

    run(main())


def test_who_takes_no_answer_holds_no_seat() -> None:
    async def main() -> None:
        of = house(most_open=2)
        async with served(of.app, seats=of.door.seats) as server:
            with ExitStack() as open_ones:
                for _ in range(2):
                    idle = open_ones.enter_context(socket.socket())
                    idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    idle.connect(("127.0.0.1", server.port))
                    idle.sendall(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n" * 60)
                connections = server.server_state.connections
                async with asyncio.timeout(20):
                    while len(connections) < 2 or not all(it.flow.write_paused for it in connections):
                        await asyncio.sleep(0.01)
                await asyncio.sleep(0.2)
                assert (await ask(server.port, HEADS))[0] == 200

    run(main())


def test_strangers_who_are_slow_to_say_who_they_are_hold_half_of_the_seats_at_most() -> None:
    async def main() -> None:
        of = house(most_open=4, sign_in=object())
        asking = b"POST /v1/tokens HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n"
        async with served(of.app, seats=of.door.seats) as server, asyncio.timeout(20):
            slow = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(4)]
            for _, writer in slow:
                writer.write(asking)
            answers = [asyncio.create_task(heard(reader)) for reader, _ in slow]
            while sum(it.done() for it in answers) < 2:
                await asyncio.sleep(0.01)
            assert {it.result() for it in answers if it.done()} == {429}
            assert of.door.seats.open == 2
            assert (await ask(server.port, HEADS))[0] == 200
            for (_, writer), it in zip(slow, answers, strict=True):
                it.cancel()
                writer.close()

    run(main())


def test_a_request_whose_client_left_before_it_was_whole_is_no_failure_of_the_service() -> None:
    async def main() -> None:
        meter = Counts()
        of = house(meter=meter)
        async with served(of.app, seats=of.door.seats) as server:
            await say(server.port, POST[:-5], wait=0.1)
            while not meter.answered:
                await asyncio.sleep(0.01)
        assert meter.answered == [("POST /v1/decisions", 408)]

    run(main())


class Counts(NoMeter):
    def __init__(self) -> None:
        self.answered: list[tuple[str, int]] = []

    def left(self, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.answered.append((route, status))


HEADS = b"GET /v1/card HTTP/1.1\r\nauthorization: Bearer one\r\nconnection: close\r\n"
GET = b"GET /v1/card HTTP/1.1\r\nhost: x\r\nauthorization: Bearer one\r\n\r\n"


HEAD = "".join(f"{name}: {value}\r\n" for name, value in posting(authorization="Bearer one").items())
POST = f"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODY)}\r\n{HEAD}\r\n".encode() + BODY


async def heard(reader: asyncio.StreamReader, *, wait: float = 10.0) -> int:
    """Give the status of the next answer."""
    async with asyncio.timeout(wait):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
    return int(head[9:12])


@pytest.mark.parametrize("is_full", [True, False], ids=["no room at all", "no room for this client"])
@pytest.mark.parametrize("asking", [GET, POST], ids=["by the framework", "where it arrives"])
def test_who_comes_again_too_early_is_refused_only_later_and_takes_nobodys_time(asking: bytes, is_full: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        of = house(most_open=2)
        limits, seats = RunLimits(notice_seconds=0.0, wire=WireLimits(shed_seconds=1800.0)), of.door.seats
        async with served(of.app, seats=seats, limits=limits, hot=Hot(of.door)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            if is_full:
                seats.open = 2
            else:
                seats.take("lender-one")
            writer.write(asking)
            assert await heard(reader) == (503 if is_full else 429)  # whoever was not told to wait hears at once
            writer.write(asking)
            with pytest.raises(TimeoutError):
                await heard(reader, wait=0.2)
            if is_full:
                seats.open = 0
            else:
                assert seats.open == 0  # who is kept waiting has no seat
                seats.give_back("lender-one")
            assert (
                await ask(server.port, b"GET /v1/card HTTP/1.1\r\nauthorization: Bearer one\r\nconnection: close\r\n")
            )[0] == 200
            writer.transport.abort()

    run(main())


@pytest.mark.parametrize("asking", [GET, POST], ids=["by the framework", "where it arrives"])
def test_a_request_that_finds_room_does_not_wait_for_one_before_it_on_its_connection(asking: bytes) -> None:
    async def main() -> None:
        of = house(most_open=2)
        limits, seats = RunLimits(notice_seconds=0.0, wire=WireLimits(shed_seconds=1800.0)), of.door.seats
        async with served(of.app, seats=seats, limits=limits, hot=Hot(of.door)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            seats.open = 2
            writer.write(asking)
            assert await heard(reader) == 503
            seats.open = 0
            writer.write(asking)
            assert await heard(reader) in {200, 201}
            writer.close()

    run(main())


def test_who_waited_in_vain_is_told_so_after_a_while() -> None:
    async def main() -> None:
        of = house(most_open=2)
        limits = RunLimits(notice_seconds=0.0, wire=WireLimits(shed_seconds=0.01))
        async with served(of.app, seats=of.door.seats, limits=limits, hot=Hot(of.door)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            of.door.seats.open = 2
            for asking in (GET, POST, GET, POST):
                writer.write(asking)
                assert await heard(reader) == 503
            of.door.seats.open = 0
            writer.close()

    run(main())


def test_the_port_is_free_again_once_the_service_ended_however_often_it_listened() -> None:
    async def main() -> None:
        of = house()
        async with served(of.app, seats=of.door.seats) as server:
            port = server.port
            assert len(server.servers) == ACCEPTED_AT_ONCE
            live = b"GET /health/live HTTP/1.1\r\nconnection: close\r\n"
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(ask(port, live)) for _ in range(4 * ACCEPTED_AT_ONCE)]
            assert {it.result()[0] for it in asked} == {200}
        assert (await ask(port, live))[0] == 0
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind(("127.0.0.1", port))

    run(main())


def test_a_seat_is_given_back_however_a_request_ends() -> None:
    async def main() -> None:
        of = house()
        async with of.client() as client:
            for body, headers in ((b"{", posting()), (BODY, {}), (BODY, posting() | {"content-type": "text/csv"})):
                await client.post("/v1/decisions", content=body, headers=headers)
            await client.get("/v1/decisions?limit=0")
        limits = RunLimits(notice_seconds=0.0, drain_seconds=5, wire=WireLimits(head_seconds=0.2, request_seconds=0.2))
        async with served(of.app, seats=of.door.seats, limits=limits) as server:
            headers = posting(authorization="Bearer one", **{"content-length": "50"}).items()
            head = "POST /v1/decisions HTTP/1.1\r\nhost: x\r\n" + "".join(f"{it}: {value}\r\n" for it, value in headers)
            assert (await say(server.port, head.encode() + b"\r\n{")).startswith(b"HTTP/1.1 408 ")
        assert of.door.seats.open == 0
        with ExitStack() as all_of_one:
            for _ in range(of.door.seats.most_of_one):
                all_of_one.enter_context(of.door.seats.of("lender-one"))

    run(main())


def test_hundreds_of_idle_sockets_and_slow_clients_leave_the_service_to_those_who_ask() -> None:
    async def main() -> None:
        of = house()
        limits = RunLimits(notice_seconds=0.0, drain_seconds=5, wire=WireLimits(connections=200))
        async with served(of.app, seats=of.door.seats, limits=limits) as server:
            idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(600)]
            for _, writer in idle[-100:]:
                writer.write(b"POST /v1/decisions HTTP/1.1\r\nx-slow: ")
            head = "".join(f"{it}: {value}\r\n" for it, value in posting(authorization="Bearer one").items())
            asking = f"POST /v1/decisions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(BODY)}\r\n{head}\r\n"
            for path in (b"/health/live", b"/health/ready"):
                found = await say(server.port, b"GET " + path + b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                assert found.startswith(b"HTTP/1.1 200 ")
            assert (await say(server.port, asking.encode() + BODY)).startswith(b"HTTP/1.1 201 ")
            assert len(server.server_state.connections) <= 200
            for _, writer in idle:
                writer.close()

    run(main())


def test_a_service_that_stops_under_load_loses_no_request_and_doubles_none() -> None:
    """It gives notice while it still answers, so that clients leave; what it recorded, it answered."""

    async def main() -> None:
        of = house(most_open=256)
        answered: list[str] = []
        seen_ready: set[int] = set()

        async def client_at(port: int, name: int) -> None:
            for at in range(10_000):
                headers = posting(f"k-{name}-{at}", authorization="Bearer one", connection="close").items()
                head = "POST /v1/decisions HTTP/1.1\r\n" + "".join(f"{it}: {value}\r\n" for it, value in headers)
                status, answer = await ask(port, head.encode(), BODY)
                if not status:
                    return
                assert status == 201
                answered.append(json.loads(answer)["decision_id"])

        async def watch(port: int) -> None:
            while status := (await ask(port, b"GET /health/ready HTTP/1.1\r\nconnection: close\r\n"))[0]:
                seen_ready.add(status)
                await asyncio.sleep(0.02)

        limits = RunLimits(notice_seconds=0.5, drain_seconds=10)
        async with asyncio.TaskGroup() as group, served(of.app, seats=of.door.seats, limits=limits) as server:
            group.create_task(watch(server.port))
            for name in range(20):
                group.create_task(client_at(server.port, name))
            while len(answered) < 50:
                await asyncio.sleep(0.02)
        assert seen_ready == {200, 503}
        assert sorted(answered) == sorted(str(it.decision_id) for it in of.store.kept)
        assert len(set(answered)) == len(answered)

    run(main())


PROGRAM = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
import uvloop
from tests.serving.http.fakes import house
from obligor.serving.http import RunLimits, make_server

async def main():
    of = house()
    of.store.hold = asyncio.Event()
    server = make_server(of.app, seats=of.door.seats, host="127.0.0.1", port=0, limits=RunLimits(notice_seconds=0.2))
    asyncio.get_running_loop().create_task(tell(server, of))
    await server.serve()
    print(len(of.store.kept), flush=True)

async def tell(server, of):
    while not server.started:
        await asyncio.sleep(0.01)
    print(server.port, flush=True)
    while not of.door.seats.draining:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.5)
    of.store.hold.set()

uvloop.run(main())
"""


def test_sigterm_lets_an_open_request_finish_and_ends_well() -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(ROOT)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())

        async def main() -> None:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                headers = posting(authorization="Bearer one")
                asked = asyncio.create_task(client.post("/v1/decisions", content=BODY, headers=headers))
                await asyncio.sleep(0.3)
                process.send_signal(signal.SIGTERM)
                answer = await asked
                assert answer.status_code == 201
                assert json.loads(answer.content)["outcome"]

        run(main())
        assert process.stdout.readline() == "1\n"
        assert process.wait(timeout=20) == 0


def test_a_request_that_outlasts_the_end_is_told_to_come_again() -> None:
    async def main() -> None:
        of = house()
        of.store.hold = asyncio.Event()
        limits = RunLimits(notice_seconds=0.0, drain_seconds=1)
        async with asyncio.TaskGroup() as group, served(of.app, seats=of.door.seats, limits=limits) as server:
            headers = posting(authorization="Bearer one").items()
            head = "POST /v1/decisions HTTP/1.1\r\n" + "".join(f"{it}: {value}\r\n" for it, value in headers)
            asked = group.create_task(ask(server.port, head.encode(), BODY))
            await asyncio.sleep(0.1)
        status, answer = asked.result()
        assert (status, json.loads(answer)["type"]) == (503, "urn:obligor:problem:unavailable")
        assert not of.store.kept

    run(main())


def test_seats_are_counted_by_client() -> None:
    seats = Seats(4)
    with seats.of("a"), seats.of("a"), seats.of("b"), seats.of("b"), pytest.raises(LimitedError), seats.of("a"):
        pass
    with seats.of("a"), seats.of("a"):
        pass

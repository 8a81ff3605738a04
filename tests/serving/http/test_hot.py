"""A decision that is made where it arrives and one by the framework are the same answer, whatever is asked and however."""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.serving.http.fakes import BODY, PLAIN, House, house, posting
from tests.serving.http.serving import ask, run, say, served

from obligor.core.errors import UnavailableError
from obligor.serving.http import Hot
from obligor.serving.http.bodies import MOST_BYTES
from obligor.serving.http.hot import MOST_BYTES as MOST_HOT_BYTES
from obligor.serving.http.hot import PATH
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

KEY = {"authorization": "Bearer one"}
CORPUS: list[tuple[str, dict[str, str], bytes]] = [
    ("", KEY | posting(), BODY),
    ("", KEY | posting(), json.dumps(PLAIN | {"income": None}).encode()),
    ("", posting(), BODY),
    ("", posting() | {"authorization": "Bearer nobody"}, BODY),
    ("", posting() | {"authorization": "Bearer auditor"}, BODY),
    ("", KEY | posting("with blank"), BODY),
    ("", KEY | {"content-type": "application/json"}, BODY),
    ("", KEY | {"idempotency-key": "k"}, BODY),
    ("", KEY | posting() | {"content-encoding": "gzip"}, BODY),
    ("", KEY | posting(), b"{"),
    ("", KEY | posting(), b'{"income": 1}'),
    ("", KEY | posting(), json.dumps(PLAIN | {"income": "much"}).encode()),
    ("", KEY | posting(), b" " * (MOST_BYTES + 1)),
    ("", KEY | posting(), b" " * MOST_HOT_BYTES + BODY),
    ("?dry_run=1", KEY | posting(), BODY),
    ("?", KEY | posting(), BODY),
]


@asynccontextmanager
async def both_ways() -> AsyncIterator[tuple[tuple[House, int], ...]]:
    """A service that decides where requests arrive, and one that does not; each with its port."""
    fast, slow = house(), house()
    async with (
        served(fast.app, seats=fast.door.seats, hot=Hot(fast.door)) as one,
        served(slow.app, seats=slow.door.seats) as other,
    ):
        yield (fast, one.port), (slow, other.port)


def told(answer: Any) -> tuple[int, dict[str, str], Any]:
    """An answer without what is new in every decision."""
    body = answer.json()
    for name in ("decision_id", "decided_at"):
        body.pop(name, None)
    headers = dict(answer.headers)
    headers.pop("date")
    return answer.status_code, headers, body


@pytest.mark.parametrize(("query", "headers", "body"), CORPUS)
def test_both_ways_to_a_decision_give_the_same_answer(query: str, headers: dict[str, str], body: bytes) -> None:
    async def main() -> None:
        answers = []
        async with both_ways() as ways:
            for of, port in ways:
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                    first = await client.post(PATH + query, content=body, headers=headers)
                    again = await client.post(PATH + query, content=body, headers=headers)
                answers.append((told(first), told(again), len(of.store.leaves), of.door.seats.open))
        assert answers[0] == answers[1]

    run(main())


def raw(key: str, *, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    length = b"" if b"chunked" in more else b"content-length: %d\r\n" % len(BODY)
    head = b"host: x\r\nauthorization: Bearer one\r\ncontent-type: application/json\r\nidempotency-key: %b\r\n"
    return b"POST %b HTTP/%b\r\n" % (PATH.encode(), version) + head % key.encode() + length + more + b"\r\n"


CLOSE = b"connection: close\r\n"
CHUNKS = b"%x\r\n%b\r\n" % (20, BODY[:20]) + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY) - 20, BODY[20:])
CONVERSATIONS: dict[str, tuple[bytes, ...]] = {
    "one request": (raw("a", more=CLOSE) + BODY,),
    "one after the other": (raw("a") + BODY, raw("b", more=CLOSE) + BODY),
    "two at once": (raw("a") + BODY + raw("b") + BODY + raw("c", more=CLOSE) + BODY,),
    "another route among them": (
        raw("a") + BODY + b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n" + raw("b", more=CLOSE) + BODY,
    ),
    "the same key twice": (raw("a") + BODY, raw("a", more=CLOSE) + BODY),
    "in parts": (raw("a", more=CLOSE)[:30], raw("a", more=CLOSE)[30:], BODY[:7], BODY[7:]),
    "in chunks": (raw("a", more=CLOSE + b"transfer-encoding: chunked\r\n") + CHUNKS,),
    "in chunks with a trailer": (
        raw("a", more=b"transfer-encoding: chunked\r\n") + CHUNKS[:-2] + b"x-more: 1\r\n\r\n",
        raw("b", more=CLOSE) + BODY,
    ),
    "asking whether it may go on": (raw("a", more=CLOSE + b"expect: 100-continue\r\n"), BODY),
    "an older version": (raw("a", version=b"1.0") + BODY,),
    "wanting another protocol": (raw("a", more=b"connection: upgrade, close\r\nupgrade: h2c\r\n") + BODY,),
    "a key that stands twice": (raw("a", more=b"idempotency-key: b\r\n" + CLOSE) + BODY,),
    "one that is refused, and others at once": (
        raw("a blank")
        + BODY
        + b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
        + raw("b blank")
        + BODY
        + raw("c", more=CLOSE)
        + BODY,
    ),
    "nonsense after it": (raw("a") + BODY, b"\x00nonsense\r\n\r\n"),
    "no body": (raw("a", more=CLOSE).replace(b"content-length: %d" % len(BODY), b"content-length: 0"),),
}
_NEW = re.compile(rb'date: [^\r]+|"decision_id":"[^"]+"|"decided_at":"[^"]+"')


@pytest.mark.parametrize("parts", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_a_connection_sees_the_same_either_way(parts: tuple[bytes, ...]) -> None:
    async def main() -> None:
        heard = []
        async with both_ways() as ways:
            for of, port in ways:
                found = await say(port, *parts, pause=0.2, wait=2.0)
                heard.append((_lines_of(found), len(of.store.leaves), of.door.seats.open))
        assert heard[0] == heard[1]
        assert heard[0][0]

    run(main())


def _lines_of(found: bytes) -> list[bytes]:
    """What a connection heard, whatever the order of the headers."""
    return sorted(_NEW.sub(b"", found).split(b"\r\n"))


def test_whoever_leaves_while_a_decision_is_recorded_leaves_nothing_open() -> None:
    async def main() -> None:
        of = house()
        of.store.hold = asyncio.Event()
        async with served(of.app, seats=of.door.seats, hot=Hot(of.door)) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(raw("a") + BODY)
            await asyncio.sleep(0.1)
            assert of.door.seats.open == 1
            writer.close()
            await asyncio.sleep(0.1)
            of.store.hold.set()
            await asyncio.sleep(0.1)
            assert (of.door.seats.open, of.store.leaves) == (0, ["decision"])
            assert (await ask(server.port, raw("a")[: -len(b"content-length: 00\r\n\r\n")], BODY))[0] != 0

    run(main())


def test_a_service_that_stops_answers_what_it_began_and_closes_the_connection() -> None:
    async def main() -> None:
        of = house()
        of.store.hold = asyncio.Event()
        async with served(of.app, seats=of.door.seats, hot=Hot(of.door)) as server:
            asked = asyncio.create_task(say(server.port, raw("a") + BODY))
            await asyncio.sleep(0.1)
            server.should_exit = True
            await asyncio.sleep(0.2)
            of.store.hold.set()
            found = await asked
        assert found.startswith(b"HTTP/1.1 201 ")
        assert b"connection: close" in found

    run(main())


@pytest.mark.parametrize(("trouble", "status"), [("down", 503), ("broken", 500)])
def test_what_goes_wrong_while_recording_is_told(trouble: str, status: int) -> None:
    async def main() -> None:
        of = house()
        of.store.hold = asyncio.Event()
        recording = of.store._keep

        def fails(_submission: object) -> Any:
            if trouble == "down":
                raise UnavailableError("the store does not answer")
            raise RuntimeError("a value of a person")

        of.store._keep = fails  # type: ignore[method-assign]  # what a store may do at its worst
        async with served(of.app, seats=of.door.seats, hot=Hot(of.door)) as server:
            asked = asyncio.create_task(say(server.port, raw("a") + BODY, raw("b", more=CLOSE) + BODY, pause=0.1))
            await asyncio.sleep(0.05)
            of.store.hold.set()
            found = await asked
            assert found.count(b"HTTP/1.1 %d " % status) == 2
            assert b"a value of" not in found
            assert of.door.seats.open == 0
            of.store._keep = recording  # type: ignore[method-assign]

    run(main())


def test_decisions_are_made_where_they_arrive_and_counted_by_the_name_of_their_route() -> None:
    class Counted(NoMeter):
        seen: list[tuple[str, int]] = []  # noqa: RUF012  of this test

        def left(self, route: str, status: int, seconds: float) -> None:
            assert seconds >= 0
            self.seen.append((route, status))

    class Unasked:
        """An application that is not asked for a decision."""

        def __init__(self, app: Any) -> None:
            self._app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            assert (scope["method"], scope["path"]) != ("POST", PATH)
            await self._app(scope, receive, send)

    async def main() -> None:
        of = house(meter=Counted())
        async with (
            served(Unasked(of.app), seats=of.door.seats, hot=Hot(of.door)) as server,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=KEY) as client,
        ):
            await client.post(PATH, content=BODY, headers=posting())
            await client.get(PATH)
            await client.get(f"{PATH}/01900000-0000-7000-8000-000000000000")
            await client.put(PATH)
            await client.get("/secret/4711")
        assert Counted.seen == [
            ("POST /v1/decisions", 201),
            ("GET /v1/decisions", 200),
            ("GET /v1/decisions/{decision_id}", 404),
            ("other", 405),
            ("other", 404),
        ]

    run(main())

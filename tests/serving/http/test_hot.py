"""The fast way to a decision and the framework's way give the same answer, whatever is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.serving.http.fakes import BODY, PLAIN, House, house, posting
from tests.serving.http.serving import run

from obligor.serving.http.app import make_routes
from obligor.serving.http.bodies import MOST_BYTES
from obligor.serving.http.guard import Guard
from obligor.serving.http.hot import PATH
from obligor.serving.meter import NoMeter

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
    ("?dry_run=1", KEY | posting(), BODY),
    ("?", KEY | posting(), BODY),
]


def slow(of: House) -> Any:
    """The service without its fast path."""
    return Guard(make_routes(of.door), of.door, hot=False)


def told(answer: Any) -> tuple[int, dict[str, str], Any]:
    """An answer without what is new in every decision."""
    body = answer.json()
    for name in ("decision_id", "decided_at"):
        body.pop(name, None)
    return answer.status_code, dict(answer.headers), body


@pytest.mark.parametrize(("query", "headers", "body"), CORPUS)
def test_both_ways_to_a_decision_give_the_same_answer(query: str, headers: dict[str, str], body: bytes) -> None:
    async def main() -> None:
        answers = []
        for way in (lambda of: of.app, slow):
            of = house()
            async with of.client(None, app=way(of)) as client:
                first = await client.post(PATH + query, content=body, headers=headers)
                again = await client.post(PATH + query, content=body, headers=headers)
            answers.append((told(first), told(again), len(of.store.leaves)))
        assert answers[0] == answers[1]

    run(main())


def test_the_fast_way_alone_is_taken_and_is_counted_by_the_name_of_its_route() -> None:
    class Counted(NoMeter):
        seen: list[tuple[str, int]] = []  # noqa: RUF012  of this test

        def left(self, route: str, status: int, seconds: float) -> None:
            assert seconds >= 0
            self.seen.append((route, status))

    async def main() -> None:
        of = house(meter=Counted())
        async with of.client() as client:
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

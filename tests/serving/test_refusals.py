"""Refused attempts come into the audit log: told once a minute, bounded, and kept while the store is away."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.serving.http.fakes import BODY, house, posting
from tests.serving.http.serving import run

from obligor.core.errors import UnavailableError
from obligor.core.leaves import Leaf, commitment
from obligor.serving.acts import Caller, Recorded
from obligor.serving.refusals import OTHERS, Refusals
from obligor.serving.sources import Sources

if TYPE_CHECKING:
    from obligor.serving.acts import Act, Submission

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
BANK = Caller("bank", "k1", frozenset({"read"}), NOON)
ADA = Caller("person:ada", "", frozenset(), NOON, kind="person", subject="ada")


class Log:
    def __init__(self) -> None:
        self.acts: list[Act] = []
        self.down = False

    async def record(self, submission: Submission) -> Recorded:
        if self.down:
            raise UnavailableError("the store does not answer")
        self.acts += submission.acts
        return Recorded(b"", 200, replayed=False, leaf_index=0)

    def told(self) -> list[dict[str, Any]]:
        return [json.loads(it.record) for it in self.acts]


def counting(log: Log, *, most: int = 200) -> Refusals:
    ticks = iter(range(1_000_000))
    sources = Sources(lambda: NOON + timedelta(seconds=next(ticks)), bytes)
    return Refusals(log, sources, most=most)


def test_a_caller_and_a_route_make_one_leaf_with_how_often_it_was() -> None:
    log = Log()
    refusals = counting(log)
    for why in ("forbidden", "forbidden", "not_found"):
        refusals.refused(BANK, route="GET /v1/decisions", why=why)
    refusals.refused(ADA, route="GET /v1/decisions", why="forbidden")
    refusals.refused(None, route="GET /v1/decisions", why="unauthenticated", network="192.0.2.7")
    asyncio.run(refusals.record())
    assert [(it.kind, it.by) for it in log.acts] == [
        ("refused", "client:bank"), ("refused", "person:ada"), ("refused", "client:unknown"),
    ]  # fmt: skip
    first, _, nobody = log.told()
    assert first["times"] == {"forbidden": 2, "not_found": 1}
    assert first["first_at"] < first["last_at"]
    assert (first["network"], nobody["network"]) == ("", "192.0.2.7")
    for act in log.acts:  # each is a leaf that the log takes
        Leaf(NOON, act.by, act.kind, act.subject, commitment(act.record, act.salt)).body()


def test_where_nothing_was_refused_nothing_is_recorded() -> None:
    log = Log()
    asyncio.run(counting(log).record())
    assert log.acts == []


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["a", "b"])), max_size=200), st.integers(1, 10))
def test_a_flood_makes_few_leaves_and_loses_no_attempt(attempts: list[tuple[int, str]], most: int) -> None:
    log = Log()
    refusals = counting(log, most=most)
    for who, route in attempts:
        refusals.refused(None, route=route, why="unauthenticated", network=f"192.0.2.{who}")
    asyncio.run(refusals.record())
    assert len(log.acts) <= most + 1
    assert sum(sum(it["times"].values()) for it in log.told()) == len(attempts)
    seen = {(it["network"], it["route"]) for it in log.told()}
    assert len(seen) == len(log.acts)
    assert ((OTHERS, OTHERS) in seen) == (len(set(attempts)) > most)


def test_what_cannot_be_recorded_is_kept_for_the_next_minute() -> None:
    log = Log()
    refusals = counting(log)
    refusals.refused(BANK, route="a", why="forbidden")
    log.down = True
    asyncio.run(refusals.record())
    refusals.refused(BANK, route="a", why="not_found")
    refusals.refused(BANK, route="b", why="not_found")
    log.down = False
    asyncio.run(refusals.record())
    assert [(it["route"], it["times"]) for it in log.told()] == [
        ("a", {"forbidden": 1, "not_found": 1}), ("b", {"not_found": 1}),
    ]  # fmt: skip


class Told:
    def __init__(self) -> None:
        self.seen: Counter[tuple[str, str, str]] = Counter()

    def refused(self, caller: Caller | None, *, route: str, why: str, network: str = "") -> None:
        self.seen["" if caller is None else caller.by, route, why] += 1


def test_the_rest_door_tells_who_was_refused_what_and_nothing_of_paths_that_are_none() -> None:
    async def main() -> None:
        told = Told()
        of = house(refusals=told)
        missing = "00000000-0000-7000-8000-000000000000"
        async with of.client("one") as client, of.client(None) as nobody:
            await client.get("/metrics")
            await client.get(f"/v1/decisions/{missing}")
            await client.get(f"/v1/decisions/{missing}")
            await client.post("/v1/decisions", content=BODY, headers=posting())
            await nobody.get("/v1/release")
            await nobody.post("/v1/decisions", content=BODY, headers=posting())
            await nobody.get("/wp-login.php")
            await nobody.get("/health/live")
        assert told.seen == {
            ("client:lender-one", "GET /metrics", "forbidden"): 1,
            ("client:lender-one", "GET /v1/decisions/{decision_id}", "not_found"): 2,
            ("", "GET /v1/release", "unauthenticated"): 1,
            ("", "POST /v1/decisions", "unauthenticated"): 1,
        }

    run(main())

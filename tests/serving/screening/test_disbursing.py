"""Before a loan is paid out, who was approved is screened again: on the list of that day, and no word of why not."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from tests.screening.lists import SNAPSHOT
from tests.serving.gated import good_application, release_of
from tests.serving.http.fakes import KEYS, House, house, posting
from tests.serving.http.serving import run

from obligor.core.errors import ForbiddenError
from obligor.screening.screener import Screener
from obligor.serving.gates.aml import AmlGate, Clearances, Subjects
from obligor.serving.gates.gate import GateResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    import httpx

SUBJECTS = Subjects(bytes(32))
NAME = "Oleg Petrovich Korvand"
NOBODY = replace(SNAPSHOT, entries=tuple(it for it in SNAPSHOT.entries if it.id != "1001"))


@dataclass
class InForce:
    screener: Screener | None


def of_today(snapshot: Any = SNAPSHOT, *, days: int = 0) -> Screener:
    return Screener.of(replace(snapshot, published=datetime.now(UTC).date() - timedelta(days=days)))


class Lender:
    """A lender whose list can change between the decision and the day on which it pays out."""

    def __init__(self, *, state: str = "enforce", clearances: Clearances | None = None) -> None:
        self.lists = InForce(of_today(NOBODY))
        gate = AmlGate(self.lists, subjects=SUBJECTS, clearances=clearances)
        self.house: House = house(release=release_of(aml=state), gates={"aml": gate})

    @asynccontextmanager
    async def approved(self, **more: str) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
        """Somebody who passed and was approved, while the list did not name them."""
        async with self.house.client() as client:
            said = good_application() | {"applicant_name": NAME} | more
            answer = await client.post("/v1/decisions", json=said, headers=posting("first"))
            assert answer.json()["outcome"] == "approve", answer.text
            yield client, answer.json()["decision_id"]

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(it) for it in self.house.store.records if b"obligor/screening/1" in it]


async def screened(client: httpx.AsyncClient, decision_id: str, key: str = "pay-1") -> httpx.Response:
    return await client.post(f"/v1/decisions/{decision_id}/screenings", headers={"idempotency-key": key})


def without_ids(answer: httpx.Response) -> dict[str, Any]:
    return {name: it for name, it in answer.json().items() if name in ("result", "detail", "type")}


def test_who_is_on_no_list_passes_and_who_came_on_one_since_is_left_to_a_person() -> None:
    async def main() -> None:
        lender = Lender()
        async with lender.approved() as (client, decision_id):
            first = await screened(client, decision_id)
            assert (first.status_code, first.json()["result"]) == (201, "pass"), first.text
            assert UUID(first.json()["screening_id"])
            assert first.json()["decision_id"] == decision_id
            lender.lists.screener = of_today()
            assert (await screened(client, decision_id)).content == first.content, "the same key asks once"
            later = await screened(client, decision_id, "pay-2")
            assert (later.status_code, later.json()["result"]) == (201, "review")
            assert later.json().keys() == first.json().keys()
        assert lender.house.store.leaves == ["decision", "screened", "screened"]

    run(main())


def test_who_came_on_a_list_of_politically_exposed_persons_since_is_left_to_a_person_too() -> None:
    async def main() -> None:
        sanctions, peps = InForce(of_today(NOBODY)), InForce(of_today(NOBODY))
        gates = {"aml": AmlGate(sanctions, subjects=SUBJECTS), "pep": AmlGate(peps, "pep", subjects=SUBJECTS)}
        told = []
        for states in ({"aml": "enforce", "pep": "enforce"}, {"pep": "enforce"}, {"aml": "enforce", "pep": "monitor"}):
            made = house(release=release_of(**states), gates=gates)
            async with made.client() as client:
                said = good_application() | {"applicant_name": NAME}
                answer = await client.post("/v1/decisions", json=said, headers=posting("first"))
                assert answer.json()["outcome"] == "approve", answer.text
                peps.screener = of_today()
                told.append((await screened(client, answer.json()["decision_id"])).json()["result"])
                (record,) = [json.loads(it) for it in made.store.records if b"obligor/screening/1" in it]
                assert {name: it["result"] for name, it in record["gates"].items()} == {
                    name: "fail" if name == "pep" else "pass" for name in states
                }
                peps.screener = of_today(NOBODY)
        assert told == ["review", "review", "pass"]

    run(main())


def test_the_record_keeps_what_was_asked_and_said_and_the_profile() -> None:
    async def main() -> None:
        lender = Lender()
        async with lender.approved() as (client, decision_id):
            lender.lists.screener = of_today()
            answer = (await screened(client, decision_id)).json()
        (record,) = lender.records()
        gate = record.pop("gates")["aml"]
        assert (gate["state"], gate["result"]) == ("enforce", "fail")
        asked = lender.lists.screener
        assert asked is not None
        assert gate["evidence"]["list_sha256"] == asked.about.sha256
        assert gate["evidence"].keys() == {"list_sha256", "algorithm", "rules_sha256", "stale"}
        assert record["profile_sha256"] == lender.house.releases.current.profile.sha256
        assert (record["by"], record["client_id"]) == ("client:lender-one", "lender-one")
        assert {name: record[name] for name in answer if name != "receipt"} == {
            name: answer[name] for name in answer if name != "receipt"
        }
        assert "Korvand" not in json.dumps(record)

    run(main())


def test_a_list_that_is_too_old_or_not_there_and_a_screener_that_breaks_are_told_as_a_hit_is() -> None:
    class Broken:
        async def screen(self, fields: Mapping[str, Any], *, application_id: str | None, at: datetime) -> GateResult:
            raise OSError("no such list of sanctions")

    async def main() -> None:
        lender = Lender()
        async with lender.approved() as (client, decision_id):
            lender.lists.screener = of_today()
            told = [without_ids(await screened(client, decision_id, "hit"))]
            for key, screener in (("old", of_today(NOBODY, days=60)), ("none", None)):
                lender.lists.screener = screener
                told.append(without_ids(await screened(client, decision_id, key)))
            lender.house = with_gate(lender.house, Broken())
            async with lender.house.client() as other:
                told.append(without_ids(await screened(other, decision_id, "broken")))
        assert told == [{"result": "review"}] * 4
        results = [it["gates"]["aml"]["result"] for it in lender.records()]
        assert results == ["fail", "pending", "pending", "pending"]

    run(main())


def with_gate(made: House, gate: Any, deadline_s: float = 5.0) -> House:
    from obligor.serving.http import make_app

    door = replace(made.door, disbursing=replace(made.door.disbursing, gates={"aml": gate}, deadline_s=deadline_s))
    return House(made.store, made.releases, door, made.states, make_app(door))


def test_a_screener_that_takes_too_long_is_not_waited_for() -> None:
    class Slow:
        async def screen(self, fields: Mapping[str, Any], *, application_id: str | None, at: datetime) -> GateResult:
            await asyncio.sleep(60)
            return GateResult("pass")

    async def main() -> None:
        lender = Lender()
        async with lender.approved() as (_, decision_id), with_gate(lender.house, Slow(), 0.01).client() as client:
            assert (await screened(client, decision_id)).json()["result"] == "review"

    run(main())


def test_a_hit_that_was_cleared_for_this_very_application_passes() -> None:
    """An application without a number is known by the id of its decision, as where an alert of it is cleared."""

    async def main() -> None:
        clearances = Clearances()
        lender = Lender(clearances=clearances)
        async with lender.approved() as (client, decision_id):
            screener = lender.lists.screener = of_today()
            record = json.loads(lender.house.store.kept[0].record)
            asked = screener.asked((NAME,), None)
            named = record["application_id"] or decision_id
            subject = SUBJECTS.of_person(asked, number=None, application_id=named)
            hits = [hit for it in asked for hit in screener.hits(it)]
            tomorrow = datetime.now(UTC) + timedelta(days=1)
            clearances.until = {(subject, it.entry, it.version): tomorrow for it in hits}
            assert hits
            assert (await screened(client, decision_id)).json()["result"] == "pass"
            clearances.confirmed = frozenset([subject])
            assert (await screened(client, decision_id, "pay-2")).json()["result"] == "review"

    run(main())


def test_on_monitor_it_is_recorded_and_has_no_effect() -> None:
    async def main() -> None:
        lender = Lender(state="monitor")
        async with lender.approved() as (client, decision_id):
            lender.lists.screener = of_today()
            assert (await screened(client, decision_id)).json()["result"] == "pass"
        assert lender.records()[0]["gates"]["aml"]["result"] == "fail"

    run(main())


def test_who_was_not_approved_is_not_screened_so_that_it_tells_nothing_of_why() -> None:
    async def main() -> None:
        lender = Lender()
        lender.lists.screener = of_today()
        async with lender.house.client() as client:
            said = good_application() | {"applicant_name": NAME}
            held = (await client.post("/v1/decisions", json=said, headers=posting("first"))).json()
            assert held["outcome"] == "refer"
            answer = await screened(client, held["decision_id"])
        assert (answer.status_code, "no approval" in answer.text) == (409, True)
        assert lender.house.store.leaves == ["decision"]

    run(main())


def test_where_the_profile_does_not_screen_nothing_is_said_to_have_passed() -> None:
    async def main() -> None:
        async with house(release=release_of()).client() as client:
            said = good_application()
            decided = (await client.post("/v1/decisions", json=said, headers=posting("first"))).json()
            answer = await screened(client, decided["decision_id"])
        assert (answer.status_code, "nobody is screened here" in answer.text) == (409, True)

    run(main())


def test_another_clients_decision_is_not_there() -> None:
    async def main() -> None:
        lender = Lender()
        async with lender.approved() as (_, decision_id), lender.house.client("two") as client:
            assert (await screened(client, decision_id)).status_code == 404
        assert lender.house.store.leaves == ["decision"]

    run(main())


def test_who_may_read_a_decision_alone_does_not_screen_for_it() -> None:
    async def main() -> None:
        lender = Lender()
        async with lender.approved() as (_, decision_id), lender.house.client("auditor") as client:
            assert (await screened(client, decision_id)).status_code == 403
            with pytest.raises(ForbiddenError):
                await lender.house.door.disbursing.screen(KEYS["auditor"], key="pay-1", decision_id=UUID(decision_id))
        assert lender.house.store.leaves == ["decision"]

    run(main())

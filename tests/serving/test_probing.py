"""Whoever would read the card off by trying is held up: by the person tried, and by how alike the applications are (F23)."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.http.fakes import BODY, KEYS, PLAIN, House, house, small_release
from tests.serving.http.serving import run
from tests.serving.test_pace import Clock

from obligor.core.application import Application
from obligor.core.errors import InvalidInputError, LimitedError, UnavailableError
from obligor.serving.probing import MOST_DIFFERENT, Asked, Probing
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import ProbingSettings, read_probing_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

COMPARED = tuple(f"field_{place}" for place in range(16))
VALUES = {name: float(place) for place, name in enumerate(COMPARED)}


@dataclass
class Counting(NoMeter):
    why: list[str] = field(default_factory=list)

    def refused(self, why: str) -> None:
        self.why.append(why)


@dataclass
class Told:
    events: list[Mapping[str, object]] = field(default_factory=list)

    def tell(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.events.append({"event": event, "level": level, **fields})

    def failed(self, event: str, error: BaseException, *, level: str = "error", **fields: object) -> None:
        raise AssertionError


def probing(*, daily: int = 0, hourly: int = 0, clock: Clock | None = None, **named: Any) -> Probing:
    return Probing(
        ProbingSettings(daily, hourly), monotonic=clock or Clock(), chance=lambda: 0.0, **named
    )  # every application is compared


def asked(changes: Mapping[str, object] | None = None, *, client: str = "one", subject: bytes | None = None) -> Asked:
    return Asked(client, subject, Application({**VALUES, **(changes or {})}, {}), COMPARED)


def settled(of: House, **named: Any) -> House:
    of.door.service.probing = probing(**named)
    return of


# One person


@given(st.lists(st.floats(0, 100_000), max_size=30), st.integers(1, 20))
def test_in_no_day_is_a_person_decided_on_more_than_twice_as_often_as_the_limit_says(
    pauses: list[float], daily: int
) -> None:
    clock, person = Clock(), asked(subject=b"somebody")
    of, decided = probing(daily=daily, clock=clock), list[float]()
    for pause in pauses:
        clock.at += pause
        while not of.holds_up(person):
            of.made(person)
            decided.append(clock.at)
    for begin in decided:
        assert sum(begin <= at < begin + 86_400 for at in decided) <= 2 * daily


def test_who_waits_as_long_as_told_may_ask_about_the_person_again() -> None:
    clock, person = Clock(), asked(subject=b"somebody")
    of = probing(daily=3, clock=clock)
    for _ in range(3):
        of.made(person)
    with pytest.raises(LimitedError) as told:
        of.check(person)
    of.check(asked(subject=b"somebody else"))
    of.check(asked(subject=None))
    clock.at += told.value.retry_after
    of.check(person)


def decide(key: str, customer: str = "A-17", **changes: object) -> tuple[bytes, dict[str, str]]:
    body = json.dumps({**PLAIN, "customer": customer, "bureau": [], **changes}).encode()
    return body, {"content-type": "application/json", "idempotency-key": key}


def test_a_person_beyond_the_limit_gets_a_problem_and_others_their_decision() -> None:
    async def main() -> None:
        of = settled(house(), daily=3, meter=(meter := Counting()), journal=(journal := Told()))
        async with of.client() as client:
            for at in range(3):
                body, headers = decide(f"k{at}", income=1000 + at)
                assert (await client.post("/v1/decisions", content=body, headers=headers)).status_code == 201
            body, headers = decide("k3", income=1003)
            for _ in range(2):
                answer = await client.post("/v1/decisions", content=body, headers=headers)
                assert answer.status_code == 429
                assert answer.json()["type"] == "urn:obligor:problem:limited"
                assert answer.headers["content-type"] == "application/problem+json"
                assert 1 <= int(answer.headers["retry-after"]) <= 86_400 / 3
                assert "A-17" not in answer.text
            simulated = await client.post("/v1/simulations", content=body, headers={"content-type": "application/json"})
            assert simulated.status_code == 429
            other = headers | {"authorization": "Bearer two"}
            assert (await client.post("/v1/decisions", content=body, headers=other)).status_code == 429
            body, headers = decide("k4", customer="B-18")
            assert (await client.post("/v1/decisions", content=body, headers=headers)).status_code == 201
        assert len(of.store.kept) == 4
        assert meter.why == ["subject"] * 4
        told = {"event": "probed", "level": "warning", "why": "subject"}
        assert [dict(it) for it in journal.events] == [
            told | {"client_id": "lender-one"},
            told | {"client_id": "lender-two"},
        ]

    run(main())


def test_simulations_count_as_decisions_do() -> None:
    service = settled(house(), daily=2).door.service
    for _ in range(2):
        service.simulate(KEYS["one"], BODY)
    with pytest.raises(LimitedError):
        service.simulate(KEYS["one"], BODY)


def test_neither_an_answer_given_again_nor_one_that_failed_counts() -> None:
    async def main() -> None:
        of = settled(house(), daily=3)
        service = of.door.service
        for _ in range(10):
            await service.decide(KEYS["one"], key="same", application=BODY)
            await service.decide_many(KEYS["one"], key="bulk", applications=[BODY])
            of.store.down = True
            with pytest.raises(UnavailableError):
                await service.decide(KEYS["one"], key="new", application=BODY)
            with pytest.raises(UnavailableError):
                await service.decide_many(KEYS["one"], key="news", applications=[BODY])
            of.store.down = False
        assert len(of.store.kept) == 2

    run(main())


def test_a_thousand_applications_of_one_person_sent_together_are_not_let_in_together() -> None:
    async def main() -> None:
        of = settled(house(), daily=5)
        bodies = [BODY.replace(b"1500", b"%d" % (1500 + at)) for at in range(20)]
        recorded = await of.door.service.decide_many(KEYS["one"], key="many", applications=bodies)
        results = json.loads(recorded.response)["results"]
        assert [it.get("problem", {}).get("status", 201) for it in results] == [201] * 5 + [429] * 15
        assert len(of.store.kept) == 5

    run(main())


def test_a_decision_beyond_a_limit_is_not_made_at_once() -> None:
    async def main() -> None:
        of = settled(house(), daily=1)
        first = of.door.service.decide_at_once(KEYS["one"], key="k1", application=BODY)
        assert first is not None
        first.done(await first.recorded)
        assert of.door.service.decide_at_once(KEYS["one"], key="k2", application=BODY) is None

    run(main())


# Applications that are alike


@given(st.sets(st.sampled_from(COMPARED), min_size=1, max_size=5), st.floats(0, 7000))
def test_alike_is_who_differs_in_one_or_two_fields_within_an_hour(changed: set[str], pause: float) -> None:
    clock = Clock()
    of = probing(hourly=1, clock=clock)
    of.made(asked())
    clock.at += pause
    assert of._is_alike(asked(dict.fromkeys(changed, -1.0))) == (len(changed) <= MOST_DIFFERENT and pause < 3600)


def test_copies_are_not_alike_nor_are_applications_of_two_clients() -> None:
    of = probing(hourly=1)
    assert not of._is_alike(asked())
    assert not of._is_alike(asked())
    assert not of._is_alike(asked({"field_3": -1.0}, client="two"))


def test_ten_thousand_near_identical_applications_of_one_client_are_held_up_and_all_others_go_on() -> None:
    clock = Clock()
    of = Probing(
        ProbingSettings(0, 80), meter=(meter := Counting()), monotonic=clock, chance=cycle([0.0] + [0.5] * 15).__next__
    )
    let_in = 0
    for at in range(10_000):
        probe = asked({"field_5": 1000.0 + at}, subject=b"%d" % at)
        with suppress(LimitedError):
            of.check(probe)
            of.made(probe)
            let_in += 1
    assert 80 <= let_in <= 100
    assert meter.why == ["alike"] * (10_000 - let_in)
    for at in range(100):
        of.check(asked({name: 1000.0 * (at + 1) + place for place, name in enumerate(COMPARED)}))
        of.check(asked({"field_5": 2000.0 + at}, client="two"))
    clock.at += 3600
    of.check(asked({"field_5": 5000.0}))


def test_one_application_in_sixteen_is_compared_and_counts_for_sixteen() -> None:
    of = Probing(ProbingSettings(0, 10_000), monotonic=Clock(), chance=iter([at / 800 for at in range(800)]).__next__)
    for at in range(800):
        of.made(asked({"field_5": float(at)}))
    (free_at,) = of._alike._free_at.values()
    assert math.isclose(free_at - Clock().at, 49 * 16 * 3600 / 10_000)  # the first has none before it


def test_only_what_moves_a_decision_is_compared() -> None:
    assert set(small_release().compared) == {"income", "amount", "purpose", "owner", "applied_on", "bureau"}


def test_neither_a_name_nor_a_value_of_an_applicant_is_kept() -> None:
    release = small_release()
    of = probing(daily=9, hourly=9)
    of.made(of.asked("one", release, release.read(BODY)))
    person, marks = (
        of.asked("one", release, release.read(BODY)).subject,
        {it for _, kept in of._seen.values() for it in kept},
    )
    assert set(of._subjects._free_at) == {person}
    assert person is not None
    assert b"A-17" not in person
    assert not marks & {hash(it) for it in (*PLAIN.values(), 1500.0, 3000.0) if not isinstance(it, list)}
    other = probing(daily=9, hourly=9)  # another process, another key
    other.made(other.asked("one", release, release.read(BODY)))
    assert other._subjects._free_at.keys() != of._subjects._free_at.keys()
    assert not marks & {it for _, kept in other._seen.values() for it in kept}


def test_a_flood_of_applications_does_not_grow_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("obligor.serving.probing._MOST_PARTS", 30)
    of = probing(hourly=9)
    for at in range(100):
        of.made(asked({name: 1000.0 * at + place for place, name in enumerate(COMPARED)}))
    assert len(of._seen) == 30


def test_a_service_has_both_limits_unless_told_otherwise() -> None:
    assert read_probing_settings({}) == ProbingSettings(50, 1000)
    assert read_probing_settings({"OBLIGOR_SUBJECT_DAILY": "0", "OBLIGOR_ALIKE_HOURLY": "7"}) == ProbingSettings(0, 7)
    with pytest.raises(InvalidInputError, match="OBLIGOR_ALIKE_HOURLY"):
        read_probing_settings({"OBLIGOR_ALIKE_HOURLY": "many"})
    none, person = probing(), asked(subject=b"somebody")
    for at in range(1000):
        none.made(asked({"field_5": float(at)}, subject=b"somebody"))
    none.check(person)

"""Whoever tries applications without end is held up, by who they are and nothing else (F23)."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving.http.fakes import BODY, KEYS, house
from tests.serving.http.serving import run

from obligor.core.errors import LimitedError
from obligor.serving.pace import TRIES, Pace


@dataclass
class Clock:
    at: float = 1000.0

    def __call__(self) -> float:
        return self.at


def taken(pace: Pace, client: str = "one", *, most: int = 10_000) -> int:
    for count in range(most):
        try:
            pace.take(client, told="too many")
        except LimitedError:
            return count
    return most


@given(st.integers(1, 50), st.floats(0.01, 10), st.lists(st.floats(0, 100), max_size=30))
def test_in_no_span_of_time_a_client_has_more_than_its_tries_and_what_time_gives(
    burst: int, every_s: float, pauses: list[float]
) -> None:
    clock = Clock()
    pace, begun, count = Pace(burst, every_s, monotonic=clock), clock.at, 0
    for pause in [0.0, *pauses]:
        clock.at += pause
        count += taken(pace, most=burst + 1)
        assert count <= burst + (clock.at - begun) / every_s + 1e-3 * len(pauses) + 1e-6


def test_who_waits_as_long_as_told_may_try_again_and_others_never_wait() -> None:
    clock = Clock()
    pace = Pace(5, 2.0, monotonic=clock)
    assert taken(pace) == 5
    with pytest.raises(LimitedError) as told:
        pace.take("one", told="too many")
    assert taken(pace, "two") == 5
    clock.at += told.value.retry_after
    assert taken(pace) == 1
    clock.at += 1000
    assert taken(pace) == 5


def test_a_flood_of_names_does_not_grow_the_memory() -> None:
    pace = Pace(5, 2.0, most_kept=10)
    for at in range(100):
        pace.take(f"client-{at}", told="too many")
    assert len(pace._free_at) == 10


def test_ten_thousand_near_identical_simulations_of_one_client_are_held_up_whatever_their_headers_claim() -> None:
    async def main() -> None:
        of = house()
        of.door.service.tries = Pace(20, 3600.0)
        statuses = []
        async with of.client() as client:
            for at in range(40):
                headers = {
                    "content-type": "application/json",
                    "x-forwarded-for": f"192.0.2.{at}",
                    "forwarded": f"for={at}",
                }
                body = BODY.replace(b"1500", b"%d" % (1500 + at))
                answer = await client.post("/v1/simulations", content=body, headers=headers)
                statuses.append(answer.status_code)
            assert statuses == [200] * 20 + [429] * 20
            assert int(answer.headers["retry-after"]) >= 1
            other = {"authorization": "Bearer two", "content-type": "application/json"}
            assert (await client.post("/v1/simulations", content=BODY, headers=other)).status_code == 200
        assert of.store.leaves == []

    run(main())


def test_a_service_has_a_limit_unless_told_otherwise() -> None:
    service = house().door.service
    for _ in range(TRIES):
        service.tries.take(KEYS["one"].client_id, told="too many")

    def go_on() -> None:
        for _ in range(TRIES):
            service.simulate(KEYS["one"], BODY)

    with pytest.raises(LimitedError):
        go_on()

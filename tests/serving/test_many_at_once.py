"""Many applications in one request leave the event loop and the memory to others."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.serving.gates.test_gate import GOOD, profile_of, service_of
from tests.serving.http.fakes import BODY, KEYS, house
from tests.serving.http.serving import run

from obligor.serving.gates.gate import GateResult

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.core.application import Application

MANY = 40


class Turns:
    """Counts the turns of the loop that somebody else gets."""

    def __init__(self) -> None:
        self.had = 0

    async def take(self) -> None:
        for self.had in count(1):
            await asyncio.sleep(0)


class Noting:
    """A gate that answers at once, and notes at which turn it was asked."""

    name: Any = "kyc"

    def __init__(self, turns: Turns) -> None:
        self.turns, self.asked = turns, list[int]()

    def at_once(self, _: Application, *, at: datetime) -> GateResult:
        self.asked.append(self.turns.had)
        return GateResult("pass")

    async def evaluate(self, application: Application, *, at: datetime) -> GateResult:
        return self.at_once(application, at=at)


def test_others_have_a_turn_between_any_two_applications_whose_gates_answer_at_once() -> None:
    async def main() -> None:
        turns = Turns()
        gate = Noting(turns)
        service, _ = service_of(profile_of(kyc="enforce"), gate)  # type: ignore[arg-type]  # it counts nothing
        others = asyncio.ensure_future(turns.take())
        many = [{**GOOD, "customer": f"A-{at}", "bureau": []} for at in range(MANY)]
        recorded = await service.decide_many(KEYS["one"], key="k", applications=many)
        others.cancel()
        assert len(json.loads(recorded.response)["results"]) == MANY
        assert len(set(gate.asked)) == len(gate.asked) == MANY

    asyncio.run(main())


def test_what_was_read_of_a_refused_application_is_not_kept_until_all_are_answered() -> None:
    """Its refusal would keep it: ten kilobytes of short fields take ten times as much once they are read."""
    unknown = b",".join(b'"x%d":1' % at for at in range(8000))
    wrong = BODY[:-1] + b",%b}" % unknown

    async def main() -> None:
        service = house().door.service
        await service.decide_many(KEYS["one"], key="one", applications=[wrong])
        tracemalloc.start()
        recorded = await service.decide_many(KEYS["one"], key="many", applications=[wrong] * 12)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert {it["problem"]["status"] for it in json.loads(recorded.response)["results"]} == {422}
        assert peak < 50 * len(wrong)  # of a few at a time

    run(main())


def test_an_application_that_is_too_long_is_refused_before_it_is_searched_for_numbers_of_cards() -> None:
    long = b'{"note":"%b"}' % b"4111 1111 1111 1111 " * (1 << 16)

    async def main() -> None:
        recorded = await house().door.service.decide_many(KEYS["one"], key="long", applications=[long])
        (result,) = json.loads(recorded.response)["results"]
        assert "1048576 bytes" in result["problem"]["detail"]

    run(main())

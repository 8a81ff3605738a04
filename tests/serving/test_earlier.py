"""A key stands for its decision for ever: also where what is in force now could not decide on the request."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.lending import NOON, Clock, caller, lending
from tests.serving import golden_decisions as golden

from obligor.core.errors import ApplicationError, KeyReusedError, LimitedError, UnavailableError
from obligor.core.policy import parse_policy
from obligor.serving.releases.releasing import activate

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.lending import Lender

    from obligor.serving.acts import Recorded
    from obligor.serving.releases.release import Release

FIRST, SECOND = golden.applications(2)
BANK = caller("bank")


def reading_more() -> Release:
    """A release that reads a field which applications of before do not have."""
    made = golden.release_of()
    said = json.loads(made.policy.to_json())
    said["columns"]["deposit"] = {"type": "number"}
    said["knockouts"].append({"name": "no_deposit", "when": "deposit <= 0", "outcome": "refer"})
    return golden.compile_release(
        8, card=made.card, policy=parse_policy(json.dumps(said).encode()), profile=made.profile
    )


async def put_in_force(lender: Lender, made: Release) -> None:
    await activate(
        card=made.card, policy=made.policy, profile=made.profile, by="ada", archive=lender.archive,
        recorder=lender.recorder, key=lender.key, sources=lender.sources,
    )  # fmt: skip


def one(lender: Lender, application: object, *, key: str = "k") -> Awaitable[Recorded]:
    return lender.service.decide(BANK, key=key, application=json.dumps(application).encode())


def many(lender: Lender, *applications: Any) -> Awaitable[Recorded]:
    return lender.service.decide_many(BANK, key="b", applications=[json.dumps(it).encode() for it in applications])


BOTH: dict[str, Any] = {
    "one": lambda lender: one(lender, FIRST),
    "many": lambda lender: many(lender, FIRST, {"customer": "c9"}, SECOND),
}


@pytest.mark.parametrize("ask", BOTH.values(), ids=BOTH)
@pytest.mark.parametrize("sealed", [True, False])
def test_a_request_that_is_sent_again_after_another_card_came_is_answered_with_the_same_bytes(
    store_url: str, ask: Any, *, sealed: bool
) -> None:
    """The client heard nothing, and meanwhile the lender put in force what reads one more field."""

    async def asked() -> tuple[Recorded, Recorded, int]:
        async with lending(store_url, sealed=sealed) as lender:
            first = await ask(lender)
            await put_in_force(lender, reading_more())
        async with lending(store_url, sealed=sealed) as lender:
            with pytest.raises(ApplicationError, match="deposit"):
                await one(lender, FIRST, key="new")
            return first, await ask(lender), (await lender.archive.newest_release())

    first, again, newest = asyncio.run(asked())
    assert newest == 2
    assert b'"application_id":"c0"' in first.response
    assert (again.response, again.status, again.replayed) == (first.response, first.status, True)


def test_many_of_which_the_card_of_now_reads_some_are_answered_as_before(store_url: str) -> None:
    """Those that it reads would be decided on again, and the rest refused."""
    third = SECOND | {"deposit": 5}

    async def asked() -> tuple[Recorded, Recorded]:
        async with lending(store_url) as lender:
            first = await many(lender, FIRST, third)
            await put_in_force(lender, reading_more())
        async with lending(store_url) as lender:
            again = await many(lender, FIRST, third)
            with pytest.raises(KeyReusedError):
                await many(lender, FIRST, third | {"deposit": 6})
            return first, again

    first, again = asyncio.run(asked())
    assert [sorted(it) for it in json.loads(first.response)["results"]] == [["decision"], ["problem"]]
    assert (again.response, again.replayed) == (first.response, True)


def test_another_application_under_the_key_gets_no_answer_of_before(store_url: str) -> None:
    async def asked() -> None:
        async with lending(store_url) as lender:
            await one(lender, FIRST)
            await many(lender, FIRST)
            await put_in_force(lender, reading_more())
        async with lending(store_url) as lender:
            for other in (SECOND, FIRST | {"amount": 1}, {}, []):
                with pytest.raises(ApplicationError):
                    await one(lender, other)
            assert b"decision_id" not in (await many(lender, SECOND)).response
            with pytest.raises(ApplicationError):
                await lender.service.decide(caller("broker"), key="k", application=FIRST)

    asyncio.run(asked())


@pytest.mark.parametrize("ask", BOTH.values(), ids=BOTH)
def test_a_request_that_is_sent_again_once_the_profile_is_over_is_answered_as_before(store_url: str, ask: Any) -> None:
    clock = Clock()
    made = golden.release_of()
    profile = made.profile.model_copy(update={"effective_from": NOON, "expires_at": NOON + timedelta(hours=1)})
    brief = golden.compile_release(1, card=made.card, policy=made.policy, profile=profile)

    async def asked() -> tuple[Recorded, Recorded]:
        async with lending(store_url, clock=clock, made=brief) as lender:
            first = await ask(lender)
            clock.now += timedelta(hours=2)
            with pytest.raises(UnavailableError, match="no longer in force"):
                await one(lender, FIRST, key="new")
            return first, await ask(lender)

    first, again = asyncio.run(asked())
    assert (again.response, again.replayed) == (first.response, True)


def test_one_of_a_person_sent_again_beyond_the_limit_is_answered_as_before(store_url: str) -> None:
    async def asked() -> tuple[Recorded, Recorded]:
        async with lending(store_url) as lender:
            first = await one(lender, FIRST)
            await many(lender, *[FIRST] * 60)
            with pytest.raises(LimitedError):
                await one(lender, FIRST, key="new")
            return first, await one(lender, FIRST)

    first, again = asyncio.run(asked())
    assert (again.response, again.replayed) == (first.response, True)


def test_many_of_one_person_sent_again_beyond_the_limit_are_answered_as_before(store_url: str) -> None:
    """All of them are held up now, though most were decided on."""
    same = [FIRST] * 60

    async def asked() -> tuple[Recorded, Recorded]:
        async with lending(store_url) as lender:
            return await many(lender, *same), await many(lender, *same)

    first, again = asyncio.run(asked())
    results = json.loads(first.response)["results"]
    assert {name for it in results for name in it} == {"decision", "problem"}
    assert (again.response, again.replayed) == (first.response, True)

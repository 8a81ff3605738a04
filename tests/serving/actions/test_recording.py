"""A lender says what it did beside a decision: once, of its own, of what stands; and what it offered is sealed."""

from __future__ import annotations

import asyncio
import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.adapters.store.test_privacy import everything, verified
from tests.lending import KEY, NOON, caller, person
from tests.serving.overrides.desk import APPLICATIONS, APPROVED, BEN, DECLINED, REFERRED, Desk, at_desk
from tests.stores import as_owner

from obligor.adapters.store.actions import PostgresActions
from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.core.errors import (
    ApplicationError,
    ClashError,
    ErasedError,
    ForbiddenError,
    GateError,
    KeyReusedError,
    NotFoundError,
)
from obligor.governance.law.packs import the_packs
from obligor.serving.actions.recording import ActionService
from obligor.serving.privacy.erasing import Office

if TYPE_CHECKING:
    from uuid import UUID

    from obligor.serving.actions.action import Followed

TODAY = NOON.date()
BANK, BROKER = caller("bank"), caller("broker")
AMOUNT = 4711.25
OFFER: dict[str, Any] = {
    "terms": {"amount": AMOUNT},
    "rate": 0.0853,
    "offered_on": TODAY.isoformat(),
    "respond_by": (TODAY + timedelta(days=20)).isoformat(),
}
ANSWER = {"accepted": False, "answered_on": TODAY.isoformat()}
LACKING = {"fields": ["income", "applicant_address"], "respond_by": (TODAY + timedelta(days=20)).isoformat()}


def serving(it: Desk) -> ActionService:
    return ActionService(
        register=it.lender.register,
        answers=it.lender.archive,
        actions=PostgresActions(it.pool),
        recorder=it.lender.recorder,
        sources=it.lender.sources,
    )


async def offered(it: Desk, decision: UUID, *, by: Any = BANK, key: str = "a-1", **more: Any) -> dict[str, Any]:
    done = await serving(it).offer(by, key=key, decision_id=decision, body=json.dumps(OFFER | more).encode())
    told: dict[str, Any] = json.loads(done.response)
    return told


async def answered(it: Desk, decision: UUID, *, by: Any = BANK, key: str = "b-1", **more: Any) -> dict[str, Any]:
    done = await serving(it).answer(by, key=key, decision_id=decision, body=json.dumps(ANSWER | more).encode())
    told: dict[str, Any] = json.loads(done.response)
    return told


async def lacking(it: Desk, decision: UUID, *, by: Any = BANK, key: str = "c-1", **more: Any) -> dict[str, Any]:
    done = await serving(it).incomplete(by, key=key, decision_id=decision, body=json.dumps(LACKING | more).encode())
    told: dict[str, Any] = json.loads(done.response)
    return told


async def followed(it: Desk, *, client: str | None = None) -> list[Followed]:
    return list(await PostgresActions(it.pool).followed(since=NOON - timedelta(days=1), client_id=client))


def test_a_counter_offer_and_its_answer_are_acts_that_verify_and_say_nothing_of_what_was_offered(
    store_url: str,
) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(DECLINED)
        first = await offered(it, decision)
        assert (first["step"], first["done_on"], first["until"]) == (
            "offered",
            OFFER["offered_on"],
            OFFER["respond_by"],
        )
        assert await offered(it, decision) == first  # the same request again is answered again
        assert (await answered(it, decision))["step"] == "not_accepted"
        told = await serving(it).actions(BANK, decision)
        assert [it["step"] for it in told] == ["offered", "not_accepted"]
        assert all("terms" not in it for it in told)
        (found,) = [each for each in await followed(it) if each.decision_id == decision]
        assert (found.offered_on, found.accepted, found.incomplete) == (TODAY, False, False)

    at_desk(store_url, story)
    assert verified(store_url) == []
    assert b"4711" not in everything(store_url)
    assert b"0.0853" not in everything(store_url)
    with psycopg.connect(store_url) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index")]
    assert kinds[-2:] == ["offer.made", "offer.answered"]


@pytest.mark.parametrize("column", ["done_on = done_on + 1", "until = until + 1", "by = 'client:broker'"])
def test_a_row_that_was_changed_is_found(store_url: str, column: str) -> None:
    async def story(it: Desk) -> None:
        await offered(it, await it.decided(DECLINED))

    at_desk(store_url, story)
    with psycopg.connect(as_owner(store_url)) as connection:
        connection.execute(f"UPDATE obligor.action SET {column}".encode())
    assert any("table action" in it for it in verified(store_url))


def test_each_is_said_once_and_an_offer_is_answered_only_where_one_was_made(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, waiting = await it.decided(DECLINED), await it.decided(REFERRED)
        with pytest.raises(ClashError, match="no counter-offer was made"):
            await answered(it, decision)
        await offered(it, decision)
        with pytest.raises(ClashError, match="was made of this decision before"):
            await offered(it, decision, key="a-2")
        with pytest.raises(KeyReusedError):
            await offered(it, decision, rate=0.2)
        await answered(it, decision, accepted=True)
        with pytest.raises(ClashError, match="was answered before"):
            await answered(it, decision, key="b-2")
        assert (await lacking(it, waiting))["step"] == "incomplete"
        with pytest.raises(ClashError, match="was said before"):
            await lacking(it, waiting, key="c-2")

    at_desk(store_url, story)


@pytest.mark.parametrize("which", ["offer", "answer", "incomplete"])
def test_of_two_who_say_it_at_once_one_is_refused(store_url: str, which: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(REFERRED if which == "incomplete" else DECLINED)
        if which == "answer":
            await offered(it, decision)
        say = {"offer": offered, "answer": answered, "incomplete": lacking}[which]
        more: list[dict[str, Any]] = [{"accepted": True}, {"accepted": False}] if which == "answer" else [{}, {}]
        done = await asyncio.gather(
            *(say(it, decision, key=f"k-{at}", **each) for at, each in enumerate(more)), return_exceptions=True
        )
        assert sorted(type(each).__name__ for each in done) == ["ClashError", "dict"], done

    at_desk(store_url, story)
    assert verified(store_url) == []


def test_of_another_clients_decision_there_is_none_and_who_may_not_say_it_is_refused(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, waiting = await it.decided(DECLINED), await it.decided(REFERRED)
        for by in (BROKER, BEN):  # an analyst says it of their own decisions
            for work in (offered(it, decision, by=by), answered(it, decision, by=by), lacking(it, waiting, by=by)):
                with pytest.raises(NotFoundError):
                    await work
            with pytest.raises(NotFoundError):
                await serving(it).actions(by, decision)
        for by in (person("vera", "auditor"), person("rob", "risk_officer")):
            with pytest.raises(ForbiddenError):
                await offered(it, decision, by=by)
        assert (await offered(it, decision, by=person("sue", "senior_officer")))["step"] == "offered"
        assert [each.decision_id for each in await followed(it, client="broker")] == []

    at_desk(store_url, story)


def test_other_terms_are_offered_only_in_place_of_what_stands_as_a_decline(store_url: str) -> None:
    async def story(it: Desk) -> None:
        for which, stands in ((APPROVED, "approve"), (REFERRED, "refer")):
            with pytest.raises(ClashError, match=f"stands as {stands}"):
                await offered(it, await it.decided(which))
        referred = await it.decided(REFERRED)
        await it.override(referred, "decline")
        assert (await offered(it, referred, key="a-3"))["step"] == "offered"
        for decision in (referred, await it.decided(DECLINED)):
            with pytest.raises(ClashError, match="stands as decline"):
                await lacking(it, decision, key=str(decision))

    at_desk(store_url, story)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"terms": {}, "rate": None}, "terms"),
        ({"terms": {"no_such": 1}}, "terms"),
        ({"terms": {"amount": "CANARY-9 much"}}, "amount"),
        ({"rate": 0}, "rate"),
        ({"rate": 1.01}, "rate"),
        ({"offered_on": (TODAY + timedelta(days=1)).isoformat()}, "offered_on"),
        ({"offered_on": (TODAY - timedelta(days=1)).isoformat()}, "offered_on"),
        ({"offered_on": "CANARY-9"}, "offered_on"),
        ({"respond_by": (TODAY - timedelta(days=1)).isoformat()}, "respond_by"),
        ({"CANARY": 1}, ""),
    ],
)
def test_an_offer_that_cannot_be_is_refused_by_its_field_and_never_repeated(
    store_url: str, more: dict[str, Any], field: str
) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(DECLINED)
        with pytest.raises(ApplicationError) as caught:
            await offered(it, decision, **more)
        assert field in str(caught.value)
        assert "CANARY-9" not in str(caught.value)
        assert await serving(it).actions(BANK, decision) == []

    at_desk(store_url, story)


def test_terms_that_are_what_was_applied_for_are_no_counter_offer_but_another_rate_is(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(DECLINED)
        (opened,) = await it.lender.register.opener.open(await it.lender.register.found(BANK, decision))
        same = {"amount": opened.whole()["input"]["amount"]}
        with pytest.raises(ApplicationError, match="other terms than were applied for"):
            await offered(it, decision, terms=same, rate=None)
        assert (await offered(it, decision, terms=same, key="a-2"))["step"] == "offered"

    at_desk(store_url, story)


@pytest.mark.parametrize(
    "more",
    [
        {"fields": []},
        {"fields": ["no_such"]},
        {"fields": ["income", "income"]},
        {"respond_by": TODAY.isoformat()},
        {"fields": "income"},
    ],
)
def test_what_is_missing_is_named_as_the_contract_does_and_asked_for_until_a_day_to_come(
    store_url: str, more: dict[str, Any]
) -> None:
    async def story(it: Desk) -> None:
        with pytest.raises(ApplicationError):
            await lacking(it, await it.decided(REFERRED), **more)

    at_desk(store_url, story)


@pytest.mark.parametrize("day", [TODAY - timedelta(days=1), TODAY + timedelta(days=1), date(2000, 1, 1)])
def test_an_answer_is_of_a_day_from_that_of_the_offer_to_today(store_url: str, day: date) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(DECLINED)
        await offered(it, decision)
        with pytest.raises(ApplicationError, match="answered_on"):
            await answered(it, decision, answered_on=day.isoformat())

    at_desk(store_url, story)


def test_who_was_erased_is_offered_nothing_more_and_what_was_offered_cannot_be_read(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision, other = await it.decided(DECLINED), await it.decided(REFERRED)
        await offered(it, decision)
        sealer, store = it.lender.register.sealer, PostgresPrivacy(it.pool)
        assert sealer is not None
        office = Office(store, it.lender.recorder, sealer.sources, "person:paul", retain_days=0)
        subject = await store.subject_of(decision) or b""
        register = it.lender.register
        exported = await office.export(subject, opener=register.opener, words=register.words)
        (told,) = exported["reviews"]
        assert (told["step"], told["terms"], told["rate"]) == ("offered", {"amount": AMOUNT}, OFFER["rate"])
        for each in (subject, await store.subject_of(other) or b""):
            await office.erase(each, key=KEY)
            sealer.forget(each)
        for work in (lacking(it, other), answered(it, decision)):
            with pytest.raises(ErasedError):
                await work
        assert await followed(it) == []  # nobody can write a notice of them
        (again,) = (await office.export(subject, opener=register.opener, words=register.words))["reviews"]
        assert again["erased"]
        assert "terms" not in again

    at_desk(store_url, story)
    assert verified(store_url) == []


def test_an_offer_is_kept_as_long_as_its_notice_may_be_of(store_url: str) -> None:
    """Regulation B counts 25 months from the notice, which is due 90 days after a counter-offer and not 30 after a decline."""

    async def story(it: Desk) -> None:
        decision, other = await it.decided(DECLINED), await it.decided(REFERRED)
        await it.override(other, "decline")
        await offered(it, decision)
        store = PostgresPrivacy(it.pool)
        office = Office(
            store, it.lender.recorder, it.lender.sources, "person:paul", retain_days=0, packs=(the_packs()["US-FED"],)
        )
        refused = {}
        for each in (decision, other):
            with pytest.raises(GateError, match=r"us\.reg-b\.1002\.12") as caught:
                await office.erase(await store.subject_of(each) or b"", key=KEY)
            refused[each] = str(caught.value)
        until = [date.fromisoformat(text.split("kept until ")[1][:10]) for text in refused.values()]
        assert timedelta(days=57) <= until[0] - until[1] <= timedelta(days=62)

    at_desk(store_url, story)


def test_an_incomplete_application_that_came_again_is_followed_no_longer(store_url: str) -> None:
    async def story(it: Desk) -> None:
        decision = await it.decided(REFERRED)
        assert await followed(it) == []
        await lacking(it, decision)
        (found,) = await followed(it)
        assert (found.decision_id, found.outcome, found.incomplete) == (decision, "refer", True)
        await it.lender.decide_one(APPLICATIONS[REFERRED], client="bank", key="again")
        assert await followed(it) == []

    at_desk(store_url, story)

"""What an applicant said is told back masked, and in the clear only to who may, for a purpose that the log keeps."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from tests.adapters.store.test_privacy import CANARY, House, at_work, everything, verified
from tests.lending import caller

from obligor.adapters.store.people import PostgresPeople
from obligor.adapters.store.proposals import PostgresProposals
from obligor.core.errors import (
    ApplicationError,
    ErasedError,
    ForbiddenError,
    KeyReusedError,
    NotFoundError,
    TooLargeError,
)
from obligor.serving.acts import Caller
from obligor.serving.people.proposals import Proposals
from obligor.serving.privacy.masking import FIELDS, HIDDEN
from obligor.serving.revealing import RevealService

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED = {"fields": ["customer", "bureau"], "purpose": "the applicant called about case 7"}


def person(*roles: str, strong: bool = True, name: str = "eve") -> Caller:
    until = caller("bank").expires_at
    return Caller(f"person:{name}", "", frozenset(), until, "person", frozenset(roles), name, strong=strong)


def _reveals(house: House) -> RevealService:
    lender = house.lender
    archive, kept, people = lender.archive, PostgresProposals(house.pool), PostgresPeople(house.pool)
    proposals = Proposals(kept, people, lender.recorder, lender.sources)
    return RevealService(register=house.register, answers=archive, proposals=proposals)


def _revealed(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT record.body FROM obligor.record JOIN obligor.leaf ON index = leaf_index WHERE kind = 'revealed'"
        )
        return [json.loads(row[0]) for row in rows]


def test_a_field_is_revealed_for_a_purpose_and_no_value_is_kept(store_url: str) -> None:
    async def work(house: House) -> None:
        reveals, officer = _reveals(house), person("privacy_officer")
        decision = UUID((await house.decide())["decision_id"])
        for replayed in (False, True):
            recorded = await reveals.reveal(officer, key="r1", decision_id=decision, body=json.dumps(ASKED).encode())
            assert recorded.replayed == replayed
            told = json.loads(recorded.response)
            assert told["values"] == {"customer": CANARY, "bureau": [{"at": "2026-01-01", "balance": 987654.25}]}
            assert told["receipt"]["leaf_index"] == recorded.leaf_index
        with pytest.raises(KeyReusedError):
            await reveals.reveal(officer, key="r1", decision_id=decision, body=ASKED | {"purpose": "another"})

    at_work(store_url, work)
    (act,) = _revealed(store_url)
    assert (act["fields"], act["purpose"], act["by"]) == (ASKED["fields"], ASKED["purpose"], "person:eve")
    found = everything(store_url)
    assert CANARY.encode() not in found
    assert b"987654.25" not in found
    assert verified(store_url) == []


def test_who_may_not_reveal_sees_nothing_and_nothing_is_recorded(store_url: str) -> None:
    async def work(house: House) -> None:
        reveals = _reveals(house)
        decision = UUID((await house.decide())["decision_id"])
        refused: list[tuple[Caller, type[Exception]]] = [
            (caller("bank"), ForbiddenError),
            (person("auditor"), ForbiddenError),
            (person("privacy_officer", strong=False), ForbiddenError),
            (person("analyst"), NotFoundError),
        ]
        for who, error in refused:
            with pytest.raises(error):
                await reveals.reveal(who, key="r1", decision_id=decision, body=ASKED)
        with pytest.raises(NotFoundError):
            await reveals.reveal(person("privacy_officer"), key="r1", decision_id=UUID(int=7), body=ASKED)

    at_work(store_url, work)
    assert _revealed(store_url) == []


def test_compliance_sees_a_field_once_another_person_has_agreed_who_sees_nothing(store_url: str) -> None:
    async def work(house: House) -> None:
        reveals, cora = _reveals(house), person("compliance")
        decision = UUID((await house.decide())["decision_id"])

        async def ask(key: str, **changed: Any) -> Any:
            recorded = await reveals.reveal(cora, key=key, decision_id=decision, body=ASKED | changed)
            return recorded.status, json.loads(recorded.response)

        async def by_eric(_permission: str) -> Caller:
            return person("compliance", name="eric")

        status, told = await ask("r1")
        assert (status, told["state"], told["said"]["fields"]) == (202, "proposed", ASKED["fields"])
        assert await ask("r1") == (202, told)  # sent again, it is the same proposal
        proposals = Proposals(
            PostgresProposals(house.pool), PostgresPeople(house.pool), house.lender.recorder, house.lender.sources
        )
        await proposals.agree(told["proposal_id"], naming=by_eric)
        assert (await ask("r2", purpose="something else"))[0] == 202  # which nobody agreed to
        status, shown = await ask("r3")
        assert (status, shown["values"]["customer"]) == (201, CANARY)
        assert (await ask("r4"))[0] == 202  # and once is once

    at_work(store_url, work)
    assert len(_revealed(store_url)) == 1
    assert CANARY.encode() not in everything(store_url)
    assert verified(store_url) == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        {},
        {"fields": [], "purpose": "a reason"},
        {"fields": ["customer"]},
        {"fields": ["customer"], "purpose": "  "},
        {"fields": ["customer"], "purpose": "two\nlines"},
        {"fields": ["customer", "customer"], "purpose": "a reason"},
        {"fields": ["shoe size"], "purpose": "a reason"},
        {"fields": ["customer"], "purpose": "a reason", "values": True},
        {"fields": ["customer"], "purpose": "card 4111 1111 1111 1111"},
    ],
)
def test_a_reveal_without_its_fields_or_its_purpose_is_refused(store_url: str, body: Any) -> None:
    async def work(house: House) -> None:
        decision = UUID((await house.decide())["decision_id"])
        with pytest.raises(ApplicationError) as refused:
            await _reveals(house).reveal(person("privacy_officer"), key="r1", decision_id=decision, body=body)
        assert "4111" not in str(refused.value)

    at_work(store_url, work)
    assert _revealed(store_url) == []


def test_a_reveal_that_is_too_long_is_not_read(store_url: str) -> None:
    async def work(house: House) -> None:
        decision = UUID((await house.decide())["decision_id"])
        with pytest.raises(TooLargeError):
            await _reveals(house).reveal(
                person("privacy_officer"), key="r1", decision_id=decision, body=b" " * (1 << 15)
            )

    at_work(store_url, work)


def test_an_application_is_read_back_masked_or_without_whose_it_is_and_not_at_all_once_erased(store_url: str) -> None:
    async def work(house: House) -> None:
        reveals = _reveals(house)
        answer, other = await house.decide(), await house.decide(key="k2")
        decision = UUID(answer["decision_id"])
        read = await reveals.application(caller("bank"), decision)
        assert read["application"]["customer"] == "***731"
        assert read["application"]["bureau"] == {"rows": 1}
        assert read["classes"]["customer"] == "identifier"
        with pytest.raises(ForbiddenError):
            await reveals.application(caller("bank"), decision, view="pseudonymised")
        with pytest.raises(NotFoundError):
            await reveals.application(caller("broker"), decision)
        tags = [
            (await reveals.application(person("validator"), UUID(it["decision_id"]), view="pseudonymised"))[
                "application"
            ]["customer"]
            for it in (answer, other)
        ]
        assert tags[0] == tags[1] != CANARY
        told = await house.register.decision(person("auditor"), decision)
        assert told == answer | {"application_id": "***731"}
        explained = await house.register.explanation(person("senior_officer"), decision)
        assert explained["application_id"] == "***731"
        assert HIDDEN in {it["bin"] for it in explained["contributions"]}
        await house.erase(await house.subject(answer["decision_id"]))
        for asking in (
            reveals.application(caller("bank"), decision),
            reveals.reveal(person("privacy_officer"), key="r", decision_id=decision, body=ASKED),
        ):
            with pytest.raises(ErasedError):
                await asking

    at_work(store_url, work)


def _names(said: Any) -> Iterator[str]:
    if isinstance(said, list):
        for it in said:
            yield from _names(it)
    elif isinstance(said, dict):
        for name, it in said.items():
            yield name
            if name not in ("input", "corrections", "gates", "values", "given"):
                yield from _names(it)


def test_every_field_of_what_a_person_is_told_of_themselves_is_classified(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        told = await house.office.export(subject, opener=house.register.opener, words=house.register.words)
        assert set(_names(told)) <= set(FIELDS)

    at_work(store_url, work)

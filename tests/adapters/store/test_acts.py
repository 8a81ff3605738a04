"""Who reads which acts of the audit log: their own, those of the areas of their role, or all; by pages, and by time."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from msgspec import structs
from tests.lending import caller, person
from tests.stores import NOW, submission

from obligor.adapters.store.pool import Pool
from obligor.adapters.store.proofs import PostgresLog
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import ForbiddenError
from obligor.security.permissions import permissions
from obligor.serving.acts import Act, Submission
from obligor.serving.audit import acts
from obligor.serving.audit.acts import Span, read_acts
from obligor.serving.rows import ProposalRow

if TYPE_CHECKING:
    from obligor.serving.acts import Caller
    from obligor.serving.audit.acts import Page

LATER = NOW + timedelta(days=7)
DONE = (
    ("release", "rose"),  # 0
    ("user.added", "ada"),
    ("review.decided", "sue"),
    ("act.proposed", "ada", "release"),
    ("act.agreed", "rose", "user.added"),
    ("hold.placed", "peter"),  # 5
    ("alert.cleared", "carl"),
    ("refused", "ben"),
    ("profile.approved", "carl"),
    ("outcome", "client:bank"),
    ("released", "carl"),  # 10: an area is a whole word
)
EVERY = list(range(len(DONE)))


def done(at: int, kind: str, by: str, proposed: str = "") -> Submission:
    """An act, a minute after the one before."""
    when, id_ = NOW + timedelta(minutes=at), f"p{at}"
    row = ProposalRow(id_, kind.removeprefix("act."), proposed, f'"{at}"', "", by, LATER, when, by)  # type: ignore[arg-type]
    actor = by if by.startswith("client:") else f"person:{by}"
    return Submission((Act(kind, when, actor, id_, b"{}", os.urandom(16), (row,) if proposed else ()),), lambda _: b"")


def pages(url: str, caller: Caller, span: Span = Span(), *, many: int = 1) -> list[Page]:  # noqa: B008  a value
    async def read() -> list[Page]:
        pool, found, wanted = Pool(url), [], span
        try:
            for _ in range(many):
                found.append(await read_acts(PostgresLog(pool), caller, wanted))
                wanted = wanted._replace(before=found[-1].next)
        finally:
            await pool.close()
        return found

    return asyncio.run(read())


def seen(page: Page) -> list[int]:
    return [it["leaf_index"] for it in page.acts]


@pytest.fixture
def url(store_url: str) -> str:
    """A store in which people did what they do."""

    async def fill() -> None:
        async with PostgresRecorder(store_url) as recorder:
            for at, act in enumerate(DONE):
                await recorder.record(done(at, *act))

    asyncio.run(fill())
    return store_url


@pytest.mark.parametrize(
    ("who", "role", "wanted"),
    [
        ("ben", "analyst", [7]),
        ("sue", "senior_officer", [2]),  # no team is known
        ("mia", "model_developer", []),
        ("val", "validator", [0, 3]),
        ("rose", "risk_officer", [0, 3, 4]),
        ("fay", "fair_lending", [0, 3]),
        ("peter", "privacy_officer", [5]),
        ("ada", "admin", [1, 3, 4, 7]),
        ("carl", "compliance", EVERY),
        ("eve", "auditor", EVERY),
    ],
)
def test_each_role_reads_its_own_acts_and_those_of_its_areas(url: str, who: str, role: str, wanted: list[int]) -> None:
    (page,) = pages(url, person(who, role))
    assert (seen(page), page.next) == (wanted[::-1], None)


@pytest.mark.parametrize("role", ["operator", "los"])
def test_who_has_no_part_in_it_reads_none(url: str, role: str) -> None:
    with pytest.raises(ForbiddenError, match="this needs the role"):
        pages(url, person("oz", role))


def test_every_role_of_the_table_was_asked() -> None:
    assert len(permissions().roles) == 12


def test_an_act_says_who_did_what_and_when_and_nothing_of_what_was_done(url: str) -> None:
    (page,) = pages(url, person("sue", "senior_officer"))
    wanted = {"leaf_index": 2, "at": "2026-11-26T12:02:00.000000Z", "by": "person:sue"}
    assert page.to_plain() == {"acts": [wanted | {"kind": "review.decided", "about": "p2"}], "next_cursor": None}


def test_roles_add_up_and_a_client_called_like_a_person_is_another(url: str) -> None:
    both = replace(person("val", "validator"), roles=frozenset({"validator", "privacy_officer"}))
    assert seen(pages(url, both)[0]) == [5, 3, 0]
    assert seen(pages(url, person("bank", "analyst"))[0]) == []
    with pytest.raises(ForbiddenError):
        pages(url, replace(caller("bank"), scopes=frozenset(permissions().scopes)))


def test_acts_are_of_a_time_closed_at_its_beginning_and_open_at_its_end(url: str) -> None:
    minute = [NOW + timedelta(minutes=it) for it in range(20)]
    everybody = person("eve", "auditor")
    assert seen(pages(url, everybody, Span(minute[2], minute[5]))[0]) == [4, 3, 2]
    assert seen(pages(url, everybody, Span(minute[9]))[0]) == [10, 9]
    assert seen(pages(url, everybody, Span(None, minute[1]))[0]) == [0]
    for none in (Span(minute[19]), Span(minute[5], minute[2]), Span(None, NOW), Span(before=0)):
        assert pages(url, everybody, none)[0] == ([], None)
    assert seen(pages(url, everybody, Span(before=99))[0]) == EVERY[::-1]


def test_a_page_looks_at_so_many_and_the_next_goes_on_where_it_ended(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "MOST_LOOKED_AT", 4)
    found = pages(url, person("rose", "risk_officer"), many=3)
    assert [(seen(it), it.next) for it in found] == [([], 7), ([4, 3], 3), ([0], None)]
    monkeypatch.setattr(acts, "MOST_ACTS", 3)
    found = pages(url, person("eve", "auditor"), Span(NOW + timedelta(minutes=4)), many=3)
    assert [(seen(it), it.next) for it in found] == [([10, 9, 8], 8), ([7, 6, 5], 5), ([4], None)]


def test_of_a_log_without_an_act_there_is_none(store_url: str) -> None:
    assert pages(store_url, person("eve", "auditor"), Span(NOW, LATER))[0] == ([], None)


def test_own_decisions_are_own_acts(store_url: str) -> None:
    async def fill() -> None:
        async with PostgresRecorder(store_url) as recorder:
            await recorder.record(submission(client="bank"))
            made = submission(client="person:ben")
            acts = tuple(structs.replace(it, by="person:ben") for it in made.acts)
            await recorder.record(structs.replace(made, acts=acts))

    asyncio.run(fill())
    assert seen(pages(store_url, person("ben", "analyst"))[0]) == [1]

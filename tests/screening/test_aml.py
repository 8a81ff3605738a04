from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.screening.lists import SNAPSHOT

from obligor.core.application import Application
from obligor.screening.aml import AmlGate, Said
from obligor.screening.screener import Screener

AT = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATE = datetime(2027, 1, 26, 12, tzinfo=UTC)
SCREENER = Screener(SNAPSHOT)


def said(screener: Screener | None = SCREENER, *, at: datetime = AT, **fields: object) -> Said:
    gate = AmlGate(screener, names=("first_name", "last_name"), born="birth_date")
    return asyncio.run(gate.evaluate(Application(fields, {}), at=at))


def test_an_applicant_on_the_list_fails_and_another_passes() -> None:
    assert said(first_name="Oleg", last_name="Korvand").result == "fail"
    assert said(first_name="Jane", last_name="Example").result == "pass"
    assert said(last_name="El Martillo", birth_date="1990-01-01").result == "pass"
    assert said(last_name="El Martillo", birth_date="1952-03-12").result == "fail"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"first_name": None, "last_name": None},
        {"first_name": " ", "last_name": "\u200b"},
        {"first_name": 7, "last_name": ["Korvand"]},
        {"first_name": "Jane", "last_name": "Example " * 1250},
        {"last_name": "Example", "birth_date": "01.02.1970"},
    ],
)
def test_an_applicant_who_cannot_be_compared_does_not_pass(fields: dict[str, object]) -> None:
    assert said(**fields) == ("pending", {"trouble": "not_comparable"})


def test_nobody_passes_without_a_list_or_on_one_that_is_too_old() -> None:
    assert said(None, last_name="Example") == ("pending", {"trouble": "no_list"})
    assert said(last_name="Example", at=LATE).result == "pending"
    assert said(Screener(replace(SNAPSHOT, published=None)), last_name="Example").result == "pending"
    assert said(last_name="Korvand", first_name="Oleg", at=LATE).result == "fail"  # a hit counts on an old list too


def test_the_evidence_pins_the_list_and_tells_nothing_of_a_hit() -> None:
    hit, none = said(first_name="Oleg", last_name="Korvand"), said(first_name="Jane", last_name="Example")
    assert hit.evidence == none.evidence
    assert hit.evidence["list_sha256"] == SNAPSHOT.sha256
    assert "korvand" not in json.dumps(hit.evidence).lower()

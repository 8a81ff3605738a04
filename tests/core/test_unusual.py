"""A value that nobody expected is scored in the bin declared for it, and told by its field."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_scorer import CARD, PLAIN

from obligor.core.application import Form, form_of
from obligor.core.columns import Column
from obligor.core.scorer import compile_card
from obligor.core.unusual import Watch

SCORER = compile_card(CARD)
COLUMNS = {
    "income": Column(type="number", min=0, max=1e6, special={-1.0: "refused"}, missing=("-99",)),
    "born_on": Column(type="date", max=date(2010, 1, 1)),
    "applied_on": Column(type="date", max=date(2020, 1, 1), role=("applied_at",), required=True),
    "purpose": Column(type="text", case="lower", map={"auto": "car"}, levels=("car", "home"), special={"x": "none"}),
}


def unusual(**fields: Any) -> tuple[str, ...]:
    form = Form({**CARD.applications.columns, **COLUMNS}, (), {}, {}, ())
    whole = PLAIN | fields
    return Watch.of(form, CARD).unusual(whole, SCORER.score(whole).bins)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({}, ()),
        ({"income": -2.0}, ("income: below the lowest value that the contract expects",)),
        ({"income": 1e6 + 1}, ("income: above the highest value that the contract expects",)),
        ({"income": 0.0}, ()),
        ({"income": -1.0}, ()),  # a code is no value
        ({"income": -99.0}, ()),
        ({"income": None, "purpose": None, "born_on": None}, ()),
        ({"born_on": date(2010, 1, 2)}, ("born_on: above the highest value that the contract expects",)),
        ({"purpose": " AUTO"}, ()),
        ({"purpose": "X"}, ("purpose: a category that the card has never seen",)),
        ({"purpose": "boat"}, ("purpose: none of the categories that the contract expects",)),
        ({"purpose": "yacht"}, ("purpose: none of the categories that the contract expects",)),
        (
            {"income": -5.0, "purpose": "yacht"},
            (
                "income: below the lowest value that the contract expects",
                "purpose: none of the categories that the contract expects",
            ),
        ),
    ],
)
def test_what_is_unusual_is_told_by_its_field(fields: dict[str, Any], wanted: tuple[str, ...]) -> None:
    assert unusual(**fields) == wanted


@given(st.text(max_size=8).filter(lambda it: len(it.strip()) > 2))
def test_no_value_is_ever_told(purpose: str) -> None:
    told = " ".join(unusual(purpose=purpose)).removeprefix("purpose: ")
    assert told in ("", "none of the categories that the contract expects")


def test_what_is_refused_is_never_flagged() -> None:
    income = COLUMNS["income"].model_copy(update={"beyond": "refuse"})
    form = Form({**CARD.applications.columns, "income": income}, (), {}, {}, ())
    assert not Watch.of(form, CARD).ranges


def test_a_card_that_has_seen_every_level_and_has_no_limits_finds_nothing_unusual() -> None:
    watch = Watch.of(form_of(SCORER), CARD)
    assert watch.unusual(PLAIN, SCORER.score(PLAIN).bins) == ()
    strange = PLAIN | {"purpose": "yacht", "income": 1e15}
    assert watch.unusual(strange, SCORER.score(strange).bins) == ("purpose: a category that the card has never seen",)

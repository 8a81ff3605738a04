"""Ratios are proposed where they tell what the card does not know, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.clauses import CardScale
from obligor.core.expressions import parse_expression
from obligor.core.grammar import quote_name
from obligor.models.columns import Rows
from obligor.models.ratios import ProposedRatio, pairs_of, propose_ratios
from obligor.models.scaling import score_column

SCALE = CardScale()


def tape(seed: int, *, ratio: float, rows: int = 12000) -> tuple[dict[str, np.ndarray], np.ndarray, Rows]:
    """Loans whose card knows debt and income each alone; the truth also knows how they stand to each other."""
    random = np.random.default_rng(seed)
    income, debt = np.exp(random.normal(10, 0.6, rows)), np.exp(random.normal(8, 0.9, rows))
    noise = random.normal(50, 10, (3, rows))
    known = -1.4 + 0.3 * (np.log(debt) - 8) - 0.3 * (np.log(income) - 10)
    burden = debt / income > 0.35
    risk = known + ratio * (burden - burden.mean())
    bad = (random.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.uint8)
    sample = np.array([0, 0, 0, 1, 2], dtype=np.uint8)[np.arange(rows) % 5]
    numbers = {"income": income, "debt": debt, "a": noise[0], "b": noise[1], "c d": noise[2]}
    return numbers, score_column(-known, scale=SCALE), Rows(bad, sample)


def propose(seed: int, *, ratio: float, known: tuple[str, ...] = ()) -> list[ProposedRatio]:
    numbers, scores, rows = tape(seed, ratio=ratio)
    return propose_ratios(numbers, scores, rows, scale=SCALE, most=3, known=known)


def test_the_planted_ratio_is_proposed_first_and_validation_bears_it_out() -> None:
    best = propose(1, ratio=1.2)[0]
    assert {best.numerator, best.denominator} == {"income", "debt"}
    assert best.expression == f"{best.numerator} / {best.denominator}"
    assert best.gain > 10
    assert best.folds >= 4
    assert best.validation_gain > 0


@pytest.mark.parametrize("seed", range(8))
def test_where_no_ratio_tells_more_none_is_proposed(seed: int) -> None:
    assert propose(seed, ratio=0.0) == []


def test_proposals_do_not_repeat_each_other() -> None:
    numbers, scores, rows = tape(2, ratio=1.5)
    numbers["twin"] = numbers["income"] * 1.01
    found = propose_ratios(numbers, scores, rows, scale=SCALE, most=5)
    assert len(found) == 1


def test_what_the_contract_has_already_is_not_proposed() -> None:
    assert propose(1, ratio=1.2, known=('"debt"/nullif(income,0)', "income / NULLIF(debt, 0)")) == []


def test_zeros_below_the_line_and_missing_values_are_cells_of_their_own() -> None:
    numbers, scores, rows = tape(3, ratio=1.2)
    random = np.random.default_rng(1)
    numbers["income"] = np.where(random.random(len(scores)) < 0.2, 0.0, numbers["income"])
    numbers["debt"] = np.where(random.random(len(scores)) < 0.1, np.nan, numbers["debt"])
    best = propose_ratios(numbers, scores, rows, scale=SCALE, most=1)[0]
    assert (best.numerator, best.denominator) == ("income", "debt")  # debt is seldomer nothing
    nothing = {name: np.full(len(scores), np.nan) for name in ("x", "y")}
    assert propose_ratios(nothing, scores, rows, scale=SCALE, most=1) == []
    assert propose_ratios({"x": numbers["a"]}, scores, rows, scale=SCALE, most=1) == []


def test_the_same_tape_gives_the_same_proposals() -> None:
    assert propose(1, ratio=1.2) == propose(1, ratio=1.2)


def test_progress_is_told_once_for_each_ratio() -> None:
    numbers, scores, rows = tape(1, ratio=1.2, rows=2000)
    told: list[float] = []
    propose_ratios(numbers, scores, rows, scale=SCALE, most=3, advance=told.append)
    assert sum(told) == pairs_of(len(numbers)) == 10


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=20))
def test_any_name_is_written_so_that_the_language_reads_it(name: str) -> None:
    written = f"{quote_name(name)} / {quote_name('x')}"
    if name.isprintable() and "\\" not in name:  # what the language refuses in a name, it refuses in quotes too
        assert set(parse_expression(written, columns={name: "number", "x": "number"}).columns) == {name, "x"}

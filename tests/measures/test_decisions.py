"""What a cut-off does, at one score and at all of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from obligor.core.errors import InvalidInputError
from obligor.measures.decisions import Book, Economy, at_cutoff, frontier, thin

ECONOMY = Economy(margin=0.1, lgd=0.5, cost_missed_default=5, cost_declined_good=1)


def book(rows: int, seed: int = 1) -> Book:
    random = np.random.default_rng(seed)
    score = random.integers(400, 700, rows) * 1000
    bad = (random.random(rows) < 0.3).astype(np.uint8)
    return Book(score, bad, random.integers(1, 4, rows).astype(float), random.uniform(100, 900, rows))


def test_a_cutoff_agrees_with_scikit_learn() -> None:
    whole = book(500)
    declined = whole.score < 550_000
    found = at_cutoff(whole, 550_000, economy=ECONOMY)
    for name, score in (
        ("precision", precision_score),
        ("recall", recall_score),
        ("f1", f1_score),
        ("accuracy", accuracy_score),
    ):
        assert getattr(found, name) == pytest.approx(score(whole.bad, declined, sample_weight=whole.weight)), name
    good = ~declined & (whole.bad == 0)
    lost = ~declined & (whole.bad == 1)
    earned = 0.1 * (whole.exposure * whole.weight)[good].sum() - 0.5 * (whole.exposure * whole.weight)[lost].sum()
    assert found.profit == pytest.approx(earned)
    assert found.cost == pytest.approx(5 * found.false_negatives + found.false_positives)


@given(st.integers(1, 60), st.integers(0, 1000))
def test_the_frontier_runs_from_everybody_to_nobody_and_passes_through_each_cutoff(rows: int, seed: int) -> None:
    whole = book(rows, seed)
    found = frontier(whole, economy=ECONOMY)
    assert found.approval_rate[0] == 1
    assert found.approval_rate[-1] == 0
    assert math.isnan(found.npl_rate[-1])
    assert found.profit[-1] == 0
    for at in (0, len(found.score) // 2, len(found.score) - 1):
        single = at_cutoff(whole, int(found.score[at]), economy=ECONOMY)
        assert found.approval_rate[at] == pytest.approx(single.approval_rate)
        assert found.npl_rate[at] == pytest.approx(single.npl_rate, nan_ok=True)
        assert found.profit[at] == pytest.approx(single.profit)
        assert found.cost[at] == pytest.approx(single.cost)


def test_a_thinned_frontier_keeps_its_ends() -> None:
    whole = frontier(
        Book(np.arange(5000), np.tile([0, 1], 2500).astype(np.uint8), np.ones(5000), np.ones(5000)), economy=ECONOMY
    )
    few = thin(whole)
    assert len(few.score) == 400
    assert (few.score[0], few.score[-1]) == (whole.score[0], whole.score[-1])


def test_missing_amounts_earn_nothing_and_rates_of_nobody_are_undefined() -> None:
    alone = Book(np.array([1]), np.array([1], dtype=np.uint8), np.ones(1), np.array([np.nan]))
    assert at_cutoff(alone, 0, economy=ECONOMY).profit == 0
    assert math.isnan(at_cutoff(alone, 2, economy=ECONOMY).npl_rate)
    with pytest.raises(InvalidInputError):
        Book(np.array([1]), np.array([1, 0], dtype=np.uint8), np.ones(1), np.ones(1))

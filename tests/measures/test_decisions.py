"""What a cut-off does, at one score and at all of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

from obligor.core.errors import InvalidInputError
from obligor.measures.decisions import Book, Economy, at_cutoff, break_even_pd, expected_earnings, frontier, thin

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


def test_three_loans_earn_by_hand_as_it_came_and_by_their_pds() -> None:
    economy = replace(ECONOMY, cost_per_loan=5.0)
    loans = Book(
        np.array([500, 600, 700]) * 1000,
        np.array([1, 0, 0], dtype=np.uint8),
        np.array([1.0, 1.0, 2.0]),
        np.array([100.0, 200.0, 300.0]),
        np.array([0.5, 0.2, 0.1]),
    )
    found = frontier(loans, economy=economy)
    # by outcome: -50-5, 20-5, 2 (30-5); by PD: 5-25-5, 16-20-5, 2 (27-15-5)
    assert found.profit.tolist() == pytest.approx([10, 65, 50, 0])
    assert found.expected_profit.tolist() == pytest.approx([-20, 5, 14, 0])
    assert found.bads_declined.tolist() == [0, 1, 1, 1]
    assert found.goods_declined.tolist() == [0, 0, 1, 3]
    single = at_cutoff(loans, 600_000, economy=economy)
    assert (single.profit, single.expected_profit) == pytest.approx((65, 5))
    assert math.isnan(at_cutoff(book(5), 0, economy=economy).expected_profit)  # a book without PDs


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 500), st.floats(1, 1e5))
def test_a_loan_at_its_break_even_pd_is_expected_to_earn_nothing(
    margin: float, lgd: float, each: float, amount: float
) -> None:
    economy = Economy(margin=margin, lgd=lgd, cost_missed_default=5, cost_declined_good=1, cost_per_loan=each)
    pd = break_even_pd(economy, amount)

    def expected(at: float) -> float:
        alone = Book(
            np.array([1]), np.array([0], dtype=np.uint8), np.ones(1), np.array([amount]), np.array([at], dtype=float)
        )
        return float(expected_earnings(alone, economy=economy)[0])

    assert 0 <= pd <= 1
    if 0 < pd < 1:
        assert expected(pd) == pytest.approx(0, abs=1e-9 * amount)
    elif pd == 0:
        assert expected(0.0) <= 1e-9 * amount
    else:
        assert expected(1.0) >= -1e-9 * amount
    assert break_even_pd(economy, 2 * amount) >= pd  # a larger loan bears its cost more easily


@pytest.mark.parametrize("amount", [0.0, -5.0, math.nan])
def test_an_amount_that_is_none_breaks_even_nowhere(amount: float) -> None:
    with pytest.raises(InvalidInputError, match="wanted one above 0"):
        break_even_pd(ECONOMY, amount)


def test_a_thinned_frontier_keeps_what_a_named_cutoff_does() -> None:
    whole = frontier(
        Book(np.arange(5000) * 3, np.tile([0, 1], 2500).astype(np.uint8), np.ones(5000), np.ones(5000)), economy=ECONOMY
    )
    for cutoff in (-1, 1001, 14_998, 99_999):
        few = thin(whole, cutoffs=[cutoff])
        above = whole.score[whole.score >= cutoff]
        wanted = above[0] if len(above) else whole.score[-1]
        assert wanted in few.score
        assert len(few.score) <= 401

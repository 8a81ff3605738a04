"""Swap sets: whom a new score approves and the old one did not, at the same approval rate."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import InvalidInputError
from obligor.measures.swaps import bad_rate_at, swap

ONES = np.ones(6)
#         old order      a b c d e f, the new one prefers d and e to b and c
OLD = np.array([1.0, 2, 3, 4, 5, 6])
NEW = np.array([1.0, 4, 5, 2, 3, 6])
BAD = np.array([0, 1, 1, 0, 1, 1], dtype=np.uint8)


def test_six_applications_worked_by_hand() -> None:
    found = swap(OLD, NEW, BAD, ONES, approval_rate=0.5, seed=1)
    assert (found.old_npl_rate, found.new_npl_rate) == pytest.approx((2 / 3, 1 / 3))  # a b c; a d e
    assert found.npl_change.value == pytest.approx(-1 / 3)
    assert found.swapped == pytest.approx(2 / 6)
    assert (found.in_bad_rate.value, found.out_bad_rate.value) == pytest.approx((1 / 2, 1.0))  # d e in, b c out
    assert found.approval_change.value == pytest.approx(6 / 6 - 3 / 6)  # all six hold four bads: two thirds


def test_applications_of_one_grade_are_shared_out_evenly() -> None:
    grade = np.array([1.0, 1, 1, 1, 2, 2])
    found = swap(grade, grade, BAD, ONES, approval_rate=0.5, seed=1)
    assert found.old_npl_rate == pytest.approx(2 / 4)  # three quarters of each of four
    assert found.swapped == 0
    assert found.npl_change.value == 0


@given(st.integers(0, 500), st.floats(0.05, 1.0))
def test_a_score_against_itself_changes_nothing_and_in_balances_out(seed: int, rate: float) -> None:
    random = np.random.default_rng(seed)
    risk, other = random.normal(size=(2, 60)).round(1)
    bad = (random.random(60) < 0.3).astype(np.uint8)
    weight = random.uniform(0.5, 2, 60)
    same = swap(risk, risk, bad, weight, approval_rate=rate, seed=seed, draws=5)
    assert same.npl_change.value == pytest.approx(0)
    assert same.approval_change.value >= -1 / 60 - 1e-9 - (weight.max() * 20) / weight.sum()
    found = swap(risk, other, bad, weight, approval_rate=rate, seed=seed, draws=5)
    assert found.new_npl_rate - found.old_npl_rate == pytest.approx(found.npl_change.value, abs=1e-9)
    if found.swapped > 1e-9:
        moved = found.swapped * (found.in_bad_rate.value - found.out_bad_rate.value) / rate
        assert moved == pytest.approx(found.npl_change.value, abs=1e-9)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    many = np.random.default_rng(99).normal(size=1_000_000)
    bad = np.random.default_rng(98).random(len(many)) < 1 / (1 + np.exp(2 - many))
    change = bad[many <= np.quantile(many, 0.6)].mean() - bad.mean()
    covered = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        truth, noise = random.normal(size=(2, 1500))
        bad = (random.random(1500) < 1 / (1 + np.exp(2 - truth))).astype(np.uint8)
        found = swap(noise, truth, bad, np.ones(1500), approval_rate=0.6, seed=seed, draws=200)
        covered.append(found.npl_change.lower <= change <= found.npl_change.upper)
    assert np.mean(covered) > 0.85


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="an approval rate of 0; wanted above 0"):
        swap(OLD, NEW, BAD, ONES, approval_rate=0.0, seed=1)
    with pytest.raises(InvalidInputError, match="wanted as many of each"):
        swap(OLD[:3], NEW, BAD, ONES, approval_rate=0.5, seed=1)


def test_intervals_of_swap_sets_hold_their_rates() -> None:
    random = np.random.default_rng(4)
    truth, noise = random.normal(size=(2, 2000))
    bad = (random.random(2000) < 1 / (1 + np.exp(2 - truth))).astype(np.uint8)
    found = swap(noise, truth, bad, np.ones(2000), approval_rate=0.6, seed=4, draws=200)
    for it in (found.in_bad_rate, found.out_bad_rate):
        assert it.lower <= it.value <= it.upper
    assert found.in_bad_rate.upper < found.out_bad_rate.lower  # the better score swaps better applications in
    same = swap(truth, truth, bad, np.ones(2000), approval_rate=0.6, seed=4, draws=20)
    assert np.isnan([same.in_bad_rate.value, same.in_bad_rate.lower]).all()  # nobody is swapped


def test_the_rate_of_bads_at_a_share_is_that_of_a_swap() -> None:
    assert bad_rate_at(OLD, BAD, ONES, approval_rate=0.5) == pytest.approx(2 / 3)
    assert bad_rate_at(NEW, BAD, ONES, approval_rate=0.5) == pytest.approx(1 / 3)

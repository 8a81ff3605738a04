"""Movement, concentration and migration: golden numbers, laws, and what chance alone gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import fisher_exact

from obligor.core.errors import InvalidInputError
from obligor.measures.stability import (
    concentration,
    migration_bandwidth,
    migration_stability,
    order_flips,
    psi,
    psi_null_quantile,
)

MATRIX = [[10, 8, 15, 9, 10], [11, 9, 13, 9, 8], [0, 10, 10, 11, 10], [0, 0, 9, 11, 11], [0, 0, 0, 11, 10]]


def test_the_golden_movements() -> None:
    assert psi([0.1, 0.2, 0.4, 0.2, 0.1], [0.15, 0.25, 0.35, 0.15, 0.10]) == pytest.approx(0.052491, abs=5e-7)
    found = concentration([10, 20, 40, 20, 10], [5, 15, 55, 20, 5])
    assert (found.cv_initial, found.cv_current) == (
        pytest.approx(0.547723, abs=5e-7),
        pytest.approx(0.921954, abs=5e-7),
    )
    assert found.herfindahl_initial == pytest.approx(0.163016, abs=5e-7)
    assert found.herfindahl_current == pytest.approx(0.382236, abs=5e-7)
    assert (found.statistic, found.p) == (pytest.approx(0.698706, abs=5e-7), pytest.approx(0.242368, abs=5e-7))
    assert migration_bandwidth(MATRIX).lower == pytest.approx(0.330645, abs=5e-7)
    assert migration_bandwidth(MATRIX).upper == pytest.approx(0.606607, abs=5e-7)
    z = migration_stability([[140, 30, 20, 10], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])[0, 1:]
    assert z.tolist() == pytest.approx([10.512007, 1.421338, 1.841149], abs=5e-7)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 50)), min_size=1, max_size=12))
def test_the_index_is_zero_only_where_the_shares_are_equal(bins: list[tuple[int, int]]) -> None:
    expected, current = np.array(bins).T
    found = psi(expected, current)
    assert found >= -1e-12
    assert psi(expected, 3 * expected) == pytest.approx(0, abs=1e-12)
    if not np.allclose(expected / expected.sum(), current / current.sum()):
        assert found > 0
    assert found == pytest.approx(psi(current, expected))


@pytest.mark.parametrize(("rows", "quantile"), [(100, 0.338), (500, 0.068), (5000, 0.0068)])
def test_the_quantile_of_chance(rows: int, quantile: float) -> None:
    assert psi_null_quantile(10, expected_rows=rows, current_rows=rows) == pytest.approx(quantile, rel=0.01)


def test_chance_alone_rarely_exceeds_its_quantile_and_often_the_usual_limit() -> None:
    random = np.random.default_rng(11)
    draws = random.multinomial(100, [0.1] * 10, size=(4000, 2))
    found = np.array([psi(first, second) for first, second in draws])
    assert (found > psi_null_quantile(10, expected_rows=100, current_rows=100)).mean() <= 0.08
    assert (found > 0.25).mean() > 0.15


def test_edges_are_undefined_and_never_crash() -> None:
    assert math.isnan(psi([0, 0], [1, 2]))
    assert math.isfinite(psi([5, 0, 5], [0, 5, 5]))
    assert psi([5, 0], [7, 0]) == 0
    assert math.isnan(psi_null_quantile(1, expected_rows=5, current_rows=5))
    assert math.isnan(concentration([5], [5]).p)
    assert math.isnan(migration_bandwidth([[5]]).upper)
    with pytest.raises(InvalidInputError):
        psi([1, 2], [1, 2, 3])
    with pytest.raises(InvalidInputError):
        psi([1, -2], [1, 2])
    with pytest.raises(InvalidInputError):
        migration_bandwidth([[1, 2]])


def test_a_flip_is_told_by_fishers_exact_test_after_holm() -> None:
    rows, bads = [[200, 100], [200, 100]], [[10, 20], [60, 10]]
    (found,) = order_flips([50, 10], rows, bads)
    assert (found.period, found.better, found.worse) == (1, 0, 1)
    assert (found.better_rate, found.worse_rate) == (0.3, 0.1)
    alone = fisher_exact([[60, 140], [10, 90]], alternative="greater").pvalue
    assert found.p == pytest.approx(2 * alone)  # the smaller of two


def test_bins_that_keep_their_order_never_flip() -> None:
    assert order_flips([30, 20, 10], [[500, 500, 500]] * 6, [[10, 40, 90]] * 6) == []


def test_bins_of_equal_points_have_no_order_to_flip() -> None:
    assert order_flips([20, 20], [[500, 500]], [[5, 400]]) == []


def test_empty_bins_and_periods_cannot_flip() -> None:
    assert order_flips([30, 10], [[0, 500], [500, 0], [0, 0]], [[0, 400], [400, 0], [0, 0]]) == []


def test_chance_alone_is_named_in_one_case_of_twenty_at_most() -> None:
    random = np.random.default_rng(5)
    named = 0
    for _ in range(400):
        rows = random.integers(20, 300, (8, 4))
        named += bool(order_flips([4, 3, 2, 1], rows, random.binomial(rows, 0.2)))  # every bin has the same bad rate
    assert named <= 400 * 0.05 + 3 * math.sqrt(400 * 0.05 * 0.95)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40)).map(sorted), min_size=1, max_size=5)
)
def test_what_flips_has_its_rates_reversed(periods: list[list[int]]) -> None:
    rows = [[40, 40, 40]] * len(periods)
    for flip in order_flips([1, 2, 3], rows, periods, level=1.0):
        assert flip.better_rate == periods[flip.period][flip.better] / 40
        assert flip.p < 1


def test_more_bads_than_rows_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="more bads than rows"):
        order_flips([1, 2], [[1, 1]], [[2, 0]])
    with pytest.raises(InvalidInputError, match="wanted one for each bin"):
        order_flips([1, 2, 3], [[1, 1]], [[0, 0]])

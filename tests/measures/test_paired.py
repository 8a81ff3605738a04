"""Intervals of what one score gains over another, application by application."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from obligor.core.errors import InvalidInputError
from obligor.measures.paired import draw_counts, mean_changes


def test_the_interval_is_that_of_scipy() -> None:
    change = np.random.default_rng(1).exponential(size=800)[:, None] - 0.9
    (found,) = mean_changes(change, np.ones(800), seed=2)
    theirs = bootstrap((change[:, 0],), np.mean, n_resamples=2000, method="percentile", rng=3).confidence_interval
    width = theirs.high - theirs.low
    assert found.value == pytest.approx(change.mean())
    assert abs(found.lower - theirs.low) < 0.15 * width
    assert abs(found.upper - theirs.high) < 0.15 * width


@given(st.floats(-1e6, 1e6), st.integers(1, 60))
def test_a_change_that_is_the_same_for_everybody_is_certain(change: float, rows: int) -> None:
    weight = np.random.default_rng(rows).integers(1, 5, rows).astype(float)
    (found,) = mean_changes(np.full((rows, 1), change), weight, seed=0, draws=20)
    assert [found.lower, found.value, found.upper] == pytest.approx([change] * 3)


def test_a_weight_counts_as_so_many_applications_in_the_mean() -> None:
    change, weight = np.array([[1.0], [4.0]]), np.array([3.0, 1.0])
    assert mean_changes(change, weight, seed=0, draws=5)[0].value == pytest.approx((3 * 1 + 4) / 4)


def test_the_same_seed_gives_the_same_interval_and_columns_share_their_draws() -> None:
    change = np.random.default_rng(4).standard_normal((300, 1))
    twice = mean_changes(np.hstack([change, change]), np.ones(300), seed=9)
    assert twice == mean_changes(np.hstack([change, change]), np.ones(300), seed=9)
    assert twice[0] == twice[1]
    assert twice[0].lower != mean_changes(np.hstack([change, change]), np.ones(300), seed=8)[0].lower


def test_many_applications_have_fewer_draws() -> None:
    assert sum(1 for _ in draw_counts(1000, seed=0)) == 400
    assert sum(1 for _ in draw_counts(200_000, seed=0)) == 200
    assert all(count.sum() == 50 for count in draw_counts(50, seed=0, draws=3))


def test_of_nobody_nothing_is_told() -> None:
    assert all(np.isnan(it.value) for it in mean_changes(np.zeros((0, 2)), np.zeros(0), seed=0))
    assert np.isnan(mean_changes(np.ones((2, 1)), np.zeros(2), seed=0)[0].lower)


def test_as_many_weights_are_wanted_as_applications() -> None:
    with pytest.raises(InvalidInputError, match="changes of 3 applications with 2 weights"):
        mean_changes(np.zeros((3, 1)), np.ones(2), seed=0)

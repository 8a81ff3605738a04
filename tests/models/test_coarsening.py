"""Few bins keep what many told, exactly as well as so few can."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from sklearn.isotonic import IsotonicRegression

from obligor.models.coarsening import join, monotone, project, purify

FLOATS = st.floats(-3, 3)


def loss(values: np.ndarray, weight: np.ndarray, starts: tuple[int, ...], cost: float) -> float:
    total = 0.0
    for low, high in itertools.pairwise((0, *starts, len(values))):
        held = weight[low:high]
        mean = (held * values[low:high]).sum(axis=0) / np.maximum(held.sum(axis=0), 1e-300)
        total += float((held * (values[low:high] - mean) ** 2).sum()) + cost
    return total


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(
            st_numpy.arrays(float, (n, 2), elements=FLOATS), st_numpy.arrays(float, (n, 2), elements=st.floats(0, 9))
        )
    ),
    st.integers(1, 4),
    st.floats(0.01, 2),
)
def test_joined_cells_are_the_best_of_all_ways_to_join(
    cells: tuple[np.ndarray, np.ndarray], most: int, cost: float
) -> None:
    values, weight = cells
    found = join(values, weight, most=most, cost=cost)
    assert len(found) < most
    ways = [
        starts for k in range(min(most, len(values))) for starts in itertools.combinations(range(1, len(values)), k)
    ]
    assert loss(values, weight, found, cost) <= min(loss(values, weight, way, cost) for way in ways) + 1e-9


@given(st.lists(st.tuples(FLOATS, st.floats(0.1, 9)), min_size=1, max_size=12), st.booleans())
def test_pools_are_those_of_isotonic_regression(rows: list[tuple[float, float]], rising: bool) -> None:  # noqa: FBT001
    values, weight = (np.array(column) for column in zip(*rows, strict=True))
    starts = monotone(values, weight, rising=rising)
    edges = [0, *starts, len(values)]
    means = [np.average(values[a:b], weights=weight[a:b]) for a, b in itertools.pairwise(edges)]
    peer = IsotonicRegression(increasing=rising).fit_transform(np.arange(len(values)), values, sample_weight=weight)
    assert np.repeat(means, np.diff(edges)) == pytest.approx(peer, abs=1e-9)
    sign = 1 if rising else -1
    assert all(sign * (b - a) > -1e-9 for a, b in itertools.pairwise(means))  # two may differ by their rounding alone


def test_a_projection_is_weighted_least_squares() -> None:
    random = np.random.default_rng(0)
    codes = [random.integers(0, size, 500).astype(np.uint8) for size in (4, 3)]
    odds, weight = random.normal(size=500), random.uniform(0.1, 1, 500)
    intercept, tables = project(codes, [4, 3], odds, weight)
    matrix = np.hstack([np.ones((500, 1)), np.eye(4)[codes[0]], np.eye(3)[codes[1]]])
    peer = np.linalg.lstsq(matrix * np.sqrt(weight)[:, None], odds * np.sqrt(weight), rcond=None)[0]
    assert intercept + tables[0][codes[0]] + tables[1][codes[1]] == pytest.approx(matrix @ peer, abs=1e-3)


@given(st_numpy.arrays(float, (4, 3), elements=FLOATS), st_numpy.arrays(float, (4, 3), elements=st.integers(1, 50)))
def test_a_pure_grid_has_zero_margins_and_loses_nothing(cells: np.ndarray, rows: np.ndarray) -> None:
    rest, down, across = purify(cells, rows)
    assert (rest * rows).sum(axis=0) / rows.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-7)
    assert (rest * rows).sum(axis=1) / rows.sum(axis=1) == pytest.approx(np.zeros(4), abs=1e-7)
    assert rest + down[:, None] + across[None, :] == pytest.approx(cells, abs=1e-9)


def test_a_grid_that_is_a_sum_of_its_axes_purifies_to_nothing_even_with_empty_cells() -> None:
    rows = np.array([[5.0, 0.0], [3.0, 2.0], [0.0, 0.0]])
    rest, _, _ = purify(np.array([[1.0, 3.0], [2.0, 4.0], [0.0, 0.0]]), rows)
    assert rest[rows > 0] == pytest.approx(0, abs=1e-6)

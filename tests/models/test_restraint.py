"""A trend of the contract holds in every row of a grid, and the grid keeps as much of itself as the trend allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from obligor.models.coarsening import purify
from obligor.models.restraint import Room, nearest_in_trend


@st.composite
def grids(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, Room, Room]:
    """A pure grid, the loans in its cells (some without any), and the room of its rows and of its columns."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.integers(2, 8)), draw(st.integers(2, 8))
    held = random.integers(0, 50, shape).astype(float)
    held[0, 0] += 1
    cells, _, _ = purify(random.normal(scale=draw(st.sampled_from([0.01, 0.3, 3.0])), size=shape), held)
    rooms = [
        Room(draw(st.sampled_from([-1.0, 1.0])), random.exponential(0.2, size) * (random.random(size) < 0.7))
        for size in (draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1)))
    ]
    return cells, held, *rooms


def steps(cells: np.ndarray, room: Room) -> np.ndarray:
    """How far each step stays within its room; none below zero where the trend holds."""
    return room.sign * np.diff(cells[: len(room.steps) + 1], axis=0) + room.steps[:, None]


def distance(one: np.ndarray, other: np.ndarray, held: np.ndarray) -> float:
    return float((held * (one - other) ** 2).sum())


@given(grids())
def test_no_step_of_a_grid_goes_against_a_trend_by_more_than_its_room(
    made: tuple[np.ndarray, np.ndarray, Room, Room],
) -> None:
    cells, held, down, across = made
    found = nearest_in_trend(cells, held, down=down, across=across)
    assert steps(found, down).min(initial=0) >= -1e-7
    assert steps(found.T, across).min(initial=0) >= -1e-7


@given(grids())
def test_a_restrained_grid_still_tells_nothing_that_its_axes_tell_alone(
    made: tuple[np.ndarray, np.ndarray, Room, Room],
) -> None:
    cells, held, down, across = made
    found = nearest_in_trend(cells, held, down=down, across=across)
    for axis in (0, 1):
        means = (held * found).sum(axis=axis) / np.maximum(held.sum(axis=axis), 1e-9)
        assert np.abs(means).max() < 1e-6


@given(grids())
def test_a_restrained_grid_is_nearer_than_the_whole_grid_shrunk(
    made: tuple[np.ndarray, np.ndarray, Room, Room],
) -> None:
    cells, held, down, across = made
    found = nearest_in_trend(cells, held, down=down, across=across)
    shares = [1.0]
    for lines, room in ((cells, down), (cells.T, across)):
        moves = room.sign * np.diff(lines[: len(room.steps) + 1], axis=0)
        shares += [limit / -move for row, limit in zip(moves, room.steps, strict=True) for move in row if move < 0]
    weight = held + 1e-3 * held.mean()
    assert distance(found, cells, weight) <= distance(cells * min(shares), cells, weight) + 1e-6


@given(grids())
def test_a_grid_that_keeps_the_trend_stays_as_it_is(made: tuple[np.ndarray, np.ndarray, Room, Room]) -> None:
    cells, held, down, across = made
    found = nearest_in_trend(cells, held, down=down, across=across)
    assert nearest_in_trend(found, held, down=down, across=across) == pytest.approx(found, abs=1e-6)
    assert nearest_in_trend(cells, held) is cells


def test_the_nearest_grid_is_the_one_that_a_general_solver_finds() -> None:
    random = np.random.default_rng(3)
    held = random.integers(5, 50, (4, 3)).astype(float)
    cells, _, _ = purify(random.normal(size=(4, 3)), held)
    down = Room(1.0, np.array([0.1, 0.5, 0.0]))
    weight = held + 1e-3 * held.mean()
    rising = np.kron(np.diff(np.eye(4), axis=0), np.eye(3))
    pure = np.vstack([np.kron(np.eye(4), np.ones(3)), np.kron(np.ones(4), np.eye(3))[:-1]]) * held.ravel()
    wanted = minimize(
        lambda x: (weight.ravel() * (x - cells.ravel()) ** 2).sum(),
        np.zeros(12),
        method="SLSQP",
        constraints=[LinearConstraint(rising, -np.repeat(down.steps, 3)), LinearConstraint(pure, 0, 0)],
        options={"ftol": 1e-12, "maxiter": 500},
    )
    found = nearest_in_trend(cells, held, down=down)
    assert found.ravel() == pytest.approx(wanted.x, abs=1e-4)

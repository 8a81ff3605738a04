"""Trends of the contract inside grids: the nearest grid whose steps stay within the room that the tables leave.

A characteristic whose bad rate must rise has a table that rises. On top of it a grid may fall from one row to the next, but by
no more than the table rises there. Of all grids that keep to this, and whose rows and columns still have a mean of zero
over the loans, the nearest one is taken, each cell weighed by its loans: a small quadratic programme, solved as one of least
distance by non-negative least squares (Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import null_space
from scipy.optimize import nnls

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EMPTY = 1e-3
"""The weight of a cell without loans, in that of a mean cell: it is moved first, and yet stays finite."""
_EXACT = 1e-9
_ROUNDS = 50


@dataclass(frozen=True, slots=True)
class Room:
    """How far a grid may step against a trend between each two ordered places of an axis, in log-odds."""

    sign: float
    """1 where log-odds of bad must rise, -1 where they must fall."""
    steps: NDArray[np.float64]
    """None below zero; one fewer than there are ordered places."""


def nearest_in_trend(
    cells: NDArray[np.float64], held: NDArray[np.float64], *, down: Room | None = None, across: Room | None = None
) -> NDArray[np.float64]:
    """Give the pure grid nearest to a pure one that steps against no trend by more than its room.

    Parameters
    ----------
    cells, held : array of shape (rows, columns)
        Log-odds of bad, and the weight of the loans in each cell.
    down, across
        The room from row to row, and from column to column.
    """
    shape = cells.shape
    kept, room = _constraints(shape, down, across)
    lacking = -room - kept @ cells.ravel()
    if not len(kept) or lacking.max() <= _EXACT:
        return cells
    scale = 1 / np.sqrt(held.ravel() + _EMPTY * held.mean())
    free = null_space(_means(held) * scale)
    moved = _least_distance(kept * scale @ free, lacking)
    found = cells + (scale * (free @ moved)).reshape(shape)
    return found if (kept @ found.ravel() + room).min() >= -_EXACT * 10 else _shrunk(cells, kept, room)


def _constraints(
    shape: tuple[int, ...], down: Room | None, across: Room | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the steps of a grid in the direction of the trend, a row of factors for each, and the room of each."""
    places = np.arange(shape[0] * shape[1]).reshape(shape)
    factors, rooms = [np.zeros((0, places.size))], [np.zeros(0)]
    for room, lines in ((down, places), (across, places.T)):
        if room is None:
            continue
        one, other = lines[: len(room.steps)].ravel(), lines[1 : len(room.steps) + 1].ravel()
        steps = np.zeros((len(one), places.size))
        steps[np.arange(len(one)), other], steps[np.arange(len(one)), one] = room.sign, -room.sign
        factors.append(steps)
        rooms.append(np.repeat(room.steps, lines.shape[1]))
    return np.vstack(factors), np.concatenate(rooms)


def _means(held: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the factors of the mean of every row and of every column over the loans; both are zero in a pure grid."""
    rows, columns = np.divmod(np.arange(held.size), held.shape[1])
    by_row = np.equal.outer(np.arange(held.shape[0]), rows) * held.ravel()
    by_column = np.equal.outer(np.arange(held.shape[1]), columns) * held.ravel()
    means = np.vstack([by_row, by_column])
    return np.asarray(means / np.maximum(means.sum(axis=1, keepdims=True), 1e-300))


def _least_distance(kept: NDArray[np.float64], lacking: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the shortest move for which ``kept @ move >= lacking``."""
    unit = max(float(np.abs(lacking).max()), 1e-300)
    target = np.zeros(kept.shape[1] + 1)
    target[-1] = 1.0
    found, _ = nnls(np.vstack([kept.T, lacking / unit]), target, maxiter=_ROUNDS * (len(lacking) + 1))
    rest = np.append(kept.T @ found, lacking @ found / unit) - target
    return np.asarray(-rest[:-1] / rest[-1] * unit) if rest[-1] else np.zeros(kept.shape[1])


def _shrunk(cells: NDArray[np.float64], kept: NDArray[np.float64], room: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shrink the whole grid until every step has its room: what is left where the solver did not come to an end."""
    steps = kept @ cells.ravel()
    against = steps < 0
    return np.asarray(cells * min(1.0, float((room[against] / -steps[against]).min(initial=1.0))))

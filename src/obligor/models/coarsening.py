"""Few readable bins from many fine ones, and points that come as near to the fine fit as few bins can.

Neighbours are joined by exact dynamic programming so that the log-odds of the fine fit, each cell weighted by its information,
are kept best. The log-odds of the coarse bins are the weighted least-squares projection of the fine fit on all coarse tables
together: a refit to the outcomes would throw away what the smoothing gained.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.linalg import cho_factor, cho_solve

from obligor.models.smoothing import information_of, sums_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_RIDGE = 0.01
_SWEEPS, _STILL = 200, 1e-10


def join(values: NDArray[np.float64], weight: NDArray[np.float64], *, most: int, cost: float) -> tuple[int, ...]:
    """Part a row of cells into at most so many groups of neighbours; give the starts, the first left out.

    Minimises the sum over cells of weight * (value - mean of its group)^2, and ``cost`` for each group, exactly.

    Parameters
    ----------
    values, weight : array of shape (cells, columns)
        Each group has a mean for each column.
    """
    return tuple(int(start) for start in _join(values, weight, most, cost))


@njit(cache=True, nogil=True)
def _join(  # noqa: C901  one loop nest; numba takes arguments by position
    values: NDArray[np.float64], weight: NDArray[np.float64], most: int, cost: float
) -> list[int]:
    size, width = values.shape
    loss = np.zeros((size, size + 1))
    for start in range(size):
        held, first, second = np.zeros(width), np.zeros(width), np.zeros(width)
        for end in range(start, size):
            found = 0.0
            for at in range(width):
                w, v = weight[end, at], values[end, at]
                held[at] += w
                first[at] += w * v
                second[at] += w * v * v
                if held[at] > 0:
                    found += second[at] - first[at] * first[at] / held[at]
            loss[start, end + 1] = found + cost
    best = np.full((most + 1, size + 1), np.inf)
    back = np.zeros((most + 1, size + 1), dtype=np.int64)
    best[0, 0] = 0.0
    for group in range(1, most + 1):
        for end in range(1, size + 1):
            for start in range(end):
                tried = best[group - 1, start] + loss[start, end]
                if tried < best[group, end] - 1e-15:
                    best[group, end], back[group, end] = tried, start
    group, chosen = 1, np.inf
    for count in range(1, most + 1):
        if best[count, size] < chosen - 1e-12:
            group, chosen = count, best[count, size]
    starts = [0] * 0
    end = size
    while group > 1:
        end = back[group, end]
        starts.append(end)
        group -= 1
    return starts[::-1]


def monotone(values: NDArray[np.float64], weight: NDArray[np.float64], *, rising: bool) -> tuple[int, ...]:
    """Give the starts of the pools of neighbours that adjacent-violator pooling joins (Barlow and others 1972)."""
    sign = 1.0 if rising else -1.0
    pools: list[tuple[int, float, float]] = []
    for at in range(len(values)):
        start, mean, total = at, sign * float(values[at]), max(float(weight[at]), 1e-12)
        while pools and pools[-1][1] >= mean:
            start, other, more = pools.pop()
            mean = (mean * total + other * more) / (total + more)
            total += more
        pools.append((start, mean, total))
    return tuple(start for start, _, _ in pools[1:])


def project(
    codes: Sequence[NDArray[np.uint8]], sizes: Sequence[int], log_odds: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, list[NDArray[np.float64]]]:
    """Give the intercept and the tables whose sum lies nearest to some log-odds, by weighted least squares."""
    matrix, lines = np.vstack(codes), list(range(len(codes)))
    widths = np.array(sizes)
    gram = information_of(matrix, lines, widths, weight)
    gram[range(1, len(gram)), range(1, len(gram))] += _RIDGE
    found = cho_solve(cho_factor(gram, lower=True), sums_of(matrix, lines, widths, weight * log_odds))
    edges = np.concatenate([[1], 1 + np.cumsum(widths)])
    tables = [found[low:high].copy() for low, high in itertools.pairwise(edges)]
    return float(found[0]), tables


def purify(
    cells: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Take out of a grid what its two axes tell alone: give the rest, and the table of each axis.

    Every row and every column of the rest has a mean of zero over the rows of the tape (Lengerich and others 2020, Purifying
    Interaction Effects with the Functional ANOVA, AISTATS).
    """
    rest, down, across = cells.copy(), np.zeros(cells.shape[0]), np.zeros(cells.shape[1])
    by_row, by_column = np.maximum(rows.sum(axis=1), 1e-300), np.maximum(rows.sum(axis=0), 1e-300)
    for _ in range(_SWEEPS):
        moved = (rest * rows).sum(axis=1) / by_row
        rest, down = rest - moved[:, None], down + moved
        more = (rest * rows).sum(axis=0) / by_column
        rest, across = rest - more[None, :], across + more
        if max(np.abs(moved).max(), np.abs(more).max()) < _STILL:
            break
    return rest, down, across

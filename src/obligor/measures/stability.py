"""Whether a population has moved: PSI with what chance alone would give, order of bins, concentration, migration.

The population stability index is the sum of (c - e) ln(c / e) over bins, with e the shares of the reference and c the
current ones (Lewis 1994). An empty bin counts as holding half a row, so that the index is finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2, hypergeom, norm

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_EMPTY = 0.5


@dataclass(frozen=True, slots=True)
class Concentration:
    """How unevenly rows fall into grades, initially and now, and the p that it has not grown (ECB 2019, 2.5.5.3)."""

    cv_initial: float
    cv_current: float
    herfindahl_initial: float
    herfindahl_current: float
    statistic: float
    p: float


@dataclass(frozen=True, slots=True)
class MigrationBandwidth:
    """The weighted bandwidth of rating migrations, to worse grades and to better ones (ECB 2019, 2.5.5.1)."""

    upper: float
    lower: float


def psi(expected: ArrayLike, current: ArrayLike) -> float:
    """Give the index from counts (or weights) of rows in each bin; NaN where either side holds none."""
    e, c = _counts(expected, current)
    if e.sum() == 0 or c.sum() == 0:
        return math.nan
    used = (e > 0) | (c > 0)
    e, c = (np.where(part > 0, part, _EMPTY)[used] for part in (e, c))
    e, c = e / e.sum(), c / c.sum()
    return float((c - e) @ np.log(c / e))


def psi_null_quantile(bins: int, *, expected_rows: float, current_rows: float) -> float:
    """Give the index that two samples of one population exceed by chance in one of twenty cases.

    About chi-squared with bins - 1 degrees of freedom, times (1/n + 1/m) (Yurdakul and Naranjo 2020).
    """
    if bins < 2 or expected_rows <= 0 or current_rows <= 0:  # noqa: PLR2004  one bin cannot move
        return math.nan
    return float(chi2.ppf(0.95, bins - 1) * (1 / expected_rows + 1 / current_rows))


@dataclass(frozen=True, slots=True)
class Flip:
    """Two bins that in one period stood in the reverse of the order of their points, told apart from chance."""

    period: int
    better: int
    """The bin with more points, whose bad rate was the higher one all the same."""
    worse: int
    better_rate: float
    worse_rate: float
    p: float
    """Adjusted for all comparisons of the characteristic."""


def order_flips(points: ArrayLike, rows: ArrayLike, bads: ArrayLike, *, level: float = 0.05) -> list[Flip]:
    """Give the pairs of bins whose order flips in some period, the surest first.

    Every two bins with different points are compared in every period by Fisher's exact test, one-sided: is the bad rate of the
    bin with more points the higher one? The p-values are Holm's (1979) over all periods and pairs: a characteristic that never
    flips is named in at most ``level`` of cases.

    Parameters
    ----------
    points : array of shape (bins,)
    rows, bads : arrays of counts of shape (periods, bins)

    Raises
    ------
    InvalidInputError
        Where the shapes differ, or there are more bads than rows.
    """
    earned = np.asarray(points)
    held, bad = np.asarray(rows, dtype=np.int64), np.asarray(bads, dtype=np.int64)
    if held.shape != bad.shape or held.ndim != 2 or held.shape[1:] != earned.shape:  # noqa: PLR2004  periods and bins
        raise InvalidInputError(
            f"flips: got points of shape {earned.shape}, rows of {held.shape}, bads of {bad.shape}; wanted one for each bin"
        )
    if (bad > held).any() or (bad < 0).any():
        raise InvalidInputError("flips: a bin holds more bads than rows")
    better, worse = np.nonzero(earned[:, None] > earned[None, :])
    period, pair = np.nonzero((held[:, better] > 0) & (held[:, worse] > 0))
    better, worse = better[pair], worse[pair]
    n, m, k, j = held[period, better], held[period, worse], bad[period, better], bad[period, worse]
    p = _holm(hypergeom.sf(k - 1, n + m, k + j, n))
    found = [
        Flip(int(period[at]), int(better[at]), int(worse[at]), float(k[at] / n[at]), float(j[at] / m[at]), float(p[at]))
        for at in np.flatnonzero(p < level)
    ]
    return sorted(found, key=lambda it: (it.p, it.period, it.better, it.worse))


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values for being many (Holm 1979, Scandinavian Journal of Statistics 6)."""
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def concentration(initial: ArrayLike, current: ArrayLike) -> Concentration:
    """Test from counts by grade whether the concentration has grown since the initial validation."""
    before, after = _counts(initial, current)
    grades = len(before)
    if grades < 2 or before.sum() == 0 or after.sum() == 0:  # noqa: PLR2004  one grade is all there is
        return Concentration(*[math.nan] * 6)
    cv_0, cv_1 = (_variation(part / part.sum()) for part in (before, after))
    hi_0, hi_1 = (1 + math.log((cv**2 + 1) / grades) / math.log(grades) for cv in (cv_0, cv_1))
    spread = math.sqrt(cv_1**2 * (0.5 + cv_1**2))
    statistic = math.sqrt(grades - 1) * (cv_1 - cv_0) / spread if spread > 0 else math.nan
    return Concentration(cv_0, cv_1, hi_0, hi_1, statistic, float(norm.sf(statistic)))


def migration_bandwidth(counts: ArrayLike) -> MigrationBandwidth:
    """Give the bandwidths of a matrix of counts, from grade (row) to grade (column), best grade first."""
    matrix = _square(counts)
    grades = len(matrix)
    place = np.arange(grades)
    far = np.maximum(np.abs(place - (grades - 1)), place)[:, None]
    distance = np.abs(place[:, None] - place[None, :])

    def bandwidth(side: NDArray[np.float64]) -> float:
        worst = float((far * side.sum(axis=1, keepdims=True)).sum())
        return float((distance * side).sum()) / worst if worst > 0 else math.nan

    return MigrationBandwidth(bandwidth(np.triu(matrix, 1)), bandwidth(np.tril(matrix, -1)))


def migration_stability(counts: ArrayLike) -> NDArray[np.float64]:
    """Give z for each cell off the diagonal against its neighbour nearer the diagonal (ECB 2019, 2.5.5.2).

    A low z says that more migrate far than near; the diagonal, and rows without loans, are NaN.
    """
    matrix = _square(counts)
    rows = matrix.sum(axis=1)
    z = np.full(matrix.shape, math.nan)
    for i, n in enumerate(rows):
        for j in range(len(matrix)):
            if i == j or n == 0:
                continue
            p, near = matrix[i, j] / n, matrix[i, j + (1 if j < i else -1)] / n
            spread = (p * (1 - p) + near * (1 - near) + 2 * p * near) / n
            z[i, j] = (near - p) / math.sqrt(spread) if spread > 0 else math.nan
    return z


def _counts(first: ArrayLike, second: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise InvalidInputError(f"got counts of {a.size} and {b.size} bins; wanted the same bins")
    if not (np.isfinite(a).all() and np.isfinite(b).all()) or (a < 0).any() or (b < 0).any():
        raise InvalidInputError("a count is negative or not finite")
    return a, b


def _square(counts: ArrayLike) -> NDArray[np.float64]:
    matrix = np.asarray(counts, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:  # noqa: PLR2004  rows and columns
        raise InvalidInputError(f"migration: got a table of shape {matrix.shape}; wanted as many rows as columns")
    return matrix


def _variation(shares: NDArray[np.float64]) -> float:
    grades = len(shares)
    return math.sqrt(grades * float(((shares - 1 / grades) ** 2).sum()))

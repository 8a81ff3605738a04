"""Turns log-odds into whole thousandths of a score point.

With ``factor = pdo / ln 2`` a score is ``score + factor * (log-odds of good - ln odds)``: ``pdo`` more points double
the odds (Siddiqi, Credit Risk Scorecards, 2006, chapter 6). The points of each bin are rounded by themselves, so that a
score of k characteristics lies within (k + 1) / 2 thousandths of the unrounded one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from obligor.core.clauses import CardScale

THOUSANDTHS = 1000
NO_PLACE = -1
"""The row or column of a grid for a bin that train never shows: it earns nothing there."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The points of two characteristics together, in thousandths, and what train shows of each cell, by weight."""

    features: tuple[str, str]
    rows: tuple[int, ...]
    """The row of each bin of the first."""
    columns: tuple[int, ...]
    """The column of each bin of the second."""
    points: tuple[tuple[int, ...], ...]
    goods: NDArray[np.float64]
    bads: NDArray[np.float64]
    gain: float
    """In log likelihood on rows that did not fit it, in nats."""

    @property
    def by_bin(self) -> NDArray[np.int64]:
        """The points of each bin of the first characteristic with each bin of the second."""
        padded = np.pad(np.array(self.points, dtype=np.int64), (0, 1))  # the place of -1 is the last, and holds nothing
        return np.asarray(padded[np.ix_(self.rows, self.columns)])


@dataclass(frozen=True, slots=True)
class Points:
    """Whole points in thousandths: what everybody starts with, and those of each bin of each characteristic."""

    base: int
    bins: tuple[tuple[int, ...], ...]
    grids: tuple[Grid, ...] = ()
    errors: tuple[tuple[int | None, ...], ...] = ()
    """The standard error of the points of each bin, where the recipe gives one; none for a bin that train never shows."""


def factor_of(scale: CardScale) -> float:
    """Give the thousandths of a point that one unit of log-odds is worth."""
    return THOUSANDTHS * scale.pdo / math.log(2)


def scale_points(
    intercept: float, coefficients: Sequence[float], woe: Sequence[NDArray[np.float64]], *, scale: CardScale
) -> Points:
    """Give the points of a fit, whose coefficients are log-odds of good for one unit of weight of evidence."""
    factor = factor_of(scale)
    base = THOUSANDTHS * scale.score + factor * (intercept - math.log(scale.odds))
    earned = [np.rint(factor * b * table) for b, table in zip(coefficients, woe, strict=True)]
    if not all(np.isfinite(points).all() for points in (*earned, np.array([base]))):
        raise InvalidInputError("points: the fit is not finite; wanted finite coefficients and weights of evidence")
    return Points(round(base), tuple(tuple(int(point) for point in points) for points in earned))


def add_points(
    points: Points, codes: Sequence[NDArray[np.uint8]], *, rows: int, features: Sequence[str] = ()
) -> NDArray[np.int64]:
    """Add up the points of each row, in thousandths; ``features`` name the codes, for the grids."""
    total = np.full(rows, points.base, dtype=np.int64)
    for table, column in zip(points.bins, codes, strict=True):
        total += np.array(table, dtype=np.int64)[column]
    for grid in points.grids:
        one, other = (codes[list(features).index(name)] for name in grid.features)
        total += grid.by_bin[one, other]
    return total


def log_odds_of(scores: NDArray[np.int64], *, scale: CardScale) -> NDArray[np.float64]:
    """Give the log-odds of good that a score in thousandths stands for before calibration."""
    factor = factor_of(scale)
    return np.asarray((scores - THOUSANDTHS * scale.score) / factor + math.log(scale.odds), dtype=np.float64)


def score_column(log_odds: NDArray[np.float64], *, scale: CardScale) -> NDArray[np.int64]:
    """Give the score in thousandths that stands for each of some log-odds of good."""
    factor = factor_of(scale)
    return np.rint(THOUSANDTHS * scale.score + factor * (log_odds - math.log(scale.odds))).astype(np.int64)

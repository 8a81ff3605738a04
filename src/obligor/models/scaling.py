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

    from obligor.core.contract import CardScale

THOUSANDTHS = 1000


@dataclass(frozen=True, slots=True)
class Points:
    """Whole points in thousandths: what everybody starts with, and those of each bin of each characteristic."""

    base: int
    bins: tuple[tuple[int, ...], ...]


def scale_points(
    intercept: float, coefficients: Sequence[float], woe: Sequence[NDArray[np.float64]], *, scale: CardScale
) -> Points:
    """Give the points of a fit, whose coefficients are log-odds of good for one unit of weight of evidence."""
    factor = THOUSANDTHS * scale.pdo / math.log(2)
    base = THOUSANDTHS * scale.score + factor * (intercept - math.log(scale.odds))
    earned = [np.rint(factor * b * table) for b, table in zip(coefficients, woe, strict=True)]
    if not all(np.isfinite(points).all() for points in (*earned, np.array([base]))):
        raise InvalidInputError("points: the fit is not finite; wanted finite coefficients and weights of evidence")
    return Points(round(base), tuple(tuple(int(point) for point in points) for points in earned))


def add_points(points: Points, codes: Sequence[NDArray[np.uint8]], *, rows: int) -> NDArray[np.int64]:
    """Add up the points of each row, in thousandths."""
    total = np.full(rows, points.base, dtype=np.int64)
    for table, column in zip(points.bins, codes, strict=True):
        total += np.array(table, dtype=np.int64)[column]
    return total


def log_odds_of(scores: NDArray[np.int64], *, scale: CardScale) -> NDArray[np.float64]:
    """Give the log-odds of good that a score in thousandths stands for before calibration."""
    factor = THOUSANDTHS * scale.pdo / math.log(2)
    return np.asarray((scores - THOUSANDTHS * scale.score) / factor + math.log(scale.odds), dtype=np.float64)


def score_column(log_odds: NDArray[np.float64], *, scale: CardScale) -> NDArray[np.int64]:
    """Give the score in thousandths that stands for each of some log-odds of good."""
    factor = THOUSANDTHS * scale.pdo / math.log(2)
    return np.rint(THOUSANDTHS * scale.score + factor * (log_odds - math.log(scale.odds))).astype(np.int64)


def score_of(log_odds: float, *, scale: CardScale) -> int:
    """Give the score in thousandths that stands for log-odds of good."""
    factor = THOUSANDTHS * scale.pdo / math.log(2)
    return round(THOUSANDTHS * scale.score + factor * (log_odds - math.log(scale.odds)))

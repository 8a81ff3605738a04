"""Two scores on the same applications: what one gains over the other, with intervals over bootstrap draws.

A draw takes as many applications, with replacement, and judges both scores on them, so that what is common to both falls
out of the difference (Efron and Tibshirani 1993). Draws are made one at a time: memory grows with the applications, never
with the draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_LEVEL = 0.95
_FEWEST_DRAWS, _MOST_DRAWS, _MOST_DRAWN = 100, 400, 40_000_000


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its 95% interval."""

    value: float
    lower: float
    upper: float


def mean_changes(
    change: NDArray[np.float64], weight: NDArray[np.float64], *, seed: int, draws: int | None = None
) -> tuple[Interval, ...]:
    """Give the weighted mean of each column of changes, one row for each application, with its interval.

    Parameters
    ----------
    change
        Applications x figures: what one score gives each application less what the other gives it.
    draws
        Bootstrap draws: 400, or fewer, down to 100, where there are more than 100,000 applications.

    Raises
    ------
    InvalidInputError
        Where there are not as many weights as rows.
    """
    if len(change) != len(weight):
        raise InvalidInputError(f"changes of {len(change)} applications with {len(weight)} weights; wanted as many")
    if not weight.sum() > 0:
        return tuple(Interval(math.nan, math.nan, math.nan) for _ in range(change.shape[1]))
    drawn = [_means(change, weight * count) for count in draw_counts(len(weight), seed=seed, draws=draws)]
    return tuple(
        interval_of(value, column)
        for value, column in zip(_means(change, weight).tolist(), np.array(drawn).T, strict=True)
    )


def draw_counts(rows: int, *, seed: int, draws: int | None = None) -> Iterator[NDArray[np.float64]]:
    """Give, draw by draw, how often each application is drawn."""
    random = np.random.default_rng(seed)
    for _ in range(draws or max(_FEWEST_DRAWS, min(_MOST_DRAWS, _MOST_DRAWN // rows))):
        yield np.bincount(random.integers(0, rows, rows), minlength=rows).astype(np.float64)


def interval_of(value: float, drawn: NDArray[np.float64]) -> Interval:
    """Give a figure with the percentiles of its draws; a draw that cannot tell it does not count."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return Interval(value, math.nan, math.nan)
    lower, upper = np.quantile(known, ((1 - _LEVEL) / 2, (1 + _LEVEL) / 2))
    return Interval(value, float(lower), float(upper))


def _means(change: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    total = weight.sum()
    return np.asarray((weight[:, None] * change).sum(axis=0) / (total if total > 0 else math.nan))

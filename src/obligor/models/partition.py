"""The best partition of a row of pre-bins into bins, found exactly by dynamic programming.

The state is the last bin: where it starts and where it ends. The best partition that ends with the bin (middle, end] is
that bin's information value plus the best partition with one bin less among those that end at `middle` with a bin
(start, middle] whose bad rate may stand before. Which ones may, is a matter of order: sort the bins that end at `middle`
by bad rate once, keep the running maximum of their values, and every `end` finds its answer at one place. So a monotone
search costs no more than (number of bins) * (number of pre-bins)^2, and a peak or a valley, which is a rising phase and a
falling one, twice that.

Bad rates are quotients of counts, correctly rounded: they compare as the fractions do while counts stay under 2^26.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from obligor.core.errors import InvalidInputError
from obligor.core.trend import Trend

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.models.histograms import Histogram

_RISING, _FALLING, _ANY = 1, -1, 0
_PHASES = {
    Trend.ASCENDING: (_RISING, _RISING),
    Trend.DESCENDING: (_FALLING, _FALLING),
    Trend.PEAK: (_RISING, _FALLING),
    Trend.VALLEY: (_FALLING, _RISING),
    Trend.FREE: (_ANY, _ANY),
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What every bin of a partition must hold, in weight, and how many bins there may be."""

    rows: float
    goods: float
    bads: float
    bins: int


@dataclass(frozen=True, slots=True)
class Partition:
    """The pre-bins at which a new bin starts, the first left out, and the information value of its bins."""

    starts: tuple[int, ...]
    value: float

    def bins(self, prebins: int) -> NDArray[np.uint8]:
        """Give the bin of each pre-bin."""
        found = np.searchsorted(np.asarray(self.starts, dtype=np.int64), np.arange(prebins), side="right")
        return found.astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Segments:
    """Every bin that could be made of adjacent pre-bins: its value, and its place by bad rate among its rivals.

    ``gain[start, end]`` is the information value, minus infinity where the limits forbid the bin. ``order[end]`` lists
    the starts of the ``rivals[end]`` allowed bins that end there, by bad rate; ``below[middle, end]`` and
    ``up_to[middle, end]`` count those of them whose rate is under, and not over, the rate of the bin (middle, end].
    """

    gain: NDArray[np.float64]
    order: NDArray[np.int16]
    rivals: NDArray[np.int16]
    below: NDArray[np.int16]
    up_to: NDArray[np.int16]


def segments(histogram: Histogram, limits: Limits, *, goods: float, bads: float) -> Segments:
    """Weigh every bin that could be made of a histogram's pre-bins; `goods` and `bads` are the whole population's."""
    if not (limits.goods > 0 and limits.bads > 0):
        raise InvalidInputError("a bin without goods or bads has no weight of evidence: wanted limits above 0")
    return Segments(
        *_weigh(histogram.goods / goods, histogram.bads / bads, *_feasible(histogram, limits), *_rates(histogram))
    )


def best_partition(found: Segments, trend: Trend, *, bins: int) -> Partition:
    """Give the partition into at most `bins` bins with the highest information value whose bad rates keep the trend.

    Of equals, the one with fewer bins, then with cuts further left. Where no two bins can be made there is one.
    """
    if trend == Trend.EITHER:
        rising = best_partition(found, Trend.ASCENDING, bins=bins)
        falling = best_partition(found, Trend.DESCENDING, bins=bins)
        return falling if falling.value > rising.value else rising
    starts, value = _search(found.gain, found.order, found.rivals, found.below, found.up_to, bins, *_PHASES[trend])
    return Partition(tuple(int(start) for start in starts), float(value))

"""The best partition of a row of pre-bins into bins, found exactly by dynamic programming.

The state is the last bin: where it starts and where it ends. The best partition that ends with the bin (middle, end]
is that bin's information value plus the best partition with one bin less among those that end at `middle` with a bin
(start, middle] whose bad rate may stand before. Which ones may, is a matter of order: sort the bins that end at
`middle` by bad rate once, keep the running maximum of their values, and every `end` finds its answer at one place. So a
monotone search costs no more than (number of bins) * (number of pre-bins)^2, and a peak or a valley, which is a rising
phase and a falling one, twice that.

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

_EQUAL = 1e-12  # information values closer than this are a matter of rounding
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
    """What every bin of a partition must hold, in weight."""

    rows: float
    goods: float
    bads: float

    def __post_init__(self) -> None:
        if not (self.goods > 0 and self.bads > 0):
            raise InvalidInputError("a bin without goods or bads has no weight of evidence: wanted limits above 0")

    def scaled(self, share: float) -> Limits:
        """Give the same limits for a share of the rows."""
        return Limits(self.rows * share, self.goods * share, self.bads * share)


@dataclass(frozen=True, slots=True)
class Partition:
    """The pre-bins at which a new bin starts, the first left out; the trend kept; the information value of the bins."""

    starts: tuple[int, ...]
    trend: Trend
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
    edges = np.zeros((2, len(histogram.goods) + 1))
    np.cumsum(histogram.goods, out=edges[0, 1:])
    np.cumsum(histogram.bads, out=edges[1, 1:])
    return Segments(*_weigh(edges, goods, bads, limits.rows, limits.goods, limits.bads))


def best_partition(found: Segments, trend: Trend, *, bins: int) -> Partition:
    """Give the partition into at most `bins` bins with the highest information value whose bad rates keep the trend.

    Of equals, the one with fewer bins, then with cuts further left. Where no two bins can be made there is one.
    """
    if trend == Trend.EITHER:
        rising = best_partition(found, Trend.ASCENDING, bins=bins)
        falling = best_partition(found, Trend.DESCENDING, bins=bins)
        return falling if falling.value > rising.value else rising
    first, second = _PHASES[trend]
    starts, value = _search(found.gain, found.order, found.rivals, found.below, found.up_to, bins, first, second)
    return Partition(tuple(int(start) for start in starts), trend, float(value))


@njit(cache=True, nogil=True)
def _weigh(
    edges: NDArray[np.float64], all_goods: float, all_bads: float, min_rows: float, min_goods: float, min_bads: float
) -> tuple[NDArray[np.float64], NDArray[np.int16], NDArray[np.int16], NDArray[np.int16], NDArray[np.int16]]:
    """Weigh the bins between any two of `edges`, running sums of goods and of bads, and rank them by bad rate."""
    size = edges.shape[1]
    gain = np.full((size, size), -np.inf)
    rate = np.empty((size, size))  # [end, start]
    order = np.empty((size, size), dtype=np.int16)
    rivals = np.zeros(size, dtype=np.int16)
    for end in range(1, size):
        for start in range(end):
            goods, bads = edges[0, end] - edges[0, start], edges[1, end] - edges[1, start]
            if goods < min_goods or bads < min_bads or goods + bads < min_rows:
                break  # the later the start, the smaller the bin
            good_share, bad_share = goods / all_goods, bads / all_bads
            gain[start, end] = (good_share - bad_share) * np.log(good_share / bad_share)
            rate[end, start] = bads / (goods + bads)
            rivals[end] = start + 1
        before = rivals[end - 1]
        order[end, :before] = order[end - 1, :before]  # ends beside each other rank much alike
        order[end, before : rivals[end]] = np.arange(before, rivals[end])
        _sort(order[end, : rivals[end]], rate[end])
    below, up_to = np.zeros((size, size), dtype=np.int16), np.zeros((size, size), dtype=np.int16)
    for middle in range(1, size):
        for end in range(middle + 1, size):
            if gain[middle, end] > -np.inf:
                ranked = order[middle, : rivals[middle]]
                below[middle, end] = _place(ranked, rate[middle], rate[end, middle])
                up_to[middle, end] = _place(ranked, rate[middle], np.nextafter(rate[end, middle], np.inf))
    return gain, order, rivals, below, up_to


@njit(cache=True, nogil=True)
def _sort(order: NDArray[np.int16], rate: NDArray[np.float64]) -> None:
    """Sort indices by rate, by insertion: quick where they are nearly in order, and quick to compile."""
    for place in range(1, len(order)):
        index = order[place]
        while place > 0 and rate[order[place - 1]] > rate[index]:
            order[place] = order[place - 1]
            place -= 1  # noqa: PLW2901  the hole moves down to where the index belongs
        order[place] = index


@njit(cache=True, nogil=True)
def _place(order: NDArray[np.int16], rate: NDArray[np.float64], wanted: float) -> int:
    """Count the ranked rates under a rate."""
    low, high = 0, len(order)
    while low < high:
        middle = (low + high) // 2
        if rate[order[middle]] < wanted:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True, nogil=True)
def _search(  # noqa: C901  one loop nest; numba takes arguments by position
    gain: NDArray[np.float64],
    order: NDArray[np.int16],
    rivals: NDArray[np.int16],
    below: NDArray[np.int16],
    up_to: NDArray[np.int16],
    bins: int,
    first: int,
    second: int,
) -> tuple[list[int], float]:
    """Grow partitions bin by bin; a state is (phase, end, start of the last bin), and `back` says where it came from.

    `back` holds the start of the bin before, plus `size` where that bin was already in the second phase.
    """
    size = len(rivals)
    phases = 1 if first == second else 2
    value = np.full((2, size, size), -np.inf)
    value[0, :, 0] = gain[0]
    back = np.empty((bins, phases, size, size), dtype=np.int16)
    best, best_layer, best_phase, best_start = gain[0, size - 1], 0, 0, 0
    top, origin = np.empty(size), np.empty(size, dtype=np.int16)
    for layer in range(1, bins):
        grown = np.full((2, size, size), -np.inf)
        for middle in range(1, size - 1):
            count = rivals[middle]
            for phase in range(phases):
                direction = first if phase == 0 else second
                _lead(value[:, middle], order[middle, :count], phase, direction, top, origin)
                for end in range(middle + 1, size):
                    if gain[middle, end] == -np.inf:
                        continue
                    place = count - 1
                    if direction > 0:
                        place = up_to[middle, end] - 1
                    elif direction < 0:
                        place = below[middle, end]
                    if 0 <= place < count and top[place] > -np.inf:
                        grown[phase, end, middle] = top[place] + gain[middle, end]
                        back[layer, phase, end, middle] = origin[place]
        value = grown
        for phase in range(phases):
            for start in range(1, size - 1):
                if value[phase, size - 1, start] > best + _EQUAL:
                    best, best_layer, best_phase, best_start = value[phase, size - 1, start], layer, phase, start
    starts = [0] * 0
    layer, phase, end, start = best_layer, best_phase, size - 1, best_start
    while layer > 0:
        starts.append(start)
        before = back[layer, phase, end, start]
        end, start, phase, layer = start, before % size, before // size, layer - 1
    return starts[::-1], best


@njit(cache=True, nogil=True)
def _lead(
    value: NDArray[np.float64],
    order: NDArray[np.int16],
    phase: int,
    direction: int,
    top: NDArray[np.float64],
    origin: NDArray[np.int16],
) -> None:
    """Keep, place by place, the best of the bins that may stand before: from the lowest rate up, or highest down."""
    size, count = value.shape[1], len(order)
    leader, source = -np.inf, 0
    for step in range(count):
        place = step if direction >= 0 else count - 1 - step
        start = order[place]
        for before in range(phase + 1):
            rival, rival_source = value[before, start], start + before * size
            if rival > leader or (rival == leader and rival_source < source):
                leader, source = rival, rival_source
        top[place], origin[place] = leader, source

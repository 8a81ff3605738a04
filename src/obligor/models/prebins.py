"""Where the values of a column are first cut, finely: at quantiles of train, moved to round numbers.

A cut at a quantile is as good anywhere near it, so the number with the fewest digits near it is taken: people will read
it on the card. A value that many rows share has edges of its own and keeps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numba import njit

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAMPLE = 200_000
_GOLDEN = (5**0.5 - 1) / 2
_FINEST = -22
_TENS = np.array([float(f"1e{power}") for power in range(23)])  # exact in binary up to the 22nd


def quantile_cuts(
    values: NDArray[np.float64], train: NDArray[np.bool_], *, specials: tuple[float, ...], most: int
) -> NDArray[np.float64]:
    """Give rising cuts that make at most `most` intervals ``[lower, upper)``, each with a value of train.

    Where train has no more than `most` values, each has its interval. Otherwise the intervals hold about equal
    numbers of rows, as far as values that repeat allow.
    """
    ordered = _ordered(values, train, specials)
    edges = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if len(edges) < most:
        return _round_cuts(ordered, edges, 0)
    wanted = np.arange(1, most) * len(ordered) / most
    right = np.searchsorted(edges, wanted).clip(1, len(edges) - 1)
    nearest = right - (wanted - edges[right - 1] <= edges[right] - wanted)
    return _round_cuts(ordered, np.unique(edges[nearest]), len(ordered) // (4 * most))


def _ordered(values: NDArray[np.float64], train: NDArray[np.bool_], specials: tuple[float, ...]) -> NDArray[np.float64]:
    """Sort the ordinary values of train, or of a spread of its rows where they are very many.

    Of every stretch of rows one is taken, at a place that wanders by the golden ratio: no period in the tape can hide.
    """
    rows = np.flatnonzero(train)
    if len(rows) > SAMPLE:
        stretch = np.arange(SAMPLE)
        rows = rows[((stretch + stretch * _GOLDEN % 1) * (len(rows) / SAMPLE)).astype(np.int64)]
    sample = values[rows]
    ordinary = ~np.isnan(sample)
    for special in specials:
        ordinary &= sample != special
    ordered = np.sort(sample[ordinary] + 0.0)  # -0.0 becomes 0.0
    if len(ordered) and not (np.isfinite(ordered[0]) and np.isfinite(ordered[-1])):
        raise InvalidInputError("an infinite value: wanted finite numbers, or none where the value is missing")
    return ordered


@njit(cache=True, nogil=True)
def _round_cuts(ordered: NDArray[np.float64], edges: NDArray[np.int64], leeway: int) -> NDArray[np.float64]:
    """Give a cut for each edge, an index into `ordered` where the value changes.

    A cut may move by `leeway` rows, but not past half of the way to the next edge. Beside a value that fills a whole
    interval (four times the leeway) it stands where that value begins or ends.
    """
    cuts = np.empty(len(edges))
    last = len(ordered) - 1
    for place in range(len(edges)):
        edge = edges[place]
        low, high = max(edge - 1 - leeway, 0), min(edge + leeway, last)
        if place > 0:
            low = max(low, (edges[place - 1] + edge) // 2)
        if place < len(edges) - 1:
            high = min(high, (edge + edges[place + 1]) // 2)
        begins, ends = ordered[max(edge - 1 - 4 * leeway, 0)], ordered[min(edge + 4 * leeway, last)]
        if begins == ordered[edge - 1] or ends == ordered[edge]:
            low, high = edge - 1, edge
        cuts[place] = _roundest(ordered[low], ordered[high])
    return cuts


@njit(cache=True, nogil=True)
def _roundest(low: float, high: float) -> float:
    """Give the number in ``(low, high]`` that is a multiple of the highest power of ten; of several, the most central.

    A power of ten up to the 22nd is exact in binary, so one multiplication or division rounds to what a person's
    decimals would be read as.
    """
    middle = low / 2 + high / 2
    power = int(min(np.ceil(np.log10(max(abs(low), abs(high)))), 22.0))
    while power >= _FINEST:
        unit = _TENS[abs(power)]
        count = np.rint(middle / unit if power >= 0 else middle * unit)
        found, distance = low, np.inf
        for multiple in (count - 1, count, count + 1):
            value = multiple * unit if power >= 0 else multiple / unit
            if low < value <= high and abs(value - middle) < distance:
                found, distance = value, abs(value - middle)
        if found > low:
            return float(found + 0.0)
        power -= 1
    return high

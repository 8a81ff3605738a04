"""Scores whole columns at once; the same integers as the scorer of one application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.bins import Levels, NumericBins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.reasons import Shortfalls
    from obligor.core.scorecard import Characteristic, Pair, Scorecard


@dataclass(frozen=True, slots=True)
class ColumnScores:
    """Scores of many applications, in the order of the rows."""

    score: NDArray[np.int64]
    """In thousandths of a point."""
    pd: NDArray[np.float64]
    """The probability of turning bad within the card's horizon."""
    band: NDArray[np.int8]
    """The place of the band of risk on the card."""
    bins: Mapping[str, NDArray[np.uint8]]
    """The bin of each characteristic."""


def assign_bins(characteristic: Characteristic, column: NDArray[np.float64] | Levels) -> NDArray[np.uint8]:
    """Give the bin of each value of a characteristic's column."""
    bins = characteristic.binning
    if isinstance(bins, NumericBins):
        if isinstance(column, Levels):
            raise TypeError(f"'{characteristic.feature}' has intervals, but its column holds categories")
        return bins.assign_column(column)
    if not isinstance(column, Levels):
        raise TypeError(f"'{characteristic.feature}' has groups of levels, but its column holds numbers")
    return bins.assign_column(column)


def score_columns(card: Scorecard, columns: Mapping[str, NDArray[np.float64] | Levels], *, rows: int) -> ColumnScores:
    """Score columns of so many rows, with special codes in place and caps applied."""
    bins = {it.feature: assign_bins(it, columns[it.feature]) for it in card.characteristics}
    return score_bins(card, bins, rows=rows)


def score_bins(card: Scorecard, bins: Mapping[str, NDArray[np.uint8]], *, rows: int) -> ColumnScores:
    """Add up the points of bins that are already assigned."""
    score = np.full(rows, card.base_points, dtype=np.int64)
    for characteristic in card.characteristics:
        score += np.array(characteristic.points, dtype=np.int64)[bins[characteristic.feature]]
    for pair in card.pairs:
        score += pair_points(pair, bins)
    return ColumnScores(score, card.pd.pd_column(score), assign_bands(card, score), bins)


def pair_points(pair: Pair, bins: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Give the points that a pair earns in each row."""
    first, second = (bins[name] for name in pair.features)
    return np.array(pair.by_bin, dtype=np.int64)[first, second]


def assign_bands(card: Scorecard, score: NDArray[np.int64]) -> NDArray[np.int8]:
    """Give the place of each score's band; bands run from the highest scores down."""
    rising = np.array([band.score_min for band in reversed(card.bands) if band.score_min is not None], dtype=np.int64)
    return (len(rising) - np.searchsorted(rising, score, side="right")).astype(np.int8)


def principal_reasons(
    shortfalls: Shortfalls, bins: Sequence[NDArray[np.uint8]], *, rows: int, most: int
) -> NDArray[np.int16]:
    """Give the families that fall short most in each row, the larger first; -1 where there are no more.

    Parameters
    ----------
    bins
        The bin of each characteristic, in the order of the card.

    Returns
    -------
    Array of shape (rows, most), the place of each family among ``shortfalls.codes``.
    """
    size = len(shortfalls.codes)
    totals = np.zeros((size, rows), dtype=np.int64)
    for table, family, codes in zip(shortfalls.tables, shortfalls.families, bins, strict=True):
        totals[family] += np.array(table, dtype=np.int64)[codes]
    for one, other, cells in shortfalls.pairs:
        short = np.array(cells, dtype=np.int64)[bins[one], bins[other]]
        for at in (one, other):
            totals[shortfalls.families[at]] += short
    ranked = totals * size + np.arange(size - 1, -1, -1)[:, None]  # no two alike: the order of the card decides
    found = np.full((rows, most), -1, dtype=np.int16)
    for place in range(min(most, size)):
        best = ranked.max(axis=0)
        real = best >= size
        found[real, place] = (size - 1 - best % size)[real]
        ranked[ranked == best] = -1
    return found

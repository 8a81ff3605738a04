"""Scores whole columns at once; the same integers as the scorer of one application."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.bins import Levels, NumericBins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.reasons import Shortfalls
    from obligor.core.scorecard import Characteristic, Pair, Scorecard


_AT_ONCE = 1 << 14  # rows whose sums stay in a processor's cache


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
    found = np.full((rows, most), -1, dtype=np.int16)
    tables, pairs, exact = _ranked_tables(shortfalls)
    room = np.empty((size, min(rows, _AT_ONCE)), dtype=exact)
    for first in range(0, rows, _AT_ONCE):
        part = slice(first, min(first + _AT_ONCE, rows))
        ranked = room[:, : part.stop - first]
        ranked[:] = np.arange(size - 1, -1, -1, dtype=exact)[:, None]  # no two alike: the order of the card decides
        for table, family, codes in zip(tables, shortfalls.families, bins, strict=True):
            ranked[family] += table[codes[part]]
        for (one, other, _), cells in zip(shortfalls.pairs, pairs, strict=True):
            short = cells[bins[one][part], bins[other][part]]
            ranked[shortfalls.families[one]] += short
            ranked[shortfalls.families[other]] += short
        _pick(ranked, found[part])
    return found


def _ranked_tables(
    shortfalls: Shortfalls,
) -> tuple[list[NDArray[np.integer[Any]]], list[NDArray[np.integer[Any]]], type[np.int32 | np.int64]]:
    """Give the shortfalls times the number of families, in 32 bits where every sum of them fits."""
    size = len(shortfalls.codes)
    tables = [np.array(table, dtype=np.int64) * size for table in shortfalls.tables]
    pairs = [np.array(cells, dtype=np.int64) * size for _, _, cells in shortfalls.pairs]
    most = sum(int(np.abs(it).max()) for it in tables) + 2 * sum(int(np.abs(it).max()) for it in pairs)
    exact: type[np.int32 | np.int64] = np.int32 if most + size < np.iinfo(np.int32).max else np.int64
    return [it.astype(exact) for it in tables], [it.astype(exact) for it in pairs], exact


def _pick(ranked: NDArray[np.integer[Any]], found: NDArray[np.int16]) -> None:
    """Take the largest of each column again and again; what is below the number of families falls short of nothing."""
    size, most = len(ranked), found.shape[1]
    for place in range(min(most, size)):
        best = ranked.max(axis=0)
        found[:, place] = np.where(best >= size, size - 1 - best % size, -1)
        np.copyto(ranked, -1, where=ranked == best)

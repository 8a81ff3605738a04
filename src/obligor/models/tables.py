"""Fine tables: a column cut into some thirty cells, from which smoothing and coarsening make the bins of a card.

Numbers are cut at quantiles and, on longer tapes, into their tails; values that are few have a cell each. Missing values,
special codes and levels of a category have cells of their own throughout.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.bins import MOST_BINS, Bins, CategoryBins, Levels, NumericBins
from obligor.core.errors import EditError, InvalidInputError
from obligor.models.binning import BinningRules, level_table, rank_levels, refuse_empty
from obligor.models.histograms import CODES, Histogram, Outcomes, count_levels, count_names, count_numbers
from obligor.models.prebins import quantile_cuts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from obligor.core.trend import Trend
    from obligor.models.columns import Predictor, Rows

_PREBINS = 200
_INNER = tuple(step / 20 for step in range(1, 20))
_TAILS = (0.005, 0.01, 0.02, 0.98, 0.99, 0.995)
_TAILS_FROM = 5000
_FEW_VALUES = 25
_LEAST_ROWS, _LEAST_SHARE = 5.0, 0.002


@dataclass(frozen=True, slots=True)
class FineTable:
    """The fine cells of a predictor: the ordinary ones first, then special codes, missing and, for categories, unseen."""

    feature: str
    trend: Trend
    """What the contract asks of the bad rate."""
    cuts: tuple[float, ...]
    pools: tuple[tuple[str, ...], ...] | None
    """The levels of each ordinary cell of a category; None for numbers."""
    specials: tuple[float | str, ...]
    train: Histogram
    fixed: Bins | None = None
    """The bins, where a person made them; every cell lies within one."""

    @property
    def ordinary(self) -> int:
        """How many cells are intervals or levels."""
        return len(self.cuts) + 1 if self.pools is None else len(self.pools)

    @property
    def size(self) -> int:
        """How many cells there are in all."""
        return self.ordinary + len(self.specials) + (1 if self.pools is None else 2)

    @property
    def tells(self) -> bool:
        """Whether train shows more than one cell."""
        return int(np.count_nonzero(self.train.rows)) > 1

    @property
    def groups(self) -> tuple[tuple[int, ...], ...] | None:
        """The ordinary cells of each bin that a person made."""
        if self.fixed is None:
            return None
        if isinstance(self.fixed, NumericBins):  # a cell begins at each cut
            owners = [0, *np.searchsorted(self.fixed.cuts, self.cuts, side="right").tolist()]
        else:
            owners = [self.fixed.assign(pool[0]) for pool in self.pools or ()]
        return tuple(tuple(at for at, own in enumerate(owners) if own == code) for code in range(self.fixed.ordinary))

    def merged(self, groups: Sequence[Sequence[int]]) -> tuple[Bins, NDArray[np.uint8]]:
        """Give the bins that join ordinary cells, group by group, and the bin of each fine cell."""
        table = (np.arange(CODES) - self.ordinary + len(groups)).clip(0, MOST_BINS).astype(np.uint8)
        for place, group in enumerate(groups):
            table[list(group)] = place
        if self.fixed is not None:
            return self.fixed, table
        if self.pools is None:
            numbers = tuple(float(code) for code in self.specials)
            return NumericBins(self.feature, tuple(self.cuts[group[-1]] for group in groups[:-1]), numbers), table
        named = tuple(tuple(sorted(level for cell in group for level in self.pools[cell])) for group in groups)
        return CategoryBins(self.feature, named, tuple(str(code) for code in self.specials)), table


def cut_finely(
    predictor: Predictor,
    column: NDArray[np.float64] | Levels,
    rows: Rows,
    *,
    train: NDArray[np.bool_],
    fixed: Bins | None = None,
) -> tuple[FineTable, NDArray[np.uint8]]:
    """Cut a column into fine cells by its train rows; give the table and the cell of every row.

    Cells keep within the bins ``fixed`` that a person made, where there are any.

    Raises
    ------
    InvalidInputError
        Where a value is infinite; the message names the predictor.
    EditError
        Where train has no row in a bin that a person made.
    """
    try:
        outcomes = Outcomes(rows.bad, train, None, rows.weight)
        found, codes = _cut(predictor, column, outcomes, fixed)
        return (found if fixed is None else _within(found, fixed)), codes
    except InvalidInputError as error:
        raise type(error)(f"'{predictor.name}': {error.message}") from None


def _cut(
    predictor: Predictor, column: NDArray[np.float64] | Levels, outcomes: Outcomes, fixed: Bins | None
) -> tuple[FineTable, NDArray[np.uint8]]:
    if isinstance(column, Levels) and not isinstance(fixed, NumericBins):
        return _cut_levels(predictor, column, outcomes, by_hand=fixed.groups if fixed else ())
    if isinstance(column, np.ndarray) and not isinstance(fixed, CategoryBins):
        return _cut_numbers(predictor, column, outcomes, by_hand=fixed.cuts if fixed else ())
    raise EditError("the bins made by hand and the column are a number and a category; wanted two of a kind")


def _within(fine: FineTable, fixed: Bins) -> FineTable:
    """Bind the cells to the bins that a person made."""
    bound = replace(fine, fixed=fixed)
    rows = np.array([fine.train.rows[list(cells)].sum() for cells in bound.groups or ()])
    refuse_empty(fixed, Histogram(rows, np.zeros(len(rows))))
    return bound


def _cut_numbers(
    predictor: Predictor, values: NDArray[np.float64], outcomes: Outcomes, *, by_hand: tuple[float, ...]
) -> tuple[FineTable, NDArray[np.uint8]]:
    specials = tuple(float(code) for code in predictor.specials)
    most = min(_PREBINS, MOST_BINS - len(specials) - 1 - len(by_hand))
    cuts = np.union1d(quantile_cuts(values, outcomes.train, specials=specials, most=most), by_hand)
    counts = count_numbers(values, outcomes, cuts=cuts, specials=specials)
    kept = _edges(
        counts.train.rows[: len(cuts) + 1], rows=int(outcomes.train.sum()), fixed=np.searchsorted(cuts, by_hand)
    )
    table = (np.arange(CODES) - len(cuts) + len(kept)).clip(0, len(kept) + 1 + len(specials)).astype(np.uint8)
    table[: len(cuts) + 1] = np.searchsorted(kept, np.arange(len(cuts) + 1), side="left")
    size = len(kept) + 2 + len(specials)
    chosen = tuple(float(cuts[edge]) for edge in kept)
    fine = FineTable(predictor.name, predictor.trend, chosen, None, specials, counts.train.pooled(table, size))
    return fine, table[counts.codes]


def _edges(held: NDArray[np.float64], *, rows: int, fixed: NDArray[np.int64]) -> NDArray[np.int64]:
    """Choose edges between pre-bins (edge i lies behind pre-bin i): near the wanted quantiles, no cell too small.

    Edges that are ``fixed`` stay, and the others keep a distance from them.
    """
    reached = np.cumsum(held)
    total, least = float(reached[-1]), max(_LEAST_ROWS, _LEAST_SHARE * float(reached[-1]))
    if len(held) <= _FEW_VALUES:
        edges = np.arange(len(held) - 1)
    else:
        wanted = total * np.array(sorted((*_INNER, *(_TAILS if rows > _TAILS_FROM else ()))))
        edges = np.unique(np.abs(reached[None, :-1] - wanted[:, None]).argmin(axis=1))
    kept: list[int] = []
    for edge in edges.tolist():
        before = reached[kept[-1]] if kept else 0.0
        if reached[edge] - before >= least:
            kept.append(edge)
    while kept and total - reached[kept[-1]] < least:
        kept.pop()
    clear = [edge for edge in kept if (np.abs(reached[edge] - reached[fixed]) >= least).all()]
    return np.array(sorted({*clear, *fixed.tolist()}), dtype=np.int64)


def _cut_levels(
    predictor: Predictor, levels: Levels, outcomes: Outcomes, *, by_hand: tuple[tuple[str, ...], ...]
) -> tuple[FineTable, NDArray[np.uint8]]:
    specials = tuple(str(code) for code in predictor.specials)
    shown = count_names(levels.codes, outcomes, names=len(levels.names))
    ranked = rank_levels(shown, levels.names, specials, BinningRules(rare_share=_LEAST_SHARE))
    if by_hand:
        parts = [[tuple(it for it in pool if levels.names[it] in group) for group in by_hand] for pool in ranked]
        ranked = [part for pool in parts for part in pool if part]
    counts = count_levels(levels.codes, outcomes, table=level_table(ranked, levels.names, specials))
    pools = tuple(tuple(levels.names[level] for level in pool) or ("no level",) for pool in ranked)
    fine = FineTable(predictor.name, predictor.trend, (), pools, specials, counts.train)
    size = fine.size
    train = Histogram(counts.train.goods[:size], counts.train.bads[:size])
    return FineTable(predictor.name, predictor.trend, (), pools, specials, train), counts.codes


def spans(starts: Sequence[int], size: int) -> list[range]:
    """Give the groups of neighbours that begin at the starts (the first, 0, left out)."""
    return [range(low, high) for low, high in pairwise((0, *starts, size))]

"""A fine fit written down on few bins: coarse tables and small grids, with the trends that the contract asks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from obligor.core.clauses import CardScale
from obligor.core.trend import Trend
from obligor.models.coarsening import join, monotone, project, purify
from obligor.models.pairs import Axis, PairRules, cell_codes
from obligor.models.restraint import Room, nearest_in_trend
from obligor.models.scaling import NO_PLACE, THOUSANDTHS
from obligor.models.smoothing import Sample, Smooth, by_cells
from obligor.models.tables import FineTable, spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.bins import Bins
    from obligor.models.histograms import Histogram

_COST = 0.05
MONOTONE = (Trend.ASCENDING, Trend.DESCENDING)


@dataclass(frozen=True, slots=True)
class SmoothRules:
    """How coarse the card is, and how many pairs it may have."""

    max_bins: int = 10
    """The most ordinary bins of a characteristic."""
    grid_bins: int = 6
    """The most ordinary rows, and columns, of a grid."""
    max_cells: int = 400
    """The most bins and cells in all: the weakest pairs go first, then the weakest characteristics, but for one."""
    min_bads: float = 10.0
    """The least weight of bads of train from which a special code, missing values or unseen levels tell of themselves."""
    max_tables: int = 60
    """The most predictors that are fitted together; those with the least information value go before."""
    max_characteristics: int = 30
    """The most characteristics on the card."""
    keep: tuple[str, ...] = ()
    """Features that stay however little they tell."""
    pairs: PairRules = field(default_factory=PairRules)
    scale: CardScale = field(default_factory=CardScale)
    fixed: Mapping[str, Bins] = field(default_factory=dict)
    """Bins made by hand, by predictor."""


@dataclass(frozen=True, slots=True)
class Coarse:
    """A characteristic with its coarse bins: the bin of each fine cell, and of each row."""

    fine: FineTable
    groups: tuple[tuple[int, ...], ...]
    table: NDArray[np.uint8]
    codes: NDArray[np.uint8]

    @property
    def size(self) -> int:
        """How many bins there are, special codes and missing among them."""
        return self.fine.size - self.fine.ordinary + len(self.groups)

    @property
    def train(self) -> Histogram:
        """Goods and bads of train in each bin."""
        return self.fine.train.pooled(self.table[: self.fine.size], self.size)

    @property
    def shown(self) -> int:
        """How many of its bins train shows."""
        return int(np.count_nonzero(self.train.rows))

    def thin(self, min_bads: float) -> NDArray[np.bool_]:
        """Mark the special codes, missing values and unseen levels of which train shows too few bads, or nothing at all."""
        return (np.arange(self.size) >= len(self.groups)) & (self.train.bads < min_bads)


def coarsen(
    fine: FineTable,
    table: NDArray[np.float64],
    codes: NDArray[np.uint8],
    fit: Smooth,
    sample: Sample,
    rules: SmoothRules,
) -> Coarse:
    """Join neighbours, levels of a category in the order of the fit; a trend that the contract asks is kept.

    Bins made by hand stay as they are.
    """
    if fine.groups is not None:
        return _merged(fine, fine.groups, codes)
    p = expit(fit.log_odds(sample))
    weight = np.bincount(codes, weights=sample.weight * p * (1 - p), minlength=fine.size)[: fine.ordinary]
    order = np.arange(fine.ordinary) if fine.pools is None else np.argsort(table[: fine.ordinary], kind="stable")
    values, held = table[: fine.ordinary][order], weight[order].astype(np.float64)
    starts = join(values[:, None], held[:, None], most=rules.max_bins, cost=_COST)
    if fine.trend in MONOTONE:
        means = [np.average(values[it], weights=held[it] + 1e-12) for it in spans(starts, fine.ordinary)]
        totals = [held[it].sum() for it in spans(starts, fine.ordinary)]
        pools = monotone(np.array(means), np.array(totals), rising=fine.trend == Trend.ASCENDING)
        starts = tuple((0, *starts)[at] for at in pools)
    groups = tuple(tuple(int(order[at]) for at in it) for it in spans(starts, fine.ordinary))
    return _merged(fine, groups, codes)


def _merged(fine: FineTable, groups: tuple[tuple[int, ...], ...], codes: NDArray[np.uint8]) -> Coarse:
    _, table = fine.merged(groups)
    return Coarse(fine, groups, table, table[codes])


def axes_of(coarse: Sequence[Coarse]) -> list[Axis]:
    """Give the coarse bins of each characteristic as an axis of grids."""
    return [Axis(it.fine.feature, at, len(it.groups), it.size) for at, it in enumerate(coarse)]


@dataclass(frozen=True, slots=True)
class Cells:
    """A pair on the card: its axes, the row and the column of each bin, the log-odds of bad of each cell."""

    one: int
    other: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    log_odds: NDArray[np.float64]
    gain: float


@dataclass(frozen=True, slots=True)
class Projection:
    """A projected card: log-odds of bad."""

    coarse: tuple[Coarse, ...]
    tables: tuple[NDArray[np.float64], ...]
    cells: tuple[Cells, ...]
    collapsed: tuple[str, ...]
    """Characteristics of which one bin is left, so that they are not on the card."""


def project_fit(
    sample: Sample, fit: Smooth, coarse: Sequence[Coarse], taken: dict[tuple[int, int], float], *, rules: SmoothRules
) -> Projection:
    """Project the fine fit on coarse tables and grids, until every trend that the contract asks holds."""
    axes, codes = axes_of(coarse), np.vstack([it.codes for it in coarse])
    lines = [cell_codes(axes[one], axes[other], codes) for one, other in taken]
    eta = fit.log_odds(sample.with_lines(lines))
    p = expit(eta)
    weight = sample.weight * p * (1 - p)
    grids = [
        _grid(fit.tables[len(coarse) + at], coarse, pair, weight, gain=gain, rules=rules)
        for at, (pair, gain) in enumerate(taken.items())
    ]
    grids = _affordable(grids, coarse, rules=rules)
    while True:
        tables = _project_once(coarse, grids, eta, weight)
        tables, grids = _purified(tables, grids, coarse, sample)
        again = [_kept_trend(it, tables[at], weight) for at, it in enumerate(coarse)]
        if all(len(one.groups) == len(other.groups) for one, other in zip(coarse, again, strict=True)):
            break
        grids = [it for it in (_onto(it, coarse, again) for it in grids) if min(it.log_odds.shape) > 1]
        coarse = again
    factor = THOUSANDTHS * rules.scale.pdo / math.log(2)
    grids = _restrained(tables, grids, coarse, sample, factor=factor)
    return _without_collapsed(coarse, *_without_windfalls(tables, grids, coarse, min_bads=rules.min_bads))


def _without_windfalls(
    tables: Sequence[NDArray[np.float64]], grids: Sequence[Cells], coarse: Sequence[Coarse], *, min_bads: float
) -> tuple[list[NDArray[np.float64]], list[Cells]]:
    """Let what train hardly shows, beside the ordinary bins, earn the average at most, and what it never shows the average.

    The least-squares projection says nothing of a bin without rows: what stands there is how the table was centred.
    """
    few, shown = [it.thin(min_bads) for it in coarse], [it.train.rows > 0 for it in coarse]
    kept = [
        np.where(thin, np.where(seen, np.maximum(table, 0.0), 0.0), table)
        for thin, seen, table in zip(few, shown, tables, strict=True)
    ]
    plain = []
    for it in grids:
        cells = it.log_odds.copy()
        cells[it.rows[few[it.one] & (it.rows != NO_PLACE)]] = 0.0
        cells[:, it.columns[few[it.other] & (it.columns != NO_PLACE)]] = 0.0
        plain.append(replace(it, log_odds=cells))
    return kept, plain


def _without_collapsed(
    coarse: Sequence[Coarse], tables: Sequence[NDArray[np.float64]], grids: Sequence[Cells]
) -> Projection:
    kept = [at for at, it in enumerate(coarse) if it.shown > 1]
    place = {at: new for new, at in enumerate(kept)}
    return Projection(
        tuple(coarse[at] for at in kept),
        tuple(tables[at] for at in kept),
        tuple(replace(it, one=place[it.one], other=place[it.other]) for it in grids),
        tuple(it.fine.feature for it in coarse if it.shown <= 1),
    )


def _grid(
    table: NDArray[np.float64],
    coarse: Sequence[Coarse],
    pair: tuple[int, int],
    weight: NDArray[np.float64],
    *,
    gain: float,
    rules: SmoothRules,
) -> Cells:
    """Join the rows of a fitted grid, then its columns, then its rows again."""
    one, other = (coarse[at] for at in pair)
    values = table.reshape(one.size, other.size)
    held = by_cells(one.codes, other.codes, weight, one.size, other.size)
    rows, columns = np.arange(one.size), np.arange(other.size)
    for _ in range(2):
        merged, sums = _pool(values, held, columns)
        rows = _axis(merged, sums, len(one.groups), most=rules.grid_bins)
        merged, sums = _pool(values.T, held.T, rows)
        columns = _axis(merged, sums, len(other.groups), most=rules.grid_bins)
    empty = np.zeros((int(rows.max()) + 1, int(columns.max()) + 1))
    return Cells(*pair, rows, columns, empty, gain)


def _pool(
    values: NDArray[np.float64], held: NDArray[np.float64], columns: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size, known = int(columns.max()) + 1, columns >= 0
    sums, first = np.zeros((len(values), size)), np.zeros((len(values), size))
    np.add.at(sums.T, columns[known], held.T[known])
    np.add.at(first.T, columns[known], (held * values).T[known])
    return first / np.maximum(sums, 1e-300), sums


def _axis(values: NDArray[np.float64], held: NDArray[np.float64], ordinary: int, *, most: int) -> NDArray[np.int64]:
    """Give the place of each bin on an axis: ordinary ones joined, each other alone, none for what train never shows."""
    starts = join(values[:ordinary], held[:ordinary], most=most, cost=_COST * values.shape[1])
    place = np.searchsorted(np.array(starts, dtype=np.int64), np.arange(ordinary), side="right").tolist()
    after = len(starts) + 1
    for at in range(ordinary, len(values)):
        shown = held[at].sum() > 0
        place.append(after if shown else NO_PLACE)
        after += int(shown)
    return np.array(place, dtype=np.int64)


def _affordable(grids: Sequence[Cells], coarse: Sequence[Coarse], *, rules: SmoothRules) -> list[Cells]:
    """Keep the pairs that gain most within the cells that the card may have; one row or one column is no pair."""
    left = rules.max_cells - sum(it.size for it in coarse)
    kept = []
    for it in sorted(grids, key=lambda it: -it.gain):
        if min(it.log_odds.shape) > 1 and it.log_odds.size <= left:
            kept.append(it)
            left -= it.log_odds.size
    return kept


def _project_once(
    coarse: Sequence[Coarse], grids: Sequence[Cells], eta: NDArray[np.float64], weight: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    codes = [it.codes for it in coarse] + [_cell_of(it, coarse) for it in grids]
    sizes = [it.size for it in coarse] + [it.log_odds.size for it in grids]
    _, tables = project(codes, sizes, eta, weight)
    return tables


def _cell_of(it: Cells, coarse: Sequence[Coarse]) -> NDArray[np.uint8]:
    one, other = places_of(it, coarse[it.one].codes, coarse[it.other].codes)
    return one * np.uint8(it.log_odds.shape[1]) + other


def places_of(
    it: Cells, one: NDArray[np.uint8], other: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Give the row and the column of each row of train, all of whose bins have a place."""
    return it.rows.astype(np.uint8)[one], it.columns.astype(np.uint8)[other]


def _purified(
    tables: Sequence[NDArray[np.float64]], grids: Sequence[Cells], coarse: Sequence[Coarse], sample: Sample
) -> tuple[list[NDArray[np.float64]], list[Cells]]:
    """Move what an axis tells alone from the grids into the tables, and give every table a mean of zero."""
    main, rest = [it.copy() for it in tables[: len(coarse)]], []
    for it, table in zip(grids, tables[len(coarse) :], strict=True):
        shape = it.log_odds.shape
        held = by_cells(*places_of(it, coarse[it.one].codes, coarse[it.other].codes), sample.weight, *shape)
        cells, down, across = purify(table.reshape(shape), held)
        main[it.one] += np.where(it.rows >= 0, down[it.rows], 0.0)
        main[it.other] += np.where(it.columns >= 0, across[it.columns], 0.0)
        rest.append(replace(it, log_odds=cells))
    for at, table in enumerate(main):
        shares = np.bincount(coarse[at].codes, weights=sample.weight, minlength=len(table))
        main[at] = table - np.average(table, weights=shares)
    return main, rest


def _kept_trend(it: Coarse, table: NDArray[np.float64], weight: NDArray[np.float64]) -> Coarse:
    """Join the bins between which a projected table breaks the trend of the contract, unless a person made them."""
    if it.fine.trend not in MONOTONE or it.fine.fixed is not None:
        return it
    held = np.bincount(it.codes, weights=weight, minlength=it.size)[: len(it.groups)]
    starts = monotone(table[: len(it.groups)], held.astype(np.float64), rising=it.fine.trend == Trend.ASCENDING)
    joined = spans(starts, len(it.groups))
    groups = tuple(tuple(cell for at in span for cell in it.groups[at]) for span in joined)
    bins = np.concatenate([np.repeat(np.arange(len(joined)), [len(span) for span in joined]),
                           np.arange(len(joined), len(joined) + it.size - len(it.groups))]).astype(np.uint8)  # fmt: skip
    return Coarse(it.fine, groups, it.fine.merged(groups)[1], bins[it.codes])


def _onto(it: Cells, before: Sequence[Coarse], after: Sequence[Coarse]) -> Cells:
    """Put a grid onto joined bins: where bins of several rows are joined, so are the rows."""
    rows = _joined_axis(it.rows, before[it.one], after[it.one])
    columns = _joined_axis(it.columns, before[it.other], after[it.other])
    return replace(it, rows=rows, columns=columns, log_odds=np.zeros((int(rows.max()) + 1, int(columns.max()) + 1)))


def _joined_axis(axis: NDArray[np.int64], before: Coarse, after: Coarse) -> NDArray[np.int64]:
    owner = {cell: place for place, group in enumerate(after.groups) for cell in group}
    bins = [owner[group[0]] for group in before.groups] + list(range(len(after.groups), after.size))
    joined = axis.copy()
    for bin_ in range(after.size):
        rows = {int(joined[at]) for at, own in enumerate(bins) if own == bin_}
        joined[np.isin(joined, list(rows))] = min(rows)
    places = [int(joined[bins.index(bin_)]) for bin_ in range(after.size)]
    shown = sorted({place for place in places if place != NO_PLACE})
    return np.array([shown.index(place) if place != NO_PLACE else NO_PLACE for place in places], dtype=np.int64)


def _restrained(
    tables: Sequence[NDArray[np.float64]],
    grids: Sequence[Cells],
    coarse: Sequence[Coarse],
    sample: Sample,
    *,
    factor: float,
) -> list[Cells]:
    """Move each grid to the nearest one with which the trends of its two characteristics hold, whatever the other's bin is.

    The grids of a characteristic share the steps of its table as they need them, but for what rounding to whole thousandths may
    take; ``factor`` is how many thousandths a unit of log-odds is.
    """
    rooms = {
        at: _rooms(at, it, tables[at], grids, factor=factor)
        for at, it in enumerate(coarse)
        if it.fine.trend in MONOTONE
    }
    found = []
    for place, it in enumerate(grids):
        held = by_cells(*places_of(it, coarse[it.one].codes, coarse[it.other].codes), sample.weight, *it.log_odds.shape)
        down, across = (rooms.get(at, {}).get(place) for at in (it.one, it.other))
        found.append(replace(it, log_odds=nearest_in_trend(it.log_odds, held, down=down, across=across)))
    return found


def _rooms(
    at: int, it: Coarse, table: NDArray[np.float64], grids: Sequence[Cells], *, factor: float
) -> dict[int, Room]:
    """Give the room of each grid of a characteristic: its share of the steps of the table."""
    sign = 1.0 if it.fine.trend == Trend.ASCENDING else -1.0
    ordinary = len(it.groups)
    lines = {
        place: (own.rows, own.log_odds) if own.one == at else (own.columns, own.log_odds.T)
        for place, own in enumerate(grids)
        if at in (own.one, own.other)
    }
    spare = np.maximum(sign * np.diff(table[:ordinary]) - (1 + len(lines)) / factor, 0.0)
    against = {
        place: -np.minimum((sign * np.diff(values[axis[:ordinary]], axis=0)).min(axis=1, initial=0.0), 0.0)
        for place, (axis, values) in lines.items()
    }
    whole = np.maximum(sum(against.values(), np.zeros(ordinary - 1)), 1e-300)
    return {
        place: Room(sign, (spare * against[place] / whole)[np.diff(axis[:ordinary]) > 0])
        for place, (axis, _) in lines.items()
    }

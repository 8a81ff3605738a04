"""Bins for a characteristic: the exact optimum over a few hundred pre-bins, under the trend that the contract states.

First the values of train are cut finely, at quantiles moved to round numbers (levels of a category are put in order
of their bad rate instead). Then the tape is read once, as counts per pre-bin. Then the partition of the pre-bins is
found that tells most and keeps the rules. Missing values and special codes have bins of their own throughout, however
few they are; what is said of few is `FittedBins.woe`.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.bins import MOST_BINS, Bins, CategoryBins, Levels, NumericBins
from obligor.core.errors import EditError, InvalidInputError
from obligor.core.trend import Trend
from obligor.models.histograms import (
    CODES,
    Counts,
    Histogram,
    Outcomes,
    count_levels,
    count_names,
    count_numbers,
    information_value,
    woe,
)
from obligor.models.partition import Limits, Partition, best_partition, segments
from obligor.models.prebins import quantile_cuts
from obligor.models.trends import broken_at, choose_trend, shape_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PLACEHOLDER = "no level"
_SUSPICIOUS = 1.0
"""The information value above which a feature may know the outcome: as a rule 0.5 already is very strong (Siddiqi 2006)."""
_FEWEST = 20.0
"""The goods, and bads, of fewer than which one cut may part them by chance."""
_ORDER_PRIOR = 50.0
"""Rows at the population's bad rate that join each level before levels are put in order: chance is not an order."""


@dataclass(frozen=True, slots=True)
class BinningRules:
    """What a lender asks of every bin, and how finely values are cut before the best bins are sought."""

    max_bins: int = 8
    """The most ordinary bins: missing and special codes come on top."""
    min_share: float = 0.05
    """The least share of train, by weight, in an ordinary bin."""
    min_bads: float = 10.0
    """The least weight of bads in an ordinary bin, and from which any other tells of itself."""
    min_goods: float = 10.0
    """The least weight of goods in an ordinary bin."""
    prebins: int = 200
    """The most pre-bins."""
    rare_share: float = 0.005
    """Levels with less than this share of train, by weight, are pooled before the best groups are sought."""

    def __post_init__(self) -> None:
        _refuse_outside("max_bins", self.max_bins, 1, 200)
        _refuse_outside("min_share", self.min_share, 0.0, 0.5)
        _refuse_outside("min_bads", self.min_bads, 1e-9, 1e15)
        _refuse_outside("min_goods", self.min_goods, 1e-9, 1e15)
        _refuse_outside("prebins", self.prebins, 2, 200)
        _refuse_outside("rare_share", self.rare_share, 0.0, 0.5)


@dataclass(frozen=True, slots=True)
class FittedBins:
    """The bins of a characteristic, the bin of every row, and what the bins hold."""

    bins: Bins
    trend: Trend
    """The trend that was kept: never ``either`` or ``auto``."""
    codes: NDArray[np.uint8]
    """The bin of every row of the tape, whatever its sample."""
    train: Histogram
    validation: Histogram | None
    note: str | None
    """Why ``auto`` chose the trend, or what is to be said of bins that were made by hand."""
    min_bads: float
    """The least weight of bads from which a special code, missing values or unseen levels tell of themselves."""

    @property
    def thin(self) -> NDArray[np.bool_]:
        """Mark the special codes, missing values and unseen levels that train shows, with too few bads to tell."""
        few = (self.train.rows > 0) & (self.train.bads < self.min_bads)
        return few & (np.arange(self.bins.size) >= self.bins.ordinary)

    @property
    def woe(self) -> NDArray[np.float64]:
        """The weight of evidence of each bin.

        That of a thin one is drawn towards 0 by as many rows of the population as hold `min_bads` bads, and is 0 at most: by
        chance nobody earns more for an answer withheld than an applicant of whom nothing is known.
        """
        average = self.min_bads * self.train.rows.sum() / self.train.bads.sum()
        drawn = np.minimum(woe(self.train, prior_rows=average), 0.0)
        return np.where(self.thin, drawn, woe(self.train))


def fit_numeric(
    feature: str,
    values: NDArray[np.float64],
    *,
    bad: NDArray[np.uint8],
    train: NDArray[np.bool_],
    validation: NDArray[np.bool_] | None = None,
    weight: NDArray[np.float64] | None = None,
    specials: tuple[float, ...] = (),
    trend: Trend = Trend.AUTO,
    rules: BinningRules,
) -> FittedBins:
    """Bin a column of numbers; NaN is missing, and a special code wins over the interval it lies in.

    Only rows of train shape the bins. Rows of validation have a say in the trend, where it is ``auto``, and in nothing
    else.
    """
    NumericBins(feature, (), specials)  # refuses special codes that no bins could have
    most = min(rules.prebins, MOST_BINS - len(specials) - 1)
    try:
        outcomes = Outcomes(bad, train, validation, weight)
        cuts = quantile_cuts(values, train, specials=specials, most=most)
        counts = count_numbers(values, outcomes, cuts=cuts, specials=specials)
    except InvalidInputError as error:
        raise InvalidInputError(f"'{feature}': {error.message}") from None
    found, note = _partition(feature, counts, len(cuts) + 1, trend=trend, rules=rules, unit=outcomes.unit)
    bins = NumericBins(feature, tuple(float(cuts[start - 1]) for start in found.starts), specials)
    return _fitted(bins, counts, found, prebins=len(cuts) + 1, note=note, min_bads=rules.min_bads)


def fit_categories(
    feature: str,
    levels: Levels,
    *,
    bad: NDArray[np.uint8],
    train: NDArray[np.bool_],
    validation: NDArray[np.bool_] | None = None,
    weight: NDArray[np.float64] | None = None,
    specials: tuple[str, ...] = (),
    rules: BinningRules,
) -> FittedBins:
    """Group the levels of a category by bad rate; a level that train never showed is ``unseen``.

    Levels have no order of their own, hence no trend: in order of bad rate the best groups are neighbours. Rare levels
    go together, so that chance does not order them.
    """
    CategoryBins(feature, ((_PLACEHOLDER,),), specials)  # refuses special codes that no bins could have
    try:
        outcomes = Outcomes(bad, train, validation, weight)
        shown = count_names(levels.codes, outcomes, names=len(levels.names))
        ranked = rank_levels(shown, levels.names, specials, rules)
        counts = count_levels(levels.codes, outcomes, table=level_table(ranked, levels.names, specials))
    except InvalidInputError as error:
        raise InvalidInputError(f"'{feature}': {error.message}") from None
    found, note = _partition(feature, counts, len(ranked), trend=Trend.FREE, rules=rules)
    groups = tuple(
        tuple(sorted(levels.names[level] for pool in ranked[low:high] for level in pool)) or (_PLACEHOLDER,)
        for low, high in itertools.pairwise((0, *found.starts, len(ranked)))
    )
    bins = CategoryBins(feature, groups, specials)
    return _fitted(bins, counts, found, prebins=len(ranked), note=note, min_bads=rules.min_bads)


def count_by_hand(
    bins: Bins,
    column: NDArray[np.float64] | Levels,
    *,
    bad: NDArray[np.uint8],
    train: NDArray[np.bool_],
    validation: NDArray[np.bool_] | None = None,
    weight: NDArray[np.float64] | None = None,
    trend: Trend = Trend.AUTO,
    rules: BinningRules,
) -> FittedBins:
    """Take bins that a person made: count them, and note where they break the trend or the rules.

    A trend that the contract asks and a rule that a bin breaks do not stop a person who gave a reason; they are told.

    Raises
    ------
    EditError
        Where train has no row in an ordinary bin, so that nothing could be said of it, or the bins are not of this column.
    """
    try:
        counts = _counted(bins, column, Outcomes(bad, train, validation, weight))
        kept = np.arange(CODES).clip(0, bins.size - 1).astype(np.uint8)
        pooled = counts.train.pooled(kept, bins.size)
        refuse_empty(bins, pooled)
    except InvalidInputError as error:
        raise type(error)(f"'{bins.feature}': {error.message}") from None
    rates = pooled.bads[: bins.ordinary] / pooled.rows[: bins.ordinary]
    asked = trend if isinstance(bins, NumericBins) else Trend.FREE
    return FittedBins(
        bins=bins,
        trend=shape_of(rates) if isinstance(bins, NumericBins) else Trend.FREE,
        codes=counts.codes,
        train=pooled,
        validation=None if counts.validation is None else counts.validation.pooled(kept, bins.size),
        note=". ".join(["bins made by hand", *broken_trend(rates, asked), *_broken_rules(bins, pooled, rules)]),
        min_bads=rules.min_bads,
    )


def _counted(bins: Bins, column: NDArray[np.float64] | Levels, outcomes: Outcomes) -> Counts:
    if isinstance(column, Levels) and isinstance(bins, CategoryBins):
        every = Levels(np.array([*range(len(column.names)), -1], dtype=np.int32), column.names)
        return count_levels(column.codes, outcomes, table=bins.assign_column(every))
    if isinstance(column, np.ndarray) and isinstance(bins, NumericBins):
        return count_numbers(column, outcomes, cuts=np.array(bins.cuts), specials=bins.specials)
    raise EditError("the bins made by hand and the column are a number and a category; wanted two of a kind")


def refuse_empty(bins: Bins, train: Histogram) -> None:
    """Refuse bins of which one has no row of train."""
    for code in np.flatnonzero(train.rows[: bins.ordinary] <= 0).tolist():
        raise EditError(f"bin {code + 1} ({bins.labels()[code]}) would hold no row of train; wanted some in every bin")


def broken_trend(rates: NDArray[np.float64], asked: Trend) -> list[str]:
    """Say where the bad rates of bins, from low to high, break the trend that the contract asks."""
    broken = broken_at(rates, asked)
    if not broken:
        return []
    places = ", ".join(f"from bin {at + 1} to bin {at + 2}" for at in broken)
    return [f"The contract asks for the trend {asked}, which breaks {places}"]


def _broken_rules(bins: Bins, train: Histogram, rules: BinningRules) -> list[str]:
    """Say which ordinary bins hold less than the rules ask."""
    said = []
    for code in range(bins.ordinary):
        held = {"bads": train.bads[code], "goods": train.goods[code]}
        least = {"bads": rules.min_bads, "goods": rules.min_goods}
        said += [
            f"Bin {code + 1} holds {held[name]:g} {name}, fewer than {least[name]:g}"
            for name in held
            if held[name] < least[name]
        ]
        share = float(train.rows[code] / train.rows.sum())
        if share < rules.min_share:
            said.append(f"Bin {code + 1} holds {share:.1%} of train, less than {rules.min_share:.1%}")
    return said


def _partition(
    feature: str, counts: Counts, prebins: int, *, trend: Trend, rules: BinningRules, unit: float = 1.0
) -> tuple[Partition, str | None]:
    train = counts.train
    goods, bads = float(train.goods.sum()), float(train.bads.sum())
    if not (goods > 0 and bads > 0):
        raise InvalidInputError(f"'{feature}': train has {goods:g} goods and {bads:g} bads; wanted some of each")
    limits = Limits(rules.min_share * (goods + bads), rules.min_goods, rules.min_bads)
    ordinary = Histogram(train.goods[:prebins], train.bads[:prebins])
    if trend == Trend.AUTO:
        choice = choose_trend(counts, prebins, limits=limits, bins=rules.max_bins, unit=unit)
        found, note = choice.partition, choice.note
    else:
        found, note = (
            best_partition(segments(ordinary, limits, goods=goods, bads=bads), trend, bins=rules.max_bins),
            None,
        )
    return found, _knows(ordinary) or note if len(found.starts) == 0 else note


def _knows(ordinary: Histogram) -> str | None:
    """Say where one cut alone parts goods from bads so well that no bin could hold enough of each."""
    goods, bads = np.cumsum(ordinary.goods), np.cumsum(ordinary.bads)
    if min(goods[-1], bads[-1]) < _FEWEST:
        return None
    halves = (
        Histogram(np.array([good, goods[-1] - good]), np.array([bad, bads[-1] - bad]))
        for good, bad in zip(goods, bads, strict=True)
    )
    value = max(information_value(it) for it in halves)
    if value <= _SUSPICIOUS:
        return None
    few = "with too few goods or bads on a side for a bin"
    return f"One cut alone has an information value of {value:.2f}, {few}: it may know the outcome"


def _fitted(
    bins: Bins, counts: Counts, found: Partition, *, prebins: int, note: str | None, min_bads: float
) -> FittedBins:
    """Turn pre-bins into bins: a table says where each goes, and what follows the ordinary ones keeps its order."""
    table = (np.arange(CODES) - prebins + bins.ordinary).clip(0, bins.size - 1).astype(np.uint8)
    table[:prebins] = found.bins(prebins)
    validation = None if counts.validation is None else counts.validation.pooled(table, bins.size)
    return FittedBins(
        bins=bins,
        trend=found.trend,
        codes=table[counts.codes],
        train=counts.train.pooled(table, bins.size),
        validation=validation,
        note=note,
        min_bads=min_bads,
    )


def rank_levels(
    shown: Histogram, names: tuple[str, ...], specials: tuple[str, ...], rules: BinningRules
) -> list[tuple[int, ...]]:
    """Put the levels that train shows in order of bad rate, rare ones as one; where it shows none, one pool of none."""
    rows, special = shown.rows, frozenset(specials)
    known = (int(level) for level in np.flatnonzero(rows > 0) if names[level] not in special)
    by_size = sorted(known, key=lambda level: (-rows[level], names[level]))
    most = min(rules.prebins, MOST_BINS - len(specials) - 2)
    common = [level for level in by_size[: most - 1] if rows[level] >= rules.rare_share * rows.sum()]
    rare = by_size[len(common) :]
    prior = shown.bads.sum() / rows.sum() if rows.any() else 0.0

    def bad_rate(pool: tuple[int, ...]) -> float:
        members = list(pool)
        return float((shown.bads[members].sum() + _ORDER_PRIOR * prior) / (rows[members].sum() + _ORDER_PRIOR))

    pools = [(level,) for level in common] + ([tuple(rare)] if rare or not common else [])
    return sorted(pools, key=bad_rate)


def level_table(ranked: list[tuple[int, ...]], names: tuple[str, ...], specials: tuple[str, ...]) -> NDArray[np.uint8]:
    """Give the code of each level by its number, and last that of missing; levels that train never shows are unseen."""
    missing = len(ranked) + len(specials)
    table = np.full(len(names) + 1, missing + 1, dtype=np.uint8)
    for code, pool in enumerate(ranked):
        table[list(pool)] = code
    for offset, special in enumerate(specials):
        if special in names:
            table[names.index(special)] = len(ranked) + offset
    table[-1] = missing
    return table


def _refuse_outside(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InvalidInputError(f"binning rules: {name} is {value:g}; wanted {low:g} to {high:g}")

"""Ratios of two numbers that would tell more than the card does: proposals, each an expression that a person may accept.

On the train rows a ratio is cut into tenths, and a table of them is fitted to what the card leaves unexplained, to the second
order and drawn towards zero, leaving out one fold of five after another: its gain is what it adds to the log likelihood
of the folds that it was not fitted on. A ratio is proposed where that gain is beyond what the best of as many ratios
would reach by chance, holds in four folds, is beyond what finer bins of its two numbers alone would add, and is borne out by
validation. The best is taken, its table added to the card's log-odds, and the rest are judged again, so that proposals do
not repeat each other. Nothing is put on the card: who accepts a proposal copies it into the contract.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from obligor.core.grammar import quote_name
from obligor.models.columns import TRAIN, VALIDATION
from obligor.models.scaling import log_odds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from obligor.core.clauses import CardScale
    from obligor.models.columns import Rows

_MOST_NUMBERS, _ASKED_AGAIN, _MOST_ROWS = 40, 60, 100_000
_TENTHS, _FOLDS, _GOLDEN = 10, 5, (5**0.5 - 1) / 2
_PRIOR = 10.0
"""Rows' worth of curvature that draws each cell towards zero."""
_LEAST_GAIN, _LEAST_FOLDS = 3.0, 4
_LARGEST, _SMALLEST = 1e15, 1e-15


@dataclass(frozen=True, slots=True)
class ProposedRatio:
    """A ratio that would tell more than the card does."""

    name: str
    expression: str
    """In the language of features."""
    numerator: str
    denominator: str
    gain: float
    """The log likelihood that it adds on folds of train that did not fit it, in nats."""
    folds: int
    """In how many of five folds it gains."""
    validation_gain: float
    """The log likelihood that it adds on validation, in nats."""


def pairs_of(columns: int) -> int:
    """Count the ratios that are judged of so many columns."""
    return math.comb(min(columns, _MOST_NUMBERS), 2)


def propose_ratios(
    numbers: Mapping[str, NDArray[np.float64]],
    scores: NDArray[np.int64],
    rows: Rows,
    *,
    scale: CardScale,
    most: int,
    known: Iterable[str] = (),
    advance: Callable[[float], None] = lambda _: None,
) -> list[ProposedRatio]:
    """Propose at most so many ratios of two of some columns, the best first.

    Parameters
    ----------
    numbers
        Columns by name, of every row; NaN is missing. Of more than forty only the first forty are paired.
    scores
        What the card gives every row, in thousandths.
    known
        Expressions that the contract has already.
    advance
        Called with 1 after each ratio that is judged for the first time.
    """
    chosen = _rows_of(rows)
    sides = {name: column[chosen] for name, column in list(numbers.items())[:_MOST_NUMBERS]}
    bench = _Bench.of(rows, chosen, -log_odds_of(scores[chosen], scale=scale))
    taken = {_plain(expression) for expression in known}
    pairs = [
        (one, other)
        for pair in combinations(sides, 2)
        if taken.isdisjoint(_plain(_expression(*each)) for each in (pair, pair[::-1]))
        for one, other in (_oriented(sides, *pair, train=bench.train),)
    ]
    bar = _LEAST_GAIN + math.log(max(len(pairs), 1))
    found: list[ProposedRatio] = []
    while pairs and len(found) < most:
        alone = {name: bench.gain(_cells(column, bench.train))[0] for name, column in sides.items()}
        judged = []
        for one, other in pairs:
            gain, folds = bench.gain(_cells(_ratio(sides[one], sides[other]), bench.train))
            if gain - max(alone[one], alone[other], 0.0) >= bar and folds >= _LEAST_FOLDS:
                judged.append((gain, folds, one, other))
            if not found:
                advance(1)
        judged.sort(key=lambda it: (-it[0], it[2], it[3]))
        best = next(
            (it for it in judged if bench.seen(_cells(_ratio(sides[it[2]], sides[it[3]]), bench.train)) > 0), None
        )
        if best is None:
            break
        gain, folds, one, other = best
        cells = _cells(_ratio(sides[one], sides[other]), bench.train)
        found.append(
            ProposedRatio(f"{one}_to_{other}", _expression(one, other), one, other, gain, folds, bench.seen(cells))
        )
        bench = bench.after(cells)
        pairs = [(it[2], it[3]) for it in judged if it is not best][:_ASKED_AGAIN]
    return found


@dataclass(frozen=True, slots=True)
class _Bench:
    """Rows of train and validation, with the log-odds of bad that they have already."""

    bad: NDArray[np.float64]
    weight: NDArray[np.float64]
    train: NDArray[np.bool_]
    fold: NDArray[np.int64]
    risk: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Rows, chosen: NDArray[np.int64], risk: NDArray[np.float64]) -> _Bench:
        weight = np.ones(len(chosen)) if rows.weight is None else rows.weight[chosen] / rows.weight[chosen].mean()
        fold = (np.arange(len(chosen)) * _GOLDEN % 1 * _FOLDS).astype(np.int64)
        return cls(rows.bad[chosen].astype(np.float64), weight, rows.sample[chosen] == TRAIN, fold, risk)

    def gain(self, cells: NDArray[np.int64]) -> tuple[float, int]:
        """Give the gain of a table on the folds of train that it was not fitted on, and in how many it gains."""
        pull, curve = self._sums(cells, by_fold=True)
        rest_pull, rest_curve = pull.sum(axis=0) - pull, curve.sum(axis=0) - curve
        table = rest_pull / (rest_curve + _PRIOR)
        gains = (pull * table - curve * table**2 / 2).sum(axis=1)
        return float(gains.sum()), int((gains > 0).sum())

    def seen(self, cells: NDArray[np.int64]) -> float:
        """Give the log likelihood that a table fitted on train adds on validation."""
        moved = self.risk + self._table(cells)[cells]
        gains = self.weight * (self._losses(self.risk) - self._losses(moved))
        return float(gains[~self.train].sum())

    def after(self, cells: NDArray[np.int64]) -> _Bench:
        """Add a table to what the rows have already."""
        return _Bench(self.bad, self.weight, self.train, self.fold, self.risk + self._table(cells)[cells])

    def _table(self, cells: NDArray[np.int64]) -> NDArray[np.float64]:
        pull, curve = self._sums(cells, by_fold=False)
        return np.asarray(pull[0] / (curve[0] + _PRIOR))

    def _sums(self, cells: NDArray[np.int64], *, by_fold: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Sum slope and curvature of the log likelihood over train, by fold and cell."""
        size, folds = _TENTHS + 1, _FOLDS if by_fold else 1
        p = expit(self.risk)
        place = (self.fold * size + cells if by_fold else cells)[self.train]
        pull, curve = (
            np.asarray(np.bincount(place, weights=value[self.train], minlength=folds * size), dtype=np.float64)
            for value in (self.weight * (self.bad - p), self.weight * p * (1 - p))
        )
        return pull.reshape(folds, size), curve.reshape(folds, size)

    def _losses(self, risk: NDArray[np.float64]) -> NDArray[np.float64]:
        losses: NDArray[np.float64] = np.logaddexp(0, risk) - self.bad * risk
        return losses


def _rows_of(rows: Rows) -> NDArray[np.int64]:
    """Give the rows of train and validation, or every second, third and so on where they are very many."""
    known = np.flatnonzero(rows.is_in(TRAIN) | rows.is_in(VALIDATION))
    return known[:: -(-len(known) // _MOST_ROWS)]


def _ratio(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide as the language of features does: by zero is missing, and so is what is not finite."""
    found = np.full(len(one), math.nan)
    np.divide(one, other, out=found, where=(other != 0) & ~np.isnan(other))
    found[np.abs(found) > _LARGEST] = math.nan
    found[np.abs(found) < _SMALLEST] = 0.0
    return found


def _cells(values: NDArray[np.float64], train: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give the tenth of each value among those of train; what is missing has a cell of its own, the last."""
    known = values[train & ~np.isnan(values)]
    if not len(known):
        return np.full(len(values), _TENTHS)
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _TENTHS + 1)[1:-1], method="inverted_cdf"))
    place = np.searchsorted(edges, values, side="right")
    return np.where(np.isnan(values), _TENTHS, place).astype(np.int64)


def _oriented(
    sides: Mapping[str, NDArray[np.float64]], one: str, other: str, *, train: NDArray[np.bool_]
) -> tuple[str, str]:
    """Put below the line the number that is less often zero or missing."""
    lost = [float(np.mean(np.isnan(sides[name][train]) | (sides[name][train] == 0))) for name in (one, other)]
    return (one, other) if lost[1] <= lost[0] else (other, one)


def _expression(one: str, other: str) -> str:
    return f"{quote_name(one)} / {quote_name(other)}"


def _plain(expression: str) -> str:
    """Bring an expression to a form in which the same ratio looks the same; a division by zero is missing either way."""
    return re.sub(r"nullif\((.*?),0\)", r"\1", "".join(expression.replace('"', "").split()).lower())

"""What a cut-off does: confusion, rates, cost and profit, at one score and over all of them.

An application is approved where its score is at least the cut-off. The positive class is bad, and to decline is to
predict it: precision is the share of bads among the declined, recall the share of bads that are declined.

A loan of amount a and PD p is expected to earn a (m (1 - p) - l p) - c, with the margin m, the loss given default l and the
cost c of making a loan. It breaks even at p = (m - c / a) / (m + l): the smaller the loan, the safer it must be.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MOST_POINTS = 400


@dataclass(frozen=True, slots=True)
class Economy:
    """What a loan earns and what errors cost."""

    margin: float
    """What a good loan earns, as a share of its exposure."""
    lgd: float
    """The share of the exposure that a bad loan loses."""
    cost_missed_default: float
    """The cost of approving a bad."""
    cost_declined_good: float
    """The cost of declining a good."""
    cost_per_loan: float = 0.0
    """What making a loan costs, whatever its amount."""


@dataclass(frozen=True, slots=True)
class AtCutoff:
    """What a cut-off does to some rows; counts are by weight, a rate of nothing is NaN."""

    approval_rate: float
    npl_rate: float
    precision: float
    recall: float
    f1: float
    accuracy: float
    true_positives: float
    false_positives: float
    true_negatives: float
    false_negatives: float
    cost: float
    profit: float
    profit_per_application: float
    expected_profit: float
    """By the PDs; NaN where the book has none."""


@dataclass(frozen=True, slots=True)
class Frontier:
    """What every cut-off would do, from approving everybody to approving nobody."""

    score: NDArray[np.int64]
    approval_rate: NDArray[np.float64]
    npl_rate: NDArray[np.float64]
    profit: NDArray[np.float64]
    expected_profit: NDArray[np.float64]
    """By the PDs; NaN where the book has none."""
    cost: NDArray[np.float64]
    bads_declined: NDArray[np.float64]
    goods_declined: NDArray[np.float64]


FRONTIER = tuple(each.name for each in fields(Frontier))
"""What is told of each cut-off, in this order."""


@dataclass(frozen=True, slots=True)
class Book:
    """Scored rows with what became of them."""

    score: NDArray[np.int64]
    bad: NDArray[np.uint8]
    weight: NDArray[np.float64]
    exposure: NDArray[np.float64]
    """1 for each row where amounts are not known; a missing amount counts as 0."""
    pd: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        sizes = {len(each) for each in (self.score, self.bad, self.weight, self.exposure, self.pd) if each is not None}
        if len(sizes) != 1:
            raise InvalidInputError(f"a book of columns of {sorted(sizes)} rows; wanted as many of each")

    def only(self, mask: NDArray[np.bool_]) -> Book:
        """Keep some rows."""
        pd = None if self.pd is None else self.pd[mask]
        return Book(self.score[mask], self.bad[mask], self.weight[mask], self.exposure[mask], pd)


def at_cutoff(book: Book, cutoff: int, *, economy: Economy) -> AtCutoff:
    """Give what a cut-off does."""
    declined, bad = book.score < cutoff, book.bad == 1
    counts = [
        float(book.weight[mask].sum()) for mask in (declined & bad, declined & ~bad, ~declined & ~bad, ~declined & bad)
    ]
    tp, fp, tn, fn = counts
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
    earned = float(earnings(book, economy=economy)[~declined].sum())
    return AtCutoff(
        approval_rate=_ratio(tn + fn, sum(counts)),
        npl_rate=_ratio(fn, tn + fn),
        precision=precision,
        recall=recall,
        f1=_ratio(2 * tp, 2 * tp + fp + fn),
        accuracy=_ratio(tp + tn, sum(counts)),
        true_positives=tp,
        false_positives=fp,
        true_negatives=tn,
        false_negatives=fn,
        cost=fn * economy.cost_missed_default + fp * economy.cost_declined_good,
        profit=earned,
        profit_per_application=_ratio(earned, sum(counts)),
        expected_profit=float(expected_earnings(book, economy=economy)[~declined].sum()),
    )


def frontier(book: Book, *, economy: Economy) -> Frontier:
    """Give what each cut-off would do: at every score that occurs, and one above them all."""
    levels, place = np.unique(book.score, return_inverse=True)
    cutoffs = np.append(levels, levels[-1] + 1) if len(levels) else np.zeros(0, dtype=np.int64)

    def above(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.append(np.cumsum(np.bincount(place, weights=values, minlength=len(levels))[::-1])[::-1], 0.0)

    rows, bads = above(book.weight), above(book.weight * book.bad)
    total, all_bads = rows[0], bads[0]
    declined_goods = (total - all_bads) - (rows - bads)
    return Frontier(
        score=cutoffs,
        approval_rate=rows / total,
        npl_rate=np.divide(bads, rows, out=np.full(len(rows), math.nan), where=rows > 0),
        profit=above(earnings(book, economy=economy)),
        expected_profit=above(expected_earnings(book, economy=economy)),
        cost=bads * economy.cost_missed_default + declined_goods * economy.cost_declined_good,
        bads_declined=all_bads - bads,
        goods_declined=declined_goods,
    )


def break_even_pd(economy: Economy, amount: float) -> float:
    """Give the PD at which a loan of an amount above 0 is expected to earn nothing.

    It is 0 where no loan of that amount can earn its cost, and 1 where even a bad one loses nothing.
    """
    if not amount > 0:
        raise InvalidInputError(f"break-even: an amount of {amount:g}; wanted one above 0")
    earned, lost = economy.margin - economy.cost_per_loan / amount, economy.lgd + economy.cost_per_loan / amount
    if not lost > 0:
        return 1.0
    return earned / (economy.margin + economy.lgd) if earned > 0 else 0.0


def thin(whole: Frontier, *, cutoffs: Sequence[int] = ()) -> Frontier:
    """Keep about 400 cut-offs, evenly spaced, with the first, the last, and those that do what the given ones do."""
    count = len(whole.score)
    even = np.linspace(0, count - 1, min(count, _MOST_POINTS)).round().astype(np.int64)
    kept = np.union1d(even, np.minimum(np.searchsorted(whole.score, np.array(cutoffs, dtype=np.int64)), count - 1))
    return Frontier(*(getattr(whole, name)[kept] for name in FRONTIER))


def earnings(book: Book, *, economy: Economy) -> NDArray[np.float64]:
    """Give what each row earns if it is approved, by weight, from what became of it."""
    return book.weight * (_amount(book) * np.where(book.bad == 1, -economy.lgd, economy.margin) - economy.cost_per_loan)


def expected_earnings(book: Book, *, economy: Economy) -> NDArray[np.float64]:
    """Give what each row is expected to earn if it is approved, by weight, from its PD; NaN where there are no PDs."""
    pd = np.full(len(book.score), math.nan) if book.pd is None else book.pd
    each = _amount(book) * (economy.margin * (1 - pd) - economy.lgd * pd) - economy.cost_per_loan
    return np.asarray(book.weight * each, dtype=np.float64)


def _amount(book: Book) -> NDArray[np.float64]:
    return np.nan_to_num(book.exposure, nan=0.0)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan

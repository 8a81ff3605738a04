"""How much a conclusion hangs on what is assumed of the declined: the plain card beside inferred ones, as plain data.

Known outcomes of the test judge the ranking. What all applicants of the test would do at the cut-off, the declined among them,
is counted with the assumption itself: accepted loans by what became of them, declined ones by the PD that they are assumed to
have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.measures.discrimination import auc, delong, delong_test
from obligor.measures.stability import psi
from obligor.models.columns import TEST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from obligor.core.calibration import PdTable
    from obligor.models.columns import Rows
    from obligor.models.rejects import Declined

UPLIFTS = (1.0, 1.5, 2.0, 3.0)
_PSI_BINS = 10
_LOWEST = 0.01


@dataclass(frozen=True, slots=True)
class Contender:
    """A finished card: the scores that it gives the known rows and the declined, its PDs and its cut-off."""

    known: NDArray[np.int64]
    declined: NDArray[np.int64]
    table: PdTable
    cutoff: int


@dataclass(frozen=True, slots=True)
class Assumed:
    """A card that was fitted with the declined, and what it was told of them."""

    uplift: float
    pds: NDArray[np.float64]
    """Of every declined application."""
    card: Contender


@dataclass(frozen=True, slots=True)
class Everybody:
    """All applicants of the test, through the door: the accepted with their outcome, then the declined."""

    rows: Rows
    declined: Declined

    @property
    def weight(self) -> NDArray[np.float64]:
        """The weight of each."""
        mask = self.rows.is_in(TEST)
        own = np.ones(int(mask.sum())) if self.rows.weight is None else self.rows.weight[mask]
        return np.concatenate([own, self.declined.weight[self.declined.sample == TEST]])

    def scores(self, card: Contender) -> NDArray[np.int64]:
        """The score of each."""
        return np.concatenate([card.known[self.rows.is_in(TEST)], card.declined[self.declined.sample == TEST]])

    def bad(self, pds: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much of each turns bad: what became of the accepted, and what is assumed of the declined."""
        known = self.rows.bad[self.rows.is_in(TEST)].astype(np.float64)
        return np.concatenate([known, pds[self.declined.sample == TEST]])


def sensitivity(plain: Contender, band: Sequence[Assumed], *, rows: Rows, declined: Declined) -> dict[str, Any]:
    """Set each inferred card beside the plain one, in the order given.

    Returns
    -------
    dict
        ``plain`` and, in ``band``, one entry for each assumption. ``beyond`` is the share of the declined of train that score
        below 99% of the accepted: of them hardly any accepted loan tells anything.
    """
    everybody = Everybody(rows, declined)
    return {
        "beyond": _beyond(plain, rows, declined),
        "plain": _of_card(plain, everybody),
        "band": [_entry(plain, it, everybody) for it in band],
    }


def _beyond(plain: Contender, rows: Rows, declined: Declined) -> float:
    train = declined.sample == 0
    lowest = np.quantile(plain.known[rows.is_in(0)], _LOWEST, method="inverted_cdf")
    return _mean((plain.declined[train] < lowest).astype(np.float64), declined.weight[train])


def _of_card(card: Contender, everybody: Everybody) -> dict[str, Any]:
    """Give what a card does, whatever is assumed."""
    rows, declined = everybody.rows, everybody.declined
    mask, test = rows.is_in(TEST), declined.sample == TEST
    bad, risk = rows.bad[mask], -card.known[mask].astype(np.float64)
    low, high = delong(bad, risk).gini_interval
    weight = None if rows.weight is None else rows.weight[mask]
    return {
        "gini": 2 * auc(bad, risk, weight) - 1,
        "gini_lower": low,
        "gini_upper": high,
        "mean_pd_declined": _mean(card.table.pd_column(card.declined[test]), declined.weight[test]),
        "cutoff": card.cutoff,
        "approval_rate": _mean((everybody.scores(card) >= card.cutoff).astype(np.float64), everybody.weight),
    }


def _entry(plain: Contender, it: Assumed, everybody: Everybody) -> dict[str, Any]:
    """Give what an assumption leads to, with the plain card judged by the same assumption."""
    rows, declined = everybody.rows, everybody.declined
    mask, train = rows.is_in(TEST), declined.sample == 0
    paired = delong_test(rows.bad[mask], -it.card.known[mask].astype(np.float64), -plain.known[mask].astype(np.float64))
    weight, bad = everybody.weight, everybody.bad(it.pds)
    old, new = everybody.scores(plain), everybody.scores(it.card)
    approved_old = old >= plain.cutoff
    alike = new >= _cutoff_at(new, weight, rate=_mean(approved_old.astype(np.float64), weight))
    return {
        "uplift": it.uplift,
        "assumed_bad_rate": _mean(it.pds[train], declined.weight[train]),
        **_of_card(it.card, everybody),
        "p": paired.p,
        "bad_rate": _mean(bad, weight * (new >= it.card.cutoff)),
        "plain_bad_rate": _mean(bad, weight * approved_old),
        "same_approval": {
            "bad_rate": _mean(bad, weight * alike),
            "swapped": _mean((alike & ~approved_old).astype(np.float64), weight),
        },
        "points_psi": _moved(old, new, weight),
    }


def _cutoff_at(score: NDArray[np.int64], weight: NDArray[np.float64], *, rate: float) -> int:
    """Give the highest score from which at least such a share is approved; above all of them where it is nothing."""
    order = np.argsort(-score, kind="stable")
    reached = np.cumsum(weight[order]) / weight.sum()
    if rate <= 0:
        return int(score.max()) + 1
    return int(score[order][np.searchsorted(reached, rate * (1 - 1e-12)).clip(0, len(score) - 1)])


def _moved(old: NDArray[np.int64], new: NDArray[np.int64], weight: NDArray[np.float64]) -> float:
    """Give the PSI between the scores that two cards give the same applicants, over tenths of the first."""
    edges = np.unique(np.quantile(old, np.linspace(0, 1, _PSI_BINS + 1)[1:-1], method="inverted_cdf"))
    counts = [
        np.bincount(np.searchsorted(edges, it, side="left"), weights=weight, minlength=len(edges) + 1)
        for it in (old, new)
    ]
    return psi(*counts)


def _mean(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    return float(values @ weight / weight.sum()) if weight.sum() else float("nan")

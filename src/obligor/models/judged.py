"""What is evaluated: a card, the rows, and what the card says of each of them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from obligor.measures.decisions import Book
from obligor.measures.discrimination import auc
from obligor.measures.fairness import Standard, effective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from obligor.core.scorecard import Scorecard
    from obligor.measures.fairness import Groups
    from obligor.models.columns import Rows
    from obligor.models.fitted import FittedCard


@dataclass(frozen=True, slots=True)
class Judged:
    """What is evaluated: the card, the rows, and the scores and PDs that the card gives them."""

    card: Scorecard
    rows: Rows
    scores: NDArray[np.int64]
    pds: NDArray[np.float64]
    codes: Mapping[str, NDArray[np.uint8]]
    """The bin of every row, by characteristic."""
    incumbent: tuple[str, NDArray[np.float64]] | None
    """The name and values of a numeric incumbent score, higher being riskier on train or the reverse."""
    protected: Mapping[str, Groups] = field(default_factory=dict)
    """The group of each row, by protected column."""
    incumbent_approval_rate: float | None = None
    """The share that the incumbent would approve; that of the card at its cut-off where it is not known."""
    standard: Standard = field(default_factory=Standard)
    """What groups are held to."""


def judge(
    card: Scorecard,
    fitted: FittedCard,
    rows: Rows,
    *,
    incumbent: tuple[str, NDArray[np.float64]] | None,
    incumbent_approval_rate: float | None = None,
    protected: Mapping[str, Groups] | None = None,
    standard: Standard | None = None,
) -> Judged:
    """Read the PDs of the scores off the card."""
    codes = {name: fitted.design.codes(name) for name in fitted.fit.features}
    return Judged(
        card,
        rows,
        fitted.scores,
        card.pd.pd_column(fitted.scores),
        codes,
        incumbent,
        protected or {},
        incumbent_approval_rate,
        standard or Standard(),
    )


def best_ranking(scores: Mapping[str, NDArray[np.float64]], rows: Rows) -> tuple[str, NDArray[np.float64]] | None:
    """Choose among several scores of the incumbent the one that ranks train best, whichever way it runs."""

    def skill(name: str) -> float:
        known = rows.is_in(0) & ~np.isnan(scores[name])
        bad = rows.bad[known]
        return abs(auc(bad, scores[name][known]) - 0.5) if 0 < bad.sum() < len(bad) else -1.0

    best = max(scores, key=skill, default=None)
    return None if best is None else (best, scores[best])


def book_of(judged: Judged, mask: NDArray[np.bool_]) -> Book:
    """Give some rows as a book."""
    rows, size = judged.rows, int(mask.sum())
    weight, exposure = (np.ones(size) if it is None else it[mask] for it in (rows.weight, rows.exposure))
    return Book(judged.scores[mask], rows.bad[mask], weight, exposure, judged.pds[mask])


def incumbent_risk(judged: Judged) -> NDArray[np.float64]:
    """Give the incumbent's score so that it rises with risk, as it does on train; NaN where it is not known."""
    if judged.incumbent is None:
        return np.full(len(judged.scores), math.nan)
    _, values = judged.incumbent
    train = judged.rows.is_in(0) & ~np.isnan(values)
    no_skill = 0.5
    return -values if auc(judged.rows.bad[train], values[train]) < no_skill else values


def weights_by_bin(
    codes: NDArray[np.uint8], judged: Judged, sample: int, *, bins: int, only_bads: bool = False
) -> NDArray[np.float64]:
    """Give the weight of the rows of a sample, or of its bads, in each bin."""
    mask = judged.rows.is_in(sample)
    if only_bads:
        mask = mask & (judged.rows.bad == 1)
    weight = None if judged.rows.weight is None else judged.rows.weight[mask]
    return np.asarray(np.bincount(codes[mask], weights=weight, minlength=bins), dtype=np.float64)


def effective_rows(judged: Judged, mask: NDArray[np.bool_]) -> float:
    """Give how many rows of equal weight would tell as much: the count, without weights."""
    return float(mask.sum()) if judged.rows.weight is None else effective(judged.rows.weight[mask])

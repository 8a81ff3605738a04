"""What interpretability costs: the card against a challenger on the test, each with PDs and a cut-off of its own.

A challenger's log-odds become scores on the scale of the card, and its PDs are fitted on validation by the method that the
contract asks of the card. Each one's cut-off is the one that earns most on validation. The test is then read once. A
difference is the challenger's figure less the card's; the areas are compared by DeLong's paired test, what is a mean over
applications by a paired bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.clauses import Cutoff
from obligor.measures.calibration import brier, log_loss
from obligor.measures.decisions import Book, at_cutoff, earnings
from obligor.measures.discrimination import Z_95, auc, delong, delong_test, roc_curve
from obligor.measures.paired import mean_changes
from obligor.models.assembly import economy_of
from obligor.models.calibration import Observed, calibrate
from obligor.models.columns import TEST, VALIDATION
from obligor.models.scaling import score_column
from obligor.models.thresholds import choose_cutoff

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.core.calibration import PdTable
    from obligor.core.contract import Contract
    from obligor.measures.decisions import Economy
    from obligor.models.columns import Rows

_MEANS = ("brier", "log_loss", "profit_per_application")


@dataclass(frozen=True, slots=True)
class Contender:
    """Scores of every row, the PDs that they stand for, and the cut-off that earns most on validation."""

    scores: NDArray[np.int64]
    pds: NDArray[np.float64]
    cutoff: int


def contender_of(scores: NDArray[np.int64], table: PdTable, *, rows: Rows, contract: Contract) -> Contender:
    """Give scores whose PDs are known, such as the card's, their cut-off."""
    book = _book(scores, rows, VALIDATION)
    cutoff = choose_cutoff(book, table, cutoff=Cutoff(by="profit"), economy=economy_of(contract))
    return Contender(scores, table.pd_column(scores), cutoff)


def calibrated(log_odds: NDArray[np.float64], *, rows: Rows, contract: Contract) -> tuple[Contender, str]:
    """Turn log-odds of bad into scores and PDs as the card's are made; the second value is the method that fitted them."""
    scores = score_column(-log_odds, scale=contract.scale)
    mask = rows.is_in(VALIDATION)
    low, high = int(scores.min()), int(scores.max())
    fitted = calibrate(
        Observed(log_odds[mask], rows.bad[mask], _weight(rows, mask)),
        method=contract.model.calibration,
        scale=contract.scale,
        score_range=(low, max(high, low + 1)),
        central_tendency=contract.model.central_tendency,
    )
    return contender_of(scores, fitted.table, rows=rows, contract=contract), fitted.method


def compare(card: Contender, challenger: Contender, rows: Rows, *, economy: Economy, seed: int) -> dict[str, Any]:
    """Give the figures of both on the test, and what the challenger gains, as plain data."""
    mask = rows.is_in(TEST)
    return {
        "test": figures_of(challenger, rows, economy=economy),
        "card": figures_of(card, rows, economy=economy),
        "against_card": {
            "auc": _area_change(rows.bad[mask], card.scores[mask], challenger.scores[mask]),
            **_mean_changes(card, challenger, rows, economy=economy, seed=seed),
        },
    }


def figures_of(contender: Contender, rows: Rows, *, economy: Economy) -> dict[str, Any]:
    """Give what a contender is worth on the test."""
    mask = rows.is_in(TEST)
    bad, pd, weight = rows.bad[mask], contender.pds[mask], _weight(rows, mask)
    risk = -contender.scores[mask].astype(np.float64)
    area = delong(bad, risk)
    at = at_cutoff(_book(contender.scores, rows, TEST), contender.cutoff, economy=economy)
    return {
        "cutoff": contender.cutoff,
        "auc": auc(bad, risk, weight),
        "auc_lower": area.interval[0],
        "auc_upper": area.interval[1],
        "brier": brier(bad, pd, weight, groups=10).value,
        "log_loss": log_loss(bad, pd, weight),
        "approval_rate": at.approval_rate,
        "npl_rate": at.npl_rate,
        "profit": at.profit,
        "profit_per_application": at.profit_per_application,
        "roc": roc_curve(bad, risk, weight),
    }


def _area_change(bad: NDArray[np.uint8], card: NDArray[np.int64], challenger: NDArray[np.int64]) -> dict[str, float]:
    """Test the areas against each other; every application counts once, whatever its weight."""
    found = delong_test(bad, -challenger.astype(np.float64), -card.astype(np.float64))
    reach = Z_95 * found.standard_error
    return {"value": found.value, "lower": found.value - reach, "upper": found.value + reach, "p": found.p}


def _mean_changes(
    card: Contender, challenger: Contender, rows: Rows, *, economy: Economy, seed: int
) -> dict[str, dict[str, float]]:
    mask = rows.is_in(TEST)
    each = [_each(it, rows, mask, economy) for it in (challenger, card)]
    found = mean_changes(each[0] - each[1], _weight(rows, mask), seed=seed)
    return {
        name: {"value": it.value, "lower": it.lower, "upper": it.upper} for name, it in zip(_MEANS, found, strict=True)
    }


def _each(contender: Contender, rows: Rows, mask: NDArray[np.bool_], economy: Economy) -> NDArray[np.float64]:
    """Give what each application of a sample adds to the Brier score, the log loss and the profit."""
    bad, pd, score = rows.bad[mask], contender.pds[mask], contender.scores[mask]
    exposure = np.ones(len(bad)) if rows.exposure is None else rows.exposure[mask]
    earned = earnings(Book(score, bad, np.ones(len(bad)), exposure), economy=economy)
    return np.column_stack(
        [
            (pd - bad) ** 2,
            -np.where(bad == 1, np.log(pd), np.log1p(-pd)),
            np.where(score >= contender.cutoff, earned, 0.0),
        ]
    )


def _book(scores: NDArray[np.int64], rows: Rows, sample: int) -> Book:
    mask = rows.is_in(sample)
    exposure = np.ones(int(mask.sum())) if rows.exposure is None else rows.exposure[mask]
    return Book(scores[mask], rows.bad[mask], _weight(rows, mask), exposure)


def _weight(rows: Rows, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.ones(int(mask.sum())) if rows.weight is None else rows.weight[mask]

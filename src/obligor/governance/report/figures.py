"""The figures of each sample, and those at the cut-off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.core.columns import Role
from obligor.governance.pages import NOTHING, count, number, rate
from obligor.governance.report.view import SAMPLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from obligor.core.contract import Contract
    from obligor.governance.report.view import View

_RATES = frozenset(("bad rate", "mean PD", "approval rate", "NPL rate", "precision", "recall", "F1", "accuracy"))

_COUNTS = frozenset(
    (
        "loans",
        "bads",
        "bads declined",
        "goods declined",
        "goods approved",
        "bads approved",
        "cost",
        "profit",
        "expected profit",
    )
)

_FIGURES = (
    ("loans", "n"), ("bads", "bads"), ("bad rate", "bad_rate"), ("mean PD", "mean_pd"), ("AUC", "auc"),
    ("AUC, 95% from", "auc_lower"), ("AUC, 95% to", "auc_upper"), ("Gini", "gini"), ("KS", "ks"), ("KS, 95% from", "ks_lower"),
    ("KS, 95% to", "ks_upper"), ("PR-AUC", "pr_auc"), ("Brier", "brier"), ("Brier: reliability", "brier_reliability"),
    ("Brier: resolution", "brier_resolution"), ("Brier: uncertainty", "brier_uncertainty"), ("log loss", "log_loss"),
    ("calibration slope", "calibration_slope"), ("calibration intercept", "calibration_intercept"),
    ("observed / expected bads", "observed_expected"), ("Spiegelhalter p", "spiegelhalter.p"),
    ("Hosmer-Lemeshow p", "hosmer_lemeshow.p"),
)  # fmt: skip
_CUTOFF_FIGURES = (
    ("approval rate", "approval_rate"), ("NPL rate", "npl_rate"), ("precision", "precision"), ("recall", "recall"),
    ("F1", "f1"), ("accuracy", "accuracy"), ("bads declined", "true_positives"), ("goods declined", "false_positives"),
    ("goods approved", "true_negatives"), ("bads approved", "false_negatives"), ("cost", "cost"), ("profit", "profit"),
    ("expected profit", "expected_profit"),
)  # fmt: skip


def fill(view: View) -> dict[str, Any]:
    """Give both tables."""
    evaluation = view.evaluation
    return {
        "samples": SAMPLES,
        "figures": _table(evaluation, _FIGURES),
        "cutoff_figures": _table({sample: evaluation[sample]["at_cutoff"] for sample in SAMPLES}, _CUTOFF_FIGURES),
        "unit": _unit(view.contract),
    }


def _unit(contract: Contract) -> str:
    """Say what profit is in; cost is in the prices of errors that the contract names, whatever the amounts."""
    amounts = contract.only(Role.EXPOSURE)
    if amounts is None:
        return "in loans that all count as one, since no column of the contract has the role exposure"
    return f"in {contract.currency}, by {amounts}" if contract.currency else f"in the unit of {amounts}"


def _table(samples: Mapping[str, Any], figures: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    return [(name, [_figure(name, _at(samples[sample], path)) for sample in SAMPLES]) for name, path in figures]


def _at(place: Mapping[str, Any], path: str) -> Any:
    for key in path.split("."):
        place = place[key] if place is not None else None
    return place


def _figure(name: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if name in _COUNTS:
        return count(value)
    return rate(value) if name in _RATES else number(value)

"""Which features earn a place on the card, and why each of the others does not.

The rules run in this order: a feature must tell something (information value), it must hold on validation, it must not
repeat a better one (correlation of weights of evidence), it must not have drifted away (stability), and in the fit its
coefficient must have the sign of its weights of evidence and be told apart from zero. Every drop carries its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from obligor.measures.stability import psi
from obligor.models.histograms import Histogram, information_value, woe
from obligor.models.logistic import Cases, CodedDesign, LogitFit, Penalty, correlations, fit_at, fit_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.models.binning import FittedBins

Rule = Literal["information value", "validation", "stability", "correlation", "sign", "significance", "number"]
_CORRELATION_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """The limits of selection."""

    min_information_value: float = 0.01
    max_psi: float = 1.0
    """The PSI of a feature's bins from train to validation."""
    max_correlation: float = 0.9
    max_p_value: float = 0.1
    max_characteristics: int = 30
    keep: tuple[str, ...] = ()
    """Features that no rule drops, but that of the sign."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A feature that is not on the card, the rule that dropped it, and its numbers in words."""

    feature: str
    rule: Rule
    detail: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The features on the card, the fit on them, and the rest."""

    fit: LogitFit
    dropped: tuple[Dropped, ...]


def screen(bins: Mapping[str, FittedBins], *, rules: SelectionRules) -> tuple[list[str], list[Dropped]]:
    """Drop features that tell too little, do not hold on validation, or have drifted away; the best come first."""
    kept: dict[str, float] = {}
    dropped = []
    for name, fitted in bins.items():
        value = information_value(fitted.train)
        reason = None if name in rules.keep else _reason_to_drop(name, fitted, value=value, rules=rules)
        if reason is None:
            kept[name] = value
        else:
            dropped.append(reason)
    return sorted(kept, key=lambda name: (-kept[name], name)), dropped


def select(
    design: CodedDesign,
    train: Cases,
    validation: Cases,
    *,
    penalty: Penalty,
    rules: SelectionRules,
) -> Selection:
    """Fit the card on the features of a design, best first, and drop those that the fit does not bear out."""
    names, dropped = _without_echoes(design, train, rules=rules)
    fit = fit_path(design.only(names), train, validation, penalty=penalty)
    while True:
        worst = _worst(fit, rules=rules)
        if not worst:
            return Selection(fit, tuple(dropped))
        dropped += worst
        gone = {each.feature for each in worst}
        names = [name for name in fit.features if name not in gone]
        fit = fit_at(design.only(names), train, strength=fit.strength, penalty=penalty, path=fit.path)


def _reason_to_drop(name: str, fitted: FittedBins, *, value: float, rules: SelectionRules) -> Dropped | None:
    if value < rules.min_information_value:
        return Dropped(name, "information value", f"{value:.4f} is below {rules.min_information_value:g}")
    if fitted.validation is None:
        return None
    moved = psi(fitted.train.rows, fitted.validation.rows)
    if moved > rules.max_psi:
        return Dropped(name, "stability", f"PSI {moved:.3f} from train to validation is above {rules.max_psi:g}")
    gain = validation_gain(fitted.train, fitted.validation)
    if gain <= 0:
        return Dropped(
            name, "validation", f"log loss on validation is worse by {-gain:.5f} with its weights of evidence"
        )
    return None


def validation_gain(train: Histogram, validation: Histogram) -> float:
    """Give by how much the weights of evidence of train lower the mean log loss on validation."""
    bads, rows = float(validation.bads.sum()), float(validation.rows.sum())
    base = np.log((rows - bads) / bads)
    odds = base + woe(train)
    plain = validation.goods.sum() * np.log1p(np.exp(-base)) + bads * np.log1p(np.exp(base))
    told = validation.goods @ np.log1p(np.exp(-odds)) + validation.bads @ np.log1p(np.exp(odds))
    return float(plain - told) / rows


def _without_echoes(design: CodedDesign, train: Cases, *, rules: SelectionRules) -> tuple[list[str], list[Dropped]]:
    """Drop every feature that correlates too much with a better one that was kept."""
    matrix = correlations(design, train.thinned(_CORRELATION_ROWS))
    kept: list[int] = []
    dropped = []
    for at, name in enumerate(design.features):
        echoes = [other for other in kept if abs(matrix[at, other]) > rules.max_correlation]
        if echoes and name not in rules.keep:
            other = max(echoes, key=lambda it: abs(matrix[at, it]))
            detail = f"correlates {matrix[at, other]:.3f} with {design.features[other]}, which tells more"
            dropped.append(Dropped(name, "correlation", detail))
        else:
            kept.append(at)
    return [design.features[at] for at in kept], dropped


def _worst(fit: LogitFit, *, rules: SelectionRules) -> list[Dropped]:
    """Name what must leave next: all coefficients at zero, else the one least told apart from zero."""
    zeros = [name for name, b in zip(fit.features, fit.coefficients, strict=True) if b == 0]
    if zeros:
        detail = "beside the other characteristics its coefficient is zero or has the wrong sign"
        return [Dropped(name, "sign", detail) for name in zeros]
    known = [
        (p, name)
        for name, p in zip(fit.features, fit.p_values, strict=True)
        if p is not None and name not in rules.keep
    ]
    if not known or len(fit.features) == 1:
        return []
    p, name = max(known)
    if p > rules.max_p_value:
        return [Dropped(name, "significance", f"p = {p:.3f} is above {rules.max_p_value:g}")]
    if len(fit.features) > rules.max_characteristics:
        detail = f"the least told apart from zero of more than {rules.max_characteristics} (p = {p:.3g})"
        return [Dropped(name, "number", detail)]
    return []

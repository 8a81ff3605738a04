"""Which features earn a place on the card, and why each of the others does not.

The rules run in this order: a feature must tell something (information value), it must not have drifted away
(stability), it must hold on validation, it must not repeat a better one (correlation of weights of evidence), and in
the fit its coefficient must have the sign of its weights of evidence and be told apart from zero. Every drop carries
its numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import norm

from obligor.core.errors import InvalidInputError
from obligor.measures.stability import psi
from obligor.models.histograms import Histogram, information_value
from obligor.models.logistic import (
    SAMPLE_ROWS,
    Cases,
    CodedDesign,
    LogitFit,
    Penalty,
    best_of,
    correlations,
    fit_at,
    regularisation_path,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from obligor.models.binning import FittedBins

Rule = Literal["information value", "validation", "stability", "correlation", "sign", "significance", "number"]


@dataclass(frozen=True, slots=True)
class SelectionRules:
    """The limits of selection."""

    min_information_value: float = 0.005
    max_psi: float = 1.0
    """The PSI of a feature's bins from train to validation."""
    max_correlation: float = 0.9
    max_p_value: float = 0.3
    max_characteristics: int = 30
    doubt: float = 1.0
    """A feature leaves for doing harm on validation where the harm is more than so many standard errors."""
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
    """Drop features that tell too little, have drifted away, or do not hold on validation; the best come first."""
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
    """Fit the card on the features of a design, best first, and drop those that the fit does not bear out.

    The strength of the penalty and most drops come from a sample of the rows; the rest, and the fit, from all of them.

    Raises
    ------
    InvalidInputError
        Where no feature is left.
    """
    names, dropped = _without_echoes(design, train, rules=rules)
    design = design.only(names)
    path = regularisation_path(design, train, validation, penalty=penalty)
    strength = best_of(path).strength
    fit: LogitFit | None = None
    sample = train.thinned(SAMPLE_ROWS)
    for cases in (train,) if sample is train else (sample, train):
        while True:
            fit = fit_at(design, cases, strength=strength, penalty=penalty, path=path, start=fit, total=train.total)
            leaving = _leaving(fit, penalty=penalty, rules=rules)
            if not leaving:
                break
            dropped += leaving
            gone = {each.feature for each in leaving}
            design = design.only([name for name in design.features if name not in gone])
            if not design.features:
                raise InvalidInputError("no feature is left: beside the others none has a coefficient above zero")
    if fit is None:  # pragma: no cover  the loop above runs at least once
        raise AssertionError
    return Selection(fit, tuple(dropped))


def _reason_to_drop(name: str, fitted: FittedBins, *, value: float, rules: SelectionRules) -> Dropped | None:
    if value < rules.min_information_value:
        told = f". {fitted.note}" if fitted.note and fitted.bins.ordinary == 1 else ""
        return Dropped(name, "information value", f"{value:.4f} is below {rules.min_information_value:g}{told}")
    if fitted.validation is None:
        return None
    moved = psi(fitted.train.rows, fitted.validation.rows)
    if moved > rules.max_psi:
        return Dropped(name, "stability", f"PSI {moved:.3f} from train to validation is above {rules.max_psi:g}")
    gain = validation_gain(fitted.woe, fitted.validation)
    if gain.mean + rules.doubt * gain.error <= 0:
        detail = (
            f"log loss on validation is worse by {-gain.mean:.5f} with its weights of evidence (+- {gain.error:.5f})"
        )
        return Dropped(name, "validation", detail)
    return None


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the weights of evidence of train lower the mean log loss on validation, and its standard error."""

    mean: float
    error: float


def validation_gain(woe: NDArray[np.float64], validation: Histogram) -> Gain:
    """Compare the log loss on validation with and without the weights of evidence of train.

    Both sides start from the bad rate of validation: a tide that lifts all bins alike is no fault of the feature.
    """
    bads, rows = float(validation.bads.sum()), float(validation.rows.sum())
    base = np.log((rows - bads) / bads)
    odds = base + woe
    of_good = np.logaddexp(0, -base) - np.logaddexp(0, -odds)
    of_bad = np.logaddexp(0, base) - np.logaddexp(0, odds)
    mean = float(validation.goods @ of_good + validation.bads @ of_bad) / rows
    square = float(validation.goods @ of_good**2 + validation.bads @ of_bad**2) / rows
    return Gain(mean, float(np.sqrt(max(square - mean**2, 0.0) / rows)))


def _without_echoes(design: CodedDesign, train: Cases, *, rules: SelectionRules) -> tuple[list[str], list[Dropped]]:
    """Drop every feature that correlates too much with a better one that was kept."""
    matrix = correlations(design, train.thinned(SAMPLE_ROWS))
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


def _leaving(fit: LogitFit, *, penalty: Penalty, rules: SelectionRules) -> list[Dropped]:
    """Name what must leave next: all coefficients of no use, else those least told apart from zero, one by one.

    After each, what the others would be without it is read off the covariance rather than fitted (Lawless and Singhal
    1978, Efficient Screening of Nonnormal Regression Models, Biometrics 34): the fit that follows makes it exact.
    """
    lowest = 0.0 if penalty.sign_constrained else -np.inf
    useless = [name for name, b in zip(fit.features, fit.coefficients, strict=True) if b == 0 or b < lowest]
    if useless:
        detail = "beside the other characteristics its coefficient is zero or has the wrong sign"
        return [Dropped(name, "sign", detail) for name in useless]
    left = list(range(len(fit.features)))
    beta, covariance = np.array(fit.coefficients), fit.covariance.copy()
    dropped = []
    while candidates := [at for at in left if fit.features[at] not in rules.keep and covariance[at, at] > 0]:
        at = min(candidates, key=lambda at: abs(beta[at]) / np.sqrt(covariance[at, at]))
        reason = _too_weak(float(beta[at] / np.sqrt(covariance[at, at])), of=len(left), rules=rules)
        if reason is None or len(left) == 1:
            break
        dropped.append(Dropped(fit.features[at], *reason))
        left.remove(at)
        beta = beta - covariance[:, at] * (beta[at] / covariance[at, at])
        covariance = covariance - np.outer(covariance[:, at], covariance[at]) / covariance[at, at]
    return dropped


def _too_weak(z: float, *, of: int, rules: SelectionRules) -> tuple[Rule, str] | None:
    p = float(2 * norm.sf(abs(z)))
    if p > rules.max_p_value:
        return "significance", f"p = {p:.3f} is above {rules.max_p_value:g}"
    if of > rules.max_characteristics:
        return (
            "number",
            f"the least told apart from zero of {of} (p = {p:.3g}); wanted at most {rules.max_characteristics}",
        )
    return None

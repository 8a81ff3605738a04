"""Fits the PD of every score on validation, anchors it to a long-run mean, and places bands and cut-offs.

``platt`` is a straight line in log-odds (Platt 1999), ``beta`` a line in the logarithms of p and 1 - p (Kull, Silva
Filho and Flach 2017), ``isotonic`` the pooled bad rates of falling risk (Zadrozny and Elkan 2002), each pool drawn towards the
mean by one row so that no PD is 0 or 1. ``best`` takes the simplest whose log loss over five folds is within one
standard error of the lowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from obligor.core.calibration import PdTable
from obligor.core.errors import InvalidInputError
from obligor.core.scorecard import CardBand
from obligor.models.scaling import log_odds_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from obligor.core.contract import CardScale, RiskBand

    Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

Method = Literal["none", "platt", "beta", "isotonic"]
METHODS: tuple[Method, ...] = ("none", "platt", "beta", "isotonic")
_FOLDS = 5
_KNOTS = 400
_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class Observed:
    """Rows to calibrate on: the log-odds of bad that the card gives, what happened, and the weight."""

    log_odds: NDArray[np.float64]
    bad: NDArray[np.uint8]
    weight: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """A fitted PD for every score."""

    method: Method
    table: PdTable
    log_loss: dict[str, float]
    """The log loss of each method over the folds of validation, where it was asked to choose."""


def calibrate(
    observed: Observed,
    *,
    method: Literal["best"] | Method,
    scale: CardScale,
    score_range: tuple[int, int],
    central_tendency: float | None = None,
) -> Calibration:
    """Fit the PD table of a card.

    Parameters
    ----------
    score_range
        The lowest and the highest score that the card can give, in thousandths; the table spans it.
    central_tendency
        The mean PD to which the table is anchored by one shift of its log-odds.
    """
    if len(observed.bad) == 0 or observed.bad.all() or not observed.bad.any():
        raise InvalidInputError(
            f"calibration: {len(observed.bad)} rows with {int(observed.bad.sum())} bads; wanted goods and bads"
        )
    losses: dict[str, float] = {}
    if method == "best":
        method, losses = _choose(observed)
    curve = _fit(method, observed)
    if central_tendency is not None:
        curve = _anchored(curve, observed, central_tendency=central_tendency)
    return Calibration(method, _tabulate(curve, scale=scale, score_range=score_range), losses)


def band_cutoffs(table: PdTable, bands: Sequence[RiskBand]) -> tuple[CardBand, ...]:
    """Give each band the lowest score in it; a band that no score reaches begins above the highest score."""
    beyond = table.scores[-1] + 1
    limits = []
    for band in bands[:-1]:
        score = table.score_at(band.pd_max)
        limits.append(beyond if score is None else score)
    placed = [
        CardBand(name=band.name, pd_max=band.pd_max, score_min=score)
        for band, score in zip(bands, limits, strict=False)
    ]
    return (*placed, CardBand(name=bands[-1].name, pd_max=bands[-1].pd_max, score_min=None))


def _choose(observed: Observed) -> tuple[Method, dict[str, float]]:
    """Compare the methods on rows that they were not fitted on, fold by fold in the order of the rows."""
    fold = _folds(observed.bad)
    losses: dict[Method, NDArray[np.float64]] = {}
    for method in METHODS:
        pds = np.empty(len(observed.bad))
        for part in range(_FOLDS):
            inside = fold != part
            fitted = _fit(method, _rows(observed, inside))
            pds[~inside] = fitted(observed.log_odds[~inside])
        losses[method] = _losses(observed.bad, pds)
    means = {method: float(np.average(each, weights=observed.weight)) for method, each in losses.items()}
    best = min(METHODS, key=lambda method: means[method])
    for method in METHODS:  # from the simplest up
        difference = losses[method] - losses[best]
        error = float(np.std(difference) / np.sqrt(len(difference)))
        if means[method] - means[best] <= error:
            return method, {str(name): mean for name, mean in means.items()}
    return best, {str(name): mean for name, mean in means.items()}


def _folds(bad: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Deal goods and bads to the folds in turn."""
    fold = np.empty(len(bad), dtype=np.int64)
    for outcome in (0, 1):
        rows = np.flatnonzero(bad == outcome)
        fold[rows] = np.arange(len(rows)) % _FOLDS
    return fold


def _rows(observed: Observed, mask: NDArray[np.bool_]) -> Observed:
    return Observed(observed.log_odds[mask], observed.bad[mask], observed.weight[mask])


def _losses(bad: NDArray[np.uint8], pd: NDArray[np.float64]) -> NDArray[np.float64]:
    pd = np.clip(pd, _FLOOR, 1 - _FLOOR)
    return -np.where(bad == 1, np.log(pd), np.log1p(-pd))


def _fit(method: Method, observed: Observed) -> Curve:
    return {"none": _none, "platt": _platt, "beta": _beta, "isotonic": _isotonic}[method](observed)


def _none(_: Observed) -> Curve:
    return lambda log_odds: np.asarray(expit(log_odds))


def _platt(observed: Observed) -> Curve:
    slope, intercept = _line(observed.log_odds[:, None], observed)
    return lambda log_odds: np.asarray(expit(intercept + max(slope[0], 0.0) * log_odds))


def _beta(observed: Observed) -> Curve:
    """Fit a, b >= 0 of ``a ln p - b ln(1 - p) + c``; a negative one is set to 0 and the other fitted alone."""
    design = _beta_design(observed.log_odds)
    slopes, intercept = _line(design, observed)
    if (slopes < 0).any():
        keep = int(np.argmax(slopes))
        slope, intercept = _line(design[:, [keep]], observed)
        slopes = np.zeros(2)
        slopes[keep] = max(slope[0], 0.0)
    return lambda log_odds: np.asarray(expit(intercept + _beta_design(log_odds) @ slopes))


def _beta_design(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([-np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)])


def _line(design: NDArray[np.float64], observed: Observed) -> tuple[NDArray[np.float64], float]:
    fitted = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        design, observed.bad, sample_weight=observed.weight
    )
    return fitted.coef_[0], float(fitted.intercept_[0])


def _isotonic(observed: Observed) -> Curve:
    order = np.argsort(observed.log_odds, kind="stable")
    x, start = np.unique(observed.log_odds[order], return_index=True)
    weight = np.add.reduceat(observed.weight[order], start)
    bads = np.add.reduceat((observed.weight * observed.bad)[order], start)
    pooled = isotonic_regression(bads / weight, weights=weight, increasing=True)
    mean = bads.sum() / weight.sum()
    edges = pooled.blocks
    sizes = np.add.reduceat(weight, edges[:-1])
    rates = (np.add.reduceat(bads, edges[:-1]) + mean) / (sizes + 1)
    centres = np.add.reduceat(weight * x, edges[:-1]) / sizes
    rising = np.maximum.accumulate(rates)
    return lambda log_odds: np.interp(log_odds, centres, rising)


def _anchored(curve: Curve, observed: Observed, *, central_tendency: float) -> Curve:
    """Shift the log-odds of a curve by one number, so that the mean PD of the rows is the central tendency."""
    known = np.clip(curve(observed.log_odds), _FLOOR, 1 - _FLOOR)

    def gap(shift: float) -> float:
        return float(np.average(expit(logit(known) + shift), weights=observed.weight)) - central_tendency

    shift = brentq(gap, -30, 30, xtol=1e-13)
    return lambda log_odds: np.asarray(expit(logit(np.clip(curve(log_odds), _FLOOR, 1 - _FLOOR)) + shift))


def _tabulate(curve: Curve, *, scale: CardScale, score_range: tuple[int, int]) -> PdTable:
    """Read the curve at evenly spaced scores; the PD is written to 9 digits and never rises."""
    low, high = score_range
    scores = np.unique(np.linspace(low, high, min(_KNOTS, high - low + 1)).round().astype(np.int64))
    pds = np.minimum.accumulate(curve(-log_odds_of(scores, scale=scale)))
    rounded = np.minimum.accumulate(np.clip(np.round(pds, 9), 1e-9, 1 - 1e-9))
    return PdTable(tuple(int(score) for score in scores), tuple(float(pd) for pd in rounded))

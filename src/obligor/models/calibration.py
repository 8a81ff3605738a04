"""Fits the PD of every score on validation, anchors it to a long-run mean, and places bands and cut-offs.

``platt`` is a straight line in log-odds (Platt 1999, with his smoothed targets, so that a perfect ranking of a few rows
gives no certainty), ``beta`` a line in the logarithms of p and 1 - p (Kull, Silva Filho and Flach 2017), ``isotonic``
the pooled bad rates of falling risk (Zadrozny and Elkan 2002), each pool drawn towards the mean by one row so that no PD
is 0 or 1, with straight lines between the centres of the pools. The PD never rises with the score; it may stay, as
isotonic's does beyond its outer pools. ``best`` takes the simplest whose log loss over five folds is within one
standard error of the lowest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import brentq, isotonic_regression, minimize
from scipy.special import expit, logit

from obligor.core.calibration import MOST_KNOTS, PdTable
from obligor.core.errors import InvalidInputError
from obligor.core.scorecard import CardBand
from obligor.models.scaling import log_odds_of, score_column

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from obligor.core.clauses import CardScale, RiskBand

    Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]

Method = Literal["none", "platt", "beta", "isotonic"]
METHODS: tuple[Method, ...] = ("none", "platt", "beta", "isotonic")
_FOLDS = 5
_FLOOR = 1e-6
_TIGHT = 4e-6
_DIGITS = 12


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
    if central_tendency is None:
        return Calibration(method, _tabulate(curve, scale=scale, score_range=score_range), losses)
    curve = _anchored(curve, observed, central_tendency=central_tendency)
    table = _tabulate(curve, scale=scale, score_range=score_range)
    scores = score_column(-observed.log_odds, scale=scale)
    return Calibration(
        method, reanchor(table, scores, weight=observed.weight, central_tendency=central_tendency), losses
    )


def reanchor(
    table: PdTable, scores: NDArray[np.int64], *, weight: NDArray[np.float64], central_tendency: float
) -> PdTable:
    """Shift the log-odds of a table's PDs by one number, so that the mean PD of some rows is the central tendency."""
    share = _shares_of_knots(table, scores, weight=weight)
    pds = np.clip(np.array(table.pds), _FLOOR**2, 1 - _FLOOR**2)
    shifted = expit(logit(pds) + _shift(pds, weight=share, central_tendency=central_tendency))
    return PdTable(table.scores, _written(shifted))


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
        difference = losses[method] - losses[best] - (means[method] - means[best])
        error = float(np.sqrt(np.sum((observed.weight * difference) ** 2)) / observed.weight.sum())
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
    slopes, intercept = _line(observed.log_odds[:, None], observed)
    return lambda log_odds: np.asarray(expit(intercept + slopes[0] * log_odds))


def _beta(observed: Observed) -> Curve:
    slopes, intercept = _line(_beta_design(observed.log_odds), observed)
    return lambda log_odds: np.asarray(expit(intercept + (_beta_design(log_odds) * slopes).sum(axis=1)))


def _beta_design(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give ln p and -ln(1 - p)."""
    return np.column_stack([-np.logaddexp(0, -log_odds), np.logaddexp(0, log_odds)])


def _line(design: NDArray[np.float64], observed: Observed) -> tuple[NDArray[np.float64], float]:
    """Fit slopes, none below zero, and an intercept, to Platt's targets: one row more on either side.

    Sums are numpy's own: those of a linear algebra library would change with its number of threads.
    """
    bads, rows = float((observed.weight * observed.bad).sum()), float(observed.weight.sum())
    target = np.where(observed.bad == 1, (bads + 1) / (bads + 2), 1 / (rows - bads + 2))
    weight = observed.weight / rows
    columns = np.ascontiguousarray(design.T)
    centre = (weight * columns).sum(axis=1)
    spread = np.sqrt((weight * (columns - centre[:, None]) ** 2).sum(axis=1))
    unit = np.where(spread > 0, spread, 1.0)
    columns = (columns - centre[:, None]) / unit[:, None]

    def objective(line: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        eta = line[0] + (line[1:, None] * columns).sum(axis=0)
        residual = weight * (expit(eta) - target)
        loss = float((weight * (np.logaddexp(0, eta) - target * eta)).sum())
        return loss, np.array([residual.sum(), *(residual * columns).sum(axis=1)])

    start = np.array([logit((weight * target).sum()), *spread])  # where the PDs of the card stay as they are
    bounds = [(None, None), *[(0.0, None)] * len(spread)]
    options = {"maxiter": 1000, "ftol": 1e-15, "gtol": 1e-9}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x
    slopes = found[1:] / unit
    return slopes, float(found[0] - (centre * slopes).sum())


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
    shift = _shift(known, weight=observed.weight, central_tendency=central_tendency)
    return lambda log_odds: np.asarray(expit(logit(np.clip(curve(log_odds), _FLOOR, 1 - _FLOOR)) + shift))


def _shift(pds: NDArray[np.float64], *, weight: NDArray[np.float64], central_tendency: float) -> float:
    odds = logit(pds)
    return float(
        brentq(lambda shift: np.average(expit(odds + shift), weights=weight) - central_tendency, -60, 60, xtol=1e-14)
    )


def _shares_of_knots(table: PdTable, scores: NDArray[np.int64], *, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the weight of each knot in the mean PD of the rows: a row between two knots leans on both."""
    knots = np.array(table.scores, dtype=np.float64)
    place = np.interp(scores, knots, np.arange(len(knots), dtype=np.float64))
    low = np.minimum(place.astype(np.int64), max(len(knots) - 2, 0))
    on_next = weight * (place - low)
    share = np.bincount(low, weights=weight - on_next, minlength=len(knots) + 1)
    return np.asarray((share + np.bincount(low + 1, weights=on_next, minlength=len(knots) + 1))[: len(knots)])


def _tabulate(curve: Curve, *, scale: CardScale, score_range: tuple[int, int]) -> PdTable:
    """Read the curve at so many scores that straight lines between them stay within 1e-5 of it.

    Every stretch is halved until the lines hold a quarter, a half and three quarters of the way along.
    """

    def read(scores: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.minimum.accumulate(curve(-log_odds_of(scores, scale=scale)))

    low, high = score_range
    knots = np.unique(np.linspace(low, high, min(64, high - low + 1)).round().astype(np.int64))
    while len(knots) < MOST_KNOTS // 2:
        start, width = knots[:-1], np.diff(knots)
        inner = np.unique(np.concatenate([knots, *(start + width * quarter // 4 for quarter in (1, 2, 3))]))
        pds = read(inner)
        miss = np.abs(pds - np.interp(inner, knots, pds[np.searchsorted(inner, knots)])) > _TIGHT
        crooked = np.unique(np.searchsorted(knots, inner[miss], side="right") - 1)
        if not len(crooked):
            break
        knots = np.unique(np.concatenate([knots, start[crooked] + np.maximum(width[crooked] // 2, 1)]))
    return PdTable(tuple(knots.tolist()), _written(read(knots)))


def _written(pds: NDArray[np.float64]) -> tuple[float, ...]:
    """Give PDs in as many digits as are kept, none 0 or 1, none above the one before."""
    rounded = np.clip(np.round(pds, _DIGITS), 1e-9, 1 - 1e-9)
    return tuple(np.minimum.accumulate(rounded).tolist())

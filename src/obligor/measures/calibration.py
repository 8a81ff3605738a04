"""Whether PDs hold: Brier, log loss, calibration line, and the tests that validators run.

Formulas are those of the ECB's instructions of February 2019 (Jeffreys), of the Basel Committee's Working Paper 14
(binomial, normal), and of the papers named below. A statistic that the rows cannot tell is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit
from scipy.stats import beta, binom, chi2, norm

from obligor.core.errors import InvalidInputError
from obligor.measures.discrimination import Z_95, checked, tally

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_FLOOR = 1e-15
_STEPS = 100
_SMALL_STEP = 1e-11
_ROUNDING = 1e-12  # of a loss: a rise below it is none


@dataclass(frozen=True, slots=True)
class Brier:
    """The mean squared error of PDs, and its parts over groups (Murphy 1973)."""

    value: float
    reliability: float
    resolution: float
    uncertainty: float


@dataclass(frozen=True, slots=True)
class CalibrationLine:
    """logit P(bad) = intercept + slope * logit PD (Cox 1958), and the intercept at slope 1."""

    intercept: float
    slope: float
    in_the_large: float


@dataclass(frozen=True, slots=True)
class Test:
    """A statistic, its degrees of freedom where it has some, and its p."""

    statistic: float
    p: float
    df: int | None = None


@dataclass(frozen=True, slots=True)
class ReliabilityPoint:
    """A group of rows of like PD: what was predicted, what was seen, and its 95% interval (Wilson 1927)."""

    pd_mean: float
    bad_rate: float
    lower: float
    upper: float
    rows: float


def brier(bad: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None, *, groups: int = 0) -> Brier:
    """Give the Brier score and its parts over groups of equal PD, or over so many quantile groups."""
    outcome, predicted, weights = checked(bad, pd, weight)
    if len(outcome) == 0:
        return Brier(math.nan, math.nan, math.nan, math.nan)
    total = weights.sum()
    value = float(weights @ (predicted - outcome) ** 2 / total)
    rows, rates, pds = _grouped(outcome, predicted, weights, groups=groups)
    mean = float(weights @ outcome / total)
    reliability = float(rows @ (pds - rates) ** 2 / total)
    resolution = float(rows @ (rates - mean) ** 2 / total)
    return Brier(value, reliability, resolution, mean * (1 - mean))


def log_loss(bad: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Give the mean negative log-likelihood; PDs of 0 and 1 are drawn in by 1e-15."""
    outcome, predicted, weights = checked(bad, pd, weight)
    if len(outcome) == 0:
        return math.nan
    inside = np.clip(predicted, _FLOOR, 1 - _FLOOR)
    each = -(outcome * np.log(inside) + (1 - outcome) * np.log1p(-inside))
    return float(weights @ each / weights.sum())


def calibration_line(bad: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> CalibrationLine:
    """Fit the calibration line by Newton's method, as a binomial regression on the log-odds of the PDs."""
    outcome, predicted, weights = checked(bad, pd, weight)
    inside = np.clip(predicted, _FLOOR, 1 - _FLOOR)
    x = np.log(inside / (1 - inside))
    one_class = len(outcome) == 0 or outcome.min() == outcome.max()
    if one_class:
        return CalibrationLine(math.nan, math.nan, math.nan)
    both = _newton(np.column_stack([np.ones(len(x)), x]), outcome, weights, offset=np.zeros(len(x)))
    large = _newton(np.ones((len(x), 1)), outcome, weights, offset=x)
    if np.ptp(x) == 0:
        both = np.array([math.nan, math.nan])
    return CalibrationLine(float(both[0]), float(both[1]), float(large[0]))


def observed_expected(bad: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Give observed bads over expected bads."""
    outcome, predicted, weights = checked(bad, pd, weight)
    expected = float(weights @ predicted)
    return float(weights @ outcome) / expected if expected > 0 else math.nan


def hosmer_lemeshow(rows: ArrayLike, bads: ArrayLike, pd: ArrayLike, *, fitted: bool) -> Test:
    """Test grades together: the sum of (D - N PD)^2 / (N PD (1 - PD)) (Hosmer and Lemeshow 1980).

    Degrees of freedom are K for PDs that came from elsewhere, K - 2 where they were ``fitted`` on the same rows. Grades
    without rows do not count; a PD of 0 or 1 that fails makes the statistic infinite.
    """
    n, d, p = _grades(rows, bads, pd)
    df = len(n) - 2 if fitted else len(n)
    if df < 1:
        return Test(math.nan, math.nan, df)
    gap, spread = (d - n * p) ** 2, n * p * (1 - p)
    parts = np.divide(gap, spread, out=np.where(gap > 0, np.inf, 0.0), where=spread > 0)
    statistic = float(parts.sum())
    return Test(statistic, float(chi2.sf(statistic, df)), df)


def spiegelhalter(bad: ArrayLike, pd: ArrayLike) -> Test:
    """Test all rows together: sum (y - p)(1 - 2p) / sqrt(sum (1 - 2p)^2 p (1 - p)) (Spiegelhalter 1986), two-sided."""
    outcome, p, _ = checked(bad, pd)
    spread = float(((1 - 2 * p) ** 2) @ (p * (1 - p)))
    if spread <= 0:
        return Test(math.nan, math.nan)
    z = float((outcome - p) @ (1 - 2 * p)) / math.sqrt(spread)
    return Test(z, float(2 * norm.sf(abs(z))))


def jeffreys(rows: float, bads: float, pd: float) -> float:
    """Give the p of the hypothesis that the true PD is at most the one applied (ECB 2019, 2.5.3)."""
    if not 0 <= bads <= rows:
        raise InvalidInputError(f"Jeffreys: {bads:g} bads of {rows:g} rows; wanted 0 to as many as there are rows")
    return float(beta.cdf(pd, bads + 0.5, rows - bads + 0.5)) if rows > 0 else math.nan


def binomial(rows: int, bads: int, pd: float) -> float:
    """Give the probability of as many bads or more, were the PD true and loans independent (BCBS WP14 2005)."""
    return float(binom.sf(bads - 1, rows, pd)) if rows > 0 else math.nan


def normal_test(rates: ArrayLike, pd: float) -> Test:
    """Test yearly bad rates of a grade against its PD: mean difference over its standard error (BCBS WP14 2005)."""
    gaps = np.asarray(rates, dtype=np.float64) - pd
    if len(gaps) < 2 or gaps.std(ddof=1) == 0:  # noqa: PLR2004  a variance needs two
        return Test(math.nan, math.nan)
    z = float(gaps.mean() / (gaps.std(ddof=1) / math.sqrt(len(gaps))))
    return Test(z, float(norm.sf(z)))


def reliability(
    bad: ArrayLike, pd: ArrayLike, weight: ArrayLike | None = None, *, groups: int = 10
) -> tuple[ReliabilityPoint, ...]:
    """Give predicted and observed rates over quantile groups of the PD."""
    outcome, predicted, weights = checked(bad, pd, weight)
    if len(outcome) == 0:
        return ()
    points = []
    for n, rate, mean in zip(*_grouped(outcome, predicted, weights, groups=groups), strict=True):
        lower, upper = wilson(n, rate)
        points.append(ReliabilityPoint(float(mean), float(rate), lower, upper, float(n)))
    return tuple(points)


def wilson(rows: float, rate: float) -> tuple[float, float]:
    """Give the 95% interval of a rate (Wilson 1927)."""
    if rows <= 0:
        return math.nan, math.nan
    z2 = Z_95**2
    centre = (rate + z2 / (2 * rows)) / (1 + z2 / rows)
    reach = Z_95 / (1 + z2 / rows) * math.sqrt(max(rate * (1 - rate), 0) / rows + z2 / (4 * rows**2))
    return max(centre - reach, 0.0), min(centre + reach, 1.0)


def quantile_groups(pd: NDArray[np.float64], weight: NDArray[np.float64], groups: int) -> NDArray[np.int64]:
    """Deal rows to groups of about equal weight by PD; rows of one PD stay together."""
    _, place = np.unique(pd, return_inverse=True)
    mass = tally(place, weight)
    middle = np.cumsum(mass) - mass / 2
    dealt = np.minimum((middle / mass.sum() * groups).astype(np.int64), groups - 1)
    _, dense = np.unique(dealt, return_inverse=True)
    return np.asarray(dense[place])


def _grouped(
    bad: NDArray[np.float64], pd: NDArray[np.float64], weight: NDArray[np.float64], *, groups: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    place = quantile_groups(pd, weight, groups) if groups else np.unique(pd, return_inverse=True)[1]
    rows = tally(place, weight)
    held = np.where(rows > 0, rows, 1.0)
    return rows, tally(place, weight * bad) / held, tally(place, weight * pd) / held


def _grades(rows: ArrayLike, bads: ArrayLike, pd: ArrayLike) -> tuple[NDArray[np.float64], ...]:
    n, d, p = (np.asarray(part, dtype=np.float64) for part in (rows, bads, pd))
    if not len(n) == len(d) == len(p):
        raise InvalidInputError(f"grades: got {len(n)} counts, {len(d)} bads and {len(p)} PDs; wanted as many of each")
    held = n > 0
    return n[held], d[held], p[held]


def _newton(
    x: NDArray[np.float64], bad: NDArray[np.float64], weight: NDArray[np.float64], *, offset: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a small binomial regression; a step that would raise the loss by more than rounding is halved."""
    found = np.zeros(x.shape[1])
    loss = _loss(bad, weight, offset + x @ found)
    for _ in range(_STEPS):
        p = expit(offset + x @ found)
        slope = x.T @ (weight * (bad - p))
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x
        step = np.linalg.pinv(curve, hermitian=True) @ slope
        most = loss * (1 + _ROUNDING)
        while (after := _loss(bad, weight, offset + x @ (found + step))) > most and np.abs(step).max() > _SMALL_STEP:
            step = step / 2
        found, loss = found + step, after
        if np.abs(step).max() < _SMALL_STEP:
            break
    return found


def _loss(bad: NDArray[np.float64], weight: NDArray[np.float64], eta: NDArray[np.float64]) -> float:
    return float(weight @ (np.logaddexp(0, eta) - bad * eta))

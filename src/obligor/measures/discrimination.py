"""How well a card ranks: AUC, Gini, KS and their intervals.

``bad`` is 0 or 1 and ``risk`` is higher for worse applications. A statistic that the rows cannot tell (one class only,
no rows) is NaN; arrays of different lengths, and labels that are neither 0 nor 1, are errors.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm, rankdata

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Z_95 = 1.959963984540054
_MOST_POINTS = 200


@dataclass(frozen=True, slots=True)
class Auc:
    """The area under the ROC curve with its DeLong variance."""

    value: float
    variance: float

    @property
    def standard_error(self) -> float:
        """The standard error of the area."""
        return math.sqrt(self.variance)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the area, within 0..1."""
        reach = Z_95 * self.standard_error
        return max(self.value - reach, 0.0), min(self.value + reach, 1.0)

    @property
    def gini(self) -> float:
        """2 AUC - 1."""
        return 2 * self.value - 1

    @property
    def gini_interval(self) -> tuple[float, float]:
        """The 95% interval of the Gini."""
        low, high = self.interval
        return 2 * low - 1, 2 * high - 1


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two areas on the same rows, its standard error and two-sided p."""

    value: float
    standard_error: float
    p: float


@dataclass(frozen=True, slots=True)
class Ks:
    """The largest gap between the distributions of goods and bads."""

    value: float
    risk: float
    """Where the gap is: of rows with at most this risk."""


def checked(bad: ArrayLike, risk: ArrayLike, weight: ArrayLike | None = None) -> tuple[NDArray[np.float64], ...]:
    """Give outcome, risk and weight as arrays of one length, or refuse them."""
    outcome, ranked = np.asarray(bad, dtype=np.float64), np.asarray(risk, dtype=np.float64)
    weights = np.ones(len(outcome)) if weight is None else np.asarray(weight, dtype=np.float64)
    if not len(outcome) == len(ranked) == len(weights):
        raise InvalidInputError(
            f"got {len(outcome)} outcomes, {len(ranked)} risks and {len(weights)} weights; wanted as many of each"
        )
    if not np.isin(outcome, (0.0, 1.0)).all():
        raise InvalidInputError("an outcome is neither 0 nor 1")
    if np.isnan(ranked).any() or not np.isfinite(weights).all() or (weights < 0).any():
        raise InvalidInputError("a risk is NaN, or a weight is negative or not finite")
    return outcome, ranked, weights


def auc(bad: ArrayLike, risk: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Give the probability that a bad ranks above a good, ties half (Mann and Whitney 1947)."""
    outcome, ranked, weights = checked(bad, risk, weight)
    tiers = _tiers(outcome, ranked, weights)
    goods, bads = tiers[1].sum(), tiers[2].sum()
    if goods == 0 or bads == 0:
        return math.nan
    below = np.cumsum(tiers[1]) - tiers[1]
    return float(tiers[2] @ (below + tiers[1] / 2) / (goods * bads))


def delong(bad: ArrayLike, risk: ArrayLike) -> Auc:
    """Give the area and its variance (DeLong, DeLong and Clarke-Pearson 1988, by midranks as Sun and Xu 2014)."""
    outcome, ranked, _ = checked(bad, risk)
    value, v10, v01 = _components(outcome, ranked)
    if math.isnan(value):
        return Auc(math.nan, math.nan)
    return Auc(value, _variance(v10, v10) + _variance(v01, v01))


def delong_test(bad: ArrayLike, risk_a: ArrayLike, risk_b: ArrayLike) -> Difference:
    """Test whether two rankings of the same rows have the same area."""
    outcome, first, _ = checked(bad, risk_a)
    _, second, _ = checked(bad, risk_b)
    (a, a10, a01), (b, b10, b01) = _components(outcome, first), _components(outcome, second)
    if math.isnan(a):
        return Difference(math.nan, math.nan, math.nan)
    variance = _variance(a10 - b10, a10 - b10) + _variance(a01 - b01, a01 - b01)
    error = math.sqrt(max(variance, 0.0))
    if error == 0:
        return Difference(a - b, 0.0, 1.0 if a == b else 0.0)
    return Difference(a - b, error, float(2 * norm.sf(abs(a - b) / error)))


def against_initial(current: Auc, *, initial: float) -> tuple[float, float]:
    """Give S and p of the ECB's test that the area has not fallen below the initial one.

    S = (initial - current) / s, p = 1 - Phi(S), with the initial area taken as fixed (ECB 2019, 2.5.4).
    """
    if math.isnan(current.value) or current.variance <= 0:
        return math.nan, math.nan
    statistic = (initial - current.value) / current.standard_error
    return statistic, float(norm.sf(statistic))


def ks(bad: ArrayLike, risk: ArrayLike, weight: ArrayLike | None = None) -> Ks:
    """Give the largest gap between the distributions of goods and bads over the risk."""
    outcome, ranked, weights = checked(bad, risk, weight)
    return _ks(_tiers(outcome, ranked, weights))


def ks_interval(bad: ArrayLike, risk: ArrayLike, *, seed: int, draws: int = 500) -> tuple[float, float]:
    """Give the 95% interval of KS by a bootstrap of goods and bads apart, over at most 1,000 tiers of risk."""
    outcome, ranked, weights = checked(bad, risk)
    goods, bads = _coarse(*_tiers(outcome, ranked, weights)[1:])
    if goods.sum() == 0 or bads.sum() == 0:
        return math.nan, math.nan
    random = np.random.default_rng(seed)
    drawn_goods = random.multinomial(int(goods.sum()), goods / goods.sum(), size=draws)
    drawn_bads = random.multinomial(int(bads.sum()), bads / bads.sum(), size=draws)
    gaps = np.cumsum(drawn_goods, axis=1) / goods.sum() - np.cumsum(drawn_bads, axis=1) / bads.sum()
    low, high = np.quantile(np.abs(gaps).max(axis=1), (0.025, 0.975))
    return float(low), float(high)


def pr_auc(bad: ArrayLike, risk: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Give the average precision: the mean precision over the bads, from the riskiest down."""
    outcome, ranked, weights = checked(bad, risk, weight)
    _, goods, bads = _tiers(outcome, ranked, weights)
    if bads.sum() == 0:
        return math.nan
    found, declined = np.cumsum(bads[::-1]), np.cumsum((goods + bads)[::-1])
    precision = np.divide(found, declined, out=np.zeros_like(found), where=declined > 0)
    return float(precision @ bads[::-1] / bads.sum())


def roc_curve(bad: ArrayLike, risk: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Give points (share of goods declined, share of bads declined) from (0, 0) to (1, 1), at most about 200."""
    outcome, ranked, weights = checked(bad, risk, weight)
    _, goods, bads = _tiers(outcome, ranked, weights)
    if goods.sum() == 0 or bads.sum() == 0:
        return np.zeros((0, 2))
    steps = np.column_stack([np.cumsum(goods[::-1]) / goods.sum(), np.cumsum(bads[::-1]) / bads.sum()])
    return np.vstack([[0.0, 0.0], _thin(steps)])


def distributions(bad: ArrayLike, risk: ArrayLike, weight: ArrayLike | None = None) -> NDArray[np.float64]:
    """Give rows (risk, share of goods at most as risky, share of bads at most as risky), at most about 200."""
    outcome, ranked, weights = checked(bad, risk, weight)
    levels, goods, bads = _tiers(outcome, ranked, weights)
    if goods.sum() == 0 or bads.sum() == 0:
        return np.zeros((0, 3))
    return _thin(np.column_stack([levels, np.cumsum(goods) / goods.sum(), np.cumsum(bads) / bads.sum()]))


def _tiers(
    bad: NDArray[np.float64], risk: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Give the distinct risks, rising, with the weight of goods and of bads at each."""
    levels, place = np.unique(risk, return_inverse=True)
    bads = tally(place, weight * bad)
    return levels, tally(place, weight) - bads, bads


def tally(place: NDArray[np.int64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the weight at each place."""
    return np.asarray(np.bincount(place, weights=weight), dtype=np.float64)


def _coarse(
    goods: NDArray[np.float64], bads: NDArray[np.float64], *, most: int = 1000
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Pool neighbouring tiers of risk into at most so many of about equal weight."""
    if len(goods) <= most:
        return goods, bads
    total = np.cumsum(goods + bads)
    group = np.minimum((total / total[-1] * most).astype(np.int64), most - 1)
    return tally(group, goods), tally(group, bads)


def _ks(tiers: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]) -> Ks:
    levels, goods, bads = tiers
    if goods.sum() == 0 or bads.sum() == 0:
        return Ks(math.nan, math.nan)
    gap = np.cumsum(goods) / goods.sum() - np.cumsum(bads) / bads.sum()
    at = int(np.argmax(np.abs(gap)))
    return Ks(float(abs(gap[at])), float(levels[at]))


def _components(
    bad: NDArray[np.float64], risk: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Give the area, and for each bad and each good the share of the other class that it is ranked rightly to."""
    bads, goods = risk[bad == 1], risk[bad == 0]
    m, n = len(bads), len(goods)
    if m == 0 or n == 0:
        return math.nan, np.zeros(0), np.zeros(0)
    together = rankdata(np.concatenate([bads, goods]))
    v10 = (together[:m] - rankdata(bads)) / n
    v01 = 1 - (together[m:] - rankdata(goods)) / m
    return float(v10.mean()), v10, v01


def _variance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Give the variance of a mean of paired components; of a single one it cannot be told, and counts as 0."""
    if len(a) < 2:  # noqa: PLR2004  a variance needs two
        return 0.0
    return float(((a - a.mean()) @ (b - b.mean())) / (len(a) - 1) / len(a))


def _thin(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep evenly spaced rows and the last."""
    step = -(-len(rows) // _MOST_POINTS)
    kept = rows[step - 1 :: step]
    return kept if len(rows) % step == 0 else np.vstack([kept, rows[-1]])

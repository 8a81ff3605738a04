"""Whether groups of applicants fare alike at a cut-off.

The adverse impact ratio is a group's approval rate over that of the reference group; below 0.80, the four-fifths rule of the
Uniform Guidelines (29 CFR 1607.4 D), it is a hard flag, below 0.90 one to review. A ratio above 1 / 0.80 is flagged alike:
there the reference group fares worse. The interval is that of the log of a ratio of two proportions (Katz and others 1978,
Biometrics 34), the p-value Fisher's exact one. The standardised mean difference is the difference of mean scores over the
pooled standard deviation, its interval that of Hedges and Olkin (1985, Statistical Methods for Meta-Analysis, 5.B). Observed
over expected bads has the interval of Jeffreys (Brown, Cai and DasGupta 2001, Statistical Science 16); a difference of error
rates that of Newcombe (1998, Statistics in Medicine 17, method 10).

Rates are by weight. Intervals and tests take as many rows as the weights are worth, (sum w)^2 / sum w^2 (Kish 1965, Survey
Sampling); where weights differ, Fisher's test, which needs whole rows, gives way to Pearson's chi-squared on those counts. A
group that is too small is told as such, without a rate: chance would speak, and a person could be known by it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.stats import beta, fisher_exact, norm

from obligor.core.errors import InvalidInputError
from obligor.measures.calibration import wilson
from obligor.measures.discrimination import Z_95

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MOST_GROUPS = 50
_DIGITS = 9

Flag = Literal["", "review", "hard", "insufficient"]
Interval = tuple[float, float, float]
"""A figure and the ends of its 95% interval."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What groups are held to."""

    fewest: int = 30
    """The fewest rows, as weights count them, of a group that is compared."""
    hard: float = 0.80
    """The impact ratio below which a group is flagged."""
    review: float = 0.90
    """The impact ratio below which a group is to be reviewed."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Who belongs where: ``names[codes[i]]`` is the group of row i; a code of -1 is not known."""

    codes: NDArray[np.int64]
    names: tuple[str, ...]

    def of(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Groups:
        """Give the groups of some of the rows."""
        return Groups(self.codes[rows], self.names)


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """How one group fares beside the reference group; None where a figure cannot be told."""

    name: str
    rows: int
    effective_rows: float
    """As many rows as their weights are worth; all of them where rows weigh alike."""
    flag: Flag
    approval_rate: float | None = None
    impact_ratio: float | None = None
    impact_lower: float | None = None
    impact_upper: float | None = None
    p: float | None = None
    score_difference: float | None = None
    """The standardised mean difference of the score: below 0 where the group scores lower."""
    score_difference_lower: float | None = None
    score_difference_upper: float | None = None
    bad_rate: float | None = None
    pd_mean: float | None = None
    observed_expected: float | None = None
    """Its bads over those that its PDs expect: above 1 where the card is too kind to it."""
    observed_expected_lower: float | None = None
    observed_expected_upper: float | None = None
    declined_goods: float | None = None
    """The share of its good loans that are declined."""
    declined_goods_difference: float | None = None
    """That share less that of the reference group."""
    declined_goods_lower: float | None = None
    declined_goods_upper: float | None = None
    approved_bads: float | None = None
    """The share of its bad loans that are approved."""
    approved_bads_difference: float | None = None
    approved_bads_lower: float | None = None
    approved_bads_upper: float | None = None


@dataclass(frozen=True, slots=True)
class Applicants:
    """What is known of each application beside its group."""

    approved: NDArray[np.bool_]
    score: NDArray[np.float64]
    bad: NDArray[np.uint8]
    pd: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        columns = (self.approved, self.score, self.bad, self.pd, self.weight)
        sizes = {len(it) for it in columns if it is not None}
        if len(sizes) != 1:
            raise InvalidInputError(f"fairness: columns of {sorted(sizes)} applications; wanted as many of each")
        if self.weight is not None and not (np.isfinite(self.weight).all() and (self.weight >= 0).all()):
            raise InvalidInputError("fairness: a weight is negative or not finite; wanted weights of 0 or more")

    def of(self, rows: NDArray[np.bool_]) -> Applicants:
        """Give some of the applications."""
        weight = None if self.weight is None else self.weight[rows]
        return Applicants(self.approved[rows], self.score[rows], self.bad[rows], self.pd[rows], weight)

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weight of each; 1 where none is known."""
        return np.ones(len(self.bad)) if self.weight is None else self.weight


@dataclass(frozen=True, slots=True)
class Share:
    """A rate, and as many rows as stand behind it."""

    rate: float
    rows: float

    @classmethod
    def of(cls, marked: NDArray[np.bool_], weight: NDArray[np.float64]) -> Share | None:
        """Give the share of the rows that are marked; None of no rows."""
        rows = effective(weight)
        return cls(float(weight[marked].sum() / weight.sum()), rows) if rows else None

    @property
    def count(self) -> float:
        """How many rows that is."""
        return self.rate * self.rows


def compare_groups(
    applicants: Applicants, groups: Groups, *, standard: Standard | None = None
) -> tuple[str, list[GroupOutcome]]:
    """Compare every group with the largest: give the name of that, and each group's outcome in the order of the names.

    Of many groups only the largest fifty are told apart; the rest stand together as one at the end.
    """
    if len(groups.codes) != len(applicants.approved):
        raise InvalidInputError(
            f"fairness: groups of {len(groups.codes)} applications; wanted {len(applicants.approved)}"
        )
    standard = standard or Standard()
    groups = _foremost(groups)
    parts = {code: applicants.of(groups.codes == code) for code in range(len(groups.names))}
    parts = {code: part for code, part in parts.items() if len(part.bad)}
    if not parts:
        return "", []
    enough = [code for code, part in parts.items() if effective(part.weights) >= standard.fewest]
    reference = _reference(enough or list(parts), {code: float(part.weights.sum()) for code, part in parts.items()})
    even = applicants.weight is None or len(np.unique(applicants.weight)) == 1
    return groups.names[reference], [
        _outcome(groups.names[code], part, parts[reference], standard=standard, even=even)
        if code in enough
        else GroupOutcome(groups.names[code], len(part.bad), effective(part.weights), "insufficient")
        for code, part in parts.items()
    ]


def worst_ratio(
    approved: NDArray[np.bool_], groups: Groups, weight: NDArray[np.float64] | None = None, *, standard: Standard
) -> float | None:
    """Give the impact ratio of the group that fares worst beside the reference, or of the reference beside it.

    None where there are not two groups that are large enough, or nobody is approved.
    """
    groups = _foremost(groups)
    known = groups.codes >= 0
    codes, weights = groups.codes[known], np.ones(int(known.sum())) if weight is None else weight[known]
    total, square, passed = (
        np.bincount(codes, weights=values, minlength=len(groups.names))
        for values in (weights, weights**2, weights * approved[known])
    )
    rows = np.divide(total**2, square, out=np.zeros(len(total)), where=square > 0).round(_DIGITS)
    enough = np.flatnonzero(rows >= standard.fewest).tolist()
    if len(enough) < 2:  # noqa: PLR2004  a ratio takes two
        return None
    rates = passed / np.where(total > 0, total, 1.0)
    usual = rates[_reference(enough, dict(enumerate(total.tolist())))]
    if not usual:
        return 0.0 if rates[enough].any() else None
    return min(evened(float(rates[code] / usual)) for code in enough)


def _reference(codes: list[int], weight: Mapping[int, float]) -> int:
    """Choose the heaviest group, but for the one of all the rest; the first of equals."""
    return max([code for code in codes if code < _MOST_GROUPS] or codes, key=lambda code: weight[code])


def evened(ratio: float) -> float:
    """Turn an impact ratio so that the group that fares worse stands above the line."""
    return min(ratio, 1 / ratio) if ratio > 0 else 0.0


def effective(weight: NDArray[np.float64]) -> float:
    """Give as many rows as weights are worth: (sum w)^2 / sum w^2."""
    square = float(weight @ weight)
    return round(float(weight.sum()) ** 2 / square, _DIGITS) if square > 0 else 0.0


def _foremost(groups: Groups) -> Groups:
    if len(groups.names) <= _MOST_GROUPS:
        return groups
    sizes = np.bincount(groups.codes[groups.codes >= 0], minlength=len(groups.names))
    kept = np.sort(np.argsort(-sizes, kind="stable")[:_MOST_GROUPS])
    kept = kept[sizes[kept] > 0]
    places = np.full(len(groups.names) + 1, len(kept), dtype=np.int64)
    places[kept] = np.arange(len(kept))
    places[-1] = -1  # where a code of -1 lands
    rest = int(np.count_nonzero(sizes)) - len(kept)
    return Groups(places[groups.codes], (*(groups.names[at] for at in kept), f"{rest} smaller groups together"))


def intersections(columns: Mapping[str, Groups]) -> dict[str, Groups]:
    """Give the groups that two protected columns make together, for every two of them: those that occur."""
    found = {}
    for (one, first), (other, second) in combinations(columns.items(), 2):
        known = (first.codes >= 0) & (second.codes >= 0)
        seen, codes = np.unique(first.codes * len(second.names) + second.codes, return_inverse=True)
        whole = np.unique(codes[known])
        places = np.full(len(seen), -1, dtype=np.int64)
        places[whole] = np.arange(len(whole))
        names = tuple(
            f"{first.names[left]} and {second.names[right]}"
            for left, right in (divmod(int(seen[at]), len(second.names)) for at in whole)
        )
        found[f"{one} and {other}"] = Groups(np.where(known, places[codes], -1), names)
    return found


def impact_ratio(group: tuple[float, float], reference: tuple[float, float]) -> Interval | None:
    """Give the ratio of two approval rates, each told as (approved, rows), and its 95% interval.

    None where the reference group has no approvals. Where the group has none the ratio is 0 and the interval ends at the
    ratio that half an approval more on either side would reach.
    """
    (approved, rows), (others, all_others) = group, reference
    if not others:
        return None
    ratio = (approved / rows) / (others / all_others)
    shift = 0.0 if approved else 0.5
    a, b = approved + shift, others + shift
    spread = math.sqrt(max(1 / a - 1 / (rows + shift) + 1 / b - 1 / (all_others + shift), 0.0))
    centre = (a / (rows + shift)) / (b / (all_others + shift))
    upper = centre * math.exp(Z_95 * spread)
    return ratio, centre * math.exp(-Z_95 * spread) if approved else 0.0, upper


def rate_difference(one: Share, other: Share) -> Interval:
    """Give the difference of two rates and its 95% interval, from the Wilson intervals of both (Newcombe 1998)."""
    (low, high), (low_other, high_other) = wilson(one.rows, one.rate), wilson(other.rows, other.rate)
    value = one.rate - other.rate
    return (
        value,
        value - math.hypot(one.rate - low, high_other - other.rate),
        value + math.hypot(high - one.rate, other.rate - low_other),
    )


def observed_over_expected(bads: Share, pd: float) -> Interval | None:
    """Give a bad rate over the mean PD, and the Jeffreys interval of the rate over the same."""
    if not pd > 0:
        return None
    low, high = beta.ppf((0.025, 0.975), bads.count + 0.5, bads.rows - bads.count + 0.5)
    return bads.rate / pd, float(low) / pd if bads.rate > 0 else 0.0, (float(high) if bads.rate < 1 else 1.0) / pd


def mean_difference(
    one: NDArray[np.float64], other: NDArray[np.float64], weights: tuple[NDArray[np.float64], NDArray[np.float64]]
) -> Interval | None:
    """Give the standardised difference of two weighted means and its 95% interval; None where nothing varies."""
    n, m = map(effective, weights)
    means = [float(np.average(values, weights=weight)) for values, weight in zip((one, other), weights, strict=True)]
    pooled = n * float(np.average((one - means[0]) ** 2, weights=weights[0]))
    pooled += m * float(np.average((other - means[1]) ** 2, weights=weights[1]))
    if not (pooled > 0 and n + m > 2):  # noqa: PLR2004  two means are estimated
        return None
    value = (means[0] - means[1]) / math.sqrt(pooled / (n + m - 2))
    reach = Z_95 * math.sqrt((n + m) / (n * m) + value**2 / (2 * (n + m)))
    return value, value - reach, value + reach


def association(own: Share, other: Share, *, even: bool) -> float:
    """Give the two-sided p of equal approval rates: Fisher's exact, or Pearson's where rows do not weigh alike."""
    if even:
        a, b = round(own.count), round(other.count)
        return float(fisher_exact([[a, round(own.rows) - a], [b, round(other.rows) - b]]).pvalue)
    pooled = (own.count + other.count) / (own.rows + other.rows)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / own.rows + 1 / other.rows)) if 0 < pooled < 1 else 0.0
    return float(2 * norm.sf(abs(own.rate - other.rate) / spread)) if spread else 1.0


def _outcome(name: str, own: Applicants, reference: Applicants, *, standard: Standard, even: bool) -> GroupOutcome:
    approvals, others = (_share(it.approved, it) for it in (own, reference))
    bads, pd = _share(own.bad == 1, own), float(np.average(own.pd, weights=own.weights))
    itself = own is reference
    ratio = impact_ratio((approvals.count, approvals.rows), (others.count, others.rows))
    difference = mean_difference(own.score, reference.score, (own.weights, reference.weights))
    figures = {
        **_spread("impact_ratio", "impact", ratio, alone=itself),
        **_spread("score_difference", "score_difference", difference, alone=itself),
        **_spread("observed_expected", "observed_expected", observed_over_expected(bads, pd)),
    }
    for key, wrong, outcome in (("declined_goods", False, 0), ("approved_bads", True, 1)):
        error, usual = (Share.of(it.approved == wrong, it.weights) for it in _with(outcome, own, reference))
        apart = rate_difference(error, usual) if error and usual else None
        figures |= _spread(f"{key}_difference", key, apart, alone=itself) | {key: error.rate if error else None}
    return GroupOutcome(
        name,
        len(own.bad),
        effective(own.weights),
        _flag(ratio[0] if ratio else None, approvals.rate, standard),
        approval_rate=approvals.rate,
        p=association(approvals, others, even=even) if (ratio or approvals.rate) and not itself else None,
        bad_rate=bads.rate,
        pd_mean=pd,
        **figures,
    )


def _share(marked: NDArray[np.bool_], part: Applicants) -> Share:
    found = Share.of(marked, part.weights)
    if found is None:  # pragma: no cover  a group without weight is too small
        raise AssertionError
    return found


def _with(outcome: int, *parts: Applicants) -> list[Applicants]:
    return [part.of(part.bad == outcome) for part in parts]


def _spread(name: str, ends: str, found: Interval | None, *, alone: bool = False) -> dict[str, float | None]:
    """Name a figure and the ends of its interval; a group beside itself has no interval."""
    value, lower, upper = found or (None, None, None)
    return {name: value, f"{ends}_lower": None if alone else lower, f"{ends}_upper": None if alone else upper}


def _flag(ratio: float | None, approval_rate: float, standard: Standard) -> Flag:
    """Flag a group; where nobody of the reference group is approved there is no ratio, and whoever is approved is apart."""
    if ratio is None:
        return "hard" if approval_rate > 0 else ""
    worse = evened(ratio)
    return "hard" if worse < standard.hard else "review" if worse < standard.review else ""

"""One decision explained: the score as a sum, what each characteristic adds to it, the reasons, and what would change it.

All of it follows from the bins of the application, so that an explanation holds the labels of bins and not the
values that a person gave.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from obligor.core.counterfactuals import MOST_CHANGES, Counterfactual, counterfactuals, score_of_bins
from obligor.core.reasons import MOST_REASONS, Explainer, Reason, Untold, check_reasons, compile_reasons
from obligor.core.shapley import ShapleyTables, in_log_odds, shapley_tables

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from obligor.core.counterfactuals import Check
    from obligor.core.scorecard import Scorecard

_MOST_STEPS = 12
_THOUSANDTHS = 1000
WITHHELD = "personal, together"


@dataclass(frozen=True, slots=True)
class Contribution:
    """One characteristic of an application: its bin, the points of the bin, and what it adds against the mean applicant."""

    feature: str
    bin: str
    """The label of the bin."""
    missing: bool
    """Whether the application had no value."""
    points: int
    """Of its own table, in thousandths."""
    shap: float
    """Its Shapley value in points, its share of the pairs counted in."""
    shap_log_odds: float
    """The same in log-odds of good, before the PDs were calibrated."""


@dataclass(frozen=True, slots=True)
class PairPoints:
    """The points that two characteristics earn together, in thousandths."""

    features: tuple[str, str]
    points: int


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the waterfall from the mean score to the score of an application, in points."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that a card can say of one application."""

    card: str
    """The name of the card."""
    card_sha256: str
    score: int
    """In thousandths."""
    pd: float
    """The probability of turning bad within the horizon."""
    horizon_months: int
    band: str
    cutoff: int
    """In thousandths."""
    approved: bool
    """Whether the score reaches the cut-off."""
    base_points: int
    """What every application starts with, in thousandths."""
    mean: float
    """The mean score of train, in points: from it the contributions lead to the score."""
    contributions: tuple[Contribution, ...]
    """In the order of the card."""
    pairs: tuple[PairPoints, ...]
    reasons: tuple[Reason, ...]
    """What falls short of applicants near the cut-off. Of a declined application they are the principal reasons; where there
    are none, a person must decide."""
    counterfactuals: tuple[Counterfactual, ...]
    """The nearest changes that reach the cut-off; none for an application that reaches it."""

    def to_plain(self, *, withheld: Collection[str] = ()) -> dict[str, Any]:
        """Give plain data, with all scores and points in points.

        Of the characteristics withheld no bin is told, only their contributions as one sum. The score is then told in whole
        points and the PD in thousandths, so that the sum blurs what each of them adds, and no reason has its shortfall.
        """
        score = round(self.score / _THOUSANDTHS, 0 if withheld else 3)
        shown = [it for it in self.contributions if it.feature not in withheld]
        jumps = [(it.feature, it.shap) for it in shown]
        rest = score - self.mean - math.fsum(shap for _, shap in jumps)
        if withheld:
            jumps.append((WITHHELD, rest))
        return {
            "card": self.card,
            "card_sha256": self.card_sha256,
            "score": score,
            "pd": round(self.pd, 3) if withheld else self.pd,
            "horizon_months": self.horizon_months,
            "band": self.band,
            "cutoff": self.cutoff / _THOUSANDTHS,
            "approved": self.approved,
            "base_points": self.base_points / _THOUSANDTHS,
            "mean": self.mean,
            "contributions": [asdict(it) | {"points": it.points / _THOUSANDTHS} for it in shown],
            "withheld": {"features": sorted(withheld), "shap": rest} if withheld else None,
            "pairs": [
                {"features": list(it.features), "points": it.points / _THOUSANDTHS}
                for it in self.pairs
                if not set(it.features) & set(withheld)
            ],
            "reasons": [
                {"code": it.code, "text": it.text}
                | ({} if withheld else {"feature": it.feature, "shortfall": it.shortfall})
                for it in self.reasons
            ],
            "counterfactuals": [_way(it, withheld) for it in self.counterfactuals],
            "waterfall": [asdict(step) for step in waterfall_of(self.mean, jumps)],
        }


def _way(way: Counterfactual, withheld: Collection[str]) -> dict[str, Any]:
    return {
        "changes": [
            {"feature": it.feature, "from_bin": None if it.feature in withheld else it.from_bin, "to_bin": it.to_bin}
            for it in way.changes
        ],
        "score": round(way.score / _THOUSANDTHS, 0 if withheld else 3),
        "scored": way.scored,
    }


def waterfall(explanation: Explanation, *, most: int = _MOST_STEPS) -> tuple[Step, ...]:
    """Give the steps from the mean score to the score of an application."""
    return waterfall_of(explanation.mean, [(it.feature, it.shap) for it in explanation.contributions], most=most)


def waterfall_of(mean: float, jumps: Sequence[tuple[str, float]], *, most: int = _MOST_STEPS) -> tuple[Step, ...]:
    """Give the steps that named jumps make from a mean: the largest first, the small ones as one."""
    ranked = sorted(jumps, key=lambda jump: -abs(jump[1]))
    shown = ranked if len(ranked) <= most else ranked[: most - 1]
    rest = ranked[len(shown) :]
    if rest:
        shown = [*shown, (f"{len(rest)} others", math.fsum(jump for _, jump in rest))]
    steps, reached = [], mean
    for name, jump in shown:
        steps.append(Step(name, reached, reached + jump))
        reached += jump
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class Explaining:
    """A card laid out for explaining many applications."""

    card: Scorecard
    shapley: ShapleyTables
    reasons: Explainer
    untold: tuple[Untold, ...]
    """The bins without a reason text."""

    @classmethod
    def of(cls, card: Scorecard) -> Explaining:
        """Lay a card out.

        Raises
        ------
        CardError
            Where the card has no reference means, or no train rows in its bins.
        """
        return cls(card, shapley_tables(card), compile_reasons(card), check_reasons(card))

    def explain(
        self,
        bins: Sequence[int],
        *,
        most_reasons: int = MOST_REASONS,
        most_changes: int = MOST_CHANGES,
        check: Check | None = None,
    ) -> Explanation:
        """Explain an application, told by the bins of its characteristics in the order of the card.

        Parameters
        ----------
        check
            Scores a counterfactual again by other means (``counterfactuals``).
        """
        card = self.card
        score = score_of_bins(card, bins)
        code_of = dict(zip((it.feature for it in card.characteristics), bins, strict=True))
        return Explanation(
            card=card.name,
            card_sha256=card.sha256,
            score=score,
            pd=card.pd.pd(score),
            horizon_months=card.horizon_months,
            band=card.band_of(score),
            cutoff=card.cutoff.score,
            approved=score >= card.cutoff.score,
            base_points=card.base_points,
            mean=self.shapley.mean,
            contributions=self._contributions(bins),
            pairs=tuple(
                PairPoints(it.features, it.by_bin[code_of[it.features[0]]][code_of[it.features[1]]])
                for it in card.pairs
            ),
            reasons=self.reasons.explain(bins, most=most_reasons),
            counterfactuals=counterfactuals(card, bins, most_changes=most_changes, check=check),
        )

    def _contributions(self, bins: Sequence[int]) -> tuple[Contribution, ...]:
        added = self.shapley.of(bins)
        return tuple(
            Contribution(
                it.feature,
                it.bins[code].label,
                code == it.binning.missing,
                it.points[code],
                shap,
                in_log_odds(shap, self.card.scale),
            )
            for it, code, shap in zip(self.card.characteristics, bins, added, strict=True)
        )

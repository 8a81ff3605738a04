"""A decision in words, for the person whom it is about: how it came about, and what would have changed it.

The principles by which they were judged are told, and what would have changed the result (GDPR, Article 15, and C-203/22):
each factor in the words of the contract, what was said of it, whether it helped or hurt, and the nearest changes. No points,
bins or cut-offs: nobody can read them, and they tell whoever tries applications how near they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from obligor.core.bins import NumericBins
from obligor.core.errors import ApplicationError
from obligor.core.recourse import rescoring, round_value
from obligor.serving.gates.gate import REVIEW, told_outside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.core.counterfactuals import Change, Check, Counterfactual
    from obligor.core.explanation import Contribution
    from obligor.core.scorecard import Characteristic
    from obligor.serving.releases.release import Release

_NOTHING: Final = 0.0005
"""Points, of which a card knows thousandths."""
_BY_SCORE: Final[Mapping[str, str]] = {
    "score": "the score, against the cut-off that applied",
    "grey_zone": "a person, since the score was close to the cut-off that applied",
    "no_principal_reason": "a person, since the score did not reach the cut-off for any reason that could be told",
    "reason_without_text": "a person, since the score did not reach the cut-off for a reason that has no words",
}


def in_words(release: Release, record: Mapping[str, Any]) -> dict[str, Any]:
    """Explain a decision to whom it is about, by the release that made it.

    Raises
    ------
    InvalidInputError
        Where the card cannot explain, or the record does not fit it.
    """
    return _Words(release, record).explanation()


@dataclass(frozen=True, slots=True)
class _Words:
    release: Release
    record: Mapping[str, Any]

    def explanation(self) -> dict[str, Any]:
        release, record = self.release, self.record
        explaining = release.explaining(record["cutoff"] + release.policy.grey)
        because, approved = told_outside(record["because"], record["outcome"]), record["outcome"] == "approve"
        searched = because in _BY_SCORE and not approved
        told = explaining.explain(record["bins"], most_changes=2 if searched else 0, check=self._check())
        return {
            "decided_by": _decided_by(because),
            "factors": [self._factor(it) for it in sorted(told.contributions, key=lambda it: -abs(it.shap))],
            "changes": [self._way(it) for it in told.counterfactuals],
            "of_changes": _of_changes(searched=searched, found=bool(told.counterfactuals), approved=approved),
        }

    def _factor(self, it: Contribution) -> dict[str, Any]:
        effect = "neither" if abs(it.shap) < _NOTHING else "helped" if it.shap > 0 else "hurt"
        return self._named(it.feature) | {"effect": effect}

    def _named(self, feature: str) -> dict[str, Any]:
        """Name a characteristic as the contract does, and tell what was said of all that it is made of."""
        card, said = self.release.card, self.record["input"]
        described = (card.applications.columns.get(feature) or card.features[feature]).description
        aggregates = self.release.scorer.features.aggregates
        read = self.release.scorer.features.needed_for([feature])
        histories = {str(card.features[it].history) for it in read if it in aggregates}
        return {
            "factor": described or feature,
            "given": {it: said[it] for it in read if it in said}
            | {it: {"rows": len(said[it])} for it in sorted(histories)},
        }

    def _way(self, way: Counterfactual) -> dict[str, Any]:
        return {
            "together": [
                self._named(it.feature) | {"instead": self._direction(it) if it.value is None else it.value}
                for it in way.changes
            ],
            "decided_again": way.scored == "application",
        }

    def _direction(self, change: Change) -> str:
        it, now = self._placed(change)
        if not isinstance(it.binning, NumericBins) or now > len(it.cuts):
            return "another"
        return "higher" if change.to_code > now else "lower"

    def _placed(self, change: Change) -> tuple[Characteristic, int]:
        """Give the characteristic of a change, and the bin that the application is in."""
        both = zip(self.release.card.characteristics, self.record["bins"], strict=True)
        return next((it, code) for it, code in both if it.feature == change.feature)

    def _check(self) -> Check:
        """Give what finds values for a way and has the policy decide on them; gates are left aside, for they may not tell."""
        read = self.release.read(self.record["input"])
        card = self.release.explaining(self.record["cutoff"] + self.release.policy.grey).card
        scored = rescoring(replace(self.release.scorer, card=card), read.fields, read.histories)

        def check(way: Counterfactual) -> Counterfactual | None:
            found = scored(way)
            if found is None or found.scored == "bins":
                return found
            rounded = replace(
                found,
                changes=tuple(
                    replace(it, value=round_value(it, self._placed(it)[0].binning, read.fields[it.feature]))
                    for it in found.changes
                ),
            )
            return rounded if self._approved(rounded) else None

        return check

    def _approved(self, way: Counterfactual) -> bool:
        """Tell whether the application as it is changed is read, scored and approved."""
        try:
            read = self.release.read(self.record["input"] | {it.feature: it.value for it in way.changes})
        except ApplicationError:
            return False
        score = self.release.scorer.score(read.fields, histories=read.histories).score
        reading = self.release.policy_reader.read(read.fields, histories=read.histories)
        return not reading.fired and score - reading.cutoff >= reading.grey


def _decided_by(because: str) -> str:
    if because.startswith("knockout:"):
        return "a rule that stands beside the score"
    if because == REVIEW:
        return "a person, after a check that stands beside the score"
    return _BY_SCORE.get(because, "a check that stands beside the score")


def _of_changes(*, searched: bool, found: bool, approved: bool) -> str:
    if approved:
        return "none was looked for: it was approved"
    if not searched:
        return "none was looked for: it was not the score that decided"
    if not found:
        return "none of one or two factors that an applicant can change would have been enough"
    return (
        "the nearest ways in which the same card and policy would have approved, all else unchanged; where it was not decided "
        "again on other values, because a factor is computed from several, only the direction is told"
    )

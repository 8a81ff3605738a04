"""The policy: from a score to an outcome, as one value beside its card.

A policy names its card by hash and says from which score an application is approved: one cut-off for all, or one for each
segment and interval of the amount, with what chose it and what it did on validation. Its knock-outs decline or refer an
application whatever its score. Scores, cut-offs and the grey zone around them are whole thousandths of a point, so that an
outcome never hangs on rounding. A service that decides loads the policy beside the card, checks that they belong together,
and keeps both hashes with every decision.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from obligor.core.authority import Authority
from obligor.core.clauses import MOST_KNOCKOUTS, Economics, Knockout, Share
from obligor.core.columns import Column, Feature, History, barred_columns
from obligor.core.errors import PolicyError
from obligor.core.scorecard import CardBand, faults_of_bands
from obligor.core.strict_json import Artefact, StrictModel, read_model

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obligor.core.scorecard import Scorecard

_MOST_BYTES = 16 << 20
_MOST_GREY = 10**7
_MOST_THRESHOLDS = 5000
_LATER = ("knockouts", "histories", "authority")
"""What policies did not have at first."""

Outcome = Literal["approve", "refer", "decline"]


class Evidence(StrictModel):
    """What a cut-off did with the rows of validation that it is for."""

    rows: Annotated[int, Field(ge=0)]
    """How many."""
    bads: Annotated[int, Field(ge=0)]
    """Those that turned bad."""
    approval_rate: Share | None
    """The share, by weight, that it approves; none where there are no rows."""
    npl_rate: Share | None
    """The share of those approved that turned bad; none where nobody is approved."""
    profit: float
    """What those approved earned, in the contract's currency."""
    expected_profit: float
    """What they would earn by their PDs."""


class Threshold(StrictModel):
    """One cut-off, and the applications that it is for."""

    segment: str | None = None
    """The level of the segment; none: every other level, and where the level is not known."""
    amount_from: float | None = None
    """The lowest amount; none: there is no lower limit."""
    amount_to: float | None = None
    """The amount from which it no longer holds; none: there is no upper limit."""
    cutoff: int
    """The score from which an application is approved, in thousandths."""
    chosen_by: Literal["profit", "cost", "pd", "approval_rate", "break_even", "risk", "portfolio"]
    """What chose it: a rule of the contract; `risk`, the common cut-off moved to where these applications are as risky as
    others at it; `break_even`, moved only by the PD at which loans of this size earn nothing, or the score of that PD;
    `portfolio`, the common cut-off, as nothing tells these applications apart."""
    risk_shift: float = 0.0
    """By how much these applications are riskier than their PDs, in log-odds of bad, as far as it was believed."""
    evidence: Evidence
    """What it did on validation."""


class Policy(Artefact):
    """From which score applications are approved, referred or declined."""

    schema_: Literal["obligor/policy/1"] = Field(alias="schema", default="obligor/policy/1")
    """The version of this format."""
    name: str
    """What its card is called."""
    card_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The hash of the card that it belongs to."""
    currency: str = ""
    """The currency of amounts and profits."""
    economics: Economics
    """What a loan earns and costs, as the contract said."""
    bands: tuple[CardBand, ...]
    """Bands of risk, those of the card."""
    cutoff: Threshold
    """The common cut-off, that of the card."""
    segment: str | None = None
    """The column or feature whose levels have cut-offs of their own."""
    amount: str | None = None
    """The column with the amount, where its intervals have cut-offs of their own."""
    thresholds: Annotated[tuple[Threshold, ...], Field(max_length=_MOST_THRESHOLDS)] = ()
    """One for each segment and interval of the amount; none where the common cut-off holds for all."""
    grey: Annotated[int, Field(ge=0, le=_MOST_GREY)] = 0
    """Thousandths below and above a cut-off within which an application is referred to a person."""
    knockouts: Annotated[tuple[Knockout, ...], Field(max_length=MOST_KNOCKOUTS)] = ()
    """The rules that decline or refer an application whatever its score, in the order in which they are told."""
    authority: Authority | None = None
    """Who may override a decision, and how far; none: nobody does."""
    columns: dict[str, Column] = Field(default_factory=dict)
    """The columns that segment, amounts and knock-outs read, as the contract described them."""
    histories: dict[str, History] = Field(default_factory=dict)
    """The histories that features of knock-outs read."""
    features: dict[str, Feature] = Field(default_factory=dict)
    """The features that segment and knock-outs read."""
    caps: dict[str, tuple[float, float]] = Field(default_factory=dict)
    """The numbers to which values are capped before features read them, as on the card; the amount itself is not, nor is a
    column that a knock-out reads."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what there is none of: a policy from before there was any keeps its hash."""
        return {name: value for name, value in write(self).items() if value or name not in _LATER}

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for message in _faults(self):
            raise PolicyError(f"policy: {message}")
        return self


def parse_policy(data: bytes) -> Policy:
    """Read a policy from the bytes of its file.

    Raises
    ------
    PolicyError
        Where it is not JSON, says something twice, lacks something, or contradicts itself.
    """
    return read_model(data, Policy, what="policy", error=PolicyError, most=_MOST_BYTES)


def check_policy(policy: Policy, card: Scorecard) -> None:
    """Hold a policy against the card that it is to decide for.

    Raises
    ------
    PolicyError
        Where it belongs to another card, has other bands or another common cut-off, reads a column, a history or a feature
        otherwise than the card does, or has a cut-off that no score of the card can meet: wanted is one from the lowest
        score to just above the highest, at which nobody is approved.
    """
    if policy.card_sha256 != card.sha256:
        raise PolicyError(f"policy: belongs to the card {policy.card_sha256[:12]}, got the card {card.sha256[:12]}")
    if policy.bands != card.bands:
        raise PolicyError("policy: bands: wanted those of the card")
    if policy.cutoff.cutoff != card.cutoff.score:
        raise PolicyError(f"policy: the common cut-off is {policy.cutoff.cutoff}, that of the card {card.cutoff.score}")
    for what in _read_otherwise(policy, card):
        raise PolicyError(f"policy: {what}: is described otherwise than on the card; wanted the same of both")
    low, high = card.score_range
    for it in policy.thresholds:
        if not low <= it.cutoff <= high + 1:
            raise PolicyError(
                f"policy: {_name(it)}: the cut-off {it.cutoff} lies outside the scores of the card; "
                f"wanted {low} to {high + 1}"
            )


def _read_otherwise(policy: Policy, card: Scorecard) -> Iterator[str]:
    """Name what card and policy both read, and do not read alike; one application is read for both."""
    for name, column in policy.columns.items():
        if card.applications.columns.get(name, column) != column:
            yield f"columns.{name}"
    for name, feature in policy.features.items():
        if card.features.get(name, feature) != feature:
            yield f"features.{name}"
    for name, history in policy.histories.items():
        other = card.histories.get(name, history)
        if any(getattr(history, part) != getattr(other, part) for part in ("key", "event_at", "arrived_at", "tie")):
            yield f"histories.{name}"
        yield from (
            f"histories.{name}.columns.{key}"
            for key, column in history.columns.items()
            if other.columns.get(key, column) != column
        )


def threshold_for(policy: Policy, *, segment: str | None = None, amount: float | None = None) -> Threshold:
    """Find the one threshold of an application.

    A level that the policy does not know, or none, takes the thresholds of the other levels; a truth is the level `true` or
    `false`. Where thresholds differ by amount and the amount is not known, the highest cut-off of the segment decides:
    nobody is approved for want of a number.

    Raises
    ------
    PolicyError
        Where the amount is not a number.
    """
    if amount is not None and not math.isfinite(amount):
        raise PolicyError("policy: the amount is not a finite number")
    if not policy.thresholds:
        return policy.cutoff
    own = [it for it in policy.thresholds if it.segment == segment]
    own = own or [it for it in policy.thresholds if it.segment is None]
    if amount is None:
        return max(own, key=lambda it: it.cutoff)
    return next(it for it in own if _holds(it, amount))


def cutoff_for(policy: Policy, *, segment: str | None = None, amount: float | None = None) -> int:
    """Give the cut-off of an application, in thousandths."""
    return threshold_for(policy, segment=segment, amount=amount).cutoff


def outcome_for(policy: Policy, score: int, *, segment: str | None = None, amount: float | None = None) -> Outcome:
    """Decide on a score in thousandths: approve from the cut-off on, decline below, refer within the grey zone around it.

    Whatever else must hold before an application is approved (knock-outs, documents, sanctions) is not asked here: ``decision``
    puts it together.
    """
    margin = score - cutoff_for(policy, segment=segment, amount=amount)
    if -policy.grey <= margin < policy.grey:
        return "refer"
    return "approve" if margin >= 0 else "decline"


def amount_under_authority(policy: Policy, application: Mapping[str, object]) -> float | None:
    """Give the amount that limits of authority count; None where it is not known, or a code stands for it."""
    name = None if policy.authority is None else policy.authority.amount
    said = None if name is None else application.get(name)
    if name is None or isinstance(said, bool) or not isinstance(said, int | float) or not said > 0:
        return None
    column, amount = policy.columns[name], float(said)
    return None if amount in column.special or amount in column.missing_numbers else amount


def _holds(it: Threshold, amount: float) -> bool:
    above = it.amount_from is None or amount >= it.amount_from
    return above and (it.amount_to is None or amount < it.amount_to)


def _faults(policy: Policy) -> Iterator[str]:
    yield from faults_of_bands(policy.bands)
    common = policy.cutoff
    if (common.segment, common.amount_from, common.amount_to) != (None, None, None):
        yield "cutoff: the common cut-off holds for every segment and amount; wanted none of them"
    if policy.segment is not None and policy.segment not in {**policy.columns, **policy.features}:
        yield f"segment: there is no column or feature '{policy.segment}'"
    yield from _faults_of_amount("amount", policy.amount, policy)
    if policy.authority is not None:
        yield from _faults_of_amount("authority.amount", policy.authority.amount, policy)
        if policy.authority.amount is None and any(it.amount is not None for it in policy.authority.limits.values()):
            yield "authority: a limit has an amount; wanted authority.amount, the column that says it"
    yield from barred_columns(policy.columns)
    names = [it.name for it in policy.knockouts]
    yield from (f"knockouts: the rule '{name}' stands twice" for name in sorted(set(names)) if names.count(name) > 1)
    yield from _faults_of_thresholds(policy)


def _faults_of_amount(place: str, amount: str | None, policy: Policy) -> Iterator[str]:
    if amount is not None and amount not in policy.columns:
        yield f"{place}: there is no column '{amount}'"
    elif amount is not None and policy.columns[amount].type != "number":
        yield f"{place}: '{amount}' is a {policy.columns[amount].type}, wanted a number"


def _faults_of_thresholds(policy: Policy) -> Iterator[str]:
    if (policy.segment is None and policy.amount is None) != (not policy.thresholds):
        yield "thresholds: wanted one or more where there is a segment or an amount, and none without"
    levels = dict.fromkeys(it.segment for it in policy.thresholds)
    if policy.segment is None and set(levels) - {None}:
        yield "thresholds: name a segment, and the policy has none"
    if policy.thresholds and None not in levels:
        yield "thresholds leave a gap: none is for the levels that have no cut-off of their own"
    for level in levels:
        own = [it for it in policy.thresholds if it.segment == level]
        if policy.amount is None and any((it.amount_from, it.amount_to) != (None, None) for it in own):
            yield f"{_name(own[0])}: has a limit of the amount, and the policy has no amount"
        yield from _faults_of_intervals(own)


def _faults_of_intervals(own: list[Threshold]) -> Iterator[str]:
    """Tell of amounts that have no cut-off, or two."""
    ordered = sorted(own, key=lambda it: -math.inf if it.amount_from is None else it.amount_from)
    for it in ordered:
        if it.amount_from is not None and it.amount_to is not None and it.amount_from >= it.amount_to:
            yield f"{_name(it)}: amounts from {it.amount_from:g} to {it.amount_to:g}; wanted the lower first"
    if ordered[0].amount_from is not None:
        yield f"{_name(ordered[0])}: thresholds leave a gap: no cut-off for amounts below {ordered[0].amount_from:g}"
    if ordered[-1].amount_to is not None:
        yield f"{_name(ordered[-1])}: thresholds leave a gap: no cut-off for amounts from {ordered[-1].amount_to:g} on"
    for left, right in pairwise(ordered):
        end = math.inf if left.amount_to is None else left.amount_to
        start = -math.inf if right.amount_from is None else right.amount_from
        if end > start:
            yield f"{_name(left)}: thresholds overlap: amounts from {start:g} on have two cut-offs"
        if end < start:
            yield f"{_name(left)}: thresholds leave a gap: no cut-off for amounts from {end:g} to {start:g}"


def _name(it: Threshold) -> str:
    return "thresholds of the other levels" if it.segment is None else f"thresholds of '{it.segment}'"

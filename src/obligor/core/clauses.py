"""The clauses of a contract: the outcome, the split, the limits, how a card is made and used.

What the tape holds, and features of it, stand in ``columns``. Each clause is one value that refuses what contradicts itself;
what contradicts another is told by the contract. The attribute texts are the reference of the contract file.
"""

from __future__ import annotations

import difflib
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Share = Annotated[float, Field(ge=0, le=1)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def _as_texts(value: object) -> object:
    if isinstance(value, list | tuple):
        return tuple(f"{item:g}" if isinstance(item, int | float) else item for item in value)
    return value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_texts)]
"""Values as they stand in a tape; a number is read as its text."""


class Clause(BaseModel):
    """A part of a contract: closed, immutable, finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False)


class StatusOutcome(Clause):
    """Good and bad by the value of one column."""

    column: str
    """The column of role `outcome`."""
    good: Texts
    """Values of a good loan."""
    bad: Texts
    """Values of a bad loan."""
    indeterminate: Texts = ()
    """Values of a loan that is neither; excluded and counted."""
    immature: Texts = ()
    """Values of a loan that is still too young to tell; excluded and counted."""


class DaysPastDueOutcome(Clause):
    """Bad when an instalment stays unpaid for so many days within the outcome window."""

    history: str
    """The history of instalments."""
    due_on: str
    """Its column with the day an instalment fell due."""
    paid_on: str
    """Its column with the day it was paid; empty while unpaid."""
    bad_days: Annotated[int, Field(gt=0)] = 90
    """Days past due from which a loan is bad."""
    indeterminate_days: Annotated[int, Field(gt=0)] | None = None
    """Days past due from which a loan that is not bad is not good either; excluded and counted."""
    observed_at: date
    """The day up to which the repayments are known."""


class Outcome(Clause):
    """What 'bad' means, and over which time."""

    window_months: Annotated[int, Field(gt=0, le=600)]
    """The outcome window: months from `applied_at` over which the PD is stated."""
    status: StatusOutcome | None = None
    """By the value of a column."""
    days_past_due: DaysPastDueOutcome | None = None
    """By the repayments."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.status is None) == (self.days_past_due is None):
            raise ValueError("wanted exactly one of status and days_past_due")
        return self


class Exclusion(Clause):
    """Rows that are out of scope, with the reason."""

    when: str
    """A condition, in the language of features, over any column of applications."""
    reason: str
    """Why they are out of scope."""


class Rejects(Clause):
    """Applications that were declined: they have no outcome, and one may be inferred for them."""

    when: str
    """A condition, in the language of features, over any column of applications: where it holds, the application was
    declined, such as `decision = 'declined'`."""
    method: Literal["none", "fuzzy", "parcelling"] = "none"
    """What the card is fitted on: the accepted alone, or with the declined as part bad and part good, by the PD that a
    card of the accepted gives each (`fuzzy`) or by the bad rate of the accepted in its band of scores (`parcelling`)."""
    uplift: Annotated[float, Field(gt=0, le=100)] = 1.0
    """How many times an accepted applicant's odds of bad a declined one of the same score is assumed to have."""


class TimeSplit(Clause):
    """Train on the past, validate on what follows, test on the latest."""

    validation_from: date
    """The first day of the validation period."""
    test_from: date
    """The first day of the out-of-time test."""
    ignore_outcome_window: str = ""
    """A reason why loans whose outcome was not yet known at the seam may stay in the earlier period."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.validation_from >= self.test_from:
            raise ValueError("validation_from must lie before test_from")
        return self


class RandomSplit(Clause):
    """Shares drawn with a seed, alike in bad rate."""

    seed: int = 42
    """The seed."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The share for validation."""
    test: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """The share for the test."""

    @model_validator(mode="after")
    def _leave_some(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on")
        return self


class Split(Clause):
    """How loans are parted into train, validation and test."""

    time: TimeSplit | None = None
    """By `applied_at`."""
    random: RandomSplit | None = None
    """At random, for a tape without dates."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.time is None) == (self.random is None):
            raise ValueError("wanted exactly one of time and random")
        return self


class Limits(Clause):
    """Where a run stops rather than go on with bad data."""

    quarantined: Share = 0.02
    """The highest share of rows in quarantine."""
    unparsed: Share = 0.01
    """The highest share of a column's values that cannot be read as its type."""


class Expectation(Clause):
    """A check of Great Expectations beyond those that follow from the columns."""

    type: str
    """Its name, such as `expect_column_pair_values_a_to_be_greater_than_b`."""
    kwargs: dict[str, Any] = Field(default_factory=dict)
    """Its arguments, with the contract's column names."""
    because: str = ""
    """Why it must hold."""
    severity: Literal["critical", "warning"] = "critical"
    """`critical` sends failing rows to quarantine, or stops the run where no row is to blame; `warning` is reported."""


class Model(Clause):
    """How the card is made."""

    recipe: Literal["classical", "smooth"] = "classical"
    """Weights of evidence and one logistic regression; or one penalised logistic regression on smooth tables and pairs."""
    max_bins: Annotated[int, Field(ge=2, le=50)] | None = None
    """The most ordinary bins of a characteristic: 8, or 10 where the recipe is smooth; a classical card has fewer where
    train has fewer than 40 bads for each."""
    max_pairs: Annotated[int, Field(ge=0, le=50)] = 10
    """The most pairs of characteristics on a smooth card; a classical contract that sets it is refused."""
    min_share: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    """The smallest share of train rows in an ordinary bin. This key and those down to `max_p_value`, `penalty` and
    `sign_constrained` are of the classical recipe; a smooth contract that sets one is refused."""
    min_bads: Annotated[float, Field(gt=0)] = 10
    """The fewest bads of the train rows in an ordinary bin, and from which a missing value, a special code or an unseen level
    may earn more than the average."""
    min_information_value: Annotated[float, Field(ge=0)] = 0.005
    """The information value below which a feature is dropped."""
    max_correlation: Annotated[float, Field(gt=0, le=1)] = 0.9
    """The correlation of weights of evidence above which the weaker feature of two is dropped."""
    max_psi: Annotated[float, Field(gt=0)] = 1.0
    """The PSI of a feature's bins from train to validation above which it is dropped."""
    max_p_value: Annotated[float, Field(gt=0, le=1)] = 0.3
    """The p-value above which a characteristic is dropped, the least significant first."""
    max_characteristics: Annotated[int, Field(ge=1, le=200)] = 30
    """The most characteristics on the card."""
    keep: tuple[str, ...] = ()
    """Features that stay on the card whatever the statistics say."""
    proposals: Annotated[int, Field(ge=0, le=20)] = 0
    """How many ratios of two numbers the run may propose as features, each shown as an expression; a person who accepts one
    copies it into `features`."""
    segment: Name | None = None
    """A predictor whose bins may earn points of their own on the other characteristics: each that lowers the log loss on
    validation by more than chance. Each frequent level of a category has its own bin. A smooth card finds such pairs itself."""
    penalty: Literal["l2", "l1", "elastic_net"] = "l2"
    """The kind of penalty whose strength is chosen on validation."""
    sign_constrained: bool = True
    """Whether every coefficient stays above zero, so that no points run against the bad rates of their bins."""
    calibration: Literal["best", "none", "platt", "isotonic", "beta"] = "best"
    """How PDs are fitted to the outcomes of validation."""
    central_tendency: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The long-run mean PD to which the card is anchored."""
    seed: int = 42
    """The seed of every draw."""


ONLY_CLASSICAL = (
    "min_share", "min_bads", "min_information_value", "max_correlation", "max_psi", "max_p_value", "penalty", "segment",
    "sign_constrained",
)  # fmt: skip
ONLY_SMOOTH = ("max_pairs",)


class CardScale(Clause):
    """How log-odds become points."""

    pdo: Annotated[float, Field(gt=0)] = 20
    """Points that double the odds of good to bad."""
    score: float = 600
    """The score at which the odds are `odds`."""
    odds: Annotated[float, Field(gt=0)] = 50
    """Odds of good to bad at `score`."""


class RiskBand(Clause):
    """A band of risk."""

    name: Name
    """Its name."""
    pd_max: Annotated[float, Field(gt=0, le=1)]
    """The highest PD in it; the last band takes the rest."""


class Economics(Clause):
    """What a loan earns and what a default costs, for the cut-off."""

    lgd: Share = 0.6
    """The share of the exposure that a default loses."""
    margin: Annotated[float, Field(ge=0)] = 0.08
    """What a good loan earns over its life, as a share of its amount."""
    cost_missed_default: Annotated[float, Field(ge=0)] = 5.0
    """The cost of approving a bad loan, in units of `cost_declined_good`."""
    cost_declined_good: Annotated[float, Field(ge=0)] = 1.0
    """The cost of declining a good loan."""
    cost_per_loan: Annotated[float, Field(ge=0)] = 0.0
    """What making a loan costs whatever its amount, in the contract's currency: a small loan must then be safer to pay.
    Needs a column of role `exposure`."""

    @property
    def assumed(self) -> tuple[str, ...]:
        """The names of what nobody stated, so that it is what Obligor assumes; a stated figure may have the same value."""
        return tuple(name for name in type(self).model_fields if name not in self.model_fields_set)

    def with_assumed(self, names: Iterable[str]) -> Economics:
        """Give the same figures, of which these are assumed: a file of a contract holds those that nobody stated, too."""
        stated = set(type(self).model_fields).difference(names)
        return Economics.model_construct(_fields_set=stated, **self.model_dump())


class Cutoff(Clause):
    """The score from which an application is approved."""

    by: Literal["profit", "cost", "pd", "approval_rate", "break_even"] = "profit"
    """What chooses it on validation: the profit or the cost that came of it, a PD, an approval rate, or the PD at which a
    loan of the mean amount earns nothing."""
    value: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The highest PD, or the approval rate, where `by` asks for one."""
    incumbent_approval_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """The share of these applications that the incumbent would approve, at which both are compared; by default the share
    that the card approves at its cut-off."""
    segment: str | None = None
    """A text or bool column of applications, or such a feature of them, whose levels get cut-offs of their own."""
    amounts: tuple[Annotated[float, Field(gt=0)], ...] = ()
    """The amounts at which the intervals part that get cut-offs of their own, rising; below the first is one too. Needs a
    column of role `exposure`."""
    min_bads: Annotated[int, Field(ge=1)] = 10
    """The fewest bads, and goods, of validation from which a segment or interval tells its own risk; with fewer it takes that
    of the portfolio."""
    grey_points: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """An application whose score lies within so many points of its cut-off is referred to a person."""

    @model_validator(mode="after")
    def _amounts_rise(self) -> Self:
        if list(self.amounts) != sorted(set(self.amounts)):
            raise ValueError("amounts: wanted each above the one before it")
        return self

    @model_validator(mode="after")
    def _value_where_asked(self) -> Self:
        if (self.by in ("pd", "approval_rate")) != (self.value is not None):
            raise ValueError("value goes with by: pd or by: approval_rate, and only with them")
        return self


MOST_KNOCKOUTS = 200


class Knockout(Clause):
    """A rule that declines or refers an application, whatever its score."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,59}$")]
    """What it is called: lower-case letters, digits, dashes and underscores."""
    when: str
    """A condition, in the language of features, over the columns and features of one application: where it is true, the rule
    fires. Columns count as they are, uncapped; a special code counts as not known."""
    outcome: Literal["decline", "refer"]
    """What comes of an application for which it fires."""
    when_unknown: Literal["pass", "refer"] = "pass"
    """What comes of one for which the condition is not known, as a value is missing."""
    reason: str = ""
    """The text that an applicant reads where it declines them; such a rule needs one."""
    code: str = ""
    """The code of this reason; the name of the rule without one."""
    description: str = ""
    """Why the lender has it."""
    active: bool = True
    """Whether it is asked at all."""

    @model_validator(mode="after")
    def _decline_has_a_reason(self) -> Self:
        if self.outcome == "decline" and not self.reason.strip():
            raise ValueError("a rule that declines needs a reason, which the applicant reads")
        return self


class Fairness(Clause):
    """How groups of applicants are compared, and whether less discriminatory cards are sought."""

    test: bool = True
    """Whether groups are compared at all, which is a matter of the jurisdiction; `false` needs `because`."""
    because: str = ""
    """Why groups are not compared; the report says it."""
    fewest: Annotated[int, Field(ge=5)] = 30
    """The fewest applications of a group that is compared; of a smaller one no rate is told."""
    hard: Annotated[float, Field(gt=0, le=1)] = 0.80
    """The impact ratio below which a group is flagged: four fifths."""
    review: Annotated[float, Field(gt=0, le=1)] = 0.90
    """The impact ratio below which a group is to be reviewed."""
    proxy_auc: Annotated[float, Field(gt=0.5, le=1)] = 0.70
    """The share of pairs told apart (one of a group, one of the others) from which a characteristic counts as a proxy."""
    alternatives: bool = False
    """Whether the run searches for cards that treat groups more alike."""
    gini_cost: Share = 0.01
    """The Gini on validation that an alternative may cost to be put forward."""

    @model_validator(mode="after")
    def _asks_one_thing(self) -> Self:
        if not self.test and not self.because:
            raise ValueError("test: false needs because: why groups are not compared")
        if self.test and self.because:
            raise ValueError("because says why groups are not compared; it goes with test: false")
        if not self.test and self.alternatives:
            raise ValueError("alternatives are judged by comparing groups, which test: false forbids")
        if self.hard > self.review:
            raise ValueError(f"hard {self.hard:g} is above review {self.review:g}")
        return self


class Challengers(Clause):
    """Models that are fitted beside the card, on the same rows and predictors, to tell what its readability costs.

    They need the extra `challenge`. They never decide.
    """

    models: tuple[Literal["boosted", "additive"], ...] = ()
    """Which: `boosted` trees, or an `additive` model of tables of one and of two predictors. None by default."""
    trials: Annotated[int, Field(ge=1, le=500)] = 20
    """How many settings the search of each tries."""
    max_pairs: Annotated[int, Field(ge=0, le=200)] = 20
    """The most pairs of the additive model."""

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len(set(self.models)) < len(self.models):
            raise ValueError("models: wanted each at most once")
        return self


def close_to(name: str, known: Mapping[str, object] | list[str]) -> str:
    """Suggest the known name that a misspelt one is nearest to, as the end of a message; empty where none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""

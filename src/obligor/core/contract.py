"""The contract: all that a lender says about one portfolio, as one value.

It names the tables and, for every column, what it is, what it may hold and what it may be used for; how a loan turns
out good or bad; the features; the split; the limits; how the card is made, scaled and judged. Everything else in
Obligor follows from it. Its parts stand in ``clauses``; here they are put together, and held against each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, ValidationError, model_serializer, model_validator

from obligor.core.authority import Authority
from obligor.core.canonical import canonical_json, sha256
from obligor.core.clauses import (
    MOST_KNOCKOUTS,
    ONLY_CLASSICAL,
    ONLY_SMOOTH,
    CardScale,
    Challengers,
    Clause,
    Cutoff,
    DaysPastDueOutcome,
    Economics,
    Exclusion,
    Expectation,
    Fairness,
    Knockout,
    Limits,
    Model,
    Name,
    Outcome,
    RandomSplit,
    Rejects,
    RiskBand,
    Split,
    StatusOutcome,
    TimeSplit,
    close_to,
)
from obligor.core.columns import Column, Feature, History, Role, Table
from obligor.core.errors import ContractError, Problem
from obligor.core.faults import problem_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_BANDS = (RiskBand(name="low", pd_max=0.05), RiskBand(name="medium", pd_max=0.15), RiskBand(name="high", pd_max=1.0))


class Contract(Clause):
    """A lender's contract for one portfolio."""

    schema_: Literal["obligor/contract/1"] = Field(alias="schema")
    """The version of this format."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,79}$")]
    """A short name: lower-case letters, digits, dots and dashes."""
    title: str = ""
    """What a person calls the portfolio."""
    description: str = ""
    """What the portfolio is, who may use the card and for what."""
    source: str = ""
    """Where the data come from and under which terms."""
    currency: str = ""
    """The currency of its amounts."""
    applications: Table
    """The table with one row for each application."""
    histories: dict[Name, History] = Field(default_factory=dict)
    """Tables with many rows for one applicant."""
    outcome: Outcome
    """What 'bad' means."""
    exclude: tuple[Exclusion, ...] = ()
    """Rows that are out of scope."""
    rejects: Rejects | None = None
    """Which applications were declined, and what is assumed of them; without it, nothing is known of any."""
    features: dict[Name, Feature] = Field(default_factory=dict)
    """Features beyond the columns themselves."""
    split: Split
    """Train, validation and test."""
    expectations: tuple[Expectation, ...] = ()
    """Checks beyond those that follow from the columns."""
    limits: Limits = Limits()
    """Where a run stops."""
    model: Model = Model()
    """How the card is made."""
    scale: CardScale = CardScale()
    """How log-odds become points."""
    bands: tuple[RiskBand, ...] = _BANDS
    """Bands of risk, from the lowest PD up; the last takes the rest."""
    economics: Economics = Economics()
    """What a loan earns and what a default costs."""
    cutoff: Cutoff = Cutoff()
    """How the cut-off is chosen."""
    knockouts: Annotated[tuple[Knockout, ...], Field(max_length=MOST_KNOCKOUTS)] = ()
    """Rules that decline or refer an application whatever its score, in the order in which they are told. They are compared
    between groups as the cut-off is."""
    authority: Authority | None = None
    """Who may override a decision, and how far; without it nobody does."""
    fairness: Fairness = Fairness()
    """How groups are compared."""
    challengers: Challengers = Challengers()
    """Models that are fitted beside the card, to tell what its readability costs."""

    @model_serializer(mode="wrap")
    def _without_nothing(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out an authority where there is none: a contract from before there was any keeps its hash."""
        return {name: value for name, value in write(self).items() if value is not None or name != "authority"}

    @model_validator(mode="after")
    def _bands_rise(self) -> Self:
        limits = [band.pd_max for band in self.bands]
        if not limits or limits != sorted(set(limits)) or limits[-1] != 1:
            raise ValueError("bands: wanted pd_max that rises from band to band and ends at 1")
        return self

    @property
    def sha256(self) -> str:
        """The hash of all that the contract says."""
        return sha256(canonical_json(self.model_dump(mode="json", by_alias=True)))

    @property
    def columns(self) -> dict[str, Column]:
        """The columns of the applications."""
        return self.applications.columns

    def with_role(self, role: Role) -> tuple[str, ...]:
        """Name the columns of applications that have a role."""
        return tuple(name for name, column in self.columns.items() if role in column.role)

    def only(self, role: Role) -> str | None:
        """Name the one column that has a role, where there is one."""
        return next(iter(self.with_role(role)), None)

    @property
    def predictors(self) -> tuple[str, ...]:
        """The columns and features that are offered to the card, in the contract's order."""
        made = (name for name, feature in self.features.items() if feature.role == "predictor")
        return (*self.with_role(Role.PREDICTOR), *made)

    def may_feed_features(self, name: str) -> bool:
        """Whether a column of applications may be read by a feature's expression."""
        return self.columns[name].may_feed_features


def parse_contract(data: object) -> Contract:
    """Read a contract from plain data.

    Raises
    ------
    ContractError
        With ``problems``, all of them, each with the path to its place.
    """
    try:
        contract = Contract.model_validate(data)
    except ValidationError as error:
        raise contract_error([_problem(detail) for detail in error.errors()]) from None
    problems = list(_contradictions(contract))
    if problems:
        raise contract_error(problems)
    return contract


def contract_error(problems: list[Problem]) -> ContractError:
    """Make one error of several problems."""
    lines = (f"{_place(problem.path)}: {problem.message}" for problem in problems)
    return ContractError("\n".join(lines), problems=tuple(problems))


def _place(path: Path) -> str:
    return ".".join(str(part) for part in path) or "contract"


def _problem(detail: ErrorDetails) -> Problem:
    found = problem_of(detail)
    if detail["type"] != "extra_forbidden":
        return found
    *within, key = detail["loc"]
    return Problem((*within, key), f"unknown key '{key}'{close_to(str(key), _fields_at(tuple(within)))}")


def _fields_at(path: Path) -> list[str]:
    """List the keys that a contract may have at a place, so that a misspelt one can be recognised."""
    models: dict[str, type[Clause]] = {
        "columns": Column, "features": Feature, "histories": History, "applications": Table, "outcome": Outcome,
        "status": StatusOutcome, "days_past_due": DaysPastDueOutcome, "split": Split, "time": TimeSplit,
        "random": RandomSplit, "limits": Limits, "model": Model, "scale": CardScale, "economics": Economics,
        "cutoff": Cutoff, "exclude": Exclusion, "rejects": Rejects, "expectations": Expectation, "bands": RiskBand,
        "fairness": Fairness, "knockouts": Knockout, "authority": Authority,
        "challengers": Challengers,
    }  # fmt: skip
    model = next((models[str(part)] for part in reversed(path) if str(part) in models), Contract)
    return [field.alias or name for name, field in model.model_fields.items()]


def _contradictions(contract: Contract) -> Iterator[Problem]:
    yield from _role_problems(contract)
    yield from _outcome_problems(contract)
    yield from _name_problems(contract)
    yield from _recipe_problems(contract)
    yield from _cutoff_problems(contract)
    yield from _knockout_problems(contract)
    yield from _authority_problems(contract)
    yield from _rejects_problems(contract)
    if not contract.predictors:
        yield Problem(("applications", "columns"), "no column has the role predictor, and no feature is one")
    if contract.fairness.alternatives and not contract.with_role(Role.PROTECTED):
        yield Problem(("fairness", "alternatives"), "no column has the role protected, so that no groups are compared")
    if contract.split.time and contract.only(Role.APPLIED_AT) is None:
        yield Problem(("split", "time"), "a split by time needs a column of role applied_at")


def _role_problems(contract: Contract) -> Iterator[Problem]:
    for role in (Role.APPLIED_AT, Role.EXPOSURE, Role.WEIGHT, Role.OUTCOME):
        names = contract.with_role(role)
        if len(names) > 1:
            yield Problem(
                ("applications", "columns", names[1]), f"is the second column of role {role}, after '{names[0]}'"
            )
    wanted = {Role.APPLIED_AT: "date", Role.EXPOSURE: "number", Role.WEIGHT: "number", Role.OUTCOME_DATE: "date"}
    for role, type_ in wanted.items():
        for name in contract.with_role(role):
            got = contract.columns[name].type
            if got != type_:
                yield Problem(
                    ("applications", "columns", name, "type"), f"a column of role {role} is a {type_}, not a {got}"
                )
    applied_at = contract.only(Role.APPLIED_AT)
    if applied_at and not contract.columns[applied_at].required:
        yield Problem(("applications", "columns", applied_at), "the column of role applied_at must be required: true")


def _outcome_problems(contract: Contract) -> Iterator[Problem]:
    status, dpd = contract.outcome.status, contract.outcome.days_past_due
    if status:
        column = contract.columns.get(status.column)
        path = ("outcome", "status", "column")
        if column is None:
            yield Problem(path, f"there is no column '{status.column}'{close_to(status.column, contract.columns)}")
        elif Role.OUTCOME not in column.role:
            yield Problem(path, f"the column '{status.column}' must have the role outcome")
        values = (*status.good, *status.bad, *status.indeterminate, *status.immature)
        for value in sorted({value for value in values if values.count(value) > 1}):
            yield Problem(("outcome", "status"), f"the value '{value}' stands under more than one outcome")
    if dpd:
        history = contract.histories.get(dpd.history)
        if history is None:
            yield Problem(("outcome", "days_past_due", "history"), f"there is no history '{dpd.history}'")
            return
        for key in ("due_on", "paid_on"):
            name = getattr(dpd, key)
            if name not in history.columns or history.columns[name].type != "date":
                yield Problem(("outcome", "days_past_due", key), f"'{name}' is not a date column of '{dpd.history}'")
        if contract.only(Role.APPLIED_AT) is None:
            yield Problem(("outcome", "days_past_due"), "an outcome window needs a column of role applied_at")


def _recipe_problems(contract: Contract) -> Iterator[Problem]:
    """Name the keys that the recipe would silently ignore."""
    said = contract.model
    for name in ONLY_CLASSICAL if said.recipe == "smooth" else ONLY_SMOOTH:
        if getattr(said, name) != Model.model_fields[name].default:
            yield Problem(("model", name), f"has no meaning where the recipe is {said.recipe}; leave it out")


def _cutoff_problems(contract: Contract) -> Iterator[Problem]:
    """Name what thresholds need and the tape does not have, and segments that may not decide."""
    segment = contract.cutoff.segment
    amounts = [("economics", "cost_per_loan")] if contract.economics.cost_per_loan else []
    amounts += [("cutoff", "amounts")] if contract.cutoff.amounts else []
    if contract.only(Role.EXPOSURE) is None:
        for path in amounts:
            yield Problem(path, "needs a column of role exposure, which says the amount of a loan")
    if segment is None:
        return
    path = ("cutoff", "segment")
    if segment in contract.columns and not contract.may_feed_features(segment):
        yield Problem(
            path,
            f"the column '{segment}' may not move a cut-off: its role is {', '.join(contract.columns[segment].role)}",
        )
    elif segment not in contract.columns and segment not in contract.features:
        known = [*contract.columns, *contract.features]
        yield Problem(path, f"there is no column or feature '{segment}'{close_to(segment, known)}")


def _knockout_problems(contract: Contract) -> Iterator[Problem]:
    """Refuse two rules of one name, by which a decision tells them."""
    names = [it.name for it in contract.knockouts]
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(("knockouts", index, "name"), f"is the second rule called '{name}'")


def _authority_problems(contract: Contract) -> Iterator[Problem]:
    """Name what limits by amount need and the tape does not have."""
    if contract.authority is None:
        return
    amount, path = contract.authority.amount, ("authority", "amount")
    if amount is None:
        if any(it.amount is not None for it in contract.authority.limits.values()):
            yield Problem(path, "is absent, and a limit has an amount; wanted the column that says it")
    elif amount not in contract.columns:
        yield Problem(path, f"there is no column '{amount}'{close_to(amount, list(contract.columns))}")
    elif contract.columns[amount].type != "number":
        yield Problem(path, f"'{amount}' is a {contract.columns[amount].type}, wanted a number")
    elif not contract.may_feed_features(amount):
        yield Problem(
            path, f"the column '{amount}' may limit nobody: its role is {', '.join(contract.columns[amount].role)}"
        )


def _rejects_problems(contract: Contract) -> Iterator[Problem]:
    """Refuse an uplift that no card would be fitted with."""
    said = contract.rejects
    if said and said.method == "none" and said.uplift != 1:
        yield Problem(("rejects", "uplift"), "has no meaning where the method is none; leave it out")
    if said and said.method != "none" and contract.fairness.alternatives:
        yield Problem(
            ("fairness", "alternatives"),
            "are fitted on accepted loans alone: leave them out, or set rejects.method to none",
        )


def _name_problems(contract: Contract) -> Iterator[Problem]:
    for name, history in contract.histories.items():
        if history.key[1] not in contract.columns:
            yield Problem(("histories", name, "key"), f"there is no column '{history.key[1]}' in applications")
    for name, feature in contract.features.items():
        if name in contract.columns:
            yield Problem(("features", name), "has the name of a column")
        if feature.history is not None and feature.history not in contract.histories:
            close = close_to(feature.history, contract.histories)
            yield Problem(("features", name, "history"), f"there is no history '{feature.history}'{close}")
        if feature.history is not None and contract.only(Role.APPLIED_AT) is None:
            yield Problem(("features", name), "a feature over a history needs a column of role applied_at")
    segment = contract.model.segment
    if segment is not None and segment not in contract.predictors:
        close = close_to(segment, list(contract.predictors))
        yield Problem(("model", "segment"), f"there is no predictor '{segment}'{close}")
    for index, name in enumerate(contract.model.keep):
        if name not in contract.predictors:
            yield Problem(
                ("model", "keep", index), f"there is no predictor '{name}'{close_to(name, list(contract.predictors))}"
            )

"""What a tape holds, and what is made of it: columns, tables, histories, and features over them; clauses of a contract.

As with every clause, the attribute texts are the reference of the contract file.
"""

from __future__ import annotations

import math
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from obligor.core.clauses import Clause, Name, Share, Texts, close_to
from obligor.core.trend import Trend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Role(StrEnum):
    """What a column may be used for."""

    IDENTIFIER = "identifier"
    APPLIED_AT = "applied_at"
    PREDICTOR = "predictor"
    INPUT = "input"
    OUTCOME = "outcome"
    OUTCOME_DATE = "outcome_date"
    EXPOSURE = "exposure"
    WEIGHT = "weight"
    PROTECTED = "protected"
    LEAKAGE = "leakage"
    INCUMBENT_SCORE = "incumbent_score"


_NEVER_PREDICTORS = (Role.LEAKAGE, Role.INCUMBENT_SCORE, Role.OUTCOME, Role.OUTCOME_DATE, Role.IDENTIFIER, Role.WEIGHT)
_NEVER_INPUTS = (Role.LEAKAGE, Role.INCUMBENT_SCORE, Role.OUTCOME, Role.OUTCOME_DATE, Role.WEIGHT)


DecimalMark = Literal[".", ","]
ThousandsMark = Literal[".", ",", " ", "'"]


def _as_tuple(value: object) -> object:
    return value if isinstance(value, list | tuple) else (value,)


def _number(code: object) -> object:
    try:
        return float(code)  # type: ignore[arg-type]  # what float() cannot read stays, and is refused by name
    except (TypeError, ValueError):
        return code


class Column(Clause):
    """One column of a table."""

    type: Literal["number", "text", "date", "bool"]
    """What its values are."""
    role: Annotated[tuple[Role, ...], BeforeValidator(_as_tuple)] = (Role.INPUT,)
    """What it may be used for: one role or a list. `input` is read for expressions only. `leakage` and
    `incumbent_score` can never be predictors; `[protected, predictor]` needs `predictor_because`."""
    description: str = ""
    """What it means, for the data dictionary."""
    unit: str = ""
    """The unit of its numbers, such as USD or months."""
    privacy: Literal["none", "quasi", "direct", "card"] = "none"
    """How personal it is; anything but `none` never leaves in logs, findings or reports."""
    required: bool = False
    """A row without a value goes to quarantine."""
    unique: bool = False
    """A second row with the same value is a duplicate."""
    min: float | date | None = None
    """The lowest value that can be true; a row below goes to quarantine. An application below is decided on, and says so."""
    max: float | date | None = None
    """The highest value that can be true; a row above goes to quarantine. An application above is decided on, and says so."""
    beyond: Literal["flag", "refuse"] = "flag"
    """What comes of an application with a value below `min` or above `max`. `refuse` decides nothing, and names the field and
    the limit; in a tape such a value then counts as one that cannot be read. A code is never beyond."""
    levels: tuple[str, ...] | None = None
    """The only categories that can be true; a row with another goes to quarantine. An application with another is decided on,
    and says so."""
    missing: Texts = ()
    """Values that mean 'not known', beside the empty cell."""
    special: dict[float | str, str] = Field(default_factory=dict)
    """Codes that are not values, each with its meaning. Each gets a bin of its own and is never counted as a number."""
    extract: str | None = None
    """A regular expression (RE2) with one group: the part of the raw text that is the value."""
    scale: float = 1.0
    """A factor on the parsed number, such as 0.01 for a percentage."""
    format: str | None = None
    """The format of dates, such as `%b-%Y`. Without it a date is YYYY-MM-DD, with or without a time of day."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """How the letters A to Z of a category are normalised. Blanks around it are always removed."""
    map: dict[str, str] = Field(default_factory=dict)
    """Categories to rename after normalising, such as spellings of the same thing."""
    cap: tuple[Share, Share] | None = None
    """Quantiles of the train rows beyond which a number is set back to that quantile."""
    trend: Trend = Trend.AUTO
    """How the bad rate may run as the value rises."""
    reason: str = ""
    """The text that an applicant reads when this characteristic speaks against them."""
    reason_missing: str = ""
    """The same where the value is missing; what `reason` says of a value is never said of its absence."""
    reason_family: str = ""
    """Characteristics of one family count together as one reason."""
    changeable: bool = False
    """Whether an applicant could change it, so that a counterfactual may name it."""
    predictor_because: str = ""
    """Why a protected column may be a predictor."""
    groups: tuple[float, ...] = ()
    """The values at which the groups of a protected number part, for the comparison of groups; by default its quartiles. Of a
    date it is the age in whole years at `applied_at`, or its year where there is no such column."""

    @model_validator(mode="before")
    @classmethod
    def _codes_are_numbers(cls, data: Any) -> Any:
        """Read the codes of a number column as numbers; JSON can only hold them as texts."""
        if isinstance(data, dict) and data.get("type") == "number" and isinstance(data.get("special"), dict):
            return data | {"special": {_number(code): meaning for code, meaning in data["special"].items()}}
        return data

    @model_validator(mode="after")
    def _roles_agree(self) -> Self:
        if Role.PREDICTOR in self.role:
            barred = [role for role in self.role if role in _NEVER_PREDICTORS]
            if barred:
                raise ValueError(f"a column of role '{barred[0]}' can never be a predictor")
            if self.type == "date":
                raise ValueError("a date cannot be a predictor; make a feature of it, such as full_months(a, b)")
            if Role.PROTECTED in self.role and not self.predictor_because:
                raise ValueError("a protected column may be a predictor only with a reason: set predictor_because")
        return self

    @model_validator(mode="after")
    def _limits_agree(self) -> Self:
        if self.min is not None and self.max is not None:
            if isinstance(self.min, float) != isinstance(self.max, float):
                raise ValueError("min and max must both be numbers or both be dates")
            if self.min > self.max:  # type: ignore[operator]  # the line above made them of one type
                raise ValueError(f"min {self.min} is above max {self.max}")
        for limit in (self.min, self.max):
            if limit is not None and not isinstance(limit, {"number": float, "date": date}.get(self.type, ())):
                raise ValueError(f"a limit of {limit} does not fit a column of type {self.type}")
        if self.beyond == "refuse" and self.min is None and self.max is None:
            raise ValueError("beyond: refuse needs min or max, beyond which a value is refused")
        if self.cap and (self.type != "number" or self.cap[0] >= self.cap[1]):
            raise ValueError("cap is for numbers, with the lower quantile first")
        wanted = float if self.type == "number" else str
        if any(not isinstance(code, wanted) for code in self.special):
            raise ValueError(
                f"special codes of a {self.type} column must be {'numbers' if wanted is float else 'texts'}"
            )
        return self

    @model_validator(mode="after")
    def _groups_part_values(self) -> Self:
        if self.groups and (self.type not in ("number", "date") or Role.PROTECTED not in self.role):
            raise ValueError("groups are for a protected column of type number or date")
        if list(self.groups) != sorted(set(self.groups)):
            raise ValueError("groups: wanted values that rise")
        return self

    @model_serializer(mode="wrap")
    def _without_flag(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out what is only flagged, so that a contract, a card or a policy from before keeps its bytes and its hash."""
        return {name: value for name, value in write(self).items() if name != "beyond" or value != "flag"}

    @property
    def refuses(self) -> bool:
        """Whether a value beyond its limits is refused."""
        return self.beyond == "refuse"

    @property
    def may_feed_features(self) -> bool:
        """Whether the expression of a feature may read it: a protected column only where it may be a predictor."""
        protected = Role.PROTECTED in self.role and Role.PREDICTOR not in self.role
        return not protected and not any(role in _NEVER_INPUTS for role in self.role)

    @property
    def missing_numbers(self) -> tuple[float, ...]:
        """The missing codes that are numbers."""
        found = (_number(code) for code in self.missing)
        return tuple(code for code in found if isinstance(code, float) and math.isfinite(code))


class Table(Clause):
    """Where a table lies and how its file is written."""

    file: str | None = None
    """Its file name or pattern in the tape's folder, or its name in a database; without it, the tape itself."""
    delimiter: str | None = None
    """The delimiter of a text file; guessed without it."""
    encoding: str | None = None
    """The encoding of a text file: `utf-8`, `latin-1`, `iso-8859-2`, `iso-8859-15`, `windows-1250` or `windows-1252`. Without
    it UTF-8, where the file is; else Windows-1252, where it holds what Latin-1 has no letter for; else Latin-1."""
    header: tuple[str, ...] | None = None
    """The column names, for a text file whose first line is already a row."""
    decimal: DecimalMark = "."
    """The mark before the fraction in the numbers of a text file. Beside a decimal comma a minus may stand behind: `12,50-`."""
    thousands: ThousandsMark | None = None
    """The mark between groups of three digits in the numbers of a text file; a number that holds one cannot be read without
    it. A blank is also one that does not break, an apostrophe also a curled one."""
    columns: dict[Name, Column]
    """Its columns. Only columns named here are ever read."""

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}; wanted two marks that differ")
        return self

    @model_serializer(mode="wrap")
    def _without_plain_marks(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Leave out marks that are not set, so that a contract or a card without them keeps its bytes and its hash."""
        plain = {"decimal": ".", "thousands": None}
        return {name: value for name, value in write(self).items() if name not in plain or value != plain[name]}


class History(Table):
    """A table with many rows for one applicant, such as repayments or bureau records."""

    key: tuple[str, str]
    """The column of this table, then the column of applications, that hold the same key."""
    event_at: str
    """The column with the day on which the row's event happened."""
    arrived_at: str | None = None
    """The column with the day on which the lender came to know of it; without it, the day of the event."""
    tie: str | None = None
    """A column that orders rows of the same event and arrival day."""

    @property
    def known_at(self) -> str:
        """The column with the day on which the lender came to know of a row."""
        return self.arrived_at or self.event_at

    @model_validator(mode="after")
    def _named_columns_exist(self) -> Self:
        for name in (self.key[0], self.event_at, self.arrived_at, self.tie):
            if name is not None and name not in self.columns:
                raise ValueError(
                    f"names the column '{name}', which is not among its columns{close_to(name, self.columns)}"
                )
        for name in (self.event_at, self.arrived_at):
            if name is not None and self.columns[name].type != "date":
                raise ValueError(f"'{name}' says when: wanted a column of type date, got {self.columns[name].type}")
        return self


class Feature(Clause):
    """A feature: an expression over one application, or an aggregate over its history before it applied."""

    expression: str | None = None
    """SQL over the columns (see the reference of expressions); for an aggregate, over the history's columns."""
    history: str | None = None
    """The history that is aggregated; only rows known strictly before `applied_at` count."""
    aggregate: Literal["count", "sum", "mean", "min", "max", "latest"] | None = None
    """How the rows of the history become one value."""
    where: str | None = None
    """A condition on the rows of the history."""
    window_days: Annotated[int, Field(gt=0)] | None = None
    """How many days back from `applied_at` the rows of the history reach."""
    role: Literal["predictor", "input"] = "predictor"
    """Whether it is offered to the card, or only used by other features."""
    description: str = ""
    """What it means, for the data dictionary."""
    unit: str = ""
    """The unit of its numbers."""
    trend: Trend = Trend.AUTO
    """How the bad rate may run as the value rises."""
    reason: str = ""
    """The text that an applicant reads when this characteristic speaks against them."""
    reason_missing: str = ""
    """The same where the value is missing; what `reason` says of a value is never said of its absence."""
    reason_family: str = ""
    """Characteristics of one family count together as one reason."""
    changeable: bool = False
    """Whether an applicant could change it, so that a counterfactual may name it."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.history is None:
            if self.expression is None:
                raise ValueError("a feature needs an expression")
            if self.aggregate or self.where or self.window_days:
                raise ValueError("aggregate, where and window_days belong to a feature with a history")
        else:
            if self.aggregate is None:
                raise ValueError("a feature over a history needs an aggregate")
            if (self.aggregate == "count") != (self.expression is None):
                raise ValueError("count takes no expression (use where); every other aggregate needs one")
        return self


def barred_columns(columns: Mapping[str, Column]) -> Iterator[str]:
    """Tell of columns that nothing that decides may read: protected ones without a reason, leaks, outcomes."""
    for name, column in columns.items():
        if not column.may_feed_features:
            yield f"the column '{name}' may not decide: its role is {', '.join(column.role)}"

"""The suite of expectations that follows from a contract, as values that can be read and stored.

Every column of the applications gives its own: required, between its limits, among its levels, unique. What the
contract expects beyond that comes after. An expectation sees a special code as no value, since it is none, except where
the question is whether a value is there at all.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Any

from obligor.core.contract import contract_error
from obligor.core.errors import ExpressionError, Problem
from obligor.core.expressions import Expression, parse_expression
from obligor.core.findings import FindingCode, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.core.clauses import Expectation
    from obligor.core.columns import Column
    from obligor.core.contract import Contract

_BETWEEN = "expect_column_values_to_be_between"
_ABOUT_PRESENCE = (
    "expect_column_values_to_be_null",
    "expect_column_values_to_not_be_null",
    "expect_column_proportion_of_non_null_values_to_be_between",
)


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation, and the part of the tape that it is held against.

    Parameters
    ----------
    columns : tuple of str
        The columns that it reads; empty where it is about the table.
    with_specials : bool
        Whether a special code counts as a value.
    among_copies : bool
        Whether rows that repeat an earlier row are looked at too.
    where : Expression or None
        The rows that it is about, in the language of features.
    """

    code: FindingCode
    type: str
    kwargs: dict[str, Any]  # as Great Expectations takes them
    columns: tuple[str, ...]
    severity: Severity = "critical"
    because: str = ""
    with_specials: bool = False
    among_copies: bool = True
    where: Expression | None = None

    @property
    def column(self) -> str | None:
        """The column, where it is about one."""
        return self.columns[0] if len(self.columns) == 1 else None


def suite_of(contract: Contract) -> tuple[Check, ...]:
    """Give every expectation that a contract makes of its applications.

    Raises
    ------
    ContractError
        Where an expectation names a column that is not there.
    """
    own = [check for name, column in contract.columns.items() for check in _of_column(name, column)]
    added: list[Check] = []
    problems: list[Problem] = []
    for index, expectation in enumerate(contract.expectations):
        found = _of_expectation(expectation, contract)
        if isinstance(found, str):
            problems.append(Problem(("expectations", index), f"{expectation.type}: {found}"))
        else:
            added.append(found)
    if problems:
        raise contract_error(problems)
    return (*own, *added)


def suite_to_plain(name: str, checks: tuple[Check, ...]) -> dict[str, Any]:
    """Write a suite as Great Expectations does, in plain data."""
    return {
        "name": name,
        "expectations": [
            {
                "type": check.type,
                "kwargs": {key: _plain(value) for key, value in check.kwargs.items()},
                "severity": check.severity,
                "meta": _meta(check),
            }
            for check in checks
        ],
    }


def _meta(check: Check) -> dict[str, str]:
    told = {"code": str(check.code), "because": check.because, "where": check.where.source if check.where else ""}
    return {key: text for key, text in told.items() if text}


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.date().isoformat()
    return list(value) if isinstance(value, tuple) else value


def _of_column(name: str, column: Column) -> Iterator[Check]:
    about = {"column": name}
    if column.required:
        yield Check(
            FindingCode.MISSING_REQUIRED,
            "expect_column_values_to_not_be_null",
            about,
            (name,),
            with_specials=True,
        )
    if column.min is not None:
        yield Check(FindingCode.BELOW_MIN, _BETWEEN, about | {"min_value": _limit(column.min)}, (name,))
    if column.max is not None:
        yield Check(FindingCode.ABOVE_MAX, _BETWEEN, about | {"max_value": _limit(column.max)}, (name,))
    if column.levels is not None:
        levels = {"value_set": _levels(column)}
        yield Check(FindingCode.UNKNOWN_LEVEL, "expect_column_values_to_be_in_set", about | levels, (name,))
    if column.unique:
        yield Check(
            FindingCode.DUPLICATE_KEY,
            "expect_column_values_to_be_unique",
            about,
            (name,),
            among_copies=False,
        )


def _levels(column: Column) -> list[Any]:
    """Give the levels as values of the column's type; one that is none of them can never be met."""
    levels = column.levels or ()
    if column.type == "number":
        return [number for level in levels if (number := _number(level)) is not None]
    return list(levels)


def _number(level: str) -> float | None:
    try:
        return float(level)
    except ValueError:
        return None


def _limit(value: object) -> object:
    """Give a day as the instant with which the engine's days can be compared."""
    return datetime.combine(value, time.min) if isinstance(value, date) else value


def _of_expectation(expectation: Expectation, contract: Contract) -> Check | str:
    """Give the check of an expectation, or what is wrong with it."""
    kwargs = {
        key: value for key, value in expectation.kwargs.items() if key not in ("row_condition", "condition_parser")
    }
    columns = _named(kwargs)
    for name in columns:
        if name not in contract.columns:
            near = difflib.get_close_matches(name, list(contract.columns), n=1)
            return f"there is no column '{name}'" + (f"; did you mean '{near[0]}'?" if near else "")
    where = None
    if condition := expectation.kwargs.get("row_condition"):
        try:
            where = parse_expression(str(condition), columns={name: it.type for name, it in contract.columns.items()})
        except ExpressionError as error:
            return f"row_condition: {error}"
        if where.type != "bool":
            return f"row_condition: wanted a condition, got a {where.type}"
    if any(contract.columns[name].type == "date" for name in columns):
        kwargs = {key: _dated(value) for key, value in kwargs.items()}
    return Check(
        FindingCode.EXPECTATION,
        expectation.type,
        kwargs,
        columns,
        severity=expectation.severity,
        because=expectation.because,
        with_specials=expectation.type in _ABOUT_PRESENCE,
        where=where,
    )


def _named(kwargs: dict[str, Any]) -> tuple[str, ...]:
    single = [str(kwargs[key]) for key in ("column", "column_A", "column_B") if key in kwargs]
    several = kwargs.get("column_list")
    return tuple(dict.fromkeys([*single, *(map(str, several) if isinstance(several, list | tuple) else ())]))


def _dated(value: object) -> object:
    """Read a day that a contract could only write as text."""
    if isinstance(value, str):
        try:
            return _limit(date.fromisoformat(value))
        except ValueError:
            return value
    return _limit(value)

"""One application as JSON: read strictly, so that a decision never rests on a value that was guessed.

An object with the columns that a card and its policy read, in the contract's units: numbers, texts, truth values, dates as
texts YYYY-MM-DD, and null for what is not known. A field that is absent is refused, since it may have been forgotten; so is
one that nobody reads. A history is a list of objects under its name, the rows of this applicant alone.

Equal values are read as equal: whole numbers become binary64, and texts are brought to Unicode's normal form C once, here.
Minus zero, control characters, lone surrogates and marks that turn the direction of a text are refused. Messages name
fields and types, never a value.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from obligor.core.applicant import APPLICANT
from obligor.core.clauses import close_to
from obligor.core.columns import Role
from obligor.core.errors import ApplicationError, CardError, Problem
from obligor.core.faults import is_name
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from obligor.core.columns import Column, History
    from obligor.core.policy_reader import PolicyReader
    from obligor.core.scorer import Scorer
    from obligor.core.syntax import ColumnType

MOST_BYTES: Final = 1 << 20
MOST_VALUES: Final = 1 << 14
"""As many as a thousand rows of sixteen columns have; a megabyte could hold half a million, which are read for a second."""
TOO_MANY_VALUES: Final = f"application: wanted at most {MOST_VALUES} values, got more"
MOST_CHARACTERS: Final = 1000
LARGEST: Final = 1e15
_MOST_NAMED = 5
_MOST_TOLD = 20
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BARRED = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Application(NamedTuple):
    """The fields of one application, and the rows of its histories.

    A named tuple, as one is made for every decision.
    """

    fields: Mapping[str, object]
    histories: Mapping[str, tuple[Mapping[str, object], ...]]

    def to_plain(self) -> dict[str, object]:
        """Give all of it as one object, as it came."""
        return {**self.fields, **self.histories}


@dataclass(frozen=True, slots=True)
class Form:
    """What an application may hold, and what it must hold: all that a card and its policy read."""

    columns: Mapping[str, Column]
    needed: tuple[str, ...]
    """The columns that must be there."""
    histories: Mapping[str, Mapping[str, Column]]
    """The columns of each history that is read; a history must be there, if only as an empty list."""
    keys: Mapping[str, tuple[str, str]]
    """The column of each history, then of applications, that hold the same key."""
    never_null: tuple[str, ...]
    """Columns that must have a value: the day of the application, where a history is read."""


def form_of(
    scorer: Scorer,
    reader: PolicyReader | None = None,
    *,
    beside: Mapping[str, Column] | None = None,
    read_too: Iterable[str] = (),
) -> Form:
    """Give the form of the applications that a card scores, and a policy reads.

    Parameters
    ----------
    beside
        Columns that may be there too.
    read_too
        Columns of the card or the policy that must be there, since something else reads them.

    Raises
    ------
    CardError
        Where the card or the policy has a column of the name of one that is the applicant's.
    """
    columns, histories = dict(scorer.card.applications.columns), dict(scorer.card.histories)
    inputs, aggregates = dict(scorer.inputs), dict(scorer.features.aggregates)
    if reader is not None:
        columns = {**columns, **reader.policy.columns}
        histories = _joined(histories, reader.policy.histories)
        inputs, aggregates = {**inputs, **reader.inputs}, {**aggregates, **reader.features.aggregates}
    if theirs := sorted(APPLICANT.keys() & (columns.keys() | histories.keys())):
        raise CardError(f"the column '{theirs[0]}': the name is kept for what gates read, which never scores")
    read = {aggregates[name].table for name in inputs if name in aggregates}
    applied_at = tuple(name for name, it in columns.items() if Role.APPLIED_AT in it.role and read)
    needed = dict.fromkeys((*(name for name in inputs if name in columns), *applied_at, *read_too))
    return Form(
        {**columns, **(beside or {})},
        tuple(needed),
        {name: it.columns for name, it in histories.items() if name in read},
        {name: it.key for name, it in histories.items() if name in read},
        applied_at,
    )


def _joined(histories: Mapping[str, History], others: Mapping[str, History]) -> dict[str, History]:
    """Put the columns of a history that either reads together."""
    found = dict(histories)
    for name, other in others.items():
        known = found.get(name, other)
        found[name] = known.model_copy(update={"columns": {**known.columns, **other.columns}})
    return found


def parse_application(data: bytes, form: Form) -> Application:
    """Read an application from JSON.

    Raises
    ------
    ApplicationError
        Where it is not JSON, or does not fit the form; ``problems`` tells of every field that is wrong, up to twenty.
    """
    check_size(data)
    return read_application(read_strict_json(data, what="application", error=ApplicationError), form)


def check_size(data: bytes) -> None:
    """Refuse an application that is too large to be read between those of others.

    Raises
    ------
    ApplicationError
        Where it has too many bytes, or too many values.
    """
    if len(data) > MOST_BYTES:
        raise ApplicationError(f"application: wanted at most {MOST_BYTES} bytes, got more")
    if len(data) > MOST_VALUES and data.count(b",") > MOST_VALUES:
        raise ApplicationError(TOO_MANY_VALUES)


def read_application(plain: object, form: Form) -> Application:
    """Read an application from plain data: what JSON, or another encoding of the same, holds.

    Raises
    ------
    ApplicationError
        Where it does not fit the form.
    """
    if not isinstance(plain, dict):
        raise ApplicationError(f"application: got {_kind(plain)}, wanted an object of fields")
    problems = list(islice(_problems(plain, form), _MOST_TOLD + 1))
    if problems:
        raise _refusal(problems, form)
    fields = {name: _value(value, form.columns[name].type) for name, value in plain.items() if name in form.columns}
    histories = {
        name: tuple({key: _value(row[key], columns[key].type) for key in row} for row in plain[name])
        for name, columns in form.histories.items()
    }
    return Application(fields, histories)


# What is wrong

_UNKNOWN = "is not known to the card"
_ABSENT = "is absent; wanted null where it is not known"


def _problems(plain: Mapping[str, object], form: Form) -> Iterator[Problem]:
    """Tell what is wrong, field by field."""
    yield from _unknown(plain, (*form.columns, *form.histories))
    yield from (Problem((name,), _ABSENT) for name in (*form.needed, *form.histories) if name not in plain)
    for name, column in form.columns.items():
        if name in plain and (problem := _problem(plain[name], column)):
            yield Problem((name,), problem)
        elif name in form.never_null and name in plain and plain[name] is None:
            yield Problem((name,), "got null, wanted the day of the application")
    for name in form.histories:
        if name in plain:
            yield from _history_problems(name, plain, form)


def _history_problems(name: str, plain: Mapping[str, object], form: Form) -> Iterator[Problem]:
    rows, columns, (own, applicants) = plain[name], form.histories[name], form.keys[name]
    if not isinstance(rows, list):
        yield Problem((name,), f"got {_kind(rows)}, wanted a list of rows")
        return
    applicant = _normal(plain.get(applicants))
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            yield Problem((name, place), f"got {_kind(row)}, wanted an object")
            continue
        yield from _unknown(row, columns, within=(name, place))
        yield from (Problem((name, place, key), _ABSENT) for key in columns if key not in row and key != own)
        for key, column in columns.items():
            if key in row and (problem := _problem(row[key], column)):
                yield Problem((name, place, key), problem)
        if own in row and applicants in plain and _normal(row[own]) != applicant:
            yield Problem((name, place, own), f"is another than the {applicants!r} of the application")


def _unknown(
    plain: Mapping[str, object], known: Iterable[str], *, within: tuple[str | int, ...] = ()
) -> Iterator[Problem]:
    """Tell of fields that there are not; their names are the caller's, and one that could say anything is not repeated."""
    names = dict.fromkeys(known)
    for name in plain:
        if name not in names:
            if is_name(str(name)):
                yield Problem((*within, str(name)), f"{_UNKNOWN}{close_to(str(name), names)}")
            else:
                yield Problem(within, f"holds a field that {_UNKNOWN}")


def _problem(value: object, column: Column) -> str | None:
    """Tell why a value is none of a column."""
    if value is None:
        return None
    problem = _problem_of_type(value, column.type)
    return _problem_of_limits(value, column) if problem is None and column.refuses else problem


def _problem_of_limits(value: object, column: Column) -> str | None:
    """Tell which limit a value lies beyond, where it is no code; of a personal value too, as the limit is the contract's."""
    known = _value(value, column.type)
    below = column.min is not None and known < column.min  # type: ignore[operator]  # both are of the column's type
    above = column.max is not None and known > column.max  # type: ignore[operator]  # the same
    if not (below or above) or known in column.special or known in column.missing_numbers:
        return None
    low, high = limits_of(column)
    return f"wanted at least {low}" if below else f"wanted at most {high}"


def limits_of(column: Column) -> tuple[str | None, str | None]:
    """Write the lowest and the highest value of a column."""
    return _written(column.min), _written(column.max)


def _written(limit: float | date | None) -> str | None:
    return f"{limit:.15g}" if isinstance(limit, float) else limit.isoformat() if limit else None


def least_and_most(column: Column) -> tuple[float, float]:
    """Give the least and the greatest number of a column that is no code and is not refused."""
    low, high = (column.min, column.max) if column.refuses else (None, None)
    least, most = low if isinstance(low, float) else -LARGEST, high if isinstance(high, float) else LARGEST
    return max(least, -LARGEST), min(most, LARGEST)


def _problem_of_type(value: object, type_: ColumnType) -> str | None:
    if type_ == "number":
        return _problem_of_number(value)
    if type_ == "date":
        got = "a text that is no day" if isinstance(value, str) else _kind(value)
        return None if isinstance(value, str) and _day(value) else f"got {got}, wanted a day as YYYY-MM-DD"
    wanted: type = bool if type_ == "bool" else str
    if not isinstance(value, wanted):
        return f"got {_kind(value)}, wanted {_NAMES[wanted]}"
    return _problem_of_text(value) if isinstance(value, str) else None


def _problem_of_number(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"got {_kind(value)}, wanted a number"
    if not abs(value) <= LARGEST:
        return "wanted a number of at most 1e15"
    return "got minus zero, wanted 0" if value == 0 and math.copysign(1.0, value) < 0 else None


def _problem_of_text(value: str) -> str | None:
    if _BARRED.search(value):
        return "holds a control character, half a surrogate pair or a mark that turns the direction of text"
    if len(unicodedata.normalize("NFC", value)) > MOST_CHARACTERS:
        return f"wanted a text of at most {MOST_CHARACTERS} characters"
    return None


def _refusal(problems: list[Problem], form: Form) -> ApplicationError:
    lines = list(_lines(problems[:_MOST_TOLD]))
    lines += ["more is wrong than is told here"] if len(problems) > _MOST_TOLD else []
    hint = f"this card reads {', '.join((*form.needed, *form.histories))}"
    return ApplicationError(
        "\n".join(f"application: {line}" for line in lines), problems=tuple(problems[:_MOST_TOLD]), hint=hint
    )


def _lines(problems: list[Problem]) -> Iterator[str]:
    """Word problems for a person: what is absent in one line, every other in a line of its own."""
    absent = [str(it.path[0]) for it in problems if it.message == _ABSENT and len(it.path) == 1]
    for it in problems:
        if it.message != _ABSENT or len(it.path) > 1:
            yield _line(it)
        elif it.path[0] == absent[0]:
            more = f" and {len(absent) - _MOST_NAMED} more" if len(absent) > _MOST_NAMED else ""
            yield f"lacks {', '.join(map(repr, absent[:_MOST_NAMED]))}{more}; wanted null where it is not known"


def _line(problem: Problem) -> str:
    if not problem.path:
        return problem.message
    name, *within = problem.path
    where = ""
    if within:
        where = f"row {int(within[0]) + 1} of the history {name!r}: "
        name = within[-1]
    if len(within) == 1:
        return f"{where}{problem.message}"
    if problem.message == _ABSENT:
        return f"{where}lacks {name!r}"
    if problem.message.startswith("is "):
        return f"{where}{'its' if 'another' in problem.message else 'the field'} '{name}' {problem.message}"
    what = "history" if problem.message.endswith("a list of rows") else "field"
    return f"{where}the {what} {name!r}: {problem.message}"


# Values as they are read


def _value(value: object, type_: ColumnType) -> object:
    if type_ == "number" and isinstance(value, int):
        return float(value)
    return _day(value) if type_ == "date" and isinstance(value, str) else _normal(value)


def _normal(value: object) -> object:
    return unicodedata.normalize("NFC", value) if isinstance(value, str) else value


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        return None


_NAMES: Mapping[type, str] = {
    str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list", dict: "an object",
}  # fmt: skip


def _kind(value: object) -> str:
    return _NAMES.get(type(value), "null")

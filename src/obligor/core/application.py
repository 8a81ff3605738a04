"""One application as JSON: read strictly, so that a decision never rests on a value that was guessed.

An object with the columns that a card reads, in the contract's units: numbers, texts, truth values, dates as texts
YYYY-MM-DD, and null for what is not known. A field that is absent is refused, since it may have been forgotten; so is one that
the card does not know. A history is a list of objects under its name, the rows of this applicant alone. Messages name fields
and types, never a value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from obligor.core.clauses import Role, close_to
from obligor.core.errors import InvalidInputError
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from obligor.core.clauses import Column
    from obligor.core.scorer import Scorer
    from obligor.core.syntax import ColumnType

MOST_BYTES = 1 << 20
_LARGEST = 1e15
_MOST_NAMED = 5
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


@dataclass(frozen=True, slots=True)
class Application:
    """The fields of one application, and the rows of its histories."""

    fields: Mapping[str, object]
    histories: Mapping[str, tuple[Mapping[str, object], ...]]


def parse_application(data: bytes, scorer: Scorer) -> Application:
    """Read an application for a card.

    Raises
    ------
    InvalidInputError
        Where it is not JSON, or does not fit the card; it tells of every field that is wrong.
    """
    if len(data) > MOST_BYTES:
        raise InvalidInputError(f"application: wanted at most {MOST_BYTES} bytes, got more")
    plain = read_strict_json(data, what="application", error=InvalidInputError)
    if not isinstance(plain, dict):
        raise InvalidInputError(f"application: got {_kind(plain)}, wanted an object of fields")
    reading = _Reading.of(scorer)
    problems = list(reading.problems(plain))
    if problems:
        hint = f"this card reads {', '.join((*reading.needed, *reading.histories))}"
        raise InvalidInputError("\n".join(f"application: {problem}" for problem in problems), hint=hint)
    fields = {name: _value(plain[name], reading.columns[name]) for name in plain if name in reading.columns}
    histories = {
        name: tuple({key: _value(row[key], columns[key]) for key in row} for row in plain[name])
        for name, columns in reading.histories.items()
    }
    return Application(fields, histories)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What an application for a card may hold, and what it must hold."""

    columns: Mapping[str, ColumnType]
    needed: tuple[str, ...]
    histories: Mapping[str, Mapping[str, ColumnType]]
    """The columns of each history that the card reads."""
    keys: Mapping[str, tuple[str, str]]
    """The column of each history, then of applications, that hold the same key."""
    never_null: tuple[str, ...]

    @classmethod
    def of(cls, scorer: Scorer) -> _Reading:
        columns = scorer.card.applications.columns
        read = {scorer.features.aggregates[name].table for name in scorer.inputs if name in scorer.features.aggregates}
        applied_at = tuple(name for name, it in columns.items() if Role.APPLIED_AT in it.role and read)
        needed = dict.fromkeys((*(name for name in scorer.inputs if name in columns), *applied_at))
        histories = {name: it for name, it in scorer.card.histories.items() if name in read}
        return cls(
            _types(columns),
            tuple(needed),
            {name: _types(it.columns) for name, it in histories.items()},
            {name: it.key for name, it in histories.items()},
            applied_at,
        )

    def problems(self, plain: Mapping[str, object]) -> Iterator[str]:
        """Tell what is wrong, field by field."""
        yield from _unknown(plain, (*self.columns, *self.histories))
        lacking = [name for name in (*self.needed, *self.histories) if name not in plain]
        if lacking:
            more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
            yield f"lacks {', '.join(map(repr, lacking[:_MOST_NAMED]))}{more}; wanted null where it is not known"
        for name, type_ in self.columns.items():
            if name in plain and (problem := _problem(plain[name], type_)):
                yield f"the field {name!r}: {problem}"
            elif name in self.never_null and name in plain and plain[name] is None:
                yield f"the field {name!r}: got null, wanted the day of the application"
        for name in self.histories:
            if name in plain:
                yield from self._history_problems(name, plain)

    def _history_problems(self, name: str, plain: Mapping[str, object]) -> Iterator[str]:
        rows, columns, (own, applicants) = plain[name], self.histories[name], self.keys[name]
        if not isinstance(rows, list):
            yield f"the history {name!r}: got {_kind(rows)}, wanted a list of rows"
            return
        for place, row in enumerate(rows, start=1):
            where = f"row {place} of the history {name!r}"
            if not isinstance(row, dict):
                yield f"{where}: got {_kind(row)}, wanted an object"
                continue
            yield from (f"{where}: {problem}" for problem in _unknown(row, columns))
            yield from (f"{where}: lacks {key!r}" for key in columns if key not in row and key != own)
            for key, type_ in columns.items():
                if key in row and (problem := _problem(row[key], type_)):
                    yield f"{where}: the field {key!r}: {problem}"
            if own in row and applicants in plain and row[own] != plain[applicants]:
                yield f"{where}: its {own!r} is another than the {applicants!r} of the application"


def _types(columns: Mapping[str, Column]) -> dict[str, ColumnType]:
    return {name: it.type for name, it in columns.items()}


def _unknown(plain: Mapping[str, object], known: Iterable[str]) -> Iterator[str]:
    names = list(known)
    for name in plain:
        if name not in names:
            yield f"the field {name[:80]!r} is not known to the card{close_to(name, names)}"


def _problem(value: object, type_: ColumnType) -> str | None:
    """Tell why a value is none of a type."""
    if value is None:
        return None
    if type_ == "number":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"got {_kind(value)}, wanted a number"
        return None if abs(value) <= _LARGEST else "wanted a number of at most 1e15"
    if type_ == "date":
        return None if isinstance(value, str) and _day(value) else f"got {_kind(value)}, wanted a day as YYYY-MM-DD"
    wanted: type = bool if type_ == "bool" else str
    return None if isinstance(value, wanted) else f"got {_kind(value)}, wanted {_NAMES[wanted]}"


def _value(value: object, type_: ColumnType) -> object:
    if type_ == "number" and isinstance(value, int):
        return float(value)
    return _day(value) if type_ == "date" and isinstance(value, str) else value


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

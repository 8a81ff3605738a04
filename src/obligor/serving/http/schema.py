"""The application that the release in force reads, as a JSON Schema: written from the columns of its card and its policy.

What the service refuses, the schema refuses: a field that is absent or not known, another type, a number that is none. What it
takes and flags (a value out of a range that is not refused, a level never seen) is told in words and in ``x-`` keywords,
since a schema can only refuse. Days beyond a range have no keyword; numbers that are codes widen it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.core.applicant import ALIASES, NAME, NUMBER
from obligor.core.application import LARGEST, MOST_CHARACTERS, least_and_most, limits_of
from obligor.core.bins import NumericBins
from obligor.core.columns import Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obligor.core.application import Form
    from obligor.core.columns import Column
    from obligor.core.scorecard import Scorecard

_TEXT = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028-\\u202e\\u2066-\\u2069]*$"
_MOST_LEVELS = 40
_APPLICANT = {NAME: "Jane Alba Example", ALIASES: "Jane Sample; J. A. Example", NUMBER: "C-0001"}
_DAY = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_INVENTED_DAY = "2026-11-02"


def application_schema(form: Form, card: Scorecard, *, release: int) -> dict[str, Any]:
    """Give the schema of an application that fits a form; the card gives examples their values."""
    columns = {
        name: column_schema(it, nullable=name not in form.never_null) | {"examples": [_example(card, name, it)]}
        for name, it in form.columns.items()
    }
    histories = {name: history_schema(it, form.keys[name]) for name, it in form.histories.items()}
    return {
        "type": "object",
        "title": "Application",
        "description": (
            f"One application for the card '{card.name}' (release {release}), in the units of its contract. "
            "A field that is needed and not known is null; one that is left out was forgotten, and is refused."
        ),
        "additionalProperties": False,
        "required": [*form.needed, *histories],
        "properties": columns | histories,
        "examples": [example_application(form, card)],
    }


def column_schema(column: Column, *, nullable: bool = True) -> dict[str, Any]:
    """Give the schema of one column."""
    type_, more = _TYPES[column.type]
    if column.type == "number":
        codes = [
            it for it in (*column.special, *column.missing_numbers) if isinstance(it, float) and abs(it) <= LARGEST
        ]
        taken = [*least_and_most(column), *codes]
        more = {"minimum": min(taken), "maximum": max(taken)}
    told: dict[str, Any] = {"x-unit": column.unit or None, "x-range": _range(column), "x-levels": _levels(column)}
    if column.special:
        told["x-special"] = {
            f"{code:g}" if isinstance(code, float) else code: it for code, it in column.special.items()
        }
    return {
        "type": [type_, "null"] if nullable else type_,
        **more,
        "description": " ".join(_sentences(column)),
        **{name: it for name, it in told.items() if it is not None},
    }


def history_schema(history: Mapping[str, Column], key: tuple[str, str]) -> dict[str, Any]:
    """Give the schema of a history: the rows of this applicant alone."""
    own, applicants = key
    columns = {name: column_schema(it) for name, it in history.items()}
    columns[own]["description"] += f" May be left out; where it is given, it is the `{applicants}` of the application."
    return {
        "type": "array",
        "description": "What is known of this applicant, row by row; an empty list where nothing is.",
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": [name for name in columns if name != own],
            "properties": columns,
        },
        "examples": [[]],
    }


def example_application(form: Form, card: Scorecard) -> dict[str, Any]:
    """Invent an application that fits."""
    fields = {name: _example(card, name, form.columns[name]) for name in form.needed}
    return fields | {name: [] for name in form.histories}


_TYPES: Mapping[str, tuple[str, dict[str, Any]]] = {
    "number": ("number", {}),
    "text": ("string", {"maxLength": MOST_CHARACTERS, "pattern": _TEXT}),
    "date": ("string", {"format": "date", "pattern": _DAY}),
    "bool": ("boolean", {}),
}


def _sentences(column: Column) -> Iterator[str]:
    if column.description:
        yield column.description.rstrip(".") + "."
    if column.unit:
        yield f"In {column.unit}."
    low, high = limits_of(column)
    if low or high:
        told = f"from {low}" if high is None else f"up to {high}" if low is None else f"from {low} to {high}"
        yield f"Wanted {told}; another value is {'refused' if column.refuses else 'decided on by its bin, and flagged'}."
    if column.levels:
        yield "A level that is not known is decided on by the bin of levels never seen, and flagged."
    if column.special:
        meanings = "; ".join(
            f"{code:g} is {it}" if isinstance(code, float) else f"{code} is {it}" for code, it in column.special.items()
        )
        yield f"Codes that are no values: {meanings}."


def _range(column: Column) -> list[float | str | None] | None:
    if column.min is None and column.max is None:
        return None
    return [it if it is None or isinstance(it, float) else it.isoformat() for it in (column.min, column.max)]


def _levels(column: Column) -> list[str] | None:
    return list(column.levels[:_MOST_LEVELS]) if column.levels else None


def _example(card: Scorecard, name: str, column: Column) -> object:
    """Invent a value that nobody gave: from the limits of the contract and the cuts of the card."""
    if column.type == "bool":
        return True
    if column.type == "date":
        return _INVENTED_DAY
    if column.type == "text":
        return _APPLICANT.get(name) or _example_text(card, name, column)
    cuts = next((it.cuts for it in card.characteristics if it.feature == name and it.kind == "numeric"), ())
    if cuts:
        return cuts[len(cuts) // 2]
    low, high = (it if isinstance(it, float) else None for it in (column.min, column.max))
    if low is not None and high is not None:
        return (low + high) / 2
    return low if low is not None else high if high is not None else 1000.0


def _example_text(card: Scorecard, name: str, column: Column) -> str:
    if Role.IDENTIFIER in column.role:
        return "A-0001"
    if column.levels:
        return column.levels[0]
    binning = next((it.binning for it in card.characteristics if it.feature == name), None)
    if binning is None or isinstance(binning, NumericBins):
        return "text"
    return next((level for group in binning.groups for level in group), "text")

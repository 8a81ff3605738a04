"""Applications as they come through a door, read in a few microseconds where nothing about them is odd.

A decoder with the exact types of the form reads the bytes in one go, and its result counts only where no strict reader could
say otherwise. It skips fields that it does not know, and of a field that stands twice it keeps the last; but every pair of name
and value has a colon of its own, so that as many colons as fields read prove that there was neither. Whatever else is
odd (minus zero, a text that is not plain, a colon within a text) goes to the strict reader, whose word is final.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import copysign
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, NotRequired, Required, TypedDict
from unicodedata import is_normalized

import msgspec

from obligor.core.application import (
    MOST_BYTES,
    MOST_CHARACTERS,
    Application,
    least_and_most,
    parse_application,
    read_application,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from obligor.core.application import Form
    from obligor.core.columns import Column

_typed_dict: Any = TypedDict  # the fields come from a form, and not from a class that is written somewhere
_Text = Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)]
_TYPES: Final = {"text": _Text | None, "date": date | None, "bool": bool | None}


@dataclass(frozen=True, slots=True)
class ApplicationReader:
    """Reads applications of one form."""

    form: Form
    _decoder: msgspec.json.Decoder[dict[str, Any]] | None
    _days: tuple[_Days, ...]

    @classmethod
    def of(cls, form: Form) -> ApplicationReader:
        """Prepare for reading applications of a form."""
        ambiguous = form.columns.keys() & form.histories.keys()
        return cls(form, None if ambiguous else msgspec.json.Decoder(_type_of(form)), tuple(_days_of(form)))

    def read_json(self, data: bytes) -> Application:
        """Read an application from JSON.

        Raises
        ------
        ApplicationError
            As ``parse_application`` does.
        """
        return self._read_quickly(data) or parse_application(data, self.form)

    def read_plain(self, plain: object) -> Application:
        """Read an application from plain data, as JSON would hold it.

        Raises
        ------
        ApplicationError
            As ``read_application`` does.
        """
        return read_application(plain, self.form)

    def _read_quickly(self, data: bytes) -> Application | None:
        """Read an application about which nothing is odd."""
        if self._decoder is None or len(data) > MOST_BYTES:
            return None
        try:
            fields = self._decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        values: Collection[object] = fields.values()
        read, histories = len(fields), dict[str, tuple[dict[str, Any], ...]]()
        if self.form.histories:
            histories = {name: tuple(fields.pop(name)) for name in self.form.histories}
            rows = [row for own in histories.values() for row in own]
            read += sum(map(len, rows))
            values = [*values, *(value for row in rows for value in row.values())]
        if read != data.count(b":") or not _plain(values) or not self._same_applicant(fields, histories):
            return None
        if self._days and self._has_days_beyond(fields, histories):
            return None
        return Application(fields, histories)

    def _has_days_beyond(self, fields: dict[str, Any], histories: dict[str, tuple[dict[str, Any], ...]]) -> bool:
        for history, name, first, last in self._days:
            for row in histories[history] if history else (fields,):
                day = row.get(name)
                if day is not None and not first <= day <= last:
                    return True
        return False

    def _same_applicant(self, fields: dict[str, Any], histories: dict[str, tuple[dict[str, Any], ...]]) -> bool:
        for name, (own, applicants) in self.form.keys.items():
            if applicants in fields and any(
                row.get(own, fields[applicants]) != fields[applicants] for row in histories[name]
            ):
                return False
        return True


def _type_of(form: Form) -> Any:  # a class made here
    fields: dict[str, Any] = {}
    for name, column in form.columns.items():
        kind: Any = date if name in form.never_null else _kind(column)
        fields[name] = Required[kind] if name in form.needed else NotRequired[kind]
    for name, columns in form.histories.items():
        own, _ = form.keys[name]
        row: dict[str, Any] = {
            key: NotRequired[_kind(it)] if key == own else Required[_kind(it)] for key, it in columns.items()
        }
        fields[name] = Required[list[_typed_dict("Row", row)]]  # type: ignore[misc]  # a type, made here
    return _typed_dict("Application", fields)


def _kind(column: Column) -> Any:  # a type made here
    """Give the type of a column's values, within the limits that it refuses to see broken: a code beyond them is odd."""
    if column.type != "number":
        return _TYPES[column.type]
    low, high = least_and_most(column)
    return Annotated[float, msgspec.Meta(ge=low, le=high)] | None


class _Days(NamedTuple):
    """The days that a column takes, which no type says."""

    history: str
    """Empty where it is a column of the application."""
    column: str
    first: date
    last: date


def _days_of(form: Form) -> Iterator[_Days]:
    for history, columns in {"": form.columns, **form.histories}.items():
        for name, it in columns.items():
            if it.type == "date" and it.refuses:
                yield _Days(history, name, it.min or date.min, it.max or date.max)  # type: ignore[arg-type]  # both are dates


def _plain(values: Collection[object]) -> bool:
    """Whether the strict reader would take these values as they are; False where it must look for itself."""
    texts = "".join([value for value in values if value.__class__ is str])
    if not texts.isprintable() or not (texts.isascii() or is_normalized("NFC", texts)):
        return False
    return 0.0 not in values or not any(it.__class__ is float and it == 0.0 and copysign(1.0, it) < 0 for it in values)

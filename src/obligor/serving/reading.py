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
from typing import TYPE_CHECKING, Annotated, Any, Final, NotRequired, Required, TypedDict
from unicodedata import is_normalized

import msgspec

from obligor.core.application import (
    LARGEST,
    MOST_BYTES,
    MOST_CHARACTERS,
    Application,
    parse_application,
    read_application,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from obligor.core.application import Form

_typed_dict: Any = TypedDict  # the fields come from a form, and not from a class that is written somewhere
_Number = Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)]
_Text = Annotated[str, msgspec.Meta(max_length=MOST_CHARACTERS)]
_TYPES: Final = {"number": _Number | None, "text": _Text | None, "date": date | None, "bool": bool | None}


@dataclass(frozen=True, slots=True)
class ApplicationReader:
    """Reads applications of one form."""

    form: Form
    _decoder: msgspec.json.Decoder[dict[str, Any]] | None

    @classmethod
    def of(cls, form: Form) -> ApplicationReader:
        """Prepare for reading applications of a form."""
        ambiguous = form.columns.keys() & form.histories.keys()
        return cls(form, None if ambiguous else msgspec.json.Decoder(_type_of(form)))

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
        return Application(fields, histories)

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
        kind: Any = date if name in form.never_null else _TYPES[column.type]
        fields[name] = Required[kind] if name in form.needed else NotRequired[kind]
    for name, columns in form.histories.items():
        own, _ = form.keys[name]
        row: dict[str, Any] = {
            key: NotRequired[_TYPES[it.type]] if key == own else Required[_TYPES[it.type]]
            for key, it in columns.items()
        }
        fields[name] = Required[list[_typed_dict("Row", row)]]  # type: ignore[misc]  # a type, made here
    return _typed_dict("Application", fields)


def _plain(values: Collection[object]) -> bool:
    """Whether the strict reader would take these values as they are; False where it must look for itself."""
    texts = "".join([value for value in values if value.__class__ is str])
    if not texts.isprintable() or not (texts.isascii() or is_normalized("NFC", texts)):
        return False
    return 0.0 not in values or not any(it.__class__ is float and it == 0.0 and copysign(1.0, it) < 0 for it in values)

"""Reads lists in the simple CSV of OpenSanctions (``targets.simple.csv``): a header, and a line for each target.

Of its columns it reads ``id``, ``schema``, ``name``, and where they are there ``aliases``, ``birth_date``, ``program_ids`` and
``dataset``; one with several values has ``;`` between them. It says no day, and not of which kind it is: the same form
is published of sanctions and of politically exposed persons. (OpenSanctions, "Bulk data export formats".)
"""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Final

from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, parse_born
from obligor.screening.files import beginning, content
from obligor.screening.lists import Entry, EntryKind, ListedName, ListSnapshot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import date
    from pathlib import Path

    from obligor.screening.lists import ListKind

SOURCE: Final = "OpenSanctions"
_MARK: Final = b"\xef\xbb\xbf"
_NEEDED: Final = ("id", "schema", "name")
_KINDS: Final[Mapping[str, EntryKind]] = {
    "Person": "individual",
    "LegalEntity": "individual",
    "Vessel": "vessel",
    "Airplane": "aircraft",
}
"""Of a `LegalEntity` it is not known whether it is a person; everything else is an organisation of some sort."""


def is_opensanctions(path: Path) -> bool:
    """Tell by its header whether a file is of this form."""
    return not path.is_dir() and beginning(path, 8).removeprefix(_MARK).startswith((b"id,", b'"id",'))


def read_opensanctions(path: Path, *, kind: ListKind, published: date | None = None) -> ListSnapshot:
    """Read a list from its file.

    Raises
    ------
    ScreeningError
        Naming the file and the line, where it is malformed, cut off, or says something that cannot be understood.
    """
    try:
        return ListSnapshot(SOURCE, published, tuple(_entries(content(path).decode("utf-8-sig"))), kind)
    except UnicodeDecodeError:
        raise ScreeningError(f"{path.name}: is not UTF-8") from None
    except ScreeningError as error:
        raise ScreeningError(f"{path.name}: {error.message.removeprefix('list: ')}", hint=error.hint) from error


def _entries(text: str) -> Iterator[Entry]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise ScreeningError(f"line 1: has no column {missing[0]!r}; wanted {', '.join(_NEEDED)}")
    try:
        for row in reader:
            if None in row or None in row.values():
                raise ScreeningError(f"line {reader.line_num}: wanted as many fields as the header has")
            yield _entry(row, reader.line_num)
    except csv.Error as error:
        raise ScreeningError(f"line {reader.line_num}: is no CSV ({error})") from error


def _entry(row: Mapping[str, str], line: int) -> Entry:
    uid, name = row["id"].strip(), row["name"].strip()
    if not uid or not name:
        raise ScreeningError(f"line {line}: wanted an id and a name")
    others = [it for it in _several(row, "aliases") if it != name]
    names = (ListedName(name, "main"), *(ListedName(it, "strong") for it in dict.fromkeys(others)))
    programmes = _several(row, "program_ids") or _several(row, "dataset")
    return Entry(uid, _KINDS.get(row["schema"].strip(), "entity"), names, _born(row, line), tuple(programmes))


def _born(row: Mapping[str, str], line: int) -> tuple[BirthDate, ...]:
    try:
        return tuple(parse_born(it) for it in _several(row, "birth_date"))
    except ScreeningError:
        raise ScreeningError(f"line {line}: birth_date: wanted one such as 1970-01-31, 1970-01 or 1970") from None


def _several(row: Mapping[str, str], column: str) -> list[str]:
    return [it.strip() for it in row.get(column, "").split(";") if it.strip()]

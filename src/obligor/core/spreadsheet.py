"""CSV that a person opens in a spreadsheet: no text in it is taken for a formula, and every text is found again.

A spreadsheet runs a cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return (OWASP, CSV injection), and
some do after blanks, or for the full-width forms of these signs. Such a text gets an apostrophe before it, which a spreadsheet
takes for "this is text"; a text that begins with an apostrophe gets one more. Who reads the file by a program takes one
apostrophe off every cell that begins with one (``text_of``), and has what was written. Numbers are no texts, and stay as they
are.
"""

from __future__ import annotations

import csv
import unicodedata
from io import StringIO
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Cell = str | int | float | bool | None
_STARTS: Final = frozenset("=+-@|%'")
_MARK: Final = "'"


def spreadsheet(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """Write a table as CSV (RFC 4180), every cell in quotes."""
    told = StringIO()
    writer = csv.writer(told, quoting=csv.QUOTE_ALL)
    writer.writerow([cell_of(it) for it in header])
    writer.writerows([cell_of(it) for it in row] for row in rows)
    return told.getvalue()


def cell_of(value: Cell) -> str:
    """Write a value so that no spreadsheet runs it; what is not known is an empty cell."""
    if not isinstance(value, str):
        return "" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return _MARK + value if _may_run(value) else value


def text_of(cell: str) -> str:
    """Read a text back from its cell."""
    return cell.removeprefix(_MARK)


def _may_run(text: str) -> bool:
    """Tell whether a spreadsheet might take a text for more than a text, whatever stands unseen before it."""
    if text[:1] in ("\t", "\r", "\n"):
        return True
    seen = next((it for it in text if not it.isspace() and unicodedata.category(it) not in ("Cc", "Cf")), "")
    return any(it in _STARTS for it in unicodedata.normalize("NFKC", seen)[:1])

"""What a card written as Python does as a program: reads applications line by line and writes what the card says of each.

The text of these functions is copied into every such file (`obligor.serving.scoring.card_python`): they know the standard
library only, and no more of it than Python 3.9 has.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from datetime import date
from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import TapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence


def score_lines(
    score: Callable[[Mapping[str, object]], dict[str, Any]],
    columns: Mapping[str, str],
    missing: Mapping[str, Collection[str]],
    identifiers: Sequence[str],
    arguments: Sequence[str],
) -> int:
    """Write one line for each application of standard input; give 1 where one could not be scored, 2 where none can."""
    if list(arguments) not in ([], ["--csv"]):
        sys.stderr.write("wanted applications on standard input, a JSON object a line, or CSV after --csv\n")
        return 2
    lines = io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", newline="")
    given = csv_rows(lines, columns, missing) if arguments else json_rows(lines, columns)
    failed = 0
    try:
        for number, row in enumerate(given, start=1):
            try:
                if isinstance(row, TapeError):
                    raise row
                answer = {"identifiers": {name: row.get(name) for name in identifiers}, **score(row)}
            except TapeError as error:
                answer, failed = {"error": f"application {number}: {error}"}, 1
            sys.stdout.write(json.dumps(answer) + "\n")
    except (TapeError, csv.Error, UnicodeDecodeError) as error:
        told = "is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        sys.stderr.write(f"standard input: {told}\n")
        return 2
    return failed


def json_rows(lines: Iterable[str], columns: Mapping[str, str]) -> Iterable[dict[str, Any] | TapeError]:
    """Read a JSON object a line; a date is written YYYY-MM-DD."""
    for line in lines:
        if line.strip():
            try:
                yield json_row(line, columns)
            except TapeError as error:
                yield error


def json_row(line: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Read one JSON object."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise TapeError("is no JSON object on one line")
    days = [name for name, kind in columns.items() if kind == "date" and isinstance(row.get(name), str)]
    return {**row, **{name: parse_cell(row[name], name, "date") for name in days}}


def csv_rows(
    lines: Iterable[str], columns: Mapping[str, str], missing: Mapping[str, Collection[str]]
) -> Iterable[dict[str, Any] | TapeError]:
    """Read CSV with a header; an empty cell and a missing code are not known."""
    rows = csv.DictReader(lines)
    header = list(rows.fieldnames or ())
    for name in columns:
        if header.count(name) != 1:
            raise TapeError(f"the header has the column {name!r} {header.count(name)} times; wanted it once")
    for cells in rows:
        try:
            yield csv_row(cells, columns, missing)
        except TapeError as error:
            yield error


def csv_row(
    cells: Mapping[Any, Any], columns: Mapping[str, str], missing: Mapping[str, Collection[str]]
) -> dict[str, Any]:
    """Read the cells of one line; the reader gives None for a field or a name that is absent."""
    if None in cells or None in cells.values():
        raise TapeError("has more or fewer fields than the header")
    row = dict(cells)
    for name, kind in columns.items():
        text = cells[name].strip(" ")
        if text in ("", *missing.get(name, ())):
            row[name] = None
        elif kind != "text":
            row[name] = parse_cell(text, name, kind)
    return row


def parse_cell(text: str, name: str, kind: str) -> object:
    """Read a number, a date or a truth from its text; an error names the column, and repeats nothing of the text."""
    try:
        if kind == "number" and "_" not in text:
            return float(text)
        if kind == "date" and re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return date.fromisoformat(text)
        if kind == "bool" and text.lower() in ("true", "t", "yes", "y", "1", "false", "f", "no", "n", "0"):
            return text.lower() in ("true", "t", "yes", "y", "1")
    except ValueError:
        pass
    wanted = {"number": "a number", "date": "a date, YYYY-MM-DD", "bool": "true or false"}[kind]
    raise TapeError(f"column {name!r} cannot be read; wanted {wanted}")


COPIED: Final[tuple[Callable[..., object], ...]] = (parse_cell, json_row, json_rows, csv_row, csv_rows, score_lines)

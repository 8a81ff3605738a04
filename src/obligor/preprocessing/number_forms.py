"""How the numbers of a text file are written, guessed from those that can be read in one way only.

`12,5` has a decimal comma and `1.234,56` marks of thousands too, whatever else the file holds; `1.234` is either 1.234 or
1234, so it speaks for neither, and is put to a person.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.snapshot import NumberForm
from obligor.preprocessing.cells import marks_of
from obligor.preprocessing.engine import fetch_one, identifier, value

if TYPE_CHECKING:
    import duckdb

    from obligor.core.columns import DecimalMark, ThousandsMark
    from obligor.preprocessing.tape import TapeTable

UNITS = "months?|mos?|years?|yrs?|days?|weeks?|USD|EUR|GBP|CHF"
_ROWS = 10_000
_GROUP, _BLANKS = "[1-9][0-9]{0,2}", "[ '\u2019\u00a0\u2009\u202f]"
_OTHER: dict[DecimalMark, DecimalMark] = {".": ",", ",": "."}


def guess_numbers(db: duckdb.DuckDBPyConnection, table: TapeTable, *, step: int) -> NumberForm:
    """Guess the marks of a table that was read as texts, by the most values that can be read in one way only."""
    step = max(step, -(-table.rows // _ROWS))
    commas, points = (_count(db, table, _certain(mark), step=step) for mark in (",", "."))
    decimal: DecimalMark = "," if commas > points else "."
    marks: tuple[ThousandsMark, ...] = (_OTHER[decimal], " ", "'")
    found = {mark: _count(db, table, _grouped(mark, decimal), step=step) for mark in marks}
    thousands = max(marks, key=lambda mark: found[mark])
    return NumberForm(decimal, thousands if found[thousands] else None)


def may_be_either(db: duckdb.DuckDBPyConnection, texts: str, numbers: NumberForm) -> str:
    """Ask what the marks of a column's numbers are, where every one may be of a fraction or of thousands, as in `1.234`."""
    for mark, read in ((numbers.decimal, "a fraction"), (numbers.thousands, "thousands")):
        if mark in (".", ","):
            either = _beside_units(f"[-+]?{_GROUP}[{mark}][0-9]{{3}}")
            holding, open_ = fetch_one(
                db,
                f"SELECT COUNT(*), COUNT_IF(REGEXP_FULL_MATCH(text, {value(either)})) FROM {texts} "
                f"WHERE REGEXP_MATCHES(text, '[{mark}][0-9]')",
            )
            if open_ and open_ == holding:
                return (
                    f"1{mark}234 is read as {read}; is it, or {'thousands' if read == 'a fraction' else 'a fraction'}?"
                )
    return ""


def _count(db: duckdb.DuckDBPyConnection, table: TapeTable, pattern: str, *, step: int) -> int:
    counts = (f"COUNT_IF(REGEXP_FULL_MATCH({identifier(name)}, {value(pattern)}))" for name in table.columns)
    return sum(fetch_one(db, f"SELECT {', '.join(counts)} FROM {identifier(table.name)} WHERE _row % {step} = 0"))


def _certain(mark: DecimalMark) -> str:
    """Write the pattern of numbers in which this mark can be of a fraction only, or the other of thousands only."""
    other = _OTHER[mark]
    return _either(
        f"[0-9]*[{mark}]([0-9]{{1,2}}|[0-9]{{4,}})",
        f"0*[{mark}][0-9]+",
        f"[0-9]{{4,}}[{mark}][0-9]+",
        f"{_GROUP}(([{other}][0-9]{{3}})+|({_BLANKS}[0-9]{{3}})+)[{mark}][0-9]+",
        f"{_GROUP}([{other}][0-9]{{3}}){{2,}}",
    )


def _grouped(mark: ThousandsMark, decimal: DecimalMark) -> str:
    """Write the pattern of numbers in which this mark can be of thousands only; groups by blanks may be a telephone's."""
    group = f"{marks_of(mark)}[0-9]{{3}}"
    without_fraction = {" ": group, "'": f"({group})+"}.get(mark, f"({group}){{2,}}")
    return _either(f"{_GROUP}({group})+[{decimal}][0-9]+", f"{_GROUP}{without_fraction}")


def _either(*patterns: str) -> str:
    return _beside_units(f"[-+]?({'|'.join(patterns)})")


def _beside_units(number: str) -> str:
    return f"([$€£] *)?{number} *(%|[$€£]|(?i:{UNITS}))?"

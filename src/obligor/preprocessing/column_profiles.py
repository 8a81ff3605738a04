"""What a column of an unknown tape holds, told by reading its texts as each type in turn.

The same SQL reads the cells here as reads them in a run (`preprocessing.cells`), so that a type proposed from a profile
is a type that the tape keeps. A profile holds counts and limits; texts themselves only where a column has few of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from obligor.core.columns import Column
from obligor.core.snapshot import PLAIN
from obligor.preprocessing.cells import Reading, marks_of, read_cell
from obligor.preprocessing.engine import among, fetch_one, identifier, value
from obligor.preprocessing.number_forms import UNITS, may_be_either

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from obligor.core.snapshot import NumberForm
    from obligor.preprocessing.tape import TapeTable

MOST_LEVELS = 20
_READABLE = 0.995  # of the known cells, for a type to be proposed
_SOME, _MANY = 1000, 0.3  # texts, and the share of them, for it to be told what many would read as
_WITH_MARKS = "^[$€£]? *[-+]?[0-9]+([., '\u2019\u00a0\u2009\u202f][0-9]+)+ *[%$€£]?$"
_HEAD, _HEAD_READABLE = 200, 0.9  # the commonest texts, by which hopeless types are passed over
_FIRST_DAY, _LAST_DAY = date(1900, 1, 1), date(2100, 12, 31)
_MISSING = ("na", "n/a", "n.a.", "nan", "<na>", "#n/a", "null", "?", "-", "--", ".", "missing")
_MISSING_AMONG_VALUES = (
    *_MISSING,
    "none",
    "nil",
    "unknown",
    "not available",
    "not applicable",
    "exempt",
    "not stated",
    "0000-00-00",
)
_TRUTHS = ({"true", "false"}, {"yes", "no"}, {"y", "n"}, {"t", "f"})
_FORMATS = (
    "%Y/%m/%d", "%Y-%m", "%b-%Y", "%b-%y", "%d-%b-%Y", "%d-%b-%y", "%b %Y", "%B %Y", "%d %b %Y", "%m/%d/%Y", "%d/%m/%Y",
    "%d.%m.%Y", "%d.%m.%y", "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S", "%m/%Y", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S",
)  # fmt: skip
_DIGITS_ONLY = ("%Y%m%d", "%Y%m")
_DAY_FIRST, _MONTH_FIRST = "%d/%m/", "%m/%d/"


@dataclass(frozen=True, slots=True)
class ColumnProfile:
    """What one column holds.

    Parameters
    ----------
    rows, known, unread : int
        The rows that were read, the cells with a value, and the cells that cannot be read as the type.
    missing : tuple of str
        The spellings of 'not known' that occur in it.
    levels : tuple of (str, int)
        Its values as texts, with their rows, where there are few; else empty.
    extremes : tuple of (float, int)
        Its few lowest and highest numbers, rising, with their rows; empty for other types.
    days : tuple of (date, int)
        Its days, rising, with their rows; empty for other types.
    longest, spaced : int, bool
        The length of its longest text, and whether a text holds a blank.
    whole : bool
        Whether its numbers are all whole.
    nearly : str
        What many of its texts, yet too few, would read as; empty where there is nothing to say.
    """

    name: str
    rows: int
    type: Literal["number", "text", "date", "bool"] = "text"
    extract: str | None = None
    scale: float = 1.0
    format: str | None = None
    unit: str = ""
    ambiguous: str = ""
    known: int = 0
    unread: int = 0
    distinct: int = 0
    longest: int = 0
    spaced: bool = False
    whole: bool = False
    nearly: str = ""
    missing: tuple[str, ...] = ()
    levels: tuple[tuple[str, int], ...] = field(default=())
    extremes: tuple[tuple[float, int], ...] = field(default=())
    days: tuple[tuple[date, int], ...] = field(default=())


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to read a column's texts."""

    type: Literal["number", "date"]
    extract: str | None = None
    scale: float = 1.0
    format: str | None = None
    units: str = ""
    """The unit beside every number, as a pattern."""
    numbers: NumberForm = PLAIN


def _number_ways(numbers: NumberForm) -> Iterator[_Way]:
    """Offer a number by itself, as a percentage, with a unit, and with the sign of a currency before or after it."""
    letters = f"([-+0-9{_letters(numbers)}]+)"
    yield _Way("number", numbers=numbers)
    yield _Way("number", extract=f"^{letters} *%$", scale=0.01, numbers=numbers)
    yield _Way("number", extract=f"^{letters} *(?i:{UNITS})$", units=letters, numbers=numbers)
    yield _Way("number", extract=f"^[$€£] *{letters}$", numbers=numbers)
    yield _Way("number", extract=f"^{letters} *[$€£]$", numbers=numbers)


def _letters(numbers: NumberForm) -> str:
    return numbers.decimal + (marks_of(numbers.thousands)[1:-1] if numbers.thousands else "")


def number_text(number: float) -> str:
    """Write a number so that it reads back as itself: 1 for 1.0."""
    return str(int(number)) if number == int(number) else repr(number)


def profile_column(
    db: duckdb.DuckDBPyConnection, name: str, *, table: TapeTable, step: int, dated: bool, numbers: NumberForm
) -> ColumnProfile:
    """Tell what a column holds that was read as text.

    Parameters
    ----------
    step
        Every how manieth row is looked at.
    dated
        Whether its name speaks of a day, so that eight digits may be one.
    numbers
        How the table writes numbers.
    """
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE draft_texts AS SELECT {identifier(name)} AS text, COUNT(*) AS n "
        f"FROM {identifier(table.name)} WHERE _row % {step} = 0 AND {identifier(name)} IS NOT NULL GROUP BY 1"
    )
    start = ColumnProfile(name, rows=-(-table.rows // step))
    wide, strict = (_spellings(db, codes) for codes in (_MISSING_AMONG_VALUES, _MISSING))
    db.execute(
        "CREATE OR REPLACE TEMP TABLE draft_head AS SELECT text, n FROM draft_texts "
        f"WHERE NOT {among('text', wide)} ORDER BY n DESC, text LIMIT {_HEAD}"
    )
    (any_text,) = fetch_one(db, "SELECT COUNT(*) FROM draft_head")
    for way in _ways(db, dated=dated, numbers=numbers) if any_text else ():
        if _share(db, way, table="draft_head", missing=wide) >= _HEAD_READABLE:
            found = _read_as(db, way, start=replace(start, missing=wide))
            if found.known and found.unread <= (1 - _READABLE) * (found.known + found.unread):
                return _with_unit(db, found, number=way.units) if way.units else found
    found = _text(db, replace(start, missing=strict))
    return replace(found, nearly=_nearly(db, wide, numbers=numbers)) if found.distinct > MOST_LEVELS else found


def _nearly(db: duckdb.DuckDBPyConnection, missing: tuple[str, ...], *, numbers: NumberForm) -> str:
    """Say what many of a column's texts would read as: numbers with others among them or other marks, days in two formats."""
    db.execute(
        "CREATE OR REPLACE TEMP TABLE draft_some AS SELECT text, n FROM draft_texts "
        f"WHERE NOT {among('text', missing)} ORDER BY MD5(text) LIMIT {_SOME}"
    )
    ways = {"numbers": _Way("number", numbers=numbers)} | {
        f"days as {form or 'YYYY-MM-DD'}": _Way("date", format=form) for form in (None, *_FORMATS)
    }
    shares = {what: _share(db, way, table="draft_some", missing=missing) for what, way in ways.items()}
    marked, known = fetch_one(
        db, f"SELECT SUM(n) FILTER (REGEXP_MATCHES(text, {value(_WITH_MARKS)})), SUM(n) FROM draft_some"
    )
    shares["numbers with marks that `decimal` and `thousands` of the table do not name"] = (
        marked / known if known else 0.0
    )
    what = max(shares, key=lambda it: shares[it])
    return f"about {shares[what]:.0%} of its values are {what}" if shares[what] >= _MANY else ""


def _spellings(db: duckdb.DuckDBPyConnection, codes: Sequence[str]) -> tuple[str, ...]:
    sql = f"SELECT text FROM draft_texts WHERE {among('LOWER(text)', tuple(codes))} ORDER BY text"
    return tuple(text for (text,) in db.execute(sql).fetchall())


def _ways(db: duckdb.DuckDBPyConnection, *, dated: bool, numbers: NumberForm) -> Iterator[_Way]:
    """Offer the ways to read the texts, the likeliest first; numbers that begin with 0 are codes."""
    if dated:
        yield from (_Way("date", format=digits) for digits in _DIGITS_ONLY)
    (codes,) = fetch_one(db, "SELECT COUNT(*) FROM draft_texts WHERE REGEXP_MATCHES(text, '^0[0-9]')")
    if not codes:
        yield from _number_ways(numbers)
    yield _Way("date")
    yield from (_Way("date", format=one) for one in _FORMATS)


def _cells(way: _Way, *, table: str, missing: tuple[str, ...]) -> str:
    """Write the table of what each text reads as: ``n``, ``reading``, ``v``."""
    column = Column(type=way.type, extract=way.extract, scale=way.scale, format=way.format, missing=missing)
    cell = read_cell("", column, raw="text", engine_type="VARCHAR", prefix="x", numbers=way.numbers)
    query = f"SELECT text, n FROM {table}"
    for name, sql in (*cell.stages, ("x_reading", cell.reading), ("v", cell.value)):
        query = f"SELECT *, {sql} AS {name} FROM ({query})"
    if way.type == "number":
        return f"SELECT n, x_reading AS reading, v FROM ({query})"
    unlikely = f"v NOT BETWEEN {value(_FIRST_DAY)} AND {value(_LAST_DAY)}"
    return f"SELECT n, CASE WHEN {unlikely} THEN {Reading.UNPARSED} ELSE x_reading END AS reading, v FROM ({query})"


def _share(db: duckdb.DuckDBPyConnection, way: _Way, *, table: str, missing: tuple[str, ...]) -> float:
    good, known = fetch_one(
        db,
        f"SELECT SUM(n) FILTER (reading = {Reading.VALUE}), SUM(n) FILTER (reading <> {Reading.MISSING}) "
        f"FROM ({_cells(way, table=table, missing=missing)})",
    )
    return good / known if known else 0.0


def _read_as(db: duckdb.DuckDBPyConnection, way: _Way, *, start: ColumnProfile) -> ColumnProfile:
    """Read all texts in one way, and tell what came out."""
    cells = _cells(way, table="draft_texts", missing=start.missing)
    db.execute(f"CREATE OR REPLACE TEMP TABLE draft_cells AS {cells}")
    db.execute(
        "CREATE OR REPLACE TEMP TABLE draft_values AS SELECT v, CAST(SUM(n) AS BIGINT) AS n FROM draft_cells "
        f"WHERE reading = {Reading.VALUE} GROUP BY v"
    )
    known, distinct = fetch_one(db, "SELECT SUM(n), COUNT(*) FROM draft_values")
    (unread,) = fetch_one(db, f"SELECT SUM(n) FROM draft_cells WHERE reading > {Reading.SPECIAL}")
    found = replace(
        start, type=way.type, extract=way.extract, scale=way.scale, format=way.format,
        known=known, unread=unread, distinct=distinct,
    )  # fmt: skip
    if way.type == "date":
        other = way.format and way.format.replace(_MONTH_FIRST, _DAY_FIRST)
        either = (
            _share(db, it, table="draft_texts", missing=start.missing) for it in (way, replace(way, format=other))
        )
        asked = "day before month, or month before day?" if other != way.format and len(set(either)) == 1 else ""
        return replace(found, days=tuple(_pairs(db, "v")), ambiguous=asked)
    (fractions,) = fetch_one(db, "SELECT COUNT(*) FROM draft_values WHERE v <> FLOOR(v)")
    levels = tuple((number_text(v), n) for v, n in _pairs(db, "v")) if distinct <= MOST_LEVELS else ()
    lowest, highest = (list(_pairs(db, order, limit=MOST_LEVELS)) for order in ("v", "v DESC"))
    found = replace(found, ambiguous=may_be_either(db, "draft_texts", way.numbers))
    return replace(found, whole=not fractions, levels=levels, extremes=tuple(sorted({*lowest, *highest})))


def _pairs(db: duckdb.DuckDBPyConnection, order: str, *, limit: int | None = None) -> Iterator[tuple[Any, int]]:
    some = "" if limit is None else f" LIMIT {limit}"
    yield from db.execute(f"SELECT v, n FROM draft_values ORDER BY {order}{some}").fetchall()


def _with_unit(db: duckdb.DuckDBPyConnection, profile: ColumnProfile, *, number: str) -> ColumnProfile:
    """Name the unit where one is written beside every number; units that differ make it a text."""
    sql = "SELECT DISTINCT LOWER(REGEXP_EXTRACT(text, '([A-Za-z]+)$', 1)) FROM draft_head ORDER BY 1"
    units = [unit for (unit,) in db.execute(sql).fetchall()]
    if len({unit.removesuffix("s") for unit in units}) > 1:
        return _text(db, replace(ColumnProfile(profile.name, rows=profile.rows), missing=_spellings(db, _MISSING)))
    return replace(profile, unit=units[-1], extract=f"^{number} *(?i:{'|'.join(units)})$")


def _text(db: duckdb.DuckDBPyConnection, start: ColumnProfile) -> ColumnProfile:
    kept = f"FROM draft_texts WHERE NOT {among('text', start.missing)}"
    counts = f"SELECT SUM(n), COUNT(*), MAX(LENGTH(text)), COUNT_IF(CONTAINS(text, ' ')) {kept}"
    known, distinct, longest, spaced = fetch_one(db, counts)
    found = replace(start, known=known, distinct=distinct, longest=longest, spaced=spaced > 0)
    if distinct > MOST_LEVELS:
        return found
    levels = tuple(db.execute(f"SELECT text, n {kept} ORDER BY text").fetchall())
    truths = {text.lower() for text, _ in levels}
    return replace(found, levels=levels, type="bool" if truths in _TRUTHS else "text")


# --- codes that are not values -----------------------------------------------------------------------------------

_REPEATED, _FAR, _ISOLATED = 2, 2, 20
_FEW_VALUES = 5
_HIGH_CODE = re.compile(r"9+[6-9]")
_LOW_CODE = re.compile(r"-([1789]|9+[6-9])")


def special_codes(profile: ColumnProfile, *, personal: bool) -> tuple[float, ...]:
    """Give the numbers that look like codes: repeated, and far outside the rest, such as 98 above counts below 14.

    In a personal column only numbers that are written like codes are given, because another may be a person's own.
    """
    if profile.scale != 1 or profile.extract or profile.distinct <= _REPEATED:
        return ()
    numbers = [number for number, _ in profile.extremes]
    counts = dict(profile.extremes)
    high = _ends(list(reversed(numbers)), counts, shape=_HIGH_CODE)
    low = _ends(numbers, counts, shape=_LOW_CODE)
    rest = [number for number in numbers if number not in (*high, *low)]
    left = profile.distinct - len(high) - len(low)
    if left < _REPEATED or not rest:
        return ()
    high = high if high and min(high) > _FAR * max(rest[-1], 1) else []
    low = low if low and rest[0] >= 0 and (max(low) < -1 or left >= _FEW_VALUES) else []
    isolated = [] if high or personal else _isolated(numbers, counts, left=left)
    return tuple(sorted({*low, *high, *isolated}))


def _ends(numbers: list[float], counts: dict[float, int], *, shape: re.Pattern[str]) -> list[float]:
    """Take codes from one end, as long as they are written like codes and occur more than once."""
    found: list[float] = []
    for number in numbers:
        if not shape.fullmatch(number_text(number)) or counts[number] < _REPEATED:
            break
        found.append(number)
    return found


def _isolated(numbers: list[float], counts: dict[float, int], *, left: int) -> list[float]:
    *rest, last = numbers
    far = last >= _ISOLATED * max(abs(rest[0]), abs(rest[-1]), 50)
    return [last] if far and counts[last] >= _FEW_VALUES and left > _FEW_VALUES else []

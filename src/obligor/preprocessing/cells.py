"""How one column's raw cells become values of the contract's type, written as SQL for the bulk engine.

A cell passes through stages: blanks trimmed, missing codes dropped, the value extracted, parsed, scaled and brought
within the border of numbers. What it turned out to be is kept as a small number beside its value (`Reading`), because
a cell that cannot be read must be counted, and never become a missing value in silence.

Decisions that could have gone otherwise:

- the texts `nan`, `inf` and `1e400` are numbers that are not finite, not missing values, unless the contract lists them
  under `missing`; a NaN of a Parquet file is missing, because there it is how missing numbers are written;
- a missing code of a number column is compared as text and, once parsed, as a number: `-1` also meets `-1.00`;
- a special code is compared as it stands in the raw data, before `scale`, and stays unscaled. A scaled value that
  would fall on a special code is a cell that cannot be read (`collides`): nothing could tell the two apart any more;
- `1_000` is no number, nor is one with a mark that the contract does not name: `1,000` only where `thousands` or
  `decimal` is a comma. A mark of thousands must stand before every three digits of the whole part, or before none: a
  `1.23`, `0.250` or `1234.567` cannot be read where the dot is that mark, as it may well be a fraction;
- a minus may stand behind a number with a decimal comma, as accounts on the continent print it: `12,50-`. Behind a whole number
  it cannot be read, as `18-` may well be a span;
- a value beyond limits that the contract refuses to see broken is a fault, as one that cannot be read; beyond others it is a
  value, and it is for who reads it to say what becomes of it;
- a date without `format` is YYYY-MM-DD, and a time of day after it is dropped,
  with its zone: the day is the one that was written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import IntEnum
from typing import TYPE_CHECKING

import duckdb

from obligor.core.errors import ContractError, TapeError
from obligor.core.snapshot import PLAIN
from obligor.core.syntax import LARGEST, SMALLEST
from obligor.core.text import LOWER
from obligor.preprocessing.engine import among, value

if TYPE_CHECKING:
    from obligor.core.columns import Column
    from obligor.core.snapshot import NumberForm

_TRUE, _FALSE = ("true", "t", "yes", "y", "1"), ("false", "f", "no", "n", "0")
_CAPITALS = "".join(map(chr, LOWER))
_SMALL = "".join(map(chr, LOWER.values()))
_ISO = r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.,]\d+)?)? ?(Z|UTC|[+-]\d{2}(:?\d{2})?)?)?"
_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
_WHOLE = (*_INTEGERS, *(f"U{name}" for name in _INTEGERS))
_FRACTIONS = ("FLOAT", "DOUBLE")
_TEXTS = ("VARCHAR", "ENUM", '"NULL"')  # the last where a file holds no value at all
_DAYS = ("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE")


class Reading(IntEnum):
    """What a raw cell turned out to be."""

    VALUE = 0
    MISSING = 1
    SPECIAL = 2
    UNPARSED = 3
    NOT_FINITE = 4
    COLLIDES = 5
    BELOW_MIN = 6
    ABOVE_MAX = 7


FIRST_FAULT = Reading.UNPARSED


@dataclass(frozen=True, slots=True)
class Cell:
    """A column as it is read: expressions that build on each other, then its reading and its value.

    Parameters
    ----------
    stages : tuple of (str, str)
        Name and SQL, in order; each may read the raw columns and the stages before it.
    reading, value : str
        The SQL of the `Reading`, over the stages; and of the value, over the stages and ``{prefix}_reading``.
    readable : bool
        Whether every cell can be read, so that nobody need look.
    """

    prefix: str
    stages: tuple[tuple[str, str], ...]
    reading: str
    value: str
    readable: bool = False


def read_cell(
    name: str, column: Column, *, raw: str, engine_type: str, prefix: str, numbers: NumberForm = PLAIN
) -> Cell:
    """Write how the cells of a column are read.

    Parameters
    ----------
    raw
        The SQL name of the raw column.
    engine_type
        The type that the engine gives the raw column: VARCHAR for a text file.
    prefix
        What the names of its stages begin with.
    numbers
        How texts write numbers.
    """
    kind = _kind(engine_type)
    if column.type == "number" and kind in ("number", "bool"):
        return _native_number(column, raw=raw, prefix=prefix)
    if column.type == "date" and kind == "day":
        return _native_day(column, raw=raw, prefix=prefix)
    if kind is None or (kind == "day" and column.type in ("number", "bool")):
        raise TapeError(f"column '{name}' holds {engine_type} in the file; wanted what can be read as a {column.type}")
    texts = _texts(column, raw=_as_text(raw, engine_type), prefix=prefix)
    if column.type == "number":
        return _number(column, texts, prefix=prefix, numbers=numbers)
    return {"date": _date, "bool": _bool, "text": _text}[column.type](column, texts, prefix=prefix)


def plain_number(text: str, numbers: NumberForm) -> str:
    """Write a number as SQL that has a decimal point and no other mark; NULL where it does not follow the form."""
    if numbers == PLAIN:
        return text
    if numbers.decimal == ",":
        text = f"REGEXP_REPLACE({text}, '^([0-9][^,]*,[0-9]+)-$', '-\\1')"
    point, mark = numbers.decimal, marks_of(numbers.thousands) if numbers.thousands else ""
    grouped = f"[-+]?[1-9][0-9]{{0,2}}({mark}[0-9]{{3}})+([{point}][0-9]*)?"
    whole = f"REGEXP_REPLACE({text}, {value(mark)}, '', 'g')"
    bare = f"CASE WHEN REGEXP_FULL_MATCH({text}, {value(grouped)}) THEN {whole} ELSE {text} END" if mark else text
    if point == ".":
        return bare
    return f"CASE WHEN NOT CONTAINS({bare}, '.') THEN REPLACE({bare}, ',', '.') END"


def marks_of(thousands: str) -> str:
    """Write the class of the letters that stand for a mark of thousands."""
    return {" ": "[ \u00a0\u2009\u202f]", "'": "['\u2019]"}.get(thousands, f"[{thousands}]")


def check_patterns(db: duckdb.DuckDBPyConnection, name: str, *, column: Column) -> None:
    """Refuse a column whose `extract` or `format` the engine does not understand."""
    if column.extract is not None:
        _try(db, "SELECT regexp_matches('', ?)", column.extract, what=f"column '{name}': extract")
        if _groups(column.extract) != 1:
            raise ContractError(f"column '{name}': extract has {_groups(column.extract)} groups; wanted exactly one")
    if column.format is not None:
        _try(db, "SELECT try_strptime('', ?)", column.format, what=f"column '{name}': format")


def _try(db: duckdb.DuckDBPyConnection, sql: str, pattern: str, *, what: str) -> None:
    try:
        db.execute(sql, [pattern]).fetchall()
    except duckdb.Error as error:
        raise ContractError(f"{what} {pattern!r} is not understood: {str(error).splitlines()[0]}") from error


def _groups(pattern: str) -> int:
    """Count the groups of a pattern of RE2; where Python's own reader does not know its syntax, trust it."""
    try:
        return re.compile(pattern).groups
    except re.error:
        return 1


def _kind(engine_type: str) -> str | None:
    stem = engine_type.partition("(")[0]
    if stem in _TEXTS:
        return "text"
    if stem in (*_WHOLE, *_FRACTIONS, "DECIMAL"):
        return "number"
    return {"BOOLEAN": "bool"}.get(stem, "day" if stem in _DAYS else None)


def _as_text(raw: str, engine_type: str) -> str:
    """Write a typed cell as a person would: 36.0 is 36, a day without its time is YYYY-MM-DD."""
    text = f"CAST({raw} AS VARCHAR)"
    if engine_type in _FRACTIONS:
        whole = f"{raw} = FLOOR({raw}) AND ABS({raw}) <= {value(LARGEST)}"
        return (
            f"CASE WHEN ISNAN({raw}) THEN NULL WHEN {whole} THEN CAST(CAST({raw} AS BIGINT) AS VARCHAR) ELSE {text} END"
        )
    return text


# --- cells that are texts ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Texts:
    """The stages up to the text that is to be parsed, and the names of those that matter."""

    stages: tuple[tuple[str, str], ...]
    known: str  # the trimmed text, NULL where it is missing
    text: str  # what is to be parsed, NULL where the pattern finds nothing
    unmatched: str  # whether there is a text that the pattern does not fit


def _texts(column: Column, *, raw: str, prefix: str) -> _Texts:
    trimmed, known, text = f"{prefix}_trimmed", f"{prefix}_known", f"{prefix}_text"
    codes = ("", *column.missing)
    stages = [(trimmed, f"TRIM({raw}, ' ')"), (known, f"CASE WHEN NOT {among(trimmed, codes)} THEN {trimmed} END")]
    if column.extract is None:
        return _Texts(tuple(stages), known, known, "FALSE")
    pattern = value(column.extract)
    stages.append((text, f"NULLIF(TRIM(REGEXP_EXTRACT({known}, {pattern}, 1), ' '), '')"))
    return _Texts(tuple(stages), known, text, f"NOT REGEXP_MATCHES({known}, {pattern})")


def _number(column: Column, texts: _Texts, *, prefix: str, numbers: NumberForm) -> Cell:
    parsed, whole = f"{prefix}_parsed", f"{prefix}_whole"
    stages = [*texts.stages, (parsed, f"TRY_CAST({plain_number(texts.text, numbers)} AS DOUBLE)")]
    if texts.text != texts.known:  # a code stands for the whole cell, so it may lie outside the pattern
        stages.append((whole, f"TRY_CAST({plain_number(texts.known, numbers)} AS DOUBLE)"))
    readings = (whole, parsed) if texts.text != texts.known else (parsed,)
    return _numeric(
        column,
        parsed=parsed,
        readings=readings,
        stages=tuple(stages),
        prefix=prefix,
        absent=f"{texts.known} IS NULL",
        unreadable=f"{texts.unmatched} "
        f"OR ({texts.text} IS NOT NULL AND ({parsed} IS NULL OR CONTAINS({texts.text}, '_')))",
    )


def _date(column: Column, texts: _Texts, *, prefix: str) -> Cell:
    parsed = f"{prefix}_parsed"
    sql = (
        f"CAST(TRY_STRPTIME({texts.text}, {value(column.format)}) AS DATE)"
        if column.format is not None
        else f"CASE WHEN REGEXP_FULL_MATCH({texts.text}, {value(_ISO)}) "
        f"THEN TRY_CAST(LEFT({texts.text}, 10) AS DATE) END"
    )
    return _parsed(column, texts, sql=sql, parsed=parsed, valid=_calendar(parsed), prefix=prefix)


def _bool(column: Column, texts: _Texts, *, prefix: str) -> Cell:
    parsed = f"{prefix}_parsed"
    low = f"LOWER({texts.text})"
    sql = f"CASE WHEN {among(low, _TRUE)} THEN TRUE WHEN {among(low, _FALSE)} THEN FALSE END"
    return _parsed(column, texts, sql=sql, parsed=parsed, valid=f"{parsed} IS NOT NULL", prefix=prefix)


def _parsed(column: Column, texts: _Texts, *, sql: str, parsed: str, valid: str, prefix: str) -> Cell:
    """Read dates and truths, which have no place for a special code: there it counts as missing."""
    codes = tuple(str(code) for code in column.special)
    reading = (
        f"CASE WHEN {texts.known} IS NULL OR {among(texts.known, codes)} THEN {Reading.MISSING} "
        f"WHEN {texts.unmatched} THEN {Reading.UNPARSED} WHEN {texts.text} IS NULL THEN {Reading.MISSING} "
        f"WHEN {valid} THEN {Reading.VALUE} ELSE {Reading.UNPARSED} END"
    )
    return Cell(
        prefix, (*texts.stages, (parsed, sql)), _limited(reading, column, of=parsed), _where_value(parsed, prefix)
    )


def _text(column: Column, texts: _Texts, *, prefix: str) -> Cell:
    cased = f"{prefix}_cased"
    stages = (*texts.stages, (cased, _cased(texts.text, column.case)))
    reading = (
        f"CASE WHEN {texts.known} IS NULL THEN {Reading.MISSING} WHEN {texts.unmatched} THEN {Reading.UNPARSED} "
        f"WHEN {texts.text} IS NULL THEN {Reading.MISSING} ELSE {Reading.VALUE} END"
    )
    arms = " ".join(f"WHEN {value(old)} THEN {value(new)}" for old, new in column.map.items())
    renamed = f"CASE {cased} {arms} ELSE {cased} END" if arms else cased
    return Cell(prefix, stages, reading, _where_value(renamed, prefix), readable=column.extract is None)


def _cased(text: str, case: str) -> str:
    if case == "keep":
        return text
    old, new = (_CAPITALS, _SMALL) if case == "lower" else (_SMALL, _CAPITALS)
    return f"TRANSLATE({text}, '{old}', '{new}')"


# --- cells that the file has typed -------------------------------------------------------------------------------


def _native_number(column: Column, *, raw: str, prefix: str) -> Cell:
    parsed = f"{prefix}_parsed"
    stages = ((parsed, f"CAST({raw} AS DOUBLE)"),)
    absent = f"{parsed} IS NULL OR ISNAN({parsed})"
    return _numeric(
        column,
        parsed=parsed,
        readings=(parsed,),
        stages=stages,
        prefix=prefix,
        absent=absent,
        unreadable="FALSE",
    )


def _native_day(column: Column, *, raw: str, prefix: str) -> Cell:
    parsed = f"{prefix}_parsed"
    finite = f"CASE WHEN ISFINITE({raw}) THEN CAST({raw} AS DATE) END"
    reading = (
        f"CASE WHEN {raw} IS NULL THEN {Reading.MISSING} WHEN {_calendar(parsed)} THEN {Reading.VALUE} "
        f"ELSE {Reading.UNPARSED} END"
    )
    return Cell(prefix, ((parsed, finite),), _limited(reading, column, of=parsed), _where_value(parsed, prefix))


# --- what both have in common ------------------------------------------------------------------------------------


def _numeric(
    column: Column,
    *,
    parsed: str,
    readings: tuple[str, ...],
    stages: tuple[tuple[str, str], ...],
    prefix: str,
    absent: str,
    unreadable: str,
) -> Cell:
    specials = tuple(float(code) for code in column.special)
    missing = tuple(number for code in column.missing if (number := _finite(code)) is not None)
    scaled = parsed if column.scale == 1 else f"({parsed} * {value(column.scale)})"
    collides = f"WHEN {among(scaled, specials)} THEN {Reading.COLLIDES} " if column.scale != 1 and specials else ""
    plain = f"WHEN ABS({scaled}) <= {value(LARGEST)} THEN {Reading.VALUE} "  # first, since most cells are; NaN is above
    reading = (
        f"CASE {plain if unreadable == 'FALSE' and not (missing or specials) else ''}WHEN {absent} THEN {Reading.MISSING} "
        f"WHEN {_any(readings, missing)} THEN {Reading.MISSING} WHEN {_any(readings, specials)} THEN {Reading.SPECIAL} "
        f"WHEN {unreadable} THEN {Reading.UNPARSED} WHEN {parsed} IS NULL THEN {Reading.MISSING} "
        f"WHEN NOT ISFINITE({parsed}) OR ABS({scaled}) > {value(LARGEST)} THEN {Reading.NOT_FINITE} "
        f"{collides}ELSE {Reading.VALUE} END"
    )
    code = " ".join(f"WHEN {among(reading, specials)} THEN {reading}" for reading in readings)
    final = (
        f"CASE {prefix}_reading WHEN {Reading.VALUE} THEN "
        f"CASE WHEN ABS({scaled}) < {value(SMALLEST)} THEN {value(0.0)} ELSE {scaled} END "
        + (f"WHEN {Reading.SPECIAL} THEN (CASE {code} END) + {value(0.0)} " if specials else "")
        + "END"
    )
    return Cell(prefix, stages, _limited(reading, column, of=scaled), final)


def _limited(reading: str, column: Column, *, of: str) -> str:
    """Write a reading for which a value beyond limits that refuse is a fault."""
    if not column.refuses:
        return reading
    below = f"WHEN {of} < {value(column.min)} THEN {Reading.BELOW_MIN} " if column.min is not None else ""
    above = f"WHEN {of} > {value(column.max)} THEN {Reading.ABOVE_MAX} " if column.max is not None else ""
    limited = f"CASE {below}{above}ELSE {Reading.VALUE} END"
    return f"CASE {reading} WHEN {Reading.VALUE} THEN {limited} ELSE {reading} END"


def _any(readings: tuple[str, ...], numbers: tuple[float, ...]) -> str:
    return "(" + " OR ".join(among(reading, numbers) for reading in readings) + ")"


def _finite(code: str) -> float | None:
    try:
        number = float(code)
    except ValueError:
        return None
    return number if abs(number) <= LARGEST else None


def _calendar(day: str) -> str:
    return f"{day} BETWEEN {value(date.min)} AND {value(date.max)}"


def _where_value(sql: str, prefix: str) -> str:
    return f"CASE WHEN {prefix}_reading = {Reading.VALUE} THEN {sql} END"

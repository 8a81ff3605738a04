"""A column as the scorer cleans it, written as SQL: missing codes, case, renamed levels, caps, special codes.

What is written here means the same as the lines that ``core.scorer`` compiles for one application.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.dialects import Dialect, literal, lower_sql, trim_sql, upper_sql

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obligor.core.columns import Column
    from obligor.core.syntax import Scalar


def known_sql(text: str, column: Column, dialect: Dialect) -> str:
    """Drop missing codes; bring a text to its case and rename it. ``text`` is the name of a value without blanks around it."""
    if column.type == "number" and column.missing_numbers:
        return f"CASE WHEN {text} IN ({_listed(column.missing_numbers, dialect)}) THEN NULL ELSE {text} END"
    if column.type != "text":
        return text
    cased = {"keep": text, "lower": lower_sql(text), "upper": upper_sql(text)}[column.case]
    arms = " ".join(f"WHEN {literal(old, dialect)} THEN {literal(new, dialect)}" for old, new in column.map.items())
    named = f"CASE {cased} {arms} ELSE {cased} END" if arms else cased
    return f"CASE WHEN {text} IN ({_listed(('', *column.missing), dialect)}) THEN NULL ELSE {named} END"


def trimmed_sql(text: str, column: Column, dialect: Dialect) -> str:
    """Rid a text of the blanks around it."""
    return trim_sql(text, dialect) if column.type == "text" else text


def capped_sql(text: str, column: Column, cap: tuple[float, float] | None, dialect: Dialect) -> str:
    """Set a number back to its caps, but for special codes."""
    if cap is None:
        return text
    low, high = (literal(float(limit), dialect) for limit in cap)
    special = f"WHEN {text} IN ({_listed(column.special, dialect)}) THEN {text} " if column.special else ""
    return f"CASE {special}WHEN {text} < {low} THEN {low} WHEN {text} > {high} THEN {high} ELSE {text} END"


def plain_sql(text: str, column: Column, dialect: Dialect) -> str:
    """Take special codes for missing, as every expression does."""
    if not column.special or column.type not in ("number", "text"):
        return text
    return f"CASE WHEN {text} IN ({_listed(column.special, dialect)}) THEN NULL ELSE {text} END"


def _listed(codes: Iterable[Scalar], dialect: Dialect) -> str:
    return ", ".join(literal(code, dialect) for code in dict.fromkeys(codes))

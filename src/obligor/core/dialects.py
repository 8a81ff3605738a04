"""Checked expressions written as SQL for each engine, with the meaning they have in Python.

`emit` walks the checked tree; no SQL translator is involved, because translators keep names and change meanings. What
differs from the plain text of an expression, and why:

- a number literal is ``CAST('0.1' AS DOUBLE)``: engines read 0.1 as DECIMAL, and 7 / 2 as 3;
- every divisor is ``NULLIF(b, 0)``: x / 0 is an error, an infinity or NaN, by engine;
- LEAST and GREATEST skip NULL in DuckDB, PostgreSQL and Spark, hence a guard there; Snowflake and BigQuery give NULL;
- FLOOR and CEIL give a BIGINT on Spark, and an error beyond its range: there a number so large is left as it is;
- LOWER is of A to Z, and TRIM of the plain blank, in every engine;
- numbers leave with ``+ 0``, which rids them of minus zero.

Column values must have crossed the border (`border_sql`), as `emit_select` sees to.
"""

from __future__ import annotations

import string
from datetime import date
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from obligor.core.errors import ExpressionError
from obligor.core.expressions import Expression, dependency_levels, inputs_of
from obligor.core.syntax import LARGEST, SMALLEST, ColumnType, Node, Scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Dialect(StrEnum):
    """An engine whose SQL can be written."""

    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    SPARK = "spark"
    SNOWFLAKE = "snowflake"
    BIGQUERY = "bigquery"


def quote(name: str, dialect: Dialect) -> str:
    """Write a name so that it is read as it stands, whatever is in it."""
    if not name or "\0" in name:
        raise ExpressionError(f"{name!r} cannot be a column's name")
    if dialect is Dialect.BIGQUERY:
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"
    if dialect is Dialect.SPARK:
        return "`" + name.replace("`", "``") + "`"
    return '"' + name.replace('"', '""') + '"'


def literal(value: Scalar, dialect: Dialect) -> str:
    """Write a value; a text may hold anything but the NUL character, which no engine knows."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return f"CAST('{value!r}' AS {_TYPES[dialect]['number']})"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    if dialect in _BACKSLASH:
        value = value.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    quoted = "\\'" if dialect in {Dialect.SPARK, Dialect.BIGQUERY} else "''"
    return "'" + value.replace("'", quoted) + "'"


def border_sql(column_sql: str, column_type: ColumnType, dialect: Dialect) -> str:
    """Write a column as it enters the expressions of every engine; `expressions.border_value` says the same."""
    value = f"CAST({column_sql} AS {_TYPES[dialect][column_type]})"
    if column_type == "number":
        low, high, small, zero = (literal(number, dialect) for number in (-LARGEST, LARGEST, SMALLEST, 0.0))
        clean = f"CASE WHEN ABS({value}) < {small} THEN {zero} ELSE {value} END"
        return f"CASE WHEN {value} BETWEEN {low} AND {high} THEN {clean} END"
    if column_type == "date":
        first, last = literal(date.min, dialect), literal(date.max, dialect)
        return f"CASE WHEN {value} BETWEEN {first} AND {last} THEN {value} END"
    return value


def emit(expression: Expression, dialect: Dialect, *, columns: Mapping[str, str] | None = None) -> str:
    """Write an expression as the text of one SQL scalar.

    Parameters
    ----------
    columns
        The SQL that stands for a name, already across the border; a name that is not here is quoted.
    """
    text = _emit(expression.tree, dialect, columns or {})
    return _output(text) if expression.type == "number" and expression.tree.op != "column" else text


def emit_select(
    expressions: Mapping[str, Expression],
    *,
    table: str,
    dialect: Dialect,
    inputs: Mapping[str, ColumnType],
    passthrough: Sequence[str] = (),
) -> str:
    """Write one SELECT of some columns as they are and of every feature.

    Features that read others stand in later common table expressions. PostgreSQL would put the text of the earlier
    into the later again and again, so there each is MATERIALIZED.

    Parameters
    ----------
    table
        The relation, written as SQL.
    inputs
        The type of every column that the features may read.
    """
    _check_inputs(expressions, inputs=inputs, passthrough=passthrough)
    names = {name: f"c{index}" for index, name in enumerate(inputs_of(expressions))}
    kept = {name: f"p{index}" for index, name in enumerate(passthrough)}
    first = [f"{quote(name, dialect)} AS {kept[name]}" for name in passthrough]
    first += [f"{border_sql(quote(name, dialect), inputs[name], dialect)} AS {names[name]}" for name in names]
    steps = [f"level_0 AS {materialized(dialect)}(\n  SELECT {_listed(first or ['1 AS one'])}\n  FROM {table}\n)"]  # noqa: S608 - names are quoted
    for level in dependency_levels(expressions):
        values = [f"{emit(expressions[it], dialect, columns=names)} AS f{len(names) + i}" for i, it in enumerate(level)]
        names |= {it: f"f{len(names) + i}" for i, it in enumerate(level)}
        select = f"SELECT {_listed(['*', *values])}\n  FROM level_{len(steps) - 1}"  # noqa: S608 - as above
        steps.append(f"level_{len(steps)} AS {materialized(dialect)}(\n  {select}\n)")
    result = [f"{kept[name]} AS {quote(name, dialect)}" for name in passthrough]
    result += [f"{names[name]} AS {quote(name, dialect)}" for name in expressions]
    return f"WITH {', '.join(steps)}\nSELECT {_listed(result)}\nFROM level_{len(steps) - 1}"


_NAMES_OF_TYPES: Final[Mapping[ColumnType, str]] = {
    "number": "DOUBLE",
    "text": "VARCHAR",
    "date": "DATE",
    "bool": "BOOLEAN",
}
_TYPES: Final[Mapping[Dialect, Mapping[ColumnType, str]]] = {
    Dialect.DUCKDB: _NAMES_OF_TYPES,
    Dialect.POSTGRES: {**_NAMES_OF_TYPES, "number": "DOUBLE PRECISION", "text": "TEXT"},
    Dialect.SPARK: {**_NAMES_OF_TYPES, "text": "STRING"},
    Dialect.SNOWFLAKE: _NAMES_OF_TYPES,
    Dialect.BIGQUERY: {"number": "FLOAT64", "text": "STRING", "date": "DATE", "bool": "BOOL"},
}
_INFIX: Final[Mapping[str, str]] = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "eq": "=",
    "ne": "<>",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "and": "AND",
    "or": "OR",
}
_TEMPLATES: Final[Mapping[str, str]] = {
    "neg": "(-{0})",
    "not": "(NOT {0})",
    "is_null": "({0} IS NULL)",
    "between": "({0} BETWEEN {1} AND {2})",
    "nullif": "NULLIF({0}, {1})",
    "abs": "ABS({0})",
    "year": "CAST(EXTRACT(YEAR FROM {0}) AS {number})",
    "month": "CAST(EXTRACT(MONTH FROM {0}) AS {number})",
    "full_months": "CAST((EXTRACT(YEAR FROM {0}) - EXTRACT(YEAR FROM {1})) * 12"
    " + EXTRACT(MONTH FROM {0}) - EXTRACT(MONTH FROM {1})"
    " - CASE WHEN EXTRACT(DAY FROM {0}) < EXTRACT(DAY FROM {1}) THEN 1 ELSE 0 END AS {number})",
}
_DAYS: Final[Mapping[Dialect, str]] = {
    Dialect.DUCKDB: "DATE_DIFF('day', {1}, {0})",
    Dialect.POSTGRES: "({0} - {1})",
    Dialect.SPARK: "DATEDIFF({0}, {1})",
    Dialect.SNOWFLAKE: "DATEDIFF(DAY, {1}, {0})",
    Dialect.BIGQUERY: "DATE_DIFF({0}, {1}, DAY)",
}
_BACKSLASH: Final = frozenset((Dialect.SPARK, Dialect.SNOWFLAKE, Dialect.BIGQUERY))
_BIGINT, _WHOLE = (
    2.0**63,
    2.0**53,
)  # Spark rounds to whole numbers of 64 bits; a double beyond the second has no fraction
_NULL_IF_ANY: Final = frozenset((Dialect.SNOWFLAKE, Dialect.BIGQUERY))


def type_sql(column_type: ColumnType, dialect: Dialect) -> str:
    """Write the engine's name for a type."""
    return _TYPES[dialect][column_type]


def days_between_sql(later: str, earlier: str, dialect: Dialect) -> str:
    """Write the whole number of days from one date to another."""
    return _DAYS[dialect].format(later, earlier)


def lower_sql(text: str) -> str:
    """Write a text with A to Z in lower case."""
    return f"TRANSLATE({text}, '{string.ascii_uppercase}', '{string.ascii_lowercase}')"


def upper_sql(text: str) -> str:
    """Write a text with a to z in upper case."""
    return f"TRANSLATE({text}, '{string.ascii_lowercase}', '{string.ascii_uppercase}')"


def trim_sql(text: str, dialect: Dialect) -> str:
    """Write a text without the blanks around it."""
    return f"TRIM(BOTH ' ' FROM {text})" if dialect in {Dialect.POSTGRES, Dialect.SPARK} else f"TRIM({text}, ' ')"


def materialized(dialect: Dialect) -> str:
    """Write what keeps an engine from putting the text of a common table expression into those that read it."""
    return "MATERIALIZED " if dialect is Dialect.POSTGRES else ""


def _emit(node: Node, dialect: Dialect, columns: Mapping[str, str]) -> str:
    if node.op == "column":
        return columns.get(str(node.value)) or quote(str(node.value), dialect)
    if node.op == "literal" and node.value is not None:
        return literal(node.value, dialect)
    args = [_emit(arg, dialect, columns) for arg in node.args]
    if node.op in _INFIX:
        return f"({f' {_INFIX[node.op]} '.join(args)})"
    if node.op in _TEMPLATES:
        return _TEMPLATES[node.op].format(*args, number=_TYPES[dialect]["number"])
    return _SPECIAL[node.op](node, args, dialect)


def _null(_node: Node, _args: list[str], _dialect: Dialect) -> str:
    return "NULL"


def _divided(node: Node, args: list[str], dialect: Dialect) -> str:
    return f"({args[0]} / {_divisor(node.args[1], args[1], dialect)})"


def _divisor(node: Node, text: str, dialect: Dialect) -> str:
    if (node.op == "literal" and node.value) or (node.op == "nullif" and node.args[1].value == 0.0):
        return text
    return f"NULLIF({text}, {literal(0.0, dialect)})"


def _member(_node: Node, args: list[str], _dialect: Dialect) -> str:
    return f"({args[0]} IN ({', '.join(args[1:])}))"


def _case(_node: Node, args: list[str], _dialect: Dialect) -> str:
    arms = [f"WHEN {args[i]} THEN {args[i + 1]}" for i in range(0, len(args) - 1, 2)]
    otherwise = [f"ELSE {args[-1]}"] if len(args) % 2 else []
    return " ".join(("CASE", *arms, *otherwise, "END"))


def _coalesce(_node: Node, args: list[str], _dialect: Dialect) -> str:
    return f"COALESCE({', '.join(args)})"


def _extreme(node: Node, args: list[str], dialect: Dialect) -> str:
    text = f"{node.op.upper()}({', '.join(args)})"
    present = [f"{arg} IS NOT NULL" for arg, part in zip(args, node.args, strict=True) if part.op != "literal"]
    if dialect in _NULL_IF_ANY or not present:
        return text
    return f"CASE WHEN {' AND '.join(present)} THEN {text} END"


def _rounded(node: Node, args: list[str], dialect: Dialect) -> str:
    text = f"{node.op.upper()}({args[0]})"
    if dialect is not Dialect.SPARK:
        return text
    whole = f"CAST({text} AS DOUBLE)"
    if node.args[0].magnitude.highest < _BIGINT:
        return whole
    return f"CASE WHEN ABS({args[0]}) < {literal(_WHOLE, dialect)} THEN {whole} ELSE {args[0]} END"


def _lower(_node: Node, args: list[str], _dialect: Dialect) -> str:
    return lower_sql(args[0])


def _trim(_node: Node, args: list[str], dialect: Dialect) -> str:
    return trim_sql(args[0], dialect)


def _days(_node: Node, args: list[str], dialect: Dialect) -> str:
    return f"CAST({days_between_sql(args[0], args[1], dialect)} AS {_TYPES[dialect]['number']})"


def _output(text: str) -> str:
    return f"({text} + 0)"


_SPECIAL: dict[str, Callable[[Node, list[str], Dialect], str]] = {
    "null": _null,
    "div": _divided,
    "in": _member,
    "case": _case,
    "coalesce": _coalesce,
    "least": _extreme,
    "greatest": _extreme,
    "floor": _rounded,
    "ceil": _rounded,
    "lower": _lower,
    "trim": _trim,
    "days_between": _days,
}


def _check_inputs(
    expressions: Mapping[str, Expression], *, inputs: Mapping[str, ColumnType], passthrough: Sequence[str]
) -> None:
    for name, column_type in inputs_of(expressions).items():
        found = inputs.get(name, "no such column")
        if found != column_type:
            raise ExpressionError(f"the features read column {name!r} as {column_type}, the table has {found}")
    if twice := sorted(set(passthrough) & set(expressions)):
        raise ExpressionError(f"{twice[0]!r} is both a column to pass through and a feature")


def _listed(parts: Sequence[str]) -> str:
    return ",\n    ".join(parts)

"""Features from histories (repayments, bureau records): what was known about an applicant before the decision.

A history row counts for an application only if it *happened* before the application and had *arrived* before it,
both strictly: ``event_at < applied_at AND arrived_at < applied_at``. A row that lacks either date is not known. Nothing
in an `Aggregate` can widen this, and no expression in it can read the application; a window in days only narrows it, to
events of at most that many days before. An application without a date knows no row: its count is 0, the rest is NULL.

Sums are exact, so that an engine may add in any order: a value crosses the border like any column, becomes a whole
number of millionths, is summed as an integer, and the total is rounded once to binary64. The latest row is the one that
happened last, then arrived last, then has the highest tie-breaker, then the highest value, NULL being lowest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

from obligor.core.dialects import Dialect, border_sql, days_between_sql, emit, literal, quote, type_sql
from obligor.core.errors import ExpressionError, TapeError
from obligor.core.expressions import Expression, border_number, border_value, compile_expressions, inputs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import date

    from obligor.core.syntax import ColumnType, Scalar

    Row = Mapping[str, object]
    Aggregation = Callable[[Iterable[Row], object], Scalar | None]

Function = Literal["count", "sum", "mean", "min", "max", "latest"]

_MILLIONTHS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Aggregate:
    """A feature over the rows of a history that were known when an application was made.

    ``expression`` is taken of every row (of none for a count), ``where`` keeps the rows for which it is TRUE, and
    ``window_days`` those that happened at most so many days before the application.
    """

    name: str
    table: str
    function: Function
    expression: Expression | None = None
    where: Expression | None = None
    window_days: int | None = None

    def __post_init__(self) -> None:
        problem = self._problem()
        if problem:
            raise ExpressionError(f"feature {self.name!r} over {self.table!r}: {problem}")

    def _problem(self) -> str | None:
        if self.function not in get_args(Function):
            return f"the function is {', '.join(get_args(Function))}, got {self.function!r}"
        if (self.expression is None) != (self.function == "count"):
            return "a count takes no expression" if self.function == "count" else f"{self.function} needs an expression"
        if self.expression and self.expression.type != "number" and self.function != "latest":
            return f"{self.function} needs a number, got {self.expression.type}; only latest takes other types"
        if self.where and self.where.type != "bool":
            return f"where needs a condition, got {self.where.type}"
        if self.window_days is not None and (type(self.window_days) is not int or self.window_days < 1):
            return f"window_days is a whole number of days from 1, got {self.window_days!r}"
        return None


def compile_aggregate(
    aggregate: Aggregate, *, event_at: str, arrived_at: str, tie: str | None = None, tie_type: ColumnType = "number"
) -> Aggregation:
    """Give the function from an applicant's history and the date of application to the aggregate."""
    parts = {"value": aggregate.expression, "where": aggregate.where}
    evaluate = compile_expressions({name: part for name, part in parts.items() if part})

    def compute(rows: Iterable[Row], applied_at: object) -> Scalar | None:
        decided = _date(applied_at, name="applied_at")
        found = []
        for row in rows:
            event, arrived = _date(row[event_at], name=event_at), _date(row[arrived_at], name=arrived_at)
            if not _is_known(event, arrived, decided=decided, window_days=aggregate.window_days):
                continue
            values = evaluate(row)
            if aggregate.where is None or values["where"] is True:
                order = (event, arrived, _rank(border_value(row[tie], column_type=tie_type) if tie else None))
                found.append((order, values.get("value")))
        return _summary(aggregate, found)

    return compute


def emit_history(
    aggregates: Sequence[Aggregate],
    *,
    applications: str,
    history: str,
    key: str,
    history_key: str,
    applied_at: str,
    event_at: str,
    arrived_at: str,
    dialect: Dialect,
    tie: str | None = None,
    tie_type: ColumnType = "number",
) -> str:
    """Write one SELECT of ``_row`` and of every aggregate, a row for every application.

    The join is on the applicant alone and the aggregates are conditional: it was the fastest of the forms tried, with
    a few dozen history rows to an applicant.

    Parameters
    ----------
    applications, history
        The relations, written as SQL; applications have a column ``_row`` that numbers them.
    """
    if dialect is Dialect.SNOWFLAKE and any(it.function == "latest" for it in aggregates):
        raise ExpressionError("latest cannot be written for snowflake; compute it in another engine")
    row = quote("_row", dialect)
    ties: dict[str, tuple[str, ColumnType]] = {"tie": (tie, tie_type)} if tie else {}
    dates: dict[str, tuple[str, ColumnType]] = {"event_at": (event_at, "date"), "arrived_at": (arrived_at, "date")}
    results = [
        _aggregated(it, index, dialect=dialect, tie=tie_type if tie else None) for index, it in enumerate(aggregates)
    ]
    steps = {
        "a": _select(
            {row: row, "k": quote(key, dialect), "applied_at": _border(applied_at, "date", dialect)}, applications
        ),
        **_history_steps(_parts(aggregates), history, key=history_key, order=dates | ties, dialect=dialect),
        "known": _select(
            {row: f"a.{row}", "h.*": "h.*", "age_days": days_between_sql("a.applied_at", "h.event_at", dialect)}, _KNOWN
        ),
        "found": _select(
            {row: row} | {f"x{index}": text for index, text in enumerate(results)}, f"known GROUP BY {row}"
        ),
    }
    names = {quote(it.name, dialect): _result(it, index, dialect=dialect) for index, it in enumerate(aggregates)}
    result = _select({row: f"a.{row}"} | names, f"a LEFT JOIN found ON found.{row} = a.{row}")
    return "WITH " + ",\n".join(f"{name} AS (\n  {select}\n)" for name, select in steps.items()) + "\n" + result


_KNOWN: Final = "a JOIN h ON a.k = h.k AND h.event_at < a.applied_at AND h.arrived_at < a.applied_at"


def _history_steps(
    parts: Mapping[str, Expression],
    history: str,
    *,
    key: str,
    order: Mapping[str, tuple[str, ColumnType]],
    dialect: Dialect,
) -> dict[str, str]:
    """Write the steps that clean a history's columns, evaluate the expressions, and clean their values in turn."""
    inputs = inputs_of(parts)
    columns = {name: f"c{index}" for index, name in enumerate(inputs)}
    kept = {name: name for name in ("k", *order)}
    cleaned = {"k": quote(key, dialect)} | {it: _border(name, kind, dialect) for it, (name, kind) in order.items()}
    cleaned |= {columns[name]: _border(name, kind, dialect) for name, kind in inputs.items()}
    values = {name: emit(part, dialect, columns=columns) for name, part in parts.items()}
    numbers = {name: border_sql(name, "number", dialect) for name, part in parts.items() if part.type == "number"}
    return {
        "cleaned": _select(cleaned, history),
        "valued": _select(kept | values, "cleaned"),
        "h": _select(kept | {name: name for name in parts} | numbers, "valued"),
    }


def _select(columns: Mapping[str, str], relation: str) -> str:
    listed = ", ".join(text if text == name else f"{text} AS {name}" for name, text in columns.items())
    return f"SELECT {listed} FROM {relation}"  # noqa: S608 - names are quoted, relations are the program's own


def _border(name: str, column_type: ColumnType, dialect: Dialect) -> str:
    return border_sql(quote(name, dialect), column_type, dialect)


def _date(value: object, *, name: str) -> date | None:
    try:
        return border_value(value, column_type="date")  # type: ignore[return-value]  # a date or None by its type
    except TapeError as error:
        raise TapeError(f"column {name!r}: {error.message}") from None


def _is_known(event: date | None, arrived: date | None, *, decided: date | None, window_days: int | None) -> bool:
    if event is None or arrived is None or decided is None or event >= decided or arrived >= decided:
        return False
    return window_days is None or (decided - event).days <= window_days


def _rank(value: Scalar | None) -> tuple[bool, Scalar | None]:
    return (value is not None, value)


def _summary(aggregate: Aggregate, found: Sequence[tuple[tuple[object, ...], Scalar | None]]) -> Scalar | None:
    if aggregate.function == "count":
        return float(len(found))
    numeric = aggregate.expression is not None and aggregate.expression.type == "number"
    values = [(order, border_number(value) if numeric else value) for order, value in found]
    if aggregate.function == "latest":
        return max(values, key=lambda it: (it[0], _rank(it[1])))[1] if values else None
    numbers = [value for _, value in values if isinstance(value, float)]
    return _of_numbers(aggregate.function, numbers) if numbers else None


def _of_numbers(function: Function, numbers: Sequence[float]) -> float:
    if function in {"min", "max"}:
        return min(numbers) if function == "min" else max(numbers)
    total = float(sum(math.floor(number * _MILLIONTHS + 0.5) for number in numbers))
    return total / _MILLIONTHS if function == "sum" else total / _MILLIONTHS / float(len(numbers))


def _parts(aggregates: Sequence[Aggregate]) -> dict[str, Expression]:
    values = {f"v{index}": it.expression for index, it in enumerate(aggregates) if it.expression}
    return values | {f"w{index}": it.where for index, it in enumerate(aggregates) if it.where}


def _aggregated(aggregate: Aggregate, index: int, *, dialect: Dialect, tie: ColumnType | None) -> str:
    conditions = [f"w{index}"] if aggregate.where else []
    conditions += [f"age_days <= {aggregate.window_days}"] if aggregate.window_days else []
    condition = " AND ".join(conditions) or "TRUE"
    value = f"CASE WHEN {condition} THEN v{index} END"
    match aggregate.function:
        case "count":
            return f"COUNT(CASE WHEN {condition} THEN 1 END)"
        case "sum":
            return _sum(value, dialect)
        case "mean":
            return f"{_sum(value, dialect)} / CAST(COUNT({value}) AS {type_sql('number', dialect)})"
        case "latest":
            return _latest(aggregate, f"v{index}", condition=condition, dialect=dialect, tie=tie)
        case _:
            return f"{aggregate.function.upper()}({value})"


def _result(aggregate: Aggregate, index: int, *, dialect: Dialect) -> str:
    count = f"CAST(COALESCE(found.x{index}, 0) AS {type_sql('number', dialect)})"
    return count if aggregate.function == "count" else f"found.x{index}"


def _sum(value: str, dialect: Dialect) -> str:
    """Write an exact sum; the total goes through its digits because that rounds it correctly in every engine.

    Casts of a double to a decimal keep 15 or 17 digits in some engines, so all but DuckDB sum two halves of 32 bits.
    """
    million, half, word = (literal(number, dialect) for number in (_MILLIONTHS, 0.5, 2.0**32))
    units = f"FLOOR({value} * {million} + {half})"
    if dialect is Dialect.DUCKDB:
        total = f"SUM(CAST({units} AS HUGEINT))"
    else:
        high = f"FLOOR({units} / {word})"
        parts = (f"SUM(CAST({part} AS {_BIGINT[dialect]}))" for part in (high, f"({units} - {high} * {word})"))
        high, low = (f"CAST({part} AS {_WIDE[dialect]})" for part in parts)
        total = f"({high} * 4294967296 + {low})"
    number, text = type_sql("number", dialect), type_sql("text", dialect)
    return f"CAST(CAST({total} AS {text}) AS {number}) / {million}"


_BIGINT: Final[Mapping[Dialect, str]] = dict.fromkeys(Dialect, "BIGINT") | {Dialect.BIGQUERY: "INT64"}
_WIDE: Final[Mapping[Dialect, str]] = dict.fromkeys(Dialect, "DECIMAL(38, 0)") | {
    Dialect.POSTGRES: "NUMERIC",
    Dialect.BIGQUERY: "BIGNUMERIC",
}


def _latest(aggregate: Aggregate, value: str, *, condition: str, dialect: Dialect, tie: ColumnType | None) -> str:
    kind = aggregate.expression.type if aggregate.expression else "number"
    keys = {"event_at": "date", "arrived_at": "date", **({"tie": tie} if tie else {}), value: kind}
    if dialect is Dialect.SPARK:
        return f"MAX_BY({value}, STRUCT({', '.join(keys)})) FILTER (WHERE {condition})"
    binary = ' COLLATE "C"' if dialect is Dialect.POSTGRES else ""
    order = ", ".join(f"{key}{binary if it == 'text' else ''} DESC NULLS LAST" for key, it in keys.items())
    if dialect is Dialect.BIGQUERY:
        entry = f"CASE WHEN {condition} THEN STRUCT({value} AS v) END"
        return f"ARRAY_AGG({entry} IGNORE NULLS ORDER BY {order} LIMIT 1)[SAFE_OFFSET(0)].v"
    if dialect is Dialect.DUCKDB:
        return f"FIRST({value} ORDER BY {order}) FILTER (WHERE {condition})"
    return f"(ARRAY_AGG({value} ORDER BY {order}) FILTER (WHERE {condition}))[1]"

from __future__ import annotations

import os
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import duckdb
import psycopg
import pytest
from tests.core.expression_cases import NUMBERS, TEXTS, differences, seeded

import obligor.core.history as history_module
from obligor.core.dialects import Dialect
from obligor.core.errors import ExpressionError, TapeError
from obligor.core.expressions import parse_expression
from obligor.core.history import Aggregate, compile_aggregate, emit_history

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from random import Random

    from obligor.core.syntax import ColumnType

SCALE = int(os.environ.get("OBLIGOR_PROPERTY_SCALE", "1"))
COLUMNS: Mapping[str, ColumnType] = {"due": "number", "paid": "number", "status": "text", "paid_on": "date"}
APPLIED = date(2021, 3, 31)


def aggregate(
    function: str, expression: str | None = None, where: str | None = None, days: int | None = None
) -> Aggregate:
    parsed = [parse_expression(it, columns=COLUMNS) if it else None for it in (expression, where)]
    return Aggregate("x", "repayments", function, expression=parsed[0], where=parsed[1], window_days=days)


def row(happened: str | None, arrived: str | None, due: float | None = 1.0, **others: object) -> dict[str, object]:
    dates = {"at": happened and date.fromisoformat(happened), "known": arrived and date.fromisoformat(arrived)}
    return {"due": due, "paid": None, "status": None, "paid_on": None, "no": None} | dates | others


def over(rows: Sequence[Mapping[str, object]], it: Aggregate, applied_at: object = APPLIED) -> object:
    return compile_aggregate(it, event_at="at", arrived_at="known", tie="no")(rows, applied_at)


class TestWhatWasKnown:
    def test_an_event_of_the_day_of_application_does_not_count(self) -> None:
        rows = [row("2021-03-30", "2021-03-30"), row("2021-03-31", "2021-03-30")]
        assert over(rows, aggregate("count")) == 1.0

    def test_an_event_that_arrived_late_does_not_count(self) -> None:
        rows = [row("2021-01-01", "2021-03-31"), row("2021-01-01", "2021-04-15"), row("2021-01-01", "2021-03-30")]
        assert over(rows, aggregate("count")) == 1.0

    def test_an_event_without_a_date_or_an_arrival_does_not_count(self) -> None:
        assert over([row(None, "2021-01-01"), row("2021-01-01", None)], aggregate("count")) == 0.0

    def test_an_application_without_a_date_knows_nothing(self) -> None:
        rows = [row("2021-01-01", "2021-01-01")]
        assert over(rows, aggregate("count"), applied_at=None) == 0.0
        assert over(rows, aggregate("sum", "due"), applied_at=None) is None

    def test_the_first_day_of_the_window_counts_and_the_day_before_does_not(self) -> None:
        rows = [row("2021-03-01", "2021-03-01"), row("2021-02-28", "2021-03-01")]
        assert over(rows, aggregate("count", days=30)) == 1.0
        assert over(rows, aggregate("count", days=31)) == 2.0

    def test_no_aggregate_can_read_the_application(self) -> None:
        with pytest.raises(ExpressionError, match="no column 'applied_at'"):
            aggregate("sum", "due", "paid_on > applied_at")

    def test_dates_have_to_be_dates(self) -> None:
        with pytest.raises(TapeError, match="column 'at': expected a date, got datetime"):
            over([row("2021-01-01", "2021-01-01") | {"at": datetime(2021, 1, 1)}], aggregate("count"))  # noqa: DTZ001 - the point


class TestMeaning:
    def test_no_rows_count_as_zero_and_have_no_sum(self) -> None:
        assert over([], aggregate("count")) == 0.0
        for function in ("sum", "mean", "min", "max", "latest"):
            assert over([], aggregate(function, "due")) is None

    def test_where_keeps_the_rows_for_which_it_is_true(self) -> None:
        rows = [row("2021-01-01", "2021-01-01", due=due) for due in (5.0, 50.0, None)]
        assert over(rows, aggregate("count", where="due > 10")) == 1.0
        assert over(rows, aggregate("count", where="NOT due > 10")) == 1.0

    def test_missing_values_are_left_out_of_sum_and_mean(self) -> None:
        rows = [row("2021-01-01", "2021-01-01", due=due) for due in (1.0, 2.0, None)]
        assert over(rows, aggregate("sum", "due")) == 3.0
        assert over(rows, aggregate("mean", "due")) == 1.5

    def test_a_sum_does_not_depend_on_the_order_of_rows(self) -> None:
        amounts = [0.1, 0.2, 0.3, 1e15, -1e15, 0.7] * 50
        rows = [row("2021-01-01", "2021-01-01", due=due) for due in amounts]
        assert over(rows, aggregate("sum", "due")) == over(rows[::-1], aggregate("sum", "due")) == 65.0

    def test_the_latest_row_is_the_last_to_happen_then_to_arrive_then_by_number_then_by_value(self) -> None:
        rows = [
            row("2021-01-01", "2021-02-01", due=1.0, no=1),
            row("2021-01-02", "2021-01-05", due=2.0, no=9),
            row("2021-01-02", "2021-01-06", due=3.0, no=None),
            row("2021-01-02", "2021-01-06", due=4.0, no=2),
            row("2021-01-02", "2021-01-06", due=3.5, no=2),
        ]
        for kept, expected in ((5, 4.0), (3, 3.0), (2, 2.0), (1, 1.0)):
            assert over(rows[:kept], aggregate("latest", "due")) == expected
            assert over(rows[:kept][::-1], aggregate("latest", "due")) == expected

    def test_the_latest_value_may_be_missing(self) -> None:
        rows = [row("2021-01-01", "2021-01-01"), row("2021-01-02", "2021-01-02", due=None)]
        assert over(rows, aggregate("latest", "due")) is None
        assert over(rows, aggregate("latest", "due", "due IS NOT NULL")) == 1.0

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("median", "due"), "the function is count, sum, mean, min, max, latest, got 'median'"),
            (("count", "due"), "a count takes no expression"),
            (("sum",), "sum needs an expression"),
            (("max", "status"), "max needs a number, got text"),
            (("sum", "due", "due + 1"), "where needs a condition, got number"),
            (("count", None, None, 0), "window_days is a whole number of days from 1, got 0"),
        ],
    )
    def test_an_aggregate_that_makes_no_sense_is_refused(self, arguments: tuple[str, ...], message: str) -> None:
        with pytest.raises(ExpressionError, match=message):
            aggregate(*arguments)


FUNCTIONS = (
    *(("sum", "due"), ("mean", "due"), ("min", "due"), ("max", "due"), ("latest", "due"), ("count", None)),
    *(("sum", "due * paid"), ("sum", "due - paid"), ("mean", "CASE WHEN status = 'late' THEN paid ELSE due / 3 END")),
    *(("latest", "status"), ("latest", "paid_on"), ("latest", "due > paid"), ("latest", "LOWER(TRIM(status))")),
)
WHERES = (None, "due > 0", "status <> 'late'", "status IS NULL OR paid_on > DATE '2021-01-01'", "NOT (paid < due)")


def aggregates() -> list[Aggregate]:
    """Every function under every condition and window."""
    chosen = [
        (function, expression, where, days)
        for index, (function, expression) in enumerate(FUNCTIONS)
        for where in WHERES
        for days in (None, (1, 30, 365)[index % 3])
    ]
    parsed = [
        (it[0], *(parse_expression(text, columns=COLUMNS) if text else None for text in it[1:3]), it[3])
        for it in chosen
    ]
    return [
        Aggregate(f'the "{index}" st', "repayments", function, expression=value, where=where, window_days=days)
        for index, (function, value, where, days) in enumerate(parsed)
    ]


def near(random: Random, day: date, spread: int) -> date | None:
    return None if random.random() < 0.1 else day + timedelta(days=random.randint(-spread, spread))


def tables(random: Random, *, count: int) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    """Applications and histories dense in ties, late arrivals, missing dates and nasty values."""
    keys = [*range(count // 2), None]
    applications = [(index, random.choice(keys), near(random, APPLIED, 40)) for index in range(count)]
    histories = [
        (
            *(
                random.choice(keys),
                near(random, APPLIED, 60),
                near(random, APPLIED, 60),
                random.choice((None, 1, 2, 2.5)),
            ),
            *(random.choice(NUMBERS), random.choice(NUMBERS), random.choice((*TEXTS, "late", "late", None))),
            near(random, APPLIED, 100),
        )
        for _ in range(count * 8)
    ]
    return applications, histories


APPLICATION_COLUMNS = {"_row": "INTEGER", "customer": "INTEGER", "applied": "DATE"}
HISTORY_COLUMNS = {
    "owner": "INTEGER",
    "at": "DATE",
    "known": "DATE",
    "no": "DOUBLE PRECISION",
    "due": "DOUBLE PRECISION",
    "paid": "DOUBLE PRECISION",
    "status": "TEXT",
    "paid_on": "DATE",
}


def load(
    engine: duckdb.DuckDBPyConnection | psycopg.Cursor, mark: str, tables_: tuple[list[tuple[object, ...]], ...]
) -> None:
    for name, columns, rows in zip(("apps", "hist"), (APPLICATION_COLUMNS, HISTORY_COLUMNS), tables_, strict=True):
        engine.execute(f"DROP TABLE IF EXISTS {name}")
        listed = ", ".join(f'"{it}" {kind}' for it, kind in columns.items())
        engine.execute(f"CREATE TABLE {name} ({listed})")
        engine.executemany(f"INSERT INTO {name} VALUES ({', '.join([mark] * len(columns))})", rows)


def evaluate(engine: duckdb.DuckDBPyConnection | psycopg.Cursor, dialect: Dialect) -> list[tuple[object, ...]]:
    sql = emit_history(
        aggregates(),
        applications="apps",
        history="hist",
        key="customer",
        history_key="owner",
        applied_at="applied",
        event_at="at",
        arrived_at="known",
        tie="no",
        dialect=dialect,
    )
    engine.execute(sql + " ORDER BY 1")
    return [it[1:] for it in engine.fetchall()]


def evaluate_in_python(tables_: tuple[list[tuple[object, ...]], ...]) -> list[tuple[object, ...]]:
    applications, histories = tables_
    rows = [dict(zip(HISTORY_COLUMNS, it, strict=True)) for it in histories]
    compiled = [compile_aggregate(it, event_at="at", arrived_at="known", tie="no") for it in aggregates()]
    by_owner = {key: [it for it in rows if it["owner"] == key] for key in {it[1] for it in applications} - {None}}
    return [
        tuple(compute(by_owner.get(customer, ()), applied) for compute in compiled)
        for _, customer, applied in applications
    ]


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[psycopg.Cursor]:
    with psycopg.connect(postgres_url, autocommit=True) as connection, connection.cursor() as cursor:
        yield cursor


NAMES = [it.name for it in aggregates()]


@pytest.mark.parametrize("seed", range(2 * SCALE))
def test_a_history_means_the_same_in_python_duckdb_and_postgres(seed: int, postgres: psycopg.Cursor) -> None:
    made = tables(seeded(seed), count=60)
    expected = evaluate_in_python(made)
    duck = duckdb.connect()
    load(duck, "?", made)
    load(postgres, "%s", made)
    assert differences(expected, evaluate(duck, Dialect.DUCKDB), names=NAMES) == []
    assert differences(expected, evaluate(postgres, Dialect.POSTGRES), names=NAMES) == []


@pytest.mark.parametrize(
    "leaky",
    [
        "a JOIN h ON a.k = h.k AND h.event_at < a.applied_at",
        "a JOIN h ON a.k = h.k AND h.event_at < a.applied_at AND h.arrived_at <= a.applied_at",
        "a JOIN h ON a.k = h.k AND h.event_at <= a.applied_at AND h.arrived_at < a.applied_at",
    ],
)
def test_a_join_that_looks_past_the_application_is_found_out(leaky: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tables(seeded(0), count=60)
    duck = duckdb.connect()
    load(duck, "?", made)
    monkeypatch.setattr(history_module, "_KNOWN", leaky)
    assert differences(evaluate_in_python(made), evaluate(duck, Dialect.DUCKDB), names=NAMES)


def test_a_sum_of_doubles_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tables(seeded(0), count=60)
    duck = duckdb.connect()
    load(duck, "?", made)
    monkeypatch.setattr(history_module, "_sum", lambda value, _dialect: f"SUM({value})")
    assert differences(evaluate_in_python(made), evaluate(duck, Dialect.DUCKDB), names=NAMES)


def test_the_select_of_a_history_reads_well() -> None:
    """The whole statement, once, as a reader of the logs will see it."""
    chosen = [aggregate("count", where="status = 'late'", days=365)]
    names = {"applications": "apps", "history": "hist", "key": "customer", "history_key": "owner"}
    dates = {"applied_at": "applied", "event_at": "at", "arrived_at": "known"}
    border = "CASE WHEN CAST({0} AS DATE) BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN CAST({0} AS DATE) END"
    applied, at, known = (border.format(f'"{name}"') for name in ("applied", "at", "known"))
    assert emit_history(chosen, **names, **dates, dialect=Dialect.POSTGRES) == (
        "WITH a AS (\n"
        f'  SELECT "_row", "customer" AS k, {applied} AS applied_at FROM apps\n'
        "),\ncleaned AS (\n"
        f'  SELECT "owner" AS k, {at} AS event_at, {known} AS arrived_at, CAST("status" AS TEXT) AS c0 FROM hist\n'
        "),\nvalued AS (\n"
        "  SELECT k, event_at, arrived_at, (c0 = 'late') AS w0 FROM cleaned\n"
        "),\nh AS (\n"
        "  SELECT k, event_at, arrived_at, w0 FROM valued\n"
        "),\nknown AS (\n"
        '  SELECT a."_row" AS "_row", h.*, (a.applied_at - h.event_at) AS age_days FROM a JOIN h ON a.k = h.k'
        " AND h.event_at < a.applied_at AND h.arrived_at < a.applied_at\n"
        "),\nfound AS (\n"
        '  SELECT "_row", COUNT(CASE WHEN w0 AND age_days <= 365 THEN 1 END) AS x0 FROM known GROUP BY "_row"\n'
        ")\n"
        'SELECT a."_row" AS "_row", CAST(COALESCE(found.x0, 0) AS DOUBLE PRECISION) AS "x"'
        ' FROM a LEFT JOIN found ON found."_row" = a."_row"'
    )


def test_the_latest_row_is_written_for_spark_and_bigquery_and_refused_for_snowflake() -> None:
    names = {"applications": "apps", "history": "hist", "key": "customer", "history_key": "owner"}
    dates = {"applied_at": "applied", "event_at": "at", "arrived_at": "known"}
    chosen = [aggregate("latest", "status")]
    spark = emit_history(chosen, **names, **dates, dialect=Dialect.SPARK)
    assert "MAX_BY(v0, STRUCT(event_at, arrived_at, v0)) FILTER (WHERE TRUE) AS x0" in spark
    bigquery = emit_history(chosen, **names, **dates, dialect=Dialect.BIGQUERY)
    assert "ORDER BY event_at DESC NULLS LAST, arrived_at DESC NULLS LAST, v0 DESC NULLS LAST LIMIT 1)" in bigquery
    with pytest.raises(ExpressionError, match="latest cannot be written for snowflake"):
        emit_history(chosen, **names, **dates, dialect=Dialect.SNOWFLAKE)

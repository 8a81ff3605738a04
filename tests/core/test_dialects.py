from __future__ import annotations

import os
from datetime import date
from typing import TYPE_CHECKING

import duckdb
import psycopg
import pytest
from tests.core.expression_cases import (
    COLUMNS,
    ODD,
    Engines,
    differences,
    evaluate_in_python,
    nasty_rows,
    random_expressions,
    seeded,
)

from obligor.core import dialects
from obligor.core.dialects import Dialect, border_sql, emit, emit_select, literal, quote
from obligor.core.errors import ExpressionError
from obligor.core.expressions import parse_expression, parse_features

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obligor.core.expressions import Expression
    from obligor.core.syntax import Node

SCALE = int(os.environ.get("OBLIGOR_PROPERTY_SCALE", "1"))
ENGINES = (Dialect.DUCKDB, Dialect.POSTGRES)
ROWS = nasty_rows(seeded(42), count=200)


@pytest.fixture(scope="module")
def engines(postgres_url: str) -> Iterator[Engines]:
    with duckdb.connect() as duck, psycopg.connect(postgres_url, autocommit=True) as postgres:
        engines = Engines(duck, postgres)
        engines.load(ROWS)
        yield engines


class TestOneMeaning:
    @pytest.mark.parametrize("seed", range(40 * SCALE))
    def test_python_duckdb_and_postgres_give_the_same_bits(self, seed: int, engines: Engines) -> None:
        """Forty random expressions on two hundred nasty rows; OBLIGOR_PROPERTY_SCALE multiplies the forty seeds."""
        assert found_differences(random_expressions(seeded(seed), count=40, depth=5), engines) == []

    def test_features_of_features_too(self, engines: Engines) -> None:
        sources = {
            "ratio": "a / b",
            "again": "LEAST(ratio, 10) * ratio",
            "band": "CASE WHEN again > 1 THEN 'high' WHEN again IS NULL THEN LOWER(TRIM(t)) ELSE 'low' END",
            "high": "band = 'high' OR p",
            "last": "CASE WHEN high THEN ratio - again ELSE full_months(d, e) END",
        }
        assert found_differences(parse_features(sources, columns=COLUMNS), engines) == []

    def test_the_longest_products_quotients_and_sums_too(self, engines: Engines) -> None:
        sources = {
            "largest": " * ".join(["a"] * 19),
            "smallest": "1 / (" + " * ".join(["a"] * 18) + ")",
            "long": " + ".join(["a", "b"] * 45),
            "deep": "LEAST(" * 8 + "a" + ", b)" * 8,
        }
        expressions = {name: parse_expression(text, columns=COLUMNS) for name, text in sources.items()}
        assert found_differences(expressions, engines) == []

    def test_python_s_own_border_is_the_engines(self, engines: Engines) -> None:
        expressions = {f"f{index}": column_of(name) for index, name in enumerate(COLUMNS)}
        assert found_differences(expressions, engines) == []


def column_of(name: str) -> Expression:
    return parse_expression('"' + name.replace('"', '""') + '"', columns=COLUMNS)


def found_differences(expressions: dict[str, Expression], engines: Engines) -> list[tuple[object, ...]]:
    expected = evaluate_in_python(expressions, ROWS)
    return [
        (dialect.value, expressions[name].source, ROWS[row], one, other)
        for dialect in ENGINES
        for name, row, one, other in differences(
            expected, engines.evaluate(expressions, dialect), names=list(expressions)
        )
    ]


def native(name: str) -> Callable[[Node, list[str], Dialect], str]:
    return lambda _node, args, _dialect: f"{name}({', '.join(args)})"


def plain(value: object, dialect: Dialect) -> str:
    return repr(value) if isinstance(value, float) else literal(value, dialect)


MUTATIONS = {
    "native LEAST": lambda patch: patch.setitem(dialects._SPECIAL, "least", native("LEAST")),
    "native LOWER": lambda patch: patch.setitem(dialects._SPECIAL, "lower", native("LOWER")),
    "no guard of divisors": lambda patch: patch.setattr(dialects, "_divisor", lambda _node, text, _dialect: text),
    "no zero added": lambda patch: patch.setattr(dialects, "_output", lambda text: text),
    "decimal literals": lambda patch: patch.setattr(dialects, "literal", plain),
    "days the other way": lambda patch: patch.setitem(dialects._DAYS, Dialect.DUCKDB, "DATE_DIFF('day', {0}, {1})"),
    "months of boundaries": lambda patch: patch.setattr(
        dialects, "_TEMPLATES", {**dialects._TEMPLATES, "full_months": "CAST(DATE_DIFF('month', {1}, {0}) AS DOUBLE)"}
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_the_comparison_finds_every_wrong_rule(
    mutation: str, engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison can fail: with one rule of the emitter broken it sees other values."""
    expressions = random_expressions(seeded(7), count=150, depth=3)
    MUTATIONS[mutation](monkeypatch)
    expected = evaluate_in_python(expressions, ROWS)
    got = engines.evaluate(expressions, Dialect.DUCKDB)
    assert differences(expected, got, names=list(expressions))


def test_without_the_border_the_engines_differ_or_raise(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "border_sql", lambda text, _type, _dialect: text)
    sums = {"x": parse_expression("a + b", columns=COLUMNS)}
    assert differences(evaluate_in_python(sums, ROWS), engines.evaluate(sums, Dialect.DUCKDB), names=["x"])
    with pytest.raises(duckdb.OutOfRangeException):
        engines.evaluate({"x": parse_expression("whole + whole", columns=COLUMNS)}, Dialect.DUCKDB)


def test_postgres_raises_where_divisors_are_not_guarded(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialects, "_divisor", lambda _node, text, _dialect: text)
    with pytest.raises(psycopg.errors.DivisionByZero):
        engines.evaluate({"x": parse_expression("a / b", columns=COLUMNS)}, Dialect.POSTGRES)


GOLDEN = {
    "loan / NULLIF(income, 0)": {
        Dialect.DUCKDB: """(("loan" / NULLIF("income", CAST('0.0' AS DOUBLE))) + 0)""",
        Dialect.POSTGRES: """(("loan" / NULLIF("income", CAST('0.0' AS DOUBLE PRECISION))) + 0)""",
        Dialect.SPARK: """((`loan` / NULLIF(`income`, CAST('0.0' AS DOUBLE))) + 0)""",
        Dialect.SNOWFLAKE: """(("loan" / NULLIF("income", CAST('0.0' AS DOUBLE))) + 0)""",
        Dialect.BIGQUERY: """((`loan` / NULLIF(`income`, CAST('0.0' AS FLOAT64))) + 0)""",
    },
    "LEAST(loan / income, 0.1)": {
        Dialect.DUCKDB: """(CASE WHEN ("loan" / NULLIF("income", CAST('0.0' AS DOUBLE))) IS NOT NULL"""
        """ THEN LEAST(("loan" / NULLIF("income", CAST('0.0' AS DOUBLE))), CAST('0.1' AS DOUBLE)) END + 0)""",
        Dialect.POSTGRES: """(CASE WHEN ("loan" / NULLIF("income", CAST('0.0' AS DOUBLE PRECISION))) IS NOT NULL"""
        """ THEN LEAST(("loan" / NULLIF("income", CAST('0.0' AS DOUBLE PRECISION))),"""
        """ CAST('0.1' AS DOUBLE PRECISION)) END + 0)""",
        Dialect.SPARK: """(CASE WHEN (`loan` / NULLIF(`income`, CAST('0.0' AS DOUBLE))) IS NOT NULL"""
        """ THEN LEAST((`loan` / NULLIF(`income`, CAST('0.0' AS DOUBLE))), CAST('0.1' AS DOUBLE)) END + 0)""",
        Dialect.SNOWFLAKE: """(LEAST(("loan" / NULLIF("income", CAST('0.0' AS DOUBLE))), CAST('0.1' AS DOUBLE)) + 0)""",
        Dialect.BIGQUERY: """(LEAST((`loan` / NULLIF(`income`, CAST('0.0' AS FLOAT64))),"""
        """ CAST('0.1' AS FLOAT64)) + 0)""",
    },
    "CASE WHEN LOWER(TRIM(job)) IN ('nurse', 'O''Brien') THEN 'a' WHEN job IS NOT NULL THEN NULL ELSE 'c' END": {
        Dialect.DUCKDB: """CASE WHEN (TRANSLATE(TRIM("job", ' '), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',"""
        """ 'abcdefghijklmnopqrstuvwxyz') IN ('nurse', 'O''Brien')) THEN 'a'"""
        """ WHEN (NOT ("job" IS NULL)) THEN NULL ELSE 'c' END""",
        Dialect.POSTGRES: """CASE WHEN (TRANSLATE(TRIM(BOTH ' ' FROM "job"), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',"""
        """ 'abcdefghijklmnopqrstuvwxyz') IN ('nurse', 'O''Brien')) THEN 'a'"""
        """ WHEN (NOT ("job" IS NULL)) THEN NULL ELSE 'c' END""",
        Dialect.SPARK: """CASE WHEN (TRANSLATE(TRIM(BOTH ' ' FROM `job`), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',"""
        """ 'abcdefghijklmnopqrstuvwxyz') IN ('nurse', 'O\\'Brien')) THEN 'a'"""
        """ WHEN (NOT (`job` IS NULL)) THEN NULL ELSE 'c' END""",
        Dialect.SNOWFLAKE: """CASE WHEN (TRANSLATE(TRIM("job", ' '), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',"""
        """ 'abcdefghijklmnopqrstuvwxyz') IN ('nurse', 'O''Brien')) THEN 'a'"""
        """ WHEN (NOT ("job" IS NULL)) THEN NULL ELSE 'c' END""",
        Dialect.BIGQUERY: """CASE WHEN (TRANSLATE(TRIM(`job`, ' '), 'ABCDEFGHIJKLMNOPQRSTUVWXYZ',"""
        """ 'abcdefghijklmnopqrstuvwxyz') IN ('nurse', 'O\\'Brien')) THEN 'a'"""
        """ WHEN (NOT (`job` IS NULL)) THEN NULL ELSE 'c' END""",
    },
    "days_between(applied, DATE '2020-02-29')": {
        Dialect.DUCKDB: """(CAST(DATE_DIFF('day', DATE '2020-02-29', "applied") AS DOUBLE) + 0)""",
        Dialect.POSTGRES: """(CAST(("applied" - DATE '2020-02-29') AS DOUBLE PRECISION) + 0)""",
        Dialect.SPARK: """(CAST(DATEDIFF(`applied`, DATE '2020-02-29') AS DOUBLE) + 0)""",
        Dialect.SNOWFLAKE: """(CAST(DATEDIFF(DAY, DATE '2020-02-29', "applied") AS DOUBLE) + 0)""",
        Dialect.BIGQUERY: """(CAST(DATE_DIFF(`applied`, DATE '2020-02-29', DAY) AS FLOAT64) + 0)""",
    },
    "owner AND NOT loan BETWEEN -1 AND 1e15": {
        Dialect.DUCKDB: """("owner" AND (NOT ("loan" BETWEEN CAST('-1.0' AS DOUBLE)"""
        """ AND CAST('1000000000000000.0' AS DOUBLE))))""",
        Dialect.POSTGRES: """("owner" AND (NOT ("loan" BETWEEN CAST('-1.0' AS DOUBLE PRECISION)"""
        """ AND CAST('1000000000000000.0' AS DOUBLE PRECISION))))""",
        Dialect.SPARK: """(`owner` AND (NOT (`loan` BETWEEN CAST('-1.0' AS DOUBLE)"""
        """ AND CAST('1000000000000000.0' AS DOUBLE))))""",
        Dialect.SNOWFLAKE: """("owner" AND (NOT ("loan" BETWEEN CAST('-1.0' AS DOUBLE)"""
        """ AND CAST('1000000000000000.0' AS DOUBLE))))""",
        Dialect.BIGQUERY: """(`owner` AND (NOT (`loan` BETWEEN CAST('-1.0' AS FLOAT64)"""
        """ AND CAST('1000000000000000.0' AS FLOAT64))))""",
    },
    "FLOOR(loan - income * 2)": {
        Dialect.DUCKDB: """(FLOOR(("loan" - ("income" * CAST('2.0' AS DOUBLE)))) + 0)""",
        Dialect.POSTGRES: """(FLOOR(("loan" - ("income" * CAST('2.0' AS DOUBLE PRECISION)))) + 0)""",
        Dialect.SPARK: """(CAST(FLOOR((`loan` - (`income` * CAST('2.0' AS DOUBLE)))) AS DOUBLE) + 0)""",
        Dialect.SNOWFLAKE: """(FLOOR(("loan" - ("income" * CAST('2.0' AS DOUBLE)))) + 0)""",
        Dialect.BIGQUERY: """(FLOOR((`loan` - (`income` * CAST('2.0' AS FLOAT64)))) + 0)""",
    },
}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("source", GOLDEN)
def test_each_engine_is_written_its_own_text(source: str, dialect: Dialect) -> None:
    columns = {"loan": "number", "income": "number", "job": "text", "applied": "date", "owner": "bool"}
    assert emit(parse_expression(source, columns=columns), dialect) == GOLDEN[source][dialect]


def test_a_name_is_quoted_whatever_is_in_it() -> None:
    assert quote(ODD, Dialect.POSTGRES) == '"Odd ""na``me"'
    assert quote(ODD, Dialect.SPARK) == '`Odd "na````me`'
    assert quote("a`\\b", Dialect.BIGQUERY) == "`a\\`\\\\b`"
    for nothing in ("", "a\0b"):
        with pytest.raises(ExpressionError, match="cannot be a column's name"):
            quote(nothing, Dialect.DUCKDB)


def test_a_column_can_be_given_as_sql() -> None:
    expression = parse_expression("a = b", columns=COLUMNS)
    assert emit(expression, Dialect.DUCKDB, columns={"a": "t.c0"}) == '(t.c0 = "b")'


def test_the_border_is_written_for_each_type() -> None:
    assert border_sql('"a"', "text", Dialect.BIGQUERY) == 'CAST("a" AS STRING)'
    assert border_sql('"a"', "bool", Dialect.SNOWFLAKE) == 'CAST("a" AS BOOLEAN)'
    assert border_sql("a", "number", Dialect.DUCKDB) == (
        "CASE WHEN CAST(a AS DOUBLE) BETWEEN CAST('-1000000000000000.0' AS DOUBLE)"
        " AND CAST('1000000000000000.0' AS DOUBLE) THEN CASE WHEN ABS(CAST(a AS DOUBLE)) < CAST('1e-15' AS DOUBLE)"
        " THEN CAST('0.0' AS DOUBLE) ELSE CAST(a AS DOUBLE) END END"
    )


@pytest.mark.parametrize("dialect", ENGINES)
def test_dates_that_python_does_not_have_are_missing(dialect: Dialect, engines: Engines) -> None:
    engine = engines.duckdb if dialect is Dialect.DUCKDB else engines.postgres
    before_christ = "0044-03-15 (BC)" if dialect is Dialect.DUCKDB else "0044-03-15 BC"
    dates = ("infinity", "-infinity", "10000-01-01", before_christ, "0001-01-01", "9999-12-31")
    bordered = ", ".join(border_sql(f"CAST('{it}' AS DATE)", "date", dialect) for it in dates)
    assert engine.execute(f"SELECT {bordered}").fetchone() == (*[None] * 4, date.min, date.max)


def test_a_select_has_a_level_for_features_of_features() -> None:
    features = parse_features({"y": "x AND q", "x": "p OR q"}, columns=COLUMNS)
    select = emit_select(features, table="tape", dialect=Dialect.POSTGRES, inputs=COLUMNS, passthrough=["id"])
    assert select == (
        'WITH level_0 AS MATERIALIZED (\n  SELECT "id" AS p0,\n    CAST("p" AS BOOLEAN) AS c0,'
        '\n    CAST("q" AS BOOLEAN) AS c1'
        "\n  FROM tape\n), level_1 AS MATERIALIZED (\n  SELECT *,\n    (c0 OR c1) AS f2\n  FROM level_0\n)"
        ", level_2 AS MATERIALIZED (\n  SELECT *,\n    (f2 AND c1) AS f3\n  FROM level_1\n)"
        '\nSELECT p0 AS "id",\n    f3 AS "y",\n    f2 AS "x"\nFROM level_2'
    )


def test_a_select_refuses_columns_of_another_type_and_names_used_twice() -> None:
    features = parse_features({"x": "a"}, columns=COLUMNS)
    with pytest.raises(ExpressionError, match="read column 'a' as number, the table has text"):
        emit_select(features, table="tape", dialect=Dialect.DUCKDB, inputs={"a": "text"})
    with pytest.raises(ExpressionError, match="read column 'a' as number, the table has no such column"):
        emit_select(features, table="tape", dialect=Dialect.DUCKDB, inputs={})
    with pytest.raises(ExpressionError, match="'x' is both a column to pass through and a feature"):
        emit_select(features, table="tape", dialect=Dialect.DUCKDB, inputs=COLUMNS, passthrough=["x"])

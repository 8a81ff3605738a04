"""Random expressions and nasty rows, and the engines that they are put to."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import TYPE_CHECKING

from obligor.core.dialects import Dialect, emit_select, quote
from obligor.core.errors import ExpressionError
from obligor.core.expressions import Expression, compile_expressions, parse_expression

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb
    import psycopg

    from obligor.core.syntax import ColumnType

ODD = 'Odd "na``me'
COLUMNS: Mapping[str, ColumnType] = {
    "a": "number",
    "b": "number",
    "whole": "number",
    ODD: "number",
    "t": "text",
    "u": "text",
    "d": "date",
    "e": "date",
    "p": "bool",
    "q": "bool",
}
SQL_TYPES = {"number": "DOUBLE PRECISION", "text": "TEXT", "date": "DATE", "bool": "BOOLEAN"}

NUMBERS = (
    *(None, math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, -1e308, 1e-15, -1e-15, 9.999999999999999e-16),
    *(1e15, -1e15, math.nextafter(1e15, 2e15), 999999999999999.9, 562949953421312.4, 0.1, 0.2, 0.3, 1 / 3, -1 / 3),
    *(0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 2.0, 3.0, 7.0, 12.0, -7.0, 100.0, 123456.78, 1.005, 0.49999999999999994),
)
WHOLES = (None, 0, 1, -1, 2, 3, 12, 36, 2**53, 2**53 + 1, -(2**53) - 1, 10**15, 10**15 + 1, 2**63 - 1)
TEXTS = (
    *(None, "", " ", "   ", "car", "Car", " CAR ", "house", "straße", "İ", "ΑΣ", "O'Brien", 'say "x"', "a\\b", "\tx\t"),
    *("\u00a0x\u00a0", "\u3000x", "日本", "é", "e\u0301", "😀", "100%", "${x}", "line\nbreak", "\ufeffcar"),
)
DATES = (
    None,
    *(date(1, 1, 1), date(9999, 12, 31), date(1582, 10, 4), date(1582, 10, 15), date(1900, 2, 28), date(1900, 3, 1)),
    *(date(1969, 12, 31), date(1970, 1, 1), date(2000, 2, 29), date(2020, 2, 29), date(2021, 1, 31), date(2021, 2, 28)),
    *(date(2021, 3, 1), date(2021, 3, 31), date(2021, 12, 31)),
)
BOOLS = (None, True, False)


def seeded(seed: int) -> Random:
    """The same chances for the same seed."""
    return Random(seed)  # noqa: S311 - nothing here is secret


def nasty_rows(random: Random, *, count: int) -> list[dict[str, object]]:
    """Rows of values that engines are known to disagree on, each at least once."""
    pools = {"number": NUMBERS, "text": TEXTS, "date": DATES, "bool": BOOLS}

    def value(name: str, column_type: ColumnType, index: int) -> object:
        pool: Sequence[object] = WHOLES if name == "whole" else pools[column_type]
        return pool[index] if index < len(pool) else random.choice(pool)

    return [{name: value(name, kind, index) for name, kind in COLUMNS.items()} for index in range(count)]


@dataclass(frozen=True, slots=True)
class Source:
    """Writes random expressions of a given type and depth."""

    random: Random

    def write(self, kind: ColumnType, depth: int) -> str:
        leaf = depth <= 0 or self.random.random() < 0.1
        return getattr(self, f"_{kind}_leaf")() if leaf else getattr(self, f"_{kind}")(depth - 1)

    def _number_leaf(self) -> str:
        literals = ("0", "1", "2", "-1", "0.1", "0.5", "1e3", "12", "-2.5", "1e15", "1e-15", "-0", "3.14159", "7")
        columns = ("a", "b", "whole", '"Odd ""na``me"')
        return self.random.choice(columns if self.random.random() < 0.7 else literals)

    def _text_leaf(self) -> str:
        literals = ("'car'", "''", "'O''Brien'", "'straße'", "'日本'", "' '", "'🙂 %s'")
        return self.random.choice(("t", "u") if self.random.random() < 0.75 else literals)

    def _date_leaf(self) -> str:
        literals = ("DATE '2020-02-29'", "DATE '0001-01-01'", "DATE '9999-12-31'", "DATE '2021-03-31'")
        return self.random.choice(("d", "e") if self.random.random() < 0.75 else literals)

    def _bool_leaf(self) -> str:
        return self.random.choice(("p", "q", "p", "q", "TRUE", "FALSE"))

    def _number(self, depth: int) -> str:
        number, when = (lambda: self.write("number", depth)), (lambda: self.write("date", depth))
        forms = (
            *[lambda sign=sign: f"({number()} {sign} {number()})" for sign in "+-*//"],
            lambda: f"-{number()}".replace("--", "- -"),
            lambda: f"ABS({number()})",
            lambda: f"FLOOR({number()})",
            lambda: f"CEIL({number()})",
            lambda: f"LEAST({number()}, {number()})",
            lambda: f"GREATEST({number()}, {number()}, {number()})",
            lambda: f"full_months({when()}, {when()})",
            lambda: f"days_between({when()}, {when()})",
            lambda: f"YEAR({when()})",
            lambda: f"MONTH({when()})",
            *[lambda: self._any("number", depth)] * 4,
        )
        return self.random.choice(forms)()

    def _text(self, depth: int) -> str:
        forms = (
            lambda: f"LOWER({self.write('text', depth)})",
            lambda: f"TRIM({self.write('text', depth)})",
            lambda: self._any("text", depth),
        )
        return self.random.choice(forms)()

    def _date(self, depth: int) -> str:
        forms = (
            lambda: f"LEAST({self.write('date', depth)}, {self.write('date', depth)})",
            lambda: f"GREATEST({self.write('date', depth)}, {self.write('date', depth)})",
            lambda: self._any("date", depth),
        )
        return self.random.choice(forms)()

    def _bool(self, depth: int) -> str:
        kind = self.random.choice(("number", "number", "date"))
        every = self.random.choice(("number", "text", "date", "bool"))
        sign = self.random.choice(("<", "<=", ">", ">=", "=", "<>"))
        forms = (
            lambda: f"({self.write('bool', depth)} AND {self.write('bool', depth)})",
            lambda: f"({self.write('bool', depth)} OR {self.write('bool', depth)} OR {self.write('bool', depth)})",
            lambda: f"(NOT {self.write('bool', depth)})",
            lambda: f"({self.write(kind, depth)} {sign} {self.write(kind, depth)})",
            lambda: f"({self.write(every, depth)} {self.random.choice(('=', '<>'))} {self.write(every, depth)})",
            lambda: f"({self.write(every, depth)} IS {self.random.choice(('', 'NOT '))}NULL)",
            lambda: f"({self.write(kind, depth)} BETWEEN {self.write(kind, depth)} AND {self.write(kind, depth)})",
            lambda: f"({self.write('number', depth)} NOT BETWEEN 0 AND 2.5)",
            lambda: f"({self.write('number', depth)} {self.random.choice(('', 'NOT '))}IN (0, 1, -7, 0.1, 12))",
            lambda: f"({self.write('text', depth)} {self.random.choice(('', 'NOT '))}IN ('car', 'O''Brien', ''))",
            lambda: self._any("bool", depth),
        )
        return self.random.choice(forms)()

    def _any(self, kind: ColumnType, depth: int) -> str:
        value, test = (lambda: self.write(kind, depth)), (lambda: self.write("bool", depth))
        forms = (
            lambda: f"COALESCE({value()}, {value()})",
            lambda: f"NULLIF({value()}, {value()})",
            lambda: f"CASE WHEN {test()} THEN {value()} ELSE {value()} END",
            lambda: f"CASE WHEN {test()} THEN {value()} WHEN {test()} THEN NULL ELSE {value()} END",
            lambda: f"CASE WHEN {test()} THEN {value()} END",
        )
        return self.random.choice(forms)()


def random_expressions(random: Random, *, count: int, depth: int = 4) -> dict[str, Expression]:
    """As many accepted expressions; what could leave the range of numbers is refused, and written anew."""
    source, found = Source(random), {}
    while len(found) < count:
        kind = random.choice(("number", "number", "number", "text", "date", "bool", "bool"))
        try:
            found[f"f{len(found)}"] = parse_expression(source.write(kind, random.randint(1, depth)), columns=COLUMNS)
        except ExpressionError:
            continue
    return found


@dataclass(frozen=True, slots=True)
class Engines:
    """DuckDB and PostgreSQL with the same rows in a table ``nasty``."""

    duckdb: duckdb.DuckDBPyConnection
    postgres: psycopg.Connection

    def load(self, rows: Sequence[Mapping[str, object]]) -> None:
        kinds = {name: "BIGINT" if name == "whole" else SQL_TYPES[kind] for name, kind in COLUMNS.items()}
        columns = ", ".join(f"{quote(name, Dialect.DUCKDB)} {kind}" for name, kind in kinds.items())
        values = [(index, *row.values()) for index, row in enumerate(rows)]
        for engine, mark in ((self.duckdb, "?"), (self.postgres.cursor(), "%s")):
            engine.execute("DROP TABLE IF EXISTS nasty")
            engine.execute(f"CREATE TABLE nasty (id INTEGER, {columns})")
            engine.executemany(f"INSERT INTO nasty VALUES ({', '.join([mark] * (len(kinds) + 1))})", values)

    def evaluate(self, expressions: Mapping[str, Expression], dialect: Dialect) -> list[tuple[object, ...]]:
        sql = emit_select(expressions, table="nasty", dialect=dialect, inputs=COLUMNS, passthrough=["id"])
        engine = self.duckdb if dialect is Dialect.DUCKDB else self.postgres
        return [row[1:] for row in engine.execute(sql + " ORDER BY 1").fetchall()]


def evaluate_in_python(
    expressions: Mapping[str, Expression], rows: Iterable[Mapping[str, object]]
) -> list[tuple[object, ...]]:
    compiled = compile_expressions(expressions)
    return [tuple(compiled(row).values()) for row in rows]


def bits(value: object) -> object:
    """A value with its type, numbers by their 64 bits."""
    return ("float", struct.pack("<d", value)) if isinstance(value, float) else (type(value).__name__, value)


def differences(
    left: Sequence[Sequence[object]], right: Sequence[Sequence[object]], *, names: Sequence[str]
) -> list[tuple[str, int, object, object]]:
    """Where two tables of values differ in any bit: the feature, the row and both values."""
    return [
        (name, index, one, other)
        for index, (ones, others) in enumerate(zip(left, right, strict=True))
        for name, one, other in zip(names, ones, others, strict=True)
        if bits(one) != bits(other)
    ]

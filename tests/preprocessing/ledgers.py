"""Small loan ledgers, written by hand, and the contracts that read them."""

from __future__ import annotations

import calendar
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
from hypothesis import strategies as st

from obligor.core.contract import Contract, parse_contract

if TYPE_CHECKING:
    from collections.abc import Sequence

Loan = tuple[str, date | None]
Instalment = tuple[str | None, date | None, date | None]

# A pair of loans that turn out differently whatever stands beside them, long before anything else happens.
PAIR: list[Loan] = [("good", date(1990, 7, 1)), ("bad", date(1990, 7, 1))]
PAIR_PAID: list[Instalment] = [("good", date(1990, 8, 1), date(1990, 8, 1)), ("bad", date(1990, 7, 1), None)]


def contract_of(columns: dict[str, Any], outcome: dict[str, Any], **more: Any) -> Contract:
    return parse_contract({
        "schema": "obligor/contract/1", "name": "test", "split": {"random": {}}, "outcome": outcome,
        "applications": {"columns": {"x": {"type": "number", "role": "predictor"}, **columns}}, **more,
    })  # fmt: skip


def on_repayments(
    months: int = 12, observed_at: date = date(2026, 1, 1), *, rejects: dict[str, Any] | None = None, **terms: Any
) -> Contract:
    columns = {"id": {"type": "text"}, "applied": {"type": "date", "role": "applied_at", "required": True}}
    dates = {"due": {"type": "date"}, "paid": {"type": "date"}}
    history = {"columns": {"loan": {"type": "text"}, **dates}, "key": ["loan", "id"], "event_at": "due"}
    rule = {"history": "repayments", "due_on": "due", "paid_on": "paid", "observed_at": observed_at, **terms}
    outcome = {"window_months": months, "days_past_due": rule}
    return contract_of(columns, outcome, histories={"repayments": history}, rejects=rejects)


def on_status(
    type_: str = "text", *, dated: bool = True, rejects: dict[str, Any] | None = None, **listed: Any
) -> Contract:
    columns: dict[str, Any] = {"status": {"type": type_, "role": "outcome"}}
    if dated:
        columns["applied"] = {"type": "date", "role": "applied_at", "required": True}
        columns["ended"] = {"type": "date", "role": "outcome_date"}
    status = {"column": "status", "good": ["good"], "bad": ["bad"], **listed}
    return contract_of(columns, {"window_months": 12, "status": status}, rejects=rejects)


def ledger(loans: Sequence[Loan], instalments: Sequence[Instalment]) -> duckdb.DuckDBPyConnection:
    db = duckdb.connect()
    db.execute("CREATE TABLE applications (_row BIGINT, id VARCHAR, applied DATE)")
    db.execute("CREATE TABLE history_repayments (_row BIGINT, loan VARCHAR, due DATE, paid DATE)")
    db.execute('CREATE TABLE unparsed_repayments (_row BIGINT, "column" VARCHAR, code VARCHAR)')
    for table, rows in (("applications", loans), ("history_repayments", instalments)):
        if rows:
            marks = ", ".join("?" * (1 + len(rows[0])))
            db.executemany(f"INSERT INTO {table} VALUES ({marks})", [(i, *row) for i, row in enumerate(rows)])
    return db


def statuses(rows: Sequence[tuple[Any, ...]], type_: str = "VARCHAR") -> duckdb.DuckDBPyConnection:
    """Write applications of a status, of the day applied for and of the day of the outcome; the last two may lack."""
    db = duckdb.connect()
    db.execute(f"CREATE TABLE applications (_row BIGINT, status {type_}, applied DATE, ended DATE)")
    filled = [(*row, *(date(2020, 1, 31), None)[len(row) - 1 :]) for row in rows]
    db.executemany("INSERT INTO applications VALUES (?, ?, ?, ?)", [(i, *row) for i, row in enumerate(filled)])
    return db


def months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


NAMES = ("a", "b", "c", "d")
DAYS = st.one_of(
    st.dates(date(2023, 11, 1), date(2024, 6, 30)),
    st.sampled_from([date(2024, 2, 28), date(2024, 2, 29), date(2024, 3, 1), date(2023, 11, 30), date(2023, 12, 31),
                     date(2024, 1, 31), date(2024, 5, 31)]),
)  # fmt: skip
OBSERVED = st.one_of(
    st.dates(date(2024, 1, 1), date(2024, 12, 31)), st.sampled_from([date(2024, 2, 29), date(2024, 9, 30)])
)
DELAYS = st.one_of(st.none(), st.integers(-9, 130), st.sampled_from([0, 1, 28, 29, 30, 31, 59, 60, 89, 90]))


@st.composite
def ledgers(draw: st.DrawFn) -> tuple[list[Loan], list[Instalment]]:
    """Draw four loans, and instalments around their days of application that are paid early, late or never."""
    applied = {name: draw(DAYS) for name in NAMES}
    lines: list[Instalment] = []
    for name, days, delay in draw(
        st.lists(st.tuples(st.sampled_from(NAMES), st.integers(-9, 130), DELAYS), max_size=14)
    ):
        due = applied[name] + timedelta(days=days)
        lines.append((name, due, None if delay is None else due + timedelta(days=delay)))
    return list(applied.items()), lines

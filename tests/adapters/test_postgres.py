from __future__ import annotations

import csv
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from obligor.adapters.postgres import PostgresSource
from obligor.core.errors import SourceError, TapeError, UnavailableError
from obligor.core.snapshot import TableRequest
from obligor.ingestion.snapshots import load_snapshot, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOANS = TableRequest("applications", columns=("loan_id", "income"))
SCHEMA = """
    DROP SCHEMA IF EXISTS risk CASCADE;
    CREATE SCHEMA risk;
    CREATE TABLE risk.loans (loan_id int, income numeric, "Purpose, of loan" text, note json, applied timestamptz);
    INSERT INTO risk.loans VALUES
        (3, 12.50, 'home, "own"', '{"a": 1}', '2020-02-29 23:00:00+01'),
        (1, NULL, '', NULL, NULL),
        (2, 12.5, E'two\nlines', '{"a":1}', '1969-12-31 00:00:00+00');
    CREATE TABLE risk."Repay.ments" (loan_id int, paid numeric);
    INSERT INTO risk."Repay.ments" VALUES (1, 5), (1, 4);
    CREATE VIEW risk.no_loans AS SELECT * FROM risk.loans WHERE false;
    CREATE VIEW risk.broken AS SELECT loan_id, "Purpose, of loan"::int AS income FROM risk.loans;
    CREATE TABLE risk.hidden (loan_id int, income numeric);
"""


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[str]:
    """The address of a database that holds a lender's tables in the schema ``risk``."""
    with psycopg.connect(postgres_url) as connection:
        connection.execute(SCHEMA)
    yield postgres_url
    with psycopg.connect(postgres_url) as connection:
        connection.execute("DROP SCHEMA risk CASCADE")


def _with(url: str, setting: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{setting}"


def _rows(database: str, request: TableRequest, store: Path) -> list[list[str]]:
    (file,) = take_snapshot(PostgresSource(_with(database, "table=risk.loans")), [request], store=store).files
    with file.path.open(newline="", encoding="utf-8") as text:
        return list(csv.reader(text))


def test_only_the_columns_of_the_contract_leave_the_database(database: str, tmp_path: Path) -> None:
    request = TableRequest("applications", columns=("Purpose, of loan", "loan_id"), order_by=("loan_id",))
    assert _rows(database, request, tmp_path) == [
        ["Purpose, of loan", "loan_id"],
        ["", "1"],
        ["two\nlines", "2"],
        ['home, "own"', "3"],
    ]


def test_without_an_order_rows_are_ordered_by_what_is_written(database: str, tmp_path: Path) -> None:
    rows = _rows(database, TableRequest("applications", columns=("income", "note")), tmp_path)
    assert rows == [["income", "note"], ["12.5", '{"a":1}'], ["12.50", '{"a": 1}'], ["", ""]]


def test_times_are_written_in_utc_whatever_the_server_is_set_to(database: str, tmp_path: Path) -> None:
    url = _with(database, "options=" + quote("-c timezone=Asia/Tokyo -c datestyle=German"))
    request = TableRequest("applications", columns=("applied",), order_by=("loan_id",))
    assert _rows(url, request, tmp_path)[2:] == [["1969-12-31 00:00:00+00"], ["2020-02-29 22:00:00+00"]]


@given(
    rows=st.lists(st.tuples(st.integers(-3, 3), st.one_of(st.none(), st.floats(width=64))), max_size=8), data=st.data()
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_rows_in_any_order_are_one_snapshot(
    database: str, tmp_path: Path, rows: list[tuple[int, float | None]], data: st.DataObject
) -> None:
    names = set()
    for ordered in (rows, data.draw(st.permutations(rows))):
        with psycopg.connect(database) as connection:
            connection.execute("DROP TABLE IF EXISTS risk.shuffled")
            connection.execute("CREATE TABLE risk.shuffled (loan_id int, income float8)")
            connection.cursor().executemany("INSERT INTO risk.shuffled VALUES (%s, %s)", ordered)
        request = TableRequest("loans", file="risk.shuffled", columns=("loan_id", "income"), order_by=("loan_id",))
        names.add(take_snapshot(PostgresSource(database), [request], store=tmp_path).sha256)
    assert len(names) == 1


def test_several_tables_are_of_one_moment(database: str, tmp_path: Path) -> None:
    source = PostgresSource(database)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    request = TableRequest("repayments", file='risk."Repay.ments"', columns=("paid",))
    (before,) = source.fetch(request, tmp_path / "one", progress=lambda _: None)
    with psycopg.connect(database) as connection:
        connection.execute('INSERT INTO risk."Repay.ments" VALUES (9, 9)')
    (again,) = source.fetch(request, tmp_path / "two", progress=lambda _: None)
    source.close()
    with psycopg.connect(database) as connection:
        connection.execute('DELETE FROM risk."Repay.ments" WHERE loan_id = 9')
    assert before.path.read_bytes() == again.path.read_bytes() == b"paid\n4\n5\n"


def test_a_contract_may_name_every_table(database: str, tmp_path: Path) -> None:
    requests = [
        TableRequest("applications", file="risk.loans", columns=("loan_id",)),
        TableRequest("repayments", file='risk."Repay.ments"'),
    ]
    snapshot = take_snapshot(PostgresSource(database), requests, store=tmp_path)
    assert [(file.table, file.name) for file in snapshot.files] == [
        ("applications", "risk.loans"),
        ("repayments", 'risk."Repay.ments"'),
    ]
    assert snapshot.table("repayments")[0].path.read_bytes() == b"loan_id,paid\n1,4\n1,5\n"
    assert load_snapshot(tmp_path / snapshot.sha256) == snapshot


def test_a_table_without_rows_still_has_its_header(database: str, tmp_path: Path) -> None:
    request = TableRequest("applications", file="risk.no_loans", columns=("loan_id", "income"), header=("ignored",))
    assert _rows(database, request, tmp_path) == [["loan_id", "income"]]


def test_a_tape_cannot_be_changed_by_reading_it(database: str) -> None:
    source = PostgresSource(database)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        source._connected().execute("DELETE FROM risk.loans")
    source.close()


def test_a_column_or_table_that_is_missing_is_named_with_its_likely_spelling(database: str, tmp_path: Path) -> None:
    with pytest.raises(TapeError, match=r"risk.loans has 5 columns, but not the column 'Income'.*\nHint: .*'income'"):
        _rows(database, TableRequest("applications", columns=("Income",)), tmp_path)
    with pytest.raises(SourceError, match=r"has no table 'risk.laons'\nHint: did you mean 'risk.loans'"):
        _rows(database, TableRequest("applications", file="risk.laons"), tmp_path)
    with pytest.raises(SourceError, match=r"has no table 'nowhere.x'"):
        _rows(database, TableRequest("applications", file="nowhere.x"), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a.b.c", 'risk."loans', "loans; DROP TABLE risk.loans", "loans' OR 1=1", "."])
def test_no_name_of_a_table_is_ever_run(database: str, tmp_path: Path, name: str) -> None:
    with pytest.raises(SourceError, match=r"names no table|is no table's name|has no table"):
        take_snapshot(PostgresSource(database), [TableRequest("applications", file=name)], store=tmp_path)


def test_an_error_of_the_database_does_not_repeat_a_value(database: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"failed while it was read \(InvalidTextRepresentation, 22P02\)") as failed:
        _rows(database, TableRequest("applications", file="risk.broken", columns=("income",)), tmp_path)
    assert "home" not in str(failed.value)
    assert "lines" not in str(failed.value)


def test_a_table_that_may_not_be_read_is_said(database: str, tmp_path: Path) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("DROP ROLE IF EXISTS stranger")
        connection.execute("CREATE ROLE stranger NOLOGIN")
        connection.execute("GRANT USAGE ON SCHEMA risk TO stranger")
    url = _with(database, "options=" + quote("-c role=stranger"))
    with pytest.raises(SourceError, match="may not be read: permission denied for table hidden"):
        _rows(url, TableRequest("applications", file="risk.hidden", columns=("income",)), tmp_path)


def test_a_database_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"postgresql://reader:hush@127.0.0.1:{nobody.getsockname()[1]}/loans?table=t"
        with pytest.raises(UnavailableError, match="did not answer") as failed:
            take_snapshot(PostgresSource(url), [LOANS], store=tmp_path)
    assert "hush" not in str(failed.value)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://ann:hush@db:5433/loans?table=a.b", "postgresql://ann@db:5433/loans?table=a.b"),
        ("postgres://ann:hush@a:1,b:2/loans?password=hush&table=t", "postgres://ann@a:1,b:2/loans?table=t"),
        ("postgresql:///loans?sslpassword=hush&sslmode=require", "postgresql:///loans?sslmode=require"),
        ("postgresql://ann:hu%40sh@db/loans", "postgresql://ann@db/loans"),
    ],
)
def test_a_password_is_never_told(url: str, told: str) -> None:
    assert PostgresSource(url).describe() == told


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:hu/sh@db/loans",
        "postgresql://ann:hu?sh@db/loans",
        "postgresql://ann:hu#sh@db/loans",
        "postgresql://ann:hu[sh@db/loans",
        "mysql://ann:hush@db/loans",
    ],
)
def test_a_malformed_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SourceError, match="wanted postgresql://user@host/database") as refused:
        PostgresSource(url)
    assert "hu" not in str(refused.value)


def test_an_address_that_the_driver_refuses_is_not_repeated(tmp_path: Path) -> None:
    source = PostgresSource("postgresql://ann:hush@db/loans?hushhush=1&table=t")
    with pytest.raises(SourceError, match="cannot be understood as a PostgreSQL address") as refused:
        take_snapshot(source, [LOANS], store=tmp_path)
    assert "hush@" not in str(refused.value)

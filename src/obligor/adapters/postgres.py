"""A tape in PostgreSQL: tables or views, copied out as CSV from one moment of the database.

The address is the database's own, with the tape's table as one more parameter::

    postgresql://reader@db.example/loans?sslmode=require&table=risk.applications

The same rows give the same bytes: the session's formats are fixed, and the rows are ordered to the last tie.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

import psycopg
from psycopg import sql

from obligor.core.errors import SourceError, UnavailableError
from obligor.ingestion.formats import close_to, require_columns
from obligor.ingestion.sources import RawFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from obligor.core.snapshot import TableRequest
    from obligor.ingestion.sources import Advance

_SCHEMES = ("postgresql", "postgres")
_PATIENCE_SECONDS = 10
# How values are written must depend on the rows alone, and not on how a server or a user is set up.
_FORMATS = (
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL bytea_output = 'hex'",
    "SET LOCAL extra_float_digits = 1",
    "SET LOCAL lc_monetary = 'C'",
)
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
"""
_TABLES = """
    SELECT nspname || '.' || relname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'v', 'm', 'p', 'f') AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    ORDER BY 1
"""
_PART = r'("(?:[^"]|"")+"|[^."]+)'
_NAME = re.compile(rf"(?:{_PART}\.)?{_PART}")


class PostgresSource:
    """A tape in a PostgreSQL database; all tables fetched before it is closed are of one moment.

    Parameters
    ----------
    url : str
        The database's address, with ``table=schema.name`` among its parameters where the contract names no table.
    """

    def __init__(self, url: str) -> None:
        parts = _address(url)
        settings = [setting for setting in parts.query.split("&") if setting]
        tables = [unquote(setting.removeprefix("table=")) for setting in settings if setting.startswith("table=")]
        self._table = tables[-1] if tables else None
        self._conninfo = _joined(parts, [setting for setting in settings if not setting.startswith("table=")])
        user, at, host = parts.netloc.rpartition("@")
        told = parts._replace(netloc=user.partition(":")[0] + at + host)
        self._description = _joined(told, [setting for setting in settings if not _is_secret(setting)])
        self._connection: psycopg.Connection | None = None

    def describe(self) -> str:
        """Give the address without its password."""
        return self._description

    def fetch(self, request: TableRequest, into: Path, *, progress: Advance) -> tuple[RawFile, ...]:
        """Copy the columns that the contract names out of one table."""
        name = request.file or self._table
        if not name:
            raise SourceError(
                f"{self._description} names no table (for {request.name})",
                hint="add table=schema.name to its parameters",
            )
        with self._errors():
            path = self._copy(name, request, into / "0000", progress=progress)
        return (RawFile(path, name, delimiter=",", encoding="utf-8", described=True),)

    def close(self) -> None:
        """End the transaction, and the connection with it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _copy(self, name: str, request: TableRequest, target: Path, *, progress: Advance) -> Path:
        connection = self._connected()
        table = sql.Identifier(*_name_parts(name))
        held = self._columns(connection, table, name)
        require_columns(held, (*request.columns, *request.order_by), name=name)
        query = _query(table, request.columns or held, order_by=request.order_by)
        with connection.cursor() as cursor, cursor.copy(query) as rows, target.open("xb", buffering=1 << 20) as file:
            for row in rows:
                file.write(row)
                progress(len(row))
        return target

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            connection = psycopg.connect(_with_defaults(self._conninfo))
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            self._connection = connection
            for setting in _FORMATS:
                connection.execute(setting)
        return self._connection

    def _columns(self, connection: psycopg.Connection, table: sql.Identifier, name: str) -> tuple[str, ...]:
        found = tuple(row[0] for row in connection.execute(_COLUMNS, (table.as_string(connection),)))
        if not found:
            tables = [row[0] for row in connection.execute(_TABLES)]
            near = close_to(name, [*tables, *(table.partition(".")[2] for table in tables)])
            raise SourceError(
                f"{self._description} has no table '{name}'",
                hint=f"did you mean '{near[0]}'?" if near else "capital letters count; write schema.name",
            )
        return found

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            raise SourceError(f"{self._description} may not be read: {error.diag.message_primary}") from error
        except psycopg.OperationalError as error:
            raise UnavailableError(f"{self._description} did not answer: {_first_line(error)}") from error
        except psycopg.ProgrammingError as error:
            if error.sqlstate is None:  # the address itself; the driver's own words would repeat the password
                raise SourceError(f"{self._description} cannot be understood as a PostgreSQL address") from None
            raise SourceError(f"{self._description} refused the query ({_code(error)})") from error
        except psycopg.Error as error:  # its text may hold a value of the tape
            raise SourceError(f"{self._description} failed while it was read ({_code(error)})") from error


def _address(url: str) -> SplitResult:
    """Cut an address into its parts; a malformed one is not repeated, for any part of it may be the password."""
    try:
        parts = urlsplit(url, allow_fragments=False)
    except ValueError:
        raise SourceError("the tape's address is malformed; wanted postgresql://user@host/database") from None
    if parts.scheme not in _SCHEMES:
        raise SourceError(f"'{parts.scheme}://...' is no PostgreSQL address; wanted postgresql://user@host/database")
    if "@" in parts.path or "@" in parts.query:
        raise SourceError(
            "the tape's address has an '@' after its host; wanted postgresql://user@host/database",
            hint="write the letters / ? # @ of a password as %2F %3F %23 %40, or set PGPASSWORD",
        )
    return parts


def _joined(parts: SplitResult, settings: Sequence[str]) -> str:
    query = "?" + "&".join(settings) if settings else ""
    return f"{parts.scheme}://{parts.netloc}{parts.path}{query}"


def _with_defaults(conninfo: str) -> str:
    given = psycopg.conninfo.conninfo_to_dict(conninfo)
    return psycopg.conninfo.make_conninfo(
        conninfo,
        application_name=given.get("application_name", "obligor"),
        connect_timeout=given.get("connect_timeout", _PATIENCE_SECONDS),
    )


def _is_secret(setting: str) -> bool:
    key = setting.partition("=")[0].lower()
    return "password" in key or "secret" in key


def _name_parts(name: str) -> tuple[str, ...]:
    """Cut ``schema.name`` at its dot; a part that itself holds a dot stands in double quotes, as in SQL."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise SourceError(f"'{name}' is no table's name; wanted name or schema.name")
    return tuple(_unquoted(part) for part in match.groups() if part is not None)


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def _query(table: sql.Identifier, columns: Sequence[str], *, order_by: Sequence[str]) -> sql.Composed:
    """Select in an order that leaves no tie: last of all, rows are ordered by the very text that is written."""
    exact = [sql.SQL('{}::text COLLATE "C"').format(sql.Identifier(column)) for column in columns]
    return sql.SQL(
        "COPY (SELECT {columns} FROM {table} ORDER BY {order}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')"
    ).format(
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)),
        table=table,
        order=sql.SQL(", ").join([*map(sql.Identifier, order_by), *exact]),
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _code(error: psycopg.Error) -> str:
    return f"{type(error).__name__}, {error.sqlstate}"

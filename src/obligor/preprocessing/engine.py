"""The bulk engine: one DuckDB connection that carries the data of a run as tables, and what its refusals mean."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import duckdb

from obligor.core.dialects import Dialect, literal, quote
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obligor.core.syntax import Scalar

_FULL = ("No space left on device", "Disk quota exceeded", "max_temp_directory_size", "File too large")


def connect(folder: Path, *, memory_mb: int = 1000, threads: int = 2) -> duckdb.DuckDBPyConnection:
    """Open the working database of a run in a folder of its own; it never reaches for the network.

    Rows keep the order in which they were inserted, so that equal inputs give equal tables.
    """
    spill = folder / "spill"
    with engine_trouble(f"the working database in {folder}"):
        spill.mkdir(parents=True, exist_ok=True)
        db = duckdb.connect(
            folder / "run.duckdb",
            config={
                "memory_limit": f"{memory_mb}MB",
                "threads": threads,
                "temp_directory": str(spill),
                "preserve_insertion_order": True,
                "autoinstall_known_extensions": False,
                "autoload_known_extensions": False,
            },
        )
        with suppress(duckdb.InvalidInputException):  # in a notebook without widgets there is no bar to switch off
            db.execute("SET enable_progress_bar = false")
        db.execute("SET TimeZone = 'UTC'")
        return db


@contextmanager
def engine_trouble(what: str) -> Iterator[None]:
    """Turn a full disk or a want of memory into an error that names the work which met it."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        if _tells_of_full_disk(error):
            raise _disk_full(what) from error
        raise UnavailableError(
            f"{what}: needs more memory than the engine was given", hint="give the run more memory"
        ) from error
    except (duckdb.IOException, OSError) as error:
        if _tells_of_full_disk(error):
            raise _disk_full(what) from error
        raise


def identifier(name: str) -> str:
    """Write the name of a table or column so that it is read as it stands."""
    return quote(name, Dialect.DUCKDB)


def value(scalar: Scalar) -> str:
    """Write a number, a text, a date or a truth as SQL."""
    return literal(scalar, Dialect.DUCKDB)


def among(sql: str, scalars: tuple[Scalar, ...]) -> str:
    """Write the test whether a value is one of several; it is false where there are none."""
    return f"{sql} IN ({', '.join(value(scalar) for scalar in scalars)})" if scalars else "FALSE"


def fetch_one(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[int, ...]:
    """Give the one row of counts that a query has."""
    found = db.execute(sql).fetchone()
    return tuple(int(count or 0) for count in found or ())


def _tells_of_full_disk(error: Exception) -> bool:
    return any(sign in str(error) for sign in _FULL)


def _disk_full(what: str) -> UnavailableError:
    return UnavailableError(f"{what}: the disk is full", hint="free some space, or name another folder, and run again")

"""Reads a snapshot into the bulk engine: every column of the contract, cleaned and typed, one row for each row.

Nothing of the raw text stays in the engine but what the contract names, and no row is left out: a line that cannot be
cut into fields stops the reading, by its number; a cell that cannot be read becomes missing and is noted in a table of
its own, so that the validation after it can count it.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
import shutil
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from obligor.core.errors import ContractError, SourceError, TapeError
from obligor.core.snapshot import PLAIN
from obligor.preprocessing.cells import FIRST_FAULT, Cell, Reading, check_patterns, read_cell
from obligor.preprocessing.engine import engine_trouble, fetch_one, identifier, value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from obligor.core.columns import Column, History, Table
    from obligor.core.snapshot import NumberForm, Snapshot, SnapshotFile

APPLICATIONS, UNPARSED = "applications", "unparsed"
_SUBSTITUTE = chr(26)  # the end-of-file mark of old systems
_REJECTED_LINES = 1000
_LINE_FAULTS = {
    "MISSING COLUMNS": "has fewer fields than there are columns",
    "TOO MANY COLUMNS": "has more fields than there are columns",
    "UNQUOTED VALUE": "has a quote that is not closed",
    "INVALID ENCODING": "is not UTF-8",
    "LINE SIZE OVER MAXIMUM": "is longer than the engine can read; is a quote left open",
}


@dataclass(frozen=True, slots=True)
class TapeTable:
    """One table of a tape in the engine.

    Parameters
    ----------
    name : str
        The engine's table: ``_row``, the 0-based position in the tape, and the contract's columns.
    unparsed : str
        The engine's table of cells that could not be read: ``_row``, ``column``, ``code``.
    """

    name: str
    unparsed: str
    rows: int
    columns: Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Tape:
    """A loan tape in the bulk engine: its applications, and the histories beside them."""

    db: duckdb.DuckDBPyConnection
    applications: TapeTable
    histories: Mapping[str, TapeTable]

    @property
    def rows(self) -> int:
        """The number of applications."""
        return self.applications.rows

    @property
    def columns(self) -> Mapping[str, Column]:
        """The columns of the applications."""
        return self.applications.columns


def read_tape(
    db: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    *,
    applications: Table,
    histories: Mapping[str, History],
) -> Tape:
    """Read the applications and histories of a snapshot into the engine.

    Raises
    ------
    TapeError
        Where a column is absent or named twice, a line does not have its fields, or there is no row.
    SourceError
        Where a file is damaged.
    """
    tape = Tape(
        db,
        _read_table(db, snapshot.table(APPLICATIONS), table=applications, name=APPLICATIONS, unparsed=UNPARSED),
        {
            name: _read_table(
                db, snapshot.table(name), table=history, name=f"history_{name}", unparsed=f"{UNPARSED}_{name}"
            )
            for name, history in histories.items()
        },
    )
    if tape.rows == 0:
        names = ", ".join(_called(file) for file in snapshot.table(APPLICATIONS))
        raise TapeError(f"{names} has no rows; wanted at least one application below the header")
    return tape


def _read_table(
    db: duckdb.DuckDBPyConnection, files: Sequence[SnapshotFile], *, table: Table, name: str, unparsed: str
) -> TapeTable:
    _check_columns(db, table.columns)
    read = identifier(f"{name}_read")
    for index, file in enumerate(files):
        with engine_trouble(f"reading {_called(file)}"), cleaned_rows(db, file, columns=table.columns) as query:
            db.execute(f"INSERT INTO {read} {query}" if index else f"CREATE TABLE {read} AS {query}")
    with engine_trouble(f"reading '{name}'"):
        db.execute(f"CREATE VIEW {identifier(name)} AS {_view(table.columns, read)}")
        db.execute(f"CREATE TABLE {identifier(unparsed)} AS {_faults(table.columns, read)}")
    (rows,) = fetch_one(db, f"SELECT COUNT(*) FROM {read}")
    return TapeTable(name, unparsed, rows, table.columns)


def _check_columns(db: duckdb.DuckDBPyConnection, columns: Mapping[str, Column]) -> None:
    """Refuse patterns that the engine does not understand, and names that it cannot tell apart: for it A and a are one."""
    folded = Counter(name.lower() for name in columns)
    twins = [name for name in columns if folded[name.lower()] > 1]
    if twins:
        raise ContractError(f"columns '{twins[0]}' and '{twins[1]}' differ only in case; wanted names that differ more")
    if "_row" in folded:
        raise ContractError("a column has the name '_row', which stands for the position in the tape")
    for name, column in columns.items():
        check_patterns(db, name, column=column)


@contextmanager
def cleaned_rows(db: duckdb.DuckDBPyConnection, file: SnapshotFile, *, columns: Mapping[str, Column]) -> Iterator[str]:
    """Lend the query of a file's rows, in their order: ``v0``, ``v1`` and so on are the columns, ``faults`` the readings.

    Lines that cannot be cut into fields are told at the end, once all the others were read.
    """
    if file.format == "parquet":
        with _damage(file):
            names, types = _parquet_columns(db, file.path)
            source = f"read_parquet({value(str(file.path))}) AS raw({', '.join(f'c{i}' for i in range(len(names)))})"
            yield _query(source, columns=columns, places=_places(names, columns, called=_called(file)), types=types)
        return
    header = _header(file)
    places = _places(header.names, columns, called=_called(file))
    with _readable(db, file, header=header) as path:
        source = _csv_source(path, file, header=header)
        try:
            with _damage(file):
                types = ["VARCHAR"] * len(header.names)
                yield _query(source, columns=columns, places=places, types=types, numbers=file.numbers)
            _refuse_ragged(db, file)
        finally:
            db.execute("DROP TABLE IF EXISTS ragged_scans; DROP TABLE IF EXISTS ragged_lines")


@contextmanager
def stream_rows(db: duckdb.DuckDBPyConnection, file: SnapshotFile, *, table: Table) -> Iterator[str]:
    """Lend a relation of a file's rows with the names of the contract, ``_row`` and ``faults``, without a copy of it."""
    _check_columns(db, table.columns)
    with engine_trouble(f"reading {_called(file)}"), cleaned_rows(db, file, columns=table.columns) as query:
        yield _numbered(query, table)


@contextmanager
def stream_batches(
    db: duckdb.DuckDBPyConnection, batches: pa.RecordBatchReader, *, table: Table, called: str
) -> Iterator[str]:
    """Lend a relation of Arrow batches as `stream_rows` does of a file; they can be read once.

    Parameters
    ----------
    called
        What a message calls them.
    """
    _check_columns(db, table.columns)
    names = batches.schema.names
    places = _places(names, table.columns, called=called)
    db.register("batches", batches)
    try:
        described = db.execute("DESCRIBE SELECT * FROM batches").fetchall()
        source = f"batches AS raw({', '.join(f'c{index}' for index in range(len(names)))})"
        types = [kind for _, kind, *_ in described]
        with engine_trouble(f"reading {called}"):
            yield _numbered(_query(source, columns=table.columns, places=places, types=types), table)
    finally:
        db.unregister("batches")


def _numbered(query: str, table: Table) -> str:
    named = [f"v{index} AS {identifier(name)}" for index, name in enumerate(table.columns)]
    return f"(SELECT ROW_NUMBER() OVER () - 1 AS _row, {', '.join(named)}, faults FROM ({query}))"


def _query(
    source: str,
    *,
    columns: Mapping[str, Column],
    places: Mapping[str, int],
    types: Sequence[str],
    numbers: NumberForm = PLAIN,
) -> str:
    cells = [
        read_cell(
            name, column, raw=f"c{places[name]}", engine_type=types[places[name]], prefix=f"x{index}", numbers=numbers
        )
        for index, (name, column) in enumerate(columns.items())
    ]
    return _select(cells, source=source, raw=sorted({f"c{place}" for place in places.values()}))


def _select(cells: Sequence[Cell], *, source: str, raw: Sequence[str]) -> str:
    """Nest the stages of all columns, so that each is computed once; the engine drops what nobody reads."""
    query = f"SELECT {', '.join(raw)} FROM {source}"
    for depth in range(max(len(cell.stages) for cell in cells)):
        made = [f"{cell.stages[depth][1]} AS {cell.stages[depth][0]}" for cell in cells if depth < len(cell.stages)]
        query = f"SELECT *, {', '.join(made)} FROM ({query})"
    readings = [f"{cell.prefix}_reading" for cell in cells]
    made = [f"CAST({cell.reading} AS UTINYINT) AS {name}" for cell, name in zip(cells, readings, strict=True)]
    query = f"SELECT *, {', '.join(made)} FROM ({query})"
    doubtful = [name for cell, name in zip(cells, readings, strict=True) if not cell.readable] or ["0"]
    faults = f"CASE WHEN GREATEST({', '.join(doubtful)}) >= {FIRST_FAULT} THEN [{', '.join(readings)}] END AS faults"
    values = [f"{cell.value} AS v{index}" for index, cell in enumerate(cells)]
    return f"SELECT {', '.join([*values, faults])} FROM ({query})"


def _view(columns: Mapping[str, Column], read: str) -> str:
    """Name the columns as the contract does; a table to which rows are only added numbers them from 0 without a gap."""
    named = [f"v{index} AS {identifier(name)}" for index, name in enumerate(columns)]
    return f"SELECT {', '.join(['rowid AS _row', *named])} FROM {read}"


def _faults(columns: Mapping[str, Column], read: str) -> str:
    names = ", ".join(value(name) for name in columns)
    codes = " ".join(f"WHEN {it} THEN {value(it.name.lower())}" for it in Reading if it >= FIRST_FAULT)
    return (
        f'SELECT _row, [{names}][place] AS "column", CASE reading {codes} END AS code FROM ('
        f"SELECT rowid AS _row, UNNEST(faults) AS reading, GENERATE_SUBSCRIPTS(faults, 1) AS place "
        f"FROM {read} WHERE faults IS NOT NULL) WHERE reading >= {FIRST_FAULT} ORDER BY _row, place"
    )


# --- the columns of a file ---------------------------------------------------------------------------------------


def _places(names: Sequence[str], columns: Mapping[str, Column], *, called: str) -> dict[str, int]:
    """Find each column of the contract in what is called so."""
    counts = Counter(names)
    absent = [name for name in columns if name not in counts]
    if absent:
        known = {name.casefold().strip(): name for name in reversed(names)}
        near = [
            f"'{name}' may be '{known[close[0]]}'"
            for name in absent
            if (close := difflib.get_close_matches(name.casefold(), known, n=1, cutoff=0.7))
        ]
        plural = "s" if len(absent) > 1 else ""
        raise TapeError(
            f"{called} lacks the column{plural} {', '.join(map(repr, absent))} that the contract names",
            hint="; ".join(near) or None,
        )
    twice = [name for name in columns if counts[name] > 1]
    if twice:
        raise TapeError(f"{called} has the column '{twice[0]}' {counts[twice[0]]} times; wanted it once")
    return {name: names.index(name) for name in columns}


@dataclass(frozen=True, slots=True)
class _Header:
    """The column names of a text file, and how many lines they and the empty ones before them take."""

    names: tuple[str, ...]
    lines: int

    @property
    def plain(self) -> bool:
        """Whether it is one line or none, as the engine expects it."""
        return self.lines <= 1


def _header(file: SnapshotFile) -> _Header:
    if file.header is not None:
        return _Header(file.header, 0)
    with _damage(file), _text(file) as text:
        records = csv.reader(text, delimiter=file.delimiter or ",")
        for record in records:
            if record:
                return _Header(tuple(record), records.line_num)
    raise TapeError(f"{_called(file)} is empty; wanted a header line and rows")


def _parquet_columns(db: duckdb.DuckDBPyConnection, path: Path) -> tuple[tuple[str, ...], list[str]]:
    described = db.execute(f"DESCRIBE SELECT * FROM read_parquet({value(str(path))})").fetchall()
    return tuple(pq.read_schema(path).names), [kind for _, kind, *_ in described]


# --- text files --------------------------------------------------------------------------------------------------


def _csv_source(path: Path, file: SnapshotFile, *, header: _Header) -> str:
    width = len(header.names)
    columns = ", ".join(f"'c{index}': 'VARCHAR'" for index in range(width))
    options = {
        "columns": f"{{{columns}}}",
        "auto_detect": "false",
        "header": str(header.lines == 1).lower(),
        "delim": value(file.delimiter or ","),
        "quote": value('"'),
        "escape": value('"'),
        "compression": value("none" if path != file.path else file.compression),
        "store_rejects": "true",
        "rejects_limit": str(_REJECTED_LINES),
        "rejects_scan": value("ragged_scans"),
        "rejects_table": value("ragged_lines"),
    }
    source = f"read_csv({value(str(path))}, {', '.join(f'{key} = {it}' for key, it in options.items())})"
    if width > 1:  # there a line of one field is ragged, and `_refuse_ragged` knows the mark
        return source
    return f"(SELECT * FROM {source} WHERE c0 IS DISTINCT FROM chr({ord(_SUBSTITUTE)}))"


def _refuse_ragged(db: duckdb.DuckDBPyConnection, file: SnapshotFile) -> None:
    """Refuse lines that cannot be cut into fields, but for the end-of-file mark of old systems."""
    found = db.execute(
        "SELECT COUNT(DISTINCT line), MIN(line), ARG_MIN(error_type, line), ARG_MIN(error_message, line) "
        "FROM ragged_lines WHERE TRIM(csv_line, chr(13) || chr(10)) <> chr(26)"
    ).fetchone()
    if not found or not found[0]:
        return
    lines, line, kind, message = found
    fields = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", str(message))
    fault = (
        f"has {fields[2]} fields; wanted {fields[1]}"
        if fields
        else _LINE_FAULTS.get(str(kind), "cannot be read as CSV")
    )
    count = f"{'at least ' * (lines >= _REJECTED_LINES)}{lines} lines" if lines > 1 else "a line"
    raise TapeError(
        f"{_called(file)}: {count} cannot be read; {'the first, ' * (lines > 1)}line {line}, {fault}",
        hint="a quoted line break counts as no line; is a delimiter or a quote inside a text not quoted?",
    )


@contextmanager
def _readable(db: duckdb.DuckDBPyConnection, file: SnapshotFile, *, header: _Header) -> Iterator[Path]:
    """Lend a text file as the engine reads it safely: in UTF-8, without a header of several lines, and whole.

    The engine's own reader of Latin-1 refuses bytes that Windows writes into such files; with lines to skip, or a line
    break in the header, it may lose all others where line endings are mixed; and a zstd file that was cut short it reads
    as if it ended there.
    """
    if file.encoding in (None, "utf-8") and file.compression != "zstd" and header.plain:
        yield file.path
        return
    # All of it is fetched: a result that is not read to its end would bar the stream that follows.
    ((spill,),) = db.execute("SELECT current_setting('temp_directory')").fetchall()
    folder = Path(spill) if spill and Path(spill).is_dir() else None
    with tempfile.TemporaryDirectory(dir=folder) as lent:
        path = Path(lent) / "utf8.csv"
        with (
            engine_trouble(f"reading {_called(file)}"),
            _damage(file),
            _text(file) as reading,
            path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as writing,
        ):
            for _ in range(0 if header.plain else header.lines):
                reading.readline()
            shutil.copyfileobj(reading, writing, 1 << 20)
        yield path


@contextmanager
def _text(file: SnapshotFile) -> Iterator[io.TextIOWrapper]:
    encoding = "utf-8-sig" if file.encoding in (None, "utf-8") else file.encoding
    packed = None if file.compression == "none" else file.compression
    with (
        pa.input_stream(file.path, compression=packed) as stream,
        io.TextIOWrapper(stream, encoding=encoding, errors="surrogateescape", newline="") as text,
    ):
        yield text


# --- messages ----------------------------------------------------------------------------------------------------


@contextmanager
def _damage(file: SnapshotFile) -> Iterator[None]:
    """Turn what the engine says of a damaged file into one error that repeats nothing of its content."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, pa.ArrowException, OSError, csv.Error) as error:
        with engine_trouble(f"reading {_called(file)}"):
            if isinstance(error, (duckdb.IOException, OSError)) and "No space left" in str(error):
                raise
        line = re.search(r"Line: (\d+)", str(error))
        place = f" near line {line[1]}" if line else ""
        kind = {"csv": "CSV", "parquet": "Parquet"}[file.format]
        raise SourceError(
            f"{_called(file)} cannot be read as {kind}{place}; wanted a whole file",
            hint="it may be cut short or damaged, or mix line endings" if kind == "CSV" else "it may be cut short",
        ) from error


def _called(file: SnapshotFile) -> str:
    return file.name or file.path.name

"""Scores a whole tape: features in the bulk engine, bins and points over columns, flat memory, one file at the end.

A tape of this machine is read where it lies, and streams from its file to the output; one from elsewhere is fetched first.
Only where a card reads histories is the tape loaded into the engine, since the rows of one applicant lie apart there.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from obligor import __version__
from obligor.core.errors import TapeError
from obligor.core.scorer import card_features
from obligor.core.snapshot import requests_for
from obligor.ingestion.snapshots import in_place, take_snapshot
from obligor.ingestion.sources import LocalSource
from obligor.preprocessing.cells import FIRST_FAULT
from obligor.preprocessing.engine import connect, identifier
from obligor.preprocessing.tape import APPLICATIONS, UNPARSED, read_tape, stream_rows
from obligor.serving.scoring.columnar import RowScorer, Wanted, read_batches, row_query
from obligor.serving.scoring.parts import parts_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping
    from pathlib import Path

    import duckdb

    from obligor.core.columnar import ColumnScores
    from obligor.core.columns import Table
    from obligor.core.scorecard import Scorecard
    from obligor.core.snapshot import Snapshot, SnapshotFile
    from obligor.ingestion.sources import Source
    from obligor.progress import Progress
    from obligor.serving.scoring.parts import Parts
    from obligor.settings import Settings

PART_ROWS = 1 << 21


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch gave."""

    rows: int
    score_mean: float
    """In points."""
    pd_mean: float
    bands: dict[str, int]
    """Rows in each band."""
    unseen: dict[str, int]
    """Rows whose level of a characteristic was never seen when the card was made, where there are any."""
    unreadable: dict[str, int]
    """Cells of a column that could not be read, or whose value is refused, and count as missing, where there are any."""
    out: str

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = [f"{self.rows:,} applications scored: mean score {self.score_mean:.1f}, mean PD {self.pd_mean:.2%}"]
        said += [f"  {name}: {count:,}" for name, count in self.bands.items()]
        said += [f"  {name}: {count:,} rows with a category never seen before" for name, count in self.unseen.items()]
        said += [
            f"  {name}: {count:,} cells cannot be read, or are refused, and count as missing"
            for name, count in self.unreadable.items()
        ]
        return [*said, f"written to {self.out}"]


def score_source(
    source: Source,
    *,
    card: Scorecard,
    out: Path,
    work: Path,
    settings: Settings,
    progress: Progress,
    wanted: Wanted | None = None,
) -> BatchResult:
    """Score every application of a source into a Parquet file, going on where an earlier, interrupted batch stopped."""
    wanted = wanted or Wanted()
    with connect(work, memory_mb=settings.memory_mb, threads=settings.threads) as db, ExitStack() as reading:
        snapshot = reading.enter_context(_snapshot(source, card, settings=settings, progress=progress))
        tally = _Tally(card, wanted)
        plan = {
            "card": card.sha256,
            "tape": snapshot.sha256,
            "obligor": __version__,
            "part_rows": PART_ROWS,
            **asdict(wanted),
        }
        with parts_of(out, schema=tally.scorer.schema, plan=plan) as parts:
            with progress.step("scoring", total=_rows_known(snapshot)) as advance:
                tally.resume(parts.counted())
                advance(tally.rows)
                for batch in _write_parts(_rest(_ahead(_batches(db, card, snapshot)), skip=tally.rows), tally, parts):
                    advance(batch)
            if not tally.rows:
                names = ", ".join(file.name or file.path.name for file in snapshot.table(APPLICATIONS))
                raise TapeError(f"{names} has no rows; wanted at least one application below the header")
            histories = _unread_in_histories(db, card)
            unread = {APPLICATIONS: tally.unreadable} | histories
            _refuse_unreadable(db, snapshot, tables={APPLICATIONS: card.applications} | card.histories, unread=unread)
            tally.unreadable |= {f"{name}.{column}": n for name, of in histories.items() for column, n in of.items()}
            reading.close()  # which refuses a tape that changed meanwhile
            parts.join()
    return tally.result(out)


@contextmanager
def _snapshot(source: Source, card: Scorecard, *, settings: Settings, progress: Progress) -> Iterator[Snapshot]:
    requests = requests_for(card.applications, card.histories)
    if isinstance(source, LocalSource):
        with in_place(source, requests) as snapshot:
            yield snapshot
        return
    with progress.step("taking a snapshot") as advance:
        taken = take_snapshot(source, requests, store=settings.snapshots, progress=advance)
    yield taken


def _rows_known(snapshot: Snapshot) -> float | None:
    files = snapshot.table(APPLICATIONS)
    if any(file.format != "parquet" for file in files):
        return None
    return float(sum(pq.read_metadata(file.path).num_rows for file in files))


def _write_parts(batches: Iterator[pa.RecordBatch], tally: _Tally, parts: Parts) -> Iterator[int]:
    """Write part after part, one batch being written while the next is scored; give the rows of each batch."""
    place, held = parts.done, next(batches, None)
    while held is not None:
        room = PART_ROWS
        with parts.write(place) as writer, ThreadPoolExecutor(1) as pool:
            written: Future[None] | None = None
            while held is not None and room:
                now, held = _cut(held, room)
                table = tally.add(now)
                if written:
                    written.result()
                written = pool.submit(writer.write_table, table)
                room -= now.num_rows
                yield now.num_rows
                held = held if held is not None else next(batches, None)
            if written:
                written.result()
        parts.note(place, tally.counted())
        place += 1


def _ahead(batches: Generator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Read the next batch while one is scored."""
    with ThreadPoolExecutor(1) as pool:
        try:
            waiting = pool.submit(next, batches, None)
            while (batch := waiting.result()) is not None:
                waiting = pool.submit(next, batches, None)
                yield batch
        finally:
            pool.submit(batches.close).result()


def _cut(batch: pa.RecordBatch, rows: int) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
    return (batch, None) if batch.num_rows <= rows else (batch.slice(0, rows), batch.slice(rows))


def _rest(batches: Iterator[pa.RecordBatch], *, skip: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if skip < batch.num_rows:
            yield batch.slice(skip)
        skip = max(skip - batch.num_rows, 0)


class _Tally:
    """Scores one batch after another and keeps count."""

    def __init__(self, card: Scorecard, wanted: Wanted) -> None:
        self.card = card
        self.scorer = RowScorer(card, wanted)
        self.columns = list(card.applications.columns)
        self.rows, self.score, self.pd = 0, 0, 0.0
        self.bands = np.zeros(len(card.bands), dtype=np.int64)
        self.unseen: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}

    def counted(self) -> dict[str, Any]:
        """Give what was counted so far, as plain data."""
        return {
            "rows": self.rows,
            "score": self.score,
            "pd": self.pd,
            "bands": self.bands.tolist(),
            "unseen": self.unseen,
            "unreadable": self.unreadable,
        }

    def resume(self, counted: Mapping[str, Any] | None) -> None:
        """Go on from what an earlier run counted."""
        if counted is not None:
            self.rows, self.score, self.pd = counted["rows"], counted["score"], counted["pd"]
            self.bands = np.array(counted["bands"], dtype=np.int64)
            self.unseen, self.unreadable = dict(counted["unseen"]), dict(counted["unreadable"])

    def add(self, batch: pa.RecordBatch) -> pa.Table:
        scores, table = self.scorer.score(batch)
        self._count(scores, batch)
        return table

    def _count(self, scores: ColumnScores, batch: pa.RecordBatch) -> None:
        self.rows += batch.num_rows
        self.score += int(scores.score.sum())
        self.pd += float(scores.pd.sum())
        self.bands += np.bincount(scores.band, minlength=len(self.bands))
        for it in self.card.characteristics:
            if it.kind == "category":
                _add(self.unseen, it.feature, int((scores.bins[it.feature] == len(it.bins) - 1).sum()))
        faults = batch.column("faults")
        if faults.null_count < len(faults):
            readings = np.asarray(faults.drop_null().flatten()).reshape(-1, len(self.columns))
            for name, count in zip(self.columns, (readings >= FIRST_FAULT).sum(axis=0), strict=True):
                _add(self.unreadable, name, int(count))

    def result(self, out: Path) -> BatchResult:
        counted = {band.name: int(count) for band, count in zip(self.card.bands, self.bands, strict=True)}
        return BatchResult(
            self.rows,
            self.score / self.rows / 1000,
            self.pd / self.rows,
            counted,
            self.unseen,
            self.unreadable,
            str(out),
        )


def _add(counts: dict[str, int], name: str, count: int) -> None:
    if count:
        counts[name] = counts.get(name, 0) + count


def _unread_in_histories(db: duckdb.DuckDBPyConnection, card: Scorecard) -> dict[str, dict[str, int]]:
    """Count the cells of each history's columns that could not be read."""
    read = card.histories if card_features(card).aggregates else ()
    counted = 'SELECT "column", COUNT(*) FROM {} GROUP BY ALL ORDER BY ALL'
    return {name: dict(db.execute(counted.format(identifier(f"{UNPARSED}_{name}"))).fetchall()) for name in read}


def _refuse_unreadable(
    db: duckdb.DuckDBPyConnection,
    snapshot: Snapshot,
    *,
    tables: Mapping[str, Table],
    unread: Mapping[str, Mapping[str, int]],
) -> None:
    """Refuse a tape of which a column cannot be read in any row: every score would rest on a value that is missing."""
    for name, counts in unread.items():
        if not counts:
            continue
        table = tables[name].model_copy(update={"columns": {it: tables[name].columns[it] for it in counts}})
        held = [_values_held(db, file, table) for file in snapshot.table(name)]
        for (column, said), *values in zip(table.columns.items(), *held, strict=True):
            if not any(values):
                raise TapeError(
                    f"{name}: none of the {counts[column]} values of '{column}' can be read; "
                    f"wanted a {said.type}{' within its limits' if said.refuses else ''}",
                    hint="mend the column; leave its cells empty only where nobody knows their values",
                )


def _values_held(db: duckdb.DuckDBPyConnection, file: SnapshotFile, table: Table) -> tuple[Any, ...]:
    """Count the values of each column that can be read."""
    counts = ", ".join(f"COUNT({identifier(it)})" for it in table.columns)
    with stream_rows(db, file, table=table) as rows:
        (held,) = db.execute(f"SELECT {counts} FROM {rows}").fetchall()
    return tuple(held)


def _batches(db: duckdb.DuckDBPyConnection, card: Scorecard, snapshot: Snapshot) -> Generator[pa.RecordBatch]:
    """Give the features, the identifiers and the faults of every application, in the order of the tape."""
    features = card_features(card)
    if features.aggregates:
        tape = read_tape(db, snapshot, applications=card.applications, histories=card.histories)
        rows = f"(SELECT a.*, r.faults FROM {APPLICATIONS} a JOIN {APPLICATIONS}_read r ON r.rowid = a._row)"
        yield from read_batches(tape.db.cursor(), f"{row_query(card, features, rows)} ORDER BY _row")
        return
    db.execute("SET threads = 1")  # a stream in order is read by one thread; more of them only read ahead into memory
    for file in snapshot.table(APPLICATIONS):
        with stream_rows(db, file, table=card.applications) as rows:
            yield from read_batches(db, row_query(card, features, rows))

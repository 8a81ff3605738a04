"""Scores a whole tape: features in the bulk engine, bins and points over columns, flat memory, one file at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from obligor.core.columnar import ColumnScores, pair_points, principal_reasons, score_columns
from obligor.core.contract import Role
from obligor.core.reasons import Shortfalls, shortfalls_of
from obligor.core.scorer import card_features
from obligor.core.snapshot import requests_for
from obligor.files import whole_file
from obligor.ingestion.snapshots import take_snapshot
from obligor.preprocessing.engine import connect
from obligor.preprocessing.features import feature_query, levels_of
from obligor.preprocessing.tape import read_tape

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from obligor.core.bins import Levels
    from obligor.core.scorecard import Scorecard
    from obligor.ingestion.sources import Source
    from obligor.preprocessing.tape import Tape
    from obligor.settings import Settings
    from obligor.telemetry import Progress

_BATCH_ROWS = 1 << 17


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
    out: str

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = [f"{self.rows:,} applications scored: mean score {self.score_mean:.1f}, mean PD {self.pd_mean:.2%}"]
        said += [f"  {name}: {count:,}" for name, count in self.bands.items()]
        said += [f"  {name}: {count:,} rows with a category never seen before" for name, count in self.unseen.items()]
        return [*said, f"written to {self.out}"]


def score_source(
    source: Source, *, card: Scorecard, out: Path, work: Path, settings: Settings, progress: Progress, reasons: int = 0
) -> BatchResult:
    """Take a snapshot of a source, and score every application in it, with so many reasons each."""
    with progress.step("taking a snapshot") as advance:
        requests = requests_for(card.applications, card.histories)
        snapshot = take_snapshot(source, requests, store=settings.snapshots, progress=advance)
    with connect(work, memory_mb=settings.memory_mb, threads=settings.threads) as db:
        with progress.step("reading the tape"):
            tape = read_tape(db, snapshot, applications=card.applications, histories=card.histories)
        with progress.step("scoring", total=tape.rows) as advance:
            return score_tape(card, tape, out, reasons=reasons, advance=advance)


def score_tape(
    card: Scorecard, tape: Tape, out: Path, *, reasons: int = 0, advance: Callable[[float], None] = lambda _: None
) -> BatchResult:
    """Score every application of a tape into a Parquet file: identifiers, score, PD, band, points, principal reasons."""
    tally = _Tally(card, reasons=reasons)
    with whole_file(out) as partial, pq.ParquetWriter(partial, tally.schema, compression="zstd") as writer:
        for batch in _batches(card, tape):
            writer.write_table(tally.add(batch))
            advance(batch.num_rows)
    return tally.result(out)


class _Tally:
    """Scores one batch after another and keeps count."""

    def __init__(self, card: Scorecard, *, reasons: int) -> None:
        self.card = card
        self.schema = _schema(card, reasons=reasons)
        self.reasons = reasons
        self.shortfalls = shortfalls_of(card) if reasons else None
        self.names = np.array([band.name for band in card.bands])
        self.rows, self.score, self.pd = 0, 0, 0.0
        self.bands = np.zeros(len(card.bands), dtype=np.int64)
        self.unseen: dict[str, int] = {}

    def add(self, batch: pa.RecordBatch) -> pa.Table:
        kinds = {it.feature: it.kind for it in self.card.characteristics}
        columns = {name: _column(batch.column(name), kind) for name, kind in kinds.items()}
        scores = score_columns(self.card, columns, rows=batch.num_rows)
        self.rows += batch.num_rows
        self.score += int(scores.score.sum())
        self.pd += float(scores.pd.sum())
        self.bands += np.bincount(scores.band, minlength=len(self.bands))
        arrays = [batch.column(name).cast(pa.string()) for name in _identifiers(self.card)]
        arrays += [scores.score / 1000, scores.score, scores.pd, self.names[scores.band]]
        for characteristic in self.card.characteristics:
            codes = scores.bins[characteristic.feature]
            if characteristic.kind == "category":
                unseen = int((codes == len(characteristic.bins) - 1).sum())
                if unseen:
                    self.unseen[characteristic.feature] = self.unseen.get(characteristic.feature, 0) + unseen
            arrays.append(np.array(characteristic.points, dtype=np.int64)[codes])
        arrays += [pair_points(pair, scores.bins) for pair in self.card.pairs]
        if self.shortfalls:
            arrays += _reasons(self.shortfalls, scores, most=self.reasons)
        return pa.table(arrays, schema=self.schema)

    def result(self, out: Path) -> BatchResult:
        rows = max(self.rows, 1)
        counted = {band.name: int(count) for band, count in zip(self.card.bands, self.bands, strict=True)}
        return BatchResult(self.rows, self.score / rows / 1000, self.pd / rows, counted, self.unseen, str(out))


def _batches(card: Scorecard, tape: Tape) -> Iterator[pa.RecordBatch]:
    names = [it.feature for it in card.characteristics]
    features = card_features(card)
    wanted = [*names, *(name for name in _identifiers(card) if name not in names)]
    query = feature_query(
        wanted, features=features, applications=card.applications, histories=card.histories, caps=card.caps
    )
    ordered = f"SELECT * FROM ({query}) ORDER BY _row" if features.aggregates else query
    reader: pa.RecordBatchReader = tape.db.cursor().sql(ordered).to_arrow_reader(_BATCH_ROWS)
    yield from reader


def _identifiers(card: Scorecard) -> list[str]:
    return [name for name, it in card.applications.columns.items() if Role.IDENTIFIER in it.role]


def _reasons(shortfalls: Shortfalls, scores: ColumnScores, *, most: int) -> list[pa.Array]:
    bins = [scores.bins[name] for name in shortfalls.names]
    places = principal_reasons(shortfalls, bins, rows=len(scores.score), most=most)
    codes = pa.array(shortfalls.codes)
    return [codes.take(pa.array(column, mask=column < 0)) for column in places.T]


def _schema(card: Scorecard, *, reasons: int) -> pa.Schema:
    fields = [(name, pa.string()) for name in _identifiers(card)]
    fields += [("score", pa.float64()), ("score_thousandths", pa.int64()), ("pd", pa.float64()), ("band", pa.string())]
    fields += [(f"points_{it.feature}", pa.int64()) for it in card.characteristics]
    fields += [(f"points_{pair.name}", pa.int64()) for pair in card.pairs]
    fields += [(f"reason_{place + 1}", pa.string()) for place in range(reasons)]
    return pa.schema(fields)


def _column(array: pa.Array, kind: str) -> NDArray[np.float64] | Levels:
    if kind == "category":
        return levels_of(array.cast(pa.string()))
    return np.asarray(array.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False))

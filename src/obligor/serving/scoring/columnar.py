"""Scores rows as the bulk engine gives them: columns of features in, the columns of the answer out.

Batches of a tape and partitions of a Spark frame go through here alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from obligor.core.columnar import ColumnScores, pair_points, principal_reasons, score_columns
from obligor.core.columns import Role
from obligor.core.reasons import Shortfalls, shortfalls_of
from obligor.preprocessing.features import feature_query, levels_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb
    from numpy.typing import NDArray

    from obligor.core.bins import Levels
    from obligor.core.features import FeatureSet
    from obligor.core.scorecard import Scorecard

_BATCH_ROWS = 1 << 17


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is written for each application beside its identifiers, score, PD and band."""

    reasons: int = 0
    """How many principal reasons."""
    points: bool = False
    """Whether the points of every characteristic and pair."""
    bins: bool = False
    """Whether the bin of every characteristic."""


class RowScorer:
    """Scores one batch of rows after another."""

    def __init__(self, card: Scorecard, wanted: Wanted) -> None:
        self.card = card
        self.wanted = wanted
        self.schema = _schema(card, wanted)
        self._shortfalls = shortfalls_of(card) if wanted.reasons else None
        self._bands = pa.array([band.name for band in card.bands])

    def score(self, batch: pa.RecordBatch) -> tuple[ColumnScores, pa.Table]:
        """Score a batch of the columns that `row_query` names."""
        card = self.card
        columns = {it.feature: _column(batch.column(it.feature), it.kind) for it in card.characteristics}
        scores = score_columns(card, columns, rows=batch.num_rows)
        arrays = [batch.column(name).cast(pa.string()) for name in _identifiers(card)]
        arrays += [scores.score / 1000, scores.score, scores.pd]
        arrays.append(pa.DictionaryArray.from_arrays(pa.array(scores.band), self._bands))
        if self.wanted.bins:
            arrays += [scores.bins[it.feature].astype(np.int16) for it in card.characteristics]
        if self.wanted.points:
            arrays += [np.array(it.points, dtype=np.int64)[scores.bins[it.feature]] for it in card.characteristics]
            arrays += [pair_points(pair, scores.bins) for pair in card.pairs]
        if self._shortfalls:
            arrays += _reasons(self._shortfalls, scores, most=self.wanted.reasons)
        return scores, pa.table(arrays, schema=self.schema)


def row_query(card: Scorecard, features: FeatureSet, rows: str) -> str:
    """Write the query of the features, the identifiers and the faults of a relation's rows."""
    names = [it.feature for it in card.characteristics]
    wanted = [*names, *(name for name in _identifiers(card) if name not in names)]
    query = feature_query(
        wanted,
        features=features,
        applications=card.applications,
        histories=card.histories,
        caps=card.caps,
        rows=rows,
        also=("faults",),
    )
    return f"SELECT * EXCLUDE (_row) FROM ({query})"


def read_batches(db: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """Give batches of a good size, whatever pieces the rows come in."""
    held: list[pa.RecordBatch] = []
    for piece in db.sql(query).to_arrow_reader(_BATCH_ROWS):
        held.append(piece)
        if sum(it.num_rows for it in held) >= _BATCH_ROWS:
            yield pa.concat_batches(held)
            held = []
    if held:
        yield pa.concat_batches(held)


def _identifiers(card: Scorecard) -> list[str]:
    return [name for name, it in card.applications.columns.items() if Role.IDENTIFIER in it.role]


def _reasons(shortfalls: Shortfalls, scores: ColumnScores, *, most: int) -> list[pa.Array]:
    bins = [scores.bins[name] for name in shortfalls.names]
    places = principal_reasons(shortfalls, bins, rows=len(scores.score), most=most)
    codes = pa.array(shortfalls.codes)
    return [
        pa.DictionaryArray.from_arrays(pa.array(column, mask=column < 0), codes)
        for column in np.ascontiguousarray(places.T)
    ]


def _schema(card: Scorecard, wanted: Wanted) -> pa.Schema:
    named: Sequence[tuple[str, pa.DataType]] = [(name, pa.string()) for name in _identifiers(card)]
    fields = [*named, ("score", pa.float64()), ("score_thousandths", pa.int64()), ("pd", pa.float64())]
    fields.append(("band", pa.dictionary(pa.int8(), pa.string())))
    if wanted.bins:
        fields += [(f"bin_{it.feature}", pa.int16()) for it in card.characteristics]
    if wanted.points:
        fields += [(f"points_{it.feature}", pa.int64()) for it in card.characteristics]
        fields += [(f"points_{pair.name}", pa.int64()) for pair in card.pairs]
    fields += [(f"reason_{place + 1}", pa.dictionary(pa.int16(), pa.string())) for place in range(wanted.reasons)]
    return pa.schema(fields)


def _column(array: pa.Array, kind: str) -> NDArray[np.float64] | Levels:
    if kind == "category":
        return levels_of(array.cast(pa.string()))
    return np.asarray(array.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)

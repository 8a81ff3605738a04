"""Scores Arrow batches that another engine hands over, read, cleaned and scored as a tape is.

What holds the batches, Spark or another, does not matter here. A cell that cannot be read counts as missing, and its
column is named beside the answer, since no summary follows.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from obligor.core.errors import InvalidInputError
from obligor.core.scorecard import parse_card
from obligor.core.scorer import card_features
from obligor.preprocessing.cells import FIRST_FAULT
from obligor.preprocessing.engine import connect
from obligor.preprocessing.tape import stream_batches
from obligor.serving.scoring.columnar import RowScorer, Wanted, read_batches, row_query

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from obligor.core.scorecard import Scorecard

UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class FrameScorer:
    """Scores batches of the columns of a card; it can be sent to where they are, the card as the bytes of its file."""

    columns: tuple[str, ...]
    """The names of the columns that every batch holds, in this order."""
    schema: pa.Schema
    """What each batch of the answer holds."""
    card: bytes
    wanted: Wanted

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Score batches, in their order."""
        known = iter(batches)
        first = next(known, None)
        if first is not None:
            named = self._named(first, known)
            schema = first.schema
            renamed = pa.schema([schema.field(at).with_name(name) for at, name in enumerate(self.columns)])
            yield from self._scored(pa.RecordBatchReader.from_batches(renamed, named), parse_card(self.card))

    def check(self, schema: pa.Schema) -> None:
        """Refuse columns that the card cannot read, before any row is touched."""
        list(self._scored(pa.RecordBatchReader.from_batches(schema, []), parse_card(self.card)))

    def _named(self, first: pa.RecordBatch, rest: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield first.rename_columns(self.columns)
        for batch in rest:
            yield batch.rename_columns(self.columns)

    def _scored(self, reader: pa.RecordBatchReader, card: Scorecard) -> Iterator[pa.RecordBatch]:
        scorer, features = RowScorer(card, self.wanted), card_features(card)
        with (
            tempfile.TemporaryDirectory(prefix="obligor-") as work,
            connect(Path(work), threads=1) as db,
            stream_batches(db, reader, table=card.applications, called="the frame") as rows,
        ):
            for batch in read_batches(db, row_query(card, features, rows)):
                _, table = scorer.score(batch)
                named = pa.array(_unreadable(batch.column("faults"), self.columns), type=pa.list_(pa.string()))
                whole = pa.table([*table.columns, named], names=[*table.column_names, UNREADABLE])
                yield from whole.cast(self.schema).combine_chunks().to_batches()


def frame_scorer(card: Scorecard, wanted: Wanted) -> FrameScorer:
    """Make the scorer of a card for batches.

    Raises
    ------
    InvalidInputError
        Where the card reads a history: rows of one applicant may lie in other batches.
    """
    features = card_features(card)
    for name in features.needed_for(it.feature for it in card.characteristics):
        if name in features.aggregates:
            raise InvalidInputError(
                f"'{name}' reads the history '{features.aggregates[name].table}', which a frame of applications does not "
                "hold; score such a card with `obligor score`"
            )
    decoded = [
        it.with_type(it.type.value_type) if pa.types.is_dictionary(it.type) else it
        for it in RowScorer(card, wanted).schema
    ]
    schema = pa.schema([*decoded, (UNREADABLE, pa.list_(pa.string()))])
    return FrameScorer(tuple(card.applications.columns), schema, card.to_json(), wanted)


def _unreadable(faults: pa.ListArray, columns: tuple[str, ...]) -> list[list[str] | None]:
    if faults.null_count == len(faults):
        return [None] * len(faults)
    return [
        None if readings is None else [columns[at] for at in np.flatnonzero(np.array(readings) >= FIRST_FAULT)]
        for readings in faults.to_pylist()
    ]

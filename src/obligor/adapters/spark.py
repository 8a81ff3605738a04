"""A Spark frame as Arrow batches: a function that knows nothing of Spark is run where the rows are."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

from obligor.core.errors import TapeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa
    from pyspark.sql import DataFrame

    Function = Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


def arrow_schema(frame: DataFrame, columns: Sequence[str]) -> pa.Schema:
    """Give the Arrow types of some columns of a frame, under their names."""
    import pyarrow as pa

    held = to_arrow_schema(_only(frame, columns).schema)
    return pa.schema([held.field(at).with_name(name) for at, name in enumerate(columns)])


def map_batches(frame: DataFrame, function: Function, *, columns: Sequence[str], schema: pa.Schema) -> DataFrame:
    """Apply a function to Arrow batches of some columns of a frame; nothing runs before the answer is read.

    Parameters
    ----------
    function
        Is sent to Spark's workers, where it is called once for each partition; the batches have the columns in this order.
    schema
        What its batches hold.
    """
    return _only(frame, columns).mapInArrow(function, from_arrow_schema(schema))


def _only(frame: DataFrame, columns: Sequence[str]) -> DataFrame:
    """Take columns by their place: in a name Spark would read dots as fields and take capitals for small letters."""
    counts = Counter(frame.columns)
    for name in columns:
        if counts[name] != 1:
            raise TapeError(f"the frame has the column '{name}' {counts[name]} times; wanted it once")
    placed = frame.toDF(*(f"c{at}" for at in range(len(frame.columns))))
    return placed.select(*(f"c{frame.columns.index(name)}" for name in columns))

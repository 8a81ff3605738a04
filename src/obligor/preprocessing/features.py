"""Computes features in the bulk engine, from the same checked expressions that score one application.

The order is that of the scorer: a column is capped, its special codes count as missing in expressions, histories are
aggregated as they were known before the application, and expressions are computed over all of these. A predictor that
is a plain column keeps its special codes, since each has a bin of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from obligor.core.bins import Levels
from obligor.core.cleaning_sql import capped_sql, plain_sql
from obligor.core.columns import Role
from obligor.core.dialects import Dialect, emit_select, quote
from obligor.core.history import emit_history

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import duckdb
    from numpy.typing import NDArray

    from obligor.core.columns import Column, History, Table
    from obligor.core.features import FeatureSet
    from obligor.core.history import Aggregate

_RAW = "\u241fraw\u241f"  # a name that no tape has, for a column with its special codes beside the one without


@dataclass(frozen=True, slots=True)
class FeatureColumns:
    """Columns and features of the rows of a table, fetched one at a time in the order of the rows."""

    db: duckdb.DuckDBPyConnection
    table: str

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Give a column of numbers; NaN is missing."""
        found = self.db.sql(f"SELECT {_q(name)} FROM {self.table}").fetchnumpy()[name]
        return np.ma.filled(np.ma.asarray(found, dtype=np.float64), np.nan)

    def levels(self, name: str) -> Levels:
        """Give a column of categories, with its levels in rising order."""
        column = self.db.sql(f"SELECT CAST({_q(name)} AS VARCHAR) AS value FROM {self.table}").to_arrow_table()
        return levels_of(column["value"])


def levels_of(column: pa.ChunkedArray | pa.Array) -> Levels:
    """Encode a column of texts, with its levels in rising order."""
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.full(len(names) + 1, -1, dtype=np.int32)
    rank[order] = np.arange(len(names), dtype=np.int32)
    codes = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    return Levels(rank[codes], tuple(names[index] for index in order))


def feature_query(
    names: Sequence[str],
    *,
    features: FeatureSet,
    applications: Table,
    histories: Mapping[str, History],
    caps: Mapping[str, tuple[float, float]],
    rows: str = "applications",
    also: Sequence[str] = (),
) -> str:
    """Write the query that gives ``_row`` and the named columns and features of the rows of a relation.

    Parameters
    ----------
    rows
        A relation with ``_row`` and the columns of applications: the tape, or some of its rows.
    also
        Other columns of that relation, given as they are.
    """
    needed = features.needed_for(names)
    expressions = {name: features.expressions[name] for name in needed if name in features.expressions}
    aggregates = [features.aggregates[name] for name in needed if name in features.aggregates]
    columns = {name: it for name, it in applications.columns.items() if name in needed}
    kept = [name for name in names if name not in expressions]
    raw = [name for name in kept if name in columns and columns[name].special]
    shown = [f"{_RAW}{name}" if name in raw else name for name in kept]
    source = _source(columns, raw=raw, caps=caps, rows=rows, also=also)
    for table in dict.fromkeys(aggregate.table for aggregate in aggregates):
        own = [it for it in aggregates if it.table == table]
        source = _joined(source, own, applications=applications, history=histories[table], name=table, rows=rows)
    inputs = {name: features.types[name] for name in needed if name not in expressions}
    made = emit_select(
        expressions, table=f"({source})", dialect=Dialect.DUCKDB, inputs=inputs, passthrough=["_row", *shown, *also]
    )
    named = [f"{_q(alias)} AS {_q(name)}" for alias, name in zip(shown, kept, strict=True)]
    listed = ", ".join(["_row", *also, *named, *(_q(name) for name in names if name in expressions)])
    return f"SELECT {listed} FROM ({made})"


def _source(
    columns: Mapping[str, Column],
    *,
    raw: Iterable[str],
    caps: Mapping[str, tuple[float, float]],
    rows: str,
    also: Sequence[str],
) -> str:
    parts = ["_row", *also]
    for name, column in columns.items():
        capped = capped_sql(_q(name), column, caps.get(name), Dialect.DUCKDB)
        parts.append(f"{plain_sql(capped, column, Dialect.DUCKDB)} AS {_q(name)}")
        if name in raw:
            parts.append(f"{capped} AS {_q(_RAW + name)}")
    return f"SELECT {', '.join(parts)} FROM {rows}"


def _joined(
    source: str, aggregates: Sequence[Aggregate], *, applications: Table, history: History, name: str, rows: str
) -> str:
    applied_at = next(key for key, it in applications.columns.items() if Role.APPLIED_AT in it.role)
    known = emit_history(
        aggregates,
        applications=rows,
        history=_q(f"history_{name}"),
        key=history.key[1],
        history_key=history.key[0],
        applied_at=applied_at,
        event_at=history.event_at,
        arrived_at=history.known_at,
        tie=history.tie,
        tie_type=history.columns[history.tie].type if history.tie else "number",
        dialect=Dialect.DUCKDB,
    )
    added = ", ".join(f"known.{_q(it.name)}" for it in aggregates)
    return f"SELECT base.*, {added} FROM ({source}) AS base JOIN ({known}) AS known ON base._row = known._row"


def _q(name: str) -> str:
    return quote(name, Dialect.DUCKDB)

"""Which rows of a tape the knock-outs of a contract fire for, by the same checked conditions that decide on one application.

A rule reads a column uncapped, with special codes as not known, and a feature as the card does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.cleaning_sql import plain_sql
from obligor.core.dialects import Dialect, border_sql, emit, quote
from obligor.core.features import condition_of
from obligor.preprocessing.features import feature_query

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet


def knockout_query(
    contract: Contract, *, features: FeatureSet, caps: Mapping[str, tuple[float, float]], rows: str
) -> str:
    """Write the query that gives ``_row`` and, for each active rule, whether it fires; a rule is named by its place."""
    rules = {rule: condition_of(rule, features) for rule in contract.knockouts if rule.active}
    read = dict.fromkeys(name for condition in rules.values() for name in condition.columns)
    columns = {name: contract.columns[name] for name in read if name in contract.columns}
    made = [name for name in read if name not in columns]
    names = {name: f"c{at}" for at, name in enumerate(columns)} | {name: f"made.{_q(name)}" for name in made}
    parts = [
        f"{border_sql(plain_sql(_q(name), it, Dialect.DUCKDB), it.type, Dialect.DUCKDB)} AS {names[name]}"
        for name, it in columns.items()
    ]
    source = f"(SELECT {', '.join(['_row', *parts])} FROM {rows}) AS plain"
    if made:
        query = feature_query(
            made,
            features=features,
            applications=contract.applications,
            histories=contract.histories,
            caps=caps,
            rows=rows,
        )
        source = f"{source} JOIN ({query}) AS made ON made._row = plain._row"
    fired = [
        f"COALESCE({emit(condition, Dialect.DUCKDB, columns=names)}, {rule.when_unknown == 'refer'}) AS r{at}"
        for at, (rule, condition) in enumerate(rules.items())
    ]
    return f"SELECT {', '.join(['plain._row AS _row', *fired])} FROM {source} ORDER BY plain._row"


def _q(name: str) -> str:
    return quote(name, Dialect.DUCKDB)

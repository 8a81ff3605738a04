"""Finds copies and rows out of scope, learns caps, and settles what becomes of every row of a tape.

Of rows that are equal in every column of the contract the first is kept and the others are excluded. Rows that share
the value of a `unique` column but differ elsewhere all go to quarantine: nobody knows which of them is right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from obligor.core.dialects import Dialect, emit
from obligor.core.errors import TapeError
from obligor.core.expressions import parse_expression
from obligor.core.findings import REASONS, FindingCode
from obligor.files import whole_file
from obligor.preprocessing.engine import among, engine_trouble, fetch_one, identifier, value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from obligor.core.columns import Column
    from obligor.core.contract import Contract
    from obligor.preprocessing.tape import Tape

USED, QUARANTINED, EXCLUDED, DECLINED = "used", "quarantined", "excluded", "declined"
COPIES, FATE, EXCLUSIONS = "copies", "fate", "exclusions"
_BATCH = 100_000


@dataclass(frozen=True, slots=True)
class Accounting:
    """What became of the rows of a tape: each is used, quarantined, excluded or declined.

    What is quarantined or excluded is counted by its first reason.
    """

    rows: int
    used: int
    quarantined: Mapping[str, int]
    excluded: Mapping[str, int]
    declined: int = 0

    def __post_init__(self) -> None:
        settled = self.used + sum(self.quarantined.values()) + sum(self.excluded.values()) + self.declined
        if settled != self.rows:
            raise TapeError(
                f"the accounting of the tape does not add up: {self.rows} rows came in, {settled} are settled"
            )

    def to_plain(self) -> dict[str, object]:
        """Give plain data for ``findings.json``."""
        return {
            "rows": self.rows,
            "used": self.used,
            **({"declined": self.declined} if self.declined else {}),
            "quarantined": dict(self.quarantined),
            "excluded": dict(self.excluded),
        }


def mark_copies(tape: Tape) -> None:
    """Leave the table ``copies(_row)``: rows equal to an earlier one in every column of the contract.

    A row with a cell that could not be read is never a copy, since what it held is not known. Hashes find the few rows
    that may be copies; only these are then compared.
    """
    names = ", ".join(identifier(name) for name in tape.columns)
    unparsed = identifier(tape.applications.unparsed)
    with engine_trouble("looking for duplicates"):
        tape.db.execute(
            f"CREATE OR REPLACE TABLE {COPIES} AS WITH "
            f"hashed AS (SELECT _row, HASH({names}) AS hashed FROM applications), "
            "alike AS (SELECT hashed FROM hashed GROUP BY hashed HAVING COUNT(*) > 1), "
            "near AS (SELECT _row FROM hashed WHERE hashed IN (SELECT hashed FROM alike) "
            f"AND _row NOT IN (SELECT _row FROM {unparsed})) "
            "SELECT _row FROM (SELECT _row, ROW_NUMBER() OVER "
            f"(PARTITION BY {names} ORDER BY _row) AS place FROM applications WHERE _row IN (SELECT _row FROM near)) "
            "WHERE place > 1 ORDER BY _row"
        )


def mark_out_of_scope(tape: Tape, contract: Contract) -> None:
    """Leave the table ``exclusions(_row, reason, place)``: rows that a condition of the contract puts out of scope.

    A condition whose value is not known excludes nothing.
    """
    types = {name: column.type for name, column in contract.columns.items()}
    tape.db.execute(f"CREATE OR REPLACE TABLE {EXCLUSIONS} (_row BIGINT, reason VARCHAR, place INTEGER)")
    for place, exclusion in enumerate(contract.exclude):
        condition = emit(parse_expression(exclusion.when, columns=types), Dialect.DUCKDB)
        with engine_trouble("excluding rows out of scope"):
            tape.db.execute(
                f"INSERT INTO {EXCLUSIONS} SELECT _row, {value(exclusion.reason)}, {place} "
                f"FROM applications WHERE {condition} ORDER BY _row"
            )


def settle_fates(
    tape: Tape, contract: Contract, *, excluded: Mapping[str, str] | None = None, declined: str | None = None
) -> Accounting:
    """Settle the fate of every row, in the table ``fate(_row, fate, reason, reasons)``, and account for all.

    Quarantine goes before exclusion, and both before being declined. ``reason`` is the first and ``reasons`` has all, in
    this order: what could not be read, what broke a rule of the contract, duplicates, rows out of scope, then other
    exclusions as they are given.

    Parameters
    ----------
    excluded
        Further tables of rows to exclude, by the reason: each has a column ``_row``. So an outcome that is not known.
    declined
        A table of the rows that were declined, in the same way.

    Notes
    -----
    `obligor.preprocessing.validation.validate` comes first: it leaves the reasons for quarantine and the copies.
    """
    mark_out_of_scope(tape, contract)
    sources = [
        f"SELECT _row, 0 AS kind, {_reason_sql()} AS reason, {_rank_sql()} AS place FROM quarantine_reasons",
        f"SELECT _row, 1, {value(REASONS[FindingCode.DUPLICATE_ROW])}, 0 FROM {COPIES}",
        f"SELECT _row, 1, reason, 1 + place FROM {EXCLUSIONS}",
    ]
    for place, (reason, table) in enumerate((excluded or {}).items(), start=1 + len(contract.exclude)):
        sources.append(f"SELECT _row, 1, {value(reason)}, {place} FROM {identifier(table)}")
    if declined:
        sources.append(f"SELECT _row, 2, '{DECLINED}', 0 FROM {identifier(declined)}")
    union = " UNION ALL ".join(sources)
    with engine_trouble("settling what becomes of every row"):
        tape.db.execute(
            f"CREATE OR REPLACE TABLE {FATE} AS WITH given AS "
            f"(SELECT _row, reason, MIN((kind, place)) AS rank FROM ({union}) GROUP BY _row, reason), "
            "listed AS (SELECT _row, LIST(reason ORDER BY rank, reason) AS reasons, MIN(rank)[1] AS kind "
            "FROM given GROUP BY _row) "
            f"SELECT a._row, CASE kind WHEN 0 THEN '{QUARANTINED}' WHEN 1 THEN '{EXCLUDED}' WHEN 2 THEN '{DECLINED}' "
            f"ELSE '{USED}' END AS fate, "
            "reasons[1] AS reason, COALESCE(reasons, []) AS reasons "
            "FROM applications a LEFT JOIN listed l ON a._row = l._row ORDER BY a._row"
        )
    return _accounted(tape)


def _accounted(tape: Tape) -> Accounting:
    counted = tape.db.execute(
        f"SELECT fate, reason, COUNT(*) AS n FROM {FATE} GROUP BY ALL ORDER BY n DESC, reason"
    ).fetchall()
    return Accounting(
        tape.rows,
        sum(count for fate, _, count in counted if fate == USED),
        {reason: count for fate, reason, count in counted if fate == QUARANTINED},
        {reason: count for fate, reason, count in counted if fate == EXCLUDED},
        sum(count for fate, _, count in counted if fate == DECLINED),
    )


def _reason_sql() -> str:
    """Word the reason of a failure: the column, and what is wrong with it."""
    arms = " ".join(f"WHEN {value(str(code))} THEN {value(text)}" for code, text in REASONS.items())
    expected = f"code = {value(str(FindingCode.EXPECTATION))}"
    return (
        f"CASE WHEN {expected} THEN CONCAT(COALESCE(\"column\" || ': ', ''), 'does not meet ', \"check\") "
        f"ELSE CONCAT(\"column\", ': ', CASE code {arms} END) END"
    )


def _rank_sql() -> str:
    arms = " ".join(f"WHEN {value(str(code))} THEN {place}" for place, code in enumerate(FindingCode))
    return f"CASE code {arms} END"


def learn_caps(tape: Tape, contract: Contract, *, train: str) -> dict[str, tuple[float, float]]:
    """Learn the caps of the contract's columns from train rows alone, as quantiles that are values of the tape.

    Special codes are no values. A column without a value in train has no cap.

    Parameters
    ----------
    train
        A relation with the ``_row`` of every train row.
    """
    caps: dict[str, tuple[float, float]] = {}
    for name, column in contract.columns.items():
        if column.cap is not None:
            found = tape.db.execute(_quantiles(name, column, train=train)).fetchone()
            if found and found[0] is not None:
                caps[name] = (float(found[0]), float(found[1]))
    return caps


def _quantiles(name: str, column: Column, *, train: str) -> str:
    low, high = column.cap or (0.0, 1.0)
    column_sql = identifier(name)
    return (
        f"SELECT QUANTILE_DISC({column_sql}, {low!r}), QUANTILE_DISC({column_sql}, {high!r}) "
        f"FROM applications WHERE {column_sql} IS NOT NULL AND NOT {among(column_sql, tuple(column.special))} "
        f"AND _row IN (SELECT _row FROM {identifier(train)})"
    )


def write_quarantine(tape: Tape, contract: Contract, path: Path) -> int:
    """Write the rows in quarantine as Parquet, with their reasons, and give their number.

    Columns that name a person or a card are left out.
    """
    shown = [name for name, column in contract.columns.items() if column.privacy not in ("direct", "card")]
    columns = "".join(f", a.{identifier(name)}" for name in shown)
    query = (
        f"SELECT f._row, f.reasons{columns} FROM {FATE} f JOIN applications a ON a._row = f._row "
        f"WHERE f.fate = '{QUARANTINED}' ORDER BY f._row"
    )
    with whole_file(path) as partial, engine_trouble(str(path)):
        reader = tape.db.sql(query).to_arrow_reader(_BATCH)
        with pq.ParquetWriter(partial, reader.schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch)
    (rows,) = fetch_one(tape.db, f"SELECT COUNT(*) FROM {FATE} WHERE fate = '{QUARANTINED}'")
    return rows

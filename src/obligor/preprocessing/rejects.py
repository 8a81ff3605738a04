"""Places the declined beside the accepted: in which sample each would stand, and how many of all were approved.

A declined application goes by the same rule as an accepted one: into the sample of its day, and into none where the outcome of
a loan of that day was not yet known at the seam; or at random, by a hash of the seed and its row.

How much the declined weigh follows the tape's own approval rate, among all applications of a period that are in scope: a known
outcome stands for the accepted loans whose outcome is not known, and a declined application that is used for those that are
not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.columns import Role
from obligor.core.errors import TapeError
from obligor.preprocessing.cleaning import DECLINED, EXCLUDED, FATE, USED
from obligor.preprocessing.engine import engine_trouble, fetch_one, identifier
from obligor.preprocessing.outcome import DECLINED as ALL_DECLINED
from obligor.preprocessing.outcome import EXCLUSIONS as NO_OUTCOME
from obligor.preprocessing.outcome import applied_sql
from obligor.preprocessing.splits import EXCLUSIONS as NO_SAMPLE
from obligor.preprocessing.splits import SAMPLES, apportion, sample_sql, seam_sql, shares_of

if TYPE_CHECKING:
    import duckdb

    from obligor.core.clauses import RandomSplit, TimeSplit
    from obligor.core.contract import Contract

DECLINED_SPLIT = "declined_split"
_NOWHERE = 3


@dataclass(frozen=True, slots=True)
class DeclinedCounts:
    """The declined of one sample, and how many applications of its period were accepted and declined, by weight."""

    sample: str
    rows: int
    """Declined applications that are used: those near a seam are not."""
    accepted: float
    declined: float

    @property
    def approval_rate(self) -> float:
        """The share of the applications of the period that the lender approved; 1 where there were none."""
        whole = self.accepted + self.declined
        return self.accepted / whole if whole else 1.0


def place_declined(db: duckdb.DuckDBPyConnection, contract: Contract) -> tuple[DeclinedCounts, ...]:
    """Leave the table ``declined_split(_row, sample)``, and count by sample.

    Comes after `obligor.preprocessing.cleaning.settle_fates` and `obligor.preprocessing.splits.split_tape`.

    Raises
    ------
    TapeError
        Where train has no declined application.
    """
    with engine_trouble("placing the declined"):
        placed = _by_time(contract, contract.split.time) if contract.split.time else _at_random(db, contract)
        db.execute(f"CREATE OR REPLACE TABLE declined_places AS {placed}")
        db.execute(
            f"CREATE OR REPLACE TABLE {DECLINED_SPLIT} AS SELECT p._row, CAST(sample AS UTINYINT) AS sample "
            f"FROM declined_places p JOIN {FATE} f USING (_row) WHERE fate = '{DECLINED}' AND sample < {_NOWHERE} "
            "ORDER BY p._row"
        )
        counts = _count(db, contract)
        db.execute("DROP TABLE declined_places")
    if not counts[0].rows:
        raise _none(db)
    return counts


def _by_time(contract: Contract, terms: TimeSplit) -> str:
    """Give the sample and the period of every application of known day."""
    return (
        f"SELECT _row, {sample_sql(terms)} AS period, CASE WHEN {seam_sql(contract, terms)} THEN {_NOWHERE} "
        f"ELSE {sample_sql(terms)} END AS sample "
        f"FROM (SELECT _row, {applied_sql(contract)} AS applied_at FROM applications) WHERE applied_at IS NOT NULL"
    )


def _at_random(db: duckdb.DuckDBPyConnection, contract: Contract) -> str:
    """Draw the sample of the declined; a draw has no period, so that one approval rate holds for all samples."""
    terms: RandomSplit = contract.split.random  # type: ignore[assignment]  # a split is by time or at random
    (rows,) = fetch_one(db, f"SELECT COUNT(*) FROM {FATE} WHERE fate = '{DECLINED}'")
    train, validation, _ = apportion(rows, shares_of(terms))
    return (
        f"SELECT _row, NULL AS period, CASE WHEN fate <> '{DECLINED}' THEN {_NOWHERE} WHEN place <= {train} THEN 0 "
        f"WHEN place <= {train + validation} THEN 1 ELSE 2 END AS sample FROM (SELECT _row, fate, ROW_NUMBER() OVER "
        f"(PARTITION BY fate ORDER BY MD5('{terms.seed}:' || _row), _row) AS place FROM {FATE})"
    )


def _count(db: duckdb.DuckDBPyConnection, contract: Contract) -> tuple[DeclinedCounts, ...]:
    column = contract.only(Role.WEIGHT)
    weight = f"COALESCE(a.{identifier(column)}, 0)" if column else "1"
    in_scope = (
        f"fate = '{USED}' OR (fate = '{EXCLUDED}' AND reason IN "
        f"(SELECT reason FROM {NO_OUTCOME} UNION ALL SELECT reason FROM {NO_SAMPLE}))"
    )
    found = []
    for code, name in enumerate(SAMPLES):
        (rows,) = fetch_one(db, f"SELECT COUNT(*) FROM {DECLINED_SPLIT} WHERE sample = {code}")
        sums = db.execute(
            f"SELECT SUM({weight}) FILTER ({in_scope}), SUM({weight}) FILTER (fate = '{DECLINED}') FROM declined_places p "
            f"JOIN {FATE} f USING (_row) JOIN applications a USING (_row) WHERE COALESCE(period, {code}) = {code}"
        ).fetchone()
        accepted, declined = (float(it or 0) for it in sums or (0, 0))
        found.append(DeclinedCounts(name, rows, accepted, declined))
    return tuple(found)


def _none(db: duckdb.DuckDBPyConnection) -> TapeError:
    counted = db.execute(
        f"SELECT fate, COUNT(*) FROM {FATE} JOIN {ALL_DECLINED} USING (_row) GROUP BY ALL ORDER BY ALL"
    )
    fates = ", ".join(f"{count} {fate}" for fate, count in counted.fetchall())
    return TapeError(
        f"rejects.when: of the applications that it names, train has none; of the whole tape: {fates or 'none'}",
        hint="see what rejects.when says, or leave rejects out",
    )

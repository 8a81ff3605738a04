"""Parts the loans of known outcome into train, validation and test: by time, or at random and alike in bad rate.

Loans near a seam of a split by time stay out of the earlier period where their outcome window runs past the first day
of the next: on that day nobody could have learnt from them. This goes by the window for goods and bads alike. A bad
may be known sooner, but to keep the early bads without the goods of their age would raise the bad rate at the seam.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from obligor.core.columns import Role
from obligor.core.errors import ContractError, TapeError
from obligor.preprocessing.engine import engine_trouble, fetch_one, identifier, value
from obligor.preprocessing.outcome import NO_DATE, OUTCOME, applied_sql, window_end

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    import duckdb

    from obligor.core.clauses import RandomSplit, TimeSplit
    from obligor.core.contract import Contract

SPLIT, EXCLUSIONS = "split", "split_exclusions"
SAMPLES = ("train", "validation", "test")
SEAM = "outcome unknown at the seam"


@dataclass(frozen=True, slots=True)
class SampleCounts:
    """The loans of one sample, and the first and last day on which they were applied for."""

    name: str
    rows: int
    bads: int
    first: date | None
    last: date | None

    def __str__(self) -> str:
        """Say it in words."""
        span = f" ({self.first} to {self.last})" if self.first else ""
        return f"{self.name} {self.rows} loans with {self.bads} bads{span}"


@dataclass(frozen=True, slots=True)
class SplitCounts:
    """The samples of a tape, in order, and the loans that are in none by the reason."""

    samples: tuple[SampleCounts, ...]
    excluded: Mapping[str, int]

    def to_plain(self) -> dict[str, object]:
        """Give plain data for the evidence."""
        samples: dict[str, object] = {
            it.name: {"rows": it.rows, "bads": it.bads, "first": _day(it.first), "last": _day(it.last)}
            for it in self.samples
        }
        return samples | {"excluded": dict(self.excluded)}


def split_tape(db: duckdb.DuckDBPyConnection, contract: Contract, *, usable: str = "usable") -> SplitCounts:
    """Part the usable loans of known outcome into samples, as the contract says.

    Leaves two tables: ``split(_row, sample)``, 0 for train, 1 for validation and 2 for test, and
    ``split_exclusions(_row, reason)``.

    Parameters
    ----------
    usable
        A relation with the ``_row`` of every application that may be used.

    Raises
    ------
    TapeError
        Where a sample has no goods or no bads.
    """
    return (split_by_time if contract.split.time else split_at_random)(db, contract, usable=usable)


def split_by_time(db: duckdb.DuckDBPyConnection, contract: Contract, *, usable: str = "usable") -> SplitCounts:
    """Train on the past, validate on what follows and test on the latest loans; see `split_tape`."""
    terms = contract.split.time
    if terms is None:
        raise ContractError("split.time: the contract has none")
    with engine_trouble("parting the tape by time"):
        db.execute(f"CREATE OR REPLACE TABLE split_places AS {_places(contract, terms, usable)}")
        _keep(db, SPLIT, shown="CAST(sample AS UTINYINT) AS sample", where="reason IS NULL")
        _keep(db, EXCLUSIONS, shown="reason", where="reason IS NOT NULL")
        db.execute("DROP TABLE split_places")
        counts = _count(db, contract)
    _refuse_poor(db, contract, counts=counts, usable=usable, hint=_time_hint(counts))
    return counts


def split_at_random(db: duckdb.DuckDBPyConnection, contract: Contract, *, usable: str = "usable") -> SplitCounts:
    """Draw the samples with a seed, of exact sizes among goods and among bads; see `split_tape`.

    The loans of a class are ranked by a hash of the seed and their row, so that a draw depends on neither the order in
    which the engine holds them nor the version of a generator.
    """
    terms = contract.split.random
    if terms is None:
        raise ContractError("split.random: the contract has none")
    with engine_trouble("parting the tape at random"):
        db.execute(f"CREATE OR REPLACE TABLE {SPLIT} AS {_drawn(db, terms, usable)}")
        db.execute(f"CREATE OR REPLACE TABLE {EXCLUSIONS} (_row BIGINT, reason VARCHAR)")
        counts = _count(db, contract)
    hint = "bring more loans, or change the shares in split.random"
    _refuse_poor(db, contract, counts=counts, usable=usable, hint=hint)
    return counts


# --- by time -----------------------------------------------------------------------------------------------------


def _places(contract: Contract, terms: TimeSplit, usable: str) -> str:
    return (
        f"SELECT _row, {sample_sql(terms)} AS sample, CASE WHEN applied_at IS NULL THEN {value(NO_DATE)} "
        f"WHEN {seam_sql(contract, terms)} THEN {value(SEAM)} END AS reason "
        f"FROM (SELECT a._row, a.{applied_sql(contract)} AS applied_at "
        f"FROM applications a SEMI JOIN {OUTCOME} o ON a._row = o._row "
        f"WHERE a._row IN (SELECT _row FROM {identifier(usable)}))"
    )


def sample_sql(terms: TimeSplit) -> str:
    """Write the sample of the period in which an application was made."""
    seams = (value(terms.validation_from), value(terms.test_from))
    return f"CASE WHEN applied_at < {seams[0]} THEN 0 WHEN applied_at < {seams[1]} THEN 1 ELSE 2 END"


def seam_sql(contract: Contract, terms: TimeSplit) -> str:
    """Write whether an outcome was not yet known on the first day of the next period."""
    if terms.ignore_outcome_window.strip():
        return "FALSE"
    seams = (value(terms.validation_from), value(terms.test_from))
    next_from = f"CASE WHEN applied_at < {seams[0]} THEN {seams[0]} WHEN applied_at < {seams[1]} THEN {seams[1]} END"
    return f"{window_end('applied_at', contract)} > {next_from}"


def _keep(db: duckdb.DuckDBPyConnection, table: str, *, shown: str, where: str) -> None:
    db.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT _row, {shown} FROM split_places WHERE {where} ORDER BY _row")


def _time_hint(counts: SplitCounts) -> str:
    if SEAM in counts.excluded:
        return (
            f"{counts.excluded[SEAM]} loans were left out because their outcome was not yet known when the next period "
            "began: move validation_from and test_from apart, or give a reason in split.time.ignore_outcome_window"
        )
    return "choose split.time.validation_from and test_from so that each period has goods and bads"


# --- at random ---------------------------------------------------------------------------------------------------


def _drawn(db: duckdb.DuckDBPyConnection, terms: RandomSplit, usable: str) -> str:
    shares = shares_of(terms)
    known = f"SELECT * FROM {OUTCOME} WHERE _row IN (SELECT _row FROM {identifier(usable)})"
    rows, bads = fetch_one(db, f"SELECT COUNT(*), SUM(bad) FROM ({known})")
    arms = []
    for bad, loans in enumerate((rows - bads, bads)):
        train, validation, _ = apportion(loans, shares)
        arms.append(
            f"WHEN bad = {bad} AND place <= {train} THEN 0 WHEN bad = {bad} AND place <= {train + validation} THEN 1"
        )
    return (
        f"SELECT _row, CAST(CASE {' '.join(arms)} ELSE 2 END AS UTINYINT) AS sample FROM (SELECT _row, bad, "
        f"ROW_NUMBER() OVER (PARTITION BY bad ORDER BY MD5('{terms.seed}:' || _row), _row) AS place FROM ({known})) "
        "ORDER BY _row"
    )


def apportion(total: int, shares: Sequence[Fraction]) -> tuple[int, ...]:
    """Part a whole number by shares that sum to one, with the largest remainders rounded up, the first among equals."""
    quotas = [total * share for share in shares]
    sizes = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(sizes)), key=lambda index: sizes[index] - quotas[index])
    for index in by_remainder[: total - sum(sizes)]:
        sizes[index] += 1
    return tuple(sizes)


def shares_of(terms: RandomSplit) -> tuple[Fraction, Fraction, Fraction]:
    """Give the shares of train, validation and test, exactly as they are written."""
    validation, test = _exact(terms.validation), _exact(terms.test)
    return 1 - validation - test, validation, test


def _exact(share: float) -> Fraction:
    return Fraction(repr(share))


# --- counts ------------------------------------------------------------------------------------------------------


def _count(db: duckdb.DuckDBPyConnection, contract: Contract) -> SplitCounts:
    applied_at = contract.only(Role.APPLIED_AT)
    day = f"a.{identifier(applied_at)}" if applied_at else "CAST(NULL AS DATE)"
    found = db.execute(
        f"SELECT s.sample, COUNT(*), CAST(SUM(o.bad) AS BIGINT), MIN({day}), MAX({day}) FROM {SPLIT} s "
        f"JOIN {OUTCOME} o ON o._row = s._row JOIN applications a ON a._row = s._row GROUP BY s.sample"
    ).fetchall()
    counted = {sample: figures for sample, *figures in found}
    samples = tuple(SampleCounts(name, *counted.get(index, (0, 0, None, None))) for index, name in enumerate(SAMPLES))
    excluded = db.execute(f"SELECT reason, COUNT(*) FROM {EXCLUSIONS} GROUP BY ALL ORDER BY ALL").fetchall()
    return SplitCounts(samples, dict(excluded))


def _refuse_poor(
    db: duckdb.DuckDBPyConnection, contract: Contract, *, counts: SplitCounts, usable: str, hint: str
) -> None:
    poor = [it for it in counts.samples if not 0 < it.bads < it.rows]
    if poor:
        listed = "; ".join(map(str, counts.samples))
        names = " and ".join(it.name for it in poor)
        raise TapeError(
            f"{names}: wanted goods and bads in every sample, got {listed}{_dates(db, contract, usable)}", hint=hint
        )


def _dates(db: duckdb.DuckDBPyConnection, contract: Contract, usable: str) -> str:
    applied_at = contract.only(Role.APPLIED_AT)
    if applied_at is None:
        return ""
    day = identifier(applied_at)
    found = db.execute(
        f"SELECT MIN({day}), MAX({day}) FROM applications WHERE _row IN (SELECT _row FROM {identifier(usable)})"
    ).fetchone()
    return f"; the usable loans of the tape run from {found[0]} to {found[1]}" if found and found[0] else ""


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()

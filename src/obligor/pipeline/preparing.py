"""Makes a tape ready for modelling: read, validated, clean, with outcomes, samples and features in the engine."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.bins import NumericBins
from obligor.core.columns import Role
from obligor.core.features import check_features
from obligor.core.findings import REASONS, Finding, FindingCode, Findings
from obligor.core.snapshot import requests_for
from obligor.ingestion.snapshots import take_snapshot
from obligor.measures.fairness import Groups
from obligor.models.columns import Rows
from obligor.preprocessing.cleaning import learn_caps, settle_fates
from obligor.preprocessing.engine import identifier, value
from obligor.preprocessing.features import feature_query
from obligor.preprocessing.knockouts import knockout_query
from obligor.preprocessing.outcome import DECLINED, define_outcome
from obligor.preprocessing.rejects import DECLINED_SPLIT, place_declined
from obligor.preprocessing.splits import split_tape
from obligor.preprocessing.tape import read_tape
from obligor.preprocessing.validation import gate, validate
from obligor.preprocessing.vintages import roll_rates, vintage_curves, vintage_rates

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.core.snapshot import Snapshot
    from obligor.ingestion.sources import Source
    from obligor.preprocessing.cleaning import Accounting
    from obligor.preprocessing.rejects import DeclinedCounts
    from obligor.preprocessing.splits import SampleCounts
    from obligor.preprocessing.tape import Tape
    from obligor.progress import Progress
    from obligor.settings import Settings

_USED, _DECLINED_ROWS = "used_rows", "declined_rows"
FEATURES, DECLINED_FEATURES = "features", "declined_features"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A tape that is ready for modelling: used rows with outcome, sample and features, and all that was found out."""

    tape: Tape
    findings: Findings
    accounting: Accounting
    samples: tuple[SampleCounts, ...]
    features: FeatureSet
    caps: Mapping[str, tuple[float, float]]
    history: Mapping[str, Any]  # plain data: vintages and roll rates
    declined: tuple[DeclinedCounts, ...] | None = None
    """By sample, where the contract says who was declined."""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where every row of a tape went: into a sample, among the declined, or out with a reason."""

    accounting: Accounting
    samples: tuple[SampleCounts, ...]
    declined: tuple[DeclinedCounts, ...] | None


def snapshot_of(source: Source, contract: Contract, *, settings: Settings, progress: Progress) -> Snapshot:
    """Keep the raw bytes of the tables that a contract names."""
    requests = requests_for(contract.applications, contract.histories)
    with progress.step("taking a snapshot") as advance:
        return take_snapshot(source, requests, store=settings.snapshots, progress=advance)


def db_tape(db: Any, snapshot: Snapshot, contract: Contract, *, progress: Progress) -> Tape:  # a DuckDB connection
    """Read a snapshot into the engine."""
    with progress.step("reading the tape"):
        return read_tape(db, snapshot, applications=contract.applications, histories=contract.histories)


def prepare(tape: Tape, contract: Contract, *, progress: Progress) -> Prepared:
    """Validate, clean, define the outcome, split, and compute features; stop where a limit is broken."""
    features = check_features(contract)
    with progress.step("validating"):
        findings = validate(tape, contract)
    with progress.step("defining the outcome"):
        findings = define_outcomes(tape, contract, findings)
        placed = place_rows(tape, contract, findings)
    with progress.step("computing features"):
        tape.db.execute(f"CREATE TABLE {_USED} AS SELECT a.* FROM applications a JOIN split USING (_row) ORDER BY _row")
        tape.db.execute("CREATE VIEW train_rows AS SELECT _row FROM split WHERE sample = 0")
        caps = learn_caps(tape, contract, train="train_rows")
        _compute(tape, contract, features, caps, rows=_USED, out=FEATURES)
        if placed.declined:
            tape.db.execute(
                f"CREATE TABLE {_DECLINED_ROWS} AS "
                f"SELECT a.* FROM applications a JOIN {DECLINED_SPLIT} USING (_row) ORDER BY _row"
            )
            _compute(tape, contract, features, caps, rows=_DECLINED_ROWS, out=DECLINED_FEATURES)
        history = _history(tape, contract)
    return Prepared(tape, findings, placed.accounting, placed.samples, features, caps, history, placed.declined)


def define_outcomes(tape: Tape, contract: Contract, findings: Findings) -> Findings:
    """Define the outcome of every row; give the findings with those on outcomes that cannot be true.

    Raises
    ------
    TapeError
        Where the known outcomes are all good or all bad.
    """
    define_outcome(tape.db, contract)
    return _with_problems(findings, tape)


def place_rows(tape: Tape, contract: Contract, findings: Findings) -> Placed:
    """Settle where every row of a tape goes, once its outcomes are defined.

    Raises
    ------
    GateError
        Where the findings break a limit of the contract.
    TapeError
        Where a sample has no goods or no bads, or train none of the declined that the contract tells of.
    """
    gate(findings, contract.limits)
    declined = DECLINED if contract.rejects else None
    settle_fates(tape, contract, excluded=_reasons(tape, "outcome_exclusions"), declined=declined)
    tape.db.execute("CREATE TABLE usable AS SELECT _row FROM fate WHERE fate = 'used'")
    samples = split_tape(tape.db, contract).samples
    reasons = _reasons(tape, "outcome_exclusions") | _reasons(tape, "split_exclusions")
    accounting = settle_fates(tape, contract, excluded=reasons, declined=declined)
    return Placed(accounting, samples, place_declined(tape.db, contract) if contract.rejects else None)


def read_rows(tape: Tape, contract: Contract) -> Rows:
    """Read what is known of each used row beside its features, in the order of the rows."""
    parts = {"bad": "o.bad", "sample": "s.sample", "period": "YEAR(o.period) * 12 + MONTH(o.period) - 1"}
    for name, role in (("weight", Role.WEIGHT), ("exposure", Role.EXPOSURE)):
        column = contract.only(role)
        if column is not None:
            parts[name] = f"u.{identifier(column)}"
    listed = ", ".join(f"{sql} AS {name}" for name, sql in parts.items())
    found = tape.db.execute(
        f"SELECT {listed} FROM {_USED} u JOIN split s ON s._row = u._row JOIN outcome o ON o._row = u._row "
        "ORDER BY u._row"
    ).fetchnumpy()

    def numbers(name: str) -> Any:  # an array, or None where the contract has no such column
        return np.ma.filled(np.ma.asarray(found[name], dtype=np.float64), np.nan) if name in found else None

    months = np.ma.asarray(found["period"])
    return Rows(
        bad=np.asarray(found["bad"], dtype=np.uint8),
        sample=np.asarray(found["sample"], dtype=np.uint8),
        weight=numbers("weight"),
        exposure=numbers("exposure"),
        period=None if np.ma.is_masked(months) else np.asarray(months, dtype=np.int32),
    )


def read_declined(tape: Tape, contract: Contract) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Read the sample and the weight of each declined application that is used, in the order of the rows."""
    column = contract.only(Role.WEIGHT)
    weight = f"d.{identifier(column)}" if column else "1"
    found = tape.db.execute(
        f"SELECT s.sample AS sample, CAST({weight} AS DOUBLE) AS weight "
        f"FROM {_DECLINED_ROWS} d JOIN {DECLINED_SPLIT} s ON s._row = d._row ORDER BY d._row"
    ).fetchnumpy()
    weights = np.ma.filled(np.ma.asarray(found["weight"], dtype=np.float64), np.nan)
    return np.asarray(found["sample"], dtype=np.uint8), weights


def incumbents_of(tape: Tape, contract: Contract) -> dict[str, NDArray[np.float64]]:
    """Give every numeric score of the incumbent, of each used row."""
    numeric = [name for name in contract.with_role(Role.INCUMBENT_SCORE) if contract.columns[name].type == "number"]
    found = {}
    for name in numeric:
        read = tape.db.execute(f"SELECT {identifier(name)} AS value FROM {_USED} ORDER BY _row").fetchnumpy()["value"]
        found[name] = np.ma.filled(np.ma.asarray(read, dtype=np.float64), np.nan)
    return found


def protected_of(tape: Tape, contract: Contract) -> dict[str, Groups]:
    """Give the group of each used row by every protected column: its levels, or the intervals of a number or of an age.

    Nothing where the contract says that groups are not compared.
    """
    names = contract.with_role(Role.PROTECTED) if contract.fairness.test else ()
    return {name: _groups_of(tape, contract, name) for name in names}


def _groups_of(tape: Tape, contract: Contract, name: str) -> Groups:
    column = contract.columns[name]
    sql = _age(name, applied_at=contract.only(Role.APPLIED_AT)) if column.type == "date" else identifier(name)
    read = tape.db.execute(f"SELECT {sql} AS value FROM {_USED} ORDER BY _row").fetchnumpy()["value"]
    if column.type in ("number", "date"):
        values = np.ma.filled(np.ma.asarray(read, dtype=np.float64), np.nan)
        if column.type == "number":
            values[np.isin(values, list(column.special))] = np.nan
        return _intervals(values, column.groups)
    return _levels(read)


def _age(name: str, *, applied_at: str | None) -> str:
    """Write the whole years from a date to the application, or the date's year where applications have no day."""
    if applied_at is None:
        return f"YEAR({identifier(name)})"
    return f"DATE_SUB('year', {identifier(name)}, {identifier(applied_at)})"


def segments_of(tape: Tape, contract: Contract) -> Groups | None:
    """Give the level of each used row by the segment of the contract; None where it names none."""
    name = contract.cutoff.segment
    if name is None:
        return None
    query = f"SELECT CAST({identifier(name)} AS VARCHAR) AS value FROM features ORDER BY _row"
    return _levels(tape.db.execute(query).fetchnumpy()["value"])


def knockouts_of(
    tape: Tape, contract: Contract, *, features: FeatureSet, caps: Mapping[str, tuple[float, float]]
) -> dict[str, NDArray[np.bool_]]:
    """Tell by rule, of each used row, whether it fires."""
    names = [it.name for it in contract.knockouts if it.active]
    if not names:
        return {}
    query = knockout_query(contract, features=features, caps=caps, rows=_USED)
    found = tape.db.execute(query).fetchnumpy()
    return {name: np.asarray(found[f"r{at}"], dtype=np.bool_) for at, name in enumerate(names)}


def _levels(read: Any) -> Groups:  # an array of texts or truths, masked where a value is missing
    levels, codes = np.unique(np.ma.filled(np.ma.asarray(read, dtype=object), "").astype(str), return_inverse=True)
    shift = int(len(levels) > 0 and not levels[0])  # the empty text stands for what is not known
    return Groups(codes.astype(np.int64) - shift, tuple(levels[shift:].tolist()))


def _intervals(values: NDArray[np.float64], cuts: tuple[float, ...]) -> Groups:
    known = values[~np.isnan(values)]
    if not cuts and len(known):
        cuts = tuple(np.unique(np.quantile(known, (0.25, 0.5, 0.75), method="inverted_cdf")).tolist())
    bins = NumericBins("group", cuts)
    codes = bins.assign_column(values).astype(np.int64)
    return Groups(np.where(codes == bins.missing, -1, codes), bins.labels()[: bins.ordinary])


def _with_problems(findings: Findings, tape: Tape) -> Findings:
    """Send rows whose outcome cannot be true to quarantine, and tell of them beside what the validation found."""
    tape.db.execute(
        "INSERT INTO quarantine_reasons SELECT _row, code, \"column\", 'outcome' FROM outcome_problems ORDER BY _row"
    )
    found = tape.db.execute(
        'SELECT code, "column", COUNT(*) FROM outcome_problems GROUP BY ALL ORDER BY ALL'
    ).fetchall()
    problems = tuple(
        Finding(
            code=FindingCode(code),
            table="applications",
            column=column,
            check="outcome",
            message=f"'{column}' {REASONS[FindingCode(code)]} in {count} rows",
            rows_checked=tape.rows,
            rows_failed=count,
            severity="critical",
            passed=False,
        )
        for code, column, count in found
    )
    (quarantined,) = tape.db.execute("SELECT COUNT(DISTINCT _row) FROM quarantine_reasons").fetchone() or (0,)
    return replace(findings, findings=(*findings.findings, *problems), quarantined=int(quarantined))


def _reasons(tape: Tape, table: str) -> dict[str, str]:
    """Part a table of excluded rows by reason; give the name of each part."""
    parts = {}
    for place, (reason,) in enumerate(
        tape.db.execute(f"SELECT DISTINCT reason FROM {table} ORDER BY reason").fetchall()
    ):
        parts[reason] = f"{table}_{place}"
        tape.db.execute(
            f"CREATE OR REPLACE VIEW {parts[reason]} AS SELECT _row FROM {table} WHERE reason = {value(reason)}"
        )
    return parts


def _history(tape: Tape, contract: Contract) -> dict[str, Any]:
    """Give what the loans did over time, as plain data."""
    moves = roll_rates(tape.db, contract, usable="usable")
    rates = vintage_rates(tape.db, contract, usable="usable")
    return {
        "vintages": {
            "rates": [asdict(each) | {"rate": each.rate} for each in rates],
            "curves": [asdict(each) for each in vintage_curves(tape.db, contract, usable="usable")],
        },
        "roll_rates": None if moves is None else asdict(moves) | {"shares": moves.shares},
    }


def _compute(
    tape: Tape,
    contract: Contract,
    features: FeatureSet,
    caps: Mapping[str, tuple[float, float]],
    *,
    rows: str,
    out: str,
) -> None:
    names = [*contract.predictors, *contract.with_role(Role.INCUMBENT_SCORE), contract.cutoff.segment or ""]
    offered = [name for name in dict.fromkeys(names) if name in features.types]
    query = feature_query(
        offered,
        features=features,
        applications=contract.applications,
        histories=contract.histories,
        caps=caps,
        rows=rows,
    )
    tape.db.execute(f"CREATE TABLE {out} AS {query} ORDER BY _row")

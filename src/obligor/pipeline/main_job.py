"""The main job: a tape goes in, a scorecard comes out with its evidence. One step after another, each of them a call.

The evidence is written into a folder beside the wanted one and takes its place at the end, so that an interrupted run
leaves nothing half-written.
"""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from obligor import __version__
from obligor.core.canonical import readable_json
from obligor.core.contract import Role
from obligor.core.features import check_features
from obligor.core.findings import REASONS, Finding, FindingCode, Findings
from obligor.core.scorecard import Origin
from obligor.core.snapshot import requests_for
from obligor.files import MANIFEST, file_sha256, whole_folder
from obligor.governance.model_card import render_model_card
from obligor.governance.report import render_report
from obligor.governance.tracking import RunRecord, metrics_of
from obligor.ingestion.snapshots import take_snapshot
from obligor.models.assembly import assemble, economy_of
from obligor.models.binning import BinningRules
from obligor.models.columns import Predictor, Rows
from obligor.models.evaluation import SCHEMA, evaluate, judge, tidy
from obligor.models.logistic import penalty_of
from obligor.models.selection import SelectionRules
from obligor.models.training import Recipe, fit_card
from obligor.pipeline.summaries import RunSummary
from obligor.preprocessing.cleaning import learn_caps, settle_fates, write_quarantine
from obligor.preprocessing.engine import connect, identifier, value
from obligor.preprocessing.features import FeatureColumns, feature_query
from obligor.preprocessing.outcome import define_outcome
from obligor.preprocessing.splits import split_tape
from obligor.preprocessing.tape import read_tape
from obligor.preprocessing.validation import gate, validate
from obligor.preprocessing.vintages import roll_rates, vintage_curves, vintage_rates

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.core.scorecard import Scorecard
    from obligor.core.snapshot import Snapshot
    from obligor.governance.tracking import Tracker
    from obligor.ingestion.sources import Source
    from obligor.models.training import FittedCard
    from obligor.preprocessing.cleaning import Accounting
    from obligor.preprocessing.splits import SampleCounts
    from obligor.preprocessing.tape import Tape
    from obligor.settings import Settings
    from obligor.telemetry import Progress

CARD, EVALUATION, FINDINGS, QUARANTINE = "scorecard.json", "evaluation.json", "findings.json", "quarantine.parquet"
REPORT, MODEL_CARD = "report.html", "model_card.md"
_USED = "used_rows"
_LIBRARIES = ("numpy", "scipy", "duckdb", "pyarrow", "numba", "scikit-learn", "pydantic", "great-expectations")


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


def run_main_job(
    source: Source,
    *,
    contract: Contract,
    out: Path,
    work: Path,
    settings: Settings,
    tracker: Tracker,
    progress: Progress,
) -> RunSummary:
    """Make a card from a source by its contract, with the evidence in ``out``.

    Raises
    ------
    InvalidInputError
        Where the tape cannot be read, or does not fit the contract.
    GateError
        Where the data break a limit of the contract.
    """
    with whole_folder(out) as folder:
        snapshot = snapshot_of(source, contract, settings=settings, progress=progress)
        db = connect(work, memory_mb=settings.memory_mb, threads=settings.threads)
        with db:
            prepared = prepare(db_tape(db, snapshot, contract, progress=progress), contract, progress=progress)
            rows = read_rows(prepared.tape, contract)
            with progress.step("binning", total=len(contract.predictors)) as advance:
                fitted = fit_card(
                    _predictors(contract, prepared.features),
                    FeatureColumns(prepared.tape.db, "features"),
                    rows,
                    recipe=recipe_of(contract),
                    advance=advance,
                )
            with progress.step("calibrating and evaluating"):
                card, evaluation = _evaluate(contract, prepared, fitted, rows, snapshot=snapshot)
            with progress.step("writing the evidence"):
                _write(folder, contract, prepared, card=card, evaluation=evaluation, snapshot=snapshot)
        with progress.step("tracking the run"):
            registered = tracker.record(_record(folder, contract, card, evaluation, snapshot=snapshot))
    return RunSummary.of(card, evaluation, out=out, registered=registered)


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
        define_outcome(tape.db, contract)
        findings = _with_problems(findings, tape)
        gate(findings, contract.limits)
        settle_fates(tape, contract, excluded=_reasons(tape, "outcome_exclusions"))
        tape.db.execute("CREATE TABLE usable AS SELECT _row FROM fate WHERE fate = 'used'")
        samples = split_tape(tape.db, contract).samples
        reasons = _reasons(tape, "outcome_exclusions") | _reasons(tape, "split_exclusions")
        accounting = settle_fates(tape, contract, excluded=reasons)
    with progress.step("computing features"):
        tape.db.execute(f"CREATE TABLE {_USED} AS SELECT a.* FROM applications a JOIN split USING (_row) ORDER BY _row")
        tape.db.execute("CREATE VIEW train_rows AS SELECT _row FROM split WHERE sample = 0")
        caps = learn_caps(tape, contract, train="train_rows")
        _compute(tape, contract, features, caps)
        history = _history(tape, contract)
    return Prepared(tape, findings, accounting, samples, features, caps, history)


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


def recipe_of(contract: Contract) -> Recipe:
    """Give the developer's choices as the fitters take them."""
    said = contract.model
    return Recipe(
        binning=BinningRules(
            max_bins=said.max_bins, min_share=said.min_share, min_bads=said.min_bads, min_goods=said.min_bads
        ),
        selection=SelectionRules(
            min_information_value=said.min_information_value,
            max_psi=said.max_psi,
            max_correlation=said.max_correlation,
            max_p_value=said.max_p_value,
            max_characteristics=said.max_characteristics,
            keep=said.keep,
        ),
        penalty=penalty_of(said.penalty, sign_constrained=said.sign_constrained),
        scale=contract.scale,
    )


def _predictors(contract: Contract, features: FeatureSet) -> list[Predictor]:
    found = []
    for name in contract.predictors:
        said = contract.columns.get(name) or contract.features[name]
        specials = tuple(contract.columns[name].special) if name in contract.columns else ()
        kind: Literal["numeric", "category"] = "numeric" if features.types[name] == "number" else "category"
        found.append(Predictor(name, kind, said.trend, specials))
    return found


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
            "rates": [_plain(each) | {"rate": each.rate} for each in rates],
            "curves": [_plain(each) for each in vintage_curves(tape.db, contract, usable="usable")],
        },
        "roll_rates": None if moves is None else _plain(moves) | {"shares": moves.shares},
    }


def _compute(tape: Tape, contract: Contract, features: FeatureSet, caps: Mapping[str, tuple[float, float]]) -> None:
    names = [*contract.predictors, *(name for name in contract.with_role(Role.INCUMBENT_SCORE))]
    offered = [name for name in dict.fromkeys(names) if name in features.types]
    query = feature_query(
        offered,
        features=features,
        applications=contract.applications,
        histories=contract.histories,
        caps=caps,
        rows=_USED,
    )
    tape.db.execute(f"CREATE TABLE features AS {query} ORDER BY _row")


def _evaluate(
    contract: Contract, prepared: Prepared, fitted: FittedCard, rows: Rows, *, snapshot: Snapshot
) -> tuple[Scorecard, dict[str, Any]]:
    origin = Origin(
        contract=contract.name,
        contract_sha256=contract.sha256,
        snapshot_sha256=snapshot.sha256,
        obligor=__version__,
        seed=contract.model.seed,
        rows={sample.name: sample.rows for sample in prepared.samples},
    )
    made = assemble(contract, fitted, rows, features=prepared.features, caps=prepared.caps, origin=origin)
    judged = judge(made.card, fitted, rows, incumbent=_incumbent(prepared.tape, contract))
    evaluation = evaluate(judged, economy=economy_of(contract), seed=contract.model.seed)
    for sample in prepared.samples:
        evaluation[sample.name] |= {"from": _day(sample.first), "to": _day(sample.last)}
    on_card = {it.feature for it in made.card.characteristics}
    read = set(prepared.features.needed_for(on_card))
    plain = {
        "schema": SCHEMA,
        "contract": contract.name,
        "card_sha256": made.card.sha256,
        "horizon_months": contract.outcome.window_months,
        "currency": contract.currency,
        "accounting": prepared.accounting.to_plain(),
        "cutoff": {"score": made.card.cutoff.score, "chosen_by": made.card.cutoff.chosen_by},
        **evaluation,
        "calibration": {"method": made.calibration.method, "log_loss": made.calibration.log_loss},
        "dropped": [_plain(each) for each in fitted.dropped],
        "trends": {name: bins.note for name, bins in fitted.bins.items() if bins.note},
        "penalty": {"strength": fitted.fit.strength, "l1_ratio": fitted.fit.l1_ratio},
        "penalty_path": [_plain(each) for each in fitted.fit.path],
        **prepared.history,
        "protected": [
            {"column": name, "why": contract.columns[name].predictor_because, "on_card": name in read}
            for name in contract.with_role(Role.PROTECTED)
        ],
    }
    return made.card, tidy(plain)


def _incumbent(tape: Tape, contract: Contract) -> tuple[str, Any] | None:  # the name and an array
    numeric = [name for name in contract.with_role(Role.INCUMBENT_SCORE) if contract.columns[name].type == "number"]
    if not numeric:
        return None
    found = tape.db.execute(f"SELECT {identifier(numeric[0])} AS value FROM {_USED} ORDER BY _row").fetchnumpy()[
        "value"
    ]
    return numeric[0], np.ma.filled(np.ma.asarray(found, dtype=np.float64), np.nan)


def _write(
    folder: Path,
    contract: Contract,
    prepared: Prepared,
    *,
    card: Scorecard,
    evaluation: Mapping[str, Any],
    snapshot: Snapshot,
) -> None:
    findings = prepared.findings.to_plain() | {"accounting": prepared.accounting.to_plain()}
    making = _making(contract, card, snapshot)
    (folder / CARD).write_bytes(card.to_json())
    (folder / EVALUATION).write_bytes(readable_json(evaluation))
    (folder / FINDINGS).write_bytes(readable_json(findings))
    write_quarantine(prepared.tape, contract, folder / QUARANTINE)
    page = render_report(contract, card=card, evaluation=evaluation, findings=findings["findings"], making=making)
    (folder / REPORT).write_text(page, encoding="utf-8")
    text = render_model_card(contract, card=card, evaluation=evaluation, making=making)
    (folder / MODEL_CARD).write_text(text, encoding="utf-8")
    (folder / MANIFEST).write_bytes(readable_json(_manifest(folder, contract, snapshot)))


def _making(contract: Contract, card: Scorecard, snapshot: Snapshot) -> list[tuple[str, str]]:
    return [
        ("contract", f"{contract.name}, SHA-256 {contract.sha256}"),
        ("data", f"SHA-256 {snapshot.sha256}"),
        ("card", f"SHA-256 {card.sha256}"),
        ("seed", str(contract.model.seed)),
        ("software", f"Obligor {__version__}"),
    ]


def _manifest(folder: Path, contract: Contract, snapshot: Snapshot) -> dict[str, Any]:
    """List the hashes of all that went in and came out, and what made it."""
    outputs = sorted(path for path in folder.iterdir() if path.name != MANIFEST and not path.name.startswith("."))
    return {
        "schema": "obligor/manifest/1",
        "inputs": {
            "source": snapshot.source,
            "snapshot_sha256": snapshot.sha256,
            "files": [{"table": file.table, "bytes": file.bytes, "sha256": file.sha256} for file in snapshot.files],
            "contract_sha256": contract.sha256,
        },
        "outputs": {path.name: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for path in outputs},
        "versions": {"obligor": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "seed": contract.model.seed,
        "contract": json.loads(contract.model_dump_json(by_alias=True)),
    }


def _record(
    folder: Path, contract: Contract, card: Scorecard, evaluation: Mapping[str, Any], *, snapshot: Snapshot
) -> RunRecord:
    said = contract.model.model_dump(mode="json")
    return RunRecord(
        experiment=contract.name,
        parameters={name: str(value) for name, value in said.items()}
        | {
            "characteristics": str(len(card.characteristics)),
            "calibration_chosen": evaluation["calibration"]["method"],
        },
        metrics=metrics_of(evaluation),
        tags={
            "card_sha256": card.sha256,
            "contract_sha256": contract.sha256,
            "snapshot_sha256": snapshot.sha256,
            "obligor": __version__,
        },
        folder=folder,
        card_file=CARD,
    )


def _plain(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__slots__}


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()

"""The smaller jobs beside the main one: holding a contract against a tape, and drafting one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.errors import GateError, TapeError
from obligor.core.snapshot import TableRequest
from obligor.ingestion.snapshots import take_snapshot
from obligor.pipeline.preparing import db_tape, define_outcomes, place_rows, snapshot_of
from obligor.pipeline.summaries import accounting_lines
from obligor.preprocessing.drafting import draft_contract
from obligor.preprocessing.engine import connect
from obligor.preprocessing.validation import validate

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.core.contract import Contract
    from obligor.core.findings import Findings
    from obligor.ingestion.sources import Source
    from obligor.progress import Progress
    from obligor.settings import Settings


def check_tape(source: Source, *, contract: Contract, work: Path, settings: Settings, progress: Progress) -> list[str]:
    """Hold a contract against a tape as a run does before it fits: every failed check, where each row goes, the samples.

    Raises
    ------
    GateError
        Where the tape breaks a limit of the contract.
    TapeError
        Where a run could not begin: outcomes of one kind only, a sample without goods or bads.
    """
    snapshot = snapshot_of(source, contract, settings=settings, progress=progress)
    with connect(work, memory_mb=settings.memory_mb, threads=settings.threads) as db:
        tape = db_tape(db, snapshot, contract, progress=progress)
        with progress.step("validating"):
            findings = validate(tape, contract)
        try:
            with progress.step("defining the outcome"):
                findings = define_outcomes(tape, contract, findings)
                placed = place_rows(tape, contract, findings)
        except (GateError, TapeError) as error:
            raise type(error)("\n".join([*_told(findings), error.message]), hint=error.hint) from None
    return [*_told(findings), *accounting_lines(placed.accounting.to_plain()), *map(str, placed.samples)]


def _told(findings: Findings) -> list[str]:
    checks = f"{findings.rows:,} rows; {len(findings.findings)} checks, {len(findings.failed)} not passed"
    return [checks, *(f"  {it.severity}: {it.message}" for it in findings.failed)]


def draft_from(source: Source, *, work: Path, settings: Settings, name: str) -> str:
    """Propose a contract for a tape."""
    snapshot = take_snapshot(source, [TableRequest(name="applications")], store=settings.snapshots)
    with connect(work, memory_mb=settings.memory_mb, threads=settings.threads) as db:
        return draft_contract(db, snapshot, name=name)

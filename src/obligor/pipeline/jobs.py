"""The smaller jobs beside the main one: holding a contract against a tape, and drafting one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.errors import GateError
from obligor.core.snapshot import TableRequest
from obligor.ingestion.snapshots import take_snapshot
from obligor.pipeline.preparing import db_tape, snapshot_of
from obligor.preprocessing.drafting import draft_contract
from obligor.preprocessing.engine import connect
from obligor.preprocessing.validation import gate, validate

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.core.contract import Contract
    from obligor.ingestion.sources import Source
    from obligor.progress import Progress
    from obligor.settings import Settings


def check_tape(source: Source, *, contract: Contract, work: Path, settings: Settings, progress: Progress) -> list[str]:
    """Hold a contract against a tape; every failed check is a line.

    Raises
    ------
    GateError
        Where the tape breaks a limit of the contract.
    """
    snapshot = snapshot_of(source, contract, settings=settings, progress=progress)
    with connect(work, memory_mb=settings.memory_mb, threads=settings.threads) as db:
        tape = db_tape(db, snapshot, contract, progress=progress)
        with progress.step("validating"):
            findings = validate(tape, contract)
        lines = [f"{tape.rows:,} rows; {len(findings.findings)} checks, {len(findings.failed)} not passed"]
        lines += [f"  {it.severity}: {it.message}" for it in findings.failed]
        try:
            gate(findings, contract.limits)
        except GateError as error:
            raise GateError("\n".join([*lines, error.message]), hint=error.hint) from None
    return lines


def draft_from(source: Source, *, work: Path, settings: Settings, name: str) -> str:
    """Propose a contract for a tape."""
    snapshot = take_snapshot(source, [TableRequest(name="applications")], store=settings.snapshots)
    with connect(work, memory_mb=settings.memory_mb, threads=settings.threads) as db:
        return draft_contract(db, snapshot, name=name)

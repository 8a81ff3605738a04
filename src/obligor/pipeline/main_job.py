"""The main job: a tape goes in, a scorecard comes out with its evidence. One step after another, each of them a call.

The evidence is written into a folder beside the wanted one and takes its place at the end, so that an interrupted run
leaves nothing half-written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.core.edits import Edits
from obligor.core.snapshot import Snapshot
from obligor.files import whole_folder
from obligor.models.assembly import assemble
from obligor.models.challengers import challengers_of
from obligor.models.evaluation import tidy
from obligor.pipeline.challenging import Offered, challenge
from obligor.pipeline.declined import assumptions_of, infer_declined
from obligor.pipeline.evidence import run_record, write_edits, write_evidence
from obligor.pipeline.fitting import columns_of, fit, predictors_of, propose_features, search_alternatives
from obligor.pipeline.judging import evaluate_card, origin_of
from obligor.pipeline.preparing import (
    db_tape,
    prepare,
    read_rows,
    snapshot_of,
)
from obligor.pipeline.summaries import RunSummary
from obligor.preprocessing.engine import connect

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.core.contract import Contract
    from obligor.governance.tracking import Tracker
    from obligor.ingestion.sources import Source
    from obligor.models.assembly import Assembled
    from obligor.models.columns import Columns, Rows
    from obligor.models.fitted import FittedCard
    from obligor.pipeline.preparing import Prepared
    from obligor.progress import Progress
    from obligor.settings import Settings


def run_main_job(
    source: Source | Snapshot,
    *,
    contract: Contract,
    out: Path,
    work: Path,
    settings: Settings,
    tracker: Tracker,
    progress: Progress,
    edits: Edits | None = None,
    carry: bool = False,
) -> RunSummary:
    """Make a card from a source, or from a snapshot of one, by its contract, with the evidence in ``out``.

    Parameters
    ----------
    edits
        Edits of its bins by hand.
    carry
        Whether edits that were made on a draft of another contract or tape are taken too.

    Raises
    ------
    InvalidInputError
        Where the tape cannot be read, or does not fit the contract.
    GateError
        Where the data break a limit of the contract.
    UnavailableError
        Where the contract asks for challengers whose libraries are not there.
    """
    challengers = challengers_of(contract.challengers)
    with whole_folder(out) as folder:
        snapshot = _snapshot(source, contract, settings=settings, progress=progress)
        edits = edits or Edits()
        if not carry:
            edits.refuse_elsewhere(contract.sha256, snapshot.sha256)
        db = connect(work, memory_mb=settings.memory_mb, threads=settings.threads)
        with db:
            prepared = prepare(db_tape(db, snapshot, contract, progress=progress), contract, progress=progress)
            rows = read_rows(prepared.tape, contract)
            with progress.step("binning", total=len(contract.predictors)) as advance:
                fitted = fit(contract, prepared, rows, fixed=edits.fixed, advance=advance)
            fitted, rejects = _with_declined(
                contract, prepared, rows, fitted, snapshot=snapshot, edits=edits, progress=progress
            )
            with progress.step("calibrating and evaluating"):
                found = evaluate_card(contract, prepared, fitted, rows, snapshot=snapshot, edits=edits)
                judged, card, evaluation = found.judged, found.judged.card, found.evaluation
                evaluation["rejects"] = tidy(rejects)
            if contract.fairness.alternatives:
                evaluation["alternatives"] = search_alternatives(
                    contract, prepared, fitted, judged, fixed=edits.fixed, progress=progress
                )
            evaluation["proposals"] = tidy(propose_features(contract, prepared, fitted, rows, progress=progress))
            offered = Offered(predictors_of(contract, prepared.features), columns_of(prepared), rows)
            evaluation["challengers"] = challenge(
                challengers, offered, contract=contract, card=card, scores=fitted.scores, out=folder, progress=progress
            )
            with progress.step("writing the evidence"):
                write_edits(folder, edits)
                write_evidence(
                    folder, contract, prepared, card=card, policy=found.policy, evaluation=evaluation, snapshot=snapshot
                )
        with progress.step("tracking the run"):
            registered = tracker.record(run_record(folder, contract, card, evaluation, snapshot=snapshot))
    return RunSummary.of(card, evaluation, out=out, registered=registered)


def _snapshot(source: Source | Snapshot, contract: Contract, *, settings: Settings, progress: Progress) -> Snapshot:
    if isinstance(source, Snapshot):
        return source
    return snapshot_of(source, contract, settings=settings, progress=progress)


def _with_declined(
    contract: Contract,
    prepared: Prepared,
    rows: Rows,
    fitted: FittedCard,
    *,
    snapshot: Snapshot,
    edits: Edits,
    progress: Progress,
) -> tuple[FittedCard, dict[str, Any] | None]:
    """Fit again with the declined, where the contract says who was; give the fit that it asks for, and the evidence."""
    if contract.rejects is None:
        return fitted, None

    def again(columns: Columns, augmented: Rows) -> FittedCard:
        return fit(
            contract,
            prepared,
            augmented,
            fixed=edits.fixed,
            columns=columns,
            known=len(rows.bad),
            advance=lambda _: None,
        )

    def make(it: FittedCard) -> Assembled:
        return assemble(
            contract,
            it,
            rows,
            features=prepared.features,
            caps=prepared.caps,
            origin=origin_of(contract, prepared, snapshot, edits),
        )

    with progress.step("inferring the declined", total=len(assumptions_of(contract.rejects))) as advance:
        found = infer_declined(contract, prepared, rows, fitted, fit=again, make=make, advance=advance)
    return found.fitted, found.evidence

"""The main job: a tape goes in, a scorecard comes out with its evidence. One step after another, each of them a call.

The evidence is written into a folder beside the wanted one and takes its place at the end, so that an interrupted run
leaves nothing half-written.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from obligor import __version__
from obligor.core.clauses import Role
from obligor.core.scorecard import Origin
from obligor.files import whole_folder
from obligor.models.assembly import assemble, economy_of
from obligor.models.binning import BinningRules
from obligor.models.columns import Predictor, Rows
from obligor.models.evaluation import SCHEMA, evaluate, tidy
from obligor.models.explanations import explanations
from obligor.models.judged import best_ranking, judge
from obligor.models.logistic import penalty_of
from obligor.models.pairs import PairRules
from obligor.models.projection import SmoothRules
from obligor.models.segments import segment_evidence
from obligor.models.selection import SelectionRules
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card
from obligor.pipeline.evidence import run_record, write_evidence
from obligor.pipeline.preparing import db_tape, incumbents_of, prepare, protected_of, read_rows, snapshot_of
from obligor.pipeline.summaries import RunSummary
from obligor.preprocessing.engine import connect
from obligor.preprocessing.features import FeatureColumns

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date
    from pathlib import Path

    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.core.scorecard import Scorecard
    from obligor.core.snapshot import Snapshot
    from obligor.governance.tracking import Tracker
    from obligor.ingestion.sources import Source
    from obligor.models.training import FittedCard
    from obligor.pipeline.preparing import Prepared
    from obligor.settings import Settings
    from obligor.telemetry import Progress


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
                fitted = fit(contract, prepared, rows, advance=advance)
            with progress.step("calibrating and evaluating"):
                card, evaluation = _evaluate(contract, prepared, fitted, rows, snapshot=snapshot)
            with progress.step("writing the evidence"):
                write_evidence(folder, contract, prepared, card=card, evaluation=evaluation, snapshot=snapshot)
        with progress.step("tracking the run"):
            registered = tracker.record(run_record(folder, contract, card, evaluation, snapshot=snapshot))
    return RunSummary.of(card, evaluation, out=out, registered=registered)


def fit(contract: Contract, prepared: Prepared, rows: Rows, *, advance: Callable[[float], None]) -> FittedCard:
    """Fit a card by the recipe of the contract."""
    predictors = _predictors(contract, prepared.features)
    columns = FeatureColumns(prepared.tape.db, "features")
    if contract.model.recipe == "smooth":
        return fit_smooth_card(predictors, columns, rows, rules=smooth_rules_of(contract), advance=advance)
    return fit_card(predictors, columns, rows, recipe=recipe_of(contract), advance=advance)


def smooth_rules_of(contract: Contract) -> SmoothRules:
    """Give the developer's choices for a smooth card."""
    said = contract.model
    return SmoothRules(
        max_bins=said.max_bins or SmoothRules().max_bins,
        max_characteristics=said.max_characteristics,
        keep=said.keep,
        pairs=PairRules(most=said.max_pairs),
        scale=contract.scale,
    )


def recipe_of(contract: Contract) -> Recipe:
    """Give the developer's choices as the fitters take them."""
    said = contract.model
    return Recipe(
        binning=BinningRules(
            max_bins=said.max_bins or BinningRules().max_bins,
            min_share=said.min_share,
            min_bads=said.min_bads,
            min_goods=said.min_bads,
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
        segment=said.segment,
    )


def _predictors(contract: Contract, features: FeatureSet) -> list[Predictor]:
    found = []
    for name in contract.predictors:
        said = contract.columns.get(name) or contract.features[name]
        specials = tuple(contract.columns[name].special) if name in contract.columns else ()
        kind: Literal["numeric", "category"] = "numeric" if features.types[name] == "number" else "category"
        found.append(Predictor(name, kind, said.trend, specials))
    return found


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
    judged = judge(
        made.card,
        fitted,
        rows,
        incumbent=best_ranking(incumbents_of(prepared.tape, contract), rows),
        incumbent_approval_rate=contract.cutoff.incumbent_approval_rate,
        protected=protected_of(prepared.tape, contract),
    )
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
        "dropped": [asdict(each) for each in fitted.dropped],
        "trends": {name: bins.note for name, bins in fitted.bins.items() if bins.note},
        "penalty": None
        if contract.model.recipe == "smooth"
        else {"strength": fitted.fit.strength, "l1_ratio": fitted.fit.l1_ratio},
        "penalty_path": [asdict(each) for each in fitted.fit.path],
        "segments": segment_evidence(judged, fitted.segments, contract.model.segment),
        **prepared.history,
        **explanations(judged),
        "protected": [
            {"column": name, "why": contract.columns[name].predictor_because, "on_card": name in read}
            for name in contract.with_role(Role.PROTECTED)
        ],
    }
    return made.card, tidy(plain)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()

"""The main job: a tape goes in, a scorecard comes out with its evidence. One step after another, each of them a call.

The evidence is written into a folder beside the wanted one and takes its place at the end, so that an interrupted run
leaves nothing half-written.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Literal

from obligor import __version__
from obligor.core.clauses import Role
from obligor.core.edits import Edits
from obligor.core.scorecard import Origin
from obligor.core.snapshot import Snapshot
from obligor.files import whole_folder
from obligor.models.alternatives import classical_refitter, smooth_refitter
from obligor.models.assembly import assemble, economy_of
from obligor.models.binning import BinningRules
from obligor.models.challengers import challengers_of
from obligor.models.columns import Predictor, Rows
from obligor.models.edited import tell_edits
from obligor.models.evaluation import SCHEMA, evaluate, tidy
from obligor.models.explanations import explanations
from obligor.models.fairness import proxied, searched, standard_of
from obligor.models.judged import best_ranking, judge
from obligor.models.logistic import penalty_of
from obligor.models.pairs import PairRules
from obligor.models.policies import make_policy
from obligor.models.projection import SmoothRules
from obligor.models.segments import segment_evidence
from obligor.models.selection import SelectionRules
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card
from obligor.pipeline.challenging import Offered, challenge
from obligor.pipeline.declined import assumptions_of, infer_declined
from obligor.pipeline.evidence import run_record, write_edits, write_evidence
from obligor.pipeline.preparing import (
    db_tape,
    incumbents_of,
    prepare,
    protected_of,
    read_rows,
    segments_of,
    snapshot_of,
)
from obligor.pipeline.summaries import RunSummary
from obligor.preprocessing.engine import connect
from obligor.preprocessing.features import FeatureColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import date
    from pathlib import Path

    from obligor.core.bins import Bins
    from obligor.core.contract import Contract
    from obligor.core.features import FeatureSet
    from obligor.core.policy import Policy
    from obligor.governance.tracking import Tracker
    from obligor.ingestion.sources import Source
    from obligor.models.assembly import Assembled
    from obligor.models.columns import Columns
    from obligor.models.judged import Judged
    from obligor.models.training import FittedCard
    from obligor.pipeline.preparing import Prepared
    from obligor.settings import Settings
    from obligor.telemetry import Progress


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
                judged, policy, evaluation = _evaluate(contract, prepared, fitted, rows, snapshot=snapshot, edits=edits)
                card = judged.card
                evaluation["rejects"] = tidy(rejects)
            if contract.fairness.alternatives:
                evaluation["alternatives"] = _search(
                    contract, prepared, fitted, judged, fixed=edits.fixed, progress=progress
                )
            offered = Offered(_predictors(contract, prepared.features), _columns(prepared), rows)
            evaluation["challengers"] = challenge(
                challengers, offered, contract=contract, card=card, scores=fitted.scores, out=folder, progress=progress
            )
            with progress.step("writing the evidence"):
                write_edits(folder, edits)
                write_evidence(
                    folder, contract, prepared, card=card, policy=policy, evaluation=evaluation, snapshot=snapshot
                )
        with progress.step("tracking the run"):
            registered = tracker.record(run_record(folder, contract, card, evaluation, snapshot=snapshot))
    return RunSummary.of(card, evaluation, out=out, registered=registered)


def _snapshot(source: Source | Snapshot, contract: Contract, *, settings: Settings, progress: Progress) -> Snapshot:
    if isinstance(source, Snapshot):
        return source
    return snapshot_of(source, contract, settings=settings, progress=progress)


def fit(
    contract: Contract,
    prepared: Prepared,
    rows: Rows,
    *,
    fixed: Mapping[str, Bins] | None = None,
    columns: Columns | None = None,
    known: int | None = None,
    advance: Callable[[float], None],
) -> FittedCard:
    """Fit a card by the recipe of the contract.

    Parameters
    ----------
    fixed
        Bins made by hand, by predictor.
    columns
        The columns of the rows, where they are not the known ones of the tape.
    known
        How many of the rows, the first ones, are of known outcome, where the others are inferred.
    """
    predictors = _predictors(contract, prepared.features)
    columns = columns or _columns(prepared)
    if contract.model.recipe == "smooth":
        rules = replace(smooth_rules_of(contract), fixed=fixed or {})
        return fit_smooth_card(predictors, columns, rows, rules=rules, advance=advance)
    recipe = replace(recipe_of(contract), fixed=fixed or {})
    return fit_card(predictors, columns, rows, recipe=recipe, known=known, advance=advance)


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
            origin=_origin(contract, prepared, snapshot, edits),
        )

    with progress.step("inferring the declined", total=len(assumptions_of(contract.rejects))) as advance:
        found = infer_declined(contract, prepared, rows, fitted, fit=again, make=make, advance=advance)
    return found.fitted, found.evidence


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


def _columns(prepared: Prepared) -> FeatureColumns:
    return FeatureColumns(prepared.tape.db, "features")


def _origin(contract: Contract, prepared: Prepared, snapshot: Snapshot, edits: Edits) -> Origin:
    return Origin(
        contract=contract.name,
        contract_sha256=contract.sha256,
        snapshot_sha256=snapshot.sha256,
        obligor=__version__,
        seed=contract.model.seed,
        rows={sample.name: sample.rows for sample in prepared.samples},
        edits_sha256=edits.sha256,
    )


def _evaluate(
    contract: Contract, prepared: Prepared, fitted: FittedCard, rows: Rows, *, snapshot: Snapshot, edits: Edits
) -> tuple[Judged, Policy, dict[str, Any]]:
    origin = _origin(contract, prepared, snapshot, edits)
    made = assemble(contract, fitted, rows, features=prepared.features, caps=prepared.caps, origin=origin)
    judged = judge(
        made.card,
        fitted,
        rows,
        incumbent=best_ranking(incumbents_of(prepared.tape, contract), rows),
        incumbent_approval_rate=contract.cutoff.incumbent_approval_rate,
        protected=protected_of(prepared.tape, contract),
        standard=standard_of(contract.fairness),
    )
    evaluation = evaluate(judged, economy=economy_of(contract), seed=contract.model.seed)
    decided = make_policy(
        contract,
        judged,
        segments=segments_of(prepared.tape, contract),
        features=prepared.features,
        caps=prepared.caps,
        economy=economy_of(contract),
    )
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
        "policy": decided.plain,
        "calibration": {"method": made.calibration.method, "log_loss": made.calibration.log_loss},
        "dropped": [asdict(each) for each in fitted.dropped],
        "trends": {name: bins.note for name, bins in fitted.bins.items() if bins.note},
        "penalty": None
        if contract.model.recipe == "smooth"
        else {"strength": fitted.fit.strength, "l1_ratio": fitted.fit.l1_ratio},
        "penalty_path": [asdict(each) for each in fitted.fit.path],
        "segments": segment_evidence(judged, fitted.segments, contract.model.segment),
        "proxies": proxied(
            judged,
            contract.fairness,
            readers=_readers(contract, prepared.features, on_card),
            seed=contract.model.seed,
        ),
        "alternatives": None,
        "fairness_rules": contract.fairness.model_dump(mode="json"),
        **prepared.history,
        **explanations(judged),
        "protected": [
            {"column": name, "why": contract.columns[name].predictor_because, "on_card": name in read}
            for name in contract.with_role(Role.PROTECTED)
        ],
    }
    return judged, decided.policy, tidy(plain | {"edits": tell_edits(edits, plain, origin)})


def _readers(contract: Contract, features: FeatureSet, names: set[str]) -> dict[str, list[str]]:
    """Name the characteristics that are computed from each protected column."""
    return {
        column: [name for name in names if column in features.needed_for([name])]
        for column in contract.with_role(Role.PROTECTED)
    }


def _search(
    contract: Contract,
    prepared: Prepared,
    fitted: FittedCard,
    judged: Judged,
    *,
    fixed: Mapping[str, Bins],
    progress: Progress,
) -> dict[str, Any]:
    """Search for less discriminatory alternatives, by the recipe of the contract, on the bins made by hand."""
    predictors, columns = _predictors(contract, prepared.features), FeatureColumns(prepared.tape.db, "features")
    if contract.model.recipe == "smooth":
        rules = replace(smooth_rules_of(contract), fixed=fixed)
        refitter = smooth_refitter(fitted, predictors, columns, judged.rows, rules=rules)
    else:
        recipe = replace(recipe_of(contract), fixed=fixed)
        refitter = classical_refitter(fitted, predictors, columns, judged.rows, recipe=recipe)
    with progress.step("searching for alternatives", total=refitter.most) as advance:
        found = searched(
            judged, fitted, contract.fairness, refitter=refitter, economy=economy_of(contract), advance=advance
        )
    plain: dict[str, Any] = tidy(found)
    return plain


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()

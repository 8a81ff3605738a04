"""Puts a fitted card together, draws the line, and gathers every figure of its evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from obligor import __version__
from obligor.core.columns import Role
from obligor.core.scorecard import Origin
from obligor.models.assembly import assemble, economy_of
from obligor.models.edited import tell_edits
from obligor.models.evaluation import SCHEMA, evaluate, tidy
from obligor.models.explanations import explanations
from obligor.models.fairness import proxied, ruled, standard_of
from obligor.models.judged import best_ranking, judge
from obligor.models.policies import make_policy
from obligor.models.segments import segment_evidence
from obligor.pipeline.preparing import (
    incumbents_of,
    knockouts_of,
    protected_of,
    segments_of,
)

if TYPE_CHECKING:
    from datetime import date

    from obligor.core.contract import Contract
    from obligor.core.edits import Edits
    from obligor.core.features import FeatureSet
    from obligor.core.policy import Policy
    from obligor.core.snapshot import Snapshot
    from obligor.models.columns import Rows
    from obligor.models.fitted import FittedCard
    from obligor.models.judged import Judged
    from obligor.pipeline.preparing import Prepared


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A finished card with what it says of every row, the policy that goes with it, and its evidence as plain data."""

    judged: Judged
    policy: Policy
    evaluation: dict[str, Any]


def origin_of(contract: Contract, prepared: Prepared, snapshot: Snapshot, edits: Edits) -> Origin:
    """Say where a card comes from."""
    return Origin(
        contract=contract.name,
        contract_sha256=contract.sha256,
        snapshot_sha256=snapshot.sha256,
        obligor=__version__,
        seed=contract.model.seed,
        rows={sample.name: sample.rows for sample in prepared.samples},
        edits_sha256=edits.sha256,
    )


def evaluate_card(
    contract: Contract, prepared: Prepared, fitted: FittedCard, rows: Rows, *, snapshot: Snapshot, edits: Edits
) -> Evaluated:
    """Put the card together, and tell all that can be told of it on the rows."""
    origin = origin_of(contract, prepared, snapshot, edits)
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
        "economics": contract.economics.model_dump(mode="json") | {"assumed": list(contract.economics.assumed)},
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
        "knockouts": ruled(
            judged,
            contract.knockouts,
            knockouts_of(prepared.tape, contract, features=prepared.features, caps=prepared.caps),
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
    whole = tidy(plain | {"edits": tell_edits(edits, plain, origin)})
    return Evaluated(judged, decided.policy, whole)


def _readers(contract: Contract, features: FeatureSet, names: set[str]) -> dict[str, list[str]]:
    """Name the characteristics that are computed from each protected column."""
    return {
        column: [name for name in names if column in features.needed_for([name])]
        for column in contract.with_role(Role.PROTECTED)
    }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()

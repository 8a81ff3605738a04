"""What is written of a decision: its record, and what is told of it, laid out for being written in a microsecond each.

A ``msgspec.Struct`` is written field by field as it stands, in a third of the time that a dict with sorted keys takes. So the
fields of a record stand here in the order of their names, and what lies inside them is in order too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.gates.gate import told_outside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.decision import Decision
    from obligor.serving.releases.release import Assessment

_THOUSANDTHS = 1000
_ABSENT = msgspec.UNSET


class _Reason(msgspec.Struct, frozen=True):
    code: str
    feature: str
    shortfall: float
    text: str


class _ToldReason(msgspec.Struct, frozen=True):
    code: str
    text: str


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of a decision, ``obligor/decision/1``; with its personal fields sealed, ``obligor/decision/2``."""

    application_id: str | None
    band: str
    because: str
    bins: tuple[int, ...]
    client_id: str
    cutoff: int
    decided_at: str
    decision_id: str
    gates: msgspec.Raw
    idempotency_key: str
    input: msgspec.Raw
    input_sha256: str | msgspec.UnsetType = _ABSENT
    key_id: str | msgspec.UnsetType = _ABSENT
    knockouts: tuple[str, ...]
    outcome: str
    pd: float
    pins: msgspec.Raw
    points: tuple[int, ...]
    reasons: Sequence[_Reason]
    route: str
    schema: str
    scopes: tuple[str, ...] | msgspec.UnsetType = _ABSENT
    score: int
    sealed: str | msgspec.UnsetType = _ABSENT
    subject: str | msgspec.UnsetType = _ABSENT
    unusual: tuple[str, ...]


class Told(msgspec.Struct, frozen=True):
    """What is answered of a decision, before its receipt."""

    decision_id: str
    application_id: str | None
    decided_at: str
    outcome: str
    because: str
    score: float
    pd: float
    band: str
    cutoff: float
    reasons: Sequence[_ToldReason]
    unusual: tuple[str, ...]
    pins: msgspec.Raw


def record_bytes(
    assessment: Assessment,
    *,
    gates: msgspec.Raw,
    pins: msgspec.Raw,
    told: Told,
    kept: Mapping[str, Any],
    client_id: str,
    idempotency_key: str,
    route: str,
) -> bytes:
    """Write the record of a decision.

    Parameters
    ----------
    told
        What is answered, which has its ids and its time.
    kept
        What is kept of the application: its schema, its name, its input, and what is sealed of it.
    """
    score, decision = assessment.score, assessment.decision
    return encode_in_order(
        Record(
            band=score.band,
            because=decision.because,
            bins=score.bins,
            cutoff=decision.cutoff,
            decided_at=told.decided_at,
            decision_id=told.decision_id,
            gates=gates,
            knockouts=decision.knockouts,
            outcome=decision.outcome,
            pd=score.pd,
            pins=pins,
            points=score.points,
            reasons=[_Reason(*it) for it in decision.reasons],
            scopes=assessment.scopes or _ABSENT,
            score=score.score,
            unusual=assessment.unusual,
            client_id=client_id,
            idempotency_key=idempotency_key,
            route=route,
            **kept,
        )
    )


def told_of(
    assessment: Assessment, *, decision_id: str, application_id: str | None, decided_at: str, pins: msgspec.Raw
) -> Told:
    """Say what is answered of a decision: scores in points, and of a reason its code and its text."""
    score, decision = assessment.score, assessment.decision
    return Told(
        decision_id,
        application_id,
        decided_at,
        decision.outcome,
        told_outside(decision.because, decision.outcome),
        score.score / _THOUSANDTHS,
        score.pd,
        score.band,
        decision.cutoff / _THOUSANDTHS,
        [_ToldReason(it.code, it.text) for it in decision.reasons],
        assessment.unusual,
        pins,
    )


def gates_json(decision: Decision, evidence: Mapping[str, Any]) -> msgspec.Raw:
    """Write the gates of a decision, each with the evidence that it gave."""
    return msgspec.Raw(
        encode(
            {
                name: {"state": it.state, "result": it.result}
                | ({"evidence": evidence[name]} if name in evidence else {})
                for name, it in decision.gates.items()
            }
        )
    )

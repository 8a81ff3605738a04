"""From an answer of the service, which is JSON, to the messages that say the same over gRPC."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from google.protobuf.timestamp_pb2 import Timestamp

from obligor.serving.grpc.decisions_pb2 import (
    DecideManyResponse,
    DecideResponse,
    Decision,
    DecisionOrStatus,
    GetDecisionResponse,
    Outcome,
    SaidBy,
    SimulateResponse,
    Standing,
)
from obligor.serving.grpc.refusals import status_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.serving.acts import Recorded

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S = 86_400
_OUTCOMES: Mapping[str, Outcome] = {
    "approve": Outcome.OUTCOME_APPROVE,
    "refer": Outcome.OUTCOME_REFER,
    "decline": Outcome.OUTCOME_DECLINE,
    "hold": Outcome.OUTCOME_HOLD,
}
_SAID_BY: Mapping[str, SaidBy] = {"override": SaidBy.SAID_BY_OVERRIDE, "review": SaidBy.SAID_BY_REVIEW}


class _Decision(msgspec.Struct):
    """A decision, or a simulation, as the service answers it; what lies inside is handed on as it is."""

    outcome: str
    because: str
    score: float
    pd: float
    band: str
    cutoff: float
    reasons: list[dict[str, str]]
    unusual: list[str]
    pins: dict[str, Any]
    decided_at: datetime
    decision_id: str = ""
    application_id: str | None = None
    receipt: dict[str, int] | None = None


class _Standing(msgspec.Struct):
    """What a person last said of a decision."""

    outcome: str
    said_by: str
    at: datetime
    expires_at: datetime | None
    expired: bool
    new_decision_id: str | None


class _Read(_Decision):
    stands: _Standing | None = None


class _One(msgspec.Struct):
    decision: _Decision | None = None
    problem: dict[str, Any] | None = None


class _Many(msgspec.Struct):
    results: list[_One]


_READ = msgspec.json.Decoder(_Decision)
_READ_MANY = msgspec.json.Decoder(_Many)


def decided(recorded: Recorded) -> DecideResponse:
    """Tell of a decision that is recorded."""
    return DecideResponse(decision=_decision(_READ.decode(recorded.response)), replayed=recorded.replayed)


async def decided_many(recorded: Recorded) -> DecideManyResponse:
    """Tell of decisions that are recorded, and why others are none."""
    told = DecideManyResponse(replayed=recorded.replayed)
    for it in _READ_MANY.decode(recorded.response).results:
        told.results.append(_one(it))
        await asyncio.sleep(0)  # others wait for the loop
    return told


def simulated(plain: Mapping[str, Any]) -> SimulateResponse:
    """Tell how an application would be decided."""
    return SimulateResponse(decision=_decision(msgspec.convert(plain, _Decision)))


def found(plain: Mapping[str, Any]) -> GetDecisionResponse:
    """Tell of a decision that was recorded before."""
    told = msgspec.convert(plain, _Read)
    return GetDecisionResponse(decision=_decision(told), stands=None if told.stands is None else _standing(told.stands))


def _one(it: _One) -> DecisionOrStatus:
    if it.decision is not None:
        return DecisionOrStatus(decision=_decision(it.decision))
    return DecisionOrStatus(problem=status_of(it.problem or {}))


def _decision(it: _Decision) -> Decision:
    return Decision(
        decision_id=it.decision_id,
        application_id=it.application_id,
        decided_at=_timestamp(it.decided_at),
        outcome=_OUTCOMES[it.outcome],
        because=it.because,
        score=it.score,
        pd=it.pd,
        band=it.band,
        cutoff=it.cutoff,
        reasons=it.reasons,
        unusual=it.unusual,
        pins=it.pins,
        receipt=it.receipt,
    )


def _standing(it: _Standing) -> Standing:
    return Standing(
        outcome=_OUTCOMES[it.outcome],
        said_by=_SAID_BY[it.said_by],
        said_at=_timestamp(it.at),
        expires_at=None if it.expires_at is None else _timestamp(it.expires_at),
        expired=it.expired,
        new_decision_id=it.new_decision_id,
    )


def _timestamp(at: datetime) -> Timestamp:
    since = at - _EPOCH
    return Timestamp(seconds=since.days * _DAY_S + since.seconds, nanos=since.microseconds * 1000)

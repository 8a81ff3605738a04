"""The routes of overrides: a person decides in place of the policy, within the authority that it gives them."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import override_shapes as shapes
from obligor.serving.http.decisions import KEY_HEADER, PROPOSED, DecisionId, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain
from obligor.serving.overrides.override import MOST_OVERRIDE_BYTES

router = APIRouter()
Overrider = Annotated[Caller, Depends(caller_with("override.decide"))]
Reader = Annotated[Caller, Depends(caller_with("decision.read"))]


@router.post(
    "/v1/decisions/{decision_id:uuid}/override",
    operation_id="overrideDecision",
    summary="Decide in place of the policy",
    description="By a person who took no part in the decision, once, for a reason of the policy, and within the limit that it "
    "gives their role. What lies beyond it is proposed (202), and done by the same request (with another key) once another "
    "person, within whose limit it lies, has agreed. The decision stays as it was. Role: `analyst`, `senior_officer`.",
    status_code=201,
    response_model=shapes.OverrideRecorded,
    responses=recorded(404, 410, ok=201, told="The override, recorded.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("OverrideAsked", described="At most 16 KiB.")},
    dependencies=[Depends(only())],
    tags=["Overrides"],
)
async def override_decision(request: Request, door: TheDoor, caller: Overrider, decision_id: DecisionId) -> Response:
    """Record what a person decides in place of a decision."""
    key, body = await door.act(request.scope, request.receive, most=MOST_OVERRIDE_BYTES)
    return respond(recorded_answer(await door.overrides.decide(caller, key=key, decision_id=decision_id, body=body)))


@router.get(
    "/v1/decisions/{decision_id:uuid}/override",
    operation_id="getOverride",
    summary="See what a person decided in place of a decision",
    description="Never what they wrote. Scope: `read`.",
    response_model=shapes.OverrideTold,
    responses=answers(404, told="The override."),
    dependencies=[Depends(only())],
    tags=["Overrides"],
)
async def override(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Tell of the override of a decision."""
    return respond_plain(await door.overrides.override(caller, decision_id))

"""The routes of actions: what a lender did beside a decision, from which the clocks of its notices run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from obligor.serving.actions.action import MOST_ACTION_BYTES
from obligor.serving.acts import Caller
from obligor.serving.http import action_shapes as shapes
from obligor.serving.http.decisions import KEY_HEADER, DecisionId, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain

router = APIRouter()
Reporter = Annotated[Caller, Depends(caller_with("action.report"))]
Reader = Annotated[Caller, Depends(caller_with("decision.read"))]


@router.post(
    "/v1/decisions/{decision_id:uuid}/counter-offer",
    operation_id="makeCounterOffer",
    summary="Say that other terms were offered in place of a decline",
    description="Once of a decision. Until it is answered no notice of the decline is written, and none at all once it was "
    "accepted. 409 where the decision does not stand as a decline. Scope: `report`.",
    status_code=201,
    response_model=shapes.ActionRecorded,
    responses=recorded(404, 410, ok=201, told="The counter-offer, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("OfferMade", described="At most 8 KiB.")},
    dependencies=[Depends(only())],
    tags=["Actions"],
)
async def make_counter_offer(request: Request, door: TheDoor, caller: Reporter, decision_id: DecisionId) -> Response:
    """Record a counter-offer."""
    key, body = await door.act(request.scope, request.receive, most=MOST_ACTION_BYTES)
    return respond(recorded_answer(await door.actions.offer(caller, key=key, decision_id=decision_id, body=body)))


@router.post(
    "/v1/decisions/{decision_id:uuid}/counter-offer/answer",
    operation_id="answerCounterOffer",
    summary="Say whether a counter-offer was taken",
    description="Once; one that was not accepted leaves the decline, whose notice is due by the clock of the offer. 409 where "
    "none was made. Scope: `report`.",
    status_code=201,
    response_model=shapes.ActionRecorded,
    responses=recorded(404, 410, ok=201, told="The answer, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("OfferAnswered", described="At most 8 KiB.")},
    dependencies=[Depends(only())],
    tags=["Actions"],
)
async def answer_counter_offer(request: Request, door: TheDoor, caller: Reporter, decision_id: DecisionId) -> Response:
    """Record whether a counter-offer was taken."""
    key, body = await door.act(request.scope, request.receive, most=MOST_ACTION_BYTES)
    return respond(recorded_answer(await door.actions.answer(caller, key=key, decision_id=decision_id, body=body)))


@router.post(
    "/v1/decisions/{decision_id:uuid}/incompleteness",
    operation_id="reportIncomplete",
    summary="Say that an application is incomplete",
    description="Once of a decision: what its applicant is asked for, and until when. 409 where it stands neither as `refer` "
    "nor as `hold`. What comes completes another application, which is decided on. Scope: `report`.",
    status_code=201,
    response_model=shapes.ActionRecorded,
    responses=recorded(404, 410, ok=201, told="That it is incomplete, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("Incomplete", described="At most 8 KiB.")},
    dependencies=[Depends(only())],
    tags=["Actions"],
)
async def report_incomplete(request: Request, door: TheDoor, caller: Reporter, decision_id: DecisionId) -> Response:
    """Record that an application is incomplete."""
    key, body = await door.act(request.scope, request.receive, most=MOST_ACTION_BYTES)
    return respond(recorded_answer(await door.actions.incomplete(caller, key=key, decision_id=decision_id, body=body)))


@router.get(
    "/v1/decisions/{decision_id:uuid}/actions",
    operation_id="getActions",
    summary="See what was done beside a decision",
    description="Never what was offered or is missing. Scope: `read`.",
    response_model=shapes.Actions,
    responses=answers(404, told="The actions."),
    dependencies=[Depends(only())],
    tags=["Actions"],
)
async def actions(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Tell what was done beside a decision."""
    return respond_plain({"actions": await door.actions.actions(caller, decision_id)})

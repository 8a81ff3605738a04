"""The routes of what applications say: masked, pseudonymised, and revealed for a purpose."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import decision_shapes as shapes
from obligor.serving.http.decisions import KEY_HEADER, PROPOSED, DecisionId, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain
from obligor.serving.revealing import MOST_BYTES

router = APIRouter()
Reader = Annotated[Caller, Depends(caller_with("application.read"))]
Modeller = Annotated[Caller, Depends(caller_with("application.read_pseudonymised"))]
Revealer = Annotated[Caller, Depends(caller_with("personal.reveal"))]


@router.get(
    "/v1/decisions/{decision_id:uuid}/application",
    operation_id="getApplication",
    summary="Read what an application says, masked",
    description="Each field masked by the class that the contract gives it. Scope: `read`.",
    response_model=shapes.ApplicationTold,
    responses=answers(404, 410, told="The application."),
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def application(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Give an application, masked."""
    return respond_plain(await door.reveals.application(caller, decision_id))


@router.get(
    "/v1/decisions/{decision_id:uuid}/application/pseudonymised",
    operation_id="getPseudonymisedApplication",
    summary="Read what an application says, without whose it is",
    description="With tags in place of what identifies. Role: `model_developer` or `validator`.",
    response_model=shapes.ApplicationTold,
    responses=answers(404, 410, told="The application."),
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def pseudonymised(door: TheDoor, caller: Modeller, decision_id: DecisionId) -> Response:
    """Give an application, pseudonymised."""
    return respond_plain(await door.reveals.application(caller, decision_id, view="pseudonymised"))


@router.post(
    "/v1/decisions/{decision_id:uuid}/reveals",
    operation_id="revealFields",
    summary="See personal fields in the clear, for a purpose that is recorded",
    description="An act in the audit log, with the names of the fields and never a value. Asks for a second factor. "
    "For `compliance` it takes two people: the first time it is proposed (202), and shown to who asked, by the same request "
    "with another key, once another person has agreed. "
    "Role: `analyst` (their own), `senior_officer` or `privacy_officer`; `compliance`.",
    status_code=201,
    response_model=shapes.Revealed,
    responses=recorded(404, 410, ok=201, told="The fields.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("RevealAsked", described="At most 16 KiB.")},
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def reveal(request: Request, door: TheDoor, caller: Revealer, decision_id: DecisionId) -> Response:
    """Reveal fields."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.reveals.reveal(caller, key=key, decision_id=decision_id, body=body)))

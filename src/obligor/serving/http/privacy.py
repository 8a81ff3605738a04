"""The routes by which people's data are erased, held, released and exported, as they, or a court, may ask.

Whom it is about is said in a body and never in an address, which others between here and there write down.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import order_shapes as shapes
from obligor.serving.http.decisions import BY_TWO, KEY_HEADER, PROPOSED, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.routing import TheDoor, caller_with, only, respond
from obligor.serving.privacy.orders import MOST_BYTES

router = APIRouter()
Eraser = Annotated[Caller, Depends(caller_with("privacy.erase"))]
Holder = Annotated[Caller, Depends(caller_with("privacy.hold"))]
Exporter = Annotated[Caller, Depends(caller_with("privacy.export"))]


@router.post(
    "/v1/privacy/erasures",
    operation_id="erasePerson",
    summary="Erase a person",
    description="Destroys every key of what is kept of them, and gives a signed certificate; of somebody who was erased "
    f"before, again (200), with nothing recorded. 409 where a hold or a rule stands against it. Asks for a second factor. "
    f"{BY_TWO} Role: `privacy_officer`.",
    status_code=201,
    response_model=shapes.Erased,
    responses=recorded(404, ok=201, told="The certificate, recorded.")
    | PROPOSED
    | {200: {"description": "They were erased before.", "model": shapes.Certificate}},
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("ErasureAsked", described="At most 16 KiB.")},
    dependencies=[Depends(only())],
    tags=["Privacy"],
)
async def erase(request: Request, door: TheDoor, caller: Eraser) -> Response:
    """Erase a person."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.privacy.erase(caller, key=key, body=body)))


@router.post(
    "/v1/privacy/holds",
    operation_id="holdPerson",
    summary="Place a legal hold on a person",
    description=f"They are not erased until it is released. {BY_TWO} Role: `compliance`, `privacy_officer`.",
    status_code=201,
    response_model=shapes.HoldTold,
    responses=recorded(404, ok=201, told="The hold, recorded.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("HoldAsked", described="At most 16 KiB.")},
    dependencies=[Depends(only())],
    tags=["Privacy"],
)
async def hold(request: Request, door: TheDoor, caller: Holder) -> Response:
    """Place a hold."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.privacy.hold(caller, key=key, body=body)))


@router.post(
    "/v1/privacy/holds/release",
    operation_id="releasePerson",
    summary="Release the legal hold on a person",
    description=f"They may be erased once they need not be kept. {BY_TWO} Role: `compliance`, `privacy_officer`.",
    status_code=201,
    response_model=shapes.HoldTold,
    responses=recorded(404, ok=201, told="The hold, released and recorded.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("ReleaseAsked", described="At most 16 KiB.")},
    dependencies=[Depends(only())],
    tags=["Privacy"],
)
async def release(request: Request, door: TheDoor, caller: Holder) -> Response:
    """Release a hold."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.privacy.release(caller, key=key, body=body)))


@router.post(
    "/v1/privacy/exports",
    operation_id="exportPerson",
    summary="Give all that is kept of a person, for the person",
    description="In the clear, once: it is an act in the audit log, and the same request sent again tells only that. Asks "
    "for a second factor. Role: `privacy_officer`.",
    status_code=201,
    response_model=shapes.Exported,
    responses=recorded(404, ok=201, told="What is kept."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("PersonNamed", described="At most 16 KiB.")},
    dependencies=[Depends(only())],
    tags=["Privacy"],
)
async def export(request: Request, door: TheDoor, caller: Exporter) -> Response:
    """Give all that is kept."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.privacy.export(caller, key=key, body=body)))

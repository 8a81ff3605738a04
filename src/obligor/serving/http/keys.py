"""The routes by which clients are given API keys, and lose them, and that tell which there are."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import order_shapes as shapes
from obligor.serving.http.decisions import BY_TWO, KEY_HEADER, PROPOSED, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain
from obligor.serving.people.keys import MOST_BYTES

router = APIRouter()
Reader = Annotated[Caller, Depends(caller_with("key.read"))]
Manager = Annotated[Caller, Depends(caller_with("key.manage"))]
Rotator = Annotated[Caller, Depends(caller_with("key.rotate"))]
Revoker = Annotated[Caller, Depends(caller_with("key.revoke"))]
_ONCE = "The key is shown in that one answer: it is kept nowhere, and the request sent again tells it no more."


@router.get(
    "/v1/keys",
    operation_id="getKeys",
    summary="See which API keys there are",
    description="Every key there is and was, by client and age; of none what opens by it, which is kept nowhere. "
    "Role: `admin`, `operator`, `auditor`.",
    response_model=shapes.ApiKeysTold,
    responses=answers(told="The keys."),
    dependencies=[Depends(only())],
    tags=["Keys"],
)
async def keys(door: TheDoor, caller: Reader) -> Response:
    """Tell which keys there are."""
    return respond_plain({"keys": await door.keys.listed(caller)})


@router.post(
    "/v1/keys",
    operation_id="createKey",
    summary="Give a client an API key",
    description=f"{BY_TWO} {_ONCE} Role: `admin`.",
    status_code=201,
    response_model=shapes.ApiKeyMade,
    responses=recorded(ok=201, told="The key, recorded.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NewApiKey", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["Keys"],
)
async def create(request: Request, door: TheDoor, caller: Manager) -> Response:
    """Give a client a key."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.keys.create(caller, key=key, body=body)))


@router.post(
    "/v1/keys/rotate",
    operation_id="rotateKey",
    summary="Replace an API key",
    description="By one with the same client, name and scopes; the old one opens as well for the overlap, and then nothing. "
    f"{BY_TWO} {_ONCE} Role: `admin`, `operator`.",
    status_code=201,
    response_model=shapes.ApiKeyMade,
    responses=recorded(404, ok=201, told="The key, recorded, and the one whose place it takes.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("Rotation", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["Keys"],
)
async def rotate(request: Request, door: TheDoor, caller: Rotator) -> Response:
    """Replace a key."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.keys.rotate(caller, key=key, body=body)))


@router.post(
    "/v1/keys/revoke",
    operation_id="revokeKey",
    summary="Take an API key away",
    description="It opens nothing from now on; one person does. Role: `admin`.",
    status_code=201,
    response_model=shapes.ApiKeyRevoked,
    responses=recorded(404, ok=201, told="The key, revoked and recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NamedKey", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["Keys"],
)
async def revoke(request: Request, door: TheDoor, caller: Revoker) -> Response:
    """Take a key away."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.keys.revoke(caller, key=key, body=body)))

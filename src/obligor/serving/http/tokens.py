"""The route by which people sign in, where they are those of the store."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request, Response

from obligor.core.errors import NotFoundError
from obligor.serving.http import shapes
from obligor.serving.http.door import peer_of
from obligor.serving.http.routing import READS_BODY, TheDoor, only, problem, respond_plain

MOST_BYTES = 1 << 12
STRANGERS = ""
"""Whose seats they are while it is not known who they are: together they get no more than one client does."""

router = APIRouter()
_ANSWERS: dict[int | str, dict[str, Any]] = {200: {"description": "The token."}}
_ANSWERS |= {status: problem(status) for status in sorted({400, 401, 404, 422, 429, 431, 503, *READS_BODY})}


@router.post(
    "/v1/tokens",
    operation_id="signIn",
    summary="Sign in with a password",
    description="Gives a token that opens for ten minutes. There is no such route where an identity provider is named.",
    response_model=shapes.TokenGiven,
    responses=_ANSWERS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "description": "At most 4 KiB.",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Credentials"}}},
        }
    },
    dependencies=[Depends(only())],
    tags=["People"],
)
async def sign_in(request: Request, door: TheDoor) -> Response:
    """Give a token for a user and a password."""
    if door.sign_in is None:
        raise NotFoundError("there is no such route")
    with door.seats.of(STRANGERS):
        body = await door.body(request.scope, request.receive, most=MOST_BYTES)
    signed = await door.sign_in.sign_in(body, peer=peer_of(request.scope))
    return respond_plain(signed.to_plain())

"""What the routes share: who may call them, how they answer, and what the document tells of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from obligor.core.errors import ApplicationError, NotFoundError, Problem
from obligor.core.faults import is_name
from obligor.security.permissions import may
from obligor.serving.acts import Caller  # noqa: TC001  FastAPI reads the annotations
from obligor.serving.encoding import encode_in_order
from obligor.serving.http import shapes
from obligor.serving.http.door import Door
from obligor.serving.http.heads import read_head
from obligor.serving.http.problems import JSON, Answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

BEARER = HTTPBearer(
    bearerFormat="obl_<key id>_<secret>",
    description="An API key of a client, or a person's token.",
    auto_error=False,
    scheme_name="apiKey",
)
_WHY: Mapping[int, str] = {
    400: "The request is not one that this service reads, or lacks its Idempotency-Key.",
    401: "No API key, token or password that is known here, whatever the reason.",
    403: "The API key lacks the scope, or the person the role.",
    404: "There is none, or none that the caller may see.",
    408: "The request did not come whole in time.",
    409: "A request with this Idempotency-Key is being recorded; send it again.",
    410: "Its personal data were erased.",
    413: "The body is too large.",
    415: "The body is not plain application/json.",
    422: "Something in the request is wrong; nothing was recorded.",
    429: "Too many requests of this client at a time, or too many keys or passwords tried that open nothing.",
    431: "The headers are too large.",
    503: "The service, its store or its release cannot answer now; send the same request again.",
}
_RETRIED = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_ALWAYS = (400, 401, 403, 422, 429, 431, 503)
RECORDS = (408, 409, 413, 415)
READS_BODY = (408, 413, 415)


async def door_of(request: Request) -> Door:
    """Give what the routes are made of; a coroutine, as the framework asks anything else in a thread of its own."""
    found: Door = request.app.state.door
    return found


TheDoor = Annotated[Door, Depends(door_of)]


def caller_with(permission: str, *, hidden: str = "") -> Callable[[Request, object], AsyncIterator[Caller]]:
    """Give the dependency that finds a caller with a permission, and keeps a seat for them.

    Where ``hidden`` is a permission, who lacks it reads that there is nothing here.
    """

    async def caller(request: Request, _shown: Annotated[object, Security(BEARER)]) -> AsyncIterator[Caller]:
        door = await door_of(request)
        found = await door.caller(request.scope, read_head(request.scope["headers"]))
        if hidden and not may(found, hidden):
            door.meter.refused("scope")
            raise NotFoundError("there is none")
        door.allow(found, permission)
        with door.seats.of(found.client_id):
            yield found

    # A test holds it against the table.
    caller.permission = permission  # type: ignore[attr-defined]
    return caller


def only(*names: str) -> Callable[[Request], Awaitable[None]]:
    """Give the dependency that refuses parameters but these, and these given twice."""

    async def check(request: Request) -> None:
        given = [name for name, _ in request.query_params.multi_items()]
        wanted = f"wanted {', '.join(names)}" if names else "wanted no parameters here"
        wrong = [
            Problem(("query", name) if is_name(name) else ("query",), f"is not known; {wanted}")
            for name in given
            if name not in names
        ]
        wrong += [Problem(("query", name), "stands twice") for name in names if given.count(name) > 1]
        if wrong:
            raise ApplicationError("query: holds what is not wanted", problems=tuple(wrong))

    return check


def respond(answer: Answer) -> Response:
    """Give an answer to the framework."""
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
    return Response(answer.body, answer.status, headers)


def respond_plain(plain: object, *, status: int = 200) -> Response:
    """Answer with plain data."""
    return respond(Answer(status, encode_in_order(plain), JSON))


def answers(*statuses: int, ok: int = 200, told: str = "") -> dict[int | str, dict[str, Any]]:
    """Tell the document which problems can come, beside those of every route that asks for a key."""
    found: dict[int | str, dict[str, Any]] = {ok: {"description": told}} if told else {}
    for status in sorted({*_ALWAYS, *statuses}):
        found[status] = problem(status)
    return found


def problem(status: int) -> dict[str, Any]:
    """Tell the document of a problem."""
    schema = {"$ref": f"#/components/schemas/{shapes.Problem.__name__}"}
    headers = {"headers": _RETRIED} if status in (409, 429, 503) else {}
    return {
        "description": _WHY[status],
        "content": {"application/problem+json": {"schema": schema}},
    } | headers

"""POST /v1/decisions in front of the framework: the one route that is asked ten thousand times a second.

The framework takes longer to route and to check a request than the service to decide on it. The same function stands behind the
route that the framework knows, so that the document tells of it and both ways give the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.serving.http.bodies import MOST_BYTES, read_body
from obligor.serving.http.door import need_no_query, recorded_answer
from obligor.serving.http.guard import ROUTE, send_answer
from obligor.serving.http.heads import read_head

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from obligor.serving.http.door import Door
    from obligor.serving.http.problems import Answer

PATH = "/v1/decisions"
NAME = f"POST {PATH}"


class HotPath:
    """An ASGI application that answers one route and leaves all others to another application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] == "POST":
            scope[ROUTE] = NAME
            await send_answer(send, await decide_one(self._door, scope, receive))
        else:
            await self._app(scope, receive, send)


async def decide_one(door: Door, scope: Scope, receive: Receive) -> Answer:
    """Decide on the application in the body of a request."""
    head = read_head(scope["headers"])
    client = scope["client"]
    shown = head.authorization
    caller = await door.authenticator.authenticate(
        None if shown is None else shown.decode("latin-1"), peer=client[0] if client else ""
    )
    door.allow(caller, "decide")
    need_no_query(scope)
    head.check_body(most=MOST_BYTES)
    key = head.key
    with door.seats.of(caller.client_id):
        application = await read_body(receive, most=MOST_BYTES, seconds=door.body_seconds)
        return recorded_answer(await door.service.decide(caller, key=key, application=application))

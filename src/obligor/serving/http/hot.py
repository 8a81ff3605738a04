"""POST /v1/decisions, past the framework: the one route that is asked thousands of times a second.

The framework takes longer to route and to check a request than the service to decide on it. The same function stands behind the
route that the framework knows, so that the document tells of it and both ways give the same answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.serving.http.bodies import MOST_BYTES, read_body
from obligor.serving.http.door import need_no_query, recorded_answer
from obligor.serving.http.heads import read_head

if TYPE_CHECKING:
    from starlette.types import Receive, Scope

    from obligor.serving.http.door import Door
    from obligor.serving.http.problems import Answer

PATH = "/v1/decisions"
NAME = f"POST {PATH}"


async def decide_one(door: Door, scope: Scope, receive: Receive) -> Answer:
    """Decide on the application in the body of a request."""
    head = read_head(scope["headers"])
    caller = await door.caller(scope, head)
    door.allow(caller, "decision.decide")
    need_no_query(scope)
    head.check_body(most=MOST_BYTES)
    key = head.key
    with door.seats.of(caller.client_id):
        application = await read_body(receive, most=MOST_BYTES)
        return recorded_answer(await door.service.decide(caller, key=key, application=application))

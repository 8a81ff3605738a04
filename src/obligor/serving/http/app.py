"""The REST door: an ASGI application of two layers, the guard, and FastAPI with every route."""

from __future__ import annotations

from http import HTTPStatus
from itertools import chain
from typing import TYPE_CHECKING

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from obligor.core.errors import ApplicationError, NotFoundError, ObligorError, Problem
from obligor.serving.http import (
    actions,
    administering,
    alerts,
    decisions,
    inspecting,
    keys,
    operating,
    overrides,
    privacy,
    revealing,
    reviews,
    tokens,
)
from obligor.serving.http.document import Document
from obligor.serving.http.guard import Guard
from obligor.serving.http.problems import FAULT, MALFORMED, METHOD, HttpProblemError, answer_of
from obligor.serving.http.routing import respond

if TYPE_CHECKING:
    from fastapi import Request, Response
    from fastapi.telemetry import TelemetryConfig
    from starlette.types import ASGIApp

    from obligor.serving.http.door import Door

_ROUTERS = (
    *(
        decisions.router,
        revealing.router,
        reviews.router,
        overrides.router,
        actions.router,
        alerts.router,
        inspecting.router,
    ),
    *(administering.router, privacy.router, keys.router, operating.router, tokens.router),
)
_WANTED = {
    "application_id": "a text of at most 255 characters",
    "band": "a text of at most 100 characters",
    "cursor": "the next_cursor of a page",
    "from": "an instant such as 2026-11-26T00:00:00Z (the + of an offset is written %2B)",
    "limit": "a whole number from 1 to 200",
    "outcome": "approve, refer, decline or hold",
    "to": "an instant such as 2026-11-27T00:00:00Z (the + of an offset is written %2B)",
}
_WANTED_OF_THE_LOG = dict.fromkeys(("from", "to"), "a size of the log, a whole number of leaves")

# The framework would tell whatever tracer, meter or logger the process has of addresses, bodies and messages of exceptions.
_UNTOLD: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}


def make_app(door: Door) -> ASGIApp:
    """Build the REST door."""
    return Guard(make_routes(door), door)


def make_routes(door: Door) -> FastAPI:
    """Build the part of it that routes: every route, the fast one too."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False, telemetry=_UNTOLD)
    for routes in _ROUTERS:
        app.include_router(routes)
    app.state.door = door
    app.state.document = Document(app, lambda: door.service.release)
    app.add_exception_handler(ObligorError, _tell)
    app.add_exception_handler(HttpProblemError, _tell)
    app.add_exception_handler(RequestValidationError, _tell_parameters)
    app.add_exception_handler(HTTPException, _tell_routing)
    app.add_exception_handler(Exception, _tell_of_a_fault)
    return app


async def _tell(_request: Request, error: Exception) -> Response:
    if not isinstance(error, ObligorError | HttpProblemError):
        raise error
    return respond(answer_of(error))


async def _tell_parameters(request: Request, error: Exception) -> Response:
    """Name the parameters that are wrong, in our words: the framework's tell what it is made of."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    wanted = _WANTED | (_WANTED_OF_THE_LOG if "/log/" in request.scope["path"] else {})
    kinds = {str(it["loc"][-1]): "is absent; " if it["type"] == "missing" else "" for it in found}
    problems = [
        Problem(("query", name), f"{absent}wanted {wanted.get(name, 'another')}") for name, absent in kinds.items()
    ]
    return respond(answer_of(ApplicationError("query: wrong", problems=tuple(problems))))


async def _tell_routing(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.NOT_FOUND
    if status == HTTPStatus.NOT_FOUND:
        return respond(answer_of(NotFoundError("there is no such route; GET /docs tells which there are")))
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(_methods(request))
        return respond(answer_of(HttpProblemError(METHOD, f"wanted {allowed}", ((b"allow", allowed.encode()),))))
    return respond(answer_of(HttpProblemError(MALFORMED, "wanted another request")))


async def _tell_of_a_fault(_request: Request, _error: Exception) -> Response:
    """Tell the client alone; the framework raises it again, and the guard tells the log."""
    return respond(answer_of(FAULT))


def _methods(request: Request) -> list[str]:
    """Name the methods of every route of a path."""
    found: set[str] = set()
    for route in chain.from_iterable(it.routes for it in _ROUTERS):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", set())
    return sorted(found)

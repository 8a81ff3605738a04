"""The routes of those who run the service: whether it lives, whether it can decide, what it counted, what it can be asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from obligor.core.errors import ObligorError
from obligor.serving.acts import Caller
from obligor.serving.http import shapes
from obligor.serving.http.page import CONTENT_POLICY
from obligor.serving.http.problems import JSON, Answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, problem, respond, respond_plain
from obligor.serving.telemetry.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable

router = APIRouter()
Scraper = Annotated[Caller, Depends(caller_with("metrics.read"))]
_OPEN: dict[int | str, dict[str, Any]] = {status: problem(status) for status in (422, 431)}


@router.get(
    "/health/live",
    operation_id="live",
    summary="Whether the process answers",
    response_model=shapes.LivenessTold,
    responses=_OPEN,
    dependencies=[Depends(only())],
    tags=["Operation"],
)
async def live() -> Response:
    """Say that the process answers."""
    return respond_plain({"status": "live"})


@router.get(
    "/health/ready",
    operation_id="ready",
    summary="Whether the service can decide",
    description="503 where something that it stands on is down, where nothing is in force, where an anchor shows that the "
    "audit log was set back and nobody acknowledged that, or where it is about to stop; degraded, and still 200, where an "
    "anchor of the audit log is down, or whoever answers for the gate kyc or for tokens did not answer when last asked.",
    response_model=shapes.ReadinessTold,
    responses=_OPEN | {503: {"description": "It cannot, and why.", "model": shapes.ReadinessTold}},
    dependencies=[Depends(only())],
    tags=["Operation"],
)
async def ready(door: TheDoor) -> Response:
    """Tell whether the service can decide, and what is down."""
    states = dict(await door.readiness.states())
    states["release"] = _in_force(door)
    beside = dict(door.beside())
    for name, well in (states | beside).items():
        door.meter.healthy(name, well=well)
    status = _status(states.values(), beside.values(), draining=door.seats.draining)
    dependencies = {name: "up" if it else "down" for name, it in sorted((states | beside).items())}
    decides = status in ("ready", "degraded")
    return respond_plain({"status": status, "dependencies": dependencies}, status=200 if decides else 503)


def _status(needed: Iterable[bool], beside: Iterable[bool], *, draining: bool) -> str:
    if draining:
        return "draining"
    if not all(needed):
        return "not ready"
    return "ready" if all(beside) else "degraded"


def _in_force(door: TheDoor) -> bool:
    try:
        return bool(door.service.release)
    except ObligorError:
        return False


@router.get(
    "/metrics",
    operation_id="metrics",
    summary="What was counted",
    description="In the text format of Prometheus. Scope: `metrics`.",
    response_class=Response,
    responses=answers()
    | {200: {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
    dependencies=[Depends(only())],
    tags=["Operation"],
)
async def metrics(door: TheDoor, _caller: Scraper) -> Response:
    """Give what was counted."""
    return respond(Answer(200, door.metrics(), ((b"content-type", CONTENT_TYPE.encode()),)))


@router.get("/openapi.json", include_in_schema=False, dependencies=[Depends(only())])
async def document(request: Request) -> Response:
    """Give the OpenAPI document, with the application that the release in force reads."""
    return respond(Answer(200, request.app.state.document.as_json(), JSON))


@router.get("/docs", include_in_schema=False, dependencies=[Depends(only())])
async def docs(request: Request) -> Response:
    """Give the same as a page."""
    page = request.app.state.document.as_page()
    return respond(Answer(200, page, ((b"content-type", b"text/html; charset=utf-8"), CONTENT_POLICY)))

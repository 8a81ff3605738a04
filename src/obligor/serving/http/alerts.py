"""The routes of alerts: for the few who may know of them; to everybody else there is nothing here."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import alert_shapes as shapes
from obligor.serving.http.decisions import KEY_HEADER, body_of, recorded
from obligor.serving.http.door import Door, recorded_answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain
from obligor.serving.screening.alert_steps import Clearance, Confirmation, Said
from obligor.serving.screening.reports import Report, YearlyReport

router = APIRouter()
Reader = Annotated[Caller, Depends(caller_with("alert.read", hidden="alert.read"))]
Clearer = Annotated[Caller, Depends(caller_with("alert.clear", hidden="alert.read"))]
Confirmer = Annotated[Caller, Depends(caller_with("alert.confirm", hidden="alert.read"))]
AlertId = Annotated[UUID, Path(description="The id of the alert.")]


@router.get(
    "/v1/alerts",
    operation_id="getAlerts",
    summary="The alerts that wait for somebody, and those confirmed",
    description="Applicants who are alike to an entry of the list, the most alike first, and after them those whose match was "
    "confirmed; and what was said of yearly reports. For everybody else there is nothing here. Permission: `alert.read`.",
    response_model=shapes.AlertsTold,
    responses=answers(404, told="The alerts."),
    dependencies=[Depends(only())],
    tags=["Alerts"],
)
async def alerts(door: TheDoor, caller: Reader) -> Response:
    """Give the alerts that nobody has cleared."""
    return respond_plain(await door.alerts.alerts(caller))


@router.get(
    "/v1/alerts/{alert_id:uuid}",
    operation_id="getAlert",
    summary="One alert, and why it was opened",
    description="By what the list says; what the applicant said is in the record of the decision. Permission: "
    "`alert.read`.",
    response_model=shapes.OneAlertTold,
    responses=answers(404, told="The alert."),
    dependencies=[Depends(only())],
    tags=["Alerts"],
)
async def alert(door: TheDoor, caller: Reader, alert_id: AlertId) -> Response:
    """Give one alert."""
    return respond_plain(await door.alerts.alert(caller, alert_id))


@router.post(
    "/v1/alerts/{alert_id:uuid}/clearances",
    operation_id="clearAlert",
    summary="Clear an alert that is of somebody else, or of an exposed person after due diligence",
    description="From a score of 0.95 on, the first person proposes, and another clears. Then the hit counts no more for this "
    "person and this entry, until it expires or the list says something else of the entry. So too of one that was confirmed, "
    "whatever its score: the first person doubts that, and another corrects it. Of a politically exposed person it says a "
    "finding; after due diligence the first person has examined them, and another approves. Permission: `alert.clear`.",
    status_code=201,
    response_model=shapes.ClearanceAnswer,
    responses=recorded(404, ok=201, told="The clearance, or the proposal, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("ClearanceAsked", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["Alerts"],
)
async def clear(request: Request, door: TheDoor, caller: Clearer, alert_id: AlertId) -> Response:
    """Clear an alert, or propose to."""
    return await _taken(request, door, caller, Clearance, alert_id)


@router.post(
    "/v1/alerts/{alert_id:uuid}/confirmation",
    operation_id="confirmAlert",
    summary="Confirm an alert that is of who applied",
    description="Once, and only of one that nobody has cleared. From then on this person is a hit, whatever the list says "
    "later and whatever was cleared. The answer names the last day for the report to OFAC. Permission: `alert.confirm`.",
    status_code=201,
    response_model=shapes.ConfirmationAnswer,
    responses=recorded(404, ok=201, told="The confirmation, recorded."),
    openapi_extra={
        "parameters": [KEY_HEADER],
        "requestBody": body_of("ConfirmationAsked", described="At most 4 KiB."),
    },
    dependencies=[Depends(only())],
    tags=["Alerts"],
)
async def confirm(request: Request, door: TheDoor, caller: Confirmer, alert_id: AlertId) -> Response:
    """Confirm an alert."""
    return await _taken(request, door, caller, Confirmation, alert_id)


@router.post(
    "/v1/alerts/{alert_id:uuid}/report",
    operation_id="reportAlert",
    summary="Say that a confirmed match was reported, or amend what was said",
    description="To OFAC, elsewhere, and by which reference the report is found; only of one that was confirmed. Where that "
    "was said wrongly, it is said again with `because`: the last report counts, and those before it stay. Permission: "
    "`alert.confirm`.",
    status_code=201,
    response_model=shapes.AlertReportAnswer,
    responses=recorded(404, ok=201, told="That it was reported, recorded."),
    openapi_extra={
        "parameters": [KEY_HEADER],
        "requestBody": body_of("AlertReportAsked", described="At most 4 KiB."),
    },
    dependencies=[Depends(only())],
    tags=["Alerts"],
)
async def report(request: Request, door: TheDoor, caller: Confirmer, alert_id: AlertId) -> Response:
    """Say that a match was reported."""
    return await _taken(request, door, caller, Report, alert_id)


@router.post(
    "/v1/alerts/yearly-reports",
    operation_id="reportYear",
    summary="Say that what was blocked on 30 June was reported, or amend what was said",
    description="To OFAC, elsewhere, once for a year, and which matches the report named. Where that was said wrongly, it is "
    "said again with `because`: the last report of a year counts, and those before it stay. Permission: `alert.confirm`.",
    status_code=201,
    response_model=shapes.YearlyReportAnswer,
    responses=recorded(404, ok=201, told="That it was reported, recorded."),
    openapi_extra={
        "parameters": [KEY_HEADER],
        "requestBody": body_of("YearlyReportAsked", described="At most 64 KiB."),
    },
    dependencies=[Depends(only())],
    tags=["Alerts"],
)
async def report_year(request: Request, door: TheDoor, caller: Confirmer) -> Response:
    """Say that the report of a year was filed."""
    return await _taken(request, door, caller, YearlyReport, None)


async def _taken(
    request: Request, door: Door, caller: Caller, kind: type[Said[Any]], alert_id: UUID | None
) -> Response:
    key, body = await door.act(request.scope, request.receive, most=kind.most_bytes)
    return respond(recorded_answer(await door.alerts.take(caller, kind, key=key, alert_id=alert_id, body=body)))

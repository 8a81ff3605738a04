"""The routes of decisions: to decide, to try, to find, to explain, to prove, to report."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response, Security
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from obligor.serving.acts import Caller
from obligor.serving.archive import Search
from obligor.serving.http import decision_shapes, people_shapes, shapes
from obligor.serving.http.bodies import MOST_BULK_BYTES, MOST_BYTES, read_body
from obligor.serving.http.bulk import split_applications
from obligor.serving.http.door import need_no_query, recorded_answer
from obligor.serving.http.heads import read_head
from obligor.serving.http.routing import (
    BEARER,
    READS_BODY,
    RECORDS,
    TheDoor,
    answers,
    caller_with,
    only,
    respond,
    respond_plain,
)

MOST_REPORT_BYTES = 1 << 12
MOST_FOUND = 200
_LONGEST_INDEX = 19
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|[+-][0-9]{2}:[0-9]{2})")
KEY_HEADER = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Your own name for this request. The same key with the same body gives the same answer again, byte by "
    "byte, and decides nothing twice.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    "example": "application-2026-0001",
}
_REPLAYED = {
    "Idempotent-Replayed": {
        "description": "`true` where this key was answered before: the body is that of then.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}

router = APIRouter()
Decider = Annotated[Caller, Depends(caller_with("decision.decide"))]
Simulator = Annotated[Caller, Depends(caller_with("decision.simulate"))]
Reader = Annotated[Caller, Depends(caller_with("decision.read"))]
Screener = Annotated[Caller, Depends(caller_with("decision.screen"))]
Reporter = Annotated[Caller, Depends(caller_with("outcome.report"))]
DecisionId = Annotated[UUID, Path(description="The id of the decision.")]


def body_of(schema: str, *, described: str) -> dict[str, Any]:
    """Tell the document of the body of a request."""
    return {
        "required": True,
        "description": described,
        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}},
    }


_LINKS = {
    name: {"operationId": name, "parameters": {"decision_id": "$response.body#/decision_id"}}
    for name in (
        "getDecision",
        "explainDecision",
        "getReceipt",
        "getLinks",
        "reportOutcome",
        "requestReview",
        "getReviews",
        "overrideDecision",
        "getOverride",
        "makeCounterOffer",
        "answerCounterOffer",
        "reportIncomplete",
        "getActions",
    )
}


def recorded(
    *statuses: int, ok: int, told: str, links: dict[str, Any] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Tell the document how a request that records is answered."""
    found = answers(*RECORDS, *statuses, ok=ok, told=told)
    found[ok] |= {"headers": _REPLAYED} | ({"links": links} if links else {})
    return found


PROPOSED: Final[dict[int | str, dict[str, Any]]] = {
    202: {
        "description": "It takes two people, and was proposed: another agrees, and the same request with another key does it.",
        "model": people_shapes.ProposalMade,
        "headers": _REPLAYED,
    }
}
"""How a request is answered whose act takes two people."""
BY_TWO: Final = (
    "It takes two people: the first time it is proposed (202), and done by the same request (with another key) once another "
    "person has agreed."
)


@router.post(
    "/v1/decisions",
    operation_id="decide",
    summary="Decide on one application",
    description="Scores an application, decides on it, and answers once the decision is in the audit log. Scope: `decide`.",
    status_code=201,
    response_model=decision_shapes.Decision,
    responses=recorded(ok=201, told="The decision, recorded.", links=_LINKS),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("Application", described="At most 1 MiB.")},
    tags=["Decisions"],
)
async def decide(request: Request, door: TheDoor, _shown: Annotated[object, Security(BEARER)]) -> Response:
    """Decide on one application that was not decided on where it arrived (``hot``)."""
    scope = request.scope
    head = read_head(scope["headers"])
    caller = await door.caller(scope, head)
    door.allow(caller, "decision.decide")
    need_no_query(scope)
    head.check_body(most=MOST_BYTES)
    key = head.key
    with door.seats.of(caller.client_id):
        application = await read_body(request.receive, most=MOST_BYTES)
        return respond(recorded_answer(await door.service.decide(caller, key=key, application=application)))


@router.post(
    "/v1/decisions/bulk",
    operation_id="decideMany",
    summary="Decide on up to a thousand applications",
    description="Each application gets its decision or its problem, in order; the decisions are recorded together. "
    "Scope: `decide`.",
    response_model=decision_shapes.BulkAnswer,
    responses=recorded(ok=200, told="A decision or a problem for each application."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("Applications", described="At most 4 MiB.")},
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def decide_many(request: Request, door: TheDoor, caller: Decider) -> Response:
    """Decide on many applications."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BULK_BYTES)
    applications = split_applications(body)
    return respond(recorded_answer(await door.service.decide_many(caller, key=key, applications=applications)))


@router.post(
    "/v1/simulations",
    operation_id="simulate",
    summary="See what would be decided",
    description="The same assessment as a decision; nothing is recorded, and no key is needed. Scope: `simulate`.",
    response_model=decision_shapes.Simulation,
    responses=answers(*READS_BODY, told="What would be decided."),
    openapi_extra={"requestBody": body_of("Application", described="At most 1 MiB.")},
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def simulate(request: Request, door: TheDoor, caller: Simulator) -> Response:
    """Tell what would be decided."""
    return respond_plain(door.service.simulate(caller, await door.body(request.scope, request.receive)))


def _instant(text: str) -> str:
    """Refuse other ways to write an instant, such as seconds since 1970, that would be read all the same."""
    if not _INSTANT.fullmatch(text):
        raise ValueError("wanted an instant")
    return text


InstantAsked = Annotated[
    AwareDatetime,
    BeforeValidator(_instant),
    WithJsonSchema({"type": "string", "format": "date-time", "pattern": f"^{_INSTANT.pattern}$"}),
]


Cursor = Annotated[str, Field(pattern=f"^[0-9]{{1,{_LONGEST_INDEX - 1}}}$")]


def _digits(text: object) -> object:
    if isinstance(text, str) and not (text.isascii() and text.isdigit()):
        raise ValueError("wanted digits")  # what Python takes for a number has underscores, too
    return text


class SearchQuery(BaseModel):
    """Which decisions are looked for."""

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=False)

    application_id: Annotated[str | None, Field(max_length=255, pattern="^[^\\x00]*$")] = None
    """What the client calls the application."""
    outcome: Literal["approve", "refer", "decline", "hold"] | None = None
    """What the policy decided."""
    stands: Literal["approve", "refer", "decline", "hold"] | None = None
    """The outcome that stands: what a person last said of it, or that of the policy where nobody did."""
    band: Annotated[str | None, Field(max_length=100, pattern="^[^\\x00]*$")] = None
    """The band of risk."""
    since: Annotated[InstantAsked | None, Field(alias="from")] = None
    """The first instant, with its offset from UTC; what is finer than a microsecond is cut off."""
    until: Annotated[InstantAsked | None, Field(alias="to")] = None
    """The instant before which."""
    limit: Annotated[int, Field(ge=1, le=MOST_FOUND), BeforeValidator(_digits)] = 50
    """How many at most."""
    cursor: Cursor | None = None
    """Where the page begins, as a page before gave it."""


@router.get(
    "/v1/decisions",
    operation_id="searchDecisions",
    summary="Find decisions",
    description="Those of the caller, the newest first; those of every client with the scope `audit`. Scope: `read`.",
    response_model=decision_shapes.DecisionPage,
    responses=answers(told="A page of decisions."),
    dependencies=[Depends(only("application_id", "outcome", "stands", "band", "from", "to", "limit", "cursor"))],
    tags=["Decisions"],
)
async def search(door: TheDoor, caller: Reader, query: Annotated[SearchQuery, Query()]) -> Response:
    """Find decisions."""
    wanted = Search(
        application_id=query.application_id,
        outcome=query.outcome,
        stands=query.stands,
        band=query.band,
        since=query.since,
        until=query.until,
        before=None if query.cursor is None else int(query.cursor),
        limit=query.limit,
    )
    page = await door.register.search(caller, wanted)
    cursor = None if page.before is None else str(page.before)
    return respond_plain({"decisions": page.decisions, "next_cursor": cursor})


@router.get(
    "/v1/decisions/{decision_id:uuid}",
    operation_id="getDecision",
    summary="Get a decision",
    description="As it was answered, with what a person said of it since. Scope: `read`.",
    response_model=decision_shapes.DecisionRead,
    responses=answers(404, told="The decision."),
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def decision(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Give a decision."""
    return respond_plain(await door.register.decision(caller, decision_id))


@router.get(
    "/v1/decisions/{decision_id:uuid}/explanation",
    operation_id="explainDecision",
    summary="Explain a decision",
    description="By the card that made it: the score as a sum, the Shapley value of each characteristic, the waterfall, "
    "and the nearest changes that would be approved. Bins are told, never values. Scope: `read`.",
    response_model=decision_shapes.ExplanationTold,
    responses=answers(404, 410, told="The explanation."),
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def explanation(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Explain a decision."""
    return respond_plain(await door.register.explanation(caller, decision_id))


@router.get(
    "/v1/decisions/{decision_id:uuid}/receipt",
    operation_id="getReceipt",
    summary="Prove that a decision is in the audit log",
    description="The leaf, and the proof from it to a signed checkpoint, which anybody can check offline. Scope: `read`.",
    response_model=shapes.Receipt,
    responses=answers(404, told="The receipt."),
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def receipt(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Give the receipt of a decision."""
    return respond_plain(await door.register.receipt(caller, decision_id))


@router.get(
    "/v1/decisions/{decision_id:uuid}/links",
    operation_id="getLinks",
    summary="See what a decision belongs together with",
    description="Other decisions of the same client on the same application, the same person or the same number of an "
    "identity, and why: ids alone. Scope: `read`.",
    response_model=decision_shapes.LinksTold,
    responses=answers(404, told="The links."),
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def links(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Give what a decision was linked to."""
    return respond_plain(await door.register.links(caller, decision_id))


@router.post(
    "/v1/decisions/{decision_id:uuid}/outcomes",
    operation_id="reportOutcome",
    summary="Report what became of a loan",
    description="A later report stands beside the earlier ones. Scope: `report`.",
    status_code=201,
    response_model=decision_shapes.ReportAnswer,
    responses=recorded(404, ok=201, told="The report, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("Report", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["Outcomes"],
)
async def report_outcome(request: Request, door: TheDoor, caller: Reporter, decision_id: DecisionId) -> Response:
    """Record what became of a loan."""
    key, body = await door.act(request.scope, request.receive, most=MOST_REPORT_BYTES)
    return respond(
        recorded_answer(await door.register.report_outcome(caller, key=key, decision_id=decision_id, report=body))
    )


@router.post(
    "/v1/decisions/{decision_id:uuid}/screenings",
    operation_id="screenAgain",
    summary="Screen who was approved again, before the loan is paid out",
    description="Now, by what the application said; it takes no body. The answer is `pass` or `review`, and why is never told. "
    "409 where the decision is no approval, or the profile in force does not screen. Scope: `decide`.",
    status_code=201,
    response_model=decision_shapes.ScreeningTold,
    responses=recorded(404, 410, ok=201, told="Whether it may be paid out, recorded."),
    openapi_extra={"parameters": [KEY_HEADER]},
    dependencies=[Depends(only())],
    tags=["Decisions"],
)
async def screen_again(request: Request, door: TheDoor, caller: Screener, decision_id: DecisionId) -> Response:
    """Screen who was approved again."""
    key = read_head(request.scope["headers"]).key
    return respond(recorded_answer(await door.disbursing.screen(caller, key=key, decision_id=decision_id)))

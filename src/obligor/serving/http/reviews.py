"""The routes of reviews: an applicant asks, by way of the lender's own system, that a person looks at a decision."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import shapes
from obligor.serving.http.decisions import KEY_HEADER, DecisionId, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.heads import read_head
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain
from obligor.serving.review_requests import MOST_BYTES

router = APIRouter()
Asker = Annotated[Caller, Depends(caller_with("review.request"))]
Reader = Annotated[Caller, Depends(caller_with("review.read"))]


@router.post(
    "/v1/decisions/{decision_id:uuid}/review-requests",
    operation_id="requestReview",
    summary="Ask that a person reviews a decision",
    description="With the applicant's statement, or fields of the application that were wrong, or both. The answer says by "
    "when it is due. Scope: `report`.",
    status_code=201,
    response_model=shapes.ReviewAnswer,
    responses=recorded(404, 410, ok=201, told="The request, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("ReviewAsked", described="At most 64 KiB.")},
    dependencies=[Depends(only())],
    tags=["Reviews"],
)
async def request_review(request: Request, door: TheDoor, caller: Asker, decision_id: DecisionId) -> Response:
    """Record that an applicant asks for a review."""
    key = read_head(request.scope["headers"]).key
    body = await door.body(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.reviews.request(caller, key=key, decision_id=decision_id, body=body)))


@router.get(
    "/v1/decisions/{decision_id:uuid}/review-requests",
    operation_id="getReviews",
    summary="See what came of reviews of a decision",
    description="Never what the applicant wrote. Scope: `read`.",
    response_model=shapes.ReviewsTold,
    responses=answers(404, told="The reviews."),
    dependencies=[Depends(only())],
    tags=["Reviews"],
)
async def reviews(door: TheDoor, caller: Reader, decision_id: DecisionId) -> Response:
    """Tell which reviews of a decision were asked for."""
    return respond_plain({"reviews": await door.reviews.reviews(caller, decision_id)})

"""The routes of reviews: an applicant asks, by way of the lender's own system, that a person looks; and a person answers."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.http import review_shapes as shapes
from obligor.serving.http.decisions import KEY_HEADER, DecisionId, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain
from obligor.serving.reviews.review import MOST_ASKED_BYTES, MOST_FOUND_BYTES

router = APIRouter()
Asker = Annotated[Caller, Depends(caller_with("review.request"))]
Reader = Annotated[Caller, Depends(caller_with("review.read"))]
Reviewer = Annotated[Caller, Depends(caller_with("review.decide"))]
ReviewId = Annotated[UUID, Path(description="The id of the review.")]


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
    key, body = await door.act(request.scope, request.receive, most=MOST_ASKED_BYTES)
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


@router.get(
    "/v1/review-requests",
    operation_id="getOpenReviews",
    summary="See which reviews wait for an answer",
    description="The one that is due first first, at most 200; never what the applicant wrote. Scope: `read`.",
    response_model=shapes.ReviewsTold,
    responses=answers(told="The reviews."),
    dependencies=[Depends(only())],
    tags=["Reviews"],
)
async def open_reviews(door: TheDoor, caller: Reader) -> Response:
    """Tell which reviews wait for an answer."""
    return respond_plain({"reviews": await door.reviews.listed(caller)})


@router.get(
    "/v1/review-requests/{review_id:uuid}",
    operation_id="getReview",
    summary="Read a review",
    description="With what the applicant wrote, for a person who may decide on it; that they looked is recorded. "
    "Scope: `read`.",
    response_model=shapes.ReviewRead,
    responses=answers(404, told="The review."),
    dependencies=[Depends(only())],
    tags=["Reviews"],
)
async def review(door: TheDoor, caller: Reader, review_id: ReviewId) -> Response:
    """Tell of a review."""
    return respond_plain(await door.reviews.read(caller, review_id))


@router.post(
    "/v1/review-requests/{review_id:uuid}/decision",
    operation_id="decideReview",
    summary="Answer a request for a review",
    description="By a person who took no part in the decision. The first decision stays as it was; `again` decides on the "
    "application as it was corrected. Role: `senior_officer`.",
    status_code=201,
    response_model=shapes.ReviewDecided,
    responses=recorded(404, ok=201, told="What came of it, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("ReviewFound", described="At most 8 KiB.")},
    dependencies=[Depends(only())],
    tags=["Reviews"],
)
async def decide_review(request: Request, door: TheDoor, caller: Reviewer, review_id: ReviewId) -> Response:
    """Record what a person found."""
    key, body = await door.act(request.scope, request.receive, most=MOST_FOUND_BYTES)
    return respond(recorded_answer(await door.reviews.answer(caller, key=key, review_id=review_id, body=body)))

"""What is recorded of a review: that it was asked for, read by a person, and decided, and what is answered of each."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from obligor.core.leaves import time_text
from obligor.serving.acts import Act
from obligor.serving.encoding import encode
from obligor.serving.privacy.sealed import SEALED_FINDING, SEALED_REVIEW
from obligor.serving.privacy.steps import Step
from obligor.serving.reviews.review import due_on

if TYPE_CHECKING:
    from uuid import UUID

    from obligor.serving.acts import Submission
    from obligor.serving.reviews.review import Asked, Finding, StoredReview
    from obligor.serving.rows import ReviewDecisionRow, ReviewRow, Row


def requested(row: ReviewRow, asked: Asked, *, rule: str, by: str) -> Step:
    """An applicant asks for a review; ``rule`` says by when an answer is due, and is empty where it is the lender's own."""
    said = {
        "review_id": str(row.review_id),
        "decision_id": str(row.decision_id),
        "client_id": row.client_id,
        "requested_at": time_text(row.requested_at),
        "due_at": time_text(row.due_at),
        "pack": row.pack,
        "rule": rule or None,
    }
    words = {"statement": asked.statement, "corrections": asked.corrections}
    return Step("review.requested", row.requested_at, by, row.review_id, (row,), said, SEALED_REVIEW, words)


def decided(review: StoredReview, row: ReviewDecisionRow, finding: Finding, *, rows: tuple[Row, ...] = ()) -> Step:
    """A person decides on a review; ``rows`` are kept with its own."""
    said = {
        "review_id": str(row.review_id),
        "decision_id": str(review.decision_id),
        "client_id": review.client_id,
        "verdict": row.verdict,
        "outcome": row.outcome,
        "decided_at": time_text(row.decided_at),
        "by": row.by,
        "new_decision_id": None if row.new_decision_id is None else str(row.new_decision_id),
    }
    words = {"factors": [{"code": "review", "text": it} for it in finding.factors]}
    return Step(
        "review.decided", row.decided_at, f"person:{row.by}", row.review_id, (row, *rows), said, SEALED_FINDING, words
    )


def read_by(by: str, review_id: UUID, *, at: datetime, salt: bytes) -> Act:
    """Somebody was shown what the applicant wrote."""
    said = {"schema": "obligor/review-read/1", "review_id": str(review_id), "by": by, "at": time_text(at)}
    return Act("review.read", at, by, str(review_id), encode(said), salt)


def told_of_request(submission: Submission) -> dict[str, Any]:
    """Give what is answered to who asked for a review."""
    said = msgspec.json.decode(submission.acts[0].record)
    told = {name: said[name] for name in ("review_id", "decision_id", "requested_at")}
    due = due_on(datetime.fromisoformat(said["due_at"]))
    return told | {"due_on": due, "pack": said["pack"] or None, "state": "open"}


def told_of_answer(submission: Submission) -> dict[str, Any]:
    """Give what is answered to who decided on one."""
    said = msgspec.json.decode(submission.acts[0].record)
    return {name: said[name] for name in ("review_id", "verdict", "outcome", "decided_at", "new_decision_id")}

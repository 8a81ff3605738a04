"""What a review is by itself: how much may be asked, what has to be said, when it is late, and what is told of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from obligor.core.errors import ApplicationError, InvalidInputError, TooLargeError
from obligor.serving.reviews.review import Finding, StoredReview, check_finding, due_on, plain, read_asked

ASKED = datetime(2026, 11, 26, 23, 30, tzinfo=UTC)
DUE = datetime(2026, 12, 27, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
OPEN = StoredReview(UUID(int=1), UUID(int=2), "bank", ASKED, DUE, "", *(None,) * 5)


def decided(at: datetime, **more: Any) -> StoredReview:
    return OPEN._replace(verdict="changed", outcome="approve", decided_at=at, by="Ben", **more)


def test_it_is_late_from_the_instant_on_which_it_is_due_unless_it_was_answered_before() -> None:
    assert not OPEN.late(DUE - INSTANT)
    assert OPEN.late(DUE)
    assert not decided(DUE - INSTANT).late(DUE + timedelta(days=9))
    assert decided(DUE).late(DUE - INSTANT)
    assert due_on(DUE) == due_on(DUE + timedelta(days=1) - INSTANT) == "2026-12-26"


def test_what_is_told_of_it_says_whether_it_was_answered_and_how_and_not_by_whom() -> None:
    waits = {
        "review_id": str(UUID(int=1)),
        "decision_id": str(UUID(int=2)),
        "requested_at": "2026-11-26T23:30:00.000000Z",
        "due_on": "2026-12-26",
        "pack": None,
        "state": "open",
        "late": False,
        **dict.fromkeys(("verdict", "outcome", "decided_at", "new_decision_id")),
    }
    assert plain(OPEN, ASKED).items() >= waits.items()
    answered = decided(DUE, pack="GDPR", new_decision_id=UUID(int=3))
    told = plain(answered, ASKED)
    assert (
        told.items()
        >= {
            **waits,
            "pack": "GDPR",
            "state": "decided",
            "late": True,
            "verdict": "changed",
            "outcome": "approve",
            "decided_at": "2026-12-27T00:00:00.000000Z",
            "new_decision_id": str(UUID(int=3)),
        }.items()
    )
    assert "Ben" not in json.dumps(told)


def test_a_request_has_a_statement_or_corrections_and_no_more_than_one_person_would_write() -> None:
    assert read_asked({"statement": "x" * 8000}).corrections == {}
    assert read_asked({"corrections": {f"f{at}": 1 for at in range(100)}}).statement == ""
    assert read_asked(b'{"statement":"x"}' + b" " * ((64 << 10) - 17)).statement == "x"
    with pytest.raises(TooLargeError, match=r"^review request: wanted at most 65536 bytes"):
        read_asked(b'{"statement":"x"}' + b" " * ((64 << 10) - 16))
    for wrong, field in (
        ({}, "statement: wanted a statement, or corrections, or both"),
        ({"statement": " \n"}, "statement: wanted a statement, or corrections, or both"),
        ({"statement": "CANARY\0"}, "statement: wanted a text without NUL"),
        ({"statement": "x" * 8001}, "statement: "),
        ({"corrections": {f"f{at}": 1 for at in range(101)}}, "corrections: "),
        ({"statement": "x", "canary": 1}, "canary: is not known"),
    ):
        with pytest.raises(ApplicationError, match=f"^review request: {field}") as refused:
            read_asked(wrong)
        assert "CANARY" not in str(refused.value)


def test_a_finding_says_why_unless_the_application_is_decided_again() -> None:
    for good in (Finding("approve", ("Income was shown",)), Finding("decline", ("a", "b")), Finding(None)):
        check_finding(good)
    for wrong, told in (
        (Finding("approve"), "review: wanted the factors that the reviewer looked at, at least one"),
        (Finding(None, ("a",)), "review: what is decided again has reasons of its own; wanted no factors"),
        (Finding("decline", ("a",) * 5), "review: 5 factors"),
    ):
        with pytest.raises(InvalidInputError, match=f"^{told}"):
            check_finding(wrong)

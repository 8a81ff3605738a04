"""What a request says is read in one strict way, and a refusal names the field and never what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from obligor.core.errors import ApplicationError, TooLargeError
from obligor.serving.revealing import Wanted
from obligor.serving.reviews.review import Asked, Found
from obligor.serving.said import read_said

GOOD: dict[type, dict[str, Any]] = {
    Asked: {"statement": "my income was typed wrongly"},
    Found: {"outcome": "approve"},
    Wanted: {"fields": ["income"], "purpose": "case 7"},
}


@pytest.mark.parametrize(
    ("shape", "field", "said"),
    [
        (Found, "outcome", "CANARY"),
        (Found, "factors", "CANARY"),
        (Asked, "statement", ["CANARY"]),
        (Asked, "statement", "CANARY" * 2000),
        (Asked, "corrections", ["CANARY"]),
        (Wanted, "purpose", "CA"),
        (Wanted, "fields", ["CANARY" * 20]),
    ],
)
def test_what_cannot_be_read_is_named_by_its_field_and_not_repeated(shape: Any, field: str, said: object) -> None:
    with pytest.raises(ApplicationError) as caught:
        read_said(json.dumps(GOOD[shape] | {field: said}).encode(), shape, what="request", most=1 << 16)
    (problem,) = caught.value.problems
    assert problem.path[0].partition("[")[0] == field
    assert "CANARY" not in f"{caught.value.message} {problem}"


@pytest.mark.parametrize("shape", list(GOOD))
def test_what_can_be_read_is_the_same_from_a_body_and_from_what_was_read_before(shape: Any) -> None:
    body = json.dumps(GOOD[shape]).encode()
    assert read_said(body, shape, most=1 << 10) == read_said(GOOD[shape], shape, most=1 << 10)
    with pytest.raises(TooLargeError):
        read_said(body, shape, most=len(body) - 1)


def test_the_name_of_a_field_that_is_not_known_is_cut() -> None:
    with pytest.raises(ApplicationError) as caught:
        read_said(json.dumps({"x" * 5000: 1}).encode(), Found, most=1 << 16)
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("shape", "said", "field", "message"),
    [
        (Found, {}, "outcome", "is absent"),
        (Asked, {"statment": "x"}, "statment", "is not known; did you mean 'statement'?"),
        (Asked, {"statement": 7}, "statement", "got a whole number, wanted a text"),
        (Found, {"outcome": "CANARY"}, "outcome", "wanted approve, decline, again"),
        (Wanted, {"fields": ["income"], "purpose": "CA"}, "purpose", "wanted a text of length >= 3"),
        (Wanted, {"fields": ["income", 7], "purpose": "case 7"}, "fields.1", "got a whole number, wanted a text"),
        (Wanted, [], "", "got a list, wanted an object"),
        (Wanted, {"Jane Doe` - at `$.fields": 1}, "", "holds a field that is not known"),
    ],
)
def test_what_is_wrong_is_told_in_the_words_of_json(shape: Any, said: Any, field: str, message: str) -> None:
    with pytest.raises(ApplicationError) as caught:
        read_said(json.dumps(said).encode(), shape, what="request", most=1 << 16)
    (problem,) = caught.value.problems
    assert (".".join(map(str, problem.path)), problem.message) == (field, message)

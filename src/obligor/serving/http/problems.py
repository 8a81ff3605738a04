"""What a client is told when a request fails: one problem (RFC 9457), of a type that stays, without any value of a person.

The kinds of errors of the service have their types in ``serving.errors``; here are those of HTTP itself.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from obligor.core.errors import ObligorError, TooLargeError, UnavailableError
from obligor.serving.encoding import encode_in_order
from obligor.serving.errors import problem_of
from obligor.serving.errors import retry_after as seconds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    Headers = tuple[tuple[bytes, bytes], ...]

PROBLEM_JSON = b"application/problem+json"
JSON = ((b"content-type", b"application/json"),)
CLOSE = ((b"connection", b"close"),)
_LONGEST = 200
_MOST_ERRORS = 50
_CHALLENGE = ((b"www-authenticate", b'Bearer realm="obligor"'),)
_UNAUTHENTICATED = 401


class ProblemType(NamedTuple):
    """A kind of problem that HTTP itself has: its name, its status and its title."""

    name: str
    status: int
    title: str


MALFORMED = ProblemType("malformed", 400, "The request is not one that this service reads")
KEY_MISSING = ProblemType("key-missing", 400, "The request needs an Idempotency-Key")
METHOD = ProblemType("method-not-allowed", 405, "This method is not allowed here")
SLOW = ProblemType("too-slow", 408, "The request took too long to arrive")
MEDIA_TYPE = ProblemType("media-type", 415, "The body must be plain JSON")
HEADERS = ProblemType("headers-too-large", 431, "The headers are too large")
INTERNAL = ProblemType("internal", 500, "The service failed")

PROBLEM_TYPES = (MALFORMED, KEY_MISSING, METHOD, SLOW, MEDIA_TYPE, HEADERS, INTERNAL)
"""All that HTTP adds to the kinds of errors."""


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    body: bytes
    headers: Headers = JSON
    """All but the length; names in small letters."""


@dataclass(slots=True)
class HttpProblemError(Exception):
    """A request that this door refuses by itself."""

    type: ProblemType
    detail: str
    headers: Headers = ()


FAULT = HttpProblemError(INTERNAL, "what failed is in the log of the service")


@cache
def no_seat() -> Answer:
    """Give the answer to a request that finds the service full."""
    return answer_of(UnavailableError("too many requests are open; nothing was recorded", told=True))


def problem_json(type_: ProblemType, detail: str) -> bytes:
    """Write a problem of HTTP."""
    urn = f"urn:obligor:problem:{type_.name}"
    return encode_in_order({"type": urn, "title": type_.title, "status": type_.status, "detail": detail})


def answer_of(error: ObligorError | HttpProblemError) -> Answer:
    """Give the answer that tells of an error."""
    if isinstance(error, HttpProblemError):
        body = problem_json(error.type, error.detail)
        return Answer(error.type.status, body, ((b"content-type", PROBLEM_JSON), *error.headers))
    problem = problem_of(error)
    headers = ((b"content-type", PROBLEM_JSON), *_headers(error, problem["status"]))
    return Answer(problem["status"], encode_in_order(_bounded(problem)), headers)


def places(error: BaseException) -> str:
    """Name where something failed; not the message of the failure, which may hold a person's value."""
    found = traceback.extract_tb(error.__traceback__)[-5:]
    return " < ".join(f"{it.name}:{it.lineno}" for it in reversed(found))


def _headers(error: ObligorError, status: int) -> Headers:
    seconds = seconds_of(error)
    if seconds is not None:
        return ((b"retry-after", b"%d" % seconds),)
    if isinstance(error, TooLargeError):
        return CLOSE
    return _CHALLENGE if status == _UNAUTHENTICATED else ()


def _bounded(problem: Mapping[str, Any]) -> dict[str, Any]:
    """Tell of the first fifty fields, in at most so many characters, and in characters that UTF-8 has."""
    found: dict[str, Any] = {name: _text(it) if isinstance(it, str) else it for name, it in problem.items()}
    if "errors" in found:
        found["errors"] = [{name: _text(it) for name, it in each.items()} for each in found["errors"][:_MOST_ERRORS]]
        found["detail"] = f"wrong fields: {len(problem['errors'])}"
    return found


def _text(text: str) -> str:
    return text[:_LONGEST].encode("utf-8", "replace").decode()

"""What an error is called at each door: the one place that knows that a kind is a 409 or an ABORTED.

Over HTTP an error is a problem (RFC 9457). What it tells is for the caller: field paths and what was wanted, never a value,
and nothing of how the service is built.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from obligor.core.card_numbers import holds_card_number
from obligor.core.errors import ApplicationError, KeyReusedError, LimitedError, UnavailableError
from obligor.serving.telemetry.journal import UNAVAILABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.core.errors import Kind, ObligorError, Problem

_LATER = "the service, or something that it stands on, cannot answer now; send the same request again"
_EVERY_S = 1.0
_MOST_LOGGED = 100
_log = logging.getLogger(UNAVAILABLE)
_logged: dict[str, float] = {}
"""When each message was logged last."""
_RETRY_AFTER = {"conflict": 1, "unavailable": 2, "broken": 30}


class Answer(NamedTuple):
    """How a kind of error is answered."""

    status: int
    """Of HTTP."""
    code: str
    """Of gRPC, by name."""
    title: str


_KEY_REUSED = "The Idempotency-Key belongs to another request"
ANSWERS: Mapping[Kind, Answer] = {
    "invalid": Answer(422, "INVALID_ARGUMENT", "The request cannot be read"),
    "unauthenticated": Answer(401, "UNAUTHENTICATED", "No valid API key or token"),
    "forbidden": Answer(403, "PERMISSION_DENIED", "The API key, or the role, does not allow this"),
    "not_found": Answer(404, "NOT_FOUND", "There is none"),
    "conflict": Answer(409, "ABORTED", "The same request is being worked on"),
    "clash": Answer(409, "FAILED_PRECONDITION", "It does not go with what there is"),
    "limited": Answer(429, "RESOURCE_EXHAUSTED", "Too many requests"),
    "too_large": Answer(413, "INVALID_ARGUMENT", "The request is too large"),
    "broken": Answer(503, "UNAVAILABLE", "The service cannot answer"),
    "erased": Answer(410, "FAILED_PRECONDITION", "Its personal data were erased"),
    "gate": Answer(409, "FAILED_PRECONDITION", "A rule, or a hold, stands against it"),
    "unavailable": Answer(503, "UNAVAILABLE", "The service cannot answer"),
}


def retry_after(error: ObligorError) -> int | None:
    """Give the seconds after which the same request may be sent again; none where it would fail again."""
    if isinstance(error, LimitedError):
        return error.retry_after
    return _RETRY_AFTER.get(error.kind)


def type_of(error: ObligorError) -> str:
    """Name the type of a problem: a URN that does not change."""
    kind = "key-reused" if isinstance(error, KeyReusedError) else error.kind.replace("_", "-")
    return f"urn:obligor:problem:{kind}"


def problem_of(error: ObligorError) -> dict[str, Any]:
    """Tell an error as a problem; what broke inside, or does not answer, is told in the log, not to the caller."""
    answer = ANSWERS[error.kind]
    title = _KEY_REUSED if isinstance(error, KeyReusedError) else answer.title
    problem: dict[str, Any] = {"type": type_of(error), "title": title, "status": answer.status}
    if isinstance(error, UnavailableError) and not error.told:
        problem["detail"] = _LATER
        _tell_the_log(error)
    elif error.kind != "broken":
        problem["detail"] = error.message
    if isinstance(error, ApplicationError) and error.problems:
        problem["errors"] = [{"field": pointer(it), "message": it.message} for it in error.problems]
    return problem


def _tell_the_log(error: UnavailableError) -> None:
    """Tell the log what is kept from the client; the same not more than once a second, however many ask."""
    now = time.monotonic()
    if now - _logged.get(error.message, -_EVERY_S) < _EVERY_S:
        return
    if len(_logged) >= _MOST_LOGGED:
        _logged.clear()
    _logged[error.message] = now
    _log.warning("%s", error.message, exc_info=error)


def pointer(problem: Problem) -> str:
    """Give the place of a problem as a JSON pointer (RFC 6901); a name that holds the number of a card is left out."""
    names = ("?" if holds_card_number(str(part)) else str(part) for part in problem.path)
    return "".join(f"/{name.replace('~', '~0').replace('/', '~1')}" for name in names)

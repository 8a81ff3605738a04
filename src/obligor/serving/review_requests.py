"""What an applicant asks of a review: their statement, and the fields of their application that were wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from obligor.core.errors import ApplicationError, Problem, TooLargeError
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_BYTES: Final = 64 << 10
MOST_STATEMENT: Final = 8000
MOST_CORRECTIONS: Final = 100


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an applicant asks."""

    statement: str = ""
    """Their own view, in their words."""
    corrections: dict[str, Any] = {}
    """Fields of the application that were wrong, as they should be."""


def read_asked(body: bytes | Mapping[str, Any]) -> Asked:
    """Read a request for a review strictly; a message names a field, and never what it says.

    Raises
    ------
    ApplicationError, TooLargeError
        As they say.
    """
    said: object = body
    if isinstance(body, bytes):
        if len(body) > MOST_BYTES:
            raise TooLargeError(f"review request: wanted at most {MOST_BYTES} bytes")
        said = read_strict_json(body, what="review request", error=ApplicationError)
    if not isinstance(said, dict):
        raise ApplicationError("review request: wanted an object")
    for name in said:
        if name not in ("statement", "corrections"):
            raise asked_error(str(name)[:80], "is not known; wanted statement and corrections")
    statement, corrections = said.get("statement", ""), said.get("corrections", {})
    if not isinstance(statement, str) or len(statement) > MOST_STATEMENT or "\x00" in statement:
        raise asked_error("statement", f"wanted a text of at most {MOST_STATEMENT} characters, without NUL")
    if not isinstance(corrections, dict) or len(corrections) > MOST_CORRECTIONS:
        raise asked_error("corrections", f"wanted an object of at most {MOST_CORRECTIONS} fields of the application")
    if not statement.strip() and not corrections:
        raise asked_error("statement", "wanted a statement, or corrections, or both")
    return Asked(statement, corrections)


def asked_error(field: str, message: str) -> ApplicationError:
    """Tell what is wrong with a field of a request for a review."""
    return ApplicationError(f"review request: {field}: {message}", problems=(Problem((field,), message),))

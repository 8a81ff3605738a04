"""What a client reports of a loan: whether it turned out good or bad, and on which day that was seen."""

from __future__ import annotations

from datetime import date  # noqa: TC003  msgspec reads the annotation
from typing import TYPE_CHECKING, Literal

import msgspec

from obligor.core.errors import ApplicationError, Problem, TooLargeError
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_BYTES = 1 << 12


class OutcomeReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of a loan, as the client reports it."""

    status: Literal["good", "bad", "indeterminate"]
    observed_on: date


def read_outcome(report: bytes | Mapping[str, object]) -> OutcomeReport:
    """Read a report strictly.

    Raises
    ------
    ApplicationError, TooLargeError
        Where it lacks something, says something else, or is too large.
    """
    plain: object = report
    if isinstance(report, bytes):
        if len(report) > _MOST_BYTES:
            raise TooLargeError(f"outcome: wanted at most {_MOST_BYTES} bytes")
        plain = read_strict_json(report, what="outcome", error=ApplicationError)
    if not isinstance(plain, dict):
        raise ApplicationError("outcome: wanted an object")
    for name, wanted in (("status", "good, bad or indeterminate"), ("observed_on", "a day as YYYY-MM-DD")):
        if name not in plain:
            raise outcome_error(name, f"is absent, wanted {wanted}")
        try:
            msgspec.convert({"status": "good", "observed_on": "2000-01-01"} | {name: plain[name]}, OutcomeReport)
        except msgspec.ValidationError:
            raise outcome_error(name, f"wanted {wanted}") from None
    try:
        return msgspec.convert(plain, OutcomeReport)
    except msgspec.ValidationError:
        raise ApplicationError("outcome: holds a field that is not known; wanted status and observed_on") from None


def outcome_error(field: str, message: str) -> ApplicationError:
    """Tell what is wrong with a field of a report."""
    return ApplicationError(f"outcome: {field}: {message}", problems=(Problem((field,), message),))

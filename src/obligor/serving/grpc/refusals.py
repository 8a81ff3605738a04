"""From a problem to the google.rpc.Status that tells the same over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from obligor.serving.errors import ANSWERS, problem_of, retry_after

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.errors import ObligorError

DOMAIN = "obligor"
DETAILS = "grpc-status-details-bin"
_LONGEST = 200
_MOST_BYTES = 3000
_URN = "urn:obligor:problem:"
_CODES: Mapping[str, str] = {
    **{kind.replace("_", "-"): answer.code for kind, answer in ANSWERS.items()},
    "key-reused": ANSWERS["invalid"].code,
    "internal": "INTERNAL",
}


def refusal_of(error: ObligorError) -> Status:
    """Tell an error as a status with its details."""
    return status_of(problem_of(error), seconds=retry_after(error))


def status_of(problem: Mapping[str, Any], *, seconds: int | None = None) -> Status:
    """Tell a problem as a status: its name and fields are those that it has over HTTP.

    Clients take at most eight thousand bytes of metadata, details among them: of many wrong fields the first are named.

    Parameters
    ----------
    seconds
        After which the same may be sent again.
    """
    name = str(problem["type"]).removeprefix(_URN)
    status = Status(code=code_of(name).value[0], message=_short(problem.get("detail") or problem["title"]))
    status.details.add().Pack(ErrorInfo(reason=name.upper().replace("-", "_"), domain=DOMAIN))
    if seconds is not None:
        status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=seconds)))
    if problem.get("errors"):
        status.details.add().Pack(_bad_request(problem["errors"]))
    return status


def code_of(name: str) -> grpc.StatusCode:
    """Give the code of a problem by the name of its type."""
    return grpc.StatusCode[_CODES[name]]


def _bad_request(errors: Sequence[Mapping[str, str]]) -> BadRequest:
    bad = BadRequest()
    for it in errors:
        bad.field_violations.add(field=_short(it["field"]), description=_short(it["message"]))
        if bad.ByteSize() > _MOST_BYTES:
            del bad.field_violations[-1]
            break
    return bad


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


INTERNAL = status_of({"type": f"{_URN}internal", "title": "Something in the service failed"})
"""What is told of an error that nobody foresaw."""

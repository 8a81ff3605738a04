"""Calls the decision service from Python; it needs httpx, and nothing else of Obligor.

A call that records carries an Idempotency-Key, made once and kept over every try, so that a decision is made once however
often the network fails. What may be tried again (429, 503, no answer, and 409 while the same request is being recorded) is,
with full jitter and no sooner than the service asks, until the deadline of the call. Nothing is logged here: no body, no key.

::

    ServiceError
     +-- NoAnswerError               no answer came, or not in time; what was sent may have been recorded
     +-- UnreadableAnswerError       something answered, and not as this service does
     +-- RefusedError                the service refused, and says why in ``problem``
          +-- InvalidRequestError    what was sent is wrong; ``problem.errors`` names each field
          |    +-- KeyReusedError    this Idempotency-Key belongs to another body
          +-- UnauthenticatedError   the API key is not in force
          +-- ForbiddenError         the API key lacks the scope
          +-- NotFoundError          there is none, or none that this client may see
          +-- ClashError             it does not go with what there is, and never will
          +-- InFlightError          a request with this Idempotency-Key is being recorded
          +-- BusyError              too many requests, or the service cannot answer now
"""

from obligor.client.answers import (
    BrokenDecision,
    Decision,
    FieldError,
    Health,
    Link,
    Links,
    LogPlace,
    OutcomeReport,
    Override,
    Pins,
    Problem,
    Reason,
    Review,
    Screening,
    Simulation,
)
from obligor.client.clients import AsyncClient, Client
from obligor.client.errors import (
    BusyError,
    ClashError,
    ForbiddenError,
    InFlightError,
    InvalidRequestError,
    KeyReusedError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    ServiceError,
    UnauthenticatedError,
    UnreadableAnswerError,
)

__all__ = [
    "AsyncClient", "BrokenDecision", "BusyError", "ClashError", "Client", "Decision", "FieldError", "ForbiddenError", "Health",
    "InFlightError", "InvalidRequestError", "KeyReusedError", "Link", "Links", "LogPlace", "NoAnswerError", "NotFoundError",
    "OutcomeReport", "Override", "Pins", "Problem", "Reason", "RefusedError", "Review", "Screening", "ServiceError",
    "Simulation", "UnauthenticatedError", "UnreadableAnswerError",
]  # fmt: skip

"""What goes wrong with a call, by who may put it right."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.client.answers import Problem


class ServiceError(Exception):
    """A call did not give what was asked for."""


class NoAnswerError(ServiceError):
    """No answer came, or not in time. What was sent may have been recorded: the same call with the same key finds out."""


class UnreadableAnswerError(ServiceError):
    """Something answered that does not speak as this service does."""


class RefusedError(ServiceError):
    """The service refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class InvalidRequestError(RefusedError):
    """What was sent is wrong; the same will be refused again."""


class KeyReusedError(InvalidRequestError):
    """The Idempotency-Key belongs to another body."""


class UnauthenticatedError(RefusedError):
    """The API key is not in force."""


class ForbiddenError(RefusedError):
    """The API key lacks the scope for this."""


class NotFoundError(RefusedError):
    """There is none, or none that this client may see."""


class ClashError(RefusedError):
    """It does not go with what there is, such as a rule or a hold; the same will be refused again."""


class InFlightError(RefusedError):
    """A request with this Idempotency-Key is being recorded."""


class BusyError(RefusedError):
    """Too many requests, or the service cannot answer now."""


ERRORS: Mapping[int, type[RefusedError]] = {
    400: InvalidRequestError, 401: UnauthenticatedError, 403: ForbiddenError, 404: NotFoundError, 409: ClashError,
    413: InvalidRequestError, 415: InvalidRequestError, 422: InvalidRequestError, 429: BusyError, 431: InvalidRequestError,
    503: BusyError,
}  # fmt: skip
BY_TYPE = {"key-reused": KeyReusedError, "conflict": InFlightError}

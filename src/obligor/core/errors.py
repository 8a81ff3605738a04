"""Every error that Obligor raises on purpose.

::

    ObligorError
     +-- InvalidInputError        kind invalid      exit 2   what came in is wrong
     |    +-- ContractError       a contract file
     |    +-- ExpressionError     a feature's SQL expression
     |    +-- SourceError         a tape that cannot be opened or read
     |    +-- TapeError           a tape that does not fit its contract
     |    +-- CardError           a scorecard file
     |    +-- EditError           an edit of bins by hand
     |    +-- PolicyError         a policy file
     |    +-- ProfileError        a compliance profile
     |    +-- LawError            a file of rules of law, a rule pack, or what a notice is made of
     |    +-- ApplicationError    an application, or another body of a request; tells every field that is wrong
     |    +-- KeyReusedError      an idempotency key that was used for another request
     |    +-- AuditError          a leaf, proof, checkpoint, receipt or bundle of the audit log
     |    +-- ScreeningError      a list to screen against, or a name or birth date that cannot be compared
     +-- UnauthenticatedError     kind unauthenticated exit 1   nobody that is known, whatever the reason
     +-- ForbiddenError           kind forbidden    exit 1   somebody known, who may not do this
     +-- NotFoundError            kind not_found    exit 1   there is none, or none that the caller may see
     +-- InFlightError            kind conflict     exit 1   the same request is being worked on
     +-- ClashError               kind clash        exit 1   it does not go with what there is
     +-- LimitedError             kind limited      exit 1   too many requests by this caller
     +-- TooLargeError            kind too_large    exit 2   more than the stated limit came in
     +-- IntegrityError           kind broken       exit 1   what is kept is not what was signed or hashed
     |    +-- SplitViewError      an anchor has another root for a size of the audit log
     |    +-- RollbackError       an anchor has a checkpoint of a longer audit log
     |    +-- SealError           what was sealed does not open
     +-- ErasedError              kind erased       exit 1   the personal data of it were erased
     +-- GateError                kind gate         exit 1   a check that the lender set was not passed
     |    +-- NoticeError         a notice to an applicant that would be wrong, and was not written
     +-- UnavailableError         kind unavailable  exit 1   something outside did not answer, or is full

A message names the thing, what it got and what it wanted, and never repeats a person's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, Self

Kind = Literal[
    "invalid",
    "unauthenticated",
    "forbidden",
    "not_found",
    "conflict",
    "clash",
    "limited",
    "too_large",
    "broken",
    "erased",
    "gate",
    "unavailable",
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a contract or an application: where, and what; never a person's value."""

    path: tuple[str | int, ...]
    message: str


class ObligorError(Exception):
    """An error with a message for a person, and a hint where there is one."""

    kind: ClassVar[Kind]

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def alone(self) -> Self:
        """Give it without the way that it came, whose frames hold all that was read there for as long as it is kept."""
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nHint: {self.hint}"


class InvalidInputError(ObligorError):
    """What came in is wrong; the same input will fail again."""

    kind = "invalid"


class ContractError(InvalidInputError):
    """A contract that cannot be read, or that says something impossible; ``problems`` lists each."""

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class ExpressionError(InvalidInputError):
    """A feature's expression that is outside the language, or does not type."""


class SourceError(InvalidInputError):
    """A tape that cannot be found, opened or decoded."""


class TapeError(InvalidInputError):
    """A tape that does not fit its contract."""


class CardError(InvalidInputError):
    """A scorecard that is malformed, or that contradicts itself."""


class EditError(InvalidInputError):
    """An edit of bins by hand that the bins, or the draft, do not allow."""


class PolicyError(InvalidInputError):
    """A policy that is malformed, that contradicts itself, or that does not go with its card."""


class ProfileError(InvalidInputError):
    """A compliance profile that is malformed, or that contradicts itself; a gate or a result that there is not."""


class LawError(InvalidInputError):
    """A file of rules of law, a rule pack, or what notices are made of, that is malformed or contradicts itself."""


class ApplicationError(InvalidInputError):
    """An application, or another body of a request, that cannot be read; ``problems`` lists each field."""

    def __init__(self, message: str, *, problems: tuple[Problem, ...] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = problems


class KeyReusedError(InvalidInputError):
    """An idempotency key that this client used for another request."""


class AuditError(InvalidInputError):
    """A leaf, a proof, a checkpoint, a receipt or a bundle of the audit log that is malformed."""


class ScreeningError(InvalidInputError):
    """A list to screen against that cannot be read, or a name or a birth date that cannot be compared."""


class UnauthenticatedError(ObligorError):
    """Nobody that is known; the message is the same whatever the reason."""

    kind = "unauthenticated"


class ForbiddenError(ObligorError):
    """A known caller may not do this."""

    kind = "forbidden"


class NotFoundError(ObligorError):
    """There is no such thing, or none that the caller may see."""

    kind = "not_found"


class InFlightError(ObligorError):
    """A request with the same idempotency key is being worked on; the same request may be sent again soon."""

    kind = "conflict"


class ClashError(ObligorError):
    """It does not go with what there is, such as a role with another; the same request would fail again."""

    kind = "clash"


class LimitedError(ObligorError):
    """Too many requests by one caller; ``retry_after`` seconds later there may be room."""

    kind = "limited"

    def __init__(self, message: str, *, retry_after: int = 1, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class TooLargeError(ObligorError):
    """More came in than the stated limit."""

    kind = "too_large"


class IntegrityError(ObligorError):
    """What is kept is not what was signed or hashed: nothing may rest on it."""

    kind = "broken"


class SealError(IntegrityError):
    """What was sealed does not open: it was changed or moved, or the key is another."""


class ErasedError(ObligorError):
    """The personal data of this were erased: the key that opened them was destroyed."""

    kind = "erased"


class SplitViewError(IntegrityError):
    """An anchor has another root for a size of the audit log: there are two histories of it."""


class RollbackError(IntegrityError):
    """An anchor has a checkpoint of a longer audit log, of ``size`` leaves: this one was cut, or is an older backup."""

    def __init__(self, message: str, *, size: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.size = size


class GateError(ObligorError):
    """A limit that the lender set was not kept; the work stopped on purpose."""

    kind = "gate"


class NoticeError(GateError):
    """A notice to an applicant that would be wrong: it was not written. ``refusal`` names the check, to be counted."""

    def __init__(self, message: str, *, refusal: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.refusal = refusal


class UnavailableError(ObligorError):
    """A database, an object store or a disk did not do its part.

    Parameters
    ----------
    told
        Whether a client is told the message, too. It must then name nothing of how the service is built: no host, no path.
    """

    kind = "unavailable"

    def __init__(self, message: str, *, told: bool = False, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.told = told

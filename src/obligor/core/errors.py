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
     +-- GateError                kind gate         exit 1   a check that the lender set was not passed
     +-- UnavailableError         kind unavailable  exit 1   something outside did not answer, or is full

A message names the thing, what it got and what it wanted, and never repeats a person's data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Kind = Literal["invalid", "gate", "unavailable"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a contract: where, and what."""

    path: tuple[str | int, ...]
    message: str


class ObligorError(Exception):
    """An error with a message for a person, and a hint where there is one."""

    kind: ClassVar[Kind]

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

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


class GateError(ObligorError):
    """A limit that the lender set was not kept; the work stopped on purpose."""

    kind = "gate"


class UnavailableError(ObligorError):
    """A database, an object store or a disk did not do its part."""

    kind = "unavailable"

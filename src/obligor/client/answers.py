"""What the service answers, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """A principal reason of a decline."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Pins:
    """What was in force, by hash, so that the decision can be computed again."""

    card_sha256: str
    policy_sha256: str
    profile_sha256: str
    release: int
    code: str


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where the audit log keeps a decision."""

    leaf_index: int
    tree_size: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """How an application would be decided; nothing was recorded."""

    outcome: str
    """``approve``, ``refer``, ``decline`` or ``hold``."""
    because: str
    score: float
    """In points; a higher score is a lower risk."""
    pd: float
    band: str
    cutoff: float
    """The points from which this application is approved."""
    reasons: tuple[Reason, ...]
    unusual: tuple[str, ...]
    pins: Pins
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Decision(Simulation):
    """A decision that is recorded."""

    decision_id: str
    application_id: str | None
    """What the client calls the application, where the contract has a column for it."""
    receipt: LogPlace
    replayed: bool = False
    """Whether the service had recorded it before this call."""


@dataclass(frozen=True, slots=True)
class BrokenDecision:
    """A decision that is kept otherwise than it was recorded: who runs the service is to look, and nothing of it is told."""

    decision_id: str


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request; never a value."""

    field: str
    """A JSON pointer into the body, or the name of a parameter or header."""
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the service refused (RFC 9457)."""

    type: str
    """A name that stays, such as ``urn:obligor:problem:invalid``."""
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()

    def __str__(self) -> str:
        said = f"{self.status} {self.title}: {self.detail}".removesuffix(": ")
        return said + "".join(f"\n{it.field}: {it.message}" for it in self.errors)


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What became of a loan, as it was reported."""

    report_id: str
    decision_id: str
    status: str
    observed_on: date


@dataclass(frozen=True, slots=True)
class Screening:
    """That who was approved was screened again, before the loan is paid out."""

    screening_id: str
    decision_id: str
    result: str
    """``pass``, or ``review``: then do not pay out until a person has looked."""
    screened_at: datetime


@dataclass(frozen=True, slots=True)
class Override:
    """What a person decided in place of a decision."""

    decision_id: str
    outcome: str
    direction: str
    """``low_side``, ``high_side`` or ``none``."""
    reason: str
    state: str
    """``in_force``; ``expired``: nothing is paid out by it; ``reviewed``: a review answered since, and its outcome holds."""
    decided_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Review:
    """A person's review of a decision, and what came of it by now."""

    review_id: str
    decision_id: str
    requested_at: datetime
    due_on: date
    """The last day (UTC) on which it is answered in time."""
    pack: str | None
    """The rule pack that sets the period; None: the lender does."""
    state: str
    """``open`` or ``decided``."""
    late: bool = False
    """Whether it was, or still is, answered too late."""
    verdict: str | None = None
    """``kept`` or ``changed``; None while it is open."""
    outcome: str | None = None
    decided_at: datetime | None = None
    new_decision_id: str | None = None
    """The decision on the corrected application, where there was one."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another decision that belongs together with one."""

    decision_id: str
    why: str
    """Such as ``repeated`` or ``velocity``, of the later of the two."""
    earlier: bool
    """Whether the other one was decided on before."""
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class Links:
    """What a decision belongs together with, the newest first."""

    compared: bool
    """Whether it was compared with earlier ones by now."""
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service is ready to decide, and what it says of its parts."""

    ready: bool
    said: Mapping[str, Any]

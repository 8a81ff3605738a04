"""What the service counts of its own work, and where it tells the counts.

The use case and the doors call a `Meter`; nothing that they hand over is a person's. `metrics.py` keeps the counts for
Prometheus, and `NoMeter` keeps none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from obligor.core.decision import Decision
    from obligor.core.scorecard import Scorecard
    from obligor.core.scorer import Score

Stage = Literal["read", "score", "record", "whole"]
"""Of a decision: reading the application, score and policy, until it is durable, all of it."""
STAGES: tuple[Stage, ...] = ("read", "score", "record", "whole")

Reading = Literal[
    "audit_queue",
    "tree_size",
    "unanchored_leaves",
    "anchored_age_seconds",
    "journal_dropped",
    "webhooks_pending",
    "webhooks_oldest_seconds",
    "webhooks_dead",
    "webhooks_gone",
    "records_broken",
    "reviews_late",
    "links_behind_seconds",
    "screening_list_left_seconds",
    "held",
    "held_late",
    "held_oldest_seconds",
]
"""What is asked for when it is told, not before."""

Delivery = Literal["delivered", "failed", "given up"]
"""How an attempt to tell a client's system of an event ended."""
DELIVERIES: tuple[Delivery, ...] = ("delivered", "failed", "given up")


LINKS = ("repeated", "contradicting", "velocity", "other_person", "other_number")
"""Why applications are linked."""


Resemblance = Literal["check_digit", "split"]
"""What all but is the number of a payment card: with a wrong check digit, or split in a way that is not looked for."""
RESEMBLANCES: tuple[Resemblance, ...] = ("check_digit", "split")


@dataclass(frozen=True, slots=True)
class InForce:
    """The release by which decisions are made now."""

    number: int
    card: Scorecard
    card_sha256: str
    policy_sha256: str
    profile_sha256: str


class Meter(Protocol):
    """Counts; called from the event loop's thread alone."""

    def entered(self) -> None:
        """Count a request that is in flight from now on."""
        ...

    def left(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered; ``route`` is the door's own name for it, never what was asked for."""
        ...

    def stage(self, stage: Stage, seconds: float) -> None:
        """Count how long a stage of a decision took."""
        ...

    def decided(self, score: Score, decision: Decision, unusual: Iterable[str]) -> None:
        """Count a decision that is durable; each of ``unusual`` begins with its field, and only that is counted."""
        ...

    def overridden(self, direction: str, outcome: str) -> None:
        """Count a decision in whose place a person decided: on which side of the cut-off, and what."""
        ...

    def refused(self, why: str) -> None:
        """Count a caller who was refused: why in one of `REFUSALS`."""
        ...

    def committed(self, acts: int, seconds: float) -> None:
        """Count a commit of so many acts together."""
        ...

    def delivered(self, result: Delivery) -> None:
        """Count an attempt to tell a client's system of an event."""
        ...

    def linked(self, why: str, count: int) -> None:
        """Count decisions that were linked to earlier ones; why in one of `LINKS`."""
        ...

    def resembled(self, why: Resemblance) -> None:
        """Count an application with what all but is the number of a payment card."""
        ...

    def healthy(self, dependency: str, *, well: bool) -> None:
        """Tell how something that the service stands on does."""
        ...

    def watch(self, reading: Reading, read: Callable[[], float]) -> None:
        """Read something whenever the counts are told; infinite where it never was."""
        ...

    def in_force(self, release: InForce) -> None:
        """Tell which release decisions are made by from now on."""
        ...


REFUSALS = (
    *("missing", "malformed", "unknown", "wrong", "revoked", "expired"),
    *("weak", "unbound", "unheld", "elsewhere", "limited"),
    *("scope", "shed"),
    *("subject", "alike"),
)


class NoMeter:
    """Counts nothing."""

    def entered(self) -> None:
        """Count nothing."""

    def left(self, route: str, status: int, seconds: float) -> None:
        """Count nothing."""

    def stage(self, stage: Stage, seconds: float) -> None:
        """Count nothing."""

    def decided(self, score: Score, decision: Decision, unusual: Iterable[str]) -> None:
        """Count nothing."""

    def overridden(self, direction: str, outcome: str) -> None:
        """Count nothing."""

    def refused(self, why: str) -> None:
        """Count nothing."""

    def committed(self, acts: int, seconds: float) -> None:
        """Count nothing."""

    def delivered(self, result: Delivery) -> None:
        """Count nothing."""

    def linked(self, why: str, count: int) -> None:
        """Count nothing."""

    def resembled(self, why: Resemblance) -> None:
        """Count nothing."""

    def healthy(self, dependency: str, *, well: bool) -> None:
        """Tell nothing."""

    def watch(self, reading: Reading, read: Callable[[], float]) -> None:
        """Watch nothing."""

    def in_force(self, release: InForce) -> None:
        """Tell nothing."""

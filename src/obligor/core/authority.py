"""Who may override a decision, and how far: the authority that a lender delegates, as a part of its policy.

An override is a person's decision against, or in place of, what the policy said. Its *direction* is told as examiners count it
(FDIC, Credit Card Activities Manual, chapter VIII): on the low side it approves what scored below the cut-off, on the high side
it declines what scored at or above it. By the score alone: whoever decides on what a rule,
or the grey zone, left to a person agrees with the score or not, like anybody else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from obligor.core.clauses import Clause, Name, Share

if TYPE_CHECKING:
    from collections.abc import Iterable

Direction = Literal["low_side", "high_side", "none"]


class Limit(Clause):
    """How far a role decides."""

    amount: Annotated[float, Field(gt=0)] | None = None
    """The highest amount; none: whatever the amount."""
    pd: Share
    """The highest PD."""

    def covers(self, *, amount: float | None, pd: float) -> bool:
        """Tell whether an application lies within it; an amount that is not known lies within no limit of amounts."""
        return pd <= self.pd and (self.amount is None or (amount is not None and amount <= self.amount))


class Authority(Clause):
    """Why decisions are overridden, and how far each role goes."""

    reasons: Annotated[dict[Name, Name], Field(min_length=1)]
    """The codes by which overrides are counted, each with what it means; there is no other reason."""
    limits: Annotated[dict[Name, Limit], Field(min_length=1)]
    """By role; one that is not named overrides nothing, and agrees to nothing."""
    amount: Name | None = None
    """The column with the amount, where a limit has one."""
    approved_for_days: Annotated[int, Field(ge=1, le=366)]
    """For how many days after its own an override that approves is good to pay out by."""

    def covering(self, roles: Iterable[str], *, amount: float | None, pd: float) -> tuple[str, ...]:
        """Name those of some roles whose limits an application lies within, the one that goes least far first."""
        found = [it for it in roles if it in self.limits and self.limits[it].covers(amount=amount, pd=pd)]
        return tuple(sorted(found, key=self._reach))

    def _reach(self, role: str) -> tuple[float, float, str]:
        limit = self.limits[role]
        return limit.pd, float("inf") if limit.amount is None else limit.amount, role


def direction_of(outcome: str, *, score: int, cutoff: int) -> Direction:
    """Tell on which side of the cut-off an override lies, of a score in thousandths."""
    if outcome == "approve" and score < cutoff:
        return "low_side"
    return "high_side" if outcome == "decline" and score >= cutoff else "none"

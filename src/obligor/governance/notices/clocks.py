"""Which notices are due of a decision, by what stands of it and by what was done beside it since."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obligor.governance.law.packs import notices_due

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import date

    from obligor.governance.law.packs import Day, Due, Pack


class Situation(NamedTuple):
    """How far the application of a decision has come."""

    outcome: str
    """What stands of it."""
    applied_on: date
    decided_on: date
    """Since when that stands."""
    offered_on: date | None = None
    """When the applicant was notified of a counter-offer, where one was made."""
    accepted: bool | None = None
    """Whether they took it; None: they have not answered."""
    incomplete: bool = False
    """Whether it was said to be incomplete."""
    written: Collection[str] = ()
    """The templates by which notices of it were written."""


def due_of(packs: Iterable[Pack], of: Situation, *, score_used: bool = False) -> tuple[Due, ...]:
    """Tell which notices an application has by now, and by when each is due, also those that were written."""
    packs = tuple(packs)
    days: dict[Day, date] = {"applied": of.applied_on, "decided": of.decided_on}
    if of.outcome == "decline":
        if of.accepted:
            return ()
        if of.offered_on is not None:
            return notices_due(
                packs, days=days | {"counter_offered": of.offered_on}, outcome="counter_offer", score_used=score_used
            )
        asked = due_of(packs, of._replace(outcome="refer")) if of.incomplete else ()
        if asked and not left(asked, of.written):
            told: dict[Day, date] = {"declined_incomplete": of.decided_on}
            return notices_due(packs, days=days | told, outcome="declined_incomplete", score_used=score_used)
        return notices_due(packs, days=days, outcome="decline", score_used=score_used)
    if of.incomplete and of.outcome in ("refer", "hold"):
        return notices_due(packs, days=days | {"incomplete": of.applied_on}, outcome="incomplete", score_used=False)
    return ()


def left(due: Iterable[Due], written: Collection[str]) -> tuple[Due, ...]:
    """Give what is due still: what neither its own template was written by, nor another that does as well."""
    return tuple(it for it in due if not {it.what, *it.also} & set(written))

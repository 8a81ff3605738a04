"""Rule packs: what each body of law asks of a lender, as data with dates.

A pack says from when it applies, which notices are due when, how long records are kept and from what day, whether a decided
applicant may ask for a person, where data may not come from, and whether groups are compared. Packs are added up: of two
deadlines the earlier counts, of two retentions the later. Every duty names the rule it rests on; where the law sets no number,
the pack says that the number is the lender's (`set_by: lender`).
"""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from obligor.core.errors import GateError, LawError
from obligor.core.strict_json import StrictModel
from obligor.governance.law.rules import RuleId
from obligor.governance.law.strict_yaml import read_yaml_file

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from obligor.governance.law.rules import Lawbook

PACKS_FOLDER: Final = Path(__file__).parent / "packs"
PackId = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,5}(-[A-Z0-9]{2,5})?$")]
Day = Literal[
    "applied",
    "decided",
    "notified",
    "incomplete",
    "declined_incomplete",
    "counter_offered",
    "review_requested",
    "account_closed",
]
"""What happened on the day from which a clock runs."""
Kept = Literal["decision", "identity", "documents", "audit_trail"]
SetBy = Literal["rule", "lender"]


class Period(StrictModel):
    """A length of time: days, or calendar months."""

    days: Annotated[int | None, Field(ge=1, le=36500)] = None
    months: Annotated[int | None, Field(ge=1, le=1200)] = None

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if (self.days is None) == (self.months is None):
            raise LawError("a period: wanted either days or months")
        return self

    def after(self, day: date) -> date:
        """Give the last day of a period that begins on a day; a month ends on the same day of the next, or its last."""
        if self.days is not None:
            return day + timedelta(days=self.days)
        months = day.month - 1 + (self.months or 0)
        year, month = day.year + months // 12, months % 12 + 1
        return date(year, month, min(day.day, calendar.monthrange(year, month)[1]))


class NoticeDuty(StrictModel):
    """A notice that is due within a period."""

    template: str
    """The id of its template."""
    also: tuple[str, ...] = ()
    """The ids of other templates whose notice does it as well."""
    within: Period
    """How long the lender has."""
    since: Day
    """From when."""
    rule: RuleId
    """What it rests on."""
    only_with_score: bool = False
    """Whether it is due only where a credit score was used."""


class Retention(StrictModel):
    """How long something is kept at least."""

    of: Kept
    """What is kept: the record of a decision, evidence of identity, documents of the model, the audit trail."""
    keep: Period
    """How long."""
    since: Day
    """From when."""
    rule: RuleId
    """What it rests on."""


class ReviewRight(StrictModel):
    """The right of an applicant to have a person look at a decision."""

    of: tuple[Literal["decline", "refer", "approve"], ...]
    """Of which outcomes."""
    within: Period
    """How long the lender has to answer."""
    set_by: SetBy
    """Whether the rule sets the period, or the lender does for want of one."""
    correction: bool
    """Whether they may correct their data."""
    rule: RuleId
    """What it rests on."""


class ForbiddenSource(StrictModel):
    """A source of data that may not be used to judge creditworthiness."""

    name: Literal["social_network", "health"]
    """The source."""
    words: tuple[str, ...]
    """Words that tell a column of it, in lower case."""
    rule: RuleId
    """What it rests on."""


class Fairness(StrictModel):
    """Whether groups are compared."""

    compare: bool
    """Whether they are, unless the lender says otherwise."""
    rule: RuleId | None = None
    """What it rests on."""
    note: str = ""
    """What a reader must know beside it."""


class Pack(StrictModel):
    """What one body of law asks."""

    schema_: Literal["obligor/pack/1"] = Field(alias="schema")
    """The version of this format."""
    id: PackId
    """Its short name."""
    title: str
    """What a person calls it."""
    applies_from: date
    """The day from which it applies."""
    rules: tuple[RuleId, ...]
    """The rules it rests on; all that its duties name is among them."""
    notices: tuple[NoticeDuty, ...] = ()
    retention: tuple[Retention, ...] = ()
    review: ReviewRight | None = None
    forbidden_sources: tuple[ForbiddenSource, ...] = ()
    fairness: Fairness = Fairness(compare=True)
    second_factor: RuleId | None = None
    """The rule by which every person shows a second factor, whatever they do."""
    note: str = ""
    """What a reader must know beside it."""

    @model_validator(mode="after")
    def _names_its_rules(self) -> Self:
        duties = (*self.notices, *self.retention, *self.forbidden_sources, *((self.review,) if self.review else ()))
        named = {it.rule for it in duties} | {it for it in (self.fairness.rule, self.second_factor) if it}
        unnamed = sorted(named - set(self.rules))
        if unnamed:
            raise LawError(f"pack {self.id}: a duty rests on '{unnamed[0]}', which is not among its rules")
        return self


def read_pack(path: Path) -> Pack:
    """Read a pack from its file.

    Raises
    ------
    LawError
        Where it cannot be read, contradicts itself, or is not named as its file is.
    """
    pack = read_yaml_file(path, Pack)
    if path.stem != pack.id:
        raise LawError(f"{path.name}: says it is the pack {pack.id}")
    return pack


@cache
def the_packs() -> Mapping[str, Pack]:
    """Give the packs that come with the product, by id."""
    return {it.id: it for it in (read_pack(path) for path in sorted(PACKS_FOLDER.glob("*.yaml")))}


def named_packs(ids: Iterable[str]) -> tuple[Pack, ...]:
    """Give the packs that a lender names.

    Raises
    ------
    LawError
        Where there is no such pack, or it is named twice.
    """
    names, known = tuple(ids), the_packs()
    for name in names:
        if name not in known:
            raise LawError(f"there is no pack {name[:80]!r}; wanted one of {', '.join(known)}")
        if names.count(name) > 1:
            raise LawError(f"the pack {name} is named twice")
    return tuple(known[name] for name in names)


def activate_packs(ids: Iterable[str], *, law: Lawbook, templates: Collection[str]) -> tuple[Pack, ...]:
    """Give the packs that a lender names, checked against the law and the templates that there are.

    Raises
    ------
    LawError
        Where there is no such pack, or it is named twice.
    GateError
        Where a rule that a pack rests on is not in force, or a template that it needs is not there.
    """
    packs = named_packs(ids)
    for pack in packs:
        check_pack(pack, law=law, templates=templates)
    return packs


def check_pack(pack: Pack, *, law: Lawbook, templates: Collection[str]) -> None:
    """Refuse a pack that rests on a rule that is not in force, or that needs a template that is not there.

    Raises
    ------
    GateError, LawError
        As they say.
    """
    for name in pack.rules:
        rule = law.rule(name)
        if rule.status != "in_force":
            raise GateError(f"pack {pack.id}: rests on the rule '{name}', which is {rule.status}")
    for duty in pack.notices:
        if duty.template not in templates:
            raise GateError(f"pack {pack.id}: needs the template '{duty.template}', which is not there or not approved")


def applying(packs: Iterable[Pack], on: date) -> tuple[Pack, ...]:
    """Give the packs that apply on a day."""
    return tuple(it for it in packs if it.applies_from <= on)


@dataclass(frozen=True, slots=True)
class Due:
    """Something that is due by the end of a day (UTC)."""

    pack: str
    what: str
    """The id of a template, or `review`."""
    by: date
    rule: str
    set_by: SetBy = "rule"
    also: tuple[str, ...] = ()
    """The ids of other templates that do as well."""


_BEGUN: Final[Mapping[str, tuple[Day, ...]]] = {
    "decline": ("applied", "decided"),
    "incomplete": ("incomplete",),
    "declined_incomplete": ("declined_incomplete",),
    "counter_offer": ("counter_offered",),
}
"""From which days clocks run, by what happened."""


def notices_due(packs: Iterable[Pack], *, days: Mapping[Day, date], outcome: str, score_used: bool) -> tuple[Due, ...]:
    """Tell which notices are due of a decision and when, the earliest first.

    A decline has notices; so have a counter-offer, an application that is incomplete, and a decline of one that was told so. A
    pack without a clock of its own for a counter-offer, or for such a decline, runs that of any decline. ``days`` tells what
    happened when: a duty whose day is not there has not begun.
    """
    if outcome not in _BEGUN:
        return ()
    found = [
        Due(pack.id, duty.template, duty.within.after(days[duty.since]), duty.rule, also=duty.also)
        for pack in applying(packs, days["decided"])
        for duty in _running(pack, outcome)
        if duty.since in days and (score_used or not duty.only_with_score)
    ]
    return tuple(sorted(found, key=lambda it: (it.by, it.pack, it.what)))


def _running(pack: Pack, outcome: str) -> list[NoticeDuty]:
    own = [it for it in pack.notices if it.since in _BEGUN[outcome]]
    if own or outcome == "incomplete":
        return own
    return [it for it in pack.notices if it.since in _BEGUN["decline"]]


def review_due(packs: Iterable[Pack], *, outcome: str, requested: date) -> Due | None:
    """Tell by when a request for a review must be answered; none where no pack that applies gives a right to one."""
    found = [
        Due(pack.id, "review", pack.review.within.after(requested), pack.review.rule, pack.review.set_by)
        for pack in applying(packs, requested)
        if pack.review is not None and outcome in pack.review.of
    ]
    return min(found, key=lambda it: (it.by, it.pack), default=None)


def held_due(packs: Iterable[Pack], *, applied: date) -> Due | None:
    """Tell by when an application that is held must be decided; none where no clock of a pack runs from its day on.

    To hold is no adverse action, and stops no clock: a notice that a decline would need within days of the application cannot
    be in time once they have passed.
    """
    found = [
        Due(pack.id, "held", duty.within.after(applied), duty.rule)
        for pack in applying(packs, applied)
        for duty in pack.notices
        if duty.since == "applied" and not duty.only_with_score
    ]
    return min(found, key=lambda it: (it.by, it.pack), default=None)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long something must be kept."""

    until: date | None
    """The last day; none: without end for now, as a hold stands or a clock has not begun."""
    because: str
    """The rule that asks for longest, `hold`, the event that is waited for, or `nothing` where no pack asks."""


def keep_until(
    packs: Iterable[Pack], *, of: Kept, days: Mapping[Day, date], on: date, holds: Collection[str] = ()
) -> Keeping:
    """Tell how long something is kept: the longest of the packs that apply, and without end under a legal hold.

    Parameters
    ----------
    days
        What happened when; a clock whose day is not there has not begun, so that what it governs is kept.
    holds
        The legal holds that stand on it.
    """
    if holds:
        return Keeping(None, "hold")
    duties = [it for pack in applying(packs, on) for it in pack.retention if it.of == of]
    waiting = next((it.since for it in duties if it.since not in days), None)
    if waiting is not None:
        return Keeping(None, waiting)
    ends = [(it.keep.after(days[it.since]), it.rule) for it in duties]
    if not ends:
        return Keeping(on, "nothing")
    until, rule = max(ends)
    return Keeping(until, rule)

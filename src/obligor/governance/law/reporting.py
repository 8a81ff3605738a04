"""By when a confirmed match is to be reported to OFAC (31 CFR 501.603, 31 CFR 501.604).

The day that is told is counted from Monday to Friday, and no holiday is taken out: with one in between it is earlier than the
law's, and never later. Late is a report alone that is so when the holidays of the United States are taken out, too. Both are
counted from the day of the confirmation; property that was blocked before is due by the day on which it was.

What is blocked on 30 June is reported once a year as well, by 30 September (31 CFR 501.603(b)(2)), a weekend or not.
"""

from __future__ import annotations

from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Final

from obligor.governance.law.rules import the_law

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

_OF_BLOCKED: Final = "us.ofac.501.603"
RULES: Final = (_OF_BLOCKED, "us.ofac.501.604")
_HELD_ON, _YEARLY_BY = (6, 30), (9, 30)
"""Month and day: of what is held on the one, the yearly report is due by the other."""
_FRIDAY: Final = 4
_WEST: Final = timezone(timedelta(hours=-10))
"""Hawaii's, where a day ends last of all states."""


def last_day_at(at: datetime) -> date:
    """Give the day that an instant is where days end last: one is over in every state once the next has begun here."""
    return at.astimezone(_WEST).date()


def report_due_on(confirmed_at: datetime) -> date | None:
    """Give the last day for the report of a match; None where no rule that holds asks for one."""
    day = last_day_at(confirmed_at)
    within = _within(day)
    return None if within is None else _working_days_after(day, within)


def is_late(confirmed_at: datetime, reported_on: date) -> bool:
    """Tell whether a report came after its last day, however that is counted; never where no rule asks for one."""
    from holidays import country_holidays

    day = last_day_at(confirmed_at)
    within = _within(day)
    return within is not None and reported_on > country_holidays("US").get_nth_working_day(day, within)


def held_on(year: int) -> date:
    """Give the day whose blocked property the report of a year names."""
    return date(year, *_HELD_ON)


def yearly_report_due_on(confirmed_at: datetime, now: datetime, *, filed: Iterable[int] = ()) -> date | None:
    """Give the last day for the next yearly report that names what is blocked of a match; None where no rule asks for one.

    The first is that of the year on whose 30 June the match was confirmed; after that of a year was filed, the next.
    """
    today = last_day_at(now)
    due = date(
        max(
            today.year + ((today.month, today.day) > _YEARLY_BY),
            first_year_of(confirmed_at),
            *(year + 1 for year in filed),
        ),
        *_YEARLY_BY,
    )
    return due if the_law().in_force(_OF_BLOCKED, due) else None


def first_year_of(confirmed_at: datetime) -> int:
    """Give the year whose report is the first to name a match."""
    day = last_day_at(confirmed_at)
    return day.year + (day > held_on(day.year))


def is_yearly_late(year: int, reported_on: date) -> bool:
    """Tell whether the report of a year came after its last day; never where no rule asks for one."""
    due = date(year, *_YEARLY_BY)
    return reported_on > due and the_law().in_force(_OF_BLOCKED, due)


def _within(day: date) -> int | None:
    """Give the business days within which a match of a day is reported."""
    law = the_law()
    within = [law.rule(name).business_days for name in RULES if law.in_force(name, day)]
    return min((days for days in within if days is not None), default=None)


def _working_days_after(day: date, count: int) -> date:
    """Count days from Monday to Friday; a weekend is counted from the Friday before."""
    start = day - timedelta(days=max(day.weekday() - _FRIDAY, 0))
    weeks, more = divmod(count, _FRIDAY + 1)
    weekend = 2 if start.weekday() + more > _FRIDAY else 0
    return start + timedelta(days=7 * weeks + more + weekend)

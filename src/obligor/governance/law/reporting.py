"""By when a confirmed match is to be reported to OFAC (31 CFR 501.603, 31 CFR 501.604).

Business days are counted here from Monday to Friday, and no holiday is taken out: with one in between, the day that is told
is earlier than the law's, and never later. It is counted from the day of the confirmation; property that was blocked before
is due by the day on which it was.
"""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Final

from obligor.governance.law.rules import the_law

if TYPE_CHECKING:
    from datetime import date, datetime

RULES: Final = ("us.ofac.501.603", "us.ofac.501.604")
_FRIDAY: Final = 4
_WEST: Final = timezone(timedelta(hours=-10))
"""Hawaii's, where a day ends last of all states."""


def last_day_at(at: datetime) -> date:
    """Give the day that an instant is where days end last: one is over in every state once the next has begun here."""
    return at.astimezone(_WEST).date()


def report_due_on(confirmed_at: datetime) -> date | None:
    """Give the last day for the report of a match; None where no rule that holds asks for one."""
    law, day = the_law(), last_day_at(confirmed_at)
    within = [law.rule(name).business_days for name in RULES if law.in_force(name, day)]
    counted = [days for days in within if days is not None]
    if not counted:
        return None
    return _working_days_after(day, min(counted))


def _working_days_after(day: date, count: int) -> date:
    """Count days from Monday to Friday; a weekend is counted from the Friday before."""
    start = day - timedelta(days=max(day.weekday() - _FRIDAY, 0))
    weeks, more = divmod(count, _FRIDAY + 1)
    weekend = 2 if start.weekday() + more > _FRIDAY else 0
    return start + timedelta(days=7 * weeks + more + weekend)

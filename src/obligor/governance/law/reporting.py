"""By when a confirmed match is to be reported to OFAC (31 CFR 501.603, 31 CFR 501.604).

Business days are counted here from Monday to Friday, and no holiday is taken out: with one in between, the day that is told
is earlier than the law's, and never later. It is counted from the day of the confirmation; property that was blocked before
is due by the day on which it was.
"""

from __future__ import annotations

from datetime import date, timedelta, timezone
from typing import TYPE_CHECKING, Final

import numpy as np

from obligor.governance.law.rules import the_law

if TYPE_CHECKING:
    from datetime import datetime

RULES: Final = ("us.ofac.501.603", "us.ofac.501.604")
_WEST: Final = timezone(timedelta(hours=-10))
"""Hawaii's, where a day ends last of all states."""


def report_due_on(confirmed_at: datetime) -> date | None:
    """Give the last day for the report of a match; None where no rule that holds asks for one."""
    law, day = the_law(), confirmed_at.astimezone(_WEST).date()
    within = [law.rule(name).business_days for name in RULES if law.in_force(name, day)]
    counted = [days for days in within if days is not None]
    if not counted:
        return None
    return date.fromisoformat(str(np.busday_offset(day.isoformat(), min(counted), roll="backward")))

"""A confirmed match whose day passed without a report is for somebody to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from obligor.core.leaves import Leaf
from obligor.governance.audit.examination import Examination
from obligor.governance.audit.reporting import Reports

NOON = datetime(2026, 11, 27, 20, tzinfo=UTC)
"""A Friday, in Hawaii too: ten business days later is the 11th of December."""
AFTER = datetime(2026, 12, 12, 10, tzinfo=UTC)
"""The first instant of the day after, in Hawaii."""


@pytest.mark.parametrize(
    ("kinds", "late", "waits"),
    [
        (("confirmed",), True, 1),
        (("confirmed", "doubted"), True, 1),
        (("proposed", "confirmed", "reported"), False, 0),
        (("confirmed", "doubted", "corrected"), False, 0),
        (("confirmed", "reported", "doubted", "corrected"), False, 0),
        (("opened", "proposed", "cleared"), False, 0),
    ],
)
def test_a_match_is_told_from_the_day_after_its_last_until_it_is_reported_or_corrected(
    kinds: tuple[str, ...], *, late: bool, waits: int
) -> None:
    reports = Reports()
    for kind in kinds:
        reports.take(Leaf(NOON, "person:ada", f"alert.{kind}", "a-1", "0" * 64))
    before, after = (reports.check(it) for it in (AFTER - timedelta(microseconds=1), AFTER))
    assert (before.verdict, after.verdict) == ("ok", "look" if late else "ok")
    assert after.why == ("alert a-1: was to be reported by 2026-12-11" if late else "")
    assert after.counts == {"not reported yet": waits}
    assert Examination((after,)).sound
    assert Examination((after,), strict=True).sound is not late

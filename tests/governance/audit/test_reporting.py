"""A confirmed match whose day passed without a report is for somebody to look at; one reported after it is counted."""

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
IN_TIME, LATE = "reported 2026-12-11", "reported 2026-12-12"


@pytest.mark.parametrize(
    ("steps", "missing", "waits", "late"),
    [
        (("confirmed",), True, 1, 0),
        (("confirmed", "doubted"), True, 1, 0),
        (("proposed", "confirmed", IN_TIME), False, 0, 0),
        (("confirmed", LATE), False, 0, 1),
        (("confirmed", IN_TIME, LATE), False, 0, 1),  # the last counts
        (("confirmed", LATE, IN_TIME), False, 0, 0),
        (("confirmed", "doubted", "corrected"), False, 0, 0),
        (("confirmed", IN_TIME, "doubted", "corrected"), False, 0, 0),
        (("confirmed", "doubted", LATE, "corrected"), False, 0, 0),  # one that was a mistake was due on no day
        (("confirmed", "doubted", "corrected", LATE), False, 0, 0),
        (("opened", "proposed", "cleared"), False, 0, 0),
    ],
)
def test_a_match_is_told_from_the_day_after_its_last_until_it_is_reported_or_corrected(
    steps: tuple[str, ...], *, missing: bool, waits: int, late: int
) -> None:
    reports = Reports()
    for step in steps:
        kind, _, day = step.partition(" ")
        reports.take(Leaf(NOON, "person:ada", f"alert.{kind}", "a-1", "0" * 64), {"reported_on": day})
    before, after = (reports.check(it) for it in (AFTER - timedelta(microseconds=1), AFTER))
    assert (before.verdict, after.verdict) == ("ok", "look" if missing else "ok")
    assert after.why == ("alert a-1: was to be reported by 2026-12-11" if missing else "")
    yearly = {"in the yearly report by 2027-09-30": 1} if "confirmed" in steps and "corrected" not in steps else {}
    assert after.counts == {"not reported yet": waits, "reported late": late} | yearly
    assert Examination((after,)).sound
    assert Examination((after,), strict=True).sound is not missing


@pytest.mark.parametrize(
    ("filed", "counted"),
    [
        ((), {"in the yearly report by 2028-09-30": 2, "confirmed, and no yearly report of 2027": 1}),
        (("2027-09-30",), {"in the yearly report by 2028-09-30": 2}),
        (("2027-10-01",), {"in the yearly report by 2028-09-30": 2, "yearly report of 2027 filed late": 1}),
        (("2027-10-01", "2027-09-30"), {"in the yearly report by 2028-09-30": 2}),  # the last counts
        (("nonsense",), {"in the yearly report by 2028-09-30": 2}),
    ],
)
def test_a_yearly_report_that_was_filed_late_is_told_from_one_that_was_not_filed(
    filed: tuple[str, ...], counted: dict[str, int]
) -> None:
    """Of a match that is in that of 2027, and one that came after its 30 June; a third was corrected."""
    reports = Reports()
    later = datetime(2027, 7, 1, 20, tzinfo=UTC)
    for at, alert, kind in (
        *((NOON, "a-1", "confirmed"), (later, "a-2", "confirmed")),
        *((NOON, "a-3", "confirmed"), (NOON, "a-3", "corrected")),
    ):
        reports.take(Leaf(at, "person:ada", f"alert.{kind}", alert, "0" * 64), {})
        if kind == "confirmed":
            reports.take(
                Leaf(at, "person:ada", "alert.reported", alert, "0" * 64), {"reported_on": at.date().isoformat()}
            )
    for day in filed:
        reports.take(Leaf(later, "person:ada", "alert.reported.yearly", "2027", "0" * 64), {"reported_on": day})
    told = reports.check(datetime(2027, 10, 2, 20, tzinfo=UTC))
    assert told.verdict == "ok"
    assert told.counts == {"not reported yet": 0, "reported late": 0} | counted


def test_before_its_day_has_passed_no_yearly_report_is_missed_and_once_filed_the_next_is_told() -> None:
    reports, july = Reports(), datetime(2027, 7, 5, 20, tzinfo=UTC)
    for kind in ("confirmed", "reported"):
        reports.take(Leaf(NOON, "person:ada", f"alert.{kind}", "a-1", "0" * 64), {"reported_on": "2026-12-01"})
    for due in ("2027", "2028"):
        told = reports.check(july).counts
        assert told == {"not reported yet": 0, "reported late": 0, f"in the yearly report by {due}-09-30": 1}
        reports.take(Leaf(july, "person:ada", "alert.reported.yearly", "2027", "0" * 64), {"reported_on": "2027-07-05"})


def test_a_report_whose_record_says_no_day_breaks_no_examination() -> None:
    reports = Reports()
    for kind in ("confirmed", "reported"):
        reports.take(Leaf(NOON, "person:ada", f"alert.{kind}", "a-1", "0" * 64), {})
    assert reports.check(AFTER).verdict == "ok"

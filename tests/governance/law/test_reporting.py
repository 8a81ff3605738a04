"""By when a confirmed match is reported, held against a calendar with federal holidays."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.tseries.holiday import USFederalHolidayCalendar
from pandas.tseries.offsets import CustomBusinessDay

from obligor.governance.law import reporting
from obligor.governance.law.reporting import RULES, is_late, is_yearly_late, report_due_on, yearly_report_due_on
from obligor.governance.law.rules import the_law

HOLIDAYS = {it.date() for it in USFederalHolidayCalendar().holidays("2020-01-01", "2040-12-31")}
WITH_HOLIDAYS = CustomBusinessDay(holidays=sorted(HOLIDAYS))  # type: ignore[arg-type]  # dates


@given(st.dates(date(2020, 1, 1), date(2039, 12, 1)))
def test_the_day_is_the_tenth_business_day_or_before_it_where_a_holiday_lies_between(day: date) -> None:
    told = report_due_on(datetime(day.year, day.month, day.day, 20, tzinfo=UTC))
    assert told is not None
    wanted = day
    for _ in range(10):
        wanted = (wanted + WITH_HOLIDAYS).date()  # type: ignore[operator]  # a Timestamp
    between = any(day < it <= wanted and it.weekday() < 5 for it in HOLIDAYS)
    assert told < wanted if between else told == wanted


@given(st.dates(date(2021, 7, 1), date(2039, 12, 1)))
def test_a_report_is_late_from_the_day_after_the_tenth_with_federal_holidays_taken_out(day: date) -> None:
    confirmed_at, last = datetime(day.year, day.month, day.day, 20, tzinfo=UTC), day
    for _ in range(10):
        last = (last + WITH_HOLIDAYS).date()  # type: ignore[operator]  # a Timestamp
    assert not is_late(confirmed_at, last)
    assert is_late(confirmed_at, last + timedelta(days=1))


def test_where_no_rule_asks_for_a_report_none_is_late() -> None:
    assert not is_late(datetime(1997, 8, 1, tzinfo=UTC), date(2026, 1, 1))


@given(st.dates(date(2020, 1, 1), date(2039, 12, 1)), st.integers(0, 40))
def test_working_days_are_those_of_another_library(day: date, count: int) -> None:
    wanted = np.busday_offset(day.isoformat(), count, roll="backward")
    assert reporting._working_days_after(day, count).isoformat() == str(wanted)


@pytest.mark.parametrize(
    ("confirmed", "now", "due"),
    [
        ("2026-06-30", "2026-06-30", "2026-09-30"),  # held on 30 June of this year
        ("2026-07-01", "2026-07-01", "2027-09-30"),
        ("2026-03-01", "2026-09-30", "2026-09-30"),  # the last day
        ("2026-03-01", "2026-10-01", "2027-09-30"),
        ("2019-12-31", "2026-11-27", "2027-09-30"),
        ("2026-12-31", "2026-12-31", "2027-09-30"),
    ],
)
def test_the_yearly_report_is_of_what_is_held_on_30_june_and_due_by_30_september(
    confirmed: str, now: str, due: str
) -> None:
    told = yearly_report_due_on(*(datetime.fromisoformat(f"{it}T12:00:00-10:00") for it in (confirmed, now)))
    assert str(told) == due


def test_where_no_rule_asks_for_a_yearly_report_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    law, at = the_law(), datetime(2026, 11, 27, 12, tzinfo=UTC)
    rules = tuple(it.model_copy(update={"status": "withdrawn"} if it.id in RULES else {}) for it in law.rules)
    monkeypatch.setattr(reporting, "the_law", lambda: law.model_copy(update={"rules": rules}))
    assert yearly_report_due_on(at, at) is None
    assert not is_yearly_late(2026, date(2027, 1, 1))


@pytest.mark.parametrize(
    ("now", "filed", "due"),
    [
        ("2026-07-01", (), "2026-09-30"),
        ("2026-07-01", (2025,), "2026-09-30"),
        ("2026-07-01", (2025, 2026), "2027-09-30"),
        ("2026-11-01", (2026,), "2027-09-30"),  # late
        ("2026-11-01", (2025,), "2027-09-30"),  # which was never filed
    ],
)
def test_once_the_report_of_a_year_was_filed_the_next_years_is_due(now: str, filed: tuple[int, ...], due: str) -> None:
    days = (datetime.fromisoformat(f"{it}T12:00:00-10:00") for it in ("2025-03-01", now))
    assert str(yearly_report_due_on(*days, filed=filed)) == due


@given(st.integers(1998, 2100), st.integers(-60, 60))
def test_a_yearly_report_is_late_from_the_first_of_october_on(year: int, days: int) -> None:
    assert is_yearly_late(year, date(year, 9, 30) + timedelta(days=days)) == (days > 0)


@pytest.mark.parametrize(
    ("at", "due"),
    [
        ("2026-11-27T12:00:00+00:00", "2026-12-11"),
        ("2026-11-28T20:00:00+00:00", "2026-12-11"),  # a Saturday: Monday is the first
        ("2026-12-01T04:00:00+00:00", "2026-12-14"),  # Monday evening in every state
        ("2026-12-01T11:00:00+00:00", "2026-12-15"),
    ],
)
def test_the_day_of_a_confirmation_is_that_of_the_state_where_it_is_earliest(at: str, due: str) -> None:
    assert str(report_due_on(datetime.fromisoformat(at))) == due


def test_the_days_are_those_of_the_lawbook_and_without_a_rule_that_holds_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law, at = the_law(), datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert [law.rule(name).business_days for name in RULES] == [10, 10]
    assert report_due_on(datetime(1997, 8, 1, tzinfo=UTC)) is None
    for change, due in (
        ({"business_days": 3}, date(2026, 12, 2)),
        ({"status": "withdrawn"}, None),
        ({"effective_from": at.date() + timedelta(days=1)}, None),
    ):
        rules = tuple(it.model_copy(update=change) if it.id in RULES else it for it in law.rules)
        monkeypatch.setattr(reporting, "the_law", lambda rules=rules: law.model_copy(update={"rules": rules}))
        assert report_due_on(at) == due

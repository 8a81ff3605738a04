"""What people say of an alert, in whatever order, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Final, get_args
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.governance.audit.logs import VERIFIER, MemoryLog

from obligor.core.errors import ApplicationError, ClashError, ForbiddenError, ObligorError
from obligor.core.leaves import time_text
from obligor.governance.audit.verifying import verify_log
from obligor.progress import Silence
from obligor.screening.lists import ListKind
from obligor.serving.acts import Submission
from obligor.serving.rows import AlertReportRow, AlertStepRow
from obligor.serving.screening.alert_steps import Clearance, Confirmation, StoredAlert
from obligor.serving.screening.reports import Report

if TYPE_CHECKING:
    from obligor.serving.screening.alert_steps import Said

ONE: Final = UUID(int=1)
OPENED: Final = datetime(2026, 11, 20, 20, tzinfo=UTC)
REASONS: Final = st.sampled_from(["another birth place", "the same passport"])
DAYS: Final = st.dates(date(2026, 11, 18), date(2026, 12, 20))
REPORTS: Final = st.builds(Report, st.sampled_from(["ORS-1", "ORS-2"]), st.none() | DAYS, st.none() | REASONS)
FINDINGS: Final = st.sampled_from([None, "somebody_else", "due_diligence"])
SAID: Final = st.one_of(
    st.builds(Clearance, REASONS, finding=FINDINGS), st.builds(Confirmation, REASONS), REPORTS, REPORTS
)
STORY: Final = st.lists(st.tuples(SAID, st.sampled_from(["ada", "Bob", "bob"])), max_size=12)


def opened(score: int = 9000) -> StoredAlert:
    return StoredAlert(ONE, UUID(int=7), "bank", "1001", score, "0" * 64, OPENED, b"", *[None] * 7)


def after(stored: StoredAlert, row: AlertStepRow | AlertReportRow) -> StoredAlert:
    """Give an alert as it is kept after a step."""
    if isinstance(row, AlertReportRow):
        return stored._replace(reports=(*stored.reports, row))
    ends = {"because": row.because, "until": row.until}
    match row.step:
        case "proposed":
            return stored._replace(proposed_by=row.by, **ends)
        case "confirmed":
            return stored._replace(confirmed_by=row.by, confirmed_at=row.at, **ends)
        case "examined":
            return stored._replace(examined_by=row.by, finding=row.finding, **ends)
        case "doubted":
            return stored._replace(doubted_by=row.by, **ends)
        case "cleared" | "corrected":
            return stored._replace(cleared_by=row.by, finding=row.finding, **ends)


@given(STORY, st.sampled_from([9000, 9700]), st.sampled_from(get_args(ListKind)))
def test_whatever_is_said_of_an_alert_its_rows_are_what_its_records_say_and_no_report_is_lost(
    story: list[tuple[Said, str]], score: int, kind: ListKind
) -> None:
    log, stored, at = MemoryLog(), opened(score)._replace(list_kind=kind), OPENED
    for said, by in story:
        at, before = at + timedelta(days=2), stored
        try:
            step = said.step(stored, at=at, by=by)
        except (ClashError, ForbiddenError, ApplicationError):
            continue
        log.record(Submission((step.act(salt=bytes(16)),), lambda _: b""))
        stored = after(stored, step.row)
        assert stored.reports[: len(before.reports)] == before.reports
        assert stored != before
    assert [it.number for it in stored.reports] == list(range(1, len(stored.reports) + 1))
    assert [it.because is None for it in stored.reports] == [it == 1 for it in range(1, len(stored.reports) + 1)]
    assert stored.confirmed_by is not None or not stored.reports
    assert verify_log(log, signatures=VERIFIER, progress=Silence()).findings == ()


@given(STORY, st.sampled_from([9499, 9500]), st.sampled_from(["sanctions", "pep"]))
def test_an_alert_stands_as_was_said_of_it_last_and_nobody_ends_alone_what_takes_two(
    story: list[tuple[Said, str]], score: int, kind: ListKind
) -> None:
    stored, at, last = opened(score)._replace(list_kind=kind), OPENED, "open"
    for said, by in story:
        at += timedelta(days=2)
        try:
            step = said.step(stored, at=at, by=by)
        except (ClashError, ForbiddenError, ApplicationError):
            continue
        stored = after(stored, step.row)
        if isinstance(step.row, AlertStepRow):
            last = step.row.step
            assert step.told["state"] == last
            if last == "proposed" and stored.examined_by is not None:
                last = "examined"  # which only a second person is wanted for
        assert stored.state(at) == last
    if last in ("cleared", "corrected"):
        assert stored.until is not None
        assert [stored.state(stored.until - it) for it in (timedelta(seconds=1), timedelta())] == [last, "expired"]
    firsts = {"corrected": stored.doubted_by, "due_diligence": stored.examined_by}
    first = firsts.get(stored.finding or last, stored.proposed_by)
    takes_two = score >= 9500 or stored.confirmed_by is not None or stored.examined_by is not None
    assert stored.needs_second == takes_two
    assert stored.cleared_by is None or takes_two == (first is not None)
    assert stored.cleared_by is None or first is None or stored.cleared_by.lower() != first.lower()
    assert stored.confirmed_by is None or kind == "sanctions"
    assert stored.cleared_by is None or (stored.finding is None) == (kind == "sanctions")
    due = stored.confirmed_by is not None and last != "corrected"
    assert (stored.report_due_on is not None) == (stored.yearly_report_due_on(at) is not None) == due


@given(DAYS)
def test_a_report_is_late_from_the_day_after_its_last_and_never_where_none_is_told(day: date) -> None:
    confirmed = opened()._replace(confirmed_by="ada", confirmed_at=OPENED)
    assert confirmed.is_late(day) == (day > date(2026, 12, 7))  # two weeks after a Friday, and a day for Thanksgiving
    assert not opened().is_late(day)
    assert not confirmed._replace(cleared_by="bob").is_late(day)


def test_a_key_is_bound_to_what_it_was_before_there_were_amendments() -> None:
    """So that a request of then is answered as it was."""
    for said, bound in (
        (Clearance("why"), ("why", 365)),
        (Clearance("why", 30, "due_diligence"), ("why", 30, "due_diligence")),
        (Confirmation("why"), ("why",)),
        (Report("ORS-1"), ("ORS-1", None)),
        (Report("ORS-1", date(2026, 11, 27)), ("ORS-1", "2026-11-27")),
        (Report("ORS-1", None, "a digit was wrong"), ("ORS-1", None, "a digit was wrong")),
    ):
        assert said.bound == bound


def test_a_log_of_before_there_were_amendments_still_verifies() -> None:
    """Neither its records nor its tables have a number and a reason."""
    log, at = MemoryLog(), OPENED
    confirmed = opened()._replace(confirmed_by="ada", confirmed_at=at)
    step = Report("ORS-1").step(confirmed, at=at, by="ada")
    del step.said["number"], step.said["because"]
    log.record(Submission((step.act(salt=bytes(16)),), lambda _: b""))
    (row,) = log.tables["alert_report"]
    assert verify_log(log, signatures=VERIFIER, progress=Silence()).findings == ()
    for column in ("number", "because"):
        row.values.pop(column)  # type: ignore[attr-defined]  # a dictionary
    assert verify_log(log, signatures=VERIFIER, progress=Silence()).findings == ()
    row.values["number"] = 2  # type: ignore[index]  # a dictionary
    assert len(verify_log(log, signatures=VERIFIER, progress=Silence()).findings) == 1


@pytest.mark.parametrize(
    "said", [Clearance(" "), Clearance("why", 0), Clearance("why", 731), Confirmation(""), Report("nobody")]
)
@pytest.mark.parametrize("card", [False, True])
def test_what_names_no_reason_or_holds_a_card_number_is_refused_at_every_door(said: Said, *, card: bool) -> None:
    if card:
        said = type(said)("4111 1111 1111 1111")
    with pytest.raises(ObligorError, match="card" if card else said.name) as refused:
        said.check()
    assert "4111" not in str(refused.value)


@pytest.mark.parametrize("days", [1, 730])
def test_a_clearance_may_hold_from_a_day_to_two_years(days: int) -> None:
    Clearance("why", days).check()
    assert Clearance("why", days).step(opened(), at=OPENED, by="ada").told["until"] == time_text(
        OPENED + timedelta(days=days)
    )

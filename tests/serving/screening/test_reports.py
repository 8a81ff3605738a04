"""What people say of the report of a year, in whatever order, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.governance.audit.logs import VERIFIER, MemoryLog

from obligor.core.errors import ApplicationError, ClashError, ObligorError
from obligor.governance.audit.verifying import verify_log
from obligor.progress import Silence
from obligor.serving.acts import Submission
from obligor.serving.rows import YearlyReportRow
from obligor.serving.screening.reports import YearlyReport, YearlyReports

ONE, TWO, JULY, OPEN = (UUID(int=it) for it in range(1, 5))
MATCHES: Final = {
    ONE: datetime(2026, 3, 1, tzinfo=UTC),
    TWO: datetime(2026, 7, 1, 9, tzinfo=UTC),  # the 30th of June in Hawaii
    JULY: datetime(2026, 7, 1, 10, tzinfo=UTC),
}
AT: Final = datetime(2026, 8, 1, 20, tzinfo=UTC)
FIRST: Final = YearlyReportRow(2026, 1, "ORS-1", date(2026, 7, 30), (str(ONE),), None, AT, "ada")
STORY: Final = st.lists(
    st.builds(
        YearlyReport,
        st.sampled_from(["ORS-1", "ORS-2"]),
        st.none() | st.dates(date(2026, 6, 25), date(2026, 8, 20)),
        st.none() | st.just("a digit was wrong"),
        year=st.sampled_from([2025, 2026]),
        alerts=st.none() | st.lists(st.sampled_from([ONE, TWO, JULY, OPEN])).map(tuple),
    ),
    max_size=12,
)


@given(STORY)
def test_whatever_is_said_of_yearly_reports_their_rows_are_what_their_records_say_and_none_is_lost(
    story: list[YearlyReport],
) -> None:
    log, reports, at = MemoryLog(), (), AT
    for said in story:
        at += timedelta(days=1)
        try:
            step = said.step(YearlyReports(reports, MATCHES), at=at, by="ada")
        except (ClashError, ApplicationError):
            continue
        log.record(Submission((step.act(salt=bytes(16)),), lambda _: b""))
        row = step.row
        assert isinstance(row, YearlyReportRow)
        reports += (row,)  # type: ignore[assignment]
    for year in (2025, 2026):
        of_year = [it for it in reports if it.year == year]  # type: ignore[attr-defined]
        assert [(it.number, it.because is None) for it in of_year] == [(it + 1, not it) for it in range(len(of_year))]
    assert verify_log(log, signatures=VERIFIER, progress=Silence()).findings == ()
    for stored in log.tables["yearly_report"][:1]:
        stored.values["alerts"] = [str(OPEN)]  # type: ignore[index]  # a dictionary
        assert len(verify_log(log, signatures=VERIFIER, progress=Silence()).findings) == 1


@pytest.mark.parametrize("again", [False, True])
def test_a_yearly_report_is_said_once_and_amended_with_a_reason_and_what_is_not_said_again_stays(
    *, again: bool
) -> None:
    stored = YearlyReports((FIRST,) if again else (), MATCHES)
    because = "a match was forgotten" if again else None
    both = YearlyReport("ORS-1", None, because, year=2026, alerts=(TWO, ONE, ONE)).step(stored, at=AT, by="bob")
    assert isinstance(both.row, YearlyReportRow)
    assert both.row.alerts == (str(ONE), str(TWO))
    assert (both.row.number, both.row.reported_on) == ((2, FIRST.reported_on) if again else (1, AT.date()))
    with pytest.raises(ClashError, match="says why" if again else "nothing to amend"):
        YearlyReport("ORS-2", None, None if again else "why", year=2026, alerts=(ONE,)).step(stored, at=AT, by="bob")
    if again:
        reference = YearlyReport("ORS-2", None, "a digit was wrong", year=2026).step(stored, at=AT, by="bob")
        assert (reference.told["alerts"], reference.told["late"]) == ([str(ONE)], False)
        with pytest.raises(ClashError, match="what the last report of this year says"):
            YearlyReport("ORS-1", None, "why", year=2026).step(stored, at=AT, by="bob")


@pytest.mark.parametrize(
    ("alerts", "day", "field"),
    [
        (None, None, "alerts: "),
        ((), None, "alerts: "),
        ((ONE, JULY), None, r"alerts\[1\]"),  # opened after its 30 June
        ((OPEN,), None, r"alerts\[0\]"),  # confirmed by nobody
        ((ONE,), date(2026, 6, 29), "reported_on"),
        ((ONE,), date(2026, 8, 2), "reported_on"),
    ],
)
def test_a_yearly_report_names_confirmed_matches_of_before_its_30_june_and_is_filed_after_it(
    alerts: tuple[UUID, ...] | None, day: date | None, field: str
) -> None:
    with pytest.raises(ApplicationError, match=field):
        YearlyReport("ORS-1", day, year=2026, alerts=alerts).step(YearlyReports((), MATCHES), at=AT, by="ada")


@pytest.mark.parametrize(
    "said",
    [
        YearlyReport("ORS-1", year=0),
        YearlyReport("ORS-1", year=10_000),
        YearlyReport("nobody", year=2026),
        YearlyReport("4111 1111 1111 1111", year=2026),
        YearlyReport("ORS-1", because=" ", year=2026),
    ],
)
def test_what_could_never_be_recorded_of_a_year_is_refused_at_every_door(said: YearlyReport) -> None:
    with pytest.raises(ObligorError, match=r"yearly report|payment card"):
        said.check()

"""How alerts are told on the command line."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID

from obligor.bootstrap.alerts import Queue, Shown
from obligor.serving.rows import AlertReportRow
from obligor.serving.screening.alert_steps import StoredAlert
from obligor.serving.screening.desk import plain

ID = UUID(int=1)
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
CONFIRMED = StoredAlert(
    *(ID, UUID(int=7), "bank", "1001", 9700, "0" * 64, NOON),
    b'{"why": {"name": "KORVAND, Oleg", "kind": "individual", "programmes": ["X"], "born": "exact"}, "algorithm": "a",'
    b' "rules_sha256": "0"}',
    *(None, None, "ada", NOON, None, "why", None),
)


def test_a_late_report_is_told_apart_in_the_list_and_each_as_it_was_where_one_is_shown() -> None:
    late = AlertReportRow(ID, 1, "ORS-1", date(2026, 12, 12), None, NOON, "ada")
    amended = AlertReportRow(ID, 2, "ORS-1", date(2026, 12, 11), "it was the last day", NOON, "bob")
    for reports, listed in (
        ((), "report due on 2026-12-11"),
        ((late,), "reported on 2026-12-12, late"),
        ((late, amended), "reported on 2026-12-11"),
    ):
        told = plain(CONFIRMED._replace(reports=reports), NOON, why=True)
        assert Queue([told], ()).lines()[0].endswith(f"confirmed, {listed}, yearly report by 2027-09-30")
        yearly, *shown = Shown(told).lines()[6:]
        assert yearly == "  what is blocked on 30 June, in the yearly report by 2027-09-30"
        assert (
            shown
            == [
                "  reported on 2026-12-12, late, reference ORS-1, says ada",
                "  amended: reported on 2026-12-11, reference ORS-1, says bob: it was the last day",
            ][: len(reports)]
        )

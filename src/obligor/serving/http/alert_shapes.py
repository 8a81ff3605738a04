"""Alerts, and what is said of them, as models: see ``shapes``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from obligor.screening.lists import ListKind
from obligor.serving.http.shapes import Instant, ReceiptTold, Sha256, Shape
from obligor.serving.rows import Finding
from obligor.serving.said import MOST_BECAUSE
from obligor.serving.screening.alert_steps import Clearing
from obligor.serving.screening.reports import MOST_REFERENCE, REFERENCE


class ReportTold(Shape):
    """That a confirmed match was reported, as it was said once."""

    number: Annotated[int, Field(ge=1)]
    """From 2 on, it amends the one before."""
    reference: str
    reported_on: date
    late: bool
    """Whether that is after the last day that is told; false where none is."""
    because: str | None
    """Why it amends the one before."""
    at: Instant
    by: str


class AlertTold(Shape):
    """An alert, told to who may read it."""

    alert_id: UUID
    decision_id: UUID
    """The decision on the applicant."""
    client_id: str
    entry: str
    """The id of the entry in the list."""
    score: Annotated[float, Field(ge=0, le=1)]
    list_sha256: Sha256
    list_kind: ListKind
    """`pep`: of politically exposed persons, which is never confirmed, and cleared with a finding."""
    opened_at: Instant
    state: Literal["open", "proposed", "cleared", "expired", "confirmed", "doubted", "corrected", "examined"]
    """`examined`: it is the exposed person, to be approved by a second person; `doubted`: to be corrected, by a second person;
    `corrected`: cleared, though it was confirmed."""
    needs_second: bool
    """Whether two people clear it as somebody else's; after due diligence two always do."""
    proposed_by: str | None
    cleared_by: str | None
    confirmed_by: str | None
    confirmed_at: Instant | None
    doubted_by: str | None
    examined_by: str | None
    """Who said that it is the exposed person, and looked more closely; who approved them is `cleared_by`."""
    finding: Finding | None
    """Of a politically exposed person: why they were cleared, or are to be after due diligence; null of sanctions, and where
    it was not yet said in that word."""
    report_due_on: date | None
    """The last day for the report of a confirmed match, with no holiday taken out."""
    reported_on: date | None
    """The day on which the match was reported, as the last of `reports` says; so too the three that follow."""
    reported_late: bool | None
    """Whether that was after the last day, with federal holidays taken out."""
    reported_by: str | None
    """Who said so."""
    report_reference: str | None
    """By which the report is found."""
    reports: list[ReportTold]
    """All that was said of the report, the first first."""
    yearly_report_due_on: date | None
    """The last day for the next yearly report that names a confirmed match, where its property is blocked on 30 June; after
    that of a year was filed, the next year's."""
    because: str | None
    until: Instant | None
    """The instant from which the hit counts again."""


class AlertWhy(Shape):
    """What the list says of the entry that was hit."""

    name: str
    strength: Literal["main", "strong", "weak"]
    kind: str
    programmes: list[str]
    born: Literal["exact", "swapped", "compatible", "near", "different", "unknown"]
    """How the birth date agrees."""


class OneAlertTold(AlertTold):
    """An alert, and why it was opened."""

    why: AlertWhy
    algorithm: str
    rules_sha256: Sha256


class YearlyReportTold(Shape):
    """That what was blocked on 30 June of a year was reported, as it was said once."""

    year: int
    number: Annotated[int, Field(ge=1)]
    """From 2 on, it amends the one before, and the last counts."""
    reference: str
    reported_on: date
    alerts: list[UUID]
    """Whose matches it named."""
    late: bool
    """Whether that is after 30 September of the year."""
    because: str | None
    """Why it amends the one before."""
    at: Instant
    by: str


class AlertsTold(Shape):
    """The alerts that nobody has cleared: those that wait, then those confirmed, each the most alike first; at most 200."""

    alerts: list[AlertTold]
    yearly_reports: list[YearlyReportTold]
    """All that was said of yearly reports, the first first."""


class ClearanceAsked(Shape):
    """Why an alert is of somebody else."""

    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)]
    days: Annotated[int, Field(ge=1, le=730)] = 365
    """For how long it holds."""
    finding: Finding | None = None
    """Of a politically exposed person, always, and of nobody else: `somebody_else`, or `due_diligence`, where it is they and a
    closer look was taken, which two people say, whatever the score."""


class ClearanceAnswer(Shape):
    """What was recorded."""

    alert_id: UUID
    state: Clearing
    """`proposed`, `doubted` of one that was confirmed, and `examined` after due diligence: another person has to clear it."""
    at: Instant
    until: Instant
    finding: Finding | None
    receipt: ReceiptTold


class ConfirmationAsked(Shape):
    """Why an alert is of who applied."""

    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)]


class ConfirmationAnswer(Shape):
    """What was recorded."""

    alert_id: UUID
    state: Literal["confirmed"]
    at: Instant
    report_due_on: date | None
    """The last day for the report of the match, with no holiday taken out."""
    receipt: ReceiptTold


class AlertReportAsked(Shape):
    """That a confirmed match was reported, or otherwise than was said before."""

    reference: Annotated[str, Field(min_length=1, max_length=MOST_REFERENCE, pattern=f"^{REFERENCE}$")]
    """By which the report is found; name nobody."""
    reported_on: date | None = None
    """From the day of the alert to today (UTC). Where none is given: the day said before, and of a first report today as
    it is in Hawaii."""
    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)] | None = None
    """Why it amends what was said before, and only then."""


class AlertReportAnswer(Shape):
    """What was recorded."""

    alert_id: UUID
    number: Annotated[int, Field(ge=1)]
    """From 2 on, it amends the one before."""
    reference: str
    reported_on: date
    late: bool
    """Whether that is after the last day, with federal holidays taken out; false where there is none."""
    at: Instant
    receipt: ReceiptTold


class YearlyReportAsked(Shape):
    """That what was blocked on 30 June of a year was reported, or otherwise than was said before."""

    year: Annotated[int, Field(ge=1, le=9999)]
    reference: Annotated[str, Field(min_length=1, max_length=MOST_REFERENCE, pattern=f"^{REFERENCE}$")]
    """By which the report is found; name nobody."""
    alerts: Annotated[list[UUID], Field(min_length=1)] | None = None
    """Whose matches the report named: of alerts opened by 30 June of the year, and confirmed. Where none are given: those said
    before, and refused of a first report."""
    reported_on: date | None = None
    """From 30 June of the year to today (UTC). Where none is given: the day said before, and of a first report today as it is
    in Hawaii."""
    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)] | None = None
    """Why it amends what was said before, and only then."""


class YearlyReportAnswer(Shape):
    """What was recorded."""

    year: int
    number: Annotated[int, Field(ge=1)]
    """From 2 on, it amends the one before."""
    reference: str
    reported_on: date
    alerts: list[UUID]
    late: bool
    """Whether that is after 30 September of the year."""
    at: Instant
    receipt: ReceiptTold

"""What a validation found out about a tape: counts and codes, never a person's values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = "obligor/findings/1"
Severity = Literal["critical", "warning"]


class FindingCode(StrEnum):
    """What can be wrong with a tape, so that it can be counted."""

    UNPARSED = "unparsed"
    NOT_FINITE = "not_finite"
    COLLIDES = "collides"
    MISSING_REQUIRED = "missing_required"
    BELOW_MIN = "below_min"
    ABOVE_MAX = "above_max"
    UNKNOWN_LEVEL = "unknown_level"
    DUPLICATE_ROW = "duplicate_row"
    DUPLICATE_KEY = "duplicate_key"
    FUTURE = "future"
    CONTRADICTION = "contradiction"
    OUTCOME_OF_DECLINED = "outcome_of_declined"
    EXPECTATION = "expectation"
    NO_VALUES = "no_values"
    SPECIAL_IN_RANGE = "special_in_range"


REASONS: Mapping[FindingCode, str] = {
    FindingCode.UNPARSED: "cannot be read as the column's type",
    FindingCode.NOT_FINITE: "is not a finite number",
    FindingCode.COLLIDES: "falls on a special code once scaled",
    FindingCode.MISSING_REQUIRED: "lacks a required value",
    FindingCode.BELOW_MIN: "is below the lowest value that can be true",
    FindingCode.ABOVE_MAX: "is above the highest value that can be true",
    FindingCode.UNKNOWN_LEVEL: "is none of the known categories",
    FindingCode.DUPLICATE_ROW: "duplicate of an earlier row",
    FindingCode.DUPLICATE_KEY: "has the same key as a row that differs",
    FindingCode.FUTURE: "lies after the day up to which outcomes are known",
    FindingCode.CONTRADICTION: "contradicts another date of the application",
    FindingCode.OUTCOME_OF_DECLINED: "says that it was declined, and yet it has an outcome",
    FindingCode.EXPECTATION: "does not meet an expectation of the contract",
    FindingCode.NO_VALUES: "holds no value in any row",
    FindingCode.SPECIAL_IN_RANGE: "is a special code that could be a real value",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One check and what came of it.

    Parameters
    ----------
    table : str
        ``applications``, or the name of a history.
    column : str or None
        The column that was checked; None where a check is about several, or about the table.
    check : str
        What was checked: the expectation's type, or the reader's own rule.
    rows_checked : int
        The rows that had something to check; of these ``rows_failed`` did not pass.
    severity : str
        A ``critical`` failure puts its rows in quarantine, or stops the run where no row is to blame.
    blames_rows : bool
        Whether single rows are to blame, rather than the table.
    """

    code: FindingCode
    table: str
    column: str | None
    check: str
    message: str
    rows_checked: int
    rows_failed: int
    severity: Severity
    passed: bool
    blames_rows: bool = True

    @property
    def share(self) -> float:
        """The share of the checked rows that failed."""
        return self.rows_failed / self.rows_checked if self.rows_checked else 0.0


@dataclass(frozen=True, slots=True)
class Findings:
    """All that a validation found on a tape.

    Parameters
    ----------
    rows, quarantined : int
        The rows of the applications, and those of them with at least one critical failure of their own.
    suite : mapping
        The expectations that were checked, as Great Expectations writes a suite.
    """

    rows: int
    findings: tuple[Finding, ...]
    quarantined: int
    suite: Mapping[str, Any]  # JSON

    @property
    def failed(self) -> tuple[Finding, ...]:
        """The findings that did not pass."""
        return tuple(finding for finding in self.findings if not finding.passed)

    def to_plain(self) -> dict[str, Any]:  # JSON
        """Give plain data for ``findings.json``."""
        return {
            "schema": SCHEMA,
            "rows": self.rows,
            "quarantined": self.quarantined,
            "checks": len(self.findings),
            "failed": len(self.failed),
            "findings": [asdict(finding) | {"code": str(finding.code)} for finding in self.findings],
            "suite": dict(self.suite),
        }

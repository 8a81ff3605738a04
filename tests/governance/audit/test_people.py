"""What the log says of people is judged act by act."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from obligor.core.leaves import Leaf
from obligor.governance.audit.people import Persons

OTHER, DILIGENCE = "somebody_else", "due_diligence"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ((("proposed", "ada"), ("cleared", "grace")), "ok"),
        ((("proposed", "ada"), ("cleared", "Ada")), "broken"),
        ((("cleared", "ada"),), "ok"),  # a weak one, which one person clears
        ((("confirmed", "ada"), ("doubted", "ada"), ("corrected", "grace")), "ok"),
        ((("confirmed", "ada"), ("doubted", "grace"), ("corrected", "grace")), "broken"),
        ((("proposed", "ada"), ("confirmed", "grace"), ("doubted", "grace"), ("corrected", "ada")), "ok"),
        ((("examined", "ada", DILIGENCE), ("cleared", "grace", DILIGENCE)), "ok"),
        ((("examined", "ada", DILIGENCE), ("cleared", "ada", DILIGENCE)), "broken"),
        ((("proposed", "ada", OTHER), ("examined", "grace", DILIGENCE), ("cleared", "grace", OTHER)), "ok"),
        ((("examined", "grace", DILIGENCE), ("proposed", "ada", OTHER), ("cleared", "ada", OTHER)), "broken"),
    ],
)
def test_an_alert_that_takes_two_people_and_one_cleared_is_told(
    steps: tuple[tuple[str, ...], ...], verdict: str
) -> None:
    persons = Persons()
    for step, by, *finding in steps:
        said = {"by": by} | ({"finding": finding[0]} if finding else {})
        persons.take(Leaf(NOON, f"person:{by}", f"alert.{step}", "0197", "0" * 64), said)
    judged = persons.by_two()
    assert judged.verdict == verdict
    assert verdict == "ok" or "alert 0197: proposed and cleared by one person" in judged.why

"""What the log says of people is judged act by act."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from obligor.core.leaves import Leaf
from obligor.governance.audit.people import Persons

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
    ],
)
def test_an_alert_that_takes_two_people_and_one_cleared_is_told(
    steps: tuple[tuple[str, str], ...], verdict: str
) -> None:
    persons = Persons()
    for step, by in steps:
        persons.take(Leaf(NOON, f"person:{by}", f"alert.{step}", "0197", "0" * 64), {"by": by})
    judged = persons.by_two()
    assert judged.verdict == verdict
    assert verdict == "ok" or "alert 0197: proposed and cleared by one person" in judged.why

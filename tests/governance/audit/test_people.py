"""What the log says of people is judged act by act."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from obligor.core.leaves import Leaf
from obligor.governance.audit.people import Persons
from obligor.governance.audit.restores import ACKNOWLEDGED

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


ADA, ADA2 = "ada@bank.example", "ada+2@bank.example"


def seen(*acts: tuple[str, str, dict[str, object]]) -> Persons:
    persons = Persons()
    for kind, subject, said in acts:
        persons.take(Leaf(NOON, f"person:{said['by']}", kind, subject, "0" * 64), said)
    return persons


def added(user: str) -> tuple[str, str, dict[str, object]]:
    return "user.added", user, {"user_id": user, "by": "root"}


def test_two_accounts_of_one_person_are_to_be_looked_at_until_one_is_disabled() -> None:
    assert seen(added(ADA), added("grace")).once().verdict == "ok"
    twice = seen(added(ADA), added("grace"), added(ADA2)).once()
    assert (twice.verdict, twice.counts) == ("look", {"people": 2})
    assert twice.why == f"{ADA2} and {ADA} are one person's"
    gone = "user.disabled", ADA2, {"user_id": ADA2, "by": "root"}
    assert seen(added(ADA), added(ADA2), gone).once().verdict == "ok"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("act.agreed", {"kind": "key.created"}),
        ("role.granted", {"user_id": "grace", "role": "auditor"}),
        ("role.granted", {"user_id": ADA2, "role": "auditor", "by": "root"}),
        (ACKNOWLEDGED, {}),
    ],
)
def test_what_one_person_did_as_two_before_that_was_refused_breaks_nothing_and_is_told(
    kind: str, said: dict[str, object]
) -> None:
    persons = seen((kind, "p1", {"by": ADA2, "proposed_by": ADA} | said))
    assert persons.by_two().verdict == "ok"
    assert persons.once().verdict == "look"
    assert "p1: proposed" in persons.once().why

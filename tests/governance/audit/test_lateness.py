"""What is late is told so once; nothing that was answered in time is, and what nobody told is for somebody to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from obligor.core.leaves import Leaf, time_text
from obligor.governance.audit.lateness import Clocks

DUE = datetime(2026, 12, 27, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)


@pytest.mark.parametrize(
    ("steps", "verdict", "why"),
    [
        (["requested", "late"], "ok", ""),
        (["requested", "late", "decided late"], "ok", ""),
        (["requested", "decided late", "late"], "ok", ""),  # a clock of another process
        (["requested", "decided in time"], "ok", ""),
        (["requested", "decided late"], "ok", ""),  # as by a version of before
        (["requested"], "look", "review r-1: is late, and no service told so"),
        (["requested", "late", "late"], "broken", "was told before"),
        (["late"], "broken", "no such review"),
        (["requested", "decided in time", "late"], "broken", "or it was answered in time"),
        (["requested", "late early"], "broken", "before it was due"),
        (["requested", "late another"], "broken", "due at another time"),
    ],
)
def test_a_review_is_told_late_once_and_only_where_it_is(steps: list[str], verdict: str, why: str) -> None:
    clocks = Clocks()
    for index, step in enumerate(steps):
        kind, _, how = step.partition(" ")
        at = DUE - SECOND if how in ("early", "in time") else DUE + SECOND
        said = {"due_at": time_text(DUE + SECOND if how == "another" else DUE), "decided_at": time_text(at)}
        clocks.take(index, Leaf(at, "client:obligor/clock", f"review.{kind}", "r-1", "0" * 64), said)
    found = clocks.check(DUE + HOUR + SECOND)
    assert (found.verdict, found.counts["late"]) == (verdict, int(any(it.startswith("late") for it in steps)))
    assert why in found.why


def test_a_late_answer_that_nobody_told_of_is_for_somebody_to_look_at_once_services_tell() -> None:
    clocks = Clocks()
    late = {"due_at": time_text(DUE), "decided_at": time_text(DUE + SECOND)}
    for index, (kind, name) in enumerate(
        (f"review.{kind}", name)
        for name, kinds in {"r-1": "requested late", "r-2": "requested decided"}.items()
        for kind in kinds.split()
    ):
        clocks.take(index, Leaf(DUE + SECOND, "client:obligor/clock", kind, name, "0" * 64), late)
    found = clocks.check(DUE + HOUR)
    assert (found.verdict, "review r-2: is late" in found.why, "r-1" in found.why) == ("look", True, False)


def test_a_service_has_an_hour_to_tell_and_a_record_without_a_time_breaks_no_examination() -> None:
    clocks = Clocks()
    for name, said in (("r-1", {"due_at": time_text(DUE)}), ("r-2", {})):
        clocks.take(0, Leaf(DUE - HOUR, "client:bank", "review.requested", name, "0" * 64), said)
    assert clocks.check(DUE + HOUR).verdict == "ok"
    assert clocks.check(DUE + HOUR + SECOND).verdict == "look"


@pytest.mark.parametrize(
    ("outcome", "times", "early", "why"),
    [
        ("hold", 1, False, ""),
        ("hold", 2, False, "was told before"),
        ("hold", 1, True, "before it was due"),
        ("refer", 1, False, "no decision that holds anybody"),
    ],
)
def test_who_is_held_is_told_late_once(outcome: str, times: int, *, early: bool, why: str) -> None:
    clocks = Clocks()
    clocks.take(0, Leaf(DUE - HOUR, "client:bank", "decision", "d-1", "0" * 64), {"outcome": outcome})
    at = DUE - SECOND if early else DUE
    for index in range(times):
        late = Leaf(at, "client:obligor/clock", "held.late", "d-1", "0" * 64)
        clocks.take(1 + index, late, {"due_at": time_text(DUE)})
    found = clocks.check(DUE)
    assert (found.verdict, found.counts) == ("broken" if why else "ok", {"late": 1})
    assert why in found.why


def test_nobody_was_due_before_they_were_held() -> None:
    clocks = Clocks()
    held = {"outcome": "hold", "decided_at": time_text(DUE)}
    clocks.take(0, Leaf(DUE, "client:bank", "decision", "d-1", "0" * 64), held)
    clocks.take(1, Leaf(DUE, "client:obligor/clock", "held.late", "d-1", "0" * 64), {"due_at": time_text(DUE - HOUR)})
    assert "due before it was held" in clocks.check(DUE).why

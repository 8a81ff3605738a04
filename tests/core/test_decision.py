"""Nobody is approved against an enforced gate, a rule or a score; and a decline says what declined."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.decision import Decision, Fired, Reading, decide
from obligor.core.errors import UnavailableError
from obligor.core.profile import EVERYTHING_OFF, GATES, RESULTS, Gate, Gates, GateState, Profile
from obligor.core.reasons import Reason

AT = datetime(2026, 11, 26, tzinfo=UTC)
CUTOFF = 560_000
SHORT = (Reason("income", "income", 12.5, "Income is low"), Reason("file", "file", 3.0, "The file is short"))
NO_TEXT = (SHORT[0], Reason("file", "file", 3.0, " "))
GRAVITY = {"approve": 0, "refer": 1, "hold": 2, "decline": 3}


def fired(name: str, outcome: Any = "decline") -> Fired:
    return Fired(name, outcome, Reason(name.upper(), "", 0.0, f"rule {name}"))


def reading(*rules: Fired, grey: int = 0) -> Reading:
    return Reading(None, None, CUTOFF, grey, rules)


def profile(**gates: Gate) -> Profile:
    every = dict.fromkeys(GATES, Gate(state="off")) | gates
    return EVERYTHING_OFF.model_copy(update={"gates": Gates(**every)})


def enforced(on_fail: Any = "hold") -> Gate:
    return Gate(state="enforce", on_fail=on_fail, reason="Identity could not be verified")


def decided(
    score: int = CUTOFF,
    *rules: Fired,
    reasons: tuple[Reason, ...] = SHORT,
    grey: int = 0,
    results: dict[str, str] | None = None,
    **gates: Gate,
) -> Decision:
    return decide(
        score, reading(*rules, grey=grey), reasons=reasons, profile=profile(**gates), at=AT, results=results or {}
    )


def said(decision: Decision) -> tuple[str, str, list[str]]:
    return decision.outcome, decision.because, [it.code for it in decision.reasons]


def test_a_score_at_its_cutoff_is_approved_and_one_below_declined_with_its_reasons() -> None:
    assert said(decided(CUTOFF)) == ("approve", "score", [])
    assert said(decided(CUTOFF - 1)) == ("decline", "score", ["income", "file"])
    assert decided().cutoff == CUTOFF


def test_the_grey_zone_is_referred() -> None:
    found = [said(decided(CUTOFF + apart, grey=2500))[:2] for apart in (-2501, -2500, 2499, 2500)]
    assert found == [("decline", "score"), ("refer", "grey_zone"), ("refer", "grey_zone"), ("approve", "score")]


def test_a_rule_that_declines_is_named_and_nothing_of_the_score_beside_it() -> None:
    for score in (CUTOFF + 50_000, CUTOFF - 50_000):
        found = decided(score, fired("maybe", "refer"), fired("bankrupt"), fired("young"))
        assert said(found) == ("decline", "knockout:bankrupt", ["BANKRUPT", "YOUNG"])
        assert found.knockouts == ("maybe", "bankrupt", "young")


def test_no_more_than_four_reasons_are_told_of_rules() -> None:
    assert len(decided(CUTOFF, *(fired(name) for name in "abcdef")).reasons) == 4


def test_a_rule_that_refers_holds_back_an_approval_and_no_decline() -> None:
    assert said(decided(CUTOFF, fired("odd", "refer"))) == ("refer", "knockout:odd", [])
    assert said(decided(CUTOFF - 1, fired("odd", "refer"))) == ("decline", "score", ["income", "file"])


def test_a_decline_whose_reasons_cannot_be_told_is_left_to_a_person() -> None:
    assert said(decided(CUTOFF - 1, reasons=())) == ("refer", "no_principal_reason", [])
    assert said(decided(CUTOFF - 1, reasons=NO_TEXT)) == ("refer", "reason_without_text", [])
    assert said(decided(CUTOFF, reasons=NO_TEXT)) == ("approve", "score", [])


@pytest.mark.parametrize(
    ("result", "on_fail", "wanted"),
    [
        ("pass", "decline", ("approve", "score", [])),
        ("not_evaluated", "decline", ("hold", "gate:kyc:not_evaluated", [])),
        ("pending", "decline", ("hold", "gate:kyc:pending", [])),
        ("fail", "hold", ("hold", "gate:kyc:fail", [])),
        ("fail", "refer", ("refer", "gate:kyc:fail", [])),
        ("fail", "decline", ("decline", "gate:kyc:fail", ["kyc"])),
    ],
)
def test_an_enforced_gate_lets_nobody_pass_but_those_it_passed(result: str, on_fail: str, wanted: Any) -> None:
    found = decided(CUTOFF, results={"kyc": result}, kyc=enforced(on_fail))
    assert said(found) == wanted
    assert found.reasons in ((), (Reason("kyc", "", 0.0, "Identity could not be verified"),))


def test_a_gate_that_is_only_watched_is_recorded_and_changes_nothing() -> None:
    found = decided(CUTOFF, results={"aml": "fail"}, aml=Gate(state="monitor"))
    assert said(found) == ("approve", "score", [])
    assert found.gates == {
        "kyc": ("off", "not_evaluated"), "aml": ("monitor", "fail"), "pci": ("off", "not_evaluated"),
        "pep": ("off", "not_evaluated"),
    }  # fmt: skip


def test_a_decline_by_score_is_told_while_a_gate_is_pending_and_a_referral_waits() -> None:
    assert said(decided(CUTOFF - 1, kyc=enforced()))[0] == "decline"
    assert said(decided(CUTOFF, fired("odd", "refer"), kyc=enforced()))[0] == "hold"


def test_nothing_is_decided_by_a_profile_that_is_not_in_force() -> None:
    with pytest.raises(UnavailableError, match="everything-off"):
        decide(CUTOFF, reading(), reasons=(), profile=EVERYTHING_OFF, at=datetime(2025, 1, 1, tzinfo=UTC))


GATE = st.builds(
    Gate,
    state=st.sampled_from(get_args(GateState)),
    on_fail=st.sampled_from(["hold", "refer", "decline"]),
    reason=st.just("Because"),
)
RULE = st.builds(fired, st.sampled_from("abc"), st.sampled_from(["decline", "refer"]))
REASONS = st.sampled_from([(), SHORT, NO_TEXT])


@given(
    score=st.integers(CUTOFF - 5000, CUTOFF + 5000),
    rules=st.lists(RULE, max_size=3),
    grey=st.integers(0, 3000),
    reasons=REASONS,
    gates=st.fixed_dictionaries(dict.fromkeys(GATES, GATE)),
    results=st.dictionaries(st.sampled_from(GATES), st.sampled_from(RESULTS)),
    dropped=st.sets(st.sampled_from(GATES)),
    fewer=st.integers(0, 3),
)
def test_whatever_comes_together_nobody_is_approved_wrongly_and_more_rules_never_soften(
    score: int,
    rules: list[Fired],
    grey: int,
    reasons: tuple[Reason, ...],
    gates: dict[str, Gate],
    results: dict[str, str],
    dropped: set[str],
    fewer: int,
) -> None:
    found = decided(score, *rules, reasons=reasons, grey=grey, results=results, **gates)
    if found.outcome == "approve":
        assert all(it.result == "pass" for it in found.gates.values() if it.state == "enforce")
        assert score >= CUTOFF + grey
        assert not rules
    assert bool(found.reasons) == (found.outcome == "decline")
    assert all(it.text for it in found.reasons)
    off = {name: Gate(state="off") if name in dropped else gate for name, gate in gates.items()}
    softer = decided(score, *rules[:fewer], reasons=reasons, grey=grey, results=results, **off)
    assert GRAVITY[found.outcome] >= GRAVITY[softer.outcome]
    passed = decided(score, *rules, reasons=reasons, grey=grey, results=dict.fromkeys(GATES, "pass"), **gates)
    assert GRAVITY[found.outcome] >= GRAVITY[passed.outcome]

"""Overrides are held against what the policy delegates, each by its record and that of its decision."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from tests.core.test_authority import SAID
from tests.core.test_policy import made

from obligor.core.leaves import Leaf
from obligor.governance.audit.authority import Overrides

DECISION = UUID(int=7)
POLICY, NOTHING_DELEGATED = made(authority=SAID), made()
RECORD: dict[str, Any] = {"score": 539_999, "cutoff": 540_000, "pd": 0.1, "input": {"amount": 1000.0}}
OVERRIDE: dict[str, Any] = {
    "decision_id": str(DECISION),
    "outcome": "approve",
    "direction": "low_side",
    "reason": "compensating",
    "role": "analyst",
    "limit": {"amount": 1000.0, "pd": 0.1},
    "policy_sha256": POLICY.sha256,
    "by": "ben",
    "agreed_by": None,
}
CHIEF = {"role": "chief", "limit": {"amount": None, "pd": 0.2}}
AT_THE_CUTOFF = {"score": 540_000}
NO_POLICY = "the policy that it names is not kept, or delegates nothing"
NO_DECISION = "of a decision that is not there"
ANOTHER_LIMIT = "the policy gives its role another limit, or none"
BEYOND = "beyond the limit of its role"
NO_SCORE = "of a decision without a score"
ANOTHER_DIRECTION = "the score says another direction"


class Kept:
    """One decision, two policies, and bytes that are none."""

    def __init__(self, record: object) -> None:
        self.records = {DECISION: json.dumps(record).encode(), UUID(int=8): b"[]", UUID(int=9): b"{"}
        self.artefacts = {it.sha256: it.to_json() for it in (POLICY, NOTHING_DELEGATED)} | {"card": b"{}"}

    def record(self, decision_id: UUID) -> bytes | None:
        return self.records.get(decision_id)

    def artefact(self, sha256: str) -> bytes | None:
        return self.artefacts.get(sha256)


def judged(said: dict[str, Any], record: object = RECORD) -> str:
    """Tell what is wrong with an override."""
    overrides = Overrides(Kept(record))
    overrides.take(3, Leaf(datetime(2026, 11, 27, tzinfo=UTC), "person:ben", "override.decided", "7", "0" * 64), said)
    check = overrides.check()
    assert (check.name, check.counts) == ("authority", {"overrides": 1})
    assert (check.verdict, bool(check.why)) in (("ok", False), ("broken", True))
    return check.why.removeprefix("override of 7 at leaf 3: ")


@pytest.mark.parametrize(
    ("said", "decision", "told"),
    [
        ({}, {}, ""),
        ({}, {"pd": 0.11}, BEYOND),
        ({}, {"pd": None}, BEYOND),
        ({}, {"input": {"amount": 1000.01}}, BEYOND),
        ({}, {"input": {}}, ""),  # sealed, and not looked at
        (CHIEF, {"pd": 0.2, "input": {"amount": 1e9}}, ""),
        (CHIEF, {"pd": 0.21}, BEYOND),
        ({"limit": {"amount": 1000.0, "pd": 0.2}}, {}, ANOTHER_LIMIT),
        ({"limit": {"amount": None, "pd": 0.1}}, {}, ANOTHER_LIMIT),
        ({"role": "chief"}, {}, ANOTHER_LIMIT),
        ({"role": "auditor"}, {}, ANOTHER_LIMIT),
        ({"reason": "friendship"}, {}, "the policy has no such reason"),
        ({"direction": "none"}, {}, ANOTHER_DIRECTION),
        ({"outcome": "decline"}, {}, ANOTHER_DIRECTION),
        ({}, AT_THE_CUTOFF, ANOTHER_DIRECTION),
        ({"direction": "none"}, AT_THE_CUTOFF, ""),
        ({"outcome": "decline", "direction": "high_side"}, AT_THE_CUTOFF, ""),
        ({}, {"score": None}, NO_SCORE),
        ({}, {"cutoff": "540000"}, NO_SCORE),
        ({"agreed_by": "sue"}, {}, ""),
        ({"agreed_by": "person:Ben"}, {}, "who decided agreed to it"),
        ({"policy_sha256": NOTHING_DELEGATED.sha256}, {}, NO_POLICY),
        ({"policy_sha256": "card"}, {}, NO_POLICY),
        ({"policy_sha256": "0" * 64}, {}, NO_POLICY),
        ({"decision_id": str(UUID(int=1))}, {}, NO_DECISION),
        ({"decision_id": str(UUID(int=8))}, {}, NO_DECISION),
        ({"decision_id": str(UUID(int=9))}, {}, NO_DECISION),
        ({"decision_id": "seven"}, {}, NO_DECISION),
    ],
)
def test_an_override_is_held_against_its_policy_and_its_decision(
    said: dict[str, Any], decision: dict[str, Any], told: str
) -> None:
    assert judged(OVERRIDE | said, RECORD | decision) == told


@pytest.mark.parametrize("lacking", sorted(OVERRIDE.keys() - {"by", "agreed_by"}))
def test_an_override_that_does_not_say_by_what_right_is_told(lacking: str) -> None:
    assert judged({name: it for name, it in OVERRIDE.items() if name != lacking})
    assert not judged({name: it for name, it in OVERRIDE.items() if name != "agreed_by"})

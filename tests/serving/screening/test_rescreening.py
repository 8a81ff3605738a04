"""Decisions screened again as lists change: each once, with no second alert, and none where nobody is screened."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.governance.audit.logs import columns_of
from tests.screening.lists import SNAPSHOT

from obligor.screening.screener import Screener
from obligor.serving.archive import StoredDecision
from obligor.serving.gates.aml import AmlColumns, AmlGate, Subjects
from obligor.serving.screening import rescreening
from obligor.serving.screening.rescreening import Progress, Rescreening
from obligor.serving.sources import Sources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from obligor.serving.acts import Act, Submission
    from obligor.serving.gates.aml import Cleared

NOW: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
SCREENER: Final = Screener.of(SNAPSHOT)
PASSED: Final = {
    "result": "pass",
    "evidence": {"list_sha256": SNAPSHOT.sha256, "rules_sha256": SCREENER.config_sha256},
}
PEOPLE: Final[dict[str, dict[str, Any] | None]] = {
    "hit": {"input": {"applicant_name": "Oleg Korvand", "applicant_number": "C-1"}},
    "other hit": {"input": {"applicant_name": "Oleg Korvand"}},
    "of one application": {"input": {"applicant_name": "Oleg Korvand"}, "application_id": "A-1"},
    "none": {"input": {"applicant_name": "Jane Example"}},
    "mute": {"input": {}},
    "erased": None,
    "passed": {"input": {"applicant_name": "Oleg Korvand"}, "gates": {"aml": PASSED}},
    "failed": {"input": {"applicant_name": "Jane Example"}, "gates": {"aml": PASSED | {"result": "fail"}}},
    "of another list": {
        "input": {"applicant_name": "Jane Example"},
        "gates": {"aml": {"result": "pass", "evidence": PASSED["evidence"] | {"list_sha256": "0" * 64}}},
    },
    "by other rules": {
        "input": {"applicant_name": "Jane Example"},
        "gates": {"aml": {"result": "pass", "evidence": PASSED["evidence"] | {"rules_sha256": "0" * 64}}},
    },
}
"""What the records of decisions say, and whom nobody knows any more."""


@dataclass
class Store:
    """Decisions, and the alerts on them."""

    people: list[str]
    began: int = 0
    others: bool = False
    """Whether another process is at it."""
    kept: Progress | None = None
    standing_of: frozenset[Cleared] = frozenset()
    acts: list[Act] = field(default_factory=list)
    looked_at: list[int] = field(default_factory=list)
    left: timedelta = timedelta(days=3)
    screener: Screener | None = SCREENER

    def decisions(self) -> list[StoredDecision]:
        return [
            StoredDecision(UUID(int=at), "bank", at, b"", json.dumps(who).encode(), b"")
            for at, who in enumerate(self.people)
        ]

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        yield not self.others

    async def progress(self, list_sha256: str) -> Progress:
        return self.kept or Progress(list_sha256, self.began, past=0, fresh=self.began)

    async def waits(self, progress: Progress) -> bool:
        return True

    async def save_progress(self, progress: Progress, *, at: datetime) -> None:
        assert at == NOW
        self.kept = progress

    async def decisions_from(self, first: int, *, before: int | None, limit: int) -> Sequence[StoredDecision]:
        found = [it for it in self.decisions() if first <= it.leaf_index < (inf if before is None else before)]
        return found[:limit]

    async def standing(self, hits: Sequence[Cleared], *, at: datetime) -> frozenset[Cleared]:
        return self.standing_of.intersection(hits)

    async def record(self, submission: Submission) -> None:
        self.acts.extend(submission.acts)
        self.standing_of |= {(it.subject, it.entry, it.entry_sha256) for act in submission.acts for it in act.rows}  # type: ignore[union-attr]  # of alerts

    async def opened(self, stored: Sequence[StoredDecision]) -> list[dict[str, Any] | None]:
        self.looked_at += [it.leaf_index for it in stored]
        said = [PEOPLE[json.loads(it.record)] for it in stored]
        return [None if it is None else {"application_id": None, "gates": {}} | it for it in said]


def again(store: Store, *, wanted: bool = True) -> Rescreening:
    subjects, columns = Subjects(bytes(32)), AmlColumns()
    gate = AmlGate(store, subjects=subjects)
    sources = Sources(lambda: NOW, bytes)
    parts: Any = (store, store, store, sources, gate, subjects, columns, store.opened, lambda: wanted)
    return Rescreening(*parts)


async def steps(store: Store, **more: bool) -> int:
    of, count = again(store, **more), 0
    while await of.step():
        count += 1
    return count


@given(st.lists(st.sampled_from([*PEOPLE]), max_size=9), st.integers(0, 10), st.integers(1, 4))
def test_every_decision_is_looked_at_once_and_every_person_and_entry_gets_one_alert(
    people: list[str], began: int, at_once: int
) -> None:
    store = Store(people, began=began)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rescreening, "AT_ONCE", at_once)
        asyncio.run(steps(store))
        asyncio.run(steps(store))  # and nothing more
    assert store.looked_at == [*range(began, len(people)), *range(min(began, len(people)))]
    hits = ("hit", "other hit", "of one application")
    of_persons = {at if who == "other hit" else who for at, who in enumerate(people) if who in hits}
    assert len(store.acts) == len(of_persons)  # without a number of the lender, each application is one of its own
    screened = [it for it in people if it not in ("mute", "erased", "passed")]
    if people:
        assert store.kept is not None
        assert (store.kept.screened, store.kept.opened) == (len(screened), len(of_persons))
        assert store.kept.not_comparable == sum(it in ("mute", "erased") for it in people)


@pytest.mark.parametrize(
    ("of", "wanted"),
    [({"screener": None}, True), ({"others": True}, True), ({}, False)],
    ids=["no list", "others", "off"],
)
def test_nobody_is_screened_without_a_list_nor_while_others_do_nor_where_it_is_off(
    of: dict[str, Any], *, wanted: bool
) -> None:
    store = Store(["hit"], **of)
    assert asyncio.run(steps(store, wanted=wanted)) == 0
    assert (store.looked_at, store.acts, store.kept) == ([], [], None)


def test_an_alert_says_why_by_what_the_list_says_and_by_nothing_of_the_applicant() -> None:
    store = Store(["none", "hit"])
    asyncio.run(steps(store))
    (act,) = store.acts
    said = json.loads(act.record)
    (row,) = act.rows
    listed = SNAPSHOT.entries[0]
    assert (said["decision_id"], said["entry"], said["list_sha256"]) == (str(UUID(int=1)), listed.id, SNAPSHOT.sha256)
    assert 9000 <= said["score"] <= 9999
    screening = SCREENER.screening((), today=NOW.date())
    assert said == {
        "schema": "obligor/alert/1",
        **columns_of(row),
        "algorithm": screening.algorithm,
        "rules_sha256": screening.config_sha256,
        "why": {
            "name": listed.names[0].text,
            "strength": listed.names[0].strength,
            "kind": "individual",
            "programmes": list(listed.programmes),
            "born": said["why"]["born"],
        },
    }
    assert "C-1" not in act.record.decode()

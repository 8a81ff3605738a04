"""What an examination calls broken: each thing that must hold is looked at, told under its own name, and under no other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.governance.audit.logs import NOON, VERIFIER, Lender, MemoryLog

from obligor.core.errors import ErasedError, IntegrityError, UnavailableError
from obligor.core.leaves import time_text
from obligor.governance.audit.doctor import Check, Hit, Reached, Surroundings, examine
from obligor.progress import Silence
from obligor.serving.acts import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obligor.governance.audit.told import StoredEvent

NEWEST: Final = "0031"


@dataclass
class Store(MemoryLog):
    """A log in memory with the rest of what a doctor looks at, as a test says it."""

    told_revision: str | None = NEWEST
    told_settings: dict[str, str] = field(default_factory=lambda: {"fsync": "on", "full_page_writes": "on"})
    strays: list[int] = field(default_factory=list)
    seen_by_all: list[str] = field(default_factory=list)
    in_no_queue: list[str] = field(default_factory=list)
    of_nothing: int = 0
    hits: list[Hit] = field(default_factory=list)
    off: list[str] = field(default_factory=list)
    of_no_leaf: list[int] = field(default_factory=list)

    def unguarded(self) -> list[str]:
        return self.off

    def stray_records(self) -> Iterator[int]:
        return iter(self.of_no_leaf)

    def revision(self) -> str | None:
        return self.told_revision

    def settings(self) -> dict[str, str]:
        return self.told_settings

    def stray_outcomes(self) -> list[int]:
        return self.strays

    def unhidden(self) -> list[str]:
        return self.seen_by_all

    def events(self) -> Iterator[StoredEvent]:
        return iter(())

    def pruned_before(self) -> datetime | None:
        return None

    def stray_deliveries(self) -> int:
        return self.of_nothing

    def misfiled(self) -> list[str]:
        return self.in_no_queue

    def search(self, canaries: Sequence[str]) -> Iterator[Hit]:
        return (it for it in self.hits if it.canary < len(canaries))


def a_day(decisions: int = 6, **of_each: object) -> Store:
    lender, store = Lender(), Store()
    store.record(lender.release())
    for _ in range(decisions):
        store.record(lender.decision("acme", **{"gates": {}} | of_each))
    return store


def checks(store: Store, **changes: Any) -> dict[str, Check]:
    around = Surroundings(
        signatures=VERIFIER,
        anchors=(Reached("kept", store.checkpoint()),),
        replay=lambda _: (),
        release=lambda: "release 1",
        key=lambda: "key",
        conflict=lambda _: None,
        newest=NEWEST,
        now=NOON + timedelta(hours=1),
        events_kept=timedelta(days=1),
    )
    return {it.name: it for it in examine(store, replace(around, **changes), progress=Silence()).checks}


def broken(store: Store, **changes: Any) -> set[str]:
    return {name for name, it in checks(store, **changes).items() if it.verdict == "broken"}


def fails() -> str:
    raise UnavailableError("others may read it")


def test_of_a_day_that_nobody_touched_nothing_is_broken() -> None:
    found = checks(a_day())
    assert [name for name, it in found.items() if it.verdict != "ok"] == ["I5", "I6", "I8"]
    assert {found[name].verdict for name in ("I5", "I6", "I8")} == {"not applicable"}
    invariants = [f"I{at}" for at in range(1, 9)]
    assert {*found} == {
        *(*invariants, "schema", "queues", "guards", "artefacts", "release", "durable", "key", "clocks"),
        *("proposals", "accounts", "roles", "reports", "late", "authority"),
    }
    assert found["I1"].counts == {"decisions": 6}
    assert found["I2"].counts == {"decisions": 6, "made again": 6}
    assert found["I4"].counts == {"leaves": 7, "anchors": 1, "leaves after the newest anchored": 0}
    assert found["I7"].counts == {"decisions": 6, "outcomes": 0}


@pytest.mark.parametrize(
    ("of_store", "around", "wanted"),
    [
        ({"told_settings": {"fsync": "off", "full_page_writes": "on"}}, {}, {"durable"}),
        ({"told_settings": {"fsync": "on"}}, {}, {"durable"}),
        ({"strays": [3]}, {}, {"I7"}),
        ({"seen_by_all": ["record"]}, {}, {"I7"}),
        ({"in_no_queue": ["2 reviews"]}, {}, {"queues"}),
        ({"of_nothing": 1}, {}, {"I8"}),
        ({"told_revision": "0030"}, {}, {"schema"}),
        ({"told_revision": "0032"}, {}, set()),
        ({}, {"anchors": ()}, {"I4"}),
        ({}, {"anchors": (Reached("s3", trouble="down"),)}, {"I4"}),
        ({}, {"anchors": (Reached("siem"),)}, {"I4"}),
        ({"off": ["leaf"]}, {}, {"guards", "I4"}),
        ({"of_no_leaf": [9]}, {}, {"I2", "I4"}),
        ({}, {"key": fails}, {"key"}),
        ({}, {"key": None}, set()),
        ({}, {"release": fails}, {"release"}),
        ({}, {"release": str}, set()),
        ({}, {"now": NOON + timedelta(seconds=7 - 60)}, set()),  # the last leaf is of seven seconds after noon
        ({}, {"now": NOON + timedelta(seconds=6 - 60)}, {"clocks"}),
        ({"hits": [Hit("record", "body", 0, 2)]}, {"canaries": ("Ada",)}, set()),
        ({"hits": [Hit("record", "salt", 0, 2)]}, {"canaries": ("Ada",)}, {"I6"}),
        ({"hits": [Hit("leaf", "body", 0, 2)]}, {"canaries": ("Ada",)}, {"I6"}),
        ({"hits": [Hit("leaf", "body", 0, 2)]}, {"canaries": ()}, set()),
    ],
)
def test_each_thing_that_does_not_hold_is_told_by_its_name(
    of_store: dict[str, Any], around: dict[str, Any], wanted: set[str]
) -> None:
    store = a_day()
    for name, it in of_store.items():
        setattr(store, name, it)
    assert broken(store, **around) == wanted


def test_an_anchor_that_is_silent_is_told_though_another_confirms_and_of_an_empty_log_none_need_confirm() -> None:
    store = a_day()
    assert broken(store, anchors=(Reached("kept", store.checkpoint()), Reached("s3", trouble="down"))) == {"I4"}
    assert broken(Store(), anchors=(Reached("siem"),)) == set()


def test_no_release_and_a_key_that_lies_elsewhere_are_told_to_be_none() -> None:
    found = checks(a_day(), release=str, key=None)
    assert (found["release"].verdict, found["key"].verdict) == ("not applicable", "not applicable")


def test_of_a_store_without_tables_nothing_else_is_asked() -> None:
    store = a_day()
    store.told_revision = None
    assert {name: it.verdict for name, it in checks(store).items()} == {"schema": "broken"}


def put(kept: list[Any], **what: Any) -> None:
    """Change the last of those that are kept."""
    kept[-1] = replace(kept[-1], **what)


def unsigned(store: Store) -> dict[str, object]:
    return {**store.tables["release"][0].values, "signature": "00" * 64}


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda store: store.asked.pop(), {"I1", "I2", "I4"}),
        (lambda store: put(store.asked, response=b"{}"), {"I1", "I2", "I4"}),
        (lambda store: store.tables["decision"].pop(), {"I2", "I4"}),
        (lambda store: put(store.tables["decision"], values={}), {"I2", "I4"}),
        (lambda store: store.tables["outcome"].append(store.tables["decision"][-1]), {"I2", "I4"}),
        (lambda store: store.kept.pop(3), {"I2", "I4"}),
        (lambda store: store.kept.insert(3, store.kept[3]), {"I2", "I4"}),
        (lambda store: setattr(store, "size", 8), {"I2", "I4"}),
        (lambda store: put(store.kept, record=None), {"I2", "I4"}),
        (lambda store: put(store.kept, record=b"[]"), {"I2", "I4"}),
        (lambda store: put(store.kept, body=b"no leaf"), {"I4"}),
        (lambda store: store.artefacts_kept.pop(), {"artefacts", "I4"}),
        (lambda store: put(store.artefacts_kept, body=b"{}"), {"artefacts", "I4"}),
        (lambda store: put(store.tables["release"], values=unsigned(store)), {"release", "I2", "I4"}),
        (lambda store: store.keys.update(more={"key_id": "more"}), {"I4"}),
    ],
)
def test_what_verifying_finds_is_told_under_what_it_breaks(change: Callable[[Store], Any], wanted: set[str]) -> None:
    store = a_day()
    change(store)
    assert broken(store) == wanted


ENFORCED: Final = {"aml": {"state": "enforce", "result": "pending"}, "kyc": {"state": "monitor", "result": "fail"}}


@pytest.mark.parametrize("outcome", ["approve", "hold"])
@pytest.mark.parametrize(
    ("gates", "passed"),
    [({}, True), (ENFORCED, False), ({"kyc": ENFORCED["kyc"]}, True), (None, False), ([], False)],
)
def test_an_approval_is_held_against_every_enforced_gate(outcome: str, gates: object, *, passed: bool) -> None:
    check = checks(a_day(gates=gates, outcome=outcome))["I3"]
    approved = outcome == "approve"
    assert check.counts == {"approved": 6 * approved}
    assert (check.verdict == "ok") == (passed or not approved)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({}, {"I3"}),
        ({"outcome": "decline"}, set()),
        ({"new_decision_id": "another"}, set()),
        ({"decision_id": "another"}, set()),
    ],
)
def test_a_review_does_not_approve_what_an_enforced_gate_did_not_pass(said: dict[str, Any], wanted: set[str]) -> None:
    store, lender = a_day(1, gates=ENFORCED, outcome="hold"), Lender()
    decision = json.loads(store.kept[-1].record or b"")["decision_id"]
    record = {"schema": "review/1", "decision_id": decision, "outcome": "approve", "new_decision_id": None} | said
    act = lender.act("review.decided", "person:rhea", "r-1", record, (), at=NOON + timedelta(minutes=5))
    store.record(Submission((act,), lambda _: b""))
    assert broken(store) - {"I1", "I2", "I4"} == wanted  # which miss the row of the review, and the answer


def _raises(error: Exception) -> Callable[[bytes], Sequence[str]]:
    def replay(_: bytes) -> Sequence[str]:
        raise error

    return replay


@pytest.mark.parametrize(
    ("replay", "counts", "wanted"),
    [
        (lambda _: ["score"], {}, {"I2"}),
        (_raises(IntegrityError("the card is another")), {}, {"I2"}),
        (_raises(ErasedError("they were erased")), {"erased": 6}, set()),
        (_raises(UnavailableError("the keys are not here")), {"sealed": 6}, set()),
    ],
)
def test_a_decision_that_does_not_follow_again_is_told_and_one_that_cannot_be_made_is_counted(
    replay: Callable[[bytes], Sequence[str]], counts: dict[str, int], wanted: set[str]
) -> None:
    assert broken(a_day(), replay=replay) == wanted
    assert checks(a_day(), replay=replay)["I2"].counts == {"decisions": 6, "made again": 6, **counts}


def test_a_leaf_that_names_another_client_than_its_record_is_told() -> None:
    assert "I7" in broken(a_day(client_id="broker"))


@pytest.mark.parametrize(("behind", "counted"), [(60, 0), (61, 1)])
def test_a_decision_by_a_clock_more_than_a_minute_behind_the_log_is_counted(behind: int, counted: int) -> None:
    store = a_day(1, decided_at=time_text(NOON + timedelta(seconds=2 - behind)))
    assert [*checks(store)["clocks"].counts.values()] == [counted]


@pytest.mark.parametrize("strict", [False, True])
def test_of_a_long_log_a_sample_is_made_again_and_all_where_it_is_strict(
    monkeypatch: pytest.MonkeyPatch, *, strict: bool
) -> None:
    monkeypatch.setattr("obligor.governance.audit.doctor.SAMPLE", 3)
    seen: list[bytes] = []
    check = checks(a_day(11), strict=strict, replay=lambda it: seen.append(it) or ())["I2"]
    assert check.counts["made again"] == len(seen) == (11 if strict else 3)
    assert bool(check.why) != strict

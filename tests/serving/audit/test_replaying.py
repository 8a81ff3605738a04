"""A decision follows from its record for ever, to the last bit; and what was changed of either is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving import golden_decisions as golden

from obligor import __version__
from obligor.core.decision import decide
from obligor.core.errors import IntegrityError
from obligor.serving.audit.replaying import pinned_release, read_record, replay

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.serving.releases.release import Release

VERSIONS = sorted(golden.FOLDER.iterdir())
RELEASE = golden.release_of()
RECORDS = [json.loads(it) for it in golden.records(RELEASE, 60)]
OTHERS = {
    "score": 1, "pd": 0.5, "band": "none", "bins": [0], "points": [0], "cutoff": 1, "outcome": "hold", "because": "me",
    "reasons": [{}], "knockouts": ["x"], "unusual": ["x"], "input_sha256": "0", "application_id": "x",
}  # fmt: skip


def opened(folder: Path, record: dict[str, Any]) -> Release:
    card, policy, profile = ((folder / f"{name}.json").read_bytes() for name in ("card", "policy", "profile"))
    return pinned_release(record, card=card, policy=policy, profile=profile)


@pytest.mark.parametrize("folder", VERSIONS, ids=lambda it: it.name)
def test_the_decisions_of_every_version_follow_from_their_records(folder: Path) -> None:
    lines = golden.read(folder)
    found = [read_record(line) for line in lines]
    release = opened(folder, found[0])
    assert len(found) == golden.DECISIONS
    assert [replay(record, release) for record in found] == [()] * len(found)


def test_there_are_decisions_of_this_version_of_all_kinds() -> None:
    found = [json.loads(line) for line in golden.read(golden.FOLDER / __version__)]
    assert {it["outcome"] for it in found} == {"approve", "refer", "decline"}
    assert {it["because"].partition(":")[0] for it in found} >= {
        "score",
        "grey_zone",
        "knockout",
        "reason_without_text",
    }
    assert len({it["cutoff"] for it in found}) == 5
    assert {len(it["reasons"]) for it in found} >= {0, 1, 2, 3, 4}
    assert any(it["unusual"] for it in found)
    assert any(it["input"]["bureau"] for it in found)


@given(st.sampled_from(RECORDS), st.sampled_from(sorted(OTHERS)))
def test_whatever_is_changed_in_a_record_is_named_and_nothing_else(record: dict[str, Any], field: str) -> None:
    changed = record | {field: OTHERS[field]}
    (difference,) = replay(changed, RELEASE)
    assert (difference.field, difference.recorded, difference.found) == (field, OTHERS[field], record[field])


@given(st.sampled_from([it for it in RECORDS if it["outcome"] == "decline"]))
def test_the_texts_of_reasons_are_held_to_the_card(record: dict[str, Any]) -> None:
    changed = [it | {"text": it["text"] + " or so"} for it in record["reasons"]]
    assert [it.field for it in replay(record | {"reasons": changed}, RELEASE)] == ["reasons"]


def test_an_input_that_was_changed_is_told_by_all_that_no_longer_follows() -> None:
    record = next(it for it in RECORDS if it["outcome"] == "approve")
    fields = {it.field for it in replay(record | {"input": record["input"] | {"amount": 1e9}}, RELEASE)}
    assert {"input_sha256", "outcome", "because", "knockouts", "reasons"} <= fields
    unread = replay(record | {"input": record["input"] | {"amount": "x"}}, RELEASE)
    assert [it.field for it in unread] == ["input"]
    assert "x" not in str(unread[0].recorded)


@pytest.mark.parametrize("name", ["card", "policy", "profile"])
def test_a_card_policy_or_profile_that_is_not_the_pinned_one_is_refused(name: str) -> None:
    folder = golden.FOLDER / __version__
    record = read_record(golden.read(folder)[0])
    whole = {it: (folder / f"{it}.json").read_bytes() for it in ("card", "policy", "profile")}
    pinned_release(record, **whole)
    spaced = json.dumps(json.loads(whole[name]), indent=7).encode()
    assert spaced != whole[name]
    pinned_release(record, **whole | {name: spaced})  # white space is nothing
    said = json.loads(whole[name])
    said["name"] = "another"
    with pytest.raises(IntegrityError, match=record["decision_id"]):
        pinned_release(record, **whole | {name: json.dumps(said).encode()})
    for spoilt in (whole[name][:-3], whole[name].replace(b'"name"', b'"nama"', 1), b"\x80\x04K\x01."):
        with pytest.raises(IntegrityError, match=record["decision_id"]):
            pinned_release(record, **whole | {name: spoilt})
    other = json.loads(json.dumps(record)) | {"pins": record["pins"] | {f"{name}_sha256": "0" * 64}}
    with pytest.raises(IntegrityError, match=f"{name}: pinned is 000000000000, got"):
        replay(other, RELEASE)


def test_every_byte_of_the_profile_counts() -> None:
    folder = golden.FOLDER / __version__
    record = read_record(golden.read(folder)[0])
    whole = {it: (folder / f"{it}.json").read_bytes() for it in ("card", "policy", "profile")}
    data = whole["profile"]
    for at in range(len(data)):
        if data[at : at + 1].strip():
            spoilt = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
            with pytest.raises(IntegrityError):
                pinned_release(record, **whole | {"profile": spoilt})


@pytest.mark.parametrize("result", ["pass", "fail", "pending", "not_evaluated"])
def test_what_a_gate_said_is_taken_from_the_record(result: str) -> None:
    release = golden.release_of("enforce")
    record = next(it for it in RECORDS if it["outcome"] == "approve")
    score = release.scorer.score
    read = release.read(record["input"])
    at = golden.START
    decision = decide(
        score(read.fields, histories=read.histories).score,
        release.policy_reader.read(read.fields, histories=read.histories),
        reasons=(),
        profile=release.profile,
        at=at,
        results={"kyc": result},
    )
    gates = {name: it._asdict() for name, it in decision.gates.items()}
    said = {"gates": gates, "outcome": decision.outcome, "because": decision.because}
    said |= {"pins": release.pins, "reasons": [it._asdict() for it in decision.reasons]}
    assert replay(record | said, release) == ()
    assert decision.outcome == {"pass": "approve", "fail": "decline"}.get(result, "hold")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not JSON"),
        (b'{"schema": "obligor/decision/1", "schema": 2}', "stands twice"),
        (b'{"schema": "obligor/outcome/1"}', "wanted one of the schema obligor/decision/1"),
        (b'{"schema": "obligor/decision/1"}', "lacks 'decision_id'"),
        (b"[]", "wanted one of the schema"),
    ],
)
def test_what_is_no_record_of_a_decision_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(IntegrityError, match=words):
        read_record(data)

"""Decisions made again by what they pin: what was changed is named, what is another is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.serving import golden_decisions as golden

from obligor.core.canonical import canonical_json
from obligor.core.errors import IntegrityError
from obligor.progress import Silence
from obligor.serving.audit.replays import Replays, remake
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from pydantic import BaseModel

RELEASE = golden.release_of()
RECORDS = golden.records(RELEASE, 40)


def _body(model: BaseModel) -> bytes:
    return canonical_json(model.model_dump(mode="json", by_alias=True))


KEPT = {it.sha256: _body(it) for it in (RELEASE.card, RELEASE.policy, RELEASE.profile)}
NAMES = {"card": RELEASE.card.sha256, "policy": RELEASE.policy.sha256, "profile": RELEASE.profile.sha256}


def _changed(**fields: Any) -> bytes:
    return encode(json.loads(RECORDS[0]) | fields)


def test_every_decision_follows_from_its_record_and_each_release_is_read_once() -> None:
    asked: list[str] = []

    def artefact(sha256: str) -> bytes | None:
        asked.append(sha256)
        return KEPT.get(sha256)

    remade = remake(RECORDS, Replays(artefact), total=len(RECORDS), progress=Silence())
    assert (remade.decisions, remade.same) == (40, True)
    assert remade.lines() == ["40 of 40 decisions follow to the last bit"]
    assert sorted(asked) == sorted(KEPT)


@given(st.sampled_from(sorted(NAMES)), st.data())
def test_one_changed_byte_of_what_is_pinned_is_refused_by_its_hash(name: str, data: st.DataObject) -> None:
    sha256 = NAMES[name]
    body = bytearray(KEPT[sha256])
    body[data.draw(st.integers(0, len(body) - 1))] ^= data.draw(st.integers(1, 255))
    replays = Replays((KEPT | {sha256: bytes(body)}).get)
    with pytest.raises(IntegrityError, match=f"{name}: pinned is {sha256[:12]}, the bytes that are kept have the hash"):
        replays.again(RECORDS[0])


def test_a_pinned_card_that_says_the_same_in_other_bytes_is_another_one() -> None:
    sha256 = NAMES["card"]
    spaced = json.dumps(json.loads(KEPT[sha256])).encode()
    with pytest.raises(IntegrityError, match="card: pinned is"):
        Replays((KEPT | {sha256: spaced}).get).again(RECORDS[0])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_pinned_and_no_longer_kept_is_named(name: str) -> None:
    kept = {sha256: body for sha256, body in KEPT.items() if sha256 != NAMES[name]}
    (unlike,) = remake(RECORDS[:1], Replays(kept.get), total=1, progress=Silence()).unlike
    assert unlike.why.endswith(f"{name}: pinned is {NAMES[name][:12]}, which is not kept")


def test_scores_and_outcomes_that_differ_are_told_and_of_other_fields_the_name_alone() -> None:
    said = json.loads(RECORDS[0])
    record = _changed(score=1, band="none", input_sha256="hush", application_id="hush", reasons=[{"text": "hush"}])
    (unlike,) = remake([record], Replays(KEPT.get), total=1, progress=Silence()).unlike
    assert set(unlike.fields) == {"score", "band", "input_sha256", "application_id", "reasons"}
    assert f"score is recorded as 1, and follows as {said['score']}" in unlike.why
    assert f"band is recorded as none, and follows as {said['band']}" in unlike.why
    assert "application_id does not follow" in unlike.why
    assert "hush" not in json.dumps([unlike.why, unlike.decision_id])


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (b"no record", "is not JSON"),
        (_changed(schema="obligor/decision/0"), "wanted one of the schema obligor/decision/1"),
        (_changed(gates=None), "has not the shape of a decision"),
        (_changed(pins={"release": 1}), "card: pinned is None, which is not kept"),
        (_changed(decided_at="yesterday"), "has not the shape of a decision"),
        (_changed(decided_at="2020-01-01T00:00:00.000000Z"), "is not in force before"),
    ],
)
def test_a_record_that_cannot_be_followed_is_told_and_the_others_go_on(record: bytes, why: str) -> None:
    remade = remake([record, RECORDS[1]], Replays(KEPT.get), total=2, progress=Silence())
    (unlike,) = remade.unlike
    assert why in unlike.why
    assert remade.lines()[-1] == "1 of 2 decisions follow to the last bit"


def test_the_lines_tell_the_first_that_differ_and_how_many_more() -> None:
    remade = remake([_changed(score=1)] * 25, Replays(KEPT.get), total=25, progress=Silence())
    assert len(remade.lines()) == 22
    assert remade.lines()[-2:] == ["and 5 more", "0 of 25 decisions follow to the last bit"]
    assert len(remade.to_plain()["unlike"]) == 25

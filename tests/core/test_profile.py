"""A compliance profile names every gate, holds for a time, and decides nothing outside of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import ProfileError, UnavailableError
from obligor.core.profile import (
    EVERYTHING_OFF,
    GATES,
    Elsewhere,
    Profile,
    in_force,
    parse_new_profile,
    parse_profile,
    record_gates,
)

START = "2026-11-01T00:00:00Z"
INSTANT = datetime(2026, 11, 1, tzinfo=UTC)


ELSEWHERE = {"system": "Screener", "reference": "POL-7"}


def gated(**said: Any) -> dict[str, Any]:
    return {name: {"state": "off"} for name in GATES} | said


def plain(**said: Any) -> dict[str, Any]:
    return {"name": "us", "version": 1, "gates": gated(), "effective_from": START} | said


def made(**said: Any) -> Profile:
    return parse_profile(json.dumps(plain(**said)).encode())


def test_the_profile_of_a_lender_that_names_none_asks_no_gate_and_says_so() -> None:
    assert {name: EVERYTHING_OFF.gate(name).state for name in GATES} == dict.fromkeys(GATES, "off")
    assert set(record_gates(EVERYTHING_OFF, {"kyc": "pass"}).values()) == {("off", "not_evaluated")}
    assert parse_profile(EVERYTHING_OFF.to_json()) == EVERYTHING_OFF


def test_a_profile_round_trips_and_its_hash_is_of_what_it_says() -> None:
    profile = made(expires_at="2027-01-01T00:00:00Z")
    assert parse_profile(profile.to_json()) == profile
    assert parse_profile(json.dumps(json.loads(profile.to_json())).encode()).sha256 == profile.sha256
    assert made(effective_from="2026-11-01T02:00:00+02:00").sha256 == made().sha256
    assert made(version=2).sha256 != made().sha256


def test_a_profile_of_before_keeps_its_hash() -> None:
    """As decisions have it pinned since the first version."""
    assert EVERYTHING_OFF.sha256 == "fd507727248214bebf0daccf295f0d8d7cc3c9ba99d962c5b0571ec40cb48f0b"
    assert b"elsewhere" not in EVERYTHING_OFF.to_json()


def test_a_profile_that_does_not_name_politically_exposed_persons_has_that_off_and_keeps_its_hash() -> None:
    gates = gated()
    del gates["pep"]
    before, now = made(gates=gates), made()
    assert (before.gate("pep").state, "pep" in before.asked) == ("off", False)
    assert b"pep" not in before.to_json()
    assert before.sha256 != now.sha256
    assert [*record_gates(before, {})] == [*record_gates(before, {"aml": "pass"})] == ["kyc", "aml", "pci"]
    assert [*record_gates(now, {})] == [*GATES]


@pytest.mark.parametrize("on_fail", ["hold", "decline"])
def test_a_politically_exposed_person_is_left_to_a_person_and_neither_held_nor_declined(on_fail: str) -> None:
    said = {"state": "monitor", "on_fail": on_fail, "reason": "No."}
    with pytest.raises(ProfileError, match=r"gates\.pep\.on_fail: wanted refer"):
        made(gates=gated(pep=said))
    assert made(gates=gated(pep=said | {"on_fail": "refer"})).gate("pep").state == "monitor"


def test_a_new_profile_that_does_not_screen_says_who_does() -> None:
    kept = json.dumps(plain()).encode()
    assert parse_profile(kept).gates.aml.elsewhere is None
    with pytest.raises(ProfileError, match="wanted who screens instead"):
        parse_new_profile(kept)
    said = json.dumps(plain(gates=gated(aml={"state": "off", "elsewhere": ELSEWHERE}))).encode()
    profile = parse_new_profile(said)
    assert profile.gates.aml.elsewhere == Elsewhere(**ELSEWHERE)
    assert parse_profile(profile.to_json()) == profile
    assert profile.sha256 != parse_profile(kept).sha256, "which is pinned with every decision"
    for state in ("monitor", "enforce"):
        assert parse_new_profile(json.dumps(plain(gates=gated(aml={"state": state}))).encode())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"gates": {name: {"state": "off"} for name in ("kyc", "aml")}}, "gates: lacks the key 'pci'"),
        ({"gates": {name: {"state": "off"} for name in (*GATES, "tax")}}, "gates.tax: is a key that is not known"),
        ({"gates": {name: {"state": "on"} for name in GATES}}, "gates.kyc.state"),
        ({"gates": {name: {"state": "enforce", "on_fail": "decline"} for name in GATES}}, "needs a reason"),
        (
            {"gates": {name: {"state": "off", "since": 1} for name in GATES}},
            "gates.kyc.since: is a key that is not known",
        ),
        ({"gates": gated(aml={"state": "monitor", "elsewhere": ELSEWHERE})}, "wanted none of a gate on monitor"),
        ({"gates": gated(kyc={"state": "off", "elsewhere": ELSEWHERE})}, "wanted of the gates aml and pep alone"),
        (
            {"gates": gated(aml={"state": "off", "elsewhere": {"system": "Screener"}})},
            "elsewhere: lacks the key 'reference'",
        ),
        ({"gates": gated(aml={"state": "off", "elsewhere": ELSEWHERE | {"system": " "}})}, "elsewhere.system"),
        ({"gates": gated(aml={"state": "off", "elsewhere": ELSEWHERE | {"system": "a\nb"}})}, "elsewhere.system"),
        ({"expires_at": START}, "expires_at: wanted an instant after effective_from"),
        ({"effective_from": "2026-11-01T00:00:00"}, "effective_from: got a text, wanted an instant with its offset"),
        ({"effective_from": 1761955200}, "effective_from"),
        ({"version": 0}, "version"),
        ({"name": "The US"}, "name"),
        ({"colour": "red"}, "colour: is a key that is not known"),
        ({"schema": "obligor/profile/2"}, "schema"),
    ],
    ids=str,
)
def test_a_profile_that_is_not_whole_or_not_known_is_refused(said: dict[str, Any], words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        made(**said)


@given(st.integers(-(10**6), 10**6), st.integers(1, 10**6))
def test_a_profile_is_in_force_from_its_first_instant_to_just_before_its_end(seconds: int, lasts: int) -> None:
    profile = made(expires_at=(INSTANT + timedelta(seconds=lasts)).isoformat())
    at = INSTANT + timedelta(seconds=seconds)
    if 0 <= seconds < lasts:
        assert in_force(profile, at) is profile
    else:
        with pytest.raises(UnavailableError, match="profile 'us' version 1"):
            in_force(profile, at)


@pytest.mark.parametrize(
    ("results", "words"),
    [({"tax": "pass"}, "there is no gate 'tax'"), ({"kyc": "maybe"}, "the gate 'kyc' says 'maybe'")],
)
def test_a_gate_or_a_result_that_there_is_not_is_refused(results: dict[str, str], words: str) -> None:
    with pytest.raises(ProfileError, match=words):
        record_gates(made(), results)

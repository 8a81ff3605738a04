"""The verifier that stands alone reads every form strictly, by code of its own."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.test_checkpoints import GO_KEY
from tests.governance.audit.logs import KEY, log_of

from obligor.core.checkpoints import Note
from obligor.core.leaves import commitment
from obligor.governance.audit.standalone import verify

if TYPE_CHECKING:
    from collections.abc import Callable

THE_KEY = verify.Key(KEY.verifier.text())
ROOT = base64.b64encode(bytes(32)).decode()
LEAF = log_of(40).kept[17]
SAID = json.loads(LEAF.body)
RECORD, SALT = LEAF.record.decode(), LEAF.salt.hex()


def wrong(call: Callable[[], object]) -> str:
    with pytest.raises(verify.WrongError) as caught:
        call()
    return caught.value.line.removeprefix("WRONG  ")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a": 1, "a": 1}', "form: it: a key stands twice"),
        (b'[{"b": {"a": 1, "a": 2}}]', "form: it: a key stands twice"),
        (b'{"a": NaN}', "form: it: holds a number"),
        (b'{"a": -Infinity}', "form: it: holds a number"),
        (b"{", "form: it: is not JSON"),
        (b"\xff", "form: it: is not JSON"),
        (b"[" * 100_000, "form: it: is not JSON"),
    ],
)
def test_json_says_one_thing_only(data: bytes, why: str) -> None:
    assert wrong(lambda: verify.read_json(data, "it")).startswith(why)


def test_bytes_hashes_and_counts_have_one_form() -> None:
    assert verify.read_base64("AA==", "it") == b"\0"
    for text in ("", "AB==", "AA=", "AA", "A A=", "AA==\n", "_w=="):
        assert wrong(lambda text=text: verify.read_base64(text, "it")) == "form: it: is not base64 in its one form"
    assert verify.read_hashes(["0" * 64] * 64, "it") == [bytes(32)] * 64
    for said in (7, None, "0" * 63, "0" * 65, "A" * 64, "g" * 64):
        assert wrong(lambda said=said: verify.read_hash(said, "it")) == "form: it: is not a hash"
    for said in (None, {}, "0" * 64, ["0" * 64] * 65):
        assert wrong(lambda said=said: verify.read_hashes(said, "it")) == "form: it: is not a short list of hashes"
    assert [verify.read_count(said, "it") for said in (0, 2**63 - 1)] == [0, 2**63 - 1]
    for said in (True, -1, 1.0, "1", None, 2**63):
        assert wrong(lambda said=said: verify.read_count(said, "it")) == "form: it: is not a whole number"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name", "key: wanted a key of the form"),
        (GO_KEY.replace("c74f20a3", "c74f20a4"), "key: the id of the key is not its own"),
        (GO_KEY.replace("Peter", "Paul"), "key: the id of the key is not its own"),
        ("a+00000000+" + base64.b64encode(b"\x04" + bytes(32)).decode(), "key: the key is not of the type Ed25519"),
        ("a+00000000+" + base64.b64encode(b"\x01abc").decode(), "key: the key is not of the type Ed25519"),
        ("a+00000000+AB==", "form: the key"),
    ],
)
def test_a_key_in_another_form_is_refused(text: str, why: str) -> None:
    assert verify.Key(f" {GO_KEY}\n").text == GO_KEY
    assert wrong(lambda: verify.Key(text)).startswith(why)


def signed(*lines: str) -> str:
    return KEY.sign_note("".join(f"{line}\n" for line in lines)).encode().decode()


GOOD = signed(KEY.name, "5", ROOT)
(OWN,) = KEY.sign_note(f"{KEY.name}\n5\n{ROOT}\n").signatures
BENT, WITNESS = replace(OWN, value=bytes(64)), replace(OWN, name="witness", value=bytes(64))


def note(*signatures: Any) -> str:
    return Note(f"{KEY.name}\n5\n{ROOT}\n", signatures).encode().decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (signed("another", "5", ROOT), "checkpoint-form: it: is of another log"),
        (signed(KEY.name, "5"), "checkpoint-form: it: is of another log"),
        (signed(KEY.name, "05", ROOT), "checkpoint-form: it: its size is not a number"),
        (signed(KEY.name, "\u0665", ROOT), "checkpoint-form: it: its size is not a number"),
        (signed(KEY.name, "-5", ROOT), "checkpoint-form: it: its size is not a number"),
        (signed(KEY.name, "5", "AAAA"), "checkpoint-form: it: its root is not a hash"),
        (signed(KEY.name, "5", ROOT[:-2] + "B="), "form: it: is not base64"),
        (GOOD.replace("\n\n", "\n"), "checkpoint-form: it: is not a signed note"),
        (GOOD[:-1], "checkpoint-form: it: is not a signed note"),
        (GOOD + "signed by me\n", "checkpoint-form: it: a line under its text is not a signature"),
        (GOOD.replace("5", "6", 1), "checkpoint-signature: it: its signature is not true"),
        (note(OWN, BENT), "checkpoint-signature: it: its signature is not true"),
        (note(BENT, OWN), "checkpoint-signature: it: its signature is not true"),
        (note(WITNESS), f"checkpoint-signature: it: is not signed by the key {KEY.name}"),
        (note(replace(BENT, key_id=b"more")), f"checkpoint-signature: it: is not signed by the key {KEY.name}"),
    ],
)
def test_a_checkpoint_in_another_form_is_refused(text: str, why: str) -> None:
    for good in (
        GOOD,
        note(WITNESS, OWN),
        note(OWN, replace(BENT, key_id=b"more")),
        signed(KEY.name, "5", ROOT, "more"),
    ):
        assert verify.read_checkpoint(good, THE_KEY, "it") == (5, bytes(32))
    assert verify.read_checkpoint(signed(KEY.name, "0", ROOT), THE_KEY, "it") == (0, bytes(32))
    assert wrong(lambda: verify.read_checkpoint(text, THE_KEY, "it")).startswith(why)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "is not a leaf"),
        (SAID | {"score": "1"}, "is not a leaf"),
        ({name: SAID[name] for name in SAID.keys() - {"by"}}, "is not a leaf"),
        (SAID | {"subject": 7}, "is not a leaf"),
        (SAID | {"schema": "obligor/leaf/2"}, "is not a leaf"),
        (SAID | {"at": "2026-11-26T19:40:00Z"}, "its time is not one"),
        (SAID | {"at": SAID["at"].replace("2", "\u0662", 1)}, "its time is not one"),
    ],
)
def test_a_leaf_in_another_form_is_refused(said: Any, why: str) -> None:
    assert verify.read_leaf(verify.canonical(SAID), 3) == SAID
    assert wrong(lambda: verify.read_leaf(verify.canonical(said), 3)) == f"leaf-form at leaf 3: {why}"
    assert (
        wrong(lambda: verify.read_leaf(json.dumps(SAID).encode(), 3)) == "leaf-form at leaf 3: is not in canonical form"
    )


@pytest.mark.parametrize(
    ("record", "salt", "why"),
    [
        (None, SALT, "record-form at leaf 3: its record and salt"),
        (RECORD, None, "record-form at leaf 3: its record and salt"),
        (RECORD, SALT.upper() if SALT.upper() != SALT else "A" * 32, "record-form at leaf 3: its record and salt"),
        (RECORD, SALT[:-2], "record-form at leaf 3: its record and salt"),
        (RECORD + " ", SALT, "record-changed at leaf 3"),
        (RECORD, "0" * 32, "record-changed at leaf 3"),
    ],
)
def test_a_record_that_a_leaf_does_not_commit_to_is_refused(record: Any, salt: Any, why: str) -> None:
    assert verify.check_record(SAID, RECORD, SALT, 3) == json.loads(RECORD)
    assert wrong(lambda: verify.check_record(SAID, record, salt, 3)).startswith(why)


@pytest.mark.parametrize("record", ["[]", "{}", '{"decision_id": "another"}'])
def test_a_record_tells_of_the_decision_that_its_leaf_names(record: str) -> None:
    leaf = SAID | {"kind": "decision", "commitment": commitment(record.encode(), LEAF.salt)}
    assert wrong(lambda: verify.check_record(leaf, record, SALT, 3)).startswith(
        "record-form at leaf 3: the record tells"
    )
    assert verify.check_record(leaf | {"kind": "outcome"}, record, SALT, 3) == json.loads(record)


def test_a_record_that_can_be_read_in_two_ways_is_refused() -> None:
    record = f'{{"decision_id": "{SAID["subject"]}", "outcome": "decline", "outcome": "approve"}}'
    leaf = SAID | {"commitment": commitment(record.encode(), LEAF.salt)}
    assert wrong(lambda: verify.check_record(leaf, record, SALT, 3)) == "form: the record of leaf 3: a key stands twice"

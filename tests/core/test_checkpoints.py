"""Checkpoints are written and read as other logs write and read theirs."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.checkpoints import (
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
)
from obligor.core.errors import AuditError

ROOT = bytes(range(32))
names = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"], exclude_characters="+"), min_size=1, max_size=40)
# The example of the Go authors' golang.org/x/mod/sumdb/note.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


@given(names, st.integers(0, 2**63 - 1), st.binary(min_size=32, max_size=32))
def test_a_checkpoint_reads_back_as_it_was_written(origin: str, size: int, root: bytes) -> None:
    checkpoint = Checkpoint(origin, size, root)
    signed = Note(checkpoint.text(), (Signature(origin, b"abcd", b"s" * 64),))
    assert parse_note(signed.encode()) == signed
    assert parse_checkpoint(parse_note(signed.encode()).text) == checkpoint


def test_the_form_of_a_checkpoint_is_that_of_tlog_checkpoint() -> None:
    root = base64.b64encode(ROOT).decode()
    assert Checkpoint("example.com/log", 42, ROOT).text() == f"example.com/log\n42\n{root}\n"
    longer = parse_checkpoint(f"example.com/log\n42\n{root}\nmore\n")
    assert longer.extensions == ("more",)
    assert longer.text() == f"example.com/log\n42\n{root}\nmore\n"


def test_notes_and_keys_of_the_go_authors_are_read_and_written_alike() -> None:
    note = parse_note(f"{GO_TEXT}\n{GO_LINE}".encode())
    key = parse_verifier_key(GO_KEY)
    assert (note.text, note.encode().decode()) == (GO_TEXT, f"{GO_TEXT}\n{GO_LINE}")
    assert note.signatures[0].key_id == key.key_id == bytes.fromhex("c74f20a3")
    assert key.text() == GO_KEY


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("log\n42\n", "got 2 lines"),
        ("log\n042\nAA==\n", "decimal"),
        ("log\n-1\nAA==\n", "decimal"),
        ("log\n٤\nAA==\n", "decimal"),
        ("log\n9223372036854775808\n" + base64.b64encode(ROOT).decode() + "\n", "size 9223372036854775808"),
        ("log\n4\nAA==\n", "a root of 1 bytes"),
        ("log\n4\nAB==\n", "one form"),
        ("log\n4\n!\n", "one form"),
        ("my log\n4\n" + base64.b64encode(ROOT).decode() + "\n", "origin"),
        ("\n4\n" + base64.b64encode(ROOT).decode() + "\n", "none empty"),
    ],
)
def test_a_checkpoint_in_another_form_is_refused(text: str, why: str) -> None:
    with pytest.raises(AuditError, match=why):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"text\n", "an empty line"),
        (b"text\n\n", "lines of signatures"),
        (b"text\n\nsigned by me\n", "not a signature"),
        ("text\n\n— a AAAA".encode(), "that end"),
        ("text\n\n— a AAAA\n".encode(), "shorter than the id"),
        ("text\n\n— a AAAAAA==\n".encode(), "shorter than the id"),
        ("te\rxt\n\n— a AAAAAAAA\n".encode(), "control characters"),
        (b"\xff\n\n", "not UTF-8"),
        (b"a" * 70_000, "more than 65536"),
    ],
)
def test_a_note_in_another_form_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(AuditError, match=why):
        parse_note(data)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("name", "wanted the form"),
        (GO_KEY.replace("c74f20a3", "c74f20a4"), "its id"),
        (GO_KEY.replace("Peter", "Paul"), "its id"),
        ("a+00000000+" + base64.b64encode(b"\x04" + ROOT).decode(), "not of the type Ed25519"),
        ("a+00000000+" + base64.b64encode(b"\x01abc").decode(), "32 bytes"),
    ],
)
def test_a_verifier_key_in_another_form_is_refused(text: str, why: str) -> None:
    with pytest.raises(AuditError, match=why):
        parse_verifier_key(text)


def test_names_do_not_break_out_of_their_line() -> None:
    for name in ("a b", "a+b", "a\nb", ""):
        with pytest.raises(AuditError):
            Checkpoint(name, 1, ROOT)
        with pytest.raises(AuditError):
            VerifierKey(name, ROOT)

"""A receipt shows one decision to somebody who has nothing but the log's public key."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.governance.audit.logs import KEY, VERIFIER, log_of

from obligor.core.errors import AuditError
from obligor.governance.audit import standalone
from obligor.governance.audit.bundle import signed_head
from obligor.governance.audit.receipts import Receipt, check_receipt, make_receipt, parse_receipt
from obligor.governance.audit.standalone import verify

LOG = log_of(300)
HEAD = signed_head(LOG, KEY)
VERIFY = Path(str(files(standalone).joinpath("verify.py")))


def receipt_of(index: int, *, private: bool = True) -> Receipt:
    leaf = LOG.kept[index]
    shown: dict[str, Any] = {"record": leaf.record, "salt": leaf.salt} if private else {}
    return make_receipt(leaf.body, index=index, checkpoint=HEAD, stored=LOG.hashes, **shown)


@given(st.integers(0, LOG.size - 1), st.booleans())
def test_every_act_has_a_receipt_that_holds(index: int, private: bool) -> None:  # noqa: FBT001  drawn
    receipt = parse_receipt(receipt_of(index, private=private).encode())
    assert receipt == receipt_of(index, private=private)
    assert check_receipt(receipt, VERIFIER) == ()


def test_a_receipt_without_its_record_tells_nothing_private() -> None:
    text = receipt_of(20, private=False).encode().decode()
    assert "annual_income" not in text
    assert "salt" not in text


@pytest.mark.parametrize("lacking", [*receipt_of(17).to_plain(), "record and salt"])
def test_a_receipt_lacks_nothing_but_its_record_with_its_salt(
    lacking: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = receipt_of(17).to_plain()
    said = {name: it for name, it in whole.items() if name not in lacking.split(" and ")}
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(said))
    if lacking == "record and salt":
        assert check_receipt(parse_receipt(path.read_bytes()), VERIFIER) == ()
        assert verify.main([str(path), "--key", KEY.verifier.text()]) == 0
    else:
        with pytest.raises(AuditError):
            parse_receipt(path.read_bytes())
        assert verify.main([str(path), "--key", KEY.verifier.text()]) == 1
        assert "lacks something" in capsys.readouterr().out or lacking == "schema"


@given(st.data())
def test_a_receipt_with_one_bit_changed_does_not_hold(data: st.DataObject) -> None:
    whole = receipt_of(17).encode()
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    bent = bytearray(whole)
    bent[at] ^= 1 << bit
    try:
        receipt = parse_receipt(bytes(bent))
    except AuditError:
        return
    assert check_receipt(receipt, VERIFIER) != () or receipt == receipt_of(17)  # a space is as good as a newline


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"index": 18}, "proof: does not lead"),
        ({"index": True}, "whole number"),
        ({"proof": []}, "proof: does not lead"),
        ({"proof": ["00" * 32] * 65}, "at most 64 hashes"),
        ({"proof": ["00" * 32] * 64}, "proof: does not lead"),
        ({"proof": [7]}, "at most 64 hashes"),
        ({"proof": {}}, "at most 64 hashes"),
        ({"proof": ["00"]}, "32 bytes"),
        ({"proof": ["zz" * 32]}, "hexadecimal"),
        ({"record": "{}"}, "record: is not what"),
        ({"salt": "00" * 16}, "record: is not what"),
        ({"salt": "00"}, "record: is not what"),
        ({"schema": "obligor/receipt/2"}, "wanted an object"),
        ({"extra": 1}, "wanted an object"),
        ({"index": 1 << 63}, "proof: does not lead"),
        ({"index": LOG.size}, "proof: does not lead"),
        ({"leaf": 7}, "and texts"),
        ({"checkpoint": None}, "and texts"),
        ({"leaf": "\ud800"}, "not UTF-8"),
        ({"leaf": "{}"}, "wanted an object"),
        ({"checkpoint": KEY.sign_note("another\n5\nAAAA\n").encode().decode()}, "root of 3 bytes"),
    ],
)
def test_what_is_wrong_with_a_receipt_is_named(
    change: dict[str, Any], why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = receipt_of(17).to_plain() | change
    path = tmp_path / "receipt.json"
    path.write_text(json.dumps(said))
    assert verify.main([str(path), "--key", KEY.verifier.text()]) == 1
    alone = capsys.readouterr().out
    assert alone.startswith("WRONG  ")
    assert ("unreadable" in alone) == (change == {"leaf": "\ud800"})
    try:
        told = "; ".join(check_receipt(parse_receipt(json.dumps(said).encode()), VERIFIER))
    except AuditError as error:
        told = str(error)
    assert why in told


def test_a_receipt_that_is_too_long_or_no_object_is_refused() -> None:
    for data, why in (
        (b" " * ((8 << 20) + 1), "bytes are more than"),
        (b"[]", "wanted an object"),
        (b"7", "wanted an object"),
    ):
        with pytest.raises(AuditError, match=why):
            parse_receipt(data)


def test_the_verifier_wants_a_key_for_a_receipt_and_no_file_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "receipt.json"
    path.write_bytes(receipt_of(17).encode())
    with pytest.raises(SystemExit) as ended:
        verify.main([str(path)])
    assert ended.value.code == 2
    assert "a receipt needs --key" in capsys.readouterr().err
    monkeypatch.setattr(verify, "MOST_LINE", path.stat().st_size - 1)
    assert verify.main([str(path), "--key", KEY.verifier.text()]) == 1
    assert capsys.readouterr().out == "WRONG  form: the receipt is too large\n"


def test_a_receipt_signed_by_another_key_does_not_hold(tmp_path: Path) -> None:
    from obligor.security.signing import Verifier, open_signing_key

    other = open_signing_key(tmp_path / "k.pem", name=KEY.name)
    assert check_receipt(receipt_of(3), Verifier(other.verifier)) == ("checkpoint: is not signed by this key",)


def test_the_verifier_that_stands_alone_agrees(tmp_path: Path) -> None:
    def verified(receipt: bytes, key: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "receipt.json").write_bytes(receipt)
        command = [sys.executable, "-I", VERIFY, tmp_path / "receipt.json", "--key", key]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    good = verified(receipt_of(17).encode(), KEY.verifier.text())
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith(f"leaf 17 of {LOG.size}: decision ")
    bad = verified(receipt_of(17).encode().replace(b"A-13", b"A-14"), KEY.verifier.text())
    assert bad.returncode == 1
    assert bad.stdout.startswith("WRONG  record-changed at leaf 17")

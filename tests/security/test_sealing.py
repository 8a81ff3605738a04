"""What was sealed for one person opens for nobody else, nowhere else, and not at all once its key is gone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st
from tests.keyrings import Memory, a_keyring

from obligor.core.errors import SealError
from obligor.security.sealing import (
    DATA,
    ID_BYTES,
    NAME_BYTES,
    NAMES,
    NONCE_BYTES,
    DataKey,
    Generated,
    Keyring,
    Wrapped,
    make_kept,
    open_keyring,
)
from obligor.serving.sources import live_sources

if TYPE_CHECKING:
    from collections.abc import Callable

KEYRING = a_keyring()
ROW, OTHER_ROW = bytes(16), bytes(15) + b"\x01"
ANN, BOB = KEYRING.subject("person", "Ann"), KEYRING.subject("person", "Bob")
NONCE = bytes(NONCE_BYTES)


def _key(subject: bytes = ANN) -> DataKey:
    return KEYRING.new_data_key(subject)[0]


@given(plain=st.binary(max_size=300), row=st.binary(min_size=16, max_size=16))
def test_what_was_sealed_opens_where_it_belongs(plain: bytes, row: bytes) -> None:
    key, wrapped = KEYRING.new_data_key(ANN)
    sealed = key.seal(plain, column="input", row=row, nonce=os.urandom(NONCE_BYTES))
    assert KEYRING.unwrap(wrapped, key_id=key.key_id, subject=ANN).open(sealed, column="input", row=row) == plain


def test_another_library_call_opens_it_by_the_form_that_is_told() -> None:
    secret, key_id = os.urandom(32), os.urandom(ID_BYTES)
    sealed = DataKey.of(key_id, ANN, secret).seal(b"42", column="input", row=ROW, nonce=NONCE)
    assert sealed[:13] == b"\x01" + NONCE
    assert AESGCM(secret).decrypt(NONCE, sealed[13:], b"obligor/input/1\x00" + ANN + key_id + ROW) == b"42"


def _moved(key: DataKey, sealed: bytes) -> dict[str, Callable[[], bytes]]:
    other = replace(key, subject=BOB)
    return {
        "row": lambda: key.open(sealed, column="input", row=OTHER_ROW),
        "column": lambda: key.open(sealed, column="notice", row=ROW),
        "subject": lambda: other.open(sealed, column="input", row=ROW),
        "key id": lambda: replace(key, key_id=bytes(16)).open(sealed, column="input", row=ROW),
        "key": lambda: _key().open(sealed, column="input", row=ROW),
        "short tag": lambda: key.open(sealed[:-1], column="input", row=ROW),
        "no tag": lambda: key.open(sealed[:-16], column="input", row=ROW),
        "nothing": lambda: key.open(b"", column="input", row=ROW),
        "only the form": lambda: key.open(b"\x01", column="input", row=ROW),
        "other form": lambda: key.open(b"\x02" + sealed[1:], column="input", row=ROW),
    }


@pytest.mark.parametrize("where", _moved(_key(), b""))
def test_what_was_moved_or_cut_is_not_opened(where: str) -> None:
    key = _key()
    sealed = key.seal(b"income 42000", column="input", row=ROW, nonce=NONCE)
    with pytest.raises(SealError, match=r"not opened|not of the form") as refused:
        _moved(key, sealed)[where]()
    assert "42000" not in str(refused.value)


@given(place=st.integers(0, 40), bit=st.integers(0, 7))
def test_one_changed_bit_is_found(place: int, bit: int) -> None:
    key = _key()
    sealed = bytearray(key.seal(b"income 42000", column="input", row=ROW, nonce=NONCE))
    sealed[place] ^= 1 << bit
    with pytest.raises(SealError):
        key.open(bytes(sealed), column="input", row=ROW)


def test_a_data_key_of_one_subject_is_none_of_another() -> None:
    key, wrapped = KEYRING.new_data_key(ANN)
    for key_id, subject in ((key.key_id, BOB), (bytes(16), ANN)):
        with pytest.raises(SealError, match="belongs elsewhere"):
            KEYRING.unwrap(wrapped, key_id=key_id, subject=subject)


def test_a_data_key_told_under_another_version_is_refused() -> None:
    kms = Memory()
    first, second, names = make_kept(DATA, 1, kms), make_kept(DATA, 2, kms), make_kept(NAMES, 1, kms)
    ring = open_keyring((first, second, names), kms, random=os.urandom)
    key, wrapped = ring.new_data_key(ANN)
    assert wrapped.version == ring.current == 2
    with pytest.raises(SealError, match="belongs elsewhere"):
        ring.unwrap(Wrapped(1, wrapped.wrapped), key_id=key.key_id, subject=ANN)


def test_a_version_that_was_retired_opens_nothing() -> None:
    kms = Memory()
    first, names = make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms)
    old = open_keyring((first, names), kms, random=os.urandom)
    key, wrapped = old.new_data_key(ANN)
    second = make_kept(DATA, 2, kms)
    both = open_keyring((first, second, names), kms, random=os.urandom)
    assert (both.min_version, both.current) == (1, 2)
    anew = both.wrap(both.unwrap(wrapped, key_id=key.key_id, subject=ANN))
    ring = open_keyring((replace(first, wrapped=None), second, names), kms, random=os.urandom)
    assert (ring.min_version, ring.current) == (2, 2)
    sealed = key.seal(b"x", column="input", row=ROW, nonce=NONCE)
    assert ring.unwrap(anew, key_id=key.key_id, subject=ANN).open(sealed, column="input", row=ROW) == b"x"
    with pytest.raises(SealError, match="version 1 of the key above it; wanted 2 to 2"):
        ring.unwrap(wrapped, key_id=key.key_id, subject=ANN)


@dataclass
class _Lying(Memory):
    """Unwraps to a key of its own."""

    told: bytes = field(default_factory=lambda: os.urandom(32))

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        super().unwrap(wrapped, context=context)
        return self.told


def test_a_kms_that_gives_another_key_is_found_out_before_anything_is_sealed() -> None:
    kms = _Lying()
    kept = (make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms))
    with pytest.raises(SealError, match="another key than was wrapped"):
        open_keyring(kept, kms, random=os.urandom)


def test_a_kms_that_makes_short_keys_is_refused() -> None:
    class Short(Memory):
        def generate(self, *, context: str) -> Generated:
            return Generated(b"short", b"")

    with pytest.raises(SealError, match="a key of 5 bytes; wanted 32"):
        make_kept(DATA, 1, Short())


def test_a_kept_key_does_not_pass_for_one_of_another_purpose_or_version() -> None:
    kms = Memory()
    data, names = make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms)
    for kept in ((replace(data, version=2), names), (replace(names, purpose=DATA), names), (data,), (names,)):
        with pytest.raises(SealError):
            open_keyring(kept, kms, random=os.urandom)


def test_no_nonce_comes_twice_in_a_million() -> None:
    random = live_sources().random
    key = _key()
    nonces = {key.seal(b"", column="input", row=ROW, nonce=random(NONCE_BYTES))[1:13] for _ in range(1_000_000)}
    assert len(nonces) == 1_000_000


def test_no_key_is_shown_where_it_is_printed() -> None:
    key, made = _key(), Memory().generate(context="x")
    assert key._secret.hex() not in repr(key)
    assert repr(key._secret)[2:-1] not in repr(key)
    assert repr(made.key)[2:-1] not in repr(made)


@given(one=st.text(max_size=20), other=st.text(max_size=20))
def test_names_are_equal_where_values_are_and_only_there(one: str, other: str) -> None:
    named: Callable[[str], tuple[bytes, str, bytes]] = lambda it: (  # noqa: E731
        KEYRING.subject("person", it),
        KEYRING.tag(it),
        KEYRING.fingerprint(it.encode()),
    )
    assert all((a == b) == (one == other) for a, b in zip(named(one), named(other), strict=True))
    assert KEYRING.subject("application", one) != KEYRING.subject("person", one)
    assert len(ANN) == NAME_BYTES


def test_what_is_kept_keeps_its_form() -> None:
    """Names, proofs and wrapped keys stand in the store for good: by another form none of them would be found again."""

    class Fixed(Memory):
        def generate(self, *, context: str) -> Generated:
            assert context == "obligor/data/1"
            return Generated(bytes(32), b"")

    ring = Keyring({1: bytes(32)}, bytes(range(32)), random=bytes)
    ann = ring.subject("person", "Ann")
    found = [ann.hex(), ring.tag("A-1"), ring.request("A-1"), ring.fingerprint(b"A-1").hex()]
    assert [*found, make_kept(DATA, 1, Fixed()).proof.hex(), ring.new_data_key(ann)[1].wrapped.hex()] == [
        "524d608b7af549ca2bfbc1e1f1a9b4af7281998c1ddaa324c23e29488a643ba1",
        "tag:1f8ed1b8b145f24d211219b701491d4df81dafc1",
        "tag:941f4477089721c9c228ddd6bfa52aff1b8beea9",
        "a8e999f8a6bb66d56023acffbea3452c22e56bd4bd09fee1b374c3c9ecccc9d7",
        "1960a28df53d07835f311a00033171f2730e039c86e69dd54075ee778cef555c",
        "01000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18726003ca37a62a74d1a2f58e7506358ea3cece2588db3ebdb46342c456430531",
    ]


def test_names_are_those_of_one_deployment() -> None:
    assert a_keyring().subject("person", "Ann") != ANN
    turned = (Keyring({version: os.urandom(32)}, bytes(32), random=os.urandom) for version in (1, 2))
    assert len({ring.tag("A-1") for ring in turned}) == 1  # whatever the KEKs are

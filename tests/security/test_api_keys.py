"""API keys: what is kept of them, and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import InvalidInputError
from obligor.security.api_keys import (
    KEY_LENGTH,
    RANDOM_BYTES,
    SCOPES,
    NewKey,
    Shown,
    check_client,
    is_secret,
    make_key,
    parse_key,
    secret_sha256,
)

MADE = datetime(2026, 11, 26, 12, tzinfo=UTC)
YEAR = timedelta(days=365)
randomness = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


def made(data: bytes = bytes(range(RANDOM_BYTES)), **said: object) -> NewKey:
    wanted = {"client_id": "branch-7", "scopes": ("decide",), "created_at": MADE, "expires_at": MADE + YEAR}
    return make_key(data, **(wanted | said))


@given(randomness)
def test_a_key_reads_back_as_its_id_and_a_secret_that_only_its_hash_is_kept_of(data: bytes) -> None:
    new = made(data)
    shown = parse_key(new.text)
    assert shown is not None
    assert len(new.text) == KEY_LENGTH
    assert shown.key_id == new.kept.key_id
    assert new.kept.secret_sha256 == sha256(shown.secret.encode()).digest()
    assert shown.secret not in repr(new.kept)
    assert new.kept.holds(shown.secret)


@given(randomness, randomness)
def test_keys_of_different_random_bytes_differ_in_their_secret(one: bytes, other: bytes) -> None:
    assert (one[8:] == other[8:]) == (made(one).text[-43:] == made(other).text[-43:])


@given(randomness, st.integers(0, 42), st.sampled_from("0aZ"))
def test_a_secret_with_one_letter_changed_opens_nothing(data: bytes, place: int, letter: str) -> None:
    new = made(data)
    shown = parse_key(new.text)
    assert shown is not None
    changed = shown.secret[:place] + letter + shown.secret[place + 1 :]
    assert new.kept.holds(changed) == (changed == shown.secret)


@given(st.one_of(st.text(max_size=80), st.from_regex(r"obl_[0-9a-z]{12}_[0-9A-Za-z]{43}\s?", fullmatch=True)))
def test_a_text_is_a_key_only_in_the_one_form(text: str) -> None:
    wanted = re.fullmatch(r"obl_([0-9a-hjkmnp-tv-z]{12})_([0-9A-Za-z]{43})", text, re.ASCII)
    expected = Shown(wanted[1], wanted[2]) if wanted and not text.endswith("\n") else None
    assert parse_key(text) == expected


@pytest.mark.parametrize("change", ["OBL_", "obl-", " obl_", "obl__", "obl_\uff10"])  # the last a full-width zero
def test_a_key_written_otherwise_is_none(change: str) -> None:
    assert parse_key(made().text.replace("obl_", change, 1)) is None
    assert parse_key(made().text + "\n") is None


def test_a_key_opens_up_to_the_instant_it_expires() -> None:
    kept = made().kept
    assert kept.opens(MADE + YEAR - timedelta(microseconds=1))
    assert not kept.opens(MADE + YEAR)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_revoked_key_opens_nothing_whatever_the_clock_says(at: datetime) -> None:
    assert not replace(made().kept, revoked_at=MADE + timedelta(days=1)).opens(at)


def test_a_clock_an_hour_behind_does_not_shut_a_new_key_out() -> None:
    """Two nodes whose clocks differ take the same keys: only expiry is held against the clock."""
    assert made().kept.opens(MADE - timedelta(hours=1))


def test_the_hash_of_a_secret_is_plain_sha256() -> None:
    assert secret_sha256("a" * 43).hex() == sha256(b"a" * 43).hexdigest()
    assert is_secret("a" * 43, sha256(b"a" * 43).digest())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"scopes": ()}, f"at least one scope of {', '.join(SCOPES)}"),
        ({"scopes": ("decide", "root")}, "the scope 'root' is not known"),
        ({"client_id": "Branch 7"}, "client: got 'Branch 7'"),
        ({"client_id": ""}, "client: got ''"),
        ({"name": "line\nbreak"}, "printable"),
        ({"name": "x" * 101}, "at most 100"),
        ({"expires_at": MADE}, "expires before it is made"),
        ({"created_at": MADE.replace(tzinfo=None)}, "offset from UTC"),
        ({"expires_at": (MADE + YEAR).replace(tzinfo=None)}, "offset from UTC"),
    ],
)
def test_a_key_that_says_nonsense_is_not_made(said: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidInputError, match=re.escape(told)):
        made(**said)


def test_a_key_that_was_kept_otherwise_is_none() -> None:
    kept = made(name="x" * 100).kept
    for said, told in (
        ({"key_id": "il0o"}, "the id has 4 characters; wanted 12 of base 32"),
        ({"secret_sha256": b""}, "the hash has 0 bytes, wanted 32"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            replace(kept, **said)  # type: ignore[arg-type]  # whatever a row holds


def test_what_a_key_is_made_of_is_told_apart() -> None:
    """The secret is made of its own random bytes alone, whatever the id, which anybody may see, is made of."""
    one, other = (made(start * 8 + bytes(range(32))) for start in (b"\0", b"\xff"))
    assert one.text[-43:] == other.text[-43:]
    assert one.kept.key_id != other.kept.key_id


def test_a_key_says_in_a_word_whether_it_opens() -> None:
    kept = made().kept
    assert [kept.state(MADE), kept.state(MADE + YEAR)] == ["opens", "expired"]
    assert replace(kept, revoked_at=MADE).state(MADE + YEAR) == "revoked"


def test_what_may_be_a_secret_or_a_card_is_not_repeated_at_length() -> None:
    with pytest.raises(InvalidInputError, match=r"client: got 'A{64}';"):
        check_client("A" * 65)
    with pytest.raises(InvalidInputError, match=r"the scope 'x{40}' is not known"):
        made(scopes=("x" * 41,))
    with pytest.raises(InvalidInputError, match="client: is what is the number of a payment card") as refused:
        check_client("4111111111111111")
    assert "4111" not in str(refused.value)


def test_too_few_random_bytes_make_no_key() -> None:
    with pytest.raises(InvalidInputError, match="got 16 random bytes, wanted 40"):
        made(bytes(16))


@given(st.one_of(st.text(max_size=70), st.text("az09._-", max_size=70)))
def test_a_client_is_named_so_that_it_can_stand_in_a_log_or_a_label(text: str) -> None:
    sound = 0 < len(text) <= 64 and set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    if sound and text[0] not in "._-" and text[-1] not in "._-":
        check_client(text)
    else:
        with pytest.raises(InvalidInputError):
            check_client(text)

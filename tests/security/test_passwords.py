"""Passwords are long, are more than the name of who has them, and are known again however they were typed."""

from __future__ import annotations

import pytest

from obligor.core.errors import InvalidInputError
from obligor.security.passwords import hash_password, is_password

FIVE = "abcde" * 3


def test_a_password_has_fifteen_to_256_characters_of_which_five_differ() -> None:
    for good in (FIVE, "abcde" + "e" * 251):
        assert is_password(good, hash_password(good, user_id="ada"))
    for bad, told in (
        (FIVE[:14], "has 14 characters"),
        ("abcde" + "e" * 252, "has 257 characters"),
        ("abcd" * 4, "repeats"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            hash_password(bad, user_id="ada")


@pytest.mark.parametrize("password", ["Ada.Lovelace" * 2, "ADA.LOVELACEada.lovelace!?-+"])
def test_a_password_is_more_than_the_name_of_who_has_it(password: str) -> None:
    for user_id in ("ada.lovelace", "ADA.lovelace"):
        with pytest.raises(InvalidInputError, match="repeats the user's name"):
            hash_password(password, user_id=user_id)
    assert hash_password(password, user_id="grace")


def test_another_password_no_hash_and_what_is_no_hash_open_nothing() -> None:
    kept = hash_password(FIVE, user_id="ada")
    assert not is_password(FIVE + "e", kept)
    assert not is_password(FIVE, None)
    assert not is_password(FIVE, "no hash")


def test_a_password_is_the_same_however_a_keyboard_writes_it() -> None:
    assert is_password("Cafe\u0301 au lait noir", hash_password("Caf\u00e9 au lait noir", user_id="ada"))

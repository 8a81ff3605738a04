"""Nobody approves their own work by typing their name in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.people import are_one_name, are_one_person, person_named

if TYPE_CHECKING:
    from collections.abc import Callable

    Case = Callable[[str], str]

WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=8), min_size=1, max_size=3)


@given(WORDS, st.sampled_from([" ", "  ", "\t", "\u00a0"]), st.sampled_from([str, str.upper, str.title]), st.booleans())
def test_a_name_is_one_persons_however_it_is_typed(words: list[str], blank: str, case: Case, marked: bool) -> None:  # noqa: FBT001
    name = " ".join(words)
    typed = blank.join(["", *map(case, words), ""])
    assert are_one_person(name, f"person:{typed}" if marked else typed)
    assert are_one_person(f"person:{typed}" if marked else typed, name)


@given(WORDS, WORDS)
def test_other_words_are_another_persons_name(one: list[str], other: list[str]) -> None:
    assert are_one_person(" ".join(one), " ".join(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Ada Byron", "ada  byron", True),
        ("person:ada", "Person: ADA", True),
        ("Stra\u00dfer", "STRASSER", True),
        ("ada", "ada byron", False),
        ("adabyron", "ada byron", False),
        ("key:ada", "ada", False),
        ("ada@bank.example", "Ada@BANK.example.", True),
        ("ada@bank.example", "ada+2@bank.example", True),
        ("ada+1@bank.example", "person:ada+2@bank.example", True),
        ("mailto:ada@bank.example", "acct:ada@bank.example", True),
        ("ada@bank.example", "\uff41da\uff20bank.example", True),
        ("ada", "a\u200bda", True),
        ("a.da@gmail.com", "ada+x@googlemail.com", True),
        ("a.da@bank.example", "ada@bank.example", False),
        ("ada@bank.example", "ada@bank2.example", False),
        ("ada@bank.example", "ada", False),
        ("ada+2", "ada", False),
        ("+2@bank.example", "+3@bank.example", False),
        ("ada-2@bank.example", "ada@bank.example", False),
        ("auth0|7", "google-oauth2|7", False),
    ],
)
def test_what_is_a_way_of_typing_and_what_is_somebody_else(one: str, other: str, same: bool) -> None:  # noqa: FBT001
    assert are_one_person(one, other) is same


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_person_has_one_name_and_is_themselves(one: str, other: str) -> None:
    address = f"{one}@{other}"
    assert person_named(person_named(address)) == person_named(address)
    assert are_one_person(address, address)


def test_a_second_address_is_the_same_person_and_another_name() -> None:
    assert not are_one_name("ada@bank.example", "ada+2@bank.example")
    assert are_one_name("person:ADA@bank.example", "ada@bank.example")

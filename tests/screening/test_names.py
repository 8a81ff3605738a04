from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.screening.names import name_parts, spell


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("O'Brien-Smith, Åsa", ("obrien", "smith", "asa")),
        ("D\u2019Souza", ("dsouza",)),
        ("Straße Ørsted Łódź", ("strasse", "orsted", "lodz")),
        ("李小明", ("lixiaoming",)),
        ("정숙", ("jeongsug",)),
        ("Ёлкина", ("elkina",)),
        ("नरेन्द्र", ("nrendr",)),  # vowels that are not written are not known
        ("حسين", ("hsyn",)),
        ("\u200f\u202eanna", ("anna",)),
        ("№ 4 \u2603 Anna", ("no", "4", "anna")),
    ],
    ids=ascii,
)
def test_a_name_is_read_in_latin_letters_without_marks(name: str, parts: tuple[str, ...]) -> None:
    assert name_parts(name) == parts


@given(st.text(max_size=80))
def test_parts_hold_small_latin_letters_and_digits_alone(name: str) -> None:
    assert all(part.isascii() and part.isalnum() and part == part.lower() for part in spell(name))


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_the_form_in_which_a_text_is_composed_plays_no_role(name: str) -> None:
    assert spell(unicodedata.normalize("NFC", name)) == spell(unicodedata.normalize("NFD", name))


@given(st.text(max_size=60))
def test_parts_read_again_are_the_same_parts(name: str) -> None:
    parts = spell(name)
    assert spell(" ".join(parts)) == parts


@given(st.text(string.printable, max_size=60))
def test_a_plain_name_is_read_as_among_letters_that_need_more_care(name: str) -> None:
    unseen = "\u200b"
    assert spell(name) == spell(name + unseen)

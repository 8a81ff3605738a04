"""A list made ready: what was mapped from files says what was said in memory."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.screening.lists import SNAPSHOT

from obligor.core.errors import IntegrityError, ScreeningError
from obligor.screening.births import parse_born
from obligor.screening.matching import Matcher
from obligor.screening.names import spell
from obligor.screening.prepared import Prepared
from obligor.screening.preparing import prepare
from obligor.screening.rules import Rules
from obligor.screening.words import Words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NAMES = [spell(name.text) for entry in SNAPSHOT.entries for name in entry.names]


def same(one: Matcher, other: Matcher) -> bool:
    born = parse_born("1952-03-12")
    return all(one.hits(parts, day) == other.hits(parts, day) for parts in NAMES for day in (None, born))


async def pieces(body: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def test_a_list_that_was_saved_and_mapped_finds_what_it_found_before(tmp_path: Path) -> None:
    prepared = Prepared.of(SNAPSHOT, Rules())
    prepared.save(tmp_path)
    opened = Prepared.open(tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()  # the mapping holds what the folder no longer has
    assert opened.about == prepared.about
    assert same(Matcher(opened, Rules()), Matcher(prepared, Rules()))


def test_a_list_is_made_ready_in_a_process_of_its_own_that_leaves_nothing_behind(tmp_path: Path) -> None:
    body = SNAPSHOT.to_json()
    prepared = asyncio.run(prepare(pieces(body), sha256=SNAPSHOT.sha256, within=tmp_path / "data"))
    assert same(Matcher(prepared, Rules()), Matcher.of(SNAPSHOT))
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("body", [b"", SNAPSHOT.to_json()[:-1]])
def test_a_list_that_is_not_the_one_that_was_loaded_is_refused(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(IntegrityError, match="no longer kept, or is not what its hash says"):
        asyncio.run(prepare(pieces(body), sha256=SNAPSHOT.sha256, within=tmp_path))


def test_what_is_no_list_at_all_is_refused(tmp_path: Path) -> None:

    with pytest.raises(ScreeningError, match="cannot be compared"):
        asyncio.run(prepare(pieces(b"{}"), sha256=sha256(b"{}").hexdigest(), within=tmp_path))


@given(st.sets(st.text("abcxyz019", min_size=1, max_size=8), min_size=1), st.text("abcxyz019", max_size=8))
def test_words_are_found_where_they_stand_and_others_are_not(words: set[str], other: str) -> None:
    laid = Words.of(words)
    assert list(laid) == sorted(words)
    assert [laid.find(word) for word in sorted(words)] == list(range(len(words)))
    assert (laid.find(other) is None) == (other not in words)

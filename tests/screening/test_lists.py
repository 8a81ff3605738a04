from __future__ import annotations

import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.screening.lists import PUBLISHED, SNAPSHOT

from obligor.core.canonical import canonical_json
from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate, parse_listed
from obligor.screening.lists import SCHEMA, Entry, ListedName, ListKind, ListSnapshot, changed, parse_list

if TYPE_CHECKING:
    from datetime import date

MAIN = (ListedName("EXAMPLE, Jane", "main"),)


def test_a_list_is_read_back_as_it_was_written() -> None:
    for snapshot in (SNAPSHOT, replace(SNAPSHOT, published=None)):
        again = parse_list(snapshot.to_json())
        assert sorted(again.entries, key=lambda it: it.id) == sorted(snapshot.entries, key=lambda it: it.id)
        assert (again.source, again.published, again.sha256) == (snapshot.source, snapshot.published, snapshot.sha256)


@pytest.mark.parametrize("change", ["kind", "born", "names", "programmes", "id", "source", "published"])
def test_the_hash_speaks_for_everything_that_a_list_says(change: str) -> None:
    first, *rest = SNAPSHOT.entries
    other = {
        "kind": replace(first, kind="entity"),
        "born": replace(first, born=(parse_listed("1953"),)),
        "names": replace(first, names=(*first.names[:-1], replace(first.names[-1], strength="strong"))),
        "programmes": replace(first, programmes=()),
        "id": replace(first, id="7"),
    }.get(change)
    changed = (
        replace(SNAPSHOT, entries=(other, *rest))
        if other is not None
        else replace(SNAPSHOT, **{change: "other" if change == "source" else None})
    )
    assert changed.sha256 != SNAPSHOT.sha256


def test_what_is_not_the_canonical_form_of_a_list_is_refused() -> None:
    good = json.loads(SNAPSHOT.to_json())
    for bad in (
        b"{}",
        b"[]",
        b"not json",
        SNAPSHOT.to_json() + b"\n",
        json.dumps(good | {"schema": "obligor/list/2"}).encode(),
        json.dumps(good | {"more": 1}).encode(),
        json.dumps(good | {"entries": []}).encode(),
        json.dumps(good | {"published": "20.11.2026"}).encode(),
    ):
        with pytest.raises(ScreeningError, match="list: "):
            parse_list(bad)


@given(st.text(min_size=1), st.text().filter(str.strip), st.dates())
def test_a_list_is_written_as_all_that_is_hashed(said: str, name: str, day: date) -> None:
    entry = Entry(said, "entity", (ListedName(name, "main"),), (BirthDate(day, day, about=True),), (said,))
    for kind in get_args(ListKind):
        snapshot = ListSnapshot(said, day, (entry,), kind)
        plain = json.loads(json.dumps(asdict(snapshot), default=str)) | {"schema": SCHEMA}
        assert snapshot.to_json() == canonical_json(
            plain if kind == "pep" else {k: v for k, v in plain.items() if k != "kind"}
        )
        assert parse_list(snapshot.to_json()) == snapshot


def test_a_list_that_contradicts_itself_is_refused() -> None:
    one = Entry("1", "individual", MAIN)
    with pytest.raises(ScreeningError, match="has no entry"):
        ListSnapshot("invented", PUBLISHED, ())
    with pytest.raises(ScreeningError, match="the entry '1' twice"):
        ListSnapshot("invented", PUBLISHED, (one, replace(one, kind="entity")))
    with pytest.raises(ScreeningError, match="a main name first"):
        Entry("1", "individual", (ListedName("THE CAT", "weak"),))
    with pytest.raises(ScreeningError, match=r"the entry '1' has 32,769 names; wanted at most 32,768"):
        Entry("1", "individual", MAIN * 32_769)
    with pytest.raises(ScreeningError, match="a name is empty"):
        ListedName(" ", "main")


def test_what_changed_is_told_by_what_it_is() -> None:
    first, second, *rest = SNAPSHOT.entries
    new, other = Entry("2001", "individual", MAIN), replace(second, programmes=("OTHER",))
    change = changed(SNAPSHOT, replace(SNAPSHOT, entries=(new, *rest, other)))
    assert (change.added, change.altered, change.removed) == ((new,), (other,), (first,))

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from tests.screening.lists import SNAPSHOT

from obligor.screening.births import parse_listed
from obligor.screening.lists import Entry, ListedName
from obligor.screening.matching import Matcher
from obligor.screening.names import name_parts
from obligor.screening.rescreening import Known, changed, look_again
from obligor.screening.rules import Rules

NEW = Entry("2001", "individual", (ListedName("EXAMPLE, Jane Alba", "main"),))
PEOPLE = (
    Known("s1", "Jane Alba Example", None),
    Known("s2", "Oleg Petrovich Korvand", None),
    Known("s3", "Bo Li", None),
    Known("s4", "\u200b", None),
)
RULES = Rules()


def subjects(*entries: Entry) -> list[str]:
    new = replace(SNAPSHOT, entries=entries)
    return [it.subject for it in look_again(SNAPSHOT, new, PEOPLE, rules=RULES)]


def test_whom_a_new_entry_hits_is_looked_at_again_and_nobody_else() -> None:
    assert subjects(*SNAPSHOT.entries, NEW) == ["s1", "s4"]  # nobody can say of s4, so a person looks


def test_whom_a_changed_entry_hits_is_looked_at_again() -> None:
    first, *rest = SNAPSHOT.entries
    assert subjects(replace(first, born=(parse_listed("1953"),)), *rest) == ["s2", "s4"]


def test_nobody_is_looked_at_again_where_nothing_that_can_hit_is_new() -> None:
    ship = replace(NEW, kind="vessel")
    assert subjects(*SNAPSHOT.entries) == []
    assert subjects(*SNAPSHOT.entries[1:]) == []
    assert subjects(*SNAPSHOT.entries, ship) == []


def test_what_changed_is_told_by_what_it_is() -> None:
    first, second, *rest = SNAPSHOT.entries
    other = replace(second, programmes=("OTHER",))
    change = changed(SNAPSHOT, replace(SNAPSHOT, entries=(NEW, *rest, other)))
    assert (change.added, change.altered, change.removed) == ((NEW,), (other,), (first,))


@given(st.sets(st.sampled_from(SNAPSHOT.entries), min_size=1, max_size=6))
def test_looking_again_finds_all_that_a_whole_screening_finds_new(kept: set[Entry]) -> None:
    old = replace(SNAPSHOT, entries=tuple(sorted(kept, key=lambda it: it.id)))
    people = [Known(it.id, it.names[0].text, None) for it in SNAPSHOT.entries]
    matcher, fresh = Matcher(SNAPSHOT, RULES), {it.id for it in SNAPSHOT.entries} - {it.id for it in kept}
    wanted = [
        it.subject for it in people if any(hit.entry in fresh for hit in matcher.hits(name_parts(it.name), it.born))
    ]
    assert [it.subject for it in look_again(old, SNAPSHOT, people, rules=RULES)] == wanted

from __future__ import annotations

from dataclasses import replace

from tests.screening.lists import SNAPSHOT

from obligor.screening.changes import changed
from obligor.screening.lists import Entry, ListedName

NEW = Entry("2001", "individual", (ListedName("EXAMPLE, Jane Alba", "main"),))


def test_what_changed_is_told_by_what_it_is() -> None:
    first, second, *rest = SNAPSHOT.entries
    other = replace(second, programmes=("OTHER",))
    change = changed(SNAPSHOT, replace(SNAPSHOT, entries=(NEW, *rest, other)))
    assert (change.added, change.altered, change.removed) == ((NEW,), (other,), (first,))

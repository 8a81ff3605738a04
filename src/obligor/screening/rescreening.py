"""Whom to look at again when a list changes: those whom an entry hits that is new, or that says something else now."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from obligor.core.errors import ScreeningError
from obligor.screening.matching import Hit, Matcher
from obligor.screening.names import name_parts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obligor.screening.births import BirthDate
    from obligor.screening.lists import Entry, ListSnapshot
    from obligor.screening.rules import Rules


class Known(NamedTuple):
    """Somebody whom the lender knows."""

    subject: str
    """Under what the lender keeps them; not their name."""
    name: str
    born: BirthDate | None


class Again(NamedTuple):
    """Somebody to look at again, and why; without a hit their name cannot be compared, and a person must look."""

    subject: str
    hits: tuple[Hit, ...]


class Change(NamedTuple):
    """What a new list has that the old one had not."""

    added: tuple[Entry, ...]
    altered: tuple[Entry, ...]
    """Entries as they are now."""
    removed: tuple[Entry, ...]
    """Entries as they were: who was held for one of them alone may be let go."""


def changed(old: ListSnapshot, new: ListSnapshot) -> Change:
    """Tell what changed from one list to the next, in the order of ids."""
    before, now = ({entry.id: entry for entry in it.entries} for it in (old, new))
    return Change(
        tuple(now[uid] for uid in sorted(now.keys() - before.keys())),
        tuple(now[uid] for uid in sorted(now.keys() & before.keys()) if now[uid] != before[uid]),
        tuple(before[uid] for uid in sorted(before.keys() - now.keys())),
    )


def look_again(old: ListSnapshot, new: ListSnapshot, people: Iterable[Known], *, rules: Rules) -> tuple[Again, ...]:
    """Screen known people against what is new or changed; each is told once, in the order they came.

    The weights of parts are those of the whole new list, so that a score is the one that a screening gives.
    """
    change = changed(old, new)
    fresh = frozenset(entry.id for entry in (*change.added, *change.altered))
    if not fresh & {entry.id for entry in new.entries if entry.kind in rules.kinds}:
        return ()
    matcher = Matcher(new, rules)
    return tuple(again for it in people if (again := _again(matcher, it, fresh)) is not None)


def _again(matcher: Matcher, person: Known, fresh: frozenset[str]) -> Again | None:
    try:
        hits = matcher.hits(name_parts(person.name), person.born)
    except ScreeningError:
        return Again(person.subject, ())
    mine = tuple(hit for hit in hits if hit.entry in fresh)
    return Again(person.subject, mine) if mine else None

"""What one list has that the one before had not."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from obligor.screening.lists import Entry, ListSnapshot


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

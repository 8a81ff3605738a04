"""Loads lists of names, and tells which were loaded and how far the decisions of the store were screened against them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.acting import acting, with_reader
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.screening import read_list

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from obligor.bootstrap.store import Store
    from obligor.screening.lists import Change, ListKind, ListSnapshot
    from obligor.serving.screening.lists import LoadedList

_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Loaded:
    """A list that came in force."""

    loaded: LoadedList
    change: Change | None
    """What it has that the one before had not; none where there was none."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.screening.lists import plain

        counts = None if self.change is None else {name: len(it) for name, it in self.change._asdict().items()}
        return plain(self.loaded) | {"change": counts}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        told = [f"in force: {_line(self.loaded)}"]
        if self.change is not None:
            added, altered, removed = map(len, self.change)
            told.append(f"since the one before: {added:,} added, {altered:,} changed, {removed:,} removed")
        return told


@dataclass(frozen=True, slots=True)
class Known:
    """The lists that were loaded, the last first."""

    lists: tuple[LoadedList, ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.screening.lists import plain

        return {"lists": [plain(it) for it in self.lists]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        newest = {it.list_kind: it for it in reversed(self.lists)}
        told = [f"{'in force' if newest[it.list_kind] is it else '        '}  {_line(it)}" for it in self.lists]
        return told or ["no list was loaded"]


def load(path: Path, *, kind: ListKind | None, published: date | None, older: bool) -> Loaded:
    """Put the list of a file or a folder in force.

    Raises
    ------
    ScreeningError
        Where it cannot be read, does not say of which kind it is, or an entry has no name that could be compared.
    InvalidInputError
        Where it is the one in force, or of an older day.
    """
    snapshot = read_list(path, kind=kind, published=published)
    _check_comparable(snapshot)

    async def loaded(store: Store) -> Loaded:
        from obligor.serving.screening.lists import load_list

        by = await acting(store, "list.load")
        before = await store.screening.newest_list(snapshot.kind)
        found = await load_list(
            snapshot,
            by=by,
            older=older,
            lists=store.screening,
            recorder=store.recorder,
            sources=store.sources,
        )
        return Loaded(found, None if before is None else await _change(store, before, snapshot))

    return with_anchored_store(loaded)


def known() -> Known:
    """Give the lists that were loaded."""

    async def listed(store: Store) -> Known:
        return Known(await store.screening.lists())

    return with_reader(listed, "list.load")


def _check_comparable(snapshot: ListSnapshot) -> None:
    from obligor.screening.prepared import check_comparable
    from obligor.screening.rules import Rules

    check_comparable(snapshot, Rules())


async def _change(store: Store, before: LoadedList, now: ListSnapshot) -> Change | None:
    from obligor.screening.lists import changed, parse_list

    body = await store.screening.artefact(before.list_sha256)
    return None if body is None else changed(parse_list(body), now)


def _line(it: LoadedList) -> str:
    kind = "politically exposed persons of " if it.list_kind == "pep" else ""
    return (
        f"{kind}{it.source} of {it.published}, {it.entries:,} entries, {it.list_sha256[:_DIGITS]}, loaded "
        f"{it.loaded_at:%Y-%m-%d %H:%M}Z by {it.by}"
    )

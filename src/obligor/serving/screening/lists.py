"""The lists that applicants are screened against: loaded as acts, kept in the store, taken up by every service that runs.

A list is an artefact, kept by the hash of what it says; the act says whose it is, of which day, how long, and who loaded it.
Of each kind the one that was loaded last is in force. A list never goes to an older day by itself.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from obligor.core.errors import IntegrityError, InvalidInputError
from obligor.core.leaves import time_text
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.rows import ListRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import date, datetime

    from obligor.screening.lists import ListKind, ListSnapshot
    from obligor.screening.screener import Screener
    from obligor.serving.acts import Recorder
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/list-loaded/1"
KIND: Final = "list"


class LoadedList(NamedTuple):
    """A list as it was loaded."""

    list_sha256: str
    source: str
    published: date | None
    entries: int
    loaded_at: datetime
    by: str
    list_kind: ListKind = "sanctions"


class Lists(Protocol):
    """Where lists are found again."""

    async def newest_list(self, kind: ListKind) -> LoadedList | None:
        """Give the list of a kind that was loaded last."""
        ...

    async def keep(self, sha256: str, kind: str, body: bytes) -> None:
        """Keep what a list says, as an artefact of a kind."""
        ...


async def load_list(
    snapshot: ListSnapshot, *, by: str, older: bool, lists: Lists, recorder: Recorder, sources: Sources
) -> LoadedList:
    """Put a list in force; ``by`` names the person, ``older`` says that an older day is meant.

    Raises
    ------
    InvalidInputError
        Where nobody is named, it is the one in force, its day is not known, to come, or before that of the one in force.
    UnavailableError
        Where the store does not record it.
    """
    if not by.strip():
        raise InvalidInputError("to load a list is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
    at = sources.now()
    day = _day(snapshot, await lists.newest_list(snapshot.kind), today=at.date(), older=older)
    # Before the act: the log is not held up for as long as a large list takes to be written.
    await lists.keep(snapshot.sha256, KIND, snapshot.to_json())
    row = ListRow(snapshot.sha256, snapshot.source, day, len(snapshot.entries), at, by, list_kind=snapshot.kind)
    await recorder.record(Submission((_act(row, salt=sources.salt()),), lambda _: b""))
    return LoadedList(row.list_sha256, row.source, day, row.entries, at, by, row.list_kind)


def _day(snapshot: ListSnapshot, newest: LoadedList | None, *, today: date, older: bool) -> date:
    """Give the day of a list that may be put in force: known, not to come, and not before that of the one in force."""
    day = snapshot.published
    if day is None:
        raise InvalidInputError(
            "list: does not say its day, and would count as too old", hint="say it with --published"
        )
    if day > today:
        raise InvalidInputError(f"list: is of {day}, which is to come")
    if newest is not None and newest.list_sha256 == snapshot.sha256:
        raise InvalidInputError("list: is the one in force")
    if newest is not None and newest.published is not None and day < newest.published and not older:
        raise InvalidInputError(
            f"list: is of {day}; the one in force is of {newest.published}", hint="--older says that this is meant"
        )
    return day


def _act(row: ListRow, *, salt: bytes) -> Act:
    said = {
        "schema": SCHEMA,
        "list_sha256": row.list_sha256,
        "source": row.source,
        "published": row.published.isoformat(),
        "entries": row.entries,
        "loaded_at": time_text(row.loaded_at),
        "by": row.by,
        "list_kind": row.list_kind,
    }
    return Act("list.loaded", row.loaded_at, f"person:{row.by}", row.list_sha256, encode(said), salt, (row,))


def plain(loaded: LoadedList) -> dict[str, Any]:
    """Give a list as plain data."""
    told = loaded._asdict() | {"loaded_at": time_text(loaded.loaded_at)}
    return told | {"published": None if loaded.published is None else loaded.published.isoformat()}


class ListInForce:
    """The list of a kind in force, ready to be screened against; none where none is kept as it was loaded."""

    def __init__(
        self, lists: Lists, prepare: Callable[[str], Awaitable[Screener]], kind: ListKind = "sanctions"
    ) -> None:
        self._lists, self._prepare, self._kind = lists, prepare, kind
        self.screener: Screener | None = None

    def left(self, at: datetime) -> timedelta:
        """Tell for how long applicants can still be screened against it; not at all where there is none."""
        it = self.screener
        return timedelta(0) if it is None else it.about.left(at, max_age=it.max_age)

    async def look(self) -> None:
        """Take up the list that was loaded last; the one before answers until it is ready.

        Raises
        ------
        IntegrityError
            Where it is not kept as it was loaded: then nobody is screened.
        ScreeningError, UnavailableError
            Where it cannot be made ready now; the one before stays, as long as it is not too old.
        """
        newest = await self._lists.newest_list(self._kind)
        if newest is None or (self.screener is not None and self.screener.about.sha256 == newest.list_sha256):
            return
        try:
            self.screener = await self._prepare(newest.list_sha256)
        except IntegrityError:
            self.screener = None
            raise

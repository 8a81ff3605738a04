"""A list of names to screen against, as it was published on one day: its entries, its date, where it is from, and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from obligor.core.canonical import sha256
from obligor.core.errors import ScreeningError
from obligor.screening.births import BirthDate  # noqa: TC001  read at run time by msgspec

ListKind = Literal["sanctions", "pep"]
"""Of those with whom no business may be done, or of politically exposed persons, who are looked at more closely."""
EntryKind = Literal["individual", "entity", "vessel", "aircraft"]
Strength = Literal["main", "strong", "weak"]
KINDS: Final[tuple[EntryKind, ...]] = get_args(EntryKind)
SCHEMA: Final = "obligor/list/1"
MOST_NAMES: Final = 1 << 15
"""Of an entry."""


@dataclass(frozen=True, slots=True)
class ListedName:
    """One name of an entry; a weak alias is broad or common (OFAC: not expected to be screened for by itself)."""

    text: str
    strength: Strength

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ScreeningError("list: a name is empty")


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody, or something, on a list."""

    id: str
    kind: EntryKind
    names: tuple[ListedName, ...]
    """The main name first."""
    born: tuple[BirthDate, ...] = ()
    programmes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.id or not self.names or self.names[0].strength != "main":
            raise ScreeningError(f"list: the entry {self.id[:40]!r}: wanted an id and a main name first")
        if len(self.names) > MOST_NAMES:
            raise ScreeningError(
                f"list: the entry {self.id[:40]!r} has {len(self.names):,} names; wanted at most {MOST_NAMES:,}"
            )
        if self.kind not in KINDS:
            raise ScreeningError(
                f"list: the entry {self.id[:40]!r} is of kind {self.kind[:40]!r}; wanted one of {', '.join(KINDS)}"
            )


@dataclass(frozen=True, slots=True)
class About:
    """Which list it is."""

    sha256: str
    source: str
    published: date | None
    entries: int
    """How many it has."""

    def is_stale(self, *, today: date, max_age: timedelta) -> bool:
        """Tell whether the list is too old to rely on: older than the age allowed, of no known day, or of a day to come."""
        return self.published is None or not timedelta(0) <= today - self.published <= max_age

    def left(self, at: datetime, *, max_age: timedelta) -> timedelta:
        """Tell for how long the list can still be relied on: until the end of its last day, and not at all once it is stale."""
        if self.published is None or self.is_stale(today=at.date(), max_age=max_age):
            return timedelta(0)
        return datetime.combine(self.published + max_age + timedelta(days=1), time(), tzinfo=at.tzinfo) - at


@dataclass(frozen=True)  # not slotted: the hash is kept once it is known
class ListSnapshot:
    """A list as it was published; two of the same content have the same hash."""

    source: str
    """Whose list it is, such as ``OFAC SDN``."""
    published: date | None
    """The day it was published; none: not known, so that the list counts as too old."""
    entries: tuple[Entry, ...]
    kind: ListKind = "sanctions"

    def __post_init__(self) -> None:
        if not self.entries:
            raise ScreeningError(f"list: {self.source}: has no entry")
        seen: set[str] = set()
        for entry in self.entries:
            if entry.id in seen:
                raise ScreeningError(f"list: {self.source}: has the entry {entry.id[:40]!r} twice")
            seen.add(entry.id)

    @cached_property
    def sha256(self) -> str:
        """The hash of all that the list says, whatever the order and the format it came in."""
        return sha256(self.to_json())

    def to_json(self) -> bytes:
        """Write the list as canonical JSON, its entries in the order of their ids.

        Of a list of sanctions the kind is not said, so that one from before there were others keeps its hash.
        """
        ordered = sorted(self.entries, key=lambda it: it.id)
        said = {"schema": SCHEMA, "source": self.source, "published": self.published, "entries": ordered}
        kind = {} if self.kind == "sanctions" else {"kind": self.kind}
        return msgspec.json.encode(said | kind, order="sorted")


class _Form(msgspec.Struct, forbid_unknown_fields=True):
    """How a list is written."""

    schema: Literal["obligor/list/1"]
    source: str
    published: date | None
    entries: tuple[Entry, ...]
    kind: ListKind = "sanctions"


def parse_list(data: bytes) -> ListSnapshot:
    """Read a list back from its canonical JSON.

    Raises
    ------
    ScreeningError
        Where it is not that of a list, to the byte.
    """
    try:
        said = msgspec.json.decode(data, type=_Form)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ScreeningError(f"list: is not of the form {SCHEMA}: {error}") from None
    snapshot = ListSnapshot(said.source, said.published, said.entries, said.kind)
    if snapshot.to_json() != data:
        raise ScreeningError(f"list: is not the canonical form of {SCHEMA}")
    return snapshot


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

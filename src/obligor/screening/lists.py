"""A list of names to screen against, as it was published on one day: its entries, its date, where it is from, and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Final, Literal, get_args

from obligor.core.canonical import canonical_json, sha256
from obligor.core.errors import ScreeningError

if TYPE_CHECKING:
    from obligor.screening.births import BirthDate

EntryKind = Literal["individual", "entity", "vessel", "aircraft"]
Strength = Literal["main", "strong", "weak"]
KINDS: Final[tuple[EntryKind, ...]] = get_args(EntryKind)
SCHEMA: Final = "obligor/list/1"


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
        if self.kind not in KINDS:
            raise ScreeningError(
                f"list: the entry {self.id[:40]!r} is of kind {self.kind[:40]!r}; wanted one of {', '.join(KINDS)}"
            )

    def to_plain(self) -> dict[str, object]:
        """Give the entry as plain data."""
        return {
            "id": self.id,
            "kind": self.kind,
            "names": [[name.text, name.strength] for name in self.names],
            "born": [[it.earliest.isoformat(), it.latest.isoformat(), it.about] for it in self.born],
            "programmes": list(self.programmes),
        }


@dataclass(frozen=True)  # not slotted: the hash is kept once it is known
class ListSnapshot:
    """A list as it was published; two of the same content have the same hash."""

    source: str
    """Whose list it is, such as ``OFAC SDN``."""
    published: date | None
    """The day it was published; none: not known, so that the list counts as too old."""
    entries: tuple[Entry, ...]

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
        """Write the list as canonical JSON, its entries in the order of their ids."""
        entries = [entry.to_plain() for entry in sorted(self.entries, key=lambda it: it.id)]
        told = self.published.isoformat() if self.published else None
        return canonical_json({"schema": SCHEMA, "source": self.source, "published": told, "entries": entries})

    def is_stale(self, *, today: date, max_age: timedelta) -> bool:
        """Tell whether the list is too old to rely on: older than the age allowed, of no known day, or of a day to come."""
        return self.published is None or not timedelta(0) <= today - self.published <= max_age

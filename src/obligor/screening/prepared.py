"""A list made ready to be compared, as arrays that can be mapped from files: what nobody asks for takes no memory.

The whole of an entry (its names as they are written, its birth dates, its programmes) is looked at only where a name is alike
enough, and read then.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import sha256
from sys import intern
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import msgspec
import numpy as np

from obligor.core.errors import ScreeningError
from obligor.screening.alignment import NameTable, name_table
from obligor.screening.index import NameIndex, index_names
from obligor.screening.lists import About, Entry, ListedName
from obligor.screening.names import spell
from obligor.screening.words import Words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from obligor.screening.lists import ListSnapshot
    from obligor.screening.rules import Rules

_ABOUT: Final = "about.json"
_WORDS: Final = "words_"
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Entries:
    """The entries of a list as JSON, one after another, and which of them bears each name."""

    text: NDArray[np.uint8]
    starts: NDArray[np.int64]
    """Where each begins, one more than entries."""
    bearers: NDArray[np.int32]
    """Of each name, the entry."""
    turns: NDArray[np.int16]
    """Of each name, its place among the names of its entry."""

    def at(self, place: int) -> tuple[Entry, ListedName, str]:
        """Give who bears the name at a place, the name, and the hash of all that the list says of them."""
        bearer = int(self.bearers[place])
        text = self.text[self.starts[bearer] : self.starts[bearer + 1]].tobytes()
        entry = msgspec.json.decode(text, type=Entry)
        return entry, entry.names[int(self.turns[place])], sha256(text).hexdigest()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What of a list is made ready once."""

    about: About
    table: NameTable
    index: NameIndex
    entries: Entries

    @classmethod
    def of(cls, snapshot: ListSnapshot, rules: Rules) -> Self:
        """Make a list ready to be compared under rules.

        Raises
        ------
        ScreeningError
            Where an entry of a kind that is compared has no name that could be.
        """
        entries, heard = _heard(snapshot, rules)
        spelled = [parts for _, _, parts in heard]
        texts = [msgspec.json.encode(it) for it in entries]
        return cls(
            About(snapshot.sha256, snapshot.source, snapshot.published, len(snapshot.entries)),
            name_table(spelled, rules),
            index_names(spelled),
            Entries(
                np.frombuffer(b"".join(texts), dtype=np.uint8),
                np.concatenate([[0], np.cumsum([len(it) for it in texts])]),
                np.array([bearer for bearer, _, _ in heard], dtype=np.int32),
                np.array([turn for _, turn, _ in heard], dtype=np.int16),
            ),
        )

    def save(self, folder: Path) -> None:
        """Write it into a folder, a file for each array."""
        (folder / _ABOUT).write_bytes(msgspec.json.encode(self.about))
        for name, array in self._arrays():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map what was saved; once it is open, the files may go."""
        about = msgspec.json.decode((folder / _ABOUT).read_bytes(), type=About)
        table = _mapped(NameTable, folder, "table_", words=_mapped(Words, folder, f"table_{_WORDS}"))
        return cls(about, table, _mapped(NameIndex, folder, "index_"), _mapped(Entries, folder, "entries_"))

    def _arrays(self) -> Iterator[tuple[str, NDArray[Any]]]:
        for group in ("table", "index", "entries"):
            part = getattr(self, group)
            for it in fields(part):
                value = getattr(part, it.name)
                if isinstance(value, Words):
                    yield from ((f"{group}_{_WORDS}{own.name}", getattr(value, own.name)) for own in fields(value))
                else:
                    yield f"{group}_{it.name}", value


def check_comparable(snapshot: ListSnapshot, rules: Rules) -> None:
    """Refuse a list that could not be made ready, without making it so.

    Raises
    ------
    ScreeningError
        As ``Prepared.of`` does.
    """
    _heard(snapshot, rules)


def _heard(snapshot: ListSnapshot, rules: Rules) -> tuple[list[Entry], list[tuple[int, int, tuple[str, ...]]]]:
    """Give the entries of the kinds that are compared, and the place of the bearer, the turn and the parts of each name."""
    entries = sorted((it for it in snapshot.entries if it.kind in rules.kinds), key=lambda it: it.id)
    heard = [
        (bearer, turn, tuple(map(intern, parts)))  # a list says the same part again and again
        for bearer, entry in enumerate(entries)
        for turn, name in enumerate(entry.names)
        if (parts := spell(name.text))
    ]
    if not heard:
        raise ScreeningError(f"list: {snapshot.source}: has no name of the kinds {', '.join(rules.kinds)}")
    if mute := set(range(len(entries))) - {bearer for bearer, _, _ in heard}:
        its = entries[min(mute)].id[:40]
        raise ScreeningError(f"list: {snapshot.source}: the entry {its!r} has no name that could be compared")
    return entries, heard


def _mapped(kind: type[Part], folder: Path, prefix: str, **given: object) -> Part:
    wanted = [it.name for it in fields(kind) if it.name not in given]  # type: ignore[arg-type]  # a dataclass, all three
    arrays = {name: np.load(folder / f"{prefix}{name}.npy", mmap_mode="r", allow_pickle=False) for name in wanted}
    return kind(**{name: np.asarray(it) for name, it in arrays.items()}, **given)

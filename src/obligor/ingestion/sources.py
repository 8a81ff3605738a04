"""Where a tape comes from: the protocol that every source keeps, and the source that is a file or a folder here.

A source brings bytes and nothing else. What they are is found out in :mod:`obligor.ingestion.formats`, and how they are
kept stands in :mod:`obligor.ingestion.snapshots`. Databases and object stores keep the same protocol from outside.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol

from obligor.core.errors import SourceError
from obligor.ingestion.formats import CHUNK, close_to

if TYPE_CHECKING:
    from collections.abc import Iterable

    from obligor.core.snapshot import TableRequest

Advance = Callable[[int], None]
"""Told how many bytes have arrived since it was last told."""

_PACKED = (".gz", ".zst", ".zstd")
_EXTENSIONS = (".csv", ".tsv", ".txt", ".data", ".psv", ".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file as it arrived, and what its source already knows of its text.

    Parameters
    ----------
    name : str
        What a person calls it at its source.
    described : bool
        The source wrote the file itself, with a header line, so what the contract says of a file does not apply.
    """

    path: Path
    name: str
    delimiter: str | None = None
    encoding: str | None = None
    described: bool = False


class Source(Protocol):
    """A place that holds the tables of a tape."""

    def describe(self) -> str:
        """Say where the tape lies, without any secret."""
        ...

    def fetch(self, request: TableRequest, into: Path, *, progress: Advance) -> tuple[RawFile, ...]:
        """Copy the files of one table into an empty folder, in the order of its rows."""
        ...

    def close(self) -> None:
        """Let go of what fetching held open; the tables fetched before belong to one moment where the source can."""
        ...


@dataclass(frozen=True, slots=True)
class LocalSource:
    """A tape that lies on this machine: one file, or a folder of part files or of several tables."""

    path: Path

    def describe(self) -> str:
        """Give the path, as it was given."""
        return str(self.path)

    def fetch(self, request: TableRequest, into: Path, *, progress: Advance) -> tuple[RawFile, ...]:
        """Copy the table's files, ordered by name."""
        return tuple(
            RawFile(copy_file(file, into / f"{index:04d}", progress=progress), self._named(file))
            for index, file in enumerate(self._files(request))
        )

    def in_place(self, request: TableRequest) -> tuple[RawFile, ...]:
        """Name the table's files where they lie, ordered by name."""
        return tuple(RawFile(file.absolute(), self._named(file)) for file in self._files(request))

    def close(self) -> None:
        """Hold nothing open."""

    def _files(self, request: TableRequest) -> list[Path]:
        if self.path.is_file():
            return [self._only_file(request)]
        if self.path.is_dir():
            return self._matching(request.file) if request.file else self._data_files(self.path)
        if self.path.exists():
            raise SourceError(f"{self.path} is neither a file nor a folder")
        raise SourceError(f"{self.path} does not exist; wanted a file or a folder", hint=self._near())

    def _only_file(self, request: TableRequest) -> Path:
        if request.file and not self.path.match(request.file):
            raise SourceError(
                f"{self.path} is one file, but the contract looks for '{request.file}' (table {request.name})",
                hint="give the folder that holds it",
            )
        return self.path

    def _matching(self, pattern: str) -> list[Path]:
        check_pattern(pattern)
        literal = self.path / pattern  # a name may hold brackets, which a pattern would read otherwise
        found = [literal] if literal.exists() else sorted(self.path.glob(pattern))
        files = [file for file in found if file.is_file()]
        if not files and len(found) == 1:
            return self._data_files(found[0])
        if not files:
            raise nothing_matches(pattern, self.describe(), (entry.name for entry in self.path.iterdir()))
        return files

    def _data_files(self, folder: Path) -> list[Path]:
        files = sorted(file for file in folder.iterdir() if file.is_file() and holds_data(file.name))
        if not files:
            raise no_data(str(folder))
        return files

    def _named(self, file: Path) -> str:
        return file.name if file == self.path else file.relative_to(self.path).as_posix()

    def _near(self) -> str | None:
        parent = self.path.parent
        near = close_to(self.path.name, sorted(entry.name for entry in parent.iterdir())) if parent.is_dir() else ()
        return f"did you mean {parent / near[0]}?" if near else None


# --- what every source of files needs ----------------------------------------------------------------------------


def holds_data(name: str) -> bool:
    """Say whether a file in a folder is taken for a part of the table, by its extension."""
    path = PurePosixPath(name.lower())
    bare = PurePosixPath(path.stem) if path.suffix in _PACKED else path
    return bare.suffix in _EXTENSIONS and not name.startswith((".", "_"))


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that leaves the tape's folder."""
    path = PurePosixPath(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise SourceError(
            f"the contract looks for the file '{pattern}'; wanted a name or pattern inside the tape's folder"
        )


def nothing_matches(pattern: str, place: str, names: Iterable[str]) -> SourceError:
    """Say that no file fits, and what is there."""
    there = sorted(names)
    near = close_to(pattern, there)
    shown = ", ".join(there[:8]) + (", ..." if there[8:] else "")
    return SourceError(
        f"{place} holds no file '{pattern}'; it holds {shown or 'nothing'}",
        hint=f"did you mean '{near[0]}'?" if near else None,
    )


def no_data(place: str) -> SourceError:
    """Say that a folder holds nothing that looks like a tape."""
    return SourceError(
        f"{place} holds no tape; wanted files ending in {', '.join(_EXTENSIONS)}, plain or with {' or '.join(_PACKED)}"
    )


def copy_file(source: Path, target: Path, *, progress: Advance) -> Path:
    """Copy a file's bytes, and refuse one that somebody is still writing."""
    with _open(source) as reading, target.open("xb") as writing:
        before = os.fstat(reading.fileno())
        copy_stream(reading, writing, progress=progress)
        after = os.fstat(reading.fileno())
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise SourceError(f"{source} changed while it was read; wanted a file that nobody is writing")
    return target


def copy_stream(reading: BinaryIO, writing: BinaryIO, *, progress: Advance) -> None:
    """Copy bytes in pieces of 1 MiB."""
    while chunk := reading.read(CHUNK):
        writing.write(chunk)
        progress(len(chunk))


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"{path} cannot be opened: {error.strerror}") from error

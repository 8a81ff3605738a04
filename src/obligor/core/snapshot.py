"""What a tape was, byte for byte, at the moment it was fetched.

A snapshot is named by the hash of its content, so two lenders who hold the same bytes hold the same snapshot, and a
card can say for ever which loans it was made from. Every later step reads the snapshot and never the source again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: TC003  the manifest's reader resolves the annotation
from typing import TYPE_CHECKING, Literal

from obligor.core.canonical import canonical_json, sha256
from obligor.core.columns import DecimalMark, ThousandsMark  # noqa: TC001  the manifest's reader resolves the annotation
from obligor.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from obligor.core.columns import History, Table

SCHEMA = "obligor/snapshot/1"
Format = Literal["csv", "parquet"]
Compression = Literal["none", "gzip", "zstd"]
Encoding = Literal["utf-8", "latin-1", "windows-1252", "windows-1250", "iso-8859-2", "iso-8859-15"]


@dataclass(frozen=True, slots=True)
class NumberForm:
    """How the numbers of a text file are written.

    Parameters
    ----------
    decimal
        The mark before the fraction.
    thousands
        The mark between groups of three digits, where there may be one.
    """

    decimal: DecimalMark = "."
    thousands: ThousandsMark | None = None


PLAIN = NumberForm()


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What a contract asks of a source for one table.

    Parameters
    ----------
    name : str
        The table's name in the contract, such as ``applications``.
    file : str or None
        A file name or pattern in the tape's folder, or a table's name in a database; None is the tape itself.
    delimiter, encoding : str or None
        How a text file is written; found out where None.
    columns : tuple of str
        The columns that the contract needs. A database is asked for these alone.
    header : tuple of str or None
        The column names of a text file whose first line is already a row.
    numbers : NumberForm
        How the numbers of a text file are written.
    order_by : tuple of str
        The columns that order the rows of a database's table; ties, or all rows, are ordered by their text.
    """

    name: str
    file: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    columns: tuple[str, ...] = ()
    header: tuple[str, ...] | None = None
    numbers: NumberForm = PLAIN
    order_by: tuple[str, ...] = ()


def request_for(name: str, table: Table) -> TableRequest:
    """Ask for a table as a contract or a card describes it."""
    return TableRequest(
        name=name,
        file=table.file,
        delimiter=table.delimiter,
        encoding=table.encoding,
        columns=tuple(table.columns),
        header=table.header,
        numbers=NumberForm(table.decimal, table.thousands),
    )


def requests_for(applications: Table, histories: Mapping[str, History]) -> tuple[TableRequest, ...]:
    """Ask for the applications and every history."""
    own = request_for("applications", applications)
    return (own, *(request_for(name, history) for name, history in histories.items()))


@dataclass(frozen=True, slots=True)
class SnapshotFile:
    """One file of a snapshot, and all that is needed to read it.

    Parameters
    ----------
    path : Path
        Absolute, on this machine; its extension tells its true format.
    delimiter, encoding : str or None
        None for Parquet. A UTF-8 byte order mark, where there is one, is still in the bytes.
    header : tuple of str or None
        The column names where the first line of a text file is already a row, else None.
    numbers : NumberForm
        How a text file writes numbers; the plain way for Parquet, and for what a database wrote.
    name : str
        What the file was called at its source, for messages to people; not part of the snapshot's identity.
    """

    table: str
    path: Path
    format: Format
    bytes: int
    sha256: str
    delimiter: str | None
    encoding: Encoding | None
    compression: Compression
    header: tuple[str, ...] | None = None
    name: str = ""
    numbers: NumberForm = PLAIN


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The immutable bytes of a tape: its files, their identity, and where they came from.

    Parameters
    ----------
    sha256 : str
        The identity of the content; see :func:`identity`.
    source : str
        Where it came from, as given, without any password.
    files : tuple of SnapshotFile
        Ordered by table, then in the order in which the parts of a table follow one another.
    """

    sha256: str
    source: str
    files: tuple[SnapshotFile, ...]

    def table(self, name: str) -> tuple[SnapshotFile, ...]:
        """Give the files of one table, in the order of its rows."""
        found = tuple(file for file in self.files if file.table == name)
        if not found:
            held = ", ".join(sorted({file.table for file in self.files}))
            raise SourceError(f"snapshot {self.sha256[:12]} has no table '{name}'; it holds {held}")
        return found


def identity(files: Iterable[SnapshotFile]) -> str:
    """Hash what decides the rows of a snapshot: each table's files in their order, their bytes, and how they are read.

    Where the files lie and what they were called plays no part.
    """
    by_table = sorted(files, key=lambda file: file.table)  # stable: the parts of a table keep their order
    lines = [
        {
            "table": file.table,
            "sha256": file.sha256,
            "format": file.format,
            "compression": file.compression,
            "delimiter": file.delimiter,
            "encoding": file.encoding,
            "header": file.header,
        }
        | ({"numbers": asdict(file.numbers)} if file.numbers != PLAIN else {})
        for file in by_table
    ]
    return sha256(canonical_json({"schema": SCHEMA, "files": lines}))

"""What a fetched file is: CSV or Parquet, how it is packed, how its text is written, and which columns it has.

Names lie, so the first bytes decide and the extension does not. A text file is read through once, in pieces, because
only its last byte tells whether it is whole and truly UTF-8. No message repeats a cell of a row.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from obligor.core.errors import SourceError, TapeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from obligor.core.snapshot import Compression, Encoding, Format, SnapshotFile

CHUNK = 1 << 20
_SNIFFED_BYTES = 1 << 16
_SNIFFED_RECORDS = 200
_DELIMITERS = (",", ";", "\t", "|")
_BOM = codecs.BOM_UTF8
_ENCODINGS: dict[str, Encoding] = {
    "utf-8": "utf-8",
    "utf-8-sig": "utf-8",
    "ascii": "utf-8",
    "iso8859-1": "latin-1",
    "cp1252": "windows-1252",
    "cp1250": "windows-1250",
    "iso8859-2": "iso-8859-2",
    "iso8859-15": "iso-8859-15",
}
_WANTED = ", ".join(sorted(set(_ENCODINGS.values())))
_PRINTED_BY_WINDOWS = re.compile(rb"[\x80-\x9f]")  # which Latin-1 has for control characters, that no tape holds
_UNUSED_BY_WINDOWS = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
_OTHER_FORMATS = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PARE": "an encrypted Parquet file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"%PDF": "a PDF",
    b"BZh": "packed with bzip2",
    b"\xfd7zX": "packed with xz",
}


@dataclass(frozen=True, slots=True)
class FileKind:
    """How a file is written: all that is needed to read it again."""

    format: Format
    compression: Compression
    delimiter: str | None
    encoding: Encoding | None

    @property
    def suffix(self) -> str:
        """The extension that tells the truth."""
        return f".{self.format}" + {"none": "", "gzip": ".gz", "zstd": ".zst"}[self.compression]


def identify(
    path: Path,
    name: str,
    *,
    delimiter: str | None = None,
    encoding: str | None = None,
) -> FileKind:
    """Find out how a file is written, reading text to its end.

    Parameters
    ----------
    name : str
        What a person calls the file, for messages.
    delimiter, encoding : str or None
        What the contract says; where it is silent the delimiter is guessed from the first 64 KB, and the encoding is
        UTF-8 if the whole file is; else Windows-1252 if it holds a letter or sign that Latin-1 lacks; else Latin-1.
    """
    magic = _first_bytes(path, name)
    if magic == b"PAR1":
        return FileKind("parquet", "none", None, None)
    compression: Compression = (
        "gzip" if magic[:2] == b"\x1f\x8b" else "zstd" if magic == b"\x28\xb5\x2f\xfd" else "none"
    )
    text = _read_text(path, name, compression=compression, declared=_encoding(encoding, name))
    return FileKind("csv", compression, _checked(delimiter, name) if delimiter else _sniff(text), text.encoding)


def first_record(file: SnapshotFile) -> tuple[str, ...]:
    """Give the fields of a text file's first line, or the column names of a Parquet file."""
    name = file.name or file.path.name
    if file.format == "parquet":
        return _parquet_columns(file.path, name)
    with _opened(file.path, file.compression, name) as stream:
        raw = stream.read(CHUNK)
    head = raw.removeprefix(_BOM) if file.encoding == "utf-8" else raw
    text = _decoded(head, file.encoding or "utf-8")
    return _first_csv_record(text, file.delimiter or ",", name=name, cut=len(raw) == CHUNK)


def check_columns(file: SnapshotFile, wanted: Sequence[str]) -> None:
    """Refuse a file whose header is absent or names a column twice, or that lacks a column that the contract needs."""
    name = file.name or file.path.name
    first = first_record(file)
    if file.header is not None and len(first) != len(file.header):
        raise SourceError(
            f"{name}: the first row has {len(first)} fields, but the contract's header names {len(file.header)}",
            hint=f"the delimiter read is {file.delimiter!r}; is it right?",
        )
    columns = first if file.header is None else file.header
    twice = sorted(column for column, count in Counter(columns).items() if count > 1 and column)
    if twice:
        raise SourceError(f"{name}: the header names {_listed(twice)} more than once; wanted every name once")
    require_columns(columns, wanted, name=name)


def require_columns(columns: Sequence[str], wanted: Sequence[str], *, name: str) -> None:
    """Refuse a table that lacks a column that the contract needs, and say which of its own come close."""
    missing = [column for column in wanted if column not in set(columns)]
    if missing:
        plural = "s" if len(missing) > 1 else ""
        raise TapeError(
            f"{name} has {len(columns)} columns, but not the column{plural} {_listed(missing)} that the contract names",
            hint=_hint_for_missing(missing, columns),
        )


def close_to(name: str, known: Sequence[str]) -> tuple[str, ...]:
    """Give the known names that someone who wrote this one may have meant."""
    folded: dict[str, str] = {one.casefold().strip(): one for one in reversed(known)}
    return tuple(folded[key] for key in difflib.get_close_matches(name.casefold().strip(), folded, n=3, cutoff=0.7))


# --- the first bytes ---------------------------------------------------------------------------------------------


def _first_bytes(path: Path, name: str) -> bytes:
    with path.open("rb") as file:
        magic = file.read(4)
    if not magic:
        raise SourceError(f"{name} is empty: 0 bytes; wanted a header line and rows")
    for start, what in _OTHER_FORMATS.items():
        if magic.startswith(start):
            raise SourceError(f"{name} is {what}; wanted CSV (plain, gzip or zstd) or Parquet")
    return magic


# --- text --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Text:
    head: str
    cut: bool  # the file goes on after its head
    encoding: Encoding


def _read_text(path: Path, name: str, *, compression: Compression, declared: Encoding | None) -> _Text:
    chunks = _unpacked(path, name, compression)
    head = next(chunks, b"")
    _refuse_what_is_not_text(head, name)
    if head.startswith(_BOM):
        declared = "utf-8"
    flaw = _first_flaw(head, chunks) if declared in (None, "utf-8") else None
    for _ in chunks:  # to its end, which tells whether the file is whole
        pass
    if flaw is not None and declared == "utf-8":
        raise SourceError(
            f"{name} is not UTF-8: byte {flaw} does not fit; wanted UTF-8 throughout",
            hint="if it was written on an older system, set `encoding: windows-1252` or `latin-1` for this table in the "
            "contract",
        )
    encoding: Encoding = declared or ("utf-8" if flaw is None else _of_older_systems(path, name, compression))
    sample = head[:_SNIFFED_BYTES].removeprefix(_BOM)
    return _Text(_decoded(sample, encoding), len(head) > _SNIFFED_BYTES, encoding)


def _of_older_systems(path: Path, name: str, compression: Compression) -> Encoding:
    """Tell Windows-1252 from Latin-1 by the bytes that only the former prints."""
    printed = unused = False
    for chunk in _unpacked(path, name, compression):
        printed = printed or _PRINTED_BY_WINDOWS.search(chunk) is not None
        unused = unused or _UNUSED_BY_WINDOWS.search(chunk) is not None
    return "windows-1252" if printed and not unused else "latin-1"


def _unpacked(path: Path, name: str, compression: Compression) -> Iterator[bytes]:
    with _opened(path, compression, name) as stream:
        try:
            while chunk := stream.read(CHUNK):
                yield chunk
        except OSError as error:
            if compression == "none":
                raise
            raise SourceError(
                f"{name} is not a whole {compression} file ({str(error).lower()}); wanted one that unpacks to its end",
                hint="it may have been cut short on its way; fetch or copy it again",
            ) from error


def _opened(path: Path, compression: Compression, name: str) -> pa.NativeFile:
    try:
        return pa.input_stream(path, compression=None if compression == "none" else compression)
    except OSError as error:
        raise SourceError(f"{name} cannot be opened as {compression}: {error}") from error


def _refuse_what_is_not_text(head: bytes, name: str) -> None:
    if not head.removeprefix(_BOM).strip():
        raise SourceError(f"{name} is empty: no text in its first {len(head)} bytes; wanted a header line and rows")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SourceError(
            f"{name} is written in UTF-16; wanted UTF-8 or Latin-1",
            hint="convert it first: iconv -f UTF-16 -t UTF-8",
        )
    if head.startswith(b"PAR1"):
        raise SourceError(f"{name} is a Parquet file packed once more; wanted the Parquet file itself")
    if b"\0" in head[:_SNIFFED_BYTES]:
        raise SourceError(
            f"{name} is neither text nor a whole Parquet file: it holds zero bytes; wanted CSV or Parquet"
        )


def _first_flaw(head: bytes, rest: Iterator[bytes]) -> int | None:
    """Give the place of the first byte that UTF-8 does not allow, or None."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    before = 0
    try:
        decoder.decode(head)
        before = len(head)
        for chunk in rest:
            decoder.decode(chunk)
            before += len(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return before + error.start
    return None


def _decoded(head: bytes, encoding: str) -> str:
    # The head may end within a character; an incremental decoder keeps the piece to itself.
    return codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)


def _encoding(declared: str | None, name: str) -> Encoding | None:
    if declared is None:
        return None
    try:
        return _ENCODINGS[codecs.lookup(declared).name]
    except LookupError as error:
        raise SourceError(
            f"{name}: the contract sets the encoding '{declared}'; wanted one of {_WANTED}",
            hint=f"convert it first: iconv -f {declared} -t UTF-8",
        ) from error


# --- delimiter and header ----------------------------------------------------------------------------------------


def _checked(delimiter: str, name: str) -> str:
    if len(delimiter) != 1 or delimiter in '"\r\n':
        raise SourceError(
            f"{name}: the contract sets the delimiter {delimiter!r}; wanted one character",
            hint='a tab is written "\\t", in double quotes',
        )
    return delimiter


def _sniff(text: _Text) -> str:
    """Choose the delimiter that cuts most lines into as many fields as the first; a comma if none cuts any.

    Of two that do it equally well the better leaves fewer quotes within fields: ``id|"income, monthly"`` has two fields
    by either mark, but only the bar keeps the quoted words together.
    """
    fits = {delimiter: _fit(text, delimiter) for delimiter in _DELIMITERS}
    able = [delimiter for delimiter, fit in fits.items() if fit is not None]
    return max(able, key=lambda delimiter: fits[delimiter] or (), default=",")


def _fit(text: _Text, delimiter: str) -> tuple[float, int, int] | None:
    try:
        records = [record for record in islice(_records(text.head, delimiter), _SNIFFED_RECORDS) if record]
    except csv.Error:
        return None
    if text.cut and 1 < len(records) < _SNIFFED_RECORDS:
        records.pop()  # the head ends in the middle of it
    if not records or len(records[0]) == 1:
        return None
    width = len(records[0])
    agreeing = sum(len(record) == width for record in records) / len(records)
    return (agreeing, -sum(field.count('"') for record in records for field in record), width)


def _first_csv_record(text: str, delimiter: str, *, name: str, cut: bool) -> tuple[str, ...]:
    records = _records(text, delimiter)
    try:
        record = next((record for record in records if record), [])
        whole = not cut or next(records, None) is not None
    except csv.Error as error:
        raise SourceError(f"{name}: the header line cannot be read ({error}); is a quote left open?") from error
    if not record:
        raise SourceError(f"{name} has no header line; wanted column names and rows")
    if not whole:
        raise SourceError(f"{name}: the header line does not end within {len(text)} characters; is a quote left open?")
    return tuple(record)


def _records(text: str, delimiter: str) -> Iterator[list[str]]:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)


def _parquet_columns(path: Path, name: str) -> tuple[str, ...]:
    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"{name} is not a whole Parquet file: its footer cannot be read from its {path.stat().st_size} bytes; "
            "wanted one that ends as it begins, with PAR1",
            hint="it may have been cut short on its way; fetch or copy it again",
        ) from error


# --- messages ----------------------------------------------------------------------------------------------------


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:8])
    return shown if len(names) <= 8 else f"{shown} and {len(names) - 8} more"  # noqa: PLR2004  the eight shown above


def _hint_for_missing(missing: Sequence[str], columns: Sequence[str]) -> str | None:
    if len(columns) == 1:
        return "the whole header was read as one column; set `delimiter` for this table in the contract"
    near = [f"'{name}' may be '{close[0]}'" for name in missing[:8] if (close := close_to(name, columns))]
    return "; ".join(near) or None

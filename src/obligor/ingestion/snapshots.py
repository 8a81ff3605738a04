"""Keeping a tape: its raw bytes, fetched once, in a folder named by their hash, beside a manifest.

A snapshot is built in a hidden folder of the store and appears under its name in one step, whole or not at all. Once
there it is never written again: taking the same bytes a second time verifies what is there and uses it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from obligor.core.canonical import canonical_json
from obligor.core.errors import SourceError, UnavailableError
from obligor.core.faults import first_fault
from obligor.core.snapshot import PLAIN, SCHEMA, Snapshot, SnapshotFile, identity
from obligor.files import file_sha256
from obligor.ingestion.formats import FileKind, check_columns, identify

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from obligor.core.snapshot import TableRequest
    from obligor.ingestion.sources import Advance, LocalSource, RawFile, Source

MANIFEST = "manifest.json"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew too large",
}


@dataclass(frozen=True, slots=True)
class _Manifest:
    schema: str
    sha256: str
    source: str
    files: tuple[SnapshotFile, ...]
    taken_at: str | None = None


def take_snapshot(
    source: Source,
    requests: Sequence[TableRequest],
    *,
    store: Path,
    progress: Advance | None = None,
    taken_at: datetime | None = None,
) -> Snapshot:
    """Fetch the tables of a tape and keep them, named by their content.

    Parameters
    ----------
    requests : sequence of TableRequest
        The tables that the contract names, each under a name of its own.
    store : Path
        The folder under which snapshots are kept; made where it is not there yet.
    progress : callable, optional
        Told how many bytes have arrived since it was last told.
    taken_at : datetime, optional
        Noted in the manifest of a new snapshot; no part of its name.
    """
    try:
        with _staging(store) as staging, closing(source):
            files = tuple(_fetched(source, requests, staging=staging, progress=progress or _ignore))
            snapshot = Snapshot(identity(files), source.describe(), files)
            return _keep(snapshot, staging=staging, store=store, taken_at=taken_at)
    except OSError as error:
        reason = _FULL.get(error.errno or 0, error.strerror or type(error).__name__)
        raise UnavailableError(f"the snapshot cannot be kept in {store}: {reason}; nothing was written") from error


@contextmanager
def in_place(source: LocalSource, requests: Sequence[TableRequest]) -> Iterator[Snapshot]:
    """Lend a tape of this machine where it lies, named by its content, and refuse it where it changed meanwhile."""
    try:
        files = tuple(
            _described(raw, _kind(raw, request), request, path=raw.path)
            for request in sorted(requests, key=lambda request: request.name)
            for raw in source.in_place(request)
        )
    except OSError as error:
        raise SourceError(f"{source.describe()} cannot be read: {error.strerror}") from error
    before = [_touched(file) for file in files]
    yield Snapshot(identity(files), source.describe(), files)
    for file, was in zip(files, before, strict=True):
        if _touched(file) != was:
            raise SourceError(f"{file.path} changed while it was read; wanted a file that nobody is writing")


def _touched(file: SnapshotFile) -> tuple[int, int] | None:
    try:
        found = file.path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def load_snapshot(folder: Path) -> Snapshot:
    """Read a kept snapshot, and refuse it where a single byte differs from what was fetched."""
    folder = folder.absolute()
    manifest = _read_manifest(folder)
    files = tuple(replace(file, path=folder / file.path.name) for file in manifest.files)
    for file in files:
        _verify(file)
    if not manifest.sha256 == identity(files) == folder.name:
        raise SourceError(
            f"{folder / MANIFEST} was altered: its files make the snapshot {identity(files)}, got {manifest.sha256} "
            f"in the folder {folder.name}"
        )
    return Snapshot(manifest.sha256, manifest.source, files)


# --- fetching ----------------------------------------------------------------------------------------------------


@contextmanager
def _staging(store: Path) -> Iterator[Path]:
    """Give a hidden folder of the store that is gone afterwards, whatever happens."""
    store.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".taking-", dir=store))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ignore(_: int) -> None:
    pass


def _fetched(
    source: Source, requests: Sequence[TableRequest], *, staging: Path, progress: Advance
) -> Iterator[SnapshotFile]:
    count = 0
    for request in sorted(requests, key=lambda request: request.name):
        into = staging / "arriving"
        into.mkdir()
        for raw in source.fetch(request, into, progress=progress):
            yield _identified(raw, request, target=staging / f"{count:04d}-{_slug(request.name)}")
            count += 1
        into.rmdir()


def _slug(table: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", table)[:60]


def _identified(raw: RawFile, request: TableRequest, *, target: Path) -> SnapshotFile:
    kind = _kind(raw, request)
    return _described(raw, kind, request, path=raw.path.rename(target.with_name(target.name + kind.suffix)))


def _kind(raw: RawFile, request: TableRequest) -> FileKind:
    return identify(
        raw.path,
        raw.name,
        delimiter=raw.delimiter or request.delimiter,
        encoding=raw.encoding or request.encoding,
    )


def _described(raw: RawFile, kind: FileKind, request: TableRequest, *, path: Path) -> SnapshotFile:
    file = SnapshotFile(
        table=request.name,
        path=path,
        format=kind.format,
        bytes=path.stat().st_size,
        sha256=file_sha256(path),
        delimiter=kind.delimiter,
        encoding=kind.encoding,
        compression=kind.compression,
        header=None if raw.described or kind.format == "parquet" else request.header,
        name=raw.name,
        numbers=PLAIN if raw.described or kind.format == "parquet" else request.numbers,
    )
    check_columns(file, request.columns)
    return file


# --- keeping -----------------------------------------------------------------------------------------------------


def _keep(snapshot: Snapshot, *, staging: Path, store: Path, taken_at: datetime | None) -> Snapshot:
    folder = (store / snapshot.sha256).absolute()
    if folder.exists():
        load_snapshot(folder)
    else:
        _seal(snapshot, staging=staging, taken_at=taken_at)
        _publish(staging, folder)
    return replace(snapshot, files=tuple(replace(file, path=folder / file.path.name) for file in snapshot.files))


def _seal(snapshot: Snapshot, *, staging: Path, taken_at: datetime | None) -> None:
    (staging / MANIFEST).write_bytes(canonical_json(_as_plain(snapshot, taken_at)))
    for path in (*(file.path for file in snapshot.files), staging / MANIFEST):
        path.chmod(0o440)
        _to_disk(path)
    staging.chmod(0o750)
    _to_disk(staging)


def _publish(staging: Path, folder: Path) -> None:
    try:
        staging.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        load_snapshot(folder)  # another run took the same bytes a moment earlier
    _to_disk(folder.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- the manifest ------------------------------------------------------------------------------------------------


def _as_plain(snapshot: Snapshot, taken_at: datetime | None) -> dict[str, Any]:  # JSON
    return {
        "schema": SCHEMA,
        "sha256": snapshot.sha256,
        "source": snapshot.source,
        "files": [asdict(file) | {"path": file.path.name} for file in snapshot.files],
        "taken_at": None if taken_at is None else taken_at.isoformat(),
    }


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    try:
        manifest = TypeAdapter(_Manifest).validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise SourceError(f"{folder} is not a snapshot: it has no {MANIFEST}") from error
    except OSError as error:
        raise UnavailableError(f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise SourceError(f"{path} was altered: {first_fault(error)}") from error
    if manifest.schema != SCHEMA:
        raise SourceError(f"{path} follows the schema '{manifest.schema}'; wanted '{SCHEMA}'")
    return manifest


def _verify(file: SnapshotFile) -> None:
    try:
        size, digest = file.path.stat().st_size, file_sha256(file.path)
    except FileNotFoundError as error:
        raise SourceError(f"{file.path} is gone; wanted {file.bytes} bytes with SHA-256 {file.sha256}") from error
    if size != file.bytes:
        raise SourceError(f"{file.path} was altered or cut short: wanted {file.bytes} bytes, got {size}")
    if digest != file.sha256:
        raise SourceError(f"{file.path} was altered: wanted SHA-256 {file.sha256}, got {digest}")

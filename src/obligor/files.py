"""Writes files and folders whole or not at all, and tells what the disk says where one cannot be read or written."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.core.errors import ObligorError

MANIFEST = "manifest.json"


def file_sha256(path: Path) -> str:
    """Give the SHA-256 of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def reading(path: object, *, wanted: str, error: type[ObligorError] = InvalidInputError) -> Iterator[None]:
    """Turn an error of reading what a person named into one that names it, and what is wanted there."""
    try:
        yield
    except FileNotFoundError:
        raise error(f"{path}: there is no such file; wanted {wanted}") from None
    except OSError as trouble:
        raise error(f"{path}: cannot be read ({trouble.strerror})") from None


@contextmanager
def disk_trouble(what: str) -> Iterator[None]:
    """Turn an error of the disk into one that names what was being written."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise UnavailableError(f"{what}: the disk is full; nothing was written") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise InvalidInputError(f"{what}: is not allowed to be written ({error.strerror})") from error
        raise


@contextmanager
def _room_for(path: Path) -> Iterator[None]:
    """Make the folder of a path, and tell where none can be."""
    with disk_trouble(str(path)):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield
        except (FileExistsError, FileNotFoundError, NotADirectoryError) as error:
            raise InvalidInputError(f"{path}: no folder can be there ({error.strerror})") from error


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Lend a path beside the wanted one; what stands there at the end takes its place in one step."""
    with _room_for(path):
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        with disk_trouble(str(path)):
            yield partial
            _settle(partial)
            partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Lend a folder beside the wanted one; at the end it takes its place, with what an earlier run left there removed.

    Raises
    ------
    InvalidInputError
        Where the wanted folder holds something that is not the output of a run.
    """
    refuse_strangers(path)
    with _room_for(path):
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        with disk_trouble(str(path)):
            yield partial
            partial.chmod(0o755)
            _swap(partial, path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def refuse_strangers(path: Path) -> None:
    """Refuse a folder for output that holds other people's files."""
    if not path.exists():
        return
    if not path.is_dir():
        raise InvalidInputError(f"{path}: is a file; wanted a folder for the output")
    if any(path.iterdir()) and not (path / MANIFEST).is_file():
        raise InvalidInputError(
            f"{path}: holds files that are not the output of a run", hint="name an empty or a new folder with --out"
        )


def _swap(fresh: Path, path: Path) -> None:
    if not path.exists():
        fresh.replace(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    try:
        path.replace(old / path.name)
        fresh.replace(path)
    except BaseException:  # an interruption between the two must not cost what stood there
        if not path.exists():
            (old / path.name).replace(path)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _settle(path: Path) -> None:
    """Give the file the usual rights and see it on the disk before it takes its place."""
    umask = os.umask(0)
    os.umask(umask)
    path.chmod(0o666 & ~umask)
    with suppress(OSError), path.open("rb") as stream:
        os.fsync(stream.fileno())

"""Secrets in files that only their owner may read: made once, whole, and never shown."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_BYTES: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def private_file(path: Path, make: Callable[[], bytes]) -> bytes:
    """Read a secret, or make it where there is none; two processes that start at once come to have the same."""
    if not path.exists():
        _write(path, make())
    return read_private(path)


def read_private(path: Path) -> bytes:
    """Read a secret.

    Raises
    ------
    InvalidInputError
        Where others than its owner may read it.
    """
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(_MOST_BYTES)
    if mode & _OTHERS:
        raise InvalidInputError(f"{path}: others may read this key (mode {mode & 0o777:04o})", hint=f"chmod 600 {path}")
    return data


def _write(path: Path, data: bytes) -> None:
    """Write a secret whole under another name, and give it its own only where nobody else was quicker."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # made with 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        Path(name).unlink()

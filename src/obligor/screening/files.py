"""Reads files of lists: packed or not, and up to a size."""

from __future__ import annotations

import gzip
import zlib
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from obligor.core.errors import ScreeningError

if TYPE_CHECKING:
    from pathlib import Path

_MOST_BYTES: Final = 1 << 28


def content(path: Path) -> bytes:
    """Give what a file says, unpacked.

    Raises
    ------
    ScreeningError
        Where there is none, it cannot be read, or is too large.
    """
    data = beginning(path, _MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise ScreeningError(f"{path.name}: has more than {_MOST_BYTES >> 20} MiB; wanted at most so many")
    return data


def beginning(path: Path, size: int) -> bytes:
    """Give so many bytes of what a file says first, unpacked.

    Raises
    ------
    ScreeningError
        Where there is none, or it cannot be read.
    """
    try:
        with path.open("rb") as raw:
            packed = raw.peek(2).startswith(b"\x1f\x8b")
            with gzip.GzipFile(fileobj=raw) if packed else nullcontext(raw) as file:
                return file.read(size)
    except FileNotFoundError:
        raise ScreeningError(f"{path}: there is no such file or folder") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ScreeningError(f"{path.name}: cannot be read ({type(error).__name__})") from error

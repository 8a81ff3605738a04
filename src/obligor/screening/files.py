"""Reads files of lists: packed or not, and up to a size."""

from __future__ import annotations

import gzip
import io
import zlib
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
    try:
        raw = path.read_bytes()
        with io.BytesIO(raw) as packed:
            data = gzip.GzipFile(fileobj=packed).read(_MOST_BYTES + 1) if raw[:2] == b"\x1f\x8b" else raw
    except FileNotFoundError:
        raise ScreeningError(f"{path}: there is no such file or folder") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ScreeningError(f"{path.name}: cannot be read ({type(error).__name__})") from error
    if len(data) > _MOST_BYTES:
        raise ScreeningError(f"{path.name}: is larger than {_MOST_BYTES >> 20} MiB")
    return data

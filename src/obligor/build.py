"""Which code runs: its version, and the beginning of a hash of its files."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Final

from obligor import __version__

_ROOT: Final = Path(__file__).parent
_DIGITS: Final = 16


@cache
def running_code() -> str:
    """Name the code of this process, as ``0.1.0+07490bfa4ed49cf6``; it is the same wherever the same files run."""
    return code_in(_ROOT)


def code_in(root: Path) -> str:
    """Name the code in a folder: SHA-256 over each Python file in the order of their paths, after its path and its size."""
    whole = sha256()
    for path, file in sorted((it.relative_to(root).as_posix(), it) for it in root.rglob("*.py")):
        body = file.read_bytes()
        whole.update(f"{path} {len(body)}\n".encode())
        whole.update(body)
    return f"{__version__}+{whole.hexdigest()[:_DIGITS]}"

"""Makes a list ready in a process of its own, so that what it takes to read a list is given back when it is done.

The process reads the list from standard input, and writes arrays into a folder, which are mapped; then the folder goes.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from obligor.core.errors import IntegrityError, ScreeningError, UnavailableError
from obligor.screening.lists import parse_list
from obligor.screening.prepared import Prepared
from obligor.screening.rules import Rules

if TYPE_CHECKING:
    from collections.abc import AsyncIterable

_PATIENCE_S: Final = 600.0
_NICE: Final = 10
"""Decisions go before."""
_REFUSED: Final = 3
_OTHER: Final = 4


async def prepare(pieces: AsyncIterable[bytes], *, sha256: str, within: Path) -> Prepared:
    """Make a list ready under the rules that are shipped, from the pieces of its canonical JSON.

    Parameters
    ----------
    sha256
        Which list it is to be.
    within
        Where files may lie for a moment.

    Raises
    ------
    IntegrityError
        Where it is not that list.
    ScreeningError
        Where it is no list that can be compared.
    UnavailableError
        Where the process does not end well.
    """
    within.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240  a moment, and seldom
    with TemporaryDirectory(prefix=".list-", dir=within) as folder:
        command = (sys.executable, "-m", __name__, folder, sha256)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await _hand_over(pieces, process)
                done = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if done == _OTHER:
            raise IntegrityError(f"the list {sha256[:12]} is no longer kept, or is not what its hash says")
        if done == _REFUSED:
            raise ScreeningError("list: cannot be compared; was it loaded by another version?")
        if done:
            raise UnavailableError("the list could not be made ready to be screened against")
        return Prepared.open(Path(folder))


async def _hand_over(pieces: AsyncIterable[bytes], process: asyncio.subprocess.Process) -> None:
    stdin = process.stdin
    if stdin is None:
        raise UnavailableError("the list could not be handed over")
    with suppress(BrokenPipeError, ConnectionResetError):  # then its exit says why
        async for piece in pieces:
            stdin.write(piece)
            await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


def main() -> int:
    """Make ready what comes on standard input."""
    folder, wanted = sys.argv[1:]
    os.nice(_NICE)
    gc.disable()  # nothing of a list goes before its end, and to look for what does takes as long as the work
    body = sys.stdin.buffer.read()
    if hashlib.sha256(body).hexdigest() != wanted:
        return _OTHER
    try:
        Prepared.of(parse_list(body), Rules()).save(Path(folder))
    except ScreeningError:
        return _REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What the machine says of processes, and of its disk."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_WRITES = 200


def family(pid: int) -> list[psutil.Process]:
    """Give a process and all that it started, as far as they live."""
    first = psutil.Process(pid)
    return [first, *first.children(recursive=True)]


def cpu_s(pid: int) -> float:
    """Give the seconds of CPU that a process and all that it started have taken, those that ended too."""
    taken = 0.0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            it = process.cpu_times()
            taken += it.user + it.system + it.children_user + it.children_system
    return taken


def rss_mb(pid: int) -> float:
    """Give the resident memory of a process and all that it started, in MB."""
    taken = 0.0
    for process in family(pid):
        with suppress(psutil.NoSuchProcess):
            taken += process.memory_info().rss / 1e6
    return taken


def lives(process: psutil.Process) -> bool:
    """Whether a process runs, and is no zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def flush_ms(folder: Path) -> float:
    """Time fdatasync of a page written in a folder, as pg_test_fsync does: the median, in milliseconds."""
    path = folder / "flushed"
    taken = []
    with path.open("wb", buffering=0) as file:
        file.write(bytes(8192))
        os.fsync(file.fileno())
        for _ in range(_WRITES):
            start = time.perf_counter()
            os.pwrite(file.fileno(), bytes(8192), 0)
            os.fdatasync(file.fileno())
            taken.append(1000 * (time.perf_counter() - start))
    path.unlink()
    return sorted(taken)[_WRITES // 2]

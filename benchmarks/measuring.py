"""Runs a function in a process of its own, and gives its seconds and the peak of memory above where it began."""

from __future__ import annotations

import multiprocessing
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_EVERY_S = 0.005


@dataclass(frozen=True)
class Measured:
    """What one run took."""

    seconds: float
    extra_mb: float


def measure(prepare: Callable[[], object], work: Callable[[object], object]) -> Measured:
    """Prepare, then time ``work`` on what was prepared; only the work counts."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(prepare, work, theirs))
    process.start()
    theirs.close()  # so that a process that dies is an end of file, and not a wait for ever
    try:
        return ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"the measured process ended with exit code {process.exitcode} and no figure") from None
    finally:
        process.join()


def _run(prepare: Callable[[], object], work: Callable[[object], object], answer: object) -> None:
    given = prepare()
    before = _resident_mb()
    peak, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(_EVERY_S):
            peak[0] = max(peak[0], _resident_mb())

    watcher = threading.Thread(target=watch)
    watcher.start()
    start = time.perf_counter()
    work(given)
    seconds = time.perf_counter() - start
    done.set()
    watcher.join()
    answer.send(Measured(seconds, peak[0] - before))


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6

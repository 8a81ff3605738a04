"""Large lists: what one of politically exposed persons costs, from its file to a screening, by how long it is.

The lists are made up (``exposed``), of 20,000, 100,000 and 400,000 persons. Each is read from its file, and made ready by the
very process that a service starts; the peaks of both are told, and the size of what a service maps. Then 1,000 made-up people
and 200 of the list with a letter changed are screened, in a process of their own whose memory is looked at before and after.
Beside it stands rapidfuzz's ratio of sorted parts over all names, in the same process. Seconds are of the processor.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from rapidfuzz import fuzz, process

from benchmarks.exposed import exposed, respelled, write
from obligor.screening.births import parse_born
from obligor.screening.matching import Matcher
from obligor.screening.names import name_parts
from obligor.screening.opensanctions import read_opensanctions
from obligor.screening.prepared import Prepared
from obligor.screening.rules import Rules

SIZES: Final = (20_000, 100_000, 400_000)
_SEED: Final = 5
_STRANGERS: Final = 99
"""The seed of the made-up people who are on no list."""
_PEER: Final = 20
_FILE: Final = "targets.simple.csv"
_SHA256: Final = 64


def run(*, quick: bool) -> dict[str, object]:
    """Measure every size; ``quick`` only the smallest."""
    sizes = {str(size): _measured(size, asked=200 if quick else 1000) for size in SIZES[: 1 if quick else None]}
    for size, it in sizes.items():
        print(f"{int(size):,} persons:", ", ".join(f"{name} {value:.4g}" for name, value in it.items()))
    return sizes


def _measured(size: int, *, asked: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared"
        prepared.mkdir()
        _alone(partial(_write, size, Path(folder)))
        told = _alone(partial(_read, Path(folder))) | _made_ready(Path(folder), prepared)
        told["mapped_mb"] = sum(it.stat().st_size for it in prepared.iterdir()) / 1e6
        return told | _alone(partial(_screened, size, prepared, asked))


def _alone(work: partial[dict[str, float]]) -> dict[str, float]:
    """Work in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work)


def _write(size: int, folder: Path) -> dict[str, float]:
    with (folder / _FILE).open("w", encoding="utf-8", newline="") as file:
        write(file, size)
    return {}


def _read(folder: Path) -> dict[str, float]:
    """Read the list from its file, and leave what a store keeps of it."""
    begun = time.process_time()
    snapshot = read_opensanctions(folder / _FILE, kind="pep", published=date(2026, 11, 28))
    read_s = time.process_time() - begun
    (folder / snapshot.sha256).write_bytes(snapshot.to_json())
    return {"read_s": read_s, "read_peak_mb": _peak_mb()}


def _made_ready(folder: Path, prepared: Path) -> dict[str, float]:
    """Make the list ready as a service does."""
    (body,) = (it for it in folder.iterdir() if len(it.name) == _SHA256)
    command = [sys.executable, "-m", "obligor.screening.preparing", str(prepared), body.name]
    with body.open("rb") as file:
        child = subprocess.Popen(command, stdin=file)
        _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"making ready ended with {child.returncode}")
    return {
        "list_mb": body.stat().st_size / 1e6,
        "ready_s": used.ru_utime + used.ru_stime,
        "ready_peak_mb": used.ru_maxrss / 1e3,
    }


def _screened(size: int, prepared: Path, asked: int) -> dict[str, float]:
    """Screen people who are not on the list, and some who are, under another spelling."""
    chance = random.Random(_SEED)  # noqa: S311  a sample
    strangers = [*islice(exposed(seed=_STRANGERS), asked)]
    listed = islice(exposed(), 0, size, size // (asked // 5))
    treated = [row | {"name": respelled(row["name"], chance)} for row in listed]
    before = _memory_mb()
    matcher = Matcher(Prepared.open(prepared), Rules())
    times, hits = zip(*(_one(matcher, row) for row in strangers), strict=True)
    found = [row["id"] in _one(matcher, row)[1] for row in treated]
    after = _memory_mb()
    table = matcher.prepared.table
    every = [" ".join(table.spelled(place)) for place in range(len(table))]
    begun = time.thread_time()
    for row in strangers[:_PEER]:
        process.extract(
            " ".join(name_parts(row["name"])), every, scorer=fuzz.token_sort_ratio, score_cutoff=70, limit=20
        )
    return {
        "names": len(table),
        "median_ms": float(np.median(times)) * 1e3,
        "p99_ms": float(np.quantile(times, 0.99)) * 1e3,
        "found": float(np.mean(found)),
        "mistaken": float(np.mean([bool(it) for it in hits])),
        "own_mb": after["Anonymous"] - before["Anonymous"],
        "resident_mb": after["Rss"] - before["Rss"],
        "ratio_times_as_long": (time.thread_time() - begun) / _PEER / float(np.mean(times)),
    }


def _one(matcher: Matcher, row: dict[str, str]) -> tuple[float, set[str]]:
    """Screen one person; give the time of the processor, and the entries that were hit."""
    parts, born = name_parts(row["name"]), parse_born(row["birth_date"]) if row["birth_date"] else None
    begun = time.thread_time()
    hits = matcher.hits(parts, born)
    return time.thread_time() - begun, {it.entry for it in hits}


def _memory_mb() -> dict[str, float]:
    told = Path("/proc/self/smaps_rollup").read_text()
    return {name: int(size) / 1e3 for name, size in re.findall(r"^(Rss|Anonymous):\s+(\d+) kB", told, re.MULTILINE)}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

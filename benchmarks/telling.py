"""What it costs a decision to be counted, told and let in, in microseconds; and what a serving process weighs at its start."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
import time
import timeit
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from tests.serving.small_cards import small_card
from tests.serving.test_process import BUILDING, SERVED_WITH

from obligor.security.api_keys import RANDOM_BYTES, make_key
from obligor.serving.people.authenticating import Authenticator
from obligor.serving.people.issuing import row_of
from obligor.serving.telemetry.journal import Journal
from obligor.serving.telemetry.meter import STAGES, InForce
from obligor.serving.telemetry.metrics import SECONDS, PrometheusMeter, score_bounds, write_metrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.serving.rows import ApiKeyRow

CHARACTERISTICS = 20
CARD = small_card(*(f"x{at}" for at in range(CHARACTERISTICS)))
BINS = (0, 1, 2, *(0 for _ in range(CHARACTERISTICS - 3)))  # one of them is missing
TIMES = 5


def run(*, quick: bool) -> dict[str, object]:
    """Measure each beside the others, in one process; ``quick`` repeats a tenth as often."""
    often = 5_000 if quick else 50_000
    registry = CollectorRegistry()
    result: dict[str, object] = {
        "counts_us": _cost(_counting(registry), often),
        "counts_by_the_library_us": _cost(_counting_by_the_library(), often),
        "scrape_us": _cost(lambda: write_metrics(registry), max(often // 1000, 5)),
        "journal_us": _telling(often),
        "known_key_us": asyncio.run(_letting_in(often)),
        "start_mb": _weight(),
    }
    for name, value in result.items():
        print(f"{name:<26} {value:>8.1f}")
    return result


def _cost(work: Callable[[], object], often: int) -> float:
    return round(min(timeit.repeat(work, number=often, repeat=TIMES)) / often * 1e6, 2)


def _counting(registry: CollectorRegistry) -> Callable[[], None]:
    meter = PrometheusMeter(registry)
    meter.in_force(InForce(1, CARD, "a" * 64, "b" * 64, "c" * 64))

    def decision() -> None:
        meter.entered()
        for stage in STAGES:
            meter.stage(stage, 0.002)
        meter.decided(outcome="approve", band="A", score=512_345, bins=BINS)
        meter.left("POST /v1/decisions", 201, 0.004)

    return decision


def _counting_by_the_library() -> Callable[[], None]:
    """The same counts as metrics of prometheus-client, every label bound beforehand."""
    registry = CollectorRegistry()
    histogram = Histogram("stage", "of a decision", ["stage"], buckets=SECONDS, registry=registry)
    stages = [histogram.labels(stage) for stage in STAGES]
    whole = Histogram("request", "seconds", ["route"], buckets=SECONDS, registry=registry).labels("decisions")
    score = Histogram("score", "points", buckets=score_bounds(CARD), registry=registry)
    decided = Counter("decided", "decisions", ["outcome", "band"], registry=registry).labels("approve", "A")
    answered = Counter("answered", "requests", ["route", "status"], registry=registry).labels("decisions", "201")
    missing = Counter("missing", "values", ["characteristic"], registry=registry).labels("x2")
    open_now = Gauge("open", "requests", registry=registry)

    def decision() -> None:
        open_now.inc()
        for stage in stages:
            stage.observe(0.002)
        decided.inc()
        score.observe(512.345)
        missing.inc()
        answered.inc()
        whole.observe(0.004)
        open_now.dec()

    return decision


def _telling(often: int) -> float:
    """Only what the event loop pays; a line is written by another thread."""
    with Journal(io.BytesIO(), most_waiting=often * TIMES) as journal:
        told = {"route": "POST /v1/decisions", "status": 201, "seconds": 0.004, "client_id": "branch-7"}
        return _cost(lambda: journal.tell("answered", **told), often)


class _OneKey:
    def __init__(self, row: ApiKeyRow) -> None:
        self._row = row

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        return self._row if key_id == self._row.key_id else None


async def _letting_in(often: int) -> float:
    at = datetime.now(UTC)
    made = {"client_id": "branch-7", "scopes": ("decide",), "created_at": at, "expires_at": at + timedelta(days=1)}
    new = make_key(bytes(RANDOM_BYTES), **made)
    door, header = Authenticator(_OneKey(row_of(new.kept)), now=lambda: datetime.now(UTC)), f"Bearer {new.text}"
    taken = []
    for _ in range(TIMES):
        start = time.perf_counter()
        for _ in range(often):
            await door.authenticate(header, peer="192.0.2.1")
        taken.append((time.perf_counter() - start) / often * 1e6)
    return round(min(taken), 2)


def _weight() -> float:
    """The resident memory of a process that has loaded all that it serves with."""
    program = BUILDING.format(modules=SERVED_WITH, environ={})
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["memory_mb"])

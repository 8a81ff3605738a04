"""Opens what a service tells of itself: counts, journal and, where a collector is named, traces."""

from __future__ import annotations

import logging
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from obligor.core.errors import InvalidInputError
from obligor.serving.telemetry.journal import LEVELS, Journal, Level, take_over_logging, tell_of_crashes
from obligor.serving.telemetry.metrics import PrometheusMeter, write_metrics
from obligor.serving.telemetry.tracing import TracedMeter, Tracing, open_tracing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import BinaryIO

    from obligor.serving.telemetry.meter import Meter


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What a service tells of itself."""

    registry: CollectorRegistry
    meter: Meter
    journal: Journal
    tracing: Tracing | None

    def metrics(self) -> bytes:
        """Write the counts as Prometheus reads them."""
        return write_metrics(self.registry)


@contextmanager
def open_telemetry(environ: Mapping[str, str], *, stream: BinaryIO) -> Iterator[Telemetry]:
    """Lend what a service tells of itself; until then the journal alone tells what libraries log and what nobody caught.

    Raises
    ------
    InvalidInputError
        Where ``OBLIGOR_LOG_LEVEL`` is no level.
    """
    level = read_log_level(environ)
    tracing = open_tracing(environ)
    registry = CollectorRegistry()
    counted = PrometheusMeter(registry)
    with _hooks_kept(), Journal(stream, level=level) as journal:
        take_over_logging(journal, level=level)
        tell_of_crashes(journal)
        counted.watch("journal_dropped", lambda: journal.dropped)
        meter = counted if tracing is None else TracedMeter(counted, tracing)
        try:
            yield Telemetry(registry, meter, journal, tracing)
        finally:
            if tracing is not None:
                tracing.close()


def read_log_level(environ: Mapping[str, str]) -> Level:
    """Read from which level on events are written (``OBLIGOR_LOG_LEVEL``, by default ``info``)."""
    said = environ.get("OBLIGOR_LOG_LEVEL", "info").lower()
    for level in LEVELS:
        if said == level:
            return level
    raise InvalidInputError(f"OBLIGOR_LOG_LEVEL: got '{said[:20]}', wanted one of {', '.join(LEVELS)}")


@contextmanager
def _hooks_kept() -> Iterator[None]:
    """Put back, at the end, who told of logs and of what nobody caught."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    try:
        yield
    finally:
        sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
        root.handlers, root.level = handlers, level
        logging.captureWarnings(capture=False)

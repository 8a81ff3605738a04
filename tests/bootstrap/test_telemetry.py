"""What a service tells of itself is opened, used and closed as one."""

from __future__ import annotations

import io
import json
import logging
import sys

import pytest

from obligor.bootstrap.telemetry import open_telemetry
from obligor.core.errors import InvalidInputError
from obligor.serving.telemetry.metrics import PrometheusMeter
from obligor.serving.telemetry.tracing import TracedMeter


def test_libraries_are_told_by_the_journal_while_it_is_open_and_as_before_afterwards() -> None:
    stream, root = io.BytesIO(), logging.getLogger()
    handlers, hook = root.handlers, sys.excepthook
    with open_telemetry({}, stream=stream) as telemetry:
        logging.getLogger("uvicorn.other").warning("Started server process [%d]", 7)
        telemetry.meter.refused("wrong")
        assert b'obligor_refusals_total{why="wrong"} 1.0' in telemetry.metrics()
        assert b"obligor_journal_dropped_total 0.0" in telemetry.metrics()
        assert isinstance(telemetry.meter, PrometheusMeter)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert (line["level"], line["text"]) == ("warning", "Started server process [%d]")
    assert (root.handlers, sys.excepthook) == (handlers, hook)


def test_a_service_is_traced_where_a_collector_is_named() -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    with open_telemetry(environ, stream=io.BytesIO()) as telemetry:
        assert isinstance(telemetry.meter, TracedMeter)


def test_the_level_is_one_that_the_journal_knows() -> None:
    stream = io.BytesIO()
    with open_telemetry({"OBLIGOR_LOG_LEVEL": "ERROR"}, stream=stream) as telemetry:
        telemetry.journal.tell("answered", status=201)
    assert stream.getvalue() == b""
    with (
        pytest.raises(InvalidInputError, match="OBLIGOR_LOG_LEVEL: got 'loud', wanted one of debug"),
        open_telemetry({"OBLIGOR_LOG_LEVEL": "loud"}, stream=stream),
    ):
        pass

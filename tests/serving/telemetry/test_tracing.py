"""Traces: a request and the stages of its decision, told to a real collector, and nothing of a person."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.serving.collectors import collector
from tests.serving.telemetry.decided import decided

from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.telemetry.tracing import (
    ATTRIBUTES,
    TracedMeter,
    endpoint_of,
    grpc_interceptor,
    open_tracing,
    traced,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.serving.telemetry.tracing import Tracing

CANARY = "Ana Canary 4111111111111111"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def opened(endpoint: str) -> Tracing:
    tracing = open_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint})
    assert tracing is not None
    return tracing


def deciding(meter: TracedMeter, status: int = 201) -> Any:
    """A door that decides on whatever comes."""

    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        meter.entered()
        try:
            meter.stage("read", 0.002)
            meter.stage("score", 0.001)
            await asyncio.sleep(0)
            meter.stage("record", 0.004)
            meter.stage("whole", 0.01)
            meter.decided(*decided("approve", "A", score=512_345))
            if status >= 500:
                raise ValueError(CANARY)
        finally:
            meter.left("/v1/decisions", status, 0.01)

    return app


async def post(app: Any, *headers: tuple[bytes, bytes]) -> None:
    scope = {"type": "http", "path": f"/v1/decisions?{CANARY}", "headers": [(b"x-name", CANARY.encode()), *headers]}
    await app(scope, None, None)


def test_a_decision_is_a_span_of_the_callers_trace_with_its_stages_under_it() -> None:
    with collector() as (kept, endpoint):
        tracing = opened(endpoint)
        asyncio.run(post(traced(deciding(TracedMeter(NoMeter(), tracing)), tracing), (b"traceparent", PARENT.encode())))
        tracing.close()
    assert set(kept.spans) == {"/v1/decisions", "read", "score", "record"}
    whole = kept.spans["/v1/decisions"]
    assert (whole.trace_id.hex(), whole.parent_span_id.hex()) == (PARENT[3:35], PARENT[36:52])
    for name, milliseconds in (("read", 2), ("score", 1), ("record", 4)):
        stage = kept.spans[name]
        assert (stage.trace_id, stage.parent_span_id) == (whole.trace_id, whole.span_id)
        assert stage.end_time_unix_nano - stage.start_time_unix_nano == milliseconds * 1_000_000
    assert kept.said("/v1/decisions") == {
        "http.route": "/v1/decisions", "http.response.status_code": 201, "obligor.outcome": "approve", "obligor.band": "A",
    }  # fmt: skip


@pytest.mark.parametrize("parent", ["", "nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", CANARY, "\xff"])
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(parent: str) -> None:
    with collector() as (kept, endpoint):
        tracing = opened(endpoint)
        header = (b"traceparent", parent.encode("latin-1"))
        asyncio.run(post(traced(deciding(TracedMeter(NoMeter(), tracing)), tracing), header))
        tracing.close()
    assert kept.spans["/v1/decisions"].parent_span_id == b""
    assert CANARY.encode() not in b"".join(kept.raw)


def test_a_request_that_fails_tells_the_type_of_what_failed_and_nothing_of_a_person() -> None:
    with collector() as (kept, endpoint):
        tracing = opened(endpoint)
        app = traced(deciding(TracedMeter(NoMeter(), tracing), status=500), tracing)
        with pytest.raises(ValueError, match=CANARY):
            asyncio.run(post(app))
        tracing.say({"applicant": CANARY})
        tracing.close()
    whole = kept.spans["/v1/decisions"]
    assert whole.status.code == 2
    assert (whole.status.message, len(whole.events)) == ("", 0)
    assert kept.said("/v1/decisions")["error.type"] == "ValueError"
    assert [word for word in (b"Canary", b"4111") if word in b"".join(kept.raw)] == []


def test_requests_at_the_same_time_keep_their_stages_apart() -> None:
    with collector() as (kept, endpoint):
        tracing = opened(endpoint)
        app = traced(deciding(TracedMeter(NoMeter(), tracing)), tracing)

        async def both() -> None:
            await asyncio.gather(*(post(app) for _ in range(20)))

        asyncio.run(both())
        tracing.close()
    found = [ExportTraceServiceRequest.FromString(data) for data in kept.raw]
    spans = [span for sent in found for it in sent.resource_spans for scope in it.scope_spans for span in scope.spans]
    whole = {span.span_id: span.trace_id for span in spans if span.name == "/v1/decisions"}
    stages = [span for span in spans if span.name != "/v1/decisions"]
    assert (len(whole), len(stages)) == (20, 60)
    assert all(whole[span.parent_span_id] == span.trace_id for span in stages)
    keys = {pair.key for span in spans for pair in span.attributes}
    assert keys <= set(ATTRIBUTES)


def test_a_collector_that_is_gone_costs_spans_and_nothing_else() -> None:
    tracing = opened("http://127.0.0.1:9")  # the port of discard: nobody listens
    asyncio.run(post(traced(deciding(TracedMeter(NoMeter(), tracing)), tracing)))
    tracing.close()


@pytest.mark.parametrize(
    ("environ", "endpoint"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/here"}, "http://c:4318/here"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, None),
    ],
)
def test_traces_go_where_the_environment_says_and_otherwise_nowhere(
    environ: Mapping[str, str], endpoint: str | None
) -> None:
    assert endpoint_of(environ) == endpoint
    assert endpoint is not None or open_tracing(environ) is None


def test_a_service_that_is_not_traced_loads_nothing_for_it() -> None:
    program = (
        "import sys; from obligor.serving.telemetry.tracing import open_tracing; assert open_tracing({}) is None; "
        "print([name for name in sys.modules if name.split('.')[0] in ('opentelemetry', 'requests')])"
    )
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environ)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("is_read_later", [False, True])
def test_a_call_of_grpc_goes_on_from_the_callers_trace(*, is_read_later: bool) -> None:
    import grpc

    made = grpc.stream_unary_rpc_method_handler if is_read_later else grpc.unary_unary_rpc_method_handler

    async def run(tracing: Tracing) -> bytes:
        meter = TracedMeter(NoMeter(), tracing)

        async def decide(request: Any, _context: Any) -> bytes:
            meter.stage("score", 0.001)
            meter.left("grpc/Decide", 200, 0.001)
            return b"".join([it async for it in request]) if is_read_later else bytes(request)

        server = grpc.aio.server(interceptors=[grpc_interceptor(tracing)])
        handlers = {"Decide": made(decide)}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("obligor.v1.Decisions", handlers)])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/obligor.v1.Decisions/Decide")
            answer: bytes = await call(b"hello", metadata=(("traceparent", PARENT),))
        await server.stop(None)
        return answer

    with collector() as (kept, endpoint):
        tracing = opened(endpoint)
        assert asyncio.run(run(tracing)) == b"hello"
        tracing.close()
    assert kept.spans["grpc/Decide"].trace_id.hex() == PARENT[3:35]
    assert kept.spans["score"].parent_span_id == kept.spans["grpc/Decide"].span_id

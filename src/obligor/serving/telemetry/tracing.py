"""Where the time of a request went, for whoever collects traces by OpenTelemetry.

A request is a span that goes on from the caller's ``traceparent``; the stages of its decision are spans under it. Nothing of
this is loaded, wrapped or called unless an endpoint is named: then `traced` goes around the HTTP door, `grpc_interceptor`
before the other, and `TracedMeter` around the meter, which is told of every stage anyway. Spans hold the `ATTRIBUTES` and no
others, and of an exception its type. They are sent by a thread of their own, and lost where the collector is slow.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from obligor import __version__

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, MutableMapping

    import grpc.aio
    from opentelemetry.sdk.trace import TracerProvider

    from obligor.core.decision import Decision
    from obligor.core.scorer import Score
    from obligor.serving.telemetry.meter import InForce, Meter, Reading, Stage

    Scope = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
    Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ATTRIBUTES = ("http.route", "http.response.status_code", "error.type", "obligor.outcome", "obligor.band")

_ENDPOINT, _TRACES_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_EXPORT_TIMEOUT_S = 3.0
_CLOSE_TIMEOUT_S = 5.0
_NANOSECONDS = 1_000_000_000
_SERVER_ERROR = 500


def endpoint_of(environ: Mapping[str, str]) -> str | None:
    """Give where traces are sent to; nowhere unless the environment names it."""
    if environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    base = environ.get(_ENDPOINT)
    return environ.get(_TRACES_ENDPOINT) or (f"{base.rstrip('/')}/v1/traces" if base else None)


class Tracing:
    """Makes spans and sends them; `close` sends what is left."""

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("obligor", __version__)
        self._extract = TraceContextTextMapPropagator().extract

    @contextmanager
    def request(self, traceparent: str | None) -> Iterator[None]:
        """Trace a request, as a part of the caller's trace where there is one."""
        from opentelemetry.trace import SpanKind, StatusCode, use_span

        parent = self._extract({"traceparent": traceparent}) if traceparent else None
        span = self._tracer.start_span("request", context=parent, kind=SpanKind.SERVER)
        try:
            with use_span(span, end_on_exit=False, record_exception=False, set_status_on_exception=False):
                yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            span.end()

    def stage(self, stage: Stage, seconds: float) -> None:
        """Add a stage that ends now to the request that is traced."""
        from opentelemetry.trace import get_current_span

        if get_current_span().is_recording():
            now = time.time_ns()
            started = now - int(seconds * _NANOSECONDS)
            self._tracer.start_span(stage, start_time=started).end(now)

    def say(self, said: Mapping[str, str | int], *, name: str | None = None, failed: bool = False) -> None:
        """Say something of the request that is traced: the `ATTRIBUTES`."""
        from opentelemetry.trace import StatusCode, get_current_span

        span = get_current_span()
        span.set_attributes({key: value for key, value in said.items() if key in ATTRIBUTES})
        if name is not None:
            span.update_name(name)
        if failed:
            span.set_status(StatusCode.ERROR)

    def close(self) -> None:
        """Send what is left, and wait for that no longer than a few seconds."""
        closing = threading.Thread(target=self._provider.shutdown, name="close tracing", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)


def open_tracing(environ: Mapping[str, str]) -> Tracing | None:
    """Begin to trace where the environment names an endpoint; the sampler is that of ``OTEL_TRACES_SAMPLER``."""
    endpoint = endpoint_of(environ)
    if endpoint is None:
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {"service.name": environ.get("OTEL_SERVICE_NAME", "obligor"), "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=_EXPORT_TIMEOUT_S)))
    return Tracing(provider)


class TracedMeter:
    """A meter that traces the stages that it is told of."""

    def __init__(self, inner: Meter, tracing: Tracing) -> None:
        self._inner, self._tracing = inner, tracing
        self.entered, self.refused, self.committed = inner.entered, inner.refused, inner.committed
        self.delivered, self.linked, self.resembled = inner.delivered, inner.linked, inner.resembled
        self.overridden = inner.overridden

    def left(self, route: str, status: int, seconds: float) -> None:
        """Count a request, and name its span by its route."""
        self._inner.left(route, status, seconds)
        said: dict[str, str | int] = {"http.route": route, "http.response.status_code": status}
        self._tracing.say(said, name=route, failed=status >= _SERVER_ERROR)

    def stage(self, stage: Stage, seconds: float) -> None:
        """Count a stage, and add its span; the whole is the request's own."""
        self._inner.stage(stage, seconds)
        if stage != "whole":
            self._tracing.stage(stage, seconds)

    def decided(self, score: Score, decision: Decision, unusual: Iterable[str]) -> None:
        """Count a decision, and say its outcome; the score is not told."""
        self._inner.decided(score, decision, unusual)
        self._tracing.say({"obligor.outcome": decision.outcome, "obligor.band": score.band})

    def healthy(self, dependency: str, *, well: bool) -> None:
        """Tell how something that the service stands on does."""
        self._inner.healthy(dependency, well=well)

    def watch(self, reading: Reading, read: Callable[[], float]) -> None:
        """Read something whenever the counts are told."""
        self._inner.watch(reading, read)

    def in_force(self, release: InForce) -> None:
        """Tell which release decisions are made by from now on."""
        self._inner.in_force(release)


def traced(app: Application, tracing: Tracing) -> Application:
    """Trace the requests of an ASGI application."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        found = next((value for name, value in scope["headers"] if name == b"traceparent"), b"")
        with tracing.request(found.decode("latin-1")):
            await app(scope, receive, send)

    return application


def grpc_interceptor(tracing: Tracing) -> grpc.aio.ServerInterceptor:
    """Trace the calls of a gRPC server."""
    import grpc

    class Interceptor(grpc.aio.ServerInterceptor):
        async def intercept_service(self, continuation: Any, details: Any) -> Any:
            handler = await continuation(details)
            work = None if handler is None else handler.unary_unary or handler.stream_unary
            if work is None:
                return handler
            found = next((value for name, value in details.invocation_metadata if name == "traceparent"), None)

            async def answered(request: Any, context: Any) -> Any:
                with tracing.request(found):
                    return await work(request, context)

            made = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
            return made(
                answered,
                request_deserializer=handler.request_deserializer,
                response_serializer=handler.response_serializer,
            )

    return Interceptor()

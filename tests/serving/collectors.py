"""A collector of traces on the loopback, which keeps what is sent to it."""

from __future__ import annotations

from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from collections.abc import Iterator


class Collector:
    """Keeps the spans that were sent to it."""

    def __init__(self) -> None:
        self.raw: list[bytes] = []

    @property
    def spans(self) -> dict[str, Any]:
        found = [ExportTraceServiceRequest.FromString(data) for data in self.raw]
        kept = [
            span for sent in found for it in sent.resource_spans for scope in it.scope_spans for span in scope.spans
        ]
        return {span.name: span for span in kept}

    def said(self, name: str) -> dict[str, str | int]:
        pairs = self.spans[name].attributes
        return {it.key: getattr(it.value, it.value.WhichOneof("value")) for it in pairs}


@contextmanager
def collector() -> Iterator[tuple[Collector, str]]:
    kept = Collector()

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            kept.raw.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

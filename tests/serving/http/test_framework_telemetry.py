"""The framework has a telemetry of its own, which would tell of addresses and exceptions: it stays off."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ASKING = """
import asyncio, sys
import httpx
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

sys.path.append(sys.argv[1])
told = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(told))
trace.set_tracer_provider(provider)
from obligor.serving.http.app import make_routes
from tests.serving.http.fakes import house

async def run():
    transport = httpx.ASGITransport(make_routes(house().door))
    async with httpx.AsyncClient(transport=transport, base_url="http://obligor") as client:
        answer = await client.get("/v1/decisions", params={"application_id": "Ana Canary"})
        print(answer.status_code)

asyncio.run(run())
print([span.name for span in told.get_finished_spans()])
"""


def test_no_tracer_of_the_process_hears_of_a_request_from_the_framework() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ASKING, str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FASTAPI_OTEL_AUTO_CONFIGURE": "true"},
    )
    assert done.stdout.splitlines() == ["401", "[]"], done.stderr[-2000:]

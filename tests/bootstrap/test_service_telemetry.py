"""What a running service tells of itself: to Prometheus, in its journal, to a collector; and nothing of a person."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.infra.running import free_port, prometheus, rules
from tests.serving.collectors import collector

from obligor.serving.telemetry.journal import FIELDS
from obligor.serving.telemetry.tracing import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.serving.collectors import Collector

CANARY = "Ana Canary 4111111111111111"
CALLED = re.compile(rb"Canary|41111111")
OBLIGOR = (sys.executable, "-c", "from obligor.cli import main; main()")


class Service:
    """A service in a folder of its own, and the key that it showed first."""

    def __init__(self, folder: Path, traces: str) -> None:
        self.port = free_port()
        self.at = f"http://127.0.0.1:{self.port}"
        self.environ = os.environ | {
            "OBLIGOR_DATA": str(folder / "data"),
            "OBLIGOR_AUTHOR": "Vera",
            "OBLIGOR_LOG_LEVEL": "debug",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            command = [*OBLIGOR, "serve", "--port", str(self.port), "--no-grpc", "--quiet"]
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env=self.environ)
        until(lambda: b"REST" in self.out.read_bytes() or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()
        (self.key,) = re.findall(r"obl_\w+", self.out.read_text())

    def keys(self, *said: str) -> dict[str, Any]:
        done = subprocess.run(
            [*OBLIGOR, "keys", *said, "--json"], env=self.environ, capture_output=True, text=True, check=True
        )
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def client(self, key: str) -> httpx.Client:
        return httpx.Client(base_url=self.at, headers={"Authorization": f"Bearer {key}"}, timeout=10)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=60)


def until(holds: Callable[[], object]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("it did not come about within a minute")


@contextmanager
def service(traces: str) -> Iterator[Service]:
    # The embedded server runs as a user of its own, who cannot enter the folders of pytest.
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        it = Service(Path(name), traces)
        try:
            yield it
        finally:
            if it.process.poll() is None:
                it.process.kill()
                it.process.wait()


def decide(it: Service) -> None:
    """Send one application that is decided, and several with the data of a person where none belongs."""
    with it.client(it.key) as client:
        document = client.get("/openapi.json").json()
        application = document["components"]["schemas"]["Application"]["examples"][0]
        trace = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        answer = client.post("/v1/decisions", json=application, headers={"Idempotency-Key": "first"} | trace)
        assert answer.status_code == 201, answer.text
        for body in ({CANARY: CANARY}, application | {next(iter(application)): [CANARY]}, [CANARY], CANARY):
            client.post("/v1/decisions", json=body, headers={"Idempotency-Key": "canary"})
        client.post("/v1/decisions", content=CANARY.encode(), headers={"Idempotency-Key": CANARY[:3], "X-Name": CANARY})
        client.get(f"/v1/decisions/{CANARY}")
        client.get("/v1/decisions", params={"application_id": CANARY, CANARY: CANARY})
        client.post("/v1/log/consistency", params={"from": CANARY})
        client.get(f"/{CANARY}%0d%0a%1b[31m")
    with it.client(CANARY) as client:
        client.get("/v1/card")
    with it.client(it.key[:17] + "A" * 43) as client:
        client.get("/v1/card", headers={"X-Forwarded-For": "203.0.113.7"})


def check_journal(it: Service, revoked: str) -> None:
    lines = [json.loads(line) for line in it.err.read_bytes().splitlines()]
    assert {name for line in lines for name in line} <= set(FIELDS)
    events = [line["event"] for line in lines]
    assert (events[-1], events.count("started")) == ("stopped", 1)
    why = {(line["why"], line["key_id"], line["network"]) for line in lines if line["event"] == "refused"}
    assert why == {("wrong", it.key[4:16], "127.0.0.1"), ("revoked", revoked, "127.0.0.1")}


def check_traces(kept: Collector) -> None:
    whole = kept.spans["POST /v1/decisions"]
    assert {"read", "score", "record"} <= set(kept.spans)
    assert kept.spans["record"].trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert whole.kind == 2
    assert {key for name in kept.spans for key in kept.said(name)} <= set(ATTRIBUTES)


@pytest.mark.timeout(200)
def test_a_running_service_tells_how_it_does_and_nothing_of_a_person(tmp_path: Path) -> None:
    with collector() as (kept, endpoint), service(endpoint) as it:
        assert resource.prlimit(it.process.pid, resource.RLIMIT_CORE) == (0, 0)  # it leaves no dump of its memory
        reader = it.keys("create", "prometheus", "--scope", "metrics")
        decide(it)
        with it.client(reader["key"]) as client:
            assert client.get("/v1/card").status_code == 403
            told = client.get("/metrics")
            assert not re.search(
                "aml|list|screen", client.get("/health/ready").text
            )  # which is open to who may be held
        assert b'obligor_refusals_total{why="wrong"} 1.0' in told.content
        named = {name for rule in rules() for name in re.findall(r"\bobligor_[a-z_0-9]+", rule["expr"])}
        assert {name for name in named if not re.search(rf"^{name}(?:\{{| )", told.text, re.MULTILINE)} == set()
        with prometheus(tmp_path, it.port, reader["key"]) as asked:
            asked.wait_for('sum(obligor_decisions_total) == 1 and on () up{job="obligor"} == 1')
            asked.wait_for("count_over_time(obligor_commit_acts_count[1m]) > 2")
            assert asked.query("min(obligor_dependency_up)")[0]["value"][1] == "1"
            firing = {alert["labels"]["alertname"] for alert in asked.asked("alerts")["alerts"]}
            assert firing <= {"ObligorKeysTried"}  # no alert waits here, and one wrong key was tried
        it.keys("revoke", reader["key_id"])
        with it.client(reader["key"]) as client:
            until(lambda: client.get("/metrics").status_code == 401)
        assert it.stop() == 0
        check_journal(it, reader["key_id"])
        check_traces(kept)
        said = [told.content, it.err.read_bytes(), it.out.read_bytes(), *kept.raw]
        assert [found for text in said if (found := CALLED.search(text))] == []
        assert [
            text for text in said[1:] if b"A" * 43 in text or it.key[17:].encode() in text.replace(it.key.encode(), b"")
        ] == []

"""A running Prometheus on the shipped rules, and the counts of a service for it to read."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import yaml
from prometheus_client import CollectorRegistry
from tests.conftest import lack
from tests.serving.small_cards import small_card
from tests.serving.telemetry.decided import decided

from obligor.serving.telemetry.meter import STAGES, InForce
from obligor.serving.telemetry.metrics import PrometheusMeter

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "infra" / "prometheus" / "rules.yml"


def tool(name: str) -> str:
    found = shutil.which(name)
    return found or lack("prometheus", f"{name} is not installed; apt-get install prometheus")


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def working_service() -> CollectorRegistry:
    """The counts of a service that decides, and whose anchor stopped an hour ago."""
    registry = CollectorRegistry()
    meter = PrometheusMeter(registry)
    meter.in_force(InForce(1, small_card("income", "debt"), "a" * 64, "b" * 64, "c" * 64))
    meter.healthy("store", well=True)
    for reading, value in (("audit_queue", 0.0), ("tree_size", 500.0), ("unanchored_leaves", 40.0)):
        meter.watch(reading, lambda value=value: value)
    for reading in ("webhooks_pending", "webhooks_oldest_seconds", "webhooks_dead", "webhooks_gone"):
        meter.watch(reading, lambda: 0.0)
    meter.watch("anchored_age_seconds", lambda: float("inf"))
    meter.watch("journal_dropped", lambda: 0)
    meter.watch("records_broken", lambda: 0)
    meter.watch("reviews_late", lambda: 0)
    meter.watch("links_behind_seconds", lambda: 0)
    meter.watch("screening_list_left_seconds", lambda: 700_000)
    for held in ("held", "held_late", "held_oldest_seconds"):
        meter.watch(held, lambda: 0)
    work(meter)
    return registry


def work(meter: PrometheusMeter) -> None:
    meter.entered()
    for stage in STAGES:
        meter.stage(stage, 0.002)
    meter.decided(*decided("approve", "A", score=520_000, bins=(2, 0), unusual=("debt",)))
    meter.committed(3, 0.001)
    meter.left("/v1/decisions", 201, 0.004)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class NotReadyError(Exception):
    """Prometheus listens, and still reads what it kept."""


class Prometheus:
    """A running Prometheus that is asked by HTTP."""

    def __init__(self, port: int) -> None:
        self.at = f"http://127.0.0.1:{port}/api/v1"

    def asked(self, path: str, **params: str) -> Any:
        answer = httpx.get(f"{self.at}/{path}", params=params, timeout=5)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            raise NotReadyError
        return answer.raise_for_status().json()["data"]

    def query(self, expression: str) -> list[Any]:
        found: list[Any] = self.asked("query", query=expression)["result"]
        return found

    def wait_for(self, expression: str) -> list[Any]:
        for _ in range(300):
            try:
                if found := self.query(expression):
                    return found
            except (NotReadyError, httpx.TransportError):
                pass
            time.sleep(0.1)
        raise AssertionError(f"nothing came of {expression}")


@contextmanager
def prometheus(folder: Path, target: int, key: str) -> Iterator[Prometheus]:
    """Start a Prometheus on the shipped rules and the shipped example, in a hurry: no alert waits."""
    (folder / "rules.yml").write_text(re.sub(r"^\s+for: .*\n", "", RULES.read_text(), flags=re.MULTILINE))
    example = (RULES.parent / "prometheus.yml").read_text()
    hurried = example.replace("_interval: 15s", "_interval: 1s").replace("127.0.0.1:8000", f"127.0.0.1:{target}")
    (folder / "prometheus.yml").write_text(hurried)
    (folder / "obligor.key").write_text(key)
    port = free_port()
    said = (folder / "said").open("w")
    process = subprocess.Popen(
        [
            tool("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=said, stderr=said,
    )  # fmt: skip
    try:
        yield Prometheus(port)
    finally:
        process.terminate()
        process.wait(timeout=30)
        said.close()

"""The alerts: a real Prometheus reads a real endpoint with a key, and calls a person where the anchor stopped."""

from __future__ import annotations

import asyncio
import re
import secrets
import shutil
import subprocess
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest
import yaml
from tests.infra.running import ROOT, RULES, prometheus, rules, tool, working_service

from obligor.core.errors import ForbiddenError, ObligorError
from obligor.security.api_keys import RANDOM_BYTES, make_key
from obligor.security.permissions import allow
from obligor.serving.errors import ANSWERS
from obligor.serving.people.authenticating import Authenticator
from obligor.serving.rows import ApiKeyRow
from obligor.serving.telemetry.metrics import CONTENT_TYPE, write_metrics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client import CollectorRegistry

NOW = datetime.now(UTC)


def promtool(*said: str, folder: Path) -> None:
    done = subprocess.run([tool("promtool"), *said], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_and_the_example_are_what_prometheus_reads(tmp_path: Path) -> None:
    for name in ("rules.yml", "prometheus.yml"):
        shutil.copy(RULES.parent / name, tmp_path)
    (tmp_path / "obligor.key").write_text("obl_")
    for what, name in (("rules", "rules.yml"), ("config", "prometheus.yml")):
        promtool("check", what, name, folder=tmp_path)


def test_every_alert_has_a_story_in_which_it_calls_and_they_hold() -> None:
    stories = yaml.safe_load((RULES.parent / "rules_test.yml").read_text())["tests"]
    checks = [check for story in stories for check in story["alert_rule_test"]]
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert {check["alertname"] for check in checks if "exp_alerts" in check} == alerts
    assert {check["alertname"] for check in checks if "exp_alerts" not in check} >= alerts
    promtool("test", "rules", "rules_test.yml", folder=RULES.parent)


def asked_in_the_docs() -> list[str]:
    """The queries that the page on monitoring shows."""
    page = (ROOT / "docs" / "how-to" / "monitoring.md").read_text()
    return [line for block in re.findall(r"```promql\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]


def test_the_queries_of_the_docs_are_such(tmp_path: Path) -> None:
    asked = [{"record": f"asked:{at}", "expr": it} for at, it in enumerate(asked_in_the_docs())]
    assert asked
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": asked}]}))
    promtool("check", "rules", "asked.yml", folder=tmp_path)


def test_every_metric_of_the_rules_and_of_the_docs_is_one_that_the_service_tells() -> None:
    told = write_metrics(working_service()).decode()
    expressions = [*(rule["expr"] for rule in rules()), *asked_in_the_docs()]
    named = {name for it in expressions for name in re.findall(r"\bobligor_[a-z_0-9]+", it)}
    assert {name for name in named if not re.search(rf"^{name}(?:\{{| )", told, re.MULTILINE)} == set()


def test_every_alert_has_its_line_in_the_runbook() -> None:
    page = (ROOT / "docs" / "how-to" / "monitoring.md").read_text()
    assert [rule["alert"] for rule in rules() if "alert" in rule and f"`{rule['alert']}`" not in page] == []


@contextmanager
def endpoint(registry: CollectorRegistry, keys: Authenticator) -> Iterator[int]:
    """Tell the counts over HTTP to whoever shows a key with the scope for them."""

    class Door(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                caller = asyncio.run(keys.authenticate(self.headers["Authorization"], peer=self.client_address[0]))
                allow(caller, "metrics.read")
            except ObligorError as error:
                self.send_error(ANSWERS[error.kind].status)
                return
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(write_metrics(registry))

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class OneKey:
    """A store of one key, for reading the counts."""

    def __init__(self, *scopes: str) -> None:
        ends = NOW + timedelta(days=1)
        new = make_key(
            secrets.token_bytes(RANDOM_BYTES), client_id="prometheus", scopes=scopes, created_at=NOW, expires_at=ends
        )
        self.text, kept = new.text, new.kept
        self.row = ApiKeyRow(kept.key_id, "prometheus", "", scopes, kept.secret_sha256, NOW, ends, None)

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        return self.row if key_id == self.row.key_id else None

    def authenticator(self) -> Authenticator:
        return Authenticator(self, now=lambda: datetime.now(UTC))


def test_prometheus_calls_a_person_where_the_anchor_stopped(tmp_path: Path) -> None:
    registry, key = working_service(), OneKey("metrics")
    with endpoint(registry, key.authenticator()) as port, prometheus(tmp_path, port, key.text) as asked:
        called = asked.wait_for('ALERTS{alertname="ObligorAnchorStopped", alertstate="firing"}')
        assert called[0]["metric"]["severity"] == "critical"
        assert [it["value"][1] for it in asked.query("up")] == ["1"]
        asked.wait_for("count_over_time(obligor_decisions_total[1m]) > 2")
        assert {it["labels"]["alertname"] for it in asked.asked("alerts")["alerts"]} == {"ObligorAnchorStopped"}
        ill = [it for group in asked.asked("rules")["groups"] for it in group["rules"] if it["health"] == "err"]
        assert ill == []
        for rule in rules():
            asked.query(rule["expr"])
        recorded = {rule["record"] for rule in rules() if "record" in rule}
        assert [name for name in sorted(recorded) if not asked.query(name)] == []


def test_prometheus_without_the_scope_sees_a_service_that_is_down(tmp_path: Path) -> None:
    key = OneKey("decide")
    with pytest.raises(ForbiddenError):
        allow(asyncio.run(key.authenticator().authenticate(f"Bearer {key.text}", peer="")), "metrics.read")
    with (
        endpoint(working_service(), key.authenticator()) as port,
        prometheus(tmp_path, port, key.text) as asked,
    ):
        asked.wait_for('ALERTS{alertname="ObligorDown", alertstate="firing"}')
        assert asked.query("obligor_decisions_total") == []

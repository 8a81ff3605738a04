"""The house keeps its own rules: nothing is pickled, nothing phones home, no module stands on one that stands on it."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import lack

from obligor.core.event_types import EVENT_TYPES
from obligor.settings import switch_telemetry_off

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

SOURCE = Path(__file__).resolve().parents[1] / "src" / "obligor"

GUARD = """
import socket, sys
def refused(self, address, *rest):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        print("REACHED FOR", address, file=sys.stderr)
        raise OSError("the network is closed")
    return original(self, address, *rest)
original = socket.socket.connect
socket.socket.connect = refused
socket.socket.connect_ex = refused
lookup = socket.getaddrinfo
def asked(host, *rest, **named):
    if host not in ("127.0.0.1", "::1", "localhost", None):
        print("LOOKED UP", host, file=sys.stderr)
        raise OSError("the network is closed")
    return lookup(host, *rest, **named)
socket.getaddrinfo = asked
sys.argv = ["obligor", "demo", "--out", "out", "--applications", "6000", "--quiet"]
from obligor.cli import main
main()
"""


def test_no_module_reads_or_writes_pickles() -> None:
    barred = {"pickle", "cPickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not {name.name.split(".")[0] for name in node.names} & barred, path
            elif isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in barred, path


def test_no_module_stands_on_one_that_stands_on_it() -> None:
    """Of whatever length the circle were, and wherever the import stands: at the head, in a function, or for types alone."""
    graph = _graph()
    assert "obligor.core.errors" in graph["obligor.core.checkpoints"]
    TopologicalSorter(graph).prepare()  # a CycleError names the circle


def test_no_matter_of_the_service_stands_on_one_that_stands_on_it() -> None:
    """Each package of ``serving`` taken whole, and each module beside them, without exception."""
    needs: dict[str, set[str]] = {}
    for name, imported in _graph().items():
        for it in imported:
            if name.startswith("obligor.serving.") and it.startswith("obligor.serving."):
                matter, other = name.split(".")[2], it.split(".")[2]
                needs.setdefault(matter, set()).update({other} - {matter})
    assert "people" in needs["privacy"]
    TopologicalSorter(needs).prepare()


def test_a_type_of_event_is_named_in_one_place() -> None:
    for name in EVENT_TYPES:
        written = [it for it in SOURCE.rglob("*.py") if f'"{name}"' in it.read_text(encoding="utf-8")]
        assert written == [SOURCE / "core" / "event_types.py"], name


def _graph() -> dict[str, set[str]]:
    modules = {_dotted(path): path for path in SOURCE.rglob("*.py")}
    return {name: {it for it in _imports(path, modules) if it in modules} for name, path in modules.items()}


def _dotted(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, modules: Collection[str]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (it.name for it in node.names)
        elif isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{it.name}" for it in node.names]
            yield from (it if it in modules else str(node.module) for it in inner)


def test_the_main_job_reaches_for_no_network(tmp_path: Path) -> None:
    environ = dict(os.environ) | {"OBLIGOR_DATA": str(tmp_path / "data")}
    environ.pop("OBLIGOR_MLFLOW_URI", None)
    guard = tmp_path / "guard.py"  # not -c: a library that MLflow imports takes a program without a file for a doctest
    guard.write_text(GUARD)
    done = subprocess.run(
        [sys.executable, str(guard)],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert "REACHED FOR" not in done.stderr
    assert "LOOKED UP" not in done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "data" / "mlflow.db").is_file()


CLOSED = """
import json, os, re, signal, subprocess, sys, time, urllib.request
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
def told(path, **more):
    request = urllib.request.Request(f"http://127.0.0.1:8700{path}", **more)
    return json.loads(urllib.request.urlopen(request, timeout=30).read())
program = [sys.executable, "-c", "from obligor.cli import main; main()", "serve", "--port", "8700"]
with open("log", "wb") as log:
    service = subprocess.Popen(program, stdout=log, stderr=log)
try:
    while "REST" not in (said := open("log").read()):
        assert service.poll() is None, said
        time.sleep(0.1)
    application = told("/openapi.json")["components"]["schemas"]["Application"]["examples"][0]
    key = re.search("obl_[0-9A-Za-z_]+", said)[0]
    headers = {"Authorization": "Bearer " + key, "Idempotency-Key": "k", "Content-Type": "application/json"}
    assert told("/v1/decisions", data=json.dumps(application).encode(), headers=headers)["decision_id"]
    time.sleep(1)
finally:
    service.send_signal(signal.SIGTERM)
    service.wait(60)
counts = {}
for line in [*open("/proc/net/snmp"), *open("/proc/net/snmp6")]:
    name, *rest = line.split()
    if rest[0].lstrip("-").isdigit():
        counts[name] = dict(zip(names, map(int, rest))) if name.endswith(":") else int(rest[0])
    names = rest
print(counts["Ip:"]["OutNoRoutes"], counts["Udp:"]["OutDatagrams"], counts["Ip6OutNoRoutes"], counts["Udp6OutDatagrams"])
"""


def test_a_service_starts_and_decides_without_a_network_and_reaches_for_none(tmp_path: Path) -> None:
    """In a network of its own, with a loopback and no route: the kernel counts whatever is sent elsewhere, or looked up."""
    alone = ["unshare", "--net", *(() if os.geteuid() == 0 else ("--map-current-user", "--keep-caps"))]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        lack("unshare", "a network of its own cannot be had here")
    environ = {name: it for name, it in os.environ.items() if not name.startswith(("OBLIGOR_", "OTEL_"))}
    done = subprocess.run(
        [*alone, sys.executable, "-c", CLOSED],
        cwd=tmp_path,
        env=environ | {"OBLIGOR_DATA": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("0 0 0 0\n", 0), done.stderr[-2000:]


def test_telemetry_of_every_dependency_is_switched_off() -> None:
    environ: dict[str, str] = {}
    switch_telemetry_off(environ)
    assert environ["DO_NOT_TRACK"] == "1"
    assert environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environ["GX_ANALYTICS_ENABLED"] == "false"

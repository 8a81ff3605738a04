"""The decision service beside a FastAPI endpoint that decides nothing, beside peers, on a slow disk, and over gRPC.

Every figure of the service is of durable decisions: scored, with reasons, in the audit log, answered after PostgreSQL (fsync
on) has flushed. Both sides of a ratio run in one window, in turns; the load comes from wrk, on the same machine.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from benchmarks.service import full, grpc_load, wrk
from benchmarks.service.crashes import releases_since
from benchmarks.service.database import Database
from benchmarks.service.lender import bodies, write_run
from benchmarks.service.machine import flush_ms
from benchmarks.service.peers import Peers, environment
from benchmarks.service.servers import HOST, Lender, Server, free_port, noop, noop_grpc
from benchmarks.service.turns import PATH, SLOW_FLUSH_US, Effort, Side, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable

CONNECTIONS = (1, 16, 64)
FULL, QUICK = Effort(seconds=8, rounds=3, warm=3), Effort(seconds=2, rounds=1, warm=1)


def run(*, quick: bool) -> dict[str, object]:
    """Measure; ``quick`` is one short round, and leaves out peers that are not installed yet."""
    wrk.require_wrk()
    effort = QUICK if quick else FULL
    with tempfile.TemporaryDirectory(prefix="obligor-serving-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the database runs as a user of its own where this one is root
        with Database(folder / "database") as database:
            service = _Service(folder, database)
            try:
                result = _measured(service, folder, effort, with_peers=not quick or environment().exists())
            except RuntimeError:
                print(f"what the service said last:\n{service.server.log.read_text()[-2000:]}", file=sys.stderr)
                raise
            finally:
                service.server.kill()
        result |= full.measured(folder / "everything", effort)
        result |= _embedded_starts(folder)
    return result


class _Service:
    """The decision service under load, and what is known of it."""

    def __init__(self, folder: Path, database: Database) -> None:
        database.fill_log()
        self.database, self.port, self.grpc_port = database, free_port(), free_port()
        self.lender = Lender(folder / "data", write_run(folder / "run"), database.url)
        self.server = self.lender.service(self.port, "--grpc-port", self.grpc_port)
        self.server.start()
        self.key = self.server.api_key()
        self.headers = {"Authorization": f"Bearer {self.key}"}
        self.load = self.load_on(self.port)

    def load_on(self, port: int) -> wrk.Load:
        """The load of decisions, for any port."""
        return wrk.Load(f"http://{HOST}:{port}", PATH, tuple(bodies()), tuple(self.headers.items()))

    def answer(self) -> bytes:
        """Give the answer of one decision."""
        headers = self.headers | {"Idempotency-Key": "the-first", "Content-Type": "application/json"}
        given = httpx.post(f"http://{HOST}:{self.port}{PATH}", content=bodies()[0], headers=headers)
        return given.raise_for_status().content

    def cpu_s(self) -> float:
        """The CPU of the service and its database."""
        return self.server.cpu_s() + self.database.cpu_s()


def _measured(service: _Service, folder: Path, effort: Effort, *, with_peers: bool) -> dict[str, object]:
    ours = Side("obligor", lambda c, s: wrk.press(service.load, connections=c, seconds=s), service.cpu_s)
    answer = service.answer()
    port = free_port()
    with noop(port, answer=answer, log=folder / "noop.log") as server:
        anchor = Side("noop", lambda c, s: wrk.press(service.load_on(port), connections=c, seconds=s), server.cpu_s)
        made = service.database.log_files_made()
        fast = in_turns((anchor, ours), service.database, effort, CONNECTIONS)
        made = service.database.log_files_made() - made
        flushed = {"flush_ms": round(flush_ms(folder), 3), "commit_ms": round(service.database.commit_ms(), 3)}
        service.database.delay_flushes(SLOW_FLUSH_US)
        flushed["slow_commit_ms"] = round(service.database.commit_ms(), 3)
        slow = in_turns((anchor, ours), service.database, effort, CONNECTIONS[1:])
        service.database.delay_flushes(0)
    rss_mb = round(service.server.rss_mb())
    grpc = _over_grpc(service, answer, folder, effort)
    peers = _beside_peers(service, ours, folder, effort) if with_peers else {}
    return {
        "rest_ratio_to_noop": fast["64"]["ratio"],
        "rest_ratio_slow_disk": slow["64"]["ratio"],
        "slow_disk_bound": round(_bound(64, flushed["slow_commit_ms"]) / slow["64"]["noop"]["per_s"], 3),
        "p99_ms_c16": fast["16"]["obligor"]["p99_ms"],
        "noop_p99_ms_c16": fast["16"]["noop"]["p99_ms"],
        **flushed,
        "log_files_made": made,
        "ratio_vs_mlflow": peers["mlflow"]["ratio"] if peers else None,
        "ratio_vs_bentoml": peers["bentoml"]["ratio"] if peers else None,
        "grpc_ratio_to_noop": grpc["64"]["ratio"],
        "rss_mb": rss_mb,
        "rest": fast,
        "rest_slow_disk": slow,
        "grpc": grpc,
        "peers": peers,
        "swap": _swap(service, folder, effort),
        "start_s": _restart(service),
        "rounds": effort.rounds,
        "seconds": effort.seconds,
    }


def _bound(connections: int, flush_ms: float) -> float:
    """Give the most answers a second that wait for a flush: the next begins where one ends, before who waited can be back."""
    return 1000 * connections / (2 * flush_ms)


def _over_grpc(service: _Service, answer: bytes, folder: Path, effort: Effort) -> dict[str, dict[str, Any]]:
    port = free_port()

    def side(name: str, port: int, server: Callable[[], float]) -> Side:
        return Side(name, lambda c, s: grpc_load.press(port, key=service.key, calls=c, seconds=s), server)

    with noop_grpc(port, answer=_as_message(answer), log=folder / "noop-grpc.log") as server:
        sides = side("noop", port, server.cpu_s), side("obligor", service.grpc_port, service.cpu_s)
        return in_turns(sides, service.database, effort, CONNECTIONS)


def _as_message(answer: bytes) -> str:
    """Word a decision's answer as the JSON of its message."""
    plain = json.loads(answer)
    plain["outcome"] = f"OUTCOME_{plain['outcome'].upper()}"
    return json.dumps({"decision": {name: value for name, value in plain.items() if value is not None}})


def _beside_peers(service: _Service, ours: Side, folder: Path, effort: Effort) -> dict[str, dict[str, Any]]:
    peers, found = Peers(folder), {}
    for name, make in (("mlflow", peers.mlflow), ("bentoml", peers.bentoml)):
        server, load = make(free_port())
        start_s = server.start()
        try:
            theirs = _peer(name, load, server)
            at_64 = in_turns((theirs, ours), service.database, effort, (64,))["64"]
            found[name] = at_64 | {"start_s": round(start_s, 1), "rss_mb": round(server.rss_mb())}
        finally:
            server.kill()
    return found


def _peer(name: str, load: wrk.Load, server: Server) -> Side:
    return Side(name, lambda c, s: wrk.press(load, connections=c, seconds=s), server.cpu_s)


def _swap(service: _Service, folder: Path, effort: Effort) -> dict[str, object]:
    """Put another release in force under load: nobody is refused, and each decision names one of two releases whole."""
    first = service.database.query("SELECT size FROM obligor.tree_head")[0][0]
    other = write_run(folder / "other", cutoff=505_000)
    with wrk.start(service.load, connections=16, seconds=2 * effort.seconds + 2) as running:
        time.sleep(effort.seconds)
        service.lender.obligor("releases", "activate", other)
        figures = running.figures()
    pins = releases_since(service.database, first)
    if len(pins) != 2:
        raise RuntimeError(f"wanted decisions under two releases, got {pins}")
    return {
        "requests": figures.requests,
        "refused": 0,
        "p99_ms": round(figures.p99_ms, 2),
        "under": list(pins.values()),
    }


def _restart(service: _Service) -> float:
    service.server.ask_to_stop()
    service.server.wait(60)
    return round(service.server.start(), 2)


def _embedded_starts(folder: Path) -> dict[str, float]:
    """Time the start on the embedded database: from nothing, and again."""
    lender = Lender(folder / "embedded", folder / "run", None)
    lender.data.mkdir()
    lender.data.chmod(0o755)
    with ExitStack() as stack:
        taken = []
        for _ in range(2):
            server = lender.service(free_port(), "--no-grpc")
            stack.callback(server.kill)
            taken.append(round(server.start(), 2))
            server.ask_to_stop()
            server.wait(60)
    return {"start_embedded_s": taken[0], "start_embedded_again_s": taken[1]}

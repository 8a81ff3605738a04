"""Servers as processes: the decision service itself, its anchors and its peers."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import httpx
import psutil

from benchmarks.service.machine import cpu_s, family, rss_mb

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
OBLIGOR = (sys.executable, "-c", "from obligor.cli import main; main()")
_PATIENCE_S = 120
_CLIENT = httpx.Client(timeout=2, trust_env=False)
_API_KEY = re.compile(r"\bobl_[A-Za-z0-9]+_[A-Za-z0-9_-]+")


class Server:
    """A process that listens, with those it starts; killed on leaving."""

    def __init__(self, command: Sequence[object], *, ready: Callable[[], bool], log: Path, environ: Mapping[str, str],
                 folder: Path | None = None) -> None:  # fmt: skip
        self._command, self._ready, self.log, self._folder = [str(part) for part in command], ready, log, folder
        self._environ = dict(environ)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> float:
        """Start it, wait until it is ready, and give the seconds that this took."""
        began = time.perf_counter()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environ, cwd=self._folder, start_new_session=True
            )
        while time.perf_counter() - began < _PATIENCE_S:
            if self._process.poll() is not None:
                break
            if self._ready():
                return time.perf_counter() - began
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"{self._command[:4]} did not come up: {self.log.read_text()[-3000:]}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        self._running.terminate()

    def api_key(self) -> str:
        """The first API key of the decision service, which it says as it starts on a new store."""
        return str(_API_KEY.findall(self.log.read_text())[0])

    def wait(self, seconds: float) -> int:
        """Wait for its end, and give its exit code."""
        return self._running.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL to it and to all that it started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            for process in family(self._process.pid):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()
        self._process = None

    def pause(self) -> None:
        """Let it stand still; ``resume`` lets it go on."""
        for process in family(self._running.pid):
            process.suspend()

    def resume(self) -> None:
        """Let it go on."""
        for process in family(self._running.pid):
            process.resume()

    def rss_mb(self) -> float:
        """The resident memory of it and of all that it started, in MB."""
        return rss_mb(self._running.pid)

    def cpu_s(self) -> float:
        """The seconds of CPU that they have taken."""
        return cpu_s(self._running.pid)

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self._command[:4]} was not started")
        return self._process


@dataclass(frozen=True)
class Lender:
    """Where the service of one lender lives: its data, its database, and the run that it decides by."""

    data: Path
    run: Path
    database_url: str | None
    """None: the embedded one."""
    command: tuple[str, ...] = OBLIGOR
    settings: tuple[tuple[str, str], ...] = ()
    """More of the environment."""

    @property
    def environ(self) -> dict[str, str]:
        """What the commands of this lender are run with."""
        own = {"OBLIGOR_DATA": str(self.data), "OBLIGOR_AUTHOR": "benchmarks"}
        own |= dict.fromkeys(
            ("OBLIGOR_SUBJECT_DAILY", "OBLIGOR_ALIKE_HOURLY"), str(10**9)
        )  # counted, and never reached
        if self.database_url is not None:
            own["OBLIGOR_DATABASE_URL"] = self.database_url
        outer = {name: value for name, value in os.environ.items() if not name.startswith("OBLIGOR_")}
        return outer | own | dict(self.settings)

    def obligor(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Obligor for this lender."""
        command = [*self.command, *map(str, words)]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"obligor {' '.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def service(self, port: int, *more: object) -> Server:
        """The decision service of this lender; more words go to its command."""
        self.data.mkdir(exist_ok=True, parents=True)
        return Server(
            [*self.command, "serve", self.run, "--port", port, *more],
            ready=lambda: answers(f"http://{HOST}:{port}/health/ready"),
            log=self.data / f"serve-{port}.log",
            environ=self.environ,
        )


def noop(port: int, *, answer: bytes, log: Path, more: Sequence[str] = ()) -> Server:
    """The anchor over HTTP, which gives one answer to all; it reads more texts where an application has them."""
    return Server(
        [sys.executable, "-m", "uvicorn", "benchmarks.service.noop:app", "--host", HOST, "--port", port,
         "--loop", "uvloop", "--http", "httptools", "--workers", "1", "--no-access-log", "--log-level", "warning"],
        ready=lambda: answers(f"http://{HOST}:{port}/openapi.json"),
        log=log,
        environ=os.environ | {"NOOP_ANSWER": answer.decode(), "NOOP_MORE": " ".join(more)},
        folder=ROOT,
    )  # fmt: skip


def receiver(port: int, *, log: Path) -> Server:
    """A client's own system that takes every event."""
    command = [sys.executable, "-m", "benchmarks.service.receiver", port]
    return Server(command, ready=lambda: listens(port), log=log, environ=os.environ, folder=ROOT)


def noop_grpc(port: int, *, answer: str, log: Path) -> Server:
    """The anchor over gRPC, which gives one answer to all."""
    return Server(
        [sys.executable, "-m", "benchmarks.service.noop_grpc", port],
        ready=lambda: listens(port),
        log=log,
        environ=os.environ | {"NOOP_ANSWER": answer},
        folder=ROOT,
    )


def free_port() -> int:
    """Give a port of the loopback that nobody listens on."""
    with socket.socket() as it:
        it.bind((HOST, 0))
        return int(it.getsockname()[1])


def answers(url: str) -> bool:
    """Whether an address gives 200."""
    try:
        return _CLIENT.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def listens(port: int) -> bool:
    """Whether a port of the loopback is listened on."""
    with socket.socket() as it:
        return it.connect_ex((HOST, port)) == 0

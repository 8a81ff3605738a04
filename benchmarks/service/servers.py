"""Servers as processes: the decision service itself, its anchors and its peers."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
_OBLIGOR = (sys.executable, "-c", "from obligor.cli import main; main()")
_PATIENCE_S = 120
_API_KEY = re.compile(r"\bobl_[A-Za-z0-9]+_[A-Za-z0-9_-]+")
_SCOPES = ("decide", "simulate", "read", "report", "audit", "metrics")


class Server:
    """A process that listens, with those it starts; killed on leaving."""

    def __init__(self, command: Sequence[object], *, ready: str, log: Path, environ: Mapping[str, str],
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
            if answers(self._ready):
                return time.perf_counter() - began
            time.sleep(0.01)
        self.kill()
        raise RuntimeError(f"{self._command[:4]} did not come up: {self.log.read_text()[-3000:]}")

    def ask_to_stop(self) -> None:
        """Send SIGTERM."""
        assert self._process is not None
        self._process.terminate()

    def wait(self, seconds: float) -> int:
        """Wait for its end, and give its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def kill(self) -> None:
        """Send SIGKILL to it and to all that it started."""
        if self._process is None:
            return
        if self._process.poll() is None:
            for process in self._processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        self._process.wait()
        self._process = None

    def rss_mb(self) -> float:
        """The resident memory of it and of all that it started, in MB."""
        return sum(process.memory_info().rss for process in self._processes()) / 1e6

    def cpu_s(self) -> float:
        """The seconds of CPU that they have taken."""
        times = [process.cpu_times() for process in self._processes()]
        return sum(it.user + it.system for it in times)

    def _processes(self) -> list[psutil.Process]:
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]


@dataclass(frozen=True)
class Lender:
    """Where the service of one lender lives: its data, its database, and the run that it decides by."""

    data: Path
    run: Path
    database_url: str | None
    """None: the embedded one."""

    @property
    def environ(self) -> dict[str, str]:
        """What the commands of this lender are run with."""
        own = {"OBLIGOR_DATA": str(self.data), "OBLIGOR_AUTHOR": "benchmarks"}
        if self.database_url is not None:
            own["OBLIGOR_DATABASE_URL"] = self.database_url
        outer = {name: value for name, value in os.environ.items() if not name.startswith("OBLIGOR_")}
        return outer | own

    def obligor(self, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of Obligor for this lender."""
        command = [*_OBLIGOR, *map(str, words)]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"obligor {' '.join(map(str, words))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done

    def service(self, port: int, *more: object) -> Server:
        """The decision service of this lender; more words go to its command."""
        self.data.mkdir(exist_ok=True, parents=True)
        return Server(
            [*_OBLIGOR, "serve", self.run, "--port", port, *more],
            ready=f"http://{HOST}:{port}/health/ready",
            log=self.data / f"serve-{port}.log",
            environ=self.environ,
        )

    def api_key(self, client: str = "bench") -> str:
        """Make an API key with every scope."""
        words = ["keys", "create", client, *(word for scope in _SCOPES for word in ("--scope", scope))]
        return _API_KEY.findall(self.obligor(*words).stdout)[0]


def noop(port: int, *, answer: bytes, log: Path) -> Server:
    """The anchor over HTTP, which gives one answer to all."""
    return Server(
        [sys.executable, "-m", "uvicorn", "benchmarks.service.noop:app", "--host", HOST, "--port", port,
         "--loop", "uvloop", "--http", "httptools", "--workers", "1", "--no-access-log", "--log-level", "warning"],
        ready=f"http://{HOST}:{port}/openapi.json",
        log=log,
        environ=os.environ | {"NOOP_ANSWER": answer.decode()},
        folder=ROOT,
    )  # fmt: skip


def free_port() -> int:
    """Give a port of the loopback that nobody listens on."""
    with socket.socket() as it:
        it.bind((HOST, 0))
        return int(it.getsockname()[1])


def answers(url: str) -> bool:
    """Whether an address gives 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def post(url: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Post one request, and give the body of its answer."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return bytes(answer.read())
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{url}: {error.code} {error.read()[:2000]!r}") from None


def get(url: str, headers: Mapping[str, str]) -> object:
    """Get one answer as plain data."""
    with urllib.request.urlopen(urllib.request.Request(url, headers=dict(headers)), timeout=30) as answer:
        return json.loads(answer.read())

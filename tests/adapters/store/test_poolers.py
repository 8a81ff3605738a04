"""A pooler between a service and its database: one that hands sessions round is refused before anything is written."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.conftest import lack
from tests.stores import new_store

from obligor.adapters.store.migrating import NEWEST, migrate, revision
from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def pooled(url: str, *, mode: str, folder: Path, passing: str = "") -> Iterator[str]:
    """Run PgBouncer before a database, as the owner of its server, who alone may enter the folder of its socket."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        lack("pgbouncer", "PgBouncer is not installed")
    given = conninfo_to_dict(url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\nstore = host={given['host']} dbname={given['dbname']} user={given['user']}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\npool_mode = {mode}\n"
        f"ignore_startup_parameters = extra_float_digits{passing}\n"
    )
    owner = Path(str(given["host"])).stat()
    running = subprocess.Popen(
        [program, "-q", settings], user=owner.st_uid, group=owner.st_gid, extra_groups=[], stderr=subprocess.DEVNULL
    )
    pooled = f"postgresql://{given['user']}@127.0.0.1:{port}/store"
    try:
        for _ in range(500):
            try:
                psycopg.connect(pooled, connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                assert running.poll() is None
                time.sleep(0.02)
        yield pooled
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the owner of the server may enter."""
    with tempfile.TemporaryDirectory(prefix="obligor-pooler-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.parametrize(
    ("mode", "passing"),
    [("transaction", ", options"), ("statement", ", options"), ("session", ", options"), ("session", "")],
)
def test_a_pooler_that_shares_sessions_or_drops_their_settings_is_refused(
    embedded_postgres: str, folder: Path, mode: str, passing: str
) -> None:
    with new_store(embedded_postgres) as url, pooled(url, mode=mode, folder=folder, passing=passing) as through:
        with pytest.raises(InvalidInputError, match="through a pooler that shares sessions, or drops") as caught:
            migrate(through)
        assert "OBLIGOR_DATABASE_URL is to name PostgreSQL itself" in str(caught.value.hint)


def test_a_database_itself_is_taken_and_one_that_is_not_there_is_no_pooler(store_url: str) -> None:
    migrate(store_url)
    assert revision(store_url) == NEWEST
    with pytest.raises(UnavailableError):
        migrate("postgresql://nobody@127.0.0.1:1/none")

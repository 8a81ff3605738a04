"""A PostgreSQL of our own: durable, for nobody else, and there as long as somebody uses it."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from obligor.adapters.store import embedded
from obligor.adapters.store.embedded import embedded_server, revive, start_embedded
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fresh(embedded_postgres: str) -> Iterator[Path]:  # asked for so that a machine without it skips
    """A folder that nothing is in yet."""
    with tempfile.TemporaryDirectory(prefix="obligor tests ", ignore_cleanup_errors=True) as place:
        yield Path(place) / "data" / "postgres"


@pytest.fixture(scope="module")
def made(embedded_postgres: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="obligor tests ", ignore_cleanup_errors=True) as place:
        start_embedded(Path(place) / "postgres").close()
        yield Path(place) / "postgres"


@pytest.fixture
def folder(fresh: Path, made: Path) -> Path:
    """A server that was made, and does not run."""
    fresh.parent.mkdir()
    subprocess.run(["cp", "-a", str(made), str(fresh)], check=True)
    return fresh


def shown(url: str, *settings: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = [connection.execute("SELECT current_setting(%s)", (name,)).fetchone() for name in settings]
        return [row[0] for row in rows if row]


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_it_flushes_every_commit_and_compares_text_byte_by_byte(folder: Path) -> None:
    with embedded_server(folder) as url:
        assert shown(url, "fsync", "full_page_writes", "synchronous_commit", "data_checksums") == ["on"] * 4
        assert shown(url, "server_encoding", "listen_addresses", "TimeZone") == ["UTF8", "", "UTC"]
        assert shown(url, "min_wal_size") == ["512MB"]
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT 'Z' < 'a', 'z' < 'ä'").fetchone() == (True, True)


def test_nobody_else_may_enter_the_folder_of_its_socket(fresh: Path) -> None:
    with embedded_server(fresh):
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o700
        assert (fresh / ".s.PGSQL.5432").is_socket()


def test_it_keeps_what_it_held(folder: Path) -> None:
    with embedded_server(folder) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
    assert not answers(url)
    with embedded_server(folder) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT number FROM kept").fetchone() == (7,)


def test_whoever_lets_go_last_stops_it(folder: Path) -> None:
    first, second = start_embedded(folder), start_embedded(folder)
    assert first.url == second.url
    first.close()
    assert answers(second.url)
    second.close()
    assert not answers(second.url)
    second.close()  # once more is no fault


USER = """
import sys
from pathlib import Path
from obligor.adapters.store.embedded import embedded_server
with embedded_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read(1)
"""


def user(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", USER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("x", timeout=60)


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_two_processes_that_start_it_at_once_share_it(fresh: Path) -> None:
    one, other = user(fresh), user(fresh)
    url = told(one)
    assert told(other) == url
    leave(one)
    assert answers(url)
    leave(other)
    assert not answers(url)


def test_a_process_that_is_killed_lets_go_too(folder: Path) -> None:
    killed = user(folder)
    url = told(killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert answers(url)  # nobody stopped it
    start_embedded(folder).close()
    assert not answers(url)


def test_a_server_that_was_killed_under_its_users_is_started_again(folder: Path) -> None:
    with embedded_server(folder) as url:
        assert not revive(folder)
        os.kill(int((folder / "postmaster.pid").read_text().splitlines()[0]), signal.SIGKILL)
        revived, until = False, time.monotonic() + 30
        while not revived and time.monotonic() < until:
            with suppress(UnavailableError):  # while its children have not ended
                revived = revive(folder)
            time.sleep(0.1)
        assert revived
        assert answers(url)
        assert not revive(folder)
    assert not answers(url)


def test_a_path_too_long_for_a_socket_gets_a_short_one_for_its_owner_alone(folder: Path) -> None:
    long = folder.parent / ("x" * 100)
    long.mkdir()
    with embedded_server(folder.rename(long / "postgres")) as url:
        assert answers(url)
        place = Path(url.partition("host=")[2].partition("&")[0].replace("%2F", "/"))
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
    place.rmdir()


def test_a_port_in_the_environment_changes_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "6543")
    with embedded_server(folder) as url:
        assert answers(url)


def test_a_server_of_another_version_is_told(fresh: Path) -> None:
    fresh.mkdir(parents=True)
    (fresh / "PG_VERSION").write_text("16\n")
    with pytest.raises(UnavailableError, match="made by PostgreSQL 16"):
        start_embedded(fresh)


def test_a_server_that_does_not_start_tells_why(folder: Path) -> None:
    with (folder / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(UnavailableError, match="no_such_setting"):
        start_embedded(folder)


def test_a_server_that_cannot_be_made_tells_why_and_not_what_was_tidied_up() -> None:
    said = (
        b"initdb: error: could not write file: No space left on device\ninitdb: removing contents of data directory\n"
    )
    assert embedded._last_words_of(said) == "initdb: error: could not write file: No space left on device"


def test_a_wheel_that_is_absent_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_WHEEL", "no_such_wheel")
    with pytest.raises(UnavailableError, match="not installed"):
        start_embedded(folder)


def test_a_start_that_fails_leaves_nothing_behind(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "_SETTINGS", "no_such_setting = 1")
    with pytest.raises(UnavailableError):
        start_embedded(fresh)
    assert [path.name for path in fresh.parent.iterdir() if path.is_dir()] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes PostgreSQL run as another user")
def test_a_home_folder_is_not_opened_for_the_user_of_the_server(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fresh.parent / "home"
    home.mkdir(parents=True, mode=0o700)
    entries = [*pwd.getpwall(), pwd.struct_passwd(("somebody", "x", 1000, 1000, "", str(home.resolve()), ""))]
    monkeypatch.setattr(embedded.pwd, "getpwall", lambda: entries)
    with pytest.raises(UnavailableError, match="may not enter"):
        start_embedded(home / "data" / "postgres")
    assert stat.S_IMODE(home.stat().st_mode) == 0o700

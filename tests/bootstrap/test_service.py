"""How a service greets whoever started it, and goes on with what it does beside its doors."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from socket import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.serving.http.fakes import house

from obligor.bootstrap.asides import go_on
from obligor.bootstrap.doors import Doors, Readiness, greet, read_proxies
from obligor.bootstrap.service import serve_decisions
from obligor.core.errors import InvalidInputError, ObligorError
from obligor.progress import Silence
from obligor.security.networks import NOWHERE
from obligor.serving.telemetry.journal import NoJournal

if TYPE_CHECKING:
    from pathlib import Path


def test_proxies_are_nowhere_unless_they_are_named_and_never_everywhere() -> None:
    assert read_proxies({}) == read_proxies({"OBLIGOR_PROXIES": " , "}) == NOWHERE
    named = read_proxies({"OBLIGOR_PROXIES": "10.0.3.0/28, 2001:db8::7"})
    assert [str(it) for it in named.of] == ["10.0.3.0/28", "2001:db8::7/128"]
    for wrong, told in {
        "10.0.0.0/8,0.0.0.0/0": "OBLIGOR_PROXIES: got 0.0.0.0/0; wanted the addresses of the proxies alone, a /8 at most",
        "0.0.0.0/1,128.0.0.0/1": "OBLIGOR_PROXIES: got 0.0.0.0/1; wanted the addresses of the proxies alone",
        "::/0": "OBLIGOR_PROXIES: got ::/0",
        "10.0.3.1,balancer": "OBLIGOR_PROXIES: network 2: wanted an address or a network",
        "10.0.3.1/28": "OBLIGOR_PROXIES: network 1: got '10.0.3.1/28'; wanted 10.0.3.0/28",
    }.items():
        with pytest.raises(InvalidInputError, match=re.escape(told)):
            read_proxies({"OBLIGOR_PROXIES": wrong})


def test_the_store_is_asked_once_for_all_who_want_to_know_whether_a_service_is_ready() -> None:
    class Log:
        asked = 0

        async def size(self) -> int:
            self.asked += 1
            await asyncio.sleep(0.01)
            return 0

    log = Log()
    store: Any = SimpleNamespace(
        log=log,
        hold=SimpleNamespace(because=""),
        recorder=SimpleNamespace(is_well=True),
        sources=SimpleNamespace(now=lambda: None),
    )
    releases: Any = SimpleNamespace(has_profile=lambda _: True)

    async def main() -> None:
        readiness = Readiness(store, releases)
        gone = asyncio.ensure_future(readiness.states())
        others = [asyncio.ensure_future(readiness.states()) for _ in range(500)]
        await asyncio.sleep(0)
        gone.cancel()  # and takes the answer from nobody
        assert all(all(it.values()) for it in await asyncio.gather(*others))
        assert log.asked == 1
        await readiness.states()
        assert log.asked == 2

    asyncio.run(main())


def test_the_port_that_is_told_is_the_one_that_the_service_got() -> None:
    said: list[str] = []
    greet(said.append, NoJournal(), Doors("127.0.0.1", 0, None), house().releases, 4711)
    assert "http://127.0.0.1:4711 " in said[0]
    assert ":0" not in said[0]


def test_an_address_of_ipv6_is_told_as_one_that_can_be_opened() -> None:
    said: list[str] = []
    greet(said.append, NoJournal(), Doors("::1", 0, 50051), house().releases, 4711)
    assert "http://[::1]:4711/docs" in said[0]
    assert "gRPC  [::1]:50051" in said[0]


class Told(NoJournal):
    """Remembers which events were told, and of which exceptions."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def failed(self, event: str, error: BaseException, **_: object) -> None:
        self.events.append((event, type(error).__name__))


def test_what_goes_on_beside_the_doors_begins_again_after_what_nobody_foresaw_and_that_is_told() -> None:
    journal, left = Told(), [KeyError("a column")] * 3

    async def aside() -> None:
        if left:
            raise left.pop()

    asyncio.run(go_on(aside, journal, pause_s=0.0))
    assert left == []
    assert journal.events == [("aside_failed", "KeyError")] * 3


def test_what_goes_on_beside_the_doors_ends_with_the_service() -> None:
    async def main() -> None:
        journal, forever = Told(), asyncio.Event()

        async def aside() -> None:
            await forever.wait()

        task = asyncio.create_task(go_on(aside, journal))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert journal.events == []

    asyncio.run(main())


LOADING = """
import os, sys
from contextlib import contextmanager
from obligor.bootstrap import service
from obligor.progress import Silence

@contextmanager
def database(settings, *, meanwhile):
    assert "grpc" not in sys.modules
    print(os.environ.get("GRPC_VERBOSITY"))
    raise SystemExit
    yield

service.database = database
service.serve_decisions(None, doors=service.Doors("127.0.0.1", 0, 0), say=print, progress=Silence())
"""


def test_grpc_is_told_to_keep_silent_before_it_is_loaded() -> None:
    """Its core heeds it only then, and tells of every failed handshake past the journal."""
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("NONE", "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"OIDC_ISSUER": "https://id.example"},
        {"KYC": "http://kyc.example"},
        {"TLS_CERT": "one.pem", "TLS_KEY": "other.pem"},
        {"SUBJECT_DAILY": "many"},
        {"LINK_PERSON_DAILY": "many"},
        {"EVENT_DAYS": "many"},
        {"HELD_DAYS": "many"},
    ],
)
def test_a_first_key_is_not_shown_by_a_service_that_does_not_start(
    wrong: dict[str, str], store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one.pem", "other.pem"):
        (tmp_path / name).write_text("neither")
        (tmp_path / name).chmod(0o600)
    given = {"AUTHOR": "ada", "DATA": str(tmp_path), "ANCHORS": "off", "DATABASE_URL": store_url}
    for name, value in (given | wrong).items():
        monkeypatch.setenv(f"OBLIGOR_{name}", value)
    assert said_by_a_service_that_does_not_start(port=0) == []


@pytest.mark.parametrize("door", ["rest", "grpc"])
def test_a_first_key_is_not_shown_nor_made_where_a_port_is_taken(
    door: str, store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"DATA": str(tmp_path), "ANCHORS": "off", "DATABASE_URL": store_url}.items():
        monkeypatch.setenv(f"OBLIGOR_{name}", value)
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"port": port} if door == "rest" else {"port": 0, "grpc_port": port}
        assert said_by_a_service_that_does_not_start(**ports) == []
    with psycopg.connect(store_url) as connection:
        assert connection.execute("SELECT count(*) FROM obligor.api_key").fetchone() == (0,)


def said_by_a_service_that_does_not_start(*, port: int, grpc_port: int | None = None) -> list[str]:
    said: list[str] = []
    with pytest.raises(ObligorError):
        serve_decisions(None, doors=Doors("127.0.0.1", port, grpc_port), say=said.append, progress=Silence())
    return said

"""The journal tells listed fields of one shape, one line each, and nothing of a person."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.errors import UnavailableError
from obligor.serving.telemetry.journal import (
    FIELDS,
    Journal,
    LibraryHandler,
    NoJournal,
    Telling,
    first_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CANARY = "Ana Canary 4111111111111111"
ATTACKS = [
    "a\r\nlevel: error",
    '"}\n{"event":"decided"}',
    "\x1b[2J\x1b[31mred",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "%s%n",
    "' OR 1=1 --",
    "\u202eevil",
    "\u2028",
    "\x00",
    "\x9b31m",
    "\ud800",
    CANARY,
]


class Lines:
    """What a journal wrote."""

    def __init__(self) -> None:
        self.stream = io.BytesIO()

    @property
    def raw(self) -> bytes:
        return self.stream.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw.splitlines()]


@contextmanager
def journal(lines: Lines, **said: Any) -> Iterator[Journal]:
    with Journal(lines.stream, clock=lambda: 1795722000.1234, **said) as it:
        yield it


def test_an_event_is_one_line_of_json() -> None:
    lines = Lines()
    with journal(lines) as it:
        it.tell("answered", route="/v1/decisions", status=201, seconds=0.004, client_id="branch-7", decision_id=None)
    assert lines.raw == (
        b'{"at":"2026-11-26T19:40:00.123Z","level":"info","event":"answered","route":"/v1/decisions","status":201,'
        b'"seconds":0.004,"client_id":"branch-7"}\n'
    )


@given(st.text(), st.sampled_from(sorted(set(FIELDS) - {"level", "event"})))
def test_no_text_makes_a_second_line_or_an_escape(text: str, name: str) -> None:
    lines = Lines()
    with journal(lines) as it:
        it.tell("answered", **{name: text})
        it.tell(text)
    assert lines.raw.count(b"\n") == 2
    assert all(0x20 <= byte < 0x7F for byte in lines.raw.replace(b"\n", b""))
    assert [set(line) <= set(FIELDS) for line in lines.all] == [True, True]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_stays_inert_on_its_line(attack: str) -> None:
    lines, names = Lines(), sorted(set(FIELDS) - {"at", "level", "event", "text"})
    with journal(lines) as it:
        for name in names:
            it.tell("refused", **{name: attack})
    assert lines.all == [
        {"at": "2026-11-26T19:40:00.123Z", "level": "info", "event": "refused", name: "?"} for name in names
    ]


def test_a_field_that_is_not_listed_is_a_mistake_in_tests_and_left_out_in_production() -> None:
    lines = Lines()
    with journal(lines, strict=True) as it:
        with pytest.raises(TypeError, match="'income' is not listed"):
            it.tell("decided", income=52_000)
        with pytest.raises(TypeError, match="'client_id' got a value of another shape") as caught:
            it.tell("decided", client_id=CANARY)
        with pytest.raises(TypeError, match="'at' is not listed"):
            it.tell("decided", at="2026")
    assert CANARY not in str(caught.value)
    assert lines.raw == b""
    with journal(lines) as it:
        it.tell("decided", income=52_000, applicant=CANARY, status=201, at="never")
    assert lines.all == [{"at": "2026-11-26T19:40:00.123Z", "level": "info", "event": "decided", "status": 201}]


def ask_a_store_that_is_down() -> None:
    try:
        int(CANARY)
    except ValueError as error:
        raise UnavailableError(CANARY) from error


def test_an_exception_is_told_by_its_type_and_its_place_and_never_by_its_message() -> None:
    lines = Lines()
    with journal(lines, strict=True) as it:
        try:
            ask_a_store_that_is_down()
        except UnavailableError as error:
            it.failed("store_failed", error, dependency="store")
    (told,) = lines.all
    assert told.pop("where").startswith(f"{__name__}:")
    assert told == {
        "at": "2026-11-26T19:40:00.123Z", "level": "error", "event": "store_failed", "dependency": "store",
        "error": "UnavailableError", "cause": "ValueError", "kind": "unavailable",
    }  # fmt: skip


def test_events_below_the_level_are_not_written() -> None:
    lines = Lines()
    with journal(lines, level="warning") as it:
        it.tell("answered", status=201)
        it.tell("refused", level="warning", why="wrong")
    assert [line["event"] for line in lines.all] == ["refused"]


class Stuck(io.BytesIO):
    """A stream that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.free = threading.Event(), threading.Event()

    def write(self, data: Any) -> int:
        self.reached.set()
        self.free.wait(10)
        return super().write(data)


def test_a_stream_that_is_stuck_holds_nobody_up_and_what_is_lost_is_counted() -> None:
    stream = Stuck()
    it = Journal(stream, most_waiting=10)
    it.tell("started", level="error")
    assert stream.reached.wait(10)
    for _ in range(25):
        it.tell("answered", status=201)
    assert it.dropped == 15
    stream.free.set()
    it.close()
    assert len(stream.getvalue().splitlines()) == 11


def test_a_stream_that_breaks_is_counted_and_the_service_goes_on() -> None:
    stream = io.BytesIO()
    it = Journal(stream)
    stream.close()
    it.tell("answered", level="error", status=500)
    it.close()
    assert it.dropped == 1


class FullFor(io.BytesIO):
    """A file on a disk that is full for one write, and takes half of it."""

    full = False

    def write(self, data: Any) -> int:
        if not self.full:
            return super().write(data)
        super().write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "full")


def test_after_a_full_disk_the_next_line_begins_anew() -> None:
    stream = FullFor()
    with Journal(stream) as journal:
        for at, full in enumerate((False, True, False, False)):
            stream.full = full
            journal.tell("committed", level="error", acts=at)
            while not (journal.dropped if full else b'"acts":%d}' % at in stream.getvalue()):
                time.sleep(0.001)
    said = [json.loads(it) for it in stream.getvalue().splitlines() if it.endswith(b"}")]
    assert [it["acts"] for it in said] == [0, 2, 3]
    assert journal.dropped == 1


def test_libraries_are_told_by_their_template_and_not_by_what_they_filled_in() -> None:
    lines = Lines()
    with journal(lines, strict=True, level="debug") as it:
        handler = LibraryHandler(it)
        for name, words, args in (
            ("uvicorn.error", "Started server process [%d]", (12,)),
            ("uvicorn.error", "Application startup complete.", ()),
            ("uvicorn.error", f"Exception calling application: {CANARY}", ()),
            ("uvicorn.access", '%s - "%s %s HTTP/%s" %d', (CANARY, "GET", "/", "1.1", 200)),
            ("grpc._server", "Unexpected [%s] in\r\n\x1b[2J", (CANARY,)),
            ("obligor.http", "%s at %s", ("KeyError", "read:12 < <lambda>:3 < __call__:77")),
            ("obligor.http", "%s at %s", ("KeyError", CANARY)),
            ("httpcore.http11", "send_request_headers.started request=%r", (CANARY,)),
            ("asyncio", f"Exception in callback f({CANARY!r})\nhandle: <Handle>", ()),
            (f"{CANARY}\n", "anything %s", ("x",)),
        ):
            handler.emit(logging.LogRecord(name, logging.WARNING, "", 0, words, args, None))
        try:
            int(CANARY)
        except ValueError:
            handler.emit(logging.LogRecord("asyncio", logging.ERROR, "", 0, CANARY, (), sys.exc_info()))
    assert [line.get("text") for line in lines.all] == [
        "Started server process [%d]", "Application startup complete.", None, "Unexpected [%s] in",
        "KeyError at read:12 < <lambda>:3 < __call__:77", *[None] * 5,
    ]  # fmt: skip
    assert lines.all[-1]["error"] == "ValueError"
    assert CANARY.encode() not in lines.raw.replace(b"_", b" ").replace(b'Ana Canary 4111111111111111 "', b"")


@given(st.text())
def test_the_first_line_of_a_text_is_printable_and_short(text: str) -> None:
    line = first_line(text)
    assert len(line) <= 200
    assert all(" " <= letter <= "~" for letter in line)


CANARIES = """
import asyncio, logging, sys, threading, warnings
from obligor.serving.telemetry.journal import Journal, take_over_logging, tell_of_crashes

CANARY = "Ana Canary " + "4111" * 4
journal = Journal(sys.stdout.buffer, level="debug")
take_over_logging(journal, level="debug")
tell_of_crashes(journal)

class Person:
    def __repr__(self): return CANARY
    def __del__(self): raise ValueError(CANARY)

async def application(scope, receive, send):
    raise ValueError(CANARY + str(scope["headers"]))

async def serve():
    import httpx, uvicorn
    server = uvicorn.Server(uvicorn.Config(application, port=0, log_config=None, log_level="debug", lifespan="off"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx.AsyncClient(timeout=None, trust_env=False) as client:
        headers = {"authorization": "Bearer " + CANARY, "x-applicant": CANARY}
        answer = await client.post(f"http://127.0.0.1:{port}/v1/decisions?name={CANARY}", json={"n": CANARY}, headers=headers)
        assert answer.status_code == 500, answer
    async def lost():
        raise ValueError(CANARY)
    asyncio.create_task(lost())
    asyncio.get_running_loop().call_soon(lambda person: 1 / 0, CANARY)
    await asyncio.sleep(0.05)
    server.should_exit = True
    await task

asyncio.run(serve(), debug=True)
warnings.warn(CANARY)
logging.getLogger("some.library").debug("of %s", CANARY)
logging.getLogger(CANARY).error(CANARY)
Person()
thread = threading.Thread(target=lambda: {}[CANARY])
thread.start()
thread.join()
journal.tell("decided", client_id=CANARY, applicant=CANARY)
raise ValueError(CANARY)
"""


def test_at_the_lowest_level_with_every_exception_forced_no_value_of_a_person_comes_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CANARIES], capture_output=True, timeout=60, check=False, env={**os.environ}
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert done.stderr == b""
    assert [word for word in (b"Canary", b"4111") if word in said] == []
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    crashed = [line["error"] for line in lines if line["event"] == "crashed"]
    assert crashed == ["ValueError", "KeyError", "ValueError"]
    failed = [(line["logger"], line["error"]) for line in lines if line["event"] == "library" and "error" in line]
    assert ("uvicorn.error", "ValueError") in failed
    assert ("asyncio", "ZeroDivisionError") in failed
    assert ("asyncio", "ValueError") in failed
    assert {"Exception in ASGI application", "Started server process [%d]"} <= {line.get("text") for line in lines}


@pytest.mark.parametrize("made", [NoJournal, lambda: Journal(io.BytesIO(), strict=True)])
def test_every_journal_takes_the_same_calls(made: type[NoJournal]) -> None:
    it: Telling = made()
    it.tell("answered", status=201)
    it.failed("store_failed", ValueError("x"), level="warning", dependency="store")
    if isinstance(it, Journal):
        it.close()
        assert it.dropped == 0

"""What the service writes of its own work: one line of JSON for each event.

A line holds listed fields only, and each field has one shape: a route is a route, a hash is a hash. There is no field for free
text of our own, so that no body, header, key or value of a person can come into a line by mistake, whatever an exception or an
attacker says. What does not have the shape of its field is written as ``?``; a field that is not listed is left out, and is a
`TypeError` where the journal is strict, as in tests. Of an exception its type and its place are told, never its message.

Lines are put down by a thread of their own from a queue with an end; where the queue is full they are lost and counted. The
audit log, not the journal, is the record of what was decided.
"""

from __future__ import annotations

import atexit
import logging
import re
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from obligor.core.errors import ObligorError
from obligor.serving.encoding import encode_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import BinaryIO, Self

Level = Literal["debug", "info", "warning", "error"]
LEVELS: Mapping[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that a line may hold."""

    meaning: str
    shape: re.Pattern[str] | None = None
    """What a text must be in whole; without one it is a number or a truth value."""

    def fits(self, value: object) -> bool:
        """Tell whether a value has the shape."""
        if self.shape is None:
            return isinstance(value, int | float)
        return isinstance(value, str) and self.shape.fullmatch(value) is not None


_NAME = re.compile(r"[a-z][a-z_.]{0,39}", re.ASCII)
_CLIENT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_HASH = re.compile(r"[0-9a-f]{12,64}")

FIELDS: Mapping[str, Field] = {
    "at": Field("when, in UTC", re.compile(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{3}Z")),
    "level": Field("debug, info, warning or error", re.compile("|".join(LEVELS))),
    "event": Field("what happened", _NAME),
    "route": Field("the door's own name for what was asked", re.compile(r"(?:[A-Za-z_{}./ ]|v1){1,80}", re.ASCII)),
    "status": Field("of the answer"),
    "seconds": Field("how long it took"),
    "client_id": Field("who asked", _CLIENT),
    "key_id": Field("by which API key", re.compile(r"[0-9a-z]{12}")),
    "network": Field("from where, where a caller was refused", re.compile(r"[0-9a-f.:/]{2,49}")),
    "why": Field("why a caller was refused, or a thing failed", _NAME),
    "kind": Field("of an error of Obligor", _NAME),
    "error": Field("the type of an exception", re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}", re.ASCII)),
    "cause": Field("the type of the exception behind it", re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}", re.ASCII)),
    "where": Field("the place in the code", re.compile(r"[A-Za-z0-9_.]{1,120}:[0-9]{1,6}", re.ASCII)),
    "endpoint_id": Field("of a client's system that is told of events", re.compile(r"ep_[a-z2-7]{16}")),
    "decision_id": Field("of a decision", _UUID),
    "review_id": Field("of a review", _UUID),
    "outcome": Field("of a decision", re.compile("approve|refer|decline|hold")),
    "leaf_index": Field("of an act in the audit log"),
    "tree_size": Field("of the audit log"),
    "acts": Field("that share a commit, or were lost"),
    "got": Field("of what there is too little, how much there is"),
    "wanted": Field("of what there is too little, how much was wanted"),
    "events": Field("for clients' systems, that were given up unsent"),
    "links": Field("between decisions, that were found"),
    "attempt": Field("which one it was"),
    "release": Field("the number of the release in force"),
    "card_sha256": Field("the card of the release", _HASH),
    "policy_sha256": Field("its policy", _HASH),
    "profile_sha256": Field("its profile", _HASH),
    "dependency": Field("what the service stands on", _NAME),
    "well": Field("whether it does its part"),
    "port": Field("where a door listens"),
    "version": Field("of Obligor", re.compile(r"[0-9A-Za-z.+]{1,40}")),
    "logger": Field("of a library", re.compile(r"[A-Za-z0-9_.]{1,80}", re.ASCII)),
    "text": Field(
        "the first line of a library's own words, without what it filled in; of what does not answer, our own sentence",
        re.compile(r"[ -~]{0,200}"),
    ),
}
UNFIT = "?"

_MOST_WAITING = 10_000
_PAUSE_S = 0.05
_SET_BY_US = ("at", "level")
_WITH_WORDS = ("uvicorn", "grpc", "psycopg", "alembic", "opentelemetry")
_KNOWN_WORDS = frozenset(  # of uvicorn: sentences that it fills nothing into
    {
        "Waiting for application startup.",
        "Application startup complete.",
        "Application startup failed. Exiting.",
        "Shutting down",
        "Waiting for connections to close. (CTRL+C to force quit)",
        "Waiting for background tasks to complete. (CTRL+C to force quit)",
        "Waiting for application shutdown.",
        "Application shutdown complete.",
        "Exception in ASGI application",
        "Invalid HTTP request received.",
    }
)
UNAVAILABLE = "obligor.unavailable"
"""The logger of what does not answer."""
_UNTOLD = ("uvicorn.access",)  # the doors tell of requests themselves
_PLACES = re.compile(r"\w+ at [\w<>]+:[0-9]+(?: < [\w<>]+:[0-9]+)*", re.ASCII)  # of what a door did not foresee
_UNPRINTABLE = re.compile(r"[^ -~]")


class Telling(Protocol):
    """Where events are told."""

    def tell(self, event: str, *, level: Level = "info", **fields: object) -> None:
        """Tell of an event."""
        ...

    def failed(self, event: str, error: BaseException, *, level: Level = "error", **fields: object) -> None:
        """Tell of an exception: its type and its place."""
        ...


class NoJournal:
    """Writes nothing."""

    def tell(self, event: str, *, level: Level = "info", **fields: object) -> None:
        """Write nothing."""

    def failed(self, event: str, error: BaseException, *, level: Level = "error", **fields: object) -> None:
        """Write nothing."""


class _Event(NamedTuple):
    at: float
    level: Level
    event: str
    fields: Mapping[str, object]


class Journal:
    """Writes lines to a stream from a thread of its own, which `close` ends."""

    def __init__(
        self,
        stream: BinaryIO,
        *,
        level: Level = "info",
        strict: bool = False,
        most_waiting: int = _MOST_WAITING,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stream, self._least, self._strict = stream, LEVELS[level], strict
        self._most, self._clock = most_waiting, clock
        self._waiting: deque[_Event] = deque()
        self._wake, self._closing = threading.Event(), False
        self._anew = b""
        """What ends a line that may have been cut in two."""
        self.dropped = 0
        """Lines that were lost: the queue was full, or the stream took no more."""
        self._writer = threading.Thread(target=self._write_on, name="journal", daemon=True)
        self._writer.start()

    def tell(self, event: str, *, level: Level = "info", **fields: object) -> None:
        """Tell of an event.

        Raises
        ------
        TypeError
            Where the journal is strict and a field is not listed, or has not the shape of its field.
        """
        if LEVELS[level] < self._least:
            return
        if self._strict:
            _check(event, fields)
        if len(self._waiting) >= self._most:
            self.dropped += 1
            return
        self._waiting.append(_Event(self._clock(), level, event, fields))
        if level == "error":
            self._wake.set()

    def failed(self, event: str, error: BaseException, *, level: Level = "error", **fields: object) -> None:
        """Tell of an exception: its type and its place, never its message, which may quote a person's data."""
        self.tell(event, level=level, **fields, **_told(error))

    def close(self) -> None:
        """Write what waits, and end the thread."""
        self._closing = True
        self._wake.set()
        self._writer.join(timeout=5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_on(self) -> None:
        while not self._closing:
            self._wake.wait(_PAUSE_S)
            self._wake.clear()
            self._write_waiting()
        self._write_waiting()

    def _write_waiting(self) -> None:
        count = len(self._waiting)
        if not count:
            return
        lines = [line_of(self._waiting.popleft()) for _ in range(count)]
        try:
            self._stream.write(b"".join((self._anew, *lines)))
            self._stream.flush()
            self._anew = b""
        except (OSError, ValueError):  # a full disk, a pipe without a reader, a closed stream: the service goes on
            self.dropped += count
            self._anew = b"\n"


def line_of(event: _Event) -> bytes:
    """Write an event as one line of ASCII."""
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line: dict[str, object] = {"at": at, "level": event.level}
    for name, value in (("event", event.event), *event.fields.items()):
        field = FIELDS.get(name)
        if field is not None and value is not None and name not in _SET_BY_US:
            line[name] = value if field.fits(value) else UNFIT
    return encode_in_order(line) + b"\n"


def _check(event: str, fields: Mapping[str, object]) -> None:
    for name, value in (("event", event), *fields.items()):
        if name not in FIELDS or name in _SET_BY_US:
            raise TypeError(f"journal: the field '{name}' is not listed")
        if value is not None and not FIELDS[name].fits(value):
            raise TypeError(f"journal: the field '{name}' got a value of another shape")


def _told(error: BaseException) -> dict[str, object]:
    """Tell an exception by its type, the type behind it, and the place in our own code that it came through last."""
    told: dict[str, object] = {"error": type(error).__name__, "where": _place(error.__traceback__)}
    behind = error.__cause__ or error.__context__
    if behind is not None:
        told["cause"] = type(behind).__name__
    if isinstance(error, ObligorError):
        told["kind"] = error.kind
    return told


def _place(trace: TracebackType | None) -> str | None:
    place = None
    while trace is not None:
        module = str(trace.tb_frame.f_globals.get("__name__", ""))
        if place is None or module.startswith("obligor"):
            place = f"{module}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


class LibraryHandler(logging.Handler):
    """Brings what libraries log into the journal: their template, never what they filled in.

    A record with arguments has a template. One without may have been filled in before it was logged: its words are told only
    where they are known. A logger is named only where it is called as a module of the process is. What of ours does not answer
    is told in whole: those messages name hosts and files, and nobody's data.
    """

    def __init__(self, journal: Telling) -> None:
        super().__init__()
        self._journal = journal

    def emit(self, record: logging.LogRecord) -> None:
        """Tell of a library's record."""
        if record.name.startswith(_UNTOLD):
            return
        library, words = record.name.split(".")[0], first_line(str(record.msg))
        fields: dict[str, object] = {"logger": record.name if library in sys.modules else None}
        if library in _WITH_WORDS and (record.args or words in _KNOWN_WORDS):
            fields["text"] = words
        elif record.name == UNAVAILABLE:
            fields["text"] = first_line(record.getMessage())
        elif library == "obligor" and _PLACES.fullmatch(said := record.getMessage()):
            fields["text"] = first_line(said)
        if record.exc_info and record.exc_info[1] is not None:
            fields |= _told(record.exc_info[1])
        self._journal.tell("library", level=_level(record.levelno), **fields)


def first_line(text: str) -> str:
    """Give the first line of a text, with what is not printable ASCII escaped, and of a bounded length."""
    first = text[:1000].strip().split("\n", 1)[0].rstrip()[:200]
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), first)[:200]


def _level(number: int) -> Level:
    return next((level for level in ("error", "warning", "info") if number >= LEVELS[level]), "debug")


def take_over_logging(journal: Telling, *, level: Level = "info") -> None:
    """Let every library of the process log into the journal, and nowhere else."""
    root = logging.getLogger()
    root.handlers = [LibraryHandler(journal)]
    root.setLevel(LEVELS[level])
    for name in list(logging.Logger.manager.loggerDict):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    logging.captureWarnings(capture=True)


def tell_of_crashes(journal: Journal) -> None:
    """Let an exception that nobody caught be told by the journal, instead of being printed with its message."""

    def crashed(_: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        journal.failed("crashed", error.with_traceback(trace))

    def crashed_aside(args: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
        if args.exc_value is not None:
            journal.failed("crashed", args.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = crashed, crashed_aside, crashed_aside
    atexit.register(journal.close)

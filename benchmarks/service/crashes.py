"""Rounds of load in which the service, its database or both are killed, and what must hold after each.

A client repeats a request whose answer it did not see under the same idempotency key, as the service asks of it. Then every
answer that was ever seen must be kept with its very bytes, a repeated request must be given that answer again, and no key may
have two decisions.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import aiohttp

from benchmarks.service.database import Database
from benchmarks.service.lender import bodies, write_run
from benchmarks.service.servers import HOST, OBLIGOR, Lender, free_port
from obligor.serving.privacy.sealed import named

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KILLED = ("service", "database", "both")
PATH = "/v1/decisions"
_PATIENCE_S = 60
_REPEATED = 5
_REPLAYED = "Idempotent-Replayed"
_BREATH_S = 0.02
_STORED = """
    SELECT convert_from(record.body, 'UTF8')::jsonb ->> 'decision_id', request.response,
           (SELECT count(*) FROM obligor.decision WHERE decision.leaf_index = request.leaf_index)
    FROM obligor.request JOIN obligor.record ON record.leaf_index = request.leaf_index
"""
_TWICE = """
    SELECT coalesce(sum(times - 1), 0) FROM (
      SELECT count(*) AS times FROM obligor.record JOIN obligor.leaf ON leaf_index = index
      WHERE kind = 'decision' GROUP BY convert_from(record.body, 'UTF8')::jsonb ->> 'idempotency_key'
    ) AS keys
"""
_COUNTS = """
    SELECT (SELECT count(*) FROM obligor.decision), (SELECT count(*) FROM obligor.leaf WHERE kind = 'decision'),
           (SELECT count(*) FROM obligor.request), (SELECT count(*) FROM obligor.leaf), (SELECT size FROM obligor.tree_head)
"""
_RELEASES = """
    SELECT convert_from(body, 'UTF8')::jsonb ->> 'pins' AS pins, count(*) FROM obligor.record
    WHERE leaf_index IN (SELECT index FROM obligor.leaf WHERE kind = 'decision' AND index >= %s)
    GROUP BY pins ORDER BY min(leaf_index)
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    replayed: bool
    retry_after: str | None


@dataclass
class Seen:
    """What clients saw: the answer under each key, and the keys that have none yet, with their bodies."""

    answers: dict[str, bytes] = field(default_factory=dict)
    unanswered: dict[str, bytes] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    """Keys that were answered twice, and not with the same bytes."""
    anew: list[str] = field(default_factory=list)
    """Keys with an answer that were not given it again when they were repeated."""
    recovered: int = 0
    """Decisions that were made although their first answer was lost, and were found again by their key."""
    statuses: Counter[int | str] = field(default_factory=Counter)

    def take(self, key: str, body: bytes, answer: Answer | None) -> None:
        """Note an answer, or that there was none."""
        self.statuses["none" if answer is None else answer.status] += 1
        if answer is None or answer.status != HTTPStatus.CREATED:
            self.unanswered[key] = body
            return
        if self.unanswered.pop(key, None) and answer.replayed:
            self.recovered += 1
        if self.answers.setdefault(key, answer.body) != answer.body:
            self.changed.append(key)


@dataclass(frozen=True)
class Verdict:
    """What a check of the database found; ``wrong`` says it in words."""

    acknowledged: int
    lost: int
    duplicated: int
    wrong: tuple[str, ...] = ()


class Victim:
    """A decision service on a database of its own, both of which may be killed."""

    def __init__(self, folder: Path, *, clients: int = 16, command: tuple[str, ...] = OBLIGOR) -> None:
        self.database = Database(folder / "database")
        self.port = free_port()
        self.lender = Lender(folder / "data", write_run(folder / "run"), self.database.url, command)
        self.service = self.lender.service(self.port, "--no-grpc")
        self.seen, self.clients = Seen(), clients
        self._bodies, self._numbers = bodies(), itertools.count()
        self.key = ""

    def __enter__(self) -> Self:
        self.database.start()
        try:
            self.service.start()
            self.key = self.service.api_key()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.service.kill()
        self.database.kill()

    def client(self, *, connections: int | None = None) -> aiohttp.ClientSession:
        """Give a client of the service with its API key."""
        return aiohttp.ClientSession(
            f"http://{HOST}:{self.port}",
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
            timeout=aiohttp.ClientTimeout(_PATIENCE_S),
            connector=aiohttp.TCPConnector(limit=connections or self.clients),
        )

    def request(self) -> tuple[str, bytes]:
        """Give the idempotency key and the body of a new request."""
        number = next(self._numbers)
        return f"key-{number}", self._body(number)

    def _body(self, number: int) -> bytes:
        return self._bodies[number % len(self._bodies)]

    async def load(self, until: asyncio.Event) -> None:
        """Let every client send one new request after the other, until it is told to stop."""
        async with self.client() as client:

            async def one() -> None:
                while not until.is_set():
                    answer = await self.send(client, *self.request())
                    if answer is None or answer.status != HTTPStatus.CREATED:
                        await asyncio.sleep(_BREATH_S)

            await asyncio.gather(*(one() for _ in range(self.clients)))

    async def send(self, client: aiohttp.ClientSession, key: str, body: bytes) -> Answer | None:
        """Send a request once, and note what came of it."""
        answer = None
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with client.post(PATH, data=body, headers={"Idempotency-Key": key}) as it:
                told = it.headers
                replayed, retry_after = told.get(_REPLAYED) == "true", told.get("Retry-After")
                answer = Answer(it.status, await it.read(), replayed, retry_after)
        self.seen.take(key, body, answer)
        return answer

    async def retry(self) -> None:
        """Repeat every request without an answer until it has one, and some that have one."""
        end = time.monotonic() + _PATIENCE_S
        answered = list(self.seen.answers)[-_REPEATED:]
        async with self.client() as client:
            while self.seen.unanswered:
                if time.monotonic() > end:
                    raise RuntimeError(f"no answer within {_PATIENCE_S} s: {self.seen.statuses}")
                await asyncio.gather(*(self.send(client, key, body) for key, body in [*self.seen.unanswered.items()]))
                if self.seen.unanswered:
                    await asyncio.sleep(0.05)
            for key in answered:
                answer = await self.send(client, key, self._body(int(key.removeprefix("key-"))))
                if answer is None or not answer.replayed:
                    self.seen.anew.append(key)

    async def kill_under_load(self, what: str, *, after_s: float, down_s: float) -> None:
        """Load, kill at a moment, start again after a while, and let clients retry."""
        stop = asyncio.Event()
        loading = asyncio.create_task(self.load(stop))
        await asyncio.to_thread(self._strike, what, after_s)
        await asyncio.sleep(down_s)
        stop.set()
        if what in {"database", "both"}:
            await asyncio.to_thread(self.database.start)
        if what in {"service", "both"}:
            await asyncio.to_thread(self.service.start)
        await loading
        await self.retry()

    def _strike(self, what: str, after_s: float) -> None:
        """Kill in a thread of its own, so that clients are at any point of their work."""
        time.sleep(after_s)
        if what in {"service", "both"}:
            self.service.kill()
        if what in {"database", "both"}:
            self.database.kill()

    async def terminate_under_load(self, *, after_s: float) -> tuple[int, float]:
        """Load, ask the service to stop; give its exit code and the seconds it took. Start again, and let clients retry."""
        stop = asyncio.Event()
        loading = asyncio.create_task(self.load(stop))
        await asyncio.sleep(after_s)
        began = time.monotonic()
        self.service.ask_to_stop()
        code = await asyncio.to_thread(self.service.wait, _PATIENCE_S)
        took = time.monotonic() - began
        stop.set()
        await loading
        await asyncio.to_thread(self.service.start)
        await self.retry()
        return code, took

    def verdict(self) -> Verdict:
        """Hold what clients saw against what is kept."""
        stored = {decision_id: rest for decision_id, *rest in self.database.query(_STORED)}
        lost = [key for key, answer in self.seen.answers.items() if _is_lost(answer, stored)]
        twice = int(self.database.query(_TWICE)[0][0])
        counts = self.database.query(_COUNTS)[0]
        wrong = [f"kept with other bytes, or not at all: {', '.join(lost[:5])}"] if lost else []
        if self.seen.changed:
            wrong.append(f"answered again with other bytes: {', '.join(self.seen.changed[:5])}")
        if self.seen.anew:
            wrong.append(f"repeated, and not replayed: {', '.join(self.seen.anew[:5])}")
        if len(set(counts[:3])) > 1 or counts[3] != counts[4]:
            wrong.append("decisions {}, their leaves {}, requests {}; leaves {}, size of the log {}".format(*counts))
        return Verdict(len(self.seen.answers), len(lost), twice + len(self.seen.changed), tuple(wrong))

    def green(self, *words: str) -> bool:
        """Whether a command of Obligor on this database ends with 0."""
        done = self.lender.obligor(*words, check=False)
        if done.returncode:
            print(f"obligor {' '.join(words)}: {done.stdout[-2000:]}{done.stderr[-2000:]}", flush=True)
        return done.returncode == 0


def _is_lost(answer: bytes, stored: Mapping[str, Sequence[object]]) -> bool:
    """Whether an answer that was seen is not the one kept for its decision, or there is not one such decision.

    The name of the application is not kept in the answer: whoever asks again brings it.
    """
    told = json.loads(answer)
    response, decisions = stored.get(told["decision_id"], (b"", 0))
    return answer != named(bytes(response), told.get("application_id")) or decisions != 1  # type: ignore[call-overload]


def releases_since(database: Database, leaf: int) -> dict[str, int]:
    """Count decisions from a leaf on by all that their record says was in force, in the order of the log."""
    return dict(database.query(_RELEASES, (leaf,)))


async def torment(victim: Victim, *, chance: random.Random) -> str:
    """Run one round: what is killed, when, and how long the database is down are drawn."""
    what = chance.choice(KILLED)
    await victim.kill_under_load(what, after_s=chance.uniform(0.05, 0.7), down_s=chance.uniform(0, 0.2))
    return what

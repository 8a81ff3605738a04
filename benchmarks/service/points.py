"""A writer that dies at a named point around its commit, as often as is wanted, and a client that sends the request again.

Each time a process is forked, opens a recorder of its own on a real PostgreSQL, decides one application, and kills itself with
SIGKILL at the point: nothing of it is cleaned up. The client then repeats the request at another service, which must give the
decision that was committed, or make the one that was not. A process of the whole service takes seconds to start; this one a few
hundredths, so that each point is met a thousand times in minutes.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

import msgspec

from benchmarks.service.database import Database
from benchmarks.service.lender import bodies, write_run
from benchmarks.service.servers import Lender
from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.deliveries import PostgresDeliveries
from obligor.adapters.store.migrating import migrate
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.adapters.store.wire import Wire
from obligor.bootstrap.releases import read_run
from obligor.bootstrap.store import open_store
from obligor.core.errors import UnavailableError
from obligor.core.event_types import EVENT_TYPES
from obligor.core.profile import Gate, Gates, Profile
from obligor.serving.acts import Caller
from obligor.serving.deciding import DecisionService
from obligor.serving.releases.release import Releases
from obligor.serving.releases.releasing import activate
from obligor.serving.sources import live_sources
from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.webhooks.delivering import Answered, Delivering
from obligor.serving.webhooks.endpoints import Webhooks
from obligor.serving.webhooks.events import Listeners
from obligor.settings import read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from obligor.adapters.store.wire import Call, Early, Result
    from obligor.serving.acts import Recorded

POINTS: Final = (
    "before insert", "after insert", "before COMMIT ack", "after COMMIT ack", "before response", "during outbox send",
)  # fmt: skip
_NOT_YET: Final = frozenset({"before insert", "after insert"})
"""The points at which nothing is committed; at those after the third all is; at the third nobody knows."""
_CALLER: Final = Caller("bank", "key", frozenset({"decide"}), datetime.max.replace(tzinfo=UTC))
_PATIENCE_S: Final = 60
_FORKS: Final = 5
_ADDRESS: Final = "http://127.0.0.1:9/events"


@dataclass
class Killed:
    """What the kills at one point came to."""

    kills: int = 0
    committed: int = 0
    """Of them, how many left a committed decision."""
    wrong: list[str] = field(default_factory=list)


class Ground:
    """A PostgreSQL with a lender's store, and a service that stays up; writers beside it come and die."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "database")
        self.lender = Lender(folder / "data", write_run(folder / "run"), self.database.url)
        self.heard: list[str] = []
        """The decisions that the client's own system was told of."""
        self.told: dict[str, bytes] = {}
        """The answer under each key."""
        self._bodies, self._runner = bodies(), asyncio.Runner()

    def __enter__(self) -> Self:
        self.database.start()
        try:
            migrate(self.database.url)
            self.lender.data.mkdir(parents=True)
            self._runner.run(self._begin())
        except BaseException:
            self._runner.close()
            self.database.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._recorder.close())
        self._runner.close()
        self.database.kill()

    def kill_at(self, point: str) -> tuple[bool, str]:
        """Let a writer die at a point, and repeat its request; tell whether it had committed, and what is wrong."""
        key = f"key-{len(self.told)}"
        seen = self._die(point, key)
        again = self._runner.run(self._decide(self._service, key))
        self.told[key] = again.response
        self.heard += seen
        if point == "during outbox send":
            self.heard += self._runner.run(self._deliver())
        if again.replayed == (point in _NOT_YET) and point != "before COMMIT ack":
            return again.replayed, f"{point}: {key} was {'replayed' if again.replayed else 'decided anew'}"
        twice = self._runner.run(self._decide(self._service, key))
        if not twice.replayed or twice.response != again.response:
            return again.replayed, f"{point}: {key} was answered twice, and not alike"
        return again.replayed, ""

    def verdict(self) -> list[str]:
        """Hold what was answered and told against what is kept; give what is wrong."""
        kept = {
            key: bytes(response) for key, response in self.database.query("SELECT key, response FROM obligor.request")
        }
        ((decisions, leaves, events),) = self.database.query(
            "SELECT (SELECT count(*) FROM obligor.decision),"
            " (SELECT count(*) FROM obligor.leaf WHERE kind = 'decision'), (SELECT count(*) FROM obligor.outbox)"
        )
        wrong = [] if kept == self.told else ["what is kept is not what was answered"]
        if {decisions, leaves, events} != {len(self.told)}:
            wrong.append(f"{len(self.told)} keys, {decisions} decisions, {leaves} leaves, {events} events")
        made = {msgspec.json.decode(answer)["decision_id"] for answer in self.told.values()}
        if strange := set(self.heard) - made:
            wrong.append(f"told of {len(strange)} decisions that there are not")
        self.lender.obligor("keys", "create", "anchoring")  # which hands a checkpoint to the anchor
        return wrong + [
            f"obligor {' '.join(words)}: {done.stdout[-500:]}"
            for words in (("audit", "verify"), ("doctor", "--strict"))
            if (done := self.lender.obligor(*words, check=False)).returncode
        ]

    async def _begin(self) -> None:
        """Put a card in force, and add an endpoint."""
        made, start = read_run(self.lender.run), datetime.now(UTC) - timedelta(days=1)
        off = Gate(state="off")
        profile = Profile(name="off", version=1, gates=Gates(kyc=off, aml=off, pci=off), effective_from=start)
        self._listeners = Listeners()
        async with open_store(self.database.url, read_settings(self.lender.environ)) as store:
            self._releases = Releases(store.archive)
            self._releases.take(
                await activate(
                    card=made.card, policy=made.policy, profile=profile, by="benchmarks", archive=store.archive,
                    recorder=store.recorder, key=store.key, sources=store.sources,
                )
            )  # fmt: skip
            hooks = Webhooks(store.recorder, store.sources, check=lambda _: None, by="benchmarks")
            self._listeners.take([(await hooks.add("bank", _ADDRESS, event_types=EVENT_TYPES)).row])
        self._recorder = await PostgresRecorder(self.database.url).__aenter__()
        self._service = self._open(self._recorder)

    def _open(self, recorder: PostgresRecorder) -> DecisionService:
        return DecisionService(
            releases=self._releases, recorder=recorder, meter=NoMeter(), listeners=self._listeners,
            answers=PostgresArchive(Pool(self.database.url)),
            sources=live_sources(),  # of each process its own: forked ones would draw the same numbers
        )  # fmt: skip

    async def _decide(self, service: DecisionService, key: str) -> Recorded:
        body = self._bodies[int(key.removeprefix("key-")) % len(self._bodies)]
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await service.decide(_CALLER, key=key, application=body)
            except UnavailableError:  # a busy machine; a client comes again
                if time.monotonic() > end:
                    raise
                await asyncio.sleep(0.1)

    async def _deliver(self, sender: _Heard | None = None) -> list[str]:
        """Tell the client's system of what is due; a claim of who died is over at once."""
        heard, pool = sender or _Heard(), Pool(self.database.url)
        try:
            delivering = Delivering(
                PostgresDeliveries(pool), heard, clock=lambda: datetime.now(UTC), chance=lambda: 0.5, meter=NoMeter(),
                gone=_is_there, lease=timedelta(0), at_once=64,
            )  # fmt: skip
            while await delivering.round():
                await delivering.settle()
        finally:
            await pool.close()
        return heard.decisions

    def _die(self, point: str, key: str) -> list[str]:
        """Fork writers until one dies at a point; give the decisions of which they told the client's system.

        On a machine that is busy one may be refused before: it has recorded all or nothing, and the next says the same again.
        """
        seen: list[str] = []
        for _ in range(_FORKS):
            died, told = self._fork(point, key)
            seen += told
            if died:
                return seen
        raise RuntimeError(f"{point}: {_FORKS} writers did not come to the point")

    def _fork(self, point: str, key: str) -> tuple[bool, list[str]]:
        reading, writing = os.pipe()
        writer = os.fork()
        if not writer:
            with suppress(BaseException):
                os.close(reading)
                asyncio.run(self._write(point, key, writing))
            os._exit(1)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            seen = pipe.read().decode().split()
        _, status = os.waitpid(writer, 0)
        return os.WIFSIGNALED(status), seen

    async def _write(self, point: str, key: str, told: int) -> None:
        _arm(point)
        async with PostgresRecorder(self.database.url) as recorder:
            await self._decide(self._open(recorder), key)
            if point == "before response":
                _die()
            await self._deliver(_Heard(told))


class _Heard:
    """The client's own system: it hears of decisions, and where it is told to, its caller dies before its answer is noted."""

    def __init__(self, dies_after: int | None = None) -> None:
        self.decisions: list[str] = []
        self._pipe = dies_after

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered:  # noqa: ARG002  a Sender's shape
        said: dict[str, Any] = msgspec.json.decode(body)
        self.decisions.append(said["data"]["decision_id"])
        if self._pipe is not None:
            os.write(self._pipe, f"{self.decisions[-1]}\n".encode())
            _die()
        return Answered(200)


async def _is_there(endpoint_id: str) -> None:
    raise RuntimeError(f"endpoint {endpoint_id} was taken for one that is gone")


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def _arm(point: str) -> None:
    """Let this process die at a point of its next commit."""
    whole = Wire.round

    async def watched(self: Wire, calls: Sequence[Call], *, early: Early | None = None) -> list[Result]:
        if (b"commit", None) not in calls:
            return await whole(self, calls)
        if point == "before insert":
            _die()
        if point == "after insert":
            await whole(self, calls[: calls.index((b"commit", None))])
            _die()
        if point == "before COMMIT ack":
            asks = asyncio.ensure_future(whole(self, calls, early=early))
            await asyncio.sleep(0)  # all of it is on its way, and its answer is not read
            asks.add_done_callback(lambda _: None)
            _die()
        done = await whole(self, calls, early=early)
        if point == "after COMMIT ack":
            _die()
        return done

    Wire.round = watched  # type: ignore[method-assign]


def kill_at_every_point(ground: Ground, times: int, *, tell: int = 100) -> dict[str, Killed]:
    """Let writers die at every point in turn, so many times each."""
    found = {point: Killed() for point in POINTS}
    for turn in range(1, times + 1):
        for point, killed in found.items():
            committed, wrong = ground.kill_at(point)
            killed.kills, killed.committed = killed.kills + 1, killed.committed + committed
            killed.wrong += [wrong] if wrong else []
        if not turn % tell:
            print(f"{turn:,} kills at each of {len(POINTS)} points; {sum(len(it.wrong) for it in found.values())} wrong",
                  flush=True)  # fmt: skip
    return found


def counted(found: Mapping[str, Killed]) -> dict[str, dict[str, int]]:
    """Give plain counts."""
    return {point: {"kills": it.kills, "committed": it.committed} for point, it in found.items()}

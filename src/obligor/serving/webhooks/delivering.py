"""Events go out of the store to the endpoints of clients: at least once each, in order for each application.

An event is claimed for a while, sent, and then settled: delivered, to be tried again, or given up. Who dies in between loses
the claim, and somebody sends it again; several services share the work, for what one has claimed the others pass over. A later
event of an application waits until the earlier one is delivered or given up; those of other applications do not. None of this
is on the way of a decision. What is claimed together is opened together, and what was taken meanwhile is noted together: the
store is asked a few questions for a round of events and not for each.

Every endpoint has its own few places, so that one that hangs keeps nobody else waiting, and its own breaker. One whose receiver
answers ``410 Gone`` is stopped, as Standard Webhooks asks, and its events wait until a person enables it again.

Sending an event takes more work than a decision, in the same process. So decisions go first: the more requests are under way,
the longer a rest there is between one claim and the next.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from obligor.core.errors import ObligorError, UnavailableError
from obligor.core.leaves import time_text
from obligor.security.webhooks import signed_headers
from obligor.serving.encoding import encode_in_order
from obligor.serving.webhooks.retrying import GONE, LONGEST_WAIT, Breaker, next_attempt, said_when

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.rows import WebhookRow
    from obligor.serving.telemetry.meter import Meter

EVERY_S: Final = 1.0
LEASE: Final = timedelta(seconds=60)
"""How long a claim holds: longer than any attempt takes."""
AT_ONCE: Final = 16
"""Attempts under way at one endpoint."""
_COUNT_EVERY_S: Final = 15.0
_CLOSING_S: Final = 5.0
_TOGETHER_S: Final = 0.01
"""For how long those that end soon after the first are waited for, to be noted with it."""
_REST_S: Final = 0.004
"""Between claims, for each request that is under way: with 64 of them some fifty events a second go out."""
_WEBHOOKS: Final = "webhooks"


@dataclass(frozen=True, slots=True)
class ClaimedEvent:
    """An event that is claimed, on its way to an endpoint."""

    event_id: UUID
    endpoint_id: str
    application_id: str | None
    sequence: int
    type: str
    payload: bytes
    created_at: datetime
    attempts: int
    """With this one."""
    tried_since: datetime
    """When it was sent first; what waits behind another, or at an endpoint that is left alone, loses no time."""
    claim: UUID


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, and what was given up."""

    pending: int = 0
    oldest: datetime | None = None
    dead: int = 0
    gone: int = 0
    """Endpoints whose receivers said that they are no more."""


class Answered(NamedTuple):
    """What a receiver answered: a status, and when to come again, as it said it."""

    status: int
    retry_after: str = ""


class Deliveries(Protocol):
    """Where it is kept how far each event came."""

    async def endpoints(self) -> Sequence[WebhookRow]:
        """Give every endpoint that is active."""
        ...

    async def claim(self, endpoint_id: str, most: int, *, at: datetime, until: datetime) -> Sequence[ClaimedEvent]:
        """Claim events that are due, the earliest of each application; nobody else gets them before the claim ends."""
        ...

    async def delivered(self, endpoint_id: str, events: Sequence[UUID], *, status: int, at: datetime) -> None:
        """Note that events were taken at an endpoint, and with which status."""
        ...

    async def failed(
        self, event: ClaimedEvent, *, status: int | None, trouble: str, at: datetime, again: datetime | None
    ) -> None:
        """Note that it was not: it is tried again then, and those behind it no earlier, or it is given up."""
        ...

    async def backlog(self) -> Backlog:
        """Count what waits and what was given up."""
        ...

    async def recall(self, endpoints: Sequence[str], *, at: datetime, latest: datetime) -> None:
        """Let what was put off until after the latest time that any wait leads to be due now."""
        ...


class Sender(Protocol):
    """Sends a message to an address."""

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send by POST and give what was answered.

        Raises
        ------
        InvalidInputError, UnavailableError
            Where the address is refused, or nobody answered in time or in whole; the message repeats no path.
        """
        ...


class Reveals(Protocol):
    """Opens what is sealed of an endpoint and of an event."""

    async def secret(self, kept: bytes, *, of: str) -> bytes:
        """Give a secret of an endpoint, named by its id."""
        ...

    async def payloads(self, events: Sequence[ClaimedEvent]) -> Sequence[bytes | ObligorError]:
        """Give what is told of each, or why it cannot be opened."""
        ...


class AsKept:
    """Takes what is kept as it stands, where nothing is sealed."""

    async def secret(self, kept: bytes, *, of: str) -> bytes:  # noqa: ARG002  as its like asks
        """Give a secret of an endpoint."""
        return kept

    async def payloads(self, events: Sequence[ClaimedEvent]) -> Sequence[bytes]:
        """Give what is told of each."""
        return [it.payload for it in events]


AS_KEPT: Final = AsKept()


@dataclass(frozen=True, slots=True)
class Attempted:
    """How an attempt ended, for the journal; no address and no application is in it."""

    endpoint_id: str
    attempts: int
    status: int | None
    trouble: ObligorError | None
    given_up: bool = False


@dataclass(slots=True, eq=False)
class _Lane:
    breaker: Breaker = field(default_factory=Breaker)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    stopping: bool = False
    """Whether it is being noted that the endpoint is gone: once, for what was under way together."""


@dataclass(slots=True, eq=False)
class Delivering:
    """Claims events, sends them, and settles them."""

    store: Deliveries
    sender: Sender
    clock: Callable[[], datetime]
    chance: Callable[[], float]
    meter: Meter
    gone: Callable[[str], Awaitable[None]]
    """Ends an endpoint, named by its id, whose receiver said that it is no more."""
    reveals: Reveals = AS_KEPT
    told: Callable[[Attempted], None] = lambda _: None
    """Called when an attempt failed."""
    under_way: Callable[[], int] = lambda: 0
    """How many requests the service is working on."""
    every_s: float = EVERY_S
    lease: timedelta = LEASE
    at_once: int = AT_ONCE
    _lanes: dict[str, _Lane] = field(init=False, default_factory=dict)
    _taken: dict[tuple[str, int], list[UUID]] = field(init=False, default_factory=dict)
    """What was taken and is not noted yet, by endpoint and status."""
    _backlog: Backlog = field(init=False, default=Backlog())
    _count_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.meter.watch("webhooks_pending", lambda: float(self._backlog.pending))
        self.meter.watch("webhooks_dead", lambda: float(self._backlog.dead))
        self.meter.watch("webhooks_gone", lambda: float(self._backlog.gone))
        self.meter.watch("webhooks_oldest_seconds", self._oldest)

    async def run(self) -> None:
        """Go on for as long as the service runs."""
        while True:
            try:
                await self.round()
            except ObligorError:
                self.meter.healthy(_WEBHOOKS, well=False)
            else:
                self.meter.healthy(_WEBHOOKS, well=True)
            if begun := self._begun():
                await asyncio.wait(begun, timeout=self.every_s, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait(begun, timeout=_TOGETHER_S)
                await asyncio.sleep(self.rest_s)
            else:
                await asyncio.sleep(self.every_s)

    @property
    def rest_s(self) -> float:
        """For how long to claim nothing, so that decisions go first."""
        return min(_REST_S * self.under_way(), self.every_s)

    async def round(self) -> int:
        """Note what was taken, claim what is due, as far as there are places, and begin to send it; give how many that was."""
        await self._note()
        begun = 0
        active = {it.endpoint_id: it for it in await self.store.endpoints()}
        await self._count(tuple(active))
        self._lanes = {name: lane for name, lane in self._lanes.items() if name in active or lane.tasks}
        for endpoint in active.values():
            lane = self._lanes.setdefault(endpoint.endpoint_id, _Lane())
            at = self.clock()
            room = lane.breaker.room(at, self.at_once) - len(lane.tasks)
            if room <= 0:
                continue
            claimed = await self.store.claim(endpoint.endpoint_id, room, at=at, until=at + self.lease)
            for event, payload in zip(claimed, await self._payloads(claimed), strict=True):
                task = asyncio.create_task(self._deliver(endpoint, event, payload, lane))
                lane.tasks.add(task)
                task.add_done_callback(lane.tasks.discard)
            begun += len(claimed)
        return begun

    async def settle(self) -> None:
        """Wait for what is under way, and note it."""
        if begun := self._begun():
            await asyncio.wait(begun)
        await self._note()

    async def close(self) -> None:
        """Let what is under way end, for a moment; what does not is sent again by somebody when its claim ends."""
        if begun := self._begun():
            _, late = await asyncio.wait(begun, timeout=_CLOSING_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with suppress(ObligorError):  # the claim ends, and the event is sent again
            await self._note()

    def _begun(self) -> list[asyncio.Task[None]]:
        return [task for lane in self._lanes.values() for task in lane.tasks]

    async def _note(self) -> None:
        """Note what was taken since; what cannot be noted now is noted later, or is sent again when its claim ends."""
        while self._taken:
            of, events = self._taken.popitem()
            endpoint_id, status = of
            try:
                await self.store.delivered(endpoint_id, events, status=status, at=self.clock())
            except ObligorError:
                self._taken.setdefault(of, []).extend(events)
                raise

    async def _payloads(self, claimed: Sequence[ClaimedEvent]) -> Sequence[bytes | ObligorError]:
        try:
            return await self.reveals.payloads(claimed)
        except ObligorError as error:
            return [error] * len(claimed)
        except Exception as error:  # noqa: BLE001  a library's, of whatever kind: none can be opened now
            return [UnavailableError(f"failed on a {type(error).__name__}")] * len(claimed)

    async def _deliver(
        self, endpoint: WebhookRow, event: ClaimedEvent, payload: bytes | ObligorError, lane: _Lane
    ) -> None:
        answered, trouble = await self._attempt(endpoint, event, payload)
        status = None if answered is None else answered.status
        if trouble is None:
            lane.breaker.succeeded()
            self.meter.delivered("delivered")
            self._taken.setdefault((event.endpoint_id, status or 0), []).append(event.event_id)
            return
        at, gone = self.clock(), status == GONE
        lane.breaker.failed(at, chance=self.chance())
        since = at if gone else event.tried_since  # what waits at an endpoint that is stopped is not given up
        again = next_attempt(event.attempts, since=since, at=at, chance=self.chance())
        wanted = None if answered is None else said_when(*answered, at=at)
        if wanted is not None:
            lane.breaker.asked(wanted)
            again = again and max(again, wanted)
        self.meter.delivered("failed" if again else "given up")
        self.told(Attempted(event.endpoint_id, event.attempts, status, trouble, given_up=again is None))
        try:
            if gone and not lane.stopping:
                await self._stop(event.endpoint_id, lane)
            await self.store.failed(event, status=status, trouble=trouble.message, at=at, again=again)
        except ObligorError:  # the store does not answer: the claim ends, and the event is sent again
            self.meter.healthy(_WEBHOOKS, well=False)

    async def _stop(self, endpoint_id: str, lane: _Lane) -> None:
        lane.stopping = True
        try:
            await self.gone(endpoint_id)
        finally:
            lane.stopping = False

    async def _attempt(
        self, endpoint: WebhookRow, event: ClaimedEvent, payload: bytes | ObligorError
    ) -> tuple[Answered | None, ObligorError | None]:
        """Send an event; give what was answered, and what was wrong with it."""
        if isinstance(payload, ObligorError):
            return None, payload
        try:
            body, at = body_of(event, payload), self.clock()
            secrets = await live_secrets(endpoint, at, reveals=self.reveals)
            headers = signed_headers(body, message_id=message_id(event.event_id), at=at, secrets=secrets)
            answered = await self.sender.send(endpoint.url, headers=headers, body=body)
        except ObligorError as error:
            return None, error
        except Exception as error:  # noqa: BLE001  a library's, of whatever kind: the event was not taken
            return None, UnavailableError(f"failed on a {type(error).__name__}")
        took_it = took(answered.status)
        return answered, None if took_it else UnavailableError(f"answered {answered.status}; wanted 2xx")

    async def _count(self, endpoints: Sequence[str]) -> None:
        """Count what waits, now and then, and look for what waits for a time that a clock which was ahead said."""
        now = asyncio.get_running_loop().time()
        if now >= self._count_at:
            self._count_at, at = now + _COUNT_EVERY_S, self.clock()
            self._backlog = await self.store.backlog()
            await self.store.recall(endpoints, at=at, latest=at + LONGEST_WAIT + self.lease)

    def _oldest(self) -> float:
        oldest = self._backlog.oldest
        return 0.0 if oldest is None else max(0.0, (self.clock() - oldest).total_seconds())


def took(status: int) -> bool:
    """Tell whether an answer says that the message was taken."""
    return 200 <= status < 300  # noqa: PLR2004  success, as HTTP has it


def body_of(event: ClaimedEvent, payload: bytes) -> bytes:
    """Write the message of an event; it is the same at every attempt, unless the person was erased in between.

    ``sequence`` is the event's place among those of its application: a receiver that keeps the highest it has seen is right
    whatever comes twice, late, or in another order.
    """
    head = {"type": event.type, "timestamp": time_text(event.created_at), "sequence": event.sequence}
    return b'%b,"data":%b}' % (encode_in_order(head)[:-1], payload)


def message_id(event_id: UUID) -> str:
    """Give what a receiver tells messages apart by."""
    return f"msg_{event_id.hex}"


async def live_secrets(endpoint: WebhookRow, at: datetime, *, reveals: Reveals) -> list[bytes]:
    """Give the secrets that sign: the present one, and the one before while the receiver may still have it."""
    previous, until = endpoint.previous_secret, endpoint.previous_until
    live = [endpoint.secret] if previous is None or until is None or at >= until else [endpoint.secret, previous]
    return [await reveals.secret(it, of=endpoint.endpoint_id) for it in live]

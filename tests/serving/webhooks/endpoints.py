"""Endpoints and events for tests, put into a real store by its one door."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from tests.stores import NOW, submission

from obligor.adapters.store.deliveries import PostgresDeliveries
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.adapters.webhooks import WebhookSender
from obligor.core.event_types import DECISION_MADE, EVENT_TYPES
from obligor.security.webhooks import verifier_text
from obligor.serving.acts import Act, Submission
from obligor.serving.rows import OutboxRow
from obligor.serving.sources import Sources, live_sources
from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.webhooks.delivering import Delivering
from obligor.serving.webhooks.endpoints import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obligor.serving.rows import WebhookRow
    from obligor.serving.webhooks.delivering import Attempted


@dataclass
class Clock:
    """A clock that a test moves."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at

    def on(self, by: timedelta) -> None:
        self.at += by


class Counts(NoMeter):
    """Keeps what is counted of deliveries."""

    def __init__(self) -> None:
        self.results: list[str] = []
        self.readings: dict[str, Any] = {}
        self.well: dict[str, bool] = {}

    def delivered(self, result: str) -> None:
        self.results.append(result)

    def watch(self, reading: str, read: Any) -> None:
        self.readings[reading] = read

    def healthy(self, dependency: str, *, well: bool) -> None:
        self.well[dependency] = well


@dataclass
class Office:
    """A store, what delivers from it, and a clock."""

    recorder: PostgresRecorder
    deliveries: PostgresDeliveries
    delivering: Delivering
    clock: Clock
    counts: Counts
    webhooks: Webhooks
    told: list[Attempted] = field(default_factory=list)

    async def add(self, url: str, client: str = "bank") -> WebhookRow:
        return (await self.webhooks.add(client, url, event_types=EVENT_TYPES)).row

    async def decide(self, *outcomes: str, application: str | None = "A-1", client: str = "bank") -> None:
        for outcome in outcomes:
            await self.recorder.record(decided(outcome, application, client=client, at=self.clock.at))

    async def work(self, rounds: int = 1) -> None:
        for _ in range(rounds):
            await self.delivering.round()
            await self.delivering.settle()


def decided(outcome: str, application: str | None, *, client: str = "bank", at: datetime = NOW) -> Submission:
    """Give a decision to record, with its event."""
    decision_id = uuid4()
    given = submission(client=client, decision_id=decision_id, application=application, at=at)
    (act,) = given.acts
    payload = {"decision_id": str(decision_id), "application_id": application, "outcome": outcome}
    event = OutboxRow(uuid4(), client, application, DECISION_MADE, json.dumps(payload).encode(), at)
    told = Act(act.kind, act.at, act.by, act.subject, act.record, act.salt, (*act.rows, event))
    return Submission((told,), given.respond)


@asynccontextmanager
async def office(
    url: str, *, patience_s: float = 5.0, at: datetime | None = None, **named: Any
) -> AsyncIterator[Office]:
    """Open a store and what delivers from it; nothing runs by itself."""
    clock, counts, told = Clock(at or datetime.now(NOW.tzinfo)), Counts(), []
    sources = Sources(clock, live_sources().random)
    pool, sender = Pool(url), WebhookSender(production=False, patience_s=patience_s)
    deliveries = PostgresDeliveries(pool)
    try:
        async with PostgresRecorder(url) as recorder:
            webhooks = Webhooks(recorder, sources, lambda _: None, "ada")

            async def gone(endpoint_id: str) -> None:
                await webhooks.stop(await deliveries.endpoint(endpoint_id))

            delivering = Delivering(
                store=deliveries,
                sender=sender,
                clock=clock,
                chance=lambda: 0.0,
                meter=counts,
                gone=gone,
                told=told.append,
                **named,
            )
            yield Office(recorder, deliveries, delivering, clock, counts, webhooks, told)
            await delivering.close()
    finally:
        await sender.close()
        await pool.close()


def shown(row: WebhookRow) -> str:
    """Give the secret of an endpoint as it was shown."""
    return verifier_text(row.secret)

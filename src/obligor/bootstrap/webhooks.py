"""Tells the systems of clients of events, and lets a person say where and what, from the command line."""

from __future__ import annotations

import os
import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from obligor.bootstrap.acting import acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.privacy import open_sealer
from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import InvalidInputError, NotFoundError, UnavailableError
from obligor.core.leaves import time_text
from obligor.security.webhooks import signature_of, signed_headers, verifier_text
from obligor.settings import is_production, read_event_days

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from datetime import datetime

    from obligor.adapters.store.deliveries import PostgresDeliveries
    from obligor.adapters.store.pruning import PostgresPruning
    from obligor.adapters.webhooks import WebhookSender
    from obligor.bootstrap.store import Store
    from obligor.security.webhooks import Signature
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.rows import WebhookRow
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter
    from obligor.serving.webhooks.delivering import Attempted, Delivering
    from obligor.serving.webhooks.endpoints import DeadLetter, Webhooks
    from obligor.serving.webhooks.events import Listeners
    from obligor.serving.webhooks.pruning import Pruning
    from obligor.serving.webhooks.secrets import Revealer
    from obligor.settings import Settings

Done = TypeVar("Done")
_TEST = "webhook.test"
_STATES = {"active": "active", "disabled": "disabled", "gone": "gone (its receiver answered 410)"}


@dataclass(frozen=True, slots=True)
class RunningWebhooks:
    """What the service needs to tell the systems of clients of events."""

    listeners: Listeners
    delivering: Delivering
    pruning: Pruning
    store: PostgresDeliveries

    async def look(self) -> None:
        """Know the endpoints that there are now."""
        self.listeners.take(await self.store.endpoints())


@asynccontextmanager
async def open_webhooks(
    url: str, store: Store, sealer: Sealer, meter: Meter, journal: Telling, *, under_way: Callable[[], int]
) -> AsyncIterator[RunningWebhooks]:
    """Open what tells the systems of clients; ``delivering.run`` is still to be called.

    Parameters
    ----------
    under_way
        Tells how many requests the service is working on, which go first.
    """
    from obligor.serving.webhooks.delivering import Delivering
    from obligor.serving.webhooks.endpoints import Webhooks
    from obligor.serving.webhooks.events import Listeners
    from obligor.serving.webhooks.pruning import Pruning

    keep = timedelta(days=read_event_days(os.environ))

    async with _opened(url) as (deliveries, pruning, sender):
        endpoints = Webhooks(store.recorder, store.sources, check=lambda _: None)

        async def gone(endpoint_id: str) -> None:
            await endpoints.stop(await deliveries.endpoint(endpoint_id))

        delivering = Delivering(
            store=deliveries,
            sender=sender,
            clock=store.sources.now,
            chance=random.random,
            meter=meter,
            gone=gone,
            reveals=_revealer(store, sealer),
            told=partial(tell_of_attempt, journal),
            under_way=under_way,
        )
        ending = Pruning(pruning, now=store.sources.now, keep=keep, journal=journal)
        running = RunningWebhooks(Listeners(), delivering, ending, deliveries)
        await running.look()
        yield running
        await delivering.close()


def tell_of_attempt(journal: Telling, attempted: Attempted) -> None:
    """Tell of an attempt that failed: at which endpoint, and how it was answered; its address is told nowhere."""
    if attempted.trouble is not None:
        journal.failed(
            *("webhook", attempted.trouble),
            level="warning",
            dependency="webhooks",
            endpoint_id=attempted.endpoint_id,
            status=attempted.status,
            attempt=attempted.attempts,
        )


async def open_listeners(url: str) -> Listeners:
    """Know the endpoints that there are, for one command."""
    from obligor.serving.webhooks.events import Listeners

    listeners = Listeners()
    async with _opened(url) as (deliveries, _, _):
        listeners.take(await deliveries.endpoints())
    return listeners


@dataclass(frozen=True, slots=True)
class ShownEndpoint:
    """An endpoint just made or changed; what its receiver verifies by is shown this once."""

    row: WebhookRow
    secret: bytes | None = None
    has_key: bool = True
    """Whether its client was ever given an API key."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``; the one place that shows a secret."""
        return ({} if self.secret is None else {self.shows: verifier_text(self.secret)}) | plain(self.row)

    @property
    def shows(self) -> str:
        """What is shown of its secret: ``secret``, or the ``public_key`` of one that never leaves the service."""
        return "public_key" if self.secret is not None and signature_of(self.secret) == "ed25519" else "secret"

    def lines(self) -> list[str]:
        """Say all but what the receiver verifies by, in lines for a person."""
        it = self.row
        if it.state == "disabled":
            return [f"endpoint {it.endpoint_id} of client {it.client_id} is told nothing any more"]
        said = [f"endpoint {it.endpoint_id} of client {it.client_id} is told of {', '.join(it.event_types)}"]
        if it.previous_until is not None:
            said.append(f"the secret before this one signs as well until {_minute(it.previous_until)}")
        if not self.has_key:
            said.append(
                f"warning: no API key was ever made for {it.client_id}; is it a client of your identity provider?"
            )
        return [*said, f"the {self.shows.replace('_', ' ')} is shown this once"] if self.secret else said


@dataclass(frozen=True, slots=True)
class ListedEndpoints:
    """Endpoints, by client and age, with what waits for them and what was given up."""

    rows: Sequence[WebhookRow]
    standing: dict[str, dict[str, int]]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"endpoints": [plain(it) | self.standing[it.endpoint_id] for it in self.rows]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        if not self.rows:
            return ["There is no endpoint; obligor webhooks add CLIENT URL makes one."]
        return [
            f"{it.endpoint_id}  {it.client_id}  {_STATES[it.state]:<8}  {_host(it)}  "
            + ", ".join(f"{count:,} {what}" for what, count in self.standing[it.endpoint_id].items())
            for it in self.rows
        ]


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """Events that were given up, the oldest first."""

    letters: Sequence[DeadLetter]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {
            "dead": [
                {
                    "event_id": str(it.event_id),
                    "endpoint_id": it.endpoint_id,
                    "type": it.type,
                    "attempts": it.attempts,
                    "status": it.last_status,
                    "trouble": it.last_trouble,
                    "given_up_at": time_text(it.settled_at),
                }
                for it in self.letters
            ]
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [
            f"{it.event_id}  {it.endpoint_id}  {it.type}  {it.attempts} attempts  {it.last_trouble}"
            for it in self.letters
        ] or ["No event was given up."]


@dataclass(frozen=True, slots=True)
class Said:
    """What was done, in words and in numbers."""

    said: str
    numbers: dict[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.numbers

    def lines(self) -> list[str]:
        """Say it in a line for a person."""
        return [self.said]


def add_endpoint(client: str, url: str, *, event_types: Sequence[str], signature: Signature) -> ShownEndpoint:
    """Tell a client of events at an address."""

    async def added(work: _Work) -> ShownEndpoint:
        known = {it.client_id for it in await work.store.archive.api_keys()}
        made = await (await work.webhooks()).add(client, url, event_types=event_types, signature=signature)
        return ShownEndpoint(*made, has_key=client in known)

    return _with_endpoints(added, permission="webhook.manage")


def list_endpoints() -> ListedEndpoints:
    """Give every endpoint there is and was."""

    async def listed(work: _Work) -> ListedEndpoints:
        return ListedEndpoints(await work.deliveries.all_endpoints(), await work.deliveries.standing())

    return _with_endpoints(listed, permission="webhook.manage", reads=True)


def rotate_secret(endpoint_id: str, *, overlap: timedelta, signature: Signature | None) -> ShownEndpoint:
    """Give an endpoint another secret, which signs as the one before unless told; both sign for the overlap."""

    async def rotated(work: _Work) -> ShownEndpoint:
        row = await work.deliveries.endpoint(endpoint_id)
        return ShownEndpoint(*await (await work.webhooks()).rotate(row, overlap=overlap, signature=signature))

    return _with_endpoints(rotated, permission="webhook.manage")


def disable_endpoint(endpoint_id: str) -> ShownEndpoint:
    """End an endpoint."""

    async def disabled(work: _Work) -> ShownEndpoint:
        return ShownEndpoint(await (await work.webhooks()).disable(await work.deliveries.endpoint(endpoint_id)))

    return _with_endpoints(disabled, permission="webhook.manage")


def enable_endpoint(endpoint_id: str) -> Said:
    """Go on with an endpoint that is gone, from what waits there."""

    async def enabled(work: _Work) -> Said:
        row = await (await work.webhooks()).enable(await work.deliveries.endpoint(endpoint_id))
        count = await work.deliveries.go_on(endpoint_id, at=work.store.sources.now())
        dead = (await work.deliveries.standing())[endpoint_id]["dead"]
        said = f"endpoint {endpoint_id} of client {row.client_id} is told of events again; {count:,} waited for it"
        if dead:
            said += f", {dead:,} were given up (obligor webhooks replay {endpoint_id})"
        return await _with_pruned(work, Said(said, plain(row) | {"pending": count, "dead": dead}), since=row.created_at)

    return _with_endpoints(enabled, permission="webhook.manage")


def try_endpoint(endpoint_id: str) -> Said:
    """Send an endpoint a signed message that tells of nothing.

    Raises
    ------
    InvalidInputError
        Where it was disabled.
    UnavailableError
        Where it was not taken.
    """
    from obligor.serving.encoding import encode_in_order
    from obligor.serving.webhooks.delivering import live_secrets, message_id, took

    async def tested(work: _Work) -> Said:
        row = await work.deliveries.endpoint(endpoint_id)
        if row is None:
            raise NotFoundError("there is no endpoint of this id", hint="obligor webhooks list")
        if row.state == "disabled":
            raise InvalidInputError(f"endpoint {endpoint_id}: was disabled, and is told nothing any more")
        at = work.store.sources.now()
        body = encode_in_order({"type": _TEST, "timestamp": time_text(at), "data": {}})
        name = message_id(work.store.sources.new_id(at))
        reveals = _revealer(work.store, await open_sealer(work.store, work.settings))
        secrets = await live_secrets(row, at, reveals=reveals)
        headers = signed_headers(body, message_id=name, at=at, secrets=secrets)
        status = (await work.sender.send(row.url, headers=headers, body=body)).status
        if not took(status):
            raise UnavailableError(f"endpoint {endpoint_id}: answered {status}; wanted 2xx")
        return Said(f"endpoint {endpoint_id} answered {status}", {"endpoint_id": endpoint_id, "status": status})

    return _with_endpoints(tested, permission="webhook.manage")


def list_dead() -> DeadLetters:
    """Give the events that were given up."""

    async def listed(work: _Work) -> DeadLetters:
        return DeadLetters(await work.deliveries.dead())

    return _with_endpoints(listed, permission="webhook.manage", reads=True)


def replay_events(endpoint_id: str, *, since: datetime | None, until: datetime | None) -> Said:
    """Let an endpoint's dead letters be sent again, or all of its events of a span of time."""
    since, until = _utc(since), _utc(until)
    if since and until and since >= until:
        raise InvalidInputError("--from is not before --to")

    async def replayed(work: _Work) -> Said:
        row = await (await work.webhooks()).replayed(
            await work.deliveries.endpoint(endpoint_id), since=since, until=until
        )
        count = await work.deliveries.replay(
            endpoint_id,
            at=work.store.sources.now(),
            since=since,
            until=until,
            delivered=since is not None or until is not None,
        )
        said = Said(f"{count:,} events will be sent again", {"endpoint_id": endpoint_id, "events": count})
        return await _with_pruned(work, said, since=max(since or row.created_at, row.created_at))

    return _with_endpoints(replayed, permission="webhook.replay")


def plain(row: WebhookRow) -> dict[str, Any]:
    """Give what may be shown of an endpoint: of its address the host, for the rest may hold a token."""
    return {
        "endpoint_id": row.endpoint_id,
        "client": row.client_id,
        "host": _host(row),
        "events": list(row.event_types),
        "state": row.state,
        "created_at": time_text(row.created_at),
        "previous_until": None if row.previous_until is None else time_text(row.previous_until),
    }


@dataclass(frozen=True, slots=True)
class _Work:
    store: Store
    deliveries: PostgresDeliveries
    pruning: PostgresPruning
    sender: WebhookSender
    settings: Settings
    by: str

    async def webhooks(self) -> Webhooks:
        """Give what changes endpoints, with what seals their secrets."""
        from obligor.adapters.outgoing import check_address
        from obligor.adapters.webhooks import PORTS, WHAT
        from obligor.serving.webhooks.endpoints import Webhooks
        from obligor.serving.webhooks.secrets import SecretKeeper

        check = partial(check_address, what=WHAT, production=is_production(os.environ), ports=PORTS)
        keeper = SecretKeeper(await open_sealer(self.store, self.settings))
        return Webhooks(self.store.recorder, self.store.sources, check, self.by, keeper)


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[tuple[PostgresDeliveries, PostgresPruning, WebhookSender]]:
    from obligor.adapters.store.deliveries import PostgresDeliveries
    from obligor.adapters.store.pool import Pool
    from obligor.adapters.store.pruning import PostgresPruning
    from obligor.adapters.webhooks import WebhookSender

    pool, sender = Pool(url), WebhookSender(production=is_production(os.environ))
    try:
        yield PostgresDeliveries(pool), PostgresPruning(pool), sender
    finally:
        await sender.close()
        await pool.close()


def _with_endpoints(work: Callable[[_Work], Awaitable[Done]], *, permission: str, reads: bool = False) -> Done:
    """Do some work for somebody who may; what only reads asks no anchor."""
    settings = service_settings()

    async def done(store: Store) -> Done:
        async with _opened(store.url) as (deliveries, pruning, sender):
            by = await acting(store, permission)
            return await work(_Work(store, deliveries, pruning, sender, settings, by))

    return (with_store if reads else with_anchored_store)(done, settings)


async def _with_pruned(work: _Work, said: Said, *, since: datetime) -> Said:
    """Say up to when events were pruned, where some may have been since a time."""
    pruned = await work.pruning.pruned_before()
    if pruned is None or since >= pruned:
        return said
    words = f"{said.said}; those that were settled before {_minute(pruned)} are pruned (OBLIGOR_EVENT_DAYS)"
    return Said(words, said.numbers | {"pruned_before": time_text(pruned)})


def _revealer(store: Store, sealer: Sealer) -> Revealer:
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.webhooks.secrets import Revealer, SecretKeeper

    return Revealer(SecretKeeper(sealer), store.archive, Opener(sealer, store.recorder, store.sources))


def _host(row: WebhookRow) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(row.url)
    return f"{parts.scheme}://{parts.netloc}"


def _utc(at: datetime | None) -> datetime | None:
    return at if at is None or at.tzinfo else at.replace(tzinfo=UTC)


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}Z"

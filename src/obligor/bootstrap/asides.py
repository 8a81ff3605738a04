"""What goes on beside the doors: what follows changes by others, and what runs by itself."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.decisions import take_newest
from obligor.bootstrap.law import active_packs, refuse_forbidden_card
from obligor.bootstrap.linking import open_linking
from obligor.bootstrap.privacy import open_keys
from obligor.core.errors import ObligorError, SealError
from obligor.settings import read_held_days

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from obligor.bootstrap.parts import Parts
    from obligor.bootstrap.store import Store
    from obligor.bootstrap.telemetry import Telemetry
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.telemetry.journal import Telling
    from obligor.settings import Settings

    Aside = Callable[[], Coroutine[Any, Any, None]]
    Notices = Callable[[], AsyncIterator[str | None]]

_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 5.0
_CLOCKS_DIFFER = timedelta(minutes=5)


def asides(url: str, settings: Settings, parts: Parts, telemetry: Telemetry) -> Iterator[Aside]:
    """Give how to begin all that goes on beside the doors: what follows changes by others, and what runs by itself."""
    from obligor.adapters.store.notifications import (
        ALERTS,
        API_KEYS,
        ERASURES,
        KEYRINGS,
        LISTS,
        RELEASES,
        WEBHOOKS,
        follow,
    )
    from obligor.serving.reviews.clock import HeldClock, ReviewClock
    from obligor.serving.reviews.lateness import Lateness

    store, screening, webhooks = parts.store, parts.screening, parts.webhooks
    meter, journal = telemetry.meter, telemetry.journal
    if settings.database_url is None:
        yield partial(_keep_embedded, settings.postgres, journal)
    yield partial(_follow_keys, partial(follow, url, API_KEYS), parts.authenticator)
    followed: Mapping[str, Callable[[], Awaitable[None]]] = {
        RELEASES: partial(take_newest, store, parts.releases, meter, check=partial(refuse_forbidden_card, os.environ)),
        ERASURES: _forgetting_erased(store, parts.sealer),
        KEYRINGS: _turning(store, settings, parts.sealer),
        WEBHOOKS: webhooks.look,
        LISTS: screening.look_at_lists,
        ALERTS: screening.look_at_clearances,
    }
    for channel, look in followed.items():
        yield partial(_follow, partial(follow, url, channel), look, journal)
    for kind in screening.kinds.values():
        yield partial(kind.again.run, journal)
    yield open_linking(store, parts.sealer, meter, journal, under_way=lambda: parts.seats.open).run
    yield parts.anchoring.run
    yield parts.refusals.run
    yield webhooks.delivering.run
    yield webhooks.pruning.run
    lateness = Lateness(store.archive, store.recorder, store.sources, webhooks.listeners)
    yield ReviewClock(store.reviews, lateness, now=store.sources.now, meter=meter, journal=journal).run
    within = timedelta(days=read_held_days(os.environ))
    yield HeldClock(
        *(store.reviews, lateness),
        within=within,
        packs=active_packs(os.environ),
        now=store.sources.now,
        meter=meter,
        journal=journal,
    ).run


async def go_on(aside: Aside, journal: Telling, *, pause_s: float = _PAUSE_SECONDS) -> None:
    """Begin an aside again where something ended it that nobody foresaw: else it would be gone, and nobody the wiser."""
    while True:
        try:
            return await aside()
        except Exception as error:  # noqa: BLE001  of whatever kind
            journal.failed("aside_failed", error)
        await asyncio.sleep(pause_s)


async def _keep_embedded(folder: Path, journal: Telling) -> None:
    """Start the embedded PostgreSQL again where it was killed: on a single machine nobody else would."""
    from obligor.adapters.store.embedded import revive

    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        if await asyncio.to_thread(revive, folder):
            journal.tell("database_revived")


async def _follow(notices: Notices, look: Callable[[], Awaitable[None]], journal: Telling) -> None:
    """Look whenever something was told, or may have been; what cannot be looked up now is looked up next time."""
    async for _ in notices():
        try:
            await look()
        except ObligorError as error:
            journal.failed("follow_failed", error, level="warning")


async def _follow_keys(notices: Notices, authenticator: Authenticator) -> None:
    """Forget who was let in when a key has changed; look again, one request of each caller, where one may have."""
    async for notice in notices():
        if notice is None:
            authenticator.doubt()
        else:
            authenticator.forget()


def _forgetting_erased(store: Store, sealer: Sealer) -> Callable[[], Awaitable[None]]:
    """Let go of the keys of whoever was erased since the last time, and a while before, as clocks differ."""
    since = store.sources.now() - _CLOCKS_DIFFER

    async def forget() -> None:
        nonlocal since
        begun = store.sources.now() - _CLOCKS_DIFFER
        for subject in await store.privacy.erased_since(since):
            sealer.forget(subject)
        since = begun

    return forget


def _turning(store: Store, settings: Settings, sealer: Sealer) -> Callable[[], Awaitable[None]]:
    """Take up the keys of the deployment when there is a newer one, or an older one was retired."""
    told = False

    async def turn() -> None:
        nonlocal told
        kept = {it.version for it in await store.privacy.keyring() if it.purpose == "data" and it.wrapped}
        if kept != set(sealer.keyring.versions):
            try:
                ring = await open_keys(store, settings, tell=not told)
            except SealError:
                told = True  # once, for this is looked at every few seconds
                raise
            told = False
            sealer.turn(ring)

    return turn

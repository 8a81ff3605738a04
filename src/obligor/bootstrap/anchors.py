"""Anchors out of settings, and the store held against them."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import UnavailableError
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import read_anchor_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from obligor.bootstrap.store import Store
    from obligor.serving.audit.anchoring import Anchor, Anchoring, AnchorState
    from obligor.serving.telemetry.meter import Meter
    from obligor.settings import AnchorSettings, Settings

Done = TypeVar("Done")


@asynccontextmanager
async def anchored(store: Store, settings: Settings) -> AsyncIterator[Anchoring]:
    """Hold a store against its anchors before anything is written to it, and hand them at the end what was.

    Raises
    ------
    RollbackError, SplitViewError, IntegrityError
        Where an anchor knows a longer log or another one: nothing may be written.
    """
    async with opened(store, settings) as anchoring:
        await anchoring.start()
        yield anchoring
        await anchoring.round()


def with_anchored_store(work: Callable[[Store], Awaitable[Done]], settings: Settings | None = None) -> Done:
    """Do the work of one command that writes, as :func:`obligor.bootstrap.store.with_store`, once the anchors agree."""
    settings = settings or service_settings()

    async def done(store: Store) -> Done:
        async with anchored(store, settings):
            return await work(store)

    return with_store(done, settings)


@asynccontextmanager
async def held_up(
    store: Store, settings: Settings, *, meter: Meter, told: Callable[[AnchorState], None]
) -> AsyncIterator[Anchoring]:
    """Hold a store against its anchors, as :func:`anchored`; where one knows a longer log or another one, there is a hold.

    Raises
    ------
    IntegrityError
        Where what an anchor has is no checkpoint of this log.
    """
    async with opened(store, settings, meter=meter, told=told, hold=store.hold) as anchoring:
        await anchoring.begin()
        yield anchoring
        await anchoring.round()


@asynccontextmanager
async def opened(store: Store, settings: Settings, **beside: Any) -> AsyncIterator[Anchoring]:
    """Open the anchors that are set, and hold nothing against them yet."""
    from obligor.serving.audit.anchoring import Anchoring

    given = read_anchor_settings(os.environ)
    anchoring = Anchoring(
        log=store.log,
        key=store.key,
        anchors=open_anchors(given, s3_endpoint=settings.s3_endpoint),
        clock=store.sources.now,
        every_s=given.every_s,
        **{"meter": NoMeter()} | beside,
    )
    try:
        yield anchoring
    finally:
        anchoring.close()


def open_anchors(settings: AnchorSettings, *, s3_endpoint: str | None) -> tuple[Anchor, ...]:
    """Open the anchors that are set; none of them is reached yet.

    Raises
    ------
    InvalidInputError
        Where an address is none.
    UnavailableError
        Where a driver is not installed.
    """
    return tuple(_open(place, settings, s3_endpoint) for place in settings.places)


def _open(place: str, settings: AnchorSettings, s3_endpoint: str | None) -> Anchor:
    scheme = place.partition("://")[0] if "://" in place else "file"
    try:
        if scheme == "s3":
            from obligor.adapters.anchors.s3 import S3Anchor

            return S3Anchor(place, retain_days=settings.retain_days, endpoint=s3_endpoint)
        if scheme in ("https", "http"):
            from obligor.adapters.anchors.webhook import WebhookAnchor

            return WebhookAnchor(place, production=settings.production)
    except ImportError as error:
        extra = "s3" if scheme == "s3" else "serve"
        raise UnavailableError(f"an anchor at {scheme}:// needs a driver", hint=f"install obligor[{extra}]") from error
    from obligor.adapters.anchors.file import FileAnchor

    return FileAnchor(Path(place))

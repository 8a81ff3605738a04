"""Builds the decision service and runs it."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from obligor import __version__
from obligor.bootstrap.acting import acting
from obligor.bootstrap.anchors import held_up
from obligor.bootstrap.gates import open_gates, open_screening
from obligor.bootstrap.people import open_administration, open_identity
from obligor.bootstrap.privacy import open_keys, open_sealer
from obligor.bootstrap.releases import demonstration, put_in_force, read_run
from obligor.bootstrap.reviews import open_review_service
from obligor.bootstrap.store import database, open_store, service_settings
from obligor.bootstrap.telemetry import open_telemetry
from obligor.bootstrap.webhooks import open_listeners, open_webhooks
from obligor.core.errors import ObligorError
from obligor.settings import TlsSettings, read_author, read_gate_settings, read_tls_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from pathlib import Path

    from grpc import ServerCredentials

    from obligor.bootstrap.releases import Made
    from obligor.bootstrap.store import Store
    from obligor.core.profile import GateName
    from obligor.serving.anchoring import AnchorState
    from obligor.serving.authenticating import Authenticator
    from obligor.serving.deciding import DecisionService
    from obligor.serving.events import Listeners
    from obligor.serving.gates import Gate
    from obligor.serving.grpc.server import Server
    from obligor.serving.http import Door, Encryption, Seats
    from obligor.serving.journal import Telling
    from obligor.serving.meter import Meter
    from obligor.serving.releases import Release, Releases
    from obligor.serving.sealed import Sealer
    from obligor.serving.tracing import Tracing
    from obligor.settings import Settings
    from obligor.telemetry import Progress

_FIRST_CLIENT = "first-client"
_FIRST_LASTS = timedelta(days=90)
_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 26.0
_PLAIN = TlsSettings(None, None, None)
_CLOCKS_DIFFER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a service listens; no gRPC without its port."""

    host: str
    port: int
    grpc_port: int | None
    tls: TlsSettings = _PLAIN


def serve_decisions(run: Path | None, *, doors: Doors, say: Callable[[str], None], progress: Progress) -> None:
    """Serve decisions until told to stop; the run is put in force first where one is given.

    Raises
    ------
    UnavailableError
        Where the store does not answer, or a port is taken.
    IntegrityError
        Where the release in force is not what was signed.
    """
    import uvloop

    settings = service_settings()
    doors = replace(doors, tls=read_tls_settings(os.environ))
    made = None if run is None else read_run(run)
    with progress.step("opening the store"):
        opened = database(settings)
        url = opened.__enter__()
    try:
        uvloop.run(_serve(url, settings, made, doors, say))
    finally:
        opened.__exit__(None, None, None)


async def _serve(url: str, settings: Settings, made: Made | None, doors: Doors, say: Callable[[str], None]) -> None:
    from obligor.adapters.store.notices import ALERTS, API_KEYS, ERASURES, KEYRINGS, LISTS, RELEASES, WEBHOOKS, follow
    from obligor.serving.auditing import AuditLog
    from obligor.serving.authenticating import Authenticator
    from obligor.serving.http import Door, Hot, Seats, allow_open_files, make_app, make_server
    from obligor.serving.refusals import Refusals
    from obligor.serving.releases import Releases
    from obligor.serving.review_clock import ReviewClock
    from obligor.serving.tracing import traced

    async with AsyncExitStack() as stack:
        telemetry = stack.enter_context(open_telemetry(os.environ, stream=sys.stderr.buffer))
        meter, journal = telemetry.meter, telemetry.journal
        store = await stack.enter_async_context(open_store(url, settings, counted=meter.committed))
        meter.watch("audit_queue", lambda: store.recorder.waiting)
        releases = Releases(store.archive)
        anchoring = await stack.enter_async_context(
            held_up(store, settings, meter=meter, told=partial(_tell_of_anchor, journal))
        )
        sealer = await open_sealer(store, settings)
        await _begin(store, made, say)
        await _take_newest(store, releases, meter)
        webhooks = await stack.enter_async_context(open_webhooks(url, store, sealer, meter, journal))
        asked = read_gate_settings(os.environ)
        screening = await stack.enter_async_context(
            open_screening(
                store, releases, sealer, asked, data=settings.data, failed=partial(journal.failed, "list_failed")
            )
        )
        service = _decision_service(
            store,
            releases,
            meter,
            gates={"aml": screening.gate, **await stack.enter_async_context(open_gates(asked, store))},
            gate_deadline_s=asked.deadline_s,
            listeners=webhooks.listeners,
            sealer=sealer,
        )
        reviews = open_review_service(store, service)
        clock = ReviewClock(store.reviews, now=store.sources.now, meter=meter, journal=journal)
        identity = open_identity(store, os.environ)
        authenticator = Authenticator(
            store.archive, now=store.sources.now, refused=meter.refused, journal=journal, tokens=identity.tokens
        )
        refusals = Refusals(
            store.recorder,
            store.sources,
            failed=lambda error: journal.failed("refusals_failed", error, level="warning"),
        )
        stack.push_async_callback(refusals.record)
        seats, readiness = Seats(), _Readiness(store, releases)
        door = Door(
            service,
            authenticator,
            AuditLog(store.log, store.key, store.sources),
            readiness,
            telemetry.metrics,
            meter,
            seats,
            beside=lambda: {"anchors": anchoring.well},
            refusals=refusals,
            sign_in=identity.sign_in,
            reviews=reviews,
            alerts=screening.desk,
            administration=open_administration(store),
        )
        allow_open_files()
        app = make_app(door) if telemetry.tracing is None else traced(make_app(door), telemetry.tracing)
        server = make_server(
            app,
            seats=seats,
            host=doors.host,
            port=doors.port,
            encryption=_encryption(doors.tls),
            listening=partial(_greet, say, journal, doors, releases),
            hot=None if telemetry.tracing else Hot(door),  # whoever wants spans has every request go through them
        )
        grpc = await _open_grpc(door, doors, telemetry.tracing)
        asides = [
            asyncio.create_task(_follow(follow(url, RELEASES), lambda: _take_newest(store, releases, meter), journal)),
            asyncio.create_task(_follow(follow(url, API_KEYS), _forgetting(authenticator), journal)),
            asyncio.create_task(_follow(follow(url, ERASURES), _forgetting_erased(store, sealer), journal)),
            asyncio.create_task(_follow(follow(url, KEYRINGS), _turning(store, settings, sealer), journal)),
            asyncio.create_task(_follow(follow(url, WEBHOOKS), webhooks.look, journal)),
            asyncio.create_task(_follow(follow(url, LISTS), screening.lists.look, journal)),
            asyncio.create_task(_follow(follow(url, ALERTS), screening.look_at_clearances, journal)),
            asyncio.create_task(screening.again.run(journal)),
            asyncio.create_task(anchoring.run()),
            asyncio.create_task(refusals.run()),
            asyncio.create_task(webhooks.delivering.run()),
            asyncio.create_task(clock.run()),
        ]
        beside = None if grpc is None else asyncio.create_task(_run_beside(grpc, readiness, seats))
        try:
            await server.serve()
        finally:
            if grpc is not None and beside is not None:
                if server.force_exit or not seats.draining:
                    beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
                await grpc.stop(grace=0.0)
            for aside in asides:
                aside.cancel()
            await asyncio.gather(*asides, return_exceptions=True)
            journal.tell("stopped")


def _greet(say: Callable[[str], None], journal: Telling, doors: Doors, releases: Releases) -> None:
    say(_welcome(doors, releases.current))
    journal.tell("started", version=__version__, port=doors.port, release=releases.current.number)


@asynccontextmanager
async def open_decisions(store: Store, settings: Settings) -> AsyncIterator[DecisionService]:
    """Build the use case of decisions for one command: by the release in force, with the gates and the events of a service."""
    from obligor.serving.meter import NoMeter

    asked, releases = read_gate_settings(os.environ), await open_releases(store)
    sealer = await open_sealer(store, settings)
    async with AsyncExitStack() as stack:
        gates = dict(await stack.enter_async_context(open_gates(asked, store)))
        if releases.newest and releases.current.profile.gate("aml").state != "off":
            opened = open_screening(store, releases, sealer, asked, data=settings.data, failed=_held_without_a_list)
            gates["aml"] = (await stack.enter_async_context(opened)).gate
        yield _decision_service(
            store,
            releases,
            NoMeter(),
            gates=gates,
            gate_deadline_s=asked.deadline_s,
            listeners=await open_listeners(store.url),
            sealer=sealer,
        )


def _held_without_a_list(_error: ObligorError) -> None:
    """Tell nobody: the gate is pending then, and its record says so."""


async def open_releases(store: Store) -> Releases:
    """Give the release in force, for one command."""
    from obligor.serving.meter import NoMeter
    from obligor.serving.releases import Releases

    releases = Releases(store.archive)
    await _take_newest(store, releases, NoMeter())
    return releases


def _decision_service(
    store: Store,
    releases: Releases,
    meter: Meter,
    *,
    gates: Mapping[GateName, Gate],
    gate_deadline_s: float,
    listeners: Listeners,
    sealer: Sealer,
) -> DecisionService:
    from obligor.serving.auditing import AuditLog
    from obligor.serving.deciding import DecisionService

    return DecisionService(
        releases=releases,
        recorder=store.recorder,
        archive=store.archive,
        receipts=AuditLog(store.log, store.key, store.sources),
        sources=store.sources,
        meter=meter,
        gates=gates,
        gate_deadline_s=gate_deadline_s,
        listeners=listeners,
        sealer=sealer,
    )


# What is in force


async def _begin(store: Store, made: Made | None, say: Callable[[str], None]) -> None:
    """Put in force what was asked for; begin a new store with the demonstration card, and with a first key."""
    from obligor.security.api_keys import SCOPES
    from obligor.serving.issuing import issue

    newest = await store.archive.release()
    if store.hold.because and newest is not None:
        say(f"NOTHING IS RECORDED: {store.hold.because}\nTwo people decide: obligor audit acknowledge\n")
        return
    wanted = demonstration() if made is None and newest is None else made
    if wanted is not None and not _is_in_force(wanted, await _opened(store)):
        await put_in_force(store, wanted, by=None if made is None else await acting(store, "release.activate"))
    if not await store.archive.api_keys():
        new = await issue(
            _FIRST_CLIENT,
            scopes=SCOPES,
            lasts=_FIRST_LASTS,
            by=read_author(os.environ) or "obligor",
            recorder=store.recorder,
            sources=store.sources,
        )
        say(f"The first API key, shown this once, open to everything for {_FIRST_LASTS.days} days:\n\n    {new.text}\n")


def _is_in_force(made: Made, release: Release | None) -> bool:
    wanted = (made.card.sha256, made.policy.sha256)
    return release is not None and (release.card.sha256, release.policy.sha256) == wanted


async def _opened(store: Store) -> Release | None:
    """Open the newest release that is kept, and check what was signed."""
    from obligor.security.signing import verify_statement
    from obligor.serving.releases import PURPOSE, open_release

    stored = await store.archive.release()
    if stored is None:
        return None
    key = store.key.verifier
    return open_release(stored, signed=lambda said, by: verify_statement(said, by, purpose=PURPOSE, key=key))


async def _take_newest(store: Store, releases: Releases, meter: Meter) -> None:
    """Take the newest release up; what is in force stays where it cannot be trusted."""
    from obligor.serving.meter import InForce

    if await store.archive.newest_release() <= releases.newest:
        await releases.look_after_profile()
        return
    release = await _opened(store)
    if release is not None and releases.take(release):
        pins = release.pins
        meter.in_force(
            InForce(release.number, release.card, pins["card_sha256"], pins["policy_sha256"], pins["profile_sha256"])
        )


# Beside the doors


def _tell_of_anchor(journal: Telling, state: AnchorState) -> None:
    """Tell how an anchor does; which one, the counts say by its name."""
    if state.trouble is None:
        journal.tell("anchor", dependency="anchor", well=True, tree_size=state.size)
    else:
        journal.failed("anchor", state.trouble, dependency="anchor", well=False, attempt=state.failures)


async def _follow(notices: AsyncIterator[str | None], look: Callable[[], Awaitable[None]], journal: Telling) -> None:
    """Look whenever something was told, or may have been; what cannot be looked up now is looked up next time."""
    async for _ in notices:
        try:
            await look()
        except ObligorError as error:
            journal.failed("follow_failed", error, level="warning")


def _forgetting(authenticator: Authenticator) -> Callable[[], Awaitable[None]]:
    async def forget() -> None:
        authenticator.forget()

    return forget


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

    async def turn() -> None:
        kept = {it.version for it in await store.privacy.keyring() if it.purpose == "data" and it.wrapped}
        if kept != set(sealer.keyring.versions):
            sealer.turn(await open_keys(store, settings))

    return turn


def _encryption(tls: TlsSettings) -> Encryption | None:
    from obligor.serving.http import Encryption

    return None if tls.cert is None or tls.key is None else Encryption(tls.cert, tls.key, tls.client_ca)


def _credentials(tls: TlsSettings) -> ServerCredentials | None:
    """Give gRPC the same certificate; a client is asked for one where REST asks."""
    from grpc import ssl_server_credentials

    if tls.cert is None or tls.key is None:
        return None
    asked = None if tls.client_ca is None else tls.client_ca.read_bytes()
    pair = (tls.key.read_bytes(), tls.cert.read_bytes())
    return ssl_server_credentials([pair], root_certificates=asked, require_client_auth=asked is not None)


async def _open_grpc(door: Door, doors: Doors, tracing: Tracing | None) -> Server | None:
    if doors.grpc_port is None:
        return None
    # Its core writes to standard error, past the journal.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    from obligor.serving.grpc.server import Server as GrpcServer
    from obligor.serving.grpc.servicer import Servicer
    from obligor.serving.tracing import grpc_interceptor

    servicer = Servicer(door.service, door.authenticator, seats=door.seats, meter=door.meter, refusals=door.refusals)
    server = GrpcServer(
        servicer,
        credentials=_credentials(doors.tls),
        interceptors=() if tracing is None else (grpc_interceptor(tracing),),
    )
    await server.start(doors.host, doors.grpc_port)
    return server


class _Readiness:
    """Asks what the service stands on whether it answers."""

    def __init__(self, store: Store, releases: Releases) -> None:
        self._store, self._releases = store, releases

    async def states(self) -> Mapping[str, bool]:
        """Tell of each dependency whether it answers, and of the compliance profile whether one is in force."""
        found = {
            "log_is_that_of_its_anchors": not self._store.hold.because,
            "profile": self._releases.has_profile(self._store.sources.now()),
        }
        try:
            await self._store.log.size()
        except ObligorError:
            return {"database": False} | found
        return {"database": True} | found


async def _run_beside(grpc: Server, readiness: _Readiness, seats: Seats) -> None:
    """Tell gRPC's health what REST's says; when the service is to stop, give notice and close the door, as REST does."""
    from obligor.serving.http import RunLimits

    while not seats.draining:
        await grpc.tell(ready=all((await readiness.states()).values()))
        await asyncio.sleep(_LOOK_SECONDS)
    await grpc.drain()
    await asyncio.sleep(RunLimits().notice_seconds)
    await grpc.stop(grace=_GRACE_SECONDS)


def _welcome(doors: Doors, release: Release) -> str:
    scheme = "http" if doors.tls.cert is None else "https"
    lines = [
        f"Release {release.number} is in force: card {release.card.name} {release.card.sha256[:12]}",
        f"REST  {scheme}://{doors.host}:{doors.port}  (its routes: {scheme}://{doors.host}:{doors.port}/docs)",
    ]
    if doors.grpc_port is not None:
        lines.append(f"gRPC  {doors.host}:{doors.grpc_port}")
    return "\n".join(lines)

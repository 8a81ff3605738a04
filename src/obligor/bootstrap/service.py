"""Builds the decision service and runs it."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from obligor import __version__
from obligor.bootstrap.anchors import held_up
from obligor.bootstrap.certificates import Certificates
from obligor.bootstrap.decisions import begin, begin_keys, make_decisions, take_newest
from obligor.bootstrap.desks import open_key_desk, open_privacy_desk
from obligor.bootstrap.gates import open_gates, open_screening
from obligor.bootstrap.law import refuse_forbidden_card
from obligor.bootstrap.linking import open_linking
from obligor.bootstrap.open_files import Connections, fit_connections
from obligor.bootstrap.overrides import open_override_service
from obligor.bootstrap.people import open_administration, open_identity
from obligor.bootstrap.privacy import open_keys, open_sealer
from obligor.bootstrap.releases import read_run
from obligor.bootstrap.revealing import open_reveals
from obligor.bootstrap.reviews import open_review_service
from obligor.bootstrap.store import database, open_store, service_settings
from obligor.bootstrap.telemetry import open_telemetry
from obligor.bootstrap.webhooks import open_webhooks
from obligor.core.errors import InvalidInputError, ObligorError, SealError
from obligor.security.networks import NOWHERE, Networks, read_networks
from obligor.settings import TlsSettings, read_gate_settings, read_held_days, read_tls_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
    from pathlib import Path

    from obligor.bootstrap.decisions import Decisions
    from obligor.bootstrap.gates import Screening
    from obligor.bootstrap.people import Identity
    from obligor.bootstrap.releases import Made
    from obligor.bootstrap.store import Store
    from obligor.bootstrap.telemetry import Telemetry
    from obligor.bootstrap.webhooks import RunningWebhooks
    from obligor.core.profile import GateName
    from obligor.progress import Progress
    from obligor.serving.audit.anchoring import Anchoring, AnchorState
    from obligor.serving.gates.gate import Gate
    from obligor.serving.grpc.server import Server
    from obligor.serving.http import Door, HttpServer, Seats
    from obligor.serving.http.handshakes import Encryption
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.refusals import Refusals
    from obligor.serving.releases.release import Release, Releases
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.tracing import Tracing
    from obligor.settings import Settings

    Aside = Callable[[], Coroutine[Any, Any, None]]
    Notices = Callable[[], AsyncIterator[str | None]]

_LOOK_SECONDS = 1.0
_GRACE_SECONDS = 26.0
_PAUSE_SECONDS = 5.0
_PLAIN = TlsSettings(None, None, None)
_CLOCKS_DIFFER = timedelta(minutes=5)
_WIDEST = 8
"""The length of the shortest prefix that a network of proxies may have."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a service listens; no gRPC without its port."""

    host: str
    port: int
    grpc_port: int | None
    tls: TlsSettings = _PLAIN
    proxies: Networks = NOWHERE


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

    # Read where gRPC is loaded: its core writes to standard error, past the journal, of every handshake that fails.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash writes no keys and no names of people to a disk
    settings = service_settings()
    doors = replace(doors, tls=read_tls_settings(os.environ), proxies=read_proxies(os.environ))
    made = None if run is None else read_run(run)
    with progress.step("opening the store"):
        opened = database(settings, meanwhile=partial(_load, doors))
        url = opened.__enter__()
    try:
        uvloop.run(_serve(url, settings, made, doors, say))
    finally:
        opened.__exit__(None, None, None)


def read_proxies(environ: Mapping[str, str]) -> Networks:
    """Read where the lender's proxies stand (``OBLIGOR_PROXIES``, by default nowhere).

    Raises
    ------
    InvalidInputError
        Where it names what is no network, or one so wide that clients stand in it: they could then say who they are.
    """
    name = "OBLIGOR_PROXIES"
    networks = read_networks((it.strip() for it in environ.get(name, "").split(",") if it.strip()), what=name)
    if wide := next((it for it in networks if it.prefixlen < _WIDEST), None):
        raise InvalidInputError(f"{name}: got {wide}; wanted the addresses of the proxies alone, a /{_WIDEST} at most")
    return Networks(networks)


def _load(doors: Doors) -> None:
    """Load the doors: half a second of our own work that need not wait for PostgreSQL's."""
    with suppress(ImportError):  # whoever opens them tells of it
        import_module("obligor.serving.http")
        if doors.grpc_port is not None:
            import_module("obligor.serving.grpc.server")


async def _serve(url: str, settings: Settings, made: Made | None, doors: Doors, say: Callable[[str], None]) -> None:
    certificates = Certificates(doors.tls)
    async with AsyncExitStack() as stack:
        telemetry = stack.enter_context(open_telemetry(os.environ, stream=sys.stderr.buffer))
        parts = await _open_parts(stack, url, settings, telemetry, beginning=partial(begin, made=made, say=say))
        door, readiness = _open_door(parts, telemetry), _Readiness(parts.store, parts.releases)
        wanted = Connections() if doors.grpc_port is not None else Connections(grpc=0)
        most = fit_connections(telemetry.journal, wanted)
        grpc = await _open_grpc(door, doors, telemetry.tracing, certificates=certificates, connections=most.grpc)
        if grpc is not None:
            doors = replace(doors, grpc_port=grpc.port)
        greet = partial(_greet, say, telemetry.journal, doors, parts.releases)

        async def listening(port: int) -> None:
            await begin_keys(parts.store, say)
            greet(port)

        server = _open_server(
            door, doors, telemetry.tracing, encryption=certificates.encryption, most=most, listening=listening
        )
        going_on = [*_asides(url, settings, parts, telemetry)]
        if certificates.encryption is not None:
            going_on.append(partial(certificates.run, telemetry.journal))
        asides = [asyncio.create_task(_go_on(it, telemetry.journal)) for it in going_on]
        running = None if grpc is None else partial(_run_beside, grpc, readiness, door.seats)
        beside = None if running is None else asyncio.create_task(_go_on(running, telemetry.journal))
        try:
            await server.serve()
        finally:
            if grpc is not None and beside is not None:
                if server.force_exit or not door.seats.draining:
                    beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)
                await grpc.stop(grace=0.0)
            for aside in asides:
                aside.cancel()
            await asyncio.gather(*asides, return_exceptions=True)
            telemetry.journal.tell("stopped")


def _greet(say: Callable[[str], None], journal: Telling, doors: Doors, releases: Releases, port: int) -> None:
    """Say where the doors are; ``port`` is the one that REST got."""
    say(_welcome(replace(doors, port=port), releases.current))
    journal.tell("started", version=__version__, port=port, release=releases.current.number)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a service is made of, beneath its doors."""

    store: Store
    releases: Releases
    anchoring: Anchoring
    sealer: Sealer
    webhooks: RunningWebhooks
    screening: Screening
    decisions: Decisions
    gates: Mapping[GateName, Gate]
    identity: Identity
    authenticator: Authenticator
    refusals: Refusals
    seats: Seats


async def _open_parts(
    stack: AsyncExitStack,
    url: str,
    settings: Settings,
    telemetry: Telemetry,
    *,
    beginning: Callable[[Store], Awaitable[None]],
) -> _Parts:
    """Open the store and all that works on it; ``beginning`` is called once it is open, before anything is taken up."""
    from obligor.serving.http import Seats
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.refusals import Refusals
    from obligor.serving.releases.release import Releases

    meter, journal = telemetry.meter, telemetry.journal
    store = await stack.enter_async_context(open_store(url, settings, counted=meter.committed))
    meter.watch("audit_queue", lambda: store.recorder.waiting)
    releases, seats = Releases(store.archive), Seats()
    told = partial(_tell_of_anchor, journal)
    anchoring = await stack.enter_async_context(held_up(store, settings, meter=meter, told=told))
    sealer = await open_sealer(store, settings)
    asked, identity = read_gate_settings(os.environ), open_identity(store, os.environ)
    outside = await stack.enter_async_context(open_gates(asked, store))
    await beginning(store)
    await take_newest(store, releases, meter, check=partial(refuse_forbidden_card, os.environ))
    webhooks = await stack.enter_async_context(
        open_webhooks(url, store, sealer, meter, journal, under_way=lambda: seats.open)
    )
    opened = open_screening(
        *(store, releases, sealer, asked),
        data=settings.data,
        failed=lambda kind, error: journal.failed("list_failed", error, dependency=kind),
    )
    screening = await stack.enter_async_context(opened)
    meter.watch("screening_list_left_seconds", screening.list_left_seconds)
    gates = {**screening.gates, **outside}
    decisions = make_decisions(
        store,
        releases,
        meter,
        gates=gates,
        gate_deadline_s=asked.deadline_s,
        listeners=webhooks.listeners,
        sealer=sealer,
        journal=journal,
    )
    authenticator = Authenticator(
        store.archive, now=store.sources.now, refused=meter.refused, journal=journal, tokens=identity.tokens
    )
    unrecorded = partial(journal.failed, "refusals_failed", level="warning")
    refusals = Refusals(store.recorder, store.sources, failed=unrecorded)
    stack.push_async_callback(refusals.record)
    return _Parts(
        *(store, releases, anchoring, sealer, webhooks, screening, decisions, gates),
        *(identity, authenticator, refusals, seats),
    )


def _open_door(parts: _Parts, telemetry: Telemetry) -> Door:
    from obligor.serving.audit.log import AuditLog
    from obligor.serving.http import Door
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.screening.disbursing import Disbursing

    store, decisions = parts.store, parts.decisions
    proposals = Proposals(store.proposals, store.people, store.recorder, store.sources)
    return Door(
        *decisions,
        parts.authenticator,
        AuditLog(store.log, store.key, store.sources),
        _Readiness(store, parts.releases),
        telemetry.metrics,
        telemetry.meter,
        parts.seats,
        beside=partial(_beside, parts),
        refusals=parts.refusals,
        sign_in=parts.identity.sign_in,
        proofs=parts.identity.proofs,
        reviews=open_review_service(store, decisions, listeners=parts.webhooks.listeners),
        overrides=open_override_service(
            store,
            decisions.register,
            parts.releases,
            listeners=parts.webhooks.listeners,
            meter=telemetry.meter,
        ),
        alerts=parts.screening.desk,
        disbursing=Disbursing(
            *(decisions.register, parts.releases, parts.screening.gates, store.archive, store.recorder, store.sources),
            deadline_s=read_gate_settings(os.environ).deadline_s,
        ),
        administration=open_administration(store, proposals),
        reveals=open_reveals(store, decisions.register, proposals),
        privacy=open_privacy_desk(store, parts.sealer, decisions.register.opener, proposals),
        keys=open_key_desk(store, proposals),
    )


def _beside(parts: _Parts) -> Mapping[str, bool]:
    """Tell of what decisions can do without for a while: gates hold then, and who is known is believed."""
    from obligor.serving.gates.kyc import KycGate
    from obligor.serving.people.tokens import ProviderTokens

    kyc, tokens = parts.gates.get("kyc"), parts.identity.tokens
    return (
        {"anchors": parts.anchoring.well}
        | ({"kyc": kyc.well} if isinstance(kyc, KycGate) else {})
        | ({"identity_provider": tokens.well} if isinstance(tokens, ProviderTokens) else {})
    )


def _open_server(
    door: Door,
    doors: Doors,
    tracing: Tracing | None,
    *,
    encryption: Encryption | None,
    most: Connections,
    listening: Callable[[int], Awaitable[None]],
) -> HttpServer:
    """Make the REST door; where somebody wants spans, every request goes through them, and none past the framework."""
    from obligor.serving.http import Hot, RunLimits, make_app, make_server
    from obligor.serving.http.wire import WireLimits
    from obligor.serving.telemetry.tracing import traced

    return make_server(
        make_app(door) if tracing is None else traced(make_app(door), tracing),
        seats=door.seats,
        host=doors.host,
        port=doors.port,
        limits=RunLimits(handshakes=most.handshakes, wire=WireLimits(connections=most.rest)),
        encryption=encryption,
        listening=listening,
        hot=Hot(door) if tracing is None else None,
        proxies=doors.proxies,
    )


def _asides(url: str, settings: Settings, parts: _Parts, telemetry: Telemetry) -> Iterator[Aside]:
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
    yield ReviewClock(store.reviews, now=store.sources.now, meter=meter, journal=journal).run
    within = timedelta(days=read_held_days(os.environ))
    yield HeldClock(store.reviews, within=within, now=store.sources.now, meter=meter, journal=journal).run


# Beside the doors


async def _go_on(aside: Aside, journal: Telling, *, pause_s: float = _PAUSE_SECONDS) -> None:
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


def _tell_of_anchor(journal: Telling, state: AnchorState) -> None:
    """Tell how an anchor does; which one, the counts say by its name."""
    if state.trouble is None:
        journal.tell("anchor", dependency="anchor", well=True, tree_size=state.size)
    else:
        journal.failed("anchor", state.trouble, dependency="anchor", well=False, attempt=state.failures)


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


async def _open_grpc(
    door: Door, doors: Doors, tracing: Tracing | None, *, certificates: Certificates, connections: int
) -> Server | None:
    if doors.grpc_port is None:
        return None
    from obligor.serving.grpc.server import Server as GrpcServer
    from obligor.serving.grpc.servicer import Servicer
    from obligor.serving.telemetry.tracing import grpc_interceptor

    servicer = Servicer(
        *(door.service, door.register, door.authenticator),
        seats=door.seats,
        meter=door.meter,
        refusals=door.refusals,
        proxies=doors.proxies,
    )
    server = GrpcServer(
        servicer,
        credentials=certificates.credentials,
        interceptors=() if tracing is None else (grpc_interceptor(tracing),),
        connections=connections,
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
            "recording": self._store.recorder.is_well,
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
    host = f"[{doors.host}]" if ":" in doors.host else doors.host
    lines = [
        f"Release {release.number} is in force: card {release.card.name} {release.card.sha256[:12]}",
        f"REST  {scheme}://{host}:{doors.port}  (its routes: {scheme}://{host}:{doors.port}/docs)",
    ]
    if doors.grpc_port is not None:
        lines.append(f"gRPC  {host}:{doors.grpc_port}")
    return "\n".join(lines)

"""The two doors of a decision service: where they listen, whom they believe, and what they open to."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from obligor import __version__
from obligor.bootstrap.actions import open_action_service
from obligor.bootstrap.desks import open_key_desk, open_privacy_desk
from obligor.bootstrap.overrides import open_override_service
from obligor.bootstrap.people import open_administration
from obligor.bootstrap.revealing import open_reveals
from obligor.bootstrap.reviews import open_review_service
from obligor.core.errors import InvalidInputError, ObligorError
from obligor.security.networks import NOWHERE, Networks, read_networks
from obligor.settings import TlsSettings, read_gate_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from obligor.bootstrap.certificates import Certificates
    from obligor.bootstrap.open_files import Connections
    from obligor.bootstrap.parts import Parts
    from obligor.bootstrap.store import Store
    from obligor.bootstrap.telemetry import Telemetry
    from obligor.serving.grpc.server import Server
    from obligor.serving.http import Door, HttpServer
    from obligor.serving.http.handshakes import Encryption
    from obligor.serving.releases.release import Release, Releases
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.tracing import Tracing

_PLAIN = TlsSettings(None, None, None)
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


def load_doors(doors: Doors) -> None:
    """Load the doors: half a second of our own work that need not wait for PostgreSQL's."""
    with suppress(ImportError):  # whoever opens them tells of it
        import_module("obligor.serving.http")
        if doors.grpc_port is not None:
            import_module("obligor.serving.grpc.server")


def greet(say: Callable[[str], None], journal: Telling, doors: Doors, releases: Releases, port: int) -> None:
    """Say where the doors are; ``port`` is the one that REST got."""
    say(_welcome(replace(doors, port=port), releases.current))
    journal.tell("started", version=__version__, port=port, release=releases.current.number)


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


class Readiness:
    """Asks what the service stands on whether it answers."""

    def __init__(self, store: Store, releases: Releases) -> None:
        self._store, self._releases = store, releases
        self._asked: asyncio.Future[Mapping[str, bool]] | None = None

    async def states(self) -> Mapping[str, bool]:
        """Tell of each dependency whether it answers, and of the compliance profile whether one is in force.

        All who ask in the meantime are told the same: anybody may ask, and as often as they like.
        """
        if self._asked is None or self._asked.done():
            self._asked = asyncio.ensure_future(self._states())
        return await asyncio.shield(self._asked)

    async def _states(self) -> Mapping[str, bool]:
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


def open_door(parts: Parts, telemetry: Telemetry) -> Door:
    """Give what both doors open to."""
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
        Readiness(store, parts.releases),
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
        actions=open_action_service(store, decisions.register),
        alerts=parts.screening.desk,
        disbursing=Disbursing(
            *(decisions.register, parts.releases, parts.screening.gates, store.archive, store.recorder, store.sources),
            deadline_s=read_gate_settings(os.environ).deadline_s,
        ),
        administration=open_administration(store, proposals),
        reveals=open_reveals(store, decisions.register, proposals),
        privacy=open_privacy_desk(store, parts.sealer, decisions.register.opener, decisions.register.words, proposals),
        keys=open_key_desk(store, proposals),
    )


def _beside(parts: Parts) -> Mapping[str, bool]:
    """Tell of what decisions can do without for a while: gates hold then, and who is known is believed."""
    from obligor.serving.gates.kyc import KycGate
    from obligor.serving.people.tokens import ProviderTokens

    kyc, tokens = parts.gates.get("kyc"), parts.identity.tokens
    return (
        {"anchors": parts.anchoring.well}
        | ({"kyc": kyc.well} if isinstance(kyc, KycGate) else {})
        | ({"identity_provider": tokens.well} if isinstance(tokens, ProviderTokens) else {})
    )


def open_rest(
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


async def open_grpc(
    door: Door, doors: Doors, tracing: Tracing | None, *, certificates: Certificates, connections: int
) -> Server | None:
    """Open the gRPC door, where there is one."""
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

"""Builds the use cases of decisions, for a service or for one command, by the release in force."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from obligor.bootstrap.acting import acting
from obligor.bootstrap.gates import open_gates, open_screening
from obligor.bootstrap.privacy import open_sealer
from obligor.bootstrap.releases import demonstration, put_in_force, put_in_force_together
from obligor.bootstrap.webhooks import open_listeners
from obligor.core.errors import ClashError, ForbiddenError, InvalidInputError
from obligor.core.profile import SCREENING
from obligor.settings import is_production, read_author, read_gate_settings, read_probing_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from obligor.bootstrap.releases import Made
    from obligor.bootstrap.store import Store
    from obligor.core.errors import ObligorError
    from obligor.core.policy import Policy
    from obligor.core.profile import GateName
    from obligor.core.scorecard import Scorecard
    from obligor.screening.lists import ListKind
    from obligor.serving.deciding import DecisionService
    from obligor.serving.gates.gate import Gate
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.register import Register
    from obligor.serving.releases.release import Release, Releases
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter
    from obligor.serving.webhooks.events import Listeners
    from obligor.settings import Settings

_FIRST_CLIENT = "first-client"
_FIRST_LASTS = timedelta(days=90)
_FROM_A_RUN = "obligor serve RUN puts the card of a run in force"


class Decisions(NamedTuple):
    """The two use cases of decisions: what makes them, and what tells of them."""

    service: DecisionService
    register: Register


@asynccontextmanager
async def open_decisions(store: Store, settings: Settings) -> AsyncIterator[Decisions]:
    """Build the use cases of decisions for one command: by the release in force, with the gates and the events of a service."""
    from obligor.serving.telemetry.meter import NoMeter

    asked, releases = read_gate_settings(os.environ), await open_releases(store)
    sealer = await open_sealer(store, settings)
    async with AsyncExitStack() as stack:
        gates = dict(await stack.enter_async_context(open_gates(asked, store)))
        if releases.newest and not set(SCREENING).isdisjoint(releases.current.profile.asked):
            opened = open_screening(store, releases, sealer, asked, data=settings.data, failed=_held_without_a_list)
            gates |= (await stack.enter_async_context(opened)).gates
        yield make_decisions(
            store,
            releases,
            NoMeter(),
            gates=gates,
            gate_deadline_s=asked.deadline_s,
            listeners=await open_listeners(store.url),
            sealer=sealer,
        )


def _held_without_a_list(_kind: ListKind, _error: ObligorError) -> None:
    """Tell nobody: the gate is pending then, and its record says so."""


async def open_releases(store: Store) -> Releases:
    """Give the release in force, for one command."""
    from obligor.serving.releases.release import Releases
    from obligor.serving.telemetry.meter import NoMeter

    releases = Releases(store.archive)
    await take_newest(store, releases, NoMeter())
    return releases


def make_decisions(
    store: Store,
    releases: Releases,
    meter: Meter,
    *,
    gates: Mapping[GateName, Gate],
    gate_deadline_s: float,
    listeners: Listeners,
    sealer: Sealer,
    journal: Telling | None = None,
) -> Decisions:
    """Build the use cases over an open store."""
    from obligor.serving.audit.log import AuditLog
    from obligor.serving.deciding import DecisionService
    from obligor.serving.probing import Probing
    from obligor.serving.register import Register
    from obligor.serving.telemetry.journal import NoJournal

    limits = read_probing_settings(os.environ)

    service = DecisionService(
        releases=releases,
        recorder=store.recorder,
        answers=store.archive,
        sources=store.sources,
        meter=meter,
        gates=gates,
        gate_deadline_s=gate_deadline_s,
        listeners=listeners,
        sealer=sealer,
        probing=Probing(limits, meter, journal or NoJournal()),
    )
    register = Register(
        archive=store.archive,
        receipts=AuditLog(store.log, store.key, store.sources),
        releases=releases,
        recorder=store.recorder,
        sources=store.sources,
        listeners=listeners,
        sealer=sealer,
        journal=journal,
    )
    meter.watch("records_broken", register.opener.broken)
    return Decisions(service, register)


async def begin(store: Store, made: Made | None, say: Callable[[str], None]) -> None:
    """Put in force what was asked for; begin a new store with the demonstration card.

    In production there is none: nobody is decided on by a card of invented loans.
    """
    production = is_production(os.environ)
    newest = await store.archive.release()
    if store.hold.because and newest is not None:
        say(f"NOTHING IS RECORDED: {store.hold.because}\nTwo people decide: obligor audit acknowledge\n")
        return
    if made is None and newest is None and production:
        raise InvalidInputError(
            "serve: the store has no release, and in production none is begun with", hint=_FROM_A_RUN
        )
    wanted = demonstration() if made is None and newest is None else made
    if wanted is not None and not _is_in_force(wanted, await open_newest(store)):
        try:
            if made is None:
                await put_in_force(store, wanted)
            else:
                await _activate(store, wanted, say, by=await acting(store, "release.activate"))
        except (
            ClashError
        ):  # services that begin at once with the same run all want it, and one of them puts it in force
            if not _is_in_force(wanted, await open_newest(store)):
                raise


async def begin_keys(store: Store, say: Callable[[str], None]) -> None:
    """Begin a store without a key with a first one, which is shown this once; so when nothing can go wrong any more.

    In production there is none: what is said goes into a journal, where no secret belongs.
    """
    if store.hold.because or await store.archive.api_keys():
        return
    production = is_production(os.environ)
    say("There is no API key: obligor keys create CLIENT makes one.\n" if production else await _first_key(store))


async def _first_key(store: Store) -> str:
    """Make a key that opens everything, and say it."""
    from obligor.security.api_keys import SCOPES
    from obligor.serving.people.issuing import issue

    by = read_author(os.environ) or "obligor"
    new = await issue(
        _FIRST_CLIENT, scopes=SCOPES, lasts=_FIRST_LASTS, by=by, recorder=store.recorder, sources=store.sources
    )
    return f"The first API key, shown this once, open to everything for {_FIRST_LASTS.days} days:\n\n    {new.text}\n"


async def _activate(store: Store, made: Made, say: Callable[[str], None], *, by: str) -> None:
    """Put in force what a service was begun with; where it waits for another person, the release before goes on."""
    from obligor.bootstrap.proposals import proposed
    from obligor.serving.rows import ProposalRow

    try:
        done = await put_in_force_together(store, made, by=by)
    except ForbiddenError as waiting:
        say(f"The card of this run is not in force: {waiting.message}\n")
        return
    if isinstance(done, ProposalRow):
        say("\n".join(["The card of this run is not in force:", *proposed(done).lines(), ""]))


def _is_in_force(made: Made, release: Release | None) -> bool:
    wanted = (made.card.sha256, made.policy.sha256)
    return release is not None and (release.card.sha256, release.policy.sha256) == wanted


async def open_newest(store: Store) -> Release | None:
    """Open the newest release that is kept, and check what was signed."""
    from obligor.security.signing import verify_statement
    from obligor.serving.releases.release import PURPOSE, open_release

    stored = await store.archive.release()
    if stored is None:
        return None
    key = store.key.verifier
    return open_release(stored, signed=lambda said, by: verify_statement(said, by, purpose=PURPOSE, key=key))


async def take_newest(
    store: Store, releases: Releases, meter: Meter, *, check: Callable[[Scorecard, Policy], None] = lambda *_: None
) -> None:
    """Take the newest release up; what is in force stays where it cannot be trusted, or ``check`` refuses the newest."""
    from obligor.serving.telemetry.meter import InForce

    if await store.archive.newest_release() <= releases.newest:
        await releases.look_after_profile()
        return
    release = await open_newest(store)
    if release is not None:
        check(release.card, release.policy)
    if release is not None and releases.take(release):
        pins = release.pins
        meter.in_force(
            InForce(release.number, release.card, pins["card_sha256"], pins["policy_sha256"], pins["profile_sha256"])
        )

"""What a decision service is made of, beneath its doors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from obligor.bootstrap.anchors import held_up
from obligor.bootstrap.decisions import make_decisions, take_newest
from obligor.bootstrap.gates import open_gates, open_screening
from obligor.bootstrap.law import refuse_forbidden_card
from obligor.bootstrap.people import open_identity
from obligor.bootstrap.privacy import open_sealer
from obligor.bootstrap.store import open_store
from obligor.bootstrap.webhooks import open_webhooks
from obligor.settings import read_gate_settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from contextlib import AsyncExitStack

    from obligor.bootstrap.decisions import Decisions
    from obligor.bootstrap.gates import Screening
    from obligor.bootstrap.people import Identity
    from obligor.bootstrap.store import Store
    from obligor.bootstrap.telemetry import Telemetry
    from obligor.bootstrap.webhooks import RunningWebhooks
    from obligor.core.profile import GateName
    from obligor.serving.audit.anchoring import Anchoring, AnchorState
    from obligor.serving.gates.gate import Gate
    from obligor.serving.http import Seats
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.refusals import Refusals
    from obligor.serving.releases.release import Releases
    from obligor.serving.telemetry.journal import Telling
    from obligor.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
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


async def open_parts(
    stack: AsyncExitStack,
    url: str,
    settings: Settings,
    telemetry: Telemetry,
    *,
    beginning: Callable[[Store], Awaitable[None]],
) -> Parts:
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
    return Parts(
        *(store, releases, anchoring, sealer, webhooks, screening, decisions, gates),
        *(identity, authenticator, refusals, seats),
    )


def _tell_of_anchor(journal: Telling, state: AnchorState) -> None:
    """Tell how an anchor does; which one, the counts say by its name."""
    if state.trouble is None:
        journal.tell("anchor", dependency="anchor", well=True, tree_size=state.size)
    else:
        journal.failed("anchor", state.trouble, dependency="anchor", well=False, attempt=state.failures)

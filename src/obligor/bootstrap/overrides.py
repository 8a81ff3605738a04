"""Overrides decisions from the command line, and lists overrides."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from obligor.bootstrap.acting import caller_acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.proposals import Proposed
from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import InvalidInputError
from obligor.security.permissions import allow

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from obligor.bootstrap.store import Store
    from obligor.serving.last_word import LastWord
    from obligor.serving.overrides.overriding import OverrideService
    from obligor.serving.register import Register
    from obligor.serving.releases.release import Releases
    from obligor.serving.rows import OverrideRow
    from obligor.serving.telemetry.meter import Meter
    from obligor.serving.webhooks.events import Listeners

_MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class Overridden:
    """What a person decided in place of a decision."""

    told: dict[str, Any]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.told

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        it = self.told
        until = f", to be paid out before {it['expires_at']}" if it["expires_at"] else ""
        return [f"decision {it['decision_id']}: {it['outcome']} ({it['direction']}), for {it['reason']}{until}"]


@dataclass(frozen=True, slots=True)
class Listed:
    """Overrides, the newest first, as they are at an instant."""

    overrides: tuple[OverrideRow, ...]
    words: Mapping[UUID, LastWord]
    """What was last said of their decisions."""
    at: datetime

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.overrides.override import plain

        return {"overrides": [plain(it, self.at, word=self.words.get(it.decision_id)) for it in self.overrides]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        from obligor.serving.overrides.override import state_of

        states = [state_of(it, self.at, word=self.words.get(it.decision_id)) for it in self.overrides]
        return [
            f"{it.decided_at:%Y-%m-%d %H:%M}Z  decision {it.decision_id}  {it.outcome:<7}  {it.direction:<9}  {it.reason}  "
            f"by {it.by}{f', {it.agreed_by} agreed' if it.agreed_by else ''}"
            f"{'' if state == 'in_force' else f'  {state.upper()}'}"
            for it, state in zip(self.overrides, states, strict=True)
        ] or ["Nobody overrode a decision."]


def override(
    decision_id: str, *, outcome: str, reason: str, rationale: str, factors: Sequence[str]
) -> Overridden | Proposed:
    """Decide in place of the policy, or propose to."""
    try:
        wanted = UUID(decision_id)
    except ValueError:
        raise InvalidInputError("DECISION_ID: wanted the id of a decision", hint="obligor overrides list") from None
    settings = service_settings()

    async def overridden(store: Store) -> Overridden | Proposed:
        from obligor.bootstrap.decisions import open_decisions, open_releases
        from obligor.bootstrap.webhooks import open_listeners
        from obligor.serving.people.proposals import ACCEPTED
        from obligor.serving.telemetry.meter import NoMeter

        caller = await caller_acting(store, "override.decide")
        async with open_decisions(store, settings) as decisions:
            service = open_override_service(
                store,
                decisions.register,
                await open_releases(store),
                listeners=await open_listeners(store.url),
                meter=NoMeter(),
            )
            body = {"outcome": outcome, "reason": reason, "rationale": rationale, "factors": list(factors)}
            recorded = await service.decide(caller, key=uuid4().hex, decision_id=wanted, body=body)
        told = json.loads(recorded.response)
        return Proposed(told) if recorded.status == ACCEPTED else Overridden(told)

    return with_anchored_store(overridden, settings)


def list_overrides() -> Listed:
    """Give the newest overrides; to who may read their own decisions, those of them alone."""

    async def listed(store: Store) -> Listed:
        caller = await caller_acting(store, "decision.read")
        own = caller.client_id if allow(caller, "decision.read").own else None
        found = await store.overrides.overrides(client_id=own, most=_MOST_LISTED)
        words = await store.archive.last_words([it.decision_id for it in found])
        return Listed(found, words, store.sources.now())

    return with_store(listed)


def open_override_service(
    store: Store, register: Register, releases: Releases, *, listeners: Listeners, meter: Meter
) -> OverrideService:
    """Build the use case of overrides; beyond a limit it takes two, also before there have been two administrators."""
    from obligor.serving.overrides.overriding import OverrideService
    from obligor.serving.people.proposals import Proposals

    return OverrideService(
        register=register,
        releases=releases,
        answers=store.archive,
        overrides=store.overrides,
        reviews=store.reviews,
        proposals=Proposals(store.proposals, store.people, store.recorder, store.sources),
        meter=meter,
        listeners=listeners,
    )

"""Overrides decisions from the command line, and lists and counts overrides."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid4

from obligor.bootstrap.acting import acting, caller_acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.proposals import Proposed
from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import InvalidInputError
from obligor.core.leaves import time_text
from obligor.security.permissions import allow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from obligor.bootstrap.store import Store
    from obligor.serving.last_word import LastWord
    from obligor.serving.overrides.override import Count
    from obligor.serving.overrides.overriding import OverrideService
    from obligor.serving.register import Register
    from obligor.serving.releases.release import Releases
    from obligor.serving.rows import OverrideRow
    from obligor.serving.telemetry.meter import Meter
    from obligor.serving.webhooks.events import Listeners

_MOST_LISTED: Final = 200
_KINDS: Final = ("direction", "outcome", "reason")
_FEWEST: Final = 5


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


@dataclass(frozen=True, slots=True)
class Report:
    """How often people decided in place of the policy: on which side of the cut-off, why, who, and with whom.

    Who always agrees to the same person's, and whose go one way while those of others do not, is for a person to look at.
    """

    decisions: int
    counts: tuple[Count, ...]
    since: datetime | None
    until: datetime | None

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``; a rate of nothing is none."""
        overrides = sum(it.number for it in self.counts)
        times = {"from": self.since, "to": self.until}
        return {
            **{name: None if it is None else time_text(it) for name, it in times.items()},
            "decisions": self.decisions,
            "overrides": overrides,
            "rate": _rate(overrides, self.decisions),
            **{name: self._by(name, overrides) for name in (*_KINDS, "by")},
            "pairs": self._pairs(),
            "one_way": list(self._one_way()),
        }

    def _pairs(self) -> list[dict[str, Any]]:
        """Tell who agreed to whose, and to what share of those that took two."""
        pairs, took_two = Counter[tuple[str, str]](), Counter[str]()
        for it in self.counts:
            if it.agreed_by is not None:
                pairs[it.by, it.agreed_by] += it.number
                took_two[it.by] += it.number
        return [
            {"by": by, "agreed_by": agreed_by, "count": count, "of_agreed": _rate(count, took_two[by])}
            for (by, agreed_by), count in sorted(pairs.items())
        ]

    def _one_way(self) -> Iterator[dict[str, Any]]:
        """Tell of whom all overrides are alike in what those of others are not; of few nothing is told."""
        for by in sorted({it.by for it in self.counts}):
            own = [it for it in self.counts if it.by == by]
            count = sum(it.number for it in own)
            for name in _KINDS if count >= _FEWEST else ():
                values = {getattr(it, name) for it in own}
                if len(values) == 1 and {getattr(it, name) for it in self.counts} != values:
                    yield {"by": by, "count": count, name: values.pop()}

    def _by(self, name: str, overrides: int) -> dict[str, dict[str, Any]]:
        found: Counter[str] = Counter()
        for it in self.counts:
            found[getattr(it, name)] += it.number
        return {
            value: {
                "count": count,
                "of_overrides": _rate(count, overrides),
                "of_decisions": _rate(count, self.decisions),
            }
            for value, count in sorted(found.items())
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = self.to_plain()
        told = [f"{said['overrides']:,} of {said['decisions']:,} decisions were overridden{_percent(said['rate'])}"]
        for name in ("direction", "outcome", "reason", "by"):
            told += [
                f"{name} {value}: {it['count']:,}{_percent(it['of_overrides'])}" for value, it in said[name].items()
            ]
        told += [
            f"by {it['by']}, {it['agreed_by']} agreed: {it['count']:,}{_percent(it['of_agreed'])} of what anybody agreed to"
            for it in said["pairs"]
        ]
        for it in said["one_way"]:
            *_, (name, value) = it.items()
            told.append(f"all {it['count']:,} by {it['by']} go one way: {name} {value}")
        return told


def _rate(count: int, of: int) -> float | None:
    return round(count / of, 6) if of else None


def _percent(rate: float | None) -> str:
    return "" if rate is None else f" ({rate:.2%})"


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


def report_overrides(*, since: datetime | None, until: datetime | None) -> Report:
    """Count the overrides of a time against its decisions, for who looks after the risk."""

    async def counted(store: Store) -> Report:
        await acting(store, "override.report")
        return Report(*await store.overrides.counts(since=since, until=until), since, until)

    return with_store(counted)


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

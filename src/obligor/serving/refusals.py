"""Refused and failed attempts, in the audit log: who was refused what, how often, minute by minute.

An attempt costs a count in memory. Once a minute each caller and route that was refused becomes one leaf of kind ``refused``,
with how often it was and why: whoever floods the service with attempts fills no log. Callers beyond a limit are told together.
Where the store does not answer, what was counted is kept for the next minute.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from obligor.core.errors import ObligorError
from obligor.core.leaves import actor, time_text
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from obligor.serving.acts import Caller, Recorder
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/refused/1"
EVERY_S: Final = 60.0
MOST_TOLD: Final = 200
"""Leaves of one minute, at most."""
NOBODY: Final = "unknown"
"""Whoever was not let in; no client is called so by us, and their network tells more."""
OTHERS: Final = "others"
TOLD_OF: Final = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 429: "limited"}
"""The statuses of answers that are counted, and what they are called."""


@dataclass(frozen=True, slots=True)
class _Attempt:
    by: str
    network: str
    route: str


@dataclass(slots=True)
class _Count:
    first: datetime
    last: datetime
    times: Counter[str] = field(default_factory=Counter)
    """By the reason."""


class Refuses(Protocol):
    """Where refused attempts are told."""

    def refused(self, caller: Caller | None, *, route: str, why: str, network: str = "") -> None:
        """Count an attempt."""
        ...


class NoRefusals:
    """Counts nothing."""

    def refused(self, caller: Caller | None, *, route: str, why: str, network: str = "") -> None:
        """Count nothing."""


class Refusals:
    """Counts what was refused, and records it; belongs to one event loop."""

    def __init__(
        self,
        recorder: Recorder,
        sources: Sources,
        *,
        most: int = MOST_TOLD,
        failed: Callable[[ObligorError], None] = lambda _: None,
    ) -> None:
        self._recorder, self._sources, self._most, self._failed = recorder, sources, most, failed
        self._counts: dict[_Attempt, _Count] = {}

    def refused(self, caller: Caller | None, *, route: str, why: str, network: str = "") -> None:
        """Count an attempt: ``route`` is the door's own name for it, ``why`` the kind of error."""
        by = actor(NOBODY) if caller is None else caller.by
        attempt, at = _Attempt(by, network if caller is None else "", route), self._sources.now()
        if attempt not in self._counts and len(self._counts) >= self._most:
            attempt = _Attempt(actor(NOBODY), OTHERS, OTHERS)
        known = self._counts.setdefault(attempt, _Count(at, at))
        known.times[why] += 1
        known.last = at

    async def run(self) -> None:
        """Record what was counted, once a minute, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.record()

    async def record(self) -> None:
        """Record what was counted so far: one leaf for each caller and route."""
        counts, self._counts = self._counts, {}
        if not counts:
            return
        acts = tuple(self._act(attempt, count) for attempt, count in counts.items())
        try:
            await self._recorder.record(Submission(acts, lambda _: b""))
        except ObligorError as error:
            self._failed(error)
            self._keep(counts)

    def _keep(self, counts: dict[_Attempt, _Count]) -> None:
        """Put back what could not be recorded, before what was counted meanwhile."""
        since, self._counts = self._counts, counts
        for attempt, count in since.items():
            known = counts.get(attempt)
            if known is not None:
                known.times.update(count.times)
                known.last = count.last
            elif len(counts) <= self._most:
                counts[attempt] = count

    def _act(self, attempt: _Attempt, count: _Count) -> Act:
        at = self._sources.now()
        refusal_id = str(self._sources.new_id(at))
        said = {
            "schema": SCHEMA,
            "refusal_id": refusal_id,
            "by": attempt.by,
            "network": attempt.network,
            "route": attempt.route,
            "times": dict(count.times),
            "first_at": time_text(count.first),
            "last_at": time_text(count.last),
        }
        return Act("refused", at, attempt.by, refusal_id, encode(said), self._sources.salt())

"""Applications that belong together are linked: sent again, contradicting one another, or of one person under many names.

It follows the decisions of the log, a few at a time, and compares each with earlier ones of the same client; the decision
itself waits for none of it, and is changed by none of it. What is compared are *marks*: keyed hashes of what an application
says of itself, each with what stands *beside* it, so that two with one mark are alike in the one and may differ in the other.
Nobody without the key of the deployment can try values against them, and marks of two clients are never alike.
"""

from __future__ import annotations

import asyncio
import hmac
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol

from obligor.core.errors import ObligorError
from obligor.core.leaves import parse_leaf, parse_time
from obligor.serving.gates.kyc import hashed
from obligor.serving.reviews.reviewing import REVIEW_AGAIN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from obligor.serving.archive import StoredDecision
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter

Kind = Literal["application", "person", "number", "named"]
AT_ONCE: Final = 50
"""Decisions in one step."""
SHARE, SHARE_WHILE_BUSY = 0.2, 0.005
"""Of the time, that a service spends on it: what a busy one leaves is done once it is not."""
_LOOK_S: Final = 2.0
_MARK_BYTES: Final = 16


class Mark(NamedTuple):
    """One thing by which an application is alike to others, and what is then compared."""

    leaf_index: int
    kind: Kind
    mark: bytes
    beside: bytes
    at: datetime
    key_id: bytes | None
    """The key that the application was sealed by: of whoever was erased meanwhile, no mark is kept."""


class Linkable(Protocol):
    """Where it is kept how far the log was followed, and what was found."""

    async def followed(self) -> int:
        """Give the leaf that comes next."""
        ...

    async def link(
        self, marks: Sequence[Mark], *, first: int, after: int, person_daily: int, at: datetime
    ) -> Mapping[str, int]:
        """Keep marks and what they link, and that the log was followed from one leaf to another; count the links, by why.

        Nothing is kept where another process was quicker.
        """
        ...


@dataclass(slots=True)
class Linking:
    """Links decisions.

    Parameters
    ----------
    decisions
        Gives some decisions in the order of the log, from a leaf on.
    open_records
        Gives the records of decisions, with what an applicant said in the clear; none of one whose data were erased.
    columns
        The columns of an applicant's name, date_of_birth and id_number.
    person_daily
        How many applications of one person within a day are not linked for their number; 0: any number.
    """

    store: Linkable
    decisions: Callable[[int], Awaitable[Sequence[StoredDecision]]]
    open_records: Callable[[Sequence[StoredDecision]], Awaitable[Sequence[Mapping[str, Any] | None]]]
    now: Callable[[], datetime]
    meter: Meter
    journal: Telling
    columns: Mapping[str, str]
    person_daily: int
    key: bytes = field(repr=False)
    busy: Callable[[], bool] = lambda: False
    """Tells whether others wait for this service."""
    _waits_since: datetime | None = field(default=None, init=False)
    """When the first decision was made that is still to be linked; None where there is none."""

    def behind_seconds(self) -> float:
        """Give how long ago the first decision was made that is still to be linked; 0 where there is none."""
        return 0.0 if self._waits_since is None else (self.now() - self._waits_since).total_seconds()

    async def step(self) -> bool:
        """Follow some decisions; False where there is none."""
        first = await self.store.followed()
        stored = await self.decisions(first)
        self._waits_since = parse_leaf(stored[0].leaf).at if stored else None
        if not stored:
            return False
        records = zip(stored, await self.open_records(stored), strict=True)
        marks = [mark for it, record in records if record is not None for mark in self._marks(it, record)]
        found = await self.store.link(
            marks, first=first, after=stored[-1].leaf_index + 1, person_daily=self.person_daily, at=self.now()
        )
        for why, count in found.items():
            self.meter.linked(why, count)
        if found:
            self.journal.tell("linked", links=sum(found.values()), tree_size=stored[-1].leaf_index + 1)
        return True

    async def run(self) -> None:
        """Go on for as long as the service runs, with a share of its time; what fails is tried again later."""
        while True:
            started = perf_counter()
            try:
                more = await self.step()
            except ObligorError as error:
                self.journal.failed("linking_failed", error, level="warning")
                more = False
            took = perf_counter() - started
            share = SHARE_WHILE_BUSY if self.busy() else SHARE
            await asyncio.sleep(took * (1 - share) / share if more else _LOOK_S)

    def _marks(self, stored: StoredDecision, record: Mapping[str, Any]) -> Iterator[Mark]:
        """Give the marks of an application; none of one that a review had decided on again, which is the same."""
        if record.get("route") == REVIEW_AGAIN:
            return
        at = parse_time(record["decided_at"])
        key_id = None if record.get("key_id") is None else bytes.fromhex(record["key_id"])
        for kind, said, beside in self._said(stored, record):
            mark = self._hash(kind, stored.client_id, said)
            yield Mark(stored.leaf_index, kind, mark, self._hash(kind, stored.client_id, said, beside), at, key_id)

    def _said(self, stored: StoredDecision, record: Mapping[str, Any]) -> Iterator[tuple[Kind, object, object]]:
        """Give what an application says by which it may be alike to others, and what is then compared."""
        application = record["application_id"]
        if application is not None:
            yield "application", application, record["input_sha256"]
        if record.get("subject") is not None:
            yield "person", record["subject"], str(stored.decision_id) if application is None else application
        name, born, number = (
            str(record["input"].get(self.columns[it]) or "") for it in ("name", "date_of_birth", "id_number")
        )
        if name and born and number:
            named, number = (hashed(name), born), hashed(number)  # whatever their blanks, dashes and capitals
            yield "number", number, named
            yield "named", named, number

    def _hash(self, *said: object) -> bytes:
        return hmac.digest(self.key, repr(said).encode(), "sha256")[:_MARK_BYTES]

"""Opens records for whoever may read them; one that was tampered with is refused, and told in the audit log and the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from obligor.core.errors import AuditError, SealError
from obligor.core.leaves import is_committed, parse_leaf, time_text
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.privacy.sealed import Opened
from obligor.serving.telemetry.journal import NoJournal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence
    from uuid import UUID

    from obligor.serving.acts import Recorder
    from obligor.serving.archive import Stored, StoredDecision
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.sources import Sources
    from obligor.serving.telemetry.journal import Telling
BROKEN: Final = "seal.broken"
_MOST_TOLD: Final = 1000


class Opener:
    """Opens records by a sealer; without one they are as they stand."""

    def __init__(
        self, sealer: Sealer | None, recorder: Recorder, sources: Sources, journal: Telling | None = None
    ) -> None:
        self._sealer, self._recorder, self._sources = sealer, recorder, sources
        self._journal = journal or NoJournal()
        self._told: set[str] = set()

    def broken(self) -> int:
        """Count the decisions that did not open, of which the first ``_MOST_TOLD`` are told."""
        return len(self._told)

    async def open(self, *stored: StoredDecision) -> list[Opened]:
        """Open the records of decisions.

        Raises
        ------
        SealError
            Where one was tampered with, sealed or not; the log tells so, once by each process.
        """
        return await self._telling(self._open(stored), tuple(str(it.decision_id) for it in stored))

    async def open_each(self, stored: Sequence[Stored]) -> list[Opened | SealError]:
        """Open records, each by itself where one of them was tampered with: it keeps nobody from the others."""
        try:
            return [*await self._open(stored)]
        except SealError:
            return [await self._one(it) for it in stored]

    async def _one(self, stored: Stored) -> Opened | SealError:
        try:
            (opened,) = await self._telling(self._open([stored]), (str(stored.decision_id),))
        except SealError as error:
            return error
        return opened

    async def open_of(self, decision_id: UUID, *bodies: bytes) -> list[Opened]:
        """Open what is kept beside a decision, such as the request for its review."""
        if self._sealer is None:
            return [Opened(msgspec.json.decode(it), erased=False) for it in bodies]
        return await self._telling(self._sealer.open_bodies(bodies), (str(decision_id),))

    async def _open(self, stored: Sequence[Stored]) -> list[Opened]:
        for it in stored:
            if not _is_committed(it):
                raise SealError(
                    f"decision {it.decision_id}: its record is not what leaf {it.leaf_index} commits to",
                    hint="obligor audit verify",
                )
        if self._sealer is None:
            return [Opened(msgspec.json.decode(it.record), erased=False) for it in stored]
        return await self._sealer.open(stored)

    async def _telling(self, opening: Awaitable[list[Opened]], names: tuple[str, ...]) -> list[Opened]:
        try:
            return await opening
        except SealError as error:
            await self._tell(next((it for it in names if it in error.message), names[0]), error)
            raise

    async def _tell(self, decision_id: str, error: SealError) -> None:
        if decision_id in self._told or len(self._told) >= _MOST_TOLD:
            return
        self._told.add(decision_id)
        self._journal.failed("record_broken", error, decision_id=decision_id)
        at = self._sources.now()
        said = {"schema": "obligor/seal/1", "decision_id": decision_id, "at": time_text(at), "why": error.message}
        act = Act(BROKEN, at, "person:obligor", decision_id, encode(said), self._sources.salt())
        await self._recorder.record(Submission((act,), lambda _: b""))


def _is_committed(stored: Stored) -> bool:
    try:
        return is_committed(parse_leaf(stored.leaf), record=stored.record, salt=stored.salt)
    except AuditError:
        return False

"""The register of decisions: it tells what was decided, explains and proves it, and takes what became of a loan.

A client is told of its own decisions and of no others; who reads those of everybody is told them masked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from obligor.core.errors import NotFoundError, SealError
from obligor.core.event_types import OUTCOME_REPORTED
from obligor.core.leaves import time_text
from obligor.security.permissions import allow, may
from obligor.serving.acts import Act, Submission
from obligor.serving.answers import answer_of, record_of, with_receipt
from obligor.serving.card_data import refuse_card_data
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.gates.gate import hides_from_receipts
from obligor.serving.idempotency import check_key, request_saying
from obligor.serving.outcomes import outcome_error, read_outcome
from obligor.serving.privacy.opening import Opener
from obligor.serving.releases.wording import in_words
from obligor.serving.rows import OutcomeRow
from obligor.serving.webhooks.events import Listeners, outcome_reported

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.archive import Archive, Search, StoredDecision
    from obligor.serving.last_word import LastWord
    from obligor.serving.outcomes import OutcomeReport
    from obligor.serving.privacy.sealed import Opened, Sealer
    from obligor.serving.releases.release import Release, Releases
    from obligor.serving.rows import Row
    from obligor.serving.sources import Sources
    from obligor.serving.telemetry.journal import Telling

OUTCOMES = "outcomes"


@dataclass(frozen=True, slots=True)
class SearchPage:
    """Decisions that were found, the newest first, and the index before which the next page begins."""

    decisions: tuple[dict[str, Any], ...]
    before: int | None


class Receipts(Protocol):
    """Where a decision is proved to be in the audit log."""

    async def receipt(self, stored: StoredDecision) -> dict[str, Any]:
        """Give the leaf, its place, the way to a signed checkpoint, and the record with its salt."""
        ...


class Register:
    """Tells of decisions that were made."""

    def __init__(
        self,
        *,
        archive: Archive,
        receipts: Receipts,
        releases: Releases,
        recorder: Recorder,
        sources: Sources,
        listeners: Listeners | None = None,
        sealer: Sealer | None = None,
        journal: Telling | None = None,
    ) -> None:
        """With the ``sealer`` of the service that decides, and its ``listeners``; the ``journal`` is told of broken records."""
        self._archive = archive
        self._receipts = receipts
        self._releases = releases
        self._recorder = recorder
        self._sources = sources
        self._listeners = listeners or Listeners()
        self.sealer = sealer
        self.opener = Opener(sealer, recorder, sources, journal)

    async def decision(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Give what was answered of a decision.

        Raises
        ------
        ForbiddenError, NotFoundError, UnavailableError
            As they say; of another client's decision there is none.
        """
        stored = await self.found(caller, decision_id)
        (opened,) = await self.opener.open(stored)
        word = await self.last_word(decision_id)
        return await self._told(caller, stored, opened.record, self._answer(stored, opened, word))

    async def search(self, caller: Caller, search: Search) -> SearchPage:
        """Find decisions of the caller, or of everybody for an auditor, the newest first.

        Of one whose record is not what was recorded, its id and that alone is told: it keeps nobody from the others.
        """
        own = allow(caller, "decision.read").own
        wanted = replace(search, client_id=caller.client_id) if own else search
        if self.sealer is not None and wanted.application_id is not None:
            wanted = replace(wanted, application_tag=self.sealer.keyring.tag(wanted.application_id))
        found = await self._archive.search(wanted)
        more = len(found) == wanted.limit
        words = await self._archive.last_words([it.decision_id for it in found])
        told = [
            {"decision_id": str(stored.decision_id), "broken": True}
            if isinstance(it, SealError)
            else await self._told(caller, stored, it.record, self._answer(stored, it, words.get(stored.decision_id)))
            for it, stored in zip(await self.opener.open_each(found), found, strict=True)
        ]
        return SearchPage(tuple(told), found[-1].leaf_index if more else None)

    async def last_word(self, decision_id: UUID) -> LastWord | None:
        """Give what a person last said of a decision, where anybody did."""
        return (await self._archive.last_words([decision_id])).get(decision_id)

    def _answer(self, stored: StoredDecision, opened: Opened, word: LastWord | None) -> dict[str, Any]:
        """Give what was answered of a decision, and what stands where people said something since."""
        stands = {} if word is None else {"stands": word.to_plain(self._sources.now())}
        return answer_of(opened.record, stored.leaf_index) | stands

    async def explanation(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Explain a decision by the card that made it: contributions, and the nearest changes that would be approved.

        Raises
        ------
        ErasedError
            Where what it was decided on was erased.
        """
        stored = await self.found(caller, decision_id)
        (opened,) = await self.opener.open(stored)
        record = opened.whole()
        release = await self.pinned(record)
        return await self._told(caller, stored, record, await asyncio.to_thread(release.explain, record))

    async def words(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Explain a decision in words from its record, for the person whom it is about."""
        return await asyncio.to_thread(in_words, await self.pinned(record), record)

    async def pinned(self, record: Mapping[str, Any]) -> Release:
        """Give the release by which a decision was made."""
        return await self._releases.pinned(record["pins"])

    async def _told(
        self, caller: Caller, stored: StoredDecision, record: Mapping[str, Any], answer: dict[str, Any]
    ) -> dict[str, Any]:
        """Tell an answer whole to whoever submitted the application, and masked to others."""
        if stored.client_id == caller.client_id:
            return answer
        return (await self.pinned(record)).masks.told(answer, "masked")

    async def receipt(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Prove that a decision is in the audit log: its leaf, its place, the way to a signed checkpoint.

        Its record is shown, but where the profile asks for screening only to those who may read alerts.
        """
        stored = await self.found(caller, decision_id)
        told = await self._receipts.receipt(stored)
        if hides_from_receipts(record_of(stored).get("gates", {})) and not may(caller, "alert.read"):
            told = {name: it for name, it in told.items() if name not in ("record", "salt")}
        return told

    async def report_outcome(
        self, caller: Caller, *, key: str, decision_id: UUID, report: bytes | Mapping[str, object]
    ) -> Recorded:
        """Record what became of a loan; a later report stands beside the earlier ones.

        Raises
        ------
        ForbiddenError, NotFoundError, ApplicationError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, "outcome.report")
        check_key(key)
        refuse_card_data(report)
        told = read_outcome(report)
        stored = await self.found(caller, decision_id, needed="outcome.report")
        at = self._sources.now()
        decided_on = record_of(stored)["decided_at"][:10]
        if not decided_on <= told.observed_on.isoformat() <= at.date().isoformat():
            raise outcome_error("observed_on", "wanted a day from that of the decision to today")
        act, answer = self._reported(caller, stored, told, at=at)
        said = [str(decision_id), told.status, told.observed_on.isoformat()]
        request = request_saying(caller, route=OUTCOMES, key=key, said=said, sealer=self.sealer)
        return await self._recorder.record(
            Submission((act,), partial(with_receipt, encode_in_order(answer)), request, 201)
        )

    def _reported(
        self, caller: Caller, stored: StoredDecision, told: OutcomeReport, *, at: datetime
    ) -> tuple[Act, dict[str, str]]:
        """Give the act of a report, and what is answered of it."""
        report_id = self._sources.new_id(at)
        answer = {
            "report_id": str(report_id),
            "decision_id": str(stored.decision_id),
            "status": told.status,
            "observed_on": told.observed_on.isoformat(),
            "reported_at": time_text(at),
        }
        body = {"schema": "obligor/outcome/1", "client_id": caller.client_id, **answer}
        rows: tuple[Row, ...] = (OutcomeRow(report_id, stored.decision_id, told.status, told.observed_on),)
        if self._listeners.want(stored.client_id, OUTCOME_REPORTED):
            rows += (outcome_reported(answer, stored, event_id=self._sources.new_id(at), at=at),)
        return Act("outcome", at, caller.by, str(report_id), encode(body), self._sources.salt(), rows), answer

    async def outcomes(self, caller: Caller, decision_id: UUID) -> list[dict[str, Any]]:
        """Give what was reported of a decision, in the order in which it was recorded."""
        stored = await self.found(caller, decision_id)
        rows = await self._archive.outcomes(decision_id, client_id=stored.client_id)
        return [
            {"report_id": str(it.report_id), "status": it.status, "observed_on": it.observed_on.isoformat()}
            for it in rows
        ]

    async def links(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Tell which other decisions of the same client belong together with one, and why; nothing of what they say."""
        found = await self._archive.links(await self.found(caller, decision_id))
        told = [
            {
                "decision_id": str(it.decision_id),
                "why": it.why,
                "is": "earlier" if it.earlier else "later",
                "linked_at": time_text(it.at),
            }
            for it in found.links
        ]
        return {"decision_id": str(decision_id), "compared": found.compared, "links": told}

    async def found(self, caller: Caller, decision_id: UUID, *, needed: str = "decision.read") -> StoredDecision:
        """Find a decision as it is kept, for a caller with the permission that is needed.

        Raises
        ------
        ForbiddenError, NotFoundError
            As they say; of another client's decision there is none.
        """
        own = allow(caller, needed).own
        stored = await self._archive.decision(decision_id, client_id=caller.client_id if own else None)
        if stored is None or (own and stored.client_id != caller.client_id):
            raise NotFoundError("there is no such decision")
        return stored

"""Makes a decision of an application that was read: the assessment, what is answered, and the act that is recorded.

All of it is in memory; nothing is waited for, and nothing counts before it is durable.
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from obligor.core.event_types import DECISION_MADE
from obligor.core.leaves import time_text
from obligor.serving.acts import Act, Submission
from obligor.serving.answers import with_receipt
from obligor.serving.encoding import encode_application, encode_in_order
from obligor.serving.idempotency import bound, kept_as
from obligor.serving.privacy.sealed import Sealed
from obligor.serving.records import gates_json, record_bytes, told_of
from obligor.serving.rows import DecisionRow
from obligor.serving.webhooks.events import decision_made

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from obligor.core.application import Application
    from obligor.serving.acts import Caller
    from obligor.serving.gates.gate import Judged
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.probing import Asked
    from obligor.serving.records import Told
    from obligor.serving.releases.release import Assessment, Release
    from obligor.serving.rows import Row, SubjectKeyRow
    from obligor.serving.sources import Sources
    from obligor.serving.webhooks.events import Listeners


class Made(msgspec.Struct, frozen=True):
    """A decision that is made and not recorded yet."""

    act: Act
    answer: bytes
    """Without its receipt, and without the application's name where the record is sealed."""
    key_kept: str
    """The idempotency key as it is kept."""
    input_sha256: bytes
    assessment: Assessment
    score_s: float
    application_id: str | None
    keys: tuple[SubjectKeyRow, ...]
    """Keys of subjects that are kept with it."""
    asked: Asked


class Maker:
    """Makes decisions; without a ``sealer`` records hold personal fields in the clear."""

    def __init__(self, sources: Sources, listeners: Listeners, sealer: Sealer | None) -> None:
        self._sources, self._listeners, self._sealer = sources, listeners, sealer

    def make(
        self,
        caller: Caller,
        release: Release,
        asked: Asked,
        *,
        at: datetime,
        key: str,
        route: str,
        judged: Judged,
    ) -> Made:
        """Decide on an application by a release, with what the gates said of it."""
        started, read = perf_counter(), asked.application
        assessment = release.assess(read, at=at, results=judged.results)
        score_s = perf_counter() - started
        row_id, application_id = self._sources.new_id(at), release.application_id(read)
        decision_id = str(row_id)
        input_json = encode_application(read)
        input_sha256 = sha256(input_json)
        kept = self._kept(
            release, read, input_json, input_sha256.hexdigest(), application_id, decision_id=row_id, at=at
        )
        told = told_of(
            assessment,
            decision_id=decision_id,
            application_id=application_id if kept.subject is None else None,  # where it is sealed: see ``named``
            decided_at=time_text(at),
            pins=release.pins_json,
        )
        key_kept = kept_as(self._sealer, key)
        record = record_bytes(
            assessment,
            gates=gates_json(assessment.decision, judged.evidence)
            if judged.results or assessment.scopes
            else release.unasked_json,
            pins=release.pins_json,
            told=told,
            kept=kept.record,
            client_id=caller.client_id,
            idempotency_key=key_kept,
            route=route,
        )
        rows = self._rows(caller, kept, told, row_id, assessment, at)
        act = Act("decision", at, caller.by, decision_id, record, self._sources.salt(), rows)
        return Made(
            act,
            encode_in_order(told),
            key_kept,
            input_sha256.digest(),
            assessment,
            score_s,
            application_id,
            kept.rows,
            asked,
        )

    def submission(self, caller: Caller, made: Made, *, route: str) -> Submission:
        """Give what is recorded of one decision, and the request that it answers."""
        request = bound(self._sealer, caller, route, made.key_kept, made.input_sha256)
        return Submission((made.act,), partial(with_receipt, made.answer), request, 201)

    def know_kept(self, made: Made) -> None:
        """Know that a decision is durable, and with it the keys that were made for it."""
        if made.keys and self._sealer is not None:
            self._sealer.kept(made.keys)

    def _rows(
        self, caller: Caller, kept: Sealed, told: Told, decision_id: UUID, assessment: Assessment, at: datetime
    ) -> tuple[Row, ...]:
        """Give what is kept beside a record: what it is searched by, new keys, and what its client is told."""
        tag = kept.record["application_id"]
        row = DecisionRow(
            decision_id,
            caller.client_id,
            tag,
            at,
            told.outcome,
            told.band,
            assessment.score.score,
            kept.subject,
        )
        if not self._listeners.want(caller.client_id, DECISION_MADE):
            return (row, *kept.rows)
        event_id = self._sources.new_id(at)
        event = decision_made(told, application_id=tag, event_id=event_id, client_id=caller.client_id, at=at)
        return (row, *kept.rows, event)

    def _kept(
        self,
        release: Release,
        read: Application,
        input_json: bytes,
        input_sha256: str,
        application_id: str | None,
        *,
        decision_id: UUID,
        at: datetime,
    ) -> Sealed:
        """Give what a record keeps of an application: sealed, where any of it is personal."""
        if self._sealer is None or not release.personal.any:
            plain = {"input": msgspec.Raw(input_json), "input_sha256": input_sha256}
            return Sealed({"schema": "obligor/decision/1", "application_id": application_id, **plain}, None, ())
        return self._sealer.seal(
            read,
            release.personal,
            decision_id=decision_id,
            application_id=application_id,
            input_sha256=input_sha256,
            at=at,
        )

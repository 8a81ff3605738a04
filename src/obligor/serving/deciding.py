"""The use case of the decision service, one for all its doors.

An application is read, scored, decided and worded by the release in force, in memory and without waiting; what came of it is
handed to the recorder, and answered once it is durable. What a caller may not do is refused here, so that no door forgets it.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from obligor.core.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    ObligorError,
    TooLargeError,
)
from obligor.core.leaves import time_text
from obligor.serving.acts import Act, DecisionRow, OutcomeRow, Recorded, Request, Submission
from obligor.serving.answers import answer_of, answered, record_of, with_receipt
from obligor.serving.encoding import encode, encode_application, encode_in_order
from obligor.serving.errors import problem_of
from obligor.serving.reports import read_report, report_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.acts import Archive, Caller, Recorder, Search, StoredDecision
    from obligor.serving.meter import Meter
    from obligor.serving.releases import Assessment, Release, Releases
    from obligor.serving.sources import Sources

MOST_AT_ONCE = 1000
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
DECISIONS, BULK, OUTCOMES = "decisions", "decisions/bulk", "outcomes"


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


class DecisionService:
    """Decides on applications, and tells what was decided."""

    def __init__(
        self,
        *,
        releases: Releases,
        recorder: Recorder,
        archive: Archive,
        receipts: Receipts,
        sources: Sources,
        meter: Meter,
    ) -> None:
        self._releases = releases
        self._recorder = recorder
        self._archive = archive
        self._receipts = receipts
        self._sources = sources
        self._meter = meter

    @property
    def release(self) -> Release:
        """The release in force.

        Raises
        ------
        UnavailableError
            Where there is none.
        """
        return self._releases.current

    async def decide(self, caller: Caller, *, key: str, application: bytes | Mapping[str, object]) -> Recorded:
        """Decide on one application and record it; the answer is that of ``answer_of``.

        Raises
        ------
        ForbiddenError, ApplicationError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        started = perf_counter()
        allow(caller, "decide")
        check_key(key)
        decided = self._decide(caller, self._releases.current, application, at=self._sources.now(), key=key)
        thought = perf_counter()
        request = Request(caller.client_id, DECISIONS, key, decided.input_sha256)
        submission = Submission((decided.act,), partial(with_receipt, decided.answer), request, 201)
        recorded = await self._recorder.record(submission)
        done = perf_counter()
        self._meter.stage("record", done - thought)
        self._meter.stage("whole", done - started)
        if not recorded.replayed:
            self._count(decided.assessment)
        return recorded

    async def decide_many(
        self, caller: Caller, *, key: str, applications: Sequence[bytes | Mapping[str, object]]
    ) -> Recorded:
        """Decide on several applications, which are recorded together: for each a decision, or the problem that it has.

        Raises
        ------
        TooLargeError
            Where there are more than a thousand.
        ForbiddenError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, "decide")
        check_key(key)
        if len(applications) > MOST_AT_ONCE:
            raise TooLargeError(f"applications: got {len(applications)}, wanted at most {MOST_AT_ONCE}")
        release = self._releases.current
        at = self._sources.now()
        results: list[_Decided | ObligorError] = []
        for application in applications:
            try:
                results.append(self._decide(caller, release, application, at=at, key=key, route=BULK))
            except InvalidInputError as error:
                results.append(error)
            await asyncio.sleep(0)  # others wait for the loop
        acts = tuple(it.act for it in results if isinstance(it, _Decided))
        respond = partial(_results_bytes, results)
        if not acts:
            return Recorded(respond(0), 200, replayed=False, leaf_index=-1)
        payload = sha256(b"".join(map(_fingerprint, applications, results)))
        request = Request(caller.client_id, BULK, key, payload.digest())
        recorded = await self._recorder.record(Submission(acts, respond, request))
        if not recorded.replayed:
            for it in results:
                if isinstance(it, _Decided):
                    self._count(it.assessment)
        return recorded

    def simulate(self, caller: Caller, application: bytes | Mapping[str, object]) -> dict[str, Any]:
        """Tell what would be decided; nothing is recorded, and the answer says so.

        Raises
        ------
        ForbiddenError, ApplicationError, UnavailableError
            As they say.
        """
        allow(caller, "simulate")
        release = self._releases.current
        at = self._sources.now()
        assessment = release.assess(release.read(application), at=at)
        told = answered(assessment.to_plain())
        return {"simulated": True, "decided_at": time_text(at)} | told | {"pins": release.pins}

    async def decision(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Give what was answered of a decision.

        Raises
        ------
        ForbiddenError, NotFoundError, UnavailableError
            As they say; of another client's decision there is none.
        """
        return answer_of(await self._found(caller, decision_id))

    async def search(self, caller: Caller, search: Search) -> SearchPage:
        """Find decisions of the caller, or of everybody for an auditor, the newest first."""
        allow(caller, "read", "audit")
        wanted = search
        if "audit" not in caller.scopes:
            wanted = replace(search, client_id=caller.client_id)
        found = await self._archive.search(wanted)
        more = len(found) == wanted.limit
        return SearchPage(tuple(answer_of(it) for it in found), found[-1].leaf_index if more else None)

    async def explanation(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Explain a decision by the card that made it: contributions, and the nearest changes that would be approved."""
        stored = await self._found(caller, decision_id)
        record = record_of(stored)
        release = await self._releases.pinned(record["pins"])
        return await asyncio.to_thread(release.explain, record)

    async def receipt(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Prove that a decision is in the audit log: its leaf, its place, the way to a signed checkpoint."""
        return await self._receipts.receipt(await self._found(caller, decision_id))

    async def report_outcome(
        self, caller: Caller, *, key: str, decision_id: UUID, report: bytes | Mapping[str, object]
    ) -> Recorded:
        """Record what became of a loan; a later report stands beside the earlier ones.

        Raises
        ------
        ForbiddenError, NotFoundError, ApplicationError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, "report")
        check_key(key)
        told = read_report(report)
        stored = await self._found(caller, decision_id, needed=("report",))
        at = self._sources.now()
        decided_on = record_of(stored)["decided_at"][:10]
        if not decided_on <= told.observed_on.isoformat() <= at.date().isoformat():
            raise report_error("observed_on", "wanted a day from that of the decision to today")
        report_id = self._sources.new_id(at)
        body = {
            "schema": "obligor/outcome/1",
            "report_id": str(report_id),
            "decision_id": str(decision_id),
            "client_id": caller.client_id,
            "reported_at": time_text(at),
            "status": told.status,
            "observed_on": told.observed_on.isoformat(),
        }
        row = OutcomeRow(report_id, decision_id, told.status, told.observed_on)
        act = Act(
            "outcome",
            at,
            f"client:{caller.client_id}",
            str(report_id),
            encode(body),
            self._sources.salt(),
            (row,),
        )
        answer = {name: body[name] for name in ("report_id", "decision_id", "status", "observed_on", "reported_at")}
        payload = sha256(encode([str(decision_id), told.status, body["observed_on"]])).digest()
        request = Request(caller.client_id, OUTCOMES, key, payload)
        return await self._recorder.record(
            Submission((act,), partial(with_receipt, encode_in_order(answer)), request, 201)
        )

    async def outcomes(self, caller: Caller, decision_id: UUID) -> list[dict[str, Any]]:
        """Give what was reported of a decision, in the order in which it was recorded."""
        await self._found(caller, decision_id)
        rows = await self._archive.outcomes(decision_id)
        return [
            {"report_id": str(it.report_id), "status": it.status, "observed_on": it.observed_on.isoformat()}
            for it in rows
        ]

    def _decide(
        self,
        caller: Caller,
        release: Release,
        application: bytes | Mapping[str, object],
        *,
        at: datetime,
        key: str,
        route: str = DECISIONS,
    ) -> _Decided:
        started = perf_counter()
        read = release.read(application)
        ready = perf_counter()
        assessment = release.assess(read, at=at)
        self._meter.stage("read", ready - started)
        self._meter.stage("score", perf_counter() - ready)
        decision_id = self._sources.new_id(at)
        application_id = release.application_id(read)
        head: dict[str, Any] = {
            "decision_id": str(decision_id),
            "application_id": application_id,
            "decided_at": time_text(at),
        }
        input_json = encode_application(read)
        input_sha256 = sha256(input_json)
        plain = assessment.to_plain()
        record = (
            head
            | {
                "schema": "obligor/decision/1",
                "client_id": caller.client_id,
                "idempotency_key": key,
                "route": route,
                "input": msgspec.Raw(input_json),
                "input_sha256": input_sha256.hexdigest(),
                "pins": release.pins,
            }
            | plain
        )
        row = DecisionRow(
            decision_id,
            caller.client_id,
            application_id,
            at,
            assessment.decision.outcome,
            assessment.score.band,
            assessment.score.score,
        )
        act = Act(
            "decision",
            at,
            f"client:{caller.client_id}",
            head["decision_id"],
            encode(record),
            self._sources.salt(),
            (row,),
        )
        answer = encode_in_order(head | answered(plain) | {"pins": release.pins})
        return _Decided(act, answer, input_sha256.digest(), assessment)

    def _count(self, assessment: Assessment) -> None:
        score, decision = assessment.score, assessment.decision
        self._meter.decided(
            outcome=decision.outcome,
            band=score.band,
            score=score.score,
            bins=score.bins,
            unusual=assessment.unusual,
        )

    async def _found(
        self, caller: Caller, decision_id: UUID, *, needed: tuple[str, ...] = ("read", "audit")
    ) -> StoredDecision:
        allow(caller, *needed)
        stored = await self._archive.decision(decision_id)
        if stored is None or (stored.client_id != caller.client_id and "audit" not in caller.scopes):
            raise NotFoundError("there is no such decision")
        return stored


@dataclass(frozen=True, slots=True)
class _Decided:
    act: Act
    answer: bytes
    """Without its receipt."""
    input_sha256: bytes
    assessment: Assessment


def _fingerprint(application: bytes | Mapping[str, object], result: _Decided | ObligorError) -> bytes:
    """Tell an application from others: by what it says where it could be read, and otherwise as it came."""
    if isinstance(result, _Decided):
        return result.input_sha256
    return sha256(application if isinstance(application, bytes) else json.dumps(application).encode()).digest()


def _results_bytes(results: Sequence[_Decided | ObligorError], leaf_index: int) -> bytes:
    parts, at = [], leaf_index
    for it in results:
        if isinstance(it, _Decided):
            parts.append(b'{"decision":%b}' % with_receipt(it.answer, at))
            at += 1
        else:
            parts.append(b'{"problem":%b}' % encode_in_order(problem_of(it)))
    return b'{"results":[%b]}' % b",".join(parts)


def allow(caller: Caller, *scopes: str) -> None:
    """Refuse a caller who has none of some scopes."""
    if not caller.scopes.intersection(scopes):
        raise ForbiddenError(f"this needs an API key with the scope {' or '.join(scopes)}")


def check_key(key: str) -> None:
    """Refuse what is no idempotency key.

    Raises
    ------
    InvalidInputError
        Where it is not of printable ASCII without blanks.
    """
    if not _KEY.fullmatch(key):
        raise InvalidInputError("Idempotency-Key: wanted 1 to 255 printable ASCII characters without blanks")

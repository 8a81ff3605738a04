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
    SealError,
    TooLargeError,
)
from obligor.core.leaves import time_text
from obligor.serving.acts import (
    Act,
    DecisionRow,
    OutcomeRow,
    Recorded,
    Request,
    SubjectKeyRow,
    Submission,
)
from obligor.serving.answers import answer_of, answered, record_of, with_receipt
from obligor.serving.encoding import encode, encode_application, encode_in_order
from obligor.serving.errors import problem_of
from obligor.serving.reports import read_report, report_error
from obligor.serving.sealed import Opened, named, named_in_bulk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.acts import Archive, Caller, Recorder, Search, StoredDecision
    from obligor.serving.meter import Meter
    from obligor.serving.releases import Assessment, Release, Releases
    from obligor.serving.sealed import Sealer
    from obligor.serving.sources import Sources

MOST_AT_ONCE = 1000
_MOST_TOLD_BROKEN = 1000
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
        sealer: Sealer | None = None,
    ) -> None:
        """Without a ``sealer`` records hold personal fields in the clear, as they once did; ``obligor serve`` has one."""
        self._releases = releases
        self._recorder = recorder
        self._archive = archive
        self._receipts = receipts
        self._sources = sources
        self._meter = meter
        self._sealer = sealer
        self._told_broken: set[UUID] = set()

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
        _allow(caller, "decide")
        _check_key(key)
        decided = self._decide(caller, self._releases.current, application, at=self._sources.now(), key=key)
        thought = perf_counter()
        request = Request(caller.client_id, DECISIONS, key, decided.fingerprint)
        submission = Submission((decided.act,), partial(with_receipt, decided.answer), request, 201)
        recorded = await self._recorder.record(submission)
        done = perf_counter()
        self._meter.stage("record", done - thought)
        self._meter.stage("whole", done - started)
        if not recorded.replayed:
            self._count(decided.assessment)
            self._know_kept(decided)
        return _answering(recorded, named(recorded.response, decided.application_id))

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
        _allow(caller, "decide")
        _check_key(key)
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
        decided = [it for it in results if isinstance(it, _Decided)]
        payload = self._fingerprint(sha256(b"".join(map(_fingerprint, applications, results))).digest())
        request = Request(caller.client_id, BULK, key, payload)
        recorded = await self._recorder.record(Submission(acts, respond, request))
        if not recorded.replayed:
            for it in decided:
                self._count(it.assessment)
                self._know_kept(it)
        return _answering(recorded, named_in_bulk(recorded.response, [it.application_id for it in decided]))

    def simulate(self, caller: Caller, application: bytes | Mapping[str, object]) -> dict[str, Any]:
        """Tell what would be decided; nothing is recorded, and the answer says so.

        Raises
        ------
        ForbiddenError, ApplicationError, UnavailableError
            As they say.
        """
        _allow(caller, "simulate")
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
        stored = await self._found(caller, decision_id)
        (opened,) = await self._opened(stored)
        return answer_of(opened.record, stored.leaf_index)

    async def search(self, caller: Caller, search: Search) -> SearchPage:
        """Find decisions of the caller, or of everybody for an auditor, the newest first."""
        _allow(caller, "read", "audit")
        wanted = search
        if "audit" not in caller.scopes:
            wanted = replace(search, client_id=caller.client_id)
        if self._sealer is not None and wanted.application_id is not None:
            wanted = replace(wanted, application_tag=self._sealer.keyring.tag(wanted.application_id))
        found = await self._archive.search(wanted)
        more = len(found) == wanted.limit
        told = (
            answer_of(it.record, stored.leaf_index)
            for it, stored in zip(await self._opened(*found), found, strict=True)
        )
        return SearchPage(tuple(told), found[-1].leaf_index if more else None)

    async def explanation(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Explain a decision by the card that made it: contributions, and the nearest changes that would be approved.

        Raises
        ------
        ErasedError
            Where what it was decided on was erased.
        """
        (opened,) = await self._opened(await self._found(caller, decision_id))
        record = opened.whole()
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
        _allow(caller, "report")
        _check_key(key)
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
        said: dict[str, Any] = {
            "client_id": caller.client_id,
            "idempotency_key": key,
            "route": route,
            "pins": release.pins,
        }
        tag, subject = application_id, None
        keys: tuple[SubjectKeyRow, ...] = ()
        told = head
        if self._sealer is None:
            said |= {
                "schema": "obligor/decision/1",
                "input": msgspec.Raw(input_json),
                "input_sha256": input_sha256.hexdigest(),
            }
        else:
            parts, tag, subject, keys = self._sealer.seal(
                read,
                release.personal,
                decision_id=decision_id,
                application_id=application_id,
                input_sha256=input_sha256.hexdigest(),
                at=at,
            )
            said |= parts
            told = head | {"application_id": None}  # what is kept of the answer; see ``named``
        row = DecisionRow(
            decision_id,
            caller.client_id,
            tag,
            at,
            assessment.decision.outcome,
            assessment.score.band,
            assessment.score.score,
            subject,
        )
        act = Act(
            "decision",
            at,
            f"client:{caller.client_id}",
            head["decision_id"],
            encode(head | said | plain),
            self._sources.salt(),
            (row, *keys),
        )
        answer = encode_in_order(told | answered(plain) | {"pins": release.pins})
        fingerprint = self._fingerprint(input_sha256.digest())
        return _Decided(act, answer, fingerprint, assessment, application_id, keys)

    def _fingerprint(self, payload_sha256: bytes) -> bytes:
        """Tell a payload from others; by a key where one is held, so that nobody can try values against what is kept."""
        return payload_sha256 if self._sealer is None else self._sealer.keyring.fingerprint(payload_sha256)

    def _know_kept(self, decided: _Decided) -> None:
        if self._sealer is not None:
            self._sealer.kept(decided.keys)

    async def _opened(self, *stored: StoredDecision) -> list[Opened]:
        """Open records; one that was tampered with is told in the log, once by each process, and refused."""
        if self._sealer is None:
            return [Opened(record_of(it), erased=False) for it in stored]
        try:
            return await self._sealer.open(stored)
        except SealError as error:
            await self._tell_broken(stored, error)
            raise

    async def _tell_broken(self, stored: Sequence[StoredDecision], error: SealError) -> None:
        name = next((it for it in stored if str(it.decision_id) in error.message), stored[0]).decision_id
        if name in self._told_broken or len(self._told_broken) >= _MOST_TOLD_BROKEN:
            return
        self._told_broken.add(name)
        at = self._sources.now()
        said = {
            "schema": "obligor/seal/1",
            "decision_id": str(name),
            "at": time_text(at),
            "why": error.message,
        }
        act = Act("seal.broken", at, "person:obligor", str(name), encode(said), self._sources.salt())
        await self._recorder.record(Submission((act,), lambda _: b""))

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
        _allow(caller, *needed)
        stored = await self._archive.decision(decision_id)
        if stored is None or (stored.client_id != caller.client_id and "audit" not in caller.scopes):
            raise NotFoundError("there is no such decision")
        return stored


@dataclass(frozen=True, slots=True)
class _Decided:
    act: Act
    answer: bytes
    """Without its receipt, and without the application's name where the record is sealed."""
    fingerprint: bytes
    assessment: Assessment
    application_id: str | None
    keys: tuple[SubjectKeyRow, ...]


def _fingerprint(application: bytes | Mapping[str, object], result: _Decided | ObligorError) -> bytes:
    """Tell an application from others: by what it says where it could be read, and otherwise as it came."""
    if isinstance(result, _Decided):
        return result.fingerprint
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


def _answering(recorded: Recorded, response: bytes) -> Recorded:
    """Give what was recorded with the answer as it is told."""
    if response is recorded.response:
        return recorded
    return Recorded(response, recorded.status, recorded.replayed, recorded.leaf_index)


def _allow(caller: Caller, *scopes: str) -> None:
    if not caller.scopes.intersection(scopes):
        raise ForbiddenError(f"this needs an API key with the scope {' or '.join(scopes)}")


def _check_key(key: str) -> None:
    if not _KEY.fullmatch(key):
        raise InvalidInputError("Idempotency-Key: wanted 1 to 255 printable ASCII characters without blanks")

"""Review on request: an applicant asks that a person looks at a decision, says why, and corrects what is wrong.

A request runs against the clock of the rule pack that applies. The person who answers is not the one who decided: of a decision
by the card, not the one who put its release in force, nor the one who submitted it. The first decision never changes. What
comes of a review is a record of its own that names it, with the factors that the reviewer looked at as its reasons; a corrected
application is decided again, as a decision of its own that the review names.

What the applicant wrote stands in the record of the request, sealed under their key, and nowhere else: no list, answer, leaf or
line of the journal repeats it. A person who may decide on the review is shown it, and that they looked is recorded. The
factors of the reviewer are sealed alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.core.errors import (
    ClashError,
    ForbiddenError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
)
from obligor.core.leaves import time_text
from obligor.core.reasons import MOST_REASONS
from obligor.governance.law.packs import review_due
from obligor.security.permissions import allow, may
from obligor.serving.acts import Act, Caller, Request, ReviewDecisionRow, ReviewRow, Submission
from obligor.serving.answers import with_receipt
from obligor.serving.card_data import refuse_card_data
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.idempotency import check_key, request_of
from obligor.serving.once import once, read_said
from obligor.serving.review_requests import asked_error, read_asked
from obligor.serving.sealed import SEALED_FINDING, SEALED_REVIEW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.law.packs import Pack
    from obligor.serving.acts import Recorded, Recorder, StoredDecision, SubjectKeyRow
    from obligor.serving.deciding import DecisionService
    from obligor.serving.register import Register
    from obligor.serving.sealed import Opened
    from obligor.serving.sources import Sources

REVIEW_REQUESTS: Final = "review-requests"
REVIEW_DECISIONS: Final = "review-decisions"
MOST_FOUND_BYTES: Final = 1 << 13
MOST_LISTED: Final = 200
Verdict = Literal["kept", "changed"]
HOUSE_DAYS: Final = 30
"""The lender's own period where no active pack sets one."""
_MOST_FACTOR: Final = 300
_MOST_NAME: Final = 100


class StoredReview(NamedTuple):
    """A review as it is kept, without what the applicant wrote."""

    review_id: UUID
    decision_id: UUID
    client_id: str
    requested_at: datetime
    due_at: datetime
    """The instant from which it is late."""
    pack: str
    """The rule pack whose clock it is; empty: the lender's own."""
    verdict: Verdict | None
    """None while it is open."""
    outcome: str | None
    decided_at: datetime | None
    by: str | None
    new_decision_id: UUID | None

    def late(self, at: datetime) -> bool:
        """Whether it was, or still is, answered too late."""
        return (self.decided_at or at) >= self.due_at


class ReviewArchive(Protocol):
    """Where reviews are found again."""

    async def review(self, review_id: UUID) -> StoredReview | None:
        """Find a review."""
        ...

    async def request_of(self, review_id: UUID) -> bytes | None:
        """Give the record of the request for a review: what the applicant wrote."""
        ...

    async def decision_of(self, review_id: UUID) -> bytes | None:
        """Give the record of what came of a review."""
        ...

    async def reviews_of(self, decision_id: UUID) -> tuple[StoredReview, ...]:
        """Give the reviews of a decision, in the order of the log."""
        ...

    async def open_reviews(self) -> tuple[StoredReview, ...]:
        """Give the reviews that wait for an answer, the one that is due first first."""
        ...

    async def activated_by(self, release: int) -> str | None:
        """Name the person who put a release in force."""
        ...


class Decisions(Protocol):
    """Where decisions and answers are found."""

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision, of one client where one is named."""
        ...

    async def answer(self, request: Request) -> tuple[bytes, Recorded] | None:
        """Give the hash of the payload and the answer that a request was given, where it was recorded."""
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a reviewer finds."""

    outcome: Literal["approve", "decline"] | None
    """What they decide; none: that the corrected application is decided again."""
    factors: tuple[str, ...] = ()
    """What they looked at, in words that the applicant may read; the reasons of a decline."""


class ReviewService:
    """Takes requests for reviews, and what comes of them."""

    def __init__(
        self,
        *,
        decisions: DecisionService,
        register: Register,
        archive: Decisions,
        reviews: ReviewArchive,
        recorder: Recorder,
        sources: Sources,
        packs: Sequence[Pack] = (),
    ) -> None:
        self._decisions = decisions
        self._register = register
        self._archive = archive
        self._reviews = reviews
        self._recorder = recorder
        self._sources = sources
        self._packs = tuple(packs)

    async def request(
        self, caller: Caller, *, key: str, decision_id: UUID, body: bytes | Mapping[str, Any]
    ) -> Recorded:
        """Record that an applicant asks for a review; the answer says by when it is due.

        Raises
        ------
        ForbiddenError, NotFoundError, ApplicationError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        ClashError
            Where a review of this decision is open.
        """
        allow(caller, "review.request")
        check_key(key)
        refuse_card_data(body)
        asked = read_asked(body)
        stored = await self._register.found(caller, decision_id, needed="review.request")
        (opened,) = await self._register.opener.open(stored)
        record = opened.record
        self._corrected(opened, asked.corrections)
        payload = sha256(encode([str(decision_id), asked.statement, asked.corrections])).digest()
        request = request_of(self._register.sealer, caller, REVIEW_REQUESTS, key, payload)
        earlier = await self._reviews.reviews_of(decision_id)
        at = self._sources.now()
        review_id = self._sources.new_id(at)
        due = review_due(self._packs, outcome=record["outcome"], requested=at.astimezone(UTC).date())
        last = due.by if due else at.astimezone(UTC).date() + timedelta(days=HOUSE_DAYS)
        row = ReviewRow(
            review_id,
            decision_id,
            stored.client_id,
            at,
            datetime.combine(last + timedelta(days=1), time(), tzinfo=UTC),
            due.pack if due else "",
        )
        told = {
            "review_id": str(review_id),
            "decision_id": str(decision_id),
            "requested_at": time_text(at),
            "due_on": last.isoformat(),
            "pack": row.pack or None,
            "state": "open",
        }
        wrote = {"statement": asked.statement, "corrections": asked.corrections}
        kept, keys = self._kept("obligor/review/1", SEALED_REVIEW, wrote, of=record, row=review_id, at=at)
        said = {
            "review_id": str(review_id),
            "decision_id": str(decision_id),
            "client_id": stored.client_id,
            "requested_at": time_text(at),
            "due_at": time_text(row.due_at),
            "pack": row.pack,
            "rule": due.rule if due else None,
        }
        act = Act(
            "review.requested",
            at,
            caller.by,
            str(review_id),
            encode(said | kept),
            self._sources.salt(),
            (row, *keys),
        )
        if any(it.verdict is None for it in earlier) and await self._archive.answer(request) is None:
            raise ClashError("a review of this decision is open; its answer comes first")
        respond = partial(with_receipt, encode_in_order(told))
        recorded = await self._recorder.record(Submission((act,), respond, request, 201))
        self._know_kept(recorded, keys)
        return recorded

    async def reviews(self, caller: Caller, decision_id: UUID) -> list[dict[str, Any]]:
        """Tell which reviews of a decision were asked for, and what came of them; never what the applicant wrote."""
        await self._register.found(caller, decision_id, needed="review.read")
        at = self._sources.now()
        return [plain(it, at) for it in await self._reviews.reviews_of(decision_id)]

    async def waiting(self) -> tuple[StoredReview, ...]:
        """Give the reviews that wait for an answer."""
        return await self._reviews.open_reviews()

    async def listed(self, caller: Caller) -> list[dict[str, Any]]:
        """Tell which reviews wait for an answer, the one that is due first first; to a client its own."""
        own, at = allow(caller, "review.read").own, self._sources.now()
        found = [it for it in await self._reviews.open_reviews() if not own or it.client_id == caller.client_id]
        return [plain(it, at) for it in found[:MOST_LISTED]]

    async def read(self, caller: Caller, review_id: UUID) -> dict[str, Any]:
        """Tell of a review; to a person who may decide on it, also what the applicant wrote, and that is an act of theirs.

        Raises
        ------
        ForbiddenError, NotFoundError, UnavailableError
            As they say; of another client's review there is none.
        """
        own = allow(caller, "review.read").own
        review = await self._reviews.review(review_id)
        if review is None or (own and review.client_id != caller.client_id):
            raise NotFoundError("there is no such review")
        told = plain(review, self._sources.now())
        if caller.kind != "person" or not may(caller, "review.decide"):
            return told | {"statement": None, "corrections": None}
        kept = await self._reviews.request_of(review_id)
        opened = await self._register.opener.open_of(review.decision_id, *(() if kept is None else (kept,)))
        asked = {} if not opened or opened[0].erased else opened[0].whole()
        await self._recorder.record(Submission((self._reading(caller, review),), lambda _: b""))
        return told | {name: asked.get(name) for name in ("statement", "corrections")}

    async def answer(self, caller: Caller, *, key: str, review_id: UUID, body: bytes) -> Recorded:
        """Record what a person found, once for an idempotency key.

        Raises
        ------
        ForbiddenError, NotFoundError, ClashError, InvalidInputError, KeyReusedError, InFlightError, UnavailableError
            As ``decide`` does, and as they say.
        """
        allow(caller, "review.decide")
        if caller.kind != "person":
            raise ForbiddenError("a review is for a person, who signs in")
        said = read_said(body, Found, most=MOST_FOUND_BYTES)
        check_key(key)
        finding = Finding(None if said.outcome == "again" else said.outcome, said.factors)
        payload = sha256(encode([str(review_id), said.outcome, said.factors])).digest()
        return await once(
            *(self._archive, self._recorder),
            request_of(self._register.sealer, caller, REVIEW_DECISIONS, key, payload),
            lambda recorder: self.decide(review_id, finding, by=caller.subject, recorder=recorder),
            told=_told_of_answer,
        )

    async def decide(
        self, review_id: UUID, finding: Finding, *, by: str, recorder: Recorder | None = None
    ) -> StoredReview:
        """Record what a person found; ``by`` names them.

        Raises
        ------
        NotFoundError
            Where there is no such review.
        ForbiddenError
            Where the person took part in the decision.
        ClashError
            Where it was decided before.
        InvalidInputError
            Where the finding does not say why it declines, or there is nothing to decide again.
        """
        review = await self._reviews.review(review_id)
        if review is None:
            raise NotFoundError("there is no such review")
        if review.verdict is not None:
            raise _decided()
        stored = await self._archive.decision(review.decision_id)
        if stored is None:
            raise IntegrityError("the decision of this review is not kept")
        (opened,) = await self._register.opener.open(stored)
        record = opened.record
        await self._check_reviewer(by, record)
        _check_factors(finding)
        again = await self._decide_again(review, opened) if finding.outcome is None else None
        outcome = again.outcome if again else finding.outcome or ""
        at = self._sources.now()
        verdict: Verdict = "kept" if outcome == record["outcome"] else "changed"
        row = ReviewDecisionRow(review_id, verdict, outcome, at, by, again.decision_id if again else None)
        named = {"factors": [{"code": "review", "text": it} for it in finding.factors]}
        kept, keys = self._kept("obligor/review-decision/1", SEALED_FINDING, named, of=record, row=review_id, at=at)
        said = {
            "review_id": str(review_id),
            "decision_id": str(review.decision_id),
            "client_id": review.client_id,
            "verdict": verdict,
            "outcome": outcome,
            "decided_at": time_text(at),
            "by": by,
            "new_decision_id": str(again.decision_id) if again else None,
        }
        body = encode(said | kept)
        act = Act("review.decided", at, f"person:{by}", str(review_id), body, self._sources.salt(), (row, *keys))
        try:
            recorded = await (recorder or self._recorder).record(Submission((act,), lambda _: b""))
            self._know_kept(recorded, keys)
        except IntegrityError:
            raise await self._why_not(review_id) from None
        return review._replace(
            verdict=verdict, outcome=outcome, decided_at=at, by=by, new_decision_id=row.new_decision_id
        )

    # The parts of it

    def _kept(
        self, plain: str, sealed: str, said: dict[str, Any], *, of: Mapping[str, Any], row: UUID, at: datetime
    ) -> tuple[dict[str, Any], tuple[SubjectKeyRow, ...]]:
        """Give what a record keeps of what somebody wrote: sealed for whom the decision is about, where there is a sealer."""
        sealer = self._register.sealer
        if sealer is None:
            return {"schema": plain, **said}, ()
        kept = sealer.seal_of(of, sealed, said, row=row, at=at)
        return kept.record, kept.rows

    def _know_kept(self, recorded: Recorded, keys: tuple[SubjectKeyRow, ...]) -> None:
        if self._register.sealer is not None and not recorded.replayed:
            self._register.sealer.kept(keys)

    def _corrected(self, opened: Opened, corrections: Mapping[str, Any]) -> dict[str, Any]:
        """Put corrections into an application, which must be one that can be read, and of the same name."""
        if not corrections:
            return {}
        record, release = opened.whole(), self._decisions.release
        corrected = {**record["input"], **corrections}
        read = release.read(corrected)
        if release.application_id(read) != record["application_id"]:
            raise asked_error("corrections", "may not change what the application is called")
        return corrected

    async def _decide_again(self, review: StoredReview, opened: Opened) -> _Again:
        """Decide on the corrected application as its client's; asked twice, it is decided once."""
        kept = await self._reviews.request_of(review.review_id)
        said = await self._register.opener.open_of(review.decision_id, *(() if kept is None else (kept,)))
        corrections = said[0].whole()["corrections"] if said else {}
        if not corrections:
            raise InvalidInputError("the applicant corrected nothing; wanted what the reviewer decides")
        client = Caller(review.client_id, "", frozenset({"decide"}), datetime.max.replace(tzinfo=UTC))
        recorded = await self._decisions.decide(
            client, key=f"review:{review.review_id}", application=self._corrected(opened, corrections)
        )
        return msgspec.json.decode(recorded.response, type=_Again)

    async def _check_reviewer(self, by: str, record: Mapping[str, Any]) -> None:
        if not by.strip() or len(by) > _MOST_NAME or not by.isprintable():
            raise InvalidInputError("a review is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        took_part = [await self._reviews.activated_by(record["pins"]["release"]), record["client_id"]]
        if _person(by) in {_person(it) for it in took_part if it}:
            raise ForbiddenError("a review is for a person who took no part in the decision; wanted somebody else")

    def _reading(self, caller: Caller, review: StoredReview) -> Act:
        at = self._sources.now()
        said = {
            "schema": "obligor/review-read/1",
            "review_id": str(review.review_id),
            "by": caller.by,
            "at": time_text(at),
        }
        return Act("review.read", at, caller.by, str(review.review_id), encode(said), self._sources.salt())

    async def _why_not(self, review_id: UUID) -> Exception:
        """Tell whether somebody else was quicker."""
        review = await self._reviews.review(review_id)
        return _decided() if review is not None and review.verdict is not None else IntegrityError("not recorded")


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reviewer says over a door."""

    outcome: Literal["approve", "decline", "again"]
    """`again`: the application is decided again, as the applicant corrected it."""
    factors: tuple[str, ...] = ()


class _Again(msgspec.Struct, frozen=True):
    """What is read of the answer of a decision."""

    decision_id: UUID
    outcome: str


def plain(review: StoredReview, at: datetime) -> dict[str, Any]:
    """Tell of a review what may be told of it to whoever may see its decision."""
    return {
        "review_id": str(review.review_id),
        "decision_id": str(review.decision_id),
        "requested_at": time_text(review.requested_at),
        "due_on": (review.due_at - timedelta(days=1)).date().isoformat(),
        "pack": review.pack or None,
        "state": "open" if review.verdict is None else "decided",
        "late": review.late(at),
        "verdict": review.verdict,
        "outcome": review.outcome,
        "decided_at": None if review.decided_at is None else time_text(review.decided_at),
        "new_decision_id": None if review.new_decision_id is None else str(review.new_decision_id),
    }


def _told_of_answer(submission: Submission) -> dict[str, Any]:
    told = ("review_id", "verdict", "outcome", "decided_at", "new_decision_id")
    said = msgspec.json.decode(submission.acts[0].record)
    return {name: said[name] for name in told}


def _check_factors(finding: Finding) -> None:
    if len(finding.factors) > MOST_REASONS:
        raise InvalidInputError(f"review: {len(finding.factors)} factors; wanted at most {MOST_REASONS}")
    for it in finding.factors:
        if not it.strip() or len(it) > _MOST_FACTOR or not it.isprintable():
            raise InvalidInputError(f"review: a factor: wanted one line of at most {_MOST_FACTOR} characters")
    if finding.outcome is not None and not finding.factors:
        raise InvalidInputError("review: wanted the factors that the reviewer looked at, at least one")
    if finding.outcome is None and finding.factors:
        raise InvalidInputError("review: what is decided again has reasons of its own; wanted no factors")


def _person(name: str) -> str:
    """Name a person so that two spellings of one name are one."""
    return " ".join(name.removeprefix("person:").casefold().split())


def _decided() -> ClashError:
    return ClashError("this review was decided before; what came of it stays")

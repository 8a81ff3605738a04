"""Review on request: an applicant asks that a person looks at a decision, says why, and corrects what is wrong.

A request runs against the clock of the rule pack that applies. The person who answers is not the one who decided: of a decision
by the card, not the one who put its release in force, nor the one who submitted it. The first decision never changes. What
comes of a review is a record of its own that names it, with the factors that the reviewer looked at as its reasons; a corrected
application is decided again, as a decision of its own that the review names. Against an enforced gate that did not pass, no
review approves: which one it is, and why, may not be known to the reviewer.

What the applicant wrote stands in the record of the request, sealed under their key, and nowhere else: no list, answer, leaf or
line of the journal repeats it. A person who may decide on the review is shown it, and that they looked is recorded. The
factors of the reviewer are sealed alike.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import msgspec

from obligor.core.errors import ClashError, ForbiddenError, GateError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.event_types import DECISION_REVIEWED
from obligor.core.people import check_took_no_part
from obligor.core.profile import not_passed
from obligor.governance.law.packs import Due, review_due
from obligor.security.permissions import allow, may
from obligor.serving.acts import Caller, Submission
from obligor.serving.idempotency import check_key, request_saying
from obligor.serving.once import Answers, once
from obligor.serving.privacy.steps import record_step
from obligor.serving.reviews.lateness import Lateness, late_review
from obligor.serving.reviews.review import (
    MOST_FOUND_BYTES,
    Finding,
    Found,
    asked_error,
    check_finding,
    plain,
    read_asked,
)
from obligor.serving.reviews.steps import decided, read_by, requested, told_of_answer, told_of_request
from obligor.serving.rows import ReviewDecisionRow, ReviewRow
from obligor.serving.said import read_said
from obligor.serving.webhooks.events import Listeners, decision_reviewed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.law.packs import Pack
    from obligor.serving.acts import Recorded, Recorder, Request
    from obligor.serving.archive import StoredDecision
    from obligor.serving.deciding import DecisionService
    from obligor.serving.privacy.sealed import Opened
    from obligor.serving.privacy.steps import Step
    from obligor.serving.register import Register
    from obligor.serving.reviews.review import ReviewArchive, StoredReview, Verdict
    from obligor.serving.rows import Row
    from obligor.serving.sources import Sources

REVIEW_REQUESTS: Final = "review-requests"
REVIEW_DECISIONS: Final = "review-decisions"
REVIEW_AGAIN: Final = "review-decisions/again"
"""The route of a decision that a review makes: no client sends a request there, and takes its key first."""
MOST_LISTED: Final = 200
HOUSE_DAYS: Final = 30
"""The lender's own period where no active pack sets one."""
_MOST_NAME: Final = 100


class Decisions(Answers, Protocol):
    """Where decisions and answers are found."""

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision, of one client where one is named."""
        ...


class _Again(msgspec.Struct, frozen=True):
    """What is read of the answer of a decision."""

    decision_id: UUID
    outcome: str


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
        listeners: Listeners | None = None,
    ) -> None:
        """With the ``listeners`` of the service that decides."""
        self._decisions = decisions
        self._register = register
        self._archive = archive
        self._reviews = reviews
        self._recorder = recorder
        self._sources = sources
        self._packs = tuple(packs)
        self._listeners = listeners or Listeners()
        self._lateness = Lateness(archive, recorder, sources, self._listeners)

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
        asked = read_asked(body)
        stored = await self._register.found(caller, decision_id, needed="review.request")
        (opened,) = await self._register.opener.open(stored)
        self._corrected(opened, asked.corrections)

        async def recorded(recorder: Recorder) -> None:
            await self._check_none_open(decision_id)
            row, due = self._asked_now(stored, outcome=await self._stands(opened.record))
            step = requested(row, asked, rule=due.rule, by=caller.by)
            try:
                await self._record(step, of=opened.record, recorder=recorder)
            except IntegrityError:
                await self._check_none_open(decision_id)  # somebody else was quicker
                raise

        said = [str(decision_id), asked.statement, asked.corrections]
        request = self._bound(caller, REVIEW_REQUESTS, key, said)
        return await once(self._archive, self._recorder, request, recorded, told=told_of_request)

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
        opened = await self._request_of(review)
        asked = {} if opened is None or opened.erased else opened.whole()
        act = read_by(caller.by, review_id, at=self._sources.now(), salt=self._sources.salt())
        await self._recorder.record(Submission((act,), lambda _: b""))
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
        request = self._bound(caller, REVIEW_DECISIONS, key, [str(review_id), said.outcome, said.factors])
        return await once(
            *(self._archive, self._recorder, request),
            lambda recorder: self.decide(review_id, finding, by=caller.subject, recorder=recorder),
            told=told_of_answer,
        )

    async def decide(
        self, review_id: UUID, finding: Finding, *, by: str, recorder: Recorder | None = None
    ) -> StoredReview:
        """Record what a person found; ``by`` names them.

        Raises
        ------
        NotFoundError, ClashError
            Where there is no such review, or it was decided before.
        ForbiddenError
            Where the person took part in the decision.
        GateError
            Where an enforced gate stands against an approval.
        InvalidInputError
            Where the finding does not say why it declines, or there is nothing to decide again.
        """
        review, stored, opened = await self._undecided(review_id)
        await self._check_reviewer(by, opened.record)
        check_finding(finding)
        if finding.outcome == "approve" and not_passed(opened.record["gates"]):
            raise GateError(
                "an enforced gate did not pass, and no review approves against it; once it would, the same application "
                "is decided on under another idempotency key"
            )
        again = await self._decide_again(review, opened) if finding.outcome is None else None
        outcome = again.outcome if again else finding.outcome or ""
        verdict: Verdict = "kept" if outcome == await self._stands(opened.record) else "changed"
        new = again.decision_id if again else None
        row = ReviewDecisionRow(review_id, verdict, outcome, self._sources.now(), by, new)
        if review.told_late_at is None and review.late(row.decided_at):
            await self._lateness.record(late_review(review))  # else nobody would, as it is over
        try:
            step = decided(review, row, finding, rows=self._told(row, stored))
            await self._record(step, of=opened.record, recorder=recorder or self._recorder)
        except IntegrityError:
            raise await self._why_not(review_id) from None
        return review._replace(verdict=verdict, outcome=outcome, decided_at=row.decided_at, by=by, new_decision_id=new)

    # What an applicant asks

    def _asked_now(self, stored: StoredDecision, *, outcome: str) -> tuple[ReviewRow, Due]:
        """Begin a review: due by the clock of a pack, or else by the lender's own."""
        at = self._sources.now()
        day = at.astimezone(UTC).date()
        own = Due("", "review", day + timedelta(days=HOUSE_DAYS), "")
        due = review_due(self._packs, outcome=outcome, requested=day) or own
        late_from = datetime.combine(due.by + timedelta(days=1), time(), tzinfo=UTC)
        review_id = self._sources.new_id(at)
        return ReviewRow(review_id, stored.decision_id, stored.client_id, at, late_from, due.pack), due

    async def _check_none_open(self, decision_id: UUID) -> None:
        """Refuse a second review beside one that is open."""
        if any(it.verdict is None for it in await self._reviews.reviews_of(decision_id)):
            raise ClashError("a review of this decision is open; its answer comes first")

    async def _request_of(self, review: StoredReview) -> Opened | None:
        """Open what the applicant wrote."""
        kept = await self._reviews.request_of(review.review_id)
        if kept is None:
            return None
        (opened,) = await self._register.opener.open_of(review.decision_id, kept)
        return opened

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

    # What a person finds

    async def _undecided(self, review_id: UUID) -> tuple[StoredReview, StoredDecision, Opened]:
        """Find a review that waits, and the decision that it is of, as it is kept and opened."""
        review = await self._reviews.review(review_id)
        if review is None:
            raise NotFoundError("there is no such review")
        if review.verdict is not None:
            raise _decided_before()
        stored = await self._archive.decision(review.decision_id)
        if stored is None:
            raise IntegrityError("the decision of this review is not kept")
        (opened,) = await self._register.opener.open(stored)
        return review, stored, opened

    async def _decide_again(self, review: StoredReview, opened: Opened) -> _Again:
        """Decide on the corrected application as its client's; asked twice, it is decided once.

        What was decided is found by the review, and by no byte of the application, which a later version may write otherwise.
        """
        client = Caller(review.client_id, "", frozenset({"decide"}), datetime.max.replace(tzinfo=UTC))
        key = f"review:{review.review_id}"
        request = request_saying(client, route=REVIEW_AGAIN, key=key, said="", sealer=self._decisions.sealer)
        if (known := await self._archive.answer(request)) is not None:
            return msgspec.json.decode(known[1].response, type=_Again)
        asked = await self._request_of(review)
        corrections = {} if asked is None else asked.whole()["corrections"]
        if not corrections:
            raise InvalidInputError("the applicant corrected nothing; wanted what the reviewer decides")
        corrected = self._corrected(opened, corrections)
        recorded = await self._decisions.decide(client, key=key, application=corrected, route=REVIEW_AGAIN)
        return msgspec.json.decode(recorded.response, type=_Again)

    async def _check_reviewer(self, by: str, record: Mapping[str, Any]) -> None:
        if not by.strip() or len(by) > _MOST_NAME or not by.isprintable():
            raise InvalidInputError("a review is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        others = await self._reviews.took_part(UUID(record["decision_id"]), release=record["pins"]["release"])
        check_took_no_part(by, (*others, record["client_id"]), what="a review")

    async def _stands(self, record: Mapping[str, Any]) -> str:
        """Give the outcome that a review keeps or changes."""
        word = await self._register.last_word(UUID(record["decision_id"]))
        return str(record["outcome"]) if word is None else word.outcome

    def _told(self, row: ReviewDecisionRow, stored: StoredDecision) -> tuple[Row, ...]:
        """Tell the client's system what came of a review, where it wants to hear of it."""
        if not self._listeners.want(stored.client_id, DECISION_REVIEWED):
            return ()
        return (decision_reviewed(row, stored, event_id=self._sources.new_id(row.decided_at)),)

    async def _why_not(self, review_id: UUID) -> Exception:
        """Tell whether somebody else was quicker."""
        review = await self._reviews.review(review_id)
        return (
            _decided_before() if review is not None and review.verdict is not None else IntegrityError("not recorded")
        )

    # How both are recorded

    def _bound(self, caller: Caller, route: str, key: str, said: object) -> Request:
        return request_saying(caller, route=route, key=key, said=said, sealer=self._register.sealer)

    async def _record(self, step: Step, *, of: Mapping[str, Any], recorder: Recorder) -> None:
        """Record a step of a review of the decision whose record is ``of``."""
        sealer, salt = self._register.sealer, self._sources.salt()
        await record_step(step, of=of, recorder=recorder, sealer=sealer, salt=salt)


def _decided_before() -> ClashError:
    return ClashError("this review was decided before; what came of it stays")

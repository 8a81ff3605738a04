"""Overrides: a person decides on what the policy left to one, or contrary to it, and answers for it by name.

The policy in force says why decisions are overridden at all, and how far each role goes: by the amount, and by the PD of the
decision. Whoever goes beyond their own limit proposes it, and another person agrees within whose limit it lies; beyond
everybody's it is not done. Where the policy delegates nothing, nobody overrides anything.

The decision never changes: an override is a record of its own that names it, once for each. Neither who put the release in
force nor who submitted the application overrides what came of it, or agrees to. No override approves what an enforced gate did
not pass, which one is not told; nor what a rule declines by itself: a rule that knows exceptions refers. What is held waits for
its gates, and what a review was asked of for its reviewer.

What the person wrote, and the factors that an applicant may read, are sealed under the applicant's key.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from obligor.core.authority import direction_of
from obligor.core.errors import ClashError, ForbiddenError, GateError, IntegrityError, NotFoundError
from obligor.core.event_types import DECISION_OVERRIDDEN
from obligor.core.people import check_took_no_part
from obligor.core.policy import amount_under_authority
from obligor.core.profile import not_passed
from obligor.security.permissions import allow_person, permissions
from obligor.serving.idempotency import request_saying
from obligor.serving.once import once
from obligor.serving.overrides.override import check_reason, overridden, plain, read_override, told_of
from obligor.serving.people.proposals import Agreed, Order, plain_step
from obligor.serving.privacy.steps import record_step
from obligor.serving.rows import OverrideRow, ProposalRow
from obligor.serving.said import check_author
from obligor.serving.webhooks.events import Listeners, decision_overridden

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from obligor.core.authority import Authority
    from obligor.serving.acts import Caller, Recorded, Recorder, Submission
    from obligor.serving.archive import StoredDecision
    from obligor.serving.once import Answers
    from obligor.serving.overrides.override import OverrideArchive, Said
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.register import Register
    from obligor.serving.releases.release import Releases
    from obligor.serving.reviews.review import ReviewArchive
    from obligor.serving.rows import Row
    from obligor.serving.telemetry.meter import Meter

OVERRIDES: Final = "overrides"
_DECIDES, _AGREES = "override.decide", "override.approve"


class OverrideService:
    """Takes overrides, and tells of them."""

    def __init__(
        self,
        *,
        register: Register,
        releases: Releases,
        answers: Answers,
        overrides: OverrideArchive,
        reviews: ReviewArchive,
        proposals: Proposals,
        meter: Meter,
        listeners: Listeners | None = None,
    ) -> None:
        """With the ``listeners`` of the service that decides."""
        self._register = register
        self._releases = releases
        self._answers = answers
        self._overrides = overrides
        self._reviews = reviews
        self._proposals = proposals
        self._sources = proposals.sources
        self._meter = meter
        self._listeners = listeners or Listeners()

    async def decide(self, caller: Caller, *, key: str, decision_id: UUID, body: bytes | Mapping[str, Any]) -> Recorded:
        """Record what a person decides in place of a decision, or propose it, once for an idempotency key.

        Raises
        ------
        ForbiddenError
            Where the person took part in the decision, it lies beyond everybody's limit, or nobody overrides anything here.
        ClashError
            Where it is held, was overridden or reviewed, a rule declined it, or the person says what it says.
        GateError
            Where an enforced gate stands against an approval.
        ApplicationError, InvalidInputError
            Where why is not said, or not by a code of the policy.
        NotFoundError, ErasedError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        check_author(allow_person(caller, _DECIDES), of="an override")
        said = read_override(body)
        stored = await self._register.found(caller, decision_id, needed=_DECIDES)
        words = [str(decision_id), said.outcome, said.reason, said.rationale, said.factors]
        request = request_saying(caller, route=OVERRIDES, key=key, said=words, sealer=self._register.sealer)
        work = partial(self._override, stored, said, caller, words=request.payload_sha256.hex())
        return await once(self._answers, self._proposals.recorder, request, work, told=_told)

    async def override(self, caller: Caller, decision_id: UUID) -> dict[str, Any]:
        """Tell of the override of a decision.

        Raises
        ------
        ForbiddenError, NotFoundError
            As they say.
        """
        await self._register.found(caller, decision_id)
        row = await self._overrides.override_of(decision_id)
        if row is None:
            raise NotFoundError("nobody overrode this decision")
        return plain(row, self._sources.now(), word=await self._register.last_word(decision_id))

    async def _override(
        self, stored: StoredDecision, said: Said, caller: Caller, recorder: Recorder, *, words: str
    ) -> None:
        """Decide within the person's own limit, or by two; ``words`` tells what they wrote from what they did not."""
        policy = self._releases.current.policy
        authority = policy.authority
        if authority is None:
            raise ForbiddenError("the policy in force delegates no authority: nobody overrides a decision")
        check_reason(said, authority)
        (opened,) = await self._register.opener.open(stored)
        record = opened.whole()
        await self._check_open(stored.decision_id, record)
        others = await self._reviews.took_part(stored.decision_id, release=record["pins"]["release"])
        part = sorted({*others, record["client_id"]})
        check_took_no_part(caller.subject, part, what="an override")
        _check_against(record, said)
        covering = partial(authority.covering, amount=amount_under_authority(policy, record["input"]), pd=record["pd"])
        work = partial(self._record, stored, record, said, authority, by=caller.subject, policy_sha256=policy.sha256)
        if own := covering(caller.roles & permissions().roles_with(_DECIDES)):
            await work(recorder, role=own[0])
            return
        roles = covering(permissions().roles_with(_AGREES))
        if not roles:
            raise ForbiddenError(
                "this is beyond the limit of everybody: its PD or its amount is too high, or its amount is not known"
            )
        direction = direction_of(said.outcome, score=record["score"], cutoff=record["cutoff"])
        wanted = {
            "decision_id": str(stored.decision_id),
            "outcome": said.outcome,
            "direction": direction,
            "reason": said.reason,
            "words_sha256": words,
            "roles": roles,
            "not_by": part,
        }
        proposals = replace(self._proposals, recorder=recorder)
        await proposals.together(Order("override.decided", wanted), partial(work, role=roles[0]), by=caller.subject)

    async def _check_open(self, decision_id: UUID, record: Mapping[str, Any]) -> None:
        """Refuse what waits for its gates, and what a person has decided, or was asked to."""
        if record["outcome"] == "hold":
            raise ClashError("this is held, and no override takes the place of what it waits for")
        if await self._overrides.override_of(decision_id) is not None:
            raise ClashError("this decision was overridden before; what came of it stays")
        reviews = await self._reviews.reviews_of(decision_id)
        if any(it.verdict is None for it in reviews):
            raise ClashError("a review of this decision is open; its answer comes first")
        if reviews:
            raise ClashError("a review decided on this before; what came of it stays")

    async def _record(
        self,
        stored: StoredDecision,
        record: Mapping[str, Any],
        said: Said,
        authority: Authority,
        recorder: Recorder,
        *,
        role: str,
        by: str,
        policy_sha256: str,
    ) -> None:
        at = self._sources.now()
        row = OverrideRow(
            stored.decision_id,
            stored.client_id,
            said.outcome,
            direction_of(said.outcome, score=record["score"], cutoff=record["cutoff"]),
            said.reason,
            role,
            at,
            by,
            recorder.agreed_by if isinstance(recorder, Agreed) else None,
            _end(at, authority.approved_for_days) if said.outcome == "approve" else None,
        )
        told: tuple[Row, ...] = ()
        if self._listeners.want(stored.client_id, DECISION_OVERRIDDEN):
            told = (decision_overridden(row, stored, event_id=self._sources.new_id(at)),)
        step = overridden(row, said, authority, policy_sha256=policy_sha256, rows=told)
        sealer, salt = self._register.sealer, self._sources.salt()
        try:
            recorded = await record_step(step, of=record, recorder=recorder, sealer=sealer, salt=salt)
        except IntegrityError:
            await self._check_open(stored.decision_id, record)  # somebody else was quicker
            (now,) = await self._register.opener.open(stored)
            now.whole()  # or the person was erased
            raise
        if not recorded.replayed:
            self._meter.overridden(row.direction, row.outcome)


def _check_against(record: Mapping[str, Any], said: Said) -> None:
    """Refuse to say what was decided, and what neither a gate nor a rule lets anybody say."""
    if said.outcome == record["outcome"]:
        raise ClashError(f"the decision says {said.outcome} by itself; there is nothing to override")
    if said.outcome != "approve":
        return
    if not_passed(record["gates"]):
        raise GateError(
            "an enforced gate did not pass, and no override approves against it; once it would, the same application "
            "is decided on under another idempotency key"
        )
    if record["outcome"] == "decline" and record["because"].startswith("knockout:"):
        raise ClashError(
            "a knock-out declines this by itself, and no override approves against it; a rule that knows exceptions refers"
        )


def _end(at: datetime, days: int) -> datetime:
    """Give the instant from which an approval is too old: the end of its last day, in UTC."""
    return datetime.combine(at.astimezone(UTC).date() + timedelta(days=days + 1), time(), tzinfo=UTC)


def _told(submission: Submission) -> dict[str, Any]:
    """Give the answer of an act: that it was proposed, or what was decided."""
    for row in (row for act in submission.acts for row in act.rows):
        if isinstance(row, ProposalRow) and row.step == "proposed":
            return plain_step(row)
    return told_of(submission.acts[-1].record)

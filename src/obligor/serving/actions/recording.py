"""Actions: that a lender made a counter-offer, whether it was taken, and that an application is incomplete.

Each is said once of a decision, of what stands of it: other terms are offered in place of a decline, and what is missing is
asked for where nothing was decided yet. A decision stays as it was; what changes is which notice is due, and by when.

What was offered, and which fields are missing, are sealed under the applicant's key.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from obligor.core.applicant import APPLICANT
from obligor.core.errors import ClashError, IntegrityError
from obligor.core.leaves import parse_time
from obligor.security.permissions import allow
from obligor.serving.actions.action import (
    MOST_ACTION_BYTES,
    Answer,
    Incompleteness,
    answered,
    course_of,
    lacking,
    made,
    plain,
    read_offer,
    told_of,
)
from obligor.serving.acts import Submission
from obligor.serving.idempotency import check_key, request_saying
from obligor.serving.once import once
from obligor.serving.privacy.steps import record_step
from obligor.serving.rows import ActionRow
from obligor.serving.said import field_error, read_said

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date, datetime

    from obligor.serving.actions.action import ActionArchive, Course, Offer
    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.archive import StoredDecision
    from obligor.serving.once import Answers
    from obligor.serving.privacy.steps import Step
    from obligor.serving.register import Register
    from obligor.serving.rows import ActionStep
    from obligor.serving.sources import Sources

_REPORTS: Final = "action.report"
_OFFERS, _ANSWERS, _INCOMPLETE = "counter-offers", "counter-offer-answers", "incompleteness"
_UNDECIDED: Final = ("refer", "hold")


class ActionService:
    """Takes what was done beside decisions, and tells of it."""

    def __init__(
        self, *, register: Register, answers: Answers, actions: ActionArchive, recorder: Recorder, sources: Sources
    ) -> None:
        self._register = register
        self._answers = answers
        self._actions = actions
        self._recorder = recorder
        self._sources = sources

    async def offer(self, caller: Caller, *, key: str, decision_id: UUID, body: bytes | Mapping[str, Any]) -> Recorded:
        """Record that other terms were offered in place of a decline, once for an idempotency key.

        Raises
        ------
        ClashError
            Where the decision does not stand as a decline, or an offer was made before.
        ApplicationError
            Where a term is none of the contract, or is what was applied for, or a day cannot be.
        ForbiddenError, NotFoundError, ErasedError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, _REPORTS)
        check_key(key)
        said = read_offer(body)
        stored = await self._register.found(caller, decision_id, needed=_REPORTS)

        async def work(recorder: Recorder) -> None:
            record = await self._opened(stored)
            since = await self._stands(record, ("decline",), what="a counter-offer takes the place of a decline")
            row = self._row(stored, "offered", said.offered_on, caller, until=said.respond_by)
            _check_day("counter-offer", "offered_on", said.offered_on, since=since, at=row.at)
            await self._check_terms(record, said)
            await self._record(made(row, said), stored, record, recorder, check=_no_offer)

        words = [said.offered_on.isoformat(), said.respond_by.isoformat(), said.terms, said.rate]
        return await self._once(caller, _OFFERS, key, [str(decision_id), *words], work)

    async def answer(self, caller: Caller, *, key: str, decision_id: UUID, body: bytes | Mapping[str, Any]) -> Recorded:
        """Record whether a counter-offer was taken, once for an idempotency key.

        Raises
        ------
        ClashError
            Where none was made, or it was answered before.
        ApplicationError, ForbiddenError, NotFoundError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, _REPORTS)
        check_key(key)
        said = read_said(body, Answer, what="answer", most=MOST_ACTION_BYTES)
        stored = await self._register.found(caller, decision_id, needed=_REPORTS)

        async def work(recorder: Recorder) -> None:
            step: ActionStep = "accepted" if said.accepted else "not_accepted"
            row = self._row(stored, step, said.answered_on, caller)
            offered = _open_offer(await self._course(decision_id))
            _check_day("answer", "answered_on", said.answered_on, since=offered.done_on, at=row.at)
            act = answered(row, salt=self._sources.salt())
            try:
                await recorder.record(Submission((act,), lambda _: b""))
            except IntegrityError:
                _open_offer(await self._course(decision_id))  # somebody else was quicker
                await self._opened(stored)  # or the person was erased
                raise

        words = [str(decision_id), said.accepted, said.answered_on.isoformat()]
        return await self._once(caller, _ANSWERS, key, words, work)

    async def incomplete(
        self, caller: Caller, *, key: str, decision_id: UUID, body: bytes | Mapping[str, Any]
    ) -> Recorded:
        """Record that an application is incomplete, once for an idempotency key.

        Raises
        ------
        ClashError
            Where something was decided on it, or this was said before.
        ApplicationError
            Where a field is none of the contract, or the day is not to come.
        ForbiddenError, NotFoundError, ErasedError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        allow(caller, _REPORTS)
        check_key(key)
        said = read_said(body, Incompleteness, what="incompleteness", most=MOST_ACTION_BYTES)
        stored = await self._register.found(caller, decision_id, needed=_REPORTS)

        async def work(recorder: Recorder) -> None:
            record = await self._opened(stored)
            await self._stands(record, _UNDECIDED, what="what is missing is asked for before anything is decided")
            today = _day(self._sources.now())
            if said.respond_by <= today:
                raise field_error("incompleteness", "respond_by", "wanted a day to come")
            await self._check_fields(record, said)
            row = self._row(stored, "incomplete", today, caller, until=said.respond_by)
            await self._record(lacking(row, said), stored, record, recorder, check=_not_incomplete)

        words = [str(decision_id), said.fields, said.respond_by.isoformat()]
        return await self._once(caller, _INCOMPLETE, key, words, work)

    async def actions(self, caller: Caller, decision_id: UUID) -> list[dict[str, Any]]:
        """Tell what was done beside a decision; never what was offered or is missing.

        Raises
        ------
        ForbiddenError, NotFoundError
            As they say.
        """
        await self._register.found(caller, decision_id)
        return [plain(it) for it in await self._actions.actions_of(decision_id)]

    async def _once(
        self, caller: Caller, route: str, key: str, said: list[Any], work: Callable[[Recorder], Awaitable[None]]
    ) -> Recorded:
        request = request_saying(caller, route=route, key=key, said=said, sealer=self._register.sealer)
        told = lambda it: told_of(it.acts[-1].record)  # noqa: E731
        return await once(self._answers, self._recorder, request, work, told=told)

    async def _course(self, decision_id: UUID) -> Course:
        return course_of(await self._actions.actions_of(decision_id))

    async def _opened(self, stored: StoredDecision) -> dict[str, Any]:
        (opened,) = await self._register.opener.open(stored)
        return opened.whole()

    async def _stands(self, record: Mapping[str, Any], wanted: tuple[str, ...], *, what: str) -> date:
        """Give the day since which a decision stands as one of these outcomes."""
        word = await self._register.last_word(UUID(record["decision_id"]))
        if word is not None and word.new_decision_id is not None:
            raise ClashError(f"this was decided again; say it of {word.new_decision_id}")
        outcome = record["outcome"] if word is None else word.outcome
        if outcome not in wanted:
            raise ClashError(f"this stands as {outcome}; {what}")
        return _day(parse_time(record["decided_at"]) if word is None else word.at)

    async def _check_terms(self, record: Mapping[str, Any], said: Offer) -> None:
        """Refuse terms that are none of the contract, do not fit it, or are what was applied for."""
        if not said.terms:
            return
        release = await self._register.pinned(record)
        columns = {**release.card.applications.columns, **release.policy.columns}
        for name in said.terms:
            if name not in columns:
                raise field_error("counter-offer", "terms", "names a column that the contract does not have")
        release.read({**record["input"], **said.terms})
        if all(said.terms[name] == record["input"].get(name) for name in said.terms) and said.rate is None:
            raise field_error("counter-offer", "terms", "wanted other terms than were applied for")

    async def _check_fields(self, record: Mapping[str, Any], said: Incompleteness) -> None:
        release = await self._register.pinned(record)
        known = {*release.card.applications.columns, *release.policy.columns, *APPLICANT}
        known |= {*release.card.histories, *release.policy.histories}
        if not known.issuperset(said.fields) or len(set(said.fields)) < len(said.fields):
            raise field_error("incompleteness", "fields", "wanted names of the contract, each once")

    def _row(
        self, stored: StoredDecision, step: ActionStep, on: date, caller: Caller, *, until: date | None = None
    ) -> ActionRow:
        return ActionRow(stored.decision_id, step, stored.client_id, on, until, self._sources.now(), caller.by)

    async def _record(
        self,
        step: Step,
        stored: StoredDecision,
        record: Mapping[str, Any],
        recorder: Recorder,
        *,
        check: Callable[[Course], object],
    ) -> None:
        check(await self._course(stored.decision_id))
        sealer, salt = self._register.sealer, self._sources.salt()
        try:
            await record_step(step, of=record, recorder=recorder, sealer=sealer, salt=salt)
        except IntegrityError:
            check(await self._course(stored.decision_id))  # somebody else was quicker
            await self._opened(stored)  # or the person was erased
            raise


def _no_offer(course: Course) -> None:
    if course.offered is not None:
        raise ClashError("a counter-offer was made of this decision before; another one is of another decision")


def _open_offer(course: Course) -> ActionRow:
    """Give the counter-offer that waits for an answer."""
    if course.offered is None:
        raise ClashError("no counter-offer was made of this decision")
    if course.answered is not None:
        raise ClashError("the counter-offer was answered before; what was said stays")
    return course.offered


def _not_incomplete(course: Course) -> None:
    if course.incomplete is not None:
        raise ClashError("that this application is incomplete was said before; what was said stays")


def _day(at: datetime) -> date:
    return at.astimezone(UTC).date()


def _check_day(what: str, field: str, day: date, *, since: date, at: datetime) -> None:
    if not since <= day <= _day(at):
        raise field_error(what, field, f"wanted a day from {since} to today")

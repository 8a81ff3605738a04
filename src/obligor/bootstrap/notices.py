"""Writes the notice of a decision from the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from obligor.bootstrap.acting import caller_acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.law import active_packs, open_stationery
from obligor.bootstrap.privacy import open_sealer
from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import IntegrityError, InvalidInputError, NotFoundError, NoticeError
from obligor.core.leaves import time_text
from obligor.files import whole_file
from obligor.governance.law.packs import named_packs
from obligor.governance.law.strict_yaml import read_yaml_file
from obligor.security.permissions import allow
from obligor.settings import read_law_settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from obligor.bootstrap.store import Store
    from obligor.core.columns import Column
    from obligor.governance.law.packs import Due
    from obligor.governance.notices.clocks import Situation
    from obligor.governance.notices.factors import Standing
    from obligor.governance.notices.writing import Declined, MissingTold, Notice, OfferTold, ScoreTold, Stationery
    from obligor.serving.actions.action import Course, Followed
    from obligor.serving.acts import Act, Caller
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.releases.release import Release
    from obligor.serving.rows import ActionRow
    from obligor.settings import Settings


_SCHEMA: Final = "obligor/notice/1"
_LOOKED_BACK: Final = timedelta(days=180)
"""How far back it is looked for what is due; the longest clock runs for 90 days."""


@dataclass(frozen=True, slots=True)
class Written:
    """A notice that stands in a file, and by when the active packs want it sent."""

    notice: Notice
    out: Path
    due: tuple[Due, ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {
            "template": self.notice.template,
            "language": self.notice.language,
            "template_sha256": self.notice.template_sha256,
            "rules": list(self.notice.rules),
            "reasons": list(self.notice.reasons),
            "key_factors": list(self.notice.factors),
            "out": str(self.out),
            "due": [{"pack": it.pack, "by": it.by.isoformat(), "rule": it.rule} for it in self.due],
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        told = [f"{self.out}: {self.notice.template}, template {self.notice.template_sha256[:12]}"]
        return told + [f"due by {it.by} ({it.pack}, {it.rule})" for it in self.due]


@dataclass(frozen=True, slots=True)
class DueOf:
    """A notice that is due of a decision."""

    decision_id: UUID
    due: Due
    open_offer: bool
    """Whether a counter-offer waits for its answer."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The notices that are due and were not written, the earliest first, as of a day."""

    notices: tuple[DueOf, ...]
    packs: tuple[str, ...]
    since: date
    on: date

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        told = [
            {
                "decision_id": str(it.decision_id),
                "template": it.due.what,
                "by": it.due.by.isoformat(),
                "pack": it.due.pack,
                "rule": it.due.rule,
                "late": it.due.by < self.on,
                "open_offer": it.open_offer,
            }
            for it in self.notices
        ]
        return {"since": self.since.isoformat(), "packs": list(self.packs), "notices": told}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        if not self.packs:
            return ["No rule pack is active; OBLIGOR_PACKS names them."]
        told = [
            f"{it.due.by}  decision {it.decision_id}  {it.due.what} ({it.due.pack}, {it.due.rule})"
            f"{'  its counter-offer is open' if it.open_offer else ''}{'  LATE' if it.due.by < self.on else ''}"
            for it in self.notices
        ]
        return told or [f"No notice is due of what was decided since {self.since}."]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The notice that is wanted of a decision."""

    decision_id: UUID
    template: str
    language: str | None
    bureaus: tuple[str, ...]
    score: Path | None
    on: date


def write_notice_of(
    decision_id: str,
    *,
    template: str,
    out: Path,
    language: str | None,
    bureaus: Sequence[str],
    score: Path | None,
    on: date | None,
) -> Written:
    """Write the notice of a decision into a file: HTML where its name says so, and otherwise text.

    Raises
    ------
    NoticeError
        Where it would be wrong.
    ForbiddenError
        Where who acts may read no notice of it.
    LawError, NotFoundError, UnavailableError
        As they say.
    """
    try:
        named = UUID(decision_id)
    except ValueError:
        raise InvalidInputError("DECISION_ID: wanted the id of a decision") from None
    wanted = Wanted(named, template, language, tuple(bureaus), score, on or datetime.now(UTC).date())
    stationery, settings = open_stationery(os.environ), service_settings()
    return with_anchored_store(
        partial(_write, wanted=wanted, out=out, stationery=stationery, settings=settings), settings
    )


def list_due(*, since: date | None) -> Listed:
    """Give the notices that are due and were not written; to who may read those of their own decisions, of them alone."""
    on = datetime.now(UTC).date()
    packs, first = named_packs(read_law_settings(os.environ).packs), since or on - _LOOKED_BACK

    async def listed(store: Store) -> Listed:
        from obligor.governance.notices.clocks import due_of, left

        caller = await caller_acting(store, "notice.read")
        own = caller.client_id if allow(caller, "notice.read").own else None
        followed = await store.actions.followed(since=datetime.combine(first, time(), tzinfo=UTC), client_id=own)
        written = await store.actions.written(followed[0].leaf_index) if followed else {}
        found = [
            DueOf(it.decision_id, due, open_offer=it.offered_on is not None and it.accepted is None)
            for it in followed
            for done in (written.get(it.decision_id, set()),)
            for due in left(due_of(packs, _situation(it, done)), done)
        ]
        found.sort(key=lambda it: (it.due.by, it.due.pack, it.due.what))
        return Listed(tuple(found), tuple(it.id for it in packs), first, on)

    return with_store(listed)


def _situation(it: Followed, written: set[str]) -> Situation:
    from obligor.governance.notices.clocks import Situation
    from obligor.governance.notices.factors import since

    outcome, decided_at = since(it.outcome, it.decided_at, it.words)
    applied_on, decided_on = (at.astimezone(UTC).date() for at in (it.decided_at, decided_at))
    return Situation(outcome, applied_on, decided_on, it.offered_on, it.accepted, it.incomplete, written)


async def _write(store: Store, *, wanted: Wanted, out: Path, stationery: Stationery, settings: Settings) -> Written:
    from obligor.governance.notices.clocks import due_of
    from obligor.governance.notices.writing import write_notice
    from obligor.serving.acts import Submission

    caller, sealer = await caller_acting(store, "notice.read"), await open_sealer(store, settings)
    declined, situation = await _declined(store, wanted, stationery, caller=caller, sealer=sealer)
    notice = write_notice(wanted.template, declined, on=wanted.on, stationery=stationery, language=wanted.language)
    due = due_of(active_packs(os.environ, on=wanted.on), situation, score_used=declined.score is not None)
    written = Written(notice, out, tuple(it for it in due if wanted.template in (it.what, *it.also)))
    text = (notice.html if out.suffix == ".html" else notice.text).encode()
    with whole_file(out) as file:
        file.write_bytes(text)
        act = _act(store, wanted, written, by=caller.by, fingerprint=sealer.keyring.fingerprint(text))
        await store.recorder.record(Submission((act,), lambda _: b""))  # and only then the file is there
    return written


def _act(store: Store, wanted: Wanted, written: Written, *, by: str, fingerprint: bytes) -> Act:
    """Say which notice was written, and by a keyed hash what it says: what it says is of a person who may be erased."""
    from obligor.serving.acts import Act
    from obligor.serving.encoding import encode

    at, told = store.sources.now(), written.to_plain()
    said = {
        "schema": _SCHEMA,
        "notice_id": str(store.sources.new_id(at)),
        "decision_id": str(wanted.decision_id),
        **{name: told[name] for name in ("template", "template_sha256", "language", "due")},
        "on": wanted.on.isoformat(),
        "text_fingerprint": fingerprint.hex(),
        "by": by,
        "at": time_text(at),
    }
    return Act("notice.written", at, by, str(wanted.decision_id), encode(said), store.sources.salt())


async def _declined(
    store: Store, wanted: Wanted, stationery: Stationery, *, caller: Caller, sealer: Sealer
) -> tuple[Declined, Situation]:
    """Open the decision, with what people said of it since and what was done beside it, by the release that made it."""
    from obligor.governance.notices.clocks import Situation
    from obligor.governance.notices.factors import codes_of
    from obligor.governance.notices.writing import Declined
    from obligor.serving.actions.action import course_of
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.releases.release import Releases

    own = allow(caller, "notice.read").own
    stored = await store.archive.decision(wanted.decision_id, client_id=caller.client_id if own else None)
    if stored is None:
        raise NotFoundError("there is no such decision")
    opener = Opener(sealer, store.recorder, store.sources)
    (opened,) = await opener.open(stored)
    record = opened.record
    release = await Releases(store.archive).pinned(record["pins"])
    score, bureaus = _score(wanted, record, release, stationery)
    standing = await _standing(store, record, wanted.decision_id, opener)
    course = course_of(await store.actions.actions_of(wanted.decision_id))
    applied_on, decided_on = _day(record["decided_at"]), _day(standing.decided_at)
    situation = Situation(
        standing.outcome,
        applied_on,
        decided_on,
        None if course.offered is None else course.offered.done_on,
        _accepted(course),
        course.incomplete is not None,
        (await store.actions.written(stored.leaf_index)).get(wanted.decision_id, ()) if course.incomplete else (),
    )
    declined = Declined(
        standing,
        codes_of(release.card, release.policy),
        reference=record["application_id"] or str(wanted.decision_id),
        applied_on=applied_on,
        decided_on=decided_on,
        bureaus=bureaus,
        score=score,
        offer=await _offer(store, course, release, opener),
        missing=await _missing(store, course, release, opener),
    )
    return declined, situation


def _accepted(course: Course) -> bool | None:
    return None if course.answered is None else course.answered.step == "accepted"


async def _offer(store: Store, course: Course, release: Release, opener: Opener) -> OfferTold | None:
    """Tell what was offered in place of a decline, as the contract calls it."""
    from obligor.governance.notices.writing import OfferTold

    row = course.offered
    if row is None or row.until is None:
        return None
    said, columns = await _said(store, row, opener), _columns(release)
    terms = tuple((columns[it].description or it, _value(value, columns[it])) for it, value in said["terms"].items())
    rate = None if said["rate"] is None else f"{said['rate'] * 100:.10g} %"
    return OfferTold(terms, rate, row.until, _accepted(course))


async def _missing(store: Store, course: Course, release: Release, opener: Opener) -> MissingTold | None:
    """Tell what an application lacks, as the contract calls it."""
    from obligor.core.applicant import APPLICANT
    from obligor.governance.notices.writing import MissingTold

    row = course.incomplete
    if row is None or row.until is None:
        return None
    columns = {**_columns(release), **APPLICANT}
    fields = (await _said(store, row, opener))["fields"]
    return MissingTold(tuple((columns[it].description if it in columns else "") or it for it in fields), row.until)


async def _said(store: Store, row: ActionRow, opener: Opener) -> dict[str, Any]:
    kept = await store.actions.action_record(row.decision_id, row.step)
    if kept is None:
        raise IntegrityError("what was done beside this decision is not kept")
    (found,) = await opener.open_of(row.decision_id, kept)
    return found.whole()


def _columns(release: Release) -> dict[str, Column]:
    return {**release.card.applications.columns, **release.policy.columns}


def _value(value: object, column: Column) -> str:
    told = f"{value:,.10g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
    return f"{told} {column.unit}".strip()


def _score(
    wanted: Wanted, record: Mapping[str, Any], release: Release, stationery: Stationery
) -> tuple[ScoreTold | None, tuple[str, ...]]:
    """Give the score that was used, a bureau's or the lender's own, and the bureaus whose reports were."""
    if wanted.score is not None:
        told, bureau = _vendors(wanted.score, stationery)
        return told, (*wanted.bureaus, bureau)
    kind = stationery.catalogue.find(wanted.template, language=wanted.language or stationery.particulars.language).kind
    own = _own(record, release, _day(record["decided_at"]), stationery) if kind == "score_disclosure" else None
    return own, wanted.bureaus


def _day(time: str) -> date:
    return datetime.fromisoformat(time).date()


async def _standing(store: Store, record: Mapping[str, Any], decision_id: UUID, opener: Opener) -> Standing:
    """Tell what holds; while a review is open, or where another decision took its place, no notice goes out."""
    from obligor.governance.notices.factors import standing

    reviews = await store.reviews.reviews_of(decision_id)
    if reviews and reviews[-1].verdict is None:
        raise NoticeError("notice: a review of this decision is open; its answer comes first", refusal="review_open")
    if reviews and reviews[-1].new_decision_id is not None:
        raise NoticeError(
            f"notice: this was decided again; write the notice of {reviews[-1].new_decision_id}",
            refusal="decided_again",
        )
    override = await store.overrides.override_of(decision_id)
    if override is None and not reviews:
        return standing(record)
    kept = await (
        store.reviews.decision_of(reviews[-1].review_id) if reviews else store.overrides.override_record(decision_id)
    )
    if kept is None:
        raise IntegrityError("what a person decided on this is not kept")
    (found,) = await opener.open_of(decision_id, kept)
    *before, _ = ((it.outcome or "", time_text(it.decided_at)) for it in (override, *reviews) if it and it.decided_at)
    return standing(record, found.whole(), said_by="review" if reviews else "override", before=before)


def _vendors(path: Path, stationery: Stationery) -> tuple[ScoreTold, str]:
    from obligor.governance.notices.particulars import ScoreUsed
    from obligor.governance.notices.writing import vendor_score

    used = read_yaml_file(path, ScoreUsed)
    return vendor_score(used, stationery.particulars), used.bureau


def _own(record: Mapping[str, Any], release: Release, made_on: date, stationery: Stationery) -> ScoreTold:
    from obligor.governance.notices.writing import own_score

    ranked = release.reasons.explain(record["bins"], most=len(record["bins"]))
    return own_score(record["score"], ranked, made_on=made_on, particulars=stationery.particulars)

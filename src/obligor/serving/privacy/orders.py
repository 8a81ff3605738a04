"""What privacy officers order of people's data over a door: to erase a person, to hold or release them, to tell them all.

Whom it is about stands in the body, and nowhere else: from there on they have the name that the keyring gives them, by which
the request is bound, too. Each is the very act that the command line orders, and takes two people where that does.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, replace
from datetime import date  # noqa: TC003  msgspec reads the annotation
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.core.application import MOST_CHARACTERS
from obligor.core.errors import ClashError, InvalidInputError
from obligor.core.leaves import time_text
from obligor.security.permissions import allow_person
from obligor.serving.idempotency import request_saying
from obligor.serving.once import once, shown_beside
from obligor.serving.people.proposals import plain_step
from obligor.serving.privacy.erasing import certificate_of, order_to_erase, order_to_hold, order_to_release
from obligor.serving.privacy.personal import APPLICATION, DECISION, PERSON
from obligor.serving.rows import HoldRow, ProposalRow
from obligor.serving.said import MOST_BECAUSE, read_said

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from obligor.security.sealing import Keyring
    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Caller, Recorded, Recorder, Request, Submission
    from obligor.serving.once import Answers
    from obligor.serving.people.proposals import Order, Proposals
    from obligor.serving.privacy.erasing import Office, Words
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.privacy.sealed import Sealer

MOST_BYTES: Final = 1 << 14
_Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_CHARACTERS)]
_Reason = Annotated[str, msgspec.Meta(max_length=MOST_BECAUSE)]


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom it is about: a person, or whom an application or a decision is about."""

    person_id: _Identifier | msgspec.UnsetType = msgspec.UNSET
    application_id: _Identifier | msgspec.UnsetType = msgspec.UNSET
    decision_id: UUID | msgspec.UnsetType = msgspec.UNSET


class Erasure(Named, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody to erase."""

    account_closed: date | msgspec.UnsetType = msgspec.UNSET
    because: _Reason = ""


class Holding(Named, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody to hold."""

    because: _Reason


class Releasing(Named, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Somebody to hold no longer."""

    because: _Reason = ""


class Applications(Protocol):
    """Where it is found whom an application or a decision is about."""

    async def subjects(self, tag: str) -> tuple[bytes, ...]:
        """Give the subjects of an application, by the name it is searched by."""
        ...

    async def subject_of(self, decision_id: UUID) -> bytes | None:
        """Give the subject of a decision; None where nothing of it is sealed, and where there is none."""
        ...


async def subjects_meant(
    keyring: Keyring,
    applications: Applications,
    *,
    person: str | None = None,
    application: str | None = None,
    decision: UUID | None = None,
) -> tuple[bytes, ...]:
    """Name the subjects that are meant: by what applications call a person or themselves, or by a decision on them.

    Raises
    ------
    InvalidInputError
        Where none is given, or more than one.
    """
    if (person, application, decision).count(None) != 2:  # noqa: PLR2004  of three, one is given
        raise InvalidInputError(
            "wanted one of a person, an application and a decision", hint="SUBJECT, --application or --decision"
        )
    if decision is not None:
        return (await applications.subject_of(decision) or keyring.subject(DECISION, str(decision)),)
    named = unicodedata.normalize("NFC", str(application) if person is None else person)
    if person is not None:
        return (keyring.subject(PERSON, named),)
    return await applications.subjects(keyring.tag(named)) or (keyring.subject(APPLICATION, named),)


@dataclass(frozen=True, slots=True)
class PrivacyDesk:
    """Where privacy officers, and compliance, give their orders."""

    office: Callable[[str, Recorder], Office]
    """Opens the office in somebody's name, who records by what is given."""
    applications: Applications
    sealer: Sealer
    opener: Opener
    words: Words
    """Explains a decision in words from its record."""
    answers: Answers
    proposals: Proposals
    key: SigningKey

    async def erase(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Erase a person, or propose to; of one that was erased before, give a certificate of that.

        Raises
        ------
        ForbiddenError, NotFoundError, GateError, ClashError, InvalidInputError, KeyReusedError, UnavailableError
            As they say.
        """
        by, said = allow_person(caller, "privacy.erase"), read_said(body, Erasure, most=MOST_BYTES)
        subject, closed = await self._meant(said), said.account_closed or None
        order = order_to_erase(subject, account_closed=closed, because=said.because)
        request = self._bound(caller, "privacy/erasures", key, order.text, order.because)
        return await self._by_two(
            request, order, lambda office: office.erase(subject, key=self.key, account_closed=closed), by=by
        )

    async def hold(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Place a legal hold, or propose to."""
        by, said = allow_person(caller, "privacy.hold"), read_said(body, Holding, most=MOST_BYTES)
        subject = await self._meant(said)
        order = order_to_hold(subject, because=said.because)
        request = self._bound(caller, "privacy/holds", key, order.text)
        return await self._by_two(request, order, lambda office: office.hold(subject, because=said.because), by=by)

    async def release(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Release a legal hold, or propose to."""
        by, said = allow_person(caller, "privacy.hold"), read_said(body, Releasing, most=MOST_BYTES)
        subject = await self._meant(said)
        found = await self.office(by, self.proposals.recorder).standing(subject)
        order = order_to_release(found, because=said.because)
        request = self._bound(caller, "privacy/holds/release", key, subject.hex(), order.because)
        return await self._by_two(request, order, lambda office: office.release(found), by=by)

    async def export(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Give all that is kept of a person, once: the same request sent again tells only that it was given."""
        by, said = allow_person(caller, "privacy.export"), read_said(body, Named, most=MOST_BYTES)
        subject = await self._meant(said)
        told: dict[str, Any] = {}

        async def given(recorder: Recorder) -> None:
            told.update(await self.office(by, recorder).export(subject, opener=self.opener, words=self.words))

        request = self._bound(caller, "privacy/exports", key, subject.hex())
        recorded = await once(self.answers, self.proposals.recorder, request, given, told=self._told)
        if recorded.replayed:
            return recorded
        return shown_beside(recorded, {name: told[name] for name in ("decisions", "reviews", "outcomes", "broken")})

    async def _by_two(
        self, request: Request, order: Order, work: Callable[[Office], Awaitable[object]], *, by: str
    ) -> Recorded:
        """Do what is ordered where another person agreed to it, or propose it."""
        return await once(
            *(self.answers, self.proposals.recorder, request),
            lambda recorder: replace(self.proposals, recorder=recorder).together(
                order, lambda recorder: work(self.office(by, recorder)), by=by
            ),
            told=self._told,
        )

    async def _meant(self, said: Named) -> bytes:
        """Name the one subject that is meant: who orders of several says so of each."""
        first, *more = await subjects_meant(
            *(self.sealer.keyring, self.applications),
            person=said.person_id or None,
            application=said.application_id or None,
            decision=said.decision_id or None,
        )
        if more:
            raise ClashError("several people have an application of this name; wanted person_id")
        return first

    def _bound(self, caller: Caller, route: str, key: str, *said: str) -> Request:
        """Bind an idempotency key, in which anybody may be named, too; neither can be tried against what is kept."""
        return request_saying(caller, route=route, key=key, said=said, sealer=self.sealer)

    def _told(self, submission: Submission) -> dict[str, Any]:
        """Give the answer of an act, in which nobody is named but by the keyring's name."""
        for row in (row for act in submission.acts for row in act.rows):
            if isinstance(row, ProposalRow) and row.step == "proposed":
                return plain_step(row)
            if isinstance(row, HoldRow):
                return _plain_hold(row)
        act = submission.acts[-1]
        said = msgspec.json.decode(act.record)
        if act.kind == "erased":
            return certificate_of(said, self.key) | {"not_told": said["not_told"]}
        return {it: said[it] for it in ("subject", "at")}


def _plain_hold(row: HoldRow) -> dict[str, Any]:
    released = None if row.released_at is None else time_text(row.released_at)
    told = {"subject": row.subject.hex(), "because": row.because, "placed_at": time_text(row.placed_at)}
    return told | {"by": row.by, "released_at": released}

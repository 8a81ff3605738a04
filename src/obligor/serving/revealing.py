"""What an application says, told back: masked to those who may read it, and in the clear, field by field, for a purpose.

To reveal is an act: the leaf tells who did, its record which fields of which decision and why, and never a value. It is
recorded before anybody sees anything, and the values are in no answer that is kept.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from obligor.core.leaves import time_text
from obligor.security.permissions import allow
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.idempotency import check_key, request_saying
from obligor.serving.once import once, shown_beside
from obligor.serving.people.proposals import ACCEPTED, Order, plain_step
from obligor.serving.rows import ProposalRow
from obligor.serving.said import field_error, read_said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.archive import StoredDecision
    from obligor.serving.once import Answers
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.privacy.masking import View
    from obligor.serving.register import Register
    from obligor.serving.releases.release import Release

REVEALS: Final = "reveals"
MOST_BYTES: Final = 1 << 14
_MOST_FIELDS: Final = 50
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=80)]


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which fields somebody wants to see, and what for."""

    fields: Annotated[tuple[_Name, ...], msgspec.Meta(min_length=1, max_length=_MOST_FIELDS)]
    purpose: Annotated[str, msgspec.Meta(min_length=3, max_length=300)]
    """Kept as it is: it names the case, and not the person."""


class RevealService:
    """Tells what applications say."""

    def __init__(self, *, register: Register, answers: Answers, proposals: Proposals) -> None:
        self._register, self._answers, self._proposals = register, answers, proposals
        self._recorder, self._sources = proposals.recorder, proposals.sources

    async def application(self, caller: Caller, decision_id: UUID, *, view: View = "masked") -> dict[str, Any]:
        """Give what an application says, masked or pseudonymised by the class of each field.

        Raises
        ------
        ForbiddenError, NotFoundError, ErasedError
            As they say.
        """
        needed = "application.read_pseudonymised" if view == "pseudonymised" else "application.read"
        stored = await self._register.found(caller, decision_id, needed=needed)
        record, release = await self._opened(stored)
        masks, sealer = release.masks, self._register.sealer
        tag = {} if sealer is None else {"tag": sealer.keyring.tag}
        return {
            "decision_id": str(decision_id),
            "masked": view,
            "application": masks.said(record["input"], view, **tag),
            "classes": {name: masks.class_of(name) for name in record["input"]},
        }

    async def reveal(self, caller: Caller, *, key: str, decision_id: UUID, body: bytes | Mapping[str, Any]) -> Recorded:
        """Record that fields are revealed, and then give them; where it takes two people, propose it.

        Raises
        ------
        ForbiddenError, NotFoundError, ApplicationError, ErasedError, KeyReusedError, InFlightError, UnavailableError
            As they say.
        """
        second = allow(caller, "personal.reveal").second
        check_key(key)
        wanted = read_wanted(body)
        stored = await self._register.found(caller, decision_id, needed="personal.reveal")
        record, _ = await self._opened(stored)
        for name in wanted.fields:
            if name not in record["input"]:
                raise field_error("reveal", "fields", "wanted names of fields that this application has")
        asked = {"decision_id": str(decision_id), "fields": wanted.fields, "purpose": wanted.purpose}
        request = request_saying(
            caller, route=REVEALS, key=key, said=list(asked.values()), sealer=self._register.sealer
        )

        async def ordered(recorder: Recorder) -> None:
            act = partial(self._record, asked=asked, client_id=stored.client_id, by=caller.by)
            if second:
                proposals = replace(self._proposals, recorder=recorder)
                await proposals.together(Order("revealed", asked, wanted.purpose), act, by=caller.subject)
            else:
                await act(recorder)

        recorded = await once(self._answers, self._recorder, request, ordered, told=_told)
        if recorded.status == ACCEPTED:
            return recorded
        return shown_beside(recorded, {"values": {name: record["input"][name] for name in wanted.fields}})

    async def _record(self, recorder: Recorder, *, asked: Mapping[str, Any], client_id: str, by: str) -> None:
        at = self._sources.now()
        told = {"reveal_id": str(self._sources.new_id(at)), "revealed_at": time_text(at), **asked}
        said = {"schema": "obligor/reveal/1", "client_id": client_id, "by": by, **told}
        act = Act("revealed", at, by, str(asked["decision_id"]), encode(said), self._sources.salt())
        await recorder.record(Submission((act,), lambda _: b""))

    async def _opened(self, stored: StoredDecision) -> tuple[dict[str, Any], Release]:
        (opened,) = await self._register.opener.open(stored)
        record = opened.whole()
        return record, await self._register.pinned(record)


def read_wanted(body: bytes | Mapping[str, Any]) -> Wanted:
    """Read what somebody wants revealed, strictly; a message names a field, and never what it says.

    Raises
    ------
    ApplicationError, TooLargeError, CardDataError
        As they say.
    """
    wanted = read_said(body, Wanted, what="reveal", most=MOST_BYTES)
    if not wanted.purpose.strip() or not wanted.purpose.isprintable():
        raise field_error("reveal", "purpose", "wanted 3 to 300 printable characters")
    if len(set(wanted.fields)) < len(wanted.fields):
        raise field_error("reveal", "fields", "one stands twice")
    return wanted


def _told(submission: Submission) -> dict[str, Any]:
    """Give the answer of an act without a value: that it was proposed, or what was revealed and what for."""
    for row in (row for act in submission.acts for row in act.rows):
        if isinstance(row, ProposalRow) and row.step == "proposed":
            return plain_step(row)
    said = msgspec.json.decode(submission.acts[-1].record)
    return {name: said[name] for name in ("reveal_id", "decision_id", "revealed_at", "fields", "purpose")}

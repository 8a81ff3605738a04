"""Acts that take two people: one proposes, another agrees, and then the first does it.

Whoever gives an order that takes two has proposed it, and nothing more. Another person, with the permission to, agrees to the
proposal, which they find with all that it says; the same order given again by the first is then carried out. So what the order
gives (a key, a certificate, a field in the clear) comes to the one who asked for it, and is kept nowhere meanwhile, and whoever
agrees sees none of it. Each step is an act of the log, and the last is recorded with what it does, or not at all. Until then
whoever proposed it may take it back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypeVar

import msgspec

from obligor.core.errors import ClashError, ForbiddenError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person, check_took_no_part
from obligor.security.permissions import allow, permissions
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.rows import ProposalRow
from obligor.serving.said import check_because

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from datetime import datetime

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.people.access import PeopleArchive
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/proposal/1"
PERMISSIONS: Final[Mapping[str, str]] = {
    "user.added": "user.manage",
    "key.created": "key.manage",
    "key.rotated": "key.rotate",
    "datakey.created": "key.rotate",
    "erased": "privacy.erase",
    "hold.placed": "privacy.hold",
    "hold.released": "privacy.hold",
    "revealed": "personal.reveal",
    "release": "release.activate",
    "override.decided": "override.approve",
}
"""The acts that may take two people, as their leaves call them, and the permission of who agrees."""
PROPOSING: Final[Mapping[str, str]] = {"override.decided": "override.decide"}
"""The permission of who proposes, where it is another."""
LASTS: Final = timedelta(days=7)
_HINT: Final = "obligor proposals agree PROPOSAL_ID"
ACCEPTED: Final = 202
"""The status of an order that was proposed, and waits."""
SHOWN_FOR: Final = timedelta(days=30)
"""How long after its last day a proposal is shown that was never done."""
_TWICE: Final = "is_proposed_once"
"""By which the store refuses to two what both propose at once."""
_REFUSED: Final = ("proposal_pkey", "nothing_follows_the_end")
"""By which the store refuses a step that was done, and one after the end."""
Done = TypeVar("Done")
State = Literal["proposed", "agreed", "done", "withdrawn", "expired"]


@dataclass(frozen=True, slots=True)
class Order:
    """What exactly somebody wants done; nothing in it tells of who applied, or opens anything."""

    kind: str
    said: Mapping[str, Any]
    because: str = ""

    def __post_init__(self) -> None:
        check_because(self.because)

    @property
    def text(self) -> str:
        """What it says, in one form."""
        return encode(self.said).decode()


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal, and how far it came."""

    proposed: ProposalRow
    agreed: ProposalRow | None = None
    done: ProposalRow | None = None
    withdrawn: ProposalRow | None = None

    def state(self, at: datetime) -> State:
        """Tell how it stands."""
        if self.done is not None:
            return "done"
        if self.withdrawn is not None:
            return "withdrawn"
        if at >= self.proposed.expires_at:
            return "expired"
        return "proposed" if self.agreed is None else "agreed"


class ProposalArchive(Protocol):
    """Where the steps of proposals are found, in the order of the log."""

    async def steps_of(self, proposal_id: str) -> tuple[ProposalRow, ...]:
        """Give the steps of a proposal."""
        ...

    async def steps_after(self, at: datetime) -> tuple[ProposalRow, ...]:
        """Give the steps of every proposal that expires after an instant."""
        ...


@dataclass(frozen=True, slots=True)
class Proposals:
    """Sees to it that what takes two people is done by two."""

    archive: ProposalArchive
    people: PeopleArchive
    recorder: Recorder
    sources: Sources
    alone: bool = False
    """Whether one person does it, because nobody is there to agree: at the machine itself, before there are two people."""

    async def together(
        self, order: Order, work: Callable[[Recorder], Awaitable[Done]], *, by: str
    ) -> Done | ProposalRow:
        """Carry out an order that another person agreed to, or propose it and give the proposal.

        ``work`` does what is ordered with the recorder that it is given; what it refuses is not proposed either.

        Raises
        ------
        ForbiddenError
            Where one's own proposal waits for another person, or who agreed may not do this any more.
        ClashError
            Where another person proposed the same.
        """
        if self.alone:
            return await work(self.recorder)
        found = await self._same(order)
        for it in found:
            if it.agreed is not None and are_one_person(it.proposed.by, by) and not are_one_person(it.agreed.by, by):
                await self._check_still(it.agreed.by, PERMISSIONS[order.kind], roles=_roles(it.agreed))
                done = replace(it.agreed, step="done", by=by, at=self.sources.now())
                return await work(Agreed(self.recorder, self._act(done), it.agreed.by))
        _check_new(found, by)
        try:
            return await work(_Rehearsal())
        except _WouldBeRecordedError:
            return await self._propose(order, by=by)

    async def agree(self, proposal_id: str, *, naming: Callable[[str], Awaitable[Caller]]) -> ProposalRow:
        """Agree to what another person proposed; ``naming`` gives who does, once they have the permission it is given.

        Raises
        ------
        NotFoundError
            Where there is no such proposal.
        ForbiddenError
            Where it is one's own, or one of the two may not do this; where it is not for their role, or not for them.
        ClashError
            Where somebody agreed before, or it was withdrawn or expired.
        """
        found = await self._found(proposal_id)
        made, permission = found.proposed, PERMISSIONS[found.proposed.kind]
        agreeing, at = await naming(permission), self.sources.now()
        by, roles = agreeing.subject, _roles(made)
        if allow(agreeing, "proposal.agree").own and not open_to((found,), agreeing):
            raise _none()
        if are_one_person(made.by, by):
            raise ForbiddenError("nobody agrees to what they proposed: another person agrees")
        if roles and not roles & agreeing.roles:
            raise ForbiddenError(f"this is beyond the limit of your role; wanted {' or '.join(sorted(roles))}")
        check_took_no_part(by, _said(made).get("not_by", ()), what="this")
        if (state := found.state(at)) != "proposed":
            raise ClashError(f"proposal {proposal_id}: is {state}")
        await self._check_still(made.by, PROPOSING.get(made.kind, permission))
        return await self._step(replace(made, step="agreed", by=by, at=at))

    async def withdraw(self, proposal_id: str, *, because: str, by: str) -> ProposalRow:
        """Take back what one proposed: nobody agrees to it any more, and it is not done. One that expired says so why.

        Raises
        ------
        NotFoundError
            Where there is no such proposal.
        ForbiddenError
            Where another person made it.
        ClashError
            Where it was done, or withdrawn before.
        """
        check_because(because)
        if not because.strip():
            raise InvalidInputError("because: wanted why it is taken back")
        found, at = await self._found(proposal_id), self.sources.now()
        if not are_one_person(found.proposed.by, by):
            raise ForbiddenError("who proposed it takes it back, and nobody else")
        if (state := found.state(at)) in ("done", "withdrawn"):
            raise ClashError(f"proposal {proposal_id}: is {state}")
        return await self._step(replace(found.proposed, step="withdrawn", because=because, by=by, at=at))

    async def waiting(self) -> tuple[Proposal, ...]:
        """Give the proposals that may still be done, in the order of the log."""
        at = self.sources.now()
        found = _read(await self.archive.steps_after(at))
        return tuple(it for it in found if it.state(at) in ("proposed", "agreed"))

    async def undone(self) -> tuple[Proposal, ...]:
        """Give the proposals that wait, and for a while those that were withdrawn or expired, in the order of the log."""
        found = _read(await self.archive.steps_after(self.sources.now() - SHOWN_FOR))
        return tuple(it for it in found if it.done is None)

    async def _found(self, proposal_id: str) -> Proposal:
        found = next(iter(_read(await self.archive.steps_of(proposal_id))), None)
        if found is None:
            raise _none()
        return found

    async def _step(self, row: ProposalRow) -> ProposalRow:
        """Record a step that may have been taken since it was looked for."""
        try:
            await self.recorder.record(Submission((self._act(row),), lambda _: b""))
        except IntegrityError:
            raise ClashError(f"proposal {row.proposal_id}: somebody else was quicker") from None
        return row

    async def _same(self, order: Order) -> list[Proposal]:
        """Give the proposals of the same that may still be done; why somebody wants it makes no other of it."""
        wanted = (order.kind, order.text)
        return [it for it in await self.waiting() if (it.proposed.kind, it.proposed.said) == wanted]

    async def _propose(self, order: Order, *, by: str) -> ProposalRow:
        at = self.sources.now()
        id_ = str(self.sources.new_id(at))
        row = ProposalRow(id_, "proposed", order.kind, order.text, order.because, by, at + LASTS, at, by)
        try:
            await self.recorder.record(Submission((self._act(row),), lambda _: b"", status=ACCEPTED))
        except IntegrityError as error:
            if _TWICE not in error.message:
                raise
            _check_new(await self._same(order), by)
            raise ClashError("the same was proposed meanwhile") from None
        return row

    async def _check_still(self, user_id: str, permission: str, *, roles: frozenset[str] = frozenset()) -> None:
        """Refuse where somebody was disabled, or lost the role; of whom the store keeps no roles, their token told them."""
        person = await self.people.person(user_id)
        if person is None:
            return
        held = permissions().held(roles=person.granted, scopes=frozenset())
        may = permission in held and permissions().conflict(person.granted) is None
        lost = bool(person.roles) and not (may and (not roles or roles & person.granted))
        if person.user.disabled_at is not None or lost:
            raise ForbiddenError(f"{user_id}, who was one of the two, may not do this any more")

    def _act(self, row: ProposalRow) -> Act:
        said = {"schema": SCHEMA, **_plain(row), "said": row.said}
        return Act(
            f"act.{row.step}", row.at, f"person:{row.by}", row.proposal_id, encode(said), self.sources.salt(), (row,)
        )


def open_to(found: Iterable[Proposal], caller: Caller) -> tuple[Proposal, ...]:
    """Give the proposals that a caller may agree to by their roles: what others order may tell of a legal hold, and why.

    To whom only their own is open, that is what they proposed, and what is for one of their roles by name.
    """
    held, own = permissions().held(roles=caller.roles, scopes=caller.scopes), allow(caller, "proposal.agree").own
    if own:
        return tuple(
            it for it in found if _roles(it.proposed) & caller.roles or are_one_person(it.proposed.by, caller.subject)
        )
    return tuple(it for it in found if PERMISSIONS[it.proposed.kind] in held)


def plain(proposal: Proposal, at: datetime) -> dict[str, Any]:
    """Give what may be shown of a proposal to who may do the same."""
    agreed_by = None if proposal.agreed is None else proposal.agreed.by
    withdrawn = None if proposal.withdrawn is None else proposal.withdrawn.because
    told = {"state": proposal.state(at), "agreed_by": agreed_by, "withdrawn_because": withdrawn}
    return plain_step(proposal.proposed) | told


def plain_step(row: ProposalRow) -> dict[str, Any]:
    """Give what may be shown of a step."""
    told = {"proposal_id": row.proposal_id, "state": row.step, "act": row.kind, "said": msgspec.json.decode(row.said)}
    told |= {"because": row.because, "proposed_by": row.proposed_by, "expires_at": time_text(row.expires_at)}
    return told | {"agreed_by": row.by if row.step == "agreed" else None}


def _none() -> NotFoundError:
    return NotFoundError("there is no such proposal", hint="obligor proposals list")


def _said(row: ProposalRow) -> dict[str, Any]:
    said: dict[str, Any] = msgspec.json.decode(row.said)
    return said


def _roles(row: ProposalRow) -> frozenset[str]:
    """Name the roles of which whoever agrees must have one; none where any will do that has the permission."""
    return frozenset(_said(row).get("roles", ()))


def _check_new(found: Iterable[Proposal], by: str) -> None:
    """Refuse to propose what was proposed: to who did it, and to others."""
    for it in sorted(found, key=lambda it: not are_one_person(it.proposed.by, by)):
        id_ = it.proposed.proposal_id
        if are_one_person(it.proposed.by, by):
            raise ForbiddenError(f"proposal {id_} waits for another person than {by}, who made it")
        raise ClashError(f"{it.proposed.by} proposed the same: proposal {id_}", hint=_HINT)


def _plain(row: ProposalRow) -> dict[str, Any]:
    names = ("proposal_id", "step", "kind", "because", "proposed_by", "by")
    times = {"expires_at": time_text(row.expires_at), "at": time_text(row.at)}
    return {name: getattr(row, name) for name in names} | times


def _read(steps: Iterable[ProposalRow]) -> list[Proposal]:
    """Put the steps of each proposal together."""
    ordered = sorted(steps, key=attrgetter("proposal_id"))  # which begin with their time
    each = [{it.step: it for it in steps} for _, steps in groupby(ordered, key=attrgetter("proposal_id"))]
    return [Proposal(**it) for it in each if "proposed" in it]


class _WouldBeRecordedError(Exception):
    """A rehearsal came to where the act would be recorded."""


class _Rehearsal:
    """Lets a use case check all that it checks, and records nothing."""

    async def record(self, _submission: Submission) -> Recorded:
        """Record nothing, and end the rehearsal."""
        raise _WouldBeRecordedError


class Agreed:
    """Records what a use case does first in one with the step by which its proposal is done."""

    def __init__(self, recorder: Recorder, act: Act, agreed_by: str) -> None:
        self._recorder = recorder
        self._first: tuple[Act, ...] = (act,)
        self.agreed_by = agreed_by

    async def record(self, submission: Submission) -> Recorded:
        """Record acts as :class:`obligor.serving.acts.Recorder` does."""
        acts = (*self._first, *submission.acts)
        try:
            recorded = await self._recorder.record(msgspec.structs.replace(submission, acts=acts))
        except IntegrityError as error:
            if not any(it in error.message for it in _REFUSED):
                raise
            raise ClashError("this was done before, as it was proposed and agreed, or taken back") from None
        self._first = ()
        return recorded

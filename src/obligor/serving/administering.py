"""What people do to the service over a door: they add others, give them roles, and change the compliance profile.

Each act asks its permission (``security/permissions.yaml``), names the person who does it, and is done once for its idempotency
key. It is the very act that the command line does: here it only gets its request and its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from obligor.core.errors import UnavailableError
from obligor.core.profile import in_force, parse_profile
from obligor.security.passwords import MOST_LENGTH
from obligor.security.permissions import allow, allow_person
from obligor.serving.encoding import encode_in_order
from obligor.serving.idempotency import request_saying
from obligor.serving.once import once
from obligor.serving.people.access import access_of, plain_person, plain_reviewed, plain_role, plain_user
from obligor.serving.people.proposals import open_to, plain_step
from obligor.serving.people.proposals import plain as plain_proposal
from obligor.serving.people.roles import People, order_to_add
from obligor.serving.releases.profile_changes import plain_change
from obligor.serving.rows import ProfileChangeRow, ProposalRow, ReleaseRow, UserRoleRow, UserRow
from obligor.serving.said import MOST_BECAUSE, read_said

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from obligor.core.profile import Profile
    from obligor.serving.acts import Caller, Recorded, Recorder, Request, Submission
    from obligor.serving.archive import Archive
    from obligor.serving.once import Answers
    from obligor.serving.people.access import PeopleArchive
    from obligor.serving.people.proposals import Proposals
    from obligor.serving.releases.profile_changes import Changing
    from obligor.serving.sources import Sources

MOST_BYTES: Final = 1 << 12
MOST_PROFILE_BYTES: Final = 64 << 10
_UserId = Annotated[str, msgspec.Meta(min_length=1, max_length=190)]


class NewUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to let in."""

    user: _UserId
    password: Annotated[str, msgspec.Meta(max_length=MOST_LENGTH)] | None = None
    """Without one they sign in at the identity provider."""
    because: Annotated[str, msgspec.Meta(max_length=MOST_BECAUSE)] = ""
    """For the person who is asked to agree."""


class NamedUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody to let in no more."""

    user: _UserId


class NamedRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A role of somebody."""

    user: _UserId
    role: Annotated[str, msgspec.Meta(max_length=40)]


class Withdrawal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why somebody takes back what they proposed."""

    because: Annotated[str, msgspec.Meta(min_length=1, max_length=MOST_BECAUSE)]


class NewProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A compliance profile, and why it is proposed."""

    profile: dict[str, Any]
    because: Annotated[str, msgspec.Meta(max_length=MOST_BECAUSE)]


@dataclass(frozen=True, slots=True)
class Administration:
    """Who may sign in and do what, and which compliance profile is in force, as a person may change it."""

    people: PeopleArchive
    archive: Archive
    answers: Answers
    recorder: Recorder
    sources: Sources
    changing: Changing
    proposals: Proposals

    # People

    async def users(self, caller: Caller) -> list[dict[str, Any]]:
        """Tell of everybody who may sign in, or could."""
        allow(caller, "user.read")
        return [plain_person(it) for it in await self.people.people()]

    async def access(self, caller: Caller) -> list[dict[str, Any]]:
        """Tell who may do what, and what somebody should look at."""
        allow(caller, "user.read")
        return [plain_reviewed(it) for it in access_of(await self.people.people(), at=self.sources.now())]

    async def add(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Let somebody sign in, or propose to. The key binds the name alone, and so tells nothing of a password."""
        by, said = allow_person(caller, "user.manage"), read_said(body, NewUser, most=MOST_BYTES)
        return await self._once(
            request_saying(caller, route="users", key=key, said=said.user),
            lambda recorder: replace(self.proposals, recorder=recorder).together(
                order_to_add(said.user, password=said.password, because=said.because),
                lambda recorder: self._people(recorder).add(said.user, password=said.password, by=by),
                by=by,
            ),
        )

    async def disable(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Let somebody in no more."""
        by, said = allow_person(caller, "user.disable"), read_said(body, NamedUser, most=MOST_BYTES)
        return await self._once(
            request_saying(caller, route="users/disable", key=key, said=said.user),
            lambda recorder: self._people(recorder).disable(said.user, by=by),
        )

    async def grant(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Propose a role for somebody, or grant it where another person proposed it."""
        by, said = allow_person(caller, "role.grant"), read_said(body, NamedRole, most=MOST_BYTES)
        return await self._once(
            request_saying(caller, route="roles/grant", key=key, said=[said.user, said.role]),
            lambda recorder: self._people(recorder).grant(said.user, said.role, by=by),
        )

    async def revoke(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Take a role away, or a proposal of it."""
        by, said = allow_person(caller, "role.revoke"), read_said(body, NamedRole, most=MOST_BYTES)
        return await self._once(
            request_saying(caller, route="roles/revoke", key=key, said=[said.user, said.role]),
            lambda recorder: self._people(recorder).revoke(said.user, said.role, by=by),
        )

    def _people(self, recorder: Recorder) -> People:
        return People(self.people, recorder, self.sources)

    # What takes two people

    async def waiting(self, caller: Caller) -> list[dict[str, Any]]:
        """Tell of the proposals that wait, or ended undone of late, of what the caller may do as well."""
        allow(caller, "proposal.agree")
        at, found = self.sources.now(), await self.proposals.undone()
        return [plain_proposal(it, at) for it in open_to(found, caller)]

    async def agree(self, caller: Caller, *, key: str, proposal_id: UUID) -> Recorded:
        """Agree to what another person proposed."""
        allow(caller, "proposal.agree")

        async def naming(permission: str) -> Caller:
            allow_person(caller, permission)
            return caller

        return await self._once(
            request_saying(caller, route="proposals/agreement", key=key, said=str(proposal_id)),
            lambda recorder: replace(self.proposals, recorder=recorder).agree(str(proposal_id), naming=naming),
        )

    async def withdraw(self, caller: Caller, *, key: str, proposal_id: UUID, body: bytes) -> Recorded:
        """Take back what the caller proposed."""
        by, said = allow_person(caller, "proposal.agree"), read_said(body, Withdrawal, most=MOST_BYTES)
        return await self._once(
            request_saying(caller, route="proposals/withdrawal", key=key, said=[str(proposal_id), said.because]),
            lambda recorder: replace(self.proposals, recorder=recorder).withdraw(
                str(proposal_id), because=said.because, by=by
            ),
        )

    # The compliance profile

    async def profile(self, caller: Caller) -> dict[str, Any]:
        """Tell which profile is in force, and every step of every change."""
        allow(caller, "profile.read")
        newest = await self.archive.release()
        if newest is None:
            raise UnavailableError("no release is in force", told=True)
        profile = parse_profile(newest.profile)
        return {
            "profile_sha256": profile.sha256,
            "in_force": _is_in_force(profile, self.sources.now()),
            "gates": profile.gates.model_dump(mode="json"),
            "scopes": [it.model_dump(mode="json") for it in profile.scopes],
            "changes": [plain_change(it) for it in await self.changing.changes.changes()],
        }

    async def propose(self, caller: Caller, *, key: str, body: bytes) -> Recorded:
        """Propose a profile."""
        by, said = allow_person(caller, "profile.propose"), read_said(body, NewProfile, most=MOST_PROFILE_BYTES)
        data = encode_in_order(said.profile)
        return await self._once(
            request_saying(caller, route="profile/changes", key=key, said=[said.profile, said.because]),
            lambda recorder: replace(self.changing, recorder=recorder).propose(data, because=said.because, by=by),
        )

    async def approve(self, caller: Caller, *, key: str, change_id: UUID) -> Recorded:
        """Approve a proposal of another person, and put its profile in force."""
        by = allow_person(caller, "profile.approve")
        return await self._once(
            request_saying(caller, route="profile/approval", key=key, said=str(change_id)),
            lambda recorder: replace(self.changing, recorder=recorder).approve(str(change_id), by=by),
        )

    async def _once(self, request: Request, act: Callable[[Recorder], Awaitable[object]]) -> Recorded:
        return await once(self.answers, self.recorder, request, act, told=_told)


def _told(submission: Submission) -> dict[str, Any]:
    """Give the answer of an act: what may be shown of the rows that it leaves."""
    told: dict[str, Any] = {}
    for row in (row for act in submission.acts for row in act.rows):
        match row:
            case UserRow():
                told |= plain_user(row)
            case UserRoleRow():
                told |= {"user": row.user_id} | plain_role(row)
            case ProposalRow() if row.step != "done":
                told |= plain_step(row)
            case ProfileChangeRow():
                told |= plain_change(row)
            case ReleaseRow():
                told["release"] = row.number
    return told


def _is_in_force(profile: Profile, at: datetime) -> bool:
    try:
        in_force(profile, at)
    except UnavailableError:
        return False
    return True

"""People, their roles, what takes two of them, and the compliance profile, as models: see ``shapes``."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from obligor.core.profile import GateName, GateState
from obligor.security.permissions import permissions
from obligor.serving.http.shapes import Instant, ReceiptTold, Sha256, Shape
from obligor.serving.people.roles import SYSTEMS_ROLE
from obligor.serving.said import MOST_BECAUSE

UserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._@+|:/=~-]{0,189}$")]
RoleName = Annotated[str, Field(json_schema_extra={"enum": sorted(permissions().roles.keys() - {SYSTEMS_ROLE})})]
RoleState = Literal["proposed", "granted", "revoked"]


class NewUser(Shape):
    """Somebody to let in."""

    user: UserId
    password: Annotated[str, Field(min_length=15, max_length=256)] | None = None
    """Their password; without one they sign in at the identity provider."""
    because: Annotated[str, Field(max_length=MOST_BECAUSE)] = ""
    """For the person who is asked to agree."""


class NamedUser(Shape):
    """Somebody."""

    user: UserId


class NamedRole(Shape):
    """A role of somebody."""

    user: UserId
    role: RoleName
    """A role of the table of permissions, but `los`, which is for systems."""


class RoleTold(Shape):
    """A role of a person, and how far its grant has come."""

    role: str
    state: RoleState
    proposed_by: str
    by: str
    """Who brought it to this state."""
    at: Instant


class UserShown(Shape):
    """Somebody who may sign in, or could."""

    user: str
    state: Literal["enabled", "disabled"]
    signs_in: Literal["here", "elsewhere"]
    created_at: Instant
    disabled_at: Instant | None


class UserTold(UserShown):
    """Somebody, with every role that was ever proposed for them."""

    seen_at: Instant | None
    """When they last signed in with a password."""
    roles: list[RoleTold]


class UsersTold(Shape):
    """Everybody, by user id."""

    users: list[UserTold]


class UserReviewed(UserTold):
    """Somebody, as a review of access sees them."""

    may: list[str]
    """Their permissions, and how far each goes."""
    concerns: list[str]
    """What somebody should look at."""


class AccessTold(Shape):
    """Who may do what."""

    users: list[UserReviewed]


class UserChanged(UserShown):
    """Somebody, after something was done."""

    receipt: ReceiptTold


class RoleChanged(RoleTold):
    """A role of somebody, after something was done."""

    user: str
    receipt: ReceiptTold


class ProposalTold(Shape):
    """An act that takes two people: one proposed it, another agrees."""

    proposal_id: UUID
    state: Literal["proposed", "agreed", "withdrawn", "expired"]
    act: str
    """What is to be done, as the audit log will call it."""
    said: dict[str, Any]
    """What exactly; it tells of nobody who applied."""
    because: str
    """Why it was proposed; of a withdrawal, why it was taken back."""
    proposed_by: str
    expires_at: Instant
    agreed_by: str | None


class ProposalListed(ProposalTold):
    """A proposal, and how far it came."""

    withdrawn_because: str | None


class ProposalsTold(Shape):
    """What waits for a second person, and what ended undone of late."""

    proposals: list[ProposalListed]


class ProposalMade(ProposalTold):
    """A step of a proposal, recorded."""

    receipt: ReceiptTold


class Withdrawal(Shape):
    """Why a proposal is taken back."""

    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)]


class NewProfile(Shape):
    """A compliance profile, and why."""

    profile: dict[str, Any]
    """The profile, as its file."""
    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)]
    """Why it is to change."""


class ProfileChangeTold(Shape):
    """A step of a change of the profile."""

    change_id: UUID
    step: Literal["proposed", "approved"]
    profile_sha256: Sha256
    replaces_sha256: Sha256
    because: str
    by: str
    at: Instant


class ElsewhereTold(Shape):
    """Who screens instead."""

    system: str
    reference: str


class GateTold(Shape):
    """A gate of the profile in force."""

    state: GateState
    on_fail: Literal["hold", "refer", "decline"]
    reason: str
    """What an applicant reads whom it declines."""
    elsewhere: ElsewhereTold | None = None
    """Of `aml` where it is off: who screens instead; none where nobody does."""


class ScopeTold(Shape):
    """Some applications, and the gates that the profile in force has for them."""

    name: str
    when: str
    """The condition over the fields of an application."""
    gates: dict[GateName, GateTold]
    """The gates that hold instead; the others are as the profile has them."""


class ProfileChangesTold(Shape):
    """The profile in force, and every step of every change, the newest first."""

    profile_sha256: Sha256
    in_force: bool
    """Whether it is: otherwise nothing is decided."""
    gates: dict[GateName, GateTold]
    """Every gate, as the profile in force has it."""
    scopes: list[ScopeTold]
    """For whom others hold: the first that fits counts."""
    changes: list[ProfileChangeTold]


class ProfileProposed(ProfileChangeTold):
    """A proposal, recorded."""

    receipt: ReceiptTold


class ProfileApproved(ProfileProposed):
    """An approval, recorded."""

    release: Annotated[int, Field(ge=1)]
    """The number of the release that is in force from now on."""

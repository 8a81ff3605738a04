"""The routes by which people look after people, their roles and the compliance profile.

A user is named in a body and never in an address, which others between here and there write down.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request, Response

from obligor.serving.acts import Caller
from obligor.serving.administering import MOST_BYTES, MOST_PROFILE_BYTES
from obligor.serving.http import people_shapes as shapes
from obligor.serving.http.decisions import KEY_HEADER, PROPOSED, body_of, recorded
from obligor.serving.http.door import recorded_answer
from obligor.serving.http.heads import read_head
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain

router = APIRouter()
UserReader = Annotated[Caller, Depends(caller_with("user.read"))]
UserManager = Annotated[Caller, Depends(caller_with("user.manage"))]
UserDisabler = Annotated[Caller, Depends(caller_with("user.disable"))]
RoleGranter = Annotated[Caller, Depends(caller_with("role.grant"))]
RoleRevoker = Annotated[Caller, Depends(caller_with("role.revoke"))]
Agreer = Annotated[Caller, Depends(caller_with("proposal.agree"))]
ProfileReader = Annotated[Caller, Depends(caller_with("profile.read"))]
Proposer = Annotated[Caller, Depends(caller_with("profile.propose"))]
Approver = Annotated[Caller, Depends(caller_with("profile.approve"))]
ChangeId = Annotated[UUID, Path(description="The id of the proposal.")]
ProposalId = Annotated[UUID, Path(description="The id of the proposal.")]


@router.get(
    "/v1/users",
    operation_id="getUsers",
    summary="See who may sign in",
    description="Everybody who may, or could, with their roles. Role: `admin`, `auditor`.",
    response_model=shapes.UsersTold,
    responses=answers(told="The users."),
    dependencies=[Depends(only())],
    tags=["People"],
)
async def users(door: TheDoor, caller: UserReader) -> Response:
    """Tell who may sign in."""
    return respond_plain({"users": await door.administration.users(caller)})


@router.post(
    "/v1/users",
    operation_id="addUser",
    summary="Let somebody sign in",
    description="With a password, or without one at the identity provider; they have no role yet. It takes two people: the "
    "first time it is proposed (202), and done by the same request (with another key) once another person has agreed; the "
    "password that counts is that of then. Role: `admin`.",
    status_code=201,
    response_model=shapes.UserChanged,
    responses=recorded(ok=201, told="The user, recorded.") | PROPOSED,
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NewUser", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["People"],
)
async def add_user(request: Request, door: TheDoor, caller: UserManager) -> Response:
    """Let somebody sign in."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.administration.add(caller, key=key, body=body)))


@router.post(
    "/v1/users/disable",
    operation_id="disableUser",
    summary="Let somebody in no more",
    description="Wherever they sign in, for ever: an id is never given to another person. Role: `admin`.",
    status_code=201,
    response_model=shapes.UserChanged,
    responses=recorded(404, ok=201, told="The user, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NamedUser", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["People"],
)
async def disable_user(request: Request, door: TheDoor, caller: UserDisabler) -> Response:
    """Let somebody in no more."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.administration.disable(caller, key=key, body=body)))


@router.post(
    "/v1/roles/grant",
    operation_id="grantRole",
    summary="Propose a role, or grant it",
    description="The first of two persons proposes it, the second grants it; neither is who gets it. Role: `admin`.",
    status_code=201,
    response_model=shapes.RoleChanged,
    responses=recorded(404, ok=201, told="The role, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NamedRole", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["People"],
)
async def grant_role(request: Request, door: TheDoor, caller: RoleGranter) -> Response:
    """Propose a role, or grant it where another person proposed it."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.administration.grant(caller, key=key, body=body)))


@router.post(
    "/v1/roles/revoke",
    operation_id="revokeRole",
    summary="Take a role away",
    description="Or the proposal of it; one person does. Role: `admin`.",
    status_code=201,
    response_model=shapes.RoleChanged,
    responses=recorded(404, ok=201, told="The role, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NamedRole", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["People"],
)
async def revoke_role(request: Request, door: TheDoor, caller: RoleRevoker) -> Response:
    """Take a role away."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(recorded_answer(await door.administration.revoke(caller, key=key, body=body)))


@router.get(
    "/v1/access",
    operation_id="reviewAccess",
    summary="Review who may do what",
    description="With what somebody should look at: conflicts, stale accounts, roles that wait or that one person gave. "
    "Role: `admin`, `auditor`.",
    response_model=shapes.AccessTold,
    responses=answers(told="The review."),
    dependencies=[Depends(only())],
    tags=["People"],
)
async def review_access(door: TheDoor, caller: UserReader) -> Response:
    """Tell who may do what."""
    return respond_plain({"users": await door.administration.access(caller)})


@router.get(
    "/v1/proposals",
    operation_id="getProposals",
    summary="See what waits for a second person",
    description="Of acts that the caller may do as well: the proposals that wait, and for thirty days those that were "
    "withdrawn or expired. To underwriters, of overrides alone. Role: `admin`, `operator`, `compliance`, `privacy_officer`, "
    "`risk_officer`, `senior_officer`, `analyst`.",
    response_model=shapes.ProposalsTold,
    responses=answers(told="The proposals."),
    dependencies=[Depends(only())],
    tags=["People"],
)
async def proposals(door: TheDoor, caller: Agreer) -> Response:
    """Tell what waits for a second person."""
    return respond_plain({"proposals": await door.administration.waiting(caller)})


@router.post(
    "/v1/proposals/{proposal_id:uuid}/agreement",
    operation_id="agreeToProposal",
    summary="Agree to what another person proposed",
    description="With the permission of what was proposed, and a second factor where that asks for one; no body. Whoever "
    "proposed it then does it, by the same request as before with another key. Role: `admin`, `operator`, `compliance`, "
    "`privacy_officer`, `risk_officer`, `senior_officer`, `analyst`.",
    status_code=201,
    response_model=shapes.ProposalMade,
    responses=recorded(404, ok=201, told="The agreement, recorded."),
    openapi_extra={"parameters": [KEY_HEADER]},
    dependencies=[Depends(only())],
    tags=["People"],
)
async def agree(request: Request, door: TheDoor, caller: Agreer, proposal_id: ProposalId) -> Response:
    """Agree to a proposal of another person."""
    key = read_head(request.scope["headers"]).key
    return respond(recorded_answer(await door.administration.agree(caller, key=key, proposal_id=proposal_id)))


@router.post(
    "/v1/proposals/{proposal_id:uuid}/withdrawal",
    operation_id="withdrawProposal",
    summary="Take back what one proposed",
    description="Whoever proposed it, and nobody else, once, with a reason: nobody agrees to it any more, and it is not done. "
    "Role: `admin`, `operator`, `compliance`, `privacy_officer`, `risk_officer`, `senior_officer`, `analyst`.",
    status_code=201,
    response_model=shapes.ProposalMade,
    responses=recorded(404, ok=201, told="The withdrawal, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("Withdrawal", described="At most 4 KiB.")},
    dependencies=[Depends(only())],
    tags=["People"],
)
async def withdraw(request: Request, door: TheDoor, caller: Agreer, proposal_id: ProposalId) -> Response:
    """Take back what the caller proposed."""
    key, body = await door.act(request.scope, request.receive, most=MOST_BYTES)
    return respond(
        recorded_answer(await door.administration.withdraw(caller, key=key, proposal_id=proposal_id, body=body))
    )


@router.get(
    "/v1/profile/changes",
    operation_id="getProfileChanges",
    summary="See how the compliance profile was changed",
    description="Every proposal and approval, the newest first. Role: `risk_officer`, `compliance`, `auditor`.",
    response_model=shapes.ProfileChangesTold,
    responses=answers(told="The changes."),
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def profile_changes(door: TheDoor, caller: ProfileReader) -> Response:
    """Tell how the profile was changed."""
    return respond_plain(await door.administration.profile(caller))


@router.post(
    "/v1/profile/changes",
    operation_id="proposeProfile",
    summary="Propose a compliance profile",
    description="It comes into force once another person approves it. Turning a gate down needs an end (`expires_at`). "
    "Role: `compliance`.",
    status_code=201,
    response_model=shapes.ProfileProposed,
    responses=recorded(ok=201, told="The proposal, recorded."),
    openapi_extra={"parameters": [KEY_HEADER], "requestBody": body_of("NewProfile", described="At most 64 KiB.")},
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def propose_profile(request: Request, door: TheDoor, caller: Proposer) -> Response:
    """Propose a profile."""
    key, body = await door.act(request.scope, request.receive, most=MOST_PROFILE_BYTES)
    return respond(recorded_answer(await door.administration.propose(caller, key=key, body=body)))


@router.post(
    "/v1/profile/changes/{change_id:uuid}/approval",
    operation_id="approveProfile",
    summary="Approve a compliance profile",
    description="One that another person proposed: it is in force from now on. Needs a second factor, and no body. "
    "Role: `compliance`.",
    status_code=201,
    response_model=shapes.ProfileApproved,
    responses=recorded(404, ok=201, told="The approval, recorded."),
    openapi_extra={"parameters": [KEY_HEADER]},
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def approve_profile(request: Request, door: TheDoor, caller: Approver, change_id: ChangeId) -> Response:
    """Approve a proposal of another person."""
    key = read_head(request.scope["headers"]).key
    return respond(recorded_answer(await door.administration.approve(caller, key=key, change_id=change_id)))

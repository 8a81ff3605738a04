"""The routes of what stands behind decisions: the release in force, and the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from obligor.core.policy import Policy
from obligor.core.profile import Profile
from obligor.core.scorecard import Scorecard
from obligor.serving.acts import Caller
from obligor.serving.audit.acts import Span
from obligor.serving.http import shapes
from obligor.serving.http.decisions import Cursor, InstantAsked
from obligor.serving.http.problems import JSON, Answer
from obligor.serving.http.routing import TheDoor, answers, caller_with, only, respond, respond_plain

_TEXT = ((b"content-type", b"text/plain; charset=utf-8"),)
_AS_TEXT = {"content": {"text/plain": {"schema": {"type": "string"}}}}
_AS_BYTES = {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}
_LASTING_BYTES = (
    (b"content-type", b"application/octet-stream"),
    (b"cache-control", b"private, max-age=31536000, immutable"),  # whoever was let in; a tile never changes
)
_LARGEST = 2**63 - 1

router = APIRouter()
Reader = Annotated[Caller, Depends(caller_with("release.read"))]
Auditor = Annotated[Caller, Depends(caller_with("log.read"))]
ActReader = Annotated[Caller, Depends(caller_with("act.read"))]


@router.get(
    "/v1/release",
    operation_id="getRelease",
    summary="What is in force",
    description="The card, the policy and the compliance profile that decide together, by hash. Scope: `read`.",
    response_model=shapes.ReleaseTold,
    responses=answers(told="The release."),
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def release(door: TheDoor, _caller: Reader) -> Response:
    """Tell what is in force."""
    found = door.service.release
    profile = f"{found.profile.name} version {found.profile.version}"
    return respond_plain({**found.pins, "card": found.card.name, "profile": profile})


@router.get(
    "/v1/card",
    operation_id="getCard",
    summary="The scorecard in force",
    description="As its file. Scope: `read`.",
    response_model=Scorecard,
    responses=answers(told="The card."),
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def card(door: TheDoor, _caller: Reader) -> Response:
    """Give the card."""
    return respond(Answer(200, door.service.release.card.to_json(), JSON))


@router.get(
    "/v1/policy",
    operation_id="getPolicy",
    summary="The policy in force",
    description="As its file. Scope: `read`.",
    response_model=Policy,
    responses=answers(told="The policy."),
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def policy(door: TheDoor, _caller: Reader) -> Response:
    """Give the policy."""
    return respond(Answer(200, door.service.release.policy.to_json(), JSON))


@router.get(
    "/v1/profile",
    operation_id="getProfile",
    summary="The compliance profile in force",
    description="Which gates are off, monitored or enforced. Scope: `read`.",
    response_model=Profile,
    responses=answers(told="The profile."),
    dependencies=[Depends(only())],
    tags=["Release"],
)
async def profile(door: TheDoor, _caller: Reader) -> Response:
    """Give the profile."""
    return respond(Answer(200, door.service.release.profile.to_json(), JSON))


class ActsQuery(BaseModel):
    """Which acts are wanted."""

    model_config = ConfigDict(use_attribute_docstrings=True, populate_by_name=False)

    since: Annotated[InstantAsked | None, Field(alias="from")] = None
    """The first instant, with its offset from UTC."""
    until: Annotated[InstantAsked | None, Field(alias="to")] = None
    """The instant before which."""
    cursor: Cursor | None = None
    """Where the page begins, as a page before gave it."""


@router.get(
    "/v1/log/acts",
    operation_id="getActs",
    summary="Read who did what and when",
    description="Acts of the audit log, the newest first, without what was done: all of them with the role `compliance` or "
    "`auditor`, others' own and those of the areas that the table gives their role. A page looks at 10,000 acts: it may be "
    "empty, and the next one not. Permission: `act.read`.",
    response_model=shapes.ActsPage,
    responses=answers(told="A page of acts."),
    dependencies=[Depends(only("from", "to", "cursor"))],
    tags=["Audit log"],
)
async def acts(door: TheDoor, caller: ActReader, query: Annotated[ActsQuery, Query()]) -> Response:
    """Tell who did what and when."""
    span = Span(query.since, query.until, None if query.cursor is None else int(query.cursor))
    return respond_plain((await door.log.acts(caller, span)).to_plain())


@router.get(
    "/v1/log/checkpoint",
    operation_id="getCheckpoint",
    summary="The newest checkpoint of the audit log",
    description="A signed note with the size and the root of the log. Scope: `audit`.",
    response_class=Response,
    responses=answers(404) | {200: {"description": "The note."} | _AS_TEXT},
    dependencies=[Depends(only())],
    tags=["Audit log"],
)
async def checkpoint(door: TheDoor, _caller: Auditor) -> Response:
    """Give the newest checkpoint."""
    return respond(Answer(200, await door.log.checkpoint(), _TEXT))


@router.get(
    "/v1/log/key",
    operation_id="getLogKey",
    summary="The key that checkpoints verify by",
    description="Keep it where the service cannot reach. Scope: `audit`.",
    response_class=Response,
    responses=answers() | {200: {"description": "The key, as text."} | _AS_TEXT},
    dependencies=[Depends(only())],
    tags=["Audit log"],
)
async def log_key(door: TheDoor, _caller: Auditor) -> Response:
    """Give the key of the log."""
    return respond(Answer(200, await door.log.key(), _TEXT))


class ConsistencyQuery(BaseModel):
    """Two sizes of the log."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    first: Annotated[shapes.Leaves, Field(alias="from", le=_LARGEST)]
    """The smaller size."""
    second: Annotated[shapes.Leaves, Field(alias="to", le=_LARGEST)]
    """The larger size."""


@router.get(
    "/v1/log/consistency",
    operation_id="getConsistency",
    summary="Prove that the log only grew",
    description="The proof that the log of one size is the beginning of the log of another (RFC 9162, 2.1.4). Scope: `audit`.",
    response_model=shapes.Consistency,
    responses=answers(404, told="The proof."),
    dependencies=[Depends(only("from", "to"))],
    tags=["Audit log"],
)
async def consistency(door: TheDoor, _caller: Auditor, query: Annotated[ConsistencyQuery, Query()]) -> Response:
    """Prove that the log only grew."""
    return respond_plain(await door.log.consistency(query.first, query.second))


@router.get(
    "/v1/log/tile/{level}/{index:path}",
    operation_id="getTile",
    summary="Hashes of the audit log, for clients that read any log by its tiles",
    description="Up to 256 hashes of 32 bytes, by the names of C2SP tlog-tiles; of the records, nothing. Scope: `audit`.",
    response_class=Response,
    responses=answers(404) | {200: {"description": "The hashes, one after the other."} | _AS_BYTES},
    dependencies=[Depends(only())],
    tags=["Audit log"],
)
async def tile(
    door: TheDoor,
    _caller: Auditor,
    level: Annotated[str, Path(description="0 for the hashes of leaves; each level above has one for 256 below.")],
    index: Annotated[
        str,
        Path(
            description="The number of the tile in its level: groups of three digits, each but the last after an `x`"
            " (`x001/x234/067`); and `.p/` with its width where it has fewer than 256 hashes (`000.p/17`)."
        ),
    ],
) -> Response:
    """Give a tile of the tree."""
    return respond(Answer(200, await door.log.tile(f"{level}/{index}"), _LASTING_BYTES))

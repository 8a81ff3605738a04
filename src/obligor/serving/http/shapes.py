"""The answers of the service as models: the OpenAPI document is written from them, and tests hold every answer against it.

They check nothing at run time: the service writes its own answers.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
OutcomeName = Literal["approve", "refer", "decline", "hold"]
Leaves = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]
"""A number of leaves, or the number of one."""
Instant = Annotated[datetime, Field(examples=["2026-11-26T19:40:00.123456Z"])]


class Shape(BaseModel):
    """An object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


def or_absent(schema: dict[str, Any]) -> None:
    """Say of a field that it may be absent, without a value that it would have then."""
    schema.pop("default")


class FieldError(Shape):
    """One field that is wrong."""

    field: str
    """Its place, as a JSON pointer (RFC 6901), such as `/annual_income`."""
    message: str
    """What was wanted, and what kind of thing came; never the value."""


class Problem(Shape):
    """Why a request failed (RFC 9457)."""

    type: Annotated[str, Field(pattern="^urn:obligor:problem:[a-z-]+$")]
    """What kind of problem it is; a URN that does not change."""
    title: str
    """The same in words."""
    status: Annotated[int, Field(ge=400, le=599)]
    """The HTTP status."""
    detail: str | None = None
    """What was wrong this time."""
    errors: list[FieldError] | None = None
    """The fields that are wrong: the first fifty."""


class ReceiptTold(Shape):
    """Where the decision stands in the audit log."""

    leaf_index: Leaves
    tree_size: Leaves
    """A size of the log that holds it."""


class Receipt(Shape):
    """The proof that a decision is in the audit log: what its forms are stands in the reference of the log."""

    schema_: Annotated[Literal["obligor/receipt/1"], Field(alias="schema")]
    index: Leaves
    """The number of the leaf, from 0."""
    leaf: str
    """The leaf: its hash is that of these characters in UTF-8."""
    proof: list[Sha256]
    """The way from the leaf to the root (RFC 9162, 2.1.3)."""
    checkpoint: str
    """The signed note with size and root."""
    record: Annotated[str, Field(default_factory=str)]
    """What the leaf commits to; left out, with the salt, where the caller may not see it."""
    salt: Annotated[str, Field(pattern="^[0-9a-f]{32}$", default_factory=str)]


class Consistency(Shape):
    """The proof that the log of one size is the beginning of the log of another."""

    from_: Annotated[Leaves, Field(alias="from")]
    to: Leaves
    proof: list[Sha256]
    """The hashes, in order."""


class ActTold(Shape):
    """An act of the audit log, without what was done."""

    leaf_index: Leaves
    at: Instant
    by: str
    """`client:` or `person:`, and who."""
    kind: str
    about: str
    """What it was done to: the id of a decision, a review or a proposal, a user, the hash of a person."""


class ActsPage(Shape):
    """Acts of the audit log, the newest first."""

    acts: list[ActTold]
    next_cursor: str | None
    """Where the next page begins; null after the last."""


class Credentials(Shape):
    """A user and a password."""

    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._@+|:/=~-]{0,189}$")]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class TokenGiven(Shape):
    """A token for somebody who signed in."""

    access_token: str
    """Sent as `Authorization: Bearer …`."""
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(ge=1)]
    """Seconds for which it opens."""


class ReleaseTold(Shape):
    """What is in force."""

    release: int
    """Its number."""
    card: str
    """The name of the card."""
    profile: str
    """The name and version of the compliance profile."""
    card_sha256: Sha256
    policy_sha256: Sha256
    profile_sha256: Sha256
    code: str
    """The version of the service."""


class ReadinessTold(Shape):
    """Whether the service can decide, and what it stands on."""

    status: Literal["ready", "degraded", "not ready", "draining"]
    dependencies: dict[str, Literal["up", "down"]]


class LivenessTold(Shape):
    """That the process answers."""

    status: Literal["live"]

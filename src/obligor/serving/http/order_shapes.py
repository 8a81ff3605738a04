"""What is ordered of people's data and of API keys, and how it is answered, as models: see ``shapes``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from obligor.core.application import MOST_CHARACTERS
from obligor.security.api_keys import (
    KEY_ID,
    MOST_DAYS,
    MOST_OVERLAP_HOURS,
    SCOPES,
    USUAL_DAYS,
    USUAL_OVERLAP_HOURS,
    USUAL_SCOPES,
)
from obligor.security.networks import CIDR, LONGEST_NETWORK, MOST_NETWORKS
from obligor.serving.http.shapes import Instant, ReceiptTold, Sha256, Shape, or_absent
from obligor.serving.said import MOST_BECAUSE

Identifier = Annotated[str, Field(min_length=1, max_length=MOST_CHARACTERS, json_schema_extra=or_absent)]
_NO_DECISION = UUID(int=0)
Because = Annotated[str, Field(max_length=MOST_BECAUSE)]


class PersonNamed(Shape):
    """Whom it is about: a person, or whom an application or a decision is about; one of the three."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [it]} for it in ("person_id", "application_id", "decision_id")]}
    )

    person_id: Identifier = ""
    """The identifier of the person, as the applications give it."""
    application_id: Identifier = ""
    """What the client calls one of their applications."""
    decision_id: Annotated[UUID, Field(json_schema_extra=or_absent)] = _NO_DECISION
    """A decision on them; the one way to whom nothing in their application names."""


class ErasureAsked(PersonNamed):
    """Somebody to erase."""

    account_closed: Annotated[date, Field(json_schema_extra=or_absent)] = date.min
    """When their account was closed, where a rule keeps evidence of identity from then."""
    because: Because = ""
    """For the person who is asked to agree; name nobody."""


class HoldAsked(PersonNamed):
    """Somebody to hold."""

    because: Annotated[str, Field(min_length=1, max_length=MOST_BECAUSE)]
    """Why, such as the number of a case; name nobody."""


class ReleaseAsked(PersonNamed):
    """Somebody to hold no longer."""

    because: Because = ""
    """For the person who is asked to agree; name nobody."""


class Certificate(Shape):
    """What the deployment signs of an erasure."""

    schema_: Annotated[Literal["obligor/erasure/1"], Field(alias="schema")]
    subject: Sha256
    """Who was erased, by a keyed hash."""
    erased_at: Instant
    decisions: int
    """How many there are on them."""
    keys_destroyed: int
    """0 where they were erased before."""
    signature: str
    key: str
    """The key that it verifies by, as `GET /v1/log/key` gives it."""


class Erased(Certificate):
    """A certificate, recorded."""

    not_told: list[str]
    """Clients with decisions on them of whom no endpoint listens to `person.erased`; it is not signed."""
    receipt: ReceiptTold


class HoldTold(Shape):
    """A legal hold, after something was done."""

    subject: Sha256
    """Who is held, by a keyed hash."""
    because: str
    placed_at: Instant
    by: str
    released_at: Instant | None
    """Null while it stands."""
    receipt: ReceiptTold


class Exported(Shape):
    """All that is kept of a person, for the person; the same request sent again tells only that it was given."""

    subject: Sha256
    """Who it is, by a keyed hash."""
    at: Instant
    receipt: ReceiptTold
    decisions: Annotated[tuple[dict[str, Any], ...], Field(json_schema_extra=or_absent)] = ()
    """The records of the decisions on them, opened, without the numbers of the card; each with an `explanation` in words, or,
    in `unexplained`, why there is none."""
    reviews: Annotated[tuple[dict[str, Any], ...], Field(json_schema_extra=or_absent)] = ()
    """What they asked of those decisions, and what was found."""
    outcomes: Annotated[tuple[dict[str, Any], ...], Field(json_schema_extra=or_absent)] = ()
    """What was reported of their loans."""
    broken: Annotated[tuple[UUID, ...], Field(json_schema_extra=or_absent)] = ()
    """Decisions of which something is kept otherwise than it was recorded; that is not shown."""


ScopeName = Annotated[str, Field(json_schema_extra={"enum": list(SCOPES)})]
NetworkName = Annotated[str, Field(pattern=f"^{CIDR}$", max_length=LONGEST_NETWORK)]
KeyId = Annotated[str, Field(pattern=f"^{KEY_ID}$")]
Days = Annotated[int, Field(ge=1, le=MOST_DAYS)]


class NewApiKey(Shape):
    """A key that a client is to get."""

    client: Annotated[str, Field(pattern="^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$")]
    """Who gets it."""
    name: Annotated[str, Field(max_length=100)] = ""
    """What you call the key, such as the system that uses it."""
    scopes: Annotated[tuple[ScopeName, ...], Field(min_length=1, max_length=len(SCOPES))] = USUAL_SCOPES
    """What it opens."""
    networks: Annotated[tuple[NetworkName, ...], Field(max_length=MOST_NETWORKS)] = ()
    """From where alone it opens, in CIDR notation; from anywhere where none is named."""
    days: Days = USUAL_DAYS
    """How long it opens."""
    because: Because = ""
    """For the person who is asked to agree."""


class Rotation(Shape):
    """A key that another is to take the place of."""

    key_id: KeyId
    """What stands between the underscores of the old one."""
    days: Days = USUAL_DAYS
    """How long the new one opens."""
    overlap_hours: Annotated[int, Field(ge=0, le=MOST_OVERLAP_HOURS)] = USUAL_OVERLAP_HOURS
    """For how long the old one opens as well."""
    because: Because = ""
    """For the person who is asked to agree."""


class NamedKey(Shape):
    """A key."""

    key_id: KeyId


class ApiKeyTold(Shape):
    """What may be shown of a key."""

    key_id: KeyId
    client: str
    name: str
    scopes: list[ScopeName]
    networks: Annotated[tuple[str, ...], Field(json_schema_extra=or_absent)] = ()
    """From where alone it opens, in CIDR notation; empty where from anywhere, absent from an old answer that is repeated."""
    created_at: Instant
    expires_at: Instant
    revoked_at: Instant | None


class ApiKeyListed(ApiKeyTold):
    """A key among others."""

    state: Literal["opens", "expired", "revoked"]
    """Whether it opens anything now."""


class ApiKeysTold(Shape):
    """Every key there is and was, by client and age."""

    keys: list[ApiKeyListed]


class ApiKeyRevoked(ApiKeyTold):
    """A key that opens nothing any more, recorded."""

    receipt: ReceiptTold


class ApiKeyMade(ApiKeyRevoked):
    """A key just made, recorded."""

    replaces: Annotated[ApiKeyTold | None, Field(json_schema_extra=or_absent)] = None
    """The key whose place it takes."""
    api_key: Annotated[str, Field(json_schema_extra=or_absent)] = ""
    """All of it. The same request sent again tells it no more, and it is kept nowhere."""

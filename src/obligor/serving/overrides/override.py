"""An override of a decision: what a person says, how it is kept, and what is told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Protocol

import msgspec

from obligor.core.leaves import time_text
from obligor.serving.privacy.sealed import SEALED_OVERRIDE
from obligor.serving.privacy.steps import Step
from obligor.serving.said import check_factors, field_error, read_said

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from obligor.core.authority import Authority
    from obligor.serving.last_word import LastWord
    from obligor.serving.rows import OverrideRow, Row

MOST_OVERRIDE_BYTES: Final = 1 << 14
_MOST_RATIONALE: Final = 2000
_TOLD: Final = ("decision_id", "outcome", "direction", "reason", "decided_at", "expires_at")


class OverrideArchive(Protocol):
    """Where overrides are found again."""

    async def override_of(self, decision_id: UUID) -> OverrideRow | None:
        """Find the override of a decision."""
        ...


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a person decides in place of a decision, and why."""

    outcome: Literal["approve", "decline"]
    reason: str
    """One of the codes of the policy."""
    rationale: Annotated[str, msgspec.Meta(max_length=_MOST_RATIONALE)]
    """Why, in their own words, for whoever looks at it later."""
    factors: tuple[str, ...] = ()
    """What they looked at, in words that the applicant may read; the reasons of a decline."""


def read_override(body: bytes | Mapping[str, Any]) -> Said:
    """Read an override strictly; a message names a field, and never what it says.

    Raises
    ------
    ApplicationError, InvalidInputError, TooLargeError, CardDataError
        As they say.
    """
    said = read_said(body, Said, what="override", most=MOST_OVERRIDE_BYTES)
    if not said.rationale.strip() or "\x00" in said.rationale:
        raise field_error("override", "rationale", "wanted why, in a text without NUL")
    check_factors(said.factors, of="override")
    if said.outcome == "decline" and not said.factors:
        raise field_error("override", "factors", "wanted what you looked at, for the applicant who is declined")
    return said


def check_reason(said: Said, authority: Authority) -> None:
    """Refuse a reason that the policy does not have."""
    if said.reason not in authority.reasons:
        raise field_error("override", "reason", f"wanted one of {', '.join(sorted(authority.reasons))}")


def overridden(
    row: OverrideRow, said: Said, authority: Authority, *, policy_sha256: str, rows: tuple[Row, ...] = ()
) -> Step:
    """Give the step by which a person decides in place of a decision; ``rows`` are kept with its own."""
    limit = authority.limits[row.role]
    kept = {
        "decision_id": str(row.decision_id),
        "client_id": row.client_id,
        "outcome": row.outcome,
        "direction": row.direction,
        "reason": row.reason,
        "role": row.role,
        "limit": {"amount": limit.amount, "pd": limit.pd},
        "policy_sha256": policy_sha256,
        "decided_at": time_text(row.decided_at),
        "by": row.by,
        "agreed_by": row.agreed_by,
        "expires_at": None if row.expires_at is None else time_text(row.expires_at),
    }
    words = {"rationale": said.rationale, "factors": [{"code": "override", "text": it} for it in said.factors]}
    about = row.decision_id
    return Step(
        "override.decided", row.decided_at, f"person:{row.by}", about, (row, *rows), kept, SEALED_OVERRIDE, words
    )


def told_of(record: bytes) -> dict[str, Any]:
    """Give what is answered to who overrode a decision."""
    said = msgspec.json.decode(record)
    return {name: said[name] for name in _TOLD}


def plain(row: OverrideRow, at: datetime, *, word: LastWord | None) -> dict[str, Any]:
    """Tell of an override what may be told of it to whoever may see its decision; ``word`` is the last on that."""
    return {
        "decision_id": str(row.decision_id),
        "outcome": row.outcome,
        "direction": row.direction,
        "reason": row.reason,
        "decided_at": time_text(row.decided_at),
        "expires_at": None if row.expires_at is None else time_text(row.expires_at),
        "state": state_of(row, at, word=word),
    }


def state_of(row: OverrideRow, at: datetime, *, word: LastWord | None) -> str:
    """Tell whether an override holds: after a review it is the reviewer's answer that does."""
    if word is not None and word.said_by == "review":
        return "reviewed"
    return "expired" if row.expires_at is not None and at >= row.expires_at else "in_force"

"""A decision made again from its record: the same application, card, policy and profile must give the same to the last bit.

The record says what was read of the application, what the gates said, and by their hashes what decided. All that follows from
these is computed anew and held against what the record says followed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from obligor.core.canonical import canonical_json
from obligor.core.errors import ApplicationError, IntegrityError, InvalidInputError
from obligor.core.policy import parse_policy
from obligor.core.profile import GATES, parse_profile
from obligor.core.scorecard import parse_card
from obligor.core.strict_json import read_strict_json
from obligor.serving.encoding import encode_application
from obligor.serving.privacy.sealed import SEALED_SCHEMA, is_sealed, without_seal
from obligor.serving.releases.release import compile_release

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from obligor.serving.releases.release import Release

SCHEMA: Final = "obligor/decision/1"
PINNED: Final = ("card_sha256", "policy_sha256", "profile_sha256")
_THOUGHT: Final = (
    "input_sha256", "score", "pd", "band", "bins", "points", "cutoff", "outcome", "because", "reasons", "knockouts", "gates",
    "unusual", "application_id",
)  # fmt: skip
"""What follows from the input, the gates' results and what is pinned; `scopes` too, where the profile has any."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that a record says and that does not follow."""

    field: str
    recorded: Any
    """What the record says, as plain data; None where it says nothing."""
    found: Any


def pinned_release(record: Mapping[str, Any], *, card: bytes, policy: bytes, profile: bytes) -> Release:
    """Compile what a record says that it was decided by.

    Raises
    ------
    IntegrityError
        Where one of the three is not what the record pins by its hash, or cannot be read.
    """
    try:
        release = compile_release(
            record["pins"]["release"],
            card=parse_card(card),
            policy=parse_policy(policy),
            profile=parse_profile(profile),
        )
    except InvalidInputError as error:
        raise IntegrityError(f"decision {record['decision_id']}: {error.message}") from None
    _refuse_others(record, release)
    return release


def replay(record: Mapping[str, Any], release: Release) -> tuple[Difference, ...]:
    """Decide again, and give every difference from the record; none where all of it follows.

    Raises
    ------
    IntegrityError
        Where the release is not what the record pins by its hashes.
    """
    _refuse_others(record, release)
    try:
        application = release.read(record["input"])
    except ApplicationError:
        return (Difference("input", "as recorded", "it does not fit the card and the policy"),)
    results: dict[str, str] = {name: record["gates"].get(name, {}).get("result", "not_evaluated") for name in GATES}
    assessment = release.assess(application, at=datetime.fromisoformat(record["decided_at"]), results=results)
    found = _as_json(assessment.to_plain()) | {
        "input_sha256": sha256(encode_application(application)).hexdigest(),
        "application_id": release.application_id(application),
    }
    said = {**record, "gates": {name: _without_evidence(it) for name, it in record["gates"].items()}}
    return tuple(
        Difference(field, said.get(field), found.get(field))
        for field in (*_THOUGHT, "scopes")
        if canonical_json(said.get(field)) != canonical_json(found.get(field))
    )


def _stays_sealed(record: Mapping[str, Any]) -> dict[str, Any]:
    raise IntegrityError(f"decision {record.get('decision_id')}: its personal data are sealed, and no key is at hand")


def read_record(
    data: bytes, *, unseal: Callable[[Mapping[str, Any]], Mapping[str, Any]] = _stays_sealed
) -> dict[str, Any]:
    """Read the record of a decision from its bytes.

    Parameters
    ----------
    unseal
        Opens what is personal in a record that has it sealed.

    Raises
    ------
    IntegrityError
        Where it is none, or was tampered with.
    ErasedError
        Where what was personal was erased.
    """
    try:
        record = read_strict_json(data, what="record", error=InvalidInputError)
    except InvalidInputError as error:
        raise IntegrityError(error.message) from None
    if not isinstance(record, dict) or record.get("schema") not in (SCHEMA, SEALED_SCHEMA):
        raise IntegrityError(f"record: wanted one of the schema {SCHEMA} or {SEALED_SCHEMA}")
    if is_sealed(record):
        record = without_seal(unseal(record))
    lacking = [name for name in ("decision_id", "decided_at", "input", "pins", *_THOUGHT) if name not in record]
    if lacking:
        raise IntegrityError(f"record: lacks {lacking[0]!r}")
    return record


def _refuse_others(record: Mapping[str, Any], release: Release) -> None:
    for name in PINNED:
        pinned, got = record["pins"].get(name), release.pins[name]
        if pinned != got:
            raise IntegrityError(
                f"decision {record['decision_id']}: {name.removesuffix('_sha256')}: pinned is {str(pinned)[:12]}, "
                f"got {got[:12]}"
            )


def _without_evidence(gate: Mapping[str, Any]) -> dict[str, Any]:
    """Give what follows of a gate: its state and its result, but not what it was shown."""
    return {name: it for name, it in gate.items() if name != "evidence"}


def _as_json(plain: dict[str, Any]) -> dict[str, Any]:
    """Give plain data as JSON gives it back: lists for tuples."""
    return {name: list(it) if isinstance(it, tuple) else it for name, it in plain.items()}

"""A step that people take with a decision, as it is recorded: what they wrote is sealed under the key of whom it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.privacy.sealed import (
    SEALED_FINDING,
    SEALED_INCOMPLETE,
    SEALED_OFFER,
    SEALED_OVERRIDE,
    SEALED_REVIEW,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.acts import Recorded, Recorder
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.rows import Row, SubjectKeyRow

_IN_THE_CLEAR: Final = {
    SEALED_REVIEW: "obligor/review/1",
    SEALED_FINDING: "obligor/review-decision/1",
    SEALED_OVERRIDE: "obligor/override/1",
    SEALED_OFFER: "obligor/offer/1",
    SEALED_INCOMPLETE: "obligor/incomplete/1",
}
"""By the schema of a record whose words are sealed: the schema of the same where there is no sealer."""


class Step(NamedTuple):
    """A step, as it is to be recorded."""

    kind: str
    at: datetime
    by: str
    about: UUID
    """By which its row is kept."""
    rows: tuple[Row, ...]
    said: dict[str, Any]
    """What its record says in the clear in any case."""
    schema: str
    words: dict[str, Any]
    """What somebody wrote, which is sealed for whom the decision is about."""


async def record_step(
    step: Step, *, of: Mapping[str, Any], recorder: Recorder, sealer: Sealer | None, salt: bytes
) -> Recorded:
    """Record a step that was taken with the decision whose record is ``of``."""
    kept: dict[str, Any] = {"schema": _IN_THE_CLEAR[step.schema], **step.words}
    keys: tuple[SubjectKeyRow, ...] = ()
    if sealer is not None:
        sealed = sealer.seal_of(of, step.schema, step.words, row=step.about, at=step.at)
        kept, keys = sealed.record, sealed.rows
    record = encode(step.said | kept)
    act = Act(step.kind, step.at, step.by, str(step.about), record, salt, (*step.rows, *keys))
    recorded = await recorder.record(Submission((act,), lambda _: b""))
    if sealer is not None and not recorded.replayed:
        sealer.kept(keys)
    return recorded

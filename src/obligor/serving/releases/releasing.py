"""Putting a card, a policy and a profile in force: signed, recorded as an act, and taken up by every running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.canonical import canonical_json
from obligor.core.errors import InvalidInputError
from obligor.core.leaves import time_text
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.releases.release import PURPOSE, SCHEMA, compile_release, statement_of
from obligor.serving.rows import ArtefactRow, ReleaseRow

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.core.policy import Policy
    from obligor.core.profile import Profile
    from obligor.core.scorecard import Scorecard
    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import Archive
    from obligor.serving.releases.release import Release
    from obligor.serving.sources import Sources


async def activate(
    *,
    card: Scorecard,
    policy: Policy,
    profile: Profile,
    by: str,
    archive: Archive,
    recorder: Recorder,
    key: SigningKey,
    sources: Sources,
) -> Release:
    """Put a card, a policy and a profile in force as the next release; ``by`` names the person.

    Raises
    ------
    PolicyError, CardError
        Where they do not go together, or cannot be compiled.
    InvalidInputError
        Where nobody is named.
    UnavailableError
        Where the store does not record it; nothing is in force then that was not before.
    """
    if not by:
        raise InvalidInputError("a release is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
    newest = await archive.release()
    release, act = made_release(
        1 if newest is None else newest.number + 1,
        card=card,
        policy=policy,
        profile=profile,
        at=sources.now(),
        by=by,
        key=key,
        sources=sources,
    )
    await recorder.record(Submission((act,), lambda _: encode_in_order({"number": release.number})))
    return release


def made_release(
    number: int,
    *,
    card: Scorecard,
    policy: Policy,
    profile: Profile,
    at: datetime,
    by: str,
    key: SigningKey,
    sources: Sources,
) -> tuple[Release, Act]:
    """Compile and sign a release, and write the act that puts it in force.

    Raises
    ------
    PolicyError, CardError
        Where the three do not go together, or cannot be compiled.
    """
    release = compile_release(number, card=card, policy=policy, profile=profile)
    statement = statement_of(release, at=at, by=by)
    signature = key.sign_statement(statement, purpose=PURPOSE)
    artefacts = tuple(
        ArtefactRow(it.sha256, kind, canonical_json(it.model_dump(mode="json", by_alias=True)))
        for kind, it in (("card", card), ("policy", policy), ("profile", profile))
    )
    row = ReleaseRow(
        release.number, card.sha256, policy.sha256, profile.sha256, at, by, statement, signature, artefacts
    )
    said = {
        "schema": SCHEMA,
        "number": release.number,
        "card_sha256": card.sha256,
        "policy_sha256": policy.sha256,
        "profile_sha256": profile.sha256,
        "at": time_text(at),
        "by": by,
        "signature": signature.hex(),
    }
    return release, Act("release", at, f"person:{by}", str(release.number), encode(said), sources.salt(), (row,))

"""Putting a card, a policy and a profile in force: signed, recorded as an act, and taken up by every running service."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol

from obligor.core.canonical import canonical_json
from obligor.core.errors import ClashError, IntegrityError, NotFoundError, PolicyError, ProfileError
from obligor.core.leaves import time_text
from obligor.core.policy import parse_policy
from obligor.core.profile import parse_profile
from obligor.core.scopes import check_scopes
from obligor.core.scorecard import parse_card
from obligor.security.permissions import permissions
from obligor.security.signing import verify_statement
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.releases.release import (
    PURPOSE,
    SCHEMA,
    compile_release,
    open_release,
    scope_columns,
    statement_of,
)
from obligor.serving.rows import ArtefactRow, ReleaseRow
from obligor.serving.said import check_author, check_because

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from obligor.core.policy import Policy
    from obligor.core.profile import Profile
    from obligor.core.scorecard import Scorecard
    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import Archive, StoredRelease
    from obligor.serving.releases.release import Release
    from obligor.serving.sources import Sources

_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_READ_BY: Final = {"type", "case", "map", "missing", "special"}
"""What of a column says which value a field of an application has."""


class History(Protocol):
    """Where the releases that are and were in force are kept."""

    async def release(self) -> StoredRelease | None:
        """Give the newest release."""
        ...

    async def release_before(self) -> StoredRelease | None:
        """Give the release of before the one in force; where that was put back, of before the one that it puts back."""
        ...


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
    PolicyError, CardError, ProfileError
        Where they do not go together, or cannot be compiled, or a scope of the profile never holds.
    InvalidInputError
        Where nobody is named.
    ClashError
        Where another release came into force meanwhile.
    UnavailableError
        Where the store does not record it; nothing is in force then that was not before.
    """
    check_author(by, of="a release")
    _check_roles(policy)
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
    _check_scoped(release, newest)
    await record_release(release, (act,), recorder)
    return release


def _check_scoped(release: Release, newest: StoredRelease | None) -> None:
    """Refuse a card or a policy that reads what scopes of the profile in force read otherwise: gates would change with it.

    Raises
    ------
    ProfileError
        Naming the field.
    """
    if newest is None or release.scoping is None or release.profile.sha256 != parse_profile(newest.profile).sha256:
        return
    known = scope_columns(parse_card(newest.card), parse_policy(newest.policy))
    for name, column in release.scoping.columns.items():
        if column.model_dump(include=_READ_BY) != known[name].model_dump(include=_READ_BY):
            raise ProfileError(
                f"profile: a scope reads '{name}', which this card or policy reads otherwise",
                hint="first approve a profile whose scopes do not read it",
            )


def _check_roles(policy: Policy) -> None:
    """Refuse a limit of authority for a role by which nobody overrides: it was misspelt, or would be taken for granted."""
    wanted = permissions().roles_with("override.decide") | permissions().roles_with("override.approve")
    for role in () if policy.authority is None else policy.authority.limits.keys() - wanted:
        raise PolicyError(f"policy: authority.limits: nobody overrides as '{role}'; wanted {', '.join(sorted(wanted))}")


async def roll_back(
    *,
    by: str,
    because: str,
    check: Callable[[Scorecard, Policy], None],
    archive: History,
    recorder: Recorder,
    key: SigningKey,
    sources: Sources,
) -> Release:
    """Put the card and the policy of the release before back in force, as the next one; the profile in force stays.

    Once more, it goes one release further back, and never forth again. ``check`` refuses what may not come into force
    today.

    Raises
    ------
    NotFoundError
        Where no release with another card or policy was in force before.
    IntegrityError
        Where what it rests on is no longer kept, or is not what was signed.
    InvalidInputError
        Where nobody is named.
    ClashError
        Where another release came into force meanwhile.
    """
    check_author(by, of="a roll-back")
    check_because(because)
    newest, before = await archive.release(), await archive.release_before()
    if newest is None or before is None:
        raise NotFoundError("no other card or policy was in force before", hint="obligor releases list")
    signed = partial(verify_statement, purpose=PURPOSE, key=key.verifier)
    opened = open_release(before, signed=signed)
    check(opened.card, opened.policy)
    release, act = made_release(
        newest.number + 1,
        card=opened.card,
        policy=opened.policy,
        profile=parse_profile(newest.profile),
        at=sources.now(),
        by=by,
        key=key,
        sources=sources,
        beside={"puts_back": before.number, "because": because},
    )
    _check_scoped(release, newest)
    await record_release(release, (act,), recorder)
    return release


async def record_release(release: Release, acts: tuple[Act, ...], recorder: Recorder) -> None:
    """Record the acts that put a release in force, whose number is its own alone.

    Raises
    ------
    ClashError
        Where another release took it meanwhile.
    UnavailableError
        Where the store does not record it.
    """
    try:
        await recorder.record(Submission(acts, lambda _: encode_in_order({"number": release.number})))
    except IntegrityError:
        raise ClashError("another release came into force meanwhile; look again") from None


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
    beside: Mapping[str, Any] = _NOTHING,
) -> tuple[Release, Act]:
    """Compile and sign a release, and write the act that puts it in force; ``beside`` is what its record says besides.

    Raises
    ------
    PolicyError, CardError, ProfileError
        Where the three do not go together, or cannot be compiled, or a scope of the profile never holds.
    """
    release = compile_release(number, card=card, policy=policy, profile=profile)
    if release.scoping is not None:
        check_scopes(release.scoping)
    statement = statement_of(release, at=at, by=by)
    signature = key.sign_statement(statement, purpose=PURPOSE)
    artefacts = tuple(artefact_of(kind, it) for kind, it in (("card", card), ("policy", policy), ("profile", profile)))
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
        **beside,
    }
    return release, Act("release", at, f"person:{by}", str(release.number), encode(said), sources.salt(), (row,))


def artefact_of(kind: str, said: Scorecard | Policy | Profile) -> ArtefactRow:
    """Give a card, a policy or a profile as it is kept."""
    return ArtefactRow(said.sha256, kind, canonical_json(said.model_dump(mode="json", by_alias=True)))

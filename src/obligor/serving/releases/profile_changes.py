"""Changing the compliance profile: one person proposes, another approves, and both are acts of the log.

An approved profile comes into force as a new release, with the card and the policy that are: every decision keeps one release,
and so obeys one profile. Turning a gate down is for a while only: such a profile says when it ends.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol

from obligor.core.canonical import canonical_json
from obligor.core.errors import (
    ClashError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    ProfileError,
    UnavailableError,
)
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person
from obligor.core.policy import parse_policy
from obligor.core.profile import in_force, parse_new_profile, parse_profile
from obligor.core.scopes import check_scopes, compile_scopes, turned_down
from obligor.core.scorecard import parse_card
from obligor.serving.acts import Act, Submission
from obligor.serving.card_data import refuse_card_data, refuse_card_data_in
from obligor.serving.encoding import encode
from obligor.serving.releases.release import scope_columns
from obligor.serving.releases.releasing import made_release, record_release
from obligor.serving.rows import ArtefactRow, ProfileChangeRow

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.core.profile import Profile
    from obligor.security.signing import SigningKey
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import Archive, StoredRelease
    from obligor.serving.releases.release import Release
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/profile-change/1"
_LONGEST = 500


class ProfileChanges(Protocol):
    """Where proposals and approvals are found again."""

    async def changes(self) -> tuple[ProfileChangeRow, ...]:
        """Give every step of every change, the newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Changing:
    """What a change of the profile needs."""

    archive: Archive
    changes: ProfileChanges
    recorder: Recorder
    key: SigningKey
    sources: Sources

    async def propose(self, data: bytes, *, because: str, by: str) -> ProfileChangeRow:
        """Propose a profile; ``by`` names the person.

        Raises
        ------
        ProfileError
            Where it cannot be read, says nothing new, does not say who screens, turns a gate down without an end, or has a
            scope that never holds or reads what it may not.
        InvalidInputError
            Where nobody is named, or no reason.
        UnavailableError
            Where no release is in force, or the store does not record it.
        """
        _check_text(by, what="a proposal is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        _check_text(because, what="a proposal has a reason; wanted --because", hint=None)
        refuse_card_data_in("because", because)
        refuse_card_data(data)
        profile, at = parse_new_profile(data), self.sources.now()
        newest = await self._in_force()
        base = parse_profile(newest.profile)
        await self._check(profile, base, newest, at=at)
        row = ProfileChangeRow(
            str(self.sources.new_id(at)),
            "proposed",
            profile.sha256,
            base.sha256,
            because,
            at,
            by,
            (_artefact(profile),),
        )
        await self.recorder.record(Submission((self._act(row),), lambda _: b""))
        return row

    async def approve(self, change_id: str, *, by: str) -> Release:
        """Approve a proposal, and put its profile in force with the card and the policy that are; ``by`` names the person.

        Raises
        ------
        NotFoundError
            Where there is no such proposal.
        ForbiddenError
            Where it is one's own.
        ClashError
            Where it was approved before, or another profile came into force since it was made.
        UnavailableError, ProfileError
            Where the profile is not in force now, or the store does not record it.
        """
        _check_text(by, what="an approval is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        proposed = await self._proposed(change_id)
        if are_one_person(proposed.by, by):
            raise ForbiddenError("a profile is approved by another person than who proposed it")
        at, newest = self.sources.now(), await self._in_force()
        profile = await self._to_approve(proposed, newest, at=at)
        release, act = made_release(
            newest.number + 1,
            card=parse_card(newest.card),
            policy=parse_policy(newest.policy),
            profile=profile,
            at=at,
            by=by,
            key=self.key,
            sources=self.sources,
        )
        row = replace(proposed, step="approved", at=at, by=by, artefacts=(_artefact(profile),))
        await record_release(release, (self._act(row), act), self.recorder)
        return release

    async def _to_approve(self, proposed: ProfileChangeRow, newest: StoredRelease, *, at: datetime) -> Profile:
        """Give the proposed profile, which must still be one that may take the place of the one in force, now."""
        base = parse_profile(newest.profile)
        if base.sha256 != proposed.replaces_sha256:
            raise ClashError("another profile came into force since this was proposed", hint="propose it again")
        body = await self.archive.artefact(proposed.profile_sha256)
        if body is None:
            raise UnavailableError("the proposed profile is no longer kept")
        profile = parse_new_profile(body)
        await self._check(profile, base, newest, at=at)
        in_force(profile, at)
        return profile

    async def _check(self, profile: Profile, base: Profile, newest: StoredRelease, *, at: datetime) -> None:
        """Refuse a profile that may not take the place of the one in force."""
        _check_version(profile, base)
        if profile.expires_at is not None and profile.expires_at <= at:
            raise ProfileError("profile: expires_at: is over")
        columns = scope_columns(parse_card(newest.card), parse_policy(newest.policy))
        check_scopes(compile_scopes(profile, columns))
        if profile.expires_at is None and (lower := turned_down(profile, await self._lasting(base), columns)):
            raise ProfileError(
                f"profile: turns {', '.join(lower)} down; wanted expires_at, the instant at which that ends"
            )

    async def _lasting(self, base: Profile) -> Profile:
        """Give the last profile that was to last: what one with an end turned down, none without one may leave so."""
        last = base
        for it in await self.changes.changes():
            if last.expires_at is not None and it.step == "approved" and it.profile_sha256 == last.sha256:
                body = await self.archive.artefact(it.replaces_sha256)
                if body is None:
                    raise UnavailableError("the profile that was to last is no longer kept")
                last = parse_profile(body)
        return base if last.expires_at is not None else last

    async def _in_force(self) -> StoredRelease:
        newest = await self.archive.release()
        if newest is None:
            raise UnavailableError("no release is in force", told=True, hint="obligor releases activate RUN")
        return newest

    async def _proposed(self, change_id: str) -> ProfileChangeRow:
        steps = [it for it in await self.changes.changes() if it.change_id == change_id]
        if any(it.step == "approved" for it in steps):
            raise ClashError("this proposal was approved before")
        for it in steps:
            return it
        raise NotFoundError("there is no such proposal", hint="obligor profile show")

    def _act(self, row: ProfileChangeRow) -> Act:
        said = {
            "schema": SCHEMA,
            "change_id": row.change_id,
            "step": row.step,
            "profile_sha256": row.profile_sha256,
            "replaces_sha256": row.replaces_sha256,
            "because": row.because,
            "at": time_text(row.at),
            "by": row.by,
        }
        kind, subject = f"profile.{row.step}", row.change_id
        return Act(kind, row.at, f"person:{row.by}", subject, encode(said), self.sources.salt(), (row,))


def plain_change(row: ProfileChangeRow) -> dict[str, Any]:
    """Give what may be shown of a step of a change."""
    names = ("change_id", "step", "profile_sha256", "replaces_sha256", "because", "by")
    return {name: getattr(row, name) for name in names} | {"at": time_text(row.at)}


def _check_version(profile: Profile, base: Profile) -> None:
    if profile.sha256 == base.sha256:
        raise ProfileError("profile: is the one that is in force")
    if profile.name == base.name and profile.version <= base.version:
        raise ProfileError(
            f"profile: version: got {profile.version}, wanted more than {base.version}, which is in force"
        )


def _artefact(profile: Profile) -> ArtefactRow:
    return ArtefactRow(profile.sha256, "profile", canonical_json(profile.model_dump(mode="json", by_alias=True)))


def _check_text(text: str, *, what: str, hint: str | None) -> None:
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise InvalidInputError(f"{what} of at most {_LONGEST} printable characters", hint=hint)

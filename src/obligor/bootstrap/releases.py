"""Puts cards in force from the command line, and shows what is and was in force."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.acting import acting, with_reader
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.law import refuse_forbidden_card
from obligor.bootstrap.proposals import Proposed, open_proposals, proposed
from obligor.core.errors import ForbiddenError, ObligorError
from obligor.core.policy import check_policy, parse_policy
from obligor.core.profile import EVERYTHING_OFF, parse_new_profile, parse_profile
from obligor.core.scorecard import parse_card
from obligor.files import reading
from obligor.settings import read_author

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from obligor.bootstrap.store import Store
    from obligor.core.policy import Policy
    from obligor.core.profile import Profile
    from obligor.core.scorecard import Scorecard
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import StoredRelease
    from obligor.serving.releases.release import Release
    from obligor.serving.rows import ProposalRow

_MOST_BYTES = 64 << 20
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Made:
    """A card and its policy, as a run made them."""

    card: Scorecard
    policy: Policy


@dataclass(frozen=True, slots=True)
class Listed:
    """Releases, the newest first."""

    releases: tuple[dict[str, Any], ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"releases": [it | {"at": it["at"].isoformat()} for it in self.releases]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        if not self.releases:
            return ["No release is in force; obligor releases activate RUN puts one in force."]
        return [
            f"{it['number']:>4}  {it['at']:%Y-%m-%d %H:%M:%S}Z  card {it['card_sha256'][:_DIGITS]}  "
            f"policy {it['policy_sha256'][:_DIGITS]}  profile {it['profile_sha256'][:_DIGITS]}  by {it['by']}"
            for it in self.releases
        ]


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was put back, and is in force if no later release is."""

    number: int
    name: str
    card_sha256: str

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"recovered": self.number, "card": self.name, "card_sha256": self.card_sha256}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [f"release {self.number} is back as the log tells of it: card {self.name} {self.card_sha256[:_DIGITS]}"]


@dataclass(frozen=True, slots=True)
class Activated:
    """What was put in force, and what that asks of who sends applications."""

    number: int
    name: str
    card_sha256: str
    added: Sequence[str] = ()
    """Fields that an application must have from now on, and before need not."""
    dropped: Sequence[str] = ()
    """Fields that an application could have before, and is refused with from now on."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        plain = {"release": self.number, "card": self.name, "card_sha256": self.card_sha256}
        return plain | {"fields_added": list(self.added), "fields_dropped": list(self.dropped)}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = [f"release {self.number} is in force: card {self.name} {self.card_sha256[:_DIGITS]}"]
        said += [f"applications without these fields are refused now: {', '.join(self.added)}"] if self.added else []
        return said + ([f"applications with these are refused now: {', '.join(self.dropped)}"] if self.dropped else [])


def read_run(run: Path) -> Made:
    """Read the card and the policy of a run.

    Raises
    ------
    InvalidInputError
        Where the folder holds none, or they do not go together.
    GateError
        Where an active rule pack forbids a source of theirs.
    """
    return _made(run)


def demonstration() -> Made:
    """Give the card and the policy of the simulated lender, as ``obligor demo`` makes them."""
    return _made(files("obligor.serving") / "demo")


def list_releases() -> Listed:
    """Give every release, the newest first."""

    async def listed(store: Store) -> Listed:
        return Listed(tuple(await store.archive.releases()))

    return with_reader(listed, "release.read")


def activate_release(run: Path, *, profile: Path | None, because: str = "") -> Activated | Proposed:
    """Put the card and the policy of a run in force, with a compliance profile or the one that is; or propose to."""
    from obligor.serving.rows import ProposalRow

    made = read_run(run)
    given = None if profile is None else parse_new_profile(_bytes(profile))

    async def activated(store: Store) -> Activated | Proposed:
        by, before = await acting(store, "release.activate"), await store.archive.release()
        done = await put_in_force_together(store, made, given, by=by, because=because)
        return proposed(done) if isinstance(done, ProposalRow) else _activated(done, before)

    return with_anchored_store(activated)


def roll_back_release(*, because: str) -> Activated:
    """Put the card and the policy of the release before the one in force back in force."""

    async def rolled_back(store: Store) -> Activated:
        from obligor.serving.releases.releasing import roll_back

        before = await store.archive.release()
        release = await roll_back(
            by=await acting(store, "release.roll_back"),
            because=because,
            check=partial(refuse_forbidden_card, os.environ),
            archive=store.archive,
            recorder=store.recorder,
            key=store.key,
            sources=store.sources,
        )
        return _activated(release, before)

    return with_anchored_store(rolled_back)


def recover_release(number: int | None, *, run: Path | None, profile: Path | None, because: str) -> Recovered:
    """Put the row of a release back, which the log tells of and the store lost, with the artefacts that are given."""
    from obligor.serving.releases.recovering import recover
    from obligor.serving.releases.releasing import artefact_of

    made = None if run is None else read_run(run)
    given: dict[str, Scorecard | Policy | Profile] = {} if made is None else {"card": made.card, "policy": made.policy}
    given |= {} if profile is None else {"profile": parse_profile(_bytes(profile))}

    async def recovered(store: Store) -> Release:
        return await recover(
            number,
            given={kind: artefact_of(kind, it) for kind, it in given.items()},
            by=await acting(store, "release.roll_back"),
            because=because,
            archive=store.archive,
            recorder=store.recorder,
            key=store.key,
            sources=store.sources,
        )

    release = with_anchored_store(recovered)
    return Recovered(release.number, release.card.name, release.card.sha256)


async def put_in_force_together(
    store: Store, made: Made, profile: Profile | None = None, *, by: str, because: str = ""
) -> Release | ProposalRow:
    """Put a card and a policy in force once another person has agreed to them, or propose it."""
    from obligor.serving.people.proposals import Order

    said = {"card_sha256": made.card.sha256, "policy_sha256": made.policy.sha256}
    said |= {} if profile is None else {"profile_sha256": profile.sha256}
    return await (await open_proposals(store)).together(
        Order("release", said, because),
        lambda recorder: put_in_force(store, made, profile, by=by, recorder=recorder),
        by=by,
    )


async def put_in_force(
    store: Store,
    made: Made,
    profile: Profile | None = None,
    *,
    by: str | None = None,
    recorder: Recorder | None = None,
) -> Release:
    """Put a card and a policy in force; the profile in force stays. The first release has the one given, or everything off."""
    from obligor.serving.releases.releasing import activate

    newest = await store.archive.release()
    kept = EVERYTHING_OFF if newest is None else parse_profile(newest.profile)
    if newest is not None and profile is not None and profile.sha256 != kept.sha256:
        raise ForbiddenError("a compliance profile is changed by two people", hint="obligor profile propose FILE")
    return await activate(
        card=made.card,
        policy=made.policy,
        profile=profile or kept,
        by=read_author(os.environ) if by is None else by,
        archive=store.archive,
        recorder=recorder or store.recorder,
        key=store.key,
        sources=store.sources,
    )


def _activated(release: Release, before: StoredRelease | None) -> Activated:
    """Tell what a release that is in force asks of applications, and that of before did not."""
    from obligor.serving.releases.release import compile_release

    said = Activated(release.number, release.card.name, release.card.sha256)
    if before is None:
        return said
    try:
        card, policy = parse_card(before.card), parse_policy(before.policy)
        old = compile_release(before.number, card=card, policy=policy, profile=release.profile).reader.form
    except ObligorError:  # what was there is no longer what it was; the new release is in force all the same
        return said
    new = release.reader.form
    needed, known = (*old.needed, *old.histories), (*new.columns, *new.histories)
    added = [it for it in (*new.needed, *new.histories) if it not in needed]
    return replace(said, added=added, dropped=[it for it in (*old.columns, *old.histories) if it not in known])


def _made(folder: Path | Traversable) -> Made:
    card, policy = parse_card(_bytes(folder / "scorecard.json")), parse_policy(_bytes(folder / "policy.json"))
    check_policy(policy, card)
    refuse_forbidden_card(os.environ, card, policy)
    return Made(card, policy)


def _bytes(place: Path | Traversable) -> bytes:
    with reading(place, wanted="the folder of a run"), place.open("rb") as file:
        return file.read(_MOST_BYTES + 1)

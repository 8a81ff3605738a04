"""Shows, proposes and approves compliance profiles from the command line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from obligor.bootstrap.acting import acting, with_reader
from obligor.bootstrap.anchors import with_anchored_store
from obligor.core.errors import UnavailableError
from obligor.core.profile import GATES, SCREENING, in_force, parse_profile
from obligor.files import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from obligor.bootstrap.store import Store
    from obligor.core.profile import GateName, Profile, Scope
    from obligor.serving.releases.profile_changes import Changing
    from obligor.serving.rows import ProfileChangeRow

_MOST_BYTES = 1 << 20
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Shown:
    """The profile in force, and the steps by which profiles were changed."""

    profile: Profile
    at: datetime
    changes: tuple[ProfileChangeRow, ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.releases.profile_changes import plain_change

        return {
            "profile": self.profile.model_dump(mode="json", by_alias=True),
            "profile_sha256": self.profile.sha256,
            "in_force": self._is_in_force(),
            "changes": [plain_change(it) for it in self.changes],
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        until = (
            "until another takes its place" if self.profile.expires_at is None else f"until {self.profile.expires_at}"
        )
        word = until if self._is_in_force() else "NOT in force: nothing is decided"
        approved = {it.change_id for it in self.changes if it.step == "approved"}
        return [
            f"profile {self.profile.name} version {self.profile.version} {self.profile.sha256[:_DIGITS]}, {word}",
            *(f"  {name}  {_state(self.profile, name)}" for name in GATES),
            *(line for scope in self.profile.scopes for line in _scope_lines(scope, self.profile.parts[scope.name])),
            *(_line(it, approved, base=self.profile.sha256) for it in self.changes),
        ]

    def _is_in_force(self) -> bool:
        try:
            in_force(self.profile, self.at)
        except UnavailableError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal that waits for another person."""

    row: ProfileChangeRow

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.releases.profile_changes import plain_change

        return plain_change(self.row)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        return [
            f"proposed {self.row.change_id}; another person approves it: obligor profile approve {self.row.change_id}"
        ]


@dataclass(frozen=True, slots=True)
class Approved:
    """A profile that came into force."""

    number: int
    profile: Profile

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"release": self.number, "profile": self.profile.name, "profile_sha256": self.profile.sha256}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        name, version = self.profile.name, self.profile.version
        return [f"release {self.number} is in force: profile {name} version {version} {self.profile.sha256[:_DIGITS]}"]


def show_profile() -> Shown:
    """Give the profile in force, and the changes that were proposed and approved."""

    async def shown(store: Store) -> Shown:
        newest = await store.archive.release()
        if newest is None:
            raise UnavailableError("no release is in force", hint="obligor releases activate RUN")
        return Shown(parse_profile(newest.profile), store.sources.now(), await store.changes.changes())

    return with_reader(shown, "profile.read")


def propose_profile(file: Path, *, because: str) -> Proposed:
    """Propose the profile of a file."""
    data = _bytes(file)

    async def proposed(store: Store) -> Proposed:
        return Proposed(
            await _changing(store).propose(data, because=because, by=await acting(store, "profile.propose"))
        )

    return with_anchored_store(proposed)


def approve_profile(change_id: str) -> Approved:
    """Approve a proposal, and put its profile in force."""

    async def approved(store: Store) -> Approved:
        release = await _changing(store).approve(change_id, by=await acting(store, "profile.approve"))
        return Approved(release.number, release.profile)

    return with_anchored_store(approved)


def _changing(store: Store) -> Changing:
    from obligor.serving.releases.profile_changes import Changing

    return Changing(store.archive, store.changes, store.recorder, store.key, store.sources)


def _state(profile: Profile, name: GateName) -> str:
    gate = profile.gate(name)
    if name not in SCREENING or gate.state != "off":
        return gate.state
    it = gate.elsewhere
    return f"off, {'nobody screens' if it is None else f'screened elsewhere: {it.system}, {it.reference}'}"


def _scope_lines(scope: Scope, part: Profile) -> Iterator[str]:
    yield f"  in {scope.name}, when {scope.when}"
    yield from (f"    {name}  {_state(part, name)}" for name in GATES if getattr(scope.gates, name) is not None)


def _line(row: ProfileChangeRow, approved: set[str], *, base: str) -> str:
    waits = "waits" if row.replaces_sha256 == base else "lapsed"  # another profile came into force since
    step = row.step if row.change_id in approved else waits
    said = f"{row.profile_sha256[:_DIGITS]}  {row.change_id}  by {row.by}: {row.because}"
    return f"{row.at:%Y-%m-%d %H:%M:%S}Z  {step:<8}  {said}"


def _bytes(file: Path) -> bytes:
    with reading(file, wanted="a compliance profile"), file.open("rb") as opened:
        return opened.read(_MOST_BYTES + 1)

"""A change of the compliance profile takes two people, and replaces the profile that it was proposed against."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.lending import KEY
from tests.serving.http.fakes import MemoryStore, small_release

from obligor.core.errors import (
    ClashError,
    ForbiddenError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    ProfileError,
    UnavailableError,
)
from obligor.core.profile import GATES, Elsewhere, Gate, Gates, Profile
from obligor.core.scopes import turned_down
from obligor.serving.archive import StoredRelease
from obligor.serving.releases.profile_changes import Changing, plain_change
from obligor.serving.releases.release import Release, compile_release
from obligor.serving.rows import ReleaseRow
from obligor.serving.sources import live_sources

START: Final = datetime(2026, 11, 26, tzinfo=UTC)
STATES: Final = st.sampled_from(["off", "monitor", "enforce"])


def profile(version: int = 2, *, name: str = "us", until: timedelta | None = None, **states: Any) -> Profile:
    gates: dict[str, Gate] = {it: Gate(state=states.get(it, "enforce"), on_fail="refer") for it in GATES}
    if gates["aml"].state == "off":
        gates["aml"] = Gate(state="off", on_fail="refer", elsewhere=Elsewhere(system="Screener", reference="POL-7"))
    expires_at = None if until is None else START + until
    from_ = START - timedelta(days=9)
    return Profile(name=name, version=version, gates=Gates(**gates), effective_from=from_, expires_at=expires_at)  # type: ignore[arg-type]  # by name


def stored(release: Release) -> StoredRelease:
    kept = release.card.to_json(), release.policy.to_json(), release.profile.to_json()
    return StoredRelease(release.number, b"", b"", *kept)


@dataclass
class Desk:
    """Where profiles are proposed and approved, on a day."""

    base: Profile = field(default_factory=profile)
    at: datetime = START
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        small = small_release()
        made = compile_release(7, card=small.card, policy=small.policy, profile=self.base)
        self.store.in_force = stored(made)
        self.store.artefacts[self.base.sha256] = self.base.to_json()
        sources = live_sources()
        object.__setattr__(sources, "now", lambda: self.at)
        self.changing = Changing(self.store, self.store, self.store, KEY, sources)  # type: ignore[arg-type]  # a part of each

    def propose(self, said: Profile, *, by: str = "ada", because: str = "why") -> str:
        return asyncio.run(self.changing.propose(said.to_json(), because=because, by=by)).change_id

    def approve(self, change_id: str, *, by: str = "bob") -> Release:
        release = asyncio.run(self.changing.approve(change_id, by=by))
        self.store.in_force = stored(release)
        return release


def test_what_one_proposed_another_puts_in_force_with_the_card_and_the_policy_that_are() -> None:
    desk = Desk()
    small, said = small_release(), profile(3)
    release = desk.approve(desk.propose(said))
    assert (release.number, release.profile, release.card, release.policy) == (8, said, small.card, small.policy)
    assert desk.store.leaves == ["profile.proposed", "profile.approved", "release"]
    proposed, approved = (json.loads(it) for it in desk.store.records[:2])
    assert {name: proposed[name] for name in ("step", "profile_sha256", "replaces_sha256", "because", "by")} == {
        "step": "proposed",
        "profile_sha256": said.sha256,
        "replaces_sha256": desk.base.sha256,
        "because": "why",
        "by": "ada",
    }
    assert approved == proposed | {"step": "approved", "by": "bob"}
    assert [plain_change(it) for it in desk.store.steps] == [
        {name: it for name, it in said.items() if name != "schema"} for said in (approved, proposed)
    ]


@pytest.mark.parametrize("by", ["ada", "Ada", " ada "])
def test_nobody_approves_their_own(by: str) -> None:
    desk = Desk()
    change = desk.propose(profile(3))
    with pytest.raises(ForbiddenError):
        desk.approve(change, by=by)
    assert desk.store.leaves == ["profile.proposed"]


def test_a_proposal_is_approved_once_and_only_against_what_it_was_made_against() -> None:
    desk = Desk()
    one, other = desk.propose(profile(3)), desk.propose(profile(4))
    desk.approve(one)
    for change, found in ((one, ClashError), (other, ClashError), ("another", NotFoundError)):
        with pytest.raises(found):
            desk.approve(change)
    assert desk.store.leaves.count("release") == 1


def test_what_is_no_longer_kept_no_longer_new_or_not_in_force_today_is_not_approved() -> None:
    desk = Desk()
    change = desk.propose(profile(3, until=timedelta(days=1), kyc="off"))
    desk.at += timedelta(days=1)
    with pytest.raises(ProfileError, match="expires_at: is over"):
        desk.approve(change)
    desk.at -= timedelta(days=20)
    with pytest.raises(UnavailableError, match="not in force before"):
        desk.approve(change)
    desk.at = START
    desk.store.artefacts.clear()
    with pytest.raises(UnavailableError, match="no longer kept"):
        desk.approve(change)
    assert desk.store.leaves == ["profile.proposed"]


def test_of_two_who_approve_at_once_the_second_is_told() -> None:
    class Quicker(MemoryStore):
        def _keep_row(self, row: Any, act: Any) -> None:
            if isinstance(row, ReleaseRow):
                raise IntegrityError("there is a release of this number")
            super()._keep_row(row, act)

    desk = Desk(store=Quicker())
    with pytest.raises(ClashError, match="meanwhile"):
        desk.approve(desk.propose(profile(3)))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (profile(2), "is the one that is in force"),
        (profile(2, kyc="monitor", until=timedelta(days=1)), "got 2, wanted more than 2"),
        (profile(1, until=timedelta(days=1)), "got 1, wanted more than 2"),
        (profile(3, until=timedelta()), "is over"),
        (profile(3, kyc="monitor"), "turns kyc down"),
    ],
)
def test_what_is_not_new_is_over_or_turns_a_gate_down_for_ever_is_not_proposed(said: Profile, told: str) -> None:
    desk = Desk()
    with pytest.raises(ProfileError, match=told):
        desk.propose(said)
    assert desk.store.leaves == []
    assert Desk().propose(profile(1, name="another"))  # whose versions are its own
    assert Desk().propose(profile(3, kyc="off", until=timedelta(microseconds=1)))


@given(st.fixed_dictionaries(dict.fromkeys(GATES, STATES)), st.fixed_dictionaries(dict.fromkeys(GATES, STATES)))
def test_a_gate_is_turned_down_where_it_is_asked_less_or_stops_less(old: dict[str, str], new: dict[str, str]) -> None:
    less = {("enforce", "monitor"), ("enforce", "off"), ("monitor", "off")}
    assert turned_down(profile(3, **new), profile(2, **old)) == tuple(it for it in GATES if (old[it], new[it]) in less)


@pytest.mark.parametrize(
    "said", [{"by": ""}, {"by": " "}, {"because": ""}, {"because": "a\nb"}, {"because": "x" * 501}, {"by": "\x00"}]
)
def test_a_proposal_is_of_somebody_and_for_a_reason(said: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        Desk().propose(profile(3), **said)
    desk = Desk()
    change = desk.propose(profile(3), because="x" * 500)
    with pytest.raises(InvalidInputError):
        desk.approve(change, by=said.get("by", ""))


@pytest.mark.parametrize("said", [{"because": "4111 1111 1111 1111"}, {"name": "4111111111111111"}])
def test_no_card_number_is_kept_with_a_proposal(said: dict[str, str]) -> None:
    desk = Desk()
    with pytest.raises(InvalidInputError) as refused:
        desk.propose(profile(3, name=said.get("name", "us")), because=said.get("because", "why"))
    assert "4111" not in str(refused.value)
    assert desk.store.leaves == []


def test_without_a_release_nothing_is_proposed() -> None:
    desk = Desk()
    desk.store.in_force = None
    with pytest.raises(UnavailableError, match="no release is in force"):
        desk.propose(profile(3))


def test_what_is_turned_down_for_a_while_is_not_made_to_last_by_a_second_change() -> None:
    desk = Desk()
    for version, until in ((3, timedelta(hours=1)), (4, timedelta(hours=9))):
        desk.approve(desk.propose(profile(version, kyc="off", until=until)))
    with pytest.raises(ProfileError, match="turns kyc down; wanted expires_at"):
        desk.propose(profile(5, kyc="off"))
    lasting = desk.approve(desk.propose(profile(5)))
    assert (lasting.profile.expires_at, lasting.profile.gate("kyc").state) == (None, "enforce")


def test_a_profile_with_an_end_that_turned_nothing_down_is_followed_by_one_like_it_without_an_end() -> None:
    desk = Desk(base=profile(until=timedelta(days=9)))
    assert desk.approve(desk.propose(profile(3))).profile.expires_at is None

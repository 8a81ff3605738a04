"""What comes back of a release, lost or of before, is what was signed, and nothing that stands is overwritten."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.lending import KEY
from tests.serving.http.fakes import small_release
from tests.stores import NOW

from obligor.core.errors import (
    ClashError,
    ForbiddenError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    ObligorError,
)
from obligor.core.leaves import Leaf, commitment, time_text
from obligor.core.profile import Gate, Profile
from obligor.security.signing import SigningKey
from obligor.serving.archive import StoredRelease, ToldRelease
from obligor.serving.releases.recovering import recover
from obligor.serving.releases.releasing import made_release, roll_back
from obligor.serving.rows import ArtefactRow, ReleaseRow
from obligor.serving.sources import Sources

if TYPE_CHECKING:
    from obligor.serving.acts import Act, Submission
    from obligor.serving.releases.release import Release

SOURCES: Final = Sources(lambda: NOW + timedelta(days=1), bytes)
SMALL: Final = small_release()
OTHER_KEY: Final = SigningKey("obligor-test", Ed25519PrivateKey.from_private_bytes(b"o" * 32))


def made(number: int = 7, *, key: SigningKey = KEY, grey: int = 0) -> tuple[Act, ReleaseRow]:
    """A release as it came into force."""
    small = small_release(grey=grey)
    parts: Any = {"card": small.card, "policy": small.policy, "profile": small.profile}
    _, act = made_release(number, **parts, at=NOW, by="ada", key=key, sources=SOURCES)
    (row,) = act.rows
    assert isinstance(row, ReleaseRow)
    return act, row


@dataclass
class Remains:
    """What is left of releases, in memory, and what is recorded."""

    told: ToldRelease | None = None
    bodies: dict[str, bytes] = field(default_factory=dict)
    newest: StoredRelease | None = None
    before: StoredRelease | None = None
    acts: list[Act] = field(default_factory=list)
    refuses: bool = False

    async def told_release(self, number: int | None) -> ToldRelease | None:
        return self.told if number in (None, 7) else None

    async def artefact(self, sha256: str) -> bytes | None:
        return self.bodies.get(sha256)

    async def release(self) -> StoredRelease | None:
        return self.newest

    async def release_before(self) -> StoredRelease | None:
        return self.before

    async def record(self, submission: Submission) -> None:
        if self.refuses:
            raise IntegrityError("there is a release of this number")
        self.acts.extend(submission.acts)

    def recover(self, *, number: int | None = None, **said: Any) -> Release:
        usual: dict[str, Any] = {"given": {}, "by": "bob", "because": "why"}
        return asyncio.run(recover(number, **usual | said, archive=self, recorder=self, key=KEY, sources=SOURCES))  # type: ignore[arg-type]  # a part of each

    def roll_back(self, **said: Any) -> Release:
        usual: dict[str, Any] = {"by": "bob", "because": "why", "check": lambda *_: None}
        return asyncio.run(roll_back(**usual | said, archive=self, recorder=self, key=KEY, sources=SOURCES))  # type: ignore[arg-type]  # a part of each


def remains(*, kept: bool = False, key: SigningKey = KEY, **told: Any) -> Remains:
    act, row = made(key=key)
    leaf = Leaf(act.at, act.by, act.kind, act.subject, commitment(act.record, act.salt)).body()
    stands = replace(row, artefacts=(), leaf_index=3) if kept else None
    said = ToldRelease(3, leaf, act.record, act.salt, stands)
    return Remains(replace(said, **told), {it.sha256: it.body for it in row.artefacts})


def artefacts() -> dict[str, ArtefactRow]:
    return {it.kind: it for it in made()[1].artefacts}


def test_a_lost_row_comes_back_as_it_was_at_its_leaf() -> None:
    of = remains()
    release = of.recover()
    assert (release.number, release.pins) == (7, small_release(7).pins)
    (act,) = of.acts
    assert act.rows == (replace(made()[1], artefacts=(), leaf_index=3),)
    assert json.loads(act.record) == {
        "schema": "obligor/recovery/1",
        "number": 7,
        "leaf_index": 3,
        "artefacts": [],
        "at": time_text(NOW + timedelta(days=1)),
        "by": "bob",
        "because": "why",
    }


@pytest.mark.parametrize("kind", ["card", "policy", "profile"])
@pytest.mark.parametrize("kept", [False, True])
def test_a_lost_artefact_is_taken_from_what_is_given_where_the_log_names_it(kind: str, *, kept: bool) -> None:
    of, mine = remains(kept=kept), artefacts()
    del of.bodies[mine[kind].sha256]
    with pytest.raises(IntegrityError, match=f"its {kind} .* is gone"):
        of.recover()
    with pytest.raises(InvalidInputError, match=f"the {kind} given is"):
        of.recover(given=mine | {kind: replace(mine[kind], sha256="0" * 64)})
    assert of.acts == []
    of.recover(given=mine)
    (act,) = of.acts
    assert act.rows[0] == mine[kind]
    assert len(act.rows) == (1 if kept else 2)
    assert json.loads(act.record)["artefacts"] == [mine[kind].sha256]


def test_what_stands_is_not_put_back_and_what_was_changed_is_not_overwritten() -> None:
    with pytest.raises(ClashError, match="there is nothing to put back"):
        remains(kept=True).recover()
    for name, other in (("by", "eve"), ("number", 8), ("card_sha256", "0" * 64), ("leaf_index", 4), ("at", NOW)):
        of = remains(kept=True)
        assert of.told is not None
        assert of.told.kept is not None
        changed = replace(of.told.kept, **{name: other if name != "at" else NOW + timedelta(seconds=1)})
        of.told = replace(of.told, kept=changed)
        with pytest.raises(ClashError, match="its row was changed"):
            of.recover()
        assert of.acts == []


@pytest.mark.parametrize(
    ("of", "said", "found"),
    [
        (remains(record=None), {}, IntegrityError),
        (remains(record=b"{}"), {}, IntegrityError),
        (remains(salt=b"x" * 16), {}, IntegrityError),
        (remains(key=OTHER_KEY), {}, IntegrityError),
        (Remains(), {}, NotFoundError),
        (remains(), {"number": 8}, NotFoundError),
        (remains(), {"by": ""}, InvalidInputError),
        (remains(), {"because": "a\nb"}, InvalidInputError),
    ],
)
def test_what_is_not_proved_or_is_nobody_s_act_does_not_come_back(
    of: Remains, said: dict[str, Any], found: type[ObligorError]
) -> None:
    with pytest.raises(found):
        of.recover(**said)
    assert of.acts == []


def test_who_was_quicker_is_told_of() -> None:
    of = remains()
    of.refuses = True
    with pytest.raises(ClashError, match="meanwhile"):
        of.recover()


# Rolling back


def stored(row: ReleaseRow) -> StoredRelease:
    return StoredRelease(row.number, row.statement, row.signature, *(it.body for it in row.artefacts))


def two(*, key: SigningKey = KEY) -> Remains:
    """A release in force under a profile of its own, after one with another policy."""
    newest = stored(made(8)[1])
    gates = SMALL.profile.gates.model_copy(update={"kyc": Gate(state="monitor")})
    profile: Profile = SMALL.profile.model_copy(update={"version": 2, "gates": gates})
    return Remains(newest=replace(newest, profile=profile.to_json()), before=stored(made(5, key=key, grey=9)[1]))


def test_the_card_and_the_policy_of_before_come_back_as_the_next_release_under_the_profile_in_force() -> None:
    of, seen = two(), list[Any]()
    release = of.roll_back(check=lambda card, policy: seen.append((card, policy)))
    before = small_release(grey=9)
    assert (release.number, release.card, release.policy) == (9, before.card, before.policy)
    assert (release.profile.version, release.profile.gate("kyc").state) == (2, "monitor")
    assert seen == [(before.card, before.policy)]
    (act,) = of.acts
    said = json.loads(act.record)
    assert {name: said[name] for name in ("number", "puts_back", "because", "by")} == {
        "number": 9, "puts_back": 5, "because": "why", "by": "bob",
    }  # fmt: skip


def _forbids(*_: object) -> None:
    raise ForbiddenError("a rule forbids this card")


@pytest.mark.parametrize(
    ("of", "said", "found"),
    [
        (replace(two(), before=None), {}, NotFoundError),
        (replace(two(), newest=None), {}, NotFoundError),
        (two(key=OTHER_KEY), {}, IntegrityError),
        (two(), {"by": ""}, InvalidInputError),
        (two(), {"because": "a\nb"}, InvalidInputError),
        (two(), {"check": _forbids}, ForbiddenError),
        (replace(two(), refuses=True), {}, ClashError),
    ],
)
def test_what_is_not_there_not_signed_or_not_allowed_does_not_come_back(
    of: Remains, said: dict[str, Any], found: type[ObligorError]
) -> None:
    with pytest.raises(found):
        of.roll_back(**said)
    assert of.acts == []

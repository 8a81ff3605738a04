"""A record that was tampered with is not opened, and the log tells so once, of the decision that it is of."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID

import pytest

from obligor.core.errors import SealError
from obligor.core.leaves import Leaf, commitment, time_text
from obligor.serving.archive import StoredDecision
from obligor.serving.privacy.opening import Opener
from obligor.serving.privacy.sealed import Opened
from obligor.serving.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.serving.acts import Act, Submission
    from obligor.serving.privacy.sealed import Sealer

NOW: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
SALT: Final = bytes(16)


def stored(number: int) -> StoredDecision:
    record = b'{"decision":%d}' % number
    leaf = Leaf(NOW, "client:bank", "decision", str(UUID(int=number)), commitment(record, SALT))
    return StoredDecision(UUID(int=number), "bank", number, leaf.body(), record, SALT)


@dataclass
class House:
    """A log in memory, and a sealer that refuses a decision, or all that is beside one."""

    refused: int = 0
    acts: list[Act] = field(default_factory=list)

    async def record(self, submission: Submission) -> None:
        self.acts.extend(submission.acts)

    async def open(self, of: Sequence[StoredDecision]) -> list[Opened]:
        if bad := next((it for it in of if it.decision_id.int == self.refused), None):
            raise SealError(f"decision {bad.decision_id}: it does not open")
        return [Opened({"opened": it.leaf_index}, erased=False) for it in of]

    async def open_bodies(self, bodies: Sequence[bytes]) -> list[Opened]:
        if self.refused:
            raise SealError("what is beside it does not open")
        return [Opened({"opened": it.decode()}, erased=False) for it in bodies]

    def opener(self, *, sealed: bool = True) -> Opener:
        sealer: Sealer | None = self if sealed else None  # type: ignore[assignment]  # a part of it
        return Opener(sealer, self, Sources(lambda: NOW, bytes))  # type: ignore[arg-type]  # a part of it

    def told(self) -> list[int]:
        return [UUID(it.subject).int for it in self.acts]


def test_what_is_whole_is_opened_and_nothing_is_told() -> None:
    house = House()
    opened = asyncio.run(house.opener().open(stored(1), stored(2)))
    assert [it.record for it in opened] == [{"opened": 1}, {"opened": 2}]
    as_they_stand = asyncio.run(house.opener(sealed=False).open(stored(1)))
    assert [(it.record, it.erased) for it in as_they_stand] == [({"decision": 1}, False)]
    beside = asyncio.run(house.opener().open_of(UUID(int=1), b"a", b"b"))
    assert [it.record for it in beside] == [{"opened": "a"}, {"opened": "b"}]
    (plain,) = asyncio.run(house.opener(sealed=False).open_of(UUID(int=1), b'{"a":1}'))
    assert (plain.record, plain.erased) == ({"a": 1}, False)
    assert house.acts == []


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("changed", [{"record": b"{}"}, {"salt": b"x" * 16}, {"leaf": b"no leaf"}])
def test_what_its_leaf_does_not_commit_to_is_refused_and_told_once(changed: dict[str, bytes], *, sealed: bool) -> None:
    house = House()
    opener = house.opener(sealed=sealed)
    for _ in range(2):
        with pytest.raises(SealError, match="leaf 2 commits to"):
            asyncio.run(opener.open(stored(1), replace(stored(2), **changed)))
    assert house.told() == [2]
    (act,) = house.acts
    said = json.loads(act.record)
    assert (act.kind, said["decision_id"], said["at"]) == ("seal.broken", str(UUID(int=2)), time_text(NOW))
    assert "commits to" in said["why"]


def test_what_does_not_open_is_told_of_the_decision_that_it_is_of() -> None:
    house = House(refused=2)
    opener = house.opener()
    for given in ((1, 2), (2, 3)):
        with pytest.raises(SealError):
            asyncio.run(opener.open(*map(stored, given)))
    for _ in range(2):
        with pytest.raises(SealError):
            asyncio.run(opener.open_of(UUID(int=7), b"a"))
    assert house.told() == [2, 7]


def test_no_more_than_a_thousand_are_told_by_a_process() -> None:
    house = House(refused=1)
    opener = house.opener()
    for number in range(1002):
        with pytest.raises(SealError):
            asyncio.run(opener.open_of(UUID(int=number), b"a"))
    assert house.told() == [*range(1000)]

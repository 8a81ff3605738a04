"""Keys are given, taken away and replaced by acts that a person answers for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from obligor.core.errors import ClashError, InvalidInputError, NotFoundError, UnavailableError
from obligor.security.api_keys import NewKey, parse_key
from obligor.serving.acts import Act, Recorded, Submission
from obligor.serving.people.authenticating import key_of
from obligor.serving.people.issuing import issue, order_to_issue, revoke, rotate
from obligor.serving.rows import ApiKeyRow
from obligor.serving.sources import Sources

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
YEAR, DAY = timedelta(days=365), timedelta(days=1)


@dataclass
class Desk:
    """Records in memory, on a clock that a test moves."""

    acts: list[Act] = field(default_factory=list)
    at: datetime = START
    down: bool = False
    drawn: int = 0

    @property
    def sources(self) -> Sources:
        return Sources(lambda: self.at, self.draw)

    def draw(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(1, "big") * count

    async def record(self, submission: Submission) -> Recorded:
        if self.down:
            raise UnavailableError("the store does not answer")
        first = len(self.acts)
        self.acts += submission.acts
        return Recorded(submission.respond(first), submission.status, replayed=False, leaf_index=first)

    @property
    def rows(self) -> dict[str, ApiKeyRow]:
        found = [row for act in self.acts for row in act.rows if isinstance(row, ApiKeyRow)]
        return {row.key_id: row for row in found}

    def issue(self, by: str = "Vera", **said: Any) -> NewKey:
        wanted: dict[str, Any] = {"scopes": ("read", "decide"), "lasts": YEAR, "name": "shop"} | said
        return asyncio.run(issue("branch-7", by=by, recorder=self, sources=self.sources, **wanted))

    def revoke(self, key_id: str, by: str = "Vera") -> ApiKeyRow:
        return asyncio.run(revoke(self.rows.get(key_id), by=by, recorder=self, sources=self.sources))

    def rotate(self, key_id: str, *, overlap: timedelta = DAY, by: str = "Vera") -> NewKey:
        key = self.rows.get(key_id)
        return asyncio.run(rotate(key, lasts=YEAR, overlap=overlap, by=by, recorder=self, sources=self.sources))


def test_a_key_is_made_by_an_act_that_keeps_all_of_it_but_the_secret() -> None:
    desk = Desk()
    new = desk.issue()
    (act,) = desk.acts
    shown = parse_key(new.text)
    assert shown is not None
    assert (act.kind, act.by, act.subject, act.at) == ("key.created", "person:Vera", new.kept.key_id, START)
    assert json.loads(act.record) == {
        "schema": "obligor/api-key/1", "key_id": new.kept.key_id, "client_id": "branch-7", "name": "shop",
        "scopes": ["decide", "read"], "secret_sha256": new.kept.secret_sha256.hex(), "revoked_at": None,
            "replaced_by": None, "networks": [],
        "created_at": "2026-11-26T12:00:00.000000Z", "expires_at": "2027-11-26T12:00:00.000000Z",
    }  # fmt: skip
    assert shown.secret not in repr(desk.acts)
    assert key_of(desk.rows[new.kept.key_id]) == new.kept


def test_a_revoked_key_opens_nothing_and_says_who_took_it() -> None:
    desk = Desk()
    new = desk.issue()
    desk.at += DAY
    desk.revoke(new.kept.key_id, by="Otto")
    assert not key_of(desk.rows[new.kept.key_id]).opens(START)
    assert (desk.acts[-1].kind, desk.acts[-1].by) == ("key.revoked", "person:Otto")
    assert json.loads(desk.acts[-1].record)["revoked_at"] == "2026-11-27T12:00:00.000000Z"


def test_a_rotated_key_opens_for_the_overlap_beside_the_new_one_and_then_not() -> None:
    desk = Desk()
    old = desk.issue().kept
    desk.at += 10 * DAY
    new = desk.rotate(old.key_id).kept
    kept = key_of(desk.rows[old.key_id])
    assert [kept.opens(desk.at + DAY - timedelta(seconds=1)), kept.opens(desk.at + DAY)] == [True, False]
    assert (new.client_id, new.scopes, new.name) == (old.client_id, old.scopes, old.name)
    assert new.secret_sha256 != old.secret_sha256
    assert new.expires_at == desk.at + YEAR
    assert [act.kind for act in desk.acts] == ["key.created", "key.rotated", "key.created"]
    assert json.loads(desk.acts[1].record)["replaced_by"] == new.key_id
    assert json.loads(desk.acts[2].record)["replaces"] == old.key_id


def test_a_key_is_bound_to_the_networks_that_are_named_and_its_successor_to_the_same() -> None:
    desk = Desk()
    old = desk.issue(networks=["2001:db8::/32", "10.0.0.0/8"]).kept
    new = desk.rotate(old.key_id).kept
    last = desk.rotate(new.key_id).kept
    desk.revoke(last.key_id)
    assert old.networks == new.networks == last.networks
    assert [json.loads(act.record)["networks"] for act in desk.acts] == [["10.0.0.0/8", "2001:db8::/32"]] * 6
    assert all(key_of(row).networks == old.networks for row in desk.rows.values())


def test_a_key_for_what_is_no_network_is_not_made() -> None:
    desk = Desk()
    with pytest.raises(InvalidInputError, match=r"network 1: got '10.0.0.1/8'; wanted 10.0.0.0/8"):
        desk.issue(networks=["10.0.0.1/8"])
    assert desk.acts == []


def test_an_order_says_of_networks_only_where_there_are_some() -> None:
    """So that what was proposed before is still the same order."""
    plain = order_to_issue("bank", scopes=["read"], lasts=DAY)
    assert plain.said == {"client": "bank", "name": "", "scopes": ["read"], "days": 1.0}
    one, other = (
        order_to_issue("bank", scopes=["read"], lasts=DAY, networks=it)
        for it in (["10.0.0.0/8", "192.0.2.7"], ["192.0.2.7/32", "::ffff:10.0.0.0/104"])
    )
    assert one.text == other.text != plain.text
    assert one.said["networks"] == ["10.0.0.0/8", "192.0.2.7/32"]


def test_a_key_rotated_without_overlap_opens_nothing_at_once() -> None:
    desk = Desk()
    old = desk.issue().kept
    desk.rotate(old.key_id, overlap=timedelta(0))
    desk.at += timedelta(microseconds=1)
    assert not key_of(desk.rows[old.key_id]).opens(desk.at)


def test_an_overlap_gives_no_key_a_longer_life() -> None:
    desk = Desk()
    old = desk.issue(lasts=timedelta(hours=1)).kept
    desk.rotate(old.key_id, overlap=30 * DAY)
    assert desk.rows[old.key_id].expires_at == old.expires_at


def test_what_is_not_there_or_was_revoked_is_neither_revoked_nor_replaced() -> None:
    desk = Desk()
    key_id = desk.issue().kept.key_id
    desk.revoke(key_id)
    for again in (desk.revoke, desk.rotate):
        with pytest.raises(NotFoundError, match="there is no API key of this id"):
            again("0" * 12)
        with pytest.raises(ClashError, match=f"{key_id}: was revoked before, at 2026-11-26"):
            again(key_id)
    assert len(desk.acts) == 2


@pytest.mark.parametrize("by", ["", "x" * 101, "Vera\nOtto"])
def test_an_act_without_a_person_is_refused(by: str) -> None:
    desk = Desk()
    key_id = desk.issue().kept.key_id
    for act in (lambda: desk.issue(by=by), lambda: desk.revoke(key_id, by=by), lambda: desk.rotate(key_id, by=by)):
        with pytest.raises(InvalidInputError, match="somebody's act"):
            act()
    assert len(desk.acts) == 1


def test_a_key_that_could_not_be_recorded_is_none() -> None:
    desk = Desk(down=True)
    with pytest.raises(UnavailableError):
        desk.issue()
    assert desk.rows == {}

"""Who may be erased on which day: where anything stands against it nothing is erased, and nothing recorded."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.governance.law.test_packs import the_packs
from tests.lending import KEY

from obligor.core.errors import ClashError, GateError, IntegrityError, InvalidInputError, SealError
from obligor.core.leaves import time_text
from obligor.serving.privacy.erasing import (
    Concerned,
    Office,
    Standing,
    order_to_erase,
    order_to_hold,
    order_to_release,
)
from obligor.serving.privacy.sealed import Opened
from obligor.serving.privacy.telling import LOST
from obligor.serving.rows import RETAINED, ErasedRow, HoldRow, OutboxRow
from obligor.serving.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.law.packs import Pack
    from obligor.serving.acts import Act, Submission

ADA: Final = bytes.fromhex("ada0" * 16)
NOON: Final = datetime(2026, 11, 26, 12, tzinfo=UTC)
STANDING: Final = {
    "decisions": 3, "latest": NOON, "keys": 2, "erased_at": None,
    "held_because": None, "held_since": None, "retained_since": None,
}  # fmt: skip


def kept(said: Mapping[str, Any], *, decision: int = 1) -> Any:
    return SimpleNamespace(record=json.dumps(said).encode(), decision_id=UUID(int=decision))


@dataclass
class House:
    """What is kept of Ada, as a store tells it, and what was recorded of her."""

    standing_of: dict[str, Any]
    records: list[Mapping[str, Any]] = field(default_factory=list)
    clients: list[Concerned] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)
    others: int = 0
    """How often somebody else is quicker."""

    async def standing(self, subject: bytes) -> dict[str, Any]:
        assert subject == ADA
        return self.standing_of

    async def decisions(self, subject: bytes) -> list[Any]:
        return [kept(it) for it in self.records]

    async def concerned(self, subject: bytes) -> Sequence[Concerned]:
        return self.clients

    async def reviews(self, subject: bytes) -> Sequence[Any]:
        return [kept({"verdict": "upheld"}, decision=2), kept({"verdict": "forged"}, decision=3)]

    async def outcomes(self, subject: bytes) -> Sequence[Any]:
        return [kept({"status": "repaid"})]

    async def record(self, submission: Submission) -> None:
        if self.others:
            self.others -= 1
            raise IntegrityError("another hold was placed")
        self.acts.extend(submission.acts)
        for row in (row for act in submission.acts for row in act.rows):
            if isinstance(row, HoldRow):
                stands = row.released_at is None
                self.standing_of["held_because"] = row.because if stands else None
                self.standing_of["held_since"] = row.placed_at if stands else None

    def office(self, at: datetime = NOON, *, retain_days: int = 0, packs: Sequence[Pack] = ()) -> Office:
        return Office(self, self, Sources(lambda: at, bytes), "pia", retain_days, packs)  # type: ignore[arg-type]  # a part of each

    def erase(self, at: datetime, *, closed: date | None = None, **of: Any) -> dict[str, Any]:
        return asyncio.run(self.office(at, **of).erase(ADA, key=KEY, account_closed=closed))

    def is_erased(self, at: datetime, **more: Any) -> bool:
        """Tell whether she is erased at an instant; where she is not, nothing was recorded."""
        del self.acts[:]
        try:
            said = self.erase(at, **more)
        except GateError:
            said = {}
        row = ErasedRow(ADA, at, self.standing_of["decisions"], self.standing_of["latest"])
        assert [it.rows for it in self.acts if it.kind == "erased"] == ([(row,)] if said else [])
        assert said or not self.acts
        return bool(said)


@given(
    st.sampled_from([None, "case 7", RETAINED, f"case 7; {RETAINED}"]),
    st.sampled_from([None, NOON]),
    st.integers(0, 3),
    st.integers(-1, 4),
)
def test_who_is_held_or_was_decided_on_lately_is_not_erased(
    because: str | None, retained: datetime | None, retain_days: int, days: int
) -> None:
    house = House(STANDING | {"held_because": because, "held_since": because and NOON, "retained_since": retained})
    free = because is None and retained is None
    midnight = datetime(2026, 11, 26, tzinfo=UTC) + timedelta(days=days)  # the first instant of a day
    assert house.is_erased(midnight, retain_days=retain_days) == (free and days >= retain_days)


def test_a_hold_is_told_in_the_same_words_whatever_it_is_for() -> None:
    def hold(because: str | None, retained: datetime | None) -> str | None:
        return Standing(ADA, 3, NOON, 2, None, because, retained_since=retained).hold

    assert hold(None, None) is None
    assert hold("case 7", None) == "case 7"
    assert hold(None, NOON) == hold(RETAINED, None) == hold(RETAINED, NOON) == RETAINED
    assert hold("case 7", NOON) == hold(f"case 7; {RETAINED}", NOON) == f"case 7; {RETAINED}"


@pytest.mark.parametrize(
    ("records", "closed", "last"),
    [
        # Regulation B: 25 months from the last day on which the notice was due; the days are closed.
        ([("decline", "enforce")], None, date(2029, 1, 26)),
        ([("approve", "off")], None, date(2029, 1, 26)),
        ([("decline", "enforce"), ("approve", "monitor")], date(2027, 1, 1), date(2032, 1, 1)),
        ([("approve", "enforce"), ("decline", "off")], date(2024, 1, 1), date(2029, 1, 26)),
        ([("approve", "enforce")], None, None),
    ],
)
def test_what_a_rule_keeps_is_kept_to_its_last_day_and_evidence_of_who_was_approved_for_longer(
    records: list[tuple[str, str]], closed: date | None, last: date | None
) -> None:
    house = House(STANDING, [{"outcome": it, "gates": {"kyc": {"state": state}}} for it, state in records])
    packs = [the_packs()["US-FED"]]
    if last is None:
        assert not house.is_erased(NOON + timedelta(days=365 * 50), packs=packs)
        return
    noon = datetime(last.year, last.month, last.day, 12, tzinfo=UTC)
    assert not house.is_erased(noon, closed=closed, packs=packs)
    assert house.is_erased(noon + timedelta(days=1), closed=closed, packs=packs)


def test_whose_systems_listen_is_told_of_each_of_their_decisions_and_the_others_are_named() -> None:
    many = [UUID(int=it) for it in range(1001)]
    clients = [
        Concerned("bank", many, listens=True),
        Concerned("broker", many[:2], listens=False),
        Concerned("shop", many[:1], listens=True),
    ]
    house = House(STANDING, clients=clients)
    assert house.is_erased(NOON, closed=date(2026, 1, 31))
    *told, erased = house.acts
    assert {it.kind for it in told} == {"erasure.told"}
    events = [row for it in told for row in it.rows if isinstance(row, OutboxRow)]
    assert [it.client_id for it in events] == ["bank"] * 3 + ["shop"]
    payloads = [json.loads(it.payload) for it in events]
    named = [it.pop("decision_ids") for it in payloads]
    assert payloads == [{"erased_at": time_text(NOON)}] * 4
    assert [it for each in named[:-1] for it in each] == [str(it) for it in many]
    assert max(map(len, named)) == 500
    said = json.loads(erased.record)
    assert (said["not_told"], said["account_closed"]) == (["broker"], "2026-01-31")
    assert (said["subject"], said["by"], said["at"]) == (ADA.hex(), "pia", time_text(NOON))
    assert (said["decisions"], said["keys"]) == (3, 2)


@pytest.mark.parametrize("by", ["", "pia\n"])
def test_nobody_erases_without_a_name(by: str) -> None:
    with pytest.raises(InvalidInputError, match="wanted a name"):
        Office(House(STANDING), House(STANDING), Sources(lambda: NOON, bytes), by, 0)  # type: ignore[arg-type]  # of no use


def test_of_whoever_was_erased_before_a_certificate_of_then_is_given_and_nothing_is_recorded() -> None:
    house = House(STANDING | {"keys": 0, "erased_at": NOON, "held_because": "case 7"})
    said = house.erase(NOON + timedelta(days=9), retain_days=400)
    assert (said["keys_destroyed"], said["erased_at"]) == (0, time_text(NOON))
    assert house.acts == []


def test_a_hold_is_kept_from_its_first_day_with_all_that_it_stands_for_until_it_is_released() -> None:
    house = House({**STANDING})
    for days, because, whole in ((0, "case 7", "case 7"), (1, "case 7", "case 7"), (2, "case 8", "case 7; case 8")):
        held = asyncio.run(house.office(NOON + timedelta(days=days)).hold(ADA, because=because))
        assert (held.held_because, held.held_since) == (whole, NOON)
    assert asyncio.run(house.office(NOON + timedelta(days=3)).release(held)).hold is None
    (row,) = house.acts[-1].rows
    assert row == HoldRow(ADA, "case 7; case 8", NOON, "pia", NOON + timedelta(days=3), "case 7; case 8")
    said = json.loads(house.acts[-1].record)
    assert (said["placed_at"], said["released_at"]) == (time_text(NOON), time_text(NOON + timedelta(days=3)))


def test_the_hold_of_an_alert_is_released_since_the_alert_and_none_that_does_not_stand() -> None:
    house = House(STANDING | {"retained_since": NOON})
    seen = asyncio.run(house.office().standing(ADA))
    asyncio.run(house.office(NOON + timedelta(days=3)).release(seen))
    assert house.acts[-1].rows == (HoldRow(ADA, RETAINED, NOON, "pia", NOON + timedelta(days=3), None),)
    with pytest.raises(InvalidInputError, match="no hold stands"):
        asyncio.run(House({**STANDING}).office().release(Standing(ADA, 3, NOON, 2, None, None)))


@pytest.mark.parametrize("because", ["", " ", "case\n7", "x" * 1001, "card 4111 1111 1111 1111"])
def test_a_hold_needs_a_reason_in_which_no_card_number_stands(because: str) -> None:
    house = House({**STANDING})
    with pytest.raises(InvalidInputError) as refused:
        asyncio.run(house.office().hold(ADA, because=because))
    assert "4111" not in str(refused.value)
    assert house.acts == []


@pytest.mark.parametrize("others", [7, 8])
def test_a_hold_is_placed_though_others_are_quicker_but_not_for_ever(others: int) -> None:
    house = House({**STANDING}, others=others)
    if others < 8:
        assert asyncio.run(house.office().hold(ADA, because="case 7")).hold == "case 7"
        return
    with pytest.raises(ClashError, match="nothing was placed"):
        asyncio.run(house.office().hold(ADA, because="case 7"))


def test_a_person_is_told_all_that_is_kept_of_them_and_that_they_were_is_an_act() -> None:
    class Opens:
        async def open_each(self, stored: Sequence[Any]) -> list[Opened | SealError]:
            return [
                SealError("another")
                if b"forged" in it.record
                else Opened(json.loads(it.record), erased=b"upheld" in it.record)
                for it in stored
            ]

    async def lost(_: Mapping[str, Any]) -> dict[str, Any]:
        raise IntegrityError("gone")

    house = House(STANDING, [{"outcome": "refer", "because": "gate:aml:fail", "gates": {"aml": {"result": "fail"}}}])
    assert asyncio.run(house.office().export(ADA, opener=Opens(), words=lost)) == {  # type: ignore[arg-type]  # a part of it
        "schema": "obligor/subject/2",
        "subject": ADA.hex(),
        "at": time_text(NOON),
        "decisions": [
            {"outcome": "refer", "because": "gate:review", "erased": False, "explanation": None, "unexplained": LOST}
        ],
        "reviews": [{"verdict": "upheld", "erased": True}],
        "outcomes": [{"status": "repaid"}],
        "broken": [str(UUID(int=3))],
    }
    (act,) = house.acts
    said = json.loads(act.record)
    assert (act.kind, said["decisions"], said["purpose"]) == ("revealed", 3, "request of the subject")


def test_what_two_agree_to_is_one_person_one_day_and_one_hold() -> None:
    bob, day, held = bytes(32), date(2026, 1, 31), Standing(ADA, 3, NOON, 2, None, "case 7")
    orders = [
        *(order_to_erase(ADA), order_to_erase(bob), order_to_erase(ADA, account_closed=day)),
        *(order_to_hold(ADA, because="case 7"), order_to_hold(bob, because="case 7")),
        order_to_hold(ADA, because="case 8"),
        *(order_to_release(held), order_to_release(replace(held, subject=bob))),
        order_to_release(replace(held, held_because="case 7; case 8")),
        order_to_release(replace(held, retained_since=NOON)),
    ]
    assert len({(it.kind, it.text) for it in orders}) == len(orders)

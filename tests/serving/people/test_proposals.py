"""What takes two people: one proposes, another agrees, the first does it; and nobody goes around it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import structs
from tests.governance.audit.logs import columns_of
from tests.lending import person as a_person

from obligor.core.errors import ClashError, ForbiddenError, InvalidInputError, NotFoundError
from obligor.security.permissions import permissions
from obligor.serving.acts import Act, Recorded, Submission
from obligor.serving.people.access import Person
from obligor.serving.people.proposals import LASTS, PERMISSIONS, PROPOSING, SHOWN_FOR, Order, Proposals, plain
from obligor.serving.rows import ProposalRow, UserRoleRow, UserRow
from obligor.serving.sources import Sources, live_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from obligor.serving.acts import Caller, Recorder

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ERASE = Order("erased", {"subject": "ab12"}, because="their wish of 3 November")


@dataclass
class Desk:
    """Keeps what is recorded in memory, with two privacy officers and an auditor."""

    acts: list[Act] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=lambda: dict.fromkeys(("ada", "grace"), "privacy_officer"))
    """Each person's, with blanks between those of one."""
    state: str = "granted"
    now: datetime = NOON
    alone: bool = False
    disabled: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.roles["vera"] = "auditor"
        sources = Sources(lambda: self.now, live_sources().random)
        self.proposals = Proposals(self, self, self, sources, alone=self.alone)  # type: ignore[arg-type]

    async def record(self, submission: Submission) -> Recorded:
        self.acts += submission.acts
        return Recorded(b"", submission.status, replayed=False, leaf_index=len(self.acts) - 1)

    @property
    def steps(self) -> list[ProposalRow]:
        return [row for act in self.acts for row in act.rows if isinstance(row, ProposalRow)]

    async def steps_of(self, proposal_id: str) -> tuple[ProposalRow, ...]:
        return tuple(it for it in self.steps if it.proposal_id == proposal_id)

    async def steps_after(self, at: datetime) -> tuple[ProposalRow, ...]:
        return tuple(it for it in self.steps if it.expires_at > at)

    async def person(self, user_id: str) -> Person | None:
        if user_id not in self.roles:
            return None
        rows = [UserRoleRow(user_id, it, "granted", "root", "joan", NOON) for it in self.roles[user_id].split()]
        return Person(UserRow(user_id, "", NOON, NOON if user_id in self.disabled else None), tuple(rows))

    async def erase(self, by: str, order: Order = ERASE) -> Any:
        async def work(recorder: Recorder) -> str:
            act = Act("erased", self.now, f"person:{by}", "ab12", b"{}", bytes(16))
            await recorder.record(Submission((act,), lambda _: b""))
            return "erased"

        return await self.proposals.together(order, work, by=by)

    async def agree(self, proposal_id: str, by: str) -> ProposalRow:
        async def naming(permission: str) -> Caller:
            person = await self.person(by)
            if person is not None and permission not in permissions().held(roles=person.granted, scopes=frozenset()):
                raise ForbiddenError("the role")
            return a_person(by, *(("privacy_officer",) if person is None else person.granted))

        return await self.proposals.agree(proposal_id, naming=naming)

    async def withdraw(self, proposal_id: str, by: str, because: str = "they called again") -> ProposalRow:
        return await self.proposals.withdraw(proposal_id, because=because, by=by)

    @property
    def kinds(self) -> list[str]:
        return [it.kind for it in self.acts]


def played(scene: Callable[[Desk], Coroutine[Any, Any, None]], **said: Any) -> Desk:
    desk = Desk(**said)
    asyncio.run(scene(desk))
    return desk


def test_what_one_person_proposes_is_done_by_them_once_another_has_agreed() -> None:
    async def scene(desk: Desk) -> None:
        proposed = await desk.erase("ada")
        assert (proposed.step, proposed.proposed_by, proposed.expires_at) == ("proposed", "ada", NOON + LASTS)
        agreed = await desk.agree(proposed.proposal_id, "grace")
        assert (agreed.step, agreed.by) == ("agreed", "grace")
        (waits,) = await desk.proposals.waiting()
        assert (plain(waits, NOON)["state"], plain(waits, NOON)["agreed_by"]) == ("agreed", "grace")
        assert desk.kinds == ["act.proposed", "act.agreed"]
        assert await desk.erase("ada") == "erased"
        assert await desk.proposals.waiting() == ()

    desk = played(scene)
    assert desk.kinds == ["act.proposed", "act.agreed", "act.done", "erased"]
    assert [it.by for it in desk.acts] == ["person:ada", "person:grace", "person:ada", "person:ada"]


@pytest.mark.parametrize("again", ["ada", " ADA ", "\uff41da"])
def test_nobody_agrees_with_themselves_however_they_write_their_name(again: str) -> None:
    async def scene(desk: Desk) -> None:
        proposed = await desk.erase("ada")
        with pytest.raises(ForbiddenError, match="waits for another person"):
            await desk.erase(again)
        with pytest.raises(ForbiddenError, match="another person agrees"):
            await desk.agree(proposed.proposal_id, again)

    assert played(scene).kinds == ["act.proposed"]


def test_one_person_of_two_accounts_neither_agrees_nor_does_what_they_agreed_to_before_that_was_refused() -> None:
    async def scene(desk: Desk) -> None:
        ada, again = "ada@bank.example", "ada+2@bank.example"
        proposed = await desk.erase(ada)
        with pytest.raises(ForbiddenError, match="another person agrees"):
            await desk.agree(proposed.proposal_id, again)
        agreed = replace(proposed, step="agreed", by=again)
        await desk.record(
            Submission((Act("act.agreed", agreed.at, f"person:{again}", "", b"", b"", (agreed,)),), bytes)
        )
        with pytest.raises(ForbiddenError, match="waits for another person"):
            await desk.erase(ada)

    assert played(scene).kinds == ["act.proposed", "act.agreed"]


def test_an_agreement_is_to_what_was_proposed_and_to_nothing_else() -> None:
    async def scene(desk: Desk) -> None:
        await desk.agree((await desk.erase("ada")).proposal_id, "grace")
        other = await desk.erase("ada", Order("erased", {"subject": "cd34"}))
        assert (other.step, other.said) == ("proposed", '{"subject":"cd34"}')

    assert "erased" not in played(scene).kinds


def test_it_is_done_once_and_then_proposed_anew() -> None:
    async def scene(desk: Desk) -> None:
        await desk.agree((await desk.erase("ada")).proposal_id, "grace")
        assert await desk.erase("ada") == "erased"
        assert (await desk.erase("ada")).step == "proposed"

    played(scene)


def test_who_wants_the_same_is_told_to_agree() -> None:
    async def scene(desk: Desk) -> None:
        proposed = await desk.erase("ada")
        with pytest.raises(ClashError, match=f"ada proposed the same: proposal {proposed.proposal_id}"):
            await desk.erase("grace")
        await desk.agree(proposed.proposal_id, "grace")
        with pytest.raises(ClashError, match="ada proposed the same"):  # and it is for ada to do
            await desk.erase("grace")

    assert "erased" not in played(scene).kinds


@pytest.mark.parametrize("agreed", [False, True])
def test_a_proposal_that_expired_is_agreed_to_and_done_by_nobody(agreed: bool) -> None:  # noqa: FBT001
    async def scene(desk: Desk) -> None:
        proposed = await desk.erase("ada")
        if agreed:
            await desk.agree(proposed.proposal_id, "grace")
        desk.now = NOON + LASTS
        with pytest.raises(ClashError, match="is expired"):
            await desk.agree(proposed.proposal_id, "grace")
        assert await desk.proposals.waiting() == ()
        assert (await desk.erase("ada")).step == "proposed"

    assert "erased" not in played(scene).kinds


@pytest.mark.parametrize("agreed", [False, True])
def test_what_was_taken_back_is_agreed_to_and_done_by_nobody(agreed: bool) -> None:  # noqa: FBT001
    async def scene(desk: Desk) -> None:
        id_ = (await desk.erase("ada")).proposal_id
        if agreed:
            await desk.agree(id_, "grace")
        withdrawn = await desk.withdraw(id_, " ADA ")
        assert (withdrawn.step, withdrawn.because, withdrawn.proposed_by) == ("withdrawn", "they called again", "ada")
        with pytest.raises(ClashError, match="is withdrawn"):
            await desk.agree(id_, "grace")
        with pytest.raises(ClashError, match="is withdrawn"):
            await desk.withdraw(id_, "ada")
        assert await desk.proposals.waiting() == ()
        assert (await desk.erase("ada")).step == "proposed"  # and it is another one

    desk = played(scene)
    assert desk.kinds == ["act.proposed", *["act.agreed"][: int(agreed)], "act.withdrawn", "act.proposed"]


def test_a_proposal_is_taken_back_by_who_made_it_alone_with_a_reason_and_before_it_is_done() -> None:
    async def scene(desk: Desk) -> None:
        id_ = (await desk.erase("ada")).proposal_id
        await desk.agree(id_, "grace")
        for by in ("grace", "vera", "adam", ""):
            with pytest.raises(ForbiddenError, match="who proposed it"):
                await desk.withdraw(id_, by)
        for because in ("", "  ", "two\nlines", "x" * 501):
            with pytest.raises(InvalidInputError, match="because"):
                await desk.withdraw(id_, "ada", because)
        with pytest.raises(NotFoundError, match="no such proposal"):
            await desk.withdraw("0197", "ada")
        assert await desk.erase("ada") == "erased"
        with pytest.raises(ClashError, match="is done"):
            await desk.withdraw(id_, "ada")

    assert "act.withdrawn" not in played(scene).kinds


def test_what_ended_undone_is_shown_for_a_month_with_how_it_ended() -> None:
    async def scene(desk: Desk) -> None:
        for subject in ("left", "late", "done"):
            proposed = await desk.erase("ada", Order("erased", {"subject": subject}))
            if subject == "left":
                await desk.withdraw(proposed.proposal_id, "ada")
            if subject == "done":
                await desk.agree(proposed.proposal_id, "grace")
                await desk.erase("ada", Order("erased", {"subject": subject}))
        desk.now = NOON + LASTS
        told = {it["said"]["subject"]: it for it in (plain(it, desk.now) for it in await desk.proposals.undone())}
        assert {name: it["state"] for name, it in told.items()} == {"left": "withdrawn", "late": "expired"}
        assert (told["left"]["because"], told["left"]["withdrawn_because"]) == ("", "they called again")
        # One that expired says why nothing came of it.
        await desk.withdraw(told["late"]["proposal_id"], "ada", "nobody was there")
        assert [it.state(desk.now) for it in await desk.proposals.undone()] == ["withdrawn", "withdrawn"]
        desk.now = NOON + LASTS + SHOWN_FOR
        assert await desk.proposals.undone() == ()

    played(scene)


def test_who_lost_the_role_in_between_neither_agrees_nor_counts() -> None:
    async def scene(desk: Desk) -> None:
        proposed = await desk.erase("ada")
        with pytest.raises(ForbiddenError, match="the role"):
            await desk.agree(proposed.proposal_id, "vera")
        desk.roles["ada"] = "auditor"
        with pytest.raises(ForbiddenError, match="ada, who was one of the two"):
            await desk.agree(proposed.proposal_id, "grace")
        desk.roles["ada"] = "privacy_officer"
        await desk.agree(proposed.proposal_id, "grace")
        desk.roles["grace"] = "auditor"
        with pytest.raises(ForbiddenError, match="grace, who was one of the two"):
            await desk.erase("ada")

    assert "erased" not in played(scene).kinds


@pytest.mark.parametrize(
    ("roles", "disabled", "may"),
    [
        ("privacy_officer", False, True),
        ("privacy_officer", True, False),
        ("", False, True),  # whose token tells their roles
        ("", True, False),
        ("auditor", False, False),
        ("privacy_officer auditor", False, True),
        ("privacy_officer admin", False, False),  # which nobody holds together
    ],
)
@pytest.mark.parametrize("who", ["ada", "grace"])
def test_each_of_the_two_must_still_be_one_who_may_when_the_other_acts(
    roles: str, who: str, *, disabled: bool, may: bool
) -> None:
    async def scene(desk: Desk) -> None:
        proposal = (await desk.erase("ada")).proposal_id
        if who == "grace":
            await desk.agree(proposal, "grace")
        desk.roles[who] = roles
        if disabled:
            desk.disabled.add(who)
        goes_on = desk.agree(proposal, "grace") if who == "ada" else desk.erase("ada")
        if may:
            await goes_on
            return
        with pytest.raises(ForbiddenError, match=f"{who}, who was one of the two"):
            await goes_on
        assert desk.kinds == ["act.proposed", "act.agreed"][: 1 if who == "ada" else 2]

    played(scene)


def test_each_step_is_recorded_with_who_took_it_and_when() -> None:
    async def scene(desk: Desk) -> None:
        one = (await desk.erase("ada")).proposal_id
        desk.now += timedelta(hours=1)
        await desk.agree(one, "grace")
        desk.now += timedelta(hours=1)
        await desk.erase("ada")
        other = (await desk.erase("ada")).proposal_id
        desk.now += timedelta(hours=1)
        await desk.withdraw(other, " ADA ")

    desk = played(scene)
    acts = [it for it in desk.acts if it.kind.startswith("act.")]
    took = [("proposed", "ada", 0), ("agreed", "grace", 1), ("done", "ada", 2), ("proposed", "ada", 2)]
    assert [(row.step, row.by, row.at) for row in desk.steps] == [
        (step, by, NOON + timedelta(hours=hours)) for step, by, hours in (*took, ("withdrawn", " ADA ", 3))
    ]
    for act, row in zip(acts, desk.steps, strict=True):
        assert act.at == row.at
        assert json.loads(act.record) == {"schema": "obligor/proposal/1", **columns_of(row)}


def test_whoever_proposed_the_same_as_another_is_told_of_their_own() -> None:
    async def scene(desk: Desk) -> None:
        proposal = await desk.erase("ada")
        (act,) = desk.acts
        mine = replace(proposal, proposal_id="z", by="grace", proposed_by="grace")
        desk.acts.append(structs.replace(act, rows=(mine,)))
        with pytest.raises(ForbiddenError, match="proposal z waits"):
            await desk.erase("grace")
        with pytest.raises(ClashError, match="ada proposed the same"):
            await desk.erase("joan")

    played(scene)


def test_what_could_not_be_done_is_not_proposed() -> None:
    async def scene(desk: Desk) -> None:
        async def work(_: Recorder) -> None:
            raise InvalidInputError("no hold stands")

        with pytest.raises(InvalidInputError, match="no hold stands"):
            await desk.proposals.together(ERASE, work, by="ada")

    assert played(scene).kinds == []


def test_before_there_are_two_people_one_does_it() -> None:
    async def scene(desk: Desk) -> None:
        assert await desk.erase("ada") == "erased"

    assert played(scene, alone=True).kinds == ["erased"]


def test_what_nobody_proposed_is_not_agreed_to() -> None:
    async def scene(desk: Desk) -> None:
        with pytest.raises(NotFoundError, match="no such proposal"):
            await desk.agree("0197", "grace")
        proposed = await desk.erase("ada")
        await desk.agree(proposed.proposal_id, "grace")
        with pytest.raises(ClashError, match="is agreed"):
            await desk.agree(proposed.proposal_id, "joan")

    played(scene)


@pytest.mark.parametrize("because", ["two\nlines", "x" * 501])
def test_a_reason_is_a_line(because: str) -> None:
    with pytest.raises(InvalidInputError, match="because"):
        Order("erased", {}, because)


def test_the_table_says_second_of_every_act_that_takes_two_people() -> None:
    table = permissions()
    asked = {name for held in table.roles.values() for name, how in held.items() if how.second}
    assert {permission for kind, permission in PERMISSIONS.items() if kind not in PROPOSING} <= asked
    for permission in PERMISSIONS.values():
        roles = [name for name, held in table.roles.items() if name != "los" and permission in held]
        assert roles, permission

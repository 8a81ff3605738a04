"""Proposals in the store: of two who agree at once one does, and what is changed behind the log is found."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.adapters.store.test_privacy import verified
from tests.adapters.store.test_taken_away import both, kinds
from tests.lending import person

from obligor.adapters.store.people import PostgresPeople
from obligor.adapters.store.proposals import PostgresProposals
from obligor.core.errors import ClashError, ForbiddenError
from obligor.serving.people.proposals import Proposals
from obligor.serving.people.roles import People, order_to_add
from obligor.serving.rows import ProposalRow
from obligor.serving.sources import live_sources

if TYPE_CHECKING:
    from obligor.adapters.store.pool import Pool
    from obligor.adapters.store.recorder import PostgresRecorder
    from obligor.core.errors import ObligorError
    from obligor.serving.acts import Caller, Recorder
    from obligor.serving.people.access import Person

SOURCES = live_sources()


class Admin:
    """Lets joan in, as ada or another; others agree."""

    def __init__(self, recorder: PostgresRecorder, pool: Pool, by: str = "ada") -> None:
        self.by = by
        self.people = PostgresPeople(pool)
        self.proposals = Proposals(PostgresProposals(pool), self.people, recorder, SOURCES)

    async def add(self) -> Any:
        async def work(recorder: Recorder) -> str:
            await People(self.people, recorder, SOURCES).add("joan", password=None, by=self.by)
            return "added"

        return await self.proposals.together(order_to_add("joan", password=None), work, by=self.by)

    async def agree(self, proposal_id: str, by: str) -> Any:
        async def naming(_permission: str) -> Caller:
            return person(by, "admin")

        return await self.proposals.agree(proposal_id, naming=naming)


def test_of_two_who_agree_at_once_one_does_and_of_two_who_do_it_too(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        desk, beside = Admin(one, pool), Admin(other, pool)
        proposed = await desk.add()
        told = await asyncio.gather(
            desk.agree(proposed.proposal_id, "grace"),
            beside.agree(proposed.proposal_id, "carl"),
            return_exceptions=True,
        )
        assert sorted(type(it).__name__ for it in told) == ["ClashError", "ProposalRow"]
        done = await asyncio.gather(desk.add(), beside.add(), return_exceptions=True)
        assert sorted(type(it).__name__ for it in done) == ["ClashError", "str"]

    both(store_url, scene)
    assert kinds(store_url) == ["act.proposed", "act.agreed", "act.done", "user.added"]
    assert verified(store_url) == []


class Racing(PostgresProposals):
    """Lets nobody record before everybody has looked."""

    def __init__(self, pool: Pool, looked: asyncio.Barrier) -> None:
        super().__init__(pool)
        self._looked = looked

    async def steps_of(self, proposal_id: str) -> Any:
        found = await super().steps_of(proposal_id)
        await self._looked.wait()
        return found

    async def steps_after(self, at: Any) -> Any:
        found = await super().steps_after(at)
        await self._looked.wait()
        return found


class Once(Racing):
    """As well, but looks by itself from the second time on."""

    raced = False

    async def steps_after(self, at: Any) -> Any:
        if self.raced:
            return await PostgresProposals.steps_after(self, at)
        self.raced = True
        return await super().steps_after(at)


@pytest.mark.parametrize("other_process", [False, True])
@pytest.mark.parametrize(("second", "refused"), [("grace", ClashError), ("Ada", ForbiddenError)])
def test_of_two_who_propose_the_same_at_once_the_second_is_told_of_the_first(
    store_url: str, *, other_process: bool, second: str, refused: type[ObligorError]
) -> None:
    """As it would have been a moment later: another person may agree to it, and who made it waits."""

    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        desks = [Admin(one, pool), Admin(other if other_process else one, pool, second)]
        looked = asyncio.Barrier(2)
        for it in desks:
            it.proposals = replace(it.proposals, archive=Once(pool, looked))
        told = await asyncio.gather(*(it.add() for it in desks), return_exceptions=True)
        (made,) = [it for it in told if isinstance(it, ProposalRow)]
        (why,) = [it for it in told if isinstance(it, refused)]
        assert made.proposal_id in why.message
        (kept,) = await Proposals(PostgresProposals(pool), desks[0].people, one, SOURCES).waiting()
        assert kept.proposed == made
        # Once it is taken back, or over, the same is proposed again.
        await Admin(one, pool, made.by).proposals.withdraw(made.proposal_id, because="an error", by=made.by)
        again = await Admin(one, pool, second).add()
        assert again.step == "proposed"
        late = replace(SOURCES, now=lambda: again.expires_at)
        desk = Admin(other, pool)
        desk.proposals = replace(desk.proposals, sources=late)
        assert (await desk.add()).step == "proposed"

    both(store_url, scene)
    assert kinds(store_url) == ["act.proposed", "act.withdrawn", "act.proposed", "act.proposed"]
    assert verified(store_url) == []


@pytest.mark.parametrize("turn", range(4))
def test_of_one_who_agrees_and_one_who_takes_it_back_at_once_the_withdrawal_stands(store_url: str, turn: int) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        desk, beside = Admin(one, pool), Admin(other, pool)
        id_ = (await desk.add()).proposal_id
        looked = asyncio.Barrier(2)
        for it in (desk, beside):
            it.proposals = replace(it.proposals, archive=Racing(pool, looked))
        work = [desk.proposals.withdraw(id_, because="an error", by="ada"), beside.agree(id_, "grace")]
        told = await asyncio.gather(*(work if turn % 2 else reversed(work)), return_exceptions=True)
        assert all(isinstance(it, ClashError) or not isinstance(it, BaseException) for it in told), told
        (kept,) = await Proposals(PostgresProposals(pool), desk.people, one, SOURCES).undone()
        assert kept.state(SOURCES.now()) == "withdrawn"

    both(store_url, scene)
    assert kinds(store_url) in (
        ["act.proposed", "act.withdrawn"],
        ["act.proposed", "act.agreed", "act.withdrawn"],
    )
    assert verified(store_url) == []


@pytest.mark.parametrize("turn", range(4))
def test_of_one_who_does_it_and_takes_it_back_at_once_one_counts(store_url: str, turn: int) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        desk, beside = Admin(one, pool), Admin(other, pool)
        id_ = (await desk.add()).proposal_id
        await beside.agree(id_, "grace")
        looked = asyncio.Barrier(2)
        for it in (desk, beside):
            it.proposals = replace(it.proposals, archive=Racing(pool, looked))
        work = [desk.proposals.withdraw(id_, because="an error", by="ada"), beside.add()]
        told = await asyncio.gather(*(work if turn % 2 else reversed(work)), return_exceptions=True)
        assert sum(isinstance(it, ClashError) for it in told) == 1, told

    both(store_url, scene)
    assert kinds(store_url)[2:] in (["act.withdrawn"], ["act.done", "user.added"])
    assert verified(store_url) == []


@pytest.mark.parametrize("step", ["agreed", "done", "proposed", "withdrawn"])
def test_nothing_is_added_to_a_proposal_that_was_taken_back(store_url: str, step: str) -> None:
    async def scene(one: PostgresRecorder, _: PostgresRecorder, pool: Pool) -> None:
        desk = Admin(one, pool)
        await desk.proposals.withdraw((await desk.add()).proposal_id, because="an error", by="ada")

    both(store_url, scene)
    with psycopg.connect(store_url) as connection, pytest.raises(psycopg.errors.RestrictViolation):
        connection.execute(
            "INSERT INTO obligor.proposal SELECT proposal_id, %s, kind, said, because, proposed_by, expires_at, at, 'eve', 99 "
            "FROM obligor.proposal WHERE step = 'proposed'",
            (step,),
        )


def test_an_agreement_is_not_done_twice_by_one_who_saw_it_before(store_url: str) -> None:
    class Stale(PostgresProposals):
        """Tells of proposals as they were when it was first asked."""

        seen: Any = None

        async def steps_after(self, at: Any) -> Any:
            self.seen = self.seen or await super().steps_after(at)
            return self.seen

    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        desk, late = Admin(one, pool), Admin(other, pool)
        await desk.agree((await desk.add()).proposal_id, "grace")
        late.proposals = Proposals(Stale(pool), late.people, other, SOURCES)
        await late.proposals.waiting()
        assert await desk.add() == "added"

        async def work(recorder: Recorder) -> None:  # a use case that has no objection of its own
            await People(late.people, recorder, SOURCES).disable("joan", by="ada")

        with pytest.raises(ClashError, match="done before"):
            await late.proposals.together(order_to_add("joan", password=None), work, by="ada")

    both(store_url, scene)
    assert kinds(store_url)[-1] == "user.added"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("UPDATE obligor.proposal SET said = replace(said, 'joan', 'eve') WHERE step = 'proposed'", "said is not what"),
        ("UPDATE obligor.proposal SET expires_at = expires_at + interval '1 year'", "expires_at is not what"),
        ("UPDATE obligor.proposal SET proposed_by = 'eve'", "proposed_by is not what"),
        ("DELETE FROM obligor.proposal WHERE step = 'agreed'", "no row of table proposal"),
        (
            """INSERT INTO obligor.proposal
            SELECT proposal_id, 'done', kind, said, because, proposed_by, expires_at, at, 'eve', 99
            FROM obligor.proposal WHERE step = 'agreed'""",
            "a row of table proposal belongs to no act",
        ),
    ],
)
def test_a_proposal_that_was_changed_in_the_store_is_found(store_url: str, statement: str, found: str) -> None:
    async def scene(one: PostgresRecorder, _: PostgresRecorder, pool: Pool) -> None:
        desk = Admin(one, pool)
        await desk.agree((await desk.add()).proposal_id, "grace")

    both(store_url, scene)
    assert verified(store_url) == []
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute(statement.encode())
    told = verified(store_url)
    assert any(found in it for it in told), told


class Seen(PostgresPeople):
    """Gives a person as they were when somebody looked first."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._first: Person | None = None

    async def person(self, user_id: str) -> Person | None:
        self._first = self._first or await super().person(user_id)
        return self._first


@pytest.mark.parametrize("meanwhile", ["granted", "revoked", "revoked, and proposed by who grants it"])
def test_a_role_is_granted_of_the_proposal_that_stands_and_not_of_the_one_that_was_seen(
    store_url: str, meanwhile: str
) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        now, stale = People(PostgresPeople(pool), one, SOURCES), Seen(pool)
        await now.add("joan", password=None, by="ada")
        await now.grant("joan", "analyst", by="ada")
        assert await stale.person("joan") is not None
        if meanwhile == "granted":
            await now.grant("joan", "analyst", by="carl")
        else:
            await now.revoke("joan", "analyst", by="ada")
        if "proposed" in meanwhile:
            await now.grant("joan", "analyst", by="grace")
        before = await PostgresPeople(pool).person("joan")
        with pytest.raises(ClashError, match="changed by somebody else meanwhile"):
            await People(stale, other, SOURCES).grant("joan", "analyst", by="grace")
        assert await PostgresPeople(pool).person("joan") == before

    both(store_url, scene)
    assert verified(store_url) == []


def test_of_two_who_change_a_role_at_once_one_does(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = PostgresPeople(pool)
        await People(people, one, SOURCES).add("joan", password=None, by="ada")
        for step, by in (("grant", "ada"), ("grant", "grace"), ("revoke", "ada")):
            seen = Seen(pool), Seen(pool)
            await asyncio.gather(*(it.person("joan") for it in seen))
            acts = (getattr(People(it, on, SOURCES), step) for it, on in zip(seen, (one, other), strict=True))
            told = await asyncio.gather(*(act("joan", "analyst", by=by) for act in acts), return_exceptions=True)
            assert sorted(type(it).__name__ for it in told) == ["ClashError", "UserRoleRow"]

    both(store_url, scene)
    assert kinds(store_url) == ["user.added", "role.proposed", "role.granted", "role.revoked"]
    assert verified(store_url) == []

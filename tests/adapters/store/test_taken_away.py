"""What was revoked or disabled stays so, though somebody who read it before writes after: two connections each."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.adapters.store.test_privacy import verified

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.deliveries import PostgresDeliveries
from obligor.adapters.store.migrating import downgrade, migrate
from obligor.adapters.store.people import PostgresPeople
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import ClashError, ForbiddenError, IntegrityError, NotFoundError
from obligor.serving.acts import Act, Submission
from obligor.serving.people.issuing import issue, revoke, rotate, row_of
from obligor.serving.people.roles import People
from obligor.serving.rows import WebhookRow
from obligor.serving.sources import live_sources
from obligor.serving.webhooks.endpoints import Webhooks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from obligor.serving.people.access import Person
    from obligor.serving.rows import ApiKeyRow

DAY = timedelta(days=1)
SOURCES = live_sources()
PASSWORD = "a long and quiet harbour"  # noqa: S105  of nobody


def both(url: str, scene: Callable[[PostgresRecorder, PostgresRecorder, Pool], Awaitable[None]]) -> None:
    """Play a scene with two writers, each on a connection of its own."""

    async def run() -> None:
        pool = Pool(url)
        async with PostgresRecorder(url) as one, PostgresRecorder(url) as other:
            await scene(one, other, pool)
        await pool.close()

    asyncio.run(run())


def kinds(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index")]


async def issued(recorder: PostgresRecorder) -> ApiKeyRow:
    new = await issue("bank", scopes=["decide"], lasts=9 * DAY, by="ada", recorder=recorder, sources=SOURCES)
    return row_of(new.kept)


def test_a_key_that_was_read_before_and_is_rotated_after_it_was_revoked_stays_revoked(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        seen = await issued(one)
        await revoke(seen, by="ada", recorder=other, sources=SOURCES)
        with pytest.raises(ClashError, match="revoked meanwhile"):
            await rotate(seen, lasts=9 * DAY, overlap=DAY, by="eve", recorder=one, sources=SOURCES)
        with pytest.raises(ClashError, match="revoked meanwhile"):
            await revoke(seen, by="eve", recorder=one, sources=SOURCES)
        (kept,) = await PostgresArchive(pool).api_keys()  # and nothing took its place
        assert kept.revoked_at is not None

    both(store_url, scene)
    assert kinds(store_url) == ["key.created", "key.revoked"]


def test_whoever_is_first_of_a_race_a_key_that_somebody_revoked_opens_nothing(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        for turn in range(12):
            seen = await issued(one)
            work = [
                rotate(seen, lasts=9 * DAY, overlap=DAY, by="eve", recorder=one, sources=SOURCES),
                revoke(seen, by="ada", recorder=other, sources=SOURCES),
            ]
            told = await asyncio.gather(*(work if turn % 2 else reversed(work)), return_exceptions=True)
            assert all(isinstance(it, ClashError) or not isinstance(it, BaseException) for it in told), told
            kept = await PostgresArchive(pool).api_key(seen.key_id)
            assert kept is not None
            assert kept.revoked_at is not None

    both(store_url, scene)


def test_of_two_who_rotate_one_key_at_once_one_does_and_the_other_is_told(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        seen = await issued(one)
        told = await asyncio.gather(
            *(
                rotate(seen, lasts=9 * DAY, overlap=DAY, by=by, recorder=recorder, sources=SOURCES)
                for recorder, by in ((one, "ada"), (other, "eve"))
            ),
            return_exceptions=True,
        )
        assert sorted(type(it).__name__ for it in told) == ["ClashError", "NewKey"]
        archive = PostgresArchive(pool)
        assert len(await archive.api_keys()) == 2
        kept = await archive.api_key(seen.key_id)
        assert kept is not None
        with pytest.raises(ClashError, match="was replaced before"):
            await rotate(kept, lasts=9 * DAY, overlap=DAY, by="ada", recorder=one, sources=SOURCES)
        await revoke(seen, by="ada", recorder=other, sources=SOURCES)  # which read it before it was replaced

    both(store_url, scene)
    assert kinds(store_url) == ["key.created", "key.rotated", "key.created", "key.revoked"]
    assert verified(store_url) == []


def test_a_store_of_before_learns_from_its_log_which_keys_were_replaced(store_url: str) -> None:
    async def rotated(one: PostgresRecorder, _: PostgresRecorder, __: Pool) -> None:
        await rotate(await issued(one), lasts=9 * DAY, overlap=DAY, by="ada", recorder=one, sources=SOURCES)

    both(store_url, rotated)
    downgrade(store_url, "0010")
    migrate(store_url)
    with psycopg.connect(store_url) as connection:
        found = connection.execute("SELECT replaced_by FROM obligor.api_key ORDER BY replaced_by").fetchall()
        (successor,) = connection.execute(
            "SELECT key_id FROM obligor.api_key WHERE replaced_by IS NULL"
        ).fetchone() or ("",)
    assert found == [(successor,), (None,)]
    assert verified(store_url) == []


def test_a_revoked_key_is_given_back_by_no_update_of_anybody(store_url: str) -> None:
    async def scene(one: PostgresRecorder, _: PostgresRecorder, __: Pool) -> None:
        await revoke(await issued(one), by="ada", recorder=one, sources=SOURCES)

    both(store_url, scene)
    with psycopg.connect(store_url) as connection, pytest.raises(psycopg.errors.RestrictViolation, match="stays so"):
        connection.execute("UPDATE obligor.api_key SET revoked_at = NULL")


class Before:
    """Tells of people as they were, to who looked too early."""

    def __init__(self, *people: Person, ever: int = 2) -> None:
        self._people, self._ever = {it.user.user_id: it for it in people}, ever

    async def person(self, user_id: str) -> Person | None:
        return self._people.get(user_id)

    async def people(self) -> tuple[Person, ...]:
        return tuple(self._people.values())

    async def ever(self, role: str) -> int:
        return self._ever


async def administrators(people: People, *names: str) -> None:
    """Add people and make them administrators, by two others where one is not enough."""
    for name in names:
        await people.add(name, password=PASSWORD, by="root")
        if (await people.grant(name, "admin", by="root")).state == "proposed":
            await people.grant(name, "admin", by="the.board")


async def left(pool: Pool) -> list[str]:
    """Name the administrators who are active."""
    found = await PostgresPeople(pool).people()
    return [it.user.user_id for it in found if it.user.disabled_at is None and "admin" in it.granted]


def test_a_role_that_was_taken_away_while_somebody_was_about_to_grant_it_is_not_granted(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        await people.add("joan", password=None, by="ada")
        await people.grant("joan", "analyst", by="ada")
        seen = await PostgresPeople(pool).person("joan")
        assert seen is not None
        await people.revoke("joan", "analyst", by="ada")
        with pytest.raises(ClashError, match="meanwhile"):
            await People(Before(seen), other, SOURCES).grant("joan", "analyst", by="grace")
        joan = await PostgresPeople(pool).person("joan")
        assert joan is not None
        assert joan.granted == frozenset()
        assert (await people.grant("joan", "analyst", by="ada")).state == "proposed"
        assert (await people.grant("joan", "analyst", by="grace")).state == "granted"
        with pytest.raises(ClashError, match="meanwhile"):  # nor is what was granted only proposed again
            await People(Before(replace(seen, roles=())), other, SOURCES).grant("joan", "analyst", by="ada")

    both(store_url, scene)


def test_a_user_who_was_disabled_while_somebody_was_about_to_add_them_stays_out(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        await People(PostgresPeople(pool), one, SOURCES).disable("eve", by="ada", unknown=True)
        with pytest.raises(ClashError, match="meanwhile"):
            await People(Before(), other, SOURCES).add("eve", password=PASSWORD, by="grace")
        eve = await PostgresPeople(pool).person("eve")
        assert eve is not None
        assert (eve.user.disabled_at is not None, eve.user.password) == (True, "")

    both(store_url, scene)


def test_of_two_who_add_one_user_at_once_one_does_and_the_password_is_theirs(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, _: Pool) -> None:
        told = await asyncio.gather(
            *(
                People(Before(), recorder, SOURCES).add("joan", password=f"a long and quiet harbour {by}", by=by)
                for recorder, by in ((one, "ada"), (other, "grace"))
            ),
            return_exceptions=True,
        )
        assert sorted(type(it).__name__ for it in told) == ["ClashError", "UserRow"]

    both(store_url, scene)
    assert kinds(store_url) == ["user.added"]


@pytest.mark.parametrize("one_batch", [False, True])
@pytest.mark.parametrize("stale", [False, True])
def test_of_two_administrators_who_disable_each_other_at_once_one_stays(
    store_url: str, *, stale: bool, one_batch: bool
) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        for name, by in (("ada", "root"), ("grace", "ada")):
            await people.add(name, password=PASSWORD, by=by)
            await people.grant(name, "admin", by=by)
        seen = await PostgresPeople(pool).people()
        beside = one if one_batch else other
        acting = [People(Before(*seen), it, SOURCES) for it in (one, beside)]
        names = ("ada", "grace")
        told = await asyncio.gather(
            *(
                it.disable_stale(seen, timedelta(0), by=by) if stale else it.disable(whom, by=by)
                for it, by, whom in zip(acting, names, reversed(names), strict=True)
            ),
            return_exceptions=True,
        )
        (refused,) = [it for it in told if isinstance(it, BaseException)]
        assert isinstance(refused, ForbiddenError)
        assert "was disabled meanwhile, and changes nobody" in str(refused)
        (left,) = [it for it in await PostgresPeople(pool).people() if it.user.disabled_at is None]
        assert left.granted == {"admin"}

    both(store_url, scene)
    assert kinds(store_url).count("user.disabled") == 1
    assert verified(store_url) == []


@pytest.mark.parametrize("one_batch", [False, True])
@pytest.mark.parametrize(
    ("does", "does_other"),
    [
        ("revoke the other", "revoke the other"),
        ("revoke the other", "disable the other"),
        ("disable the other", "revoke the other"),
        ("give up", "give up"),
        ("give up", "leave"),
        ("leave", "leave"),
    ],
)
def test_of_two_administrators_who_take_themselves_away_at_once_one_stays(
    store_url: str, *, does: str, does_other: str, one_batch: bool
) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        await people.add("joan", password=PASSWORD, by="root")
        await administrators(people, "ada", "grace")
        seen = Before(*await PostgresPeople(pool).people())

        async def act(what: str, recorder: PostgresRecorder, by: str, beside: str) -> None:
            whom = beside if "other" in what else by
            acting = People(seen, recorder, SOURCES)
            await (
                acting.disable(whom, by=by) if "dis" in what or "leave" in what else acting.revoke(whom, "admin", by=by)
            )

        told = await asyncio.gather(
            act(does, one, "ada", "grace"),
            act(does_other, one if one_batch else other, "grace", "ada"),
            return_exceptions=True,
        )
        (refused,) = [it for it in told if it is not None]
        assert isinstance(refused, ClashError | ForbiddenError)
        assert "last administrator" in str(refused) or "was disabled meanwhile" in str(refused)
        assert len(await left(pool)) == 1

    both(store_url, scene)
    assert verified(store_url) == []


def test_whoever_takes_whom_away_at_once_an_administrator_is_left(store_url: str) -> None:
    """Four administrators in two processes, each of whom takes somebody away, again and again, having looked before."""
    names = ("ada", "eve", "grace", "joan")

    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        chance = Random(7)  # noqa: S311  nothing is secret
        for turn in range(25):
            town = [f"{name}.{turn}" for name in names]
            people = People(PostgresPeople(pool), one, SOURCES)
            await administrators(people, *town)
            for gone in set(await left(pool)) - set(town):
                await people.disable(gone, by=town[0])

            async def act(by: str, town: list[str] = town) -> None:
                acting = People(PostgresPeople(pool), chance.choice((one, other)), SOURCES)
                whom = chance.choice(town)
                await (acting.disable(whom, by=by) if chance.random() < 0.5 else acting.revoke(whom, "admin", by=by))

            told = await asyncio.gather(*(act(by) for by in town * 2), return_exceptions=True)
            assert {type(it) for it in told} <= {type(None), ClashError, ForbiddenError, NotFoundError}, told
            assert await left(pool)

    both(store_url, scene)
    assert verified(store_url) == []


def test_who_was_disabled_meanwhile_changes_no_role(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        await people.add("joan", password=None, by="root")
        await administrators(people, "ada", "grace", "eve")
        await people.grant("joan", "analyst", by="ada")
        seen = Before(*await PostgresPeople(pool).people())
        await people.disable("eve", by="ada")
        late = People(seen, other, SOURCES)
        for act in (
            late.grant("joan", "analyst", by="eve"),
            late.revoke("joan", "analyst", by="eve"),
            late.revoke("ada", "admin", by="eve"),
        ):
            with pytest.raises(ForbiddenError, match="eve was disabled meanwhile"):
                await act
        assert await left(pool) == ["ada", "grace"]
        with pytest.raises(ClashError, match="meanwhile"):  # nor is anybody given one who was disabled meanwhile
            await late.grant("eve", "analyst", by="ada")

    both(store_url, scene)


@pytest.mark.parametrize("one_batch", [False, True])
def test_of_two_roles_that_do_not_go_together_and_are_given_at_once_one_is(store_url: str, *, one_batch: bool) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        await people.add("joan", password=None, by="root")
        seen = Before(*await PostgresPeople(pool).people())
        told = await asyncio.gather(
            People(seen, one, SOURCES).grant("joan", "model_developer", by="ada"),
            People(seen, one if one_batch else other, SOURCES).grant("joan", "validator", by="grace"),
            return_exceptions=True,
        )
        assert sorted(type(it).__name__ for it in told) == ["ClashError", "UserRoleRow"]
        joan = await PostgresPeople(pool).person("joan")
        assert joan is not None
        assert len(joan.roles) == 1

    both(store_url, scene)


@pytest.mark.parametrize("one_batch", [False, True])
def test_no_third_administrator_is_made_by_one_person_who_makes_two_at_once(store_url: str, *, one_batch: bool) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        for name in ("ada", "eve", "grace"):
            await people.add(name, password=None, by="ada")
        await people.grant("ada", "admin", by="ada")
        seen = Before(*await PostgresPeople(pool).people(), ever=1)
        told = await asyncio.gather(
            People(seen, one, SOURCES).grant("eve", "admin", by="ada"),
            People(seen, one if one_batch else other, SOURCES).grant("grace", "admin", by="ada"),
            return_exceptions=True,
        )
        assert sorted(type(it).__name__ for it in told) == ["ClashError", "UserRoleRow"]
        assert len(await left(pool)) == 2

    both(store_url, scene)


def test_the_only_administrator_stays_where_there_is_nobody_else(store_url: str) -> None:
    """Whoever was added after they left could not give themselves a role, nor add anybody."""

    async def scene(one: PostgresRecorder, _: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        await administrators(people, "ada")
        for act in (people.revoke("ada", "admin", by="ada"), people.disable("ada", by="ada")):
            with pytest.raises(ClashError, match="ada: is the last administrator"):
                await act
        assert await left(pool) == ["ada"]

    both(store_url, scene)


def test_the_last_administrator_goes_where_a_provider_says_who_administers(store_url: str) -> None:
    async def scene(one: PostgresRecorder, _: PostgresRecorder, pool: Pool) -> None:
        people = People(PostgresPeople(pool), one, SOURCES)
        await people.add("joan", password=None, by="root")
        await administrators(people, "ada", "grace")
        await people.revoke("grace", "admin", by="grace")
        for act in (people.revoke("ada", "admin", by="ada"), people.disable("ada", by="grace")):
            with pytest.raises(ClashError, match="ada: is the last administrator"):
                await act
        await people.disable("ada", by="an.admin.of.the.provider")
        await people.disable("joan", by="grace")  # who is no administrator goes, though there is none
        await people.disable("grace", by="grace")

    both(store_url, scene)
    assert verified(store_url) == []


def test_an_endpoint_that_was_ended_is_told_nothing_again(store_url: str) -> None:
    at = datetime.now(UTC)
    row = WebhookRow(
        *("ep_1", "bank", "https://bank.example/hooks", ("decision.made",), "disabled", b"s" * 32), None, None, at
    )

    async def scene(one: PostgresRecorder, other: PostgresRecorder, _: Pool) -> None:
        for recorder, state in ((one, "disabled"), (other, "active")):
            act = Act("webhook.changed", at, "person:ada", "ep_1", b"{}", bytes(16), (replace(row, state=state),))
            if state == "active":
                with pytest.raises(IntegrityError, match="what_was_taken_away_stays_so"):
                    await recorder.record(Submission((act,), lambda _: b""))
            else:
                await recorder.record(Submission((act,), lambda _: b""))

    both(store_url, scene)


@pytest.mark.parametrize("meanwhile", ["disabled", "rotated", "stopped"])
def test_an_endpoint_that_a_person_changed_while_its_receiver_said_that_it_is_gone_stays_as_they_left_it(
    store_url: str, meanwhile: str
) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        person = Webhooks(one, SOURCES, lambda _: None, by="ada")
        service, kept = Webhooks(other, SOURCES, lambda _: None), PostgresDeliveries(pool)
        seen, _ = await person.add("bank", "https://bank.example/hooks", event_types=("decision.made",))
        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "disabled": lambda: person.disable(seen),
            "rotated": lambda: person.rotate(seen, overlap=DAY),
            "stopped": lambda: Webhooks(one, SOURCES, lambda _: None).stop(seen),
        }
        await changes[meanwhile]()
        left = await kept.endpoint(seen.endpoint_id)
        await service.stop(seen)
        assert await kept.endpoint(seen.endpoint_id) == left

    both(store_url, scene)
    assert len(kinds(store_url)) == 2


def test_an_endpoint_that_was_stopped_comes_back_by_being_enabled_and_not_by_another_secret(store_url: str) -> None:
    async def scene(one: PostgresRecorder, other: PostgresRecorder, pool: Pool) -> None:
        person, service = Webhooks(one, SOURCES, lambda _: None, by="ada"), Webhooks(other, SOURCES, lambda _: None)
        seen, _ = await person.add("bank", "https://bank.example/hooks", event_types=("decision.made",))
        await service.stop(seen)
        with pytest.raises(IntegrityError, match="or may not"):
            await person.rotate(seen, overlap=DAY)
        stopped = await PostgresDeliveries(pool).endpoint(seen.endpoint_id)
        assert stopped is not None
        assert stopped.state == "gone"
        assert (await person.enable(stopped)).state == "active"

    both(store_url, scene)


def test_a_key_that_was_revoked_long_ago_is_refused_before_the_store_is_asked(store_url: str) -> None:
    async def scene(one: PostgresRecorder, _: PostgresRecorder, pool: Pool) -> None:
        seen = await revoke(await issued(one), by="ada", recorder=one, sources=SOURCES)
        with pytest.raises(ClashError, match="revoked before"):
            await rotate(seen, lasts=9 * DAY, overlap=DAY, by="eve", recorder=one, sources=SOURCES)

    both(store_url, scene)

"""Another client's rows are not there, whatever a question forgets to say: PostgreSQL itself leaves them out."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.lending import lending
from tests.stores import NOW, submission

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import NotFoundError, ObligorError
from obligor.serving.acts import Act, Caller, Submission
from obligor.serving.archive import Search
from obligor.serving.register import Register
from obligor.serving.rows import OutcomeRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MINE, THEIRS = uuid4(), uuid4()
TABLES = ("decision", "request", "outcome", "record", "override", "action", "review", "review_decision")


@pytest.fixture
def filled(store_url: str) -> str:
    """A decision, a reported outcome, an override and a review of each of two clients."""

    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            for decision_id, client in ((MINE, "bank"), (THEIRS, "broker")):
                await recorder.record(submission("k-1", client=client, decision_id=decision_id))
                row = OutcomeRow(uuid4(), decision_id, "good", date(2026, 11, 26))
                act = Act("outcome", NOW, f"client:{client}", str(row.report_id), b"{}", bytes(16), (row,))
                await recorder.record(Submission((act,), lambda _: b""))

    asyncio.run(run())
    with psycopg.connect(store_url) as connection:
        for statement in SAID:
            connection.execute(statement)
    return store_url


SAID = (
    """INSERT INTO obligor.override
        (decision_id, leaf_index, client_id, outcome, direction, reason, role, decided_at, by)
    SELECT decision_id, leaf_index, client_id, 'decline', 'none', 'outside', 'analyst', now(), 'ben' FROM obligor.decision""",
    """INSERT INTO obligor.action (decision_id, step, leaf_index, client_id, done_on, until, at, by)
    SELECT decision_id, 'offered', leaf_index, client_id, now(), now(), now(), 'ben' FROM obligor.decision""",
    """INSERT INTO obligor.review (review_id, decision_id, client_id, leaf_index, requested_at, due_at, pack)
    SELECT decision_id, decision_id, client_id, leaf_index, now(), now(), 'eu' FROM obligor.decision""",
    """INSERT INTO obligor.review_decision (review_id, leaf_index, verdict, outcome, decided_at, by)
    SELECT decision_id, leaf_index + 100, 'changed', 'refer', now(), 'ann' FROM obligor.decision""",
)


def asked(url: str, question: Callable[[PostgresArchive, Pool], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        pool = Pool(url)
        try:
            return await question(PostgresArchive(pool), pool)
        finally:
            await pool.close()

    return asyncio.run(run())


def test_a_client_finds_its_own_decision_and_not_anothers(filled: str) -> None:
    find = lambda decision_id: asked(filled, lambda it, _: it.decision(decision_id, client_id="bank"))  # noqa: E731
    assert find(MINE).client_id == "bank"
    assert find(THEIRS) is None
    assert asked(filled, lambda it, _: it.decision(THEIRS)).client_id == "broker"
    assert len(asked(filled, lambda it, _: it.outcomes(MINE, client_id="bank"))) == 1
    assert asked(filled, lambda it, _: it.outcomes(THEIRS, client_id="bank")) == ()
    assert len(asked(filled, lambda it, _: it.search(Search(client_id="bank")))) == 1
    assert len(asked(filled, lambda it, _: it.search(Search()))) == 2
    assert len(asked(filled, lambda it, _: it.search(Search(client_id="bank", stands="refer")))) == 1
    assert len(asked(filled, lambda it, _: it.search(Search(stands="refer")))) == 2
    assert asked(filled, lambda it, _: it.search(Search(client_id="bank", stands="decline"))) == ()


@pytest.mark.parametrize("table", TABLES)
def test_a_question_without_a_condition_gets_only_the_clients_rows(filled: str, table: str) -> None:
    everything = f"SELECT count(*) AS rows FROM obligor.{table}"
    count = lambda client: asked(filled, lambda _, pool: pool.rows_of(client, everything))[0]["rows"]  # noqa: E731
    assert (count("bank"), count("broker"), count("nobody"), count("")) == (1, 1, 0, 0)
    assert count(None) == (2 if table != "record" else 4)


def test_a_plan_that_was_made_for_one_is_not_used_for_another(filled: str) -> None:
    """The same question on one connection, so often that PostgreSQL keeps its plan."""

    async def question(archive: PostgresArchive, _: Pool) -> list[bool]:
        return [
            await archive.decision(THEIRS, client_id=client) is not None
            for _ in range(12)
            for client in ("bank", "broker", None)
        ]

    assert asked(filled, question) == [False, True, True] * 12


@pytest.mark.parametrize("sly", ["bank' OR '1'='1", "bank', true); RESET ROLE; --", "%", "bank\\"])
def test_a_client_with_a_sly_name_sees_nothing(filled: str, sly: str) -> None:
    assert asked(filled, lambda _, pool: pool.rows_of(sly, "SELECT * FROM obligor.decision")) == []


def test_the_next_question_on_the_same_connection_is_nobodys_again(filled: str) -> None:
    async def question(_: PostgresArchive, pool: Pool) -> list[str]:
        who = "SELECT current_user::text AS name, current_setting('obligor.client', true) AS client"
        (inside,) = await pool.rows_of("bank", who)
        (after,) = await pool.rows(who)
        assert (inside["name"], inside["client"]) == ("obligor_reader", "bank")
        assert not after["client"]
        return [inside["name"], after["name"]]

    inside, after = asked(filled, question)
    assert inside != after


def test_a_question_that_fails_leaves_no_connection_in_a_clients_name(filled: str) -> None:
    async def question(_: PostgresArchive, pool: Pool) -> str:
        with pytest.raises(ObligorError):
            await pool.rows_of("bank", "SELECT 1 / 0")
        return str((await pool.rows("SELECT current_user::text AS name"))[0]["name"])

    assert asked(filled, question) != "obligor_reader"


def test_the_reader_changes_nothing_and_sees_no_key_and_nobodys_password(filled: str) -> None:
    for statement in (
        "DELETE FROM obligor.decision",
        "UPDATE obligor.decision SET client_id = 'bank'",
        "SELECT * FROM obligor.api_key",
        "SELECT * FROM obligor.app_user",
        "SELECT * FROM obligor.user_role",
        "CREATE TABLE obligor.mine (x int)",
    ):
        with psycopg.connect(filled) as connection:
            connection.execute("SET ROLE obligor_reader")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def test_the_reader_without_a_client_sees_no_row_and_the_auditor_every_one(filled: str) -> None:
    for role, wanted in (("obligor_reader", 0), ("obligor_auditor", 2)):
        with psycopg.connect(filled) as connection:
            connection.execute(f"SET ROLE {role}")
            assert connection.execute("SELECT count(*) FROM obligor.decision").fetchone() == (wanted,)


def test_with_the_check_of_the_service_taken_out_the_database_still_refuses(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The use case without its own comparison: only the client that it names to the database is left."""

    async def unchecked(self: Any, caller: Caller, decision_id: UUID, **_: object) -> Any:
        stored = await self._archive.decision(decision_id, client_id=caller.client_id)
        if stored is None:
            raise NotFoundError("there is no such decision")
        return stored

    monkeypatch.setattr(Register, "found", unchecked)

    async def run() -> None:
        async with lending(store_url) as lender:
            (answer,) = await lender.decide(1, client="broker")
            theirs = Caller("broker", "k", frozenset({"read"}), NOW)
            mine = Caller("bank", "k", frozenset({"read"}), NOW)
            decision_id = UUID(answer["decision_id"])
            assert (await lender.register.decision(theirs, decision_id))["decision_id"] == answer["decision_id"]
            with pytest.raises(NotFoundError):
                await lender.register.decision(mine, decision_id)

    asyncio.run(run())

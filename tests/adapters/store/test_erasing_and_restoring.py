"""What was erased stays so: twice, under a hold, in the middle of a review, and after an old backup was restored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from tests.adapters.store.test_privacy import CANARY, House, at_work, everything, verified
from tests.lending import caller

from obligor.core.errors import ErasedError, SealError

_KEYS = ("keyring", "subject_key")


def _decided_and_erased(url: str, *, backup: dict[str, list[Any]] | None = None) -> tuple[UUID, bytes]:
    """Decide on a person, keep a backup of their keys if asked to, and erase them."""
    told: list[Any] = []

    async def work(house: House) -> None:
        answer = await house.decide()
        subject = await house.subject(answer["decision_id"])
        if backup is not None:
            backup.update(_saved(url))
        await house.erase(subject)
        told.extend((UUID(answer["decision_id"]), subject))

    at_work(url, work)
    return told[0], told[1]


def _saved(url: str) -> dict[str, list[Any]]:
    with psycopg.connect(url) as connection:
        return {
            table: connection.execute(sql.SQL("SELECT * FROM obligor.{}").format(sql.Identifier(table))).fetchall()
            for table in _KEYS
        }


def _restore(url: str, table: str, rows: list[Any]) -> None:
    name = sql.Identifier(table)
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("DELETE FROM obligor.{}").format(name))
        for row in rows:
            values = sql.SQL(", ").join(sql.Placeholder() * len(row))
            connection.execute(sql.SQL("INSERT INTO obligor.{} VALUES ({})").format(name, values), row)


def test_a_backup_without_the_keys_restores_what_nobody_reads_and_the_log_verifies(store_url: str) -> None:
    decision, _ = _decided_and_erased(store_url)
    _restore(store_url, "subject_key", _saved(store_url)["subject_key"])  # of the keys' own backup, which is of today

    async def work(house: House) -> None:
        with pytest.raises(ErasedError):
            await house.register.explanation(caller("bank"), decision)

    at_work(store_url, work)
    assert CANARY.encode() not in everything(store_url)
    assert verified(store_url) == []


def test_a_backup_without_any_key_restores_what_is_refused_and_named(store_url: str) -> None:
    decision, _ = _decided_and_erased(store_url)
    _restore(store_url, "subject_key", [])

    async def work(house: House) -> None:
        with pytest.raises(SealError, match="is gone, and nobody destroyed it"):
            await house.register.explanation(caller("bank"), decision)

    at_work(store_url, work)
    assert ["no key, nor a trace of one" in it for it in verified(store_url)] == [True]


def test_a_key_that_comes_back_with_an_old_backup_is_named_until_the_erasure_is_done_again(store_url: str) -> None:
    backup: dict[str, list[Any]] = {}
    _, subject = _decided_and_erased(store_url, backup=backup)
    _restore(store_url, "subject_key", backup["subject_key"])
    with psycopg.connect(store_url) as connection:  # the acts of this test are seconds apart
        connection.execute("UPDATE obligor.subject_key SET created_at = created_at - interval '1 hour'")
    assert ["were erased are there again" in it for it in verified(store_url)] == [True]

    async def again(house: House) -> None:
        assert (await house.erase(subject))["keys_destroyed"] == 1

    at_work(store_url, again)
    assert verified(store_url) == []
    assert CANARY.encode() not in everything(store_url)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE obligor.erasure SET at = at - interval '1 day'", "its at is not what"),
        ("DELETE FROM obligor.erasure", "its row is gone"),
        ("INSERT INTO obligor.erasure VALUES ('\\x00', now())", "no act of the log made it"),
        ("UPDATE obligor.legal_hold SET released_at = now()", "its released_at is not what"),
        ("UPDATE obligor.legal_hold SET because = 'another'", "its because is not what"),
        ("DELETE FROM obligor.legal_hold", "its row is gone"),
        (
            "UPDATE obligor.subject_key SET version = NULL, wrapped = NULL, destroyed_at = now() WHERE wrapped IS NOT NULL",
            "destroyed without an erasure",
        ),
    ],
)
def test_who_changes_an_erasure_or_a_hold_past_the_service_is_found_out(store_url: str, change: str, told: str) -> None:
    async def work(house: House) -> None:
        erased, held = await house.decide(), await house.decide("Bob", key="k2")
        await house.erase(await house.subject(erased["decision_id"]))
        await house.office.hold(await house.subject(held["decision_id"]), because="case 7")

    at_work(store_url, work)
    assert verified(store_url) == []
    with psycopg.connect(store_url) as connection:
        connection.execute(change.encode())
    assert any(told in it for it in verified(store_url))


def test_a_hold_that_was_placed_and_released_stands_as_the_log_says(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        await house.office.hold(subject, because="case 7")
        await house.office.release(await house.office.standing(subject))
        await house.office.hold(subject, because="case 8")
        await house.office.release(await house.office.standing(subject))
        await house.erase(subject)

    at_work(store_url, work)
    assert verified(store_url) == []


_MOVED = {
    "a subject told for another": """UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'),
        convert_from(body, 'UTF8')::jsonb ->> 'subject',
        (SELECT convert_from(body, 'UTF8')::jsonb ->> 'subject' FROM obligor.record WHERE leaf_index = 2)), 'UTF8')
        WHERE leaf_index = 1""",
    "a key told for another": """UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'),
        convert_from(body, 'UTF8')::jsonb ->> 'key_id',
        (SELECT convert_from(body, 'UTF8')::jsonb ->> 'key_id' FROM obligor.record WHERE leaf_index = 2)), 'UTF8')
        WHERE leaf_index = 1""",
    "a decision's seal on a review": """UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'),
        'obligor/decision/2', 'obligor/review/2'), 'UTF8') WHERE leaf_index = 1""",
    "a text cut off": """UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'),
        convert_from(body, 'UTF8')::jsonb ->> 'sealed', 'AQID'), 'UTF8') WHERE leaf_index = 1""",
}


@pytest.mark.parametrize("moved", _MOVED)
def test_what_was_moved_to_another_subject_key_or_column_is_refused_and_is_a_leaf(store_url: str, moved: str) -> None:
    async def work(house: House) -> None:
        answer, _ = await house.decide(), await house.decide("Bob", key="k2")
        with psycopg.connect(store_url) as connection:
            connection.execute("ALTER TABLE obligor.record DISABLE TRIGGER append_only")
            connection.execute(_MOVED[moved].encode())
        with pytest.raises(SealError) as refused:
            await house.register.explanation(caller("bank"), UUID(answer["decision_id"]))
        assert CANARY not in str(refused.value)

    at_work(store_url, work)
    with psycopg.connect(store_url) as connection:
        assert connection.execute("SELECT count(*) FROM obligor.leaf WHERE kind = 'seal.broken'").fetchone() == (1,)

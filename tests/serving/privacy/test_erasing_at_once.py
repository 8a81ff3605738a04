"""Erasing a person while others decide on them, override, hold them or look at them, each on a connection of its own."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.adapters.store.test_privacy import everything, verified
from tests.lending import KEY
from tests.serving.overrides.desk import APPLICATIONS, CANARY, REFERRED, at_desk, desk, release_with

from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.core.errors import ClashError, ErasedError, GateError
from obligor.serving.privacy.erasing import Office

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from tests.serving.overrides.desk import Desk

    from obligor.serving.acts import Recorded, Recorder, Submission
    from obligor.serving.rows import OverrideRow


@dataclass
class Late:
    """Records once something else was done."""

    recorder: Recorder
    before: Callable[[], Awaitable[Any]]
    came: bool = False

    async def record(self, submission: Submission) -> Recorded:
        if not self.came:
            self.came = True
            await self.before()
        return await self.recorder.record(submission)


def office(it: Desk, *, retain_days: int = 0) -> Office:
    return Office(PostgresPrivacy(it.pool), it.lender.recorder, it.lender.sources, "pia", retain_days)


async def subject(it: Desk, decision: UUID) -> bytes:
    stored = await it.lender.archive.decision(decision)
    assert stored is not None
    return bytes.fromhex(json.loads(stored.record)["subject"])


async def again(it: Desk, key: str) -> None:
    """Decide once more on the person who was referred."""
    await it.lender.decide_one(APPLICATIONS[REFERRED], client="bank", key=key)


@pytest.mark.parametrize("meanwhile", ["decided", "overridden"])
def test_who_is_decided_on_in_the_moment_in_which_they_are_erased_is_not(store_url: str, meanwhile: str) -> None:
    """A decision, or an override, that must be kept is not lost, and the certificate counts all that was erased."""

    async def work(it: Desk) -> None:
        decision = await it.decided()
        who = await subject(it, decision)
        acts: dict[str, Callable[[], Awaitable[Any]]] = {
            "decided": lambda: again(it, "k-2"),
            "overridden": lambda: it.override(decision),
        }
        late = replace(office(it), recorder=Late(it.lender.recorder, acts[meanwhile]))
        with pytest.raises(ClashError, match="something was decided on them in this moment; nothing was erased"):
            await late.erase(who, key=KEY)
        assert (await office(it).standing(who)).keys == 1
        assert (await late.erase(who, key=KEY))["decisions"] == (2 if meanwhile == "decided" else 1)

    at_desk(store_url, work)
    assert verified(store_url) == []
    assert CANARY.encode() not in everything(store_url)


@dataclass
class Hearing:
    """Finds overrides once something else was done."""

    overrides: Any
    before: Callable[[], Awaitable[Any]]

    async def override_of(self, decision: UUID) -> OverrideRow | None:
        await self.before()
        row: OverrideRow | None = await self.overrides.override_of(decision)
        return row


def test_a_decision_is_not_overridden_whose_person_is_erased_while_it_is_read(store_url: str) -> None:
    """Else what was written of them would be sealed by a new key, and outlive the certificate."""

    async def work(it: Desk) -> None:
        decision = await it.decided()
        who = await subject(it, decision)

        async def erased() -> None:
            await office(it).erase(who, key=KEY)
            assert it.lender.service.sealer is not None
            it.lender.service.sealer.forget(who)

        it.service = it.served(overrides=Hearing(it.overrides, erased))
        with pytest.raises(ErasedError):
            await it.override(decision)
        assert await it.overrides.override_of(decision) is None
        assert (await office(it).standing(who)).keys == 0

    at_desk(store_url, work)
    assert verified(store_url) == []


def test_whatever_is_done_at_once_with_an_erasure_the_log_verifies_and_the_certificate_is_true(store_url: str) -> None:
    """Two processes: one erases, the other decides, overrides, holds, is asked for a review; in any order."""
    chance, told = Random(3), []  # noqa: S311  nothing is secret

    async def work() -> None:
        async with desk(store_url) as one, desk(store_url, release_with()) as other:
            for turn in range(10):
                decision = await one.decided(REFERRED, client=f"bank{turn}")
                who = await subject(one, decision)
                held = replace(office(other), by="hal")

                async def decide(turn: int = turn) -> None:
                    await other.lender.decide_one(APPLICATIONS[REFERRED], client="other", key=f"again-{turn}")

                acts = [
                    office(one).erase(who, key=KEY),
                    decide(),
                    other.override(decision, key=f"o-{turn}"),
                    held.hold(who, because=f"case {turn}") if turn % 2 else decide(-1 - turn),
                ]
                chance.shuffle(acts)
                done = await asyncio.gather(*acts, return_exceptions=True)
                assert {type(it) for it in done if isinstance(it, BaseException)} <= {
                    ClashError,
                    GateError,
                    ErasedError,
                }, done
                told.extend(it for it in done if isinstance(it, dict) and "keys_destroyed" in it)
                standing = await held.standing(who)
                if standing.held_because is not None:
                    await held.release(standing)

    asyncio.run(work())
    assert verified(store_url) == []
    assert CANARY.encode() not in everything(store_url)
    with psycopg.connect(store_url) as connection:
        erased = connection.execute(
            """SELECT convert_from(record.body, 'UTF8')::json ->> 'decisions', (
                SELECT count(*) FROM obligor.decision
                WHERE encode(decision.subject, 'hex') = convert_from(record.body, 'UTF8')::json ->> 'subject'
                    AND decision.leaf_index < leaf.index)
            FROM obligor.leaf JOIN obligor.record ON leaf_index = index WHERE kind = 'erased'"""
        ).fetchall()
    assert all(int(said) == found for said, found in erased)

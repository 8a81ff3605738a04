"""Applications that belong together are linked behind the decisions, once, and not for ever: F22."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from tests.keyrings import stored_keyring
from tests.lending import KEY, Clock, Lender, caller, lending
from tests.serving import golden_decisions as golden
from tests.serving.gated import good_application, profile_of

from obligor.adapters.store.links import PostgresLinks
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.adapters.store.screening import PostgresScreening
from obligor.bootstrap.gates import opened_records
from obligor.core.columns import Column
from obligor.core.errors import InvalidInputError, NotFoundError, UnavailableError
from obligor.serving import linking
from obligor.serving.gates.kyc import OF_APPLICANT
from obligor.serving.linking import Linking
from obligor.serving.privacy.erasing import Office
from obligor.serving.privacy.sealed import Sealer
from obligor.serving.releases.release import compile_release
from obligor.serving.sources import live_sources
from obligor.serving.telemetry.journal import NoJournal
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import read_person_daily

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from obligor.serving.releases.release import Release
    from obligor.serving.telemetry.journal import Level

_KEYS = count()
PERSON = {"applicant_name": "Ada Byron", "applicant_birth_date": "1980-12-10", "applicant_id_number": "078-05-1120"}


def release_of() -> Release:
    """A release whose applications name the person and, beside them, the loan; who applies is told, too."""
    card = golden.whole_card()
    columns = dict(card.applications.columns)
    columns["customer"] = columns["customer"].model_copy(update={"unique": False, "required": True})
    columns["loan"] = Column(type="text", role=("identifier",), unique=True)
    card = card.model_copy(update={"applications": card.applications.model_copy(update={"columns": columns})})
    return compile_release(1, card=card, policy=golden.policy_of(card), profile=profile_of(kyc="monitor"))


@dataclass
class Counts(NoMeter):
    """Counts links, by why."""

    found: dict[str, int] = field(default_factory=dict)

    def linked(self, why: str, count: int) -> None:
        self.found[why] = self.found.get(why, 0) + count


@dataclass
class Lines(NoJournal):
    """Keeps what is told, and how many links it names."""

    lines: list[tuple[str, Any]] = field(default_factory=list)

    def tell(self, event: str, *, level: Level = "info", **said: object) -> None:
        self.lines.append((event, said["links"]))


@dataclass
class House:
    """A lender, and what links its decisions."""

    lender: Lender
    linking: Linking
    office: Office
    meter: Counts
    journal: Lines
    clock: Clock
    pool: Pool

    async def decide(self, client: str = "bank", **changes: Any) -> str:
        application = good_application() | {"customer": "ada", "loan": "L-1"} | changes
        answer = await self.lender.decide_one(application, client=client, key=f"k-{next(_KEYS)}")
        decision_id: str = answer["decision_id"]
        return decision_id

    async def links(self, decision_id: str, client: str = "bank") -> list[tuple[str, str, str]]:
        """Follow the log to its end, and give what a decision is linked to: which one, why, and whether it was earlier."""
        while await self.linking.step():
            pass
        told = await self.lender.register.links(caller(client), UUID(decision_id))
        assert told["compared"]
        return [(it["decision_id"], it["why"], it["is"]) for it in told["links"]]


@asynccontextmanager
async def open_house(url: str, clock: Clock | None = None) -> AsyncIterator[House]:
    clock, pool, meter, journal = clock or Clock(), Pool(url), Counts(), Lines()
    try:
        async with lending(url, clock=clock, made=release_of()) as lender:
            sealer = Sealer(stored_keyring(url), lender.archive, live_sources())
            linking = Linking(
                PostgresLinks(pool),
                decisions=partial(PostgresScreening(pool, url).decisions_from, before=None, limit=3),
                open_records=partial(opened_records, sealer),
                now=lender.sources.now,
                meter=meter,
                journal=journal,
                columns=OF_APPLICANT,
                person_daily=2,
                key=KEY.derived("links"),
            )
            office = Office(PostgresPrivacy(pool), lender.recorder, lender.sources, "ada", 0)
            yield House(lender, linking, office, meter, journal, clock, pool)
    finally:
        await pool.close()


def housed(url: str, work: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        async with open_house(url) as house:
            await work(house)

    asyncio.run(run())


def test_an_application_that_comes_again_is_linked_as_the_same_or_as_contradicting(store_url: str) -> None:
    async def works(house: House) -> None:
        first = await house.decide()
        assert not (await house.lender.register.links(caller("bank"), UUID(first)))["compared"]
        again, other = await house.decide(), await house.decide(income=1999)
        assert await house.links(first) == [(again, "repeated", "later")]
        assert await house.links(again) == [(other, "contradicting", "later"), (first, "repeated", "earlier")]
        assert await house.links(other) == [(again, "contradicting", "earlier")]
        last = await house.decide()
        assert await house.links(last) == [(other, "contradicting", "earlier"), (again, "repeated", "earlier")]
        assert house.meter.found == {"repeated": 2, "contradicting": 2}
        assert house.journal.lines == [("linked", 2), ("linked", 2)]  # one of each batch that found any
        assert not await house.linking.step()

    housed(store_url, works)


def test_how_far_behind_the_decisions_linking_is_can_be_read_also_while_it_fails(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise UnavailableError("the key service is down")

    async def works(house: House) -> None:
        assert house.linking.behind_seconds() == 0
        for _ in range(4):
            await house.decide()
        house.clock.now += timedelta(hours=1)
        with monkeypatch.context() as broken:
            broken.setattr(house.linking, "open_records", fails)
            with pytest.raises(UnavailableError):
                await house.linking.step()
        assert 3600 < house.linking.behind_seconds() < 3660
        house.clock.now += timedelta(hours=1)
        assert 7200 < house.linking.behind_seconds() < 7260
        while await house.linking.step():
            pass
        assert house.linking.behind_seconds() == 0

    housed(store_url, works)


def test_a_request_that_is_sent_again_under_its_key_is_no_other_application(store_url: str) -> None:
    async def works(house: House) -> None:
        given = good_application() | {"customer": "ada", "loan": "L-1"}
        answers = [await house.lender.decide_one(given, client="bank", key="same") for _ in range(2)]
        assert answers[0] == answers[1]
        assert await house.links(answers[0]["decision_id"]) == []

    housed(store_url, works)


def test_applications_of_two_clients_are_never_linked_nor_told_of(store_url: str) -> None:
    async def works(house: House) -> None:
        mine, theirs = await house.decide(), await house.decide("broker", income=1999)
        assert await house.links(mine) == []
        assert await house.links(theirs, "broker") == []
        with pytest.raises(NotFoundError):
            await house.links(theirs, "bank")

    housed(store_url, works)


def test_the_third_application_of_a_person_within_a_day_is_linked_for_it(store_url: str) -> None:
    async def works(house: House) -> None:
        await house.decide(loan="L-1")
        house.clock.now += timedelta(hours=25)
        await house.decide(loan="L-2")
        second = await house.decide(loan="L-3")
        assert await house.links(second) == []
        third = await house.decide(loan="L-4")
        other = await house.decide(loan="L-5", customer="grace")
        assert await house.links(third) == [(second, "velocity", "earlier")]
        assert await house.links(other) == []

    housed(store_url, works)


def test_a_number_under_another_name_and_a_name_under_another_number_are_linked(store_url: str) -> None:
    async def works(house: House) -> None:
        first = await house.decide(loan="L-1", **PERSON)
        same = {"applicant_name": "ADA  BYRON", "applicant_id_number": "078051120"}
        alike = await house.decide(loan="L-2", customer="b", **PERSON | same)
        swapped = await house.decide(loan="L-3", customer="c", **PERSON | {"applicant_name": "Grace Murray"})
        numbered = await house.decide(loan="L-4", customer="d", **PERSON | {"applicant_id_number": "219-09-9999"})
        born = await house.decide(loan="L-5", customer="e", **PERSON | {"applicant_birth_date": "1981-12-10"})
        assert await house.links(swapped) == [(born, "other_person", "later"), (alike, "other_person", "earlier")]
        assert await house.links(numbered) == [(alike, "other_number", "earlier")]
        assert await house.links(born) == [(swapped, "other_person", "earlier")]
        assert await house.links(first) == []

    housed(store_url, works)


def test_of_two_processes_at_once_one_links(store_url: str) -> None:
    async def works(house: House) -> None:
        for _ in range(4):
            await house.decide()
        async with open_house(store_url, house.clock) as beside:
            while any(await asyncio.gather(house.linking.step(), beside.linking.step())):
                pass
            assert house.meter.found.get("repeated", 0) + beside.meter.found.get("repeated", 0) == 3
        with psycopg.connect(store_url) as connection:
            assert connection.execute("SELECT count(*) FROM obligor.link").fetchone() == (3,)

    housed(store_url, works)


def test_whoever_is_erased_leaves_no_mark_and_no_link_and_gets_none_after(store_url: str) -> None:
    """Erased before they are followed, after, and while they are."""

    async def works(house: House) -> None:
        def kept() -> tuple[Any, ...] | None:
            with psycopg.connect(store_url) as connection:
                return connection.execute(
                    "SELECT (SELECT count(*) FROM obligor.link), (SELECT count(*) FROM obligor.link_mark)"
                ).fetchone()

        sealer = Sealer(stored_keyring(store_url), house.lender.archive, live_sources())
        ada = sealer.keyring.subject("person", "ada")
        first, _ = await house.decide(**PERSON), await house.decide(**PERSON)
        await house.decide(loan="L-2", customer="grace", **PERSON | {"applicant_name": "Grace Murray"})
        assert [why for _, why, _ in await house.links(first)] == ["repeated"]
        assert kept() == (2, 12)
        await house.office.erase(ada, key=KEY)
        assert kept() == (0, 4)
        assert await house.links(first) == []
        await house.decide(loan="L-3", customer="joan")
        stored = await house.linking.decisions(await house.linking.store.followed())
        opened = await house.linking.open_records(stored)
        await house.office.erase(sealer.keyring.subject("person", "joan"), key=KEY)
        late = replace(house.linking, open_records=lambda _: asyncio.sleep(0, opened))
        assert await late.step()  # which read them before they were erased
        assert kept() == (0, 4)

    housed(store_url, works)


def test_what_is_kept_tells_no_value(store_url: str) -> None:
    async def works(house: House) -> None:
        first = await house.decide(**PERSON)
        await house.decide(**PERSON, income=1999)
        assert len(await house.links(first)) == 1
        with psycopg.connect(store_url) as connection:
            rows = connection.execute("SELECT mark, beside FROM obligor.link_mark").fetchall()
        assert len(rows) == 8
        for value in ("ada", "L-1", *PERSON.values()):
            assert all(value.encode() not in cell for row in rows for cell in row)

    housed(store_url, works)


def test_a_service_that_others_wait_for_spends_less_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise asyncio.CancelledError

    busy = iter((False, True))

    async def step(_: Linking) -> bool:
        return True

    monkeypatch.setattr(linking.asyncio, "sleep", sleep)
    monkeypatch.setattr(linking, "perf_counter", iter((0.0, 1.0, 1.0, 2.0)).__next__)
    monkeypatch.setattr(Linking, "step", step)
    of = Linking(*[None] * 8, key=b"", busy=lambda: next(busy))  # type: ignore[arg-type]  # nothing of it is asked
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(of.run())
    assert waits == [pytest.approx(4.0), pytest.approx(199.0)]


def test_more_of_one_person_than_are_looked_at_cannot_be_asked_for() -> None:
    assert read_person_daily({"OBLIGOR_LINK_PERSON_DAILY": "50"}) == 50
    with pytest.raises(InvalidInputError, match="wanted at most 50"):
        read_person_daily({"OBLIGOR_LINK_PERSON_DAILY": "51"})

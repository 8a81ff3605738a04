"""Lists in a real store, and whom a new list finds among those who applied before."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import count
from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec
import psycopg
import pytest
from tests.keyrings import stored_keyring
from tests.lending import KEY, Clock, Lender, lending
from tests.screening.lists import PUBLISHED, SNAPSHOT
from tests.serving.gated import good_application, release_of

from obligor.adapters.store.log_source import open_log
from obligor.adapters.store.migrating import downgrade, upgrade
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.privacy import PostgresPrivacy
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.adapters.store.screening import PostgresScreening
from obligor.bootstrap.gates import Screening, ScreeningOfKind, opened_records
from obligor.core.errors import ClashError, ForbiddenError, GateError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.governance.audit.verifying import verify_log
from obligor.progress import Silence
from obligor.screening.lists import Entry, ListedName, ListSnapshot, parse_list
from obligor.screening.screener import Screener
from obligor.security.signing import Verifier
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.gates.aml import AmlColumns, AmlGate, Clearances, Subjects
from obligor.serving.privacy.erasing import Office as PrivacyOffice
from obligor.serving.privacy.erasing import Standing, order_to_release
from obligor.serving.privacy.sealed import Sealer
from obligor.serving.rows import RETAINED
from obligor.serving.screening import rescreening
from obligor.serving.screening.alert_steps import Clearance, Confirmation
from obligor.serving.screening.desk import AlertDesk
from obligor.serving.screening.lists import ListInForce, load_list
from obligor.serving.screening.reports import Report, YearlyReport, YearlyReports
from obligor.serving.screening.rescreening import Rescreening

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from obligor.serving.privacy.erasing import Subjects as PrivacySubjects
    from obligor.serving.screening.alert_steps import StoredAlert

JANE: Final = Entry("2001", "individual", (ListedName("EXAMPLE, Jane Alba", "main"),), programmes=("INVENTED-9",))
NEXT: Final = replace(SNAPSHOT, published=PUBLISHED + timedelta(days=1), entries=(*SNAPSHOT.entries, JANE))
CHANGED: Final = replace(
    NEXT,
    published=PUBLISHED + timedelta(days=2),
    entries=(*SNAPSHOT.entries, replace(JANE, programmes=("INVENTED-8",))),
)
COLUMNS: Final = AmlColumns()
KEYS: Final = count()


@dataclass
class Office:
    """A lender that screens."""

    url: str
    lender: Lender
    store: PostgresScreening
    lists: ListInForce
    clearances: Clearances
    again: Rescreening
    desk: AlertDesk

    async def load(self, snapshot: ListSnapshot, *, by: str = "ada", older: bool = False) -> None:
        await load_list(
            snapshot,
            by=by,
            older=older,
            lists=self.store,
            recorder=self.lender.recorder,
            sources=self.lender.sources,
        )
        await self.lists.look()

    async def apply(self, name: str | None, at: int = 0, **more: object) -> dict[str, Any]:
        application = good_application() | {"customer": f"c-{name}-{at}"}
        application |= {} if name is None else {"applicant_name": name}
        return await self.lender.decide_one(application | more, client="bank", key=f"k{next(KEYS)}")

    async def screen(self) -> int:
        """Screen until nothing is left; give the steps that it took."""
        steps = 0
        while await self.again.step():
            steps += 1
        return steps

    async def waiting(self) -> list[tuple[str, str, str]]:
        return [(it["decision_id"], it["entry"], it["state"]) for it in await self.desk.waiting()]

    async def clear(self, *, by: str, days: int = 30) -> str:
        (alert, *_) = await self.desk.waiting()
        done = await self.desk.record(UUID(alert["alert_id"]), Clearance("another birth place", days), by=by)
        await self.look()
        return str(msgspec.json.decode(done.response)["state"])

    async def confirm(self, *, by: str = "ada") -> str:
        (alert, *_) = await self.desk.waiting()
        await self.desk.record(UUID(alert["alert_id"]), Confirmation("the same passport"), by=by)
        await self.look()
        return str(alert["alert_id"])

    async def look(self) -> None:
        """Take up what was cleared and confirmed, as a service that is told does."""
        self.clearances.confirmed = await self.store.confirmed()
        self.clearances.until = await self.store.cleared(at=self.lender.sources.now())

    def kinds(self) -> list[str]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("SELECT kind FROM obligor.leaf WHERE kind LIKE 'alert.%' ORDER BY index")
            return [row[0] for row in rows]

    def findings(self) -> list[str]:
        with open_log(self.url) as source:
            verdict = verify_log(source, signatures=Verifier(KEY.verifier), progress=Silence())
        return [it.message for it in verdict.findings]


@asynccontextmanager
async def office(
    url: str, *, aml: str = "enforce", clock: Clock | None = None, columns: AmlColumns = COLUMNS
) -> AsyncIterator[Office]:
    pool, clearances, subjects = Pool(url), Clearances(), Subjects.of(KEY)
    store = PostgresScreening(pool, url)

    async def prepared(sha256: str) -> Screener:
        body = b"".join([it async for it in store.pieces(sha256)])
        if not body:
            raise IntegrityError("the list is no longer kept")
        return Screener.of(parse_list(body))

    lists = ListInForce(store, prepared)
    release = release_of(aml=aml)
    gate = AmlGate(
        lists, subjects=subjects, clearances=clearances, columns=columns, application_id=release.application_id
    )
    try:
        async with lending(url, made=release, gates={"aml": gate}, clock=clock) as lender:
            sealer = Sealer(stored_keyring(url), lender.archive, lender.sources)
            again = Rescreening(
                lists,
                store,
                lender.recorder,
                lender.sources,
                gate,
                subjects,
                columns,
                partial(opened_records, sealer),
                lambda: aml != "off",
            )
            desk = AlertDesk(store, lender.archive, lender.recorder, lender.sources)
            await lists.look()
            made = Office(url, lender, store, lists, clearances, again, desk)
            await made.look()
            yield made
    finally:
        gate.close()
        await pool.close()


def test_a_customer_whom_a_new_list_adds_gets_one_alert_and_the_decision_stays(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(SNAPSHOT)
            jane = await of.apply("Jane Alba Example", 1)
            bo, nobody = await of.apply("Bo Nguyen", 2), await of.apply(None, 3)
            assert (jane["outcome"], bo["outcome"]) == ("approve", "approve")
            assert (nobody["outcome"], nobody["because"]) == ("hold", "gate:review")
            await of.screen()
            assert await of.waiting() == []
            await of.load(NEXT)
            await of.screen()
            assert await of.waiting() == [(jane["decision_id"], "2001", "open")]
            await of.screen()
            assert len(await of.waiting()) == 1
            progress = await of.store.progress(NEXT.sha256)
            assert (progress.screened, progress.opened, progress.not_comparable) == (2, 1, 1)
            assert await of.store.left(progress) == 0
            stored = await of.lender.archive.decision(UUID(jane["decision_id"]))
            assert stored is not None
            assert json.loads(stored.record)["gates"]["aml"]["result"] == "pass"
            assert of.findings() == []

    asyncio.run(main())


def list_left_seconds(of: Office) -> float:
    """Tell it as a service with this one kind of list does."""
    kinds: Any = {"sanctions": ScreeningOfKind(of.again.gate, of.lists, of.again)}
    store: Any = SimpleNamespace(sources=of.lender.sources)
    return Screening(kinds, of.clearances, of.desk, store, failed=lambda *_: None).list_left_seconds()


@pytest.mark.parametrize("aml", ["enforce", "monitor", "off"])
def test_for_how_long_the_list_serves_is_told_from_no_list_to_one_that_is_too_old(store_url: str, aml: str) -> None:
    async def main() -> None:
        clock = Clock(datetime.combine(PUBLISHED + timedelta(days=9), time(12), tzinfo=UTC))
        async with office(store_url, aml=aml, clock=clock) as of:
            told = [list_left_seconds(of)]
            await of.load(SNAPSHOT)
            told.append(list_left_seconds(of))
            clock.now += timedelta(days=2)
            told.append(list_left_seconds(of))
            outcome = (await of.apply(None if aml == "off" else "Jane Example", 1))["outcome"]
        if aml == "off":
            assert told == [inf] * 3
        else:
            assert (told[0], told[2]) == (0, 0)
            assert 1.49 * 86400 < told[1] < 1.5 * 86400
        assert outcome == ("hold" if aml == "enforce" else "approve"), "the same clock holds, or does not"

    asyncio.run(main())


def test_an_applicant_who_is_on_the_list_is_referred_and_gets_an_alert_that_is_apart_from_the_decision(
    store_url: str,
) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(SNAPSHOT)
            oleg = await of.apply("Oleg Petrovich Korvand")
            jane = await of.apply("Jane Example", 1)
            assert (oleg["outcome"], oleg["because"]) == ("refer", "gate:review")
            assert jane["receipt"]["leaf_index"] == oleg["receipt"]["leaf_index"] + 1  # no act between them tells
            await of.screen()
            assert await of.waiting() == [(oleg["decision_id"], "1001", "open")]

    asyncio.run(main())


def test_monitoring_has_no_effect_on_the_decision_and_still_opens_alerts(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url, aml="monitor") as of:
            await of.load(SNAPSHOT)
            oleg, jane = await of.apply("Oleg Korvand", 1), await of.apply("Jane Example", 1)
            assert (oleg["outcome"], oleg["because"]) == (jane["outcome"], jane["because"])
            await of.screen()
            assert [it[0] for it in await of.waiting()] == [oleg["decision_id"]]

    asyncio.run(main())


def test_a_list_whose_loading_was_stopped_half_way_is_not_in_force_breaks_no_log_and_is_loaded_again(
    store_url: str,
) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.store.keep(SNAPSHOT.sha256, "list", SNAPSHOT.to_json())  # and no act came
            await of.lists.look()
            assert of.lists.screener is None
            assert of.findings() == []
            await of.load(SNAPSHOT)
            assert of.lists.screener is not None
            assert of.findings() == []

    asyncio.run(main())


def test_with_screening_off_nobody_is_looked_at(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url, aml="off") as of:
            await of.lender.decide(3)
            await of.load(SNAPSHOT)
            assert await of.screen() == 0

    asyncio.run(main())


def test_screening_that_was_stopped_goes_on_and_opens_no_alert_twice(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rescreening, "AT_ONCE", 2)

    async def main() -> None:
        async with office(store_url) as of:
            made = [(await of.apply("Jane Alba Example", at))["decision_id"] for at in range(7)]
            await of.load(NEXT)
            assert await of.again.step()
            async with of.store.alone() as alone:
                assert alone
                assert not await of.again.step()  # another process is at it
        async with office(store_url) as of:  # as after a crash between the alerts and the progress
            progress = await of.store.progress(NEXT.sha256)
            await of.store.save_progress(progress._replace(past=0), at=of.lender.sources.now())
            later = await of.apply("Jane Alba Example", 8)
            assert await of.screen() == 5
            assert sorted(it[0] for it in await of.waiting()) == sorted([*made, later["decision_id"]])
            assert of.findings() == []

    asyncio.run(main())


def test_who_was_erased_or_whose_record_does_not_open_is_counted_and_the_others_are_screened(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            erased, moved, kept = [
                await of.apply("Jane Alba Example", at, applicant_number=f"C-{at}") for at in range(3)
            ]
            with psycopg.connect(store_url, autocommit=True) as owner:
                owner.execute(
                    "UPDATE obligor.subject_key SET version = NULL, wrapped = NULL, destroyed_at = now() WHERE subject ="
                    " (SELECT subject FROM obligor.decision WHERE decision_id = %s)",
                    (erased["decision_id"],),
                )
                owner.execute(
                    "UPDATE obligor.subject_key SET wrapped = '\\x00' WHERE subject ="
                    " (SELECT subject FROM obligor.decision WHERE decision_id = %s)",
                    (moved["decision_id"],),
                )
        async with office(store_url) as of:
            await of.load(NEXT)
            await of.screen()
            assert [it[0] for it in await of.waiting()] == [kept["decision_id"]]
            assert (await of.store.progress(NEXT.sha256)).not_comparable == 2

    asyncio.run(main())


def test_equal_alerts_stand_in_the_order_in_which_they_were_opened(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            made = [(await of.apply("Jane Alba Example", at))["decision_id"] for at in range(4)]
            await of.load(NEXT)
            await of.screen()
            assert [it[0] for it in await of.waiting()] == made

    asyncio.run(main())


def test_two_people_clear_a_strong_alert_and_then_it_is_a_hit_no_more_within_its_scope(store_url: str) -> None:
    clock = Clock()

    async def main() -> None:
        async with office(store_url, clock=clock) as of:
            await of.load(NEXT)
            await of.apply("Jane Alba Example", 1, applicant_number="C-1")
            await of.screen()
            assert await of.clear(by="Ada") == "proposed"
            assert [it[2] for it in await of.waiting()] == ["proposed"]
            again = await of.apply("Jane Alba Example", 2, applicant_number="C-1")
            assert again["outcome"] == "refer"  # a proposal has no effect
            with pytest.raises(ForbiddenError, match="another person"):
                await of.clear(by=" ada ")
            assert await of.clear(by="Bob") == "cleared"
            assert await of.waiting() == []
            passed = await of.apply("Jane Alba Example", 3, applicant_number="C-1")
            assert passed["outcome"] == "approve"
            other = await of.apply("Jane Alba Example", 4, applicant_number="C-2")
            assert other["outcome"] == "refer"
            await of.screen()
            assert [it[0] for it in await of.waiting()] == [other["decision_id"]]
            clock.now += timedelta(days=31)
            late = await of.apply("Jane Alba Example", 5, applicant_number="C-1")
            assert late["outcome"] == "refer"
            await of.screen()
            assert late["decision_id"] in [it[0] for it in await of.waiting()]
            assert of.findings() == []

    asyncio.run(main())


def test_a_clearance_lasts_over_lists_that_say_the_same_of_the_entry_and_no_longer(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(NEXT)
            jane = await of.apply("Jane Alba Example", 1, applicant_number="C-1")
            await of.screen()
            await of.clear(by="ada")
            await of.clear(by="bob")
            same = replace(NEXT, published=PUBLISHED + timedelta(days=2), entries=NEXT.entries[1:])
            await of.load(same)
            await of.screen()
            assert await of.waiting() == []
            await of.load(replace(CHANGED, published=PUBLISHED + timedelta(days=3)))
            await of.screen()
            assert await of.waiting() == [(jane["decision_id"], "2001", "open")]

    asyncio.run(main())


def test_an_alert_is_cleared_once_with_a_reason_by_somebody_who_is_named(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(SNAPSHOT)
            await of.apply("Oleg Korvand", 1)  # 0.91 alike: one person is enough
            await of.screen()
            (alert,) = await of.desk.waiting()
            assert not alert["needs_second"]
            one = UUID(alert["alert_id"])
            with pytest.raises(ForbiddenError, match="wanted a name"):
                await of.desk.record(one, Clearance("why"), by=" ")
            with pytest.raises(InvalidInputError, match="because"):
                await of.desk.record(one, Clearance(" "), by="ada")
            with pytest.raises(InvalidInputError, match="days"):
                await of.desk.record(one, Clearance("why", 731), by="ada")
            with pytest.raises(NotFoundError):
                await of.desk.record(UUID(int=7), Clearance("why"), by="ada")
            done = await asyncio.gather(
                *(of.desk.record(one, Clearance("why"), by=by) for by in ("ada", "bob")), return_exceptions=True
            )
            assert [type(it).__name__ for it in done].count("ClashError") == 1  # whoever was second
            with pytest.raises(ClashError):
                await of.desk.record(one, Clearance("why"), by="eve")
            assert of.findings() == []

    asyncio.run(main())


# Confirming


def test_whose_match_was_confirmed_is_held_though_it_was_cleared_before_and_the_entry_is_withdrawn(
    store_url: str,
) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(NEXT)
            await of.apply("Jane Alba Example", 1, applicant_number="C-1")
            await of.screen()
            await of.clear(by="ada")
            await of.clear(by="bob")
            assert (await of.apply("Jane Alba Example", 2, applicant_number="C-1"))["outcome"] == "approve"
            await of.load(CHANGED)
            await of.screen()
            await of.confirm()
            for again in (NEXT, SNAPSHOT):  # as the list was when it was cleared; and without the entry
                await of.load(again, older=True)
                same = await of.apply("Jane Alba Example", 3, applicant_number="C-1")
                assert (same["outcome"], same["because"]) == ("refer", "gate:review")
            other = await of.apply("Jane Alba Example", 4, applicant_number="C-2")
            assert other["outcome"] == "approve"  # on a list without the entry
            assert of.kinds()[-1] == "alert.confirmed"
            assert of.findings() == []
        async with office(store_url) as of:  # as another process, or a later start, finds it
            assert (await of.apply("Jane Alba Example", 5, applicant_number="C-1"))["outcome"] == "refer"

    asyncio.run(main())


def test_whom_the_lender_calls_by_a_number_is_known_by_it_when_they_apply_again(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url, columns=AmlColumns(number="amount")) as of:  # a column of numbers
            await of.load(NEXT)
            await of.apply("Jane Alba Example", 1)
            await of.screen()
            for by in ("ada", "bob"):
                await of.clear(by=by)
            assert (await of.apply("Jane Alba Example", 2))["outcome"] == "approve"
            await of.load(CHANGED)
            await of.screen()
            await of.confirm()
            await of.load(SNAPSHOT, older=True)  # without the entry
            assert (await of.apply("Jane Alba Example", 3))["outcome"] == "refer"
            assert (await of.apply("Jane Alba Example", 4, amount=2000))["outcome"] == "approve"

    asyncio.run(main())


def test_what_is_confirmed_gets_no_second_alert_whatever_the_list_says_of_the_entry(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(NEXT)
            jane = await of.apply("Jane Alba Example", 1, applicant_number="C-1")
            await of.screen()
            await of.confirm()
            await of.apply("Jane Alba Example", 2, applicant_number="C-1")
            for snapshot in (CHANGED, SNAPSHOT, NEXT):
                await of.load(snapshot, older=True)
                await of.screen()
                assert await of.waiting() == [(jane["decision_id"], "2001", "confirmed")]
            other = await of.apply("Jane Alba Example", 3, applicant_number="C-2")
            await of.screen()  # who waits stands before who is confirmed
            assert await of.waiting() == [
                (other["decision_id"], "2001", "open"),
                (jane["decision_id"], "2001", "confirmed"),
            ]
            assert of.findings() == []

    asyncio.run(main())


def test_two_people_correct_a_confirmation_for_a_while_and_both_stand_in_the_log(store_url: str) -> None:
    clock = Clock()

    async def main() -> None:
        async with office(store_url, clock=clock) as of:
            await of.load(NEXT)
            await of.apply("Jane Alba Example", 1, applicant_number="C-1")
            await of.screen()
            assert await of.clear(by="bob") == "proposed"  # which a confirmation leaves behind
            one = UUID(await of.confirm())
            with pytest.raises(ClashError, match="confirmed before"):
                await of.confirm(by="bob")
            assert await of.clear(by="ada") == "doubted"
            assert (await of.apply("Jane Alba Example", 2, applicant_number="C-1"))["outcome"] == "refer"
            with pytest.raises(ForbiddenError, match="another person"):
                await of.clear(by="ADA")
            assert await of.clear(by="bob") == "corrected"
            assert await of.waiting() == []
            with pytest.raises(ClashError, match="confirmed before"):
                await of.desk.record(one, Confirmation("it is"), by="eve")
            with pytest.raises(ClashError, match="cleared before"):
                await of.desk.record(one, Clearance("it is not"), by="eve")
            assert (await of.apply("Jane Alba Example", 3, applicant_number="C-1"))["outcome"] == "approve"
            assert of.kinds()[1:] == ["alert.proposed", "alert.confirmed", "alert.doubted", "alert.corrected"]
            clock.now += timedelta(days=31)
            late = await of.apply("Jane Alba Example", 4, applicant_number="C-1")
            assert late["outcome"] == "refer"
            await of.screen()
            assert [it[1:] for it in await of.waiting()] == [("2001", "open")]
            assert of.findings() == []

    asyncio.run(main())


@dataclass
class Racing:
    """Finds an alert, or what was said of a year, only once another looked as well."""

    store: PostgresScreening
    looked: asyncio.Barrier

    async def alert(self, alert_id: UUID) -> StoredAlert | None:
        found = await self.store.alert(alert_id)
        await self.looked.wait()
        return found

    async def yearly_reports(self) -> YearlyReports:
        found = await self.store.yearly_reports()
        await self.looked.wait()
        return found


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("step", ["clear", "confirm"])
def test_of_two_who_act_on_one_alert_at_once_the_database_lets_one(store_url: str, step: str, turn: int) -> None:
    """On two connections, and together in one batch of a single one; the first of them confirms."""

    async def main() -> None:
        async with office(store_url) as of, PostgresRecorder(store_url) as other:
            await of.load(SNAPSHOT)
            await of.apply("Oleg Korvand", 1)  # 0.91 alike: one person is enough
            await of.screen()
            (alert,) = await of.desk.waiting()
            one, racing = UUID(alert["alert_id"]), Racing(of.store, asyncio.Barrier(2))
            desk = replace(of.desk, archive=racing)
            beside = replace(desk, recorder=other if turn < 2 else desk.recorder)
            work = [
                desk.record(one, Confirmation("the same passport"), by="ada"),
                beside.record(one, Clearance("another"), by="bob")
                if step == "clear"
                else beside.record(one, Confirmation("the same passport"), by="bob"),
            ]
            told = await asyncio.gather(*(work if turn % 2 else reversed(work)), return_exceptions=True)
            assert [type(it).__name__ for it in told].count("ClashError") == 1, told
            assert of.kinds()[1:] in (["alert.confirmed"], *([["alert.cleared"]] if step == "clear" else []))
            assert of.findings() == []

    asyncio.run(main())


@pytest.mark.parametrize(
    ("stands", "refused"),
    [
        (("confirmed",), ("confirmed", "proposed", "cleared", "corrected")),
        (("cleared",), ("confirmed", "doubted", "corrected")),
        ((), ("doubted", "corrected")),
    ],
)
def test_a_process_that_knows_of_no_confirmation_clears_none(
    store_url: str, stands: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    insert = b"INSERT INTO obligor.alert_step VALUES (%s, %s, 'why', %s, now(), 'eve', %s)"
    with psycopg.connect(store_url, autocommit=True) as connection:

        def add(leaf: int, step: str) -> None:
            until = None if step == "confirmed" else "2030-01-01"
            connection.execute(insert, (UUID(int=1), step, until, leaf))

        for leaf, step in enumerate(stands):
            add(leaf, step)
        for leaf, step in enumerate(refused, start=9):
            with pytest.raises(psycopg.errors.IntegrityError):
                add(leaf, step)


# Whoever has an alert that nobody cleared is not erased


@dataclass
class Person:
    """Somebody who applied, and the office that is asked to erase them."""

    office: PrivacyOffice
    subject: bytes

    async def hold(self) -> str | None:
        return (await self.office.standing(self.subject)).hold

    async def erase(self, *, seen: Standing | None = None) -> str:
        """Erase them, as of how they stand, or stood; give what is told."""
        office = self.office if seen is None else replace(self.office, subjects=Seen(seen, self.office.subjects))
        try:
            return f"{(await office.erase(self.subject, key=KEY))['keys_destroyed']} destroyed"
        except GateError as error:
            return error.message

    async def release(self) -> None:
        await self.office.release(await self.office.standing(self.subject))


@dataclass
class Seen:
    """How a subject stood some time ago, for who looks once."""

    stood: Standing
    subjects: PrivacySubjects
    looked: bool = False

    async def standing(self, subject: bytes) -> dict[str, Any]:
        if self.looked:
            return await self.subjects.standing(subject)
        self.looked = True
        names = ("decisions", "latest", "keys", "erased_at", "held_because", "held_since", "retained_since")
        return {it: getattr(self.stood, it) for it in names}

    async def concerned(self, _: bytes) -> tuple[()]:
        return ()


@asynccontextmanager
async def applicant(of: Office) -> AsyncIterator[Person]:
    """Jane, who applies, is on the list, and gets an alert."""
    await of.load(NEXT)
    jane = await of.apply("Jane Alba Example", 1, applicant_number="C-1")
    with psycopg.connect(of.url) as connection:
        query = "SELECT subject FROM obligor.decision WHERE decision_id = %s"
        ((subject,),) = connection.execute(query, (jane["decision_id"],)).fetchall()
    pool = Pool(of.url)
    try:
        yield Person(PrivacyOffice(PostgresPrivacy(pool), of.lender.recorder, of.lender.sources, "eve", 0), subject)
    finally:
        await pool.close()


REFUSED: Final = "a legal hold stands; nothing was erased"


def test_an_alert_holds_the_person_from_its_opening_until_it_is_cleared(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of, applicant(of) as jane:
            before = await jane.office.standing(jane.subject)
            assert before.hold is None
            await of.screen()
            assert await jane.hold() == RETAINED
            refused = await jane.erase()
            assert refused.endswith(REFUSED)
            assert await jane.erase(seen=before) == refused  # the alert was opened since they looked
            assert await of.clear(by="ada") == "proposed"
            assert await jane.erase() == refused
            assert await of.clear(by="bob") == "cleared"
            assert await jane.hold() is None
            assert await jane.erase() == "1 destroyed"
            assert of.findings() == []

    asyncio.run(main())


def test_a_confirmed_match_holds_the_person_until_two_people_correct_it(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of, applicant(of) as jane:
            await of.screen()
            await of.confirm()
            assert (await jane.erase()).endswith(REFUSED)
            assert await of.clear(by="ada") == "doubted"
            assert (await jane.erase()).endswith(REFUSED)
            assert await of.clear(by="bob") == "corrected"
            assert await jane.hold() is None
            assert await jane.erase() == "1 destroyed"
            assert of.findings() == []

    asyncio.run(main())


def test_who_is_held_for_a_case_as_well_stays_held_for_it_when_the_alert_is_cleared(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of, applicant(of) as jane:
            await of.screen()
            await jane.office.hold(jane.subject, because="case 7")
            assert await jane.hold() == f"case 7; {RETAINED}"
            for by in ("ada", "bob"):
                await of.clear(by=by)
            assert await jane.hold() == "case 7"
            assert (await jane.erase()).endswith(REFUSED)
            assert of.findings() == []

    asyncio.run(main())


def test_the_hold_of_an_alert_is_released_as_any_other_and_what_is_confirmed_later_holds_again(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of, applicant(of) as jane:
            await jane.office.hold(jane.subject, because="case 7")
            without = await jane.office.standing(jane.subject)
            await of.screen()
            await jane.office.release(without)  # which knew of no alert
            assert await jane.hold() == RETAINED
            await jane.release()
            assert await jane.hold() is None
            await of.confirm()
            assert await jane.hold() == RETAINED
            await jane.release()
            assert await jane.erase() == "1 destroyed"
            assert of.findings() == []

    asyncio.run(main())


def test_whoever_orders_an_erasure_reads_of_an_alert_what_they_read_of_any_other_hold(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of, applicant(of) as jane:
            await jane.office.hold(jane.subject, because=RETAINED)
            by_people = [await jane.erase(), order_to_release(await jane.office.standing(jane.subject)).text]
            await of.screen()
            both = [await jane.erase(), order_to_release(await jane.office.standing(jane.subject)).text]
            await jane.release()
            await of.confirm()
            by_alert = [await jane.erase(), order_to_release(await jane.office.standing(jane.subject)).text]
            assert by_people == both == by_alert
            told = await jane.office.export(
                jane.subject, opener=of.lender.register.opener, words=of.lender.register.words
            )
            assert RETAINED not in json.dumps(told)

    asyncio.run(main())


async def confirmed_match(of: Office) -> UUID:
    await of.load(SNAPSHOT)
    await of.apply("Oleg Petrovich Korvand", 1)
    await of.screen()
    return UUID(await of.confirm())


def test_of_two_who_report_or_amend_at_once_one_does_and_the_last_report_counts_and_all_are_kept(
    store_url: str,
) -> None:
    clock = Clock()

    async def main() -> None:
        async with office(store_url, clock=clock) as of:
            one = await confirmed_match(of)
            (due,) = await of.desk.waiting()
            clock.now += timedelta(days=2)
            for why in (None, "a digit was wrong"):
                desk = replace(of.desk, archive=Racing(of.store, asyncio.Barrier(2)))
                reports = (desk.record(one, Report(f"ORS-{it}", because=why), by=it) for it in ("ada1", "bob2"))
                told = await asyncio.gather(*reports, return_exceptions=True)
                assert sorted(type(it).__name__ for it in told) == ["ClashError", "Recorded"]
            with pytest.raises(ClashError, match="says why"):
                await of.desk.record(one, Report("ORS-3"), by="eve")
            day = of.lender.sources.now().date() - timedelta(days=1)
            await of.desk.record(one, Report("ORS-3", day, "the day was wrong"), by="eve")
            (kept,) = await of.desk.waiting()
            first, second, third = kept["reports"]
            assert [it["number"] for it in (first, second, third)] == [1, 2, 3]
            assert (first["because"], second["because"]) == (None, "a digit was wrong")
            assert (first["reference"], second["reference"]) == (f"ORS-{first['by']}", f"ORS-{second['by']}")
            assert kept["report_reference"] == third["reference"] == "ORS-3"
            assert (kept["state"], kept["report_due_on"]) == ("confirmed", due["report_due_on"])
            assert (due["reported_on"], kept["reported_on"]) == (None, day.isoformat())
            assert await of.desk.found(one) == (await of.store.alerts(limit=9))[0]
            assert of.kinds() == ["alert.opened", "alert.confirmed", *["alert.reported"] * 3]
            assert of.findings() == []

    asyncio.run(main())


def test_the_day_of_a_report_is_todays_where_a_day_ends_last_and_nothing_is_late_before(store_url: str) -> None:
    """The clock stands at noon of the 26th of November, a Thursday; ten business days later is the 10th of December."""
    clock = Clock()

    async def main() -> None:
        async with office(store_url, clock=clock) as of:
            one = await confirmed_match(of)
            clock.now = datetime(2026, 12, 11, 9, 59, tzinfo=UTC)  # the last minute of the 10th
            await of.desk.record(one, Report("ORS-1"), by="ada")
            clock.now += timedelta(minutes=1)
            told = await of.desk.record(one, Report("ORS-1", clock.now.date(), "the day was wrong"), by="ada")
            assert json.loads(told.response)["late"]
            (kept,) = await of.desk.waiting()
            assert [(it["reported_on"], it["late"]) for it in kept["reports"]] == [
                ("2026-12-10", False),
                ("2026-12-11", True),
            ]

    asyncio.run(main())


def test_reports_go_back_and_forth_with_the_tables_but_for_amendments_and_none_at_all(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            downgrade(store_url, "0015")
            upgrade(store_url)
            one = await confirmed_match(of)
            await of.desk.record(one, Report("ORS-1"), by="ada")
            downgrade(store_url, "0016")
            assert of.findings() == []
            with pytest.raises(RuntimeError, match="reported; that is not taken away"):
                downgrade(store_url, "0015")
            upgrade(store_url)
            await of.desk.record(one, Report("ORS-2", because="a digit was wrong"), by="bob")
            with pytest.raises(RuntimeError, match="amended; that is not taken away"):
                downgrade(store_url, "0016")
            (kept,) = await of.desk.waiting()
            assert [it["reference"] for it in kept["reports"]] == ["ORS-1", "ORS-2"]
            assert of.findings() == []

    asyncio.run(main())


def test_of_two_who_file_the_report_of_a_year_one_does_and_the_next_years_is_due(store_url: str) -> None:
    """And the tables go back only while none was filed."""
    clock = Clock()

    async def main() -> None:
        async with office(store_url, clock=clock) as of:
            downgrade(store_url, "0022")
            upgrade(store_url)
            one = await confirmed_match(of)
            clock.now = datetime(2027, 7, 5, 12, tzinfo=UTC)
            (before,) = await of.desk.waiting()
            said = YearlyReport("ORS-1", year=2027, alerts=(one,))
            desk = replace(of.desk, archive=Racing(of.store, asyncio.Barrier(2)))
            told = await asyncio.gather(
                *(desk.record(None, said, by=it) for it in ("ada", "bob")), return_exceptions=True
            )
            assert sorted(type(it).__name__ for it in told) == ["ClashError", "Recorded"]
            clock.now += timedelta(days=100)
            amendment = YearlyReport("ORS-2", clock.now.date(), "it was filed late", year=2027)
            await of.desk.record(None, amendment, by="eve")
            (after,) = await of.desk.waiting()
            due = [it["yearly_report_due_on"] for it in (before, after)]
            assert due == ["2027-09-30", "2028-09-30"]
            assert await of.desk.found(one) == (await of.store.alerts(limit=9))[0]
            assert [
                (it["number"], it["reference"], it["reported_on"], it["late"], it["alerts"])
                for it in await of.desk.yearly_reports()
            ] == [(1, "ORS-1", "2027-07-05", False, [str(one)]), (2, "ORS-2", "2027-10-13", True, [str(one)])]
            assert of.kinds()[2:] == ["alert.reported.yearly"] * 2
            assert of.findings() == []
            with pytest.raises(RuntimeError, match="yearly reports were filed; that is not taken away"):
                downgrade(store_url, "0022")

    asyncio.run(main())


def test_a_process_that_knows_of_no_amendment_reports_a_match_once_and_its_report_is_amended(store_url: str) -> None:
    """By the statement of the version before, and a record as it wrote it."""
    insert = b"""INSERT INTO obligor.alert_report (alert_id, reference, reported_on, at, by, leaf_index)
        VALUES (%s, 'ORS-1', %s, %s, 'ada', %s)"""

    async def main() -> None:
        async with office(store_url) as of:
            one, at = await confirmed_match(of), of.lender.sources.now()
            said = {"alert_id": str(one), "at": time_text(at), "by": "ada", "schema": "obligor/alert-report/1"}
            said |= {"reference": "ORS-1", "reported_on": at.date().isoformat()}
            act = Act("alert.reported", at, "person:ada", str(one), encode(said), bytes(16))
            leaf = (await of.lender.recorder.record(Submission((act,), lambda _: b""))).leaf_index
            with psycopg.connect(store_url, autocommit=True) as before:
                before.execute(insert, (one, at.date(), at, leaf))
                with pytest.raises(psycopg.errors.UniqueViolation):
                    before.execute(insert, (one, at.date(), at, leaf + 1))
                assert of.findings() == []
                await of.desk.record(one, Report("ORS-2", because="a digit was wrong"), by="bob")
                with pytest.raises(psycopg.errors.UniqueViolation):
                    before.execute(insert, (one, at.date(), at, leaf + 2))
            (kept,) = await of.desk.waiting()
            assert [(it["number"], it["reference"]) for it in kept["reports"]] == [(1, "ORS-1"), (2, "ORS-2")]
            assert of.findings() == []

    asyncio.run(main())


def test_confirmations_are_not_taken_away_and_without_one_the_tables_go_back_and_forth(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(SNAPSHOT)
            await of.apply("Oleg Petrovich Korvand", 1)
            await of.screen()
            await of.clear(by="ada")
            downgrade(store_url, "0013")
            upgrade(store_url)
            assert [it[2] for it in await of.waiting()] == ["proposed"]
            await of.confirm()
            with pytest.raises(RuntimeError, match="not taken away"):
                downgrade(store_url, "0013")
            assert [it[2] for it in await of.waiting()] == ["confirmed"]
            assert of.findings() == []

    asyncio.run(main())


# Lists


def test_a_list_goes_to_an_older_day_only_where_that_is_said(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(NEXT)
            for wrong, told in (
                (NEXT, "is the one in force"),
                (SNAPSHOT, "the one in force is of 2026-11-21"),
                (replace(SNAPSHOT, published=None), "does not say its day"),
                (replace(SNAPSHOT, published=date(2026, 11, 27)), "is to come"),
            ):
                with pytest.raises(InvalidInputError, match=told):
                    await of.load(wrong)
            with pytest.raises(InvalidInputError, match="wanted a name"):
                await of.load(CHANGED, by=" ")
            await of.load(SNAPSHOT, older=True)
            assert [it.list_sha256 for it in await of.store.lists()] == [SNAPSHOT.sha256, NEXT.sha256]
            assert of.lists.screener is not None
            assert of.lists.screener.about.sha256 == SNAPSHOT.sha256
            assert of.findings() == []

    asyncio.run(main())


def test_nobody_passes_on_a_list_that_is_no_longer_kept(store_url: str) -> None:
    async def main() -> None:
        async with office(store_url) as of:
            await of.load(SNAPSHOT)
            with psycopg.connect(store_url, autocommit=True) as owner:
                owner.execute("DELETE FROM obligor.artefact WHERE sha256 = %s", (SNAPSHOT.sha256,))
        async with office_that_fails(store_url) as of:
            jane = await of.apply("Jane Example", 1)
            assert (jane["outcome"], jane["because"]) == ("hold", "gate:review")
            assert any("is gone" in it for it in of.findings())

    asyncio.run(main())


@asynccontextmanager
async def office_that_fails(url: str) -> AsyncIterator[Office]:
    pool = Pool(url)
    store = PostgresScreening(pool, url)

    async def prepared(_: str) -> Screener:
        raise IntegrityError("the list is no longer kept")

    lists = ListInForce(store, prepared)
    with pytest.raises(IntegrityError):
        await lists.look()
    assert lists.screener is None
    gate = AmlGate(lists, subjects=Subjects.of(KEY))
    try:
        async with lending(url, gates={"aml": gate}) as lender:
            yield Office(url, lender, store, lists, Clearances(), None, None)  # type: ignore[arg-type]
    finally:
        gate.close()
        await pool.close()


@pytest.mark.parametrize(
    ("change", "table"),
    [
        ("UPDATE obligor.alert SET entry = '7'", "alert"),
        ("UPDATE obligor.alert SET subject = '\\x00'", "alert"),
        ("DELETE FROM obligor.alert", "alert"),
        ("UPDATE obligor.alert_step SET until = until + interval '9 years'", "alert_step"),
        ("UPDATE obligor.alert_step SET by = 'eve'", "alert_step"),
        ("DELETE FROM obligor.alert_step", "alert_step"),
        ("DELETE FROM obligor.alert_step WHERE step = 'confirmed'", "alert_step"),
        ("UPDATE obligor.alert_step SET because = 'x' WHERE step = 'confirmed'", "alert_step"),
        (
            (
                "INSERT INTO obligor.alert_step SELECT alert_id, 'doubted', 'x', now(), now(), 'eve', 0"
                " FROM obligor.alert_step WHERE step = 'confirmed'"
            ),
            "alert_step",
        ),
        (
            (
                "ALTER TABLE obligor.alert_step DISABLE TRIGGER confirmations_are_kept;"
                " INSERT INTO obligor.alert_step SELECT alert_id, 'confirmed', 'x', NULL, now(), 'eve', 0"
                " FROM obligor.alert_step WHERE step = 'cleared'"
            ),
            "alert_step",
        ),
        ("UPDATE obligor.alert_report SET reference = 'ORS-9'", "alert_report"),
        ("UPDATE obligor.alert_report SET because = 'another' WHERE number = 2", "alert_report"),
        ("UPDATE obligor.alert_report SET number = 9, because = 'x' WHERE number = 1", "alert_report"),
        ("DELETE FROM obligor.alert_report WHERE number = 1", "alert_report"),
        (
            (
                "INSERT INTO obligor.alert_report (alert_id, number, reference, reported_on, because, at, by, leaf_index)"
                " SELECT alert_id, 3, 'ORS-3', reported_on, 'x', at, by, 0 FROM obligor.alert_report WHERE number = 2"
            ),
            "alert_report",
        ),
        ("UPDATE obligor.yearly_report SET alerts = '{}'", "yearly_report"),
        ("UPDATE obligor.yearly_report SET year = 2026", "yearly_report"),
        ("DELETE FROM obligor.yearly_report", "yearly_report"),
        (
            (
                "INSERT INTO obligor.yearly_report"
                " SELECT 2028, 1, reference, reported_on, alerts, NULL, at, by, 0 FROM obligor.yearly_report"
            ),
            "yearly_report",
        ),
        ("UPDATE obligor.screening_list SET published = published + 30", "screening_list"),
        ("DELETE FROM obligor.screening_list", "screening_list"),
        (
            "INSERT INTO obligor.screening_list VALUES (0, 'x', 'x', '2026-11-26', 1, now(), 'eve')",
            "screening_list",
        ),
    ],
)
def test_who_changes_lists_alerts_or_what_was_said_of_them_behind_the_log_is_found(
    embedded_postgres: str, change: str, table: str
) -> None:
    from tests.stores import new_store

    clock = Clock()

    async def main(url: str) -> None:
        async with office(url, clock=clock) as of:
            await of.load(SNAPSHOT)
            await of.apply("Oleg Korvand", 1)
            await of.screen()
            await of.clear(by="ada")
            await of.apply("Oleg Korvand", 2)
            await of.screen()
            one = UUID(await of.confirm())
            await of.desk.record(one, Report("ORS-1"), by="ada")
            await of.desk.record(one, Report("ORS-2", because="a digit was wrong"), by="bob")
            clock.now = datetime(2027, 7, 5, 12, tzinfo=UTC)
            await of.desk.record(None, YearlyReport("ORS-3", year=2027, alerts=(one,)), by="bob")
            assert of.findings() == []
            with psycopg.connect(url, autocommit=True) as owner:
                owner.execute(change.encode())
            assert any(f"table {table}" in it for it in of.findings())

    with new_store(embedded_postgres) as url:
        asyncio.run(main(url))

"""What an applicant says is kept under a key of their own: found again, and forgotten when that is destroyed."""

from __future__ import annotations

import asyncio
import io
import json
import re
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec
import psycopg
import pytest
from psycopg import sql
from tests.keyrings import KMS, stored_keyring
from tests.lending import KEY, NOON, caller, lending
from tests.serving import golden_decisions as golden
from tests.serving.privacy.test_telling import refuse_numbers_of_the_card

from obligor.adapters.store.log_source import open_log
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.privacy import PostgresPrivacy, wrap_anew
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.adapters.store.reviews import PostgresReviews
from obligor.core.errors import (
    ClashError,
    ErasedError,
    GateError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    SealError,
)
from obligor.governance.audit.findings import Findings
from obligor.governance.audit.verifying import verify_log
from obligor.governance.law.packs import the_packs
from obligor.progress import Silence
from obligor.security.sealing import DATA, make_kept, open_keyring
from obligor.security.signing import Verifier, verify_statement
from obligor.serving.acts import Act
from obligor.serving.archive import Search
from obligor.serving.people.proposals import Agreed
from obligor.serving.privacy.erasing import PURPOSE, Office, record_keys
from obligor.serving.privacy.opening import Opener
from obligor.serving.privacy.sealed import named, named_in_bulk
from obligor.serving.privacy.telling import ERASED, LOST
from obligor.serving.releases.release import Releases
from obligor.serving.releases.wording import in_words
from obligor.serving.reviews.review import Finding
from obligor.serving.reviews.reviewing import ReviewService
from obligor.serving.rows import ProposalRow
from obligor.serving.telemetry.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from tests.lending import Lender

    from obligor.security.sealing import KeptKey
    from obligor.serving.acts import Recorded, Submission
    from obligor.serving.privacy.erasing import Words
    from obligor.serving.privacy.sealed import Sealer

_SEEDS = count(100)
CANARY = "Zoë-Canary-7731"


def _application(name: str = CANARY, **changes: Any) -> dict[str, Any]:
    (given,) = golden.applications(1)
    return given | {"customer": name, "bureau": [{"at": "2026-01-01", "balance": 987654.25}]} | changes


class House:
    """A lender, and what its office needs."""

    def __init__(
        self, lender: Lender, url: str, pool: Pool, *, retain_days: int = 0, packs: tuple[str, ...] = ()
    ) -> None:
        self.lender, self.url, self.pool = lender, url, pool
        self.service, self.register = lender.service, lender.register
        self.subjects = PostgresPrivacy(pool)
        self.office = Office(
            self.subjects, lender.recorder, lender.sources, "ada", retain_days, [the_packs()[it] for it in packs]
        )

    @property
    def sealer(self) -> Sealer:
        assert self.service.sealer is not None
        return self.service.sealer

    async def decide(self, name: str = CANARY, *, key: str = "k1", client: str = "bank") -> dict[str, Any]:
        return await self.lender.decide_one(_application(name), client=client, key=key)

    async def subject(self, decision_id: str) -> bytes:
        stored = await self.lender.archive.decision(UUID(decision_id))
        assert stored is not None
        return bytes.fromhex(json.loads(stored.record)["subject"])

    async def keep_key(self, kept: KeptKey) -> None:
        lender, kind = self.lender, "datakey.created" if kept.wrapped else "datakey.retired"
        await record_keys([kept], kind=kind, by="ada", recorder=lender.recorder, sources=lender.sources)

    async def erase(self, subject: bytes) -> dict[str, Any]:
        certificate = await self.office.erase(subject, key=KEY)
        for each in await self.subjects.erased_since(NOON - timedelta(days=1)):
            self.sealer.forget(each)
        return certificate


def at_work(url: str, work: Callable[[House], Awaitable[None]], **of_office: Any) -> None:
    async def run() -> None:
        pool = Pool(url)
        try:
            async with lending(url, seed=next(_SEEDS)) as lender:
                await work(House(lender, url, pool, **of_office))
        finally:
            await pool.close()

    asyncio.run(run())


def everything(url: str) -> bytes:
    """All that the database holds, bytes as they are."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'obligor'").fetchall()
        rows = [
            row[0].encode()
            for (table,) in tables
            for row in connection.execute(
                sql.SQL("SELECT it::text FROM obligor.{} AS it").format(sql.Identifier(table))
            )
        ]
    bare = [bytes.fromhex(it.decode()) for row in rows for it in re.findall(rb"\\x((?:[0-9a-f]{2})+)", row)]
    return b"\n".join((*rows, *bare))


def verified(url: str) -> list[str]:
    findings = Findings()
    with open_log(url) as source:
        verify_log(source, signatures=Verifier(KEY.verifier), anchors=(), findings=findings, progress=Silence())
    return [str(it) for it in findings.all()]


def test_what_an_applicant_says_is_nowhere_in_the_database_and_is_answered_all_the_same(store_url: str) -> None:
    async def work(house: House) -> None:
        answer = await house.decide()
        assert answer["application_id"] == CANARY
        asked = UUID(answer["decision_id"])
        assert await house.register.decision(caller("bank"), asked) == answer
        page = await house.register.search(caller("bank"), Search(application_id=CANARY))
        assert page.decisions == (answer,)
        assert (await house.register.search(caller("bank"), Search(application_id="other"))).decisions == ()
        explained = await house.register.explanation(caller("bank"), asked)
        assert explained["application_id"] == CANARY

    at_work(store_url, work)
    found = everything(store_url)
    assert b"obligor/decision/2" in found
    assert CANARY.encode() not in found
    assert b"987654.25" not in found
    assert verified(store_url) == []


def test_the_same_request_is_answered_with_the_same_bytes_though_the_name_is_not_kept(store_url: str) -> None:
    async def work(house: House) -> None:
        service, who = house.service, caller("bank")
        one, other = _application(), _application("Bob")
        first = await service.decide(who, key="k", application=one)
        again = await service.decide(who, key="k", application=one)
        assert again.replayed
        assert again.response == first.response
        many = await service.decide_many(who, key="m", applications=[one, {"customer": 3}, other])
        more = await service.decide_many(who, key="m", applications=[one, {"customer": 3}, other])
        assert more.replayed
        assert more.response == many.response
        results = msgspec.json.decode(many.response)["results"]
        assert [it["decision"]["application_id"] if "decision" in it else None for it in results] == [
            CANARY,
            None,
            "Bob",
        ]
        await house.erase(await house.subject(json.loads(first.response)["decision_id"]))
        assert (await service.decide(who, key="k", application=one)).response == first.response

    at_work(store_url, work)
    assert CANARY.encode() not in everything(store_url)


def test_after_erasing_the_log_verifies_and_nobody_reads_what_was_said(store_url: str) -> None:
    async def work(house: House) -> None:
        register, who = house.register, caller("bank")
        answer, bobs = await house.decide(), await house.decide("Bob", key="k2")
        asked = UUID(answer["decision_id"])
        await house.lender.report(answer["decision_id"])
        subject = await house.subject(answer["decision_id"])
        certificate = await house.erase(subject)
        assert (certificate["decisions"], certificate["keys_destroyed"]) == (1, 1)
        told = await register.decision(who, asked)
        assert told == answer | {"application_id": None}
        with pytest.raises(ErasedError, match="were erased"):
            await register.explanation(who, asked)
        assert (await register.search(who, Search(application_id=CANARY))).decisions == (told,)
        assert (await register.decision(who, UUID(bobs["decision_id"])))["application_id"] == "Bob"
        again = await house.erase(subject)  # twice is harmless
        assert again["keys_destroyed"] == 0
        assert again["erased_at"] == certificate["erased_at"]
        fresh = await house.decide(key="k3")  # who was forgotten may apply again
        assert (await register.decision(who, UUID(fresh["decision_id"])))["application_id"] == CANARY

    at_work(store_url, work)
    assert verified(store_url) == []
    with psycopg.connect(store_url) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index")]
    assert kinds == ["release", "decision", "decision", "outcome", "erased", "decision"]


def test_a_certificate_is_signed_by_the_deployment(store_url: str) -> None:
    async def work(house: House) -> None:
        answer = await house.decide()
        said = await house.erase(await house.subject(answer["decision_id"]))
        signature = bytes.fromhex(said.pop("signature"))
        assert said.pop("key") == KEY.verifier.text()
        statement = msgspec.json.encode(said, order="sorted")
        assert verify_statement(statement, signature, purpose=PURPOSE, key=KEY.verifier)
        assert not verify_statement(statement, signature, purpose="release", key=KEY.verifier)

    at_work(store_url, work)


def test_who_is_held_is_not_erased_until_the_hold_is_released(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        assert (await house.office.hold(subject, because="case 7")).held_because == "case 7"
        with pytest.raises(GateError, match="a legal hold stands"):
            await house.erase(subject)
        assert (await house.office.standing(subject)).keys == 1
        await house.office.release(await house.office.standing(subject))
        with pytest.raises(InvalidInputError, match="no hold stands"):
            await house.office.release(await house.office.standing(subject))
        await house.erase(subject)

    at_work(store_url, work)
    assert verified(store_url) == []


def test_a_person_is_told_what_was_reported_of_their_loans_and_of_no_other(store_url: str) -> None:
    async def work(house: House) -> None:
        ann, bob = await house.decide(), await house.decide("Bob", key="k2")
        for it in (ann, bob):
            await house.lender.report(it["decision_id"])
        told = await house.office.export(
            await house.subject(ann["decision_id"]), opener=house.register.opener, words=house.register.words
        )
        assert [(it["decision_id"], it["status"]) for it in told["outcomes"]] == [(ann["decision_id"], "good")]

    at_work(store_url, work)


def test_a_second_hold_keeps_what_the_first_one_stands_for(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        first = await house.office.hold(subject, because="case 7")
        both = await house.office.hold(subject, because="case 8")
        assert (both.held_because, both.held_since) == ("case 7; case 8", first.held_since)
        assert (await house.office.hold(subject, because="case 7; case 8")).held_because == "case 7; case 8"
        await house.office.release(await house.office.standing(subject))
        assert (await house.office.hold(subject, because="case 9")).held_because == "case 9"

    at_work(store_url, work)
    assert verified(store_url) == []


@dataclass
class Looking:
    """Tells how a subject stands only once another looked as well, the first time that each does."""

    subjects: PostgresPrivacy
    both: asyncio.Barrier
    looked: int = 0

    async def standing(self, subject: bytes) -> dict[str, Any]:
        found = await self.subjects.standing(subject)
        self.looked += 1
        if self.looked <= self.both.parties:
            await self.both.wait()
        return found


@pytest.mark.parametrize("stands", [False, True])
@pytest.mark.parametrize("one_batch", [False, True])
def test_of_two_holds_that_are_placed_at_one_instant_both_are_kept(
    store_url: str, *, one_batch: bool, stands: bool
) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        if stands:
            await house.office.hold(subject, because="case 6")
        office = replace(house.office, subjects=Looking(house.subjects, asyncio.Barrier(2)))
        async with PostgresRecorder(store_url) as other:
            beside = office if one_batch else replace(office, recorder=other)
            await asyncio.gather(office.hold(subject, because="case 7"), beside.hold(subject, because="case 8"))
        held = (await house.office.standing(subject)).held_because or ""
        assert sorted(held.split("; ")) == [*(["case 6"] if stands else []), "case 7", "case 8"]

    at_work(store_url, work)
    assert verified(store_url) == []


def test_a_hold_that_stands_for_more_than_was_seen_is_not_released(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        seen = await house.office.hold(subject, because="case 7")
        await house.office.hold(subject, because="case 8")
        with pytest.raises(ClashError, match="changed meanwhile; nothing was released"):
            await house.office.release(seen)
        both = await house.office.standing(subject)
        await house.office.release(both)
        with pytest.raises(ClashError, match="changed meanwhile"):  # it was released before
            await house.office.release(both)

    at_work(store_url, work)
    assert verified(store_url) == []


def test_a_hold_that_two_people_placed_as_another_was_placed_is_told_to_be_done(store_url: str) -> None:
    """What takes a second attempt is recorded with the step by which its proposal is done, all the same."""

    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        late = replace(house.office, recorder=Agreed(Late(house, subject), _done(house), "grace"))
        assert (await late.hold(subject, because="case 7")).held_because == "case 8; case 7"

    at_work(store_url, work)
    with psycopg.connect(store_url) as connection:
        kinds = [row[0] for row in connection.execute("SELECT kind FROM obligor.leaf ORDER BY index")]
    assert kinds[2:] == ["hold.placed", "act.done", "hold.placed"]


@dataclass
class Late:
    """Records once another hold was placed on a subject."""

    house: House
    subject: bytes
    came: bool = False

    async def record(self, submission: Submission) -> Recorded:
        if not self.came:
            self.came = True
            await self.house.office.hold(self.subject, because="case 8")
        return await self.house.lender.recorder.record(submission)


def _done(house: House) -> Act:
    at = house.lender.sources.now()
    row = ProposalRow("p", "done", "hold.placed", "{}", "", "ada", at, at, "ada")
    return Act("act.done", at, "person:ada", "p", b"{}", house.lender.sources.salt(), (row,))


def test_the_store_itself_refuses_to_erase_who_is_held(store_url: str) -> None:
    """A hold that is placed between the look and the act is kept all the same."""

    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        late = replace(house.office, recorder=Late(house, subject))
        with pytest.raises(GateError, match="a legal hold stands; nothing was erased"):
            await late.erase(subject, key=KEY)

    at_work(store_url, work)
    with psycopg.connect(store_url) as connection:
        assert connection.execute("SELECT count(*) FROM obligor.leaf WHERE kind = 'erased'").fetchone() == (0,)
        assert connection.execute("SELECT count(wrapped) FROM obligor.subject_key").fetchone() == (1,)


def test_what_else_the_store_refuses_is_not_told_as_a_hold(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        with psycopg.connect(store_url) as owner:
            owner.execute("ALTER TABLE obligor.erasure ADD CONSTRAINT of_another_kind CHECK (at < '2000-01-01')")
        with pytest.raises(IntegrityError, match="of_another_kind"):
            await house.erase(subject)
        assert (await house.office.standing(subject)).keys == 1

    at_work(store_url, work)


def test_what_a_law_says_is_kept_is_not_erased_before_its_day(store_url: str) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        with pytest.raises(GateError, match=r"must be kept until 2028-12-27; nothing was erased"):
            await house.erase(subject)
        with pytest.raises(NotFoundError, match="nothing is kept"):
            await house.erase(bytes(32))

    at_work(store_url, work, retain_days=762)


@pytest.mark.parametrize(
    ("packs", "told"),
    [
        (("US-FED",), "us.reg-b.1002.12 asks that their decision is kept until 2029-01-26"),
        (("NY-500",), "us-ny.500.6 asks that their decision is kept until 2031-11-26"),
        (("US-FED", "NY-500"), "us-ny.500.6 asks"),
        (("GDPR",), ""),
        (("EU-CCD2",), ""),
    ],
)
def test_what_a_rule_pack_keeps_is_not_erased_and_the_rule_is_named(
    store_url: str, packs: tuple[str, ...], told: str
) -> None:
    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        if not told:
            assert (await house.erase(subject))["keys_destroyed"] == 1
            return
        with pytest.raises(GateError, match=told):
            await house.erase(subject)
        assert (await house.office.standing(subject)).keys == 1

    at_work(store_url, work, packs=packs)


def test_evidence_of_identity_is_kept_from_the_day_on_which_the_account_was_closed(store_url: str) -> None:
    """31 CFR 1020.220(a)(3): five years; the rule on decisions is over by then."""

    async def work(house: House) -> None:
        subject = await house.subject((await house.decide())["decision_id"])
        stored = await house.subjects.decisions(subject)
        record = json.loads(stored[0].record) | {"outcome": "approve"}
        record["gates"]["kyc"] = {"state": "enforce", "result": "pass"}
        approved = [replace(stored[0], record=json.dumps(record).encode())]
        with psycopg.connect(store_url) as owner:
            owner.execute("UPDATE obligor.decision SET decided_at = decided_at - interval '3650 days'")

        async def those(_: bytes) -> list[Any]:
            return approved

        house.subjects.decisions = those  # type: ignore[method-assign,assignment]
        with pytest.raises(GateError, match="account_closed, a day that is not known"):
            await house.office.erase(subject, key=KEY)
        with pytest.raises(GateError, match=r"us\.cip asks that their identity is kept until 2029-11-26"):
            await house.office.erase(subject, key=KEY, account_closed=date(2024, 11, 26))
        closed = date(2021, 11, 24)
        assert (await house.office.erase(subject, key=KEY, account_closed=closed))["keys_destroyed"] == 1

    at_work(store_url, work, packs=("US-FED",))


def test_a_person_is_told_all_that_is_kept_and_that_is_an_act(store_url: str) -> None:
    async def work(house: House) -> None:
        subject, declined = await house.subject((await house.decide())["decision_id"]), golden.applications(2)[1]
        await house.lender.decide_one(declined | {"customer": CANARY}, client="bank", key="k2")
        told = await house.office.export(subject, opener=house.register.opener, words=house.register.words)
        assert told["schema"] == "obligor/subject/2"
        assert [(it["outcome"], it["schema"]) for it in told["decisions"]] == [
            (outcome, "obligor/decision/2") for outcome in ("approve", "decline")
        ]
        for it in told["decisions"]:
            assert "sealed" not in it
            refuse_numbers_of_the_card(it)
        approved = told["decisions"][0]
        assert approved["input"]["customer"] == CANARY
        assert approved["input"]["bureau"] == [{"at": "2026-01-01", "balance": 987654.25}]
        lines = {"factor": "lines", "given": {"bureau": {"rows": 1}}, "effect": "hurt"}
        assert lines in approved["explanation"]["factors"]

    at_work(store_url, work)
    with psycopg.connect(store_url) as connection:
        assert connection.execute("SELECT count(*) FROM obligor.leaf WHERE kind = 'revealed'").fetchone() == (1,)


def test_where_it_was_erased_or_its_card_is_gone_the_person_is_told_that_it_is_not_explained(store_url: str) -> None:
    async def work(house: House) -> None:
        register, subject = house.register, await house.subject((await house.decide())["decision_id"])

        async def told(words: Words) -> dict[str, Any]:
            (decision,) = (await house.office.export(subject, opener=register.opener, words=words))["decisions"]
            assert not {"bins", "points", "score", "cutoff"} & set(decision)
            return {name: decision[name] for name in ("explanation", "unexplained", "erased")}

        later = Releases(house.lender.archive)  # of a process that did not make the decision

        async def words(record: Mapping[str, Any]) -> dict[str, Any]:
            return in_words(await later.pinned(record["pins"]), record)

        found = await told(words)
        assert found["unexplained"] is None
        assert found["explanation"]["factors"]
        with psycopg.connect(store_url) as connection:
            changed = connection.execute("UPDATE obligor.artefact SET body = '{}'")
            assert changed.rowcount == 3
        later = Releases(house.lender.archive)
        assert await told(words) == {"explanation": None, "unexplained": LOST, "erased": False}
        await house.erase(subject)
        assert await told(register.words) == {"explanation": None, "unexplained": ERASED, "erased": True}

    at_work(store_url, work)


_TAMPERED = {
    "ciphertexts swapped": """UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'),
        (SELECT convert_from(body, 'UTF8')::jsonb ->> 'sealed' FROM obligor.record WHERE leaf_index = 1),
        (SELECT convert_from(body, 'UTF8')::jsonb ->> 'sealed' FROM obligor.record WHERE leaf_index = 2)), 'UTF8')
        WHERE leaf_index = 1""",
    "records swapped": """UPDATE obligor.record SET body = (SELECT body FROM obligor.record WHERE leaf_index = 2)
        WHERE leaf_index = 1""",
    "another score told in the clear": """UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'),
        '"outcome":', '"outcome_told_before":0,"outcome":'), 'UTF8') WHERE leaf_index = 1""",
    "no record at all": "UPDATE obligor.record SET body = '{' WHERE leaf_index = 1",
    "keys swapped": """UPDATE obligor.subject_key SET wrapped = other.wrapped FROM obligor.subject_key AS other
        WHERE other.key_id <> subject_key.key_id""",
    "a tag cut off": "UPDATE obligor.subject_key SET wrapped = substring(wrapped FOR 60)",
    "a version told wrongly": "UPDATE obligor.subject_key SET version = 7",
    "a key deleted": "DELETE FROM obligor.subject_key",
}


@pytest.mark.parametrize("tampered", _TAMPERED)
def test_what_was_tampered_with_is_not_opened_and_the_log_tells_once(store_url: str, tampered: str) -> None:
    async def work(house: House) -> None:
        answer, _ = await house.decide(), await house.decide("Bob", key="k2")
        with psycopg.connect(store_url) as connection:
            connection.execute("ALTER TABLE obligor.record DISABLE TRIGGER append_only")
            connection.execute(_TAMPERED[tampered].encode())
        for _ in range(2):
            with pytest.raises(SealError) as refused:
                await house.register.decision(caller("bank"), UUID(answer["decision_id"]))
        assert CANARY not in str(refused.value)

    at_work(store_url, work)
    with psycopg.connect(store_url) as connection:
        assert connection.execute("SELECT count(*) FROM obligor.leaf WHERE kind = 'seal.broken'").fetchone() == (1,)


def test_a_search_tells_what_was_tampered_with_beside_the_others_and_so_do_the_log_and_the_journal(
    store_url: str,
) -> None:
    lines = io.BytesIO()

    async def work(house: House) -> None:
        lender, found = house.lender, [await house.decide(name, key=name) for name in ("Ann", "Bob", "Cem")]
        with psycopg.connect(store_url) as connection:
            connection.execute("ALTER TABLE obligor.record DISABLE TRIGGER append_only")
            connection.execute(_TAMPERED["another score told in the clear"].encode())
        with Journal(lines, strict=True) as journal:
            opener = house.register.opener = Opener(house.sealer, lender.recorder, lender.sources, journal)
            for _ in range(2):
                page = await house.register.search(caller("bank"), Search())
                cem, bob, ann = page.decisions
                assert ann == {"decision_id": found[0]["decision_id"], "broken": True}
                assert [it["decision_id"] for it in (bob, cem)] == [it["decision_id"] for it in found[1:]]
                assert (bob["outcome"], bob["application_id"]) == (found[1]["outcome"], "Bob")
        assert opener.broken() == 1

    at_work(store_url, work)
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["level"], line["kind"]) == ("record_broken", "error", "broken")
    assert UUID(line["decision_id"])
    with psycopg.connect(store_url) as connection:
        told = connection.execute("SELECT body FROM obligor.leaf WHERE kind = 'seal.broken'").fetchall()
    assert [json.loads(body)["subject"] for (body,) in told] == [line["decision_id"]]


_OF_ONE = {"decision": 0, "request for a review": 1, "what came of it": 2, "report": 3}


@pytest.mark.parametrize("tampered", _OF_ONE)
def test_a_person_is_told_all_but_what_was_tampered_with_and_of_which_decision_it_was(
    store_url: str, tampered: str
) -> None:
    """What somebody else may have written is not told as theirs, and what is theirs is not withheld for it."""

    async def work(house: House) -> None:
        lender, answer = house.lender, await house.decide()
        reviews = ReviewService(
            decisions=house.service,
            register=house.register,
            archive=lender.archive,
            reviews=PostgresReviews(house.pool),
            recorder=lender.recorder,
            sources=lender.sources,
        )
        who, decision_id = replace(caller("bank"), scopes=frozenset({"report", "read"})), UUID(answer["decision_id"])
        asked = await reviews.request(who, key="r", decision_id=decision_id, body=b'{"statement": "Look again"}')
        await reviews.decide(
            UUID(json.loads(asked.response)["review_id"]), Finding("decline", ("too much",)), by="Grace"
        )
        await lender.report(answer["decision_id"])
        subject = await house.subject(answer["decision_id"])
        whole = await house.office.export(subject, opener=house.register.opener, words=house.register.words)
        assert [len(whole[it]) for it in ("decisions", "reviews", "outcomes", "broken")] == [1, 2, 1, 0]
        kinds = ("decision", "review.requested", "review.decided", "outcome")
        with psycopg.connect(store_url) as connection:
            connection.execute("ALTER TABLE obligor.record DISABLE TRIGGER append_only")
            changed = connection.execute(
                "UPDATE obligor.record SET body = replace(convert_from(body, 'UTF8'), '\"schema\":', '\"more\":1,\"schema\":')"
                "::bytea WHERE leaf_index = (SELECT index FROM obligor.leaf WHERE kind = %s)",
                (kinds[_OF_ONE[tampered]],),
            )
            assert changed.rowcount == 1
        told = await house.office.export(subject, opener=house.register.opener, words=house.register.words)
        assert told["broken"] == [answer["decision_id"]]
        left = [*whole["decisions"], *whole["reviews"], *whole["outcomes"]]
        del left[_OF_ONE[tampered]]
        assert [*told["decisions"], *told["reviews"], *told["outcomes"]] == left

    at_work(store_url, work)


def test_a_record_of_before_is_found_and_explained_beside_sealed_ones(store_url: str) -> None:
    async def before() -> dict[str, Any]:
        async with lending(store_url, sealed=False) as lender:
            return await lender.decide_one(_application("Old"), client="bank", key="old")

    answer = asyncio.run(before())

    async def work(house: House) -> None:
        await house.decide("Old", key="new")
        found = (await house.register.search(caller("bank"), Search(application_id="Old"))).decisions
        assert [it["application_id"] for it in found] == ["Old", "Old"]
        assert found[1] == answer
        assert await house.register.explanation(caller("bank"), UUID(answer["decision_id"]))

    at_work(store_url, work)
    assert verified(store_url) == []


def _turned(url: str, version: int) -> None:
    """Make the next version of the key that wraps."""

    async def run() -> None:
        async with lending(url) as lender:
            await record_keys(
                [make_kept(DATA, version, KMS)],
                kind="datakey.created",
                by="ada",
                recorder=lender.recorder,
                sources=lender.sources,
            )

    asyncio.run(run())


def test_every_key_is_wrapped_anew_and_the_old_version_opens_nothing(store_url: str) -> None:
    async def work(house: House) -> None:
        for at in range(7):
            await house.decide(f"Ann {at}", key=f"k{at}")

    at_work(store_url, work)
    _turned(store_url, 2)
    ring = stored_keyring(store_url)
    assert (ring.min_version, ring.current) == (1, 2)
    assert wrap_anew(store_url, ring, at_once=3) == 7
    assert wrap_anew(store_url, ring) == 0

    async def retire(house: House) -> None:
        assert await house.subjects.behind(2) == 0
        first = next(it for it in await house.subjects.keyring() if (it.purpose, it.version) == (DATA, 1))
        await house.keep_key(replace(first, wrapped=None))
        late = await house.lender.decide_one(_application("Ann 3"), client="bank", key="late")
        assert (await house.register.decision(caller("bank"), UUID(late["decision_id"])))["application_id"] == "Ann 3"

    _refused_while_needed(store_url)
    at_work(store_url, lambda house: _with(house, ring, retire))
    kept = stored_keyring(store_url)
    assert (kept.min_version, kept.current) == (2, 2)


async def _with(house: House, ring: Any, work: Callable[[House], Awaitable[None]]) -> None:
    house.sealer.turn(ring)
    await work(house)


def _refused_while_needed(url: str) -> None:
    """A version that still wraps a key is not retired, whoever asks."""

    async def work(house: House) -> None:
        newest = next(it for it in await house.subjects.keyring() if (it.purpose, it.version) == (DATA, 2))
        with pytest.raises(IntegrityError):
            await house.keep_key(replace(newest, wrapped=None))

    at_work(url, work)


def test_whoever_still_makes_keys_under_a_retired_version_is_refused_and_nothing_is_recorded(store_url: str) -> None:
    _turned(store_url, 2)

    async def work(house: House) -> None:
        kept = await house.subjects.keyring()
        old = open_keyring([it for it in kept if it.version == 1], KMS, random=house.lender.sources.random)
        house.sealer.turn(old)
        first = next(it for it in kept if (it.purpose, it.version) == (DATA, 1))
        await house.keep_key(replace(first, wrapped=None))
        with pytest.raises(IntegrityError):
            await house.decide()
        house.sealer.turn(open_keyring(await house.subjects.keyring(), KMS, random=house.lender.sources.random))
        assert (await house.decide())["application_id"] == CANARY

    at_work(store_url, work)
    assert verified(store_url) == []


def test_keys_are_wrapped_anew_while_decisions_are_made(store_url: str) -> None:
    async def work(house: House) -> None:
        for at in range(20):
            await house.decide(f"Ann {at}", key=f"k{at}")
        await house.keep_key(make_kept(DATA, 2, KMS))
        ring = open_keyring(await house.subjects.keyring(), KMS, random=house.lender.sources.random)
        rotating = asyncio.create_task(asyncio.to_thread(wrap_anew, store_url, ring, at_once=2))
        answers = [await house.decide(f"Bob {at}", key=f"b{at}") for at in range(30)]
        house.sealer.turn(ring)
        await rotating
        wrap_anew(store_url, ring)
        assert await house.subjects.behind(2) == 0
        for at, answer in enumerate(answers):
            told = await house.register.decision(caller("bank"), UUID(answer["decision_id"]))
            assert told["application_id"] == f"Bob {at}"

    at_work(store_url, work)


def test_a_rotation_that_was_killed_goes_on_and_nothing_is_lost(store_url: str) -> None:
    async def work(house: House) -> None:
        for at in range(9):
            await house.decide(f"Ann {at}", key=f"k{at}")

    at_work(store_url, work)
    _turned(store_url, 2)
    ring = stored_keyring(store_url)

    def killed(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wrap_anew(store_url, ring, at_once=4, advance=killed)
    assert wrap_anew(store_url, ring, at_once=4) == 5

    async def read(house: House) -> None:
        found = (await house.register.search(caller("bank"), Search())).decisions
        assert sorted(it["application_id"] for it in found) == [f"Ann {at}" for at in range(9)]

    at_work(store_url, read)


def test_a_name_is_put_where_it_was_left_out_and_nowhere_else() -> None:
    kept = b'{"decision_id":"%b","application_id":null,"x":"\\"application_id\\":null"}' % (b"0" * 36)
    assert json.loads(named(kept, 'A"1'))["application_id"] == 'A"1'
    assert named(kept, None) == kept
    old = kept.replace(b"null,", b'"A-1",', 1)
    assert named(old, "A-1") == old
    bulk = b'{"results":[{"decision":%b},{"problem":{}},{"decision":%b}]}' % (kept, kept)
    told = json.loads(named_in_bulk(bulk, ["A", "B"]))["results"]
    assert [it.get("decision", {}).get("application_id") for it in told] == ["A", None, "B"]
    assert json.loads(named_in_bulk(bulk, [None, None])) == json.loads(bulk)

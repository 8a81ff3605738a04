"""Somebody who took no part answers an applicant who asks for a person, in time, and the first decision never changes."""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import psycopg
import pytest
from tests.core.test_application import refusing
from tests.serving.gated import profile_of
from tests.serving.http.fakes import OWN, PLAIN, PlainReceipts, small_card, small_release
from tests.stores import as_owner, pages_read

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.examining import open_examination
from obligor.adapters.store.log_source import open_log
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.adapters.store.reviews import _HELD, PostgresReviews
from obligor.core.errors import (
    ApplicationError,
    ClashError,
    ForbiddenError,
    GateError,
    InvalidInputError,
    KeyReusedError,
    NotFoundError,
    TooLargeError,
)
from obligor.core.event_types import HELD_LATE, REVIEW_LATE
from obligor.core.leaves import parse_leaf
from obligor.core.profile import EVERYTHING_OFF
from obligor.governance.audit.findings import Kind
from obligor.governance.audit.lateness import Clocks
from obligor.governance.audit.projections import AtLeaves
from obligor.governance.audit.told import Told
from obligor.governance.audit.verifying import verify_log
from obligor.governance.law.packs import the_packs
from obligor.governance.notices.factors import standing
from obligor.progress import Silence
from obligor.security.signing import Verifier, open_signing_key
from obligor.serving import making
from obligor.serving.acts import Caller
from obligor.serving.deciding import DecisionService
from obligor.serving.encoding import encode_application
from obligor.serving.register import Register
from obligor.serving.releases.release import Releases
from obligor.serving.releases.releasing import activate
from obligor.serving.reviews.clock import HeldClock, ReviewClock
from obligor.serving.reviews.lateness import Lateness, late_review
from obligor.serving.reviews.review import Finding, Held, StoredReview, plain
from obligor.serving.reviews.reviewing import REVIEW_AGAIN, ReviewService
from obligor.serving.rows import WebhookRow
from obligor.serving.sources import Sources
from obligor.serving.telemetry.journal import NoJournal
from obligor.serving.telemetry.meter import NoMeter
from obligor.serving.webhooks.events import Listeners

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from obligor.core.profile import Profile
    from obligor.core.scorecard import Scorecard

LATER = datetime(2100, 1, 1, tzinfo=UTC)
ONE = Caller("lender-one", "k1", OWN, LATER)
TWO = Caller("lender-two", "k2", OWN, LATER)
POOR = {**PLAIN, "income": 100}
STATEMENT = "CANARY-9071 my income was typed wrongly"
KEPT = Finding("decline", ("Income could not be shown",))


@dataclass
class Desk:
    """A lender's service over a store of its own, with a clock that a test may turn."""

    url: str
    recorder: PostgresRecorder
    archive: PostgresArchive
    reviews: PostgresReviews
    decisions: DecisionService
    register: Register
    service: ReviewService
    sources: Sources
    lateness: Lateness
    clock: list[datetime] = field(default_factory=list)

    async def declined(
        self, key: str = "d-1", *, caller: Caller = ONE, application: dict[str, Any] | None = None
    ) -> UUID:
        recorded = await self.decisions.decide(caller, key=key, application=application or POOR)
        told = json.loads(recorded.response)
        assert told["outcome"] == "decline"
        return UUID(told["decision_id"])

    async def asked(self, decision: UUID, *, key: str = "r-1", caller: Caller = ONE, **body: Any) -> dict[str, Any]:
        said = body or {"statement": STATEMENT}
        recorded = await self.service.request(caller, key=key, decision_id=decision, body=json.dumps(said).encode())
        assert recorded.status == 201
        told: dict[str, Any] = json.loads(recorded.response)
        return told

    async def review(self, decision: UUID, *, key: str = "r-1", caller: Caller = ONE, **body: Any) -> UUID:
        return UUID((await self.asked(decision, key=key, caller=caller, **body))["review_id"])


@asynccontextmanager
async def desk(
    url: str,
    folder: Path,
    *,
    packs: tuple[str, ...] = ("EU-CCD2", "GDPR"),
    profile: Profile = EVERYTHING_OFF,
    card: Scorecard | None = None,
) -> AsyncIterator[Desk]:
    clock = [datetime(2026, 11, 26, 23, 30, tzinfo=UTC)]
    sources = Sources(lambda: clock[0], os.urandom)
    pool = Pool(url)
    try:
        async with PostgresRecorder(url) as recorder:
            archive, reviews, releases = PostgresArchive(pool), PostgresReviews(pool), Releases(PostgresArchive(pool))
            made = small_release(card=card)
            key = open_signing_key(folder / "key.pem")
            said: dict[str, Any] = {"card": made.card, "policy": made.policy, "profile": profile, "by": "Ada Lovelace"}
            releases.take(await activate(**said, archive=archive, recorder=recorder, key=key, sources=sources))
            decisions = DecisionService(
                releases=releases,
                recorder=recorder,
                answers=archive,
                sources=sources,
                meter=NoMeter(),
            )
            register = Register(
                archive=archive,
                receipts=PlainReceipts(),
                releases=releases,
                recorder=recorder,
                sources=sources,
            )
            service = ReviewService(
                decisions=decisions,
                register=register,
                archive=archive,
                reviews=reviews,
                recorder=recorder,
                sources=sources,
                packs=[the_packs()[it] for it in packs],
            )
            lateness = Lateness(archive, recorder, sources, Listeners())
            yield Desk(url, recorder, archive, reviews, decisions, register, service, sources, lateness, clock)
    finally:
        await pool.close()


@pytest.fixture
def at_desk(store_url: str, tmp_path: Path) -> Callable[[Callable[[Desk], Awaitable[None]]], None]:
    """Run a story at a new desk."""

    def run(story: Callable[[Desk], Awaitable[None]]) -> None:
        async def told() -> None:
            async with desk(store_url, tmp_path) as it:
                await story(it)

        asyncio.run(told())

    return run


Stories = Any


def test_a_request_says_by_when_it_is_due_and_never_what_the_applicant_wrote(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        told = await it.asked(decision, statement=STATEMENT, corrections={"income": 50_000})
        assert told["due_on"] == "2026-12-26"  # of 30 days (EU-CCD2) and a month (GDPR), asked for on 26 November, UTC
        assert told["state"] == "open"
        (listed,) = await it.service.reviews(ONE, decision)
        assert listed["review_id"] == told["review_id"]
        assert not listed["late"]
        assert "CANARY" not in json.dumps([told, listed, [str(each) for each in await it.service.waiting()]])
        with psycopg.connect(it.url) as connection:
            leaf = connection.execute("SELECT body FROM obligor.leaf WHERE kind = 'review.requested'").fetchall()
            rows = connection.execute("SELECT review::text FROM obligor.review AS review").fetchall()
            answers = connection.execute("SELECT response FROM obligor.request").fetchall()
        assert b"CANARY" not in b"".join(row[0] for row in (*leaf, *answers))
        assert "CANARY" not in str(rows)
        assert parse_leaf(leaf[0][0]).subject == told["review_id"]
        assert b"CANARY" in (await it.reviews.request_of(UUID(told["review_id"])) or b"")

    at_desk(story)


def test_the_same_request_sent_again_is_answered_as_it_was_and_a_second_one_waits(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        first = await it.asked(decision)
        assert await it.asked(decision) == first
        with pytest.raises(ClashError, match="a review of this decision is open"):
            await it.asked(decision, key="r-2")
        for body in ({"statement": "another"}, {"statement": STATEMENT, "corrections": {"income": 50_000}}):
            with pytest.raises(KeyReusedError):
                await it.asked(decision, **body)
        with pytest.raises(KeyReusedError):
            await it.asked(await it.declined("d-2"))
        await it.service.decide(UUID(first["review_id"]), KEPT, by="Ben")
        assert await it.asked(decision) == first
        assert (await it.asked(decision, key="r-3"))["review_id"] != first["review_id"]

    at_desk(story)


def test_of_two_requests_at_once_one_waits_for_the_answer_to_the_other(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        both = (it.asked(decision, key=f"r-{number}") for number in range(2))
        found = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["ClashError", "dict"]
        assert "a review of this decision is open" in str(next(each for each in found if isinstance(each, ClashError)))
        assert len(await it.service.waiting()) == 1

    at_desk(story)


@pytest.mark.parametrize("name", ["Ada Lovelace", "ada  lovelace", "person:Ada Lovelace"])
def test_who_put_the_release_in_force_cannot_review_what_it_decided(at_desk: Stories, name: str) -> None:
    async def story(it: Desk) -> None:
        review = await it.review(await it.declined())
        with pytest.raises(ForbiddenError, match="took no part"):
            await it.service.decide(review, KEPT, by=name)
        assert (await it.reviews.review(review) or _none()).verdict is None

    at_desk(story)


def test_who_submitted_the_application_cannot_review_it(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        analyst = Caller("person:ben", "", OWN, LATER)
        review = await it.review(await it.declined(caller=analyst), caller=analyst)
        with pytest.raises(ForbiddenError):
            await it.service.decide(review, KEPT, by="Ben")

    at_desk(story)


def _none() -> StoredReview:
    raise AssertionError("there is no such review")


def test_a_decline_that_is_kept_has_the_reviewers_factors_as_its_reasons(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        before = await it.archive.decision(decision)
        review = await it.review(decision)
        found = await it.service.decide(review, KEPT, by="Ben")
        assert (found.verdict, found.outcome) == ("kept", "decline")
        record = msgspec.json.decode(await it.reviews.decision_of(review) or b"")
        assert (record["decision_id"], record["by"]) == (str(decision), "Ben")
        assert before is not None
        held = standing(msgspec.json.decode(before.record), record)
        assert (held.because, [each["text"] for each in held.reasons]) == ("review", ["Income could not be shown"])
        after = await it.archive.decision(decision)
        assert after == before
        (listed,) = await it.service.reviews(ONE, decision)
        assert (listed["state"], listed["verdict"]) == ("decided", "kept")

    at_desk(story)


def test_a_decline_can_be_changed_once(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        review = await it.review(await it.declined())
        found = await it.service.decide(review, Finding("approve", ("Income was shown",)), by="Ben")
        assert (found.verdict, found.outcome) == ("changed", "approve")
        with pytest.raises(ClashError, match="was decided before"):
            await it.service.decide(review, KEPT, by="Cyd")

    at_desk(story)


@pytest.mark.parametrize("profile", [profile_of(kyc="enforce"), profile_of(aml="enforce")], ids=["kyc", "aml"])
@pytest.mark.parametrize("application", [PLAIN, POOR], ids=["held", "declined"])
def test_no_review_approves_against_an_enforced_gate_that_did_not_pass(
    store_url: str, tmp_path: Path, application: dict[str, Any], profile: Profile
) -> None:
    async def story() -> None:
        async with desk(store_url, tmp_path, profile=profile) as it:
            recorded = await it.decisions.decide(ONE, key="d-1", application=application)
            review = await it.review(UUID(json.loads(recorded.response)["decision_id"]))
            with pytest.raises(GateError, match="an enforced gate did not pass") as refused:
                await it.service.decide(review, Finding("approve", ("Income was shown",)), by="Ben")
            assert not {"kyc", "aml"} & set(refused.value.message.split())  # which would tip off
            assert (await it.reviews.review(review) or _none()).verdict is None
            assert (await it.service.decide(review, KEPT, by="Ben")).outcome == "decline"

    asyncio.run(story())


def test_a_gate_that_is_not_enforced_stands_against_no_review(store_url: str, tmp_path: Path) -> None:
    async def story() -> None:
        async with desk(store_url, tmp_path, profile=profile_of(kyc="monitor", pci="enforce")) as it:
            review = await it.review(await it.declined())
            found = await it.service.decide(review, Finding("approve", ("Income was shown",)), by="Ben")
            assert found.outcome == "approve"

    asyncio.run(story())


def test_of_two_reviewers_at_once_one_is_told_that_the_other_was_quicker(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        review = await it.review(await it.declined())
        both = (it.service.decide(review, KEPT, by="Ben"), it.service.decide(review, KEPT, by="Cyd"))
        found = await asyncio.gather(*both, return_exceptions=True)
        assert sorted(type(each).__name__ for each in found) == ["ClashError", "StoredReview"]

    at_desk(story)


def test_a_corrected_application_is_decided_again_and_both_decisions_stay(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        review = await it.review(decision, corrections={"income": 50_000})
        found = await it.service.decide(review, Finding(None), by="Ben")
        assert (found.verdict, found.outcome) == ("changed", "approve")
        assert found.new_decision_id not in (None, decision)
        told = await it.register.decision(ONE, found.new_decision_id or uuid4())
        assert told["outcome"] == "approve"
        assert (await it.register.decision(ONE, decision))["outcome"] == "decline"
        stored = await it.archive.decision(found.new_decision_id or uuid4())
        assert stored is not None
        assert msgspec.json.decode(stored.record)["idempotency_key"] == f"review:{review}"

    at_desk(story)


@pytest.mark.parametrize("later", [False, True])
def test_what_is_decided_again_and_then_interrupted_is_not_decided_twice(
    at_desk: Stories, monkeypatch: pytest.MonkeyPatch, *, later: bool
) -> None:
    """Neither by the same version nor by a later one, which writes an application otherwise."""

    async def story(it: Desk) -> None:
        decision = await it.declined()
        review = await it.review(decision, corrections={"income": 50_000})
        corrected = {**POOR, "income": 50_000}
        client = Caller("lender-one", "", frozenset({"decide"}), LATER)
        asked: dict[str, Any] = {"key": f"review:{review}", "application": corrected, "route": REVIEW_AGAIN}
        before = json.loads((await it.decisions.decide(client, **asked)).response)
        if later:
            monkeypatch.setattr(making, "encode_application", lambda read: encode_application(read) + b" ")
        found = await it.service.decide(review, Finding(None), by="Ben")
        assert str(found.new_decision_id) == before["decision_id"]
        assert found.outcome == before["outcome"]
        with psycopg.connect(it.url) as connection:
            assert connection.execute("SELECT count(*) FROM obligor.decision").fetchone() == (2,)

    at_desk(story)


def test_no_client_takes_the_key_by_which_a_review_decides_again(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        review = await it.review(decision, corrections={"income": 50_000})
        await it.declined(f"review:{review}")  # over the client's own door
        found = await it.service.decide(review, Finding(None), by="Ben")
        assert (found.verdict, found.outcome) == ("changed", "approve")

    at_desk(story)


@pytest.mark.parametrize(
    ("finding", "message"),
    [
        (Finding("decline"), "wanted the factors"),
        (Finding("decline", ("a",) * 5), "5 factors; wanted at most 4"),
        (Finding("decline", ("two\nlines",)), "one line"),
        (Finding("decline", (" ",)), "one line"),
        (Finding(None, ("a",)), "wanted no factors"),
        (Finding(None), "corrected nothing"),
    ],
)
def test_a_finding_says_why_or_there_is_something_to_decide_again(
    at_desk: Stories, finding: Finding, message: str
) -> None:
    async def story(it: Desk) -> None:
        review = await it.review(await it.declined())
        with pytest.raises(InvalidInputError, match=message):
            await it.service.decide(review, finding, by="Ben")
        for nobody in (" ", "B\x1ben", "B" * 101):
            with pytest.raises(InvalidInputError, match="wanted a name"):
                await it.service.decide(review, KEPT, by=nobody)

    at_desk(story)


LISTENING = """
    INSERT INTO obligor.webhook_endpoint (endpoint_id, client_id, url, event_types, state, secret, created_at, leaf_index)
    VALUES ('e', 'lender-one', 'https://a.example', %s, 'active', '', now(), 0)
"""
HELD = {**PLAIN, "income": 50_000}
DUE = datetime(2026, 12, 27, tzinfo=UTC)
"""From when on a review that was asked for at the desk's first hour is late."""
A_MINUTE = timedelta(minutes=1)


def test_a_review_that_is_not_answered_in_time_is_told_once_and_counted_while_it_is_open(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        journal, meter = Journal(), Counts()
        clock = ReviewClock(it.reviews, it.lateness, now=it.sources.now, meter=meter, journal=journal)
        review = await it.review(await it.declined())
        for at, late in ((DUE - timedelta(seconds=1), 0), (DUE, 1), (DUE + A_MINUTE - timedelta(seconds=1), 1)):
            it.clock[0] = at
            await clock.look()
            assert (journal.events, meter.read(), acts(it)) == ([], late, [])  # an answer may be on its way still
        it.clock[0] = DUE + A_MINUTE
        await clock.look()
        it.clock[0] += A_MINUTE
        await clock.look()
        assert (journal.events, meter.read()) == ([("review_late", str(review))], 1)
        (act,) = acts(it)
        assert act == {
            "schema": "obligor/review-late/1",
            "review_id": str(review),
            "decision_id": act["decision_id"],
            "client_id": "lender-one",
            "due_at": "2026-12-27T00:00:00.000000Z",
            "pack": "EU-CCD2",
        }
        told = plain((await it.service.waiting())[0], it.clock[0])
        assert (told["late"], told["told_late_at"]) == (True, "2026-12-27T00:01:00.000000Z")
        found = await it.service.decide(review, KEPT, by="Ben")
        assert found.late(LATER)
        await clock.look()
        assert (meter.read(), len(acts(it))) == (0, 1)

    at_desk(story)


def test_of_processes_that_look_at_once_and_such_as_end_and_begin_again_one_tells_that_a_review_is_late(
    at_desk: Stories,
) -> None:
    async def story(it: Desk) -> None:
        reviews = [await it.review(await it.declined(f"d-{at}"), key=f"r-{at}") for at in range(3)]
        it.clock[0] = DUE + A_MINUTE
        journal = Journal()
        async with PostgresRecorder(it.url) as other, PostgresRecorder(it.url) as third:
            clocks = [
                ReviewClock(
                    Forgetful(it.reviews),
                    replace(it.lateness, recorder=recorder),
                    now=it.sources.now,
                    meter=NoMeter(),
                    journal=journal,
                )
                for recorder in (it.recorder, it.recorder, other, third)
            ]
            await asyncio.gather(*(clock.look() for clock in clocks))
            for clock in clocks:
                await clock.look()
        assert sorted(journal.events) == sorted(("review_late", str(review)) for review in reviews)
        assert sorted(act["review_id"] for act in acts(it)) == sorted(map(str, reviews))

    at_desk(story)


def test_an_act_that_was_recorded_by_a_process_that_was_killed_before_it_heard_is_not_recorded_again(
    at_desk: Stories,
) -> None:
    async def story(it: Desk) -> None:
        review = await it.review(await it.declined())
        it.clock[0] = DUE + A_MINUTE
        async with PostgresRecorder(it.url) as killed:
            telling = asyncio.create_task(
                replace(it.lateness, recorder=killed).record(late_review(await stored(it, review)))
            )
            while not acts(it):
                await asyncio.sleep(0)
            telling.cancel()
        assert not await it.lateness.record(late_review(await stored(it, review)))
        assert len(acts(it)) == 1

    at_desk(story)


def test_an_answer_that_is_late_tells_so_first_where_no_clock_ran_and_one_in_time_tells_nothing(
    at_desk: Stories,
) -> None:
    async def story(it: Desk) -> None:
        late, timely = [await it.review(await it.declined(f"d-{at}"), key=f"r-{at}") for at in range(2)]
        it.clock[0] = DUE - timedelta(microseconds=1)
        await it.service.decide(timely, KEPT, by="Ben")
        it.clock[0] = DUE
        await it.service.decide(late, KEPT, by="Ben")
        with psycopg.connect(it.url) as connection:
            kinds = connection.execute(
                "SELECT kind FROM obligor.leaf WHERE kind LIKE 'review.%' AND kind <> 'review.requested' ORDER BY index"
            ).fetchall()
        assert [it for (it,) in kinds] == ["review.decided", "review.late", "review.decided"]
        assert [act["review_id"] for act in acts(it)] == [str(late)]
        assert (await stored(it, late)).told_late_at == DUE
        assert (await stored(it, timely)).told_late_at is None

    at_desk(story)


def test_a_review_whose_decision_is_gone_keeps_no_other_from_being_told_late(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        gone, other = await it.declined("d-1"), await it.declined("d-2")
        reviews = [await it.review(gone), await it.review(other, key="r-2")]
        with psycopg.connect(as_owner(it.url), autocommit=True) as connection:
            connection.execute("DELETE FROM obligor.decision WHERE decision_id = %s", (gone,))
        it.clock[0] = DUE + A_MINUTE
        journal = Journal(keeps=True)
        await ReviewClock(it.reviews, it.lateness, now=it.sources.now, meter=NoMeter(), journal=journal).look()
        assert journal.events == [("reviews_failed", str(reviews[0])), ("review_late", str(reviews[1]))]

    at_desk(story)


def test_the_clients_system_is_told_that_a_review_is_late_once_and_nothing_that_anybody_wrote(
    at_desk: Stories, tmp_path: Path
) -> None:
    async def story(it: Desk) -> None:
        row = WebhookRow("e", "lender-one", "https://a.example", (REVIEW_LATE,), "active", b"", None, None, it.clock[0])
        with psycopg.connect(it.url) as connection:
            connection.execute(LISTENING, ([REVIEW_LATE],))
        mine, others = await it.declined(), await it.declined(caller=TWO)
        review = await it.review(mine)
        await it.review(others, caller=TWO)
        it.clock[0] = DUE + A_MINUTE
        it.lateness.listeners.take([row])
        clock = ReviewClock(it.reviews, it.lateness, now=it.sources.now, meter=NoMeter(), journal=Journal())
        for _ in range(2):
            await clock.look()
        assert len(acts(it)) == 2
        with psycopg.connect(it.url) as connection:
            (told,) = connection.execute(
                "SELECT type, client_id, convert_from(payload, 'UTF8')::json, kind, state FROM obligor.outbox "
                "JOIN obligor.leaf ON leaf_index = index JOIN obligor.delivery USING (event_id)"
            ).fetchall()
        payload = {
            "application_id": POOR["customer"],
            "review_id": str(review),
            "decision_id": str(mine),
            "due_at": "2026-12-27T00:00:00.000000Z",
            "pack": "EU-CCD2",
        }
        assert told == (REVIEW_LATE, "lender-one", payload, REVIEW_LATE, "pending")
        key = Verifier(open_signing_key(tmp_path / "key.pem").verifier)
        with open_log(it.url) as source:
            found = [each.kind for each in verify_log(source, signatures=key, progress=Silence()).findings]
        assert found == [Kind.WEBHOOK]  # the endpoint was put there by no act
        assert examined(it) == [("I8", "ok", {"events": 1}), ("late", "ok", {"late": 2})]
        with psycopg.connect(as_owner(it.url), autocommit=True) as connection:
            connection.execute("UPDATE obligor.outbox SET payload = replace(payload::text, '3230', '3231')::bytea")
        assert examined(it)[0][:2] == ("I8", "broken")

    at_desk(story)


def acts(it: Desk, kind: str = "review.late") -> list[dict[str, Any]]:
    """Give the records of what was told late, in the order of the log."""
    with psycopg.connect(it.url) as connection:
        found = connection.execute(
            "SELECT record.body FROM obligor.leaf JOIN obligor.record ON leaf_index = index WHERE kind = %s ORDER BY index",
            (kind,),
        ).fetchall()
    return [json.loads(body) for (body,) in found]


def examined(it: Desk) -> list[tuple[str, str, dict[str, int]]]:
    """Hold what was told against the log, as the doctor does."""
    with open_examination(it.url) as source:
        told, clocks = Told(AtLeaves(source.events())), Clocks()
        for each in source.leaves():
            leaf, said = parse_leaf(each.body), json.loads(each.record or b"")
            told.take(each.index, leaf, said)
            clocks.take(each.index, leaf, said)
    checks = (told.check(0, it.clock[0], kept=timedelta(days=90)), clocks.check(it.clock[0] + timedelta(days=1)))
    return [(check.name, check.verdict, dict(check.counts)) for check in checks]


async def stored(it: Desk, review: UUID) -> StoredReview:
    found = await it.reviews.review(review)
    assert found is not None
    return found


class Forgetful(PostgresReviews):
    """Reviews as another process saw them before any was told late."""

    def __init__(self, reviews: PostgresReviews) -> None:
        super().__init__(reviews._pool)

    async def open_reviews(self) -> tuple[StoredReview, ...]:
        return tuple(each._replace(told_late_at=None) for each in await super().open_reviews())


def test_who_is_held_is_counted_until_a_review_says_another_outcome(store_url: str, tmp_path: Path) -> None:
    async def told() -> None:
        async with desk(store_url, tmp_path, packs=(), profile=profile_of(kyc="enforce")) as it:
            meter = Readings()
            clock = held_clock(it, meter)
            await clock.look()
            assert meter.found() == (0, 0, 0)
            recorded = await it.decisions.decide(ONE, key="h-1", application={**PLAIN, "income": 50_000})
            held = json.loads(recorded.response)
            assert held["outcome"] == "hold"
            await clock.look()
            assert meter.found() == (1, 0, 0)
            it.clock[0] += timedelta(days=3, seconds=1)
            await clock.look()
            assert meter.found() == (1, 1, 3 * 86400 + 1)
            await it.service.decide(await it.review(UUID(held["decision_id"])), KEPT, by="Ben")
            await clock.look()
            assert meter.found() == (0, 0, 0)

    asyncio.run(told())


def held_clock(it: Desk, meter: NoMeter, journal: Any = None, **changes: Any) -> HeldClock:
    said = {"within": timedelta(days=3), "now": it.sources.now, "meter": meter, "journal": journal or NoJournal()}
    return HeldClock(it.reviews, it.lateness, **{**said, **changes})


@pytest.mark.parametrize(
    ("days", "packs", "due", "pack"),
    [
        (3, (), "2026-11-29T23:30:00.000000Z", None),
        (3, ("US-FED",), "2026-11-29T23:30:00.000000Z", None),
        (
            90,
            ("US-FED", "US-CO", "EU-CCD2"),
            "2026-12-27T00:00:00.000000Z",
            "US-FED",
        ),  # whose clock alone begins at once
        (90, ("EU-CCD2",), "2027-02-24T23:30:00.000000Z", None),
    ],
)
def test_who_is_held_past_the_lenders_days_or_a_packs_is_told_late_once(
    store_url: str, tmp_path: Path, days: int, packs: tuple[str, ...], due: str, pack: str | None
) -> None:
    async def told() -> None:
        async with desk(store_url, tmp_path, packs=(), profile=profile_of(kyc="enforce")) as it:
            row = WebhookRow(
                "e", "lender-one", "https://a.example", (HELD_LATE,), "active", b"", None, None, it.clock[0]
            )
            with psycopg.connect(it.url) as connection:
                connection.execute(LISTENING, ([HELD_LATE],))
            it.lateness.listeners.take([row])
            meter, journal = Readings(), Journal()
            chosen = [the_packs()[name] for name in packs]
            clocks = [held_clock(it, meter, journal, within=timedelta(days=days), packs=chosen) for _ in range(2)]
            first = json.loads((await it.decisions.decide(ONE, key="h-1", application=HELD)).response)
            assert first["outcome"] == "hold"
            it.clock[0] += timedelta(hours=1)
            await it.decisions.decide(ONE, key="h-2", application=HELD)  # held since the first time
            late_at = datetime.fromisoformat(due)
            for at, late in ((late_at - timedelta(seconds=1), 0), (late_at + timedelta(seconds=1), 1)):
                it.clock[0] = at
                await clocks[1].look()
                assert (meter.found()[:2], acts(it, HELD_LATE)) == ((1, late), [])
            it.clock[0] = late_at + A_MINUTE + timedelta(seconds=1)
            await asyncio.gather(*(clock.look() for clock in clocks))
            await clocks[0].look()
            kept = {"schema": "obligor/held-late/1", "client_id": "lender-one"}
            said = {"decision_id": first["decision_id"], "due_at": due, "pack": pack}
            assert acts(it, HELD_LATE) == [kept | said]
            assert journal.events == [("held_late", first["decision_id"])]
            with psycopg.connect(it.url) as connection:
                events = connection.execute("SELECT convert_from(payload, 'UTF8')::json FROM obligor.outbox").fetchall()
            assert events == [({"application_id": HELD["customer"], **said},)]
            assert examined(it) == [("I8", "ok", {"events": 1}), ("late", "ok", {"late": 1})]

    asyncio.run(told())


def test_who_is_held_no_more_by_its_day_is_not_told_late(store_url: str, tmp_path: Path) -> None:
    async def told() -> None:
        async with desk(store_url, tmp_path, packs=(), profile=profile_of(kyc="enforce")) as it:
            clock = held_clock(it, NoMeter())
            held = json.loads((await it.decisions.decide(ONE, key="h-1", application=HELD)).response)
            await clock.look()
            await it.service.decide(await it.review(UUID(held["decision_id"])), KEPT, by="Ben")
            it.clock[0] += timedelta(days=4)
            await clock.look()
            assert acts(it, HELD_LATE) == []

    asyncio.run(told())


def test_an_application_is_held_since_the_first_time_until_a_decision_on_it_is_another(store_url: str) -> None:
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    rows = [
        (1, "one", "A-1", "hold", None),
        (2, "one", "A-1", "hold", None),
        (3, "one", "A-2", "hold", None),
        (4, "two", "A-2", "approve", None),  # of another client
        (5, "one", "A-3", "hold", None),
        (6, "one", "A-3", "refer", None),
        (7, "one", None, "hold", None),
        (8, "one", "A-4", "hold", b"erased"),
        (9, "one", "A-5", "approve", None),
        (10, "one", "A-5", "hold", None),
    ]

    async def told() -> Held:
        pool = Pool(store_url)
        try:
            return await PostgresReviews(pool).held(Held(0, 0, None), before=noon + timedelta(hours=3))
        finally:
            await pool.close()

    with psycopg.connect(store_url) as connection:
        for hour, client, name, outcome, subject in rows:
            connection.execute(
                "INSERT INTO obligor.decision (decision_id, leaf_index, client_id, application_id, decided_at, outcome, band, "
                "score, subject) VALUES (%s, %s, %s, %s, %s, %s, '', 0, %s)",
                (uuid4(), hour, client, name, noon + timedelta(hours=hour), outcome, subject),
            )
        connection.execute("INSERT INTO obligor.erasure VALUES ('erased', %s)", (noon + timedelta(days=1),))
    # the one without a name and A-5; of those A-1 is held for longer
    assert asyncio.run(told()) == Held(4, 1, noon + timedelta(hours=1), [1, 2, 3, 7, 10], 11)


def test_a_hold_that_is_over_is_not_looked_at_again(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        connection.execute(
            "INSERT INTO obligor.decision "
            "(decision_id, leaf_index, client_id, application_id, decided_at, outcome, band, score) "
            "SELECT gen_random_uuid(), at, 'one', 'A-' || at / 2, now(), "
            "CASE at % 2 WHEN 0 THEN 'hold' ELSE 'refer' END, '', 0 FROM generate_series(0, 25000) AS log (at)"
        )
    pages: list[int] = []

    class Counting(PostgresReviews):
        async def held(self, known: Held, *, before: datetime) -> Held:
            with psycopg.connect(store_url) as connection:
                asked = {"before": before, "leaves": list(known.leaves), "next": known.next}
                pages.append(pages_read(connection, _HELD, asked))
            return await super().held(known, before=before)

    async def told() -> None:
        pool, meter = Pool(store_url), Readings()
        try:
            clock = HeldClock(
                Counting(pool),
                Quiet(),  # type: ignore[arg-type]  # it is asked nothing else
                within=timedelta(days=3),
                now=lambda: datetime.now(UTC),
                meter=meter,
                journal=NoJournal(),
            )
            await clock.look()
            assert (meter.found()[0], len(pages)) == (1, 3), "12,501 holds, of which one is not over, in two parts"
            pages.clear()
            await clock.look()
            assert meter.found()[0] == 1
            assert sum(pages) < 30
        finally:
            await pool.close()

    asyncio.run(told())


class Quiet:
    async def record(self, late: object) -> bool:
        return True


class Readings(NoMeter):
    def __init__(self) -> None:
        self.read: dict[str, Callable[[], float]] = {}

    def watch(self, reading: Any, read: Callable[[], float]) -> None:
        self.read[reading] = read

    def found(self) -> tuple[float, ...]:
        return tuple(self.read[it]() for it in ("held", "held_late", "held_oldest_seconds"))


class Journal:
    def __init__(self, *, keeps: bool = False) -> None:
        self.events: list[tuple[str, object]] = []
        self.keeps = keeps

    def tell(self, event: str, *, level: str = "info", **fields: object) -> None:
        self.events.append((event, fields.get("review_id", fields["decision_id"])))

    def failed(self, event: str, error: BaseException, *, level: str = "error", **fields: object) -> None:
        if not self.keeps:
            raise error
        self.events.append((event, fields["review_id"]))


class Counts(NoMeter):
    def watch(self, reading: Any, read: Callable[[], float]) -> None:
        self.read = read


def test_an_instant_of_another_zone_counts_by_its_day_in_utc(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        it.clock[0] = datetime.fromisoformat("2026-11-27T00:30:00+02:00").astimezone(UTC)
        assert (await it.asked(decision))["due_on"] == "2026-12-26"

    at_desk(story)


def test_without_a_pack_that_says_so_the_lender_answers_within_thirty_days(store_url: str, tmp_path: Path) -> None:
    async def told() -> None:
        async with desk(store_url, tmp_path, packs=("US-FED",)) as it:
            found = await it.asked(await it.declined())
            assert (found["due_on"], found["pack"]) == ("2026-12-26", None)

    asyncio.run(told())


def test_another_clients_decision_has_no_reviews_that_one_may_ask_for_or_see(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        for asked in (decision, uuid4()):
            with pytest.raises(NotFoundError, match="there is no such decision"):
                await it.asked(asked, caller=TWO)
            with pytest.raises(NotFoundError, match="there is no such decision"):
                await it.service.reviews(TWO, asked)
        with pytest.raises(ForbiddenError):
            await it.asked(decision, caller=Caller("lender-one", "k", frozenset({"read"}), LATER))
        with pytest.raises(NotFoundError, match="there is no such review"):
            await it.service.decide(uuid4(), KEPT, by="Ben")

    at_desk(story)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "statement"),
        (b'{"statement":"  "}', "statement"),
        (b'{"statement":7}', "statement"),
        (b'{"statement":"a\\u0000b"}', "statement"),
        (b'{"statement":"%b"}' % (b"x" * 8001), "statement"),
        (b'{"corrections":["CANARY"]}', "corrections"),
        (b'{"corrections":{"income":"CANARY"}}', "income"),
        (b'{"corrections":{"star_sign":"CANARY"}}', "star_sign"),
        (b'{"corrections":{"customer":"CANARY"}}', "corrections"),
        (b'{"statement":"CANARY","outcome":"approve"}', "outcome"),
        (b'{"statement":"CANARY","client_id":"lender-two"}', "client_id"),
        (b'{"statement":"CANARY","statement":"b"}', "statement"),
        (b"[]", "object"),
        (b"CANARY", "JSON"),
    ],
)
def test_a_request_that_cannot_be_read_names_the_field_and_never_what_it_says(
    at_desk: Stories, body: bytes, field: str
) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        with pytest.raises(ApplicationError) as caught:
            await it.service.request(ONE, key="r", decision_id=decision, body=body)
        told = f"{caught.value.message} {caught.value.problems}"
        assert field in told
        assert "CANARY" not in told
        assert await it.service.reviews(ONE, decision) == []

    at_desk(story)


def test_a_correction_to_what_the_contract_calls_impossible_is_refused(store_url: str, tmp_path: Path) -> None:
    async def told() -> None:
        async with desk(store_url, tmp_path, card=refusing(small_card())) as it:
            decision = await it.declined()
            with pytest.raises(ApplicationError, match="the field 'income': wanted at least 0"):
                await it.asked(decision, corrections={"income": -4711})
            assert await it.asked(decision, corrections={"income": 4711})

    asyncio.run(told())


def test_a_request_that_is_too_large_is_refused(at_desk: Stories) -> None:
    async def story(it: Desk) -> None:
        decision = await it.declined()
        with pytest.raises(TooLargeError):
            await it.service.request(ONE, key="r", decision_id=decision, body=b" " * (1 << 17))

    at_desk(story)


def test_rows_of_reviews_are_held_against_what_the_log_commits_to(at_desk: Stories, tmp_path: Path) -> None:
    async def story(it: Desk) -> None:
        review = await it.review(await it.declined())
        await it.service.decide(review, KEPT, by="Ben")
        key = Verifier(open_signing_key(tmp_path / "key.pem").verifier)

        def kinds() -> list[str]:
            with open_log(it.url) as source:
                return [str(each) for each in verify_log(source, signatures=key, progress=Silence()).findings]

        assert kinds() == []
        with psycopg.connect(as_owner(it.url), autocommit=True) as connection:
            connection.execute("UPDATE obligor.review_decision SET outcome = 'approve'")
            connection.execute("UPDATE obligor.review SET due_at = due_at + interval '1 day'")
        found = kinds()
        assert len(found) == 2
        assert "due_at is not what the record" in found[0]
        assert "outcome is not what the record" in found[1]
        with psycopg.connect(as_owner(it.url), autocommit=True) as connection:
            connection.execute("DELETE FROM obligor.review")
        assert any("no row of table review" in each for each in kinds())

    at_desk(story)


def test_of_a_review_is_told_what_came_of_it_and_nothing_of_who_answered() -> None:
    at, review, decision, new = datetime(2026, 11, 26, 23, 30, tzinfo=UTC), uuid4(), uuid4(), uuid4()
    due = datetime(2026, 12, 27, tzinfo=UTC)
    is_open = StoredReview(review, decision, "one", at, due, "GDPR", None, None, None, None, None)
    told = {
        "review_id": str(review),
        "decision_id": str(decision),
        "requested_at": "2026-11-26T23:30:00.000000Z",
        "due_on": "2026-12-26",
        "pack": "GDPR",
        "state": "open",
        "late": False,
        "told_late_at": None,
        "verdict": None,
        "outcome": None,
        "decided_at": None,
        "new_decision_id": None,
    }
    assert plain(is_open, at) == told
    decided = is_open._replace(
        pack="", verdict="changed", outcome="approve", decided_at=due, by="Ben", new_decision_id=new
    )
    assert plain(decided, at) == told | {
        "pack": None,
        "state": "decided",
        "late": True,
        "verdict": "changed",
        "outcome": "approve",
        "decided_at": "2026-12-27T00:00:00.000000Z",
        "new_decision_id": str(new),
    }


def test_a_period_ends_with_its_last_day() -> None:
    at = datetime(2026, 12, 27, tzinfo=UTC)
    review = StoredReview(uuid4(), uuid4(), "c", at, at, "", None, None, None, None, None)
    assert review.late(at)
    assert not review.late(at - timedelta(microseconds=1))

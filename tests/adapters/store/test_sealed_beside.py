"""What is kept beside decisions holds nothing of an applicant in the clear: reviews, events, keys of requests, secrets."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from tests.adapters.store.test_privacy import CANARY, House, at_work, everything, verified
from tests.lending import NOON, caller

from obligor.adapters.store.deliveries import PostgresDeliveries
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.reviews import PostgresReviews
from obligor.core.errors import ErasedError, GateError, SealError
from obligor.core.event_types import DECISION_MADE, DECISION_REVIEWED, EVENT_TYPES, PERSON_ERASED
from obligor.core.leaves import time_text
from obligor.serving.idempotency import request_saying
from obligor.serving.privacy import erasing
from obligor.serving.privacy.opening import Opener
from obligor.serving.reviews.review import Finding
from obligor.serving.reviews.reviewing import ReviewService
from obligor.serving.rows import WebhookRow
from obligor.serving.webhooks.endpoints import Webhooks
from obligor.serving.webhooks.secrets import Revealer, SecretKeeper

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

STATEMENT = "Statement-Canary-5512: I was ill that year"
CORRECTION = "Corrected-Canary-8841"
FACTOR = "Factor-Canary-1207: the income of the spouse was shown"
WHOLE_DAY = {"at": NOON, "until": NOON + timedelta(days=1)}


def _reviews(house: House, pool: Pool) -> ReviewService:
    lender = house.lender
    return ReviewService(
        decisions=house.service,
        register=house.register,
        archive=lender.archive,
        reviews=PostgresReviews(pool),
        recorder=lender.recorder,
        sources=lender.sources,
        listeners=lender.listeners,
    )


async def _asked(house: House, reviews: ReviewService, decision: str, **body: Any) -> UUID:
    who = replace(caller("bank"), scopes=frozenset({"report", "read"}))
    said = json.dumps(body).encode()
    recorded = await reviews.request(who, key=f"r-{decision}", decision_id=UUID(decision), body=said)
    return UUID(json.loads(recorded.response)["review_id"])


def test_what_is_written_in_a_review_is_sealed_told_to_the_person_and_forgotten_with_them(store_url: str) -> None:
    async def work(house: House) -> None:
        pool = Pool(store_url)
        try:
            reviews = _reviews(house, pool)
            answer = await house.decide()
            review = await _asked(house, reviews, answer["decision_id"], statement=STATEMENT)
            said = [answer["decision_id"], STATEMENT, {}]  # no hash is kept that a guess could be tried against
            bare = request_saying(caller("bank"), route="", key="k", said=said).payload_sha256
            kept = [it in everything(store_url) for it in (bare, house.sealer.keyring.fingerprint(bare))]
            assert kept == [False, True]
            await reviews.decide(review, Finding("decline", (FACTOR,)), by="Grace")
            subject = await house.subject(answer["decision_id"])
            told = await house.office.export(subject, opener=house.register.opener, words=house.register.words)
            asked, found = told["reviews"]
            assert asked["statement"] == STATEMENT
            assert found["factors"] == [{"code": "review", "text": FACTOR}]
            await house.erase(subject)
            after = (await house.office.export(subject, opener=house.register.opener, words=house.register.words))[
                "reviews"
            ]
            assert [(it["erased"], "statement" in it, "factors" in it) for it in after] == [(True, False, False)] * 2
        finally:
            await pool.close()

    at_work(store_url, work)
    found = everything(store_url)
    for canary in (STATEMENT, FACTOR, CANARY):
        assert canary.encode() not in found
    assert verified(store_url) == []


def test_a_correction_is_decided_again_and_after_erasure_only_the_reviewer_may_still_answer(store_url: str) -> None:
    async def work(house: House) -> None:
        pool = Pool(store_url)
        try:
            reviews = _reviews(house, pool)
            first, second = await house.decide(), await house.decide("Bob", key="k2")
            for decision in (first, second):
                await _asked(house, reviews, decision["decision_id"], statement=STATEMENT, corrections={"income": 5000})
            one, other = await reviews.waiting()
            again = await reviews.decide(one.review_id, Finding(None), by="Grace")
            assert again.new_decision_id is not None
            assert (await house.register.decision(caller("bank"), again.new_decision_id))["application_id"] == CANARY
            await house.erase(await house.subject(second["decision_id"]))
            with pytest.raises(ErasedError):
                await reviews.decide(other.review_id, Finding(None), by="Grace")
            assert (await reviews.decide(other.review_id, Finding("decline", (FACTOR,)), by="Grace")).verdict
        finally:
            await pool.close()

    at_work(store_url, work)
    assert STATEMENT.encode() not in everything(store_url)
    assert verified(store_url) == []


def test_the_clients_system_is_told_what_came_of_a_review_and_nothing_that_anybody_wrote(store_url: str) -> None:
    async def work(house: House) -> None:
        pool = Pool(store_url)
        try:
            reviews = _reviews(house, pool)
            first, second = await house.decide(), await house.decide("Bob", key="k2")
            ids = [
                await _asked(house, reviews, it["decision_id"], statement=STATEMENT, corrections={"income": 5000})
                for it in (first, second)
            ]
            house.lender.listeners.take(
                [WebhookRow("e", "bank", "https://a.example", (DECISION_REVIEWED,), "active", b"", None, None, NOON)]
            )
            with psycopg.connect(store_url) as connection:
                connection.execute(
                    "INSERT INTO obligor.webhook_endpoint (endpoint_id, client_id, url, event_types, state, secret, "
                    "created_at, leaf_index) VALUES ('e', 'bank', 'https://a.example', %s, 'active', '', now(), 0)",
                    ([DECISION_REVIEWED],),
                )
            found = [
                await reviews.decide(ids[0], Finding("approve", (FACTOR,)), by="Grace"),
                await reviews.decide(ids[1], Finding(None), by="Grace"),
            ]
        finally:
            await pool.close()
        with psycopg.connect(store_url) as connection:
            told = connection.execute(
                "SELECT convert_from(payload, 'UTF8')::json, application_id FROM obligor.outbox ORDER BY leaf_index"
            ).fetchall()
        assert [payload["application_id"] for payload, _ in told] == [name for _, name in told]
        assert [{name: it for name, it in payload.items() if name != "application_id"} for payload, _ in told] == [
            {
                "review_id": str(it.review_id),
                "decision_id": str(it.decision_id),
                "verdict": it.verdict,
                "outcome": it.outcome,
                "decided_at": time_text(it.decided_at or NOON),
                "new_decision_id": None if it.new_decision_id is None else str(it.new_decision_id),
            }
            for it in found
        ]

    at_work(store_url, work)
    for canary in (STATEMENT, FACTOR, CANARY):
        assert canary.encode() not in everything(store_url)


def test_the_idempotency_key_of_a_client_is_not_kept_and_is_known_again(store_url: str) -> None:
    async def work(house: House) -> None:
        first, again = await house.decide(key="Key-Canary-33"), await house.decide(key="Key-Canary-33")
        assert first == again

    at_work(store_url, work)
    assert b"Key-Canary-33" not in everything(store_url)
    assert verified(store_url) == []


async def _endpoint(house: House) -> tuple[WebhookRow, bytes]:
    lender = house.lender
    webhooks = Webhooks(lender.recorder, lender.sources, lambda _: None, "ada", SecretKeeper(house.sealer))
    row, secret = await webhooks.add("bank", "https://los.example/hook", event_types=EVENT_TYPES)
    lender.listeners.take([row])
    return row, secret


def _revealer(house: House) -> Revealer:
    opener = Opener(house.sealer, house.lender.recorder, house.lender.sources)
    return Revealer(SecretKeeper(house.sealer), house.lender.archive, opener)


def test_a_secret_that_signs_is_sealed_for_its_endpoint_alone(store_url: str) -> None:
    secrets = []

    async def work(house: House) -> None:
        (one, secret), (other, _) = await _endpoint(house), await _endpoint(house)
        secrets.append(secret)
        reveals = _revealer(house)
        assert await reveals.secret(one.secret, of=one.endpoint_id) == secret
        assert await reveals.secret(secret, of=one.endpoint_id) == secret  # as it was kept before secrets were sealed
        for kept, name in ((other.secret, one.endpoint_id), (one.secret[:-1], one.endpoint_id), (b"", one.endpoint_id)):
            with pytest.raises(SealError):
                await reveals.secret(kept, of=name)

    at_work(store_url, work)
    assert secrets[0] not in everything(store_url)
    assert secrets[0].hex().encode() not in everything(store_url)
    assert verified(store_url) == []


def test_an_event_is_kept_without_the_name_and_sent_with_it_until_the_person_is_erased(store_url: str) -> None:
    async def work(house: House) -> None:
        pool = Pool(store_url)
        try:
            row, _ = await _endpoint(house)
            answer = await house.decide()
            await house.lender.report(answer["decision_id"])
            deliveries, reveals = PostgresDeliveries(pool), _revealer(house)
            later = house.lender.sources.now() + timedelta(hours=1)
            seen = []
            async for due in _claimed(deliveries, row, later):
                (payload,) = await reveals.payloads([due])
                assert isinstance(payload, bytes)
                seen.append((due.type, json.loads(payload).get("application_id")))
                await deliveries.delivered(due.endpoint_id, [due.event_id], status=200, at=later)
                if due.type == DECISION_MADE:
                    await house.erase(await house.subject(answer["decision_id"]))
            assert seen == [(DECISION_MADE, CANARY), ("outcome.reported", None), (PERSON_ERASED, None)]
        finally:
            await pool.close()

    at_work(store_url, work)
    assert CANARY.encode() not in everything(store_url)
    assert verified(store_url) == []


@pytest.mark.parametrize("at_once", [500, 1])
def test_clients_whose_systems_listen_are_told_whose_decisions_were_erased_and_nothing_that_names_anybody(
    store_url: str, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(erasing, "_TOLD_AT_ONCE", at_once)

    async def work(house: House) -> None:
        row, _ = await _endpoint(house)
        mine = [(await house.decide(key=f"k{number}"))["decision_id"] for number in range(2)]
        await house.decide("Bob", key="k3")
        await house.decide(key="k4", client="broker")
        subject = await house.subject(mine[0])
        await house.office.hold(subject, because="case 7")
        with pytest.raises(GateError):
            await house.erase(subject)
        assert _told_of_erasures(store_url) == []
        await house.office.release(await house.office.standing(subject))
        certificate = await house.erase(subject)
        await house.erase(subject)  # once more gives the certificate again, and tells nobody
        told = [json.loads(it) for it in _told_of_erasures(store_url)]
        assert [it["erased_at"] for it in told] == [certificate["erased_at"]] * len(told)
        assert [it["decision_ids"] for it in told] == ([mine] if at_once > 1 else [[it] for it in mine])
        assert all(it.keys() == {"decision_ids", "erased_at"} for it in told)
        claimed = [it async for it in _claimed(PostgresDeliveries(house.pool), row, NOON + timedelta(days=9))]
        assert [it.type for it in claimed].count(PERSON_ERASED) == len(told)

    at_work(store_url, work)
    assert CANARY.encode() not in everything(store_url)
    assert verified(store_url) == []


def _told_of_erasures(url: str) -> list[bytes]:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT payload FROM obligor.outbox WHERE type = %s ORDER BY leaf_index", (PERSON_ERASED,)
        )
        return [payload for (payload,) in found]


_BROKEN = """
    UPDATE obligor.record SET body = convert_to(replace(convert_from(body, 'UTF8'), '"sealed":"', '"sealed":"AAAA'), 'UTF8')
    FROM obligor.decision WHERE record.leaf_index = decision.leaf_index AND decision_id = %(id)s
"""
_LOST = "DELETE FROM obligor.decision WHERE decision_id = %(id)s"
_ODD = "UPDATE obligor.outbox SET payload = '[]' WHERE convert_from(payload, 'UTF8') LIKE '%%' || %(id)s || '%%'"


def test_an_event_that_cannot_be_opened_keeps_none_of_those_beside_it_from_being_told(store_url: str) -> None:
    async def work(house: House) -> None:
        pool = Pool(store_url)
        try:
            row, _ = await _endpoint(house)
            whole, broken, lost, odd = [await house.decide(name, key=name) for name in ("Ann", "Bob", "Cid", "Dee")]
            with psycopg.connect(store_url, autocommit=True) as owner:
                for table in ("record", "decision", "outbox"):
                    owner.execute(f"ALTER TABLE obligor.{table} DISABLE TRIGGER ALL".encode())
                for change, decision in ((_BROKEN, broken), (_LOST, lost), (_ODD, odd)):
                    owner.execute(change.encode(), {"id": decision["decision_id"]})
            later = house.lender.sources.now() + timedelta(hours=1)
            due = await PostgresDeliveries(pool).claim(row.endpoint_id, 8, at=later, until=later)
            given = await _revealer(house).payloads(due)
            told = [json.loads(it)["decision_id"] for it in given if isinstance(it, bytes)]
            assert told == [whole["decision_id"]]
            kinds = sorted(type(it).__name__ for it in given if not isinstance(it, bytes))
            assert kinds == ["IntegrityError", "IntegrityError", "SealError"]
        finally:
            await pool.close()

    at_work(store_url, work)


async def _claimed(deliveries: PostgresDeliveries, row: WebhookRow, later: Any) -> AsyncIterator[Any]:
    while found := await deliveries.claim(row.endpoint_id, 1, at=later, until=later + timedelta(minutes=1)):
        yield found[0]


def test_where_nothing_is_personal_nothing_is_sealed(store_url: str) -> None:
    async def work(house: House) -> None:
        assert house.sealer._held == {}
        personal = house.service.release.personal
        assert personal.any
        object.__setattr__(house.service.release, "personal", replace(personal, any=False))
        try:
            await house.lender.decide(1)
            assert house.sealer._held == {}
        finally:
            object.__setattr__(house.service.release, "personal", personal)

    at_work(store_url, work)
    assert b"obligor/decision/1" in everything(store_url)
    assert verified(store_url) == []


def test_nothing_waits_for_a_key_that_is_known_to_be_kept(store_url: str) -> None:
    """A key goes with the first record of a subject, and not with the next."""

    async def work(house: House) -> None:
        for at in range(3):
            await house.decide(key=f"k{at}")
        (held,) = house.sealer._held.values()
        assert held.row is None

    at_work(store_url, work)

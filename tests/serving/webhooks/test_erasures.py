"""An erasure reaches the systems of clients over HTTP: signed, in its turn, as often as it takes, and with ids alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from tests.adapters.store.test_privacy import CANARY, House, at_work, verified
from tests.adapters.store.test_sealed_beside import _revealer
from tests.serving.los import say
from tests.serving.webhooks.endpoints import Counts

from obligor.adapters.store.deliveries import PostgresDeliveries
from obligor.adapters.webhooks import WebhookSender
from obligor.core.event_types import DECISION_MADE, PERSON_ERASED
from obligor.security.webhooks import verifier_text
from obligor.serving.webhooks.delivering import Delivering
from obligor.serving.webhooks.endpoints import Webhooks
from obligor.serving.webhooks.secrets import SecretKeeper

if TYPE_CHECKING:
    from tests.serving.los import Los


async def listening(house: House, los: Los, client: str, *events: str) -> None:
    """Let a client's system listen."""
    lender = house.lender
    webhooks = Webhooks(lender.recorder, lender.sources, lambda _: None, "ada", SecretKeeper(house.sealer))
    row, secret = await webhooks.add(client, los.url, event_types=events)
    los.secret = verifier_text(secret)
    lender.listeners.take([row])


async def deliver(house: House, counts: Counts, *, rounds: int) -> None:
    """Deliver what is due, and what is half a minute after each round; the receiver takes no message of another day."""
    sender, late = WebhookSender(production=False, patience_s=5.0), timedelta()
    delivering = Delivering(
        store=PostgresDeliveries(house.pool),
        sender=sender,
        clock=lambda: datetime.now(UTC) + late,
        chance=lambda: 0.0,
        meter=counts,
        gone=lambda _: house.pool.close(),
        reveals=_revealer(house),
    )
    try:
        for _ in range(rounds):
            await delivering.round()
            await delivering.settle()
            late += timedelta(seconds=30)
    finally:
        await delivering.close()
        await sender.close()


def test_an_erasure_reaches_the_client_signed_after_a_failure_with_the_same_bytes_and_ids_alone(
    store_url: str, los: Los
) -> None:
    counts = Counts()

    async def work(house: House) -> None:
        await listening(house, los, "bank", DECISION_MADE, PERSON_ERASED)
        mine = [(await house.decide(key=f"k{number}"))["decision_id"] for number in range(2)]
        await house.decide("Bob", key="k3")
        await house.decide(key="k4", client="broker")
        subject = await house.subject(mine[0])
        await deliver(house, counts, rounds=4)
        assert [it["type"] for it in los.came] == [DECISION_MADE] * 3
        certificate = await house.erase(subject)
        assert await house.office.not_told(subject) == ["broker"]
        los.answers[:] = [say(503), say(500)]
        await deliver(house, counts, rounds=4)
        tries = list(zip(los.headers[3:], los.bodies[3:], strict=True))
        assert len(tries) == 3
        assert {(headers["webhook-id"], body) for headers, body in tries} == {(tries[0][0]["webhook-id"], tries[0][1])}
        (message,) = {json.dumps(it): it for it in los.came[3:]}.values()
        assert list(message) == ["type", "timestamp", "sequence", "data"]
        assert (message["type"], message["sequence"]) == (PERSON_ERASED, 1)
        assert message["data"] == {"decision_ids": mine, "erased_at": certificate["erased_at"]}
        assert all(str(UUID(it)) == it for it in message["data"]["decision_ids"])
        for word in (CANARY, "Bob", subject.hex(), "broker"):
            assert word.encode() not in tries[0][1]

    at_work(store_url, work)
    assert (los.refused, counts.results[-3:]) == (0, ["failed", "failed", "delivered"])
    assert verified(store_url) == []


def test_what_a_client_was_not_yet_told_of_a_person_comes_before_their_erasure_and_without_their_name(
    store_url: str, los: Los
) -> None:
    async def work(house: House) -> None:
        await listening(house, los, "bank", DECISION_MADE, PERSON_ERASED)
        decision = (await house.decide())["decision_id"]
        await house.erase(await house.subject(decision))
        await deliver(house, Counts(), rounds=2)
        assert [(it["type"], CANARY in json.dumps(it)) for it in los.came] == [
            (DECISION_MADE, False),
            (PERSON_ERASED, False),
        ]

    at_work(store_url, work)
    assert los.refused == 0


def test_who_listens_to_other_events_is_not_told_and_whoever_erases_sees_it(store_url: str, los: Los) -> None:
    async def work(house: House) -> None:
        await listening(house, los, "bank", DECISION_MADE)
        subject = await house.subject((await house.decide())["decision_id"])
        await house.erase(subject)
        assert await house.office.not_told(subject) == ["bank"]
        await deliver(house, Counts(), rounds=2)
        assert [it["type"] for it in los.came] == [DECISION_MADE]

    at_work(store_url, work)
    assert los.refused == 0

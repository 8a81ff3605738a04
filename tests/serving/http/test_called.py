"""The client that Obligor ships and the REST door understand each other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.serving.http.fakes import PLAIN, house
from tests.serving.http.serving import run, served

from obligor.client import (
    AsyncClient,
    Decision,
    InvalidRequestError,
    KeyReusedError,
    NotFoundError,
    Problem,
    UnauthenticatedError,
)


def test_the_client_decides_finds_explains_and_reports() -> None:
    async def main() -> None:
        of = house()
        async with served(of.app, seats=of.door.seats) as server:
            url = f"http://127.0.0.1:{server.port}"
            async with AsyncClient(url, "one") as client, AsyncClient(url, "two") as other:
                made = await client.decide(PLAIN, idempotency_key="k")
                again = await client.decide(PLAIN, idempotency_key="k")
                assert (made.replayed, again.replayed) == (False, True)
                assert made.decision_id == again.decision_id
                assert (await client.decision(made.decision_id)).score == made.score
                assert (await client.simulate(PLAIN)).outcome == made.outcome
                found, refused = await client.decide_many([PLAIN, PLAIN | {"owner": "yes"}])
                assert isinstance(found, Decision)
                assert isinstance(refused, Problem)
                assert refused.errors[0].field == "/owner"
                since = datetime.now(UTC) - timedelta(days=1)
                found_again = [it async for it in client.search(application_id="A-17", since=since)]
                assert [it.outcome for it in found_again if isinstance(it, Decision)] == ["decline"] * 2
                assert (await client.explanation(made.decision_id))["contributions"]
                assert await client.receipt(made.decision_id)
                told = await client.report_outcome(made.decision_id, status="good", observed_on=made.decided_at.date())
                assert told.status == "good"
                assert (await client.health()).ready
                with pytest.raises(KeyReusedError):
                    await client.decide(PLAIN | {"income": 1}, idempotency_key="k")
                with pytest.raises(InvalidRequestError) as caught:
                    await client.decide({"income": "4711"})
                assert "/income" in {it.field for it in caught.value.problem.errors}
                with pytest.raises(NotFoundError):
                    await other.decision(made.decision_id)
            async with AsyncClient(url, "nobody") as client:
                with pytest.raises(UnauthenticatedError):
                    await client.decide(PLAIN)

    run(main())

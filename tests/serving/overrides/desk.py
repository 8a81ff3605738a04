"""A lender whose policy delegates authority, over a store of its own, with people and a clock that a test may turn."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from tests.lending import NOON, Lender, lending, person
from tests.serving import golden_decisions as golden

from obligor.adapters.store.overrides import PostgresOverrides
from obligor.adapters.store.people import PostgresPeople
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.proposals import PostgresProposals
from obligor.adapters.store.reviews import PostgresReviews
from obligor.core.policy import Policy, parse_policy
from obligor.serving.overrides.overriding import OverrideService
from obligor.serving.people.proposals import Proposals
from obligor.serving.releases.release import Release, compile_release
from obligor.serving.reviews.reviewing import ReviewService
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from obligor.core.profile import Profile
    from obligor.serving.acts import Caller, Recorded

AUTHORITY: Final[dict[str, Any]] = {
    "reasons": {
        "compensating": "Strengths that the card does not count",
        "outside": "What the application does not say",
    },
    "limits": {"analyst": {"amount": 2000.0, "pd": 0.5}, "senior_officer": {"amount": 3700.0, "pd": 0.5}},
    "amount": "amount",
    "approved_for_days": 30,
}
CANARY: Final = "CANARY-6120 she showed me a second payslip"
FACTOR: Final = "CANARY-6121 Time with the employer"
BEN, SUE, KIM = person("ben", "analyst"), person("sue", "senior_officer"), person("kim", "senior_officer")
APPLICATIONS: Final = golden.applications(60)
APPROVED, REFERRED, BELOW, DECLINED = 0, 3, 39, 8
"""Which of the applications is approved, is referred with a score from the cut-off on, is referred with one below it (and an
amount beyond an analyst's limit), and is declined by its score (beyond everybody's limit)."""
KNOCKED_OUT, BEYOND = 9, 49


def policy_with(authority: dict[str, Any] | None = AUTHORITY) -> Policy:
    """Give the golden policy with an authority."""
    policy = golden.policy_of(golden.whole_card())
    said = json.loads(policy.to_json())
    return policy if authority is None else parse_policy(json.dumps(said | {"authority": authority}).encode())


def release_with(authority: dict[str, Any] | None = AUTHORITY, *, profile: Profile | None = None) -> Release:
    """Give a release whose policy has an authority; every gate is off."""
    said = {
        "card": golden.whole_card(),
        "policy": policy_with(authority),
        "profile": profile or golden.profile_of("off"),
    }
    return compile_release(7, **said)


@dataclass
class Desk:
    """A lender, and the use cases of overrides and reviews."""

    url: str
    lender: Lender
    pool: Pool
    clock: list[datetime]

    def __post_init__(self) -> None:
        lender = self.lender
        self.reviews, self.overrides = PostgresReviews(self.pool), PostgresOverrides(self.pool)
        self.people = PostgresPeople(self.pool)
        self.proposals = Proposals(PostgresProposals(self.pool), self.people, lender.recorder, lender.sources)
        self.service = self.served()
        self.reviewing = ReviewService(
            decisions=lender.service,
            register=lender.register,
            archive=lender.archive,
            reviews=self.reviews,
            recorder=lender.recorder,
            sources=lender.sources,
        )

    def served(self, **more: Any) -> OverrideService:
        parts: dict[str, Any] = {
            "register": self.lender.register,
            "releases": self.lender.register._releases,
            "answers": self.lender.archive,
            "overrides": self.overrides,
            "reviews": self.reviews,
            "proposals": self.proposals,
            "meter": NoMeter(),
            "listeners": self.lender.listeners,
        }
        return OverrideService(**(parts | more))

    async def decided(self, which: int = REFERRED, *, client: str = "bank") -> UUID:
        key = f"{client}-{which}"
        answer = await self.lender.decide_one(APPLICATIONS[which], client=client, key=key)
        return UUID(answer["decision_id"])

    async def override(
        self, decision: UUID, outcome: str = "approve", *, by: Caller = BEN, key: str = "o-1", **more: Any
    ) -> Recorded:
        said = {"outcome": outcome, "reason": "compensating", "rationale": CANARY, "factors": [FACTOR]} | more
        return await self.service.decide(by, key=key, decision_id=decision, body=json.dumps(said).encode())

    async def told(self, decision: UUID, outcome: str = "approve", **more: Any) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((await self.override(decision, outcome, **more)).response)
        return told

    async def agree(self, proposal_id: str, by: Caller = SUE) -> None:
        from obligor.security.permissions import allow_person

        async def naming(permission: str) -> Caller:
            allow_person(by, permission)
            return by

        await self.proposals.agree(proposal_id, naming=naming)

    async def asked_for_review(self, decision: UUID, **body: Any) -> UUID:
        from tests.lending import caller

        said = json.dumps(body or {"statement": "Look again"}).encode()
        recorded = await self.reviewing.request(caller("bank"), key="r-1", decision_id=decision, body=said)
        return UUID(json.loads(recorded.response)["review_id"])


@asynccontextmanager
async def desk(url: str, made: Release | None = None, **more: Any) -> AsyncIterator[Desk]:
    clock, pool = [NOON], Pool(url)

    def now() -> datetime:
        clock[0] += timedelta(milliseconds=1)
        return clock[0]

    try:
        async with lending(url, made=made or release_with(), clock=now, **more) as lender:
            yield Desk(url, lender, pool, clock)
    finally:
        await pool.close()


def at_desk(url: str, story: Callable[[Desk], Awaitable[None]], made: Release | None = None, **more: Any) -> None:
    """Run a story at a new desk."""

    async def told() -> None:
        async with desk(url, made, **more) as it:
            await story(it)

    asyncio.run(told())

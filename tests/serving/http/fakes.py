"""A whole service in memory: fakes of our own ports, and the real use case on a small card."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from msgspec import structs
from tests.core.test_scorer import CARD
from tests.keyrings import a_keyring
from tests.lending import KEY

from obligor.core.clauses import Economics
from obligor.core.errors import (
    InFlightError,
    KeyReusedError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from obligor.core.leaves import Leaf, commitment
from obligor.core.policy import Evidence, Policy, Threshold
from obligor.core.profile import EVERYTHING_OFF
from obligor.security.permissions import areas_of
from obligor.serving.actions.recording import ActionService
from obligor.serving.acts import Caller, Recorded, Request
from obligor.serving.administering import Administration
from obligor.serving.archive import Link, Links, StoredDecision, StoredRelease
from obligor.serving.audit.acts import Page
from obligor.serving.deciding import DecisionService
from obligor.serving.gates.gate import NO_GATES
from obligor.serving.http import Door, Seats, make_app
from obligor.serving.last_word import LastWord
from obligor.serving.overrides.overriding import OverrideService
from obligor.serving.people.access import Person
from obligor.serving.people.authenticating import NOBODY, Sender
from obligor.serving.people.keys import KeyDesk
from obligor.serving.people.proposals import Proposals
from obligor.serving.privacy.erasing import Office
from obligor.serving.privacy.orders import PrivacyDesk
from obligor.serving.privacy.sealed import Sealer
from obligor.serving.probing import Probing
from obligor.serving.register import Register
from obligor.serving.releases.profile_changes import Changing
from obligor.serving.releases.release import Releases, compile_release
from obligor.serving.revealing import RevealService
from obligor.serving.reviews.review import StoredReview
from obligor.serving.reviews.reviewing import ReviewService
from obligor.serving.rows import (
    ActionRow,
    ApiKeyRow,
    DecisionRow,
    OutboxRow,
    OutcomeRow,
    OverrideRow,
    ProfileChangeRow,
    ProposalRow,
    ReviewDecisionRow,
    ReviewRow,
    UserRoleRow,
    UserRow,
)
from obligor.serving.screening.desk import AlertDesk
from obligor.serving.screening.disbursing import Disbursing
from obligor.serving.screening.reports import YearlyReports
from obligor.serving.sources import live_sources
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import ProbingSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from obligor.serving.acts import Act, Recorder, Submission
    from obligor.serving.archive import Search, StoredSubjectKey
    from obligor.serving.audit.acts import Span
    from obligor.serving.gates.gate import Gate
    from obligor.serving.releases.release import Release
    from obligor.serving.rows import Row, YearlyReportRow
    from obligor.serving.screening.alert_steps import StoredAlert
    from obligor.serving.webhooks.events import Listeners

PLAIN: dict[str, Any] = {
    "income": 1500,
    "amount": 3000.0,
    "purpose": "CAR ",
    "owner": True,
    "applied_on": "2024-05-01",
    "customer": "A-17",
    "bureau": [{"at": "2024-04-30", "balance": 5}],
}
BODY = json.dumps(PLAIN).encode()
OWN = frozenset({"decide", "simulate", "read", "report"})
LATER = datetime(2100, 1, 1, tzinfo=UTC)
KEYS = {
    "one": Caller("lender-one", "k1", OWN, LATER),
    "two": Caller("lender-two", "k2", OWN, LATER),
    "auditor": Caller("auditor", "k3", frozenset({"read", "audit"}), LATER),
    "scraper": Caller("prometheus", "k4", frozenset({"metrics"}), LATER),
    "all": Caller("everything", "k5", OWN | {"audit", "metrics"}, LATER),
}


def small_card() -> Any:
    """The card of the scorer's tests, with what reasons need."""
    told = tuple(
        it.model_copy(
            update={
                "reference": max(row.points for row in it.bins),
                "reason": f"{it.feature} speaks against you",
                "reason_missing": f"{it.feature} is not known",
                "changeable": it.feature == "income",
            }
        )
        for it in CARD.characteristics
    )
    return CARD.model_copy(update={"characteristics": told})


def small_release(number: int = 1, *, card: Any = None, grey: int = 0) -> Release:
    card = card or small_card()
    evidence = Evidence(rows=0, bads=0, approval_rate=None, npl_rate=None, profit=0.0, expected_profit=0.0)
    policy = Policy(
        name=card.name,
        card_sha256=card.sha256,
        economics=Economics(),
        bands=card.bands,
        cutoff=Threshold(cutoff=card.cutoff.score, chosen_by="profit", evidence=evidence),
        grey=grey,
    )
    return compile_release(number, card=card, policy=policy, profile=EVERYTHING_OFF)


@dataclass
class MemoryStore:
    """Keeps what is recorded in lists; ``down`` makes it fail, ``hold`` makes it wait."""

    leaves: list[str] = field(default_factory=list)
    records: list[bytes] = field(default_factory=list)
    kept: list[StoredDecision] = field(default_factory=list)
    rows: list[DecisionRow] = field(default_factory=list)
    reports: list[OutcomeRow] = field(default_factory=list)
    told: list[OutboxRow] = field(default_factory=list)
    asked: list[tuple[ReviewRow, bytes]] = field(default_factory=list)
    found: dict[UUID, ReviewDecisionRow] = field(default_factory=dict)
    overridden: dict[UUID, OverrideRow] = field(default_factory=dict)
    done: list[ActionRow] = field(default_factory=list)
    answered: dict[tuple[str, str, str], tuple[bytes, Recorded]] = field(default_factory=dict)
    in_flight: set[tuple[str, str, str]] = field(default_factory=set)
    users: dict[str, UserRow] = field(default_factory=dict)
    roles: dict[tuple[str, str], UserRoleRow] = field(default_factory=dict)
    steps: list[ProfileChangeRow] = field(default_factory=list)
    proposed: list[ProposalRow] = field(default_factory=list)
    artefacts: dict[str, bytes] = field(default_factory=dict)
    keys_made: dict[str, ApiKeyRow] = field(default_factory=dict)
    subjects_known: set[bytes] = field(default_factory=set)
    held: set[bytes] = field(default_factory=set)
    in_force: StoredRelease | None = None
    down: bool = False
    closed: bool = False
    """Whether it records nothing, and answers all the same."""
    hold: asyncio.Event | None = None

    async def record(self, submission: Submission) -> Recorded:
        self._check()
        if self.closed:
            raise UnavailableError("the audit log cannot be written")
        request = submission.request
        if request is None:
            return self._keep(submission)
        named = (request.client_id, request.route, request.key)
        if named in self.answered:
            payload, recorded = self.answered[named]
            if payload != request.payload_sha256:
                raise KeyReusedError("this Idempotency-Key belongs to another request")
            return structs.replace(recorded, replayed=True)
        if named in self.in_flight:
            raise InFlightError("a request with this Idempotency-Key is being recorded")
        self.in_flight.add(named)
        try:
            if self.hold is not None:
                await self.hold.wait()
            recorded = self._keep(submission)
        finally:
            self.in_flight.discard(named)
        self.answered[named] = (request.payload_sha256, recorded)
        return recorded

    def submit(self, submission: Submission) -> asyncio.Future[Recorded]:
        return asyncio.ensure_future(self.record(submission))

    def drop(self, recorded: asyncio.Future[Recorded]) -> None:
        recorded.cancel()

    def expect(self, come: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(come)

    def _keep(self, submission: Submission) -> Recorded:
        first = len(self.leaves)
        response = submission.respond(first)
        for act in submission.acts:
            self.leaves.append(act.kind)
            self.records.append(act.record)
            for row in act.rows:
                self._keep_row(row, act)
            self.overridden |= {it.decision_id: it for it in act.rows if isinstance(it, OverrideRow)}
            self.done += [it for it in act.rows if isinstance(it, ActionRow)]
        return Recorded(response, submission.status, replayed=False, leaf_index=first)

    def _keep_row(self, row: Row, act: Act) -> None:
        match row:
            case DecisionRow():
                at = len(self.leaves) - 1
                self.rows.append(row)
                leaf = Leaf(act.at, act.by, act.kind, act.subject, commitment(act.record, act.salt)).body()
                self.kept.append(StoredDecision(row.decision_id, row.client_id, at, leaf, act.record, act.salt))
            case OutboxRow():
                self.told.append(row)
            case OutcomeRow():
                self.reports.append(row)
            case ReviewRow():
                self.asked.append((row, act.record))
            case ReviewDecisionRow():
                self.found[row.review_id] = row
            case UserRow():
                self.users[row.user_id] = row
            case UserRoleRow():
                self.roles[row.user_id, row.role] = row
            case ProposalRow():
                self.proposed.append(row)
            case ProfileChangeRow():
                self.steps.insert(0, row)
                self.artefacts |= {it.sha256: it.body for it in row.artefacts}

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        self._check()
        found = next((it for it in self.kept if it.decision_id == decision_id), None)
        return None if found is None or client_id not in (None, found.client_id) else found

    async def search(self, search: Search) -> tuple[StoredDecision, ...]:
        self._check()
        wanted = {"client_id": search.client_id, "application_id": search.application_id}
        wanted |= {"outcome": search.outcome, "band": search.band}
        words = await self.last_words([it.decision_id for it in self.kept])
        found = [
            stored
            for stored, row in zip(self.kept, self.rows, strict=True)
            if search.stands in (None, getattr(words.get(row.decision_id), "outcome", row.outcome))
            and all(value is None or getattr(row, name) == value for name, value in wanted.items())
            and (search.since is None or row.decided_at >= search.since)
            and (search.until is None or row.decided_at < search.until)
            and (search.before is None or stored.leaf_index < search.before)
        ]
        return tuple(reversed(found))[: search.limit]

    async def outcomes(self, decision_id: UUID, *, client_id: str | None = None) -> tuple[OutcomeRow, ...]:
        self._check()
        return tuple(it for it in self.reports if it.decision_id == decision_id)

    async def links(self, stored: StoredDecision) -> Links:
        self._check()
        mine = self.rows[self.kept.index(stored)]
        earlier = [it for it in self.rows if it.application_id == mine.application_id and it is not mine]
        return Links(True, tuple(Link(it.decision_id, "repeated", earlier=True, at=it.decided_at) for it in earlier))

    async def artefact(self, sha256: str) -> bytes | None:
        self._check()
        return self.artefacts.get(sha256)

    async def release(self) -> StoredRelease | None:
        self._check()
        return self.in_force

    async def person(self, user_id: str) -> Person | None:
        self._check()
        user = self.users.get(user_id)
        return user and Person(user, tuple(it for it in self.roles.values() if it.user_id == user_id))

    async def people(self) -> tuple[Person, ...]:
        self._check()
        found = [await self.person(it) for it in sorted(self.users)]
        return tuple(it for it in found if it is not None)

    async def ever(self, role: str) -> int:
        return 2

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        self._check()
        return self.keys_made.get(key_id)

    async def api_keys(self) -> tuple[ApiKeyRow, ...]:
        self._check()
        return tuple(self.keys_made.values())

    async def standing(self, subject: bytes) -> dict[str, Any]:
        self._check()
        standing = {"decisions": int(subject in self.subjects_known), "latest": None, "keys": 1, "erased_at": None}
        return standing | {"held_because": "case 6" if subject in self.held else None, "held_since": None}

    async def concerned(self, subject: bytes) -> tuple[()]:
        self._check()
        return ()

    async def subject_of(self, decision_id: UUID) -> bytes | None:
        return None

    async def subjects(self, tag: str) -> tuple[bytes, ...]:
        self._check()
        return ()

    async def decisions(self, subject: bytes) -> tuple[StoredDecision, ...]:
        self._check()
        return ()

    async def reviews(self, subject: bytes) -> tuple[bytes, ...]:
        self._check()
        return ()

    async def subject_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, StoredSubjectKey]:
        self._check()
        return {}

    async def steps_of(self, proposal_id: str) -> tuple[ProposalRow, ...]:
        self._check()
        return tuple(it for it in self.proposed if it.proposal_id == proposal_id)

    async def steps_after(self, at: datetime) -> tuple[ProposalRow, ...]:
        self._check()
        return tuple(it for it in self.proposed if it.expires_at > at)

    async def changes(self) -> tuple[ProfileChangeRow, ...]:
        self._check()
        return tuple(self.steps)

    async def answer(self, request: Request) -> tuple[bytes, Recorded] | None:
        self._check()
        return self.answered.get((request.client_id, request.route, request.key))

    async def review(self, review_id: UUID) -> StoredReview | None:
        self._check()
        return next((it for it in self._reviews() if it.review_id == review_id), None)

    async def reviews_of(self, decision_id: UUID) -> tuple[StoredReview, ...]:
        self._check()
        return tuple(it for it in self._reviews() if it.decision_id == decision_id)

    async def open_reviews(self) -> tuple[StoredReview, ...]:
        self._check()
        return tuple(sorted((it for it in self._reviews() if it.verdict is None), key=lambda it: it.due_at))

    async def request_of(self, review_id: UUID) -> bytes | None:
        self._check()
        return next((record for row, record in self.asked if row.review_id == review_id), None)

    async def decision_of(self, review_id: UUID) -> bytes | None:
        return None

    async def took_part(self, decision_id: UUID, *, release: int) -> tuple[str, ...]:
        return ("Ada",)

    async def override_of(self, decision_id: UUID) -> OverrideRow | None:
        self._check()
        return self.overridden.get(decision_id)

    async def actions_of(self, decision_id: UUID) -> tuple[ActionRow, ...]:
        self._check()
        return tuple(it for it in self.done if it.decision_id == decision_id)

    async def last_words(self, decision_ids: Sequence[UUID]) -> dict[UUID, LastWord]:
        self._check()
        reviews = {it.decision_id: it for it in self._reviews() if it.outcome is not None and it.decided_at is not None}
        found = {
            it.decision_id: LastWord(it.decision_id, "override", it.outcome, it.decided_at, it.expires_at, None)
            for it in self.overridden.values()
        } | {
            name: LastWord(name, "review", it.outcome or "", it.decided_at or LATER, None, it.new_decision_id)
            for name, it in reviews.items()
        }
        return {it: found[it] for it in decision_ids if it in found}

    def _reviews(self) -> Iterator[StoredReview]:
        for row, _ in self.asked:
            done = self.found.get(row.review_id)
            came = (
                (None,) * 5
                if done is None
                else (done.verdict, done.outcome, done.decided_at, done.by, done.new_decision_id)
            )
            yield StoredReview(
                *(row.review_id, row.decision_id, row.client_id, row.requested_at, row.due_at, row.pack, *came)
            )

    def _check(self) -> None:
        if self.down:
            raise UnavailableError("the store does not answer")


class KnownKeys:
    """Knows callers by a word."""

    async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
        found = KEYS.get((header or "").removeprefix("Bearer "))
        if found is None:
            raise UnauthenticatedError("no API key that is known here")
        return found

    def known(self, header: str, sender: Sender = NOBODY) -> Caller | None:
        return KEYS.get(header.removeprefix("Bearer "))


class MemoryLog:
    """A log of seven leaves."""

    async def checkpoint(self) -> bytes:
        return "obligor.example/log\n7\nAAAA\n\n\N{EM DASH} obligor.example/log AAAA\n".encode()

    async def key(self) -> bytes:
        return b"obligor.example/log+00000000+AAAA\n"

    async def consistency(self, first: int, second: int) -> dict[str, Any]:
        if not first <= second <= 7:
            raise NotFoundError("the log never had such sizes")
        return {"from": first, "to": second, "proof": []}

    async def acts(self, caller: Caller, span: Span) -> Page:
        areas = areas_of(caller)
        told = {"leaf_index": 6, "at": "2026-11-26T12:00:00.000000Z", "by": caller.by, "kind": "release", "about": "1"}
        return Page([told] if areas is None or "release" in areas else [], None if span.before == 0 else 3)

    async def tile(self, name: str) -> bytes:
        if name != "0/000.p/7":
            raise NotFoundError("the log has no such tile")
        return bytes(7 * 32)


class PlainReceipts:
    async def receipt(self, stored: StoredDecision) -> dict[str, Any]:
        return {"leaf_index": stored.leaf_index}


@dataclass
class States:
    known: dict[str, bool] = field(default_factory=lambda: {"database": True})

    async def states(self) -> Mapping[str, bool]:
        return self.known


@dataclass
class House:
    """The service and all that a test may turn."""

    store: MemoryStore
    releases: Releases
    door: Door
    states: States
    app: Any

    def client(self, key: str | None = "one", *, app: Any = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(app or self.app)
        return httpx.AsyncClient(transport=transport, base_url="http://obligor.example", headers=headers)


class Alerts:
    """A queue of alerts in memory."""

    def __init__(self, *kept: StoredAlert) -> None:
        self.kept = {it.alert_id: it for it in kept}
        self.yearly: tuple[YearlyReportRow, ...] = ()

    async def alert(self, alert_id: UUID) -> StoredAlert | None:
        return self.kept.get(alert_id)

    async def alerts(self, *, limit: int) -> list[StoredAlert]:
        return [it for it in self.kept.values() if it.cleared_by is None][:limit]

    async def yearly_reports(self) -> YearlyReports:
        return YearlyReports(self.yearly, {it.alert_id: it.opened_at for it in self.kept.values() if it.confirmed_by})


def house(
    *,
    release: Release | None = None,
    most_open: int = 64,
    authenticating: Any = None,
    gates: Mapping[Any, Gate] = NO_GATES,
    listeners: Listeners | None = None,
    **of_door: Any,
) -> House:
    """Build a service with a small release in force."""
    store, states = MemoryStore(), States()
    releases = Releases(store)
    releases.take(release or small_release())
    sources = live_sources()
    service = DecisionService(
        releases=releases,
        recorder=store,
        answers=store,
        sources=sources,
        meter=NoMeter(),
        gates=gates,
        listeners=listeners,
        probing=Probing(ProbingSettings(0, 0)),  # there is one applicant here
    )
    register = Register(
        archive=store,
        receipts=PlainReceipts(),
        releases=releases,
        recorder=store,
        sources=sources,
        listeners=listeners,
    )
    keys = authenticating or KnownKeys()
    reviews = ReviewService(
        decisions=service, register=register, archive=store, reviews=store, recorder=store, sources=sources
    )
    kept = releases.current
    store.in_force = StoredRelease(
        *(kept.number, b"", b""), kept.card.to_json(), kept.policy.to_json(), kept.profile.to_json()
    )
    proposals = Proposals(store, store, store, sources)
    changing = Changing(store, store, store, KEY, sources)
    administration = Administration(*(store, store, store, store, sources), changing, proposals)

    def office(by: str, recorder: Recorder) -> Office:
        return Office(store, recorder, sources, by, retain_days=0)

    sealer = Sealer(a_keyring(), store, sources)
    beside = {
        "privacy": PrivacyDesk(office, store, sealer, register.opener, register.words, store, proposals, KEY),
        "keys": KeyDesk(store, store, proposals),
        "reviews": reviews,
        "overrides": OverrideService(
            register=register,
            releases=releases,
            answers=store,
            overrides=store,
            reviews=store,
            proposals=proposals,
            meter=NoMeter(),
            listeners=listeners,
        ),
        "actions": ActionService(register=register, answers=store, actions=store, recorder=store, sources=sources),
        "reveals": RevealService(register=register, answers=store, proposals=proposals),
        "disbursing": Disbursing(register, releases, gates, store, store, sources),  # type: ignore[arg-type]
        "alerts": AlertDesk(Alerts(), store, store, sources),
        "administration": administration,
    }
    door = Door(
        *(service, register, keys, of_door.pop("log", MemoryLog()), states, lambda: b"# HELP up\n"),
        seats=Seats(most_open),
        **(beside | of_door),
    )
    return House(store, releases, door, states, make_app(door))


def posting(key: str = "k-1", **more: str) -> dict[str, str]:
    """The headers of a request that records."""
    return {"content-type": "application/json", "idempotency-key": key} | more

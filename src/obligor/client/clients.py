"""The client for threads, and the one for asyncio."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

import httpx

from obligor.client import calls
from obligor.client.trying import Came, Pace, answered

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
    from datetime import date, datetime
    from types import TracebackType

    from obligor.client.answers import (
        BrokenDecision,
        Decision,
        Health,
        Links,
        OutcomeReport,
        Override,
        Problem,
        Review,
        Screening,
        Simulation,
    )
    from obligor.client.calls import Call, Page


T = TypeVar("T")
_LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)


class Client:
    """The decision service, asked by one thread after the other or by several at once.

    Parameters
    ----------
    url
        Where it is, such as ``https://decisions.lender.example``.
    api_key
        ``obl_<key id>_<secret>``; or what signs each try: tokens of the lender's identity provider, say, with their proofs.
    timeout
        Seconds for each part of one try: connecting, sending, receiving.
    deadline
        Seconds for a whole call with all its tries.
    verify
        Whether to check the certificate of the service; or a TLS context, with the lender's own authority or a client's
        certificate.
    """

    def __init__(
        self,
        url: str,
        api_key: str | httpx.Auth,
        *,
        timeout: float = 5.0,
        deadline: float = 30.0,
        verify: ssl.SSLContext | bool = True,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pace = Pace(timeout, deadline, clock, chance)
        self._sleep = sleep
        self._http = httpx.Client(base_url=_address(url), auth=_auth(api_key), verify=verify)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def decide(self, application: Mapping[str, object], *, idempotency_key: str | None = None) -> Decision:
        """Decide on one application and record the decision."""
        return self._run(calls.decide(application, idempotency_key))

    def decide_many(
        self, applications: Sequence[Mapping[str, object]], *, idempotency_key: str | None = None
    ) -> tuple[Decision | Problem, ...]:
        """Decide on up to 1,000 applications, each by itself: a decision, or why there is none."""
        return self._run(calls.decide_many(applications, idempotency_key))

    def simulate(self, application: Mapping[str, object]) -> Simulation:
        """Tell how an application would be decided; nothing is recorded."""
        return self._run(calls.simulate(application))

    def decision(self, decision_id: str) -> Decision:
        """Find a decision."""
        return self._run(calls.decision(decision_id))

    def search(
        self,
        *,
        application_id: str | None = None,
        outcome: str | None = None,
        stands: str | None = None,
        band: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Iterator[Decision | BrokenDecision]:
        """Find decisions, the newest first, page after page; one that was tampered with comes as what it is."""
        call: Call[Page] | None = calls.search(
            since, until, application_id=application_id, outcome=outcome, stands=stands, band=band
        )
        while call is not None:
            page = self._run(call)
            yield from page.decisions
            call = calls.next_page(call, page)

    def explanation(self, decision_id: str) -> Mapping[str, Any]:
        """Explain a decision: contributions, reasons and nearest changes."""
        return self._run(calls.explanation(decision_id))

    def receipt(self, decision_id: str) -> bytes:
        """Give the proof that a decision stands in the audit log: the file that verifies offline."""
        return self._run(calls.receipt(decision_id))

    def report_outcome(
        self, decision_id: str, *, status: str, observed_on: date, idempotency_key: str | None = None
    ) -> OutcomeReport:
        """Report what became of the loan."""
        return self._run(calls.report(decision_id, status, observed_on, idempotency_key))

    def links(self, decision_id: str) -> Links:
        """Tell which other decisions belong together with one, and why."""
        return self._run(calls.links(decision_id))

    def screen_again(self, decision_id: str, *, idempotency_key: str | None = None) -> Screening:
        """Screen who was approved again, before the loan is paid out."""
        return self._run(calls.screen_again(decision_id, idempotency_key))

    def request_review(
        self,
        decision_id: str,
        *,
        statement: str = "",
        corrections: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Review:
        """Ask that a person reviews a decision: with the applicant's statement, with fields that were wrong, or both."""
        return self._run(calls.request_review(decision_id, statement, corrections or {}, idempotency_key))

    def reviews(self, decision_id: str) -> tuple[Review, ...]:
        """Tell what came of the reviews of a decision, in the order in which they were asked for."""
        return self._run(calls.reviews(decision_id))

    def open_reviews(self) -> tuple[Review, ...]:
        """Tell which reviews wait for an answer, the one that is due first first; at most 200."""
        return self._run(calls.OPEN_REVIEWS)

    def override(self, decision_id: str) -> Override:
        """Tell what a person decided in place of a decision; a NotFoundError where nobody did."""
        return self._run(calls.override(decision_id))

    def health(self) -> Health:
        """Ask whether the service is ready to decide; the answer is not waited for twice."""
        return calls.HEALTH.answer(answered(self._do(calls.HEALTH.request(self._http, self._pace.timeout))))

    def _run(self, call: Call[T]) -> T:
        steps, came = self._pace.steps(call, self._http), None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # what the steps return
            came = self._do(step)

    def _do(self, step: httpx.Request | float) -> Came:
        if isinstance(step, float):
            self._sleep(step)
            return None
        try:
            return self._http.send(step)
        except _LOST as error:
            return error


class AsyncClient:
    """The same for asyncio; see `Client` for the arguments."""

    def __init__(
        self,
        url: str,
        api_key: str | httpx.Auth,
        *,
        timeout: float = 5.0,
        deadline: float = 30.0,
        verify: ssl.SSLContext | bool = True,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._pace = Pace(timeout, deadline, clock, chance)
        self._sleep = sleep
        self._http = httpx.AsyncClient(base_url=_address(url), auth=_auth(api_key), verify=verify)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def decide(self, application: Mapping[str, object], *, idempotency_key: str | None = None) -> Decision:
        """Decide on one application and record the decision."""
        return await self._run(calls.decide(application, idempotency_key))

    async def decide_many(
        self, applications: Sequence[Mapping[str, object]], *, idempotency_key: str | None = None
    ) -> tuple[Decision | Problem, ...]:
        """Decide on up to 1,000 applications, each by itself: a decision, or why there is none."""
        return await self._run(calls.decide_many(applications, idempotency_key))

    async def simulate(self, application: Mapping[str, object]) -> Simulation:
        """Tell how an application would be decided; nothing is recorded."""
        return await self._run(calls.simulate(application))

    async def decision(self, decision_id: str) -> Decision:
        """Find a decision."""
        return await self._run(calls.decision(decision_id))

    async def search(
        self,
        *,
        application_id: str | None = None,
        outcome: str | None = None,
        stands: str | None = None,
        band: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> AsyncIterator[Decision | BrokenDecision]:
        """Find decisions, the newest first, page after page; one that was tampered with comes as what it is."""
        call: Call[Page] | None = calls.search(
            since, until, application_id=application_id, outcome=outcome, stands=stands, band=band
        )
        while call is not None:
            page = await self._run(call)
            for it in page.decisions:
                yield it
            call = calls.next_page(call, page)

    async def explanation(self, decision_id: str) -> Mapping[str, Any]:
        """Explain a decision: contributions, reasons and nearest changes."""
        return await self._run(calls.explanation(decision_id))

    async def receipt(self, decision_id: str) -> bytes:
        """Give the proof that a decision stands in the audit log: the file that verifies offline."""
        return await self._run(calls.receipt(decision_id))

    async def report_outcome(
        self, decision_id: str, *, status: str, observed_on: date, idempotency_key: str | None = None
    ) -> OutcomeReport:
        """Report what became of the loan."""
        return await self._run(calls.report(decision_id, status, observed_on, idempotency_key))

    async def links(self, decision_id: str) -> Links:
        """Tell which other decisions belong together with one, and why."""
        return await self._run(calls.links(decision_id))

    async def screen_again(self, decision_id: str, *, idempotency_key: str | None = None) -> Screening:
        """Screen who was approved again, before the loan is paid out."""
        return await self._run(calls.screen_again(decision_id, idempotency_key))

    async def request_review(
        self,
        decision_id: str,
        *,
        statement: str = "",
        corrections: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Review:
        """Ask that a person reviews a decision: with the applicant's statement, with fields that were wrong, or both."""
        return await self._run(calls.request_review(decision_id, statement, corrections or {}, idempotency_key))

    async def reviews(self, decision_id: str) -> tuple[Review, ...]:
        """Tell what came of the reviews of a decision, in the order in which they were asked for."""
        return await self._run(calls.reviews(decision_id))

    async def open_reviews(self) -> tuple[Review, ...]:
        """Tell which reviews wait for an answer, the one that is due first first; at most 200."""
        return await self._run(calls.OPEN_REVIEWS)

    async def override(self, decision_id: str) -> Override:
        """Tell what a person decided in place of a decision; a NotFoundError where nobody did."""
        return await self._run(calls.override(decision_id))

    async def health(self) -> Health:
        """Ask whether the service is ready to decide; the answer is not waited for twice."""
        return calls.HEALTH.answer(answered(await self._do(calls.HEALTH.request(self._http, self._pace.timeout))))

    async def _run(self, call: Call[T]) -> T:
        steps, came = self._pace.steps(call, self._http), None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # what the steps return
            came = await self._do(step)

    async def _do(self, step: httpx.Request | float) -> Came:
        if isinstance(step, float):
            await self._sleep(step)
            return None
        try:
            return await self._http.send(step)
        except _LOST as error:
            return error


def _address(url: str) -> str:
    if not url.startswith(("https://", "http://")):
        raise ValueError("the url has no scheme; wanted https://host, or http://host:port where nothing encrypts")
    return url


def _auth(api_key: str | httpx.Auth) -> httpx.Auth:
    if isinstance(api_key, httpx.Auth):
        return api_key
    if not calls.is_token(api_key):  # what httpx would say of it repeats the key
        raise ValueError("the API key holds what no key holds; wanted obl_<key id>_<secret>")
    return _Bearer(f"Bearer {api_key}")


class _Bearer(httpx.Auth):
    """Shows the same with every request."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._shown
        yield request

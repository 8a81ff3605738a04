"""Calls the decision service from Python; of Obligor this one file is enough, with httpx.

A call that records carries an Idempotency-Key, made once and kept over every try, so that a decision is made once however
often the network fails. What may be tried again (429, 503, no answer, and 409 while the same request is being recorded) is,
with full jitter and no sooner than the service asks, until the deadline of the call. Nothing is logged here: no body, no key.

::

    ServiceError
     +-- NoAnswerError               no answer came, or not in time; what was sent may have been recorded
     +-- UnreadableAnswerError       something answered, and not as this service does
     +-- RefusedError                the service refused, and says why in ``problem``
          +-- InvalidRequestError    what was sent is wrong; ``problem.errors`` names each field
          |    +-- KeyReusedError    this Idempotency-Key belongs to another body
          +-- UnauthenticatedError   the API key is not in force
          +-- ForbiddenError         the API key lacks the scope
          +-- NotFoundError          there is none, or none that this client may see
          +-- ClashError             it does not go with what there is, and never will
          +-- InFlightError          a request with this Idempotency-Key is being recorded
          +-- BusyError              too many requests, or the service cannot answer now
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from dataclasses import dataclass, fields
from datetime import date, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar
from urllib.parse import quote

import httpx

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping, Sequence
    from types import TracebackType

__all__ = [
    "AsyncClient", "BrokenDecision", "BusyError", "ClashError", "Client", "Decision", "FieldError", "ForbiddenError", "Health",
    "InFlightError", "InvalidRequestError", "KeyReusedError", "Link", "Links", "LogPlace", "NoAnswerError", "NotFoundError",
    "OutcomeReport", "Override", "Pins", "Problem", "Reason", "RefusedError", "Review", "Screening", "ServiceError",
    "Simulation", "UnauthenticatedError", "UnreadableAnswerError",
]  # fmt: skip

T = TypeVar("T")
_Came = httpx.Response | httpx.TransportError | None
_AGAIN = frozenset({429, 503})
_IN_FLIGHT = b'"urn:obligor:problem:conflict"'
_LOST = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0
_PAGE = 100


@dataclass(frozen=True, slots=True)
class Reason:
    """A principal reason of a decline."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class Pins:
    """What was in force, by hash, so that the decision can be computed again."""

    card_sha256: str
    policy_sha256: str
    profile_sha256: str
    release: int
    code: str


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Where the audit log keeps a decision."""

    leaf_index: int
    tree_size: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """How an application would be decided; nothing was recorded."""

    outcome: str
    """``approve``, ``refer``, ``decline`` or ``hold``."""
    because: str
    score: float
    """In points; a higher score is a lower risk."""
    pd: float
    band: str
    cutoff: float
    """The points from which this application is approved."""
    reasons: tuple[Reason, ...]
    unusual: tuple[str, ...]
    pins: Pins
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class Decision(Simulation):
    """A decision that is recorded."""

    decision_id: str
    application_id: str | None
    """What the client calls the application, where the contract has a column for it."""
    receipt: LogPlace
    replayed: bool = False
    """Whether the service had recorded it before this call."""


@dataclass(frozen=True, slots=True)
class BrokenDecision:
    """A decision that is kept otherwise than it was recorded: who runs the service is to look, and nothing of it is told."""

    decision_id: str


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong with a request; never a value."""

    field: str
    """A JSON pointer into the body, or the name of a parameter or header."""
    message: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the service refused (RFC 9457)."""

    type: str
    """A name that stays, such as ``urn:obligor:problem:invalid``."""
    title: str
    status: int
    detail: str
    errors: tuple[FieldError, ...] = ()

    def __str__(self) -> str:
        said = f"{self.status} {self.title}: {self.detail}".removesuffix(": ")
        return said + "".join(f"\n{it.field}: {it.message}" for it in self.errors)


@dataclass(frozen=True, slots=True)
class OutcomeReport:
    """What became of a loan, as it was reported."""

    report_id: str
    decision_id: str
    status: str
    observed_on: date


@dataclass(frozen=True, slots=True)
class Screening:
    """That who was approved was screened again, before the loan is paid out."""

    screening_id: str
    decision_id: str
    result: str
    """``pass``, or ``review``: then do not pay out until a person has looked."""
    screened_at: datetime


@dataclass(frozen=True, slots=True)
class Override:
    """What a person decided in place of a decision."""

    decision_id: str
    outcome: str
    direction: str
    """``low_side``, ``high_side`` or ``none``."""
    reason: str
    state: str
    """``in_force``; ``expired``: nothing is paid out by it; ``reviewed``: a review answered since, and its outcome holds."""
    decided_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Review:
    """A person's review of a decision, and what came of it by now."""

    review_id: str
    decision_id: str
    requested_at: datetime
    due_on: date
    """The last day (UTC) on which it is answered in time."""
    pack: str | None
    """The rule pack that sets the period; None: the lender does."""
    state: str
    """``open`` or ``decided``."""
    late: bool = False
    """Whether it was, or still is, answered too late."""
    verdict: str | None = None
    """``kept`` or ``changed``; None while it is open."""
    outcome: str | None = None
    decided_at: datetime | None = None
    new_decision_id: str | None = None
    """The decision on the corrected application, where there was one."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another decision that belongs together with one."""

    decision_id: str
    why: str
    """Such as ``repeated`` or ``velocity``, of the later of the two."""
    earlier: bool
    """Whether the other one was decided on before."""
    linked_at: datetime


@dataclass(frozen=True, slots=True)
class Links:
    """What a decision belongs together with, the newest first."""

    compared: bool
    """Whether it was compared with earlier ones by now."""
    links: tuple[Link, ...]


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the service is ready to decide, and what it says of its parts."""

    ready: bool
    said: Mapping[str, Any]


class ServiceError(Exception):
    """A call did not give what was asked for."""


class NoAnswerError(ServiceError):
    """No answer came, or not in time. What was sent may have been recorded: the same call with the same key finds out."""


class UnreadableAnswerError(ServiceError):
    """Something answered that does not speak as this service does."""


class RefusedError(ServiceError):
    """The service refused."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class InvalidRequestError(RefusedError):
    """What was sent is wrong; the same will be refused again."""


class KeyReusedError(InvalidRequestError):
    """The Idempotency-Key belongs to another body."""


class UnauthenticatedError(RefusedError):
    """The API key is not in force."""


class ForbiddenError(RefusedError):
    """The API key lacks the scope for this."""


class NotFoundError(RefusedError):
    """There is none, or none that this client may see."""


class ClashError(RefusedError):
    """It does not go with what there is, such as a rule or a hold; the same will be refused again."""


class InFlightError(RefusedError):
    """A request with this Idempotency-Key is being recorded."""


class BusyError(RefusedError):
    """Too many requests, or the service cannot answer now."""


_ERRORS: Mapping[int, type[RefusedError]] = {
    400: InvalidRequestError, 401: UnauthenticatedError, 403: ForbiddenError, 404: NotFoundError, 409: ClashError,
    413: InvalidRequestError, 415: InvalidRequestError, 422: InvalidRequestError, 429: BusyError, 431: InvalidRequestError,
    503: BusyError,
}  # fmt: skip
_BY_TYPE = {"key-reused": KeyReusedError, "conflict": InFlightError}


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """One thing to ask: the request, and how its answer is read."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    body: bytes | None = None
    key: str | None = None
    params: Mapping[str, str] | None = None

    def request(self, http: httpx.Client | httpx.AsyncClient, seconds: float) -> httpx.Request:
        """Build the request of one try, which waits so many seconds for each part of the answer."""
        headers = {} if self.key is None else {"Idempotency-Key": self.key}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        return http.build_request(
            self.method, self.path, content=self.body, params=self.params, headers=headers, timeout=seconds
        )

    def answer(self, came: httpx.Response) -> T:
        try:
            return self.read(came)
        except KeyError as error:
            raise UnreadableAnswerError(f"the answer lacks {error}") from None
        except (TypeError, ValueError, AttributeError):
            raise UnreadableAnswerError("the answer has another shape than this service gives") from None


@dataclass(frozen=True, slots=True)
class _Pace:
    """How long one try and one whole call may take, in seconds; the clock and the chance of pauses."""

    timeout: float
    deadline: float
    clock: Callable[[], float]
    chance: Callable[[], float]

    def steps(
        self, call: _Call[T], http: httpx.Client | httpx.AsyncClient
    ) -> Generator[httpx.Request | float, _Came, T]:
        """Tell step by step what to do: send a request, which is answered with what came of it, or wait so many seconds."""
        end, pause = self.clock() + self.deadline, _FIRST_PAUSE
        while True:
            left = end - self.clock()
            came = yield call.request(http, max(min(self.timeout, left), 0.001))
            if isinstance(came, httpx.Response) and not _may_pass(came):
                return call.answer(came)
            # Full jitter: callers that failed together do not come back together.
            wait = _asked(came) + self.chance() * pause
            if self.clock() + wait >= end:
                return call.answer(_answered(came, " before the deadline"))
            yield wait
            pause = min(pause * 2, _LONGEST_PAUSE)


def _may_pass(came: httpx.Response) -> bool:
    """Tell whether the same request may be answered otherwise later."""
    return came.status_code in _AGAIN or (came.status_code == httpx.codes.CONFLICT and _IN_FLIGHT in came.content)


def _answered(came: _Came, when: str = "") -> httpx.Response:
    if isinstance(came, httpx.Response):
        return came
    what = type(came).__name__  # its message may hold an address
    raise NoAnswerError(f"the service did not answer{when} ({what})") from came


def _asked(came: _Came) -> float:
    """Give the seconds that the answer asks to wait, in either form of Retry-After."""
    text = came.headers.get("Retry-After", "").strip() if isinstance(came, httpx.Response) else ""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at, now = (parsedate_to_datetime(it) for it in (text, came.headers["Date"]))  # type: ignore[union-attr]  # text is empty without an answer
        return max((at - now).total_seconds(), 0.0)
    except (ValueError, TypeError, KeyError, AttributeError):
        return 0.0


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
        self._pace = _Pace(timeout, deadline, clock, chance)
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
        return self._run(_decide(application, idempotency_key))

    def decide_many(
        self, applications: Sequence[Mapping[str, object]], *, idempotency_key: str | None = None
    ) -> tuple[Decision | Problem, ...]:
        """Decide on up to 1,000 applications, each by itself: a decision, or why there is none."""
        return self._run(_decide_many(applications, idempotency_key))

    def simulate(self, application: Mapping[str, object]) -> Simulation:
        """Tell how an application would be decided; nothing is recorded."""
        return self._run(_simulate(application))

    def decision(self, decision_id: str) -> Decision:
        """Find a decision."""
        return self._run(_decision(decision_id))

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
        call: _Call[_Page] | None = _search(
            since, until, application_id=application_id, outcome=outcome, stands=stands, band=band
        )
        while call is not None:
            page = self._run(call)
            yield from page.decisions
            call = _next(call, page)

    def explanation(self, decision_id: str) -> Mapping[str, Any]:
        """Explain a decision: contributions, reasons and nearest changes."""
        return self._run(_Call("GET", f"{_at(decision_id)}/explanation", _object))

    def receipt(self, decision_id: str) -> bytes:
        """Give the proof that a decision stands in the audit log: the file that verifies offline."""
        return self._run(_Call("GET", f"{_at(decision_id)}/receipt", _bytes))

    def report_outcome(
        self, decision_id: str, *, status: str, observed_on: date, idempotency_key: str | None = None
    ) -> OutcomeReport:
        """Report what became of the loan."""
        return self._run(_report(decision_id, status, observed_on, idempotency_key))

    def links(self, decision_id: str) -> Links:
        """Tell which other decisions belong together with one, and why."""
        return self._run(_Call("GET", f"{_at(decision_id)}/links", _read_links))

    def screen_again(self, decision_id: str, *, idempotency_key: str | None = None) -> Screening:
        """Screen who was approved again, before the loan is paid out."""
        return self._run(_screen_again(decision_id, idempotency_key))

    def request_review(
        self,
        decision_id: str,
        *,
        statement: str = "",
        corrections: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Review:
        """Ask that a person reviews a decision: with the applicant's statement, with fields that were wrong, or both."""
        return self._run(_request_review(decision_id, statement, corrections or {}, idempotency_key))

    def reviews(self, decision_id: str) -> tuple[Review, ...]:
        """Tell what came of the reviews of a decision, in the order in which they were asked for."""
        return self._run(_Call("GET", f"{_at(decision_id)}/review-requests", _read_reviews))

    def open_reviews(self) -> tuple[Review, ...]:
        """Tell which reviews wait for an answer, the one that is due first first; at most 200."""
        return self._run(_OPEN_REVIEWS)

    def override(self, decision_id: str) -> Override:
        """Tell what a person decided in place of a decision; a NotFoundError where nobody did."""
        return self._run(_Call("GET", f"{_at(decision_id)}/override", _read_override))

    def health(self) -> Health:
        """Ask whether the service is ready to decide; the answer is not waited for twice."""
        return _HEALTH.answer(_answered(self._do(_HEALTH.request(self._http, self._pace.timeout))))

    def _run(self, call: _Call[T]) -> T:
        steps, came = self._pace.steps(call, self._http), None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # what the steps return
            came = self._do(step)

    def _do(self, step: httpx.Request | float) -> _Came:
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
        self._pace = _Pace(timeout, deadline, clock, chance)
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
        return await self._run(_decide(application, idempotency_key))

    async def decide_many(
        self, applications: Sequence[Mapping[str, object]], *, idempotency_key: str | None = None
    ) -> tuple[Decision | Problem, ...]:
        """Decide on up to 1,000 applications, each by itself: a decision, or why there is none."""
        return await self._run(_decide_many(applications, idempotency_key))

    async def simulate(self, application: Mapping[str, object]) -> Simulation:
        """Tell how an application would be decided; nothing is recorded."""
        return await self._run(_simulate(application))

    async def decision(self, decision_id: str) -> Decision:
        """Find a decision."""
        return await self._run(_decision(decision_id))

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
        call: _Call[_Page] | None = _search(
            since, until, application_id=application_id, outcome=outcome, stands=stands, band=band
        )
        while call is not None:
            page = await self._run(call)
            for it in page.decisions:
                yield it
            call = _next(call, page)

    async def explanation(self, decision_id: str) -> Mapping[str, Any]:
        """Explain a decision: contributions, reasons and nearest changes."""
        return await self._run(_Call("GET", f"{_at(decision_id)}/explanation", _object))

    async def receipt(self, decision_id: str) -> bytes:
        """Give the proof that a decision stands in the audit log: the file that verifies offline."""
        return await self._run(_Call("GET", f"{_at(decision_id)}/receipt", _bytes))

    async def report_outcome(
        self, decision_id: str, *, status: str, observed_on: date, idempotency_key: str | None = None
    ) -> OutcomeReport:
        """Report what became of the loan."""
        return await self._run(_report(decision_id, status, observed_on, idempotency_key))

    async def links(self, decision_id: str) -> Links:
        """Tell which other decisions belong together with one, and why."""
        return await self._run(_Call("GET", f"{_at(decision_id)}/links", _read_links))

    async def screen_again(self, decision_id: str, *, idempotency_key: str | None = None) -> Screening:
        """Screen who was approved again, before the loan is paid out."""
        return await self._run(_screen_again(decision_id, idempotency_key))

    async def request_review(
        self,
        decision_id: str,
        *,
        statement: str = "",
        corrections: Mapping[str, object] | None = None,
        idempotency_key: str | None = None,
    ) -> Review:
        """Ask that a person reviews a decision: with the applicant's statement, with fields that were wrong, or both."""
        return await self._run(_request_review(decision_id, statement, corrections or {}, idempotency_key))

    async def reviews(self, decision_id: str) -> tuple[Review, ...]:
        """Tell what came of the reviews of a decision, in the order in which they were asked for."""
        return await self._run(_Call("GET", f"{_at(decision_id)}/review-requests", _read_reviews))

    async def open_reviews(self) -> tuple[Review, ...]:
        """Tell which reviews wait for an answer, the one that is due first first; at most 200."""
        return await self._run(_OPEN_REVIEWS)

    async def override(self, decision_id: str) -> Override:
        """Tell what a person decided in place of a decision; a NotFoundError where nobody did."""
        return await self._run(_Call("GET", f"{_at(decision_id)}/override", _read_override))

    async def health(self) -> Health:
        """Ask whether the service is ready to decide; the answer is not waited for twice."""
        return _HEALTH.answer(_answered(await self._do(_HEALTH.request(self._http, self._pace.timeout))))

    async def _run(self, call: _Call[T]) -> T:
        steps, came = self._pace.steps(call, self._http), None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                return done.value  # type: ignore[no-any-return]  # what the steps return
            came = await self._do(step)

    async def _do(self, step: httpx.Request | float) -> _Came:
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
    if not _is_token(api_key):  # what httpx would say of it repeats the key
        raise ValueError("the API key holds what no key holds; wanted obl_<key id>_<secret>")
    return _Bearer(f"Bearer {api_key}")


class _Bearer(httpx.Auth):
    """Shows the same with every request."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._shown
        yield request


def _is_token(text: str) -> bool:
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _decide(application: Mapping[str, object], key: str | None) -> _Call[Decision]:
    return _Call("POST", "/v1/decisions", _read_decision, _json(application), _kept(key))


def _decide_many(
    applications: Sequence[Mapping[str, object]], key: str | None
) -> _Call[tuple[Decision | Problem, ...]]:
    body = _json({"applications": list(applications)})
    return _Call("POST", "/v1/decisions/bulk", _read_many, body, _kept(key))


def _simulate(application: Mapping[str, object]) -> _Call[Simulation]:
    return _Call("POST", "/v1/simulations", _read_simulation, _json(application))


def _decision(decision_id: str) -> _Call[Decision]:
    return _Call("GET", _at(decision_id), _read_decision)


def _report(decision_id: str, status: str, observed_on: date, key: str | None) -> _Call[OutcomeReport]:
    body = _json({"status": status, "observed_on": observed_on})
    return _Call("POST", f"{_at(decision_id)}/outcomes", _read_report, body, _kept(key))


def _screen_again(decision_id: str, key: str | None) -> _Call[Screening]:
    return _Call("POST", f"{_at(decision_id)}/screenings", _read_screening, key=_kept(key))


def _request_review(
    decision_id: str, statement: str, corrections: Mapping[str, object], key: str | None
) -> _Call[Review]:
    body = _json({"statement": statement, "corrections": corrections})
    return _Call("POST", f"{_at(decision_id)}/review-requests", _read_review, body, _kept(key))


def _at(decision_id: str) -> str:
    return f"/v1/decisions/{quote(decision_id, safe='')}"


def _kept(key: str | None) -> str:
    """Give the key of a call, the same over all its tries."""
    if key is not None and not _is_token(key):
        raise ValueError("the idempotency key is empty or holds more than printable ASCII without spaces")
    return str(uuid.uuid4()) if key is None else key


def _json(value: object) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_day).encode()
    except ValueError:  # what json would say of it may repeat the number
        raise ValueError("an application holds NaN, an infinity or itself; wanted None for what is not known") from None


def _day(value: object) -> str:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    kind = type(value).__name__
    raise TypeError(f"an application holds numbers, texts, truth values, days, lists and None; got a {kind}")


@dataclass(frozen=True, slots=True)
class _Page:
    decisions: tuple[Decision | BrokenDecision, ...]
    cursor: str | None


def _search(since: datetime | None, until: datetime | None, **by: str | None) -> _Call[_Page]:
    asked = {
        **by,
        "from": None if since is None else _moment(since),
        "to": None if until is None else _moment(until),
        "limit": str(_PAGE),
    }
    return _Call("GET", "/v1/decisions", _read_page, params={name: it for name, it in asked.items() if it is not None})


def _moment(at: datetime) -> str:
    if at.tzinfo is None:
        raise ValueError("a moment without a time zone means another one elsewhere; wanted one with")
    return at.isoformat()


def _next(call: _Call[_Page], page: _Page) -> _Call[_Page] | None:
    """Ask for the page after this one, where there is one."""
    if page.cursor is None:
        return None
    params = dict(call.params or {})
    if params.get("cursor") == page.cursor:
        raise UnreadableAnswerError("the service gave the same page twice")
    return _Call(call.method, call.path, call.read, params={**params, "cursor": page.cursor})


def _bytes(answer: httpx.Response) -> bytes:
    """Give the body of an answer that is no refusal."""
    if answer.is_success:
        return answer.content
    raise _refusal(answer)


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    return _parsed(_bytes(answer))


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        plain = json.loads(body)
    except (ValueError, RecursionError):
        raise UnreadableAnswerError("the answer is not JSON") from None
    if not isinstance(plain, dict):
        raise UnreadableAnswerError("the answer is no JSON object")
    return plain


def _refusal(answer: httpx.Response) -> ServiceError:
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    if kind != "application/problem+json":
        return UnreadableAnswerError(f"{answer.status_code}, and no problem+json; is there a proxy in front?")
    problem = _problem(_parsed(answer.content))
    error = _BY_TYPE.get(problem.type.rpartition(":")[2]) or _ERRORS.get(answer.status_code, RefusedError)
    return error(problem)


def _problem(plain: Mapping[str, Any]) -> Problem:
    errors = tuple(FieldError(str(it["field"]), str(it["message"])) for it in plain.get("errors", ()))
    kind, title, detail = (str(plain.get(name, "")) for name in ("type", "title", "detail"))
    return Problem(kind, title, int(plain["status"]), detail, errors)


def _read_simulation(answer: httpx.Response) -> Simulation:
    return Simulation(**_assessed(_object(answer)))


def _read_decision(answer: httpx.Response) -> Decision:
    return _decided(_object(answer), replayed=_replayed(answer))


def _replayed(answer: httpx.Response) -> bool:
    return bool(answer.headers.get("Idempotent-Replayed") == "true")


def _read_many(answer: httpx.Response) -> tuple[Decision | Problem, ...]:
    replayed = _replayed(answer)
    return tuple(
        _decided(it["decision"], replayed=replayed) if "decision" in it else _problem(it["problem"])
        for it in _object(answer)["results"]
    )


def _read_page(answer: httpx.Response) -> _Page:
    plain = _object(answer)
    found = (BrokenDecision(it["decision_id"]) if it.get("broken") else _decided(it) for it in plain["decisions"])
    return _Page(tuple(found), plain.get("next_cursor"))


def _read_report(answer: httpx.Response) -> OutcomeReport:
    plain = _object(answer)
    day = date.fromisoformat(plain["observed_on"])
    return OutcomeReport(plain["report_id"], plain["decision_id"], plain["status"], day)


def _read_screening(answer: httpx.Response) -> Screening:
    plain = _object(answer)
    at = datetime.fromisoformat(plain["screened_at"])
    return Screening(plain["screening_id"], plain["decision_id"], plain["result"], at)


def _read_override(answer: httpx.Response) -> Override:
    plain = _object(answer)
    names, until = ("decision_id", "outcome", "direction", "reason", "state"), plain["expires_at"]
    return Override(
        **{name: plain[name] for name in names},
        decided_at=datetime.fromisoformat(plain["decided_at"]),
        expires_at=None if until is None else datetime.fromisoformat(until),
    )


def _read_review(answer: httpx.Response) -> Review:
    return _reviewed(_object(answer))


def _read_reviews(answer: httpx.Response) -> tuple[Review, ...]:
    return tuple(_reviewed(it) for it in _object(answer)["reviews"])


def _reviewed(plain: Mapping[str, Any]) -> Review:
    decided_at = plain.get("decided_at")
    return Review(
        **{name: plain[name] for name in ("review_id", "decision_id", "pack", "state")},
        **{name: plain[name] for name in ("late", "verdict", "outcome", "new_decision_id") if name in plain},
        requested_at=datetime.fromisoformat(plain["requested_at"]),
        due_on=date.fromisoformat(plain["due_on"]),
        decided_at=None if decided_at is None else datetime.fromisoformat(decided_at),
    )


def _read_links(answer: httpx.Response) -> Links:
    plain = _object(answer)
    links = (
        Link(it["decision_id"], it["why"], it["is"] == "earlier", datetime.fromisoformat(it["linked_at"]))
        for it in plain["links"]
    )
    return Links(plain["compared"], tuple(links))


def _read_health(answer: httpx.Response) -> Health:
    return Health(answer.is_success, _parsed(answer.content))


_OPEN_REVIEWS = _Call("GET", "/v1/review-requests", _read_reviews)
_HEALTH = _Call("GET", "/health/ready", _read_health)


def _decided(plain: Mapping[str, Any], *, replayed: bool = False) -> Decision:
    place = plain["receipt"]
    return Decision(
        **_assessed(plain),
        decision_id=plain["decision_id"],
        application_id=plain["application_id"],
        receipt=LogPlace(place["leaf_index"], place["tree_size"]),
        replayed=replayed,
    )


def _assessed(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Read what a decision and a simulation have in common."""
    pins = plain["pins"]
    return {
        **{name: plain[name] for name in ("outcome", "because", "score", "pd", "band", "cutoff")},
        "reasons": tuple(Reason(it["code"], it["text"]) for it in plain["reasons"]),
        "unusual": tuple(plain["unusual"]),
        "pins": Pins(*(pins[it.name] for it in fields(Pins))),
        "decided_at": datetime.fromisoformat(plain["decided_at"]),
    }

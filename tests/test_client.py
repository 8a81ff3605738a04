"""The client against a server on the loopback whose answers are scripted; time and chance are given."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor import client as told
from obligor.client import AsyncClient, Client
from obligor.client.calls import Call
from obligor.client.trying import Pace

KEY = "obl_k7Qm2ZpX4tLa_c2VjcmV0LW9mLWEtbGVuZGVy"
ID = "018f6f5e-0000-7000-8000-000000000001"
PINS = {"card_sha256": "a" * 64, "policy_sha256": "b" * 64, "profile_sha256": "c" * 64, "release": 3, "code": "0.1.0"}
DECISION = {
    "decision_id": ID,
    "application_id": "A-17",
    "decided_at": "2026-11-26T19:40:00.123456Z",
    "outcome": "decline",
    "because": "score",
    "score": 512.25,
    "pd": 0.19,
    "band": "D",
    "cutoff": 540.0,
    "reasons": [{"code": "R1", "text": "The amount applied for is high"}],
    "unusual": ["income: above all that the card has seen"],
    "pins": PINS,
    "receipt": {"leaf_index": 7, "tree_size": 8},
}
SIMULATED = {name: it for name, it in DECISION.items() if name not in ("decision_id", "application_id", "receipt")}
DROPPED = 0
"""In place of a status: the connection is closed without an answer."""


@dataclass
class Reply:
    status: int
    said: object = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json"

    @property
    def body(self) -> bytes:
        return self.said if isinstance(self.said, bytes) else json.dumps(self.said).encode()


def refused(status: int, name: str = "some", *, headers: dict[str, str] | None = None, **more: object) -> Reply:
    problem = {"type": f"urn:obligor:problem:{name}", "title": "No", "status": status, "detail": "because", **more}
    return Reply(status, problem, headers or {}, "application/problem+json")


@dataclass
class Lender:
    """The scripted service, and what it was asked."""

    url: str = ""
    script: list[Reply] = field(default_factory=list)
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)


@pytest.fixture(scope="module")
def server() -> Iterator[Lender]:
    lender = Lender()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            lender.asked.append((self.command, self.path, dict(self.headers.items()), body))
            reply = lender.script.pop(0)
            if reply.status == DROPPED:
                self.close_connection = True
                return
            self.send_response_only(reply.status)
            for name, it in {
                "Content-Type": reply.kind,
                "Content-Length": str(len(reply.body)),
                **reply.headers,
            }.items():
                self.send_header(name, it)
            self.end_headers()
            self.wfile.write(reply.body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        lender.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield lender
        http.shutdown()
        thread.join()


@pytest.fixture
def lender(server: Lender) -> Lender:
    server.script.clear()
    server.asked.clear()
    return server


@dataclass
class World:
    """A clock that only pauses move, and a chance that is known."""

    chance: float = 0.5
    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    async def doze(self, seconds: float) -> None:
        self.sleep(seconds)


Ask = Callable[..., Any]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(params=["threads", "asyncio"])
def ask(request: pytest.FixtureRequest, lender: Lender, world: World) -> Ask:
    """Call a method of the client, of either kind."""
    given: dict[str, Any] = {"clock": lambda: world.now, "chance": lambda: world.chance}

    def plainly(method: str, *args: object, **named: object) -> object:
        with Client(lender.url, KEY, sleep=world.sleep, **given) as client:
            answer = getattr(client, method)(*args, **named)
            return list(answer) if method == "search" else answer

    def by_asyncio(method: str, *args: object, **named: object) -> object:
        async def run() -> object:
            async with AsyncClient(lender.url, KEY, sleep=world.doze, **given) as client:
                answer = getattr(client, method)(*args, **named)
                return [it async for it in answer] if method == "search" else await answer

        return asyncio.run(run())

    return plainly if request.param == "threads" else by_asyncio


def test_a_decision_comes_back_as_a_value(ask: Ask, lender: Lender) -> None:
    lender.script += [Reply(201, DECISION)]
    decision = ask("decide", {"income": 30000, "applied_on": date(2026, 11, 26), "name": "Zoë", "arrears": None})
    assert decision == told.Decision(
        decision_id=ID,
        application_id="A-17",
        decided_at=datetime(2026, 11, 26, 19, 40, 0, 123456, tzinfo=UTC),
        outcome="decline",
        because="score",
        score=512.25,
        pd=0.19,
        band="D",
        cutoff=540.0,
        reasons=(told.Reason("R1", "The amount applied for is high"),),
        unusual=("income: above all that the card has seen",),
        pins=told.Pins("a" * 64, "b" * 64, "c" * 64, 3, "0.1.0"),
        receipt=told.LogPlace(7, 8),
        replayed=False,
    )
    method, path, headers, body = lender.asked[0]
    assert (method, path) == ("POST", "/v1/decisions")
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == {"income": 30000, "applied_on": "2026-11-26", "name": "Zoë", "arrears": None}


def test_one_idempotency_key_stays_over_every_try_of_a_call(ask: Ask, lender: Lender) -> None:
    again = [refused(503), Reply(DROPPED), refused(409, "conflict"), refused(429, "limited")]
    lender.script += [*again, Reply(201, DECISION, {"Idempotent-Replayed": "true"}), Reply(201, DECISION)]
    assert ask("decide", {"income": 1}).replayed
    assert not ask("decide", {"income": 1}).replayed
    keys = [headers["Idempotency-Key"] for _, _, headers, _ in lender.asked]
    assert len({*keys[:5]}) == 1
    assert keys[5] not in keys[:5]
    assert len({body for *_, body in lender.asked}) == 1


def test_a_lender_gives_a_key_of_its_own(ask: Ask, lender: Lender) -> None:
    lender.script += [Reply(201, DECISION)]
    ask("decide", {"income": 1}, idempotency_key="loan-17")
    assert lender.asked[0][2]["Idempotency-Key"] == "loan-17"


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "schlüssel"])
def test_a_key_that_no_header_can_hold_is_refused_before_it_is_sent(ask: Ask, lender: Lender, key: str) -> None:
    with pytest.raises(ValueError, match="idempotency key"):
        ask("decide", {"income": 1}, idempotency_key=key)
    assert lender.asked == []


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_api_key_that_no_header_can_hold_is_refused_and_not_repeated(kind: type) -> None:
    with pytest.raises(ValueError, match="API key") as caught:
        kind("http://127.0.0.1:1", "obl_secret\n")
    assert "obl_secret" not in str(caught.value)


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_without_a_scheme_is_refused_at_once(kind: type) -> None:
    with pytest.raises(ValueError, match="wanted https://host"):
        kind("decisions.lender.example:8000", KEY)


class Proving(httpx.Auth):
    """Shows a token, and another proof with every try."""

    def __init__(self) -> None:
        self.proofs = iter(range(100))

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = "DPoP token"
        request.headers["DPoP"] = f"proof {next(self.proofs)}"
        yield request


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_what_signs_requests_signs_each_try_anew(kind: type, lender: Lender, world: World) -> None:
    lender.script += [refused(503), Reply(DROPPED), Reply(201, DECISION)]
    clock = {"clock": lambda: world.now}

    async def run() -> None:
        async with AsyncClient(lender.url, Proving(), sleep=world.doze, **clock) as client:
            await client.decide({"income": 1})

    if kind is AsyncClient:
        asyncio.run(run())
    else:
        with Client(lender.url, Proving(), sleep=world.sleep, **clock) as client:
            client.decide({"income": 1})
    shown = [(headers["Authorization"], headers["DPoP"]) for _, _, headers, _ in lender.asked]
    assert shown == [("DPoP token", f"proof {at}") for at in range(3)]


@pytest.mark.parametrize(
    ("application", "error", "said"),
    [
        ({"income": float("nan")}, ValueError, "holds NaN, an infinity or itself; wanted None"),
        ({"at": datetime(2026, 1, 1, tzinfo=UTC)}, TypeError, "got a datetime"),
        ({"x": {1}}, TypeError, "got a set"),
    ],
)
def test_what_json_cannot_say_is_refused_before_it_is_sent(
    ask: Ask, lender: Lender, application: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        ask("decide", application)
    assert lender.asked == []


def test_the_service_says_when_to_come_back(ask: Ask, lender: Lender, world: World) -> None:
    dated = {"Date": "Thu, 26 Nov 2026 19:40:00 GMT", "Retry-After": "Thu, 26 Nov 2026 19:40:07 GMT"}
    lender.script += [refused(503, headers={"Retry-After": "3"}), refused(429), refused(503, headers=dated)]
    lender.script += [refused(503, headers={"Retry-After": "soon"}), Reply(201, DECISION)]
    ask("decide", {"income": 1})
    assert world.pauses == pytest.approx([3 + 0.05, 0.1, 7 + 0.2, 0.4])


def test_what_stays_busy_is_told_at_the_deadline_and_not_after(ask: Ask, lender: Lender, world: World) -> None:
    lender.script += [refused(503, "unavailable") for _ in range(99)]
    with pytest.raises(told.BusyError) as caught:
        ask("decide", {"income": 1})
    assert caught.value.problem.type == "urn:obligor:problem:unavailable"
    assert 20 < sum(world.pauses) < 30


def test_a_wait_beyond_the_deadline_is_not_begun(ask: Ask, lender: Lender, world: World) -> None:
    lender.script += [refused(503, headers={"Retry-After": "60"})]
    with pytest.raises(told.BusyError):
        ask("decide", {"income": 1})
    assert world.pauses == []


def test_a_service_that_hangs_up_gives_no_answer(ask: Ask, lender: Lender, world: World) -> None:
    lender.script += [Reply(DROPPED) for _ in range(99)]
    with pytest.raises(told.NoAnswerError, match="did not answer before the deadline"):
        ask("decide", {"income": 1})
    assert len(world.pauses) > 5


def test_a_place_where_nobody_listens_gives_no_answer(world: World) -> None:
    with Client("http://127.0.0.1:1", KEY, sleep=world.sleep, clock=lambda: world.now) as client:
        with pytest.raises(told.NoAnswerError):
            client.decision(ID)
        with pytest.raises(told.NoAnswerError):
            client.health()


Failure = tuple[int, int | None] | None
FAILURES = st.none() | st.tuples(st.sampled_from([409, 429, 503]), st.none() | st.integers(0, 40))


def failed(failure: Failure) -> httpx.Response | httpx.TransportError:
    if failure is None:
        return httpx.ConnectError("no")
    status, seconds = failure
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return httpx.Response(status, headers=headers, json={"type": "urn:obligor:problem:conflict"})


@given(st.lists(FAILURES, max_size=40), st.lists(st.floats(0, 1, exclude_max=True), min_size=1), st.floats(0.5, 60))
def test_pauses_keep_to_the_deadline_the_jitter_and_what_the_service_asks(
    failures: list[Failure], chances: list[float], deadline: float
) -> None:
    now, draws = 0.0, iter(chances * 100)
    pace = Pace(5.0, deadline, lambda: now, lambda: next(draws))
    http = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(200))
    )  # it builds requests, and sends none
    steps = pace.steps(Call("GET", "/", lambda answer: answer.status_code), http)
    step = next(steps)
    for tries, failure in enumerate(failures):
        assert isinstance(step, httpx.Request)
        assert all(0 < it <= min(5.0, deadline - now) for it in step.extensions["timeout"].values())
        try:
            step = steps.send(failed(failure))
        except (StopIteration, told.NoAnswerError):  # it gives up only where the longest pause would not fit
            assert now + ((failure and failure[1]) or 0) + min(5.0, 0.1 * 2**tries) >= deadline
            return
        assert isinstance(step, float)
        asked = (failure and failure[1]) or 0
        assert asked <= step <= asked + min(5.0, 0.1 * 2**tries)
        now += step
        assert now < deadline
        step = steps.send(None)
    with pytest.raises(StopIteration) as done:
        steps.send(httpx.Response(200))
    assert done.value.value == 200


@pytest.mark.parametrize(
    ("status", "name", "error"),
    [
        (400, "malformed", told.InvalidRequestError),
        (401, "unauthenticated", told.UnauthenticatedError),
        (403, "forbidden", told.ForbiddenError),
        (404, "not-found", told.NotFoundError),
        (409, "clash", told.ClashError),
        (409, "gate", told.ClashError),
        (413, "too-large", told.InvalidRequestError),
        (422, "invalid", told.InvalidRequestError),
        (422, "key-reused", told.KeyReusedError),
        (500, "internal", told.RefusedError),
    ],
)
def test_a_refusal_that_stays_is_an_error_of_its_kind_and_not_tried_again(
    ask: Ask, lender: Lender, status: int, name: str, error: type[told.RefusedError]
) -> None:
    lender.script += [refused(status, name, errors=[{"field": "/income", "message": "wanted a number"}])]
    with pytest.raises(told.RefusedError) as caught:
        ask("decide", {"income": "much"})
    assert type(caught.value) is error
    assert caught.value.problem.errors == (told.FieldError("/income", "wanted a number"),)
    assert str(caught.value) == f"{status} No: because\n/income: wanted a number"
    assert len(lender.asked) == 1


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    drawn = told.__doc__ or ""
    for error in (told.ServiceError, *subclasses(told.ServiceError)):
        assert error.__name__ in drawn
        assert error.__name__ in told.__all__


def subclasses(error: type) -> Iterator[type]:
    for each in error.__subclasses__():
        yield each
        yield from subclasses(each)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(502, b"<html>Bad Gateway</html>", kind="text/html"),
        Reply(200, b"<html>Log in</html>", kind="text/html"),
        Reply(201, [DECISION]),
        Reply(201, {**DECISION, "pins": None}),
        Reply(201, {name: it for name, it in DECISION.items() if name != "outcome"}),
        Reply(201, {**DECISION, "decided_at": "yesterday"}),
        Reply(307, b"", {"Location": "http://127.0.0.1:1/"}),
    ],
    ids=["proxy", "page", "list", "null", "lacking", "moment", "redirect"],
)
def test_an_answer_of_something_else_is_not_taken_for_a_decision(ask: Ask, lender: Lender, reply: Reply) -> None:
    lender.script += [reply]
    with pytest.raises(told.UnreadableAnswerError):
        ask("decide", {"income": 1})
    assert len(lender.asked) == 1


def test_many_applications_each_get_a_decision_or_a_problem(ask: Ask, lender: Lender) -> None:
    problem = refused(422, "invalid", errors=[{"field": "/income", "message": "wanted a number"}]).said
    lender.script += [Reply(200, {"results": [{"decision": DECISION}, {"problem": problem}]})]
    first, second = ask("decide_many", [{"income": 1}, {"income": "much"}])
    assert first.decision_id == ID
    assert second == told.Problem(
        "urn:obligor:problem:invalid", "No", 422, "because", (told.FieldError("/income", "wanted a number"),)
    )
    assert json.loads(lender.asked[0][3]) == {"applications": [{"income": 1}, {"income": "much"}]}
    assert lender.asked[0][2]["Idempotency-Key"]


def test_a_simulation_is_no_decision(ask: Ask, lender: Lender) -> None:
    lender.script += [Reply(200, {**SIMULATED, "simulated": True})]
    simulation = ask("simulate", {"income": 1})
    assert type(simulation) is told.Simulation
    assert simulation.score == 512.25
    assert "Idempotency-Key" not in lender.asked[0][2]


def test_a_search_asks_for_page_after_page(ask: Ask, lender: Lender) -> None:
    lender.script += [
        Reply(200, {"decisions": [DECISION, DECISION], "next_cursor": "c1"}),
        Reply(200, {"decisions": [DECISION], "next_cursor": None}),
    ]
    found = ask("search", application_id="A 17&x", band="D", since=datetime(2026, 11, 1, tzinfo=UTC))
    assert len(found) == 3
    first, second = (httpx.URL(path).params for _, path, _, _ in lender.asked)
    assert dict(first) == {"application_id": "A 17&x", "band": "D", "from": "2026-11-01T00:00:00+00:00", "limit": "100"}
    assert dict(second) == {**first, "cursor": "c1"}


def test_a_decision_that_was_tampered_with_keeps_nobody_from_the_others_of_a_search(ask: Ask, lender: Lender) -> None:
    broken = {"decision_id": ID, "broken": True}
    lender.script += [
        Reply(200, {"decisions": [DECISION, broken], "next_cursor": "c1"}),
        Reply(200, {"decisions": [DECISION], "next_cursor": None}),
    ]
    first, second, third = ask("search")
    assert second == told.BrokenDecision(ID)
    assert first.outcome == third.outcome == "decline"


def test_a_service_that_gives_one_page_for_ever_is_left(ask: Ask, lender: Lender) -> None:
    lender.script += [Reply(200, {"decisions": [DECISION], "next_cursor": "c1"})] * 3
    with pytest.raises(told.UnreadableAnswerError, match="twice"):
        ask("search")


def test_a_search_from_a_moment_without_a_zone_is_refused(ask: Ask) -> None:
    with pytest.raises(ValueError, match="time zone"):
        ask("search", since=datetime(2026, 11, 1))  # noqa: DTZ001  what a caller may give


def test_a_receipt_comes_as_the_bytes_that_verify(ask: Ask, lender: Lender) -> None:
    lender.script += [Reply(200, b'{"leaf": 1}\n'), Reply(200, {"contributions": []})]
    assert ask("receipt", ID) == b'{"leaf": 1}\n'
    assert ask("explanation", ID) == {"contributions": []}
    assert [path for _, path, _, _ in lender.asked] == [
        f"/v1/decisions/{ID}/receipt",
        f"/v1/decisions/{ID}/explanation",
    ]


def test_an_id_cannot_lead_to_another_place(ask: Ask, lender: Lender) -> None:
    lender.script += [refused(404)]
    with pytest.raises(told.NotFoundError):
        ask("decision", "../card?x=1#y")
    assert lender.asked[0][1] == "/v1/decisions/..%2Fcard%3Fx%3D1%23y"


def test_what_became_of_a_loan_is_reported(ask: Ask, lender: Lender) -> None:
    said = {"report_id": "r1", "decision_id": ID, "status": "bad", "observed_on": "2026-11-26"}
    lender.script += [Reply(201, said)]
    report = ask("report_outcome", ID, status="bad", observed_on=date(2026, 11, 26))
    assert report == told.OutcomeReport("r1", ID, "bad", date(2026, 11, 26))
    assert json.loads(lender.asked[0][3]) == {"status": "bad", "observed_on": "2026-11-26"}


def test_who_was_approved_is_screened_again_under_one_key(ask: Ask, lender: Lender) -> None:
    at = "2026-11-26T19:40:00.123456Z"
    said = {"screening_id": "s1", "decision_id": ID, "result": "review", "screened_at": at, "receipt": {}}
    lender.script += [refused(503), Reply(201, said)]
    screening = ask("screen_again", ID, idempotency_key="pay-17")
    assert screening == told.Screening("s1", ID, "review", datetime.fromisoformat(at))
    for method, path, heads, body in lender.asked:
        assert (method, path, heads["Idempotency-Key"], body) == (
            "POST", f"/v1/decisions/{ID}/screenings", "pay-17", b"",
        )  # fmt: skip


def test_a_review_is_asked_for_and_what_came_of_it_is_told(ask: Ask, lender: Lender) -> None:
    at, other = "2026-11-26T19:40:00.123456Z", "018f6f5e-0000-7000-8000-000000000002"
    opened = {"review_id": "r1", "decision_id": ID, "requested_at": at, "due_on": "2026-12-26", "pack": None}
    came = {"late": True, "verdict": "changed", "outcome": "approve", "decided_at": at, "new_decision_id": other}
    waits = {"late": False, "verdict": None, "outcome": None, "decided_at": None, "new_decision_id": None}
    lender.script += [
        Reply(201, opened | {"state": "open", "receipt": {}}),
        Reply(200, {"reviews": [opened | {"state": "decided"} | came, opened | {"state": "open"} | waits]}),
    ]
    review = ask("request_review", ID, corrections={"income": 2000, "since": date(2026, 1, 1)})
    when = datetime.fromisoformat(at)
    assert review == told.Review("r1", ID, when, date(2026, 12, 26), None, "open")
    decided = told.Review(
        "r1", ID, when, date(2026, 12, 26), None, "decided", True, "changed", "approve", when, other
    )  # fmt: skip
    assert ask("reviews", ID) == (decided, review)
    lender.script += [Reply(200, {"reviews": [opened | {"state": "open"} | waits]})]
    assert ask("open_reviews") == (review,)
    asked, read, waiting = lender.asked
    assert waiting[:2] == ("GET", "/v1/review-requests")
    assert json.loads(asked[3]) == {"statement": "", "corrections": {"income": 2000, "since": "2026-01-01"}}
    assert asked[2]["Idempotency-Key"]
    assert [(it[0], it[1]) for it in (asked, read)] == [
        (method, f"/v1/decisions/{ID}/review-requests") for method in ("POST", "GET")
    ]


def test_what_a_person_decided_in_place_of_a_decision_is_told(ask: Ask, lender: Lender) -> None:
    at, until = "2026-11-26T19:40:00.123456Z", "2026-12-27T00:00:00.000000Z"
    said = {"decision_id": ID, "outcome": "approve", "direction": "low_side", "reason": "outside", "state": "expired"}
    lender.script += [
        Reply(200, said | {"decided_at": at, "expires_at": until}),
        Reply(200, said | {"outcome": "decline", "decided_at": at, "expires_at": None}),
        refused(404),
    ]
    when, end = datetime.fromisoformat(at), datetime.fromisoformat(until)
    assert ask("override", ID) == told.Override(ID, "approve", "low_side", "outside", "expired", when, end)
    assert ask("override", ID).expires_at is None
    with pytest.raises(told.NotFoundError):
        ask("override", ID)
    assert lender.asked[0][:2] == ("GET", f"/v1/decisions/{ID}/override")


def test_decisions_that_belong_together_are_told(ask: Ask, lender: Lender) -> None:
    at, other = "2026-11-26T19:40:00.123456Z", "018f6f5e-0000-7000-8000-000000000002"
    links = [{"decision_id": other, "why": "velocity", "is": is_, "linked_at": at} for is_ in ("later", "earlier")]
    lender.script += [Reply(200, {"decision_id": ID, "compared": True, "links": links})]
    when = datetime.fromisoformat(at)
    assert ask("links", ID) == told.Links(
        compared=True, links=tuple(told.Link(other, "velocity", earlier, when) for earlier in (False, True))
    )
    assert lender.asked[0][:2] == ("GET", f"/v1/decisions/{ID}/links")


def test_a_service_that_is_not_ready_says_so(ask: Ask, lender: Lender, world: World) -> None:
    lender.script += [Reply(200, {"store": "ok"}), Reply(503, {"store": "down"})]
    assert ask("health") == told.Health(ready=True, said={"store": "ok"})
    assert ask("health") == told.Health(ready=False, said={"store": "down"})
    assert world.pauses == []


def test_no_log_and_no_error_tells_a_key_or_a_value(ask: Ask, lender: Lender, caplog: pytest.LogCaptureFixture) -> None:
    lender.script += [refused(503), Reply(DROPPED), Reply(201, DECISION), refused(422, "invalid")]
    with caplog.at_level(logging.DEBUG):
        ask("decide", {"name": "canary-person"}, idempotency_key="canary-key")
        with pytest.raises(told.InvalidRequestError) as caught:
            ask("decide", {"name": "canary-person"})
    for text in (caplog.text, str(caught.value), repr(caught.value), repr(Client(lender.url, KEY).__dict__)):
        assert "canary" not in text
        assert KEY not in text
        assert KEY.rsplit("_", 1)[1] not in text


def test_the_client_loads_nothing_else_of_obligor() -> None:
    program = (
        "import sys, obligor.client;"
        "print(*sorted(n for n in sys.modules if n.startswith('obligor') or n in ('numpy', 'pydantic', 'msgspec')))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert {".".join(it.split(".")[:2]) for it in done.stdout.split()} == {"obligor", "obligor.client"}

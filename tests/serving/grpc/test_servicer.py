"""The gRPC door in front of a service whose answers are scripted."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct, Value
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from obligor.core import errors as failures
from obligor.core.application import MOST_VALUES
from obligor.core.errors import (
    ApplicationError,
    KeyReusedError,
    LimitedError,
    ObligorError,
    Problem,
    UnauthenticatedError,
    UnavailableError,
)
from obligor.serving.acts import Caller, Recorded
from obligor.serving.errors import ANSWERS, problem_of
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.applications import application_json
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub
from obligor.serving.grpc.refusals import refusal_of, status_of
from obligor.serving.grpc.replies import decided, decided_many, found, simulated
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.http import Seats
from obligor.serving.telemetry.meter import Meter, NoMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from uuid import UUID

    from google.protobuf.timestamp_pb2 import Timestamp

ID = "018f6f5e-0000-7000-8000-000000000001"
KEY = "obl_k7Qm2ZpX4tLa_c2VjcmV0"
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
HEADS = (("authorization", f"Bearer {KEY}"), ("idempotency-key", "loan-17"))


@dataclass
class Lender:
    """A use case and an authenticator that do as they are told, and remember what they were asked."""

    fails: Exception | None = None
    hold: asyncio.Event | None = None
    """Recording waits for it."""
    authenticating_takes: float = 0.0
    is_busy_for: float = 0.0
    """Seconds for which the whole event loop stands still."""
    asked: list[tuple[str, Any]] = field(default_factory=list)
    recorded: set[str] = field(default_factory=set)
    peers: list[str] = field(default_factory=list)

    def known(self, header: str, certificate: bytes | None = None) -> Caller | None:
        return None

    async def authenticate(self, header: str | None, *, peer: str, holds: object = None) -> Caller:
        self.peers.append(peer)
        if header != f"Bearer {KEY}":
            raise UnauthenticatedError("no API key that is known here")
        await asyncio.sleep(self.authenticating_takes)
        time.sleep(self.is_busy_for)  # noqa: ASYNC251  on purpose
        return Caller("bank", "k7Qm2ZpX4tLa", frozenset({"decide"}), datetime(2030, 1, 1, tzinfo=UTC))

    def expect(self, come: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(come)

    async def decide(self, _: Caller, *, key: str, application: bytes) -> Recorded:
        return await self._record(key, application, json.dumps(DECISION))

    async def decide_many(self, _: Caller, *, key: str, applications: Sequence[bytes]) -> Recorded:
        problem = problem_of(ApplicationError("income", problems=(Problem(("income",), "wanted a number"),)))
        answers = [{"decision": DECISION} if b"income" in it else {"problem": problem} for it in applications]
        return await self._record(key, list(applications), json.dumps({"results": answers}))

    def simulate(self, _: Caller, application: bytes) -> dict[str, Any]:
        self.asked.append(("simulate", application))
        return {"simulated": True, **{n: it for n, it in DECISION.items() if n not in NOT_SIMULATED}}

    async def decision(self, _: Caller, decision_id: UUID) -> dict[str, Any]:
        self.asked.append(("decision", decision_id))
        return DECISION

    async def receipt(self, _: Caller, _id: UUID) -> dict[str, Any]:
        return {"leaf": "é", "index": 7}

    async def _record(self, key: str, asked: object, answer: str) -> Recorded:
        self.asked.append((key, asked))
        if self.fails is not None:
            raise self.fails
        if self.hold is not None:
            await self.hold.wait()
        replayed = key in self.recorded
        self.recorded.add(key)
        return Recorded(answer.encode(), 201, replayed, 7)


NOT_SIMULATED = ("decision_id", "application_id", "receipt")


@dataclass
class Door:
    server: Server
    port: int
    channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        return DecisionsStub(self.channel)

    async def health(self, service: str = "") -> str:
        request = health_pb2.HealthCheckRequest(service=service)
        told = await health_pb2_grpc.HealthStub(self.channel).Check(request)
        return health_pb2.HealthCheckResponse.ServingStatus.Name(told.status)


def servicer(lender: Lender, *, most: int = 64, meter: Meter | None = None) -> Servicer:
    # Of the use case, the scripted one has what a door calls.
    return Servicer(lender, lender, lender, seats=Seats(most), meter=meter or NoMeter())  # type: ignore[arg-type]


@asynccontextmanager
async def opened(lender: Lender, *, most: int = 64, meter: Meter | None = None) -> AsyncIterator[Door]:
    server = Server(servicer(lender, most=most, meter=meter))
    port = await server.start("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Door(server, port, channel)
    finally:
        await server.stop(grace=1.0)


def played(lender: Lender, play: Callable[[Door], Awaitable[None]], **named: Any) -> None:
    async def run() -> None:
        async with opened(lender, **named) as door:
            await play(door)

    asyncio.run(run())


def application(**fields: object) -> Struct:
    struct = Struct()
    struct.update(fields)
    return struct


def details(error: grpc.aio.AioRpcError) -> tuple[Status, dict[str, Any]]:
    status = Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    found: dict[str, Any] = {}
    for packed in status.details:
        for kind in (BadRequest, ErrorInfo, RetryInfo):
            if packed.Is(kind.DESCRIPTOR):
                message = kind()
                packed.Unpack(message)
                found[kind.DESCRIPTOR.name] = message
    return status, found


def as_answered(decision: pb.Decision) -> dict[str, Any]:
    """Give a decision as REST answers it."""
    plain = MessageToDict(decision, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    plain["outcome"] = plain["outcome"].removeprefix("OUTCOME_").lower()
    plain["decided_at"] = in_rest(decision.decided_at)
    plain["pins"]["release"] = int(plain["pins"]["release"])
    plain["receipt"] = {name: int(it) for name, it in plain["receipt"].items()}
    plain.setdefault("application_id", None)
    return plain


def in_rest(at: Timestamp) -> str:
    return at.ToDatetime(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INDEX = st.integers(0, 2**62)
POINTS = st.floats(-1e6, 1e6).map(lambda it: round(it, 3) + 0.0)
MOMENT = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1)).map(  # noqa: DTZ001  in UTC, as told
    lambda at: at.isoformat(timespec="microseconds") + "Z"
)
ANSWERED = st.fixed_dictionaries(
    {
        "decision_id": st.uuids().map(str),
        "application_id": st.none() | TEXT,
        "decided_at": MOMENT,
        "outcome": st.sampled_from(["approve", "refer", "decline", "hold"]),
        "because": TEXT,
        "score": POINTS,
        "pd": st.floats(0, 1),
        "band": TEXT,
        "cutoff": POINTS,
        "reasons": st.lists(st.fixed_dictionaries({"code": TEXT, "text": TEXT}), max_size=4),
        "unusual": st.lists(TEXT, max_size=3),
        "pins": st.fixed_dictionaries({**dict.fromkeys(PINS, TEXT), "release": INDEX}),
        "receipt": st.fixed_dictionaries({"leaf_index": INDEX, "tree_size": INDEX}),
    }
)


@given(ANSWERED, st.booleans())
def test_a_decision_over_grpc_is_the_one_over_rest_field_for_field(answer: dict[str, Any], replayed: bool) -> None:  # noqa: FBT001
    told = decided(Recorded(json.dumps(answer).encode(), 201, replayed, 7))
    assert as_answered(told.decision) == answer
    assert told.replayed is replayed
    assert found(answer).decision == told.decision


@given(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(["approve", "refer", "decline", "hold"]),
            "said_by": st.sampled_from(["override", "review"]),
            "at": MOMENT,
            "expires_at": st.none() | MOMENT,
            "expired": st.booleans(),
            "new_decision_id": st.none() | st.uuids().map(str),
        }
    )
)
def test_what_people_said_since_is_told_over_grpc_as_over_rest(stands: dict[str, Any]) -> None:
    told = found(DECISION | {"stands": stands})
    assert as_answered(told.decision) == DECISION
    assert {
        "outcome": pb.Outcome.Name(told.stands.outcome).removeprefix("OUTCOME_").lower(),
        "said_by": pb.SaidBy.Name(told.stands.said_by).removeprefix("SAID_BY_").lower(),
        "at": in_rest(told.stands.said_at),
        "expires_at": in_rest(told.stands.expires_at) if told.stands.HasField("expires_at") else None,
        "expired": told.stands.expired,
        "new_decision_id": told.stands.new_decision_id if told.stands.HasField("new_decision_id") else None,
    } == stands
    assert not found(DECISION).HasField("stands")


def test_every_outcome_has_a_name_of_its_own() -> None:
    for outcome in ("approve", "refer", "decline", "hold"):
        plain = found({**DECISION, "outcome": outcome}).decision.outcome
        assert pb.Outcome.Name(plain) == f"OUTCOME_{outcome.upper()}"


def test_a_simulation_has_no_id_and_no_place_in_the_log() -> None:
    told = simulated({n: it for n, it in DECISION.items() if n not in NOT_SIMULATED}).decision
    assert told.decision_id == ""
    assert not told.HasField("receipt")
    assert not told.HasField("application_id")
    assert told.score == 512.25


PLAIN = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(TEXT, PLAIN, max_size=6))
def test_an_application_arrives_as_it_was_sent(fields: dict[str, object]) -> None:
    sent = Struct.FromString(application(**fields).SerializeToString())
    assert json.loads(application_json(sent)) == fields == MessageToDict(sent)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_no_json_can_say_is_refused_with_its_place(number: float) -> None:
    struct = application(bureau=[{"balance": 1.0}, {"balance": number}])
    with pytest.raises(ApplicationError) as caught:
        application_json(struct)
    assert [it.path for it in caught.value.problems] == [("bureau", 1, "balance")]


def test_more_values_than_an_application_has_are_not_taken_out_of_a_message() -> None:
    for said in ({"bureau": [0] * MOST_VALUES}, {"bureau": [[[0] * 16] * 32] * 33}):
        with pytest.raises(ApplicationError, match=f"at most {MOST_VALUES} values"):
            application_json(application(**said))
    assert json.loads(application_json(application(bureau=[0] * (MOST_VALUES - 1))))["bureau"]


def test_a_value_that_holds_nothing_is_not_taken_for_null() -> None:
    struct = Struct(fields={"income": Value()})
    with pytest.raises(ApplicationError) as caught:
        application_json(struct)
    assert [it.path for it in caught.value.problems] == [("income",)]


def errors_of_every_kind() -> list[ObligorError]:
    kinds = [it for it in vars(failures).values() if isinstance(it, type) and issubclass(it, ObligorError)]
    more = {failures.RollbackError: {"size": 7}}
    return [kind("what it says", **more.get(kind, {})) for kind in kinds if hasattr(kind, "kind")]


@pytest.mark.parametrize("error", errors_of_every_kind(), ids=lambda it: type(it).__name__)
def test_every_error_is_told_with_its_code_its_reason_and_when_to_come_back(error: ObligorError) -> None:
    lender = Lender(fails=error)

    async def play(door: Door) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(pb.DecideRequest(application=application(income=1)), metadata=HEADS)
        status, told = details(caught.value)
        assert caught.value.code().name == ANSWERS[error.kind].code
        assert (status.code, status.message) == (caught.value.code().value[0], caught.value.details())
        assert told["ErrorInfo"].domain == "obligor"
        assert told["ErrorInfo"].reason == problem_of(error)["type"].rsplit(":", 1)[1].upper().replace("-", "_")
        again = error.kind in ("conflict", "limited", "unavailable", "broken")
        assert ("RetryInfo" in told) == again
        assert not again or told["RetryInfo"].retry_delay.seconds >= 1
        assert ("what it says" in status.message) == (error.kind not in ("broken", "unavailable"))

    played(lender, play)


def test_a_reused_key_is_told_apart_from_a_wrong_field() -> None:
    fields = (Problem(("income",), "got a text, wanted a number"), Problem(("bureau", 0, "a/b"), "is not known"))
    wrong = refusal_of(ApplicationError("two fields", problems=fields))
    reused = refusal_of(KeyReusedError("this key was used for another request"))
    info, bad = ErrorInfo(), BadRequest()
    assert reused.details[0].Unpack(info)
    assert info.reason == "KEY_REUSED"
    assert wrong.code == reused.code
    assert wrong.details[1].Unpack(bad)
    assert [(it.field, it.description) for it in bad.field_violations] == [
        ("/income", "got a text, wanted a number"),
        ("/bureau/0/a~1b", "is not known"),
    ]


def test_a_limit_says_its_own_time() -> None:
    retry = RetryInfo()
    assert refusal_of(LimitedError("too many", retry_after=17)).details[-1].Unpack(retry)
    assert retry.retry_delay.seconds == 17


def test_what_nobody_foresaw_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    lender = Lender(fails=RuntimeError("canary of a person"))

    async def play(door: Door) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(pb.DecideRequest(application=application(name="canary")), metadata=HEADS)
        assert caught.value.code() is grpc.StatusCode.INTERNAL
        assert "canary" not in str(details(caught.value)) + str(caught.value)

    with caplog.at_level(logging.DEBUG):
        played(lender, play)
    assert "RuntimeError at _record:" in caplog.text
    assert "canary" not in caplog.text


def test_a_decision_is_made_once_for_an_idempotency_key() -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        request = pb.DecideRequest(application=application(income=30000, name="Zoë", arrears=None))
        first = await door.stub.Decide(request, metadata=HEADS)
        again = await door.stub.Decide(request, metadata=HEADS)
        assert (first.replayed, again.replayed) == (False, True)
        assert as_answered(first.decision) == DECISION == as_answered(again.decision)

    played(lender, play)
    assert [json.loads(asked) for _, asked in lender.asked] == [{"income": 30000, "name": "Zoë", "arrears": None}] * 2
    assert all(peer.startswith("ipv4:127.0.0.1:") for peer in lender.peers)


def test_many_applications_each_get_a_decision_or_a_problem() -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        request = pb.DecideManyRequest(applications=[application(income=1), application(name="x")])
        told = await door.stub.DecideMany(request, metadata=HEADS)
        assert as_answered(told.results[0].decision) == DECISION
        problem = told.results[1].problem
        assert problem.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert [it.type_url.rsplit(".", 1)[1] for it in problem.details] == ["ErrorInfo", "BadRequest"]

    played(lender, play)


def test_a_decision_is_found_and_its_receipt_is_the_bytes_that_verify() -> None:
    async def play(door: Door) -> None:
        told = await door.stub.GetDecision(pb.GetDecisionRequest(decision_id=ID), metadata=HEADS[:1])
        assert as_answered(told.decision) == DECISION
        receipt = await door.stub.GetReceipt(pb.GetReceiptRequest(decision_id=ID), metadata=HEADS[:1])
        assert receipt.receipt == '{"leaf":"é","index":7}'
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.GetDecision(pb.GetDecisionRequest(decision_id="7"), metadata=HEADS[:1])
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    played(Lender(), play)


@pytest.mark.parametrize(
    ("heads", "code"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer obl_other"),), grpc.StatusCode.UNAUTHENTICATED),
        (HEADS[:1], grpc.StatusCode.INVALID_ARGUMENT),
        ((*HEADS, HEADS[0]), grpc.StatusCode.INVALID_ARGUMENT),
        ((*HEADS, ("idempotency-key", "other")), grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["nobody", "unknown", "without a key", "two callers", "two keys"],
)
def test_a_call_that_does_not_say_who_and_what_is_not_begun(heads: tuple[Any, ...], code: grpc.StatusCode) -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(pb.DecideRequest(application=application(income=1)), metadata=heads)
        assert caught.value.code() is code

    played(lender, play)
    assert lender.asked == []


@pytest.mark.parametrize("lender", [Lender(authenticating_takes=0.5), Lender(is_busy_for=0.5)], ids=["waits", "busy"])
def test_a_call_whose_deadline_has_passed_is_not_begun(lender: Lender) -> None:

    async def play(door: Door) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(pb.DecideRequest(application=application(income=1)), metadata=HEADS, timeout=0.2)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0.6)

    played(lender, play)
    assert lender.asked == []


def test_an_application_may_be_so_large_and_a_message_too() -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        for size, code in ((1 << 20, grpc.StatusCode.INVALID_ARGUMENT), (17 << 20, grpc.StatusCode.RESOURCE_EXHAUSTED)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await door.stub.Decide(pb.DecideRequest(application=application(name="x" * size)), metadata=HEADS)
            assert caught.value.code() is code

    played(lender, play)
    assert lender.asked == []


def test_more_applications_than_may_come_at_once_are_refused_before_they_are_looked_at() -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        for request in (
            pb.DecideManyRequest(applications=[Struct()] * 1_000_000),
            pb.DecideManyRequest(applications=[application(income=1), application(name="x" * (1 << 20))]),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await door.stub.DecideMany(request, metadata=HEADS)
            assert details(caught.value)[1]["ErrorInfo"].reason == "TOO_LARGE"

    played(lender, play)
    assert lender.asked == []


def test_health_says_when_the_door_is_about_to_close_while_calls_are_still_answered() -> None:
    async def play(door: Door) -> None:
        names = ("", "obligor.v1.Decisions")
        assert [await door.health(it) for it in names] == ["SERVING"] * 2
        await door.server.tell(ready=False)
        assert [await door.health(it) for it in names] == ["NOT_SERVING"] * 2
        await door.server.tell(ready=True)
        await door.server.drain()
        assert [await door.health(it) for it in names] == ["NOT_SERVING"] * 2
        await door.server.tell(ready=True)
        assert await door.health() == "NOT_SERVING"
        with pytest.raises(grpc.aio.AioRpcError):
            await door.health("other")
        assert await door.stub.Decide(pb.DecideRequest(application=application(income=1)), metadata=HEADS)

    played(Lender(), play)


def test_reflection_tells_what_the_service_is() -> None:
    async def play(door: Door) -> None:
        stub = reflection_pb2_grpc.ServerReflectionStub(door.channel)
        ask = reflection_pb2.ServerReflectionRequest
        asked = [ask(list_services=""), ask(file_containing_symbol="obligor.v1.Decisions")]
        told = [it async for it in stub.ServerReflectionInfo(iter(asked))]
        names = {it.name for it in told[0].list_services_response.service}
        assert names >= {"obligor.v1.Decisions", "grpc.health.v1.Health"}
        assert any(b"obligor/v1/decisions.proto" in it for it in told[1].file_descriptor_response.file_descriptor_proto)

    played(Lender(), play)


def test_a_call_that_is_open_ends_before_the_door_is_closed() -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        lender.hold = asyncio.Event()
        request = pb.DecideRequest(application=application(income=1))
        call = asyncio.ensure_future(door.stub.Decide(request, metadata=HEADS))
        while not lender.asked:
            await asyncio.sleep(0.01)
        stopping = asyncio.ensure_future(door.server.stop(grace=30.0))
        await asyncio.sleep(0.1)
        assert not stopping.done()
        lender.hold.set()
        await stopping
        assert as_answered((await call).decision) == DECISION
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(request, metadata=HEADS)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

    played(lender, play)


@pytest.mark.parametrize(("most", "reason"), [(1, "UNAVAILABLE"), (2, "LIMITED")], ids=["all seats", "one client"])
def test_a_full_service_says_so_at_once_and_still_tells_its_health(most: int, reason: str) -> None:
    lender = Lender()

    async def play(door: Door) -> None:
        lender.hold = asyncio.Event()
        request = pb.DecideRequest(application=application(income=1))
        call = asyncio.ensure_future(door.stub.Decide(request, metadata=HEADS))
        while not lender.asked:
            await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(request, metadata=HEADS)
        _, told = details(caught.value)
        assert told["ErrorInfo"].reason == reason
        assert told["RetryInfo"].retry_delay.seconds >= 1
        assert await door.health() == "SERVING"
        lender.hold.set()
        await call
        assert await door.stub.Decide(request, metadata=HEADS)

    played(lender, play, most=most)


def test_a_refusal_of_a_thousand_long_fields_still_reaches_the_client() -> None:
    problems = tuple(Problem((f"{place}-{'日本' * 300}",), "is not known to the card") for place in range(1000))
    lender = Lender(fails=ApplicationError("日本" * 5000, problems=problems))

    async def play(door: Door) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.stub.Decide(pb.DecideRequest(application=application(income=1)), metadata=HEADS)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        fields = [it.field for it in details(caught.value)[1]["BadRequest"].field_violations]
        assert [it[:3] for it in fields] == [f"/{place}-" for place in range(len(fields))]
        assert len(fields) > 1

    played(lender, play)


def test_a_port_that_is_taken_is_told() -> None:
    async def play(door: Door) -> None:
        other = Server(servicer(Lender()))
        with pytest.raises(UnavailableError, match="is the port taken"):
            await other.start("127.0.0.1", door.port)

    played(Lender(), play)


class Counting(NoMeter):
    def __init__(self) -> None:
        self.open = 0
        self.told: list[tuple[str, int]] = []

    def entered(self) -> None:
        self.open += 1

    def left(self, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.open -= 1
        self.told.append((route, status))


def test_every_call_is_counted_with_the_status_that_it_would_have_over_rest() -> None:
    lender, meter = Lender(), Counting()

    async def play(door: Door) -> None:
        request = pb.DecideRequest(application=application(income=1))
        await door.stub.Decide(request, metadata=HEADS)
        for lender.fails in (KeyReusedError("used"), RuntimeError("no")):
            with pytest.raises(grpc.aio.AioRpcError):
                await door.stub.Decide(request, metadata=HEADS)

    played(lender, play, meter=meter)
    assert meter.told == [("grpc/Decide", 200), ("grpc/Decide", 422), ("grpc/Decide", 500)]
    assert meter.open == 0


def test_every_problem_of_an_item_has_a_code() -> None:
    for error in errors_of_every_kind():
        assert status_of(problem_of(error)).code == refusal_of(error).code
    told = asyncio.run(decided_many(Recorded(b'{"results":[]}', 200, replayed=True, leaf_index=-1)))
    assert (len(told.results), told.replayed) == (0, True)


@pytest.mark.parametrize(
    ("plain", "path"),
    [
        ({"income": math.nan}, ("income",)),
        ({"bureau": [{"balance": math.inf}]}, ("bureau", 0, "balance")),
        ({"Oleg Korvand": math.nan}, ()),
        ({"bureau": [{"Oleg Korvand": [math.nan]}]}, ("bureau", 0)),
    ],
)
def test_what_json_cannot_say_is_told_by_names_that_can_be_no_more_than_names(
    plain: dict[str, Any], path: tuple[str | int, ...]
) -> None:
    said = Struct()
    said.update(plain)
    with pytest.raises(ApplicationError, match="NaN or an infinity") as caught:
        application_json(said)
    assert [it.path for it in caught.value.problems] == [path]
    assert "Oleg" not in str(caught.value)

"""One decision, whichever door: what REST and gRPC say of the same application is the same, field for field."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.core.test_application import BEYOND, refusing
from tests.serving.http.fakes import PLAIN, House, house, small_card, small_release
from tests.serving.http.serving import run, served

from obligor import client as told
from obligor.client import AsyncClient
from obligor.serving.errors import ANSWERS
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.privacy.masking import HIDDEN
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    import httpx

OF_THE_MOMENT = ("decision_id", "decided_at", "receipt")
APPLICATIONS: Mapping[str, dict[str, Any]] = {
    "good": PLAIN,
    "poor": {**PLAIN, "income": 100},
    "not known": {**PLAIN, "income": None, "purpose": None},
    "a level never seen": {**PLAIN, "purpose": "yacht"},
    "a name with accents": {**PLAIN, "purpose": "café\u0301"},
    "no history": {**PLAIN, "bureau": []},
    "lacking": {name: it for name, it in PLAIN.items() if name != "income"},
    "unknown field": {**PLAIN, "star_sign": "leo"},
    "a name as a field": {**PLAIN, "Oleg Korvand": 1},
    "wrong type": {**PLAIN, "income": "1500", "owner": 1},
    "wrong day": {**PLAIN, "applied_on": "2024-02-30"},
    "wrong history": {**PLAIN, "bureau": [{"at": "2024-04-30", "balance": "5"}, 7]},
    "nested": {**PLAIN, "income": {"monthly": [1, 2]}},
    "too much": {**PLAIN, "income": 1e300},
    "minus zero": {**PLAIN, "income": -0.0},
    "empty": {},
}


@dataclass(frozen=True)
class Said:
    """What a door said: a decision, or a refusal by its name, its fields and when to come back."""

    decision: dict[str, Any] | None = None
    replayed: bool = False
    refusal: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    waits: bool = False

    def without_the_moment(self) -> dict[str, Any] | None:
        return self.decision and {name: it for name, it in self.decision.items() if name not in OF_THE_MOMENT}


@dataclass(frozen=True)
class Doors:
    """Both doors of one service."""

    house: House
    rest: httpx.AsyncClient
    channel: grpc.aio.Channel

    @property
    def stub(self) -> Any:
        return DecisionsStub(self.channel)

    async def by_rest(self, method: str, path: str, body: object = None, *, caller: str = "one", key: str = "") -> Any:
        heads = {"idempotency-key": key} if key else {}
        heads |= {"authorization": f"Bearer {caller}"} if caller else {}
        return await self.rest.request(method, path, json=body, headers=heads)

    async def decided_by_rest(self, application: object, **named: str) -> Said:
        return of_rest(await self.by_rest("POST", "/v1/decisions", application, **named))

    async def decided_by_grpc(self, application: Mapping[str, Any], **named: str) -> Said:
        return await self.by_grpc("Decide", pb.DecideRequest(application=struct(application)), **named)

    async def by_grpc(self, call: str, request: object, *, caller: str = "one", key: str = "") -> Said:
        heads = [("authorization", f"Bearer {caller}")] if caller else []
        heads += [("idempotency-key", key)] if key else []
        try:
            reply = await getattr(self.stub, call)(request, metadata=heads)
        except grpc.aio.AioRpcError as error:
            return of_status(Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"]))
        return Said(as_answered(reply.decision), replayed=getattr(reply, "replayed", False))


def struct(plain: Mapping[str, Any]) -> Struct:
    made = Struct()
    made.update(plain)
    return made


def of_rest(answer: httpx.Response) -> Said:
    said = answer.json()
    if answer.is_success:
        return Said(said, replayed=answer.headers.get("idempotent-replayed") == "true")
    return of_problem(said, waits="retry-after" in answer.headers)


def of_problem(problem: Mapping[str, Any], *, waits: bool = False) -> Said:
    fields = tuple((it["field"], it["message"]) for it in problem.get("errors", ()))
    return Said(refusal=problem["type"].rsplit(":", 1)[1], fields=fields, waits=waits)


def of_status(status: Status) -> Said:
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    unpacked = [packed.Unpack(it) for packed in status.details for it in (info, bad, retry)]
    assert any(unpacked)
    name = info.reason.lower().replace("_", "-")
    assert grpc.StatusCode[ANSWERS[KINDS.get(name, name)].code].value[0] == status.code  # type: ignore[index]  # a kind
    fields = tuple((it.field, it.description) for it in bad.field_violations)
    return Said(refusal=name, fields=fields, waits=retry.HasField("retry_delay"))


KINDS = {"key-reused": "invalid", "not-found": "not_found", "too-large": "too_large"}


def as_answered(decision: pb.Decision) -> dict[str, Any]:
    """Give a decision as REST answers it; the field of a simulation that REST has not is left out."""
    plain = MessageToDict(decision, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
    plain["outcome"] = plain["outcome"].removeprefix("OUTCOME_").lower()
    micros = decision.decided_at.ToMicroseconds() % 1_000_000
    plain["decided_at"] = f"{decision.decided_at.ToJsonString()[:19]}.{micros:06d}Z"
    plain["pins"]["release"] = int(plain["pins"]["release"])
    if not decision.decision_id:
        del plain["decision_id"]
        return plain
    plain["receipt"] = {name: int(it) for name, it in plain["receipt"].items()}
    plain.setdefault("application_id", None)
    return plain


@asynccontextmanager
async def both(made: House | None = None) -> AsyncIterator[Doors]:
    made = made or house()
    door = made.door
    server = Server(Servicer(door.service, door.register, door.authenticator, seats=door.seats, meter=NoMeter()))
    port = await server.start("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel, made.client(None) as rest:
            yield Doors(made, rest, channel)
    finally:
        await server.stop(grace=1.0)


def played(play: Callable[[Doors], Awaitable[None]]) -> None:
    async def main() -> None:
        async with both() as doors:
            await play(doors)

    run(main())


@pytest.mark.parametrize("name", APPLICATIONS)
def test_both_doors_say_the_same_of_an_application(name: str) -> None:
    async def play(doors: Doors) -> None:
        application = APPLICATIONS[name]
        rest = await doors.decided_by_rest(application, key="by-rest")
        over_grpc = await doors.decided_by_grpc(application, key="by-grpc")
        assert over_grpc.without_the_moment() == rest.without_the_moment()
        assert (over_grpc.refusal, over_grpc.fields) == (rest.refusal, rest.fields)
        assert (rest.decision is None) != (not rest.refusal)
        simulated = of_rest(await doors.by_rest("POST", "/v1/simulations", application))
        also = await doors.by_grpc("Simulate", pb.SimulateRequest(application=struct(application)))
        assert (also.refusal, also.fields) == (simulated.refusal, simulated.fields)
        if also.decision and simulated.decision and rest.decision:
            lacking = {"simulated", "decided_at"}
            assert also.without_the_moment() == {n: it for n, it in simulated.decision.items() if n not in lacking}
            assert also.decision["score"] == rest.decision["score"]

    played(play)


@pytest.mark.parametrize("name", BEYOND)
def test_both_doors_refuse_a_value_that_the_contract_calls_impossible(name: str) -> None:
    changed, place, message = BEYOND[name]
    application, refused = PLAIN | changed, Said(refusal="invalid", fields=((place, message),))

    async def main() -> None:
        async with both(house(release=small_release(card=refusing(small_card())))) as doors:
            assert await doors.decided_by_rest(application, key="k") == refused
            assert await doors.decided_by_grpc(application, key="k") == refused
            answer = await doors.by_rest("POST", "/v1/simulations", application)
            assert (answer.status_code, of_rest(answer)) == (422, refused)
            assert await doors.by_grpc("Simulate", pb.SimulateRequest(application=struct(application))) == refused
            many = await doors.by_rest("POST", "/v1/decisions/bulk", {"applications": [application, PLAIN]}, key="b")
            one, other = many.json()["results"]
            assert of_problem(one["problem"]) == refused
            heads = (("authorization", "Bearer one"), ("idempotency-key", "c"))
            request = pb.DecideManyRequest(applications=map(struct, [application, PLAIN]))
            first, second = (await doors.stub.DecideMany(request, metadata=heads)).results
            assert of_status(first.problem) == refused
            assert (second.WhichOneof("result"), "decision" in other) == ("decision", True)
            assert doors.house.store.leaves == ["decision"] * 2

    run(main())


@pytest.mark.parametrize("first", ["rest", "grpc"])
def test_a_key_that_was_used_at_one_door_replays_at_the_other(first: str) -> None:
    async def play(doors: Doors) -> None:
        ways = [doors.decided_by_rest, doors.decided_by_grpc]
        one, other = ways if first == "rest" else reversed(ways)
        made, again = await one(PLAIN, key="k"), await other({**PLAIN, "income": 1500.0}, key="k")
        assert again.decision == made.decision
        assert (made.replayed, again.replayed) == (False, True)
        assert len(doors.house.store.leaves) == 1
        reused = [await way({**PLAIN, "income": 1}, key="k") for way in ways]
        assert reused == [Said(refusal="key-reused")] * 2
        assert not (await other(PLAIN, key="k", caller="two")).replayed

    played(play)


def test_many_applications_come_to_the_same_at_both_doors() -> None:
    async def play(doors: Doors) -> None:
        applications = list(APPLICATIONS.values())
        rest = await doors.by_rest("POST", "/v1/decisions/bulk", {"applications": applications}, key="k")
        request = pb.DecideManyRequest(applications=map(struct, applications))
        heads = (("authorization", "Bearer one"), ("idempotency-key", "k2"))
        reply = await doors.stub.DecideMany(request, metadata=heads)
        results = rest.json()["results"]
        assert len(results) == len(reply.results) == len(applications)
        for plain, message in zip(results, reply.results, strict=True):
            if "decision" in plain:
                over_grpc = Said(as_answered(message.decision)).without_the_moment()
                assert over_grpc == Said(plain["decision"]).without_the_moment()
            else:
                assert of_status(message.problem) == of_problem(plain["problem"])
        assert {it.WhichOneof("result") for it in reply.results} == {"decision", "problem"}

    played(play)


def test_what_json_cannot_say_in_one_application_is_the_error_of_that_one_alone() -> None:
    async def play(doors: Doors) -> None:
        def heads(key: str) -> tuple[tuple[str, str], ...]:
            return (("authorization", "Bearer one"), ("idempotency-key", key))

        sent = [PLAIN, PLAIN | {"income": math.nan}, PLAIN | {"customer": "another"}]
        request = pb.DecideManyRequest(applications=map(struct, sent))
        reply = await doors.stub.DecideMany(request, metadata=heads("k"))
        assert [it.WhichOneof("result") for it in reply.results] == ["decision", "problem", "decision"]
        fields = BadRequest()
        assert reply.results[1].problem.details[1].Unpack(fields)
        (field,) = fields.field_violations
        assert (field.field, field.description) == ("/income", "got NaN or an infinity, wanted a number")
        again = await doors.stub.DecideMany(request, metadata=heads("k"))
        assert (again.replayed, again.results) == (True, reply.results)
        mended = pb.DecideManyRequest(applications=[struct(PLAIN)] * 3)
        with pytest.raises(grpc.aio.AioRpcError) as reused:
            await doors.stub.DecideMany(mended, metadata=heads("k"))
        assert "KEY_REUSED" in str(reused.value.trailing_metadata())
        alone = pb.DecideManyRequest(applications=[struct(PLAIN | {"income": math.inf})])
        assert [
            it.WhichOneof("result") for it in (await doors.stub.DecideMany(alone, metadata=heads("k2"))).results
        ] == ["problem"]

    played(play)


@pytest.mark.parametrize(
    ("caller", "refusal"), [("", "unauthenticated"), ("nobody", "unauthenticated"), ("scraper", "forbidden")]
)
def test_who_may_not_decide_is_refused_alike(caller: str, refusal: str) -> None:
    async def play(doors: Doors) -> None:
        said = [await way(PLAIN, key="k", caller=caller) for way in (doors.decided_by_rest, doors.decided_by_grpc)]
        assert said == [Said(refusal=refusal)] * 2
        assert doors.house.store.leaves == []

    played(play)


def test_a_decision_is_found_at_both_doors_by_its_client_and_the_auditor_alone() -> None:
    async def play(doors: Doors) -> None:
        made = (await doors.decided_by_grpc(PLAIN, key="k")).decision
        assert made
        request = pb.GetDecisionRequest(decision_id=made["decision_id"])
        for caller, expected in (
            ("one", Said(made)),
            ("auditor", Said(made | {"application_id": HIDDEN})),  # which is the client's name for it
            ("two", Said(refusal="not-found")),
            ("scraper", Said(refusal="forbidden")),
        ):
            rest = of_rest(await doors.by_rest("GET", f"/v1/decisions/{made['decision_id']}", caller=caller))
            assert rest == await doors.by_grpc("GetDecision", request, caller=caller) == expected
        receipt = await doors.by_rest("GET", f"/v1/decisions/{made['decision_id']}/receipt")
        proof = pb.GetReceiptRequest(decision_id=made["decision_id"])
        over_grpc = await doors.stub.GetReceipt(proof, metadata=(("authorization", "Bearer one"),))
        assert over_grpc.receipt.encode() == receipt.content

    played(play)


def test_a_request_in_flight_and_a_store_that_is_down_are_told_alike() -> None:
    async def play(doors: Doors) -> None:
        store = doors.house.store
        store.hold = asyncio.Event()
        first = asyncio.ensure_future(doors.decided_by_rest(PLAIN, key="k"))
        while not store.in_flight:
            await asyncio.sleep(0.01)
        ways = (doors.decided_by_rest, doors.decided_by_grpc)
        assert [await way(PLAIN, key="k") for way in ways] == [Said(refusal="conflict", waits=True)] * 2
        store.hold.set()
        assert (await first).decision
        store.down = True
        assert [await way(PLAIN, key="k2") for way in ways] == [Said(refusal="unavailable", waits=True)] * 2

    played(play)


def test_a_client_that_leaves_before_its_decision_is_recorded_finds_none_and_may_ask_again() -> None:
    async def play(doors: Doors) -> None:
        store = doors.house.store
        store.hold = asyncio.Event()
        heads = (("authorization", "Bearer one"), ("idempotency-key", "k"))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await doors.stub.Decide(pb.DecideRequest(application=struct(PLAIN)), metadata=heads, timeout=0.3)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        while store.in_flight:
            await asyncio.sleep(0.01)
        store.hold.set()
        assert not (await doors.decided_by_grpc(PLAIN, key="k")).replayed
        assert store.leaves == ["decision"]

    played(play)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text("0-:\\x00é٣", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["at", "balance", "x"]), inner, max_size=2)
    ),
    max_leaves=5,
)
FIELDS = st.dictionaries(st.sampled_from([*PLAIN, "x", ""]), JSON, max_size=4)
LIMITS_MET = st.fixed_dictionaries(
    {}, optional={"income": st.floats(-2, 2) | st.floats(999_999, 1_000_001), "amount": st.floats(0.25, 0.75)}
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.tuples(FIELDS | LIMITS_MET, st.sets(st.sampled_from([*PLAIN]))), min_size=1, max_size=20),
    st.sampled_from([small_card(), refusing(small_card())]),
)
def test_whatever_comes_both_doors_take_it_or_refuse_it_alike(
    odd: list[tuple[dict[str, Any], set[str]]], card: Any
) -> None:
    async def play(doors: Doors) -> None:
        for place, (fields, lacking) in enumerate(odd):
            application = {name: it for name, it in {**PLAIN, **fields}.items() if name not in lacking}
            over_grpc = await doors.decided_by_grpc(application, key=f"grpc-{place}")
            rest = await doors.decided_by_rest(application, key=f"rest-{place}")
            assert over_grpc.refusal in ("", "invalid")
            assert over_grpc.without_the_moment() == rest.without_the_moment()
            assert over_grpc.refusal == rest.refusal
            assert sorted(over_grpc.fields) == sorted(rest.fields)  # a Struct has no order

    async def main() -> None:
        async with both(house(release=small_release(card=card))) as doors:
            await play(doors)

    run(main())


@settings(max_examples=10)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20))
def test_bytes_that_are_no_message_are_refused_like_any_wrong_request(bodies: list[bytes]) -> None:
    async def play(doors: Doors) -> None:
        call = doors.channel.unary_unary("/obligor.v1.Decisions/Decide", request_serializer=bytes)
        for body in (*bodies, b"\xff\xff\xff"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(body, metadata=(("authorization", "Bearer one"), ("idempotency-key", "k")))
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT

    played(play)


def test_the_python_client_speaks_with_the_service() -> None:
    async def main() -> None:
        made = house()
        async with (
            served(made.app, seats=made.door.seats) as server,
            AsyncClient(f"http://127.0.0.1:{server.port}", "one") as client,
            AsyncClient(f"http://127.0.0.1:{server.port}", "two") as other,
        ):
            decision = await client.decide(PLAIN, idempotency_key="k")
            assert await client.decide(PLAIN, idempotency_key="k") == told.Decision(
                **{name: getattr(decision, name) for name in decision.__dataclass_fields__ if name != "replayed"},
                replayed=True,
            )
            assert await client.decision(decision.decision_id) == decision
            with pytest.raises(told.KeyReusedError):
                await client.decide({**PLAIN, "income": 1}, idempotency_key="k")
            with pytest.raises(told.NotFoundError):
                await other.decision(decision.decision_id)
            with pytest.raises(told.InvalidRequestError) as caught:
                await client.decide({**PLAIN, "income": "much"})
            assert caught.value.problem.errors[0].field == "/income"
            simulation = await client.simulate(PLAIN)
            assert (simulation.score, simulation.reasons) == (decision.score, decision.reasons)
            many = await client.decide_many([{**PLAIN, "customer": f"B-{place}"} for place in range(120)] + [{}])
            assert isinstance(many[-1], told.Problem)
            found = [it async for it in client.search()]
            decided = [it.decision_id for it in many if isinstance(it, told.Decision)]
            assert [it.decision_id for it in found] == [*reversed(decided), decision.decision_id]
            assert [it.application_id async for it in client.search(application_id="B-7")] == ["B-7"]
            assert [it async for it in client.search(stands=decision.outcome)] == found
            assert [it async for it in client.search(stands="hold")] == []
            with pytest.raises(told.InvalidRequestError):
                [it async for it in client.search(stands="perhaps")]
            report = await client.report_outcome(
                decision.decision_id, status="good", observed_on=decision.decided_at.date()
            )
            assert report.decision_id == decision.decision_id
            assert (await client.explanation(decision.decision_id))["score"] == decision.score
            assert await client.receipt(decision.decision_id) == b'{"leaf_index":0}'
            assert (await client.health()).ready
            made.states.known["database"] = False
            assert not (await client.health()).ready

    run(main())

"""Every call lets in whom the table says, and who was refused is told for the audit log."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from google.protobuf.struct_pb2 import Struct
from tests.serving.http.fakes import PLAIN, house
from tests.serving.http.serving import run, served
from tests.serving.http.test_permissions import EVERYBODY, SOMEBODYS, Named, ask, caller_of
from tests.serving.test_refusals import Told

from obligor.security.permissions import may, permissions
from obligor.serving.errors import ANSWERS
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.http import Hot
from obligor.serving.seats import Seats
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def opened(told: Told) -> AsyncIterator[Any]:
    of = house()
    server = Server(
        Servicer(of.door.service, of.door.register, Named(), seats=Seats(64), meter=NoMeter(), refusals=told)
    )
    port = await server.start("127.0.0.1", 0)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield DecisionsStub(channel)
    finally:
        await server.stop(grace=1.0)


def application() -> Struct:
    struct = Struct()
    struct.update(PLAIN)
    return struct


async def code(stub: Any, call: str, who: str, decision_id: str = "") -> str:
    asked = {
        "Decide": lambda: pb.DecideRequest(application=application()),
        "DecideMany": lambda: pb.DecideManyRequest(applications=[application()]),
        "Simulate": lambda: pb.SimulateRequest(application=application()),
        "GetDecision": lambda: pb.GetDecisionRequest(decision_id=decision_id),
        "GetReceipt": lambda: pb.GetReceiptRequest(decision_id=decision_id),
    }[call]()
    heads = (("authorization", f"Bearer {who}"), ("idempotency-key", f"{who}-{call}"))
    try:
        await getattr(stub, call)(asked, metadata=heads)
    except grpc.aio.AioRpcError as error:
        return str(error.code().name)
    return "OK"


@pytest.mark.parametrize("who", EVERYBODY)
def test_each_may_ask_by_each_call_what_the_table_says_and_of_others_only_who_sees_everybodys(who: str) -> None:
    async def main() -> None:
        told = Told()
        async with opened(told) as stub:
            heads = (("authorization", f"Bearer {SOMEBODYS}"), ("idempotency-key", "first"))
            made = await stub.Decide(pb.DecideRequest(application=application()), metadata=heads)
            caller = caller_of(who)
            held = permissions().held(roles=caller.roles, scopes=caller.scopes)
            for call, permission in permissions().calls.items():
                wanted = "OK" if may(caller, permission) else "PERMISSION_DENIED"
                if wanted == "OK" and call.startswith("Get") and held[permission].own:
                    wanted = "NOT_FOUND"
                assert await code(stub, call, who, made.decision.decision_id) == wanted, call
                why = {"PERMISSION_DENIED": "forbidden", "NOT_FOUND": "not_found"}.get(wanted)
                assert told.seen[caller.by, f"grpc/{call}", str(why)] == (why is not None)

    asyncio.run(main())


def test_who_shows_nothing_is_refused_every_call_and_told_as_nobody() -> None:
    async def main() -> None:
        told = Told()
        async with opened(told) as stub:
            for call in permissions().calls:
                assert await code(stub, call, "nobody") == "UNAUTHENTICATED"
                assert told.seen["", f"grpc/{call}", "unauthenticated"] == 1

    asyncio.run(main())


ROUTES = {
    "Decide": "POST /v1/decisions",
    "DecideMany": "POST /v1/decisions/bulk",
    "Simulate": "POST /v1/simulations",
    "GetDecision": "GET /v1/decisions/{decision_id}",
    "GetReceipt": "GET /v1/decisions/{decision_id}/receipt",
}
CODES = {it.status: it.code for it in map(ANSWERS.__getitem__, ("unauthenticated", "forbidden", "not_found"))}


def test_the_table_asks_of_each_call_what_it_asks_of_its_route() -> None:
    assert {call: permissions().routes[route] for call, route in ROUTES.items()} == permissions().calls


def test_each_call_answers_everybody_over_the_wire_as_its_route_does() -> None:
    async def main() -> None:
        of = house(authenticating=Named())
        servicer = Servicer(of.door.service, of.door.register, Named(), seats=of.door.seats, meter=NoMeter())
        server = Server(servicer)
        port = await server.start("127.0.0.1", 0)
        async with (
            served(of.app, seats=of.door.seats, hot=Hot(of.door)) as rest_server,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{rest_server.port}") as rest,
            grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
        ):
            stub = DecisionsStub(channel)
            heads = (("authorization", f"Bearer {SOMEBODYS}"), ("idempotency-key", "first"))
            made = (await stub.Decide(pb.DecideRequest(application=application()), metadata=heads)).decision.decision_id
            seen = set()
            for who in ("nobody", *EVERYBODY):
                for call, route in ROUTES.items():
                    status = (await ask(rest, route, who, made)).status_code
                    by_grpc = await code(stub, call, who, made)
                    assert by_grpc == CODES.get(status, "OK"), (who, call, status)
                    seen.add(by_grpc)
            assert seen == {"OK", "UNAUTHENTICATED", "PERMISSION_DENIED", "NOT_FOUND"}
        await server.stop(grace=1.0)

    run(main())

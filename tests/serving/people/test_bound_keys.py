"""Keys that are bound to networks: from there they open, from elsewhere a copy is told what a stranger is."""

from __future__ import annotations

import asyncio
import io
import json
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from tests.serving.http.fakes import BODY, PLAIN, House, house, posting
from tests.serving.http.serving import run, served
from tests.serving.people.test_authenticating import Store

from obligor.core.errors import LimitedError, UnauthenticatedError
from obligor.security.api_keys import RANDOM_BYTES, SCOPES, NewKey, make_key
from obligor.security.networks import Networks, read_networks
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.http import Hot
from obligor.serving.people.authenticating import Authenticator, Sender
from obligor.serving.people.issuing import row_of
from obligor.serving.telemetry.journal import Journal, NoJournal
from obligor.serving.telemetry.meter import REFUSALS, NoMeter

if TYPE_CHECKING:
    from obligor.serving.acts import Caller
    from obligor.serving.telemetry.journal import Telling

MADE = datetime(2026, 11, 26, 12, tzinfo=UTC)
ONLY_HOME, ONLY_AWAY = ("127.0.0.0/8",), ("10.0.0.0/8", "2001:db8::/32")


def new_key(*networks: str, seed: int = 1) -> NewKey:
    return make_key(
        bytes([seed]) * RANDOM_BYTES,
        client_id="bank",
        scopes=SCOPES,
        created_at=MADE,
        expires_at=MADE + timedelta(days=36500),
        networks=networks,
    )


@dataclass
class Gate:
    """An authenticator that knows some keys, and what it counted."""

    keys: tuple[NewKey, ...]
    journal: Telling = field(default_factory=NoJournal)
    refused: list[str] = field(default_factory=list)
    ticks: float = 0.0

    def __post_init__(self) -> None:
        self.store = Store({it.kept.key_id: row_of(it.kept) for it in self.keys})
        self.inner = Authenticator(
            self.store,
            now=lambda: MADE,
            monotonic=lambda: self.ticks,
            refused=self.refused.append,
            journal=self.journal,
        )

    def ask(self, key: NewKey, peer: str) -> Any:
        return self.inner.authenticate(f"Bearer {key.text}", peer=peer)


def opens(key: NewKey, *peers: str) -> list[bool]:
    async def seen() -> list[bool]:
        found = await asyncio.gather(*(Gate((key,)).ask(key, it) for it in peers), return_exceptions=True)
        assert all(not isinstance(it, BaseException) or isinstance(it, UnauthenticatedError) for it in found)
        return [not isinstance(it, BaseException) for it in found]

    return asyncio.run(seen())


def test_a_key_opens_from_its_networks_alone() -> None:
    inside = ["10.0.0.0", "10.255.255.255", "2001:db8::", "2001:db8:ffff::1", "10.1.2.3:443"]
    outside = ["9.255.255.255", "11.0.0.0", "192.0.2.7", "2001:db9::1", "::1", "", "unix:/run/obligor", "localhost"]
    assert opens(new_key(*ONLY_AWAY), *inside) == [True] * len(inside)
    assert opens(new_key(*ONLY_AWAY), *outside) == [False] * len(outside)
    assert opens(new_key(), *inside, *outside) == [True] * len(inside + outside)


def test_an_ipv4_address_that_is_written_as_ipv6_is_the_ipv4_address() -> None:
    inside = ["::ffff:10.1.2.3", "::ffff:a01:203", "ipv6:%5B::ffff:10.1.2.3%5D:50051", "ipv4:10.1.2.3:50051"]
    assert opens(new_key("10.0.0.0/8"), *inside) == [True] * 4
    assert opens(new_key("::ffff:10.0.0.0/104"), *inside) == [True] * 4
    assert opens(new_key("192.0.2.0/24", "::/0"), *inside) == [False] * 4


def test_a_key_from_elsewhere_is_refused_as_any_other_and_told_in_the_counts_and_the_journal() -> None:
    key, stranger, stream = new_key(*ONLY_AWAY), new_key(seed=2), io.BytesIO()

    async def told(asked: Any) -> str:
        with pytest.raises(UnauthenticatedError) as caught:
            await asked
        return str(caught.value)

    async def main(gate: Gate) -> set[str]:
        return {await told(gate.ask(it, "192.0.2.7")) for it in (key, stranger)}

    with Journal(stream, strict=True) as journal:
        gate = Gate((key,), journal)
        assert len(asyncio.run(main(gate))) == 1
    assert gate.refused == ["elsewhere", "unknown"]
    assert set(gate.refused) < set(REFUSALS)
    line = json.loads(stream.getvalue().splitlines()[0])
    assert {name: line[name] for name in ("event", "level", "why", "key_id", "network")} == {
        "event": "refused", "level": "warning", "why": "elsewhere", "key_id": key.kept.key_id, "network": "192.0.2.7",
    }  # fmt: skip


def test_what_was_believed_from_home_is_refused_from_elsewhere_and_goes_on_opening_at_home() -> None:
    """Each request is held against its own connection, whatever is remembered of the key."""
    key = new_key(*ONLY_AWAY)
    gate = Gate((key,))

    async def main() -> None:
        for _ in range(100):
            await gate.ask(key, "10.1.2.3")
            with pytest.raises((UnauthenticatedError, LimitedError)):
                await gate.ask(key, "192.0.2.7")
        assert len(gate.store.asked) == 1

    asyncio.run(main())
    assert gate.refused == ["elsewhere"] * 10 + ["limited"] * 90


def test_a_bound_key_takes_the_quick_way_from_its_network_alone() -> None:
    async def known(key: NewKey, *peers: str) -> list[bool]:
        gate = Gate((key,))
        await gate.ask(key, "10.1.2.3")
        return [gate.inner.known(f"Bearer {key.text}", Sender(peer)) is not None for peer in peers]

    assert asyncio.run(known(new_key(*ONLY_AWAY), "10.1.2.3", "::ffff:10.9.9.9", "192.0.2.7", "")) == [
        True,
        True,
        False,
        False,
    ]
    assert asyncio.run(known(new_key(), "10.1.2.3", "192.0.2.7", "")) == [True, True, True]


def test_a_bound_key_that_grew_old_is_looked_up_again_and_opens() -> None:
    key = new_key(*ONLY_AWAY)
    gate = Gate((key,))

    async def main() -> None:
        for _ in range(5):
            await gate.ask(key, "10.1.2.3")
            assert gate.inner.known(f"Bearer {key.text}") is None
            gate.ticks += 25

    asyncio.run(main())
    assert len(gate.store.asked) == 5


@dataclass
class Refused:
    """Who was refused what, and from where."""

    told: list[tuple[object, str, str, str]] = field(default_factory=list)

    def refused(self, caller: Caller | None, *, route: str, why: str, network: str = "") -> None:
        self.told.append((caller, route, why, network))


def home(*keys: NewKey, **of_door: Any) -> House:
    return house(authenticating=Gate(keys).inner, **of_door)


def test_over_rest_a_bound_key_decides_from_its_network_alone_whatever_a_header_says() -> None:
    here, elsewhere, refused = new_key(*ONLY_HOME), new_key(*ONLY_AWAY, seed=2), Refused()

    async def main() -> None:
        of = home(here, elsewhere, refusals=refused)
        async with (
            served(of.app, seats=of.door.seats, hot=Hot(of.door)) as server,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client,
        ):
            seen = []
            for place in range(3):
                for key in (here, elsewhere):
                    claimed = {"x-forwarded-for": "10.1.2.3", "forwarded": "for=10.1.2.3"}
                    headers = {"authorization": f"Bearer {key.text}"} | claimed | posting(f"k-{place}")
                    seen.append((await client.post("/v1/decisions", content=BODY, headers=headers)).status_code)
            assert seen == [201, 401] * 3
            stranger = {"authorization": f"Bearer {new_key(seed=3).text}"}
            told = [
                (it.status_code, it.content, {name for name, _ in it.headers.raw})
                for it in [
                    await client.get("/v1/release", headers=headers)
                    for headers in (stranger, {"authorization": f"Bearer {elsewhere.text}"})
                ]
            ]
            assert told[0] == told[1]
        assert len(of.store.leaves) == 3

    run(main())
    assert refused.told[:3] == [(None, "POST /v1/decisions", "unauthenticated", "127.0.0.1")] * 3


BEHIND = Networks(read_networks(["127.0.0.0/8", "192.168.0.0/16"]))
THROUGH = [
    ((), "127.0.0.1"),
    (("10.1.2.3",), "10.1.2.3"),
    (("192.0.2.7",), "192.0.2.7"),
    (("10.1.2.3, 192.0.2.7",), "192.0.2.7"),
    (("192.0.2.7", "10.1.2.3, 192.168.0.9"), "10.1.2.3"),
    (("2001:db8::1, 192.168.0.9",), "2001:db8::/64"),
    (("10.1.2.3, nobody",), "127.0.0.1"),
]
"""What X-Forwarded-For says, line by line, and the network that counts."""


@pytest.mark.parametrize("prompt", [True, False])
def test_through_a_proxy_of_the_lender_a_request_is_from_whom_the_proxy_says(*, prompt: bool) -> None:
    """All over one connection, as proxies have it; on the quick way and on the long one."""
    key, refused = new_key(*ONLY_AWAY), Refused()

    async def main() -> None:
        of = home(key, refusals=refused)
        async with (
            served(of.app, seats=of.door.seats, hot=Hot(of.door) if prompt else None, proxies=BEHIND) as server,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{server.port}", limits=httpx.Limits(max_connections=1)
            ) as client,
        ):
            for place in range(2):
                for number, (said, network) in enumerate(THROUGH):
                    head = {"authorization": f"Bearer {key.text}"} | posting(f"k-{place}-{number}")
                    headers = [*head.items(), *(("x-forwarded-for", it) for it in said)]
                    answer = await client.post("/v1/decisions", content=BODY, headers=headers)
                    assert answer.status_code == (201 if network.startswith(("10.", "2001:db8:")) else 401), said

    run(main())
    wanted = [network for _, network in THROUGH if not network.startswith(("10.", "2001:db8:"))]
    assert refused.told == [(None, "POST /v1/decisions", "unauthenticated", it) for it in wanted * 2]


def test_over_grpc_a_call_through_a_proxy_is_from_whom_the_proxy_says() -> None:
    key, refused = new_key(*ONLY_AWAY), Refused()

    async def main() -> None:
        door = home(key).door
        server = Server(
            Servicer(
                *(door.service, door.register, door.authenticator),
                seats=door.seats,
                meter=NoMeter(),
                refusals=refused,
                proxies=BEHIND,
            )
        )
        port = await server.start("127.0.0.1", 0)
        try:
            for said, network in THROUGH:
                code = await decide(port, key, *(("x-forwarded-for", it) for it in said))
                opens = network.startswith(("10.", "2001:db8:"))
                assert code is (grpc.StatusCode.OK if opens else grpc.StatusCode.UNAUTHENTICATED), said
        finally:
            await server.stop(grace=0.0)

    asyncio.run(main())
    wanted = [network for _, network in THROUGH if not network.startswith(("10.", "2001:db8:"))]
    assert refused.told == [(None, "grpc/Decide", "unauthenticated", it) for it in wanted]


@pytest.mark.parametrize(("host", "network"), [("127.0.0.1", "127.0.0.1"), ("::", "127.0.0.1")])
def test_over_grpc_a_bound_key_decides_from_its_network_alone(host: str, network: str) -> None:
    """Also where the service listens for IPv6 and the client comes by IPv4, whose address is then written as IPv6."""
    here, elsewhere, refused = new_key(*ONLY_HOME), new_key(*ONLY_AWAY, seed=2), Refused()

    async def main() -> None:
        of = home(here, elsewhere)
        servicer = Servicer(
            of.door.service,
            of.door.register,
            of.door.authenticator,
            seats=of.door.seats,
            meter=NoMeter(),
            refusals=refused,
        )
        server = Server(servicer)
        port = await server.start(host, 0)
        try:
            assert [await decide(port, here) for _ in range(3)] == [grpc.StatusCode.OK] * 3
            assert [await decide(port, elsewhere) for _ in range(3)] == [grpc.StatusCode.UNAUTHENTICATED] * 3
        finally:
            await server.stop(grace=0.0)
        assert len(of.store.leaves) == 3

    asyncio.run(main())
    assert refused.told == [(None, "grpc/Decide", "unauthenticated", network)] * 3


async def decide(port: int, key: NewKey, *more: tuple[str, str]) -> grpc.StatusCode:
    request = pb.DecideRequest()
    request.application.update(PLAIN)
    metadata = (("authorization", f"Bearer {key.text}"), ("idempotency-key", str(uuid.uuid4())), *more)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        try:
            await DecisionsStub(channel).Decide(request, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK

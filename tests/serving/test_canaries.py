"""What an applicant says goes through every input, at the loudest level and with faults, and is found nowhere in the clear."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc
import httpx
import pytest
from benchmarks.service.lender import PERSONAL, bodies, write_run
from benchmarks.service.servers import HOST, Lender, Server, answers, free_port
from google.protobuf.struct_pb2 import Struct
from tests.adapters.store.test_privacy import everything
from tests.serving.collectors import Collector, collector
from tests.serving.faulty import AMOUNT

from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[2]
NAME, WHO, BORN = "Canary-Name-7731", "Canary-Person-4402", "1931-07-09"
WORDS, KEY, HEAD = "Canary-Words-5512 was ill", "Canary-Key-3313", "Canary-Head-9908"
PANS: Final = ("4111111111111111", "5500 0000 0000 0004", "3782-822463-10005")
CANARIES: Final = (NAME, WHO, BORN, "Canary-Words-5512", KEY, HEAD, *PANS)


def said(**changes: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(bodies(1)[0])
    return plain | {"customer_id": WHO, "application_id": NAME, "born_on": BORN} | changes


@dataclass
class Told:
    """What came back of everything that was sent."""

    refused: list[str] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)

    def take(self, what: str, answer: httpx.Response) -> httpx.Response:
        self.statuses[what] = answer.status_code
        if answer.status_code >= 400:
            self.refused.append(answer.text + str(answer.headers))
        return answer


def by_rest(url: str, key: str) -> Told:
    told = Told()
    heads = {"authorization": f"Bearer {key}", "user-agent": HEAD, "x-name": HEAD, "traceparent": HEAD}
    with httpx.Client(base_url=url, headers=heads, timeout=30, trust_env=False) as client:

        def post(what: str, path: str, body: Any, *, idempotency_key: str | None = None, **more: str) -> httpx.Response:
            named = {
                "idempotency-key": idempotency_key or f"{KEY}-{what.replace(' ', '-')}",
                "content-type": "application/json",
            } | more
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return told.take(what, client.post(path, content=content, headers=named))

        made = post("decide", "/v1/decisions", said()).json()
        mine = f"/v1/decisions/{made['decision_id']}"
        post("again", "/v1/decisions", said(), idempotency_key=f"{KEY}-decide")
        post("reused", "/v1/decisions", said(customer_id=f"{WHO}-2"), idempotency_key=f"{KEY}-decide")
        post("bulk", "/v1/decisions/bulk", {"applications": [said(), said(born_on=WHO), {"application_id": NAME}]})
        post("simulate", "/v1/simulations", said())
        post("bad json", "/v1/decisions", json.dumps(said()).encode()[:-1])
        post("no object", "/v1/decisions", json.dumps([NAME, WHO, BORN]).encode())
        post("wrong type", "/v1/decisions", said(customer_id={"said": WHO}, loan_amount_eur=NAME, born_on=f"{BORN}x"))
        post("unknown field", "/v1/decisions", said(maiden=WORDS))
        post("too long", "/v1/decisions", said(customer_id=WHO * 200))
        post("fault", "/v1/decisions", said(loan_amount_eur=AMOUNT))
        post("fault in bulk", "/v1/decisions/bulk", {"applications": [said(loan_amount_eur=AMOUNT)]})
        post("fault in a try", "/v1/simulations", said(loan_amount_eur=AMOUNT))
        post("bad key", "/v1/decisions", said(), idempotency_key=f"{KEY} with blanks")
        post("review", f"{mine}/review-requests", {"statement": WORDS, "corrections": {"born_on": BORN}})
        post("bad review", f"{mine}/review-requests", {"statement": 7, "corrections": [WORDS], "name": NAME})
        post("bad correction", f"{mine}/review-requests", {"corrections": {"born_on": WHO}})
        post("bad outcome", f"{mine}/outcomes", {"status": WORDS, "observed_on": BORN})
        post("reveal", f"{mine}/reveals", {"fields": ["customer_id"], "purpose": WORDS})
        post("sign in", "/v1/tokens", {"user": WHO, "password": WORDS})
        post("other media", "/v1/decisions", said(), **{"content-type": f"text/{HEAD}"})
        for at, number in enumerate(PANS):
            post(f"number {at}", "/v1/decisions", said(customer_id=number))
            post(f"number in a key {at}", "/v1/decisions", said(), idempotency_key=number.replace(" ", "-"))
            post(f"number in a header {at}", "/v1/decisions", said(), **{"x-name": number})
            post(f"number in bulk {at}", "/v1/decisions/bulk", {"applications": [said(application_id=number)]})
            post(f"number in a review {at}", f"{mine}/review-requests", {"statement": f"my card {number}"})
            post(f"number in a try {at}", "/v1/simulations", said(employment_status=number))
        begun = time.monotonic()
        while not client.get(f"{mine}/links").json()[
            "links"
        ]:  # they follow, and the same application came more than once
            assert time.monotonic() < begun + 30
            time.sleep(0.1)
        for what, path in (
            ("get", mine),
            ("explain", f"{mine}/explanation"),
            ("application", f"{mine}/application"),
            ("receipt", f"{mine}/receipt"),
            ("links", f"{mine}/links"),
            ("search", f"/v1/decisions?application_id={NAME}"),
            ("bad search", f"/v1/decisions?name={WHO}"),
            ("bad path", f"/v1/decisions/{NAME}"),
            ("no path", f"/{WHO}?born={BORN}"),
            ("number in a path", f"/v1/decisions/{PANS[0]}"),
        ):
            told.take(what, client.get(path))
        told.take("bad caller", client.get(mine, headers={"authorization": f"Bearer {WHO}"}))
        told.take("method", client.request("DELETE", f"{mine}?{NAME}"))
    return told


async def by_grpc(port: int, key: str) -> list[str]:
    refused = []
    async with grpc.aio.insecure_channel(f"{HOST}:{port}") as channel:
        stub: Any = DecisionsStub(channel)
        for at, body in enumerate(
            (
                said(),
                said(born_on=WHO, customer_id=[WHO]),
                said(maiden=WORDS),
                said(loan_amount_eur=AMOUNT),
                *(said(customer_id=number) for number in PANS),
            )
        ):
            application = Struct()
            application.update(body)
            heads = (("authorization", f"Bearer {key}"), ("idempotency-key", f"{KEY}-{at}"), ("x-name", HEAD))
            for call, request in (
                (stub.Decide, pb.DecideRequest(application=application)),
                (stub.Simulate, pb.SimulateRequest(application=application)),
                (stub.DecideMany, pb.DecideManyRequest(applications=[application])),
            ):
                try:
                    await call(request, metadata=heads)
                except grpc.aio.AioRpcError as error:
                    refused.append(f"{error.details()} {error.trailing_metadata()}")
        for name in (NAME, WHO):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.GetDecision(pb.GetDecisionRequest(decision_id=name), metadata=heads)
            refused.append(f"{error.value.details()} {error.value.trailing_metadata()}")
    return refused


@dataclass
class Place:
    """Where a service runs, and all that it tells."""

    lender: Lender
    service: Server
    url: str
    grpc_port: int
    kept: Collector


@pytest.fixture
def place(store_url: str, tmp_path: Path) -> Iterator[Place]:
    port, grpc_port = free_port(), free_port()
    command = (sys.executable, "-m", "tests.serving.faulty")
    lender = Lender(tmp_path / "data", write_run(tmp_path / "run", identifiers=PERSONAL), store_url, command)
    lender.data.mkdir()
    with collector() as (kept, endpoint):
        environ = lender.environ | {
            "OBLIGOR_LOG_LEVEL": "debug",
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
        }
        service = Server(
            [*command, "serve", lender.run, "--port", port, "--grpc-port", grpc_port],
            ready=lambda: answers(f"http://{HOST}:{port}/health/ready"),
            log=tmp_path / "serve.log",
            environ=environ,
            folder=ROOT,
        )
        with service:
            yield Place(lender, service, f"http://{HOST}:{port}", grpc_port, kept)


def hits(what: str, data: bytes | str) -> list[str]:
    found = data if isinstance(data, bytes) else data.encode()
    plain = found.replace(b" ", b"").replace(b"-", b"")
    names = [it for it in CANARIES if it.encode() in found]
    names += [it for it in PANS if it.replace(" ", "").replace("-", "").encode() in plain]
    return [f"{what}: {it}" for it in names]


def test_canaries_through_every_input_are_found_nowhere(place: Place, store_url: str, tmp_path: Path) -> None:
    key = place.service.api_key()
    obligor = _command(place)
    obligor("webhooks", "add", "first-client", f"http://{HOST}:{free_port()}/hooks")
    told = by_rest(place.url, key)
    assert {told.statuses[it] for it in ("decide", "again", "review")} == {201}
    assert {told.statuses[it] for it in ("bulk", "simulate", "get", "search", "application", "explain")} == {200}
    assert {told.statuses[it] for it in ("fault", "fault in bulk", "fault in a try")} == {500}
    assert {status for what, status in told.statuses.items() if what.startswith("number")} <= {404, 422}
    refused = [*told.refused, *asyncio.run(by_grpc(place.grpc_port, key))]
    metrics = httpx.get(f"{place.url}/metrics", headers={"authorization": f"Bearer {key}"}, trust_env=False).text
    assert "obligor_requests_total" in metrics
    place.service.ask_to_stop()
    place.service.wait(60)
    log = place.service.log.read_bytes()
    assert b'"level":"debug"' in log or b'"level":"error"' in log
    assert b"RuntimeError" in log
    assert place.kept.raw
    bundle = tmp_path / "bundle.zip"
    obligor(
        "audit", "export", str(bundle), "--from", "2020-01-01", "--to", "2100-01-01", "--purpose", "a look", "--quiet"
    )
    dump = everything(store_url)
    assert b"obligor/decision/2" in dump
    assert b"obligor/review/2" in dump
    assert b"decision.made" in dump
    found = [hits("an answer", it) for it in refused]
    found += [hits("the metrics", metrics), hits("the journal", log), hits("the database", dump)]
    found += [hits("a trace", it) for it in place.kept.raw]
    with zipfile.ZipFile(bundle) as packed:
        found += [hits(f"the bundle's {it}", packed.read(it)) for it in packed.namelist()]
    found += [
        hits(str(it.relative_to(place.lender.data)), it.read_bytes())
        for it in place.lender.data.rglob("*")
        if it.is_file()
    ]
    assert [it for each in found for it in each] == []
    assert obligor("audit", "verify").returncode == 0


def _command(place: Place) -> Any:
    from subprocess import run

    environ = place.lender.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))}

    def obligor(*words: str) -> Any:
        done = run([*place.lender.command, *words], env=environ, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    return obligor

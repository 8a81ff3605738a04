"""The number of a payment card, in twenty dresses, through every door: refused, not echoed, and kept nowhere."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.core.test_card_numbers import DISGUISES, GROUPED, PAN
from tests.serving.gates.test_gate import GOOD, profile_of, release_of, service_of
from tests.serving.http.fakes import BODY, KEYS, PLAIN, house, posting
from tests.serving.http.serving import run
from tests.serving.telemetry.test_metrics import Counted
from tests.serving.test_doors import both, struct

from obligor.serving import card_data
from obligor.serving.card_data import CardDataError, refuse_card_data_in_headers
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.telemetry.journal import Journal, take_over_logging
from obligor.serving.telemetry.meter import RESEMBLANCES

if TYPE_CHECKING:
    import httpx

ENDINGS = (PAN, GROUPED, "1111111111", "1111 1111", "1111-1111")


def with_number(dressed: str) -> dict[str, dict[str, Any]]:
    """Applications that hold it: in a field, in a key, in a history, in a field that there is not."""
    return {
        "field": {**PLAIN, "purpose": dressed},
        "key": {**PLAIN, dressed: 1},
        "history": {**PLAIN, "bureau": [{"at": "2024-04-30", "balance": 5, "customer": dressed}]},
        "deep": {**PLAIN, "bureau": [{"at": {"x": [{dressed: None}]}, "balance": 5}]},
        "identifier": {**PLAIN, "customer": dressed, "bureau": []},
        "wrong-type": {**PLAIN, "income": dressed},
    }


def is_refused(answer: httpx.Response) -> None:
    assert answer.status_code == 422, answer.text
    assert "payment card" in answer.text
    assert not any(it in answer.text for it in ENDINGS)


@pytest.mark.parametrize("dressed", DISGUISES.values(), ids=DISGUISES)
def test_a_number_is_refused_wherever_it_stands_and_nothing_is_kept_of_it(dressed: str) -> None:
    lines = io.BytesIO()
    made = house()

    async def main() -> None:
        async with made.client("all") as client:
            for place, application in with_number(dressed).items():
                for escaped in (True, False):
                    body = json.dumps(application, ensure_ascii=escaped).encode()
                    is_refused(await client.post("/v1/decisions", content=body, headers=posting(f"k-{place}")))
                    is_refused(await client.post("/v1/simulations", content=body, headers=posting()))
                    many = b'{"applications":[%b,%b]}' % (BODY, body)
                    is_refused(await client.post("/v1/decisions/bulk", content=many, headers=posting(f"b-{place}")))
            if dressed.isascii():
                is_refused(await client.post("/v1/decisions", content=BODY, headers=posting(dressed)))
                is_refused(
                    await client.post("/v1/decisions", content=BODY, headers=posting() | {"user-agent": dressed})
                )
                is_refused(await client.get("/v1/card", headers={"x-note": dressed}))
            is_refused(await client.get("/v1/decisions", params={"application_id": dressed}))
            is_refused(await client.get("/v1/decisions", params={dressed: "1"}))
            if "#" not in dressed:  # which ends an address
                is_refused(await client.get(f"/v1/decisions/{dressed.replace('/', '-')}"))

    with Journal(lines, level="debug", strict=True) as journal:
        take_over_logging(journal, level="debug")
        run(main())
    assert made.store.leaves == []
    assert not any(it.encode() in lines.getvalue() for it in ENDINGS)


def test_a_report_with_a_number_is_refused() -> None:
    made = house()

    async def main() -> None:
        async with made.client("all") as client:
            decided = (await client.post("/v1/decisions", content=BODY, headers=posting())).json()
            path = f"/v1/decisions/{decided['decision_id']}/outcomes"
            is_refused(await client.post(path, json={"status": PAN, "observed_on": "2026-12-01"}, headers=posting("r")))
            is_refused(await client.post(path, json={PAN: 1}, headers=posting("s")))

    run(main())
    assert made.store.leaves == ["decision"]


@pytest.mark.parametrize("dressed", DISGUISES.values(), ids=DISGUISES)
def test_grpc_refuses_the_same(dressed: str) -> None:
    async def main() -> None:
        async with both() as doors:
            for application in with_number(dressed).values():
                for call, request in (
                    ("Decide", pb.DecideRequest(application=struct(application))),
                    ("DecideMany", pb.DecideManyRequest(applications=[struct(PLAIN), struct(application)])),
                    ("Simulate", pb.SimulateRequest(application=struct(application))),
                ):
                    said = await doors.by_grpc(call, request, key="k")
                    assert said.refusal == "invalid"
                    assert "payment card" in said.fields[0][1]
                    assert not any(it in str(said) for it in ENDINGS)
            if dressed.isascii():
                said = await doors.by_grpc("Decide", pb.DecideRequest(application=struct(PLAIN)), key=dressed)
                assert "payment card" in said.fields[0][1]
            unsayable = struct(PLAIN)
            unsayable.fields[dressed].number_value = float("nan")
            assert dressed not in str(await doors.by_grpc("Decide", pb.DecideRequest(application=unsayable), key="k"))
            assert doors.house.store.leaves == []

    run(main())


def test_a_number_over_two_fields_is_refused() -> None:
    made = house()

    async def main() -> None:
        async with made.client() as client:
            body = {**PLAIN, "purpose": "4111 1111", "customer": "11111111", "bureau": []}
            is_refused(await client.post("/v1/decisions", json=body, headers=posting()))
            many = {"applications": [PLAIN, body]}
            answer = await client.post("/v1/decisions/bulk", json=many, headers=posting())
            is_refused(answer)
            assert answer.json()["errors"][0]["field"] == "/applications/1"

    run(main())


def test_the_field_is_told_and_never_a_name_that_is_the_number() -> None:
    made, fields = house(), list[str]()

    async def main() -> None:
        async with made.client() as client:
            bodies = (
                {**PLAIN, "purpose": PAN},
                {**PLAIN, "bureau": [{"at": "2024-04-30", "balance": 378282246310005}]},
                {**PLAIN, PAN: 1},
            )
            answers = [await client.post("/v1/decisions", json=it, headers=posting()) for it in bodies]
        fields.extend(it.json()["errors"][0]["field"] for it in answers)

    run(main())
    assert fields == ["/purpose", "/bureau/0/balance", ""]


@pytest.mark.parametrize("state", ["off", "monitor", "enforce"])
def test_whatever_the_profile_says_a_clean_application_is_decided_and_a_number_is_not(state: str) -> None:
    made = house(release=release_of(profile_of(pci=state)))

    async def main() -> None:
        async with made.client() as client:
            is_refused(await client.post("/v1/decisions", json={**GOOD, "purpose": PAN}, headers=posting()))
            decided = await client.post("/v1/decisions", json=GOOD, headers=posting())
            assert decided.json()["outcome"] == "approve"

    run(main())
    gate = json.loads(made.store.kept[-1].record)["gates"]["pci"]
    assert gate["result"] == ("not_evaluated" if state == "off" else "pass")


@pytest.mark.parametrize("state", ["monitor", "enforce", "off"])
@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"purpose": "4111 1111 1111 1112"}, ["check_digit"]),
        ({"bureau": [{"at": "2024-04-30", "balance": 378282246310006}]}, ["check_digit"]),
        ({"purpose": "4111111111", "customer": "111111", "bureau": []}, ["split"]),
        ({"purpose": "4111111111111", "customer": "111", "bureau": []}, ["check_digit", "split"]),
        ({"purpose": "41111111", "customer": "2024-05-01", "bureau": []}, None),
        ({}, None),
    ],
)
def test_what_only_resembles_a_number_is_decided_on_and_told_unless_the_gate_is_off(
    state: str, said: dict[str, Any], why: list[str] | None
) -> None:
    """GOVERNANCE 2.5: a wrong check digit, and a number that is split in a way of its own, are near misses."""
    counted = Counted()
    service, store = service_of(profile_of(pci=state), meter=counted.meter)
    run(service.decide(KEYS["one"], key="k", application={**GOOD, **said}))
    told = [it for it in RESEMBLANCES if counted.told("obligor_card_resemblances_total", why=it)]
    record = json.loads(store.kept[-1].record)
    assert record["outcome"] == "approve"
    if state == "off":
        assert (record["gates"]["pci"].get("evidence"), told) == (None, [])
    else:
        assert record["gates"]["pci"]["evidence"].get("resembling") == why
        assert told == (why or [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-4111111111111111-01"),
        ("tracestate", "33@nr=0-0-33-2827902-5f474d64b9cc9b2a-4111111111111111-1-1.2-1518469636035"),
        ("x-cloud-trace-context", "105445aa7843bc8bf206b12000100000/4111111111111111;o=1"),
        ("x-datadog-trace-id", "4111111111111111"),
        ("x-datadog-parent-id", "4111111111111111"),
        ("x-forwarded-for", "29.239.204.255, 249.227.8.43, 226.50.157.145, 64.69.160.98"),
    ],
)
def test_headers_whose_digits_stand_there_by_chance_are_let_through(name: str, said: str) -> None:
    """Those of who is in between, which no client asked for."""
    made = house()

    async def main() -> None:
        async with made.client() as client:
            told = await client.post("/v1/decisions", content=BODY, headers=posting() | {name: said})
            assert told.status_code == 201
            elsewhere = await client.post(
                "/v1/decisions", content=BODY, headers=posting("2") | {"x-said": "4111111111111111"}
            )
            assert elsewhere.status_code == 422

    run(main())


def test_headers_that_repeat_are_searched_once_and_what_is_refused_is_not_remembered() -> None:
    plain, held = [(b"x-note", b"a note of mine")], [(b"x-note", b"4111 1111 1111 1111")]
    remembered = card_data._refuse_lines_once.cache_info
    refuse_card_data_in_headers(plain)
    before = remembered()
    refuse_card_data_in_headers(plain)
    for _ in range(2):
        with pytest.raises(CardDataError):
            refuse_card_data_in_headers(held)
    assert (remembered().hits - before.hits, remembered().currsize - before.currsize) == (1, 0)

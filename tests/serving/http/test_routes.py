"""Every route of the REST door, asked by those who may and by those who may not."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from tests.serving.http.fakes import BODY, PLAIN, House, house, posting, small_card, small_release
from tests.serving.http.serving import run
from tests.serving.telemetry.test_metrics import Counted

from obligor.serving.http import decision_shapes, shapes

NOBODY = "01900000-0000-7000-8000-000000000000"
READ = ("/v1/decisions", "/v1/release", "/v1/card", "/v1/policy", "/v1/profile", f"/v1/decisions/{NOBODY}")
AUDIT = ("/v1/log/checkpoint", "/v1/log/key", "/v1/log/consistency?from=1&to=2", "/v1/log/tile/0/000.p/7")
POSTED = ("/v1/decisions", "/v1/decisions/bulk", "/v1/simulations", f"/v1/decisions/{NOBODY}/outcomes")


async def decided(of: House, key: str = "k-1", *, by: str = "one", **changed: Any) -> dict[str, Any]:
    async with of.client(by) as client:
        answer = await client.post("/v1/decisions", json=PLAIN | changed, headers=posting(key))
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


def test_a_decision_is_answered_with_its_reasons_and_its_place_in_the_log() -> None:
    async def main() -> None:
        of = house()
        found = await decided(of)
        decision_shapes.Decision.model_validate_json(json.dumps(found))
        assert found["outcome"] == "decline"
        assert found["reasons"][0]["code"] == "ratio"
        assert found["application_id"] == "A-17"
        assert found["receipt"] == {"leaf_index": 0, "tree_size": 1}

    run(main())


def test_the_same_key_and_body_get_the_same_bytes_and_decide_once() -> None:
    async def main() -> None:
        of = house()
        async with of.client() as client:
            first = await client.post("/v1/decisions", content=BODY, headers=posting())
            other = json.dumps(dict(reversed(PLAIN.items())), indent=3).encode()
            again = await client.post("/v1/decisions", content=other, headers=posting())
        assert "idempotent-replayed" not in first.headers
        assert again.headers["idempotent-replayed"] == "true"
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert len(of.store.kept) == 1

    run(main())


def test_a_decision_that_was_tampered_with_is_broken_alone() -> None:
    """A search gives the others whole and of this one its id, to its client and to an auditor; it is not told by itself."""

    async def main() -> None:
        of = house()
        first, tampered, last = [await decided(of, f"k-{at}") for at in range(3)]
        kept = of.store.kept[1]
        of.store.kept[1] = replace(kept, record=kept.record.replace(b'"decline"', b'"approve"'))
        for key in ("one", "auditor"):
            async with of.client(key) as client:
                page = await client.get("/v1/decisions", params={"limit": 3})
                assert page.status_code == 200
                decision_shapes.DecisionPage.model_validate_json(page.content)
                newest, broken, oldest = page.json()["decisions"]
                assert broken == {"decision_id": tampered["decision_id"], "broken": True}
                assert (newest["decision_id"], oldest["decision_id"]) == (last["decision_id"], first["decision_id"])
                assert newest["outcome"] == oldest["outcome"] == "decline"
                alone = await client.get(f"/v1/decisions/{tampered['decision_id']}")
                assert (alone.status_code, alone.json()["type"]) == (503, "urn:obligor:problem:broken")
        assert of.store.leaves.count("seal.broken") == of.door.register.opener.broken() == 1

    run(main())


def test_the_same_key_with_another_body_is_refused_and_another_client_is_another() -> None:
    async def main() -> None:
        of = house()
        first = await decided(of)
        async with of.client() as client:
            other = await client.post("/v1/decisions", json=PLAIN | {"income": 1}, headers=posting())
        assert (other.status_code, other.json()["type"]) == (422, "urn:obligor:problem:key-reused")
        assert (await decided(of, by="two", income=1))["decision_id"] != first["decision_id"]

    run(main())


def test_a_key_that_is_being_recorded_is_a_conflict_that_says_when_to_come_again() -> None:
    async def main() -> None:
        of = house()
        of.store.hold = asyncio.Event()
        async with of.client() as client:
            first = asyncio.create_task(client.post("/v1/decisions", content=BODY, headers=posting()))
            while not of.store.in_flight:
                await asyncio.sleep(0)
            again = await client.post("/v1/decisions", content=BODY, headers=posting())
            of.store.hold.set()
            assert (await first).status_code == 201
        assert again.status_code == 409
        assert again.headers["retry-after"] == "1"

    run(main())


@pytest.mark.parametrize("path", POSTED)
def test_what_records_needs_a_key_and_what_simulates_does_not(path: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            headers = {"content-type": "application/json"}
            answer = await client.post(path, content=BODY, headers=headers)
            malformed = await client.post(path, content=BODY, headers=headers | {"idempotency-key": "with blank"})
        if path == "/v1/simulations":
            assert answer.status_code == malformed.status_code == 200
        else:
            assert answer.json()["type"] == "urn:obligor:problem:key-missing"
            assert (answer.status_code, malformed.status_code) == (400, 400)

    run(main())


@pytest.mark.parametrize("path", [*READ, *AUDIT, "/metrics"])
def test_nobody_reads_without_a_key_and_every_refusal_is_the_same(path: str) -> None:
    async def main() -> None:
        of = house()
        bodies = set()
        for key in (
            None,
            "",
            "obl_unknown",
            "Basic abc",
            "\N{LATIN SMALL LETTER E WITH ACUTE}".encode().decode("latin-1"),
        ):
            async with of.client(None) as client:
                headers = [] if key is None else [(b"authorization", f"Bearer {key}".encode("latin-1"))]
                answer = await client.get(path, headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="obligor"'
            bodies.add(answer.content)
        assert len(bodies) == 1

    run(main())


@pytest.mark.parametrize(
    ("key", "paths"),
    [("scraper", (*READ, *AUDIT)), ("one", (*AUDIT, "/metrics")), ("auditor", ("/metrics",))],
)
def test_a_key_without_the_scope_is_told_which_one_it_needs(key: str, paths: tuple[str, ...]) -> None:
    async def main() -> None:
        async with house().client(key) as client:
            for path in paths:
                answer = await client.get(path)
                assert answer.status_code == 403, path
                assert "scope" in answer.json()["detail"]

    run(main())


@pytest.mark.parametrize("path", POSTED)
def test_a_reader_decides_and_reports_nothing(path: str) -> None:
    async def main() -> None:
        of = house()
        async with of.client("auditor") as client:
            assert (await client.post(path, content=BODY, headers=posting())).status_code == 403
        assert not of.store.leaves

    run(main())


def test_a_decision_of_another_client_is_one_that_there_is_not() -> None:
    """Not found and not yours are answered alike, byte for byte, whatever is asked of it."""

    async def main() -> None:
        of = house()
        mine = (await decided(of))["decision_id"]
        async with of.client("two") as client:
            for tail in ("", "/explanation", "/receipt", "/links"):
                theirs = await client.get(f"/v1/decisions/{mine}{tail}")
                absent = await client.get(f"/v1/decisions/{NOBODY}{tail}")
                assert theirs.status_code == absent.status_code == 404
                assert theirs.content == absent.content
            report = {"status": "bad", "observed_on": "2026-01-01"}
            theirs = await client.post(f"/v1/decisions/{mine}/outcomes", json=report, headers=posting())
            assert theirs.status_code == 404
            assert (await client.get("/v1/decisions")).json() == {"decisions": [], "next_cursor": None}
        assert not of.store.reports

    run(main())


def test_what_a_decision_belongs_together_with_is_told_by_ids_alone() -> None:
    async def main() -> None:
        of = house()
        first, second = (await decided(of))["decision_id"], (await decided(of, key="k-2"))["decision_id"]
        async with of.client() as client:
            told = (await client.get(f"/v1/decisions/{second}/links")).json()
        assert told["decision_id"] == second
        assert told["compared"] is True
        (link,) = told["links"]
        assert link.keys() == {"decision_id", "why", "is", "linked_at"}
        assert (link["decision_id"], link["why"], link["is"]) == (first, "repeated", "earlier")
        async with of.client("auditor") as client:
            assert (await client.get(f"/v1/decisions/{second}/links")).json() == told

    run(main())


@pytest.mark.parametrize(
    "named", ["1", "x", NOBODY.upper(), f"{{{NOBODY}}}", f"urn:uuid:{NOBODY}", "%00", "..%2F..%2Fetc", "a" * 300]
)
def test_what_is_no_id_names_no_decision(named: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            assert (await client.get(f"/v1/decisions/{named}")).status_code == 404

    run(main())


def test_an_auditor_reads_the_decisions_of_every_client() -> None:
    async def main() -> None:
        of = house()
        mine = (await decided(of))["decision_id"]
        async with of.client("auditor") as client:
            assert (await client.get(f"/v1/decisions/{mine}")).json()["decision_id"] == mine
            assert len((await client.get("/v1/decisions")).json()["decisions"]) == 1

    run(main())


def test_a_decision_is_read_as_it_was_answered() -> None:
    async def main() -> None:
        of = house()
        found = await decided(of)
        async with of.client() as client:
            assert (await client.get(f"/v1/decisions/{found['decision_id']}")).json() == found

    run(main())


def test_pages_lead_through_every_decision_once_the_newest_first() -> None:
    async def main() -> None:
        of = house()
        made = [(await decided(of, f"k-{at}"))["decision_id"] for at in range(7)]
        found, cursor = [], ""
        async with of.client() as client:
            while True:
                page = (await client.get(f"/v1/decisions?limit=3{cursor}")).json()
                decision_shapes.DecisionPage.model_validate_json(json.dumps(page))
                found += [it["decision_id"] for it in page["decisions"]]
                if page["next_cursor"] is None:
                    break
                cursor = f"&cursor={page['next_cursor']}"
        assert found == made[::-1]

    run(main())


def test_decisions_are_found_by_application_outcome_band_and_time() -> None:
    async def main() -> None:
        of = house()
        await decided(of, "a", customer="A-1", bureau=[])
        await decided(of, "b", customer="A-2", bureau=[])
        async with of.client() as client:

            async def count(query: str) -> int:
                return len((await client.get(f"/v1/decisions?{query}")).json()["decisions"])

            assert await count("application_id=A-2") == 1
            assert await count("outcome=decline&band=high") == 2
            assert await count("outcome=approve") == 0
            assert await count("from=2020-01-01T00:00:00Z&to=2100-01-01T00:00:00%2B02:00") == 2
            assert await count("from=2100-01-01T00:00:00Z") == 0
            assert await count("from=2020-01-01T00:00:00.123456789Z") == 2  # as Go and Java write an instant

    run(main())


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1_0", "limit"),
        ("limit=", "limit"),
        ("limit=3&limit=4", "limit"),
        ("Limit=3", "Limit"),
        ("outcome=yes", "outcome"),
        ("from=yesterday", "from"),
        ("from=2026-01-01", "from"),
        ("from=1700000000", "from"),
        ("from=2026-01-01T00:00:00", "from"),
        ("cursor=-1", "cursor"),
        ("cursor=%D9%A1", "cursor"),
        ("cursor=99999999999999999999", "cursor"),
        ("application_id=%00", "application_id"),
        (f"application_id={'x' * 256}", "application_id"),
        ("client_id=lender-two", "client_id"),
        ("tenant_id=2", "tenant_id"),
    ],
)
def test_a_parameter_that_is_wrong_or_not_known_is_refused_by_name(query: str, field: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            answer = await client.get(f"/v1/decisions?{query}")
        assert answer.status_code == 422
        assert [it["field"] for it in answer.json()["errors"]] == [f"/query/{field}"]

    run(main())


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (
            "/v1/decisions?from=2026-01-01T00:00:00%2000:00",
            "wanted an instant such as 2026-11-26T00:00:00Z (the + of an offset is written %2B)",
        ),
        ("/v1/decisions?cursor=-1", "wanted the next_cursor of a page"),
        ("/v1/log/consistency?from=now&to=7", "wanted a size of the log, a whole number of leaves"),
        ("/v1/log/consistency?to=7", "is absent; wanted a size of the log, a whole number of leaves"),
    ],
)
def test_what_is_wanted_of_a_parameter_is_what_this_route_takes(path: str, said: str) -> None:
    async def main() -> None:
        async with house().client("auditor") as client:
            (told,) = (await client.get(path)).json()["errors"]
        assert told["message"].startswith(said)

    run(main())


@pytest.mark.parametrize("path", [*READ[1:], "/health/live", "/health/ready", "/openapi.json", "/docs"])
def test_parameters_are_refused_where_none_are_read(path: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            assert (await client.get(f"{path}?verbose=1")).status_code == 422
            assert (await client.post("/v1/decisions?dry_run=1", content=BODY, headers=posting())).status_code == 422

    run(main())


def test_many_applications_get_a_decision_or_a_problem_each_in_order() -> None:
    async def main() -> None:
        of = house()
        body = {"applications": [PLAIN, PLAIN | {"income": "4711"}, PLAIN | {"owner": False}]}
        async with of.client() as client:
            answer = await client.post("/v1/decisions/bulk", json=body, headers=posting())
            again = await client.post("/v1/decisions/bulk", json=body, headers=posting())
        decision_shapes.BulkAnswer.model_validate_json(answer.content)
        first, second, third = answer.json()["results"]
        assert second["problem"]["errors"][0]["field"] == "/income"
        assert "4711" not in answer.text
        assert third["decision"]["receipt"]["leaf_index"] == first["decision"]["receipt"]["leaf_index"] + 1
        assert (again.content, again.headers["idempotent-replayed"]) == (answer.content, "true")
        assert len(of.store.kept) == 2

    run(main())


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{}", 422),
        (b"[]", 422),
        (b'{"applications": {}}', 422),
        (b'{"applications": [], "applications": []}', 422),
        (b'{"applications": [], "dry_run": true}', 422),
        (b'{"applications": [' + b"{}," * 1000 + b"{}]}", 422),
        (b'{"applications": ' + b"[" * 10_000, 422),
    ],
)
def test_a_list_of_applications_is_read_strictly_too(body: bytes, status: int) -> None:
    async def main() -> None:
        of = house()
        async with of.client() as client:
            answer = await client.post("/v1/decisions/bulk", content=body, headers=posting())
        assert answer.status_code == status
        assert not of.store.leaves

    run(main())


def test_what_is_wrong_inside_one_of_many_applications_stays_with_it() -> None:
    async def main() -> None:
        of = house()
        wrong = (b'{"income": NaN}', b'{"income": 1, "income": 2}', b"17", b'"\xff"', b"[" * 500 + b"]" * 500)
        body = b'{"applications": [' + b",".join((*wrong, BODY)) + b"]}"
        async with of.client() as client:
            answer = await client.post("/v1/decisions/bulk", content=body, headers=posting())
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 200:
            kinds = [next(iter(it)) for it in answer.json()["results"]]
            assert kinds == ["problem"] * len(wrong) + ["decision"]

    run(main())


def test_a_simulation_says_so_and_records_nothing() -> None:
    async def main() -> None:
        of = house()
        async with of.client() as client:
            answer = await client.post("/v1/simulations", json=PLAIN)
        decision_shapes.Simulation.model_validate_json(answer.content)
        assert answer.json()["outcome"] == (await decided(house()))["outcome"]
        assert not of.store.leaves

    run(main())


def test_an_explanation_adds_up_and_names_what_would_be_approved() -> None:
    async def main() -> None:
        of = house()
        found = await decided(of)
        async with of.client() as client:
            answer = await client.get(f"/v1/decisions/{found['decision_id']}/explanation")
        decision_shapes.ExplanationTold.model_validate_json(answer.content)
        told = answer.json()
        added = sum(it["shap"] for it in told["contributions"])
        assert told["mean"] + added == pytest.approx(found["score"])
        assert told["waterfall"][-1]["end"] == pytest.approx(found["score"])
        assert str(PLAIN["income"]) not in answer.text

    run(main())


def test_a_report_is_recorded_once_and_only_of_a_day_that_can_be() -> None:
    async def main() -> None:
        of = house()
        found = await decided(of)
        path, day = f"/v1/decisions/{found['decision_id']}/outcomes", found["decided_at"][:10]
        async with of.client() as client:
            report = {"status": "bad", "observed_on": day}
            answer = await client.post(path, json=report, headers=posting("r"))
            again = await client.post(path, json=report, headers=posting("r"))
            for wrong in (
                report | {"observed_on": "2020-01-01"},
                report | {"observed_on": "2999-01-01"},
                report | {"status": "paid"},
                report | {"approved_by": "me"},
                {"status": "bad"},
                [],
            ):
                refused = await client.post(path, json=wrong, headers=posting("w"))
                assert refused.status_code == 422, wrong
            huge = await client.post(path, content=b" " * 5000, headers=posting("h"))
        decision_shapes.ReportAnswer.model_validate_json(answer.content)
        assert answer.status_code == 201
        assert again.content == answer.content
        assert huge.status_code == 413
        assert len(of.store.reports) == 1

    run(main())


def test_the_release_in_force_is_told_by_its_hashes_and_given_as_its_files() -> None:
    async def main() -> None:
        of = house()
        release = of.releases.current
        async with of.client() as client:
            told = await client.get("/v1/release")
            shapes.ReleaseTold.model_validate_json(told.content)
            assert told.json()["card_sha256"] == release.card.sha256
            assert (await client.get("/v1/card")).content == release.card.to_json()
            assert (await client.get("/v1/policy")).content == release.policy.to_json()
            assert (await client.get("/v1/profile")).content == release.profile.to_json()

    run(main())


def test_an_auditor_gets_the_checkpoint_its_key_and_proofs() -> None:
    async def main() -> None:
        async with house().client("auditor") as client:
            note = await client.get("/v1/log/checkpoint")
            assert note.headers["content-type"] == "text/plain; charset=utf-8"
            assert note.text.startswith("obligor.example/log\n7\n")
            assert (await client.get("/v1/log/key")).text.startswith("obligor.example/log+")
            assert (await client.get("/v1/log/consistency?from=3&to=7")).json()["from"] == 3
            assert (await client.get("/v1/log/consistency?from=3&to=9")).status_code == 404
            for query in ("", "?from=3", "?from=x&to=7", "?from=-1&to=7", f"?from=1&to={2**63}", "?from=1&to=2&x=1"):
                assert (await client.get(f"/v1/log/consistency{query}")).status_code == 422, query

    run(main())


def test_an_anchor_that_is_down_degrades_the_service_and_takes_it_from_nobody() -> None:
    async def main() -> None:
        anchors, counted = {"anchors": False}, Counted()
        of = house(beside=lambda: anchors, meter=counted.meter)
        async with of.client(None) as client:
            down = await client.get("/health/ready")
            assert counted.told("obligor_dependency_up", dependency="anchors") == 0
            of.states.known = {"database": False}
            both = await client.get("/health/ready")
            of.states.known = {"database": True}
            anchors["anchors"] = True
            well = await client.get("/health/ready")
        for answer in (down, both, well):
            shapes.ReadinessTold.model_validate_json(answer.content)
        assert (down.status_code, down.json()["status"]) == (200, "degraded")
        assert [name for name, it in down.json()["dependencies"].items() if it == "down"] == ["anchors"]
        assert (both.status_code, both.json()["status"]) == (503, "not ready")
        assert (well.status_code, well.json()["status"]) == (200, "ready")

    run(main())


def test_health_is_open_and_names_what_is_down_without_saying_why() -> None:
    async def main() -> None:
        of = house()
        async with of.client(None) as client:
            assert (await client.get("/health/live")).json() == {"status": "live"}
            well = await client.get("/health/ready")
            of.states.known = {"database": False}
            ill = await client.get("/health/ready")
            of.states.known = {"database": True}
            of.door.seats.draining = True
            ending = await client.get("/health/ready")
            assert (await client.get("/health/live")).status_code == 200
        for answer in (well, ill, ending):
            shapes.ReadinessTold.model_validate_json(answer.content)
        assert (well.status_code, well.json()["status"]) == (200, "ready")
        assert (ill.status_code, ill.json()["dependencies"]) == (503, {"database": "down", "release": "up"})
        assert (ending.status_code, ending.json()["status"]) == (503, "draining")
        assert ending.headers["connection"] == "close"

    run(main())


def test_a_store_that_is_down_decides_nothing_and_says_when_to_come_again() -> None:
    async def main() -> None:
        of = house()
        of.store.down = True
        async with of.client() as client:
            for answer in (
                await client.post("/v1/decisions", content=BODY, headers=posting()),
                await client.post("/v1/decisions/bulk", json={"applications": [PLAIN]}, headers=posting()),
                await client.get("/v1/decisions"),
                await client.get(f"/v1/decisions/{NOBODY}"),
            ):
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
        assert not of.store.leaves

    run(main())


def test_metrics_are_for_those_who_may_scrape() -> None:
    async def main() -> None:
        async with house().client("scraper") as client:
            answer = await client.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        assert answer.text == "# HELP up\n"

    run(main())


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"])
def test_another_method_is_told_which_ones_there_are(method: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            headers = {"x-http-method-override": "POST", "origin": "https://elsewhere.example"}
            answer = await client.request(method, "/v1/decisions", headers=headers)
        assert answer.status_code == 405
        assert answer.headers["allow"] == "GET, POST"
        assert not [name for name in answer.headers if name.startswith("access-control")]

    run(main())


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/decisions/", "/v2/decisions", "/v1/Decisions", "/admin", "/v1//card"]
)
def test_what_is_no_route_is_a_problem_too(path: str) -> None:
    async def main() -> None:
        async with house().client() as client:
            answer = await client.get(path)
        assert answer.status_code == 404
        shapes.Problem.model_validate_json(answer.content)

    run(main())


def test_the_page_and_the_document_change_with_the_release() -> None:
    async def main() -> None:
        of = house()
        async with of.client(None) as client:
            before = (await client.get("/openapi.json")).json()
            card = small_card()
            columns = card.applications.columns | {"deposits": card.applications.columns["amount"]}
            applications = card.applications.model_copy(update={"columns": columns})
            of.releases.take(small_release(2, card=card.model_copy(update={"applications": applications})))
            after = (await client.get("/openapi.json")).json()
            page = await client.get("/docs")
        known = [it["components"]["schemas"]["Application"]["properties"] for it in (before, after)]
        assert ["deposits" in it for it in known] == [False, True]
        assert "(release 2)" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]

    run(main())


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions/bulk", "/v1/simulations"])
def test_a_fault_of_ours_is_a_problem_that_says_nothing_of_it(path: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        of = house()
        of.releases.take(replace(small_release(2), scorer=None))  # type: ignore[arg-type]  a fault
        async with of.client() as client:
            body = {"applications": [PLAIN]} if path.endswith("bulk") else PLAIN
            answer = await client.post(path, json=body, headers=posting())
        assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
        assert answer.json()["type"] == "urn:obligor:problem:internal"
        assert "NoneType" not in answer.text
        assert of.door.seats.open == 0

    run(main())
    assert "AttributeError at assess:" in caplog.text
    assert "no attribute" not in caplog.text

"""The OpenAPI document tells the truth: of the card in force, of every route, of every status."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_application import LIMITED
from tests.serving.http.fakes import PLAIN, house, posting, small_card, small_release
from tests.serving.http.serving import run

from obligor.core.application import form_of, read_application
from obligor.core.columns import Column
from obligor.core.errors import ApplicationError, KeyReusedError
from obligor.serving.errors import ANSWERS, type_of
from obligor.serving.http.app import make_routes
from obligor.serving.http.problems import PROBLEM_TYPES
from obligor.serving.http.schema import application_schema, column_schema, example_application

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "reference" / "api.md").read_text()
PASSWORD = "a long and quiet harbour"  # noqa: S105  of nobody
FORM = form_of(small_release().scorer, small_release().policy_reader)
SCHEMA = application_schema(FORM, small_card(), release=1)
LIMITED_SCHEMA = application_schema(LIMITED, small_card(), release=1)


def document() -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def main() -> None:
        async with house().client(None) as client:
            found.update((await client.get("/openapi.json")).json())

    run(main())
    return found


def test_the_document_is_openapi_and_refers_to_nothing_that_is_not_there() -> None:
    told = document()
    assert told["openapi"] == "3.1.0"
    for reference in re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(told)):
        assert reference in told["components"]["schemas"], reference
    for name, schema in told["components"]["schemas"].items():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema), name


def schemas_in(node: Any) -> Iterator[dict[str, Any]]:
    """Find every object of a document that may be a schema."""
    for it in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from schemas_in(it)
    if isinstance(node, dict):
        yield node


def test_generated_clients_get_an_amount_whole_and_a_type_where_it_may_be_null() -> None:
    """oapi-codegen makes 32 bits of a number without a format; openapi-generator a class of a choice with null."""
    told = document()
    schemas = [it for it in schemas_in(told) if "type" in it or "anyOf" in it]
    numbers = [it for it in schemas if it.get("type") in ("number", ["number", "null"])]
    assert len(numbers) > 20
    assert {it.get("format") for it in numbers} == {"double"}
    choices = [it["anyOf"] for it in schemas if isinstance(it.get("anyOf"), list) and {"type": "null"} in it["anyOf"]]
    assert all(it[0].get("type", "object") == "object" or "enum" in it[0] or len(it) > 2 for it in choices)
    assert not [it for it in schemas if it.get("default", "") is None]
    queries = [
        it["schema"] for methods in told["paths"].values() for op in methods.values() for it in op.get("parameters", [])
    ]
    assert len(queries) > 20
    assert not any("anyOf" in it for it in queries)
    items = told["components"]["schemas"]["Applications"]["properties"]["applications"]["items"]
    assert items == {"$ref": "#/components/schemas/Application"}
    assert told["servers"] == [{"url": "/"}]


def test_every_answer_has_a_schema_that_says_what_it_holds() -> None:
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                for type_, it in answer.get("content", {}).items():
                    assert type_ in ("text/plain", "application/octet-stream") or "$ref" in it["schema"], (path, status)


def test_every_problem_is_told_as_one_and_every_route_but_health_asks_for_a_key() -> None:
    for path, methods in document()["paths"].items():
        for operation in methods.values():
            assert operation["operationId"]
            assert bool(operation["security"]) == (not path.startswith("/health") and path != "/v1/tokens")
            for status, answer in operation["responses"].items():
                if int(status) >= 400 and path != "/health/ready":
                    assert list(answer["content"]) == ["application/problem+json"], (path, status)
                assert answer["description"]


def test_the_invented_application_is_one_and_is_decided_on() -> None:
    example = example_application(FORM, small_card())
    jsonschema_rs.validate(SCHEMA, example)

    async def main() -> None:
        async with house().client() as client:
            assert (await client.post("/v1/decisions", json=example, headers=posting())).status_code == 201

    run(main())


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=3),
    st.sampled_from(["2024-05-01", "2024-02-30", "20240501", 1e15, 1.1e15, "x" * 1001, [], {}, "\u202e", "\0"]),
    st.lists(st.fixed_dictionaries({"at": st.just("2024-01-01"), "balance": st.none() | st.integers()}), max_size=2),
)  # fmt: skip


@given(
    st.dictionaries(st.sampled_from([*FORM.columns, *FORM.histories, "unheard_of"]), VALUES, max_size=3),
    st.sets(st.sampled_from([*PLAIN]), max_size=1),
)
def test_the_schema_refuses_what_the_service_refuses_and_nothing_else(changed: dict[str, Any], left: set[str]) -> None:
    plain = {name: it for name, it in (PLAIN | changed).items() if name not in left}
    if any(isinstance(it, float) and it == 0 for it in plain.values()):
        return  # minus zero, which no schema can tell from zero
    fits = jsonschema_rs.Draft202012Validator(SCHEMA, validate_formats=True).is_valid(plain)
    try:
        read_application(plain, FORM)
    except ApplicationError:
        assert not fits
    else:
        assert fits


def test_limits_and_codes_are_told_in_words_since_a_schema_would_refuse_what_is_only_flagged() -> None:
    column = Column(
        type="number", description="Income in a year", unit="USD", min=0, max=10_000, special={-9.0: "not asked"}
    )
    told = column_schema(column)
    assert told["description"] == (
        "Income in a year. In USD. Wanted from 0 to 10000; another value is decided on by its bin, and flagged. "
        "Codes that are no values: -9 is not asked."
    )
    assert (told["x-unit"], told["x-range"], told["x-special"]) == ("USD", [0.0, 10_000.0], {"-9": "not asked"})
    assert jsonschema_rs.is_valid(told, -1e9)
    text = column_schema(Column(type="text", levels=("own", "rent")), nullable=False)
    assert (text["type"], text["x-levels"]) == ("string", ["own", "rent"])
    assert jsonschema_rs.is_valid(text, "family")


@given(
    st.sampled_from(["income", "amount"]),
    st.floats(-200, 2e6) | st.sampled_from([-1, -99, 0, 0.5, 1e15, 1.1e15, -1e15]),
)
def test_limits_that_refuse_are_limits_of_the_schema_which_no_code_exceeds(name: str, number: float) -> None:
    fits = jsonschema_rs.is_valid(LIMITED_SCHEMA, PLAIN | {name: number})
    try:
        read_application(PLAIN | {name: number}, LIMITED)
    except ApplicationError:
        assert not fits or (name == "income" and -99 <= number <= 0)  # within the codes, of which the words tell
    else:
        assert fits


def test_a_column_that_refuses_says_so() -> None:
    told = column_schema(Column(type="number", min=0.5, max=100, beyond="refuse"))
    assert (told["minimum"], told["maximum"]) == (0.5, 100.0)
    assert told["description"] == "Wanted from 0.5 to 100; another value is refused."
    day = column_schema(LIMITED.columns["applied_on"])
    assert "minimum" not in day
    assert day["description"] == "Wanted from 2000-01-01; another value is refused."


def test_the_page_needs_nothing_from_outside_and_runs_nothing() -> None:
    async def main() -> None:
        async with house().client(None) as client:
            page = await client.get("/docs")
        html = page.text
        assert not re.findall(r"<(?:script|link|img|iframe|form|object)\b|\bon[a-z]+=|https?://|style=", html)
        for path in document_paths:
            assert path in html
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "script-src" not in policy

    document_paths = list(document()["paths"])
    run(main())


def test_a_name_of_a_column_is_escaped_on_the_page() -> None:
    async def main() -> None:
        card = small_card()
        columns = card.applications.columns | {"<script>": Column(type="number", description="<b>&")}
        applications = card.applications.model_copy(update={"columns": columns})
        of = house(release=small_release(card=card.model_copy(update={"applications": applications})))
        async with of.client(None) as client:
            html = (await client.get("/docs")).text
        assert "&lt;script&gt;" in html
        assert "<script>" not in html

    run(main())


def test_the_reference_names_every_route_with_its_scope_or_roles_and_statuses() -> None:
    rows = {
        (found["route"], found["scope"], found["statuses"])
        for found in re.finditer(
            r"^\| `(?P<route>[A-Z]+ \S+)` \| (?P<scope>[^|]+) \| (?P<statuses>[0-9 ]+) \|", PAGE, re.MULTILINE
        )
    }
    wanted = set()
    for path, methods in document()["paths"].items():
        for method, operation in methods.items():
            needed = re.search(r"(?:Scope|Role|Permission): (.+)\.$", operation.get("description", ""))
            statuses = " ".join(sorted(operation["responses"]))
            wanted.add((f"{method.upper()} {path}", needed[1] if needed else "open", statuses))
    assert rows == wanted


def test_the_reference_names_every_type_of_problem_with_its_status() -> None:
    rows = set(re.findall(r"^\| `urn:obligor:problem:([a-z-]+)` \| ([0-9]+) \|", PAGE, re.MULTILINE))
    wanted = {(it.name, str(it.status)) for it in PROBLEM_TYPES}
    wanted |= {(kind.replace("_", "-"), str(answer.status)) for kind, answer in ANSWERS.items()}
    wanted.add((type_of(KeyReusedError("")).rpartition(":")[2], "422"))
    assert rows == wanted


@dataclass(frozen=True)
class Running:
    """A service that runs, its first API key, and what it is called with."""

    address: str
    key: str
    environment: dict[str, str]

    def by(self, user: str, *command: str) -> None:
        """Have somebody give a command at the machine itself."""
        subprocess.run(
            [str(Path(sys.executable).parent / "obligor"), *command],
            env=self.environment | {"OBLIGOR_AUTHOR": user},
            input=f"{PASSWORD}\n",
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def administrator(self, *users: str) -> None:
        """Let in the first administrators there are."""
        for user in users:
            self.by("ada", "users", "add", user)
            self.by("ada", "roles", "grant", user, "admin")

    def token(self, user: str) -> str:
        """Sign somebody in."""
        signed = httpx.post(f"{self.address}/v1/tokens", json={"user": user, "password": PASSWORD})
        assert signed.status_code == 200
        return str(signed.json()["access_token"])


@pytest.fixture
def running_service(tmp_path: Path) -> Iterator[Running]:
    """``obligor serve`` on a store of its own."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The store's server runs as a user of its own, who cannot enter the folders of pytest.
    with TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        environment = os.environ | {"OBLIGOR_DATA": folder, "OBLIGOR_MLFLOW_URI": "off", "XDG_RUNTIME_DIR": folder}
        environment["OBLIGOR_SUBJECT_DAILY"] = "0"  # one person asks for all of it, and would be held up after fifty
        environment.pop("OBLIGOR_DATABASE_URL", None)
        command = [str(Path(sys.executable).parent / "obligor"), "serve", "--port", str(port), "--no-grpc"]
        with (
            (tmp_path / "said").open("w+") as said,
            subprocess.Popen(command, env=environment, stdout=said, stderr=said) as it,
        ):
            try:
                while "REST" not in (text := (tmp_path / "said").read_text()):
                    assert it.poll() is None, text
                    time.sleep(0.1)
                yield Running(f"http://127.0.0.1:{port}", re.findall(r"obl_\w+", text)[0], environment)
            finally:
                it.terminate()


def test_the_running_service_keeps_to_its_document(tmp_path: Path, running_service: Running) -> None:
    """Schemathesis with all its checks: no 5xx, no answer that is not told, nobody let in without a key; links followed."""
    done = explored(
        *(tmp_path, running_service, running_service.key),
        # of alerts a key is told that there are none, whatever its request lacks, which is taken for no refusal
        *("--exclude-path-regex", "^/v1/(users|roles|access|proposals|keys|privacy|alerts/yearly-reports)"),
        *("--phases", "examples,coverage,fuzzing,stateful"),
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Tested: 45" in done.stdout


def test_the_running_service_keeps_to_its_document_for_an_administrator(
    tmp_path: Path, running_service: Running
) -> None:
    """The same for the routes that no key opens; who is disabled or loses a role on the way is let in no more."""
    running_service.administrator("ada")
    done = explored(
        *(tmp_path, running_service, running_service.token("ada")),
        *("--include-path-regex", "^/v1/(users|roles|access|proposals|keys)"),
        *("--phases", "examples,coverage,fuzzing"),
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Tested: 13" in done.stdout


def test_the_running_service_keeps_to_its_document_for_a_privacy_officer(
    tmp_path: Path, running_service: Running
) -> None:
    running_service.administrator("ada")
    running_service.by("ada", "users", "add", "pia")
    running_service.administrator("eve")
    for admin in ("ada", "eve"):
        running_service.by(admin, "roles", "grant", "pia", "privacy_officer")
    done = explored(
        *(tmp_path, running_service, running_service.token("pia")),
        *("--include-path-regex", "^/v1/(privacy|proposals)"),
        *("--phases", "examples,coverage,fuzzing"),
    )
    assert done.returncode == 0, done.stdout[-5000:]
    assert "Tested: 7" in done.stdout


def explored(folder: Path, service: Running, shown: str, *more: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(str(Path(sys.executable).parent / "schemathesis"), "run", f"{service.address}/openapi.json"),
        *("--header", f"Authorization: Bearer {shown}", "--checks", "all", "--max-examples", "25", "--seed", "1"),
        *("--no-color", *more),
    ]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("openapi_hooks.py"))}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def test_the_page_is_written_once_for_each_release_and_not_for_each_who_asks() -> None:
    of = house()
    document = make_routes(of.door).state.document
    first = document.as_page()
    assert document.as_page() is first
    of.releases.take(small_release(2))
    assert document.as_page() is not first

"""Every example in the documentation is run, in a folder of its own, with a small tape called loans.csv.

A ``console`` block is run line by line; what stands under a command must be among what it says. A ``python`` block is run. A
``yaml`` block is a fragment of a contract, and must be one. A block without a language repeats what the last command says.
"""

from __future__ import annotations

import csv
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import textwrap
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pytest
import yaml
from pydantic import TypeAdapter

from obligor.core.columns import Column
from obligor.core.contract import Contract

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    page
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    if re.search(r"^\s*```", page.read_text(), re.MULTILINE)
)
BLOCK = re.compile(r"^(?P<indent> *)```(?P<kind>[a-z]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
TAPE_OF_THE_TUTORIAL = "LoanStats3a_2007_2011.csv.gz"


@dataclass
class Shell:
    """Runs commands in a folder, and keeps what the last one said."""

    folder: Path
    environment: dict[str, str]
    said: str = ""

    def run(self, command: str) -> None:
        command = re.sub(r"^uv run ", "", command)
        self.said = self._called(["bash", "-euo", "pipefail", "-c", command])

    def python(self, text: str) -> None:
        self.said = self._called([sys.executable, "-c", text])

    def _called(self, command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    for found in BLOCK.finditer(page.read_text()):
        yield found["kind"], textwrap.dedent(found["text"])


def write_loans(path: Path, rows: int = 3000) -> None:
    """Write a tape: loans of four years, a code for people without a job, and what became of each loan."""
    random = np.random.default_rng(3)
    income = np.exp(random.normal(10.4, 0.5, rows)).round()
    amount = (income * random.uniform(0.05, 0.8, rows)).round(-2)
    housing = random.choice(["own", "rent", "family"], rows)
    months = np.where(random.random(rows) < 0.15, -9, random.integers(0, 200, rows))
    odds = 2.0 - 2.5 * amount / income - 0.5 * (housing == "rent") - 1.5 * (months == -9) + 0.004 * months
    paid = random.random(rows) < 1 / (1 + np.exp(-odds))
    days = np.datetime64("2019-01-01") + np.sort(random.integers(0, 1400, rows))
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["loan_id", "applied_on", "loan_amount", "annual_income", "housing", "months_employed", "status"])
        status = np.where(paid, "paid", "charged off")
        for at in range(rows):
            out.writerow([at + 1, days[at], int(amount[at]), int(income[at]), housing[at], months[at], status[at]])


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder that the user of the embedded database can enter, who cannot enter those of pytest."""
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name) / "data"


@pytest.fixture
def shell(tmp_path: Path, data: Path) -> Shell:
    write_loans(tmp_path / "loans.csv")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    scripts = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    return Shell(tmp_path, environment | {"OBLIGOR_DATA": str(data), "OBLIGOR_MLFLOW_URI": "off"})


def check(kind: str, text: str, *, shell: Shell) -> None:
    match kind:
        case "console":
            for line in text.splitlines():
                if line.startswith("$ "):
                    shell.run(line[2:])
                elif line.strip():
                    assert line.strip() in shell.said, f"wanted {line!r} in\n{shell.said}"
        case "python":
            shell.python(text)
        case "yaml":
            check_fragment(yaml.safe_load(text))
        case "":
            for line in filter(str.strip, text.splitlines()):
                assert line.strip() in shell.said, f"wanted {line!r} in\n{shell.said}"
        case "sql" | "promql":  # tests/adapters/store/test_tables.py grants, tests/infra/test_prometheus.py asks
            assert any(it in text for it in ("CREATE ROLE", "GRANT", "obligor_"))
        case _:
            pytest.fail(f"a block of kind {kind!r}: nobody knows how to check it")


def check_fragment(said: dict[str, object]) -> None:
    """Check the sections of a contract, or columns, of a fragment by the types of the contract."""
    for name, one in said.items():
        known = Contract.model_fields.get(name)
        kind = known.annotation if known else Column
        TypeAdapter(kind).validate_python(one, strict=False)


README = ROOT / "README.md"
SERVED = ("decide.md", "notices.md", "overrides.md", "reviews.md")
"""Pages that run a service."""
PRODUCTION = ROOT / "docs" / "how-to" / "production.md"


@pytest.mark.parametrize(
    "page",
    [p for p in PAGES if p.name not in (*SERVED, "README.md", "lendingclub.md", "sources.md", "production.md")],
    ids=lambda p: p.stem,
)
def test_the_examples_of_a_page_hold(page: Path, shell: Shell) -> None:
    check_blocks(page, shell=shell)


def check_blocks(page: Path, *, shell: Shell) -> None:
    found = list(blocks(page))
    assert len(found) * 2 == page.read_text().count("```")
    for kind, text in found:
        check(kind, text, shell=shell)


def test_the_readme_makes_a_card_serves_it_and_proves_what_it_decided(shell: Shell, data: Path) -> None:
    """The block of the service is run as it stands, but for the ports, what a reader fills in, and the run: their own."""
    check_blocks(README, shell=shell)
    block = README.read_text().partition("## Decisions in real time\n\n")[2].partition("\n\n")[0]
    lines = re.sub(r" +# .*", "", block.replace("\\\n", "")).splitlines()
    serve, decide, verify, export, replay = (line.strip().removeprefix("uv run ") for line in lines)
    serve = serve.replace("runs/demo", "out")
    rest, grpc = free_port(), free_port()
    (shell.folder / "data").symlink_to(data)
    try:
        shell.run(f"{serve} --port {rest} --grpc-port {grpc} > serve.log 2>&1 & echo $! > serve.pid")
        shell.run("until grep -q gRPC serve.log; do kill -0 $(cat serve.pid); sleep 0.2; done")
        shell.environment["KEY"] = re.findall(r"obl_\w+", (shell.folder / "serve.log").read_text())[0]
        shell.run(f"curl -sf localhost:{rest}/openapi.json")
        example = json.loads(shell.said)["components"]["schemas"]["Application"]["examples"][0]
        (shell.folder / "application.json").write_text(json.dumps(example))
        shell.run(decide.replace("curl", "curl -sS").replace(":8000", f":{rest}"))
        decision = json.loads(shell.said)
        assert {"outcome", "score", "pd", "band", "reasons", "receipt"} <= decision.keys()
        for command, said in ((verify, "sound"), (export, "checked"), (replay, "1 of 1 decisions follow")):
            shell.run(command.replace("DECISION_ID", decision["decision_id"]))
            assert said in shell.said
    finally:
        stop(shell)


def test_the_tutorial_holds_on_the_real_tape(shell: Shell, datasets: Path) -> None:
    (shell.folder / TAPE_OF_THE_TUTORIAL).symlink_to(datasets / "lendingclub_2007_2011" / TAPE_OF_THE_TUTORIAL)
    for kind, text in blocks(ROOT / "docs" / "tutorial" / "lendingclub.md"):
        check(kind, text, shell=shell)


@pytest.mark.parametrize("page", SERVED)
def test_a_service_does_as_its_page_says(shell: Shell, page: str) -> None:
    port = free_port()
    # The embedded server runs as a user of its own, who cannot enter the folders of pytest.
    with TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        shell.environment |= {"OBLIGOR_DATA": folder, "XDG_RUNTIME_DIR": folder}
        try:
            for kind, text in blocks(ROOT / "docs" / "how-to" / page):
                here = text.replace(":8000", f":{port}").replace("obligor serve", f"obligor serve --port {port}")
                check(kind, here, shell=shell)
        finally:
            stop(shell)


def test_a_service_in_production_is_set_up_as_the_page_says(
    shell: Shell, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is made elsewhere (a database, a key in a KMS, certificates, a bucket) is here; the rest is done as it stands."""
    import psycopg
    from botocore.session import get_session
    from moto.server import ThreadedMotoServer
    from tests.serving.test_encryption import write_pair
    from tests.stores import of_database

    from obligor.adapters.store.embedded import embedded_server

    for name, value in {
        "CA_BUNDLE": str(tmp_path / "tls" / "cert.pem"),
        "ACCESS_KEY_ID": "testing",
        "SECRET_ACCESS_KEY": "testing",
        "DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(f"AWS_{name}", value)
        shell.environment[f"AWS_{name}"] = value
    (tls := tmp_path / "tls").mkdir()
    write_pair(tls, 1)
    cloud = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    cloud.start()
    encrypted = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    encrypted.load_cert_chain(tls / "cert.pem", tls / "key.pem")
    cloud._server.socket = encrypted.wrap_socket(cloud._server.socket, server_side=True)
    endpoint = "https://{}:{}".format(*cloud.get_host_and_port())
    shell.environment |= {"AWS_ENDPOINT_URL": endpoint, "OBLIGOR_S3_ENDPOINT": endpoint}
    kms, s3 = (get_session().create_client(it, endpoint_url=endpoint) for it in ("kms", "s3"))
    s3.create_bucket(Bucket="checkpoints", ObjectLockEnabledForBucket=True)
    (tmp_path / "ca.pem").symlink_to(tls / "cert.pem")
    settings = {
        "OBLIGOR_ENV": "production",
        "OBLIGOR_DATA_KEY": f"aws-kms:{kms.create_key()['KeyMetadata']['KeyId']}",
        "OBLIGOR_AUDIT_KEY": str(tmp_path / "audit-ed25519.pem"),
        "OBLIGOR_TLS_CERT": str(tls / "cert.pem"),
        "OBLIGOR_TLS_KEY": str(tls / "key.pem"),
        "OBLIGOR_ANCHORS": "s3://checkpoints/obligor",
    }
    ports = f"--port {(port := free_port())} --grpc-port {free_port()}"
    shell.run("obligor contract draft loans.csv > loans.yaml; obligor run loans.csv --contract loans.yaml --out out")
    with embedded_server(data.parent / "postgres") as url, psycopg.connect(url, autocommit=True) as server:
        try:
            said = blocks(PRODUCTION)
            for kind, text in said:
                if kind == "sql":
                    for statement in text.replace("'...'", "NULL").split(";\n"):
                        server.execute(statement.encode())
                for who, user in (("owner", "lender_owner"), ("service", "lender"), ("auditor", "ann")):
                    theirs = re.sub("://[a-z]+@", f"://{user}@", of_database(url, "lender"))
                    lines = {**settings, "OBLIGOR_DATABASE_URL": theirs}.items()
                    (tmp_path / f"{who}.env").write_text("".join(f"{name}='{value}'\n" for name, value in lines))
                if "serve out" in text:
                    with pytest.raises(
                        AssertionError, match="the store has no release, and in production none is begun with"
                    ):
                        shell.run(f"set -a; . ./service.env; obligor serve {ports}")
                check(kind, text.replace(":8000", f":{port}").replace("serve out", f"serve out {ports}"), shell=shell)
            assert "obl_" not in (tmp_path / "serve.log").read_text()
        finally:
            stop(shell)
            cloud.stop()


def free_port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def stop(shell: Shell) -> None:
    shell.run(
        "kill $(cat serve.pid) 2> kill.log || true; while kill -0 $(cat serve.pid) 2> kill.log; do sleep 0.2; done"
    )


def test_the_sources_hold_on_a_real_database_and_a_real_endpoint(shell: Shell, postgres_url: str) -> None:
    import boto3
    import psycopg
    from moto.server import ThreadedMotoServer

    with psycopg.connect(postgres_url, autocommit=True) as db, db.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS public.loans")
        cursor.execute(
            "CREATE TABLE public.loans (loan_id text, applied_on date, loan_amount float8, annual_income float8, "
            "housing text, months_employed int, status text)"
        )
        with cursor.copy("COPY public.loans FROM STDIN WITH (FORMAT csv, HEADER)") as copy:
            copy.write((shell.folder / "loans.csv").read_text())
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint, keys = f"http://{host}:{port}", {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
        shell.environment |= {"OBLIGOR_S3_ENDPOINT": endpoint, "AWS_DEFAULT_REGION": "us-east-1", **keys}
        client = boto3.client(
            "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106  the endpoint takes any
        )  # fmt: skip
        client.create_bucket(Bucket="examples")
        client.upload_file(str(shell.folder / "loans.csv"), "examples", "loans.csv")
        shell.environment["LOANS"] = f"{postgres_url}{'&' if '?' in postgres_url else '?'}table=public.loans"
        for kind, text in blocks(ROOT / "docs" / "how-to" / "sources.md"):
            check(kind, text, shell=shell)
    finally:
        server.stop()

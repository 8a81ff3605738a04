"""The same loans give the same card from a file, from PostgreSQL and from an object store; weights count."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.test_cli import CONTRACT, HEADER, rows

from obligor.bootstrap import run_tape
from obligor.progress import Silence

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("OBLIGOR_MLFLOW_URI", "off")
    (tmp_path / "small.yaml").write_text(CONTRACT)
    (tmp_path / "tape.csv").write_text(HEADER + rows(600))


def points(tape: str, folder: Path, *, out: str, contract: str = "small.yaml") -> object:
    run_tape(tape, contract=folder / contract, out=folder / out, progress=Silence())
    card = json.loads((folder / out / "scorecard.json").read_text())
    return {it["feature"]: it["bins"] for it in card["characteristics"]}, card["base_points"]


def test_a_table_of_postgresql_gives_the_card_of_the_file(postgres_url: str, tmp_path: Path) -> None:
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as db:
        db.execute("DROP TABLE IF EXISTS loans")
        db.execute("CREATE TABLE loans (n serial, id text, income numeric, purpose text, applied_on date, status text)")
        with db.cursor().copy(
            "COPY loans (id, income, purpose, applied_on, status) FROM STDIN WITH (FORMAT csv)"
        ) as copy:
            copy.write(rows(600))
    separator = "&" if "?" in postgres_url else "?"
    from_table = points(f"{postgres_url}{separator}table=public.loans", tmp_path, out="table")
    ordered = "".join(sorted(rows(600).splitlines(keepends=True)))
    (tmp_path / "tape.csv").write_text(HEADER + ordered)
    assert from_table == points(str(tmp_path / "tape.csv"), tmp_path, out="file")


def test_an_object_gives_the_card_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import boto3
    from moto.server import ThreadedMotoServer

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("OBLIGOR_S3_ENDPOINT", f"http://{host}:{port}")
        client = boto3.client("s3", endpoint_url=f"http://{host}:{port}")
        client.create_bucket(Bucket="lender")
        client.upload_file(str(tmp_path / "tape.csv"), "lender", "loans/tape.csv")
        from_object = points("s3://lender/loans/tape.csv", tmp_path, out="object")
    finally:
        server.stop()
    assert from_object == points(str(tmp_path / "tape.csv"), tmp_path, out="file")


def test_a_column_of_weights_counts_rows_as_often(tmp_path: Path) -> None:
    weighted = CONTRACT.replace(
        "    status:", "    times: {type: number, role: weight, required: true, min: 0}\n    status:"
    )
    (tmp_path / "weighted.yaml").write_text(weighted)
    lines = rows(600).splitlines()
    once = "\n".join(f"{line},{1 + at % 3}" for at, line in enumerate(lines)) + "\n"
    (tmp_path / "weighted.csv").write_text(HEADER.strip() + ",times\n" + once)
    run_tape(
        str(tmp_path / "weighted.csv"), contract=tmp_path / "weighted.yaml", out=tmp_path / "w", progress=Silence()
    )
    card = json.loads((tmp_path / "w" / "scorecard.json").read_text())
    counted = sum(row["goods"] + row["bads"] for row in card["characteristics"][0]["bins"])
    assert counted > 1.5 * card["origin"]["rows"]["train"]

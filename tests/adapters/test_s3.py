from __future__ import annotations

import errno
import gzip
import socket
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from obligor.adapters.s3 import S3Source
from obligor.core.errors import SourceError, UnavailableError
from obligor.core.snapshot import TableRequest
from obligor.ingestion.snapshots import take_snapshot
from obligor.ingestion.sources import LocalSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("aws_environment")
TAPE = b"loan_id,income\n1,52000\n2,31000\n"
LOANS = TableRequest("applications", columns=("loan_id", "income"))
OBJECTS = {
    "tape.csv": TAPE,
    "large.csv": TAPE + b"3,4\n" * 3_000_000,
    "parts/loans_2.csv": TAPE,
    "parts/loans_1.csv.gz": gzip.compress(TAPE, mtime=0),
    "parts/README.md": b"what this is",
    "lender/applications.csv": TAPE,
    "lender/repayments/part-0.csv": TAPE,
    "lender/repayments/part-1.csv": TAPE,
    "lender/repayments/_SUCCESS": b"",
    "notes/README.md": b"no tape here",
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A real HTTP endpoint of an object store, on loopback, with a bucket of tapes."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    _fill(url)
    yield url
    server.stop()


def _fill(url: str) -> None:
    client: Any = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106  the endpoint takes any
    )
    client.create_bucket(Bucket="tapes", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    for key, body in OBJECTS.items():
        client.put_object(Bucket="tapes", Key=key, Body=body)
    client.close()


def _names(endpoint: str, url: str, into: Path, file: str | None = None) -> list[str]:
    source = S3Source(url, endpoint=endpoint)
    try:
        raws = source.fetch(TableRequest("applications", file=file), into, progress=lambda _: None)
    finally:
        source.close()
    return [raw.name for raw in raws]


def test_a_tape_in_a_store_and_the_same_tape_on_disk_are_one_snapshot(endpoint: str, tmp_path: Path) -> None:
    (tmp_path / "tape.csv").write_bytes(TAPE)
    here = take_snapshot(LocalSource(tmp_path / "tape.csv"), [LOANS], store=tmp_path / "raw")
    there = take_snapshot(S3Source("s3://tapes/tape.csv", endpoint=endpoint), [LOANS], store=tmp_path / "raw")
    assert there.sha256 == here.sha256
    assert there.source == "s3://tapes/tape.csv"
    assert there.files[0].path.read_bytes() == TAPE


def test_the_endpoint_may_come_from_the_environment(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    snapshot = take_snapshot(S3Source("s3://tapes/tape.csv"), [LOANS], store=tmp_path / "raw")
    assert snapshot.files[0].bytes == len(TAPE)


def test_a_large_object_arrives_in_pieces(endpoint: str, tmp_path: Path) -> None:
    arrived: list[int] = []
    source = S3Source("s3://tapes/large.csv", endpoint=endpoint)
    snapshot = take_snapshot(source, [LOANS], store=tmp_path, progress=arrived.append)
    assert sum(arrived) == snapshot.files[0].bytes == len(OBJECTS["large.csv"])
    assert max(arrived) <= 1 << 20


@pytest.mark.parametrize(
    ("url", "file", "names"),
    [
        ("s3://tapes/parts", None, ["loans_1.csv.gz", "loans_2.csv"]),
        ("s3://tapes/parts/", "loans_*", ["loans_1.csv.gz", "loans_2.csv"]),
        ("s3://tapes/lender", "applications.csv", ["applications.csv"]),
        ("s3://tapes/lender", "repayments", ["repayments/part-0.csv", "repayments/part-1.csv"]),
        ("s3://tapes/lender/", "repayments/*.csv", ["repayments/part-0.csv", "repayments/part-1.csv"]),
        ("s3://tapes", "tape.*", ["tape.csv"]),
        ("s3://tapes/tape.csv", "tape*.csv", ["tape.csv"]),
    ],
)
def test_the_tables_under_a_prefix_are_found_as_in_a_folder(
    endpoint: str, tmp_path: Path, url: str, file: str | None, names: list[str]
) -> None:
    assert _names(endpoint, url, tmp_path, file) == names


@pytest.mark.parametrize(
    ("url", "file", "message"),
    [
        ("s3://tapes/gone.csv", None, "s3://tapes/gone.csv does not exist"),
        ("s3://no-such-bucket/tape.csv", None, "s3://no-such-bucket/tape.csv does not exist"),
        ("s3://tapes/notes", None, "holds no tape; wanted files ending in"),
        ("s3://tapes/tape.csv", "bureau.csv", "is one object, but the contract looks for"),
        ("s3://tapes/parts", "loan_1.csv.gz", "did you mean 'loans_1.csv.gz'"),
        ("s3://tapes/parts", "../tape.csv", "inside the tape's folder"),
    ],
)
def test_a_tape_that_the_store_does_not_hold_is_named(
    endpoint: str, tmp_path: Path, url: str, file: str | None, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        _names(endpoint, url, tmp_path, file)


def test_a_store_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and never listening: every connection is refused
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(UnavailableError, match=r"the store of s3://tapes/tape.csv did not do its part"):
            _names(endpoint, "s3://tapes/tape.csv", tmp_path)


def test_an_environment_without_credentials_is_said(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match="needs AWS credentials"):
        _names(endpoint, "s3://tapes/tape.csv", tmp_path)


def test_a_disk_that_fills_up_is_not_blamed_on_the_store(endpoint: str, tmp_path: Path) -> None:
    def fill_up(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    source = S3Source("s3://tapes/tape.csv", endpoint=endpoint)
    with pytest.raises(UnavailableError, match="the disk is full"):
        take_snapshot(source, [LOANS], store=tmp_path, progress=fill_up)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["s3://", "s3:///tape.csv", "http://tapes/tape.csv", "tape.csv"])
def test_an_address_without_a_bucket_is_refused(url: str) -> None:
    with pytest.raises(SourceError, match=r"wanted s3://bucket/key"):
        S3Source(url)


@pytest.mark.parametrize("url", ["s3://key:hush@tapes/tape.csv", "s3://key:hu/sh@tapes/tape.csv"])
def test_credentials_in_an_address_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SourceError, match="AWS environment alone") as refused:
        S3Source(url)
    assert "hu" not in str(refused.value)

from __future__ import annotations

import itertools
import socket
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer
from tests.adapters.anchors.notes import note

from obligor.adapters.anchors.s3 import S3Anchor
from obligor.core.errors import IntegrityError, InvalidInputError, RollbackError, SplitViewError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

# moto takes any signature for true, so that what a store does with a wrong secret is not seen here.

pytestmark = pytest.mark.usefixtures("aws_environment")
NOW = datetime.now(UTC)
PREFIXES = itertools.count()


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A real HTTP endpoint of an object store, on loopback, with a bucket that locks and one that does not."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = _client(url)
    place = {"LocationConstraint": "eu-central-1"}
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True, CreateBucketConfiguration=place)
    client.create_bucket(Bucket="plain", CreateBucketConfiguration=place)
    client.close()
    yield url
    server.stop()


@pytest.fixture
def client(endpoint: str) -> Iterator[Any]:
    """Somebody else who may write the bucket."""
    client = _client(endpoint)
    yield client
    client.close()


def _client(url: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",  # noqa: S106  the endpoint takes any
    )


@pytest.fixture
def anchor(endpoint: str, request: pytest.FixtureRequest) -> Iterator[S3Anchor]:
    """An anchor under a prefix that no other test uses."""
    anchor = _anchor(endpoint, f"s3://locked/{request.node.name.partition('[')[0]}")
    yield anchor
    anchor.close()


def _anchor(endpoint: str, url: str) -> S3Anchor:
    return S3Anchor(url, retain_days=30, endpoint=endpoint, clock=lambda: NOW)


def _key(anchor: S3Anchor, size: int) -> str:
    return f"{anchor.name.removeprefix('s3://locked/')}/{size:016x}.checkpoint"


def test_a_checkpoint_is_locked_for_as_long_as_was_asked(anchor: S3Anchor, client: Any) -> None:
    assert anchor.latest() is None
    anchor.publish(note(3))
    assert anchor.latest() == note(3)
    head = client.head_object(Bucket="locked", Key=_key(anchor, 3))
    assert head["ObjectLockMode"] == "COMPLIANCE"
    assert abs(head["ObjectLockRetainUntilDate"] - NOW - timedelta(days=30)) < timedelta(seconds=1)
    with pytest.raises(client.exceptions.ClientError, match="AccessDenied"):
        client.delete_object(Bucket="locked", Key=_key(anchor, 3), VersionId=head["VersionId"])


@given(
    sizes=st.sets(st.integers(0, 1 << 62) | st.integers(0, 40), min_size=1, max_size=5),
    forged=st.integers(0, 7),
)
@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_the_log_grew_its_newest_checkpoint_is_found_and_nothing_older_taken(
    endpoint: str, sizes: set[int], forged: int
) -> None:
    anchor = _anchor(endpoint, f"s3://locked/grown-{next(PREFIXES)}")
    ordered = sorted(sizes)
    for size in ordered:
        anchor.publish(note(size))
    assert anchor.latest() == note(ordered[-1])
    old = ordered[forged % len(ordered)]
    with pytest.raises(SplitViewError if old == ordered[-1] else RollbackError):
        anchor.publish(note(old, "forged"))
    anchor.publish(note(ordered[-1]))
    assert anchor.latest() == note(ordered[-1])
    anchor.close()


def test_an_old_checkpoint_played_again_is_refused(anchor: S3Anchor) -> None:
    anchor.publish(note(3))
    anchor.publish(note(12))
    with pytest.raises(RollbackError, match=r"got a checkpoint of 3 leaves and has one of 12"):
        anchor.publish(note(3))


def test_a_delete_marker_hides_no_checkpoint_and_frees_no_name(anchor: S3Anchor, client: Any) -> None:
    anchor.publish(note(3))
    client.delete_object(Bucket="locked", Key=_key(anchor, 3))
    assert anchor.latest() == note(3)
    with pytest.raises(SplitViewError):
        anchor.publish(note(3, "forged"))
    assert anchor.latest() == note(3)
    anchor.publish(note(12))
    client.delete_object(Bucket="locked", Key=_key(anchor, 12))
    assert anchor.latest() == note(12)
    with pytest.raises(RollbackError):
        anchor.publish(note(9))


def test_an_object_that_another_process_wrote_in_between_is_not_written_over(
    anchor: S3Anchor, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = _anchor(endpoint, anchor.name)
    monkeypatch.setattr(anchor, "_newest", lambda **_: None)  # what it saw before the other came
    other.publish(note(3))
    anchor.publish(note(3))
    with pytest.raises(SplitViewError, match="another root for the log of 3 leaves"):
        anchor.publish(note(3, "forged"))
    assert other.latest() == note(3)
    other.close()


def test_what_lies_under_the_prefix_and_is_no_checkpoint_is_told(anchor: S3Anchor, client: Any) -> None:
    anchor.publish(note(3))
    client.put_object(Bucket="locked", Key=_key(anchor, 9), Body=b"<html>200 OK</html>")
    with pytest.raises(IntegrityError, match="what it kept is no checkpoint"):
        anchor.publish(note(9))
    client.put_object(Bucket="locked", Key=f"{_key(anchor, 9)}.bak", Body=b"")
    with pytest.raises(IntegrityError, match="wanted a prefix of its own"):
        anchor.latest()


def test_a_bucket_without_object_lock_is_no_anchor(endpoint: str) -> None:
    anchor = _anchor(endpoint, "s3://plain/anchors")
    with pytest.raises(UnavailableError, match=r"the store refused \(InvalidRequest\)\nHint: .*with Object Lock"):
        anchor.publish(note(3))
    anchor.close()


def test_a_store_that_takes_a_checkpoint_and_does_not_lock_it_is_told(
    anchor: S3Anchor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = anchor._connected()
    put = client.put_object
    unlocked = {"ObjectLockMode", "ObjectLockRetainUntilDate"}
    monkeypatch.setattr(
        client, "put_object", lambda **said: put(**{k: v for k, v in said.items() if k not in unlocked})
    )
    with pytest.raises(IntegrityError, match="did not lock it"):
        anchor.publish(note(3))


def test_a_bucket_that_is_not_there_is_told(endpoint: str) -> None:
    anchor = _anchor(endpoint, "s3://no-such-bucket")
    with pytest.raises(UnavailableError, match=r"s3://no-such-bucket: the store refused \(NoSuchBucket\)"):
        anchor.latest()
    anchor.close()


def test_a_store_that_does_not_answer_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and never listening: every connection is refused
        anchor = _anchor(f"http://127.0.0.1:{nobody.getsockname()[1]}", "s3://locked/anchors")
        with pytest.raises(UnavailableError, match="the store did not answer"):
            anchor.latest()
        anchor.close()


def test_an_endpoint_that_is_none_is_refused_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "canary-of-an-endpoint")
    with pytest.raises(InvalidInputError, match="AWS_ENDPOINT_URL") as refused:
        S3Anchor("s3://locked/x", retain_days=1).latest()
    assert "canary" not in f"{refused.value.message} {refused.value.hint}"


def test_an_environment_without_credentials_is_said(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    anchor = _anchor(endpoint, "s3://locked/anchors")
    with pytest.raises(UnavailableError, match="NoCredentials"):
        anchor.latest()
    anchor.close()


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///a", "s3://key:hush@locked/a", "s3://locked/a?token=hush", "s3://Locked"]
)
def test_an_address_that_is_none_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInputError, match="wanted s3://bucket/prefix") as refused:
        S3Anchor(url, retain_days=1)
    assert "hush" not in str(refused.value)

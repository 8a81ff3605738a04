"""Every KMS gives back the key that it wrapped, for what it was wrapped for, and nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from moto import mock_aws

from obligor.adapters.kms.aws import AwsKms
from obligor.adapters.kms.file import open_file_kms
from obligor.core.errors import InvalidInputError, SealError, UnavailableError
from obligor.security.sealing import DATA, NAMES, make_kept, open_keyring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obligor.security.sealing import Kms


@pytest.fixture
def cloud(aws_environment: None) -> Iterator[str]:
    """Make a key in a simulated AWS, and give its id."""
    with mock_aws():
        from botocore.session import get_session

        yield get_session().create_client("kms").create_key()["KeyMetadata"]["KeyId"]


@pytest.fixture(params=["file", "aws"])
def kms(request: pytest.FixtureRequest, tmp_path: Path) -> Kms:
    if request.param == "file":
        return open_file_kms(tmp_path / "keys" / "master", production=False)
    return AwsKms(request.getfixturevalue("cloud"))


def test_a_key_comes_back_for_what_it_was_wrapped_for(kms: Kms) -> None:
    made = kms.generate(context="obligor/data/1")
    assert len(made.key) == 32
    assert made.key not in made.wrapped
    assert kms.unwrap(made.wrapped, context="obligor/data/1") == made.key


def test_a_key_is_not_unwrapped_for_something_else_or_once_it_was_changed(kms: Kms) -> None:
    made = kms.generate(context="obligor/data/1")
    with pytest.raises(SealError):
        kms.unwrap(made.wrapped, context="obligor/data/2")
    with pytest.raises((SealError, UnavailableError)):
        kms.unwrap(made.wrapped[:-1], context="obligor/data/1")


def test_a_keyring_opens_again(kms: Kms) -> None:
    kept = (make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms))
    one, other = (open_keyring(kept, kms, random=os.urandom) for _ in range(2))
    assert one.subject("person", "Ann") == other.subject("person", "Ann")
    key, wrapped = one.new_data_key(bytes(32))
    assert other.unwrap(wrapped, key_id=key.key_id, subject=bytes(32)).key_id == key.key_id


def test_a_key_file_is_its_owners_alone_and_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master"
    made = open_file_kms(path, production=False).generate(context="c")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert open_file_kms(path, production=False).unwrap(made.wrapped, context="c") == made.key
    path.chmod(0o640)
    with pytest.raises(InvalidInputError, match="others may read this key"):
        open_file_kms(path, production=False)


def test_another_key_file_unwraps_nothing(tmp_path: Path) -> None:
    one, other = (open_file_kms(tmp_path / name, production=False) for name in "ab")
    with pytest.raises(SealError, match="another master key"):
        other.unwrap(one.generate(context="c").wrapped, context="c")


def test_a_key_file_is_refused_in_production_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="for development") as refused:
        open_file_kms(tmp_path / "master", production=True)
    assert "aws-kms:" in str(refused.value)
    assert not (tmp_path / "master").exists()


@pytest.mark.parametrize("text", [b"", b"something", b"obligor-master-key-1:c2hvcnQ=\n", b"obligor-master-key-1:%%\n"])
def test_a_file_that_is_no_master_key_is_refused_and_not_repeated(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "master"
    path.write_bytes(text)
    path.chmod(0o600)
    with pytest.raises(InvalidInputError, match="is not a master key") as refused:
        open_file_kms(path, production=False)
    assert "c2hvcnQ" not in str(refused.value)


def test_a_kms_key_that_there_is_not_is_told_as_unavailable(cloud: str) -> None:
    with pytest.raises(UnavailableError, match=r"aws-kms:nowhere: did not do its part \(NotFound"):
        AwsKms("nowhere").generate(context="c")


def test_a_kms_without_a_region_is_told_with_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(UnavailableError, match="NoRegion") as told:
        AwsKms("some-key").generate(context="c")
    assert "AWS_REGION" in (told.value.hint or "")

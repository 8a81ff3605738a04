"""Every KMS gives back the key that it wrapped, for what it was wrapped for, and nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from moto import mock_aws
from tests.adapters.kms.bao import bao
from tests.adapters.kms.vaults import TOKEN, Vault, vault

from obligor.adapters.kms.aws import AwsKms
from obligor.adapters.kms.file import open_file_kms
from obligor.adapters.kms.vault import VaultKms
from obligor.bootstrap.privacy import open_kms
from obligor.core.errors import InvalidInputError, SealError, UnavailableError
from obligor.security.sealing import DATA, NAMES, make_kept, open_keyring
from obligor.settings import read_settings

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


@pytest.fixture
def running() -> Iterator[Vault]:
    with vault() as it:
        yield it


def vault_kms(it: Vault, key: str = "obligor", **more: str) -> VaultKms:
    return VaultKms(key, environ=it.environ | more, production=False)


def aws_kms(key: str = "some-key", *, production: bool = False) -> AwsKms:
    return AwsKms(key, environ=os.environ, production=production)


@pytest.fixture(params=["file", "aws", "vault", "bao"])
def kms(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kms]:
    if request.param == "vault":
        yield vault_kms(request.getfixturevalue("running"))
    elif request.param == "bao":
        with bao(tmp_path) as it:
            yield VaultKms("obligor", environ=it.environ, production=False)
    elif request.param == "file":
        yield open_file_kms(tmp_path / "keys" / "master", production=False)
    else:
        yield aws_kms(request.getfixturevalue("cloud"))


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
    assert "vault:" in str(refused.value)
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
        aws_kms("nowhere").generate(context="c")


def test_a_kms_without_a_region_is_told_with_where_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")  # which botocore does not read
    for name in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    with pytest.raises(UnavailableError, match="NoRegion") as told:
        aws_kms().generate(context="c")
    assert "AWS_DEFAULT_REGION" in (told.value.hint or "")


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize(
    "name",
    ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"],
)
@pytest.mark.parametrize("value", ["CANARY-ü", "CANARY\r\nX: y", "CANARY\udc80", " CANARY"])
def test_a_setting_of_aws_that_cannot_be_sent_is_refused_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidInputError, match=f"^{name}: wanted letters") as refused:
        aws_kms()
    assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize("key", ["", "schlüssel", "a\nb", "a b"])
def test_a_key_of_aws_that_cannot_be_one_is_refused(key: str) -> None:
    with pytest.raises(InvalidInputError, match="OBLIGOR_DATA_KEY: wanted aws-kms:"):
        aws_kms(key)


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize("endpoint", ["CANARY", "http://CANARY..b", "http://[CANARY", "https://" + "CANARY" * 20])
def test_an_endpoint_of_aws_that_is_none_is_refused_and_not_repeated(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(InvalidInputError, match="aws-kms:some-key: a region, an endpoint") as refused:
        aws_kms().generate(context="c")
    assert "CANARY" not in str(refused.value)


@pytest.mark.usefixtures("aws_environment")
def test_keys_of_aws_come_by_https_alone_in_production(running: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    it = aws_kms(production=True)
    for _ in range(2):
        with pytest.raises(InvalidInputError, match="AWS_ENDPOINT_URL: got an endpoint by http"):
            it.generate(context="c")
    assert running.asked == []


@pytest.mark.usefixtures("aws_environment")
@pytest.mark.parametrize(
    "answer",
    [b"<html>a portal</html>", b"{}", b"[]", b"\xff", b'{"Plaintext":7,"CiphertextBlob":7}', b'{"Plaintext":""}'],
)
def test_an_aws_that_does_not_answer_as_it_should_gives_and_opens_no_key(
    running: Vault, monkeypatch: pytest.MonkeyPatch, answer: bytes
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", running.url)
    running.instead = (200, answer)
    with pytest.raises(UnavailableError, match="aws-kms:some-key: did not do its part"):
        aws_kms().generate(context="c")
    assert len(running.asked) == 1


def test_a_vault_is_asked_for_its_key_by_its_mount_and_namespace_with_a_token_that_may_be_renewed(
    running: Vault, tmp_path: Path
) -> None:
    running.keys["team_transit/cards"] = running.keys["transit/obligor"]
    path = tmp_path / "token"
    it = vault_kms(running, "team_transit/cards", VAULT_TOKEN_FILE=str(path), VAULT_NAMESPACE="credit")
    with pytest.raises(UnavailableError, match="VAULT_TOKEN_FILE cannot be read"):
        it.generate(context="c")
    path.write_text("hvs.old\n")
    with pytest.raises(UnavailableError, match="vault:team_transit/cards: answered 403 to encrypt"):
        it.generate(context="c")
    path.write_text(f"{TOKEN}\n")
    made = it.generate(context="c")
    assert it.unwrap(made.wrapped, context="c") == made.key
    assert [where for where, _ in running.asked] == [
        f"/v1/team_transit/{it}/cards" for it in ("encrypt", "encrypt", "decrypt")
    ]
    assert {headers["x-vault-namespace"] for _, headers in running.asked} == {"credit"}


def test_another_key_of_a_vault_unwraps_nothing(running: Vault) -> None:
    made = vault_kms(running).generate(context="c")
    running.keys["transit/obligor"] = AESGCM(os.urandom(32))
    for wrapped in (made.wrapped, b"vault:v1:AAAA", b"other", made.wrapped + b'","x":"'):
        with pytest.raises(SealError, match="does not unwrap the key c"):
            vault_kms(running).unwrap(wrapped, context="c")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (503, b'{"errors":["Vault is sealed"]}'),
        (403, b'{"errors":["permission denied"]}'),
        (200, b"<html>a portal of the network</html>"),
        (200, b"[]"),
        (200, b'{"data":null}'),
        (200, b'{"data":{"ciphertext":7,"plaintext":7}}'),
        (200, b'{"data":{"ciphertext":"no","plaintext":"%%"}}'),
        (200, b" " * (1 << 17)),
        (307, b""),
    ],
)
def test_a_vault_that_does_not_answer_as_it_should_gives_and_opens_no_key(
    running: Vault, status: int, answer: bytes
) -> None:
    it = vault_kms(running)
    wrapped = it.generate(context="c").wrapped
    running.instead = (status, answer)
    running.asked.clear()
    for ask in (lambda: it.generate(context="c"), lambda: it.unwrap(wrapped, context="c")):
        with pytest.raises(UnavailableError) as told:
            ask()
        assert "CANARY" not in f"{told.value!s}{told.value.hint or ''}"
    assert len(running.asked) == 2


def test_a_vault_that_is_away_and_one_without_a_token_are_told_as_such(running: Vault) -> None:
    with pytest.raises(UnavailableError, match=r"vault:obligor: did not answer \(ConnectError\)"):
        vault_kms(running, VAULT_ADDR="http://127.0.0.1:9").generate(context="c")
    with pytest.raises(UnavailableError, match=r"did not answer \(UnicodeError\)"):
        vault_kms(running, VAULT_ADDR="https://vault..example").generate(context="c")
    with pytest.raises(UnavailableError, match="has no token") as told:
        vault_kms(running, VAULT_TOKEN="").generate(context="c")
    assert told.value.hint == "VAULT_TOKEN, or VAULT_TOKEN_FILE"


@pytest.mark.parametrize("name", ["VAULT_NAMESPACE", "VAULT_TOKEN", "VAULT_TOKEN_FILE"])
@pytest.mark.parametrize("value", ["CANARY-ü", "CANARY\r\nX: y", "CANARY\x01y", "CANARY y"])
def test_what_cannot_stand_in_a_header_is_refused_by_the_name_of_its_setting(
    running: Vault, tmp_path: Path, name: str, value: str
) -> None:
    if name == "VAULT_TOKEN_FILE":
        (tmp_path / "token").write_text(value)
        value = str(tmp_path / "token")
    with pytest.raises(InvalidInputError, match=f"^{name}: wanted letters") as refused:
        vault_kms(running, **{name: value}).generate(context="c")
    assert "CANARY" not in str(refused.value)
    assert running.asked == []


def test_a_vault_behind_a_path_is_asked_there_whatever_signs_it_holds(running: Vault) -> None:
    it = vault_kms(running, VAULT_ADDR=f"{running.url}/{{inner}}/")
    made = it.generate(context="c")
    assert it.unwrap(made.wrapped, context="c") == made.key
    assert [where for where, _ in running.asked] == [
        f"/{{inner}}/v1/transit/{it}/obligor" for it in ("encrypt", "decrypt")
    ]


@pytest.mark.parametrize("status", [403, 404, 503])
def test_who_operates_a_vault_is_told_where_to_look(running: Vault, status: int) -> None:
    running.instead = (status, b"{}")
    with pytest.raises(UnavailableError, match=f"answered {status} to encrypt") as told:
        vault_kms(running).generate(context="c")
    assert {403: "token", 404: "VAULT_NAMESPACE", 503: "sealed"}[status] in (told.value.hint or "")


@pytest.mark.parametrize(
    ("key", "address", "production", "told"),
    [
        ("obligor", "http://vault.bank.example:8200", False, "VAULT_ADDR"),
        ("obligor", "http://127.0.0.1:8200", True, "VAULT_ADDR"),
        ("obligor", "https://127.0.0.1:8200", True, "VAULT_ADDR"),
        ("obligor", "https://user:CANARY@vault.example", True, "VAULT_ADDR"),
        ("obligor", "", True, "VAULT_ADDR"),
        ("obligor", "https://vault.example?token=CANARY", True, "VAULT_ADDR: got an address with a query"),
        ("obligor", "https://vault.example?", True, "VAULT_ADDR: got an address with a query"),
        ("obligor", "https://vault.example/schlüssel", True, "VAULT_ADDR"),
        ("", "https://vault.example", True, "wanted vault:KEY"),
        ("../sys/seal", "https://vault.example", True, "wanted vault:KEY"),
        ("a?b", "https://vault.example", True, "wanted vault:KEY"),
        ("a/", "https://vault.example", True, "wanted vault:KEY"),
        ("..", "https://vault.example", True, "wanted vault:KEY"),
    ],
)
def test_a_vault_that_is_not_named_as_one_is_refused_before_it_is_asked(
    key: str,
    address: str,
    production: bool,  # noqa: FBT001
    told: str,
) -> None:
    with pytest.raises(InvalidInputError, match=told) as refused:
        VaultKms(key, environ={"VAULT_ADDR": address, "VAULT_TOKEN": TOKEN}, production=production)
    assert "CANARY" not in str(refused.value)


def test_a_vault_is_opened_by_the_setting_of_the_master_key(
    running: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_ADDR", running.url)
    monkeypatch.setenv("VAULT_TOKEN", TOKEN)
    settings = read_settings({"OBLIGOR_DATA": str(tmp_path), "OBLIGOR_DATA_KEY": "vault:obligor"})
    it = open_kms(settings)
    assert it.name == "vault:obligor"
    made = it.generate(context="c")
    assert it.unwrap(made.wrapped, context="c") == made.key

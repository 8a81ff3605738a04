"""The master key in a real OpenBao or Vault: what turns, ends, is sealed or goes away there, and a service that runs on it."""

from __future__ import annotations

import json
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.adapters.kms.bao import Bao, bao
from tests.bootstrap.test_service_telemetry import OBLIGOR, Service, service, until

from obligor.adapters.kms.vault import VaultKms
from obligor.core.errors import SealError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Bao]:
    with bao(tmp_path) as it:
        yield it


def kms_of(it: Bao, key: str = "obligor", **more: str) -> VaultKms:
    return VaultKms(key, environ=it.environ | more, production=False)


def test_a_master_key_that_turned_opens_what_it_wrapped_before_until_its_version_is_refused(running: Bao) -> None:
    kms = kms_of(running)
    before = kms.generate(context="c")
    running.ask("POST", "transit/keys/obligor/rotate")
    after = kms.generate(context="c")
    assert (before.wrapped[:9], after.wrapped[:9]) == (b"vault:v1:", b"vault:v2:")
    for it in (before, after):
        assert kms.unwrap(it.wrapped, context="c") == it.key
    running.ask("POST", "transit/keys/obligor/config", min_decryption_version=2)
    assert kms.unwrap(after.wrapped, context="c") == after.key
    with pytest.raises(SealError, match="a version refused there"):
        kms.unwrap(before.wrapped, context="c")


def test_another_key_and_one_that_there_is_not_unwrap_nothing(running: Bao) -> None:
    wrapped = kms_of(running).generate(context="c").wrapped
    running.token = "root"  # noqa: S105  which may use any key
    running.ask("POST", "transit/keys/other")
    for key in ("other", "absent"):
        with pytest.raises(SealError, match=f"vault:{key}: does not unwrap the key c"):
            kms_of(running, key).unwrap(wrapped, context="c")


def test_a_token_without_rights_and_one_that_ended_open_nothing_until_another_takes_its_place(
    running: Bao, tmp_path: Path
) -> None:
    path = tmp_path / "token"
    kms = kms_of(running, VAULT_TOKEN_FILE=str(path))
    path.write_text(running.token_for("obligor", ttl="1s"))
    made = kms.generate(context="c")
    time.sleep(1.5)
    for token in (path.read_text(), running.token_for("default"), "unknown"):
        path.write_text(token)
        for ask in (lambda: kms.generate(context="c"), lambda: kms.unwrap(made.wrapped, context="c")):
            with pytest.raises(UnavailableError, match="answered 403") as told:
                ask()
            assert told.value.hint == "its token has ended, or has no right to it"
    path.write_text(running.token)
    assert kms.unwrap(made.wrapped, context="c") == made.key


def test_a_misspelt_key_is_refused_and_not_made(running: Bao) -> None:
    with pytest.raises(UnavailableError, match="vault:oblgor: answered 403"):
        kms_of(running, "oblgor").generate(context="c")
    assert running.ask("LIST", "transit/keys")["data"]["keys"] == ["obligor"]
    with pytest.raises(UnavailableError, match="vault:elsewhere/obligor: answered 403"):
        kms_of(running, "elsewhere/obligor").generate(context="c")


def test_one_that_is_sealed_opens_nothing_until_it_is_unsealed_and_one_that_is_gone_nothing(running: Bao) -> None:
    kms = kms_of(running)
    made = kms.generate(context="c")
    running.ask("PUT", "sys/seal")
    with pytest.raises(UnavailableError, match="answered 503 to decrypt") as told:
        kms.unwrap(made.wrapped, context="c")
    assert told.value.hint == "it is sealed, or no node of it is active"
    running.unseal()
    until(lambda: not running.ask("GET", "sys/seal-status")["sealed"])
    assert kms.unwrap(made.wrapped, context="c") == made.key
    running.process.terminate()
    running.process.wait(timeout=60)
    with pytest.raises(UnavailableError, match=r"did not answer \(ConnectError\)"):
        kms.unwrap(made.wrapped, context="c")


def test_a_namespace_has_keys_of_its_own(running: Bao) -> None:
    try:
        running.ask("POST", "sys/namespaces/credit")
    except httpx.HTTPStatusError:
        pytest.skip("this server has no namespaces")
    running.token = "root"  # noqa: S105  which may use any key
    running.ask("POST", "sys/mounts/team/transit", namespace="credit", type="transit")
    running.ask("POST", "team/transit/keys/obligor", namespace="credit")
    kms = kms_of(running, "team/transit/obligor", VAULT_NAMESPACE="credit")
    made = kms.generate(context="c")
    assert kms.unwrap(made.wrapped, context="c") == made.key
    for wrong in ({}, {"VAULT_NAMESPACE": "debit"}):
        with pytest.raises(UnavailableError, match="answered 404 to decrypt") as told:
            kms_of(running, "team/transit/obligor", **wrong).unwrap(made.wrapped, context="c")
        assert "VAULT_NAMESPACE" in (told.value.hint or "")


def test_one_is_trusted_by_the_authority_that_is_named_and_by_no_other(tmp_path: Path) -> None:
    with bao(tmp_path, tls=True) as it:
        kms = kms_of(it)
        made = kms.generate(context="c")
        assert kms.unwrap(made.wrapped, context="c") == made.key
        with pytest.raises(UnavailableError, match=r"did not answer \(ConnectError\)"):
            kms_of(it, VAULT_CACERT="").generate(context="c")


def test_a_service_decides_under_its_keys_while_they_turn_and_while_it_is_sealed(
    running: Bao, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the master key only wrapped keys leave, and it is asked at the start and when keys turn, never in between."""
    for name, value in running.environ.items() | {("OBLIGOR_DATA_KEY", "vault:obligor"), ("OBLIGOR_RETAIN_DAYS", "0")}:
        monkeypatch.setenv(name, value)
    with service("") as it:
        decide(it, "Ann", "Bob")
        running.ask("POST", "transit/keys/obligor/rotate")
        assert it.keys("rotate", "--data") == {"version": 2, "wrapped": 2, "retired": [1]}
        running.ask("PUT", "sys/seal")
        decide(it, "Cid")
        code, told = obligor(it, "keys", "rotate", "--data")
        assert (code, "vault:obligor: answered 503 to decrypt" in told, running.token in told) == (1, True, False)
        running.unseal()
        until(lambda: not running.ask("GET", "sys/seal-status")["sealed"])
        for name in ("Ann", "Cid"):
            code, told = obligor(it, "privacy", "export", "--application", name)
            (subject,) = json.loads(told)["subjects"]
            assert (code, subject["decisions"][0]["input"]["application_id"]) == (0, name)
        code, told = obligor(it, "privacy", "erase", "--application", "Ann")
        assert (code, json.loads(told)["certificates"][0]["keys_destroyed"]) == (0, 1)
        assert obligor(it, "audit", "verify", "--quiet") == (0, "")
        assert it.stop() == 0
        assert running.token not in it.out.read_text() + it.err.read_text()


def decide(it: Service, *names: str) -> None:
    with it.client(it.key) as client:
        document = client.get("/openapi.json").json()
        application = document["components"]["schemas"]["Application"]["examples"][0]
        for name in names:
            given = application | {"application_id": name, "customer_id": name}
            answer = client.post("/v1/decisions", json=given, headers={"Idempotency-Key": name})
            assert answer.status_code == 201, answer.text


def obligor(it: Service, *said: str) -> tuple[int, str]:
    """Run a command on the service's store; give its exit code, and what it printed or, where it failed, told aside."""
    done = subprocess.run([*OBLIGOR, *said], env=it.environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr if done.returncode else done.stdout

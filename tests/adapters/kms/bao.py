"""A real OpenBao, or Vault, in its development mode on this machine, where its program is found."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.conftest import lack
from tests.infra.running import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ROOT = "root"
_RIGHTS = "".join(f'path "transit/{it}/obligor" {{capabilities = ["update"]}} ' for it in ("encrypt", "decrypt"))


@dataclass
class Bao:
    """Where it is, what it says of itself, and a token that may wrap and unwrap by the key ``obligor``."""

    url: str
    said: Path
    authority: Path | None
    process: subprocess.Popen[bytes]
    token: str = ""

    @property
    def environ(self) -> dict[str, str]:
        trusted = {} if self.authority is None else {"VAULT_CACERT": str(self.authority)}
        return {"VAULT_ADDR": self.url, "VAULT_TOKEN": self.token} | trusted

    def ask(self, method: str, path: str, *, namespace: str = "", **body: Any) -> dict[str, Any]:
        """Have its root do something."""
        headers = {"X-Vault-Token": _ROOT, "X-Vault-Namespace": namespace}
        verify = True if self.authority is None else ssl.create_default_context(cafile=self.authority)
        answer = httpx.request(method, f"{self.url}/v1/{path}", json=body, headers=headers, verify=verify, timeout=20)
        answer.raise_for_status()
        told: dict[str, Any] = answer.json() if answer.content else {}
        return told

    def token_for(self, *policies: str, **more: Any) -> str:
        token: str = self.ask("POST", "auth/token/create", policies=policies, **more)["auth"]["client_token"]
        return token

    def unseal(self) -> None:
        (key,) = re.findall(r"Unseal Key: (\S+)", self.said.read_text())
        self.ask("PUT", "sys/unseal", key=key)


@contextmanager
def bao(folder: Path, *, tls: bool = False) -> Iterator[Bao]:
    """Run one with a transit engine and its key ``obligor``; all that it keeps is gone when it ends."""
    program = os.environ.get("OBLIGOR_TEST_BAO") or shutil.which("bao") or shutil.which("vault")
    if not program:
        lack("bao", "neither OpenBao nor Vault is here: no bao or vault on the PATH, and OBLIGOR_TEST_BAO names none")
    port, said = free_port(), folder / "bao.log"
    command = [program, "server", "-dev", f"-dev-root-token-id={_ROOT}", f"-dev-listen-address=127.0.0.1:{port}"]
    command += ["-dev-no-store-token", *(["-dev-tls", f"-dev-tls-cert-dir={folder}"] if tls else [])]
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    with (
        said.open("wb") as out,
        subprocess.Popen(command, cwd=folder, env=environ, stdout=out, stderr=subprocess.STDOUT) as process,
    ):
        authority = folder / "vault-ca.pem" if tls else None
        it = Bao(f"{'https' if tls else 'http'}://127.0.0.1:{port}", said, authority, process)
        try:
            _wait_for(it)
            it.ask("POST", "sys/mounts/transit", type="transit")
            it.ask("POST", "transit/keys/obligor", type="aes256-gcm96")
            it.ask("PUT", "sys/policies/acl/obligor", policy=_RIGHTS)
            it.token = it.token_for("obligor")
            yield it
        finally:
            process.terminate()


def _wait_for(it: Bao) -> None:
    until = time.monotonic() + 60
    while "Root Token" not in it.said.read_text(errors="replace"):  # the last that it says once it is ready
        if it.process.poll() is not None or time.monotonic() > until:
            pytest.fail(f"it did not start: {it.said.read_text(errors='replace')[-2000:]}")
        time.sleep(0.05)

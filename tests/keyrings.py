"""Keys of personal data for tests: a KMS in memory, and keyrings that it holds."""

from __future__ import annotations

import os
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from obligor.adapters.kms.file import FileKms
from obligor.adapters.store.privacy import KEYRING
from obligor.core.errors import SealError
from obligor.security.sealing import DATA, NAMES, Generated, KeptKey, Keyring, make_kept, open_keyring
from obligor.serving.privacy.sealed import Unsealing

if TYPE_CHECKING:
    from obligor.adapters.store.examining import PostgresExamination


@dataclass
class Memory:
    """Keeps every key it wrapped, and gives it to whoever has the token and names the context."""

    kept: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "memory"

    def generate(self, *, context: str) -> Generated:
        key, token = os.urandom(32), os.urandom(16)
        self.kept[token] = key, context
        return Generated(key, token)

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        key, known = self.kept.get(wrapped, (b"", ""))
        if known != context:
            raise SealError("memory: another key")
        return key


def a_keyring() -> Keyring:
    """Make a keyring of a new deployment."""
    kms = Memory()
    return open_keyring((make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms)), kms, random=os.urandom)


def unsealing(opened: PostgresExamination) -> Unsealing:
    """Open the sealed records of a store of tests."""
    return Unsealing(lambda: open_keyring(opened.keyring(), KMS, random=os.urandom), opened.subject_key)


MASTER = bytes(32)
KMS = FileKms(Path("the master key of tests"), MASTER)


def write_master_key(path: Path) -> None:
    """Write the master key of tests where the service looks for it."""
    path.touch(mode=0o600)
    path.write_bytes(b"obligor-master-key-1:" + b64encode(MASTER) + b"\n")


def stored_keyring(url: str) -> Keyring:
    """Give the keyring of a store; one that has none gets its keys, past the log."""
    with psycopg.connect(url, autocommit=True) as connection:
        rows = connection.execute(KEYRING.encode()).fetchall()
        if not rows:
            for it in (make_kept(DATA, 1, KMS), make_kept(NAMES, 1, KMS)):
                connection.execute(
                    "INSERT INTO obligor.keyring (purpose, version, wrapped, proof, created_at) VALUES (%s, %s, %s, %s, now())",
                    (it.purpose, it.version, it.wrapped, it.proof),
                )
            rows = connection.execute(KEYRING.encode()).fetchall()
    return open_keyring([KeptKey(*row) for row in rows], KMS, random=os.urandom)

"""Keys of personal data for tests: a KMS in memory, and keyrings that it holds."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from obligor.core.errors import SealError
from obligor.security.sealing import DATA, NAMES, Generated, Keyring, make_kept, open_keyring


@dataclass
class Memory:
    """Keeps every key it wrapped, and gives it to whoever has the token and names the context."""

    kept: dict[bytes, tuple[bytes, str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return "memory"

    def generate(self, *, context: str) -> Generated:
        key = os.urandom(32)
        return Generated(key, self.wrap(key, context=context))

    def wrap(self, key: bytes, *, context: str) -> bytes:
        token = os.urandom(16)
        self.kept[token] = key, context
        return token

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        key, known = self.kept.get(wrapped, (b"", ""))
        if known != context:
            raise SealError("memory: another key")
        return key


def a_keyring() -> Keyring:
    """Make a keyring of a new deployment."""
    kms = Memory()
    return open_keyring((make_kept(DATA, 1, kms), make_kept(NAMES, 1, kms)), kms, random=os.urandom)

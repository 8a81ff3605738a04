"""Signed checkpoints of made-up logs."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from obligor.core.checkpoints import Checkpoint
from obligor.security.signing import SigningKey

KEY = SigningKey("bank.example/log", Ed25519PrivateKey.from_private_bytes(bytes(32)))


def note(size: int, history: str = "true", origin: str = KEY.name) -> bytes:
    """The checkpoint of a history of the log at a size; two histories have different roots at every size."""
    root = hashlib.sha256(f"{history} {size}".encode()).digest()
    return KEY.sign_note(Checkpoint(origin, size, root).text()).encode()

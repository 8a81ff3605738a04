"""Signatures of webhooks, as the Standard Webhooks specification has them (version 1), symmetric or not.

What is signed is ``id.timestamp.body``: by HMAC-SHA256 with a secret that the receiver has as well (``v1``), or by Ed25519
(``v1a``), of whose key the receiver has the public half, so that whoever reads the receiver's settings can sign nothing.
While a secret is being replaced a message bears the signatures of both. The time is in the signature, so that an old message
sent again by somebody else is seen to be old: a receiver refuses what is more than five minutes from its own clock.
"""

from __future__ import annotations

import base64
import hmac
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

Signature = Literal["hmac", "ed25519"]
SIGNATURES: Final[tuple[Signature, ...]] = get_args(Signature)
SECRET_BYTES: Final = 32
"""Of randomness; the specification asks a symmetric secret for 24 to 64, and a private key has as many."""
_PRIVATE: Final = b"ed25519:"
"""What stands before a private key where it is kept, so that it is never taken for a symmetric secret."""


def new_secret(signature: Signature, random: Callable[[int], bytes]) -> bytes:
    """Make what signs."""
    return (_PRIVATE if signature == "ed25519" else b"") + random(SECRET_BYTES)


def signature_of(secret: bytes) -> Signature:
    """Tell how a secret signs."""
    return "ed25519" if _is_private(secret) else "hmac"


def verifier_text(secret: bytes) -> str:
    """Write what a receiver verifies by: a symmetric secret itself, or the public half of a private key, which is no secret."""
    if _is_private(secret):
        return f"whpk_{_text(_private_key(secret).public_key().public_bytes_raw())}"
    return f"whsec_{_text(secret)}"


def signed_headers(body: bytes, *, message_id: str, at: datetime, secrets: Iterable[bytes]) -> dict[str, str]:
    """Give the headers of a message, signed at a time with every secret that is live."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: bytes, signed: bytes) -> str:
    if _is_private(secret):
        return f"v1a,{_text(_private_key(secret).sign(signed))}"
    return f"v1,{_text(hmac.digest(secret, signed, 'sha256'))}"


def _is_private(secret: bytes) -> bool:
    return len(secret) == len(_PRIVATE) + SECRET_BYTES and secret.startswith(_PRIVATE)


@lru_cache(maxsize=64)
def _private_key(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret.removeprefix(_PRIVATE))


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()

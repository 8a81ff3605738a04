"""Signatures of webhooks, as the Standard Webhooks specification has them (version 1, symmetric).

A receiver computes HMAC-SHA256 over ``id.timestamp.body`` with the secret that it was given, and compares it to those in the
header; while a secret is being replaced there are two. The time is in the signature, so that an old message sent again by
somebody else is seen to be old: a receiver refuses what is more than five minutes from its own clock.
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

SECRET_BYTES: Final = 32
"""Of randomness; the specification asks for 24 to 64."""


def secret_text(secret: bytes) -> str:
    """Write a secret as it is shown, once, to who runs the receiver."""
    return f"whsec_{base64.b64encode(secret).decode()}"


def signed_headers(body: bytes, *, message_id: str, at: datetime, secrets: Iterable[bytes]) -> dict[str, str]:
    """Give the headers of a message, signed at a time with every secret that is live."""
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (base64.b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{each}" for each in signatures),
    }

"""Access tokens of the deployment's own, for people who sign in here with a password.

::

    obu_eyJzdWIiOi...  .  signature
        |                 +-- by the deployment's key, for this purpose alone
        +-- JSON: who (``sub``), when it was made (``iat``) and until when it opens (``exp``), in seconds since 1970

It says who somebody is, not what they may do: roles are looked up where they are kept, so that what was taken away is gone.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from obligor.core.errors import InvalidInputError
from obligor.core.strict_json import read_strict_json
from obligor.security.signing import verify_statement

if TYPE_CHECKING:
    from obligor.core.checkpoints import VerifierKey
    from obligor.security.signing import SigningKey

PREFIX: Final = "obu_"
LIFETIME_S: Final = 600
PURPOSE: Final = "access token"
_MOST: Final = 600
_TOKEN: Final = re.compile(r"obu_([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{86})")


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, when, and until when it counts; in seconds since 1970."""

    user_id: str
    at: int
    until: int


def write_access_token(user_id: str, *, key: SigningKey, at: int) -> str:
    """Make a token for somebody who signed in just now."""
    said = json.dumps({"exp": at + LIFETIME_S, "iat": at, "sub": user_id}, separators=(",", ":")).encode()
    return f"{PREFIX}{_written(said)}.{_written(key.sign_statement(said, purpose=PURPOSE))}"


def read_access_token(text: str, *, key: VerifierKey) -> SignedIn | None:
    """Read a token that this deployment signed; ``None`` for any other text. Whether it still counts, its user asks."""
    found = _TOKEN.fullmatch(text) if len(text) <= _MOST else None
    if found is None:
        return None
    try:
        said, signature = (base64.urlsafe_b64decode(it + "=" * (-len(it) % 4)) for it in found.groups())
    except ValueError:
        return None
    if (_written(said), _written(signature)) != found.groups():  # another text of the same bytes
        return None
    if not verify_statement(said, signature, purpose=PURPOSE, key=key):
        return None
    claims = read_strict_json(said, what="access token", error=InvalidInputError)
    return SignedIn(claims["sub"], claims["iat"], claims["exp"]) if isinstance(claims, dict) else None


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

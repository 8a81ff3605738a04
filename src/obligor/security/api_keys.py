"""API keys: what a client of the service shows at the door.

::

    obl_4hd8q2m7vx1k_9rT3...   60 characters
        |            +-- the secret: 32 random bytes in base 62, 43 characters
        +-- the id: 60 random bits in base 32, 12 characters that a person can read aloud

The id may be seen by anybody. Of the secret only its SHA-256 is kept: it has 256 random bits, so that nobody can guess it from
its hash, and a slow hash for passwords would only slow the service down.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Literal, NamedTuple

from obligor.core.card_numbers import holds_card_number
from obligor.core.errors import InvalidInputError
from obligor.security.networks import read_networks

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from obligor.security.networks import Network

SCOPES = ("decide", "simulate", "read", "report", "audit", "metrics")
USUAL_SCOPES = ("decide", "simulate", "read", "report")
USUAL_DAYS, MOST_DAYS = 365, 3650
USUAL_OVERLAP_HOURS, MOST_OVERLAP_HOURS = 24, 24 * 90
RANDOM_BYTES = 40
"""What a key is made from: 8 bytes for the id, 32 for the secret."""
KEY_LENGTH = 60

_READABLE = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o or u
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH, _SECRET_LENGTH, _ID_BYTES, _HASH_BYTES = 12, 43, 8, 32
KEY_ID = f"[{_READABLE}]{{{_ID_LENGTH}}}"
"""The pattern of the id of a key."""
_KEY_ID = re.compile(KEY_ID)
_KEY = re.compile(f"obl_({KEY_ID})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})")
_CLIENT = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_LONGEST_NAME = 100


class Shown(NamedTuple):
    """A key as it was shown: its id and its secret."""

    key_id: str
    secret: str


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key."""

    key_id: str
    client_id: str
    """Who holds it: decisions, idempotency and what may be read go by the client, not by the key."""
    name: str
    """What a person calls it; may be empty."""
    scopes: frozenset[str]
    secret_sha256: bytes
    created_at: datetime
    expires_at: datetime
    """The first instant at which it opens nothing any more."""
    revoked_at: datetime | None = None
    networks: tuple[Network, ...] = ()
    """From where alone it opens anything; from anywhere where there are none."""

    def __post_init__(self) -> None:
        if not is_key_id(self.key_id):
            raise InvalidInputError(
                f"API key: the id has {len(self.key_id)} characters; wanted {_ID_LENGTH} of base 32"
            )
        _check_shape(self.client_id)
        if len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise InvalidInputError(f"API key: wanted a name of at most {_LONGEST_NAME} printable characters")
        check_scopes(self.scopes)
        if len(self.secret_sha256) != _HASH_BYTES:
            raise InvalidInputError(f"API key {self.key_id}: the hash has {len(self.secret_sha256)} bytes, wanted 32")
        if self.created_at.utcoffset() is None or self.expires_at.utcoffset() is None:
            raise InvalidInputError(f"API key {self.key_id}: wanted times with an offset from UTC")
        if self.expires_at <= self.created_at:
            raise InvalidInputError(f"API key {self.key_id}: expires before it is made")

    def opens(self, at: datetime) -> bool:
        """Tell whether it opens anything at an instant; once revoked it never does, whatever a clock says."""
        return self.revoked_at is None and at < self.expires_at

    def state(self, at: datetime) -> Literal["opens", "expired", "revoked"]:
        """Say in a word whether it opens anything at an instant."""
        if self.revoked_at is not None:
            return "revoked"
        return "opens" if self.opens(at) else "expired"

    def holds(self, secret: str) -> bool:
        """Tell whether a secret is this key's, in a time that does not depend on where they differ."""
        return is_secret(secret, self.secret_sha256)


class NewKey(NamedTuple):
    """A key just made: its text, which is shown once and kept nowhere, and what is kept."""

    text: str
    kept: ApiKey


def make_key(
    randomness: bytes,
    *,
    client_id: str,
    scopes: Iterable[str],
    created_at: datetime,
    expires_at: datetime,
    name: str = "",
    networks: Iterable[str] = (),
) -> NewKey:
    """Make a key from 40 random bytes of the system's generator for secrets."""
    if len(randomness) != RANDOM_BYTES:
        raise InvalidInputError(f"API key: got {len(randomness)} random bytes, wanted {RANDOM_BYTES}")
    key_id = _written(randomness[:_ID_BYTES], alphabet=_READABLE, length=_ID_LENGTH)
    secret = _written(randomness[_ID_BYTES:], alphabet=_DIGITS, length=_SECRET_LENGTH)
    kept = ApiKey(
        *(key_id, client_id, name, frozenset(scopes), secret_sha256(secret), created_at, expires_at),
        networks=read_networks(networks),
    )
    return NewKey(f"obl_{key_id}_{secret}", kept)


def parse_key(text: str) -> Shown | None:
    """Read a key strictly; ``None`` for any other text, of which nothing is repeated."""
    found = _KEY.fullmatch(text) if len(text) == KEY_LENGTH else None
    return Shown(found[1], found[2]) if found else None


def secret_sha256(secret: str) -> bytes:
    """Hash a secret as it is kept: SHA-256 of its 43 characters."""
    return sha256(secret.encode()).digest()


def is_secret(secret: str, kept_sha256: bytes) -> bool:
    """Tell whether a secret has a hash, in a time that does not depend on where they differ."""
    return compare_digest(secret_sha256(secret), kept_sha256)


def is_key_id(text: str) -> bool:
    """Tell whether a text could be the id of a key."""
    return _KEY_ID.fullmatch(text) is not None


def check_scopes(scopes: Iterable[str]) -> None:
    """Refuse scopes that nobody knows, and none at all.

    Raises
    ------
    InvalidInputError
        Naming the scope.
    """
    found = list(scopes)
    unknown = sorted(set(found) - set(SCOPES))
    if unknown:
        raise InvalidInputError(
            f"API key: the scope {unknown[0][:40]!r} is not known; wanted one of {', '.join(SCOPES)}"
        )
    if not found:
        raise InvalidInputError(f"API key: wanted at least one scope of {', '.join(SCOPES)}")


def check_client(client_id: str) -> None:
    """Refuse the name of a client that could not stand in a log, a label or an address, or may not.

    Raises
    ------
    InvalidInputError
        Where it is not made of small letters, digits, dots, dashes and underscores, or is the number of a payment card.
    """
    if holds_card_number(client_id):
        raise InvalidInputError("client: is what is the number of a payment card, or could be one; none may enter")
    _check_shape(client_id)


def _check_shape(client_id: str) -> None:
    if not _CLIENT.fullmatch(client_id):
        raise InvalidInputError(
            f"client: got {client_id[:64]!r}; wanted up to 64 small letters, digits, '.', '-' and '_', "
            "with a letter or a digit at both ends"
        )


def _written(data: bytes, *, alphabet: str, length: int) -> str:
    """Write the lowest digits of a number, in a base, with as many digits as asked."""
    number, base = int.from_bytes(data, "big"), len(alphabet)
    return "".join(alphabet[number // base**place % base] for place in reversed(range(length)))

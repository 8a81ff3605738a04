"""Idempotency keys: what one is, how it is kept, and how it is bound to what was asked under it."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from obligor.core.errors import InvalidInputError
from obligor.serving.acts import Request
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from obligor.security.sealing import Keyring
    from obligor.serving.acts import Caller

_KEY = re.compile(r"[\x21-\x7e]{1,255}")


class Sealer(Protocol):
    """What seals records, and has the keys by which what must not be told is kept."""

    @property
    def keyring(self) -> Keyring:
        """The keys of the deployment, as they are now."""
        ...


def check_key(key: str) -> None:
    """Refuse what is no idempotency key.

    Raises
    ------
    InvalidInputError
        Where it is not of printable ASCII without blanks.
    """
    if not _KEY.fullmatch(key):
        raise InvalidInputError("Idempotency-Key: wanted 1 to 255 printable ASCII characters without blanks")
    refuse_card_data_in("idempotency-key", key)


def request_saying(caller: Caller, *, route: str, key: str, said: object, sealer: Sealer | None = None) -> Request:
    """Bind an idempotency key to what a caller says; it takes no sealer where neither can tell of who applied.

    Raises
    ------
    InvalidInputError
        Where the key is none.
    """
    check_key(key)
    return request_of(sealer, caller, route, key, sha256(encode(said)).digest())


def request_of(sealer: Sealer | None, caller: Caller, route: str, key: str, payload_sha256: bytes) -> Request:
    """Bind an idempotency key to a payload; neither can be tried against what is kept where there is a sealer."""
    return bound(sealer, caller, route, kept_as(sealer, key), payload_sha256)


def bound(sealer: Sealer | None, caller: Caller, route: str, kept: str, payload_sha256: bytes) -> Request:
    """Bind an idempotency key, as it is kept, to a payload."""
    payload = payload_sha256 if sealer is None else sealer.keyring.fingerprint(payload_sha256)
    return Request(caller.client_id, route, kept, payload)


def kept_as(sealer: Sealer | None, key: str) -> str:
    """Give an idempotency key as it is kept: without its text where there is a sealer."""
    return key if sealer is None else sealer.keyring.request(key)

"""Passwords of people, for set-ups without an identity provider: argon2id, and the same work for somebody unknown.

A password is the only factor here, so that it has fifteen characters at least (NIST SP 800-63B-4, 3.1.1.2); nothing else is
asked of its characters. The costs are those that OWASP asks for argon2id at the least memory: 19 MiB and two passes.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from obligor.core.errors import InvalidInputError

LEAST_LENGTH: Final = 15
MOST_LENGTH: Final = 256
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# Of 32 random bytes that were kept nowhere.
_NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$1bD6RRU0LSHFM0NLok3I2Q$qCOPmb54/6tLrhx6qQ2byzb8yD4OwVNj7vkqOLT97qw"


def hash_password(password: str, *, user_id: str) -> str:
    """Hash a password as it is kept, with a salt of its own.

    Raises
    ------
    InvalidInputError
        Where it is too short, too long, or little more than the user's own id.
    """
    if not LEAST_LENGTH <= len(password) <= MOST_LENGTH:
        raise InvalidInputError(
            f"password: has {len(password)} characters; wanted {LEAST_LENGTH} to {MOST_LENGTH}, of any kind"
        )
    rest = password.casefold().replace(user_id.casefold(), "")
    if len(set(rest)) < 5:  # noqa: PLR2004  five different characters beside the name
        raise InvalidInputError("password: repeats the user's name or a few characters; wanted another")
    return _HASHER.hash(_written(password))


def is_password(password: str, kept: str | None) -> bool:
    """Tell whether a password is the one that a hash was made of; without a hash the work is the same, and the answer no."""
    try:
        right = _HASHER.verify(kept or _NOBODYS, _written(password[:MOST_LENGTH]))
    except (VerificationError, InvalidHashError):
        return False
    return right and bool(kept)


def _written(password: str) -> bytes:
    """Write a password in one form, whichever keyboard it comes from (NFKC); half a character is written as none."""
    return unicodedata.normalize("NFKC", password).encode("utf-8", "replace")

"""Where a service takes time and chance from: arguments, so that a test can hold both still."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

_SALT_BYTES = 16
_POOL = 4096
_MILLISECONDS = 80
_MARKS = 7 << 76 | 0b10 << 62
"""Version and variant of the id."""
_CHANCE = ((1 << 12) - 1) << 64 | (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Sources:
    """A clock, ids, and salts."""

    now: Callable[[], datetime]
    """The time, in UTC."""
    random: Callable[[int], bytes]
    """So many random bytes."""

    def new_id(self, at: datetime) -> UUID:
        """Make an id whose order is that of time, to the millisecond (UUID version 7, RFC 9562)."""
        chance = int.from_bytes(self.random(10), "big") & _CHANCE
        return UUID(int=int(at.timestamp() * 1000) << _MILLISECONDS | _MARKS | chance)

    def salt(self) -> bytes:
        """Make the salt of a record."""
        return self.random(_SALT_BYTES)


def live_sources() -> Sources:
    """Give the machine's clock and the system's randomness, which is drawn some kilobytes at a time."""
    return Sources(lambda: datetime.now(UTC), _Pool().take)


class _Pool:
    """Random bytes of the system, kept until they are used."""

    def __init__(self) -> None:
        self._bytes, self._at = b"", 0

    def take(self, count: int) -> bytes:
        if self._at + count > len(self._bytes):
            self._bytes, self._at = os.urandom(max(_POOL, count)), 0
        self._at += count
        return self._bytes[self._at - count : self._at]

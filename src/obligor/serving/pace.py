"""How often a client may try applications that are recorded nowhere: whoever could try without end could read the card off.

A client has so many tries at once, and then one every so often (the generic cell rate algorithm, ITU-T I.371). It is the client
that counts, by its own name: neither another address, nor another key, nor what a header claims gives it more.
"""

from __future__ import annotations

import time
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from obligor.core.errors import LimitedError

if TYPE_CHECKING:
    from collections.abc import Callable

TRIES: Final = 600
TRY_EVERY_S: Final = 0.1
_MOST_KEPT: Final = 10_000


class Pace:
    """Holds each client to its pace; belongs to one process."""

    def __init__(
        self,
        burst: int = TRIES,
        every_s: float = TRY_EVERY_S,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        most_kept: int = _MOST_KEPT,
    ) -> None:
        self._burst, self._every_s, self._monotonic, self._most = burst, every_s, monotonic, most_kept
        self._free_at: dict[str, float] = {}
        """The instant at which a client has all its tries again."""

    def take(self, client_id: str) -> None:
        """Take one try of a client.

        Raises
        ------
        LimitedError
            Where it has none left.
        """
        now = self._monotonic()
        free_at = max(self._free_at.pop(client_id, -inf), now) + self._every_s
        wait = free_at - now - self._burst * self._every_s
        if wait > self._every_s / 1000:  # what rounding leaves is no reason
            self._keep(client_id, free_at - self._every_s)
            raise LimitedError("too many simulations of this client", retry_after=max(1, ceil(wait)))
        self._keep(client_id, free_at)

    def _keep(self, client_id: str, free_at: float) -> None:
        if len(self._free_at) >= self._most:
            del self._free_at[next(iter(self._free_at))]
        self._free_at[client_id] = free_at

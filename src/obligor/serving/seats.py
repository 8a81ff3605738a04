"""How many requests may be open at a time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from obligor.core.errors import LimitedError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_OPEN = 256


class Seats:
    """How many requests are open, in all and of each client; one client gets at most half of them."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self.most = most
        self.most_of_one = (most + 1) // 2
        self.open = 0
        self.draining = False
        """Whether the service is about to stop: it says that it is not ready, and keeps no connection."""
        self._of: dict[str, int] = {}

    @contextmanager
    def of(self, client_id: str) -> Iterator[None]:
        """Take a seat of a client.

        Raises
        ------
        LimitedError
            Where the client holds half of all.
        """
        self.take(client_id)
        try:
            yield
        finally:
            self.give_back(client_id)

    def take(self, client_id: str) -> None:
        """Take a seat of a client, who is to give it back.

        Raises
        ------
        LimitedError
            Where the client holds half of all.
        """
        taken = self._of.get(client_id, 0)
        if taken >= self.most_of_one:
            raise LimitedError(f"wanted at most {self.most_of_one} requests of one client at a time")
        self._of[client_id] = taken + 1

    def give_back(self, client_id: str) -> None:
        """Give a seat of a client back."""
        if self._of[client_id] == 1:
            del self._of[client_id]
        else:
            self._of[client_id] -= 1

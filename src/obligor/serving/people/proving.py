"""Whether a caller holds the key that their token is bound to; what is stolen without it opens nothing."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from obligor.security.jose import LEEWAY_S, TokenError
from obligor.security.proofs import is_same_address, read_proof

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

_MOST_KEPT: Final = 100_000


class Proofs:
    """Takes proofs, each once; belongs to one event loop.

    Which were taken is known for as long as they might be shown again: two minutes at most, in this process alone.
    """

    def __init__(self, *, now: Callable[[], datetime], origin: str = "", most_kept: int = _MOST_KEPT) -> None:
        """``origin`` is the scheme and host by which clients reach the service; without it, what each request says."""
        self._now, self._origin, self._most = now, origin, most_kept
        self._taken: dict[bytes, int] = {}

    def take(self, proof: str, *, token: str, key_sha256: bytes, method: str, origin: str, path: str) -> bool:
        """Tell whether a proof was made with a key, for this request with this token, now, and was not shown before."""
        try:
            read = read_proof(proof, key_sha256=key_sha256)
        except TokenError:
            return False
        at = int(self._now().timestamp())
        return (
            read.token_sha256 == sha256(token.encode()).digest()
            and read.method == method
            and is_same_address(read.url, (self._origin or origin) + path)
            and abs(at - read.made_at) <= LEEWAY_S
            and self._is_first(sha256(key_sha256 + read.id.encode()).digest(), at, read.made_at + LEEWAY_S)
        )

    def _is_first(self, shown: bytes, at: int, until: int) -> bool:
        if shown in self._taken:
            return False
        while self._taken and (len(self._taken) >= self._most or self._taken[next(iter(self._taken))] < at):
            del self._taken[next(iter(self._taken))]
        self._taken[shown] = until
        return True

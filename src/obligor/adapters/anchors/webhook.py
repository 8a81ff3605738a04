"""An anchor that takes checkpoints by HTTPS: a log collector, a witness of another department, a lender's own receiver.

The body of the POST is the signed note itself, as text; whoever has the public key can check it. An answer of 2xx says that
it is kept. 409 says that the receiver has another history: with the size that it has as its body, a longer log, and otherwise
another root for this size. A receiver that never says so keeps evidence for a person to compare, and cannot stop a service
that was set back.

The address is the lender's own, and still the request goes nowhere unforeseen (``adapters/outgoing.py``).
"""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING, Final

import httpcore

from obligor.adapters.anchors.following import follows, head_of
from obligor.adapters.outgoing import GuardedBackend, check_address, may_reach
from obligor.core.errors import RollbackError, SplitViewError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from obligor.core.checkpoints import Checkpoint

_SECONDS: Final = {"connect": 5.0, "read": 10.0, "write": 5.0, "pool": 5.0}
_CONFLICT: Final = 409
_MOST_DIGITS: Final = 20


class WebhookAnchor:
    """Sends checkpoints to an address by HTTPS.

    Parameters
    ----------
    production : bool
        Refuse addresses that are not public, and plain HTTP even to this machine.
    tls : ssl.SSLContext, optional
        Which certificates are trusted; without it, those of the system.
    resolve : callable
        Gives the addresses of a host and port, as text.
    """

    def __init__(
        self,
        url: str,
        *,
        production: bool,
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str, int], Iterable[str]] | None = None,
    ) -> None:
        parts = check_address(url, what="an anchor's address", production=production)
        self._url = url
        # The path or the query may hold a token of the receiver, so that the name tells the host, and the rest by its hash.
        self.name = f"{parts.scheme}://{parts.hostname}#{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            keepalive_expiry=0,
            network_backend=GuardedBackend(
                wanted=may_reach(parts.scheme, production=production), resolve=resolve, what=self.name
            ),
        )
        self._known: Checkpoint | None = None

    def publish(self, note: bytes) -> None:
        """Send a checkpoint; return once the receiver says that it is kept.

        Raises
        ------
        SplitViewError, RollbackError
            Where the receiver, or this process before, has another root for this size, or a longer log.
        """
        given = head_of(note)
        if not follows(given, self._known, anchor=self.name):
            return
        status, said = self._post(note)
        if status == _CONFLICT:
            raise self._conflict(given, said)
        if not 200 <= status < 300:  # noqa: PLR2004  success, as HTTP has it
            raise UnavailableError(f"{self.name}: answered {status}; wanted 2xx{_redirected(status)}")
        self._known = given

    def latest(self) -> None:
        """Tell nothing: a receiver takes checkpoints and gives none back."""

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    def _post(self, note: bytes) -> tuple[int, bytes]:
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("User-Agent", "obligor")]
        try:
            with self._pool.stream(
                "POST", self._url, headers=headers, content=note, extensions={"timeout": _SECONDS}
            ) as answer:
                # More of a body than a number is never read.
                return answer.status, next(answer.iter_stream(), b"") if answer.status == _CONFLICT else b""
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise UnavailableError(f"{self.name}: did not answer ({type(error).__name__})") from error

    def _conflict(self, given: Checkpoint, said: bytes) -> SplitViewError | RollbackError:
        has = said.strip()
        if has.isdigit() and len(has) <= _MOST_DIGITS and int(has) > given.size:
            return RollbackError(
                f"{self.name}: got a checkpoint of {given.size} leaves and says it has one of {int(has)}", size=int(has)
            )
        return SplitViewError(f"{self.name}: says that it has another history of the log of {given.size} leaves")


def _redirected(status: int) -> str:
    return "; a redirect is not followed" if 300 <= status < 400 else ""  # noqa: PLR2004  as HTTP has it

"""Sends webhooks: one POST to a checked address, and of the answer its status."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

import httpcore

from obligor.adapters.outgoing import AsyncGuardedBackend, check_address, may_reach
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

PORTS: Final = frozenset({443, 8443})
"""Those that are asked in production: what listens at others speaks something else."""
WHAT: Final = "a webhook's address"
_PATIENCE_S: Final = 15.0
_MOST_BYTES: Final = 16_384
_KEPT_S: Final = 15.0


class WebhookSender:
    """Sends messages by HTTPS; ``close`` ends it.

    Parameters
    ----------
    production
        Refuse addresses that are not public, ports other than `PORTS`, and plain HTTP even to this machine.
    tls
        Which certificates are trusted; without it, those of the system.
    resolve
        Gives the addresses of a host and port, as text.
    patience_s
        How long all of an attempt may take.
    """

    def __init__(
        self,
        *,
        production: bool,
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str, int], Iterable[str]] | None = None,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self._production = production
        self._patience_s = patience_s
        context = tls or ssl.create_default_context()
        self._backends = {
            scheme: AsyncGuardedBackend(
                wanted=may_reach(scheme, production=production), resolve=resolve, what="the receiver"
            )
            for scheme in ("https", "http")
        }
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context, max_connections=None, keepalive_expiry=_KEPT_S, network_backend=backend
            )
            for scheme, backend in self._backends.items()
        }

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """Send by POST and give the status of the answer; see :class:`obligor.serving.delivering.Sender`.

        An answer must come in whole to count, up to some kilobytes; more of it is never read.
        """
        parts = check_address(url, what=WHAT, production=self._production, ports=PORTS)
        sent = [("Content-Type", "application/json"), ("User-Agent", "obligor"), *headers.items()]
        try:
            async with (
                asyncio.timeout(self._patience_s),
                self._pools[parts.scheme].stream("POST", url, headers=sent, content=body) as answer,
            ):
                read = 0
                async for part in answer.aiter_stream():
                    read += len(part)
                    if read > _MOST_BYTES:
                        break
                return answer.status
        except TimeoutError:
            raise UnavailableError(f"did not answer in {self._patience_s:g} s") from None
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise UnavailableError(f"did not answer ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            await pool.aclose()
        for backend in self._backends.values():
            backend.close()

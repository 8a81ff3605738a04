"""Sends webhooks: one POST to a checked address, and of the answer its status, and when to come again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.adapters.outgoing import Outgoing, check_address, may_reach
from obligor.serving.webhooks.delivering import Answered

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping

PORTS: Final = frozenset({443, 8443})
"""Those that are asked in production: what listens at others speaks something else."""
WHAT: Final = "a webhook's address"
_PATIENCE_S: Final = 15.0
_MOST_BYTES: Final = 16_384


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
        self._outgoing = Outgoing(
            what="the receiver",
            wanted={scheme: may_reach(scheme, production=production) for scheme in ("https", "http")},
            tls=tls,
            resolve=resolve,
            patience_s=patience_s,
            most_bytes=_MOST_BYTES,
        )

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered:
        """Send by POST and give what was answered; see :class:`obligor.serving.webhooks.delivering.Sender`.

        An answer must come in whole to count, up to some kilobytes; more of it is never read.
        """
        check_address(url, what=WHAT, production=self._production, ports=PORTS)
        sent = {"Content-Type": "application/json", **headers}
        answer = await self._outgoing.ask("POST", url, headers=sent, body=body)
        return Answered(answer.status, answer.retry_after)

    async def close(self) -> None:
        """Close the connections."""
        await self._outgoing.close()

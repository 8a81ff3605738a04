"""Fetches the key set of an identity provider, from the one address that the lender named.

No token has a say in where it is, and the request goes nowhere unforeseen (``adapters/outgoing.py``). What answers must answer
soon, and with little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.adapters.outgoing import Outgoing, check_address, may_ask
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

_WHO: Final = "the identity provider"
_SECONDS: Final = 5.0
_MOST_BYTES: Final = 256 << 10
_OK: Final = 200


class HttpKeySource:
    """Fulfils :class:`obligor.serving.people.tokens.KeySource`.

    Parameters
    ----------
    production : bool
        Refuse plain HTTP even to this machine, and this machine itself.
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
        scheme = check_address(url, what="OBLIGOR_OIDC_JWKS_URL", production=production, reach=may_ask).scheme
        self._url, self._tls, self._resolve = url, tls, resolve
        self._wanted = {scheme: may_ask(scheme, production=production)}

    async def fetch(self) -> bytes:
        """Fetch the key set.

        Raises
        ------
        UnavailableError
            Where the provider does not answer as it should.
        """
        # Keys are fetched once in a long while: nothing is kept open for it.
        outgoing = Outgoing(
            what=_WHO,
            wanted=self._wanted,
            tls=self._tls,
            resolve=self._resolve,
            patience_s=_SECONDS,
            most_bytes=_MOST_BYTES,
        )
        try:
            answer = await outgoing.ask("GET", self._url, headers={"Accept": "application/json"})
        finally:
            await outgoing.close()
        if answer.status != _OK:
            raise UnavailableError(f"{_WHO} answered {answer.status}; wanted 200")
        if len(answer.body) > _MOST_BYTES:
            raise UnavailableError(f"{_WHO} sent more than {_MOST_BYTES} bytes of keys")
        return answer.body

"""Fetches the key set of an identity provider, from the one address that the lender named.

No token has a say in where it is. No redirect is followed, no proxy of the environment is asked, and what answers must answer
soon, with little, and as JSON. Addresses of the machine's own surroundings that hand out its credentials (link-local ones) are
refused even where the name of the provider stands for them, and the connection goes to the very address that was looked at.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

_SECONDS: Final = 5.0
_MOST_BYTES: Final = 256 << 10
_OK: Final = 200
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")

_PRINTABLE: Final = re.compile(r"[!-~]+")

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


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
        resolve: Callable[[str, int], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        self._parts = check_key_set_url(url, production=production)
        self._production, self._tls, self._resolve = production, tls, resolve or _addresses

    async def fetch(self) -> bytes:
        """Fetch the key set.

        Raises
        ------
        UnavailableError
            Where the provider does not answer as it should.
        """
        try:
            async with asyncio.timeout(_SECONDS):
                return await self._get()
        except (httpx.HTTPError, OSError, TimeoutError) as error:
            raise UnavailableError(f"the identity provider did not answer ({type(error).__name__})") from None

    async def _get(self) -> bytes:
        host = self._parts.host
        port = self._parts.port or (443 if self._parts.scheme == "https" else 80)
        addresses = [ipaddress.ip_address(it) for it in await self._resolve(host, port)]
        if not addresses or not all(map(self._wanted, addresses)):
            raise UnavailableError("the name of the identity provider stands for an address that is refused here")
        # To the address that was looked at, under the name that was asked for: no other answer of DNS comes in between.
        there = self._parts.copy_with(host=str(addresses[0]))
        async with (
            httpx.AsyncClient(
                verify=True if self._tls is None else self._tls, trust_env=False, follow_redirects=False
            ) as client,
            client.stream(
                "GET",
                there,
                headers={"host": self._parts.netloc.decode(), "accept": "application/json"},
                extensions={"sni_hostname": host},
            ) as answer,
        ):
            if answer.status_code != _OK:
                raise UnavailableError(f"the identity provider answered {answer.status_code}; wanted 200")
            found = bytearray()
            async for part in answer.aiter_bytes():
                found += part
                if len(found) > _MOST_BYTES:
                    raise UnavailableError(f"the identity provider sent more than {_MOST_BYTES} bytes of keys")
        return bytes(found)

    def _wanted(self, address: _Ip) -> bool:
        inner = _inner(address)
        if inner.is_link_local or inner.is_multicast or inner.is_unspecified or inner.is_reserved:
            return False
        if self._parts.scheme == "http":
            return inner.is_loopback
        return not (self._production and inner.is_loopback)


def check_key_set_url(url: str, *, production: bool) -> httpx.URL:
    """Read the address of a key set; plain HTTP goes to this machine only, and nowhere in production.

    Raises
    ------
    InvalidInputError
        Where it is malformed, or not HTTPS; it is not repeated.
    """
    wanted = "wanted https://host/path" if production else "wanted https://host/path, or http:// to this machine"
    try:
        parts, given = httpx.URL(url), urlsplit(url)
        given.port  # noqa: B018  a port that is none raises only when it is read
    except (httpx.InvalidURL, ValueError):
        raise InvalidInputError(f"OBLIGOR_OIDC_JWKS_URL: is malformed; {wanted}") from None
    if not _PRINTABLE.fullmatch(url) or not parts.host or given.fragment or "@" in given.netloc:
        raise InvalidInputError(f"OBLIGOR_OIDC_JWKS_URL: is malformed, or holds a user's name; {wanted}")
    if parts.scheme != "https" and (production or parts.scheme != "http" or not _is_loopback(parts.host)):
        raise InvalidInputError(f"OBLIGOR_OIDC_JWKS_URL: {wanted}")
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return _inner(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return host == "localhost"


def _inner(address: _Ip) -> _Ip:
    """Give the IPv4 address that an IPv6 one wraps, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
    return address


async def _addresses(host: str, port: int) -> Sequence[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(it[4][0]) for it in found]

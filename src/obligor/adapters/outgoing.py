"""Requests that leave the service for addresses that somebody named, and go nowhere unforeseen.

No redirect is followed and no proxy of the environment is used. A host's name is looked up once, every address that it stands
for is looked at, and the connection goes to the very address that was looked at, so that a name cannot change its meaning in
between (DNS re-binding). The certificate is still checked for the name. In production every address must be a public one, and
only ``https`` is spoken.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import httpcore

from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


_PRINTABLE: Final = re.compile(r"[!-~]+")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address within an IPv6 one
_GLOBAL_UNICAST: Final = ipaddress.ip_network(
    "2000::/3"
)  # RFC 4291: all that is routed; not ::a.b.c.d, not 64:ff9b:1::
_METADATA: Final = frozenset(
    map(ipaddress.ip_address, ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Where clouds tell a machine its own credentials."""
_KEPT_S: Final = 15.0


def check_address(
    url: str,
    *,
    what: str,
    production: bool,
    ports: Collection[int] | None = None,
    reach: Callable[..., Callable[[Ip], bool]] | None = None,
) -> SplitResult:
    """Cut an address into its parts; a malformed one is not repeated, for it may hold a token.

    Parameters
    ----------
    what
        What the address is, with its article: ``an anchor's address``.
    ports
        Those that may be asked in production; None: any.
    reach
        Which addresses may be connected to, where it is written as one and not as a name; by default ``may_reach``.

    Raises
    ------
    InvalidInputError
        Where it is no address by ``https``; outside production it may also be one by ``http`` of this machine.
    """
    wanted = "wanted https://host/path" if production else "wanted https://host/path, or http:// to this machine"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InvalidInputError(f"{what} is malformed; {wanted}") from None
    if not _PRINTABLE.fullmatch(url) or not parts.hostname or parts.fragment or _is_ambiguous(parts.netloc):
        raise InvalidInputError(f"{what} is malformed, or holds a user's name; {wanted}")
    if parts.scheme != "https" and (production or parts.scheme != "http" or not _is_loopback(parts.hostname)):
        raise InvalidInputError(f"{what}, {parts.scheme}://{parts.hostname}: {wanted}")
    if production and ports is not None and (443 if port is None else port) not in ports:
        allowed = " or ".join(map(str, sorted(ports)))
        raise InvalidInputError(f"{what}, https://{parts.hostname}: got port {port}; wanted {allowed}")
    literal = _literal(parts.hostname)
    if literal is not None and not (reach or may_reach)(parts.scheme, production=production)(literal):
        raise InvalidInputError(f"{what}, {parts.scheme}://{parts.netloc}: an address that is refused here; {wanted}")
    return parts


def may_reach(scheme: str, *, production: bool) -> Callable[[Ip], bool]:
    """Give which addresses may be connected to; by ``http`` those of this machine alone, and never one of metadata."""
    if production:
        return is_public
    if scheme == "http":
        return lambda address: inner_address(address).is_loopback
    return lambda address: not _is_odd(inner_address(address))


def may_ask(scheme: str, *, production: bool) -> Callable[[Ip], bool]:
    """Give which addresses a system of the lender's own may have: as ``may_reach``, and in production private ones also."""
    if production and scheme == "https":
        return lambda address: not (_is_odd(inner_address(address)) or inner_address(address).is_loopback)
    return may_reach(scheme, production=production)


def is_public(address: Ip) -> bool:
    """Tell whether an address, or the one that it wraps, is of the internet."""
    inner = inner_address(address)
    if inner in _METADATA or inner.is_multicast or not inner.is_global:
        return False
    return isinstance(inner, ipaddress.IPv4Address) or inner in _GLOBAL_UNICAST


def inner_address(address: Ip) -> Ip:
    """Give the IPv4 address that an IPv6 one wraps, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
    return address


class GuardedBackend(httpcore.SyncBackend):
    """Looks up a host, looks at every address, and connects to what it looked at; for who waits in a thread.

    Parameters
    ----------
    wanted
        Which addresses may be connected to (``may_reach``).
    resolve
        Gives the addresses of a host and port, as text; by default those that the system knows.
    what
        What the host is, in messages.
    """

    def __init__(
        self,
        *,
        wanted: Callable[[Ip], bool],
        resolve: Callable[[str, int], Iterable[str]] | None = None,
        what: str,
    ) -> None:
        self._wanted = wanted
        self._resolve = resolve or addresses
        self._what = what

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host, at the first of its addresses that answers; to look it up takes no longer than to connect may."""
        try:
            told = _look_up(self._resolve, host, port).result(timeout)
        except TimeoutError:
            raise httpcore.ConnectTimeout("the look-up of the host") from None
        found = _looked_at(told, self._wanted, self._what)
        for address in found[:-1]:
            try:
                return super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return super().connect_tcp(found[-1], port, timeout, local_address, socket_options)


class AsyncGuardedBackend(httpcore.AnyIOBackend):
    """Does what `GuardedBackend` does, for who waits in a loop.

    Who asks for one host waits for one look-up of it, in a thread of its own: a resolver that hangs for one host keeps nobody
    who asks for another, and does not hold the end of the process up.
    """

    def __init__(
        self,
        *,
        wanted: Callable[[Ip], bool],
        resolve: Callable[[str, int], Iterable[str]] | None = None,
        what: str,
    ) -> None:
        self._wanted = wanted
        self._resolve = resolve or addresses
        self._what = what
        self._under_way: dict[tuple[str, int], asyncio.Future[list[str]]] = {}

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  the library's own parameter
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to a host, at the first of its addresses that answers."""
        found = _looked_at(await self._found(host, port), self._wanted, self._what)
        for address in found[:-1]:
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await super().connect_tcp(found[-1], port, timeout, local_address, socket_options)

    async def _found(self, host: str, port: int) -> list[str]:
        found = self._under_way.get((host, port))
        if found is None:
            found = self._under_way[host, port] = asyncio.wrap_future(_look_up(self._resolve, host, port))

            def done(found: asyncio.Future[list[str]]) -> None:
                del self._under_way[host, port]
                found.exception()  # there may be nobody left who waits for it

            found.add_done_callback(done)
        return await asyncio.shield(found)


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered."""

    status: int
    kind: str
    """The media type, in small letters and without parameters; empty where none is told."""
    body: bytes
    """All of it, or, where it is longer than was asked for, a little more than that."""
    retry_after: str = ""
    """When to ask again, as it was said; empty where nothing is."""


class Outgoing:
    """Asks whoever was named, by HTTP; ``close`` ends it.

    Parameters
    ----------
    what
        Who is asked, in messages: ``the receiver``.
    wanted
        Which addresses may be connected to, for each scheme that is spoken.
    tls
        Which certificates are trusted; without it, those of the system.
    resolve
        Gives the addresses of a host and port, as text; by default those that the system knows.
    patience_s
        How long all of a request may take, from looking up the host to the end of the answer.
    most_bytes
        More of an answer is not read.
    """

    def __init__(
        self,
        *,
        what: str,
        wanted: Mapping[str, Callable[[Ip], bool]],
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str, int], Iterable[str]] | None = None,
        patience_s: float,
        most_bytes: int,
    ) -> None:
        self._what, self._patience_s, self._most_bytes = what, patience_s, most_bytes
        context = tls or ssl.create_default_context()
        self._pools = {
            scheme: httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=None,
                keepalive_expiry=_KEPT_S,
                network_backend=AsyncGuardedBackend(wanted=may, resolve=resolve, what=what),
            )
            for scheme, may in wanted.items()
        }

    async def ask(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Send a request, and give the answer once it has come in whole.

        Raises
        ------
        UnavailableError
            Where there is no answer in time, or none at all.
        """
        pool = self._pools[urlsplit(url).scheme]
        sent = [("User-Agent", "obligor"), *headers.items()]
        try:
            async with (
                asyncio.timeout(self._patience_s),
                pool.stream(method, url, headers=sent, content=body) as answer,
            ):
                kind, again = _said(answer.headers, b"content-type"), _said(answer.headers, b"retry-after")
                return Answer(answer.status, _kind_of(kind), await self._read(answer), again)
        except TimeoutError:
            raise UnavailableError(f"{self._what} did not answer in {self._patience_s:g} s") from None
        except (
            *(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError),
            UnicodeError,  # a host of a name that none can have
        ) as error:
            raise UnavailableError(f"{self._what} did not answer ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def _read(self, answer: httpcore.Response) -> bytes:
        body = bytearray()
        async for part in answer.aiter_stream():
            body += part
            if len(body) > self._most_bytes:
                break
        return bytes(body)


def _said(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> str:
    return next((value for name, value in headers if name.lower() == wanted), b"").decode("latin-1").strip()


def _kind_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def addresses(host: str, port: int) -> Sequence[str]:
    """Give the addresses that the system knows for a host and port."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _look_up(resolve: Callable[[str, int], Iterable[str]], host: str, port: int) -> Future[list[str]]:
    """Look a host up in a thread of its own, which does not hold the end of the process up."""
    found: Future[list[str]] = Future()

    def look_up() -> None:
        try:
            found.set_result(list(resolve(host, port)))
        except Exception as error:  # noqa: BLE001  whoever waits hears of it
            found.set_exception(error)

    Thread(target=look_up, name="look-up", daemon=True).start()
    return found


def _looked_at(found: Iterable[str], wanted: Callable[[Ip], bool], what: str) -> list[str]:
    seen = [ipaddress.ip_address(each) for each in found]
    if not seen or not all(map(wanted, seen)):
        raise UnavailableError(
            f"{what}: its name stands for an address that is refused here",
            hint="in production only public addresses are reached, by https",
        )
    return list(map(str, seen))


def _is_ambiguous(netloc: str) -> bool:
    """Tell whether programs may disagree on which host is meant."""
    return "@" in netloc or "\\" in netloc or "%" in netloc


def _is_odd(address: Ip) -> bool:
    odd = address.is_link_local or address.is_multicast or address.is_unspecified or address.is_reserved
    return odd or address in _METADATA


def _is_loopback(host: str) -> bool:
    literal = _literal(host)
    return host == "localhost" if literal is None else inner_address(literal).is_loopback


def _literal(host: str) -> Ip | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None

"""An anchor that takes checkpoints by HTTPS: a log collector, a witness of another department, a lender's own receiver.

The body of the POST is the signed note itself, as text; whoever has the public key can check it. An answer of 2xx says that
it is kept. 409 says that the receiver has another history: with the size that it has as its body, a longer log, and otherwise
another root for this size. A receiver that never says so keeps evidence for a person to compare, and cannot stop a service
that was set back.

The address is the lender's own, and still the request goes nowhere unforeseen: no redirect is followed, no proxy of the
environment is used, and in production every address that the host's name stands for must be a public one. The connection goes
to the very address that was looked at, so that a name cannot change its meaning in between.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import socket
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

import httpcore

from obligor.adapters.anchors.following import follows, head_of
from obligor.core.errors import InvalidInputError, RollbackError, SplitViewError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from obligor.core.checkpoints import Checkpoint

_SECONDS: Final = {"connect": 5.0, "read": 10.0, "write": 5.0, "pool": 5.0}
_CONFLICT: Final = 409
_MOST_DIGITS: Final = 20
_PRINTABLE: Final = re.compile(r"[!-~]+")
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address within an IPv6 one


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
        parts = _address(url, production=production)
        self._url = url
        # The path or the query may hold a token of the receiver, so that the name tells the host, and the rest by its hash.
        self.name = f"{parts.scheme}://{parts.hostname}#{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            keepalive_expiry=0,
            network_backend=_Looking(
                wanted=_wanted(parts.scheme, production=production), resolve=resolve or _addresses, anchor=self.name
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


class _Looking(httpcore.SyncBackend):
    """Looks up a host, looks at every address, and connects to what it looked at."""

    def __init__(
        self, *, wanted: Callable[[_Ip], bool], resolve: Callable[[str, int], Iterable[str]], anchor: str
    ) -> None:
        self._wanted = wanted
        self._resolve = resolve
        self._anchor = anchor

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a host, at the first of its addresses that answers."""
        addresses = [ipaddress.ip_address(each) for each in self._resolve(host, port)]
        if not addresses or not all(self._wanted(each) for each in addresses):
            raise UnavailableError(
                f"{self._anchor}: its name stands for an address that is refused here",
                hint="in production anchors are public addresses, by https",
            )
        for address in addresses[:-1]:
            try:
                return super().connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return super().connect_tcp(str(addresses[-1]), port, timeout, local_address, socket_options)


_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


def _address(url: str, *, production: bool) -> SplitResult:
    """Cut an address into its parts; a malformed one is not repeated, for it may hold a token."""
    wanted = "wanted https://host/path" if production else "wanted https://host/path, or http:// to this machine"
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  a port that is none raises only when it is read
    except ValueError:
        raise InvalidInputError(f"an anchor's address is malformed; {wanted}") from None
    if not _PRINTABLE.fullmatch(url) or not parts.hostname or parts.fragment or "@" in parts.netloc:
        raise InvalidInputError(f"an anchor's address is malformed, or holds a user's name; {wanted}")
    if parts.scheme != "https" and (production or parts.scheme != "http" or not _is_loopback(parts.hostname)):
        raise InvalidInputError(f"the anchor {parts.scheme}://{parts.hostname}: {wanted}")
    return parts


def _wanted(scheme: str, *, production: bool) -> Callable[[_Ip], bool]:
    """Give which addresses may be connected to."""
    if production:
        return _is_public
    return (lambda address: _inner(address).is_loopback) if scheme == "http" else lambda _: True


def _is_loopback(host: str) -> bool:
    try:
        return _inner(ipaddress.ip_address(host)).is_loopback
    except ValueError:
        return host == "localhost"


def _is_public(address: _Ip) -> bool:
    inner = _inner(address)
    return inner.is_global and not inner.is_multicast


def _inner(address: _Ip) -> _Ip:
    """Give the IPv4 address that an IPv6 one wraps, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _TRANSLATED:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        return address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1] or address
    return address


def _addresses(host: str, port: int) -> Sequence[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def _redirected(status: int) -> str:
    return "; a redirect is not followed" if 300 <= status < 400 else ""  # noqa: PLR2004  as HTTP has it

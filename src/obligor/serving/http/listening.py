"""The sockets that the REST door listens on: one for every address of a name, of IPv4 and of IPv6, all on one port."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BACKLOG: Final = 2048
_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A name may have addresses of other machines, and of a version of IP that this one does not speak."""
_TRIES: Final = 8
Address = tuple[socket.AddressFamily, tuple[Any, ...]]


def listen(
    host: str, port: int, *, resolve: Callable[..., Iterable[tuple[Any, ...]]] = socket.getaddrinfo
) -> list[socket.socket]:
    """Listen on every address of this machine that a host has, the same port on each; port 0 takes any that is free.

    ``::`` takes IPv4 too, as at the gRPC door. Any other IPv6 socket takes IPv6 alone, whatever the machine's default is, so
    that the two versions stand side by side.

    Raises
    ------
    UnavailableError
        Where the name is not known, none of its addresses is one of this machine, or the port is taken on one of them.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        found = resolve(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise UnavailableError(f"nothing can listen on {where}; wanted an address, or a name that has one") from None
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    both = [address[0] for _, address in addresses] == ["::"] and socket.has_dualstack_ipv6()
    for _ in range(1 if port else _TRIES):  # a port that was free on one address may be taken on another
        try:
            return _side_by_side(addresses, both=both)
        except OSError as error:
            if error.errno in _NOT_HERE:
                raise UnavailableError(f"nothing can listen on {where}; wanted an address of this machine") from None
    raise UnavailableError(f"nothing can listen on {where}; wanted a port that is free")


def _side_by_side(addresses: Iterable[Address], *, both: bool) -> list[socket.socket]:
    """Listen on those of some addresses that are here, by the port that the first one got; on all of them, or on none."""
    opened: list[socket.socket] = []
    away: OSError | None = None
    with ExitStack() as closing:
        for family, (name, port, *scope) in addresses:
            wanted = opened[0].getsockname()[1] if opened else port
            try:
                one = socket.create_server((name, wanted, *scope), family=family, backlog=BACKLOG, dualstack_ipv6=both)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                away = error
            else:
                opened.append(closing.enter_context(one))
        if away is not None and not opened:
            raise away
        closing.pop_all()
    return opened

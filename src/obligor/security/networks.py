"""Networks that an API key is bound to, or that proxies stand in: CIDR notation (RFC 4632; RFC 4291, 2.3), read strictly.

IPv4 has one form here: an address or a network that is written as IPv6 (``::ffff:10.0.0.0/104``) is the IPv4 one, since one
client comes by either, as the service happens to listen. So no network of IPv6 holds an address of IPv4, ``::/0`` neither.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, ClassVar, Final, Literal
from urllib.parse import unquote

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_NETWORKS: Final = 32
LONGEST_NETWORK: Final = 49
"""Of a network as text."""
CIDR: Final = "[0-9A-Fa-f.:]+(/[0-9]{1,3})?"
"""The pattern of a network as text, which is not all that it has to be."""
_CIDR: Final = re.compile(CIDR)
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_WITH_PORT: Final = re.compile(r"(?:ipv[46]:)?(?:\[(?P<v6>[^\]]+)\]|(?P<v4>[0-9.]+)):[0-9]+")


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks, such as those from which alone a key opens."""

    of: tuple[Network, ...]
    to: ClassVar[Literal["network"]] = "network"
    """What a key is bound to, as of tokens (``Bound``)."""

    def __contains__(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self.of)


NOWHERE: Final = Networks(())


def read_networks(texts: Iterable[str], *, what: str = "API key") -> tuple[Network, ...]:
    """Read networks, each once and in one order; an address stands for itself alone, and ``what`` they are of.

    Raises
    ------
    InvalidInputError
        Naming the place of what is none, or where there are too many.
    """
    read = {_read(text, f"{what}: network {place}") for place, text in enumerate(texts, 1)}
    found = sorted(read, key=lambda it: (it.version, it))
    if len(found) > MOST_NETWORKS:
        raise InvalidInputError(f"{what}: got {len(found)} networks, wanted at most {MOST_NETWORKS}")
    return tuple(found)


def address_of(peer: str) -> Address | None:
    """Read the address of the other end of a connection, in its one form; none where it is none.

    Takes an address as it stands, with a port, or as gRPC writes it (``ipv6:%5B::1%5D:50051``).
    """
    plain = unquote(peer)
    with_port = _WITH_PORT.fullmatch(plain)
    try:
        address = ip_address((with_port["v6"] or with_port["v4"]) if with_port else plain)
    except ValueError:
        return None
    return (address.ipv4_mapped if isinstance(address, IPv6Address) else None) or address


def sender_of(peer: str, forwarded: Iterable[str], proxies: Networks) -> str:
    """Give who sends a request: the other end of the connection, or whom the nearest proxies there say they have it from.

    ``forwarded`` is what ``X-Forwarded-For`` says, line by line: each proxy adds its own other end behind what it was told. So
    it is believed from its end, as long as it is one of ``proxies`` that says so; what a client wrote stands before that.
    """
    said = [hop.strip() for line in forwarded for hop in line.split(",")]
    while said and address_of(peer) in proxies and address_of(said[-1]) is not None:
        peer = said.pop()
    return peer


def _read(text: str, name: str) -> Network:
    plain = len(text) <= LONGEST_NETWORK and _CIDR.fullmatch(text) is not None
    got = f"got {text!r}; " if plain else ""  # anything else may be a secret that was put there by mistake
    try:
        network = _unmapped(ip_network(text if plain else "", strict=False))
    except ValueError:
        wanted = "wanted an address or a network such as 10.0.0.0/8 or 2001:db8::/32"
        raise InvalidInputError(f"{name}: {got}{wanted}") from None
    if _unmapped(ip_network(text.partition("/")[0])).network_address != network.network_address:
        wanted = f"wanted {network}, the network that it is of, or an address alone"
        raise InvalidInputError(f"{name}: {got}{wanted}")
    return network


def _unmapped(network: Network) -> Network:
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        mapped = int(network.network_address) & 0xFFFF_FFFF
        return IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network

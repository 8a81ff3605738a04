"""Who is calling: from the Authorization header of a request to the client whose key it shows, or to whom its token names.

What begins with ``obl_`` is an API key; anything else is a token, and is asked of whoever reads tokens. Both are remembered
and refused alike. A token that is bound to a key opens only for who holds it, an API key that is bound to networks only from
there, which is asked at every request.

Most requests show a key that was checked a moment ago; they cost one hash and one look into a table. What was checked is
believed for half a minute at most, and is asked for again at once where a change was told; expiry is held against the clock
at every request. Whoever is refused learns nothing: an unknown key, a wrong secret, a revoked and an expired key get the same
answer after the same work.

Failures of keys are limited by the pair of key id and network, and by network. A network is that of the connection (an IPv4
address, or the /64 of an IPv6 address), or what the lender's own proxies say that it is; never what a client claims. A key that
was shown in full before is not held up by what others try from the same network; a client that repeats a stale key uses up its
own pair, not what others behind the same proxy have.
A request that shows no key at all tries nothing, and is answered without being counted against anybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv6Address, ip_network
from math import ceil, inf
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, Protocol, TypeVar, get_args

from obligor.core.errors import InvalidInputError, LimitedError, UnauthenticatedError
from obligor.security.api_keys import ApiKey, is_secret, parse_key
from obligor.security.jose import TokenError
from obligor.security.networks import Networks, address_of, read_networks
from obligor.security.tokens import MOST_BYTES
from obligor.serving.acts import Caller
from obligor.serving.telemetry.journal import NoJournal

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

    from obligor.security.tokens import Bound
    from obligor.serving.people.tokens import Tokens
    from obligor.serving.rows import ApiKeyRow
    from obligor.serving.telemetry.journal import Telling

Refusal = Literal[
    "missing",
    "malformed",
    "unknown",
    "wrong",
    "revoked",
    "expired",
    "weak",
    "unbound",
    "unheld",
    "elsewhere",
    "limited",
]
Holds = Callable[["Bound", str], bool]
"""Tells whether who calls holds the key to which the token that they show, the second argument, is bound."""


_SILENT = NoJournal()
_BEARER, _DPOP = "bearer", "dpop"
_API_KEY = "obl_"
_MOST_HEADER = len(_BEARER) + 1 + MOST_BYTES
_NOBODYS_SHA256 = bytes(32)
_LONGEST_LIFETIME_S = 30.0

Key = TypeVar("Key")
Value = TypeVar("Value")


class ApiKeys(Protocol):
    """Where keys are found."""

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        """Find a key by its id."""
        ...


@dataclass(frozen=True, slots=True)
class Rate:
    """How many attempts may fail at once, and after how many seconds each next one."""

    burst: int
    every_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a checked key is believed, how much is remembered, and how often one may fail."""

    lifetime_s: float = _LONGEST_LIFETIME_S
    most_kept: int = 10_000
    by_key: Rate = Rate(10, 6.0)
    by_network: Rate = Rate(60, 1.0)
    most_lookups: int = 64
    """How many key ids the store is asked for at once on behalf of those who were not checked before."""

    def __post_init__(self) -> None:
        if not 0 < self.lifetime_s <= _LONGEST_LIFETIME_S:
            raise InvalidInputError(f"lifetime of a checked key: got {self.lifetime_s} s, wanted up to 30 s")


@dataclass(frozen=True, slots=True)
class _Found:
    """What the store said of a key id, and until when that is believed (of the monotonic clock)."""

    key: ApiKey | None
    fresh_until: float


@dataclass(frozen=True, slots=True)
class _Verified:
    caller: Caller
    fresh_until: float
    renew_from: float
    """From when on one request looks again, while the others go on: or all would at once, and wait for it."""


class Sender(NamedTuple):
    """Who sends a request, as far as their connection tells."""

    peer: str = ""
    """The address at its other end; empty where it is not known."""
    certificate: bytes | None = None
    """The SHA-256 of the certificate that they showed, if any."""


NOBODY: Final = Sender()


class Authenticator:
    """Finds the caller of a request; belongs to one event loop."""

    def __init__(
        self,
        keys: ApiKeys,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        limits: Limits = Limits(),
        refused: Callable[[Refusal], None] = lambda _: None,
        journal: Telling = _SILENT,
        tokens: Tokens | None = None,
    ) -> None:
        self._tokens = tokens
        self._keys, self._now, self._monotonic = keys, now, monotonic
        self._limits, self._refused, self._journal = limits, refused, journal
        self._attempts = Attempts(limits)
        self._verified: dict[bytes, _Verified] = {}  # by the hash of the header: no secret stays in memory
        self._known: dict[str, _Found] = {}
        self._nobody: dict[str, _Found] = {}  # apart, so that a flood of unknown ids pushes no known one out
        self._looking: dict[str, asyncio.Task[_Found]] = {}
        self._renewing: set[bytes] = set()
        self._generation = 0

    async def authenticate(
        self, header: str | None, *, peer: str, holds: Holds = lambda _bound, _token: False
    ) -> Caller:
        """Find the caller by the Authorization header; ``peer`` is the other end of the connection.

        Raises
        ------
        UnauthenticatedError
            Where the header shows no key and no token that opens anything now, or from there, or a token without its key.
        LimitedError
            Where too many attempts failed from there.
        UnavailableError
            Where the store does not say whether the key is one.
        """
        if header is None or len(header) > _MOST_HEADER:
            raise self._refusal("malformed" if header else "missing")
        caller = await self._named(header, peer=peer)
        if isinstance(caller.bound, Networks):
            if address_of(peer) not in caller.bound:
                attempt = (caller.key_id, network_of(peer))
                self._hold_up(attempt)
                raise self._failed(attempt, "elsewhere")
        elif caller.bound is not None and not holds(caller.bound, header.partition(" ")[2]):
            raise self._refusal("unheld")
        return caller

    async def _named(self, header: str, *, peer: str) -> Caller:
        digest = sha256(header.encode("utf-8", "replace")).digest()
        seen = self._seen(digest)
        if seen is not None and self._monotonic() < seen.renew_from:
            return seen.caller
        try:
            return await self._verify(header, digest, peer=peer)
        finally:
            self._renewing.discard(digest)

    def known(self, header: str, sender: Sender = NOBODY) -> Caller | None:
        """Find the caller by a header that was checked a moment ago; none where it must be looked at."""
        digest = sha256(header.encode("utf-8", "replace")).digest()
        seen = self._seen(digest)
        if seen is None:
            return None
        if self._monotonic() >= seen.renew_from and digest not in self._renewing:
            self._renewing.add(digest)
            return None
        caller = seen.caller
        return caller if caller.bound is None or _is_held(caller.bound, sender) else None

    def _seen(self, digest: bytes) -> _Verified | None:
        seen = self._verified.get(digest)
        if seen is not None and self._monotonic() < seen.fresh_until and self._now() < seen.caller.expires_at:
            return seen
        return None

    def forget(self) -> None:
        """Believe nothing any more that was checked: some key has changed."""
        self.doubt()
        self._verified = {digest: _Verified(it.caller, -inf, -inf) for digest, it in self._verified.items()}

    def doubt(self) -> None:
        """Look again at what was checked, at the next request of each caller: some key may have changed unheard."""
        self._generation += 1
        self._known.clear()
        self._nobody.clear()
        self._looking.clear()
        self._verified = {digest: _Verified(it.caller, it.fresh_until, -inf) for digest, it in self._verified.items()}

    def _verified_now(self, caller: Caller, fresh_until: float) -> _Verified:
        return _Verified(caller, fresh_until, self._renew_from(fresh_until))

    def _renew_from(self, fresh_until: float) -> float:
        return fresh_until - self._limits.lifetime_s / 3

    async def _verify(self, header: str, digest: bytes, *, peer: str) -> Caller:
        scheme, _, text = header.partition(" ")
        scheme = scheme.lower()
        if self._tokens is not None and text and scheme in (_BEARER, _DPOP) and not text.startswith(_API_KEY):
            return await self._verify_token(self._tokens, text, digest, signs=scheme == _DPOP)
        shown = parse_key(text if scheme == _BEARER else "")
        if shown is None:
            raise self._refusal("malformed" if header else "missing")
        attempt = (shown.key_id, network_of(peer))
        if digest not in self._verified:
            self._hold_up(attempt)
        generation = self._generation
        found = await self._find(shown.key_id)
        right = is_secret(shown.secret, found.key.secret_sha256 if found.key else _NOBODYS_SHA256)
        if found.key is None or not right or not found.key.opens(self._now()):
            self._verified.pop(digest, None)
            raise self._failed(attempt, _why(found.key, right=right))
        key = found.key
        bound = Networks(key.networks) if key.networks else None
        caller = Caller(key.client_id, key.key_id, key.scopes, key.expires_at, bound=bound)
        if generation == self._generation:
            _keep(self._verified, digest, self._verified_now(caller, found.fresh_until), most=self._limits.most_kept)
        return caller

    async def _verify_token(self, tokens: Tokens, text: str, digest: bytes, *, signs: bool) -> Caller:
        """Find who a token names; who ``signs`` proofs shows a token that wants them, and nobody else does.

        Nobody is held up: a signature cannot be guessed, and costs little to check.
        """
        generation, fresh_until = self._generation, self._monotonic() + self._limits.lifetime_s
        try:
            caller = await tokens.caller(text)
        except TokenError as error:
            self._verified.pop(digest, None)
            raise self._refusal(_known_reason(error.why)) from None
        if signs != (caller.bound is not None and caller.bound.to == "key"):
            raise self._refusal("unheld")
        if generation == self._generation:
            _keep(self._verified, digest, self._verified_now(caller, fresh_until), most=self._limits.most_kept)
        return caller

    def _hold_up(self, attempt: tuple[str, str]) -> None:
        wait = self._attempts.wait(attempt, attempt[1], self._monotonic())
        if not wait and len(self._looking) >= self._limits.most_lookups and attempt[0] not in self._looking:
            wait = 1.0
        if wait:
            self._refused("limited")
            raise LimitedError("too many attempts with keys that open nothing", retry_after=ceil(wait))

    async def _find(self, key_id: str) -> _Found:
        found = self._known.get(key_id) or self._nobody.get(key_id)
        if found is not None and self._monotonic() < self._renew_from(found.fresh_until):
            return found
        looking = self._looking.get(key_id)
        if looking is None:  # many requests of one client wait for one answer
            looking = self._looking[key_id] = asyncio.create_task(self._look_up(key_id))
            looking.add_done_callback(lambda task: self._looked(key_id, task))
        return await asyncio.shield(looking)

    async def _look_up(self, key_id: str) -> _Found:
        generation, fresh_until = self._generation, self._monotonic() + self._limits.lifetime_s
        row = await self._keys.api_key(key_id)
        found = _Found(None if row is None else key_of(row), fresh_until)
        if generation == self._generation:
            cache = self._nobody if found.key is None else self._known
            _keep(cache, key_id, found, most=self._limits.most_kept)
        return found

    def _looked(self, key_id: str, task: asyncio.Task[_Found]) -> None:
        if self._looking.get(key_id) is task:
            del self._looking[key_id]
        if not task.cancelled():
            task.exception()  # seen, even where every request that waited has gone

    def _failed(self, attempt: tuple[str, str], why: Refusal) -> UnauthenticatedError:
        self._attempts.failed(attempt, attempt[1], self._monotonic())
        self._journal.tell("refused", level="warning", why=why, key_id=attempt[0], network=attempt[1] or None)
        return self._refusal(why)

    def _refusal(self, why: Refusal) -> UnauthenticatedError:
        self._refused(why)
        return UnauthenticatedError("no API key or token that is known here", hint="send 'Authorization: Bearer …'")


def key_of(row: ApiKeyRow) -> ApiKey:
    """Give the key that a row keeps."""
    return ApiKey(
        key_id=row.key_id,
        client_id=row.client_id,
        name=row.name,
        scopes=frozenset(row.scopes),
        secret_sha256=row.secret_sha256,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        networks=read_networks(row.networks),
    )


def network_of(peer: str) -> str:
    """Give the network that counts as one: an IPv4 address, the /64 of an IPv6 address, else what was given."""
    address = address_of(peer)
    if address is None:
        return peer[:64]
    return str(ip_network((int(address), 64), strict=False) if isinstance(address, IPv6Address) else address)


def _is_held(bound: Bound | Networks, sender: Sender) -> bool:
    """Tell whether a connection alone shows that a binding is kept."""
    if isinstance(bound, Networks):
        return address_of(sender.peer) in bound
    return bound.to == "certificate" and bound.sha256 == sender.certificate


class Attempts:
    """Counts failures by the generic cell rate algorithm (ITU-T I.371): one number for each who tried, and each network.

    The number is the instant at which they are wholly free again; each failure moves it on.
    """

    def __init__(self, limits: Limits) -> None:
        self._most = limits.most_kept
        self._by_key, self._by_network = limits.by_key, limits.by_network
        self._keys: dict[Hashable, float] = {}
        self._networks: dict[str, float] = {}

    def wait(self, who: Hashable, network: str, at: float) -> float:
        """Give the seconds until another attempt may be made; 0 where it may be made now."""
        by_key = self._keys.get(who, -inf) - at - (self._by_key.burst - 1) * self._by_key.every_s
        by_network = self._networks.get(network, -inf) - at - (self._by_network.burst - 1) * self._by_network.every_s
        return max(by_key, by_network, 0.0)

    def failed(self, who: Hashable, network: str, at: float) -> None:
        """Count a failure."""
        _keep(self._keys, who, _later(self._keys.get(who, -inf), at, self._by_key), most=self._most)
        free_at = _later(self._networks.get(network, -inf), at, self._by_network)
        _keep(self._networks, network, free_at, most=self._most)

    def forgiven(self, who: Hashable, network: str) -> None:
        """Take a failure back that was counted before it was known."""
        if who in self._keys:
            self._keys[who] -= self._by_key.every_s
        if network in self._networks:
            self._networks[network] -= self._by_network.every_s


def _later(free_at: float, at: float, rate: Rate) -> float:
    """Move an instant on by one failure; failures that came at the same time hold nobody up for longer than the burst."""
    return min(max(free_at, at) + rate.every_s, at + rate.burst * rate.every_s)


def _why(key: ApiKey | None, *, right: bool) -> Refusal:
    if key is None:
        return "unknown"
    if not right:
        return "wrong"
    return "expired" if key.revoked_at is None else "revoked"


def _known_reason(why: str) -> Refusal:
    return next((it for it in get_args(Refusal) if it == why), "malformed")


def _keep(cache: dict[Key, Value], key: Key, value: Value, *, most: int) -> None:
    """Keep a value as the newest, and let the oldest go where there are too many."""
    cache.pop(key, None)
    if len(cache) >= most:
        del cache[next(iter(cache))]
    cache[key] = value

"""Who shows a token: a person, or a system of the lender's, from an identity provider or from this deployment itself.

A deployment has one source of people. Where an identity provider is named, nobody signs in here with a password, so that no
person has two accounts; where none is, people are those of the store.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from obligor.core.errors import InvalidInputError, ObligorError, UnavailableError
from obligor.security.access_tokens import PREFIX, read_access_token
from obligor.security.api_keys import check_client
from obligor.security.jose import TokenError
from obligor.security.tokens import Issuer, KeySet, UnknownKeyError, read_key_set, read_token
from obligor.serving.acts import Caller
from obligor.serving.people.roles import SYSTEMS_ROLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.core.checkpoints import VerifierKey
    from obligor.security.tokens import Claims
    from obligor.serving.people.access import PeopleArchive

FRESH_S: Final = 300
"""For how long a password that was just typed counts as a second look, in development."""
_FETCH_AT_MOST_EVERY_S: Final = 60.0
_LOOK_EARLY_S: Final = 240.0
_LOOK_AGAIN_S: Final = 300.0
_BELIEVED_S: Final = 3600.0
_MOST_WAITING: Final = 64


class KeySource(Protocol):
    """Where the key set of the identity provider is."""

    async def fetch(self) -> bytes:
        """Fetch it.

        Raises
        ------
        UnavailableError
            Where the provider does not answer as it should.
        """
        ...


class Tokens(Protocol):
    """Finds the caller that a token names."""

    async def caller(self, token: str) -> Caller:
        """Find the caller.

        Raises
        ------
        TokenError
            Where the token opens nothing.
        UnavailableError
            Where nobody can tell.
        """
        ...


class ProviderTokens:
    """Tokens of an identity provider; belongs to one event loop.

    Keys are fetched when they are first needed, looked at again every five minutes, and at once for a token with a key that is
    not known, though not more than once a minute whatever is sent: a key that the provider gave up is gone with the set it was
    in. Where the provider does not answer, keys that were fetched lately are believed for an hour, and then nobody is let in.

    A fetch belongs to nobody who asks: whoever leaves, and anybody may, takes no answer from the others. While keys are used
    they are looked at a minute early, beside those who use them. Somebody waits where nobody looked for five minutes, where
    their key is not known, or where no keys are believed; they are few, so that those whose key is known find room.
    """

    def __init__(
        self,
        issuer: Issuer,
        source: KeySource,
        people: PeopleArchive,
        *,
        now: Callable[[], datetime],
        second_factor: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """With ``second_factor``, a person's token without one opens nothing."""
        self._second_factor = second_factor
        self._issuer, self._source, self._people = issuer, source, people
        self._now, self._monotonic = now, monotonic
        self.well = True
        """Whether the provider gave its keys when it was asked last."""
        self._keys: KeySet | None = None
        self._fetched_at = self._tried_at = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0

    async def caller(self, token: str) -> Caller:
        """Find who the token names; nobody who was disabled here is let in, whatever the provider says."""
        if token.startswith(PREFIX):
            raise TokenError("malformed")
        keys = await self._known()
        try:
            claims = read_token(token, keys=keys, issuer=self._issuer, at=self._now())
        except UnknownKeyError:
            newer = await self._known(newer=True)
            claims = read_token(token, keys=newer, issuer=self._issuer, at=self._now())
        person = await self._people.person(claims.subject)
        if person is not None and person.user.disabled_at is not None:
            raise TokenError("revoked")
        return _strong_enough(_named(claims), asked=self._second_factor)

    async def _known(self, *, newer: bool = False) -> KeySet:
        """Give the keys, and have them fetched where they are due; ``newer``: the ones that are known did not do."""
        at = self._monotonic()
        tried = at - self._tried_at
        waits = newer or tried >= _LOOK_AGAIN_S or not self._believed(at)
        if (newer or at - self._fetched_at >= _LOOK_EARLY_S) and tried >= _FETCH_AT_MOST_EVERY_S:
            self._tried_at = at
            self._fetching = asyncio.create_task(self._fetch())
        if waits and self._fetching is not None:
            await self._wait_for(self._fetching)
        if self._keys is None or not self._believed(self._monotonic()):
            raise UnavailableError("the identity provider does not say by which keys its tokens verify")
        return self._keys

    def _believed(self, at: float) -> bool:
        return at - self._fetched_at < _BELIEVED_S

    async def _fetch(self) -> None:
        try:
            self._keys = read_key_set(await self._source.fetch())
            self._fetched_at, self.well = self._tried_at, True
        except (UnavailableError, InvalidInputError):  # what was fetched before is believed for a while
            self.well = False
        finally:
            self._fetching = None

    async def _wait_for(self, fetching: asyncio.Task[None]) -> None:
        if self._waiting >= _MOST_WAITING:
            raise UnavailableError("the identity provider is still being asked for its keys")
        self._waiting += 1
        try:
            await asyncio.shield(fetching)
        finally:
            self._waiting -= 1


class LocalTokens:
    """Tokens of people who signed in here; who they are is read from the token, what they may do from the store."""

    def __init__(
        self,
        key: VerifierKey,
        people: PeopleArchive,
        *,
        now: Callable[[], datetime],
        production: bool = True,
        second_factor: bool = False,
    ) -> None:
        self._second_factor = second_factor
        self._key, self._people, self._now, self._production = key, people, now, production

    async def caller(self, token: str) -> Caller:
        """Find who signed in."""
        signed = read_access_token(token, key=self._key)
        at = self._now().timestamp()
        if signed is None:
            raise TokenError("malformed")
        if not signed.at - FRESH_S <= at < signed.until:
            raise TokenError("expired")
        person = await self._people.person(signed.user_id)
        if person is None:
            raise TokenError("unknown")
        if person.user.disabled_at is not None or not person.user.password:
            raise TokenError("revoked")
        caller = Caller(
            f"person:{signed.user_id}",
            "",
            frozenset(),
            datetime.fromtimestamp(signed.until, UTC),
            kind="person",
            roles=person.granted,
            subject=signed.user_id,
            strong=not self._production and at < signed.at + FRESH_S,
        )
        return _strong_enough(caller, asked=self._second_factor)


def _strong_enough(caller: Caller, *, asked: bool) -> Caller:
    """Let a person pass only with a second factor, where everybody is asked for one."""
    if asked and caller.kind == "person" and not caller.strong:
        raise TokenError("weak")
    return caller


def _named(claims: Claims) -> Caller:
    """Give the caller of a provider's token: a system where its one role says so, and a person otherwise."""
    expires_at = datetime.fromtimestamp(claims.expires_at, UTC)
    if claims.roles != {SYSTEMS_ROLE}:
        if SYSTEMS_ROLE in claims.roles:
            raise TokenError("malformed")
        return Caller(
            f"person:{claims.subject}",
            "",
            frozenset(),
            expires_at,
            kind="person",
            roles=claims.roles,
            subject=claims.subject,
            strong=claims.strong,
            bound=claims.bound,
        )
    try:
        check_client(claims.client_id)
    except ObligorError:
        raise TokenError("malformed") from None
    return Caller(
        claims.client_id, "", frozenset(), expires_at, roles=claims.roles, subject=claims.subject, bound=claims.bound
    )

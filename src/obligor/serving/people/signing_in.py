"""Signing in with a password, where people are those of the store: a password comes in, and a token for ten minutes goes out.

Whoever is refused learns nothing: for an unknown, a disabled and a known person the work and the answer are the same. Failures
are limited by the person, from wherever they come, and by the network. Hashing is slow on purpose and takes memory: it is done
by threads, at most two at a time, and who finds too many waiting is told to come later.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from obligor.core.errors import ApplicationError, LimitedError, ObligorError, Problem, UnauthenticatedError
from obligor.core.strict_json import read_strict_json
from obligor.security.access_tokens import LIFETIME_S, write_access_token
from obligor.security.passwords import MOST_LENGTH, is_password
from obligor.serving.people.authenticating import Attempts, Limits, Rate, network_of
from obligor.serving.people.roles import check_user_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from obligor.security.signing import SigningKey
    from obligor.serving.people.access import PeopleArchive
    from obligor.serving.people.roles import People

_AT_ONCE = 2
_MOST_WAITING = 32
SIGN_IN_LIMITS = Limits(by_key=Rate(5, 60.0), by_network=Rate(20, 6.0))
"""Five failures of one person at once, and one every minute; twenty of a network, and one every six seconds."""


class _Shown(NamedTuple):
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who signed in, and their token."""

    user_id: str
    token: str

    def to_plain(self) -> dict[str, Any]:
        """Give the answer (RFC 6749, 5.1)."""
        return {"access_token": self.token, "token_type": "Bearer", "expires_in": LIFETIME_S}


class SignIn:
    """Gives tokens for passwords; belongs to one event loop."""

    def __init__(
        self,
        archive: PeopleArchive,
        people: People,
        key: SigningKey,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        limits: Limits = SIGN_IN_LIMITS,
    ) -> None:
        self._archive, self._people, self._key = archive, people, key
        self._now, self._monotonic = now, monotonic
        self._attempts = Attempts(limits)
        self._hashing, self._waiting = asyncio.Semaphore(_AT_ONCE), 0

    async def sign_in(self, body: bytes, *, peer: str) -> SignedIn:
        """Give a token for a user and a password.

        Raises
        ------
        ApplicationError
            Where the body is not the two of them.
        UnauthenticatedError
            Where they do not go together, whatever the reason.
        LimitedError
            Where too many attempts failed for this person, or from there, or too many wait.
        UnavailableError
            Where the store does not answer.
        """
        shown = _read(body)
        network = network_of(peer)
        # The person counts, from wherever it is tried: more addresses give no more attempts.
        if wait := self._attempts.wait(shown.user, network, self._monotonic()):
            raise LimitedError("too many attempts to sign in failed", retry_after=ceil(wait))
        self._attempts.failed(shown.user, network, self._monotonic())  # until it is known: others come meanwhile
        try:
            right = await self._right(shown)
        except ObligorError:
            self._attempts.forgiven(shown.user, network)
            raise
        if not right:
            raise UnauthenticatedError("no user with this password that is known here")
        self._attempts.forgiven(shown.user, network)
        await self._people.signed_in(shown.user)
        return SignedIn(shown.user, write_access_token(shown.user, key=self._key, at=int(self._now().timestamp())))

    async def _right(self, shown: _Shown) -> bool:
        person = await self._archive.person(shown.user)
        kept = None if person is None or person.user.disabled_at is not None else person.user.password
        if self._waiting >= _MOST_WAITING:
            raise LimitedError("too many wait to sign in", retry_after=1)
        self._waiting += 1
        try:
            async with self._hashing:
                return await asyncio.to_thread(is_password, shown.password, kept)
        finally:
            self._waiting -= 1


def _read(body: bytes) -> _Shown:
    wanted = "wanted a JSON object with the texts user and password, and nothing else"
    problem = ApplicationError(f"body: {wanted}", problems=(Problem((), wanted),))
    try:
        said = read_strict_json(body, what="body", error=ApplicationError)
    except ApplicationError:
        raise problem from None
    if not isinstance(said, dict) or said.keys() != {"user", "password"}:
        raise problem
    if not all(isinstance(it, str) and it for it in said.values()) or len(said["password"]) > MOST_LENGTH:
        raise problem
    check_user_id(said["user"])
    return _Shown(**said)

"""What every route needs: the use case, who calls, and what else the service is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from obligor.core.errors import ApplicationError, ForbiddenError, Problem
from obligor.security.permissions import allow
from obligor.serving.http.bodies import MOST_BYTES, read_body
from obligor.serving.http.heads import read_head
from obligor.serving.http.problems import JSON, Answer
from obligor.serving.http.wire import CERTIFICATE
from obligor.serving.refusals import NoRefusals
from obligor.serving.seats import Seats
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive, Scope

    from obligor.security.tokens import Bound
    from obligor.serving.actions.recording import ActionService
    from obligor.serving.acts import Caller, Recorded
    from obligor.serving.administering import Administration
    from obligor.serving.audit.acts import Page, Span
    from obligor.serving.deciding import DecisionService
    from obligor.serving.http.heads import Head
    from obligor.serving.overrides.overriding import OverrideService
    from obligor.serving.people.authenticating import Authenticator
    from obligor.serving.people.keys import KeyDesk
    from obligor.serving.people.proving import Proofs
    from obligor.serving.people.signing_in import SignIn
    from obligor.serving.privacy.orders import PrivacyDesk
    from obligor.serving.refusals import Refuses
    from obligor.serving.register import Register
    from obligor.serving.revealing import RevealService
    from obligor.serving.reviews.reviewing import ReviewService
    from obligor.serving.screening.desk import AlertDesk
    from obligor.serving.screening.disbursing import Disbursing
    from obligor.serving.telemetry.meter import Meter

CALLER = "obligor.caller"
"""Where a request keeps who was let in."""
_REPLAYED = (*JSON, (b"idempotent-replayed", b"true"))


class Log(Protocol):
    """The audit log, as an auditor reads it."""

    async def checkpoint(self) -> bytes:
        """Give the newest signed checkpoint, a note as text."""
        ...

    async def key(self) -> bytes:
        """Give the key that checkpoints verify by, as text."""
        ...

    async def consistency(self, first: int, second: int) -> Mapping[str, Any]:
        """Prove that the log of a size is the beginning of the log of another.

        Raises
        ------
        NotFoundError
            Where the log never had such a size.
        """
        ...

    async def acts(self, caller: Caller, span: Span) -> Page:
        """Give a page of the acts that a caller may read."""
        ...

    async def tile(self, name: str) -> bytes:
        """Give the hashes of a tile of the tree, one after the other.

        Raises
        ------
        NotFoundError
            Where there is no such tile.
        """
        ...


class Readiness(Protocol):
    """What the service stands on."""

    async def states(self) -> Mapping[str, bool]:
        """Tell of each dependency, by name, whether it answers."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """What the routes are made of."""

    service: DecisionService
    register: Register
    authenticator: Authenticator
    log: Log
    readiness: Readiness
    metrics: Callable[[], bytes]
    """Gives what was counted, in the text format of Prometheus."""
    meter: Meter = field(default_factory=NoMeter)
    seats: Seats = field(default_factory=Seats)
    beside: Callable[[], Mapping[str, bool]] = dict
    """Tells of what decisions can do without for a while, by name, whether it does its part."""
    refusals: Refuses = field(default_factory=NoRefusals)
    """Where refused attempts are told."""
    sign_in: SignIn | None = None
    """Gives tokens for passwords, where people are those of the store."""
    proofs: Proofs | None = None
    """Takes the proofs that a token's key is held, where tokens are those of an identity provider."""
    reviews: ReviewService = field(kw_only=True)
    """Takes requests for reviews."""
    overrides: OverrideService = field(kw_only=True)
    """Takes what people decide in place of the policy."""
    actions: ActionService = field(kw_only=True)
    """Takes what a lender did beside its decisions."""
    alerts: AlertDesk = field(kw_only=True)
    """Where alerts are looked at and cleared, by the few who may."""
    disbursing: Disbursing = field(kw_only=True)
    """Screens again before a loan is paid out."""
    administration: Administration = field(kw_only=True)
    """Looks after people, their roles and the compliance profile."""
    reveals: RevealService = field(kw_only=True)
    """Tells what applications say."""
    privacy: PrivacyDesk = field(kw_only=True)
    """Takes orders on people's data."""
    keys: KeyDesk = field(kw_only=True)
    """Takes orders on API keys."""

    async def caller(self, scope: Scope, head: Head) -> Caller:
        """Find the caller of a request."""
        shown = head.authorization
        caller = await self.authenticator.authenticate(
            None if shown is None else shown.decode("latin-1"),
            peer=peer_of(scope),
            holds=partial(self._holds, scope, head),
        )
        scope[CALLER] = caller
        return caller

    def _holds(self, scope: Scope, head: Head, bound: Bound, token: str) -> bool:
        """Tell whether who sent a request holds the key that its token is bound to."""
        if bound.to == "certificate":
            return scope.get(CERTIFICATE) == bound.sha256
        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        return (
            self.proofs is not None
            and head.dpop is not None
            and self.proofs.take(
                head.dpop.decode("latin-1"),
                token=token,
                key_sha256=bound.sha256,
                method=scope["method"],
                origin=f"{scope['scheme']}://{host}",
                path=scope["raw_path"].decode("latin-1"),
            )
        )

    async def body(self, scope: Scope, receive: Receive, *, most: int = MOST_BYTES) -> bytes:
        """Read the body of a request, which must be plain JSON."""
        read_head(scope["headers"]).check_body(most=most)
        return await read_body(receive, most=most)

    async def act(self, scope: Scope, receive: Receive, *, most: int = MOST_BYTES) -> tuple[str, bytes]:
        """Read what a request that records has: its idempotency key, and its body."""
        key = read_head(scope["headers"]).key
        return key, await self.body(scope, receive, most=most)

    def allow(self, caller: Caller, permission: str) -> None:
        """Refuse a caller without a permission.

        Raises
        ------
        ForbiddenError
            Naming the scopes and the roles that come with it.
        """
        try:
            allow(caller, permission)
        except ForbiddenError:
            self.meter.refused("scope")
            raise


def peer_of(scope: Scope) -> str:
    """Give the other end of the connection; empty where it is not known."""
    client = scope["client"]
    return client[0] if client else ""


def need_no_query(scope: Scope) -> None:
    """Refuse parameters where none are read: one that is misspelt would be taken for granted.

    Raises
    ------
    ApplicationError
        Where there are any.
    """
    if scope["query_string"]:
        raise ApplicationError("query: wanted none", problems=(Problem(("query",), "wanted no parameters here"),))


def recorded_answer(recorded: Recorded) -> Answer:
    """Give the answer of what was recorded, now or before."""
    return Answer(recorded.status, recorded.response, _REPLAYED if recorded.replayed else JSON)

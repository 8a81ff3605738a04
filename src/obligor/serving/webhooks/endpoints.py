"""Telling a client's systems of events: adding an endpoint, changing its secret, ending it; each an act with a leaf.

A person ends an endpoint for ever. One whose receiver answered ``410 Gone`` is stopped by the service, until a person enables
it again.

The record of an act holds all that is kept of the endpoint; of its secrets, which are kept sealed, the SHA-256 of what is kept.
A secret itself is shown once, to who asked for it; of a private key, which never leaves, its public half. A row that was put
into the store by another way, whose address or secret was exchanged, is not what the log says.
"""

from __future__ import annotations

import base64
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from obligor.core.errors import ClashError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.security.api_keys import check_client
from obligor.security.webhooks import new_secret, signature_of
from obligor.serving.acts import Act, Submission
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode
from obligor.serving.rows import WebhookRow
from obligor.serving.said import check_author
from obligor.serving.webhooks.events import check_event_types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta
    from uuid import UUID

    from obligor.security.webhooks import Signature
    from obligor.serving.acts import Recorder
    from obligor.serving.rows import SubjectKeyRow
    from obligor.serving.sources import Sources
    from obligor.serving.webhooks.secrets import SecretKeeper

SCHEMA: Final = "obligor/webhook/1"
_ID_BYTES: Final = 10
_LONGEST_URL: Final = 2000
_NOTHING: Final[Mapping[str, Any]] = {}
_SERVICE: Final = "client:obligor/webhooks"
"""No client can be called so."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up."""

    event_id: UUID
    endpoint_id: str
    type: str
    attempts: int
    last_status: int | None
    last_trouble: str
    settled_at: datetime


class NewSecret(NamedTuple):
    """An endpoint as it is kept, and its new secret, which is shown this once."""

    row: WebhookRow
    secret: bytes


@dataclass(frozen=True, slots=True)
class Webhooks:
    """What adding and changing endpoints needs."""

    recorder: Recorder
    sources: Sources
    check: Callable[[str], object]
    """Refuses an address that must not be reached."""
    by: str = field(default="")
    """Who does it: a person's name."""
    keeper: SecretKeeper | None = None
    """Seals secrets; without one they are kept as they are."""

    async def add(
        self, client_id: str, url: str, *, event_types: Iterable[str], signature: Signature = "hmac"
    ) -> NewSecret:
        """Tell a client of events at an address from now on.

        Raises
        ------
        InvalidInputError
            Where the address is refused, nobody is named, or the client or the events say nonsense.
        UnavailableError
            Where the store does not record it: then there is no such endpoint.
        """
        wanted = tuple(dict.fromkeys(event_types))
        check_client(client_id)
        refuse_card_data_in("url", url)
        check_event_types(wanted)
        if len(url) > _LONGEST_URL:
            raise InvalidInputError(f"a webhook's address has {len(url)} characters; wanted at most {_LONGEST_URL}")
        self.check(url)
        endpoint_id = f"ep_{base64.b32encode(self.sources.random(_ID_BYTES)).decode().lower()}"
        secret, kept, keys = self._new_secret(endpoint_id, signature)
        row = WebhookRow(
            endpoint_id=endpoint_id,
            client_id=client_id,
            url=url,
            event_types=wanted,
            state="active",
            secret=kept,
            previous_secret=None,
            previous_until=None,
            created_at=self.sources.now(),
        )
        await self._record("webhook.added", row, keys=keys)
        return NewSecret(row, secret)

    async def rotate(
        self, row: WebhookRow | None, *, overlap: timedelta, signature: Signature | None = None
    ) -> NewSecret:
        """Give an endpoint another secret, by default one that signs as the one before; both sign for the overlap."""
        old = _active(row)
        secret, kept, keys = self._new_secret(old.endpoint_id, signature or await self._signature(old))
        new = replace(
            old,
            secret=kept,
            previous_secret=old.secret if overlap else None,
            previous_until=self.sources.now() + overlap if overlap else None,
        )
        await self._record("webhook.changed", new, keys=keys)
        return NewSecret(new, secret)

    async def disable(self, row: WebhookRow | None) -> WebhookRow:
        """End an endpoint: nothing more is sent there."""
        ended = replace(_standing(row), state="disabled", previous_secret=None, previous_until=None)
        await self._record("webhook.disabled", ended)
        return ended

    async def stop(self, row: WebhookRow | None) -> None:
        """Stop an endpoint whose receiver said that it is no more, unless somebody changed it since; nobody need be named."""
        if row is not None and row.state == "active":
            with suppress(IntegrityError):  # it is read again before more is sent
                await self._record("webhook.gone", replace(row, state="gone"), by=_SERVICE)

    async def enable(self, row: WebhookRow | None) -> WebhookRow:
        """Go on with an endpoint that is gone."""
        stopped = _standing(row)
        if stopped.state == "active":
            raise ClashError(f"endpoint {stopped.endpoint_id}: is active; wanted one that is gone")
        enabled = replace(stopped, state="active")
        await self._record("webhook.enabled", enabled)
        return enabled

    async def replayed(self, row: WebhookRow | None, *, since: datetime | None, until: datetime | None) -> WebhookRow:
        """Note that somebody wants events of an endpoint sent again."""
        active, wanted = _active(row), {"since": _time(since), "until": _time(until)}
        await self._record("webhook.replayed", active, keep=False, beside=wanted)
        return active

    async def _signature(self, row: WebhookRow) -> Signature:
        kept = row.secret
        return signature_of(kept if self.keeper is None else await self.keeper.open(kept, of=row.endpoint_id))

    def _new_secret(self, endpoint_id: str, signature: Signature) -> tuple[bytes, bytes, tuple[SubjectKeyRow, ...]]:
        """Make a secret; give it, what is kept of it, and the key to keep with it."""
        secret = new_secret(signature, self.sources.random)
        if self.keeper is None:
            return secret, secret, ()
        kept, key = self.keeper.seal(secret, of=endpoint_id, at=self.sources.now())
        return secret, kept, (key,)

    async def _record(
        self,
        kind: str,
        row: WebhookRow,
        *,
        keep: bool = True,
        keys: tuple[SubjectKeyRow, ...] = (),
        beside: Mapping[str, Any] = _NOTHING,
        by: str | None = None,
    ) -> None:
        if by is None:
            check_author(self.by, of="an endpoint")
        act = Act(
            kind,
            self.sources.now(),
            by or f"person:{self.by}",
            row.endpoint_id,
            encode({**_said(row), **beside}),
            self.sources.salt(),
            (row, *keys) if keep else (),
        )
        await self.recorder.record(Submission((act,), lambda _: b""))


def _said(row: WebhookRow) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "endpoint_id": row.endpoint_id,
        "client_id": row.client_id,
        "url": row.url,
        "event_types": row.event_types,
        "state": row.state,
        "secret_sha256": sha256(row.secret).hexdigest(),
        "previous_sha256": None if row.previous_secret is None else sha256(row.previous_secret).hexdigest(),
        "previous_until": _time(row.previous_until),
        "created_at": time_text(row.created_at),
    }


def _standing(row: WebhookRow | None) -> WebhookRow:
    if row is None:
        raise NotFoundError("there is no endpoint of this id", hint="obligor webhooks list")
    if row.state == "disabled":
        raise ClashError(f"endpoint {row.endpoint_id}: was disabled before")
    return row


def _active(row: WebhookRow | None) -> WebhookRow:
    if (standing := _standing(row)).state == "gone":
        raise ClashError(f"endpoint {standing.endpoint_id}: is gone", hint="obligor webhooks enable")
    return standing


def _time(at: datetime | None) -> str | None:
    return None if at is None else time_text(at)

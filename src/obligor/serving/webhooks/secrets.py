"""Secrets that the service must be able to read, such as those that sign webhooks, sealed like what is personal.

A secret stands in the store under a data key of what it belongs to, which the keys of the deployment wrap: who reads the
database alone signs nothing, and a rotation of the data keys covers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import msgspec

from obligor.core.errors import IntegrityError, ObligorError, SealError
from obligor.security.sealing import ID_BYTES, NONCE_BYTES, TAGGED, Wrapped
from obligor.serving.encoding import encode_in_order
from obligor.serving.rows import SubjectKeyRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from obligor.serving.archive import StoredDecision
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.privacy.sealed import Opened, Sealer
    from obligor.serving.webhooks.delivering import ClaimedEvent

ENDPOINT: Final = "webhook endpoint"
_COLUMN: Final = "secret"
_PLAIN_BYTES: Final = 32
"""What was kept before secrets were sealed: the secret itself."""


class Decisions(Protocol):
    """Where decisions are found."""

    async def decisions(self, decision_ids: Sequence[UUID]) -> dict[UUID, StoredDecision]:
        """Find decisions by their ids."""
        ...


class SecretKeeper:
    """Seals secrets, and opens them; those that it opened it remembers, as the process signs by them anyway."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self._opened: dict[tuple[str, bytes], bytes] = {}

    def seal(self, secret: bytes, *, of: str, at: datetime) -> tuple[bytes, SubjectKeyRow]:
        """Seal a secret of something, named by its id; give what is kept, and the key to keep with it."""
        ring = self._sealer.keyring
        subject = ring.subject(ENDPOINT, of)
        key, wrapped = ring.new_data_key(subject)
        box = key.seal(secret, column=_COLUMN, row=of.encode(), nonce=self._sealer.sources.random(NONCE_BYTES))
        return key.key_id + box, SubjectKeyRow(key.key_id, subject, wrapped.version, wrapped.wrapped, at)

    async def open(self, kept: bytes, *, of: str) -> bytes:
        """Open a secret.

        Raises
        ------
        SealError
            Where it was changed, or is another's, or its key is gone.
        """
        if len(kept) == _PLAIN_BYTES:
            return kept
        known = self._opened.get((of, kept))
        if known is None:
            known = self._opened[of, kept] = await self._open(kept, of=of)
        return known

    async def _open(self, kept: bytes, *, of: str) -> bytes:
        key_id, box = kept[:ID_BYTES], kept[ID_BYTES:]
        found = (await self._sealer.keys.subject_keys([key_id])).get(key_id)
        if found is None or found.version is None or found.wrapped is None:
            raise SealError(f"endpoint {of}: the key of its secret is gone")
        ring = self._sealer.keyring
        wrapped = Wrapped(found.version, found.wrapped)
        key = ring.unwrap(wrapped, key_id=key_id, subject=ring.subject(ENDPOINT, of))
        return key.open(box, column=_COLUMN, row=of.encode())


class Revealer:
    """Opens what goes outside in the clear: the secrets that sign it, and what the client calls the application."""

    def __init__(self, keeper: SecretKeeper, archive: Decisions, opener: Opener) -> None:
        self._keeper, self._archive, self._opener = keeper, archive, opener

    async def secret(self, kept: bytes, *, of: str) -> bytes:
        """Give a secret of an endpoint."""
        return await self._keeper.open(kept, of=of)

    async def payloads(self, events: Sequence[ClaimedEvent]) -> list[bytes | ObligorError]:
        """Give what is told, with the application's name in place of its tag; without one where the person was erased.

        Raises
        ------
        UnavailableError
            Where the store does not answer.
        """
        about = [_about(it) for it in events]
        ids = {it for it in about if isinstance(it, UUID)}
        stored = await self._archive.decisions(sorted(ids)) if ids else {}
        opened = await self._opened([*stored.values()]) if stored else {}
        return [
            _named(event, opened.get(it)) if isinstance(it, UUID) else it or event.payload
            for event, it in zip(events, about, strict=True)
        ]

    async def _opened(self, stored: Sequence[StoredDecision]) -> dict[UUID, Opened | ObligorError]:
        """Open records together, and each by itself where one of them cannot be opened."""
        try:
            return dict(zip((it.decision_id for it in stored), await self._opener.open(*stored), strict=True))
        except ObligorError as error:
            if len(stored) == 1:
                return {stored[0].decision_id: error}
            return {name: it for each in stored for name, it in (await self._opened([each])).items()}


def _about(event: ClaimedEvent) -> UUID | IntegrityError | None:
    """Name the decision that says what the client calls the application; none where the event says so itself."""
    if event.application_id is None or not event.application_id.startswith(TAGGED):
        return None
    try:
        return UUID(msgspec.json.decode(event.payload)["decision_id"])
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
        return IntegrityError(f"event {event.event_id}: tells of no decision")


def _named(event: ClaimedEvent, opened: Opened | ObligorError | None) -> bytes | ObligorError:
    if opened is None:
        return IntegrityError(f"event {event.event_id}: tells of a decision that is not kept")
    if isinstance(opened, ObligorError):
        return opened
    said: dict[str, Any] = msgspec.json.decode(event.payload)
    return encode_in_order(said | {"application_id": opened.record["application_id"]})

"""Secrets that the service must be able to read, such as those that sign webhooks, sealed like what is personal.

A secret stands in the store under a data key of what it belongs to, which the keys of the deployment wrap: who reads the
database alone signs nothing, and a rotation of the data keys covers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol
from uuid import UUID

import msgspec

from obligor.core.errors import IntegrityError, SealError
from obligor.security.sealing import ID_BYTES, NONCE_BYTES, TAGGED, Wrapped
from obligor.serving.encoding import encode_in_order
from obligor.serving.rows import SubjectKeyRow

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.serving.archive import StoredDecision
    from obligor.serving.privacy.opening import Opener
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.webhooks.delivering import ClaimedEvent

ENDPOINT: Final = "webhook endpoint"
_COLUMN: Final = "secret"
_PLAIN_BYTES: Final = 32
"""What was kept before secrets were sealed: the secret itself."""


class Decisions(Protocol):
    """Where decisions are found."""

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision."""
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

    async def payload(self, event: ClaimedEvent) -> bytes:
        """Give what is told, with the application's name in place of its tag; without one where the person was erased."""
        if event.application_id is None or not event.application_id.startswith(TAGGED):
            return event.payload
        said: dict[str, Any] = msgspec.json.decode(event.payload)
        stored = await self._archive.decision(UUID(said["decision_id"]))
        if stored is None:
            raise IntegrityError(f"decision {said['decision_id']}: is told of, and not kept")
        (opened,) = await self._opener.open(stored)
        return encode_in_order(said | {"application_id": opened.record["application_id"]})

"""Making, revoking and replacing API keys: each an act with a leaf of its own.

The record of an act holds all that is kept of the key, the hash of its secret too: a row that was put into the store by another
way, or whose hash was changed for that of somebody else's secret, is not what the log says.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obligor.core.errors import ClashError, IntegrityError, NotFoundError
from obligor.core.leaves import time_text
from obligor.security.api_keys import RANDOM_BYTES, check_client, make_key
from obligor.security.networks import read_networks
from obligor.serving.acts import Act, Submission
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode
from obligor.serving.people.proposals import Order
from obligor.serving.rows import ApiKeyRow
from obligor.serving.said import check_author

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from obligor.security.api_keys import ApiKey, NewKey
    from obligor.serving.acts import Recorder
    from obligor.serving.sources import Sources

SCHEMA = "obligor/api-key/1"
_LEAST = timedelta(microseconds=1)


async def issue(
    client_id: str,
    *,
    scopes: Iterable[str],
    lasts: timedelta,
    by: str,
    recorder: Recorder,
    sources: Sources,
    name: str = "",
    networks: Iterable[str] = (),
) -> NewKey:
    """Make a key for a client; its text is shown once, by who asked for it.

    Raises
    ------
    InvalidInputError, CardDataError
        Where nobody is named, or the client, its scopes, the name of the key or its networks say nonsense.
    UnavailableError
        Where the store does not record it: then there is no such key.
    """
    check_author(by, of="an API key")
    check_client(client_id)
    refuse_card_data_in("name", name)
    at = sources.now()
    new = make_key(
        sources.random(RANDOM_BYTES),
        client_id=client_id,
        scopes=scopes,
        created_at=at,
        expires_at=at + lasts,
        name=name,
        networks=networks,
    )
    await _record((_act("key.created", row_of(new.kept), at=at, by=by, sources=sources),), recorder)
    return new


async def revoke(key: ApiKeyRow | None, *, by: str, recorder: Recorder, sources: Sources) -> ApiKeyRow:
    """Revoke a key: it opens nothing from now on.

    Raises
    ------
    NotFoundError
        Where there is no such key.
    InvalidInputError
        Where nobody is named.
    ClashError
        Where it was revoked before, or since it was read.
    """
    check_author(by, of="an API key")
    at = sources.now()
    revoked = replace(_usable(key), revoked_at=at)
    await _record_change((_act("key.revoked", revoked, at=at, by=by, sources=sources),), recorder)
    return revoked


async def rotate(
    key: ApiKeyRow | None, *, lasts: timedelta, overlap: timedelta, by: str, recorder: Recorder, sources: Sources
) -> NewKey:
    """Make a key that takes the place of another, which opens as before for the overlap and then nothing.

    Raises
    ------
    NotFoundError, InvalidInputError, ClashError
        As ``revoke`` does, and where it was replaced before.
    """
    check_author(by, of="an API key")
    old, at = _usable(key), sources.now()
    if old.replaced_by is not None:
        raise ClashError(f"API key {old.key_id}: was replaced before, by {old.replaced_by}")
    new = make_key(
        sources.random(RANDOM_BYTES),
        client_id=old.client_id,
        scopes=old.scopes,
        created_at=at,
        expires_at=at + lasts,
        name=old.name,
        networks=old.networks,
    )
    made = row_of(new.kept)
    until = max(min(old.expires_at, at + overlap), old.created_at + _LEAST)
    ending = replace(old, expires_at=until, replaced_by=made.key_id)
    acts = (
        _act("key.rotated", ending, at=at, by=by, sources=sources),
        _act("key.created", made, at=at, by=by, sources=sources, replaces=old.key_id),
    )
    await _record_change(acts, recorder)
    return new


def order_to_issue(
    client_id: str,
    *,
    scopes: Iterable[str],
    lasts: timedelta,
    name: str = "",
    networks: Iterable[str] = (),
    because: str = "",
) -> Order:
    """Say that a client is to get a key, which takes two people."""
    said = {"client": client_id, "name": name, "scopes": sorted(set(scopes)), "days": lasts / timedelta(days=1)}
    bound = [str(it) for it in read_networks(networks)]
    return Order("key.created", said | ({"networks": bound} if bound else {}), because)


def order_to_rotate(key_id: str, *, lasts: timedelta, overlap: timedelta, because: str = "") -> Order:
    """Say that another key is to take the place of one, which takes two people."""
    said = {"key_id": key_id, "days": lasts / timedelta(days=1), "overlap_hours": overlap / timedelta(hours=1)}
    return Order("key.rotated", said, because)


def plain_key(key: ApiKey | ApiKeyRow) -> dict[str, Any]:
    """Give what may be shown of a key."""
    return {
        "key_id": key.key_id,
        "client": key.client_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "networks": [str(it) for it in key.networks],
        "created_at": time_text(key.created_at),
        "expires_at": time_text(key.expires_at),
        "revoked_at": None if key.revoked_at is None else time_text(key.revoked_at),
    }


def plain_listed(key: ApiKey, at: datetime) -> dict[str, Any]:
    """Give what may be shown of a key among others: also whether it opens anything at an instant."""
    return plain_key(key) | {"state": key.state(at)}


def row_of(key: ApiKey) -> ApiKeyRow:
    """Give the row that keeps a key."""
    return ApiKeyRow(
        key_id=key.key_id,
        client_id=key.client_id,
        name=key.name,
        scopes=tuple(sorted(key.scopes)),
        secret_sha256=key.secret_sha256,
        created_at=key.created_at,
        expires_at=key.expires_at,
        revoked_at=key.revoked_at,
        networks=tuple(map(str, key.networks)),
    )


def _usable(key: ApiKeyRow | None) -> ApiKeyRow:
    if key is None:
        raise NotFoundError("there is no API key of this id", hint="obligor keys list")
    if key.revoked_at is not None:
        raise ClashError(f"API key {key.key_id}: was revoked before, at {time_text(key.revoked_at)}")
    return key


def _act(kind: str, row: ApiKeyRow, *, at: datetime, by: str, sources: Sources, **beside: str) -> Act:
    said = {
        "schema": SCHEMA,
        "key_id": row.key_id,
        "client_id": row.client_id,
        "name": row.name,
        "scopes": row.scopes,
        "secret_sha256": row.secret_sha256.hex(),
        "created_at": time_text(row.created_at),
        "expires_at": time_text(row.expires_at),
        "revoked_at": None if row.revoked_at is None else time_text(row.revoked_at),
        "replaced_by": row.replaced_by,
        "networks": row.networks,
        **beside,
    }
    return Act(kind, at, f"person:{by}", row.key_id, encode(said), sources.salt(), (row,))


async def _record_change(acts: tuple[Act, ...], recorder: Recorder) -> None:
    """Record a change of a key, which the store refuses where somebody revoked or replaced it since it was read."""
    try:
        await _record(acts, recorder)
    except IntegrityError:
        raise ClashError(f"API key {acts[0].subject}: was revoked meanwhile, or replaced, and stays so") from None


async def _record(acts: tuple[Act, ...], recorder: Recorder) -> None:
    await recorder.record(Submission(acts, lambda _: b""))

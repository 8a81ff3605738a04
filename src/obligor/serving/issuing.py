"""Making, revoking and replacing API keys: each an act with a leaf of its own; of a key's secret only the hash is recorded."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obligor.core.errors import InvalidInputError, NotFoundError
from obligor.core.leaves import time_text
from obligor.security.api_keys import RANDOM_BYTES, make_key
from obligor.serving.acts import Act, ApiKeyRow, Submission
from obligor.serving.encoding import encode

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
) -> NewKey:
    """Make a key for a client; its text is shown once, by who asked for it."""
    _named(by)
    at = sources.now()
    new = make_key(
        sources.random(RANDOM_BYTES),
        client_id=client_id,
        scopes=scopes,
        created_at=at,
        expires_at=at + lasts,
        name=name,
    )
    row = _row(new.kept)
    await _record((_act("key.created", row, at=at, by=by, sources=sources),), recorder)
    return new


async def revoke(key: ApiKeyRow | None, *, by: str, recorder: Recorder, sources: Sources) -> ApiKeyRow:
    """Revoke a key: it opens nothing from now on.

    Raises
    ------
    NotFoundError
        Where there is no such key.
    InvalidInputError
        Where it was revoked before.
    """
    _named(by)
    at = sources.now()
    revoked = replace(_usable(key), revoked_at=at)
    await _record((_act("key.revoked", revoked, at=at, by=by, sources=sources),), recorder)
    return revoked


async def rotate(
    key: ApiKeyRow | None, *, lasts: timedelta, overlap: timedelta, by: str, recorder: Recorder, sources: Sources
) -> NewKey:
    """Make a key that takes the place of another, which opens as before for the overlap and then nothing.

    Raises
    ------
    NotFoundError, InvalidInputError
        As ``revoke`` does.
    """
    _named(by)
    old, at = _usable(key), sources.now()
    ending = replace(old, expires_at=max(min(old.expires_at, at + overlap), old.created_at + _LEAST))
    new = make_key(
        sources.random(RANDOM_BYTES),
        client_id=old.client_id,
        scopes=old.scopes,
        created_at=at,
        expires_at=at + lasts,
        name=old.name,
    )
    acts = (
        _act("key.rotated", ending, at=at, by=by, sources=sources),
        _act("key.created", _row(new.kept), at=at, by=by, sources=sources),
    )
    await _record(acts, recorder)
    return new


def _usable(key: ApiKeyRow | None) -> ApiKeyRow:
    if key is None:
        raise NotFoundError("there is no API key of this id", hint="obligor keys list")
    if key.revoked_at is not None:
        raise InvalidInputError(f"API key {key.key_id}: was revoked before")
    return key


def _named(by: str) -> None:
    if not by:
        raise InvalidInputError("an API key is somebody's act; wanted a name", hint="set OBLIGOR_AUTHOR")


def _row(key: ApiKey) -> ApiKeyRow:
    return ApiKeyRow(
        key.key_id,
        key.client_id,
        key.name,
        tuple(sorted(key.scopes)),
        key.secret_sha256,
        key.created_at,
        key.expires_at,
        key.revoked_at,
    )


def _act(kind: str, row: ApiKeyRow, *, at: datetime, by: str, sources: Sources) -> Act:
    return Act(kind, at, f"person:{by}", row.key_id, encode(_said(row)), sources.salt(), (row,))


def _said(row: ApiKeyRow) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "key_id": row.key_id,
        "client_id": row.client_id,
        "name": row.name,
        "scopes": row.scopes,
        "created_at": time_text(row.created_at),
        "expires_at": time_text(row.expires_at),
        "revoked_at": None if row.revoked_at is None else time_text(row.revoked_at),
    }


async def _record(acts: tuple[Act, ...], recorder: Recorder) -> None:
    await recorder.record(Submission(acts, lambda _: b""))

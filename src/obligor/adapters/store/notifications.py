"""Tells at once when a release is put in force, an API key, an endpoint or a list is changed, by whatever process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psycopg
from psycopg import sql

from obligor.adapters.store.address import connection_info

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RELEASES: Final = "obligor_release"
API_KEYS: Final = "obligor_api_key"
WEBHOOKS: Final = "obligor_webhook"
LISTS: Final = "obligor_list"
ALERTS: Final = "obligor_alert"
ERASURES: Final = "obligor_erasure"
KEYRINGS: Final = "obligor_keyring"
_EVERY_S: Final = 5.0
_PAUSE_S: Final = 1.0


async def follow(url: str, channel: str, *, every_s: float = _EVERY_S) -> AsyncIterator[str | None]:
    """Give what each notification says; None where there may have been one that was not heard, so that one looks.

    None comes at the start, every so often, and whenever the connection was lost and made anew. It ends only when it is closed.
    """
    info = connection_info(url, name="listener")
    while True:
        with suppress(psycopg.OperationalError, OSError):
            async with await psycopg.AsyncConnection.connect(info, autocommit=True) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                while True:
                    yield None
                    async for notification in connection.notifies(timeout=every_s):
                        yield notification.payload
        await asyncio.sleep(_PAUSE_S)
        yield None

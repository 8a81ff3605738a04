"""A service whose KMS gives other keys than were wrapped does not begin, and the log tells so."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.keyrings import Memory

from obligor.bootstrap import privacy
from obligor.bootstrap.store import open_store
from obligor.core.errors import SealError
from obligor.settings import read_settings

if TYPE_CHECKING:
    from pathlib import Path


class Changing(Memory):
    """Gives true keys until it is told to lie."""

    lies = False

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        key = super().unwrap(wrapped, context=context)
        return os.urandom(32) if self.lies else key


def test_a_kms_that_gives_another_key_is_refused_and_told_in_the_log(
    store_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kms = Changing()
    monkeypatch.setattr(privacy, "open_kms", lambda _settings: kms)
    settings = read_settings({"OBLIGOR_DATA": str(tmp_path), "OBLIGOR_DATABASE_URL": store_url})

    async def opened() -> None:
        async with open_store(store_url, settings) as store:
            await privacy.open_sealer(store, settings)

    asyncio.run(opened())
    kms.lies = True
    with pytest.raises(SealError, match="another key than was wrapped"):
        asyncio.run(opened())
    with psycopg.connect(store_url) as connection:
        rows = connection.execute("SELECT kind, count(*) FROM obligor.leaf GROUP BY 1 ORDER BY 1").fetchall()
    assert rows == [("datakey.created", 2), ("seal.broken", 1)]

"""Finds overrides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.serving.rows import OverrideRow

if TYPE_CHECKING:
    from uuid import UUID

    from obligor.adapters.store.pool import Pool

_OVERRIDE: Final = """
    SELECT decision_id, client_id, outcome, direction, reason, role, decided_at, by, agreed_by, expires_at
    FROM obligor.override
"""
_OF: Final = f"{_OVERRIDE} WHERE decision_id = %s"
_NEWEST: Final = (
    f"{_OVERRIDE} WHERE %(client)s::text IS NULL OR client_id = %(client)s ORDER BY leaf_index DESC LIMIT %(most)s"
)
_RECORD: Final = "SELECT body FROM obligor.override JOIN obligor.record USING (leaf_index) WHERE decision_id = %s"


class PostgresOverrides:
    """Fulfils :class:`obligor.serving.overrides.override.OverrideArchive`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def override_of(self, decision_id: UUID) -> OverrideRow | None:
        """Find the override of a decision."""
        found = await self._pool.rows(_OF, (decision_id,))
        return OverrideRow(**found[0]) if found else None

    async def override_record(self, decision_id: UUID) -> bytes | None:
        """Give the record of the override of a decision."""
        found = await self._pool.rows(_RECORD, (decision_id,))
        return bytes(found[0]["body"]) if found else None

    async def overrides(self, *, client_id: str | None, most: int) -> tuple[OverrideRow, ...]:
        """Give overrides, the newest first; of one client's decisions where one is named."""
        return tuple(OverrideRow(**it) for it in await self._pool.rows(_NEWEST, {"client": client_id, "most": most}))

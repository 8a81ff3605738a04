"""Finds proposals and approvals of compliance profiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.serving.rows import ProfileChangeRow

if TYPE_CHECKING:
    from obligor.adapters.store.pool import Pool

_CHANGES: Final = """
    SELECT change_id, step, profile_sha256, replaces_sha256, because, at, by FROM obligor.profile_change
    ORDER BY leaf_index DESC
"""


class PostgresProfileChanges:
    """Fulfils :class:`obligor.serving.releases.profile_changes.ProfileChanges`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def changes(self) -> tuple[ProfileChangeRow, ...]:
        """Give every step of every change, the newest first."""
        return tuple(ProfileChangeRow(**row) for row in await self._pool.rows(_CHANGES))

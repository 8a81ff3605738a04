"""Finds the steps of acts that take two people, and of changes of the compliance profile, which do too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.serving.rows import ProfileChangeRow, ProposalRow

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.adapters.store.pool import Pool

_STEPS: Final = """
    SELECT proposal_id, step, kind, said, because, proposed_by, expires_at, at, by FROM obligor.proposal
    WHERE {} ORDER BY leaf_index
"""
_OF: Final = _STEPS.format("proposal_id = %s")
_SINCE: Final = _STEPS.format("expires_at > %s AND expires_at < 'infinity'")
"""Between two instants the planner expects few, and goes by their index; after one, a third of all there ever were."""
_CHANGES: Final = """
    SELECT change_id, step, profile_sha256, replaces_sha256, because, at, by FROM obligor.profile_change
    ORDER BY leaf_index DESC
"""


class PostgresProposals:
    """Fulfils :class:`obligor.serving.people.proposals.ProposalArchive`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def steps_of(self, proposal_id: str) -> tuple[ProposalRow, ...]:
        """Give the steps of a proposal, in the order of the log."""
        return tuple(ProposalRow(**row) for row in await self._pool.rows(_OF, (proposal_id,)))

    async def steps_after(self, at: datetime) -> tuple[ProposalRow, ...]:
        """Give the steps of every proposal that expires after an instant, in the order of the log."""
        return tuple(ProposalRow(**row) for row in await self._pool.rows(_SINCE, (at,)))


class PostgresProfileChanges:
    """Fulfils :class:`obligor.serving.releases.profile_changes.ProfileChanges`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def changes(self) -> tuple[ProfileChangeRow, ...]:
        """Give every step of every change, the newest first."""
        return tuple(ProfileChangeRow(**row) for row in await self._pool.rows(_CHANGES))

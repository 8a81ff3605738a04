"""What auditors ask of the log while the service runs: its head, proofs, checkpoints, and what went to the anchors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from obligor.adapters.store.times import reached
from obligor.core.merkle import Frontier, consistency_proof, frontier_of, inclusion_proof
from obligor.governance.audit.restores import acknowledgements, read_restores
from obligor.governance.audit.source import StoredLeaf
from obligor.serving.holding import Hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from obligor.adapters.store.pool import Pool
    from obligor.core.merkle import Stored
    from obligor.governance.audit.restores import Restore, Tree
    from obligor.serving.audit.acts import Span

Proof = TypeVar("Proof")

_HASHES: Final = "SELECT hash FROM obligor.leaf WHERE index >= %s AND index < %s ORDER BY index"
_NODES: Final = "SELECT hash FROM obligor.node WHERE level = %s AND index >= %s AND index < %s ORDER BY index"

_ANCHORED: Final = """
    WITH RECURSIVE named (anchor) AS (
        SELECT min(anchor) FROM obligor.anchoring
        UNION ALL
        SELECT (SELECT min(anchor) FROM obligor.anchoring WHERE anchoring.anchor > named.anchor) FROM named
        WHERE anchor IS NOT NULL
    ) SELECT newest.* FROM named CROSS JOIN LATERAL (
        SELECT anchor, size, at FROM obligor.anchoring WHERE anchoring.anchor = named.anchor ORDER BY size DESC LIMIT 1
    ) AS newest
"""
"""From one anchor to the next: each keeps thousands of checkpoints."""

RESTORES: Final = """
    SELECT index, kind, leaf.body, hash, record.body AS record, salt
    FROM obligor.leaf
    LEFT JOIN LATERAL (SELECT body, salt FROM obligor.record WHERE leaf_index = index OFFSET 0) AS record ON true
    WHERE kind IN ('restore.proposed', 'restore.acknowledged') ORDER BY index
"""
"""By an index of its own, which holds these few leaves alone."""

_BOUNDS: Final = f"""
    SELECT CASE WHEN %(since)s::timestamptz IS NULL THEN 0 ELSE coalesce({reached("%(since)s")}, 0) END AS start,
        least(%(before)s::bigint, CASE WHEN %(until)s::timestamptz IS NOT NULL THEN {reached("%(until)s")} END, size) AS stop
    FROM obligor.tree_head
"""  # noqa: S608  words of our own
_ACTS: Final = """
    SELECT index AS leaf_index, told ->> 'at' AS at, told ->> 'by' AS by, kind, told ->> 'subject' AS about
    FROM (
        SELECT index, kind, convert_from(body, 'UTF8')::json AS told FROM obligor.leaf
        WHERE index >= %(start)s AND index < %(stop)s OFFSET 0
    ) AS leaf
    WHERE %(areas)s::text[] IS NULL OR told ->> 'by' = %(by)s OR split_part(CASE split_part(kind, '.', 1) WHEN 'act' THEN (
        SELECT proposal.kind FROM obligor.proposal WHERE proposal_id = told ->> 'subject' LIMIT 1
    ) ELSE kind END, '.', 1) = ANY (%(areas)s)
    ORDER BY index DESC LIMIT %(most)s
"""


class PostgresLog:
    """The audit log of a running service; while there is a hold, no new checkpoint of it is kept."""

    def __init__(self, pool: Pool, hold: Hold | None = None) -> None:
        self._pool = pool
        self._hold = hold or Hold()

    async def size(self) -> int:
        """Give the number of leaves."""
        (row,) = await self._pool.rows("SELECT size FROM obligor.tree_head")
        return int(row["size"])

    async def latest(self) -> datetime | None:
        """Give the time of the last act; None where there is none."""
        (row,) = await self._pool.rows("SELECT at FROM obligor.tree_head")
        at: datetime | None = row["at"]
        return at

    async def frontier(self, size: int | None = None) -> Frontier:
        """Give the right edge of the tree of a size, with its root; of all leaves where no size is given."""
        wanted = await self.size() if size is None else size
        return await self._proved(lambda stored: frontier_of(wanted, stored))

    async def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Prove that a leaf is in the tree of a size.

        Raises
        ------
        AuditError
            Where the tree has no such leaf.
        """
        return await self._proved(lambda stored: inclusion_proof(index, size, stored))

    async def consistency(self, old: int, new: int) -> tuple[bytes, ...]:
        """Prove that the tree of the old size is the beginning of that of the new one.

        Raises
        ------
        AuditError
            Where the sizes are not in order, or the log is not so long.
        """
        return await self._proved(lambda stored: consistency_proof(old, new, stored))

    async def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Give stored hashes of a level: of leaves (0), or of nodes."""
        query, which = (_NODES, (level, start, stop)) if level else (_HASHES, (start, stop))
        return [row["hash"] for row in await self._pool.rows(query, which)]

    async def bounds(self, span: Span) -> tuple[int, int]:
        """Give the first leaf of a span, and the one after its last."""
        (found,) = await self._pool.rows(_BOUNDS, span._asdict())
        return found["start"], found["stop"]

    async def acts(
        self, start: int, stop: int, *, by: str, areas: Sequence[str] | None, most: int
    ) -> list[dict[str, Any]]:
        """Give the newest acts between two leaves: those by somebody and those of areas; of all areas without any."""
        asked = {"start": start, "stop": stop, "by": by, "areas": areas, "most": most}
        return await self._pool.rows(_ACTS, asked)

    async def leaf(self, index: int) -> bytes | None:
        """Give the body of a leaf."""
        found = await self._pool.rows("SELECT body FROM obligor.leaf WHERE index = %s", (index,))
        return bytes(found[0]["body"]) if found else None

    async def checkpoint(self) -> tuple[int, bytes] | None:
        """Give the size and the note of the newest checkpoint."""
        found = await self._pool.rows("SELECT size, note FROM obligor.checkpoint ORDER BY size DESC LIMIT 1")
        return (found[0]["size"], bytes(found[0]["note"])) if found else None

    async def keep_checkpoint(self, size: int, note: bytes, *, at: datetime) -> None:
        """Keep a checkpoint; the first of a size stays."""
        self._hold.refuse()
        await self._pool.write(
            "INSERT INTO obligor.checkpoint (size, at, note) VALUES (%s, %s, %s) ON CONFLICT (size) DO NOTHING",
            (size, at, note),
        )

    async def keep_anchoring(self, anchor: str, size: int, *, at: datetime) -> None:
        """Note that an anchor keeps the checkpoint of a size."""
        await self._pool.write(
            "INSERT INTO obligor.anchoring (anchor, size, at) VALUES (%s, %s, %s) ON CONFLICT (anchor, size) DO NOTHING",
            (anchor, size, at),
        )

    async def anchored(self) -> dict[str, tuple[int, datetime]]:
        """Give for each anchor the size of the newest checkpoint that it keeps, and since when."""
        found = await self._pool.rows(_ANCHORED)
        return {row["anchor"]: (row["size"], row["at"]) for row in found}

    async def restores(self) -> tuple[Restore, ...]:
        """Give the acts by which people took note that the log was set back, by index."""
        return read_restores(StoredLeaf(**row) for row in await self._pool.rows(RESTORES))

    async def acknowledged(self) -> frozenset[Tree]:
        """Give the trees of anchors that are lost, as two people acknowledged."""
        return frozenset().union(*(it.names for it in acknowledgements(await self.restores())))

    async def _proved(self, make: Callable[[Stored], Proof]) -> Proof:
        """Make a proof out of tiles, each read when it turns out to be needed; a proof takes a handful."""
        tiles: dict[tuple[int, int, int], Sequence[bytes]] = {}

        def stored(level: int, start: int, stop: int) -> Sequence[bytes]:
            if (level, start, stop) not in tiles:
                raise _NeededError(level, start, stop)
            return tiles[level, start, stop]

        while True:
            try:
                return make(stored)
            except _NeededError as needed:
                tiles[needed.tile] = await self.hashes(*needed.tile)


class _NeededError(Exception):
    """A tile that was not read yet."""

    def __init__(self, level: int, start: int, stop: int) -> None:
        super().__init__(level, start, stop)
        self.tile = (level, start, stop)

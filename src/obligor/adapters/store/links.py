"""Keeps by what applications are alike, and which of them were linked for it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from obligor.adapters.store.pool import Pool
    from obligor.serving.linking import Mark

_FOLLOWED: Final = "SELECT next FROM obligor.link_progress"
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtext('obligor'), hashtext('links'))"
"""By who erases, too: of whoever is erased no mark is kept after."""
_FOLLOW: Final = "UPDATE obligor.link_progress SET (next, at) = (%(after)s, %(at)s) WHERE next = %(first)s"
_MARK: Final = """
    INSERT INTO obligor.link_mark (leaf_index, kind, mark, beside, at)
    SELECT leaf_index, kind, mark, beside, at
    FROM unnest(%s::int8[], %s::text[], %s::bytea[], %s::bytea[], %s::timestamptz[], %s::bytea[])
        AS given (leaf_index, kind, mark, beside, at, key_id)
    WHERE key_id IS NULL
        OR (SELECT destroyed_at IS NULL FROM obligor.subject_key WHERE subject_key.key_id = given.key_id)
"""
_LINK: Final = """
    WITH alike AS (
        SELECT mark.leaf_index, kind, beside = other_beside AS same, mark.at, earlier.*
        FROM unnest(%(leaves)s::int8[]) AS given (leaf_index) CROSS JOIN LATERAL (
            SELECT leaf_index, kind, mark, beside, at FROM obligor.link_mark
            WHERE link_mark.leaf_index = given.leaf_index OFFSET 0
        ) AS mark CROSS JOIN LATERAL (
            SELECT leaf_index AS other_index, beside AS other_beside, at AS other_at FROM obligor.link_mark AS known
            WHERE known.mark = mark.mark AND known.leaf_index < mark.leaf_index
            ORDER BY known.leaf_index DESC LIMIT 64
        ) AS earlier
    ), found AS (
        SELECT leaf_index, max(other_index) AS other_index, CASE
            WHEN kind = 'number' THEN 'other_person' WHEN kind = 'named' THEN 'other_number'
            WHEN same THEN 'repeated' ELSE 'contradicting' END AS why
        FROM alike WHERE kind = 'application' OR (kind IN ('number', 'named') AND NOT same)
        GROUP BY leaf_index, why
        UNION ALL
        SELECT leaf_index, max(other_index), 'velocity'
        FROM alike WHERE kind = 'person' AND NOT same AND other_at > at - interval '1 day'
        GROUP BY leaf_index HAVING count(DISTINCT other_beside) >= %(person_daily)s AND %(person_daily)s > 0
    )
    INSERT INTO obligor.link (leaf_index, why, other_index, at)
    SELECT leaf_index, why, other_index, %(at)s FROM found
    ON CONFLICT DO NOTHING RETURNING why
"""
"""To the last one before, of the 64 before that have the mark; what comes one by one (``OFFSET 0``) is found by its index,
whatever the planner knows of the tables."""


class PostgresLinks:
    """Fulfils :class:`obligor.serving.linking.Linkable`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def followed(self) -> int:
        """Give the leaf that comes next."""
        (row,) = await self._pool.rows(_FOLLOWED)
        return int(row["next"])

    async def link(
        self, marks: Sequence[Mark], *, first: int, after: int, person_daily: int, at: datetime
    ) -> Mapping[str, int]:
        """Keep marks and what they link, and that the log was followed from one leaf to another; count the links, by why.

        Nothing is kept where another process was quicker.
        """
        async with self._pool.connection() as connection, connection.transaction():
            await connection.execute("SET TRANSACTION READ WRITE")
            await connection.execute(_ALONE)
            moved = await connection.execute(_FOLLOW, {"first": first, "after": after, "at": at})
            if not moved.rowcount or not marks:
                return {}
            await connection.execute(_MARK, [list(it) for it in zip(*marks, strict=True)])
            given = {"leaves": sorted({it.leaf_index for it in marks}), "person_daily": person_daily, "at": at}
            linked = await connection.execute(_LINK, given)
            return Counter(str(why) for (why,) in await linked.fetchall())

"""Counts what people decided, by whom, with whom, and how fast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.adapters.store.times import SINCE, UNTIL
from obligor.core.conduct import WINDOW, Count, Pace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from obligor.adapters.store.pool import Pool

_DONE: Final[Mapping[str, str]] = {
    "overrides": """
        SELECT direction, outcome, reason, by, agreed_by, by AS judge, decided_at, leaf_index FROM obligor.override
    """,
    "reviews": """
        SELECT verdict, outcome, by, NULL AS agreed_by, by AS judge, decided_at, leaf_index FROM obligor.review_decision
    """,
    "agreements": """
        SELECT kind, proposed_by AS by, by AS agreed_by, by AS judge, at AS decided_at, leaf_index
        FROM obligor.proposal WHERE step = 'agreed'
        UNION ALL SELECT 'role.granted', proposed_by, by, by, at, leaf_index FROM obligor.user_role
        WHERE state = 'granted' AND by <> proposed_by
        UNION ALL SELECT 'profile.approved', proposed.by, approved.by, approved.by, approved.at, approved.leaf_index
        FROM obligor.profile_change AS approved JOIN obligor.profile_change AS proposed
            ON proposed.change_id = approved.change_id AND proposed.step = 'proposed' AND approved.step = 'approved'
    """,
    "alert_steps": """
        SELECT this.step, coalesce(first.by, this.by) AS by, CASE WHEN first.by IS NOT NULL THEN this.by END AS agreed_by,
            this.by AS judge, this.at AS decided_at, this.leaf_index
        FROM obligor.alert_step AS this LEFT JOIN obligor.alert_step AS first
            ON first.alert_id = this.alert_id AND this.step IN ('cleared', 'corrected') AND first.step = CASE
                WHEN this.step = 'corrected' THEN 'doubted' WHEN this.finding = 'due_diligence' THEN 'examined'
                ELSE 'proposed' END
    """,
}
"""What is done by people: what it is counted by, whose it is, who agreed, and who looked at it when."""
_COUNTS: Final = """
    SELECT to_json(done)::jsonb - '{{by,agreed_by,judge,decided_at,leaf_index}}'::text[] AS said, by, agreed_by,
        count(*) AS number
    FROM ({}) AS done {} GROUP BY said, by, agreed_by ORDER BY by, agreed_by
"""
_PACES: Final = f"""
    SELECT judge AS by, count(*) AS number, max(within) AS most_in_window,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY gap_s) AS median_gap_s
    FROM (
        SELECT judge,
            count(*) OVER (busy RANGE BETWEEN CURRENT ROW AND interval '{WINDOW.seconds} seconds' FOLLOWING) AS within,
            extract(epoch FROM decided_at - lag(decided_at) OVER busy)::float8 AS gap_s
        FROM ({{}}) AS done {{}} WINDOW busy AS (PARTITION BY judge ORDER BY decided_at)
    ) AS timed GROUP BY judge ORDER BY judge
"""  # noqa: S608  words of our own


class PostgresConduct:
    """Finds what a report of how people decide is made of."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def counts(self, what: str, *, since: datetime | None, until: datetime | None) -> tuple[Count, ...]:
        """Count what was done in a time, by what it is counted by and by whom."""
        query, asked = _COUNTS.format(_DONE[what], of_a_time(since, until)), {"since": since, "until": until}
        return tuple(Count(**it) for it in await self._pool.rows(query, asked))

    async def paces(self, what: str, *, since: datetime | None, until: datetime | None) -> tuple[Pace, ...]:
        """Tell how fast each person was in a time."""
        query, asked = _PACES.format(_DONE[what], of_a_time(since, until)), {"since": since, "until": until}
        return tuple(Pace(**it) for it in await self._pool.rows(query, asked))

    async def decisions(self, *, since: datetime | None, until: datetime | None) -> int:
        """Count the decisions of a time."""
        asked = {"since": since, "until": until}
        query = f"SELECT count(*) AS number FROM obligor.decision {of_a_time(since, until)}"  # noqa: S608  ours
        (found,) = await self._pool.rows(query, asked)
        return int(found["number"])


def of_a_time(since: datetime | None, until: datetime | None) -> str:
    """Write the condition that something was done in a time."""
    held = [condition for at, condition in ((since, SINCE), (until, UNTIL)) if at is not None]
    return f"WHERE {' AND '.join(held)}" if held else ""

"""Where along the log a time is reached."""

from __future__ import annotations

from typing import Final


def reached(time: str) -> str:
    """Write the leaf at which the log reaches a time, as a query that looks at some two dozen leaves.

    No index has the times. In the log they never go back, so that the leaf is found by halves. What a clock said is never
    later than the log's time, and earlier by as much as the clock was behind: who bounds a search by it asks for the exact
    time as well, and leaves an hour where that may be.
    """
    return f"""(
        WITH RECURSIVE halved (low, high) AS (
            SELECT 0::bigint, max(index) + 1 FROM obligor.leaf
            UNION ALL
            SELECT CASE WHEN earlier THEN index + 1 ELSE low END, CASE WHEN earlier THEN high ELSE (low + high) / 2 END
            FROM halved CROSS JOIN LATERAL (
                SELECT index, (convert_from(body, 'UTF8')::json ->> 'at')::timestamptz < {time} AS earlier FROM obligor.leaf
                WHERE index >= (low + high) / 2 ORDER BY index LIMIT 1
            ) AS probe WHERE low < high
        ) SELECT max(low) FROM halved
    )"""  # noqa: S608  words of our own


SINCE: Final = "decided_at >= %(since)s AND leaf_index >= " + reached("%(since)s")
UNTIL: Final = "decided_at < %(until)s AND leaf_index < " + reached("%(until)s + interval '1 hour'")
"""Of what was decided: not before a time, and before another."""

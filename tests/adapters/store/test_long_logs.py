"""What takes a part of a long log reads that part, and not the log from an end on."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from tests.stores import pages_read

from obligor.adapters.store.archive import _DECISIONS as FOUND
from obligor.adapters.store.log_source import _LEAVES
from obligor.adapters.store.screening import _DECISIONS as SCREENED

LONG, AT_ONCE = 60_000, 50
ROWS = (
    "INSERT INTO obligor.leaf (index, kind, body, hash) SELECT at, 'decision', sha256(at::text::bytea), sha256('') FROM made",
    "INSERT INTO obligor.record (leaf_index, body, salt) SELECT at, convert_to(repeat('x', 1500), 'UTF8'), '' FROM made",
    """INSERT INTO obligor.decision (decision_id, leaf_index, client_id, application_id, decided_at, outcome, band, score)
    SELECT gen_random_uuid(), at, 'bank', 'loan ' || at, now(), 'approve', 'A', 0 FROM made""",
)
PAGE = FOUND.format(which="WHERE leaf_index < %s ORDER BY leaf_index DESC LIMIT %s")
PARTS: dict[str, tuple[str, Any]] = {
    "the next to be screened": (SCREENED, (LONG // 2, None, AT_ONCE)),
    "a page of a search": (PAGE, (LONG // 2, AT_ONCE)),
    "leaves for an export": (_LEAVES, {"start": LONG // 2, "stop": LONG // 2 + AT_ONCE}),
}


@pytest.mark.parametrize("known", ["", "ANALYZE"], ids=["new", "analysed"])
def test_a_part_of_a_long_log_is_found_without_reading_what_lies_before_or_behind_it(
    store_url: str, known: str
) -> None:
    with psycopg.connect(store_url, row_factory=dict_row) as connection:
        for rows in ROWS:
            connection.execute(f"WITH made AS (SELECT generate_series(0, {LONG - 1}) AS at) {rows}".encode())
        if known:
            connection.execute(known.encode())
        for name, (query, given) in PARTS.items():
            assert len(connection.execute(query.encode(), given).fetchall()) == AT_ONCE
            assert pages_read(connection, query, given) < 20 * AT_ONCE, name

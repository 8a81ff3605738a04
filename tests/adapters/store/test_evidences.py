"""For whom evidence of an identity was shown first, whichever process asks, and at the same time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
from tests.lending import KEY

from obligor.adapters.store.evidences import PostgresEvidences
from obligor.adapters.store.pool import Pool

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_of_many_applicants_who_show_one_evidence_at_once_one_is_the_first_for_all_and_for_ever(store_url: str) -> None:
    async def run() -> None:
        pools = [Pool(store_url) for _ in range(4)]  # as of four processes
        shown = [bytes([number]) * 32 for number in range(20)]
        told = await asyncio.gather(
            *(
                PostgresEvidences(pools[at % 4]).whose(b"e" * 32, applicant, at=NOON)
                for at, applicant in enumerate(shown)
            )
        )
        assert len(set(told)) == 1
        assert told[0] in shown
        other = PostgresEvidences(pools[0])
        assert await other.whose(b"e" * 32, b"x" * 32, at=NOON) == told[0]
        assert await other.whose(b"f" * 32, b"x" * 32, at=NOON) == b"x" * 32
        for pool in pools:
            await pool.close()

    asyncio.run(run())
    with psycopg.connect(store_url) as connection:
        rows = connection.execute("SELECT count(*), count(DISTINCT evidence_hash) FROM obligor.kyc_evidence").fetchone()
    assert rows == (2, 2)


def test_a_secret_that_is_derived_is_the_same_for_a_purpose_and_no_other() -> None:
    one = KEY.derived("kyc evidence")
    assert (len(one), one) == (32, KEY.derived("kyc evidence"))
    assert KEY.derived("something else") != one

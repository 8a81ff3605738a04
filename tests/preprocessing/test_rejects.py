"""The declined stand in the sample of their day, and count against the accepted of the same period."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.preprocessing.ledgers import contract_of

from obligor.core.errors import TapeError
from obligor.preprocessing.outcome import define_outcome
from obligor.preprocessing.rejects import DeclinedCounts, place_declined
from obligor.preprocessing.splits import split_tape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.contract import Contract

EARLY, SEAM, MIDDLE, LATE = date(2024, 1, 1), date(2024, 3, 15), date(2024, 4, 1), date(2024, 9, 1)
BY_TIME = {"time": {"validation_from": date(2024, 3, 31), "test_from": date(2024, 8, 31)}}
Application = tuple[str | None, date, float]


def contract(split: dict[str, Any], *, weighted: bool = False) -> Contract:
    columns: dict[str, Any] = {
        "status": {"type": "text", "role": "outcome"},
        "applied": {"type": "date", "role": "applied_at", "required": True},
        "w": {"type": "number", "role": "weight" if weighted else "input"},
    }
    status = {"column": "status", "good": ["good"], "bad": ["bad"], "immature": ["current"]}
    outcome = {"window_months": 1, "status": status}
    return contract_of(columns, outcome, split=split, rejects={"when": "status = 'declined'"})


def placed(applications: Sequence[Application], said: Contract) -> tuple[dict[int, int], tuple[DeclinedCounts, ...]]:
    """Settle and place a tape; give the sample of each of the declined that is used, and the counts."""
    db = duckdb.connect()
    db.execute("CREATE TABLE applications (_row BIGINT, status VARCHAR, applied DATE, w DOUBLE)")
    db.executemany("INSERT INTO applications VALUES (?, ?, ?, ?)", [(i, *it) for i, it in enumerate(applications)])
    define_outcome(db, said)
    db.execute("CREATE VIEW usable AS SELECT _row FROM outcome")
    split_tape(db, said)
    db.execute(
        "CREATE TABLE fate AS SELECT a._row, CASE WHEN d._row IS NOT NULL THEN 'declined' WHEN p._row IS NOT NULL "
        "THEN 'quarantined' WHEN s._row IS NULL THEN 'excluded' ELSE 'used' END AS fate, "
        "COALESCE(e.reason, x.reason) AS reason "
        "FROM applications a LEFT JOIN declined d USING (_row) LEFT JOIN outcome_problems p USING (_row) LEFT JOIN split s "
        "USING (_row) LEFT JOIN outcome_exclusions e USING (_row) LEFT JOIN split_exclusions x USING (_row)"
    )
    counts = place_declined(db, said)
    return dict(db.execute("SELECT _row, sample FROM declined_split").fetchall()), counts


def both(*days: date) -> list[Application]:
    return [(status, day, 1.0) for day in days for status in ("good", "bad")]


KNOWN = both(EARLY, MIDDLE, LATE)


def test_the_declined_go_by_the_day_and_stay_out_near_the_seam() -> None:
    declined: list[Application] = [("declined", day, 1.0) for day in (EARLY, SEAM, MIDDLE, LATE, LATE)]
    found, counts = placed([*KNOWN, *declined], contract(BY_TIME))
    assert found == {6: 0, 8: 1, 9: 2, 10: 2}
    assert [(it.sample, it.rows, it.accepted, it.declined) for it in counts] == [
        ("train", 1, 2, 2),
        ("validation", 1, 2, 1),
        ("test", 2, 2, 2),
    ]


def test_accepted_loans_of_unknown_outcome_count_in_the_approval_rate_and_impossible_ones_do_not() -> None:
    more: list[Application] = [
        ("declined", EARLY, 1.0), ("current", EARLY, 1.0), (None, EARLY, 1.0), ("good", SEAM, 1.0), ("?", EARLY, 1.0),
    ]  # fmt: skip
    _, counts = placed([*KNOWN, *more], contract(BY_TIME))
    assert (counts[0].accepted, counts[0].declined) == (5, 1)
    assert counts[0].approval_rate == pytest.approx(5 / 6)
    assert [it.approval_rate for it in counts[1:]] == [1, 1]


def test_the_approval_rate_is_by_weight_where_rows_have_one() -> None:
    applications: list[Application] = [*KNOWN, ("declined", EARLY, 6.0)]
    _, counts = placed(applications, contract(BY_TIME, weighted=True))
    assert counts[0].approval_rate == pytest.approx(2 / 8)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), declined=st.integers(3, 60))
def test_a_draw_gives_every_sample_its_share_of_the_declined_and_depends_on_the_seed_alone(
    seed: int, declined: int
) -> None:
    said = contract({"random": {"validation": 0.25, "test": 0.25, "seed": seed}})
    tape = [*both(*[EARLY] * 8), *[("declined", LATE, 1.0)] * declined]
    found, counts = placed(tape, said)
    assert sorted(found) == list(range(16, 16 + declined))
    assert sum(it.rows for it in counts) == declined
    assert abs(counts[0].rows - declined / 2) < 1
    assert {it.approval_rate for it in counts} == {16 / (16 + declined)}
    assert placed(tape, said)[0] == found


@pytest.mark.parametrize(
    ("declined", "told"),
    [([], "of the whole tape: none"), ([("declined", LATE, 1.0)] * 2, "of the whole tape: 2 declined")],
)
def test_a_contract_that_names_declined_of_whom_train_has_none_is_refused(
    declined: list[Application], told: str
) -> None:
    with pytest.raises(TapeError, match=f"train has none; {told}"):
        placed([*KNOWN, *declined], contract(BY_TIME))

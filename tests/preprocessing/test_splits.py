"""Samples share no loan, and train knows nothing that was not known when validation began."""

from __future__ import annotations

from datetime import date, timedelta
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.preprocessing.ledgers import contract_of, months_later

from obligor.core.errors import TapeError
from obligor.preprocessing.splits import SEAM, apportion, split_tape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.contract import Contract

VALIDATION, TEST = date(2024, 3, 31), date(2024, 8, 31)


def split_contract(split: dict[str, Any], *, months: int = 1) -> Contract:
    columns = {
        "status": {"type": "text", "role": "outcome"},
        "applied": {"type": "date", "role": "applied_at", "required": True},
    }
    outcome = {"window_months": months, "status": {"column": "status", "good": ["good"], "bad": ["bad"]}}
    return contract_of(columns, outcome, split=split)


def by_time(**more: Any) -> dict[str, Any]:
    return {"time": {"validation_from": VALIDATION, "test_from": TEST, **more}}


def tape(loans: Sequence[tuple[int | None, date | None]]) -> duckdb.DuckDBPyConnection:
    """Write loans by whether they are bad (None where that is not known) and the day they were applied for."""
    db = duckdb.connect()
    db.execute(
        "CREATE TABLE applications (_row BIGINT, applied DATE); CREATE TABLE outcome (_row BIGINT, bad UTINYINT)"
    )
    db.executemany("INSERT INTO applications VALUES (?, ?)", [(i, day) for i, (_, day) in enumerate(loans)])
    known = [(i, bad) for i, (bad, _) in enumerate(loans) if bad is not None]
    db.executemany("INSERT INTO outcome VALUES (?, ?)", known)
    db.execute("CREATE VIEW usable AS SELECT _row FROM applications")
    return db


def samples(db: duckdb.DuckDBPyConnection) -> dict[int, int]:
    return dict(db.execute("SELECT _row, sample FROM split").fetchall())


def both(*days: date) -> list[tuple[int | None, date | None]]:
    return [(bad, day) for day in days for bad in (0, 1)]


EARLY, MIDDLE, LATE = date(2024, 1, 1), date(2024, 4, 1), date(2024, 9, 1)


# --- laws --------------------------------------------------------------------------------------------------------

DAYS = st.one_of(
    st.dates(date(2023, 12, 1), date(2024, 12, 1)),
    st.sampled_from([VALIDATION, TEST, date(2024, 2, 29), date(2024, 1, 31), date(2024, 7, 31), date(2024, 6, 30)]),
)


@settings(max_examples=50)
@given(
    loans=st.lists(st.tuples(st.sampled_from([0, 1, None]), DAYS), max_size=20),
    months=st.integers(1, 3),
    waived=st.booleans(),
)
def test_each_loan_is_in_its_period_unless_its_outcome_was_unknown_at_the_seam(
    *, loans: list[tuple[int | None, date]], months: int, waived: bool
) -> None:
    firm = both(date(2023, 1, 1), date(2024, 4, 1), LATE)  # with three months, known before the next seam
    db = tape([*firm, *loans])
    contract = split_contract(by_time(ignore_outcome_window="closed loans" if waived else ""), months=months)
    counts = split_tape(db, contract)
    found = samples(db)
    excluded = dict(db.execute("SELECT * FROM split_exclusions").fetchall())
    for row, (bad, day) in enumerate([*firm, *loans]):
        place = 0 if day < VALIDATION else 1 if day < TEST else 2
        unknown = not waived and place < 2 and months_later(day, months) > (VALIDATION, TEST)[place]
        assert found.get(row) == (None if bad is None or unknown else place)
        assert excluded.get(row) == (SEAM if bad is not None and unknown else None)
    assert [it.rows for it in counts.samples] == [list(found.values()).count(place) for place in range(3)]
    assert sum(counts.excluded.values()) == len(excluded)
    assert list(found) == sorted(found)


@settings(max_examples=30)
@given(
    goods=st.integers(20, 80), bads=st.integers(20, 80), seed=st.integers(0, 2**63),
    order=st.randoms(use_true_random=False), validation=st.sampled_from([0.1, 0.2, 0.29, 1 / 3]),
    test=st.sampled_from([0.1, 0.2, 0.25, 0.3]),
)  # fmt: skip
def test_a_random_split_has_exact_sizes_and_does_not_depend_on_the_order_of_the_rows(
    *, goods: int, bads: int, seed: int, order: Any, validation: float, test: float
) -> None:
    db = tape([*[(0, None)] * goods, *[(1, None)] * bads])
    contract = split_contract({"random": {"seed": seed, "validation": validation, "test": test}})
    counts = split_tape(db, contract)
    first = samples(db)
    shuffled = list(range(goods + bads))
    order.shuffle(shuffled)
    db.execute("CREATE OR REPLACE TABLE outcome (_row BIGINT, bad UTINYINT)")
    db.executemany("INSERT INTO outcome VALUES (?, ?)", [(row, int(row >= goods)) for row in shuffled])
    split_tape(db, contract)
    assert samples(db) == first
    assert list(first) == sorted(first) == list(range(goods + bads))
    for index, share in enumerate((1 - validation - test, validation, test)):
        of_bads = sum(place == index for row, place in first.items() if row >= goods)
        assert abs(of_bads - bads * share) < 1
        assert abs(counts.samples[index].rows - of_bads - goods * share) < 1
        assert counts.samples[index].bads == of_bads


@given(total=st.integers(0, 10_000), parts=st.lists(st.integers(1, 50), min_size=1, max_size=6))
def test_parts_sum_to_the_whole_and_none_is_a_loan_away_from_its_share(total: int, parts: list[int]) -> None:
    shares = [Fraction(part, sum(parts)) for part in parts]
    sizes = apportion(total, shares)
    assert sum(sizes) == total
    assert all(abs(size - total * share) < 1 for size, share in zip(sizes, shares, strict=True))


# --- by time -----------------------------------------------------------------------------------------------------


def test_a_loan_whose_window_ends_on_the_day_of_the_seam_stays_and_a_day_later_it_goes() -> None:
    db = tape([*both(EARLY, MIDDLE, LATE), (0, date(2024, 2, 29)), (0, date(2024, 3, 1)), (1, date(2024, 3, 1))])
    split_tape(db, split_contract(by_time()))  # a month from 29 February ends on 29 March, from 1 March on 1 April
    assert [samples(db).get(row) for row in (6, 7, 8)] == [0, None, None]


def test_the_counts_name_the_days_of_each_sample() -> None:
    db = tape([*both(EARLY, date(2024, 1, 9), MIDDLE, LATE), (1, date(2024, 8, 30))])
    assert split_tape(db, split_contract(by_time())).to_plain() == {
        "train": {"rows": 4, "bads": 2, "first": "2024-01-01", "last": "2024-01-09"},
        "validation": {"rows": 2, "bads": 1, "first": "2024-04-01", "last": "2024-04-01"},
        "test": {"rows": 2, "bads": 1, "first": "2024-09-01", "last": "2024-09-01"},
        "excluded": {SEAM: 1},
    }


def test_only_usable_loans_are_in_a_sample() -> None:
    db = tape([*both(EARLY, MIDDLE, LATE), *both(EARLY)])
    db.execute("CREATE VIEW allowed AS SELECT _row FROM applications WHERE _row < 6")
    split_tape(db, split_contract(by_time()), usable="allowed")
    assert samples(db) == {0: 0, 1: 0, 2: 1, 3: 1, 4: 2, 5: 2}


def test_a_seam_that_swallows_train_is_refused_with_the_way_out() -> None:
    with pytest.raises(TapeError) as caught:
        split_tape(tape(both(EARLY, MIDDLE, LATE)), split_contract(by_time(), months=12))
    message, hint = caught.value.message, caught.value.hint or ""
    assert message.startswith(
        "train and validation: wanted goods and bads in every sample, got train 0 loans with 0 bads;"
    )
    assert "test 2 loans with 1 bads (2024-09-01 to 2024-09-01)" in message
    assert message.endswith("the usable loans of the tape run from 2024-01-01 to 2024-09-01")
    assert "4 loans were left out" in hint
    assert "split.time.ignore_outcome_window" in hint


def test_a_sample_of_one_kind_is_refused() -> None:
    with pytest.raises(TapeError, match=r"^test: wanted goods and bads in every sample") as caught:
        split_tape(tape([*both(EARLY, MIDDLE), (0, LATE), (0, LATE)]), split_contract(by_time()))
    assert "choose split.time.validation_from" in (caught.value.hint or "")


def test_a_column_named_applied_at_is_not_taken_for_the_one_of_that_role() -> None:
    db = tape(both(EARLY, MIDDLE, LATE))
    db.execute("ALTER TABLE applications ADD COLUMN applied_at DATE DEFAULT DATE '1999-01-01'")
    db.execute("ALTER TABLE applications ADD COLUMN sample INTEGER DEFAULT 7")
    split_tape(db, split_contract(by_time()))
    assert list(samples(db).values()) == [0, 0, 1, 1, 2, 2]


# --- at random ---------------------------------------------------------------------------------------------------


def test_another_seed_draws_other_loans_and_the_same_seed_the_same() -> None:
    def drawn(seed: int) -> dict[int, int]:
        db = tape([(row % 2, None) for row in range(60)])
        split_tape(db, split_contract({"random": {"seed": seed}}))
        return samples(db)

    assert drawn(1) == drawn(1) != drawn(2)


def test_the_draw_does_not_follow_the_order_of_the_tape() -> None:
    db = tape([(int(row % 4 == 0), EARLY + timedelta(days=row)) for row in range(1000)])
    split_tape(db, split_contract({"random": {"seed": 42}}))
    found = samples(db)
    early = sum(place == 0 for row, place in found.items() if row < 500)
    assert 300 - 50 < early < 300 + 50  # more than four standard deviations on either side


def test_too_few_bads_for_three_samples_are_refused() -> None:
    with pytest.raises(
        TapeError, match=r"^test: wanted goods and bads in every sample, got train \d+ loans with 2 bads"
    ):
        split_tape(tape([*[(0, None)] * 50, *[(1, None)] * 3]), split_contract({"random": {}}))

"""Vintages only ever get worse with time, and a loan in one state of arrears is in one state a month later."""

from __future__ import annotations

import calendar
from collections import Counter
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.preprocessing.ledgers import (
    OBSERVED,
    Instalment,
    Loan,
    ledger,
    ledgers,
    months_later,
    on_repayments,
    on_status,
    statuses,
)

from obligor.preprocessing.outcome import define_outcome
from obligor.preprocessing.vintages import (
    ROLL_STATES,
    VintagePoint,
    VintageRate,
    roll_rates,
    vintage_curves,
    vintage_rates,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


def own(loan: Loan, lines: Sequence[Instalment], observed_at: date) -> list[tuple[date, date | None]]:
    """Give the instalments of a loan, with the payments that were known."""
    name, applied = loan
    assert applied is not None
    dated = [(due, paid) for key, due, paid in lines if key == name and due is not None and due >= applied]
    return [(due, paid if paid is not None and paid <= observed_at else None) for due, paid in dated]


def went_bad(loan: Loan, lines: Sequence[Instalment], observed_at: date, bad_days: int) -> date | None:
    """Give the first day on which a loan was so many days past due, by walking through the days."""
    day = loan[1] or date.max
    while day <= observed_at:
        if any(
            (day - due).days >= bad_days and (paid is None or paid >= day)
            for due, paid in own(loan, lines, observed_at)
        ):
            return day
        day += timedelta(days=1)
    return None


# --- laws --------------------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(drawn=ledgers(), observed_at=OBSERVED, bad_days=st.sampled_from([1, 28, 30, 31, 60]))
def test_vintage_curves_agree_with_a_walk_through_every_day_and_never_fall(
    *, drawn: tuple[list[Loan], list[Instalment]], observed_at: date, bad_days: int
) -> None:
    loans, lines = drawn
    points = vintage_curves(ledger(loans, lines), on_repayments(3, observed_at, bad_days=bad_days))
    for point in points:
        vintage = [it for it in loans if it[1] and it[1] <= observed_at and f"{it[1]:%Y-%m}" == point.vintage]
        vintage = [it for it in vintage if own(it, lines, observed_at)]
        ends = [months_later(applied, point.months_on_book) for _, applied in vintage if applied]
        assert max(ends) <= observed_at
        days = [went_bad(loan, lines, observed_at, bad_days) for loan in vintage]
        bads = sum(day is not None and day <= end for day, end in zip(days, ends, strict=True))
        assert (point.loans, point.bad_share) == (len(vintage), bads / len(vintage))
    for name in {it.vintage for it in points}:
        shares = [it.bad_share for it in points if it.vintage == name]
        assert shares == sorted(shares)
        assert [it.months_on_book for it in points if it.vintage == name] == list(range(1, len(shares) + 1))


def state(day: date, instalments: Sequence[tuple[date, date | None]]) -> int:
    """Give the state of a loan at the close of a day."""
    days = max(
        ((day - due).days for due, paid in instalments if due <= day and (paid is None or paid > day)), default=0
    )
    return next(index for index, least in ((4, 90), (3, 60), (2, 30), (1, 1), (0, 0)) if days >= least)


def moves(loan: Loan, lines: Sequence[Instalment], observed_at: date) -> list[tuple[int, int]]:
    instalments = own(loan, lines, observed_at)
    if not instalments or loan[1] is None or loan[1] > observed_at:
        return []
    paid = [day for _, day in instalments]
    over = max(day for day in paid if day) if None not in paid else date.max
    closes = [date(y, m, calendar.monthrange(y, m)[1]) for y in (2023, 2024) for m in range(1, 13)]
    followed = [it for it in closes if loan[1] <= it <= observed_at and (it.year, it.month) <= (over.year, over.month)]
    states = [state(it, instalments) for it in followed]
    return list(pairwise(states))


@settings(max_examples=50)
@given(drawn=ledgers(), observed_at=OBSERVED)
def test_roll_rates_agree_with_the_state_of_every_loan_at_every_months_end(
    *, drawn: tuple[list[Loan], list[Instalment]], observed_at: date
) -> None:
    loans, lines = drawn
    found = roll_rates(ledger(loans, lines), on_repayments(3, observed_at))
    assert found is not None
    wanted = Counter(move for loan in loans for move in moves(loan, lines, observed_at))
    assert {(i, j): n for i, row in enumerate(found.counts) for j, n in enumerate(row) if n} == dict(wanted)
    assert all(sum(row) == pytest.approx(1.0 if any(row) else 0.0) for row in found.shares)


# --- vintages ----------------------------------------------------------------------------------------------------


def test_a_curve_ends_with_the_last_month_that_its_youngest_loan_has_finished() -> None:
    loans: list[Loan] = [("a", date(2024, 1, 1)), ("b", date(2024, 1, 31))]
    lines: list[Instalment] = [("a", date(2024, 2, 1), None), ("b", date(2024, 3, 1), date(2024, 3, 1))]
    contract = on_repayments(12, date(2024, 4, 29), bad_days=30)
    assert vintage_curves(ledger(loans, lines), contract) == (
        VintagePoint("2024-01", 1, 2, 0.0),
        VintagePoint("2024-01", 2, 2, 0.0),  # a is 29 days past due on 1 March
    )
    later = vintage_curves(ledger(loans, lines), on_repayments(12, date(2024, 4, 30), bad_days=30))
    assert later[2] == VintagePoint("2024-01", 3, 2, 0.5)


def test_a_curve_ends_once_no_loan_of_it_can_turn_bad_any_more() -> None:
    paid = ledger([("a", date(2020, 1, 1))], [("a", date(2020, 2, 1), date(2020, 2, 1))])
    points = vintage_curves(paid, on_repayments(12, date(2026, 1, 1), bad_days=30))
    assert [it.months_on_book for it in points] == [1, 2, 3]


def test_only_usable_loans_are_followed() -> None:
    loans: list[Loan] = [("a", date(2020, 1, 1)), ("b", date(2020, 1, 1))]
    db = ledger(loans, [("a", date(2020, 2, 1), None), ("b", date(2020, 2, 1), date(2020, 2, 1))])
    define_outcome(db, on_repayments())
    db.execute("CREATE VIEW usable AS SELECT _row FROM applications WHERE id = 'a'")
    assert {(it.loans, it.bad_share) for it in vintage_curves(db, on_repayments(), usable="usable")} == {
        (1, 0.0),
        (1, 1.0),
    }
    assert vintage_rates(db, on_repayments(), usable="usable") == (VintageRate("2020-01", 1, 1),)
    rolls = roll_rates(db, on_repayments(), usable="usable")
    assert rolls is not None
    assert sum(map(sum, rolls.counts)) == 71  # the moves between 72 months' ends


def test_vintage_rates_are_those_of_the_outcome() -> None:
    january, march = date(2020, 1, 31), date(2020, 3, 1)
    db = statuses([("good", january), ("bad", january), ("good", march), ("grace", march), ("bad", None)])
    contract = on_status(indeterminate=["grace"])
    define_outcome(db, contract)
    rates = vintage_rates(db, contract)
    assert [(it.vintage, it.loans, it.bads, it.rate) for it in rates] == [
        ("2020-01", 2, 1, 0.5),
        ("2020-03", 1, 0, 0.0),
    ]
    assert vintage_curves(db, contract) == ()
    assert roll_rates(db, contract) is None


def test_without_dates_of_application_there_are_no_vintages() -> None:
    db = statuses([("good",), ("bad",)])
    contract = on_status(dated=False)
    define_outcome(db, contract)
    assert vintage_rates(db, contract) == vintage_curves(db, contract) == ()


def test_the_vintages_of_a_long_tape_are_quarters() -> None:
    rows = [(status, months_later(date(2020, 1, 15), n), None) for n in range(37) for status in ("good", "bad")]
    db = statuses(rows)
    define_outcome(db, on_status())
    rates = vintage_rates(db, on_status())
    assert [it.vintage for it in rates][:2] == ["2020-Q1", "2020-Q2"]
    assert [it.loans for it in rates] == [*[6] * 12, 2]


def test_a_status_goes_bad_on_its_outcome_date() -> None:
    applied = date(2020, 1, 31)
    db = statuses([
        ("good", applied, date(2020, 6, 1)), ("bad", applied, date(2020, 2, 29)), ("bad", applied, date(2020, 3, 1)),
        ("bad", applied, None), ("good", applied, None),
    ])  # fmt: skip
    define_outcome(db, on_status())
    points = vintage_curves(db, on_status())
    assert [(it.months_on_book, it.loans, it.bad_share) for it in points] == [
        (1, 4, 0.25),
        (2, 4, 0.5),
        (3, 4, 0.5),
        (4, 4, 0.5),
    ]


# --- roll rates --------------------------------------------------------------------------------------------------


def test_a_loan_that_is_never_paid_rolls_through_every_state_and_a_cured_one_returns() -> None:
    loans: list[Loan] = [("a", date(2023, 1, 10)), ("b", date(2023, 1, 10))]
    lines: list[Instalment] = [
        ("a", date(2023, 1, 31), None), ("b", date(2023, 1, 31), date(2023, 3, 31)), ("b", date(2023, 3, 31), None),
    ]  # fmt: skip
    rolls = roll_rates(ledger(loans, lines), on_repayments(12, date(2023, 5, 30)))
    assert rolls is not None
    assert rolls.states == ROLL_STATES
    # a: 0, 28, 59, 89 days at the ends of January to April; b: 0, 28, 0 (paid that day), 30
    assert rolls.counts == ((0, 2, 1, 0, 0), (1, 0, 1, 0, 0), (0, 0, 0, 1, 0), (0,) * 5, (0,) * 5)
    assert rolls.shares[1] == (0.5, 0.0, 0.5, 0.0, 0.0)

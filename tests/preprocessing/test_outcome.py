"""A loan is good, bad or of unknown outcome, and never two of them; what is unknown is counted with its reason."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.preprocessing.ledgers import (
    OBSERVED,
    PAIR,
    PAIR_PAID,
    Instalment,
    Loan,
    ledger,
    ledgers,
    months_later,
    on_repayments,
    on_status,
    statuses,
)

from obligor.core.contract import parse_contract
from obligor.core.errors import ContractError, TapeError
from obligor.preprocessing.outcome import define_outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from obligor.core.contract import Contract


def verdicts(db: duckdb.DuckDBPyConnection) -> list[str]:
    """Give what became of each application, in order; fails where one has two outcomes or none."""
    found = db.execute(
        "SELECT _row, IF(bad = 1, 'bad', 'good') FROM outcome UNION ALL SELECT * FROM outcome_exclusions "
        "UNION ALL SELECT _row, code FROM outcome_problems UNION ALL SELECT _row, 'declined' FROM declined ORDER BY _row"
    ).fetchall()
    (rows,) = db.execute("SELECT COUNT(*) FROM applications").fetchone() or (0,)
    assert [row for row, _ in found] == list(range(rows))
    return [verdict for _, verdict in found]


def judged(loan: Loan, instalments: Sequence[Instalment], contract: Contract) -> str:
    """Tell the outcome of a loan by walking through the days of its window, one by one."""
    rule, (name, applied) = contract.outcome.days_past_due, loan
    assert rule is not None
    assert applied is not None
    own = [(due, paid) for key, due, paid in instalments if key == name and due is not None and due >= applied]
    end = months_later(applied, contract.outcome.window_months)
    if applied > rule.observed_at:
        return "future"
    if end > rule.observed_at:
        return "immature"
    if not own:
        return "no repayments known"
    days = [applied + timedelta(days=n) for n in range((end - applied).days + 1)]
    worst = max(
        (day - due).days if due <= day and (paid is None or paid >= day) else 0 for day in days for due, paid in own
    )
    if worst >= rule.bad_days:
        return "bad"
    return "indeterminate" if rule.indeterminate_days and worst >= rule.indeterminate_days else "good"


# --- laws --------------------------------------------------------------------------------------------------------


@settings(max_examples=80)
@given(
    drawn=ledgers(),
    months=st.integers(1, 4),
    observed_at=OBSERVED,
    bad_days=st.sampled_from([1, 7, 29, 30, 31]),
    indeterminate_days=st.sampled_from([None, 1, 15]),
)
def test_days_past_due_agree_with_a_walk_through_every_day_of_the_window(
    *,
    drawn: tuple[list[Loan], list[Instalment]],
    months: int,
    observed_at: date,
    bad_days: int,
    indeterminate_days: int | None,
) -> None:
    contract = on_repayments(months, observed_at, bad_days=bad_days, indeterminate_days=indeterminate_days)
    loans, instalments = drawn
    db = ledger([*PAIR, *loans], [*PAIR_PAID, *instalments])
    counts = define_outcome(db, contract)
    assert verdicts(db) == ["good", "bad", *(judged(loan, instalments, contract) for loan in loans)]
    assert counts.goods + counts.bads + sum(counts.excluded.values()) + sum(counts.problems.values()) == counts.rows
    assert sum(counts.instalments.values()) == len(instalments) + 2


# --- days past due -----------------------------------------------------------------------------------------------


def outcome_of(applied: date, *instalments: tuple[date | None, date | None], contract: Contract | None = None) -> str:
    db = ledger([*PAIR, ("a", applied)], [*PAIR_PAID, *(("a", *it) for it in instalments)])
    define_outcome(db, contract or on_repayments())
    return verdicts(db)[2]


def test_an_instalment_paid_on_its_ninetieth_day_past_due_makes_the_loan_bad_and_a_day_earlier_does_not() -> None:
    applied, due = date(2023, 1, 1), date(2023, 2, 1)
    assert outcome_of(applied, (due, due + timedelta(days=90))) == "bad"
    assert outcome_of(applied, (due, due + timedelta(days=89))) == "good"


def test_the_days_are_counted_over_29_february() -> None:
    assert outcome_of(date(2024, 1, 1), (date(2024, 2, 1), date(2024, 5, 1))) == "bad"  # 90 days, one of them the 29th
    assert outcome_of(date(2023, 1, 1), (date(2023, 2, 1), date(2023, 5, 1))) == "good"  # 89 days


def test_the_last_day_of_the_window_counts_and_the_day_after_does_not() -> None:
    end = date(2024, 1, 1)
    assert outcome_of(date(2023, 1, 1), (end - timedelta(days=90), None)) == "bad"
    assert outcome_of(date(2023, 1, 1), (end - timedelta(days=89), None)) == "good"


def test_a_payment_after_the_window_does_not_count_its_days_beyond_it() -> None:
    applied, due = date(2023, 1, 1), date(2023, 11, 1)  # 61 days past due when the window ends
    assert outcome_of(applied, (due, due + timedelta(days=200))) == "good"


def test_a_window_of_a_month_from_the_31st_of_january_ends_with_february() -> None:
    def reached(day: date) -> str:
        terms = on_repayments(1, date(2025, 1, 1), bad_days=10)
        return outcome_of(date(2024, 1, 31), (day - timedelta(days=10), None), contract=terms)

    assert reached(date(2024, 2, 29)) == "bad"
    assert reached(date(2024, 3, 1)) == "good"


def test_a_loan_of_29_february_is_judged_on_28_february_of_the_next_year() -> None:
    loan, terms = date(2024, 2, 29), {"bad_days": 90}
    paid = (date(2024, 4, 1), date(2024, 4, 1))
    assert outcome_of(loan, paid, contract=on_repayments(12, date(2025, 2, 28), **terms)) == "good"
    assert outcome_of(loan, paid, contract=on_repayments(12, date(2025, 2, 27), **terms)) == "immature"


def test_a_loan_that_is_bad_before_its_window_is_over_is_still_immature() -> None:
    assert outcome_of(date(2025, 6, 1), (date(2025, 7, 1), None)) == "immature"


def test_a_loan_between_the_limits_is_indeterminate() -> None:
    contract = on_repayments(bad_days=90, indeterminate_days=30)
    applied, due = date(2023, 1, 1), date(2023, 2, 1)
    found = [outcome_of(applied, (due, due + timedelta(days=n)), contract=contract) for n in (29, 30, 89, 90)]
    assert found == ["good", "indeterminate", "indeterminate", "bad"]


def test_an_instalment_paid_before_it_fell_due_is_never_past_due() -> None:
    assert outcome_of(date(2023, 1, 1), (date(2023, 2, 1), date(2022, 12, 24))) == "good"


def test_a_payment_after_the_observation_was_not_known_then() -> None:
    applied, due = date(2025, 1, 1), date(2025, 12, 1)
    contract = on_repayments(12, date(2026, 1, 1), bad_days=31)
    assert outcome_of(applied, (due, date(2026, 1, 2)), contract=contract) == "bad"


def test_instalments_of_an_earlier_loan_or_without_a_due_date_do_not_count_and_are_counted() -> None:
    loans = [*PAIR, ("a", date(2023, 1, 1)), ("b", date(2023, 1, 1))]
    lines: list[Instalment] = [
        ("a", date(2022, 6, 1), None), ("a", date(2023, 2, 1), date(2023, 2, 1)), ("a", None, date(2023, 2, 1)),
        ("nobody", date(2023, 1, 1), None), (None, date(2023, 1, 1), None), ("b", date(2022, 6, 1), None),
    ]  # fmt: skip
    db = ledger(loans, [*PAIR_PAID, *lines])
    counts = define_outcome(db, on_repayments())
    assert verdicts(db) == ["good", "bad", "good", "no repayments known"]
    assert counts.instalments == {"due before the application": 2, "no due date": 1, "of no application": 2, "used": 3}
    assert counts.excluded == {"no repayments known": 1}


def test_a_repayment_whose_date_cannot_be_read_leaves_the_outcome_unknown() -> None:
    db = ledger([*PAIR, ("a", date(2023, 1, 1))], [*PAIR_PAID, ("a", date(2023, 2, 1), None)])
    db.execute("INSERT INTO unparsed_repayments VALUES (2, 'paid', 'unparsed')")
    define_outcome(db, on_repayments())
    assert verdicts(db)[2] == "a repayment cannot be read"


def test_an_application_after_the_observation_or_without_a_date_has_no_outcome() -> None:
    db = ledger([*PAIR, ("a", date(2026, 1, 2)), ("b", None)], PAIR_PAID)
    counts = define_outcome(db, on_repayments())
    assert verdicts(db)[2:] == ["future", "no application date"]
    assert counts.problems == {"applied: future": 1}
    assert db.execute('SELECT _row, code, "column" FROM outcome_problems').fetchall() == [(2, "future", "applied")]


def test_the_period_of_an_outcome_is_the_month_of_the_application() -> None:
    db = ledger([*PAIR, ("a", date(2023, 2, 28))], [*PAIR_PAID, ("a", date(2023, 3, 1), date(2023, 3, 1))])
    define_outcome(db, on_repayments())
    assert db.execute("SELECT bad, period FROM outcome WHERE _row = 2").fetchall() == [(0, date(2023, 2, 1))]
    described = db.execute("DESCRIBE outcome").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        ("_row", "BIGINT"),
        ("bad", "UTINYINT"),
        ("period", "DATE"),
    ]


def test_keys_of_unlike_types_are_refused() -> None:
    contract = on_repayments()
    plain = contract.model_dump(mode="json", by_alias=True)
    plain["applications"]["columns"]["id"]["type"] = "number"
    with pytest.raises(ContractError, match="'loan' is a text, but 'id' of applications is a number"):
        define_outcome(ledger(PAIR, PAIR_PAID), parse_contract(plain))


def test_names_with_quotes_words_of_sql_and_emoji_are_only_names() -> None:
    odd = {"id": 'se"lect', "applied": "applied_at; --", "loan": "🏦", "due": "verdict", "paid": 'paid"on'}
    contract = parse_contract(_renamed(on_repayments().model_dump(mode="json", by_alias=True), odd))
    db = ledger(PAIR, PAIR_PAID)
    for old, new in odd.items():
        table = "applications" if old in ("id", "applied") else "history_repayments"
        db.execute(f'ALTER TABLE {table} RENAME COLUMN {old} TO "{new.replace(chr(34), chr(34) * 2)}"')
    define_outcome(db, contract)
    assert verdicts(db) == ["good", "bad"]


def _renamed(plain: Any, names: dict[str, str]) -> Any:
    if isinstance(plain, dict):
        return {names.get(key, key): _renamed(item, names) for key, item in plain.items()}
    if isinstance(plain, list):
        return [_renamed(item, names) for item in plain]
    return names.get(plain, plain) if isinstance(plain, str) else plain


# --- by the value of a column ------------------------------------------------------------------------------------


def test_a_status_is_good_bad_indeterminate_immature_missing_or_unknown() -> None:
    db = statuses([("good",), ("bad",), ("grace",), ("current",), (None,), ("Good",), ("x'; --",)])
    counts = define_outcome(db, on_status(indeterminate=["grace"], immature=["current"]))
    assert verdicts(db) == ["good", "bad", "indeterminate", "immature", "outcome missing", *["unknown_level"] * 2]
    assert counts.excluded == {"immature": 1, "indeterminate": 1, "outcome missing": 1}
    assert counts.problems == {"status: unknown_level": 2}
    assert counts.to_plain()["instalments"] == {}


@pytest.mark.parametrize(
    ("type_", "engine_type", "good", "bad", "values"),
    [
        ("number", "DOUBLE", [1], ["2.0"], [1.0, 2.0, 3.0, -0.0]),
        ("number", "DOUBLE", ["1.0"], [2], [1, 2, 1.5, 0.0]),
        ("bool", "BOOLEAN", [1], [0], [True, False, None, None]),
        ("bool", "BOOLEAN", ["false"], ["True"], [False, True, None, None]),
        ("date", "DATE", ["2020-01-01"], ["2020-01-02"], [date(2020, 1, 1), date(2020, 1, 2), date(2020, 1, 3), None]),
    ],
)
def test_a_status_is_compared_as_its_column_holds_it(
    type_: str, engine_type: str, good: list[Any], bad: list[Any], values: list[Any]
) -> None:
    db = statuses([(it,) for it in values], engine_type)
    define_outcome(db, on_status(type_, good=good, bad=bad))
    assert verdicts(db)[:2] == ["good", "bad"]
    assert not {"good", "bad"} & set(verdicts(db)[2:])


def test_a_status_that_the_column_can_never_hold_is_refused() -> None:
    with pytest.raises(ContractError, match="'paid' can never be the number of column 'status'"):
        define_outcome(statuses([(1.0,)], "DOUBLE"), on_status("number", good=["paid"], bad=[1]))


def test_one_number_under_two_outcomes_is_refused() -> None:
    with pytest.raises(ContractError, match="two outcomes name the same number"):
        define_outcome(statuses([(1.0,)], "DOUBLE"), on_status("number", good=["1"], bad=["1.0"]))


def test_an_outcome_before_its_application_is_a_contradiction() -> None:
    day = date(2020, 1, 31)
    db = statuses([("good", day, None), ("bad", day, day), ("bad", day, day - timedelta(days=1)), ("?", day, day)])
    define_outcome(db, on_status())
    assert verdicts(db) == ["good", "bad", "contradiction", "unknown_level"]
    found = db.execute('SELECT code, "column" FROM outcome_problems').fetchall()
    assert found == [("contradiction", "ended"), ("unknown_level", "status")]


def test_without_a_date_of_application_an_outcome_has_no_period() -> None:
    db = statuses([("good",), ("bad",)])
    define_outcome(db, on_status(dated=False))
    assert db.execute("SELECT period FROM outcome").fetchall() == [(None,), (None,)]


@pytest.mark.parametrize("kinds", [["good", "good", "grace", "?"], ["bad", "bad", "grace", "?"], ["grace", "?"]])
def test_a_tape_of_one_kind_of_loan_is_refused_with_its_counts(kinds: list[str]) -> None:
    with pytest.raises(TapeError) as caught:
        define_outcome(statuses([(it,) for it in kinds]), on_status(indeterminate=["grace"]))
    goods, bads = kinds.count("good"), kinds.count("bad")
    assert f"{bads} bads and {goods} goods among {len(kinds)} applications; wanted both" in caught.value.message
    assert caught.value.hint == "of unknown outcome: 1 indeterminate, 1 status: unknown_level"


# --- those who were declined -------------------------------------------------------------------------------------


def test_a_declined_application_has_no_outcome_and_one_with_an_outcome_contradicts_itself() -> None:
    rejects = {"when": "status = 'declined' OR applied < DATE '2020-01-01'"}
    early = date(2019, 5, 1)
    db = statuses(
        [("good",), ("bad",), ("declined",), (None, early), ("?", early), ("good", early), ("current", early)]
    )
    counts = define_outcome(db, on_status(immature=["current"], rejects=rejects))
    assert verdicts(db) == ["good", "bad", *["declined"] * 3, *["outcome_of_declined"] * 2]
    assert counts.problems == {"applied: outcome_of_declined": 2}
    assert db.execute("SELECT applied_at FROM declined").fetchall() == [(date(2020, 1, 31),), (early,), (early,)]


def test_whom_a_condition_cannot_tell_was_not_declined() -> None:
    db = statuses([("good",), ("bad",), (None,)])
    define_outcome(db, on_status(rejects={"when": "status = 'declined'"}))
    assert verdicts(db) == ["good", "bad", "outcome missing"]


def test_a_declined_application_has_no_repayments_whatever_its_age() -> None:
    loans = [
        *PAIR,
        ("no", date(2023, 1, 1)),
        ("no", date(2025, 12, 1)),
        ("late", date(2026, 2, 1)),
        ("paid", date(2023, 1, 1)),
    ]
    lines: list[Instalment] = [("paid", date(2023, 2, 1), date(2023, 2, 1))]
    db = ledger(loans, [*PAIR_PAID, *lines])
    define_outcome(db, on_repayments(rejects={"when": "id IN ('no', 'late', 'paid')"}))
    assert verdicts(db) == ["good", "bad", "declined", "declined", "future", "outcome_of_declined"]
    found = db.execute("SELECT \"column\" FROM outcome_problems WHERE code = 'outcome_of_declined'").fetchall()
    assert found == [("id",)]


def test_a_tape_that_names_nobody_as_declined_is_as_it_was() -> None:
    db = statuses([("good",), ("bad",), ("declined",)])
    define_outcome(db, on_status())
    assert verdicts(db) == ["good", "bad", "unknown_level"]

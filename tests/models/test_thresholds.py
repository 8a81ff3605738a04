"""Cut-offs are the best of the book they are chosen on, and segments part only where their risk does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from obligor.core.calibration import PdTable
from obligor.core.clauses import Cutoff
from obligor.measures.decisions import Book, Economy, at_cutoff, break_even_pd, frontier
from obligor.measures.fairness import Groups
from obligor.models.thresholds import (
    Cells,
    _shift,
    cells_of,
    choose_cutoff,
    match_incumbent,
    move_cutoffs,
    risk_shifts,
)

ECONOMY = Economy(margin=0.1, lgd=0.5, cost_missed_default=5, cost_declined_good=1)
SCORES = np.linspace(400_000, 800_000, 401).round().astype(int)
TABLE = PdTable(tuple(SCORES.tolist()), tuple(expit(-(SCORES - 500_000) / 50_000).tolist()))
"""PDs of a half at 500 points, each 50 points a unit of log-odds."""


def small_book(rows: int, seed: int) -> Book:
    random = np.random.default_rng(seed)
    score = random.integers(400, 420, rows) * 1000
    bad = (random.random(rows) < 0.3).astype(np.uint8)
    return Book(score, bad, random.integers(1, 4, rows).astype(float), random.uniform(1, 9, rows))


def lender(rows: int, shifts: tuple[float, ...], seed: int = 5) -> tuple[Book, Groups]:
    """Loans of several segments, each riskier than its PDs by so many log-odds."""
    random = np.random.default_rng(seed)
    segment = random.integers(0, len(shifts), rows)
    score = random.normal(600_000, 50_000, rows).round().astype(np.int64).clip(400_000, 800_000)
    pd = TABLE.pd_column(score)
    bad = random.random(rows) < expit(-(score - 500_000) / 50_000 + np.array(shifts)[segment])
    book = Book(score, bad.astype(np.uint8), np.ones(rows), random.uniform(1000, 9000, rows), pd)
    return book, Groups(segment, tuple(f"s{at}" for at in range(len(shifts))))


def cut(
    book: Book, groups: Groups | None, *, amounts: tuple[float, ...] = (), economy: Economy = ECONOMY
) -> list[list]:
    cells = cells_of(groups, amounts, book.exposure)
    return move_cutoffs(book, cells, TABLE, common=590_000, economy=economy, min_bads=10)


@given(st.integers(1, 50), st.integers(0, 10_000), st.sampled_from(["profit", "cost"]), st.floats(0, 3))
def test_no_other_cutoff_beats_the_chosen_one_on_the_same_book(rows: int, seed: int, by: str, each: float) -> None:
    book, economy = small_book(rows, seed), replace(ECONOMY, cost_per_loan=each)
    chosen = choose_cutoff(book, TABLE, cutoff=Cutoff.model_validate({"by": by}), economy=economy)
    own = at_cutoff(book, chosen, economy=economy)
    for other in range(399_000, 422_000, 500):
        found = at_cutoff(book, other, economy=economy)
        if by == "profit":
            assert found.profit <= own.profit + 1e-9
        else:
            assert found.cost >= own.cost - 1e-9


@given(st.floats(0.01, 0.5), st.floats(0.05, 1), st.floats(0, 50))
def test_at_the_break_even_cutoff_a_loan_of_the_mean_amount_earns_nothing(
    margin: float, lgd: float, each: float
) -> None:
    economy = Economy(margin=margin, lgd=lgd, cost_missed_default=5, cost_declined_good=1, cost_per_loan=each)
    book = Book(np.array([500_000]), np.array([0], dtype=np.uint8), np.ones(1), np.array([1000.0]))
    chosen = choose_cutoff(book, TABLE, cutoff=Cutoff(by="break_even"), economy=economy)
    pd = break_even_pd(economy, 1000.0)
    if TABLE.pds[-1] <= pd:
        assert TABLE.pd(chosen) <= pd
        assert chosen == TABLE.scores[0] or TABLE.pd(chosen - 1) > pd
    else:
        assert chosen > book.score.max()


def test_a_book_of_two_segments_worked_by_hand() -> None:
    """Twelve bads of twenty where the PDs say a half; four of twenty where they say a half: both shrunk toward the middle."""
    bad = np.array([1] * 12 + [0] * 8 + [1] * 4 + [0] * 16, dtype=np.uint8)
    book = Book(np.full(40, 500_000), bad, np.ones(40), np.ones(40))
    masks = [np.arange(40) < 20, np.arange(40) >= 20]
    # log-odds of 12/8 and 4/16; variances 1/(20 * .6 * .4) and 1/(20 * .2 * .8)
    shift, precision = np.log([1.5, 0.25]), np.array([4.8, 3.2])
    mean = shift @ precision / 8
    excess = precision @ (shift - mean) ** 2 - 1
    between = excess / (8 - (precision @ precision) / 8)
    wanted = (shift - mean) * between / (between + 1 / precision)
    assert risk_shifts(book, TABLE, masks, min_bads=4) == pytest.approx(wanted.tolist())
    assert risk_shifts(book, TABLE, masks, min_bads=5) == [0.0, 0.0]  # one alone differs from nothing


def test_the_shift_of_a_segment_is_that_of_a_logistic_regression_with_an_offset() -> None:
    import statsmodels.api as sm

    book, _ = lender(4000, (0.8,))
    odds = logit(TABLE.pd_column(book.score))
    fit = sm.GLM(book.bad, np.ones(4000), family=sm.families.Binomial(), offset=odds).fit()
    shift, variance = _shift(odds, book.bad, book.weight)
    assert shift == pytest.approx(fit.params[0], abs=1e-6)
    assert variance == pytest.approx(fit.bse[0] ** 2, rel=1e-4)
    repeated, _ = _shift(odds, book.bad, 3 * book.weight)
    assert repeated == pytest.approx(shift)


def test_a_riskier_segment_gets_a_higher_cutoff_by_as_much_as_it_is_riskier() -> None:
    book, groups = lender(40_000, (0.6, -0.2, -0.2))
    found = [row[0] for row in cut(book, groups)]
    assert [it.chosen_by for it in found] == ["risk", "risk", "risk", "portfolio"]
    for it, truth in zip(found[:3], (0.6, -0.2, -0.2), strict=True):
        assert (it.cutoff - 590_000) / 50_000 == pytest.approx(it.risk_shift, abs=0.002)  # 50 points a unit
        assert it.risk_shift == pytest.approx(truth - 0.0667, abs=0.12)


def test_segments_that_only_chance_tells_apart_mostly_keep_the_common_cutoff() -> None:
    kept, furthest = 0, 0.0
    for seed in range(30):
        book, groups = lender(3000, (0.0, 0.0, 0.0, 0.0), seed)
        found = [row[0] for row in cut(book, groups)]
        kept += all(it.cutoff == 590_000 for it in found)
        furthest = max(furthest, *(abs(it.risk_shift) for it in found))
    assert kept >= 12  # the excess over chance is below 0 in half of all draws
    assert furthest < 0.25


def test_a_segment_with_few_bads_or_none_takes_the_portfolios_cutoff() -> None:
    book, groups = lender(6000, (1.0, -1.0, 0.0))
    few = np.flatnonzero(groups.codes == 2)[30:]
    codes = groups.codes.copy()
    codes[few] = 0
    found = cut(book, Groups(codes, groups.names))
    assert found[2][0].chosen_by == "portfolio"
    assert found[2][0].cutoff == 590_000
    assert found[0][0].cutoff > 590_000 > found[1][0].cutoff


@pytest.mark.parametrize("segmented", [True, False])
def test_where_each_loan_costs_something_small_loans_meet_a_higher_cutoff(*, segmented: bool) -> None:
    book, groups = lender(5000, (0.0, 0.0))
    economy = replace(ECONOMY, cost_per_loan=60.0)
    found = cut(book, groups if segmented else None, amounts=(3000.0, 6000.0), economy=economy)
    for row in found:
        cutoffs = [it.cutoff for it in row]
        assert cutoffs == sorted(cutoffs, reverse=True)
        assert cutoffs[0] > 590_000 > cutoffs[-1]
    amounts = [book.exposure[book.exposure < 3000].mean(), book.exposure.mean()]
    odds = [np.log(pd / (1 - pd)) for pd in (break_even_pd(economy, amount) for amount in amounts)]
    none = found[-1][0]
    if none.risk_shift == 0:
        assert (none.cutoff - 590_000) / 50_000 == pytest.approx(odds[1] - odds[0], abs=0.002)
    nobody = cut(book, None, amounts=(3000.0,), economy=replace(ECONOMY, cost_per_loan=250.0))
    assert nobody[0][0].cutoff == TABLE.scores[-1] + 1  # they earn a tenth of some 2,000, less than the cost of 250


def test_an_amount_that_is_not_known_meets_the_highest_cutoff_of_its_level() -> None:
    exposure = np.array([5.0, 10.0, 99.0, np.nan, np.nan])
    cells = cells_of(Groups(np.array([0, 0, 1, 0, -1]), ("a", "b")), (10.0,), exposure)
    assert cells.levels == ("a", "b", None)
    assert cells.limits == ((None, 10.0), (10.0, None))
    assert cells.interval.tolist() == [0, 1, 1, -1, -1]
    grid = np.array([[1, 2], [3, 4], [6, 5]])
    assert cells.cutoffs(grid).tolist() == [1, 2, 4, 2, 6]


@given(st.integers(2, 60), st.integers(0, 1000), st.floats(0.05, 1))
def test_matched_cutoffs_approve_as_many_and_let_in_no_more_bads(rows: int, seed: int, rate: float) -> None:
    book = small_book(rows, seed)
    old = np.random.default_rng(seed).normal(size=rows).round(1)
    match = match_incumbent(old, book, approval_rate=rate, economy=ECONOMY)
    approvals = at_cutoff(book, match.same_approvals, economy=ECONOMY)
    assert approvals.approval_rate >= rate - 1e-9
    whole = frontier(book, economy=ECONOMY)
    higher = whole.approval_rate[whole.score > match.same_approvals]
    assert not len(higher) or higher[0] < rate
    same = match_incumbent(-book.score.astype(float), book, approval_rate=approvals.approval_rate, economy=ECONOMY)
    assert (
        same.same_npl <= same.same_approvals == match.same_approvals
    )  # against itself it can only approve as many or more


def test_six_loans_matched_by_hand() -> None:
    #               score: 400 bad, 500 good, 600 bad, 700 good, 800 good, 900 good
    book = Book(np.arange(400, 1000, 100) * 1000, np.array([1, 0, 1, 0, 0, 0], dtype=np.uint8), np.ones(6), np.ones(6))
    old = np.array([1.0, 2, 3, 4, 5, 6])  # the incumbent likes the worst ones best
    match = match_incumbent(old, book, approval_rate=0.5, economy=ECONOMY)  # it approves three, two of them bad
    assert match.same_approvals == 700_000
    assert match.same_npl == 400_000  # two of six is less than two of three


def test_cells_keep_their_rows() -> None:
    cells = Cells(("a", None), (), np.array([0, 1, 0]), np.zeros(3, dtype=np.int64))
    kept = cells.only(np.array([True, False, True]))
    assert kept.level.tolist() == [0, 0]
    assert kept.holds(0, 0).all()

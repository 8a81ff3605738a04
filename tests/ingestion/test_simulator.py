"""The simulated lender keeps its word: what its tape tells agrees with the truth that it keeps."""

from __future__ import annotations

import math
from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from obligor.core.errors import InvalidInputError
from obligor.ingestion.simulator import Lender, simulate_lender, write_lender

if TYPE_CHECKING:
    from pathlib import Path

FAR = 4.5  # standard errors; one seed of a hundred thousand lies further out


@pytest.fixture(scope="module")
def lender() -> Lender:
    return simulate_lender(applications=30_000, seed=11)


@pytest.fixture(scope="module")
def book(lender: Lender) -> pd.DataFrame:
    """Every application once, with its truth."""
    tape = lender.applications.to_pandas().drop_duplicates("application_id")
    return tape.merge(lender.truth.to_pandas(), on="application_id", validate="one_to_one")


def gap(observed: pd.Series, expected: pd.Series) -> float:
    """By how many standard errors a count of defaults lies off the sum of its PDs."""
    return float((observed.sum() - expected.sum()) / math.sqrt((expected * (1 - expected)).sum()))


def test_defaults_come_at_the_rate_of_the_true_pds_overall_and_in_every_quarter(book: pd.DataFrame) -> None:
    assert abs(gap(book["defaulted_12m"], book["pd_12m_true"])) < FAR
    quarters = pd.to_datetime(book["applied_at"]).dt.to_period("Q")
    gaps = np.array([gap(own["defaulted_12m"], own["pd_12m_true"]) for _, own in book.groupby(quarters)])
    assert np.abs(gaps).max() < FAR
    assert 0.3 < gaps.std() < 1.7  # neither fixed nor scattered more than chance would


def test_defaults_come_at_the_rate_of_the_true_pds_in_every_tenth_of_risk(book: pd.DataFrame) -> None:
    tenths = pd.qcut(book["pd_12m_true"], 10)
    gaps = [gap(own["defaulted_12m"], own["pd_12m_true"]) for _, own in book.groupby(tenths, observed=True)]
    assert max(map(abs, gaps)) < FAR


def test_the_economy_moves_the_true_pds(book: pd.DataFrame) -> None:
    quarterly = book.groupby(pd.to_datetime(book["applied_at"]).dt.to_period("Q"))["pd_12m_true"].mean()
    assert quarterly.max() / quarterly.min() > 1.25


def test_ninety_days_past_due_in_twelve_months_is_what_the_truth_calls_a_default(
    lender: Lender, book: pd.DataFrame
) -> None:
    paid = lender.repayments.to_pandas().merge(book[["application_id", "applied_at"]], on="application_id")
    end = pd.to_datetime(paid["applied_at"]) + pd.DateOffset(months=12)
    due, settled = pd.to_datetime(paid["due_on"]), pd.to_datetime(paid["paid_on"])
    until = settled.where(settled < end, end)
    late = paid.loc[(until - due).dt.days >= 90, "application_id"].unique()
    judged = book[book["approved"] & book["mature"]]
    assert len(judged) > 15_000
    assert (judged["application_id"].isin(late) == judged["defaulted_12m"]).all()


def test_declined_applications_have_no_repayments_and_approved_ones_have(lender: Lender, book: pd.DataFrame) -> None:
    repaid = set(lender.repayments.column("application_id").to_pylist())
    assert repaid <= set(book.loc[book["approved"], "application_id"])
    assert set(book.loc[book["approved"] & book["mature"], "application_id"]) <= repaid


def test_the_incumbent_approves_by_its_score_alone(book: pd.DataFrame) -> None:
    approved = book["approved"]
    assert ((book["decision"] == "approved") == approved).all()
    assert book.loc[approved, "incumbent_score"].min() > book.loc[~approved, "incumbent_score"].max()
    assert 0.6 < approved.mean() < 0.72
    assert book.loc[approved, "pd_12m_true"].mean() < book.loc[~approved, "pd_12m_true"].mean()


def test_the_channel_drifts_from_branch_to_web(book: pd.DataFrame) -> None:
    early, late = book["channel"].head(6000), book["channel"].tail(6000)
    assert late.eq("web").mean() - early.eq("web").mean() > 0.2
    assert early.eq("branch").mean() - late.eq("branch").mean() > 0.2


def test_an_account_that_is_not_linked_tells_of_risk(book: pd.DataFrame) -> None:
    unlinked = book["bank_balance_avg"].isna()
    assert 0.2 < unlinked.mean() < 0.4
    assert book.loc[unlinked, "pd_12m_true"].mean() > 1.3 * book.loc[~unlinked, "pd_12m_true"].mean()


def test_dirt_and_repeats_fall_at_the_stated_rates(lender: Lender, book: pd.DataFrame) -> None:
    n = len(book)
    dirty, repeats = (book["dirt"] != "").sum(), lender.applications.num_rows - n
    for found, rate in ((dirty, 0.01), (repeats, 0.005 * 0.99)):
        assert abs(found - n * rate) < FAR * math.sqrt(n * rate)
    assert (book.loc[book["dirt"] == "age", "age_years"] == 999).all()
    assert (book.loc[book["dirt"] == "income", "annual_income"] < 0).all()
    clean = book[book["dirt"] == ""]
    assert clean["age_years"].between(18, 84).all()
    assert (clean["annual_income"] > 0).all()


def test_what_reaches_the_lender_reaches_it_after_it_happened(lender: Lender) -> None:
    bureau = lender.bureau.to_pandas()
    assert (bureau["arrived_at"] > bureau["event_at"]).all()
    repayments = lender.repayments.to_pandas().dropna(subset=["paid_on"])
    assert (repayments["recorded_at"] >= repayments["paid_on"]).all()
    assert set(lender.truth.column_names) & set(lender.applications.column_names) == {"application_id"}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    written = {}
    for name, seed in (("one", 5), ("again", 5), ("other", 6)):
        paths = write_lender(simulate_lender(applications=300, seed=seed), tmp_path / name)
        written[name] = [path.read_bytes() for path in paths]
    assert written["one"] == written["again"]
    assert all(one != other for one, other in zip(written["one"], written["other"], strict=True))


@pytest.mark.parametrize("applications", [1, 2, 10])
def test_a_lender_may_be_tiny(applications: int, tmp_path: Path) -> None:
    lender = simulate_lender(applications=applications, seed=1, dirt=0.0, months=1, start=date(2020, 2, 29))
    assert lender.applications.num_rows == lender.truth.num_rows == applications
    assert len(write_lender(lender, tmp_path)) == 4


def test_a_lender_without_applications_months_or_with_too_much_dirt_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="0 applications; wanted one or more"):
        simulate_lender(applications=0, seed=1)
    for wrong in ({"dirt": 0.6}, {"dirt": math.nan}, {"months": 0}):
        with pytest.raises(InvalidInputError, match=r"wanted dirt of 0 to 0\.5, a month or more"):
            simulate_lender(applications=5, seed=1, **wrong)

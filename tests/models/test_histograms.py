"""Counts per code, weights of evidence and information values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.bins import NumericBins
from obligor.core.errors import InvalidInputError
from obligor.models.histograms import Histogram, Outcomes, count_numbers, information_value, woe

COUNTS = st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=1, max_size=12).filter(
    lambda rows: sum(goods for goods, _ in rows) > 0 and sum(bads for _, bads in rows) > 0
)


def histogram(counts: list[tuple[int, int]]) -> Histogram:
    return Histogram(*np.array(counts, dtype=np.float64).T)


@given(counts=COUNTS)
def test_every_bin_has_a_finite_weight_and_an_empty_one_weighs_nothing(counts: list[tuple[int, int]]) -> None:
    weights = woe(histogram([*counts, (0, 0)]))
    assert np.isfinite(weights).all()
    assert abs(weights[-1]) < 1e-12


@given(counts=COUNTS)
def test_information_is_never_negative(counts: list[tuple[int, int]]) -> None:
    assert information_value(histogram(counts)) >= -1e-12


def test_a_safer_bin_weighs_more() -> None:
    weights = woe(histogram([(90, 10), (50, 50)]), prior_rows=0.0)
    assert weights == pytest.approx([np.log((90 / 140) / (10 / 60)), np.log((50 / 140) / (50 / 60))])
    assert information_value(histogram([(90, 10), (50, 50)])) == pytest.approx(
        (90 / 140 - 10 / 60) * weights[0] + (50 / 140 - 50 / 60) * weights[1]
    )


def test_a_population_without_bads_has_no_weights() -> None:
    with pytest.raises(InvalidInputError, match="14 goods and 0 bads"):
        woe(histogram([(9, 0), (5, 0)]))


@given(
    values=st.lists(st.sampled_from([-5.0, -0.0, 0.0, 1.0, 2.5, 7.0, 96.0, 98.0, float("nan")]), max_size=60),
    cuts=st.lists(st.sampled_from([-3.0, 0.0, 1.0, 2.0, 7.0, 50.0]), unique=True).map(sorted),
    specials=st.lists(st.sampled_from([96.0, 98.0, 1.0]), unique=True).map(tuple),
    seed=st.integers(0, 9),
)
def test_every_row_is_counted_once_in_the_bin_that_the_card_would_give_it(
    values: list[float], cuts: list[float], specials: tuple[float, ...], seed: int
) -> None:
    chance = np.random.default_rng(seed)
    bad = chance.integers(0, 2, len(values)).astype(np.uint8)
    sample = chance.integers(0, 3, len(values))
    weight = chance.integers(0, 9, len(values)) / 4
    outcomes = Outcomes(bad, sample == 0, sample == 1, weight)
    counts = count_numbers(np.array(values, dtype=np.float64), outcomes, cuts=np.array(cuts), specials=specials)
    codes = NumericBins("income", tuple(cuts), specials).assign_column(np.array(values, dtype=np.float64))
    assert counts.codes.tolist() == codes.tolist()
    assert counts.validation is not None
    for part, found in ((0, counts.train), (1, counts.validation)):
        for outcome, weights in ((0, found.goods), (1, found.bads)):
            here = (sample == part) & (bad == outcome)
            assert weights.tolist() == np.bincount(codes[here], weights=weight[here], minlength=256).tolist()


def test_each_fold_of_train_has_its_share_of_bads() -> None:
    bad = (np.arange(1000) % 5 == 0).astype(np.uint8)
    counts = count_numbers(np.zeros(1000), Outcomes(bad, np.ones(1000, dtype=bool)), cuts=np.array([]), specials=())
    assert [abs(fold.bads.sum() - 40) <= 1 for fold in counts.folds] == [True] * 5
    assert [abs(fold.goods.sum() - 160) <= 1 for fold in counts.folds] == [True] * 5
    assert counts.validation is None


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
def test_an_infinite_value_is_refused(infinite: float) -> None:
    outcomes = Outcomes(np.zeros(2, dtype=np.uint8), np.zeros(2, dtype=bool))
    with pytest.raises(InvalidInputError, match="infinite"):
        count_numbers(np.array([1.0, infinite]), outcomes, cuts=np.array([0.5]), specials=())


@pytest.mark.parametrize(
    ("bad", "train", "weight", "message"),
    [
        ([0, 2], [True, True], None, "an outcome of 2"),
        ([0, 1], [True], None, "train has 1 values, wanted 2"),
        ([0, 1], [True, True], [1.0, -1.0], "negative"),
        ([0, 1], [True, True], [1.0, np.nan], "negative or not finite"),
    ],
)
def test_outcomes_that_make_no_sense_are_refused(
    bad: list[int], train: list[bool], weight: list[float] | None, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Outcomes(np.array(bad, dtype=np.uint8), np.array(train), None, None if weight is None else np.array(weight))

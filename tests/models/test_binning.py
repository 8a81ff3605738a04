"""The bins found are the best there are, and keep every rule."""

from __future__ import annotations

import itertools
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obligor.core.bins import CategoryBins, Levels, NumericBins
from obligor.core.errors import CardError, InvalidInputError
from obligor.core.trend import Trend
from obligor.models.binning import BinningRules, FittedBins, fit_categories, fit_numeric
from obligor.models.histograms import Histogram, information_value, woe
from obligor.models.partition import Limits, best_partition, segments
from obligor.models.prebins import quantile_cuts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPES = [trend for trend in Trend if trend != Trend.AUTO]
EVERY = BinningRules(max_bins=200, min_share=0.0, min_bads=1e-9, min_goods=1e-9)
"""Rules so loose that pre-bins show through."""


# --- the partition, against every partition there is ------------------------------------------------------------------


def brute_force(
    goods: NDArray[np.float64], bads: NDArray[np.float64], trend: Trend, limits: Limits, bins: int
) -> float:
    """Try every partition of a few pre-bins; minus infinity where none is allowed."""
    size, best = len(goods), -np.inf
    for count in range(1, min(bins, size) + 1):
        for inner in itertools.combinations(range(1, size), count - 1):
            g, b = np.add.reduceat(goods, [0, *inner]), np.add.reduceat(bads, [0, *inner])
            if (g < limits.goods).any() or (b < limits.bads).any() or (g + b < limits.rows).any():
                continue
            if keeps(trend, (b / (g + b)).tolist()):
                gs, bs = g / (goods.sum() + 7), b / (bads.sum() + 3)
                best = max(best, float(np.sum((gs - bs) * np.log(gs / bs))))
    return best


def keeps(trend: Trend, rates: list[float]) -> bool:
    rising = [left <= right for left, right in itertools.pairwise(rates)]
    falling = [left >= right for left, right in itertools.pairwise(rates)]
    turns = range(len(rates))
    return {
        Trend.ASCENDING: all(rising),
        Trend.DESCENDING: all(falling),
        Trend.EITHER: all(rising) or all(falling),
        Trend.PEAK: any(all(rising[:turn]) and all(falling[turn:]) for turn in turns),
        Trend.VALLEY: any(all(falling[:turn]) and all(rising[turn:]) for turn in turns),
        Trend.FREE: True,
    }[trend]


@settings(max_examples=300, deadline=None)
@given(
    counts=st.lists(st.tuples(st.integers(0, 24), st.integers(0, 24)), min_size=1, max_size=9),
    trend=st.sampled_from(SHAPES),
    bins=st.integers(1, 9),
    least=st.tuples(st.integers(0, 40), st.integers(1, 12), st.integers(1, 12)),
    weight=st.sampled_from([1.0, 0.25, 3.0]),
)
def test_no_allowed_partition_tells_more(
    counts: list[tuple[int, int]], trend: Trend, bins: int, least: tuple[int, int, int], weight: float
) -> None:
    goods, bads = np.array(counts, dtype=np.float64).T * weight
    limits = Limits(*(limit * weight for limit in least))
    weighed = segments(Histogram(goods, bads), limits, goods=goods.sum() + 7, bads=bads.sum() + 3)
    found = best_partition(weighed, trend, bins=bins)
    best = brute_force(goods, bads, trend, limits, bins)
    assert found.value == pytest.approx(best, abs=1e-9)
    pooled = Histogram(goods, bads).pooled(found.bins(len(goods)), len(found.starts) + 1)
    assert len(found.starts) < bins or bins == 1
    if np.isfinite(best):
        assert keeps(trend, (pooled.bads / pooled.rows).tolist())
        assert pooled.goods.min() >= limits.goods
        assert pooled.bads.min() >= limits.bads
        assert pooled.rows.min() >= limits.rows
    else:
        assert found.starts == ()


def test_of_equal_partitions_the_one_with_fewer_bins_is_taken() -> None:
    even = Histogram(np.full(6, 30.0), np.full(6, 10.0))
    for trend in SHAPES:
        assert best_partition(segments(even, Limits(0, 1, 1), goods=180, bads=60), trend, bins=6).starts == ()


def test_of_equal_cuts_the_leftmost_is_taken() -> None:
    mirrored = Histogram(np.array([8.0, 4.0, 8.0]), np.array([4.0, 8.0, 4.0]))
    found = best_partition(segments(mirrored, Limits(0, 1, 1), goods=20, bads=16), Trend.FREE, bins=2)
    assert found.starts == (1,)


# --- against OptBinning, on real characteristics ----------------------------------------------------------------------

TAIWAN = "uci_taiwan_credit_card/default_of_credit_card_clients.csv.gz"
CREDIT = "give_me_some_credit/cs-training.csv.gz"
CLUB = "lendingclub_2007_2011/LoanStats3a_2007_2011.csv.gz"
REAL = [
    (TAIWAN, "LIMIT_BAL"),
    (TAIWAN, "AGE"),
    (CREDIT, "age"),
    (CREDIT, "DebtRatio"),
    (CLUB, "annual_inc"),
    (CLUB, "revol_util"),
]


def outcome(path: str, tape: pd.DataFrame) -> NDArray[np.uint8]:
    if path == CLUB:
        return tape["loan_status"].str.contains("Charged Off").to_numpy(np.uint8)
    return tape[tape.columns[-1] if path == TAIWAN else "SeriousDlqin2yrs"].to_numpy(np.uint8)


@pytest.mark.parametrize(("path", "feature"), REAL)
def test_on_real_loans_the_optimum_is_that_of_a_general_solver(datasets: Path, path: str, feature: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optbinning = pytest.importorskip("optbinning")
    tape = pd.read_csv(datasets / path, low_memory=False)
    values, bad = tape[feature].to_numpy(np.float64), outcome(path, tape)
    known = ~np.isnan(values)
    values, bad = values[known], bad[known]
    train = np.ones(len(values), dtype=bool)
    cuts = quantile_cuts(values, train, specials=(), most=20)
    rules = BinningRules(max_bins=6, min_share=0.05, min_bads=10, min_goods=10, prebins=20)
    for trend in SHAPES[:2] + SHAPES[3:]:
        ours = fit_numeric(feature, values, bad=bad, train=train, trend=trend, rules=rules)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = optbinning.OptimalBinning(
                user_splits=cuts.tolist(),
                max_n_bins=6,
                min_bin_size=0.05,
                min_bin_n_event=10,
                min_bin_n_nonevent=10,
                monotonic_trend=None if trend == Trend.FREE else str(trend),
            ).fit(values, bad)
            assert theirs.status == "OPTIMAL"
            table = theirs.binning_table.build(add_totals=False)
        assert information_value(ours.train) == pytest.approx(float(table["IV"].sum()), abs=1e-6), trend


# --- numbers ----------------------------------------------------------------------------------------------------------


def fit(values: list[float] | NDArray[np.float64], bad: list[int] | NDArray[np.uint8], **more: object) -> FittedBins:
    column = np.asarray(values, dtype=np.float64)
    given_: dict[str, object] = {"train": np.ones(len(column), dtype=bool), "trend": Trend.FREE, "rules": EVERY} | more
    return fit_numeric("income", column, bad=np.asarray(bad, dtype=np.uint8), **given_)  # type: ignore[arg-type]


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(20, 400),
    distinct=st.sampled_from([2, 5, 50, 10**6]),
    trend=st.sampled_from(list(Trend)),
    validated=st.booleans(),
)
def test_every_row_has_the_bin_that_the_card_gives_it_and_is_counted_there(
    seed: int, rows: int, distinct: int, trend: Trend, *, validated: bool
) -> None:
    chance = np.random.default_rng(seed)
    values = np.floor(chance.lognormal(1, 1, rows) * distinct) / 7
    values[chance.random(rows) < 0.1] = np.nan
    values[chance.random(rows) < 0.1] = -999.0
    bad = (chance.random(rows) < 0.4).astype(np.uint8)
    bad[:2] = 0, 1
    sample = chance.integers(0, 3, rows)
    sample[:2] = 0
    found = fit(
        values,
        bad,
        train=sample == 0,
        validation=sample == 1 if validated else None,
        specials=(-999.0,),
        trend=trend,
        rules=BinningRules(min_bads=1, min_goods=1, prebins=20),
    )
    assert isinstance(found.bins, NumericBins)
    codes = found.bins.assign_column(values)
    assert found.codes.tolist() == codes.tolist()
    for outcome_, weights in ((0, found.train.goods), (1, found.train.bads)):
        here = (sample == 0) & (bad == outcome_)
        assert weights.tolist() == np.bincount(codes[here], minlength=found.bins.size).tolist()
    assert (found.validation is not None) == validated
    assert (found.note is not None) == (trend == Trend.AUTO)
    assert found.trend not in {Trend.AUTO, Trend.EITHER}
    ordinary = slice(found.bins.ordinary)
    if found.bins.ordinary > 1:
        rates = found.train.bads[ordinary] / found.train.rows[ordinary]
        assert keeps(found.trend, rates.tolist())
        assert found.train.rows[ordinary].min() >= 0.05 * (sample == 0).sum() - 1e-9


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 3000), spread=st.sampled_from([0.01, 1.0, 1e6]))
def test_fine_cuts_rise_and_leave_no_interval_empty(seed: int, rows: int, spread: float) -> None:
    chance = np.random.default_rng(seed)
    values = np.where(chance.random(rows) < 0.3, 0.0, chance.normal(0, spread, rows))
    cuts = quantile_cuts(values, np.ones(rows, dtype=bool), specials=(), most=50)
    assert len(cuts) < 50
    assert (np.diff(cuts) > 0).all()
    assert np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1).min() > 0


def test_cuts_are_round_numbers() -> None:
    found = fit([0.31, 0.3487921, 0.3512, 0.9] * 5, [0, 0, 1, 1] * 5, rules=BinningRules(min_bads=1, min_goods=1))
    assert found.bins == NumericBins("income", ())  # no cut leaves goods and bads on both sides
    cuts = quantile_cuts(np.array([0.31, 0.3487921, 0.3512, 0.9]), np.ones(4, dtype=bool), specials=(), most=10)
    assert cuts.tolist() == [0.33, 0.35, 0.6]
    cuts = quantile_cuts(np.array([36.0, 60.0, -7.0, 3.0]), np.ones(4, dtype=bool), specials=(), most=10)
    assert cuts.tolist() == [0.0, 20.0, 50.0]


def test_a_weight_of_two_is_as_good_as_the_row_twice() -> None:
    chance = np.random.default_rng(5)
    values, bad = chance.integers(0, 30, 500).astype(np.float64), (chance.random(500) < 0.3).astype(np.uint8)
    weight = chance.integers(0, 3, 500).astype(np.float64)
    rules, repeats = BinningRules(), weight.astype(int)
    weighted = fit(values, bad, weight=weight, rules=rules)
    repeated = fit(np.repeat(values, repeats), np.repeat(bad, repeats), rules=rules)
    assert weighted.bins == repeated.bins
    assert weighted.train.goods.tolist() == repeated.train.goods.tolist()


def test_only_train_shapes_the_bins() -> None:
    chance = np.random.default_rng(1)
    values, bad = chance.normal(size=600), (chance.random(600) < 0.3).astype(np.uint8)
    train = np.arange(600) < 400
    other = np.where(train, values, 1000.0 + values)
    first, second = (
        fit(values, bad, train=train, rules=BinningRules()),
        fit(other, bad, train=train, rules=BinningRules()),
    )
    assert first.bins == second.bins
    assert first.train.bads.tolist() == second.train.bads.tolist()


def test_a_special_code_and_missing_have_bins_of_their_own_with_the_weight_of_their_data() -> None:
    values = [1.0, 2.0, 96.0, 98.0, np.nan] * 20
    found = fit(values, [0, 1, 1, 0, 0] * 19 + [1, 0, 0, 1, 1], specials=(96.0, 98.0))
    assert found.bins.labels() == ("below 2", "2 or more", "special 96", "special 98", "missing")
    assert found.train.bads.tolist() == [1, 19, 19, 1, 1]
    weights = woe(found.train)
    assert weights[0] > 0 > weights[1]
    assert weights[2] < 0 < weights[3]


def test_what_few_loans_show_of_a_missing_value_earns_no_points_and_loses_few() -> None:
    """Of five that withhold a value none turns bad, or all do: neither is more than chance on a tape with a third bad."""
    answers, bad = [1.0, 2.0] * 150, [0, 0, 1] * 100
    safe = fit([*answers, *[np.nan] * 5], bad + [0] * 5, rules=BinningRules())
    risky = fit([*answers, *[np.nan] * 5], bad + [1] * 5, rules=BinningRules())
    plenty = fit([*answers, *[np.nan] * 50], bad + [0] * 40 + [1] * 10, rules=BinningRules())
    assert woe(safe.train)[-1] > 1
    assert safe.woe[-1] == 0
    assert woe(risky.train)[-1] < -1.5
    assert -0.5 < risky.woe[-1] < -0.1
    assert plenty.woe.tolist() == woe(plenty.train).tolist()
    assert [it.thin.tolist()[-1] for it in (safe, risky, plenty)] == [True, True, False]


@given(goods=st.integers(0, 500), bads=st.integers(0, 30), least=st.floats(0.5, 20))
def test_a_bin_beside_the_ordinary_ones_earns_the_average_at_most_until_its_bads_are_enough(
    goods: int, bads: int, least: float
) -> None:
    train = Histogram(np.array([400.0, 300.0, goods]), np.array([40.0, 60.0, bads]))
    it = FittedBins(NumericBins("x", (1.0,)), Trend.FREE, np.zeros(0, dtype=np.uint8), train, None, None, least)
    own, taken = woe(train)[-1], it.woe[-1]
    assert it.woe[:-1].tolist() == woe(train)[:-1].tolist()
    assert taken == own if bads >= least or not goods + bads else taken <= 0
    assert abs(taken) <= abs(own) or least < 1
    assert it.thin.tolist() == [False, False, goods + bads > 0 and bads < least]


def test_auto_keeps_a_bend_that_many_loans_confirm_and_refuses_one_that_chance_made() -> None:
    chance = np.random.default_rng(3)
    values = chance.uniform(-1, 1, 20_000)
    bend, line = 0.1 + 0.3 * values**2, 0.25 + 0.1 * values
    bent = fit(values, chance.random(20_000) < bend, trend=Trend.AUTO, rules=BinningRules())
    straight = fit(values, chance.random(20_000) < line, trend=Trend.AUTO, rules=BinningRules())
    assert (bent.trend, straight.trend) == (Trend.VALLEY, Trend.ASCENDING)
    assert bent.note is not None
    assert "folds of train" in bent.note


def test_auto_asks_validation_too_where_there_is_one() -> None:
    chance = np.random.default_rng(3)
    values, train = chance.uniform(-1, 1, 20_000), np.arange(20_000) % 2 == 0
    rate = np.where(train, 0.1 + 0.3 * values**2, 0.25 + 0.15 * values)
    found = fit(
        values, chance.random(20_000) < rate, train=train, validation=~train, trend=Trend.AUTO, rules=BinningRules()
    )
    assert found.trend == Trend.ASCENDING
    assert found.note is not None
    assert "folds of train and validation" in found.note


# --- categories -------------------------------------------------------------------------------------------------------


def group(names: list[str | None], bad: list[int] | NDArray[np.uint8], **more: object) -> FittedBins:
    known = sorted({name for name in names if name is not None})
    codes = np.array([-1 if name is None else known.index(name) for name in names], dtype=np.int32)
    given_: dict[str, object] = {"train": np.ones(len(names), dtype=bool), "rules": EVERY} | more
    levels = Levels(codes, tuple(known))
    return fit_categories("purpose", levels, bad=np.asarray(bad, dtype=np.uint8), **given_)  # type: ignore[arg-type]


def test_levels_are_grouped_by_bad_rate_and_rare_ones_together() -> None:
    names: list[str | None] = ["car"] * 40 + ["home"] * 40 + ["trip"] * 40 + ["boat", "yak", None, "XNA"]
    bad = [0, 0, 0, 1] * 10 + [0, 1] * 20 + [0, 1] * 20 + [1, 0, 1, 0]
    found = group(
        names, bad, specials=("XNA",), rules=BinningRules(min_share=0, min_bads=1, min_goods=1, rare_share=0.1)
    )
    assert found.bins == CategoryBins("purpose", (("car",), ("boat", "home", "trip", "yak")), ("XNA",))
    assert found.train.rows.tolist() == [40, 82, 1, 1, 0]
    assert abs(woe(found.train)[-1]) < 1e-12


def test_a_level_that_only_later_samples_show_is_unseen() -> None:
    names: list[str | None] = ["a", "b"] * 20 + ["c", None]
    found = group(names, [0, 1, 1, 1] * 10 + [1, 0], train=np.arange(42) < 40)
    assert isinstance(found.bins, CategoryBins)
    assert found.codes[-2:].tolist() == [found.bins.unseen, found.bins.missing]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), levels=st.integers(1, 30), rows=st.integers(10, 300))
def test_groups_and_rows_agree(seed: int, levels: int, rows: int) -> None:
    chance = np.random.default_rng(seed)
    codes = chance.integers(-1, levels, rows).astype(np.int32)
    column = Levels(codes, tuple(f"level {level}" for level in range(levels)))
    bad = (chance.random(rows) < 0.4).astype(np.uint8)
    bad[:2] = 0, 1
    train = chance.random(rows) < 0.7
    train[:2] = True
    rules = BinningRules(min_bads=1, min_goods=1, rare_share=0.02)
    found = fit_categories("purpose", column, bad=bad, train=train, specials=("level 0",), rules=rules)
    assert found.codes.tolist() == found.bins.assign_column(column).tolist()  # type: ignore[arg-type]
    assert found.train.rows.sum() == train.sum()


def test_ten_thousand_levels_are_grouped() -> None:
    chance = np.random.default_rng(0)
    column = Levels(chance.integers(0, 10_000, 50_000).astype(np.int32), tuple(f"post code {i}" for i in range(10_000)))
    bad = (chance.random(50_000) < 0.2).astype(np.uint8)
    found = fit_categories("post code", column, bad=bad, train=np.ones(50_000, dtype=bool), rules=BinningRules())
    assert isinstance(found.bins, CategoryBins)
    assert sum(len(members) for members in found.bins.groups) == len(set(column.codes.tolist()))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trend", list(Trend))
def test_a_characteristic_that_says_nothing_has_one_ordinary_bin(trend: Trend) -> None:
    for values in ([5.0] * 6, [np.nan] * 6, [-0.0, 0.0] * 3, [96.0] * 6):
        found = fit(values, [0, 1] * 3, trend=trend, specials=(96.0,))
        assert found.bins == NumericBins("income", (), (96.0,))
    nothing = group([None] * 6, [0, 1] * 3)
    assert nothing.train.rows.tolist() == [0, 6, 0]


def test_two_loans_make_one_bin() -> None:
    assert fit([1.0, 2.0], [0, 1], trend=Trend.AUTO).bins == NumericBins("income", ())


@pytest.mark.parametrize("bad", [[0, 0, 0], [1, 1, 1]])
def test_train_of_one_class_is_refused_by_the_name_of_the_characteristic(bad: list[int]) -> None:
    with pytest.raises(InvalidInputError, match="'income': train has"):
        fit([1.0, 2.0, 3.0], bad)
    with pytest.raises(InvalidInputError, match="'purpose': train has"):
        group(["a", "b", "c"], bad)


@pytest.mark.parametrize("infinite", [np.inf, -np.inf])
@pytest.mark.parametrize("in_train", [True, False])
def test_an_infinite_value_is_refused_by_the_name_of_the_characteristic(infinite: float, *, in_train: bool) -> None:
    with pytest.raises(InvalidInputError, match="'income': an infinite value"):
        fit([1.0, 2.0, infinite], [0, 1, 1], train=np.array([True, True, in_train]))


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="'income'"):
        fit([1.0, 2.0, 3.0], [0, 1])


def test_special_codes_given_twice_are_refused() -> None:
    with pytest.raises(CardError, match="overlap"):
        fit([1.0, 2.0], [0, 1], specials=(9.0, 9.0))


@pytest.mark.parametrize(
    "nonsense",
    [
        {"max_bins": 0},
        {"min_share": 0.7},
        {"min_bads": 0},
        {"min_goods": -1},
        {"prebins": 1000},
        {"rare_share": float("nan")},
    ],
)
def test_rules_that_make_no_sense_are_refused(nonsense: dict[str, float]) -> None:
    with pytest.raises(InvalidInputError, match=f"{next(iter(nonsense))} is"):
        BinningRules(**nonsense)  # type: ignore[arg-type]

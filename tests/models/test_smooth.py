"""The smooth recipe: pairs that are there are found, trends hold everywhere, and the card alone gives the scores."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.models.worlds import ORIGIN, Frame, contract_of

from obligor.core.columnar import score_columns
from obligor.core.errors import CardError, InvalidInputError, TapeError
from obligor.core.features import build_features
from obligor.core.scorecard import Scorecard, parse_card
from obligor.core.scorer import compile_card
from obligor.core.trend import Trend
from obligor.measures.discrimination import auc
from obligor.models.assembly import assemble
from obligor.models.columns import Predictor, Rows
from obligor.models.pairs import PairRules
from obligor.models.projection import SmoothRules
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import fit_card

if TYPE_CHECKING:
    from obligor.models.fitted import FittedCard

SEEN = slice(0, 300)


def frame(rows: int = 12_000, *, joint: float = 1.6, seed: int = 5) -> tuple[Frame, Rows]:
    """Loans whose income and age of file matter alone, and whose signs matter only together."""
    random = np.random.default_rng(seed)
    income, file = random.standard_normal(rows), random.integers(-1, 40, rows).astype(float)
    housing = random.choice(["own", "rent", "family"], rows)
    together = np.sign(income) * np.where(file > 19, 1.0, -1.0)
    odds = -1.6 - 0.6 * income + 0.4 * (housing == "rent") + joint * together / 2
    bad = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    income[random.random(rows) < 0.05] = np.nan
    sample = np.array([0, 0, 0, 1, 2], dtype=np.uint8)[np.arange(rows) % 5]
    return Frame({"income": income, "age_of_file": file, "housing": housing}), Rows(bad, sample)


def offered(trend: Trend = Trend.AUTO) -> list[Predictor]:
    return [
        Predictor("income", "numeric", trend),
        Predictor("age_of_file", "numeric", Trend.AUTO, specials=(-1.0,)),
        Predictor("housing", "category", Trend.AUTO),
    ]


def card_of(fitted: FittedCard, rows: Rows) -> Scorecard:
    contract = contract_of(model={"recipe": "smooth"})
    features = build_features({name: it.type for name, it in contract.columns.items()}, histories={}, features={})
    return assemble(contract, fitted, rows, features=features, caps={}, origin=ORIGIN).card


@pytest.fixture(scope="module")
def world() -> tuple[Frame, Rows, FittedCard]:
    columns, rows = frame()
    return columns, rows, fit_smooth_card(offered(), columns, rows)


def test_a_pair_that_matters_together_is_found_and_beats_the_additive_card(
    world: tuple[Frame, Rows, FittedCard],
) -> None:
    columns, rows, fitted = world
    assert [set(grid.features) for grid in fitted.points.grids] == [{"income", "age_of_file"}]
    test = rows.is_in(2)
    additive = fit_card(offered(), columns, rows)
    smooth, plain = (auc(rows.bad[test], -it.scores[test].astype(float)) for it in (fitted, additive))
    assert smooth > plain + 0.03


def test_where_nothing_acts_together_no_pair_is_taken() -> None:
    for seed in range(4):
        columns, rows = frame(6000, joint=0.0, seed=seed)
        assert fit_smooth_card(offered(), columns, rows).points.grids == ()


def test_the_card_alone_gives_the_scores_of_the_fit_in_columns_and_one_by_one(
    world: tuple[Frame, Rows, FittedCard],
) -> None:
    columns, rows, fitted = world
    card = parse_card(card_of(fitted, rows).to_json())
    values = {name: columns.numbers(name) for name in ("income", "age_of_file")}
    scored = score_columns(card, values | {"housing": columns.levels("housing")}, rows=len(rows.bad))
    assert np.array_equal(scored.score, fitted.scores)
    scorer = compile_card(card)
    for at in range(300):
        income = values["income"][at]
        found = scorer.score(
            {
                "income": None if np.isnan(income) else float(income),
                "age_of_file": float(values["age_of_file"][at]),
                "housing": str(columns.columns["housing"][at]),
            }
        )
        assert found.score == fitted.scores[at] == card.base_points + sum(found.points)
        assert len(found.points) == len(card.characteristics) + len(card.pairs)


def test_every_row_and_column_of_a_grid_has_a_mean_of_zero_over_train(world: tuple[Frame, Rows, FittedCard]) -> None:
    card = card_of(world[2], world[1])
    for pair in card.pairs:
        rows, points = np.array(pair.goods) + np.array(pair.bads), np.array(pair.points)
        for axis in (0, 1):
            assert np.abs((rows * points).sum(axis=axis) / rows.sum(axis=axis)).max() <= 1  # a thousandth of a point


def test_what_train_hardly_shows_earns_no_more_than_the_average_and_what_it_never_shows_just_that(
    world: tuple[Frame, Rows, FittedCard],
) -> None:
    """Most have debt, so that to lack what nobody lacks would else earn what the middle of the table lies above them."""
    columns, rows, _ = world
    income, debt = columns.numbers("income").copy(), np.where(rows.bad == 1, 1.0, 0.0)
    income[np.isnan(income)] = 0.0
    income[np.flatnonzero(rows.is_in(0) & (rows.bad == 0))[:40]] = np.nan
    debt = np.where(np.random.default_rng(2).random(len(debt)) < 0.9, 1.0, 0.0) + debt  # 0 is rare and safe
    offer = [*offered(), Predictor("debt", "numeric", Trend.AUTO)]
    fitted = fit_smooth_card(offer, Frame(columns.columns | {"income": income, "debt": debt}), rows)
    bins = {
        name: (fitted.bins[name], table) for name, table in zip(fitted.fit.features, fitted.points.bins, strict=True)
    }
    own, table = bins["income"]
    assert own.thin[-1]
    assert table[-1] <= 0
    for grid in fitted.points.grids:
        for axis, name in enumerate(grid.features):
            alone = np.flatnonzero(bins[name][0].thin)
            assert not np.moveaxis(grid.by_bin, axis, 0)[alone].any()
    for own, table in bins.values():
        assert {table[at] for at in np.flatnonzero(own.train.rows == 0)} <= {0}


@pytest.mark.parametrize("seed", range(4))
def test_levels_that_are_many_bring_no_pair_of_their_own(seed: int) -> None:
    """Bins of levels are joined by their outcome, so that the residual of a shrunk fit still holds some of it."""
    random = np.random.default_rng(seed)
    town, income = random.choice([f"town {at}" for at in range(60)], 1500), random.standard_normal(1500)
    odds = -1.2 - 0.5 * income + 0.8 * np.sin([int(name[5:]) * 7.0 for name in town])
    bad = (random.random(1500) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    rows = Rows(bad, (np.arange(1500) % 10 == 0).astype(np.uint8))
    noise = {f"noise_{at}": random.standard_normal(1500) for at in range(4)}
    predictors = [Predictor(name, "numeric", Trend.FREE) for name in ("income", *noise)]
    columns = Frame({"income": income, "town": town, **noise})
    fitted = fit_smooth_card([*predictors, Predictor("town", "category", Trend.AUTO)], columns, rows)
    assert "town" in fitted.fit.features
    assert fitted.points.grids == ()


@pytest.mark.parametrize("max_cells", [20, 35, 60])
def test_a_card_has_no_more_bins_and_cells_than_it_may(max_cells: int) -> None:
    columns, rows = frame()
    fitted = fit_smooth_card(offered(), columns, rows, rules=SmoothRules(max_cells=max_cells))
    held = [len(table) for table in fitted.points.bins] + [grid.goods.size for grid in fitted.points.grids]
    assert sum(held) <= max_cells or len(held) == 1
    assert {it.feature for it in fitted.dropped} | set(fitted.fit.features) == set(columns.columns)


def test_the_more_pairs_are_compared_the_more_each_must_gain() -> None:
    rules = PairRules(chance=0.05)
    assert rules.least_gain(1) == pytest.approx(np.log(20))
    assert rules.least_gain(200) == pytest.approx(np.log(20) + np.log(200))


def test_a_card_keeps_to_its_budget_of_bins_and_cells() -> None:
    columns, rows = frame()
    rules = SmoothRules(max_bins=5, grid_bins=3)
    fitted = fit_smooth_card(offered(), columns, rows, rules=rules)
    assert max(fitted.bins[name].bins.ordinary for name in fitted.fit.features) <= 5
    assert all(len(grid.points) <= 3 + 2 for grid in fitted.points.grids)
    none = fit_smooth_card(offered(), columns, rows, rules=SmoothRules(max_cells=10))
    assert none.points.grids == ()
    assert fit_smooth_card(offered(), columns, rows, rules=SmoothRules(pairs=PairRules(most=0))).points.grids == ()


@pytest.mark.parametrize("trend", [Trend.ASCENDING, Trend.DESCENDING])
def test_a_trend_of_the_contract_holds_whatever_the_other_bin_is(trend: Trend) -> None:
    columns, rows = frame()
    fitted = fit_smooth_card(offered(trend), columns, rows)
    card = card_of(fitted, rows)
    table = {it.feature: np.array(it.points) for it in card.characteristics}
    if trend == Trend.ASCENDING:  # the data speak against it: whether income is known at all is what stays
        assert fitted.bins["income"].bins.ordinary == 1
    else:
        assert any("income" in pair.features for pair in card.pairs)
    size = fitted.bins["income"].bins.ordinary
    wholes = [table["income"][:size][:, None] * np.ones((1, 1))]
    for pair in card.pairs:
        if "income" in pair.features:
            points = np.array(pair.by_bin) if pair.features[0] == "income" else np.array(pair.by_bin).T
            wholes.append(points[:size])
    for columns_of in itertools.product(*(range(whole.shape[1]) for whole in wholes)):
        total = sum(whole[:, at] for whole, at in zip(wholes, columns_of, strict=True))
        steps = np.diff(total) * (-1 if trend == Trend.ASCENDING else 1)
        assert steps.min(initial=0) >= 0  # in whole thousandths


def test_the_same_loans_give_the_same_card() -> None:
    columns, rows = frame(4000)
    first, second = (card_of(fit_smooth_card(offered(), columns, rows), rows).to_json() for _ in range(2))
    assert first == second


def test_weights_are_repetition() -> None:
    columns, rows = frame(5000)
    times = np.where(rows.is_in(0) & (rows.bad == 1), 3, 1)
    rules = SmoothRules(pairs=PairRules(most=0))  # a repeated row stands in several folds, and would vouch for pairs
    weighted = fit_smooth_card(offered(), columns, Rows(rows.bad, rows.sample, weight=times.astype(float)), rules=rules)
    repeated = Frame({name: np.repeat(column, times) for name, column in columns.columns.items()})
    again = fit_smooth_card(
        offered(), repeated, Rows(np.repeat(rows.bad, times), np.repeat(rows.sample, times)), rules=rules
    )
    plain = fit_smooth_card(offered(), columns, rows, rules=rules)
    off, without = (np.abs(np.repeat(it.scores, times) - again.scores).mean() / 1000 for it in (weighted, plain))
    assert off < 3  # points; the fine cuts are at quantiles of rows, and differ a little
    assert without > 25


def test_mean_pd_of_train_is_its_bad_rate(world: tuple[Frame, Rows, FittedCard]) -> None:
    _, rows, fitted = world
    train = rows.is_in(0)
    odds = (fitted.scores[train] / 1000 - 600) / 20 * np.log(2) + np.log(50)
    assert (1 / (1 + np.exp(odds))).mean() == pytest.approx(rows.bad[train].mean(), abs=1e-4)


def test_noise_leaves_nothing_and_says_so() -> None:
    random = np.random.default_rng(0)
    bad = (random.random(900) < 0.3).astype(np.uint8)
    rows = Rows(bad, np.array([0, 0, 1], dtype=np.uint8)[np.arange(900) % 3])
    constant = Frame({"income": np.ones(900)})
    with pytest.raises(TapeError, match="none of 1 predictors"):
        fit_smooth_card([Predictor("income", "numeric", Trend.AUTO)], constant, rows)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": [0, 0]}, "has a gap: wanted a place in"),
        ({"features": ["income", "height"]}, "reads 'height', which is no characteristic"),
        ({"features": ["income", "income"]}, "pairs a characteristic with itself"),
        ({"points": [[1]]}, "has a gap"),
    ],
)
def test_a_pair_edited_by_hand_so_that_it_has_gaps_is_refused(
    world: tuple[Frame, Rows, FittedCard], change: dict[str, object], message: str
) -> None:
    import json

    said = json.loads(card_of(world[2], world[1]).to_json())
    said["pairs"][0] |= change
    with pytest.raises(CardError, match=message):
        parse_card(json.dumps(said).encode())


def test_a_crowd_of_predictors_is_thinned_to_those_that_tell_most_and_every_other_has_its_reason() -> None:
    random = np.random.default_rng(7)
    noise = {f"noise_{at}": random.standard_normal(3000) for at in range(12)}
    strong = random.standard_normal((4, 3000))
    bad = (random.random(3000) < 1 / (1 + np.exp(1.5 - strong.sum(axis=0)))).astype(np.uint8)
    columns = Frame({**noise, **{f"strong_{at}": column for at, column in enumerate(strong)}})
    rows = Rows(bad, np.array([0, 0, 1], dtype=np.uint8)[np.arange(3000) % 3])
    offers = [Predictor(name, "numeric", Trend.AUTO) for name in columns.columns]
    rules = SmoothRules(max_tables=8, max_characteristics=3, keep=("noise_11",), pairs=PairRules(most=0))
    fitted = fit_smooth_card(offers, columns, rows, rules=rules)
    assert len(fitted.fit.features) == 3
    assert "noise_11" in fitted.fit.features
    assert {name for name in fitted.fit.features if name != "noise_11"} < {f"strong_{at}" for at in range(4)}
    assert {it.feature for it in fitted.dropped} | set(fitted.fit.features) == set(columns.columns)


def test_an_infinite_value_is_refused_by_the_name_of_its_predictor() -> None:
    columns, rows = frame(500)
    columns.columns["income"][3] = np.inf
    with pytest.raises(InvalidInputError, match="'income': an infinite value"):
        fit_smooth_card(offered(), columns, rows)


def test_missing_everywhere_tells_nothing_and_special_codes_have_points_of_their_own() -> None:
    columns, rows = frame(6000)
    empty = Frame({**columns.columns, "empty": np.full(6000, np.nan)})
    fitted = fit_smooth_card([*offered(), Predictor("empty", "numeric", Trend.AUTO)], empty, rows)
    assert {it.feature: it.rule for it in fitted.dropped}["empty"] == "information value"
    bins = fitted.bins["age_of_file"]
    assert bins.bins.specials == (-1.0,)
    assert bins.train.rows[bins.bins.ordinary] == (columns.columns["age_of_file"][rows.is_in(0)] == -1).sum()

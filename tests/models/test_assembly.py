"""A card is put together so that it alone gives what the fit gave."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from tests.models.worlds import World, make_world

from obligor.core.bins import NumericBins
from obligor.core.calibration import PdTable
from obligor.core.clauses import Cutoff
from obligor.core.columnar import score_columns
from obligor.core.scorecard import parse_card
from obligor.core.scorer import compile_card
from obligor.core.trend import Trend
from obligor.measures.decisions import Book, Economy
from obligor.models.assembly import trend_kept
from obligor.models.binning import FittedBins
from obligor.models.histograms import Histogram, woe
from obligor.models.thresholds import choose_cutoff

# score (in points)  400 bad  500 good  600 bad  700 good  800 good, of 1, 2, 1, 2, 4 units of money
BOOK = Book(
    np.array([400, 500, 600, 700, 800]) * 1000,
    np.array([1, 0, 1, 0, 0], dtype=np.uint8),
    np.ones(5),
    np.array([1.0, 2.0, 1.0, 2.0, 4.0]),
)
PDS = PdTable((400_000, 800_000), (0.5, 0.1))


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def test_the_card_alone_gives_the_scores_of_the_fit(world: World) -> None:
    card = world.made.card
    columns = {name: world.frame.numbers(name) for name in ("income", "age_of_file")}
    scored = score_columns(card, columns | {"housing": world.frame.levels("housing")}, rows=len(world.rows.bad))
    assert np.array_equal(scored.score, world.fitted.scores)
    scorer = compile_card(parse_card(card.to_json()))
    for at in range(0, 400, 7):
        income = columns["income"][at]
        application = {
            "income": None if np.isnan(income) else float(income),
            "age_of_file": float(columns["age_of_file"][at]),
            "housing": str(world.frame.columns["housing"][at]),
        }
        assert scorer.score(application).score == world.fitted.scores[at]


def test_a_card_keeps_what_scoring_reads_and_no_more(world: World) -> None:
    card = world.made.card
    assert set(card.applications.columns) == {"loan", "income", "age_of_file", "housing"}
    assert card.caps == {}
    assert {it.feature: (it.reason, it.reason_missing) for it in card.characteristics}["income"] == (
        "Income is low",
        "Income is not known",
    )


def test_the_bins_of_a_card_count_every_loan_of_train(world: World) -> None:
    train = world.rows.bad[world.rows.is_in(0)]
    for characteristic in world.made.card.characteristics:
        assert sum(row.bads for row in characteristic.bins) == train.sum()
        assert sum(row.goods + row.bads for row in characteristic.bins) == len(train)


def test_a_card_says_of_which_bins_train_shows_too_few_bads_and_writes_it_of_no_other() -> None:
    card = make_world(lacking=0.003).made.card
    income = next(it for it in card.characteristics if it.feature == "income")
    assert [row.thin for row in income.bins] == [False] * (len(income.bins) - 1) + [True]
    assert 0 < income.bins[-1].goods + income.bins[-1].bads < 20
    assert income.bins[-1].points <= 0
    told = [row for it in json.loads(card.to_json())["characteristics"] for row in it["bins"] if "thin" in row]
    assert [(row["label"], row["thin"]) for row in told] == [("missing", True)]
    assert parse_card(card.to_json()) == card


def test_weights_count_in_the_bins_as_often_as_they_say() -> None:
    world = make_world(weighted=True)
    assert world.rows.weight is not None
    total = world.rows.weight[world.rows.is_in(0)].sum()
    for characteristic in world.made.card.characteristics:
        assert sum(row.goods + row.bads for row in characteristic.bins) == pytest.approx(total)


@pytest.mark.parametrize(
    ("economy", "by", "wanted"),
    [
        (Economy(margin=1.0, lgd=1.0, cost_missed_default=1, cost_declined_good=1), "profit", 500),  # 2 - 1 + 2 + 4
        (Economy(margin=0.1, lgd=1.0, cost_missed_default=1, cost_declined_good=1), "profit", 700),  # .2 - 1 < 0
        (Economy(margin=0.1, lgd=1.0, cost_missed_default=1, cost_declined_good=3), "cost", 500),
        (Economy(margin=0.1, lgd=1.0, cost_missed_default=3, cost_declined_good=1), "cost", 700),
    ],
)
def test_the_cutoff_earns_most_or_costs_least(economy: Economy, by: str, wanted: int) -> None:
    cutoff = Cutoff.model_validate({"by": by})
    assert choose_cutoff(BOOK, PDS, cutoff=cutoff, economy=economy) == wanted * 1000


@pytest.mark.parametrize(("value", "wanted"), [(0.2, 800), (0.5, 600), (0.6, 600), (0.9, 400)])
def test_the_cutoff_of_an_approval_rate_is_the_highest_that_reaches_it(value: float, wanted: int) -> None:
    economy = Economy(margin=0.1, lgd=1, cost_missed_default=1, cost_declined_good=1)
    cutoff = Cutoff.model_validate({"by": "approval_rate", "value": value})
    assert choose_cutoff(BOOK, PDS, cutoff=cutoff, economy=economy) == wanted * 1000


@pytest.mark.parametrize(("value", "wanted"), [(0.3, 600_000), (0.05, 800_001)])
def test_the_cutoff_of_a_pd_is_the_lowest_score_with_it_and_else_approves_nobody(value: float, wanted: int) -> None:
    economy = Economy(margin=0.1, lgd=1, cost_missed_default=1, cost_declined_good=1)
    cutoff = Cutoff.model_validate({"by": "pd", "value": value})
    assert choose_cutoff(BOOK, PDS, cutoff=cutoff, economy=economy) == wanted


def test_reference_means_are_those_of_applicants_at_the_cutoff_or_slightly_above(world: World) -> None:
    card, scores = world.made.card, world.fitted.scores
    cutoff, known = card.cutoff.score, ~world.rows.is_in(2)
    near = known & (scores >= cutoff) & (scores <= cutoff + 10_000)
    if near.sum() < 100:
        above = np.flatnonzero(known & (scores >= cutoff))
        near = above[np.argsort(scores[above], kind="stable")[:100]]
    for characteristic in card.characteristics:
        points = np.array(characteristic.points)[world.fitted.design.codes(characteristic.feature)[near]]
        assert characteristic.reference == round(float(points.mean()))


def test_a_card_names_the_trend_that_its_points_keep_where_two_bins_are_nearly_alike() -> None:
    """Each weight is drawn towards the population's by one row, which turns bad rates of 15.00% of 500 and 15.02% of 5000."""
    train = Histogram(goods=np.array([425.0, 4249.0, 600.0, 0.0]), bads=np.array([75.0, 751.0, 5400.0, 0.0]))
    bins = FittedBins(
        NumericBins("x", (1.0, 2.0)), Trend.ASCENDING, np.zeros(0, dtype=np.uint8), train, None, None, 10.0
    )
    points = np.rint(28_854 * woe(train)).astype(int).tolist()
    assert points[0] < points[1]
    assert trend_kept(bins, points, coefficient=1.0) == Trend.VALLEY
    assert trend_kept(bins, [3, 2, 1, 9], coefficient=1.0) == Trend.ASCENDING
    assert trend_kept(bins, [1, 2, 3, 9], coefficient=1.0) == Trend.DESCENDING
    assert trend_kept(bins, [1, 2, 3, 9], coefficient=-1.0) == Trend.ASCENDING
    assert trend_kept(replace(bins, trend=Trend.PEAK), points, coefficient=1.0) == Trend.PEAK

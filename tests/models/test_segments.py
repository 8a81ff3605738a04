"""A segment earns points of its own where its loans behave otherwise, and only there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import log_loss
from tests.models.worlds import Frame, contract_of

from obligor.core.clauses import CardScale
from obligor.core.contract import parse_contract
from obligor.core.errors import ContractError
from obligor.core.trend import Trend
from obligor.models.binning import BinningRules
from obligor.models.columns import Predictor, Rows
from obligor.models.scaling import log_odds_of
from obligor.models.training import Recipe, fit_card

if TYPE_CHECKING:
    from obligor.models.fitted import FittedCard


@dataclass(frozen=True)
class Portfolio:
    frame: Frame
    rows: Rows
    risk: np.ndarray
    """The true log-odds of bad."""


def portfolio(seed: int, *, differ: float, rows: int = 9000, trend: Trend = Trend.AUTO) -> Portfolio:
    """New customers and known ones turn bad as often; income tells more of the one and less of the other."""
    random = np.random.default_rng(seed)
    income, debt = random.standard_normal(rows), random.standard_normal(rows)
    kind = random.choice(["new", "known", "staff"], rows, p=[0.45, 0.5, 0.05])
    slope = np.where(kind == "new", 0.6 - differ, 0.6 + differ)
    risk = -1.2 - slope * income + 0.5 * debt
    bad = (random.random(rows) < 1 / (1 + np.exp(-risk))).astype(np.uint8)
    sample = np.array([0, 0, 0, 1, 2], dtype=np.uint8)[np.arange(rows) % 5]
    return Portfolio(Frame({"income": income, "debt": debt, "kind": kind}), Rows(bad, sample), risk)


def card_of(it: Portfolio, *, segment: str | None = "kind", trend: Trend = Trend.AUTO) -> FittedCard:
    predictors = [
        Predictor("income", "numeric", trend),
        Predictor("debt", "numeric", Trend.AUTO),
        Predictor("kind", "category", Trend.AUTO),
    ]
    return fit_card(predictors, it.frame, it.rows, recipe=Recipe(BinningRules(max_bins=6), segment=segment))


@pytest.fixture(scope="module")
def apart() -> tuple[Portfolio, FittedCard]:
    it = portfolio(1, differ=0.5)
    return it, card_of(it)


def loss(it: Portfolio, fitted: FittedCard, *, sample: int = 2) -> float:
    mask = it.rows.is_in(sample)
    return float(log_loss(it.rows.bad[mask], 1 / (1 + np.exp(log_odds_of(fitted.scores[mask], scale=CardScale())))))


def test_segments_that_differ_earn_their_points_and_the_test_bears_them_out(
    apart: tuple[Portfolio, FittedCard],
) -> None:
    it, fitted = apart
    labels = fitted.bins["kind"].bins.labels()
    earned = {labels[each.bin] for each in fitted.segments if each.earned}
    assert earned == {"new", "known"}
    assert all("income" in each.characteristics for each in fitted.segments if each.earned)
    common = card_of(it, segment=None)
    truth = log_loss(it.rows.bad[it.rows.is_in(2)], 1 / (1 + np.exp(-it.risk[it.rows.is_in(2)])))
    assert loss(it, common) - loss(it, fitted) > 0.5 * (loss(it, common) - truth)


def test_a_segment_of_few_bads_keeps_everybodys_points(apart: tuple[Portfolio, FittedCard]) -> None:
    it, fitted = apart
    staff = next(each for each in fitted.segments if "staff" in fitted.bins["kind"].bins.labels()[each.bin])
    assert staff.bads < 100
    assert not staff.earned
    assert staff.gain is None
    inside = it.frame.columns["kind"] == "staff"
    lines = [fitted.design.codes(name)[inside] for name in fitted.fit.features]
    alone = fitted.points.base + sum(
        np.array(table)[line] for table, line in zip(fitted.points.bins, lines, strict=True)
    )
    assert (fitted.scores[inside] == alone).all()


def test_segments_that_behave_alike_seldom_earn_points() -> None:
    cards = [card_of(portfolio(seed, differ=0.0, rows=3000)) for seed in range(10)]
    judged = [each for card in cards for each in card.segments if each.gain is not None or each.bads >= 100]
    assert len(judged) >= 15
    assert sum(each.earned for each in judged) <= 4  # 5% of 20 is one; more than 4 in one draw of a hundred


def test_each_segment_that_earned_its_points_has_the_bad_rate_of_its_train_loans(
    apart: tuple[Portfolio, FittedCard],
) -> None:
    it, fitted = apart
    for each in fitted.segments:
        inside = (fitted.design.codes("kind") == each.bin) & it.rows.is_in(0)
        pds = 1 / (1 + np.exp(log_odds_of(fitted.scores[inside], scale=CardScale())))
        if each.earned:
            assert pds.mean() == pytest.approx(it.rows.bad[inside].mean(), abs=2e-4)  # points are whole thousandths


def test_a_column_of_which_every_bin_earns_its_points_makes_whole_grids() -> None:
    it = portfolio(7, differ=0.6)
    known = np.where(it.frame.columns["kind"] == "new", np.nan, 1.0)  # one interval and the missing, no other bin
    whole = Portfolio(Frame(it.frame.columns | {"known": known}), it.rows, it.risk)
    predictors = [Predictor(name, "numeric", Trend.AUTO) for name in ("income", "debt", "known")]
    fitted = fit_card(predictors, whole.frame, whole.rows, recipe=Recipe(BinningRules(max_bins=6), segment="known"))
    assert sum(each.earned for each in fitted.segments) == fitted.bins["known"].bins.size == 2
    for grid in fitted.points.grids:
        assert set(grid.rows) == set(range(len(grid.points))) == {0, 1}


def test_a_segments_points_keep_the_trend_that_the_contract_asks() -> None:
    it = portfolio(3, differ=0.9)  # in one segment income runs the other way
    fitted = card_of(it, trend=Trend.DESCENDING)
    (grid,) = [grid for grid in fitted.points.grids if grid.features[1] == "income"]
    at = fitted.fit.features.index("income")
    ordinary = fitted.bins["income"].bins.ordinary
    for row in grid.by_bin:
        earned = (np.array(fitted.points.bins[at]) + row)[:ordinary]
        assert (np.diff(earned) >= -1).all()  # within a thousandth, for rounding


def test_a_column_that_tells_nothing_alone_comes_on_the_card_when_its_segments_differ() -> None:
    it = portfolio(5, differ=0.5)
    fitted = card_of(it)
    assert "kind" in fitted.fit.features
    assert not any(each.feature == "kind" for each in fitted.dropped)
    total = fitted.points.base + sum(
        np.array(table)[fitted.design.codes(name)]
        for name, table in zip(fitted.fit.features, fitted.points.bins, strict=True)
    )
    for grid in fitted.points.grids:
        one, other = (fitted.design.codes(name) for name in grid.features)
        total = total + grid.by_bin[one, other]
    assert (fitted.scores == total).all()


def test_few_who_withhold_a_value_in_a_segment_earn_nothing_by_it_there() -> None:
    it = portfolio(1, differ=0.5)
    income, kind = it.frame.numbers("income").copy(), it.frame.columns["kind"]
    train = it.rows.is_in(0)
    income[np.flatnonzero(train & (kind == "known"))[:400]] = np.nan
    income[np.flatnonzero(train & (kind == "new") & (it.rows.bad == 0))[:60]] = np.nan
    fitted = card_of(replace(it, frame=Frame(it.frame.columns | {"income": income})))
    place = fitted.bins["kind"].bins.assign("new")
    (grid,) = (it for it in fitted.points.grids if it.features == ("kind", "income"))
    assert fitted.bins["income"].train.bads[-1] >= 10
    assert grid.by_bin[place][-1] <= 0


def test_the_same_loans_give_the_same_points(apart: tuple[Portfolio, FittedCard]) -> None:
    it, fitted = apart
    again = card_of(it)
    assert again.points.bins == fitted.points.bins
    assert [grid.points for grid in again.points.grids] == [grid.points for grid in fitted.points.grids]


def test_a_segment_that_is_no_predictor_is_refused() -> None:
    said = contract_of().model_dump(mode="json", by_alias=True)
    said["model"]["segment"] = "housng"
    with pytest.raises(ContractError, match="there is no predictor 'housng'; did you mean 'housing'"):
        parse_contract(said)

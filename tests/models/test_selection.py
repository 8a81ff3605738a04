"""Every feature that is left off has its reason, with numbers."""

from __future__ import annotations

import numpy as np
import pytest
from tests.models.worlds import Frame

from obligor.core.errors import TapeError
from obligor.core.trend import Trend
from obligor.models.columns import Predictor, Rows
from obligor.models.histograms import Histogram, woe
from obligor.models.logistic import Cases, Penalty
from obligor.models.selection import SelectionRules, select, validation_gain
from obligor.models.training import Recipe, fit_card


def world(rows: int = 6000) -> tuple[Frame, Rows]:
    random = np.random.default_rng(4)
    strong, weak = random.standard_normal(rows), random.standard_normal(rows)
    bad = (random.random(rows) < 1 / (1 + np.exp(2 - strong - 0.6 * weak))).astype(np.uint8)
    sample = (np.arange(rows) % 5 == 0).astype(np.uint8) + (np.arange(rows) % 10 == 0)
    drifted = np.where(sample == 1, strong + 9, strong)
    columns = {
        "strong": strong,
        "echo": strong * 2 + 1e-3 * random.standard_normal(rows),
        "weak": weak,
        "noise": random.standard_normal(rows),
        "constant": np.ones(rows),
        "empty": np.full(rows, np.nan),
        "drifted": drifted,
        "group": np.where(strong > 0.5, "high", "low"),
    }
    return Frame(columns), Rows(bad, sample.astype(np.uint8))


def predictors(*names: str) -> list[Predictor]:
    return [Predictor(name, "category" if name == "group" else "numeric", Trend.AUTO) for name in names]


def test_each_rule_drops_what_it_is_for_and_says_why() -> None:
    frame, rows = world()
    names = ("strong", "echo", "weak", "noise", "constant", "empty", "drifted")
    fitted = fit_card(predictors(*names), frame, rows)
    dropped = {each.feature: each.rule for each in fitted.dropped}
    assert set(fitted.fit.features) | set(dropped) == set(names)
    assert len({"strong", "echo"} & set(fitted.fit.features)) == 1
    assert dropped["constant"] == dropped["empty"] == dropped["noise"] == "information value"
    assert dropped["drifted"] in ("stability", "validation", "correlation")
    assert "weak" in fitted.fit.features
    assert all(any(digit in each.detail for digit in "0123456789") or each.rule == "sign" for each in fitted.dropped)


def test_the_scores_are_the_sums_of_the_points_and_rank_the_outcomes() -> None:
    frame, rows = world()
    fitted = fit_card(predictors("strong", "weak", "group"), frame, rows)
    again = fit_card(predictors("strong", "weak", "group"), frame, rows)
    assert fitted.scores.tolist() == again.scores.tolist()
    total = np.full(len(rows.bad), fitted.points.base)
    for name, table in zip(fitted.fit.features, fitted.points.bins, strict=True):
        total = total + np.array(table)[fitted.design.codes(name)]
    assert fitted.scores.tolist() == total.tolist()
    assert fitted.scores[rows.bad == 0].mean() > fitted.scores[rows.bad == 1].mean() + 5000


def test_a_tape_that_tells_nothing_gives_no_card() -> None:
    frame, rows = world()
    with pytest.raises(TapeError, match="nothing to build a card on"):
        fit_card(predictors("constant", "empty"), frame, rows)


def test_a_feature_to_keep_stays_whatever_the_statistics_say() -> None:
    frame, rows = world()
    recipe = Recipe(selection=SelectionRules(keep=("noise",), max_characteristics=2))
    fitted = fit_card(predictors("strong", "weak", "noise", "group"), frame, rows, recipe=recipe)
    gone = {each.feature: each.rule for each in fitted.dropped}
    assert "noise" in fitted.fit.features or gone["noise"] == "sign"


def test_weights_of_evidence_that_hold_gain_on_validation_and_turned_ones_lose() -> None:
    train = Histogram(np.array([900.0, 600.0]), np.array([30.0, 120.0]))
    turned = Histogram(train.goods[::-1], train.bads[::-1])
    held, lost = validation_gain(woe(train), train), validation_gain(woe(train), turned)
    assert held.mean > held.error > 0
    assert lost.mean + lost.error < 0


def test_a_feature_that_parts_goods_from_bads_so_that_it_has_one_bin_is_dropped_as_one_that_may_know_the_outcome() -> (
    None
):
    frame, rows = world()
    frame.columns["days_in_collection"] = rows.bad * (1.0 + np.arange(len(rows.bad)) % 60)
    frame.columns["group"] = np.where(rows.bad == 1, "written off", "alive")
    fitted = fit_card(predictors("days_in_collection", "group", "strong", "constant"), frame, rows)
    told = {each.feature: each.detail for each in fitted.dropped}
    assert fitted.fit.features == ("strong",)
    for name in ("days_in_collection", "group"):
        assert "it may know the outcome" in told[name]
    assert "know" not in told["constant"]


def test_the_most_characteristics_are_those_told_apart_best() -> None:
    frame, rows = world()
    whole = fit_card(predictors("strong", "weak", "group"), frame, rows)
    train, validation = (Cases(np.flatnonzero(rows.is_in(sample)), rows.bad) for sample in (0, 1))
    rules = SelectionRules(max_characteristics=1, max_correlation=1.0)
    found = select(whole.design, train, validation, penalty=Penalty(), rules=rules)
    assert found.fit.features == ("strong",)
    assert {each.rule for each in found.dropped} <= {"number", "significance", "sign"}
    assert len(found.dropped) == len(whole.fit.features) - 1

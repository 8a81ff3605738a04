"""The evidence of explanations: importance as the shap library has it, and applicants that give nobody away."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.core.test_explanation import lender
from tests.core.test_shapley import made
from tests.models.worlds import make_world

from obligor.core.calibration import PdTable
from obligor.core.columnar import score_bins
from obligor.core.columns import Column, Feature, History
from obligor.core.shapley import shapley_tables
from obligor.models.columns import TEST, Rows
from obligor.models.explanations import explanations, importance, withheld
from obligor.models.judged import Judged, judge

if TYPE_CHECKING:
    from obligor.core.scorecard import Scorecard


def judged_of(card: Scorecard, codes: np.ndarray, weight: np.ndarray | None = None) -> Judged:
    """Judge a card on rows whose bins are given; the first ten are train and validation."""
    rows = len(codes)
    sample = np.full(rows, TEST, dtype=np.uint8)
    sample[:10] = [0, 1] * 5
    bad = np.zeros(rows, dtype=np.uint8)
    bad[:10] = [0, 0, 1, 1, 0, 0, 1, 1, 0, 0]
    named = {it.feature: codes[:, at].astype(np.uint8) for at, it in enumerate(card.characteristics)}
    scored = score_bins(card, named, rows=rows)
    return Judged(card, Rows(bad, sample, weight), scored.score, scored.pd, named, None)


def test_importance_is_the_weighted_mean_of_what_shap_computes_on_the_test() -> None:
    card, codes = made(4)
    weight = np.random.default_rng(1).uniform(0.5, 3.0, len(codes))
    found = importance(judged_of(card, codes, weight), shapley_tables(card))
    tables = shapley_tables(card)  # held equal to shap in tests/core/test_shapley.py
    added = np.abs([tables.of(row) for row in codes[10:].tolist()])
    wanted = dict(zip("abcd", np.average(added, axis=0, weights=weight[10:]), strict=True))
    assert {it["feature"]: it["mean_abs_shap"] for it in found} == pytest.approx(wanted)
    assert [it["mean_abs_shap"] for it in found] == sorted((it["mean_abs_shap"] for it in found), reverse=True)
    assert sum(it["share"] for it in found) == pytest.approx(1.0)


def test_a_test_without_rows_tells_no_importance_and_shows_nobody() -> None:
    card, codes = made(4)
    told = explanations(judged_of(card, codes[:10]))
    assert [it["mean_abs_shap"] for it in told["importance"]] == [None] * 4
    assert told["examples"] == []


def private(name: str, **more: object) -> Scorecard:
    """The lender's card, one of whose columns is private."""
    card = lender()
    columns = {**card.applications.columns, name: Column(type="number", privacy="quasi")}
    return card.model_copy(update={"applications": card.applications.model_copy(update={"columns": columns}), **more})


def test_what_reads_a_private_column_or_is_paired_with_such_is_withheld() -> None:
    assert withheld(lender()) == set()
    assert withheld(private("income")) == {"income", "share", "amount"}  # share reads it; amount is in a pair with it
    assert withheld(private("income", pairs=())) == {"income", "share"}


def test_an_aggregate_over_a_private_column_of_a_history_is_withheld() -> None:
    columns = {"id": Column(type="text"), "at": Column(type="date"), "x": Column(type="number", privacy="quasi")}
    history = History(columns=columns, key=("id", "purpose"), event_at="at")
    for said, wanted in (({"aggregate": "sum", "expression": "x"}, {"share"}), ({"aggregate": "count"}, set())):
        feature = Feature(history="lines", **said)
        card = lender().model_copy(update={"histories": {"lines": history}, "features": {"share": feature}})
        assert withheld(card) == wanted


def rows_of(card: Scorecard, count: int = 400, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.column_stack([random.integers(0, len(it.bins), count) for it in card.characteristics])


def test_three_applicants_are_chosen_by_their_scores_and_always_the_same() -> None:
    judged = judged_of(lender(), rows_of(lender()))
    told = explanations(judged)["examples"]
    assert [it["what"] for it in told] == [
        "declined, the nearest below the cut-off", "declined, far below the cut-off", "declined, with a missing value"
    ]  # fmt: skip
    declined = np.sort(judged.scores[10:][judged.scores[10:] < judged.card.cutoff.score]) / 1000
    assert told[0]["score"] == declined[-1]
    assert told[1]["score"] == declined[len(declined) // 10]
    assert any(it["missing"] for it in told[2]["contributions"])
    assert json.dumps(explanations(judged)) == json.dumps(explanations(judged))


def test_where_nothing_is_missing_somebody_approved_is_shown() -> None:
    card = lender()
    codes = np.column_stack([rows_of(card)[:, at] % it.binning.ordinary for at, it in enumerate(card.characteristics)])
    told = explanations(judged_of(card, codes))["examples"][2]
    assert told["what"] == "approved, in the middle"
    assert told["approved"]


def test_nothing_of_a_private_column_stands_in_an_example() -> None:
    card = private("income")
    judged = judged_of(card, rows_of(card))
    for it in explanations(judged)["examples"]:
        assert [each["feature"] for each in it["contributions"]] == ["purpose"]
        assert it["withheld"]["features"] == ["amount", "income", "share"]
        assert it["pairs"] == []
        assert it["score"] == int(it["score"])
        assert it["pd"] == round(it["pd"], 3)
        assert all(way["score"] == int(way["score"]) for way in it["counterfactuals"])
        assert all(set(reason) == {"code", "text"} for reason in it["reasons"])
        moved = [change for way in it["counterfactuals"] for change in way["changes"]]
        assert all((change["from_bin"] is None) == (change["feature"] != "purpose") for change in moved)
        total = it["mean"] + it["contributions"][0]["shap"] + it["withheld"]["shap"]
        assert total == pytest.approx(it["score"]) == it["waterfall"][-1]["end"]


def test_bins_without_a_reason_text_are_told_by_characteristic() -> None:
    card = lender()
    silent = card.characteristics[0].model_copy(update={"reason_missing": ""})
    card = card.model_copy(update={"characteristics": (silent, *card.characteristics[1:]), "pd": PdTable((0,), (0.1,))})
    told = explanations(judged_of(card, rows_of(card)))
    assert told["reason_texts_lacking"] == [{"feature": "income", "bins": ["3000"]}]


def test_a_fitted_card_adds_up_to_the_mean_score_of_its_train_rows() -> None:
    """The counts on the card are those of the rows that it was fitted on, so that contributions have their mean there."""
    world = make_world()
    judged = judge(world.made.card, world.fitted, world.rows, incumbent=None)
    train = world.rows.is_in(0)
    mean = np.average(judged.scores[train], weights=None if world.rows.weight is None else world.rows.weight[train])
    assert shapley_tables(world.made.card).mean == pytest.approx(mean / 1000, abs=1e-6)
    weighted = replace(judged, rows=replace(world.rows, weight=np.ones(len(world.rows.bad))))
    assert importance(weighted, shapley_tables(world.made.card)) == importance(judged, shapley_tables(world.made.card))

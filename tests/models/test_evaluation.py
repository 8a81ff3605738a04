"""An evaluation says of every sample what a second opinion says of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from sklearn import metrics
from tests.models.worlds import World, make_world

from obligor.models.assembly import economy_of
from obligor.models.columns import SAMPLES
from obligor.models.evaluation import evaluate, tidy
from obligor.models.judged import best_ranking, judge


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


@pytest.fixture(scope="module")
def evaluation(world: World) -> dict[str, dict]:
    judged = judge(world.made.card, world.fitted, world.rows, incumbent=None)
    return evaluate(judged, economy=economy_of(world.contract), seed=1)


def test_what_a_missing_value_earns_is_held_against_the_mean_of_the_answers(
    world: World, evaluation: dict[str, dict]
) -> None:
    card, train = world.made.card, world.rows.is_in(0)
    told = {it["feature"]: it["withholding_gain"] for it in evaluation["characteristics"]}
    for it in card.characteristics:
        codes = world.fitted.design.codes(it.feature)[train]
        answered = np.array(it.points)[codes[codes < it.binning.ordinary]]  # special codes are no answers either
        assert told[it.feature] == pytest.approx(it.points[it.binning.missing] - answered.mean(), abs=0.51)
    assert told.keys() == {"income", "age_of_file", "housing"}


@pytest.mark.parametrize("sample", SAMPLES)
def test_each_sample_agrees_with_scikit_learn(world: World, evaluation: dict[str, dict], sample: str) -> None:
    mask = world.rows.is_in(SAMPLES.index(sample))
    bad, score = world.rows.bad[mask], world.fitted.scores[mask]
    pd, found = world.made.card.pd.pd_column(score), evaluation[sample]
    declined = score < world.made.card.cutoff.score
    low, high, _ = metrics.roc_curve(bad, -score, drop_intermediate=False)
    wanted = {
        "n": len(bad),
        "bads": bad.sum(),
        "auc": metrics.roc_auc_score(bad, -score),
        "gini": 2 * metrics.roc_auc_score(bad, -score) - 1,
        "ks": (high - low).max(),
        "pr_auc": metrics.average_precision_score(bad, -score),
        "brier": metrics.brier_score_loss(bad, pd),
        "log_loss": metrics.log_loss(bad, pd),
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted)
    decided = {
        "precision": metrics.precision_score(bad, declined),
        "recall": metrics.recall_score(bad, declined),
        "f1": metrics.f1_score(bad, declined),
        "accuracy": metrics.accuracy_score(bad, declined),
        "approval_rate": 1 - declined.mean(),
        "npl_rate": bad[~declined].mean(),
    }
    assert {name: found["at_cutoff"][name] for name in decided} == pytest.approx(decided)
    assert found["auc_lower"] < found["auc"] < found["auc_upper"]
    assert found["ks_lower"] < found["ks"] < found["ks_upper"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_profit_at_the_cutoff_is_margin_on_goods_less_loss_on_bads(
    world: World, evaluation: dict[str, dict], sample: str
) -> None:
    mask = world.rows.is_in(SAMPLES.index(sample)) & (world.fitted.scores >= world.made.card.cutoff.score)
    assert world.rows.exposure is not None
    amount, bad = world.rows.exposure[mask], world.rows.bad[mask] == 1
    it = world.contract.economics
    wanted = it.margin * amount[~bad].sum() - it.lgd * amount[bad].sum()
    assert evaluation[sample]["at_cutoff"]["profit"] == pytest.approx(wanted)


@pytest.mark.parametrize("sample", SAMPLES)
def test_bands_and_bins_hold_every_loan_once(evaluation: dict[str, dict], sample: str) -> None:
    n, bads = evaluation[sample]["n"], evaluation[sample]["bads"]
    assert sum(band["n"] for band in evaluation[sample]["bands"]) == n
    assert sum(band["share"] for band in evaluation[sample]["bands"]) == pytest.approx(1)
    for characteristic in evaluation["characteristics"]:
        assert sum(row[sample]["n"] for row in characteristic["bins"]) == n
        assert sum(row[sample]["bads"] for row in characteristic["bins"]) == bads


def test_pds_of_bands_fall_from_band_to_band(evaluation: dict[str, dict]) -> None:
    means = [band["pd_mean"] for band in evaluation["test"]["bands"] if band["n"]]
    assert means == sorted(means)


def test_weights_are_repetition() -> None:
    world = make_world(weighted=True)
    rows = world.rows
    assert rows.weight is not None
    times = rows.weight.astype(int)
    judged = judge(world.made.card, world.fitted, rows, incumbent=None)
    again = replace(
        judged,
        rows=replace(
            rows,
            bad=np.repeat(rows.bad, times),
            sample=np.repeat(rows.sample, times),
            weight=None,
            exposure=np.repeat(rows.exposure, times),
        ),
        scores=np.repeat(judged.scores, times),
        pds=np.repeat(judged.pds, times),
        codes={name: np.repeat(codes, times) for name, codes in judged.codes.items()},
    )
    economy = economy_of(world.contract)
    one, other = evaluate(judged, economy=economy, seed=1)["test"], evaluate(again, economy=economy, seed=1)["test"]
    for name in ("auc", "gini", "ks", "pr_auc", "brier", "log_loss", "bad_rate", "mean_pd"):
        assert one[name] == pytest.approx(other[name]), name
    assert one["at_cutoff"] == pytest.approx(other["at_cutoff"], nan_ok=True)


def test_an_incumbent_is_ranked_by_the_direction_it_has_on_train(world: World) -> None:
    random = np.random.default_rng(2)
    risk = world.rows.bad + 2 * random.standard_normal(len(world.rows.bad))
    risk[:50] = math.nan
    found = {}
    for name, values in (("risk", risk), ("reward", 700 - risk)):
        judged = judge(world.made.card, world.fitted, world.rows, incumbent=(name, values))
        found[name] = evaluate(judged, economy=economy_of(world.contract), seed=1)["test"]["incumbent"]
    known = world.rows.is_in(2) & ~np.isnan(risk)
    wanted = metrics.roc_auc_score(world.rows.bad[known], risk[known])
    assert found["risk"]["auc"] == pytest.approx(wanted)
    assert found["reward"]["auc"] == pytest.approx(wanted)
    assert found["reward"]["column"] == "reward"
    by_card = metrics.roc_auc_score(world.rows.bad[known], -judged.scores[known].astype(float))
    assert found["risk"]["card_auc"] == pytest.approx(by_card)  # of the same rows, and not of all


def test_plain_data_has_ten_digits_and_no_number_that_json_lacks() -> None:
    found = tidy({"a": np.float64(1 / 3), "b": [math.inf, np.int64(3)], "c": np.array([math.nan, 1.0]), "d": None})
    assert found == {"a": 0.3333333333, "b": [None, 3], "c": [None, 1.0], "d": None}


def test_of_several_incumbent_scores_the_one_that_ranks_best_is_compared(world: World) -> None:
    random = np.random.default_rng(3)
    noise = random.standard_normal(len(world.rows.bad))
    scores = {"amount": noise, "grade": 3.0 - world.rows.bad + noise, "empty": np.full(len(noise), math.nan)}
    for order in (scores, dict(reversed(scores.items()))):
        found = best_ranking(order, world.rows)
        assert found is not None
        assert found[0] == "grade"
    assert best_ranking({}, world.rows) is None

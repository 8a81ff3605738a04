"""Rankings: golden numbers, a second opinion, laws, and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp
from sklearn.metrics import average_precision_score, roc_auc_score

from obligor.core.errors import InvalidInputError
from obligor.measures.discrimination import (
    against_initial,
    auc,
    delong,
    delong_test,
    ks,
    ks_interval,
    pr_auc,
    roc_curve,
)

BAD = np.array([1, 1, 1, 0, 0, 0, 0, 0])
RISK = np.array([0.9, 0.4, 0.7, 0.3, 0.4, 0.2, 0.6, 0.1])


def sample(seed: int, rows: int = 2000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    bad = (random.random(rows) < 0.2).astype(int)
    return bad, np.round(random.standard_normal(rows) + bad, 1), random.integers(1, 4, rows).astype(float)


def test_the_golden_ranking_has_its_area_error_gini_and_ks() -> None:
    area = delong(BAD, RISK)
    assert area.value == pytest.approx(0.9)
    assert area.variance == pytest.approx(0.014444, abs=5e-7)
    assert area.standard_error == pytest.approx(0.120185, abs=5e-7)
    assert area.gini == pytest.approx(0.8)
    assert ks(BAD, RISK).value == pytest.approx(0.666667, abs=5e-7)
    statistic, p = against_initial(area, initial=0.95)
    assert (statistic, p) == (pytest.approx(0.416025, abs=5e-7), pytest.approx(0.338696, abs=5e-7))


@pytest.mark.parametrize("seed", range(3))
def test_areas_agree_with_scikit_learn_and_scipy(seed: int) -> None:
    bad, risk, weight = sample(seed)
    assert auc(bad, risk) == pytest.approx(roc_auc_score(bad, risk))
    assert auc(bad, risk, weight) == pytest.approx(roc_auc_score(bad, risk, sample_weight=weight))
    assert pr_auc(bad, risk, weight) == pytest.approx(average_precision_score(bad, risk, sample_weight=weight))
    assert ks(bad, risk).value == pytest.approx(ks_2samp(risk[bad == 1], risk[bad == 0]).statistic)
    low, high = ks_interval(bad, risk, seed=1)
    assert low < ks(bad, risk).value + 0.05
    assert high > ks(bad, risk).value - 0.01
    curve = roc_curve(bad, risk)
    assert curve[0].tolist() == [0, 0]
    assert curve[-1].tolist() == [1, 1]
    assert np.trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(auc(bad, risk), abs=0.01)


def test_integer_weights_are_repetition() -> None:
    bad, risk, weight = sample(5, 300)
    times = weight.astype(int)
    repeated = np.repeat(bad, times), np.repeat(risk, times)
    assert auc(bad, risk, weight) == pytest.approx(auc(*repeated))
    assert ks(bad, risk, weight).value == pytest.approx(ks(*repeated).value)
    assert pr_auc(bad, risk, weight) == pytest.approx(pr_auc(*repeated))


@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 5)), min_size=2, max_size=40))
def test_the_area_depends_on_the_order_alone(rows: list[tuple[bool, int]]) -> None:
    bad, risk = np.array([b for b, _ in rows]), np.array([float(r) for _, r in rows])
    area, moved = auc(bad, risk), auc(bad, np.exp(risk) * 3 - 1)
    if math.isnan(area):
        assert bad.all() or not bad.any()
        return
    assert area == pytest.approx(moved)
    assert area == pytest.approx(1 - auc(bad, -risk))
    assert 0 <= ks(bad, risk).value <= 1
    assert delong(bad, risk).gini == pytest.approx(2 * area - 1)


def test_delong_holds_its_level_and_a_ranking_does_not_differ_from_itself() -> None:
    random = np.random.default_rng(3)
    rejected = 0
    for _ in range(300):
        bad = (random.random(400) < 0.3).astype(int)
        base = random.standard_normal(400) + bad
        rejected += delong_test(bad, base + random.standard_normal(400), base + random.standard_normal(400)).p < 0.05
    assert 4 <= rejected <= 30
    same = delong_test(BAD, RISK, RISK)
    assert (same.value, same.p) == (0.0, 1.0)


@pytest.mark.parametrize("bad", [[], [0], [1], [0, 0], [1, 1]])
def test_one_class_only_has_no_ranking(bad: list[int]) -> None:
    risk = np.zeros(len(bad))
    assert math.isnan(auc(bad, risk))
    assert math.isnan(delong(bad, risk).value)
    assert math.isnan(ks(bad, risk).value)
    assert roc_curve(bad, risk).shape == (0, 2)


def test_all_ties_rank_at_random() -> None:
    assert auc([0, 1, 0, 1], [3, 3, 3, 3]) == 0.5
    assert ks([0, 1], [3, 3]).value == 0


@pytest.mark.parametrize(
    ("bad", "risk", "weight"),
    [
        ([0, 1], [1], None),
        ([0, 2], [1, 2], None),
        ([0, np.nan], [1, 2], None),
        ([0, 1], [1, np.nan], None),
        ([0, 1], [1, 2], [1, -1]),
    ],
)
def test_rows_that_cannot_be_ranked_are_refused(
    bad: list[float], risk: list[float], weight: list[float] | None
) -> None:
    with pytest.raises(InvalidInputError):
        auc(bad, risk, weight)

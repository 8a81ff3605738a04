"""PDs that hold, and PDs that do not: golden numbers, a second opinion, laws, and edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss
from statsmodels.stats.proportion import proportion_confint

from obligor.core.errors import InvalidInputError
from obligor.measures.calibration import (
    binomial,
    brier,
    calibration_line,
    hosmer_lemeshow,
    jeffreys,
    log_loss,
    normal_test,
    observed_expected,
    reliability,
    spiegelhalter,
    wilson,
)

N, PD, D = [500, 400, 300, 200, 100], [0.005, 0.01, 0.02, 0.05, 0.12], [4, 5, 7, 12, 10]
PDS = np.repeat(PD, N)
BAD = np.concatenate([np.arange(n) < d for n, d in zip(N, D, strict=True)]).astype(int)


def test_the_golden_grades() -> None:
    external, fitted = hosmer_lemeshow(N, D, PD, fitted=False), hosmer_lemeshow(N, D, PD, fitted=True)
    assert external.statistic == pytest.approx(2.126956, abs=5e-7)
    assert (external.df, external.p) == (5, pytest.approx(0.831314, abs=5e-7))
    assert (fitted.df, fitted.p) == (3, pytest.approx(0.546479, abs=5e-7))
    single = spiegelhalter(BAD, PDS)
    assert (single.statistic, single.p) == (pytest.approx(0.734353, abs=5e-7), pytest.approx(0.462734, abs=5e-7))
    parts = brier(BAD, PDS)
    assert parts.value == pytest.approx(0.024062, abs=5e-7)
    assert parts.reliability == pytest.approx(0.000047, abs=5e-7)
    assert parts.resolution == pytest.approx(0.000677, abs=5e-7)
    assert parts.uncertainty == pytest.approx(0.024692, abs=5e-7)
    line = calibration_line(BAD, PDS)
    assert line.intercept == pytest.approx(-0.445571, abs=5e-7)
    assert line.slope == pytest.approx(0.832968, abs=5e-7)
    assert line.in_the_large == pytest.approx(0.10324, abs=5e-6)
    assert observed_expected(BAD, PDS) == pytest.approx(1.101449, abs=5e-7)


def test_the_golden_grade_tests() -> None:
    assert jeffreys(1000, 30, 0.02) == pytest.approx(0.016238, abs=5e-7)
    assert jeffreys(100, 0, 0.01) == pytest.approx(0.844259, abs=5e-7)
    assert binomial(1000, 30, 0.02) == pytest.approx(0.020697, abs=5e-7)


@pytest.mark.parametrize("seed", range(3))
def test_scores_and_lines_agree_with_scikit_learn_and_statsmodels(seed: int) -> None:
    random = np.random.default_rng(seed)
    pd = random.uniform(0.01, 0.6, 1500)
    bad = (random.random(1500) < pd**1.3).astype(int)
    weight = random.integers(1, 4, 1500).astype(float)
    assert brier(bad, pd, weight).value == pytest.approx(brier_score_loss(bad, pd, sample_weight=weight))
    assert log_loss(bad, pd, weight) == pytest.approx(sklearn_log_loss(bad, pd, sample_weight=weight))
    x = np.log(pd / (1 - pd))
    family = sm.families.Binomial()
    both = sm.GLM(bad, sm.add_constant(x), family=family, freq_weights=weight).fit()
    large = sm.GLM(bad, np.ones(1500), family=family, offset=x, freq_weights=weight).fit()
    line = calibration_line(bad, pd, weight)
    assert (line.intercept, line.slope) == (pytest.approx(both.params[0]), pytest.approx(both.params[1]))
    assert line.in_the_large == pytest.approx(large.params[0])


def test_lines_are_fitted_to_the_last_digit_that_is_told() -> None:
    for seed in range(40):
        random = np.random.default_rng(seed)
        x = random.normal(-2.5, 1.2, 4000)
        bad = (random.random(4000) < 1 / (1 + np.exp(0.2 - 0.9 * x))).astype(int)
        line = calibration_line(bad, 1 / (1 + np.exp(-x)))
        large, both = (1 / (1 + np.exp(-eta)) for eta in (x + line.in_the_large, line.intercept + line.slope * x))
        assert (bad - large).sum() == pytest.approx(0, abs=1e-8)  # some 500 bads: an intercept off by 2e-11
        assert [(bad - both).sum(), (x * (bad - both)).sum()] == pytest.approx([0, 0], abs=1e-8)


def test_intervals_of_rates_agree_with_statsmodels() -> None:
    for d, n in ((0, 10), (3, 40), (40, 40)):
        assert wilson(n, d / n) == pytest.approx(proportion_confint(d, n, method="wilson"), abs=1e-12)


def test_reliability_groups_hold_every_row_once() -> None:
    points = reliability(BAD, PDS, groups=10)
    assert sum(point.rows for point in points) == len(BAD)
    assert sum(point.rows * point.bad_rate for point in points) == pytest.approx(BAD.sum())


def test_murphys_parts_add_up_over_groups_of_one_pd() -> None:
    parts = brier(BAD, PDS)
    assert parts.value == pytest.approx(parts.reliability - parts.resolution + parts.uncertainty)


def test_edges_are_undefined_or_certain_and_never_crash() -> None:
    assert math.isnan(brier([], []).value)
    assert math.isnan(log_loss([], []))
    assert math.isnan(calibration_line([1, 1], [0.2, 0.3]).slope)
    assert math.isnan(calibration_line([0, 1], [0.2, 0.2]).slope)
    assert math.isnan(spiegelhalter([0, 1], [0.5, 0.5]).p)
    assert log_loss([0, 1], [0.0, 1.0]) == pytest.approx(0, abs=1e-12)
    assert hosmer_lemeshow([10, 0], [0, 0], [0.0, 0.3], fitted=False).statistic == 0
    assert hosmer_lemeshow([10], [2], [0.0], fitted=False).p == 0
    assert math.isnan(hosmer_lemeshow([10], [2], [0.1], fitted=True).p)
    assert math.isnan(jeffreys(0, 0, 0.1))
    assert 0 < jeffreys(50, 50, 0.5) < 1e-9
    assert math.isnan(normal_test([0.1], 0.1).p)
    assert normal_test([0.02, 0.03, 0.05], 0.01).p < 0.05
    with pytest.raises(InvalidInputError):
        jeffreys(5, 6, 0.1)
    with pytest.raises(InvalidInputError):
        brier([0, np.nan], [0.1, 0.2])

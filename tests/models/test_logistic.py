"""The logit on codes: a second opinion, sign constraints, weights, and the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.outliers_influence import variance_inflation_factor

from obligor.core.errors import InvalidInputError
from obligor.models import logistic
from obligor.models.logistic import (
    Cases,
    CodedDesign,
    Penalty,
    best_of,
    correlations,
    fit_at,
    log_loss,
    penalty_of,
    regularisation_path,
)


def world(rows: int = 4000, features: int = 5, seed: int = 1) -> tuple[CodedDesign, np.ndarray]:
    random = np.random.default_rng(seed)
    matrix = random.integers(0, 6, (features, rows)).astype(np.uint8)
    matrix[1] = np.where(random.random(rows) < 0.5, matrix[0], matrix[1])
    woe = tuple(random.normal(0, 0.7, 6) for _ in range(features))
    eta = 1.5 + sum(b * w[codes] for b, w, codes in zip((1.1, 0.4, 0.8, 0.0, 0.6), woe, matrix, strict=False))
    bad = (random.random(rows) > 1 / (1 + np.exp(-eta))).astype(np.uint8)
    return CodedDesign(tuple(f"f{at}" for at in range(features)), matrix, tuple(range(features)), woe), bad


def floats(design: CodedDesign) -> np.ndarray:
    return np.column_stack([woe[design.codes(name)] for name, woe in zip(design.features, design.woe, strict=True)])


FREE = Penalty(sign_constrained=False)


def test_without_a_penalty_the_fit_its_errors_and_p_values_agree_with_statsmodels() -> None:
    design, bad = world()
    found = fit_at(design, Cases(np.arange(len(bad)), bad), strength=0.0, penalty=FREE)
    wanted = sm.Logit(1 - bad, sm.add_constant(floats(design))).fit(disp=0)
    assert found.intercept == pytest.approx(wanted.params[0], abs=1e-5)
    assert found.coefficients == pytest.approx(wanted.params[1:], abs=1e-5)
    assert found.standard_errors == pytest.approx(wanted.bse[1:], rel=1e-4)
    assert found.p_values == pytest.approx(wanted.pvalues[1:], abs=1e-4)


@pytest.mark.parametrize(("l1_ratio", "strength"), [(0.0, 0.01), (0.0, 0.3), (1.0, 0.01), (0.5, 0.02)])
def test_with_a_penalty_the_fit_agrees_with_scikit_learn(l1_ratio: float, strength: float) -> None:
    design, bad = world()
    found = fit_at(
        design,
        Cases(np.arange(len(bad)), bad),
        strength=strength,
        penalty=Penalty(l1_ratio=l1_ratio, sign_constrained=False),
    )
    peer = LogisticRegression(
        solver="saga", C=1 / (strength * len(bad)), l1_ratio=l1_ratio, tol=1e-10, max_iter=20000, random_state=1
    ).fit(floats(design), 1 - bad)
    assert found.coefficients == pytest.approx(peer.coef_[0], abs=2e-4)


def test_a_coefficient_with_the_wrong_sign_is_held_at_zero() -> None:
    design, bad = world()
    turned = CodedDesign(design.features, design.matrix, design.lines, (-design.woe[0], *design.woe[1:]))
    rows = Cases(np.arange(len(bad)), bad)
    assert fit_at(turned, rows, strength=0.0, penalty=FREE).coefficients[0] < -0.5
    held = fit_at(turned, rows, strength=0.0, penalty=Penalty())
    assert held.coefficients[0] == 0
    assert held.p_values[0] is None
    assert min(held.coefficients) >= 0


def test_integer_weights_are_repetition() -> None:
    design, bad = world(800)
    weight = np.random.default_rng(2).integers(1, 4, 800)
    weighted = fit_at(design, Cases(np.arange(800), bad, weight.astype(float)), strength=0.0, penalty=FREE)
    repeated = fit_at(design, Cases(np.repeat(np.arange(800), weight), bad), strength=0.0, penalty=FREE)
    assert weighted.coefficients == pytest.approx(repeated.coefficients, abs=1e-6)
    assert weighted.standard_errors == pytest.approx(repeated.standard_errors, rel=1e-5)


def test_the_strength_is_chosen_on_validation_and_two_runs_are_the_same() -> None:
    design, bad = world()
    train, validation = Cases(np.arange(0, 4000, 2), bad), Cases(np.arange(1, 4000, 2), bad)
    path = regularisation_path(design, train, validation, penalty=Penalty())
    assert path == regularisation_path(design, train, validation, penalty=Penalty())
    best = min(point.validation_log_loss for point in path)
    assert best_of(path).validation_log_loss == pytest.approx(best, abs=1e-6)
    first, again = (fit_at(design, train, strength=best_of(path).strength, penalty=Penalty()) for _ in range(2))
    assert first == again


def test_twins_do_not_break_the_fit() -> None:
    design, bad = world()
    twins = CodedDesign(("a", "b"), design.matrix, (0, 0), (design.woe[0], design.woe[0]))
    rows = Cases(np.arange(len(bad)), bad)
    found = fit_at(twins, rows, strength=1e-4, penalty=Penalty())
    alone = fit_at(twins.only(["a"]), rows, strength=1e-4, penalty=Penalty())
    assert sum(found.coefficients) == pytest.approx(alone.coefficients[0], abs=1e-2)
    assert correlations(twins, rows)[0, 1] == pytest.approx(1)


def test_variance_inflation_agrees_with_statsmodels_and_twins_have_none() -> None:
    design, bad = world()
    rows = Cases(np.arange(len(bad)), bad)
    found = fit_at(design, rows, strength=1e-4, penalty=FREE)
    columns = sm.add_constant(floats(design))
    assert found.vif == pytest.approx([variance_inflation_factor(columns, at) for at in range(1, 6)], rel=1e-6)
    twins = CodedDesign(("a", "b", "c"), design.matrix, (0, 0, 2), (design.woe[0], design.woe[0], design.woe[2]))
    unpenalised = fit_at(twins, rows, strength=0.0, penalty=Penalty())
    assert unpenalised.vif[:2] == unpenalised.standard_errors[:2] == unpenalised.p_values[:2] == (None, None)
    assert unpenalised.standard_errors[2] is not None


def test_a_sample_of_a_long_tape_keeps_its_rare_bads() -> None:
    bad = np.zeros(200_000, dtype=np.uint8)
    bad[:3] = 1
    sample = Cases(np.arange(len(bad)), bad).thinned(1000)
    assert len(sample.rows) <= 1002
    assert sample.bads == 1


def test_a_long_tape_gives_the_same_bytes_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    design, bad = world(logistic.SAMPLE_ROWS + 1000, 3)
    rows = Cases(np.arange(len(bad)), bad)
    fits = []
    for threads in (1, 4):
        monkeypatch.setattr(logistic.os, "cpu_count", lambda threads=threads: threads)
        fits.append(fit_at(design, rows, strength=1e-4, penalty=Penalty()))
    assert repr(fits[0]) == repr(fits[1])
    wanted = sm.Logit(1 - bad, sm.add_constant(floats(design))).fit(disp=0)
    assert fits[0].standard_errors == pytest.approx(wanted.bse[1:], rel=1e-2)


def test_separable_loans_are_fitted_under_a_penalty() -> None:
    matrix = np.array([[0] * 50 + [1] * 50], dtype=np.uint8)
    bad = matrix[0].copy()
    design = CodedDesign(("a",), matrix, (0,), (np.array([3.0, -3.0]),))
    rows = Cases(np.arange(100), bad)
    found = fit_at(design, rows, strength=0.01, penalty=Penalty())
    assert np.isfinite(found.coefficients[0])
    assert log_loss(design, rows, np.array([found.intercept, *found.coefficients])) < 0.2


def test_one_class_and_senseless_penalties_are_refused() -> None:
    design, _ = world(50)
    with pytest.raises(InvalidInputError, match="goods and bads"):
        fit_at(design, Cases(np.arange(50), np.zeros(50, dtype=np.uint8)), strength=0.0, penalty=Penalty())
    with pytest.raises(InvalidInputError, match="l1_ratio"):
        Penalty(l1_ratio=2)
    with pytest.raises(InvalidInputError, match="strength"):
        Penalty(strengths=(-1.0,))
    assert penalty_of("l1").l1_ratio == 1

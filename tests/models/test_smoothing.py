"""Tables are as smooth as the data ask, and the fit is the penalised optimum that it says it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from obligor.core.errors import InvalidInputError
from obligor.models.smoothing import Block, Sample, Smooth, fit_tables, grid, independent, ordered

CELLS = 12


def world(rows: int = 4000, *, seed: int = 1, bend: float = 1.0) -> Sample:
    """Two tables: log-odds of bad that bend over the cells of the first and rise in a line over those of the second."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, CELLS, (2, rows)).astype(np.uint8)
    wave = bend * np.sin(codes[0] / CELLS * 2 * np.pi)
    odds = -1.5 + wave + 0.1 * codes[1]
    bad = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(float)
    return Sample(codes, bad, np.ones(rows))


def table(line: int, cells: int = CELLS) -> Block:
    return ordered(f"table {line}", line, CELLS, np.ones(cells))


def objective(sample: Sample, blocks: list[Block], strengths: dict[str, float], beta: np.ndarray) -> float:
    eta, penalty, at = np.full(len(sample.bad), beta[0]), 0.0, 1
    for block in blocks:
        b = beta[at : at + block.size]
        eta = eta + b[sample.codes[block.line]]
        penalty += b @ block.fixed @ b + sum(strengths[it.name] * b @ it.structure @ b for it in block.penalties)
        at += block.size
    return float((sample.weight * (np.logaddexp(0, eta) - sample.bad * eta)).sum() + penalty / 2)


def flat(fit: Smooth) -> np.ndarray:
    return np.concatenate([[fit.intercept], *fit.tables])


def test_the_fit_is_the_optimum_of_penalised_likelihood() -> None:
    sample, blocks, strengths = world(), [table(0), table(1)], {"slopes": 5.0}
    strengths |= {"bends of table 0": 3.0, "bends of table 1": 40.0}
    fit = fit_tables(sample, blocks, fixed=strengths)
    wanted = minimize(
        lambda beta: objective(sample, blocks, strengths, beta), np.zeros(1 + 2 * CELLS), method="BFGS", tol=1e-8
    )
    assert objective(sample, blocks, strengths, flat(fit)) <= wanted.fun + 1e-6
    assert fit.log_odds(sample) == pytest.approx(
        wanted.x[0] + wanted.x[1 : CELLS + 1][sample.codes[0]] + wanted.x[CELLS + 1 :][sample.codes[1]], abs=2e-3
    )


def test_tables_drawn_towards_zero_are_ridge_regression() -> None:
    sample, strength = world(), 5.0
    blocks = [independent(str(line), line, CELLS) for line in range(2)]
    fit = fit_tables(sample, blocks, fixed={it.name: strength for block in blocks for it in block.penalties})
    matrix = np.hstack([np.eye(CELLS)[codes] for codes in sample.codes])
    peer = LogisticRegression(C=1 / strength, tol=1e-10, max_iter=5000).fit(matrix, sample.bad)
    assert np.concatenate(fit.tables) == pytest.approx(peer.coef_[0], abs=1e-4)


def test_a_line_asks_for_few_degrees_of_freedom_and_a_wave_for_more() -> None:
    bent, straight = fit_tables(world(20_000), [table(0), table(1)]).edf
    assert straight < 5 < bent < CELLS
    none = fit_tables(world(20_000, bend=0.0), [table(0), table(1)]).edf[0]
    assert none < 2


def test_more_data_ask_for_less_smoothing_and_come_nearer_to_the_truth() -> None:
    truth = np.sin(np.arange(CELLS) / CELLS * 2 * np.pi)
    misses = []
    for rows in (2000, 50_000):
        found = fit_tables(world(rows), [table(0), table(1)]).tables[0]
        misses.append(np.abs(found - found.mean() - truth).max())
    assert misses[1] < 0.15 < misses[0] + 0.1


def test_the_covariance_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = np.sin(np.arange(CELLS) / CELLS * 2 * np.pi)
    inside = []
    for seed in range(12):
        fit = fit_tables(world(seed=seed), [table(0), table(1)])
        centre = np.eye(CELLS) - 1 / CELLS
        spread = np.sqrt(np.diag(centre @ fit.covariance[1 : CELLS + 1, 1 : CELLS + 1] @ centre))
        inside.append(np.abs(centre @ fit.tables[0] - (truth - truth.mean())) < 1.96 * spread)
    assert 0.88 < np.mean(inside) <= 1.0


def test_weights_are_repetition() -> None:
    sample = world(1500)
    times = np.random.default_rng(0).integers(1, 4, 1500)
    weighted = Sample(sample.codes, sample.bad, times.astype(float))
    repeated = Sample(np.repeat(sample.codes, times, axis=1), np.repeat(sample.bad, times), np.ones(times.sum()))
    blocks = [table(0), table(1)]
    assert flat(fit_tables(weighted, blocks)) == pytest.approx(flat(fit_tables(repeated, blocks)), abs=1e-6)


def test_a_fit_continued_from_another_ends_where_one_from_scratch_ends() -> None:
    sample, blocks = world(), [table(0), table(1)]
    first = fit_tables(sample, blocks[:1])
    assert flat(fit_tables(sample, blocks, start=first)) == pytest.approx(flat(fit_tables(sample, blocks)), abs=0.02)


def test_separated_loans_and_empty_cells_give_finite_tables() -> None:
    codes = np.array([[0] * 50 + [1] * 50], dtype=np.uint8)
    fit = fit_tables(Sample(codes, codes[0].astype(float), np.ones(100)), [table(0)])
    assert np.isfinite(flat(fit)).all()
    assert fit.tables[0][1] > fit.tables[0][0]


def test_one_class_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="a bad rate of 0; wanted goods and bads"):
        fit_tables(Sample(np.zeros((1, 9), dtype=np.uint8), np.zeros(9), np.ones(9)), [table(0)])


def test_the_penalty_of_a_grid_ties_neighbours_on_both_axes_and_leaves_missing_alone() -> None:
    structure = grid((2, 3), (2, 2))  # two ordered rows and one of missing values, by two columns
    cells = np.arange(6).reshape(3, 2)
    tied = {(int(a), int(b)) for a in range(6) for b in range(6) if a < b and structure[a, b] != 0}
    assert tied == {(cells[0, 0], cells[0, 1]), (cells[1, 0], cells[1, 1]), (cells[2, 0], cells[2, 1]),
                    (cells[0, 0], cells[1, 0]), (cells[0, 1], cells[1, 1])}  # fmt: skip

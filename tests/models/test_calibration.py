"""Scores to PDs: whole points, monotone tables, anchors and bands."""

from __future__ import annotations

import math
from itertools import pairwise

import duckdb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import _SigmoidCalibration
from sklearn.isotonic import IsotonicRegression

from obligor.core.calibration import PdTable
from obligor.core.clauses import CardScale, RiskBand
from obligor.core.errors import CardError, InvalidInputError
from obligor.models.calibration import METHODS, Observed, band_cutoffs, calibrate, reanchor
from obligor.models.scaling import add_points, log_odds_of, scale_points, score_column

SCALE = CardScale()
RANGE = (400_000, 800_000)


def observed(rows: int = 20_000, shift: float = 0.0, slope: float = 1.0, seed: int = 1) -> Observed:
    random = np.random.default_rng(seed)
    log_odds = random.normal(-2.2, 1.0, rows)
    bad = (random.random(rows) < 1 / (1 + np.exp(-(shift + slope * log_odds)))).astype(np.uint8)
    return Observed(log_odds, bad, np.ones(rows))


def scores_of(rows: Observed) -> np.ndarray:
    return score_column(-rows.log_odds, scale=SCALE)


def test_twenty_points_double_the_odds() -> None:
    assert score_column(np.log([50, 100]), scale=SCALE).tolist() == [600_000, 620_000]
    assert log_odds_of(np.array([620_000]), scale=SCALE)[0] == pytest.approx(math.log(100))


@given(st.lists(st.tuples(st.floats(0, 2), st.lists(st.floats(-3, 3), min_size=2, max_size=5)), min_size=1, max_size=6))
def test_points_lie_within_half_a_thousandth_each_of_the_log_odds(parts: list[tuple[float, list[float]]]) -> None:
    woe = [np.array(table) for _, table in parts]
    points = scale_points(0.3, [b for b, _ in parts], woe, scale=SCALE)
    total = add_points(points, [np.array([0], dtype=np.uint8)] * len(woe), rows=1)[0]
    exact = 0.3 + sum(b * table[0] for b, table in parts)
    assert abs(total - (600_000 + 20_000 / math.log(2) * (exact - math.log(50)))) <= (len(parts) + 1) / 2 + 1e-6


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_a_falling_table_that_holds(method: str) -> None:
    rows = observed(shift=0.5, slope=0.8)
    found = calibrate(rows, method=method, scale=SCALE, score_range=RANGE)
    pds = found.table.pd_column(scores_of(rows))
    assert all(0 < pd < 1 for pd in found.table.pds)
    if method != "none":
        assert pds.mean() == pytest.approx(rows.bad.mean(), rel=0.02)


def test_the_best_method_mends_a_slope_and_leaves_a_sound_fit_alone() -> None:
    assert calibrate(observed(), method="best", scale=SCALE, score_range=RANGE).method == "none"
    assert calibrate(observed(shift=1.0, slope=0.6), method="best", scale=SCALE, score_range=RANGE).method == "platt"


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wanted", [0.01, 0.3])
def test_the_central_tendency_is_the_mean_pd(method: str, wanted: float) -> None:
    rows = observed()
    found = calibrate(rows, method=method, scale=SCALE, score_range=RANGE, central_tendency=wanted)
    assert found.table.pd_column(scores_of(rows)).mean() == pytest.approx(wanted, abs=1e-9)


@given(st.floats(0.001, 0.9), st.integers(1, 40), st.integers(0, 1000))
def test_anchoring_a_table_hits_the_mean_of_weighted_rows_and_keeps_its_scores(
    wanted: float, rows: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    table = PdTable((500_000, 550_000, 600_000), (0.4, 0.1, 0.02))
    scores, weight = random.integers(450_000, 650_000, rows), random.uniform(0.1, 5, rows)
    found = reanchor(table, scores, weight=weight, central_tendency=wanted)
    assert found.scores == table.scores
    assert np.average(found.pd_column(scores), weights=weight) == pytest.approx(wanted, abs=1e-9)


def test_straight_lines_between_knots_stay_within_a_thousandth_of_a_percent() -> None:
    rows, wide = observed(), (0, 1_000_000)
    table = calibrate(rows, method="none", scale=SCALE, score_range=wide).table
    scores = np.arange(*wide, 41)
    exact = 1 / (1 + np.exp(log_odds_of(scores, scale=SCALE)))
    assert np.abs(table.pd_column(scores) - exact).max() < 1e-5


def test_platt_agrees_with_scikit_learn() -> None:
    rows = observed(2000, shift=0.5, slope=0.8)
    table = calibrate(rows, method="platt", scale=SCALE, score_range=RANGE).table
    peer = _SigmoidCalibration().fit(rows.log_odds, rows.bad)
    assert table.pd_column(scores_of(rows)) == pytest.approx(peer.predict(rows.log_odds), abs=3e-5)


@pytest.mark.parametrize("method", [*METHODS[1:], "best"])
def test_scores_that_rank_the_wrong_way_all_get_the_bad_rate(method: str) -> None:
    log_odds = np.linspace(-6, 2, 400)
    backwards = Observed(log_odds, (log_odds < -2).astype(np.uint8), np.ones(400))
    table = calibrate(backwards, method=method, scale=SCALE, score_range=RANGE).table
    assert table.pds == pytest.approx([0.5] * len(table.pds), abs=1e-3)


@pytest.mark.parametrize("method", ["platt", "beta", "isotonic"])
def test_four_loans_in_perfect_order_give_no_certainty(method: str) -> None:
    few = Observed(np.array([-2.0, -1.0, 0.0, 1.0]), np.array([0, 0, 1, 1], dtype=np.uint8), np.ones(4))
    table = calibrate(few, method=method, scale=SCALE, score_range=RANGE).table
    safest, riskiest = map(table.pd, score_column(np.array([2.0, -1.0]), scale=SCALE).tolist())
    assert 0.05 < safest < riskiest < 0.95


def test_calibration_weights_are_repetition() -> None:
    rows = observed(300)
    times = np.random.default_rng(3).integers(1, 4, 300)
    repeated = Observed(np.repeat(rows.log_odds, times), np.repeat(rows.bad, times), np.ones(times.sum()))
    for method in METHODS:
        weighted = calibrate(
            Observed(rows.log_odds, rows.bad, times.astype(float)), method=method, scale=SCALE, score_range=RANGE
        )
        again = calibrate(repeated, method=method, scale=SCALE, score_range=RANGE)
        scores = np.arange(*RANGE, 997)
        assert weighted.table.pd_column(scores) == pytest.approx(again.table.pd_column(scores), abs=2e-5)


def test_isotonic_follows_scikit_learn_on_large_pools() -> None:
    rows = observed()
    found = calibrate(rows, method="isotonic", scale=SCALE, score_range=RANGE)
    peer = IsotonicRegression(out_of_bounds="clip").fit(rows.log_odds, rows.bad).predict(rows.log_odds)
    assert np.abs(found.table.pd_column(scores_of(rows)) - peer).mean() < 0.01


def test_one_class_cannot_be_calibrated() -> None:
    rows = observed(50)
    with pytest.raises(InvalidInputError, match="goods and bads"):
        calibrate(
            Observed(rows.log_odds, np.zeros(50, dtype=np.uint8), rows.weight),
            method="platt",
            scale=SCALE,
            score_range=RANGE,
        )


def test_bands_begin_at_the_first_score_of_their_pd_and_a_band_out_of_reach_is_empty() -> None:
    table = PdTable((500_000, 600_000), (0.3, 0.1))
    bands = band_cutoffs(
        table, (RiskBand(name="a", pd_max=0.01), RiskBand(name="b", pd_max=0.2), RiskBand(name="c", pd_max=1))
    )
    assert [band.score_min for band in bands] == [600_001, 550_000, None]
    assert table.pd(550_000) <= 0.2 < table.pd(549_999)


TABLES = st.lists(st.integers(-1000, 1000), min_size=1, max_size=8, unique=True).flatmap(
    lambda scores: st.lists(st.floats(0, 1), min_size=len(scores), max_size=len(scores)).map(
        lambda pds: PdTable(tuple(sorted(scores)), tuple(sorted(pds, reverse=True)))
    )
)


@given(TABLES, st.lists(st.integers(-1200, 1200), min_size=1, max_size=20))
def test_a_table_reads_the_same_bits_one_by_one_and_as_a_column_and_never_rises(
    table: PdTable, scores: list[int]
) -> None:
    single = [table.pd(score) for score in scores]
    assert table.pd_column(np.array(scores)).tolist() == single
    rising = sorted(zip(scores, single, strict=True))
    assert all(later[1] <= earlier[1] + 1e-15 for earlier, later in pairwise(rising))


@given(TABLES, st.floats(0, 1))
def test_the_score_of_a_pd_is_the_lowest_that_keeps_it(table: PdTable, pd: float) -> None:
    score = table.score_at(pd)
    if score is None:
        assert table.pds[-1] > pd
    else:
        assert table.pd(score) <= pd
        assert score <= table.scores[0] or table.pd(score - 1) > pd


def test_an_engine_reads_the_same_bits() -> None:
    table = PdTable((0, 7, 1000), (0.7, 0.31, 0.013))
    arms = [
        f"WHEN s < {high} THEN {start!r}::DOUBLE + ({end!r}::DOUBLE - {start!r}::DOUBLE)"
        f" * ((s - {low})::DOUBLE / {high - low}::DOUBLE)"
        for low, high, start, end in zip(table.scores, table.scores[1:], table.pds, table.pds[1:], strict=False)
    ]
    sql = (
        f"SELECT s, CASE WHEN s < 0 THEN 0.7::DOUBLE {' '.join(arms)} ELSE 0.013::DOUBLE END FROM range(-5, 1010) t(s)"
    )
    for score, pd in duckdb.sql(sql).fetchall():
        assert table.pd(score) == pd


@pytest.mark.parametrize(
    ("scores", "pds"),
    [((), ()), ((1,), (0.1, 0.2)), ((2, 1), (0.2, 0.1)), ((1, 2), (0.1, 0.2)), ((1,), (float("nan"),)), ((1,), (1.5,))],
)
def test_tables_that_are_none_are_refused(scores: tuple[int, ...], pds: tuple[float, ...]) -> None:
    with pytest.raises(CardError):
        PdTable(scores, pds)

"""The standard error of a bin's points says how far they are from the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.models.test_smooth import card_of, frame, offered
from tests.models.worlds import Frame, make_world

from obligor.core.scorecard import parse_card
from obligor.core.trend import Trend
from obligor.models.columns import Predictor, Rows
from obligor.models.smooth import fit_smooth_card

FACTOR = 20_000 / math.log(2)
"""Thousandths of a point for a unit of log-odds."""


def misses(seed: int, *, rows: int = 6000) -> np.ndarray:
    """How many standard errors the points of each bin are off, where log-odds run smoothly in two characteristics."""
    random = np.random.default_rng(seed)
    income, age = random.uniform(-1, 1, (2, rows))
    truth = {"income": 0.9 * np.sin(3 * income), "age_of_file": 0.8 * age}
    odds = -1.3 + truth["income"] + truth["age_of_file"]
    bad = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    loans = Rows(bad, (np.arange(rows) % 10 == 0).astype(np.uint8))
    predictors = [Predictor(name, "numeric", Trend.FREE) for name in truth]
    fitted = fit_smooth_card(predictors, Frame({"income": income, "age_of_file": age}), loans)
    found = []
    for at, name in enumerate(fitted.fit.features):
        codes, told = (column[loans.is_in(0)] for column in (fitted.design.codes(name), truth[name]))
        for place in np.unique(codes):
            true = -FACTOR * (told[codes == place].mean() - told.mean())
            found.append((fitted.points.bins[at][place] - true) / fitted.points.errors[at][place])
    return np.array(found)


def test_about_nineteen_in_twenty_bins_lie_within_two_standard_errors_of_the_truth() -> None:
    found = np.concatenate([misses(seed) for seed in range(20)])
    assert len(found) > 200
    assert 0.9 < (np.abs(found) < 1.96).mean() < 0.99


def test_the_error_of_one_of_two_levels_is_that_of_the_textbook() -> None:
    """The variance of a log odds ratio is the sum of 1 / (n p (1 - p)) over both levels (Woolf 1955)."""
    random = np.random.default_rng(4)
    housing = random.choice(["own", "rent"], 9000, p=[0.7, 0.3])
    bad = (random.random(9000) < np.where(housing == "rent", 0.4, 0.2)).astype(np.uint8)
    loans = Rows(bad, (np.arange(9000) % 10 == 0).astype(np.uint8))
    fitted = fit_smooth_card([Predictor("housing", "category", Trend.AUTO)], Frame({"housing": housing}), loans)
    held, train = fitted.bins["housing"].train, loans.is_in(0)
    shown = held.rows > 0
    assert shown.sum() == 2
    ratio = math.sqrt((1 / held.goods[shown] + 1 / held.bads[shown]).sum())
    for place in np.flatnonzero(shown):
        others = 1 - held.rows[place] / train.sum()
        assert fitted.points.errors[0][place] == pytest.approx(FACTOR * others * ratio, rel=0.05)


def test_every_bin_that_train_shows_has_a_standard_error_and_no_other_bin_has() -> None:
    columns, loans = frame()
    fitted = fit_smooth_card(offered(), columns, loans)
    card = parse_card(card_of(fitted, loans).to_json())
    assert card.pairs
    for it in card.characteristics:
        for row in it.bins:
            assert (row.standard_error is not None) == (row.goods + row.bads > 0)
            assert row.standard_error is None or row.standard_error > 0


def test_on_a_classical_card_the_error_of_a_bin_is_that_of_the_coefficient_times_its_weight_of_evidence() -> None:
    for it in make_world().made.card.characteristics:
        assert it.standard_error is not None
        for row in it.bins:
            assert row.standard_error == pytest.approx(FACTOR * it.standard_error * abs(row.woe), abs=0.51)


def test_a_card_from_before_there_were_standard_errors_loads_and_keeps_its_hash() -> None:
    card = make_world().made.card
    bins = [it.bins for it in card.characteristics]
    plain = [tuple(row.model_copy(update={"standard_error": None}) for row in table) for table in bins]
    old = card.model_copy(
        update={
            "characteristics": tuple(
                it.model_copy(update={"bins": table}) for it, table in zip(card.characteristics, plain, strict=True)
            )
        }
    )
    written = old.to_json()
    assert b'"standard_error": null' not in written.split(b'"bins"')[1].split(b"]")[0]
    assert parse_card(written).sha256 == old.sha256

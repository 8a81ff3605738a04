"""What interpretability costs: figures of two contenders on the same test, and the differences between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from tests.models.worlds import World, contract_of, make_world

from obligor.measures.decisions import Book, at_cutoff
from obligor.models.assembly import economy_of
from obligor.models.columns import Rows
from obligor.models.comparison import Contender, calibrated, compare, contender_of, figures_of

WEIGHTED = [False, True]


@dataclass(frozen=True)
class Noisy:
    """Loans whose true log-odds are known, and two models that see them through noise."""

    rows: Rows
    truth: np.ndarray

    def seen(self, random: np.random.Generator, noise: float) -> np.ndarray:
        return self.truth + noise * random.standard_normal(len(self.truth))


def noisy(seed: int, rows: int = 3000) -> tuple[Noisy, np.random.Generator]:
    random = np.random.default_rng(seed)
    truth = random.normal(-1.5, 1.2, rows)
    bad = (random.random(rows) < 1 / (1 + np.exp(-truth))).astype(np.uint8)
    sample = np.array([0, 1, 2], dtype=np.uint8)[np.arange(rows) % 3]
    return Noisy(Rows(bad, sample, exposure=random.uniform(1, 9, rows)), truth), random


@pytest.fixture(scope="module")
def world() -> World:
    return make_world()


def of_card(world: World) -> Contender:
    return contender_of(world.fitted.scores, world.made.card.pd, rows=world.rows, contract=world.contract)


def test_a_challenger_that_is_the_card_changes_nothing(world: World) -> None:
    card = of_card(world)
    found = compare(card, card, world.rows, economy=economy_of(world.contract), seed=1)
    assert found["against_card"]["auc"] == {"value": 0, "lower": 0, "upper": 0, "p": 1}
    for name in ("brier", "log_loss", "profit_per_application"):
        assert found["against_card"][name] == {"value": 0, "lower": 0, "upper": 0}
    assert all(np.array_equal(value, found["test"][name]) for name, value in found["card"].items())


def test_of_two_models_that_see_equally_well_none_is_found_better() -> None:
    contract, found = contract_of(model={"calibration": "platt"}), []
    for seed in range(20):
        loans, random = noisy(seed, rows=1500)
        one, other = (calibrated(loans.seen(random, 0.8), rows=loans.rows, contract=contract)[0] for _ in range(2))
        found.append(compare(one, other, loans.rows, economy=economy_of(contract), seed=seed)["against_card"])
    p = np.array([it["auc"]["p"] for it in found])
    assert p.min() > 1e-4
    assert (p < 0.05).mean() <= 0.15
    for name in ("brier", "log_loss", "profit_per_application"):
        missed = [not it[name]["lower"] <= 0 <= it[name]["upper"] for it in found]
        assert np.mean(missed) <= 0.2, name


def test_a_model_that_sees_better_is_found_better(world: World) -> None:
    loans, random = noisy(1)
    poor, sharp = (
        calibrated(loans.seen(random, noise), rows=loans.rows, contract=world.contract)[0] for noise in (2.0, 0.1)
    )
    found = compare(poor, sharp, loans.rows, economy=economy_of(world.contract), seed=1)["against_card"]
    assert found["auc"]["lower"] > 0
    assert found["auc"]["p"] < 1e-4
    assert found["brier"]["upper"] < 0
    assert found["log_loss"]["upper"] < 0
    assert found["profit_per_application"]["value"] > 0


@pytest.mark.parametrize("weighted", WEIGHTED)
def test_figures_are_those_of_scikit_learn(world: World, *, weighted: bool) -> None:
    loans, random = noisy(2)
    rows = replace(loans.rows, weight=random.integers(1, 4, 3000).astype(float)) if weighted else loans.rows
    contender, _ = calibrated(loans.seen(random, 0.5), rows=rows, contract=world.contract)
    test = rows.is_in(2)
    found = figures_of(contender, rows, economy=economy_of(world.contract))
    weight = rows.weight[test] if rows.weight is not None else None
    bad, pd = rows.bad[test], contender.pds[test]
    assert found["auc"] == pytest.approx(roc_auc_score(bad, -contender.scores[test], sample_weight=weight))
    assert found["brier"] == pytest.approx(brier_score_loss(bad, pd, sample_weight=weight))
    assert found["log_loss"] == pytest.approx(log_loss(bad, pd, sample_weight=weight))


@pytest.mark.parametrize("weighted", WEIGHTED)
def test_differences_are_those_of_the_figures(*, weighted: bool) -> None:
    world = make_world(weighted=weighted)
    card = of_card(world)
    noise = np.random.default_rng(3).standard_normal(len(card.pds))
    odds = np.log(card.pds / (1 - card.pds)) + 0.5 * noise
    other, _ = calibrated(odds, rows=world.rows, contract=world.contract)
    found = compare(card, other, world.rows, economy=economy_of(world.contract), seed=1)
    for name in ("brier", "log_loss", "profit_per_application"):
        change = found["against_card"][name]
        assert change["value"] == pytest.approx(found["test"][name] - found["card"][name])
        assert change["lower"] <= change["value"] <= change["upper"]


def test_the_cut_off_earns_most_on_validation(world: World) -> None:
    loans, random = noisy(4, rows=900)
    contender, _ = calibrated(loans.seen(random, 0.5), rows=loans.rows, contract=world.contract)
    mask = loans.rows.is_in(1)
    book = Book(contender.scores[mask], loans.rows.bad[mask], np.ones(300), loans.rows.exposure[mask])
    economy = economy_of(world.contract)
    best = max(at_cutoff(book, int(score), economy=economy).profit for score in book.score)
    assert at_cutoff(book, contender.cutoff, economy=economy).profit == pytest.approx(max(best, 0.0))


def test_pds_of_a_challenger_that_is_too_sure_are_mended_on_validation(world: World) -> None:
    loans, _ = noisy(5)
    mended, method = calibrated(3 * loans.truth, rows=loans.rows, contract=world.contract)
    validation = loans.rows.is_in(1)
    assert method != "none"
    assert mended.pds[validation].mean() == pytest.approx(loans.rows.bad[validation].mean(), abs=0.01)


def test_a_test_of_one_kind_tells_nothing_of_ranking(world: World) -> None:
    loans, random = noisy(6)
    rows = replace(loans.rows, bad=np.where(loans.rows.is_in(2), 0, loans.rows.bad).astype(np.uint8))
    one, other = (calibrated(loans.seen(random, 0.5), rows=rows, contract=world.contract)[0] for _ in range(2))
    found = compare(one, other, rows, economy=economy_of(world.contract), seed=1)
    assert np.isnan(found["against_card"]["auc"]["value"])
    assert np.isfinite(found["against_card"]["brier"]["lower"])

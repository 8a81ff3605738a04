"""Challengers: seeded, bounded, held to the contract's trends, stored as text and read back bit for bit."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.conftest import lack
from tests.models.lenders import PREDICTORS, Loans, make_loans

from obligor.core.clauses import Challengers
from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.core.trend import Trend
from obligor.models.additive import AdditiveModel, additive_of, parse_additive
from obligor.models.challengers import challengers_of, load_challenger, save_challengers
from obligor.models.columns import Predictor, Rows
from obligor.models.inputs import Inputs, learn_inputs

try:
    from obligor.models.boosting import Trees, grow, parse_trees, samples_of
except OSError as error:
    lack("openmp", f"LightGBM cannot be loaded: {error}")

if TYPE_CHECKING:
    from pathlib import Path

    from obligor.models.rankings import FittedChallenger

NAMES = ("boosted", "additive")
TRIALS = 3


@dataclass(frozen=True)
class Fitted:
    """Loans, and both challengers fitted to them."""

    loans: Loans
    rows: Rows
    inputs: Inputs
    by_name: dict[str, FittedChallenger]
    advanced: list[float]


def fit_all(loans: Loans, rows: Rows, *, seed: int = 1, max_pairs: int = 3) -> Fitted:
    inputs, advanced = learn_inputs(PREDICTORS, loans, rows), []
    asked = challengers_of(Challengers(models=NAMES, max_pairs=max_pairs))
    found = {it.name: it.fit(inputs, loans, rows, seed=seed, trials=TRIALS, advance=advanced.append) for it in asked}
    return Fitted(loans, rows, inputs, found, advanced)


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit_all(*make_loans())


def bytes_of(fitted: Fitted) -> list[bytes]:
    return [it.ranking.to_bytes() for it in fitted.by_name.values()]


def test_the_same_inputs_give_the_same_bytes_and_another_seed_others(fitted: Fitted) -> None:
    assert bytes_of(fit_all(*make_loans())) == bytes_of(fitted)
    assert bytes_of(fit_all(*make_loans(), seed=2)) != bytes_of(fitted)


def test_what_became_of_the_test_changes_nothing(fitted: Fitted) -> None:
    turned = np.where(fitted.rows.is_in(2), 1 - fitted.rows.bad, fitted.rows.bad).astype(np.uint8)
    assert bytes_of(fit_all(fitted.loans, replace(fitted.rows, bad=turned))) == bytes_of(fitted)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_read_back_predicts_the_same_bits(fitted: Fitted, name: str, tmp_path: Path) -> None:
    folder = tmp_path / "challengers"
    save_challengers(folder, fitted.inputs, list(fitted.by_name.values()))
    read = load_challenger(folder, name)
    before = fitted.by_name[name].ranking.log_odds(fitted.inputs.matrix(fitted.loans))
    assert read.log_odds(fitted.loans).tobytes() == before.tobytes()
    assert read.ranking.to_bytes() == (folder / fitted.by_name[name].file).read_bytes()


def test_files_are_text_and_the_search_is_told_trial_by_trial(fitted: Fitted, tmp_path: Path) -> None:
    folder = tmp_path / "challengers"
    save_challengers(folder, fitted.inputs, list(fitted.by_name.values()))
    assert {path.name for path in folder.iterdir()} == {"inputs.json", "boosted.txt", "additive.json", "search.json"}
    assert all("\0" not in path.read_bytes().decode() for path in folder.iterdir())
    tried = json.loads((folder / "search.json").read_text())["trials"]
    for name, it in fitted.by_name.items():
        assert len(tried[name]) == TRIALS
        assert min(each["log_loss"] for each in tried[name]) == it.search.best.log_loss


def test_a_search_makes_as_many_trials_as_it_may_and_begins_with_sound_settings(fitted: Fitted) -> None:
    assert fitted.advanced == [1] * TRIALS * len(NAMES)
    for it in fitted.by_name.values():
        assert it.search.trials[0].settings["lambda_l2"] == pytest.approx(5)
        assert it.search.trials[0].settings["feature_fraction"] == pytest.approx(0.7)


@pytest.mark.parametrize("name", NAMES)
def test_a_stated_trend_holds_for_every_loan(fitted: Fitted, name: str) -> None:
    matrix = fitted.inputs.matrix(fitted.loans)[:400]
    for place, (it, direction) in enumerate(zip(fitted.inputs.inputs, fitted.inputs.directions, strict=True)):
        if direction:
            moved = [matrix.copy() for _ in range(25)]
            for each, value in zip(moved, np.linspace(-3, 6, 25), strict=True):
                each[:, place] = value
            risk = np.array([fitted.by_name[name].ranking.log_odds(each) for each in moved])
            assert (direction * np.diff(risk, axis=0) >= -1e-12).all(), it.name
            assert np.ptp(risk) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_challenger_ranks_far_better_than_chance(fitted: Fitted, name: str) -> None:
    from sklearn.metrics import roc_auc_score

    test = fitted.rows.is_in(2)
    risk = fitted.by_name[name].ranking.log_odds(fitted.inputs.matrix(fitted.loans, test))
    assert roc_auc_score(fitted.rows.bad[test], risk) > 0.7


@pytest.mark.parametrize("name", NAMES)
def test_levels_never_seen_and_missing_values_are_scored(fitted: Fitted, name: str) -> None:
    strange = Loans(
        {key: np.full(3, np.nan) for key in fitted.loans.columns} | {"housing": np.array(["", "boat", "x"])}
    )
    risk = fitted.by_name[name].ranking.log_odds(fitted.inputs.matrix(strange))
    assert np.isfinite(risk).all()
    assert len(set(risk.tolist())) == 1  # a level never seen counts as missing


@pytest.mark.parametrize("flat", [{"max_depth": 2, "num_leaves": 4}, {"max_depth": 1, "num_leaves": 2}])
def test_tables_are_the_trees(fitted: Fitted, flat: dict[str, int]) -> None:
    samples = samples_of(fitted.inputs, fitted.loans, fitted.rows, seed=3)
    trees = grow(samples, {**flat, "learning_rate": 0.2, "min_data_in_leaf": 5, "min_data_per_group": 5}).trees
    model = additive_of(trees.booster, fitted.inputs)
    matrix = fitted.inputs.matrix(fitted.loans)
    np.testing.assert_allclose(model.log_odds(matrix), trees.log_odds(matrix), rtol=0, atol=1e-12)
    assert bool(model.pairs) == (flat["max_depth"] == 2)
    assert {len(table.axes) for table in model.tables} <= {1, flat["max_depth"]}


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_pairs_are_kept_than_asked(most: int) -> None:
    kept = fit_all(*make_loans(1500), max_pairs=most).by_name["additive"]
    assert isinstance(kept.ranking, AdditiveModel)
    assert len(kept.ranking.pairs) <= most
    assert bool(kept.pairs) == bool(most)


def test_weights_count_as_loans() -> None:
    """A loan of weight two tells as much as two loans."""
    loans, rows = make_loans(1200)
    weight = np.random.default_rng(1).integers(1, 3, 1200)
    inputs = learn_inputs(PREDICTORS, loans, rows)
    doubled = Loans({name: np.repeat(column, weight) for name, column in loans.columns.items()})
    repeated = Rows(np.repeat(rows.bad, weight), np.repeat(rows.sample, weight))
    settings = {"max_depth": 1, "num_leaves": 2, "min_data_in_leaf": 1, "min_sum_hessian_in_leaf": 5}
    one = grow(samples_of(inputs, loans, replace(rows, weight=weight.astype(float)), seed=0), settings)
    other = grow(samples_of(inputs, doubled, repeated, seed=0), settings)
    assert one.log_loss == pytest.approx(other.log_loss, abs=3e-3)


def test_a_train_of_one_kind_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="train: 2 rows with 0 bads; wanted goods and bads"):
        Rows(np.array([0, 0, 0, 1], dtype=np.uint8), np.array([0, 0, 1, 1], dtype=np.uint8))


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obligor.models.challenger_trees", "obligor.models.boosting"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(UnavailableError, match=r"obligor\[challenge\]"):
        challengers_of(Challengers(models=("boosted",)))
    assert challengers_of(Challengers()) == ()


def test_without_openmp_the_error_names_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "lightgbm":
                raise OSError("libgomp.so.1: cannot open shared object file")

    for name in ("obligor.models.challenger_trees", "obligor.models.boosting", "lightgbm"):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(UnavailableError, match="libgomp1"):
        challengers_of(Challengers(models=("additive",)))


def test_files_that_are_no_models_are_refused(fitted: Fitted, tmp_path: Path) -> None:
    fewer = fitted.inputs.model_copy(update={"inputs": fitted.inputs.inputs[:2]})
    boosted, additive = (it.ranking for it in fitted.by_name.values())
    for data in (b"\x80\x04pickle", b"tree\nversion=v4\n", b""):
        with pytest.raises(InvalidInputError, match="boosted trees: malformed"):
            parse_trees(data, fitted.inputs)
    with pytest.raises(InvalidInputError, match="boosted trees: read 5 inputs; wanted the 2"):
        parse_trees(boosted.to_bytes(), fewer)
    with pytest.raises(InvalidInputError, match="does not fit the inputs beside it"):
        parse_additive(additive.to_bytes(), fewer)
    short = json.loads(additive.to_bytes())
    short["tables"][0]["values"].pop()
    with pytest.raises(InvalidInputError, match=r"additive model: tables\.0.*its axes want"):
        parse_additive(json.dumps(short).encode(), fitted.inputs)
    with pytest.raises(InvalidInputError, match=r"boosted\.txt: cannot be read"):
        load_challenger(tmp_path, "boosted")
    with pytest.raises(InvalidInputError, match="got 'forest'; wanted one of boosted, additive"):
        load_challenger(tmp_path, "forest")


def test_a_table_has_no_more_cells_than_trees_tell_apart() -> None:
    """Two columns of five hundred levels make no table of a quarter of a million cells."""
    random = np.random.default_rng(0)
    loans = Loans({name: random.integers(0, 500, 4000).astype(str) for name in ("shop", "town")})
    late = (np.char.str_len(loans.columns["shop"]) == 2) & (np.char.str_len(loans.columns["town"]) == 2)
    bad = (random.random(4000) < 0.2 + 0.6 * late).astype(np.uint8)
    rows = Rows(bad, (np.arange(4000) % 3).astype(np.uint8))
    inputs = learn_inputs([Predictor(name, "category", Trend.AUTO) for name in loans.columns], loans, rows)
    samples = samples_of(inputs, loans, rows, seed=0)
    trees = grow(samples, {"max_depth": 2, "num_leaves": 4, "min_data_per_group": 5, "cat_smooth": 1}).trees
    model = additive_of(trees.booster, inputs)
    assert model.pairs
    assert max(len(table.values) for table in model.tables) < 500
    matrix = inputs.matrix(loans)
    np.testing.assert_allclose(model.log_odds(matrix), trees.log_odds(matrix), rtol=0, atol=1e-12)


def test_trees_that_learnt_nothing_give_everybody_the_same() -> None:
    loans, rows = make_loans(400)
    inputs = learn_inputs(PREDICTORS, loans, rows)
    trees = grow(samples_of(inputs, loans, rows, seed=0), {"min_data_in_leaf": 10_000}).trees
    model = additive_of(trees.booster, inputs)
    assert isinstance(trees, Trees)
    assert model.tables == ()
    assert len(set(model.log_odds(inputs.matrix(loans)).tolist())) == 1

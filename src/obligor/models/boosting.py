"""Grows boosted trees with LightGBM, and searches for the settings that lose least on validation.

One thread grows them, so that the same inputs give the same trees on every machine; trees stop where fifty more do not
help validation. The search is Optuna's (tree-structured Parzen estimators, Bergstra and others 2011): seeded, bounded, and
begun with settings that are sound on most tapes. Train and validation are all that it sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm
import numpy as np
import optuna

from obligor.core.errors import InvalidInputError
from obligor.models.columns import TRAIN, VALIDATION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from obligor.models.columns import Columns, Rows
    from obligor.models.inputs import Inputs

    Settings = Mapping[str, float | int]
    Space = Callable[[optuna.Trial], dict[str, float | int]]

_MOST_ROUNDS, _PATIENCE = 2000, 50
_FIRST_DRAWS = 10


@dataclass(frozen=True, slots=True)
class Samples:
    """Train and validation as LightGBM keeps them."""

    inputs: Inputs
    train: lightgbm.Dataset
    validation: lightgbm.Dataset
    seed: int


@dataclass(frozen=True, slots=True)
class Trees:
    """Boosted trees, as LightGBM's own text: what is stored is what is used."""

    text: str

    @property
    def booster(self) -> lightgbm.Booster:
        """The trees, read from their text."""
        return lightgbm.Booster(model_str=self.text)

    def log_odds(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the log-odds of bad of every row of a matrix of inputs."""
        return np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=1), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Write the trees."""
        return self.text.encode()


def parse_trees(data: bytes, inputs: Inputs) -> Trees:
    """Read trees over some inputs from their file.

    Raises
    ------
    InvalidInputError
        Where the file is not LightGBM's text.
    """
    try:
        trees = Trees(data.decode())
        found = int(trees.booster.num_feature())
    except (UnicodeDecodeError, lightgbm.basic.LightGBMError) as error:
        raise InvalidInputError("boosted trees: malformed; wanted the text of a LightGBM model") from error
    if found != len(inputs.inputs):
        raise InvalidInputError(f"boosted trees: read {found} inputs; wanted the {len(inputs.inputs)} beside them")
    return trees


@dataclass(frozen=True, slots=True)
class Grown:
    """Trees that stopped where validation was best."""

    trees: Trees
    """The trees up to the best round."""
    rounds: int
    log_loss: float
    """On validation."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Settings that were tried, and what they gave on validation."""

    settings: Settings
    rounds: int
    log_loss: float


@dataclass(frozen=True, slots=True)
class Search:
    """Every trial in its order, and the best: the first of those that lose least."""

    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial with the lowest log loss."""
        return min(self.trials, key=lambda trial: trial.log_loss)


def samples_of(inputs: Inputs, columns: Columns, rows: Rows, *, seed: int) -> Samples:
    """Hand train and validation to LightGBM, cut into its histograms once for all trials."""
    fixed = _fixed(inputs, seed)
    data: dict[int, lightgbm.Dataset] = {}
    for code in (TRAIN, VALIDATION):
        mask = rows.is_in(code)
        data[code] = lightgbm.Dataset(
            inputs.matrix(columns, mask),
            rows.bad[mask],
            weight=None if rows.weight is None else rows.weight[mask],
            reference=data.get(TRAIN),
            categorical_feature=inputs.categories,
            params=fixed,
        )
        data[code].construct()
    return Samples(inputs, data[TRAIN], data[VALIDATION], seed)


def grow(samples: Samples, settings: Mapping[str, Any]) -> Grown:
    """Grow trees until validation stops to gain."""
    stop = lightgbm.early_stopping(_PATIENCE, verbose=False)
    booster = lightgbm.train(
        {**_fixed(samples.inputs, samples.seed), **settings},
        samples.train,
        _MOST_ROUNDS,
        valid_sets=[samples.validation],
        valid_names=["validation"],
        callbacks=[stop],
    )
    rounds = booster.best_iteration
    loss = float(booster.best_score["validation"]["binary_logloss"])
    return Grown(Trees(booster.model_to_string(num_iteration=rounds)), rounds, loss)


def search(
    samples: Samples,
    *,
    first: Settings,
    space: Space,
    fixed: Mapping[str, Any],
    trials: int,
    advance: Callable[[float], None],
) -> Search:
    """Try so many settings, each drawn from what the earlier ones gave.

    Parameters
    ----------
    first
        The settings that are tried first; they lie in the space.
    fixed
        Parameters that every trial has.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=samples.seed, n_startup_trials=min(_FIRST_DRAWS, -(-trials // 2)))
    study = optuna.create_study(sampler=sampler)
    study.enqueue_trial(dict(first))
    tried: list[Trial] = []

    def lose(trial: optuna.Trial) -> float:
        settings = space(trial)
        grown = grow(samples, {**fixed, **settings})
        tried.append(Trial(settings, grown.rounds, grown.log_loss))
        advance(1)
        return grown.log_loss

    study.optimize(lose, n_trials=trials)
    return Search(tuple(tried))


def _fixed(inputs: Inputs, seed: int) -> dict[str, Any]:
    """Give what no search may change. ``basic`` is the one method whose constraints hold (see the ADR)."""
    said: dict[str, Any] = {
        "objective": "binary",
        "metric": "binary_logloss",
        "seed": seed,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "feature_pre_filter": False,
        "verbosity": -1,
    }
    if any(inputs.directions):
        said |= {"monotone_constraints": inputs.directions, "monotone_constraints_method": "basic"}
    return said

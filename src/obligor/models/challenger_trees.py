"""The challengers that LightGBM grows: boosted trees, and boosted trees so flat that they are tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from obligor.models.additive import additive_of, strongest_pairs
from obligor.models.boosting import grow, samples_of, search
from obligor.models.rankings import FittedChallenger

if TYPE_CHECKING:
    from collections.abc import Callable

    import optuna

    from obligor.models.columns import Columns, Rows
    from obligor.models.inputs import Inputs

    Settings = dict[str, float | int]

_FIRST_BOOSTED: Settings = {
    "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 50, "lambda_l2": 5.0, "feature_fraction": 0.7,
}  # fmt: skip
_FIRST_FLAT: Settings = {
    "learning_rate": 0.1, "min_data_in_leaf": 50, "lambda_l2": 5.0, "feature_fraction": 0.7,
}  # fmt: skip
_FLAT: dict[str, Any] = {"max_depth": 2, "num_leaves": 4}


@dataclass(frozen=True, slots=True)
class BoostedTrees:
    """Gradient boosted trees of any shape that validation likes."""

    name: str = "boosted"
    title: str = "boosted trees"

    def fit(
        self,
        inputs: Inputs,
        columns: Columns,
        rows: Rows,
        *,
        seed: int,
        trials: int,
        advance: Callable[[float], None],
    ) -> FittedChallenger:
        """Search over the size of trees, their pace and their penalty."""
        samples = samples_of(inputs, columns, rows, seed=seed)
        found = search(samples, first=_FIRST_BOOSTED, space=_boosted, fixed={}, trials=trials, advance=advance)
        grown = grow(samples, found.best.settings)
        return FittedChallenger(self.name, "boosted.txt", grown.trees, found, grown.rounds, grown.log_loss)


@dataclass(frozen=True, slots=True)
class AdditiveTables:
    """Tables of one input and of the strongest pairs, from trees of depth two."""

    max_pairs: int
    name: str = "additive"
    title: str = "additive tables"

    def fit(
        self,
        inputs: Inputs,
        columns: Columns,
        rows: Rows,
        *,
        seed: int,
        trials: int,
        advance: Callable[[float], None],
    ) -> FittedChallenger:
        """Search with every pair allowed; then keep the strongest and grow once more."""
        samples = samples_of(inputs, columns, rows, seed=seed)
        found = search(samples, first=_FIRST_FLAT, space=_flat, fixed=_FLAT, trials=trials, advance=advance)
        settings = {**_FLAT, **found.best.settings}
        pairs = strongest_pairs(grow(samples, settings).trees.booster, most=self.max_pairs)
        alone = [[place] for place in range(len(inputs.inputs))]
        grown = grow(samples, {**settings, "interaction_constraints": [*map(list, pairs), *alone]})
        model = additive_of(grown.trees.booster, inputs)
        named = dict.fromkeys((inputs.inputs[one].name, inputs.inputs[other].name) for one, other in model.pairs)
        pairs_named = tuple(pair for pair in named if pair[0] != pair[1])  # a number and its own special code are one
        return FittedChallenger(self.name, "additive.json", model, found, grown.rounds, grown.log_loss, pairs_named)


def _boosted(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 48, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 400, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1),
    }


def _flat(trial: optuna.Trial) -> Settings:
    return {
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 10, 400, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 0.1, 100, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.3, 1),
    }

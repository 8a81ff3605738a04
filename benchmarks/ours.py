"""Obligor's classical card on a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import expit

from obligor.core.bins import Levels
from obligor.core.clauses import CardScale
from obligor.core.trend import Trend
from obligor.models.columns import TEST, TRAIN, VALIDATION, Predictor, Rows
from obligor.models.scaling import log_odds_of
from obligor.models.smooth import fit_smooth_card
from obligor.models.training import Recipe, fit_card

if TYPE_CHECKING:
    from obligor.models.fitted import FittedCard


@dataclass(frozen=True)
class FrameColumns:
    """A frame's columns as the fitters fetch them."""

    frame: pd.DataFrame

    def numbers(self, name: str) -> np.ndarray:
        return self.frame[name].to_numpy(np.float64)

    def levels(self, name: str) -> Levels:
        codes, names = pd.factorize(self.frame[name], sort=True)
        return Levels(codes.astype(np.int32), tuple(str(level) for level in names))


def predictors_of(x: pd.DataFrame) -> list[Predictor]:
    """Offer every column, each with the trend that holds best."""
    kinds = {name: "numeric" if pd.api.types.is_numeric_dtype(x[name]) else "category" for name in x.columns}
    return [Predictor(str(name), kind, Trend.AUTO) for name, kind in kinds.items()]


def fit_ours(x: pd.DataFrame, bad: np.ndarray, train: np.ndarray, *, recipe: Recipe | None = None) -> FittedCard:
    """Fit on the train rows, a tenth of which validate; the others are only scored."""
    sample = np.full(len(bad), TEST, dtype=np.uint8)
    sample[train] = TRAIN
    random = np.random.default_rng(42)
    for outcome in (0, 1):
        own = train[bad[train] == outcome]
        sample[random.permutation(own)[: len(own) // 10]] = VALIDATION
    return fit_card(predictors_of(x), FrameColumns(x), Rows(bad, sample), recipe=recipe)


def fit_smooth(x: pd.DataFrame, bad: np.ndarray, train: np.ndarray) -> FittedCard:
    """Fit the smooth card on the train rows, all of which shape it; two of them stand for a validation it does not need."""
    sample = np.full(len(bad), TEST, dtype=np.uint8)
    sample[train] = TRAIN
    sample[[train[bad[train] == outcome][0] for outcome in (0, 1)]] = VALIDATION
    return fit_smooth_card(predictors_of(x), FrameColumns(x), Rows(bad, sample))


def pd_of(fitted: FittedCard) -> np.ndarray:
    """Give P(bad) as the score tells it, without calibration."""
    return expit(-log_odds_of(fitted.scores, scale=CardScale()))

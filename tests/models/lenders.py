"""Loans for challengers: numbers with gaps and codes, a category, interplay, and a trend that the contract asks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from obligor.core.bins import Levels
from obligor.core.trend import Trend
from obligor.models.columns import Predictor, Rows


@dataclass(frozen=True)
class Loans:
    """Columns in memory; an empty text is missing."""

    columns: dict[str, np.ndarray]

    def numbers(self, name: str) -> np.ndarray:
        return self.columns[name]

    def levels(self, name: str) -> Levels:
        names, codes = np.unique(self.columns[name], return_inverse=True)
        shift = int(len(names) > 0 and not names[0])
        return Levels((codes - shift).astype(np.int32), tuple(names[shift:].tolist()))


PREDICTORS = [
    Predictor("income", "numeric", Trend.DESCENDING),
    Predictor("debt", "numeric", Trend.ASCENDING),
    Predictor("months", "numeric", Trend.AUTO, specials=(-1.0, -9.0)),
    Predictor("housing", "category", Trend.AUTO),
    Predictor("nothing", "numeric", Trend.AUTO),
]


def make_loans(rows: int = 3000, *, seed: int = 5) -> tuple[Loans, Rows]:
    random = np.random.default_rng(seed)
    income, debt = random.standard_normal(rows), random.exponential(size=rows)
    months = random.integers(0, 60, rows).astype(float)
    months[random.random(rows) < 0.1] = -1
    housing = random.choice(["own", "rent", "family", ""], rows, p=[0.4, 0.3, 0.2, 0.1])
    odds = -1.8 - 0.8 * income + 0.5 * debt * (income < 0) - 0.02 * months + 0.7 * (housing == "rent")
    odds += np.where(months == -1, 1.0, 0.0)
    bad = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    income[random.random(rows) < 0.08] = np.nan
    columns = {"income": income, "debt": debt, "months": months, "housing": housing, "nothing": np.full(rows, np.nan)}
    sample = np.array([0, 0, 0, 1, 2], dtype=np.uint8)[np.arange(rows) % 5]
    return Loans(columns), Rows(bad, sample, exposure=random.uniform(1, 9, rows))

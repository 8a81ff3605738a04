"""A small world of loans whose card can be made in a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.bins import Levels
from obligor.core.contract import Contract
from obligor.core.features import FeatureSet, build_features
from obligor.core.scorecard import Origin
from obligor.core.trend import Trend
from obligor.models.assembly import Assembled, assemble
from obligor.models.columns import Predictor, Rows
from obligor.models.training import fit_card

if TYPE_CHECKING:
    from obligor.models.fitted import FittedCard

ORIGIN = Origin(contract="world", contract_sha256="0", snapshot_sha256="1", obligor="0", seed=0, rows={})


@dataclass(frozen=True)
class Frame:
    """Columns in memory."""

    columns: dict[str, np.ndarray]

    def numbers(self, name: str) -> np.ndarray:
        return self.columns[name]

    def levels(self, name: str) -> Levels:
        names, codes = np.unique(self.columns[name], return_inverse=True)
        return Levels(codes.astype(np.int32), tuple(names))


@dataclass(frozen=True)
class World:
    """Loans, the card made of them, and what it was made from."""

    frame: Frame
    rows: Rows
    contract: Contract
    features: FeatureSet
    fitted: FittedCard
    made: Assembled


def contract_of(**model: object) -> Contract:
    number, text = {"type": "number", "role": ["predictor"]}, {"type": "text", "role": ["predictor"]}
    columns = {
        "loan": {"type": "text", "role": ["identifier"]},
        "income": {**number, "reason": "Income is low", "reason_missing": "Income is not known"},
        "age_of_file": {**number, "special": {"-1": "no file"}},
        "housing": text,
        "unread": number,
        "bad": {"type": "number", "role": ["outcome"]},
    }
    said = {
        "schema": "obligor/contract/1",
        "name": "world",
        "applications": {"columns": columns},
        "outcome": {"window_months": 12, "status": {"column": "bad", "good": [0], "bad": [1]}},
        "split": {"random": {}},
        **model,
    }
    return Contract.model_validate(said, strict=False)


def make_world(rows: int = 4000, *, weighted: bool = False, lacking: float = 0.05, **model: object) -> World:
    random = np.random.default_rng(8)
    income, file = random.standard_normal(rows), random.integers(-1, 40, rows).astype(float)
    housing = random.choice(["own", "rent", "family"], rows)
    odds = -1.5 - income - 0.03 * file + 0.6 * (housing == "rent")
    bad = (random.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.uint8)
    income[random.random(rows) < lacking] = np.nan
    sample = np.array([0, 0, 0, 1, 2], dtype=np.uint8)[np.arange(rows) % 5]
    weight = random.integers(1, 4, rows).astype(float) if weighted else None
    frame = Frame({"income": income, "age_of_file": file, "housing": housing})
    outcomes = Rows(bad, sample, weight=weight, exposure=random.uniform(1, 9, rows))
    contract = contract_of(**model)
    features = build_features({name: it.type for name, it in contract.columns.items()}, histories={}, features={})
    predictors = [
        Predictor("income", "numeric", Trend.AUTO),
        Predictor("age_of_file", "numeric", Trend.AUTO, specials=(-1.0,)),
        Predictor("housing", "category", Trend.AUTO),
    ]
    fitted = fit_card(predictors, frame, outcomes)
    made = assemble(contract, fitted, outcomes, features=features, caps={"unread": (0.0, 1.0)}, origin=ORIGIN)
    return World(frame, outcomes, contract, features, fitted, made)

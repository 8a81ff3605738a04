"""One application with its points, in process, on a card of 20 characteristics, beside OptBinning's scorecard."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.data import synthetic
from obligor.core.calibration import PdTable
from obligor.core.contract import CardScale, Column, Table
from obligor.core.scorecard import CardBand, CardBin, CardCutoff, Characteristic, Origin, Scorecard
from obligor.core.scorer import compile_card

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15


def run(*, quick: bool) -> dict[str, object]:
    """Time one application; ``quick`` takes fewer of the peer's rounds."""
    from benchmarks.peers import optbinning_card

    x, bad = synthetic(5000)
    x = x[[f"n{index}" for index in range(16)] + [f"c{index}" for index in range(4)]]
    scorer = compile_card(_card(x))
    applications = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in x.head(200).to_dict("records")
    ]

    def ours() -> None:
        for application in applications:
            scorer.score(application)

    card, one = optbinning_card(x, bad), x.head(1)
    ours_us = _microseconds(ours, rounds=ROUNDS) / len(applications)
    theirs_us = _microseconds(lambda: card.score(one), rounds=5 if quick else ROUNDS)
    print(f"one application, 20 characteristics: obligor {ours_us:.2f} us, optbinning {theirs_us:.0f} us")
    return {"us_per_application": round(ours_us, 2), "optbinning_us": round(theirs_us, 1)}


def _microseconds(work: Callable[[], object], *, rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1e6)
    return statistics.median(taken)


def _card(x: object) -> Scorecard:
    columns, characteristics = {}, []
    for name in x.columns:
        numeric = x[name].dtype.kind == "f"
        columns[name] = Column(type="number" if numeric else "text")
        if numeric:
            parts = {"kind": "numeric", "cuts": tuple(np.unique(np.nanquantile(x[name], np.linspace(0.125, 0.875, 7))))}
            size = len(parts["cuts"]) + 2
        else:
            parts = {"kind": "category", "groups": tuple((level,) for level in sorted(x[name].unique()))}
            size = len(parts["groups"]) + 2
        bins = tuple(CardBin(label=str(at), points=100 * at, woe=0.0, goods=1.0, bads=1.0) for at in range(size))
        characteristics.append(
            Characteristic(feature=name, bins=bins, trend="free", information_value=0.1, coefficient=1.0, **parts)
        )
    return Scorecard(
        name="benchmark",
        horizon_months=12,
        origin=Origin(contract="", contract_sha256="", snapshot_sha256="", obligor="", seed=0, rows={}),
        applications=Table(columns=columns),
        histories={},
        features={},
        caps={},
        scale=CardScale(),
        base_points=500_000,
        characteristics=tuple(characteristics),
        pd=PdTable((500_000, 520_000), (0.2, 0.1)),
        bands=(CardBand(name="low", pd_max=0.15, score_min=510_000), CardBand(name="high", pd_max=1.0, score_min=None)),
        cutoff=CardCutoff(score=510_000, chosen_by="profit"),
    )

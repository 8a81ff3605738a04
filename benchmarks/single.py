"""One application in process, on a card of 20 characteristics: points; points, ten pairs and four reasons; OptBinning."""

from __future__ import annotations

import itertools
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from benchmarks.data import synthetic
from obligor.core.calibration import PdTable
from obligor.core.clauses import CardScale
from obligor.core.columns import Column, Table
from obligor.core.reasons import compile_reasons
from obligor.core.scorecard import CardBand, CardBin, CardCutoff, Characteristic, Origin, Pair, Scorecard
from obligor.core.scorer import compile_card

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15


def run(*, quick: bool) -> dict[str, object]:
    """Time one application; ``quick`` takes fewer of the peer's rounds."""
    from benchmarks.peers import optbinning_card

    x, bad = synthetic(5000)
    x = x[[f"n{index}" for index in range(16)] + [f"c{index}" for index in range(4)]]
    plain = card_of(x)
    scorer, paired = compile_card(plain), compile_card(with_pairs(plain))
    explainer = compile_reasons(paired.card)
    applications = [
        {name: None if pd.isna(value) else value for name, value in row.items()}
        for row in x.head(200).to_dict("records")
    ]

    def ours() -> None:
        for application in applications:
            scorer.score(application)

    def ours_explained() -> None:
        for application in applications:
            explainer.explain(paired.score(application).bins, most=4)

    card, one = optbinning_card(x, bad), x.head(1)
    ours_us = _microseconds(ours, rounds=ROUNDS) / len(applications)
    explained_us = _microseconds(ours_explained, rounds=ROUNDS) / len(applications)
    theirs_us = _microseconds(lambda: card.score(one), rounds=5 if quick else ROUNDS)
    print(f"one application, 20 characteristics: obligor {ours_us:.2f} us, optbinning {theirs_us:.0f} us")
    print(f"with ten pairs and four reasons: obligor {explained_us:.2f} us")
    return {
        "us_per_application": round(ours_us, 2),
        "us_with_pairs_and_reasons": round(explained_us, 2),
        "optbinning_us": round(theirs_us, 1),
    }


def _microseconds(work: Callable[[], object], *, rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        taken.append((time.perf_counter() - start) * 1e6)
    return statistics.median(taken)


def with_pairs(card: Scorecard) -> Scorecard:
    """Add a grid of six by six cells for each of ten neighbours, and reference means."""
    known = [it.model_copy(update={"reference": 100 * len(it.bins)}) for it in card.characteristics]
    pairs = [_pair(one, other) for one, other in itertools.pairwise(known[:11])]
    return card.model_copy(update={"characteristics": tuple(known), "pairs": tuple(pairs)})


def _pair(one: Characteristic, other: Characteristic) -> Pair:
    rows, columns = (tuple(min(at, 5) for at in range(len(it.bins))) for it in (one, other))
    shape = (max(rows) + 1, max(columns) + 1)
    points = tuple(tuple((7 * row + 3 * column) % 50 for column in range(shape[1])) for row in range(shape[0]))
    ones = ((1.0,) * shape[1],) * shape[0]
    features = (one.feature, other.feature)
    return Pair(features=features, rows=rows, columns=columns, points=points, goods=ones, bads=ones, reference=25)


def card_of(x: object) -> Scorecard:
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

"""AUC and log loss on short tapes: samples of 1,000 and 2,500 rows of the real ones, judged on 12,000 others.

German credit has a thousand loans, so that its folds tell a hundredth of AUC from chance and no less. Samples of longer tapes
are as short, and their other rows judge far more sharply.
"""

from __future__ import annotations

import numpy as np
from sklearn.metrics import log_loss

from benchmarks.accuracy import contenders
from benchmarks.data import Tape, real_tapes
from obligor.measures.discrimination import auc

TAPES = ("taiwan", "lendingclub", "gmsc")
NAMES = ("card", "smooth", "logit", "lightgbm")
_JUDGED = 12_000


def run(*, quick: bool) -> dict[str, object]:
    """Measure four samples of each size and tape; ``quick`` takes one of the smaller."""
    print(f"{'AUC, log loss':<18}" + "".join(f"{name:>16}" for name in NAMES))
    tapes = [tape for tape in real_tapes() if tape.name in TAPES]
    sizes, seeds = ((1000,), 1) if quick else ((1000, 2500), 4)
    return {f"{tape.name}_{rows}": _measure(tape, rows, seeds=seeds) for tape in tapes for rows in sizes}


def _measure(tape: Tape, rows: int, *, seeds: int) -> dict[str, dict[str, float]]:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in NAMES}
    for seed in range(seeds):
        chosen = np.random.default_rng(seed).permutation(len(tape.bad))[: rows + _JUDGED]
        sample = Tape(tape.name, tape.x.iloc[chosen].reset_index(drop=True), tape.bad[chosen], [])
        train, test = np.arange(rows), np.arange(rows, len(chosen))
        for name in NAMES:
            pd = contenders()[name](sample, train, test)
            found[name].append((auc(sample.bad[test], pd), log_loss(sample.bad[test], pd)))
    means = {name: np.mean(pairs, axis=0) for name, pairs in found.items()}
    cells = "".join(f"{area:>9.4f}{loss:>7.4f}" for area, loss in means.values())
    print(f"{tape.name:<12}{rows:>6}{cells}", flush=True)
    return {name: {"auc": round(area, 5), "log_loss": round(loss, 5)} for name, (area, loss) in means.items()}

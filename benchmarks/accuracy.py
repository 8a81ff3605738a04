"""AUC of the card and of its peers on real tapes, with paired tests against the additive ones."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from benchmarks.data import Tape, real_tapes
from benchmarks.ours import fit_ours, risk_of
from benchmarks.peers import ALL
from obligor.measures.discrimination import auc, delong_test

ADDITIVE = ("optbinning", "toad")
QUICK = ("german", "taiwan", "lendingclub_oot")


def run(*, quick: bool) -> dict[str, object]:
    """Measure every tape; ``quick`` takes one fold of the three smaller ones."""
    print(f"{'tape':<16}" + "".join(f"{name:>12}" for name in ("card", *ALL)) + "   p against optbinning, toad")
    tapes = [tape for tape in real_tapes() if not quick or tape.name in QUICK]
    return {tape.name: _measure(tape, folds=1 if quick else len(tape.folds)) for tape in tapes}


def _measure(tape: Tape, *, folds: int) -> dict[str, object]:
    areas: dict[str, list[float]] = {name: [] for name in ("card", *ALL)}
    ranks: dict[str, list[np.ndarray]] = {name: [] for name in ("card", *ALL)}
    outcomes = []
    for train, test in tape.folds[:folds]:
        bad = tape.bad[test]
        outcomes.append(bad)
        risks = {"card": risk_of(fit_ours(tape.x, tape.bad, train))[test]}
        for name, peer in ALL.items():
            risks[name] = peer(tape.x.iloc[train].reset_index(drop=True), tape.bad[train], tape.x.iloc[test])
        for name, risk in risks.items():
            areas[name].append(auc(bad, risk))
            ranks[name].append(_within(risk))
    means: dict[str, object] = {name: round(float(np.mean(each)), 5) for name, each in areas.items()}
    joined = np.concatenate(outcomes)
    for name in ADDITIVE:
        test_ = delong_test(joined, np.concatenate(ranks["card"]), np.concatenate(ranks[name]))
        means[f"p_against_{name}"] = round(test_.p, 4)
    tested = "  ".join(f"{means[f'p_against_{name}']:.3f}" for name in ADDITIVE)
    print(f"{tape.name:<16}" + "".join(f"{means[name]:>12.4f}" for name in ("card", *ALL)) + f"   {tested}", flush=True)
    return means


def _within(risk: np.ndarray) -> np.ndarray:
    """Rank within the fold, so that folds of different scale can be pooled."""
    return rankdata(risk) / len(risk)

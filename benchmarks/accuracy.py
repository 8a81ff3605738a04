"""AUC of the card and of its peers on real tapes, with paired tests against the additive ones.

``card`` leaves the signs of coefficients free, as every peer does; ``signed`` is the contract's default, which holds each
above zero so that no points run against the bad rates of their bins.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from benchmarks.data import Tape, real_tapes
from benchmarks.ours import fit_ours, risk_of
from benchmarks.peers import ALL, Peer
from obligor.measures.discrimination import auc, delong_test
from obligor.models.logistic import Penalty
from obligor.models.training import Recipe

ADDITIVE = ("optbinning", "toad")
OURS = {"card": Recipe(penalty=Penalty(sign_constrained=False)), "signed": Recipe()}
QUICK = ("german", "taiwan", "lendingclub_oot")


def run(*, quick: bool) -> dict[str, object]:
    """Measure every tape; ``quick`` takes one fold of the three smaller ones."""
    print(f"{'tape':<16}" + "".join(f"{name:>12}" for name in (*OURS, *ALL)) + "   p against optbinning, toad")
    tapes = [tape for tape in real_tapes() if not quick or tape.name in QUICK]
    return {tape.name: _measure(tape, folds=1 if quick else len(tape.folds)) for tape in tapes}


def _measure(tape: Tape, *, folds: int) -> dict[str, object]:
    outcomes = [tape.bad[test] for _, test in tape.folds[:folds]]
    risks = {
        name: [_of_ours(recipe, tape, train, test) for train, test in tape.folds[:folds]]
        for name, recipe in OURS.items()
    }
    means: dict[str, object] = {}
    for name, peer in ALL.items():
        try:
            risks[name] = [_of_peer(peer, tape, train, test) for train, test in tape.folds[:folds]]
        except ValueError as error:  # a peer that breaks on a tape is told, and has no figure
            print(f"{name} failed on {tape.name}: {error}", flush=True)
    for name in (*OURS, *ALL):
        found = [auc(bad, risk) for bad, risk in zip(outcomes, risks.get(name, ()), strict=False)]
        means[name] = round(float(np.mean(found)), 5) if found else None
    joined, ours = np.concatenate(outcomes), np.concatenate([_within(risk) for risk in risks["card"]])
    for name in ADDITIVE:
        theirs = risks.get(name)
        p = delong_test(joined, ours, np.concatenate([_within(risk) for risk in theirs])).p if theirs else None
        means[f"p_against_{name}"] = None if p is None else round(p, 4)
    shown = [f"{means[name]:>12.4f}" if means[name] is not None else f"{'failed':>12}" for name in (*OURS, *ALL)]
    tested = "  ".join(str(means[f"p_against_{name}"]) for name in ADDITIVE)
    print(f"{tape.name:<16}{''.join(shown)}   {tested}", flush=True)
    return means


def _of_ours(recipe: Recipe, tape: Tape, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    return risk_of(fit_ours(tape.x, tape.bad, train, recipe=recipe))[test]


def _of_peer(peer: Peer, tape: Tape, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    return peer(tape.x.iloc[train].reset_index(drop=True), tape.bad[train], tape.x.iloc[test])


def _within(risk: np.ndarray) -> np.ndarray:
    """Rank within the fold, so that folds of different scale can be pooled."""
    return rankdata(risk) / len(risk)

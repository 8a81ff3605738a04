"""AUC and log loss of our cards and of their peers on real tapes, with paired tests.

``card`` leaves the signs of coefficients free, as every additive peer does; ``signed`` is the contract's default, which holds
each above zero so that no points run against the bad rates of their bins; ``smooth`` is the smooth recipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import log_loss

from benchmarks.data import Tape, real_tapes
from benchmarks.ours import fit_ours, fit_smooth, pd_of
from benchmarks.peers import ALL
from obligor.measures.discrimination import auc, delong_test
from obligor.models.logistic import Penalty
from obligor.models.training import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable

    Contender = Callable[[Tape, np.ndarray, np.ndarray], np.ndarray]

QUICK = ("german", "taiwan", "lendingclub_oot")
_FREE = Recipe(penalty=Penalty(sign_constrained=False))
TESTED = {"card": ("optbinning", "toad"), "smooth": ("optbinning", "toad", "logit", "lightgbm", "catboost")}


def contenders() -> dict[str, Contender]:
    """Give everyone who takes part: a tape, its train rows and its test rows in, P(bad) of the test rows out."""
    ours: dict[str, Contender] = {
        "card": lambda tape, train, test: pd_of(fit_ours(tape.x, tape.bad, train, recipe=_FREE))[test],
        "signed": lambda tape, train, test: pd_of(fit_ours(tape.x, tape.bad, train))[test],
        "smooth": lambda tape, train, test: pd_of(fit_smooth(tape.x, tape.bad, train))[test],
    }
    for name, peer in ALL.items():
        ours[name] = lambda tape, train, test, peer=peer: peer(
            tape.x.iloc[train].reset_index(drop=True), tape.bad[train], tape.x.iloc[test]
        )
    return ours


def run(*, quick: bool) -> dict[str, object]:
    """Measure every tape; ``quick`` takes one fold of the three smaller ones."""
    names = list(contenders())
    print(f"{'tape':<16}" + "".join(f"{name:>11}" for name in names))
    tapes = [tape for tape in real_tapes() if not quick or tape.name in QUICK]
    return {tape.name: _measure(tape, folds=1 if quick else len(tape.folds)) for tape in tapes}


def _measure(tape: Tape, *, folds: int) -> dict[str, object]:
    outcomes = [tape.bad[test] for _, test in tape.folds[:folds]]
    found: dict[str, list[np.ndarray]] = {}
    for name, contender in contenders().items():
        try:
            found[name] = [contender(tape, train, test) for train, test in tape.folds[:folds]]
        except ValueError as error:  # a peer that breaks on a tape is told, and has no figure
            print(f"{name} failed on {tape.name}: {error}", flush=True)
    areas = {name: _mean(auc, outcomes, found.get(name)) for name in contenders()}
    losses = {name: _mean(log_loss, outcomes, found.get(name)) for name in contenders()}
    tests = {
        f"p_{name}_against_{peer}": _paired(outcomes, found[name], found[peer])
        for name, peers in TESTED.items()
        for peer in peers
        if peer in found
    }
    print(f"{tape.name:<16}" + "".join(_cell(area) for area in areas.values()), flush=True)
    print(f"{'  log loss':<16}" + "".join(_cell(loss) for loss in losses.values()), flush=True)
    print("  " + "  ".join(f"{name} {p:.4f}" for name, p in tests.items()), flush=True)
    return {**areas, "log_loss": losses, **tests}


def _mean(measure: Callable[..., float], outcomes: list[np.ndarray], found: list[np.ndarray] | None) -> float | None:
    if found is None:
        return None
    return round(float(np.mean([measure(bad, pd) for bad, pd in zip(outcomes, found, strict=True)])), 5)


def _paired(outcomes: list[np.ndarray], one: list[np.ndarray], other: list[np.ndarray]) -> float:
    """Test two AUCs on the same rows, ranked within each fold so that folds of different scale can be pooled."""
    ranked = [np.concatenate([rankdata(risk) / len(risk) for risk in risks]) for risks in (one, other)]
    return round(delong_test(np.concatenate(outcomes), *ranked).p, 4)


def _cell(value: float | None) -> str:
    return f"{'failed':>11}" if value is None else f"{value:>11.4f}"

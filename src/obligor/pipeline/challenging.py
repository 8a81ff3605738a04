"""Fits the challengers that a contract asks for, keeps them beside the card, and tells what each would gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from obligor.models.assembly import economy_of
from obligor.models.challengers import FOLDER, save_challengers
from obligor.models.comparison import calibrated, compare, contender_of
from obligor.models.evaluation import tidy
from obligor.models.inputs import learn_inputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from obligor.core.contract import Contract
    from obligor.core.scorecard import Scorecard
    from obligor.models.challengers import Challenger
    from obligor.models.columns import Columns, Predictor, Rows
    from obligor.models.inputs import Inputs
    from obligor.models.rankings import FittedChallenger
    from obligor.progress import Progress


@dataclass(frozen=True, slots=True)
class Offered:
    """What is offered to the card, and so to every challenger."""

    predictors: Sequence[Predictor]
    columns: Columns
    rows: Rows


def challenge(
    challengers: Sequence[Challenger],
    offered: Offered,
    *,
    contract: Contract,
    card: Scorecard,
    scores: NDArray[np.int64],
    out: Path,
    progress: Progress,
) -> list[dict[str, Any]]:
    """Fit every challenger, store it in ``out``, and compare the card with it; plain data, one entry for each.

    Parameters
    ----------
    scores
        What the card gives every row, in thousandths.
    """
    if not challengers:
        return []
    columns, rows, seed = offered.columns, offered.rows, contract.model.seed
    with progress.step("reading inputs of challengers"):
        inputs = learn_inputs(offered.predictors, columns, rows)
    fitted = []
    for each in challengers:
        trials = contract.challengers.trials
        with progress.step(f"tuning {each.title}", total=trials) as advance:
            fitted.append(each.fit(inputs, columns, rows, seed=seed, trials=trials, advance=advance))
    save_challengers(out / FOLDER, inputs, fitted)
    with progress.step("comparing with the challengers"):
        matrix = inputs.matrix(columns)
        ours = contender_of(scores, card.pd, rows=rows, contract=contract)
        found = []
        for it in fitted:
            theirs, method = calibrated(it.ranking.log_odds(matrix), rows=rows, contract=contract)
            compared = compare(ours, theirs, rows, economy=economy_of(contract), seed=seed)
            found.append(_described(it, inputs) | {"calibration": method} | compared)
    return [tidy(each) for each in found]


def _described(it: FittedChallenger, inputs: Inputs) -> dict[str, Any]:
    held = [each.name for each, direction in zip(inputs.inputs, inputs.directions, strict=True) if direction]
    return {
        "name": it.name,
        "file": f"{FOLDER}/{it.file}",
        "trials": len(it.search.trials),
        "settings": dict(it.search.best.settings),
        "rounds": it.rounds,
        "validation_log_loss": it.log_loss,
        "held_trends": held,
        "pairs": [list(pair) for pair in it.pairs],
    }

"""Which pairs of characteristics tell together what neither tells alone.

Scanned on the residual of a fit: every pair is ranked by the penalised gain of a grid on its coarse bins, and the best
are asked for their gain on rows that the grid did not see, five times, from counts alone. A pair is taken where that
gain is clear and comes in nearly every fold, so that another draw of the same tape would take it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from obligor.models.smoothing import Block, Penalty, by_cell, by_cells, grid

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from obligor.models.smoothing import Sample

_FOLDS, _GOLDEN = 5, (5**0.5 - 1) / 2
_ASKED, _PRIOR = 40, 10.0
_SIDE_RIDGE = 0.1
_STRENGTHS = (2.0, 8.0, 32.0, 128.0)
_MOST_CELLS = 256


@dataclass(frozen=True, slots=True)
class Axis:
    """The coarse bins of a characteristic: its line of codes, how many bins are ordered, and how many there are."""

    feature: str
    line: int
    ordinary: int
    size: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pair that told something: the places of its axes, and its gain on unseen rows, in nats."""

    one: int
    other: int
    gain: float


@dataclass(frozen=True, slots=True)
class _Gain:
    """What a grid gains on unseen rows, in nats, and in how many folds."""

    total: float
    folds: int


@dataclass(frozen=True, slots=True)
class PairRules:
    """How many pairs there may be, and what each must gain."""

    most: int = 10
    a_round: int = 5
    rounds: int = 3
    a_feature: int = 2
    """Pairs of one characteristic in one round."""
    chance: float = 0.05
    """That a card takes a pair where none tells anything: see ``least_gain``."""
    folds: int = 4
    """Of five, in which it must gain."""

    def least_gain(self, pairs: int) -> float:
        """Give the nats that a pair must gain on unseen rows, where so many pairs are compared.

        Where a pair tells nothing, its likelihood ratio on rows that it was not fitted on has a mean of one, so that it
        exceeds m / a with a chance below a / m (Markov); m pairs share the chance a. A guide and not a bound: the five folds
        share rows, and gains are of the second order.
        """
        return math.log(max(pairs, 1) / self.chance)


def scan(
    axes: Sequence[Axis],
    codes: NDArray[np.uint8],
    log_odds: NDArray[np.float64],
    sample: Sample,
    *,
    taken: Collection[tuple[int, int]],
    rules: PairRules,
) -> list[Candidate]:
    """Give the pairs to take next, best first."""
    p = expit(log_odds)
    slope, curvature = sample.weight * (sample.bad - p), sample.weight * p * (1 - p)
    open_pairs = [
        (one, other)
        for one, other in combinations(range(len(axes)), 2)
        if (one, other) not in taken and axes[one].size * axes[other].size <= _MOST_CELLS
    ]
    promise = {}
    for one, other in open_pairs:
        cells, size = cell_codes(axes[one], axes[other], codes), axes[one].size * axes[other].size
        pull, weight = by_cell(cells, slope, size), by_cell(cells, curvature, size)
        pull = pull - weight * _alone(pull, weight, _sides(axes[one], axes[other]))
        promise[one, other] = float(((pull**2 - weight) / (weight + _PRIOR)).sum()) / 2
    asked = sorted(open_pairs, key=lambda pair: (-promise[pair], pair))[:_ASKED]
    fold = ((np.arange(len(slope)) * _GOLDEN % 1) * _FOLDS).astype(np.uint8)
    least = rules.least_gain(math.comb(len(axes), 2))
    found = [
        Candidate(one, other, it.total)
        for one, other in asked
        if (it := _unseen_gain(axes[one], axes[other], codes, slope, curvature, fold)).total >= least
        and it.folds >= rules.folds
    ]
    return _chosen(
        sorted(found, key=lambda it: (-it.gain, it.one, it.other)), room=rules.most - len(taken), rules=rules
    )


def cell_codes(one: Axis, other: Axis, codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Give the cell of every row in the grid of two axes, row by row."""
    return np.asarray(codes[one.line] * np.uint8(other.size) + codes[other.line], dtype=np.uint8)


def grid_block(one: Axis, other: Axis, *, line: int) -> Block:
    """Give the table of a pair."""
    structure, name = _structure(one, other), f"{one.feature} x {other.feature}"
    return Block(name, line, (Penalty(name, structure, len(structure)),), np.zeros_like(structure))


def _unseen_gain(
    one: Axis,
    other: Axis,
    codes: NDArray[np.uint8],
    slope: NDArray[np.float64],
    curvature: NDArray[np.float64],
    fold: NDArray[np.uint8],
) -> _Gain:
    """Give the best gain of a grid in log likelihood, to the second order, on folds that it was not fitted on."""
    size = one.size * other.size
    cells = cell_codes(one, other, codes)
    pull, weight = by_cells(cells, fold, slope, size, _FOLDS), by_cells(cells, fold, curvature, size, _FOLDS)
    shown = np.flatnonzero(weight.sum(axis=1) > 0)
    pull, weight, sides = pull[shown], weight[shown], _sides(one, other)[shown]
    structure = _structure(one, other)[np.ix_(shown, shown)]
    seen_weight = weight.sum(axis=1)[:, None] - weight
    seen_pull = pull.sum(axis=1)[:, None] - pull
    alone = np.column_stack([_alone(seen_pull[:, at], seen_weight[:, at], sides) for at in range(_FOLDS)])
    pull, seen_pull = pull - weight * alone, seen_pull - seen_weight * alone
    tried = []
    for strength in _STRENGTHS:
        b = np.column_stack(
            [np.linalg.solve(np.diag(seen_weight[:, at]) + strength * structure, seen_pull[:, at])
             for at in range(_FOLDS)]
        )  # fmt: skip
        gains = (pull * b - weight * b * b / 2).sum(axis=0)
        tried.append(_Gain(float(gains.sum()), int((gains > 0).sum())))
    return max(tried, key=lambda it: it.total)


def _structure(one: Axis, other: Axis) -> NDArray[np.float64]:
    return grid((one.ordinary, one.size), (other.ordinary, other.size))


def _sides(one: Axis, other: Axis) -> NDArray[np.float64]:
    """Tell the row and the column of each cell of a grid, as columns of zeros and ones."""
    rows, columns = np.divmod(np.arange(one.size * other.size), other.size)
    return np.hstack([np.eye(one.size)[rows], np.eye(other.size)[columns]])


def _alone(pull: NDArray[np.float64], weight: NDArray[np.float64], sides: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give what rows and columns of a grid tell alone of a residual, for each cell.

    A fit is drawn towards zero, most of all where levels are many, and bins of levels were joined by their outcomes: the
    residual still holds some of each axis, which is not what a pair is asked for.
    """
    gram = sides.T @ (weight[:, None] * sides) + _SIDE_RIDGE * np.eye(sides.shape[1])
    return np.asarray(sides @ np.linalg.solve(gram, sides.T @ pull))


def _chosen(found: Sequence[Candidate], *, room: int, rules: PairRules) -> list[Candidate]:
    chosen: list[Candidate] = []
    for candidate in found:
        pairs = [it for it in chosen if {it.one, it.other} & {candidate.one, candidate.other}]
        busy = max(
            (sum(at in (it.one, it.other) for it in pairs) for at in (candidate.one, candidate.other)), default=0
        )
        if busy < rules.a_feature and len(chosen) < min(room, rules.a_round):
            chosen.append(candidate)
    return chosen

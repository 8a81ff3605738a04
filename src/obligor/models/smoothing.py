"""One penalised logistic regression on tables of byte codes, each table as smooth as the data ask for.

The log-odds of bad of a row are an intercept and one coefficient from each table. Neighbouring coefficients of a table
are tied by a quadratic penalty, whose strength is found by restricted maximum likelihood: Newton steps on the
coefficients, each followed by a Fellner-Schall step on the strengths (Wood and Fasiolo 2017, A generalized Fellner-Schall
method for smoothing parameter optimization, Biometrics 73), ``strength <- strength * edf / (strength b'Sb)``. All that a
step needs of the rows is gathered as counts per cell and per pair of tables, so that no matrix of the tape's length is
ever built.
"""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.lapack import dpotri
from scipy.special import expit

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_START, _WEAKEST, _STRONGEST, _LEAP = 10.0, 0.05, 1e5, 30.0
_STEPS, _LAST_STEPS, _HALVINGS = 25, 6, 6
_SETTLED, _CONVERGED = 0.02, 1e-9
_THREADS = 2
_FLOOR = 1e-9
_SLOPES, _ALONE = "slopes", "cells that stand alone"
"""The strengths that tables share: a slope or a missing value is one number, too little to learn its own spread from."""
_CENTRED = 1e4
"""Holds the mean of the ordered cells over the rows at zero, so that the intercept stands for it."""


@dataclass(frozen=True, slots=True)
class Penalty:
    """One quadratic penalty on a table: ``strength * b' structure b``, half of it, beside the log loss.

    Penalties of one name share their strength, whichever tables they stand on; those of one table have ranges that do not
    overlap.
    """

    name: str
    structure: NDArray[np.float64]
    rank: int


@dataclass(frozen=True, slots=True)
class Block:
    """A table of coefficients: which line of codes it reads, and how its coefficients are penalised.

    Beside its penalties stands ``b' fixed b``, half of it.
    """

    name: str
    line: int
    penalties: tuple[Penalty, ...]
    fixed: NDArray[np.float64]

    @property
    def size(self) -> int:
        """How many coefficients it has."""
        return len(self.fixed)


@dataclass(frozen=True, slots=True)
class Sample:
    """The rows to fit on: a line of codes for each table, outcomes, weights with a mean of one."""

    codes: NDArray[np.uint8]
    bad: NDArray[np.float64]
    weight: NDArray[np.float64]
    offset: NDArray[np.float64] | None = None
    """Log-odds of bad that each row has already, where there are any: the fit adds to them."""

    def with_lines(self, lines: Sequence[NDArray[np.uint8]]) -> Sample:
        """Add lines of codes."""
        return replace(self, codes=np.vstack([self.codes, *lines])) if lines else self


@dataclass(frozen=True, slots=True)
class Smooth:
    """A fit: log-odds of bad."""

    blocks: tuple[Block, ...]
    intercept: float
    tables: tuple[NDArray[np.float64], ...]
    strengths: dict[str, float]
    """Of each penalty, by its name."""
    edf: tuple[float, ...]
    """The effective degrees of freedom of each table."""
    covariance: NDArray[np.float64]
    """Of the intercept and the coefficients in order: the inverse of information and penalty (Wood 2017, 6.10)."""
    offsets: tuple[int, ...]
    """Where each table begins in the covariance."""

    def log_odds(self, sample: Sample) -> NDArray[np.float64]:
        """Give the log-odds of bad of every row."""
        return _predict(self.intercept, self.tables, [block.line for block in self.blocks], sample)


def ordered(name: str, line: int, ordinary: int, held: NDArray[np.float64]) -> Block:
    """Give a table of so many ordered cells, and others that stand alone after them.

    The bends of the ordered cells have a strength of their own; their slope is drawn towards zero with the slopes of all
    tables (the null space of the bends penalised too: Marra and Wood 2011, Practical variable selection for generalized
    additive models, Computational Statistics and Data Analysis 55), and cells that stand alone with all of their kind.

    Parameters
    ----------
    held : array of shape (cells,)
        The weight of the rows in each cell.
    """
    size = len(held)
    share = np.zeros(size)
    share[:ordinary] = held[:ordinary] / max(held[:ordinary].sum(), 1e-300)
    penalties = (_bends(name, ordinary, size), _slope(share, ordinary), _alone(ordinary, size))
    return Block(name, line, tuple(it for it in penalties if it.rank > 0), _CENTRED * np.outer(share, share))


def _bends(name: str, ordinary: int, size: int) -> Penalty:
    structure = np.zeros((size, size))
    differences = np.diff(np.eye(ordinary), 2, axis=0)
    structure[:ordinary, :ordinary] = 4 * differences.T @ differences
    return Penalty(f"bends of {name}", structure, max(ordinary - 2, 0))


def _slope(share: NDArray[np.float64], ordinary: int) -> Penalty:
    """Penalise the square of the slope for one standard deviation of the place of a row."""
    place = np.where(np.arange(len(share)) < ordinary, np.arange(len(share)) - (ordinary - 1) / 2, 0.0)
    deviation = np.sqrt(max(share @ place**2 - (share @ place) ** 2, 1e-12))
    along = place * deviation / max(place @ place, 1e-12)
    return Penalty(_SLOPES, np.outer(along, along), int(ordinary > 1))


def _alone(ordinary: int, size: int) -> Penalty:
    return Penalty(_ALONE, np.diag((np.arange(size) >= ordinary).astype(np.float64)), size - ordinary)


def independent(name: str, line: int, size: int) -> Block:
    """Give a table of cells without an order: each drawn towards zero."""
    return Block(name, line, (Penalty(f"levels of {name}", np.eye(size), size),), np.zeros((size, size)))


def grid(rows: tuple[int, int], columns: tuple[int, int]) -> NDArray[np.float64]:
    """Give the structure of a grid, each axis told as (ordered places, all places); row by row."""
    along = np.kron(_path(*rows), np.eye(columns[1])) + np.kron(np.eye(rows[1]), _path(*columns))
    return np.asarray(along + 0.5 * np.eye(rows[1] * columns[1]))


def _path(ordinary: int, size: int) -> NDArray[np.float64]:
    found = np.zeros((size, size))
    steps = np.diff(np.eye(ordinary), axis=0)
    found[:ordinary, :ordinary] = steps.T @ steps
    return found


def fit_tables(
    sample: Sample,
    blocks: Sequence[Block],
    *,
    start: Smooth | None = None,
    steps: int = _STEPS,
    fixed: Mapping[str, float] | None = None,
) -> Smooth:
    """Fit coefficients and strengths; ``fixed`` strengths stay as they are.

    Parameters
    ----------
    start
        A fit to begin from, on the first of these blocks.
    """
    offsets = np.concatenate([[1], 1 + np.cumsum([block.size for block in blocks])])
    beta = np.zeros(int(offsets[-1]))
    rate = float(np.average(sample.bad, weights=sample.weight))
    if not 0 < rate < 1:
        raise InvalidInputError(f"smoothing: a bad rate of {rate:g}; wanted goods and bads")
    known_strengths = {} if start is None else start.strengths
    strengths = {it.name: known_strengths.get(it.name, _START) for block in blocks for it in block.penalties}
    beta[0] = np.log(rate / (1 - rate)) if sample.offset is None else 0.0
    if start is not None:
        known = int(offsets[len(start.tables)])
        beta[:known] = np.concatenate([[start.intercept], *start.tables])
    strengths |= fixed or {}
    lines = [block.line for block in blocks]
    sizes = np.array([block.size for block in blocks])
    loss = np.inf
    inverse, edf = np.zeros((0, 0)), np.zeros(len(blocks))
    last = 0
    for step in range(steps + _LAST_STEPS):
        penalty = _penalty(blocks, offsets, strengths)
        eta = _predict(float(beta[0]), _tables(beta, offsets), lines, sample)
        p = expit(eta)
        curvature = sample.weight * p * (1 - p)
        slope = sums_of(sample.codes, lines, sizes, sample.weight * (sample.bad - p))
        information = information_of(sample.codes, lines, sizes, curvature)
        factor = cho_factor(information + penalty, lower=True)
        move = cho_solve(factor, slope - penalty @ beta)
        before = _objective(eta, sample, beta, penalty)
        beta, loss = _walk(beta, move, sample, lines, offsets, penalty=penalty, before=before)
        tuned = fixed is None and step < steps
        if tuned or step >= steps + _LAST_STEPS - 1 or before - loss < _CONVERGED * abs(loss):
            inverse = _inverse(factor[0])
            edf = _edf(inverse, penalty, offsets)
        if tuned:
            moved = _stronger(blocks, beta, offsets, strengths, inverse)
            settled = all(abs(np.log(moved[name] / strengths[name])) < _SETTLED for name in moved)
            strengths = moved
            if settled:
                steps = step + 1
        else:
            last += 1
            if before - loss < _CONVERGED * abs(loss) or last >= _LAST_STEPS:
                break
    return Smooth(
        tuple(blocks),
        float(beta[0]),
        _tables(beta, offsets),
        strengths,
        tuple(edf.tolist()),
        inverse,
        tuple(int(offset) for offset in offsets[:-1]),
    )


def fit_intercept(offset: NDArray[np.float64], bad: NDArray[np.uint8], weight: NDArray[np.float64]) -> float:
    """Fit an intercept alone to log-odds of bad, by Newton's method: the mean PD becomes the bad rate."""
    rate = float(np.average(bad, weights=weight))
    found = float(np.log(rate / (1 - rate))) - float(np.average(offset, weights=weight))
    for _ in range(50):
        p = expit(found + offset)
        step = float((weight * (bad - p)).sum() / (weight * p * (1 - p)).sum())
        found += max(min(step, 2.0), -2.0)
        if abs(step) < 1e-12:  # noqa: PLR2004  log-odds
            break
    return found


def _walk(
    beta: NDArray[np.float64],
    move: NDArray[np.float64],
    sample: Sample,
    lines: Sequence[int],
    offsets: NDArray[np.int64],
    *,
    penalty: NDArray[np.float64],
    before: float,
) -> tuple[NDArray[np.float64], float]:
    """Take the Newton step, or the first of its halves that does not lead uphill."""
    for _ in range(_HALVINGS):
        tried = beta + move
        eta = _predict(float(tried[0]), _tables(tried, offsets), lines, sample)
        loss = _objective(eta, sample, tried, penalty)
        if loss <= before + 1e-12 * abs(before):
            return tried, loss
        move = move / 2
    return beta, before


def _objective(
    eta: NDArray[np.float64], sample: Sample, beta: NDArray[np.float64], penalty: NDArray[np.float64]
) -> float:
    loss = float((sample.weight * (np.logaddexp(0, eta) - sample.bad * eta)).sum())
    return loss + float(beta @ penalty @ beta) / 2


def _inverse(factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the inverse of a matrix from its lower Cholesky factor, at a third of the cost of solving for every column."""
    lower, info = dpotri(factor, lower=1)
    if info:
        raise InvalidInputError("smoothing: the penalised information is singular; wanted a penalty on every table")
    lower = np.tril(lower)
    return np.asarray(lower + np.tril(lower, -1).T)


def _edf(inverse: NDArray[np.float64], penalty: NDArray[np.float64], offsets: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give the effective degrees of freedom of each table: its share of the trace of (H + S)^-1 H."""
    kept = 1 - (inverse * penalty).sum(axis=1)
    return np.array([kept[low:high].sum() for low, high in itertools.pairwise(offsets)])


def _stronger(
    blocks: Sequence[Block],
    beta: NDArray[np.float64],
    offsets: NDArray[np.int64],
    strengths: Mapping[str, float],
    inverse: NDArray[np.float64],
) -> dict[str, float]:
    wanted, found = dict.fromkeys(strengths, 0.0), dict.fromkeys(strengths, 0.0)
    for at, block in enumerate(blocks):
        part = slice(int(offsets[at]), int(offsets[at]) + block.size)
        for it in block.penalties:
            wanted[it.name] += it.rank - strengths[it.name] * float((inverse[part, part] * it.structure).sum())
            found[it.name] += strengths[it.name] * float(beta[part] @ it.structure @ beta[part])
    moved = {}
    for name, strength in strengths.items():
        ratio = max(wanted[name], 1e-8) / max(found[name], 1e-12)
        moved[name] = float(np.clip(strength * np.clip(ratio, 1 / _LEAP, _LEAP), _WEAKEST, _STRONGEST))
    return moved


def _penalty(
    blocks: Sequence[Block], offsets: NDArray[np.int64], strengths: Mapping[str, float]
) -> NDArray[np.float64]:
    found = np.zeros((int(offsets[-1]),) * 2)
    for at, block in enumerate(blocks):
        part = slice(int(offsets[at]), int(offsets[at]) + block.size)
        found[part, part] = block.fixed + sum(strengths[it.name] * it.structure for it in block.penalties)
    found[range(1, len(found)), range(1, len(found))] += _FLOOR
    return found


def _tables(beta: NDArray[np.float64], offsets: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    return tuple(beta[low:high] for low, high in itertools.pairwise(offsets))


def _predict(
    intercept: float, tables: Sequence[NDArray[np.float64]], lines: Sequence[int], sample: Sample
) -> NDArray[np.float64]:
    eta = np.full(len(sample.bad), intercept) if sample.offset is None else sample.offset + intercept
    for table, line in zip(tables, lines, strict=True):
        _add(eta, table, sample.codes[line])
    return eta


def sums_of(
    codes: NDArray[np.uint8], lines: Sequence[int], sizes: NDArray[np.int64], value: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum a value over all rows and over the rows of each cell."""
    parts = [by_cell(codes[line], value, int(size)) for line, size in zip(lines, sizes, strict=True)]
    return np.concatenate([[value.sum()], *parts])


def information_of(
    codes: NDArray[np.uint8], lines: Sequence[int], sizes: NDArray[np.int64], curvature: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Sum curvature over the rows of each pair of cells: the Hessian of the log loss in intercept and coefficients.

    Every entry is summed by one thread in the order of the rows, so that it is the same on any number of threads.
    """
    offsets = np.concatenate([[1], 1 + np.cumsum(sizes)]).astype(np.int64)
    found = np.zeros((int(offsets[-1]),) * 2)
    found[0, :] = found[:, 0] = sums_of(codes, lines, sizes, curvature)

    def work(pair: tuple[int, int]) -> None:
        one, other = pair
        low, left = offsets[one], offsets[other]
        if one == other:
            part = np.arange(low, low + sizes[one])
            found[part, part] = found[0, part]
            return
        cells = by_cells(codes[lines[one]], codes[lines[other]], curvature, int(sizes[one]), int(sizes[other]))
        found[low : low + sizes[one], left : left + sizes[other]] = cells
        found[left : left + sizes[other], low : low + sizes[one]] = cells.T

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(work, [(one, other) for one in range(len(sizes)) for other in range(one + 1)]))
    return found


@njit(cache=True, nogil=True)
def _add(eta: NDArray[np.float64], table: NDArray[np.float64], codes: NDArray[np.uint8]) -> None:
    for row in range(len(eta)):
        eta[row] += table[codes[row]]


@njit(cache=True, nogil=True)
def by_cell(codes: NDArray[np.uint8], value: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Sum a value over the rows of each cell."""
    found = np.zeros(size)
    for row in range(len(codes)):
        found[codes[row]] += value[row]
    return found


@njit(cache=True, nogil=True)
def by_cells(
    one: NDArray[np.uint8], other: NDArray[np.uint8], value: NDArray[np.float64], rows: int, columns: int
) -> NDArray[np.float64]:
    """Sum a value over the rows of each pair of cells."""
    found = np.zeros((rows, columns))
    for row in range(len(one)):
        found[one[row], other[row]] += value[row]
    return found

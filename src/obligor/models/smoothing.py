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
    from collections.abc import Sequence

    from numpy.typing import NDArray

_START, _WEAKEST, _STRONGEST, _LEAP = 10.0, 0.05, 1e5, 30.0
_STEPS, _LAST_STEPS, _HALVINGS = 25, 6, 6
_SETTLED, _CONVERGED = 0.02, 1e-9
_THREADS = 2


@dataclass(frozen=True, slots=True)
class Block:
    """A table of coefficients: which line of codes it reads, and how its coefficients are penalised.

    The penalty is ``strength * b' structure b + b' fixed b``, half of it, beside the log loss.
    """

    name: str
    line: int
    structure: NDArray[np.float64]
    fixed: NDArray[np.float64]

    @property
    def size(self) -> int:
        """How many coefficients it has."""
        return len(self.structure)


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
    strengths: tuple[float, ...]
    edf: tuple[float, ...]
    """The effective degrees of freedom of each table."""
    covariance: NDArray[np.float64]
    """Of the intercept and the coefficients in order: the inverse of information and penalty (Wood 2017, 6.10)."""
    offsets: tuple[int, ...]
    """Where each table begins in the covariance."""

    def log_odds(self, sample: Sample) -> NDArray[np.float64]:
        """Give the log-odds of bad of every row."""
        return _predict(self.intercept, self.tables, [block.line for block in self.blocks], sample)


def second_differences(ordinary: int, size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give structure and fixed part for a table of so many ordered cells, and others that stand alone after them."""
    structure, fixed = np.zeros((size, size)), np.zeros((size, size))
    steps = np.diff(np.eye(ordinary), axis=0)
    bends = np.diff(np.eye(ordinary), 2, axis=0)
    structure[:ordinary, :ordinary] = 4 * bends.T @ bends + 0.05 * steps.T @ steps + 0.01 * np.eye(ordinary)
    fixed[range(ordinary, size), range(ordinary, size)] = 0.1
    return structure, fixed


def independent(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give structure and fixed part for cells without an order: each drawn towards zero."""
    return np.eye(size), np.zeros((size, size))


def grid(rows: tuple[int, int], columns: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give structure and fixed part for a grid, each axis told as (ordered places, all places); row by row."""
    along = np.kron(_path(*rows), np.eye(columns[1])) + np.kron(np.eye(rows[1]), _path(*columns))
    return along + 0.5 * np.eye(rows[1] * columns[1]), np.zeros((rows[1] * columns[1],) * 2)


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
    fixed: Sequence[float] | None = None,
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
    strengths = np.full(len(blocks), _START)
    beta[0] = np.log(rate / (1 - rate)) if sample.offset is None else 0.0
    if start is not None:
        known = int(offsets[len(start.tables)])
        beta[:known] = np.concatenate([[start.intercept], *start.tables])
        strengths[: len(start.tables)] = start.strengths
    if fixed is not None:
        strengths = np.asarray(fixed, dtype=np.float64)
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
            edf = np.array([_edf(inverse, block, offsets[at], strengths[at]) for at, block in enumerate(blocks)])
        if tuned:
            moved = _stronger(blocks, beta, offsets, strengths, edf)
            settled = np.abs(np.log(moved / strengths)).max() < _SETTLED
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
        tuple(strengths.tolist()),
        tuple(edf.tolist()),
        inverse,
        tuple(int(offset) for offset in offsets[:-1]),
    )


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


def _edf(inverse: NDArray[np.float64], block: Block, offset: int, strength: float) -> float:
    part = slice(int(offset), int(offset) + block.size)
    penalised = float(np.count_nonzero(np.diag(block.structure)))
    return penalised - strength * float((inverse[part, part] * block.structure).sum())


def _stronger(
    blocks: Sequence[Block],
    beta: NDArray[np.float64],
    offsets: NDArray[np.int64],
    strengths: NDArray[np.float64],
    edf: NDArray[np.float64],
) -> NDArray[np.float64]:
    moved = strengths.copy()
    for at, block in enumerate(blocks):
        b = beta[offsets[at] : offsets[at] + block.size]
        spread = strengths[at] * float(b @ block.structure @ b)
        ratio = max(edf[at], 1e-8) / max(spread, 1e-12)
        moved[at] = strengths[at] * min(max(ratio, 1 / _LEAP), _LEAP)
    return np.asarray(np.clip(moved, _WEAKEST, _STRONGEST))


def _penalty(
    blocks: Sequence[Block], offsets: NDArray[np.int64], strengths: NDArray[np.float64]
) -> NDArray[np.float64]:
    found = np.zeros((int(offsets[-1]),) * 2)
    for at, block in enumerate(blocks):
        part = slice(int(offsets[at]), int(offsets[at]) + block.size)
        found[part, part] = strengths[at] * block.structure + block.fixed
    found[range(1, len(found)), range(1, len(found))] += 1e-9
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

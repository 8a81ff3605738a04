"""Logistic regression on weights of evidence, straight from byte codes.

The linear predictor of a row is a sum of table entries, so that loss, slope and information are gathered in passes over
the codes, and neither a matrix of floats nor a vector as long as the tape is ever built. The solver is SciPy's
L-BFGS-B, whose bounds are the sign constraints: where every coefficient is held at or above zero the elastic net is
smooth, and without the constraint a coefficient is split into its positive and its negative part. (glum was tried: it
takes only matrices of its own, hence floats, which on a million rows cost more memory than training may use in all.)

Weights of evidence rise with safety, and a coefficient is the log-odds of *good* for one unit of them. The outcome is
bad = 1, so that the sign turns here and nowhere else.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import njit
from scipy.optimize import minimize
from scipy.stats import norm

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

SAMPLE_ROWS = 50_000
"""Paths and eliminations look at no more rows than this, evenly spaced; the final fit looks at all."""
_CODES = 256
_PARTS = 16
_BLOCK = 512
_DIGITS = 10
_STRENGTHS = (1e-7, *(float(f"{10.0**power:.2g}") for power in np.arange(-5, -0.9, 0.5)))
_PRECISE, _ROUGH = 1e-8, 1e-4
_COLLINEAR = 1e-9


@dataclass(frozen=True, slots=True)
class CodedDesign:
    """Characteristics as byte codes, with the weight of evidence of each code."""

    features: tuple[str, ...]
    matrix: NDArray[np.uint8]
    """Codes of every row; a line of the matrix is a characteristic, not necessarily of this design."""
    lines: tuple[int, ...]
    """The line of each feature."""
    woe: tuple[NDArray[np.float64], ...]
    """By code: ln(share of goods / share of bads)."""

    def only(self, features: Sequence[str]) -> CodedDesign:
        """Give the design of some of the features, on the same codes."""
        at = [self.features.index(name) for name in features]
        return CodedDesign(
            tuple(features), self.matrix, tuple(self.lines[i] for i in at), tuple(self.woe[i] for i in at)
        )

    def codes(self, feature: str) -> NDArray[np.uint8]:
        """Give the codes of one feature, of every row."""
        return np.asarray(self.matrix[self.lines[self.features.index(feature)]])


@dataclass(frozen=True, slots=True)
class Cases:
    """The rows to fit on: where they stand, what happened, their weights."""

    rows: NDArray[np.int64]
    bad: NDArray[np.uint8]
    weight: NDArray[np.float64] | None = None

    @property
    def total(self) -> float:
        """The weight of all rows."""
        return float(len(self.rows)) if self.weight is None else float(self.weight[self.rows].sum())

    @property
    def bads(self) -> float:
        """The weight of the bads."""
        bads = self.rows[self.bad[self.rows] == 1]
        return float(len(bads)) if self.weight is None else float(self.weight[bads].sum())

    def thinned(self, most: int) -> Cases:
        """Give about so many of the rows at most: goods evenly spaced, and bads evenly spaced."""
        step = -(-len(self.rows) // most)
        if step <= 1:
            return self
        bad = self.bad[self.rows] == 1
        rows = np.sort(np.concatenate([self.rows[~bad][::step], self.rows[bad][::step]]))
        return Cases(rows, self.bad, self.weight)


@dataclass(frozen=True, slots=True)
class Penalty:
    """The elastic net: strength * (l1_ratio * sum|b| + (1 - l1_ratio) / 2 * sum b^2), beside the mean log loss."""

    l1_ratio: float = 0.0
    strengths: tuple[float, ...] = _STRENGTHS
    sign_constrained: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.l1_ratio <= 1:
            raise InvalidInputError(f"penalty: l1_ratio {self.l1_ratio}; wanted 0 to 1")
        if not self.strengths or not all(0 <= strength < np.inf for strength in self.strengths):
            raise InvalidInputError("penalty: wanted one finite strength or more, none below 0")


Kind = Literal["l2", "l1", "elastic_net"]


def penalty_of(kind: Kind, *, sign_constrained: bool = True) -> Penalty:
    """Give the penalty of a name."""
    return Penalty(l1_ratio={"l2": 0.0, "l1": 1.0, "elastic_net": 0.5}[kind], sign_constrained=sign_constrained)


@dataclass(frozen=True, slots=True)
class PathPoint:
    """One strength on the path, and what it gave."""

    strength: float
    train_log_loss: float
    validation_log_loss: float
    nonzero: int


@dataclass(frozen=True, slots=True)
class LogitFit:
    """A fitted logistic regression; every tuple is in the order of the features.

    Standard errors come from (H + P)^-1 H (H + P)^-1, with H the information at the fit and P the ridge. Without a
    penalty that is H^-1, the usual one; with a penalty it is the spread of the penalised estimate around its own mean,
    and says nothing of the pull towards zero, nor of a choice that an L1 penalty made.
    """

    features: tuple[str, ...]
    intercept: float
    """Log-odds of good where every weight of evidence is 0."""
    coefficients: tuple[float, ...]
    """Log-odds of good for one unit of weight of evidence."""
    standard_errors: tuple[float | None, ...]
    """None where the coefficient is 0, or cannot be told from others."""
    p_values: tuple[float | None, ...]
    """Wald, two-sided; None where there is no standard error."""
    vif: tuple[float | None, ...]
    """Variance inflation factors of the weights of evidence; None where infinite, or where the coefficient is 0."""
    strength: float
    l1_ratio: float
    path: tuple[PathPoint, ...]
    covariance: NDArray[np.float64] = field(repr=False, compare=False)
    """Of the coefficients; its lines are 0 where a coefficient is."""


def regularisation_path(
    design: CodedDesign, train: Cases, validation: Cases, *, penalty: Penalty
) -> tuple[PathPoint, ...]:
    """Fit at every strength, the strongest first, each from where the last one ended."""
    _refuse_one_class(train, "train")
    train, validation = train.thinned(SAMPLE_ROWS), validation.thinned(SAMPLE_ROWS)
    unit = _units(design, train)
    beta = _start(design, train)
    path = []
    for strength in sorted(penalty.strengths, reverse=True):
        beta = _solve(design, train, strength=strength, penalty=penalty, start=beta, unit=unit, precision=_ROUGH)
        losses = [log_loss(design, cases, beta) for cases in (train, validation)]
        path.append(PathPoint(strength, losses[0], losses[1], int(np.count_nonzero(beta[1:]))))
    return tuple(path)


def best_of(path: Sequence[PathPoint]) -> PathPoint:
    """Choose the strength with the lowest log loss on validation; the stronger of equals."""
    return min(path, key=lambda point: (float(f"{point.validation_log_loss:.9g}"), -point.strength))


def fit_at(
    design: CodedDesign,
    train: Cases,
    *,
    strength: float,
    penalty: Penalty,
    path: tuple[PathPoint, ...] = (),
    start: LogitFit | None = None,
    total: float | None = None,
) -> LogitFit:
    """Fit at one strength.

    Parameters
    ----------
    start
        A fit to begin from, on these features or more.
    total
        The weight of all the rows for which these stand, where they are a sample: standard errors are then those that
        all the rows would give.
    """
    _refuse_one_class(train, "train")
    sample = train.thinned(SAMPLE_ROWS)
    unit = _units(design, sample)
    beta = _start(design, train) if start is None else _continued(design, start)
    if start is None and sample is not train:
        beta = _solve(design, sample, strength=strength, penalty=penalty, start=beta, unit=unit, precision=_ROUGH)
    beta = _solve(design, train, strength=strength, penalty=penalty, start=beta, unit=unit, precision=_PRECISE)
    beta = _rounded(beta)
    ridge = strength * (1 - penalty.l1_ratio)
    vif = _inflation(design, sample, beta)
    covariance = _covariance(design, train, beta, ridge=ridge) * (train.total / (total or train.total))
    deviations = _rounded(np.sqrt(np.maximum(np.diag(covariance), 0)))
    errors = tuple(
        None if error == 0 or (ridge == 0 and factor is None) else float(error)
        for error, factor in zip(deviations, vif, strict=True)
    )
    return LogitFit(
        features=design.features,
        intercept=float(beta[0]),
        coefficients=tuple(beta[1:].tolist()),
        standard_errors=errors,
        p_values=tuple(_wald(b, error) for b, error in zip(beta[1:].tolist(), errors, strict=True)),
        vif=vif,
        strength=strength,
        l1_ratio=penalty.l1_ratio,
        path=path,
        covariance=covariance,
    )


def log_loss(design: CodedDesign, cases: Cases, beta: NDArray[np.float64]) -> float:
    """Give the mean log loss of an intercept and coefficients on some rows."""
    loss, _, weight = _pass(design, cases, beta)
    return loss / weight


def correlations(design: CodedDesign, cases: Cases) -> NDArray[np.float64]:
    """Give the correlations of the weights of evidence; a constant column correlates with nothing."""
    moments = _moments(design, cases, np.zeros(len(design.features) + 1), information=False)
    means = moments[0, 1:] / moments[0, 0]
    covariance = moments[1:, 1:] / moments[0, 0] - np.outer(means, means)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.where(deviation > 0, deviation, np.inf)
    found = np.clip(covariance / np.outer(scale, scale), -1, 1)
    np.fill_diagonal(found, 1)
    return np.asarray(found)


def _solve(
    design: CodedDesign,
    cases: Cases,
    *,
    strength: float,
    penalty: Penalty,
    start: NDArray[np.float64],
    unit: NDArray[np.float64],
    precision: float,
) -> NDArray[np.float64]:
    """Minimise the penalised mean log loss; `start` and the result are the intercept, then the coefficients."""
    l1, l2 = strength * penalty.l1_ratio, strength * (1 - penalty.l1_ratio)
    split = not penalty.sign_constrained and l1 > 0  # only then does the objective have a kink

    def objective(scaled: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parts = scaled * unit
        beta = _joined(parts) if split else parts
        loss, gradient, weight = _pass(design, cases, beta)
        slope = gradient / weight
        slope[1:] += l2 * beta[1:]
        value = loss / weight + l1 * float(parts[1:].sum()) + l2 / 2 * float(beta[1:] @ beta[1:])
        full = np.concatenate([slope, -slope[1:]]) if split else slope
        full[1:] += l1
        return value, full * unit

    first = start
    if split:
        unit = np.concatenate([unit, unit[1:]])
        first = np.concatenate([start[:1], np.maximum(start[1:], 0), np.maximum(-start[1:], 0)])
    lowest = 0.0 if split or penalty.sign_constrained else None
    bounds = [(None, None), *[(lowest, None)] * (len(first) - 1)]
    options = {"maxiter": 1000, "maxfun": 2000, "ftol": precision * 1e-7, "gtol": precision, "maxcor": 30}
    found = minimize(objective, first / unit, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return _joined(found.x * unit) if split else np.asarray(found.x * unit)


def _joined(parts: NDArray[np.float64]) -> NDArray[np.float64]:
    half = (len(parts) - 1) // 2
    return np.concatenate([parts[:1], parts[1 : half + 1] - parts[half + 1 :]])


def _units(design: CodedDesign, cases: Cases) -> NDArray[np.float64]:
    """Give each coefficient a unit in which the loss curves alike, so that the solver takes few steps."""
    moments = _moments(design, cases, np.zeros(len(design.features) + 1), information=False)
    squares = np.diag(moments) / moments[0, 0]
    rate = cases.bads / cases.total
    return np.asarray(1 / np.sqrt(np.where(squares > 0, squares, 1.0) * rate * (1 - rate)))


def _start(design: CodedDesign, cases: Cases) -> NDArray[np.float64]:
    """Begin at the naive Bayes answer, softened: the log-odds of the rows, and half of each weight of evidence."""
    return np.array([np.log(cases.total / cases.bads - 1), *[0.5] * len(design.features)])


def _continued(design: CodedDesign, fit: LogitFit) -> NDArray[np.float64]:
    known = dict(zip(fit.features, fit.coefficients, strict=True))
    return np.array([fit.intercept, *(known[name] for name in design.features)])


def _rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep ten significant digits: more than the data tell, fewer than the order of a sum can change."""
    return np.array([float(f"{value:.{_DIGITS}g}") for value in values.tolist()])


def _wald(coefficient: float, error: float | None) -> float | None:
    return None if error is None else float(f"{2 * norm.sf(abs(coefficient) / error):.{_DIGITS}g}")


def _covariance(design: CodedDesign, cases: Cases, beta: NDArray[np.float64], *, ridge: float) -> NDArray[np.float64]:
    active = np.flatnonzero(beta[1:])
    both = np.concatenate([[0], active + 1])
    information = _moments(design, cases, beta, information=True)[np.ix_(both, both)]
    penalised = information + np.diag([0.0, *[ridge * cases.total] * len(active)])
    inverse = np.linalg.pinv(penalised, hermitian=True)
    covariance = np.zeros((len(design.features), len(design.features)))
    covariance[np.ix_(active, active)] = (inverse @ information @ inverse)[1:, 1:]
    return covariance


def _inflation(design: CodedDesign, cases: Cases, beta: NDArray[np.float64]) -> tuple[float | None, ...]:
    """Give 1 / (1 - R^2) of each column on the others."""
    active = np.flatnonzero(beta[1:])
    matrix = correlations(design, cases)[np.ix_(active, active)]
    factors: list[float | None] = [None] * len(design.features)
    for place, at in enumerate(active.tolist()):
        rest = np.delete(matrix, place, axis=0)
        others, with_it = np.delete(rest, place, axis=1), rest[:, place]
        unexplained = 1 - float(with_it @ np.linalg.pinv(others, hermitian=True) @ with_it) if len(rest) else 1.0
        if unexplained > _COLLINEAR:
            factors[at] = float(f"{max(1 / unexplained, 1.0):.{_DIGITS}g}")
    return tuple(factors)


def _pass(design: CodedDesign, cases: Cases, beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], float]:
    """Give the summed log loss, its slope in intercept and coefficients, and the summed weight."""
    woe, lines, weight = _table(design, np.ones(len(beta))), np.array(design.lines, dtype=np.int64), _weight(cases)
    table = _table(design, beta)
    parts = _in_parts(
        lambda rows: _slope(design.matrix, lines, rows, cases.bad, weight, table, woe, float(beta[0])), cases.rows
    )
    total = np.sum(parts, axis=0)
    return float(total[0]), total[2:], float(total[1])


def _moments(design: CodedDesign, cases: Cases, beta: NDArray[np.float64], *, information: bool) -> NDArray[np.float64]:
    """Sum w (1, x)(1, x)' over the rows, with w the weight, times p(1 - p) for the information."""
    woe, lines, weight = _table(design, np.ones(len(beta))), np.array(design.lines, dtype=np.int64), _weight(cases)
    table = _table(design, beta)
    parts = _in_parts(
        lambda rows: _squares(design.matrix, lines, rows, weight, table, woe, float(beta[0]), information), cases.rows
    )
    lower = np.sum(parts, axis=0)
    return np.asarray(lower + np.tril(lower, -1).T)


def _in_parts(
    work: Callable[[NDArray[np.int64]], NDArray[np.float64]], rows: NDArray[np.int64]
) -> list[NDArray[np.float64]]:
    """Work on the same parts of the rows whatever the number of threads, so that a fit is the same on every run."""
    if len(rows) <= SAMPLE_ROWS:  # threads would cost more than they save
        return [work(rows)]
    edges = [len(rows) * part // _PARTS for part in range(_PARTS + 1)]
    with ThreadPoolExecutor(min(_PARTS, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, (rows[low:high] for low, high in pairwise(edges))))


def _table(design: CodedDesign, beta: NDArray[np.float64]) -> NDArray[np.float64]:
    table = np.zeros((len(design.woe), _CODES))
    for at, woe in enumerate(design.woe):
        table[at, : len(woe)] = beta[at + 1] * woe
    return table


def _weight(cases: Cases) -> NDArray[np.float64]:
    return np.zeros(0) if cases.weight is None else np.asarray(cases.weight, dtype=np.float64)


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _slope(
    matrix: NDArray[np.uint8],
    lines: NDArray[np.int64],
    rows: NDArray[np.int64],
    bad: NDArray[np.uint8],
    weight: NDArray[np.float64],
    table: NDArray[np.float64],
    woe: NDArray[np.float64],
    intercept: float,
) -> NDArray[np.float64]:
    """Sum log loss, weight, and the slope of the loss in the intercept and in each coefficient."""
    total = np.zeros(len(lines) + 3)
    eta, residual = np.empty(_BLOCK), np.empty(_BLOCK)
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        size = len(block)
        _predict(matrix, lines, block, table, intercept, eta)
        for at in range(size):
            row = block[at]
            w = weight[row] if len(weight) else 1.0
            margin = -eta[at] if bad[row] == 1 else eta[at]  # the log-odds of what happened
            odds = np.exp(-abs(margin))
            p_other = odds / (1 + odds) if margin >= 0 else 1 / (1 + odds)
            residual[at] = w * p_other if bad[row] == 1 else -w * p_other
            total[0] += w * (np.log1p(odds) - min(margin, 0.0))
            total[1] += w
            total[2] += residual[at]
        for line in range(len(lines)):
            codes, evidence, slope = matrix[lines[line]], woe[line], 0.0
            for at in range(size):
                slope += residual[at] * evidence[codes[block[at]]]
            total[line + 3] += slope
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _squares(
    matrix: NDArray[np.uint8],
    lines: NDArray[np.int64],
    rows: NDArray[np.int64],
    weight: NDArray[np.float64],
    table: NDArray[np.float64],
    woe: NDArray[np.float64],
    intercept: float,
    information: bool,  # noqa: FBT001  compiled functions take positions
) -> NDArray[np.float64]:
    """Sum the lower triangle of w (1, x)(1, x)'."""
    size = len(lines) + 1
    total = np.zeros((size, size))
    eta, x, weighted = np.empty(_BLOCK), np.zeros((size, _BLOCK)), np.zeros(_BLOCK)
    for first in range(0, len(rows), _BLOCK):
        block = rows[first : first + _BLOCK]
        _predict(matrix, lines, block, table, intercept, eta)
        x[:] = 0.0  # the last block is short; what it leaves empty adds nothing
        for at in range(len(block)):
            w = weight[block[at]] if len(weight) else 1.0
            odds = np.exp(-abs(eta[at]))
            x[0, at] = w * odds / ((1 + odds) * (1 + odds)) if information else w
        for line in range(size - 1):
            codes, evidence = matrix[lines[line]], woe[line]
            for at in range(len(block)):
                x[line + 1, at] = evidence[codes[block[at]]]
        for one in range(size):
            for at in range(_BLOCK):
                weighted[at] = x[0, at] * x[one, at] if one else x[0, at]
            total[one, 0] += weighted.sum()
            for other in range(1, one + 1):
                product = 0.0
                for at in range(_BLOCK):
                    product += weighted[at] * x[other, at]
                total[one, other] += product
    return total


@njit(cache=True, nogil=True)
def _predict(
    matrix: NDArray[np.uint8],
    lines: NDArray[np.int64],
    block: NDArray[np.int64],
    table: NDArray[np.float64],
    intercept: float,
    eta: NDArray[np.float64],
) -> None:
    """Write the log-odds of good of each row of a block."""
    eta[: len(block)] = intercept
    for line in range(len(lines)):
        codes, points = matrix[lines[line]], table[line]
        for at in range(len(block)):
            eta[at] += points[codes[block[at]]]


def _refuse_one_class(cases: Cases, name: str) -> None:
    bads, rows = cases.bads, cases.total
    if not 0 < bads < rows:
        raise InvalidInputError(f"{name}: {len(cases.rows)} rows with bads of weight {bads:g}; wanted goods and bads")

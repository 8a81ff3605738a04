"""Logistic regression on weights of evidence, straight from byte codes.

The linear predictor of a row is a sum of table entries, so that loss, gradient and information are gathered in one pass
over the codes and no matrix of floats is ever built. The solver is SciPy's L-BFGS-B, whose bounds are the sign
constraints: where every coefficient is held at or above zero the elastic net is smooth, and without the constraint a
coefficient is split into its positive and its negative part.

Weights of evidence rise with safety, and a coefficient is the log-odds of *good* for one unit of them. The outcome is
bad = 1, so that the sign turns here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numba import njit, prange
from scipy.optimize import minimize
from scipy.stats import norm

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_CODES = 256
_PARTS = 32
_DIGITS = 10
_PATH_ROWS = 100_000
_UNIT_ROWS = 20_000
_STRENGTHS = (0.0, *(float(f"{10.0**power:.2g}") for power in np.arange(-5, -0.9, 0.5)))


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

    def thinned(self, most: int) -> Cases:
        """Give at most so many of the rows, evenly spaced."""
        step = -(-len(self.rows) // most)
        return self if step <= 1 else Cases(self.rows[::step], self.bad, self.weight)


@dataclass(frozen=True, slots=True)
class Penalty:
    """The elastic net: strength * (l1_ratio * sum|b| + (1 - l1_ratio) / 2 * sum b^2), beside the mean log loss."""

    l1_ratio: float = 0.0
    strengths: tuple[float, ...] = _STRENGTHS
    sign_constrained: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.l1_ratio <= 1:
            raise InvalidInputError(f"penalty: l1_ratio {self.l1_ratio}; wanted 0 to 1")
        if not self.strengths or min(self.strengths) < 0:
            raise InvalidInputError("penalty: wanted one strength or more, none below 0")


@dataclass(frozen=True, slots=True)
class PathPoint:
    """One strength on the path, and what it gave."""

    strength: float
    train_log_loss: float
    validation_log_loss: float
    nonzero: int


@dataclass(frozen=True, slots=True)
class LogitFit:
    """A fitted logistic regression; every tuple is in the order of the features."""

    features: tuple[str, ...]
    intercept: float
    """Log-odds of good where every weight of evidence is 0."""
    coefficients: tuple[float, ...]
    """Log-odds of good for one unit of weight of evidence."""
    standard_errors: tuple[float | None, ...]
    """From (H + P)^-1 H (H + P)^-1, with H the information at the fit and P the ridge; None at a bound."""
    p_values: tuple[float | None, ...]
    """Wald, two-sided."""
    vif: tuple[float | None, ...]
    """Variance inflation factors of the weights of evidence on train."""
    strength: float
    l1_ratio: float
    path: tuple[PathPoint, ...]


def fit_path(design: CodedDesign, train: Cases, validation: Cases, *, penalty: Penalty) -> LogitFit:
    """Fit at every strength, choose by the log loss on validation (the stronger of equals), fit that on all rows."""
    _refuse_one_class(train, "train")
    sample = train.thinned(_PATH_ROWS)
    start = _start(design, sample)
    path = []
    for strength in sorted(penalty.strengths, reverse=True):
        start = _solve(design, sample, strength=strength, penalty=penalty, start=start)
        losses = [log_loss(design, cases, start) for cases in (sample, validation)]
        path.append(PathPoint(strength, losses[0], losses[1], int(np.count_nonzero(start[1:]))))
    best = min(path, key=lambda point: round(point.validation_log_loss, _DIGITS))
    return fit_at(design, train, strength=best.strength, penalty=penalty, path=tuple(path))


def fit_at(
    design: CodedDesign, train: Cases, *, strength: float, penalty: Penalty, path: tuple[PathPoint, ...] = ()
) -> LogitFit:
    """Fit at one strength."""
    _refuse_one_class(train, "train")
    start = _start(design, train)
    if len(train.rows) > _PATH_ROWS:
        start = _solve(design, train.thinned(_PATH_ROWS), strength=strength, penalty=penalty, start=start)
    beta = _solve(design, train, strength=strength, penalty=penalty, start=start)
    errors, vif = _inference(design, train, beta, ridge=strength * (1 - penalty.l1_ratio))
    rounded = [float(f"{value:.{_DIGITS}g}") for value in beta]
    p_values = tuple(
        None if error is None else float(2 * norm.sf(abs(value) / error))
        for value, error in zip(rounded[1:], errors, strict=True)
    )
    return LogitFit(
        design.features, rounded[0], tuple(rounded[1:]), errors, p_values, vif, strength, penalty.l1_ratio, path
    )


def log_loss(design: CodedDesign, cases: Cases, beta: NDArray[np.float64]) -> float:
    """Give the mean log loss of a fit on some rows."""
    loss, _, weight = _pass(design, cases, beta)
    return loss / weight


def correlations(design: CodedDesign, cases: Cases) -> NDArray[np.float64]:
    """Give the correlations of the weights of evidence; a constant column correlates with nothing."""
    moments = _moments(design, cases, np.zeros(len(design.features) + 1), information=False)
    means = moments[0, 1:] / moments[0, 0]
    covariance = moments[1:, 1:] / moments[0, 0] - np.outer(means, means)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0))
    scale = np.where(deviation > 0, deviation, np.inf)
    found = covariance / np.outer(scale, scale)
    np.fill_diagonal(found, 1)
    return np.asarray(np.clip(found, -1, 1))


def _solve(
    design: CodedDesign, cases: Cases, *, strength: float, penalty: Penalty, start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Minimise the penalised mean log loss; ``start`` and the result are the intercept, then the coefficients."""
    split = not penalty.sign_constrained
    l1, l2 = strength * penalty.l1_ratio, strength * (1 - penalty.l1_ratio)

    def joined(parts: NDArray[np.float64]) -> NDArray[np.float64]:
        half = (len(parts) - 1) // 2
        return np.concatenate([parts[:1], parts[1 : half + 1] - parts[half + 1 :]]) if split else parts

    def objective(scaled: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        parts = scaled * unit
        beta = joined(parts)
        loss, gradient, weight = _pass(design, cases, beta)
        slope = gradient / weight
        slope[1:] += l2 * beta[1:]
        value = loss / weight + l1 * float(parts[1:].sum()) + l2 / 2 * float(beta[1:] @ beta[1:])
        full = np.concatenate([slope, -slope[1:]]) if split else slope
        full[1:] += l1
        return value, full * unit

    unit = _units(design, cases)
    first = start.copy()
    if split:
        unit = np.concatenate([unit, unit[1:]])
        first = np.concatenate([start[:1], np.maximum(start[1:], 0), np.maximum(-start[1:], 0)])
    bounds = [(None, None), *[(0, None)] * (len(first) - 1)]
    options = {"maxiter": 500, "ftol": 1e-15, "gtol": 1e-8, "maxcor": 30}
    found = minimize(objective, first / unit, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    return np.asarray(joined(found.x * unit))


def _units(design: CodedDesign, cases: Cases) -> NDArray[np.float64]:
    """Give each coefficient a unit in which the loss curves alike, so that the solver takes few steps."""
    rows = cases.thinned(_UNIT_ROWS).rows
    spread = [float(np.std(woe[design.matrix[line, rows]])) for line, woe in zip(design.lines, design.woe, strict=True)]
    bads, weight = _weighted(cases)
    steep = np.sqrt(bads / weight * (1 - bads / weight))
    return np.array([1.0, *(1 / each if each > 0 else 1.0 for each in spread)]) / steep


def _start(design: CodedDesign, cases: Cases) -> NDArray[np.float64]:
    """Begin at the naive Bayes answer, softened: the log-odds of the rows, and half of each weight of evidence."""
    bads, rows = _weighted(cases)
    return np.array([np.log((rows - bads) / bads), *[0.5] * len(design.features)])


def _weighted(cases: Cases) -> tuple[float, float]:
    bad = cases.bad[cases.rows].astype(np.float64)
    if cases.weight is None:
        return float(bad.sum()), float(len(bad))
    weight = cases.weight[cases.rows]
    return float(bad @ weight), float(weight.sum())


def _inference(
    design: CodedDesign, cases: Cases, beta: NDArray[np.float64], *, ridge: float
) -> tuple[tuple[float | None, ...], tuple[float | None, ...]]:
    """Give standard errors and variance inflation factors of the coefficients that are not 0."""
    active = np.flatnonzero(beta[1:])
    both = np.concatenate([[0], active + 1])
    information = _moments(design, cases, beta, information=True)[np.ix_(both, both)]
    penalised = information + np.diag([0.0, *[ridge * _weighted(cases)[1]] * len(active)])
    inverse = np.linalg.pinv(penalised, hermitian=True)
    variance = np.diag(inverse @ information @ inverse)[1:]
    inflation = np.diag(np.linalg.pinv(correlations(design, cases)[np.ix_(active, active)], hermitian=True))
    errors: list[float | None] = [None] * len(design.features)
    factors: list[float | None] = [None] * len(design.features)
    for place, at in enumerate(active.tolist()):
        errors[at] = float(f"{np.sqrt(max(variance[place], 0)):.{_DIGITS}g}") or None
        factors[at] = float(f"{max(inflation[place], 1.0):.{_DIGITS}g}")
    return tuple(errors), tuple(factors)


def _pass(design: CodedDesign, cases: Cases, beta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], float]:
    """Give the summed log loss, its gradient in intercept and coefficients, and the summed weight."""
    table = _table(design, beta)
    weight = np.zeros(0) if cases.weight is None else cases.weight
    lines = np.array(design.lines, dtype=np.int64)
    loss, residual, total = _gather(design.matrix, lines, cases.rows, cases.bad, weight, table, float(beta[0]))
    slopes = [float(residual[at, : len(woe)] @ woe) for at, woe in enumerate(design.woe)]
    return loss, np.array([residual[-1, 0], *slopes]), total


def _table(design: CodedDesign, beta: NDArray[np.float64]) -> NDArray[np.float64]:
    table = np.zeros((len(design.woe), _CODES))
    for at, woe in enumerate(design.woe):
        table[at, : len(woe)] = beta[at + 1] * woe
    return table


@njit(cache=True, parallel=True, nogil=True)
def _gather(  # noqa: PLR0917  compiled functions take positions
    matrix: NDArray[np.uint8],
    lines: NDArray[np.int64],
    rows: NDArray[np.int64],
    bad: NDArray[np.uint8],
    weight: NDArray[np.float64],
    table: NDArray[np.float64],
    intercept: float,
) -> tuple[float, NDArray[np.float64], float]:
    """Sum log losses, and residuals by code of each characteristic (the last line: of all rows), in fixed parts.

    The parts are the same whatever the number of threads, and are added in order, so that a fit is the same bytes on
    every run.
    """
    losses, weights = np.zeros(_PARTS), np.zeros(_PARTS)
    residuals = np.zeros((_PARTS, len(lines) + 1, _CODES))
    for part in prange(_PARTS):
        for at in range(len(rows) * part // _PARTS, len(rows) * (part + 1) // _PARTS):
            row = rows[at]
            eta = intercept
            for line in range(len(lines)):
                eta += table[line, matrix[lines[line], row]]
            w = weight[row] if len(weight) else 1.0
            margin = -eta if bad[row] == 1 else eta  # the log-odds of what happened
            odds = np.exp(-abs(margin))
            losses[part] += w * (np.log1p(odds) - min(margin, 0.0))
            p_good = 1 / (1 + odds) if eta >= 0 else odds / (1 + odds)
            residual = w * (p_good - (1 - bad[row]))
            weights[part] += w
            for line in range(len(lines)):
                residuals[part, line, matrix[lines[line], row]] += residual
            residuals[part, len(lines), 0] += residual
    return losses.sum(), residuals.sum(axis=0), weights.sum()


def _moments(design: CodedDesign, cases: Cases, beta: NDArray[np.float64], *, information: bool) -> NDArray[np.float64]:
    """Sum w (1, x)(1, x)' over the rows in blocks, with w the weight, times p(1 - p) for the information."""
    size = len(design.features) + 1
    total = np.zeros((size, size))
    table = _table(design, beta)
    block = np.ones((1 << 14, size))
    for first in range(0, len(cases.rows), len(block)):
        rows = cases.rows[first : first + len(block)]
        x = block[: len(rows)]
        for at, (line, woe) in enumerate(zip(design.lines, design.woe, strict=True)):
            x[:, at + 1] = woe[design.matrix[line, rows]]
        weight = np.ones(len(rows)) if cases.weight is None else cases.weight[rows]
        if information:
            eta = np.full(len(rows), beta[0])
            for at, line in enumerate(design.lines):
                eta += table[at][design.matrix[line, rows]]
            p = 1 / (1 + np.exp(eta))
            weight = weight * p * (1 - p)
        total += (x * weight[:, None]).T @ x
    return total


def _refuse_one_class(cases: Cases, name: str) -> None:
    bad = cases.bad[cases.rows]
    if not bad.any() or bad.all():
        raise InvalidInputError(f"{name}: {len(bad)} rows with {int(bad.sum())} bads; wanted goods and bads")


Kind = Literal["l2", "l1", "elastic_net"]


def penalty_of(kind: Kind) -> Penalty:
    """Give the penalty of a name."""
    return Penalty(l1_ratio={"l2": 0.0, "l1": 1.0, "elastic_net": 0.5}[kind])

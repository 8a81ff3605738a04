"""The smooth recipe: one penalised logistic regression on fine tables and a few grids, written down as a readable card.

Fine tables are fitted together, each as smooth as the data ask (``smoothing``); joined into few bins (``coarsening``);
pairs of characteristics that tell more together get a grid on those bins (``pairs``); all are fitted once more; and the
fit is projected on the bins and on grids whose rows and columns are bins or several of them (``projection``). What a
grid's axes tell alone moves into their tables. It stays a logistic regression, additive, and a sum of points. Only train
rows are looked at; beyond 300,000 of them the tables are fitted on every second, third and so on, and only the intercept and
the counts of the card on all.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2

from obligor.core.errors import TapeError
from obligor.models.binning import FittedBins, broken_trend
from obligor.models.columns import TRAIN, Columns, Predictor, Rows
from obligor.models.fitted import FittedCard
from obligor.models.histograms import information_value
from obligor.models.logistic import CodedDesign, LogitFit
from obligor.models.pairs import PairRules, cell_codes, grid_block, scan
from obligor.models.precision import standard_errors
from obligor.models.projection import (
    MONOTONE,
    Cells,
    Coarse,
    Projection,
    SmoothRules,
    axes_of,
    coarsen,
    places_of,
    project_fit,
)
from obligor.models.scaling import THOUSANDTHS, Grid, Points, add_points
from obligor.models.selection import Dropped
from obligor.models.smoothing import Block, Sample, Smooth, by_cells, fit_intercept, fit_tables, independent, ordered
from obligor.models.tables import FineTable, cut_finely
from obligor.models.training import fetch, refuse_strays
from obligor.models.trends import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.bins import Bins

_AT_ONCE = 2
_STRUCTURE_ROWS = 300_000
_LEAST_EDF = 0.3
_AGAIN = 6
_DIGITS = 10
_COLLAPSED = "beside the other characteristics nothing is left of it that keeps the trend of the contract"


def fit_smooth_card(
    predictors: Sequence[Predictor],
    columns: Columns,
    rows: Rows,
    *,
    rules: SmoothRules | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> FittedCard:
    """Fit a smooth card; ``advance`` is called with 1 after each predictor is cut.

    Raises
    ------
    TapeError
        Where no predictor tells anything.
    """
    rules = rules or SmoothRules()
    train = np.flatnonzero(rows.is_in(TRAIN))
    refuse_strays(rules.fixed, predictors)
    fines, matrix = _cut_all(predictors, columns, rows, fixed=rules.fixed, advance=advance)
    useful = [at for at, it in enumerate(fines) if it.tells]
    dropped = [Dropped(it.feature, "information value", "train shows one value only") for it in fines if not it.tells]
    useful, crowded_out = _foremost(fines, useful, rules=rules)
    dropped += crowded_out
    fines = [fines[at] for at in useful]
    chosen = _choose(fines, _sample(matrix[useful], rows, train), dropped, rules=rules) if fines else None
    if chosen is None:
        raise TapeError(f"none of {len(predictors)} predictors tells anything; there is nothing to build a card on")
    fit, taken = _with_pairs(chosen.sample, chosen.fit, chosen.coarse, rules=rules.pairs)
    made = project_fit(chosen.sample, fit, chosen.coarse, taken, rules=rules)
    dropped += [Dropped(name, "sign", _COLLAPSED) for name in made.collapsed]
    lines = {it.feature: matrix[line] for it, line in zip(fines, useful, strict=True)}
    codes = np.vstack([it.table[lines[it.fine.feature]] for it in made.coarse])
    errors = standard_errors(chosen.sample, fit, chosen.coarse, tuple(taken), made.coarse)
    return _card(made, codes, rows, train, fit, dropped, errors=errors, rules=rules)


def _foremost(
    fines: Sequence[FineTable], useful: Sequence[int], *, rules: SmoothRules
) -> tuple[list[int], list[Dropped]]:
    """Keep no more tables than can be fitted together, by information value."""
    values = {at: information_value(fines[at].train) for at in useful}
    ranked = sorted(useful, key=lambda at: (fines[at].feature not in rules.keep, -values[at], at))
    gone = ranked[rules.max_tables :]
    told = f"its information value is not among the {rules.max_tables} highest"
    return sorted(ranked[: rules.max_tables]), [
        Dropped(fines[at].feature, "number", f"{told} ({values[at]:.4f})") for at in sorted(gone)
    ]


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The tables that tell something beside the others: the sample with their codes, their fit, their coarse bins."""

    sample: Sample
    fit: Smooth
    coarse: tuple[Coarse, ...]


def _choose(
    fines: Sequence[FineTable], sample: Sample, dropped: list[Dropped], *, rules: SmoothRules
) -> _Chosen | None:
    """Fit the tables, drop those that tell nothing beside the others, and fit the rest again."""
    fit: Smooth | None = None
    while fines:
        blocks = [_block(it, line) for line, it in enumerate(fines)]
        fit = fit_tables(sample, blocks) if fit is None else fit_tables(sample, blocks, start=fit, steps=_AGAIN)
        coarse = tuple(coarsen(it, fit.tables[at], sample.codes[at], fit, sample, rules) for at, it in enumerate(fines))
        reasons = {at: reason for at, it in enumerate(coarse) if (reason := _useless(it, fit.edf[at], rules))}
        reasons = reasons or _too_many(coarse, fit, sample, rules)
        if not reasons:
            return _Chosen(sample, fit, coarse)
        dropped += list(reasons.values())
        kept = [at for at in range(len(fines)) if at not in reasons]
        fines, fit = [fines[at] for at in kept], _only(fit, kept)
        sample = replace(sample, codes=np.ascontiguousarray(sample.codes[kept]))
    return None


def _too_many(coarse: Sequence[Coarse], fit: Smooth, sample: Sample, rules: SmoothRules) -> dict[int, Dropped]:
    """Name the tables that move the log-odds least, where the card may have fewer characteristics or fewer bins."""
    spread = {
        at: float(
            np.average((table[codes] - np.average(table[codes], weights=sample.weight)) ** 2, weights=sample.weight)
        )
        for at, (table, codes) in enumerate(zip(fit.tables, sample.codes, strict=True))
    }
    ranked = sorted(spread, key=lambda at: (coarse[at].fine.feature not in rules.keep, -spread[at], at))
    bins = np.cumsum([coarse[at].size for at in ranked])
    kept = min(rules.max_characteristics, max(int((bins <= rules.max_cells).sum()), 1))
    told = f"is not among the {kept} that move the log-odds most and have {rules.max_cells} bins at most"
    return {at: Dropped(coarse[at].fine.feature, "number", told) for at in sorted(ranked[kept:])}


def _useless(it: Coarse, edf: float, rules: SmoothRules) -> Dropped | None:
    if edf < _LEAST_EDF and it.fine.feature not in rules.keep:
        return Dropped(it.fine.feature, "significance", f"beside the others it has {edf:.2f} degrees of freedom")
    return Dropped(it.fine.feature, "sign", _COLLAPSED) if it.shown <= 1 else None


def _cut_all(
    predictors: Sequence[Predictor],
    columns: Columns,
    rows: Rows,
    *,
    fixed: Mapping[str, Bins],
    advance: Callable[[float], None],
) -> tuple[list[FineTable], NDArray[np.uint8]]:
    matrix = np.empty((len(predictors), len(rows.bad)), dtype=np.uint8)
    fines: list[FineTable] = []
    train = rows.is_in(TRAIN)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for first in range(0, len(predictors), _AT_ONCE):
            group = predictors[first : first + _AT_ONCE]
            waiting = [
                pool.submit(cut_finely, it, fetch(it, columns), rows, train=train, fixed=fixed.get(it.name))
                for it in group
            ]
            for result in waiting:
                fine, codes = result.result()
                matrix[len(fines)] = codes
                fines.append(fine)
                advance(1)
    return fines, matrix


def _sample(matrix: NDArray[np.uint8], rows: Rows, train: NDArray[np.int64]) -> Sample:
    step = -(-len(train) // _STRUCTURE_ROWS)
    chosen = train[::step]
    weight = np.ones(len(chosen)) if rows.weight is None else rows.weight[chosen] / rows.weight[train].mean()
    return Sample(np.ascontiguousarray(matrix[:, chosen]), rows.bad[chosen].astype(np.float64), weight)


def _block(fine: FineTable, line: int) -> Block:
    if fine.pools:
        return independent(fine.feature, line, fine.size)
    return ordered(fine.feature, line, fine.ordinary, fine.train.rows[: fine.size])


def _only(fit: Smooth, kept: Sequence[int]) -> Smooth:
    """Keep some of the tables, to begin the next fit from."""
    blocks = tuple(replace(fit.blocks[at], line=line) for line, at in enumerate(kept))
    return replace(
        fit,
        blocks=blocks,
        tables=tuple(fit.tables[at] for at in kept),
        edf=tuple(fit.edf[at] for at in kept),
    )


def _with_pairs(
    sample: Sample, fit: Smooth, coarse: Sequence[Coarse], *, rules: PairRules
) -> tuple[Smooth, dict[tuple[int, int], float]]:
    """Take pairs in rounds, and fit all tables together after each."""
    axes, codes = axes_of(coarse), np.vstack([it.codes for it in coarse])
    blocks, taken = list(fit.blocks), dict[tuple[int, int], float]()
    for _ in range(rules.rounds):
        new = scan(axes, codes, fit.log_odds(sample), sample, taken=taken, rules=rules)
        if not new:
            break
        lines = [cell_codes(axes[it.one], axes[it.other], codes) for it in new]
        first = len(sample.codes)
        blocks += [grid_block(axes[it.one], axes[it.other], line=first + at) for at, it in enumerate(new)]
        sample = sample.with_lines(lines)
        taken |= {(it.one, it.other): it.gain for it in new}
        fit = fit_tables(sample, blocks, start=fit, steps=8)
    return replace(fit, blocks=tuple(blocks)), taken


def _card(
    made: Projection,
    codes: NDArray[np.uint8],
    rows: Rows,
    train: NDArray[np.int64],
    fit: Smooth,
    dropped: Sequence[Dropped],
    *,
    errors: Sequence[NDArray[np.float64]],
    rules: SmoothRules,
) -> FittedCard:
    names = tuple(it.fine.feature for it in made.coarse)
    bins = {it.fine.feature: _fitted_bins(it, made.tables[at], rules.min_bads) for at, it in enumerate(made.coarse)}
    factor = THOUSANDTHS * rules.scale.pdo / math.log(2)
    points = Points(
        0,
        tuple(tuple(int(value) for value in np.rint(-factor * table)) for table in made.tables),
        tuple(_points_of(it, names, codes, rows, train, factor=factor) for it in made.cells),
        tuple(tuple(None if np.isnan(it) else round(factor * it) for it in table) for table in errors),
    )
    lines = list(codes)
    earned = add_points(points, lines, rows=codes.shape[1], features=names)
    weight = np.ones(len(train)) if rows.weight is None else rows.weight[train]
    base = fit_intercept(-earned[train] / factor, rows.bad[train], weight)
    points = replace(
        points, base=round(THOUSANDTHS * rules.scale.score + factor * (-base - math.log(rules.scale.odds)))
    )
    tables = tuple(bins[name].woe for name in names)
    design = CodedDesign(names, codes, tuple(range(len(names))), tables)
    return FittedCard(bins, design, tuple(dropped), _as_logit(fit, names, base), points, earned + points.base)


def _points_of(
    it: Cells, names: Sequence[str], codes: NDArray[np.uint8], rows: Rows, train: NDArray[np.int64], *, factor: float
) -> Grid:
    one, other = places_of(it, codes[it.one, train], codes[it.other, train])
    weight = np.ones(len(train)) if rows.weight is None else rows.weight[train]
    bad = rows.bad[train]
    goods, bads = (by_cells(one, other, weight * side, *it.log_odds.shape) for side in (1.0 - bad, 1.0 * bad))
    return Grid(
        (names[it.one], names[it.other]),
        tuple(it.rows.tolist()),
        tuple(it.columns.tolist()),
        tuple(tuple(int(value) for value in row) for row in np.rint(-factor * it.log_odds)),
        goods,
        bads,
        float(f"{it.gain:.{_DIGITS}g}"),
    )


def _fitted_bins(it: Coarse, table: NDArray[np.float64], min_bads: float) -> FittedBins:
    bins, _ = it.fine.merged(it.groups)
    own = table[: len(it.groups)]
    note = "joined from the smooth fit" if it.fine.trend not in MONOTONE else None
    if it.fine.fixed is not None:
        note = ". ".join(["bins made by hand", *broken_trend(own, it.fine.trend)])
    return FittedBins(bins, shape_of(own), np.zeros(0, dtype=np.uint8), it.train, None, note, min_bads)


def _as_logit(fit: Smooth, names: Sequence[str], intercept: float) -> LogitFit:
    """Tell the fit in the words of the classical one: a table is its own coefficient of one, with a p-value."""
    none = (None,) * len(names)
    places = {block.name: at for at, block in enumerate(fit.blocks)}
    p = tuple(_p_value(fit, places[name]) for name in names)
    zeros = np.zeros((len(names), len(names)))
    return LogitFit(tuple(names), -intercept, (1.0,) * len(names), none, p, none, 0.0, 0.0, (), zeros)


def _p_value(fit: Smooth, at: int) -> float:
    """Test a table against zero: the Wald statistic of its centred coefficients, at the rank of its degrees of freedom.

    Wood 2013, On p-values for smooth components of an extended generalized additive model, Biometrika 100, with the rank
    rounded.
    """
    size, low = fit.blocks[at].size, fit.offsets[at]
    centre = np.eye(size) - 1 / size
    covariance = centre @ fit.covariance[low : low + size, low : low + size] @ centre
    values, vectors = np.linalg.eigh(covariance)
    rank = max(1, min(round(fit.edf[at]), int((values > values[-1] * 1e-9).sum())))
    along = vectors[:, -rank:].T @ (centre @ fit.tables[at])
    return float(f"{chi2.sf(float((along**2 / values[-rank:]).sum()), rank):.{_DIGITS}g}")

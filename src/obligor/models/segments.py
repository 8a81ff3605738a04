"""Points of a segment's own, where it earns them: a segmented card that stays one sum of points.

Beside everybody's points a segment may have points that are added to them: for each characteristic a table of deviations,
fitted on the segment's train rows with the card's log-odds as offset, each deviation drawn towards zero as strongly as
restricted maximum likelihood asks (``smoothing``). A segment earns its points where they lower the log loss on its
validation rows by more than chance; else it keeps everybody's. What is earned stands on the card as grids of the
segment and the characteristic, so that every engine scores it, and a trend that a characteristic keeps is kept in
every segment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.bins import NumericBins
from obligor.core.columnar import pair_points
from obligor.core.trend import Trend
from obligor.measures.discrimination import auc, delong_test
from obligor.models.coarsening import monotone
from obligor.models.columns import TEST, TRAIN, VALIDATION
from obligor.models.fitted import Segment
from obligor.models.scaling import Grid, add_points, factor_of, log_odds_of
from obligor.models.smoothing import Sample, by_cell, fit_intercept, fit_tables, independent
from obligor.models.tables import spans

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.core.clauses import CardScale
    from obligor.models.binning import FittedBins
    from obligor.models.columns import Rows
    from obligor.models.fitted import FittedCard
    from obligor.models.judged import Judged
    from obligor.models.logistic import CodedDesign

_FEWEST = 100
_LEAST_EDF = 0.3
_SURE = 1.645
_DIGITS = 10


def fit_segments(fitted: FittedCard, design: CodedDesign, rows: Rows, segment: str, *, scale: CardScale) -> FittedCard:
    """Give the segments of a column their own points on the other characteristics, where they earn them.

    A segment needs a hundred goods and a hundred bads on train, and earns its points where the gain on validation is more than
    1.645 of its standard errors (one-sided, 5%). Where one earns them, its column stands on the card even if it earns no points
    alone.

    Parameters
    ----------
    design
        The codes of all features that were offered to the fit, the segment's column among them.
    """
    if segment not in design.features:
        return fitted
    whole = _with_column(fitted, design, segment)
    codes, risk = whole.design.codes(segment), -log_odds_of(fitted.scores, scale=scale)
    found, earned, labels = [], {}, fitted.bins[segment].bins.labels()
    for place in range(len(labels)):
        inside = codes == place
        own = _own(whole, rows, inside, risk, but=segment)
        told = _judge(whole, rows, place, labels, inside, risk, own)
        found.append(told)
        if own and told.earned:
            earned[place] = own
    kept = _with_grids(whole, rows, segment, earned, scale=scale) if earned else fitted
    return replace(kept, segments=tuple(it for it in found if it.rows))


def _with_column(fitted: FittedCard, design: CodedDesign, segment: str) -> FittedCard:
    """Put the column of the segment on the card, without points, where the fit left it off."""
    fit = fitted.fit
    if segment in fit.features:
        return fitted
    names = (*fit.features, segment)
    fit = replace(
        fit,
        features=names,
        coefficients=(*fit.coefficients, 0.0),
        standard_errors=(*fit.standard_errors, None),
        p_values=(*fit.p_values, None),
        vif=(*fit.vif, None),
        covariance=np.pad(fit.covariance, (0, 1)),
    )
    nothing = (0,) * fitted.bins[segment].bins.size
    return replace(
        fitted,
        design=design.only(names),
        fit=fit,
        points=replace(fitted.points, bins=(*fitted.points.bins, nothing)),
        dropped=tuple(it for it in fitted.dropped if it.feature != segment),
    )


@dataclass(frozen=True, slots=True)
class _Own:
    """What a segment has of its own, in log-odds of bad beside everybody's."""

    level: float
    """Of all its loans alike."""
    tables: Mapping[str, NDArray[np.float64]]
    """By characteristic, of each bin; over the segment's train rows each has a mean of zero, but for windfalls."""

    def of(self, fitted: FittedCard, at: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give what it adds for some rows."""
        parts = [table[fitted.design.codes(name)[at]] for name, table in self.tables.items()]
        return np.asarray(np.sum(parts, axis=0) + self.level)


def _own(
    fitted: FittedCard, rows: Rows, inside: NDArray[np.bool_], risk: NDArray[np.float64], *, but: str
) -> _Own | None:
    """Fit what a segment has of its own; None where it is too small, or where nothing is."""
    train = np.flatnonzero(inside & rows.is_in(TRAIN))
    bad = rows.bad[train].astype(np.float64)
    names = [name for name in fitted.fit.features if name != but]
    if min(bad.sum(), len(bad) - bad.sum()) < _FEWEST or not names:
        return None
    weight = np.ones(len(train)) if rows.weight is None else rows.weight[train] / rows.weight[train].mean()
    lines = np.vstack([fitted.design.codes(name)[train] for name in names])
    blocks = [independent(name, at, fitted.bins[name].bins.size) for at, name in enumerate(names)]
    fit = fit_tables(Sample(lines, bad, weight, risk[train]), blocks)
    tables = {}
    for at, name in enumerate(names):
        if fit.edf[at] >= _LEAST_EDF:
            held = np.bincount(lines[at], weights=weight, minlength=blocks[at].size).astype(np.float64)
            kept = _in_trend(fit.tables[at], fitted.bins[name], _table(fitted, name), held)
            kept = kept - np.average(kept, weights=held)
            bads = by_cell(lines[at], weight * bad, blocks[at].size)
            tables[name] = _without_windfalls(kept, fitted.bins[name], bads)
    if not tables:
        return None
    level = fit_intercept(risk[train] + _Own(0.0, tables).of(fitted, train), rows.bad[train], weight)
    return _Own(level, tables)


def _table(fitted: FittedCard, name: str) -> NDArray[np.float64]:
    """Give everybody's log-odds of bad in each bin of a characteristic."""
    at = fitted.fit.features.index(name)
    return -fitted.fit.coefficients[at] * fitted.design.woe[at]


def _in_trend(
    moved: NDArray[np.float64], bins: FittedBins, table: NDArray[np.float64], held: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pool neighbours whose sums with everybody's table would break the trend that the characteristic keeps.

    Parameters
    ----------
    held
        The segment's train rows in each bin, by weight.
    """
    if bins.trend not in (Trend.ASCENDING, Trend.DESCENDING) or not isinstance(bins.bins, NumericBins):
        return moved
    ordinary = bins.bins.ordinary
    whole, held = (table + moved)[:ordinary], held[:ordinary] + 1e-9
    kept = moved.copy()
    for pool in spans(monotone(whole, held, rising=bins.trend == Trend.ASCENDING), ordinary):
        kept[pool] = np.average(whole[pool], weights=held[pool]) - table[pool]
    return kept


def _without_windfalls(moved: NDArray[np.float64], bins: FittedBins, bads: NDArray[np.float64]) -> NDArray[np.float64]:
    """Let special codes, missing values and unseen levels with too few bads in the segment earn its average at most."""
    few = (np.arange(len(moved)) >= bins.bins.ordinary) & (bads < bins.min_bads)
    return np.where(few, np.maximum(moved, 0.0), moved)


def _judge(
    fitted: FittedCard,
    rows: Rows,
    place: int,
    labels: Sequence[str],
    inside: NDArray[np.bool_],
    risk: NDArray[np.float64],
    own: _Own | None,
) -> Segment:
    train, unseen = inside & rows.is_in(TRAIN), np.flatnonzero(inside & rows.is_in(VALIDATION))
    size, label = (int(train.sum()), int(rows.bad[train].sum())), labels[place]
    if own is None or not len(unseen):
        return Segment(place, label, *size, None, None, earned=False, characteristics=())
    moved = own.of(fitted, unseen)
    weight = np.ones(len(unseen)) if rows.weight is None else rows.weight[unseen]
    gains = _losses(risk[unseen], rows.bad[unseen]) - _losses(risk[unseen] + moved, rows.bad[unseen])
    mean = float(np.average(gains, weights=weight))
    error = float(np.sqrt((weight**2 * (gains - mean) ** 2).sum()) / weight.sum())
    earned = mean > _SURE * error
    return Segment(place, label, *size, mean, error, earned=earned, characteristics=tuple(own.tables) if earned else ())


def _losses(log_odds: NDArray[np.float64], bad: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.asarray(np.logaddexp(0, log_odds) - bad * log_odds)


def _with_grids(
    fitted: FittedCard, rows: Rows, segment: str, earned: Mapping[int, _Own], *, scale: CardScale
) -> FittedCard:
    """Write down what was earned: the level with the segment's own bin, the tables as grids, all others in a row of nothing."""
    bins, factor = [list(table) for table in fitted.points.bins], factor_of(scale)
    for place, own in earned.items():
        bins[fitted.fit.features.index(segment)][place] += round(-factor * own.level)
    grids = []
    for name in fitted.fit.features:
        tables = {
            place: tuple(np.rint(-factor * own.tables[name]).astype(np.int64).tolist())
            for place, own in earned.items()
            if name in own.tables
        }
        if any(any(table) for table in tables.values()):
            axis, points = _rows_of(tables, size=fitted.bins[segment].bins.size)
            grids.append(_grid(fitted, rows, (segment, name), axis, points, scale=scale))
    whole = replace(fitted.points, bins=tuple(map(tuple, bins)), grids=(*fitted.points.grids, *grids))
    lines = [fitted.design.codes(name) for name in fitted.fit.features]
    scores = add_points(whole, lines, rows=len(rows.bad), features=fitted.fit.features)
    return replace(fitted, points=whole, scores=scores)


def _rows_of(
    tables: Mapping[int, tuple[int, ...]], *, size: int
) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
    """Give the row of each of the segment column's bins, and the rows; the last is that of all others, if there are any."""
    places = list(tables)
    axis = tuple(places.index(at) if at in tables else len(places) for at in range(size))
    nothing = (0,) * len(tables[places[0]])
    return axis, (*tables.values(), *([nothing] if len(places) in axis else []))


def _grid(
    fitted: FittedCard,
    rows: Rows,
    pair: tuple[str, str],
    axis: tuple[int, ...],
    points: Sequence[tuple[int, ...]],
    *,
    scale: CardScale,
) -> Grid:
    """Make a grid of deviations: what train shows of each cell, and what it alone gains on validation."""
    width = len(points[0])
    cell = np.array(axis)[fitted.design.codes(pair[0])] * width + fitted.design.codes(pair[1])
    weight = np.ones(len(rows.bad)) if rows.weight is None else rows.weight
    goods, bads = (
        np.asarray(np.bincount(cell, weights=weight * side, minlength=len(points) * width), dtype=np.float64)
        for side in (rows.is_in(TRAIN) & (rows.bad == 0), rows.is_in(TRAIN) & (rows.bad == 1))
    )
    unseen = rows.is_in(VALIDATION)
    risk = -log_odds_of(fitted.scores[unseen], scale=scale)
    moved = np.array(points).ravel()[cell[unseen]] / -factor_of(scale)
    gains = _losses(risk, rows.bad[unseen]) - _losses(risk + moved, rows.bad[unseen])
    gain = float(f"{float(weight[unseen] @ gains):.{_DIGITS}g}")
    shape = (len(points), width)
    return Grid(pair, axis, tuple(range(width)), tuple(points), goods.reshape(shape), bads.reshape(shape), gain)


def segment_evidence(judged: Judged, found: Sequence[Segment], column: str | None) -> dict[str, Any] | None:
    """Give what was found of each segment, and how it ranks on the test by everybody's points and by its own."""
    if column is None:
        return None
    labels = {it.feature: [row.label for row in it.bins] for it in judged.card.characteristics}.get(column)
    test, own = judged.rows.is_in(TEST), np.zeros(len(judged.scores), dtype=np.int64)
    for pair in judged.card.pairs:
        if pair.features[0] == column:
            own += pair_points(pair, judged.codes)
    plain = []
    for it in found:
        mask = test & (judged.codes[column] == it.bin) if column in judged.codes else np.zeros_like(test)
        bad, score = judged.rows.bad[mask], judged.scores[mask].astype(np.float64)
        with_own = delong_test(bad, -score, own[mask] - score)
        plain.append(
            {
                "segment": it.label if labels is None else labels[it.bin],
                "rows": it.rows,
                "bads": it.bads,
                "gain": it.gain,
                "error": it.error,
                "earned": it.earned,
                "characteristics": list(it.characteristics),
                "test_rows": int(mask.sum()),
                "test_auc_common": auc(bad, own[mask] - score),
                "test_auc_own": auc(bad, -score),
                "test_p": with_own.p,
            }
        )
    return {"column": column, "on_card": labels is not None, "segments": plain}

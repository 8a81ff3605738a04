"""Which trend holds outside the rows it was fitted on.

Each shape is judged on rows that it was not fitted on: it is fitted on four fifths of train and judged on the fifth
left out, in turn, and where there is a validation sample it is fitted on train and judged on that too. (Validation alone
is too small to tell a bend from a line: on one tape it cost a card 0.002 of AUC.) What is compared is the log-loss of
the bins' bad rates, row by row. The shape with the least loss is not simply taken: of the shapes whose loss exceeds it
by no more than the standard error of the difference, the simplest is (the one-standard-error rule of Breiman et al.
1984, 3.4.3, here on paired differences). A bend must earn its place.

All of it is read off the counts, for rows of one pre-bin and one outcome have one loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from obligor.core.trend import Trend
from obligor.models.histograms import Histogram
from obligor.models.partition import Limits, Partition, best_partition, segments

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.models.histograms import Counts

_SIMPLEST_FIRST = (Trend.EITHER, Trend.PEAK, Trend.VALLEY, Trend.FREE)


@dataclass(frozen=True, slots=True)
class Choice:
    """A partition of train, and why its trend was chosen."""

    partition: Partition
    note: str


@dataclass(frozen=True, slots=True)
class _Trial:
    """Counts to fit on, and counts to judge by."""

    fitted: Histogram
    judged: Histogram


def shape_of(rates: NDArray[np.float64]) -> Trend:
    """Name the simplest shape that bad rates, or log-odds of bad, have over bins from low to high."""
    steps = np.sign(np.diff(rates))
    turns = np.flatnonzero(np.diff(steps[steps != 0]))
    rising = bool(len(steps)) and bool(steps[steps != 0][:1].sum() > 0)
    if not len(turns):
        return Trend.ASCENDING if rising else Trend.DESCENDING
    if len(turns) == 1:
        return Trend.PEAK if rising else Trend.VALLEY
    return Trend.FREE


def broken_at(rates: NDArray[np.float64], asked: Trend) -> tuple[int, ...]:
    """Give the bins after which the bad rate steps against a trend; of a turn, against the one that is kept longest."""
    steps = np.sign(np.diff(rates)).astype(np.int64)
    rise, fall = np.flatnonzero(steps < 0), np.flatnonzero(steps > 0)
    if asked == Trend.ASCENDING:
        return tuple(rise.tolist())
    if asked == Trend.DESCENDING:
        return tuple(fall.tolist())
    if asked == Trend.EITHER:
        return tuple(min(rise, fall, key=len).tolist())
    if asked in (Trend.PEAK, Trend.VALLEY):
        before, after = (rise, fall) if asked == Trend.PEAK else (fall, rise)
        turned = [(*before[before < turn].tolist(), *after[after >= turn].tolist()) for turn in range(len(steps) + 1)]
        return min(turned, key=len)
    return ()


def choose_trend(counts: Counts, prebins: int, *, limits: Limits, bins: int, unit: float = 1.0) -> Choice:
    """Give the best partition of the first `prebins` codes under the simplest trend that holds outside its own rows.

    `unit` is the weight of an average row, so that standard errors know how many rows there are.
    """
    shapes = _best_of_each(counts.train, prebins, limits, bins)
    trials = _trials(counts, prebins)
    judged = np.array([_ordinary(trial.judged, prebins) for trial in trials]).reshape(-1, 2, prebins) / unit
    losses = _losses(trials, shapes, counts.train, prebins=prebins, limits=limits, bins=bins)
    best = min(_SIMPLEST_FIRST, key=lambda trend: float(np.sum(judged * losses[trend])))
    for trend in _SIMPLEST_FIRST:
        excess = _excess(losses[trend] - losses[best], judged)
        if excess.mean <= excess.error:
            break
    where = "folds of train and validation" if _validates(counts, prebins) else "folds of train"
    return Choice(shapes[trend], _note(shapes[trend].trend, shapes[best].trend, excess, where))


def _best_of_each(histogram: Histogram, prebins: int, limits: Limits, bins: int) -> dict[Trend, Partition]:
    goods, bads = float(histogram.goods.sum()), float(histogram.bads.sum())
    weighed = segments(Histogram(*_ordinary(histogram, prebins)), limits, goods=goods, bads=bads)
    return {trend: best_partition(weighed, trend, bins=bins) for trend in _SIMPLEST_FIRST}


def _ordinary(histogram: Histogram, prebins: int) -> NDArray[np.float64]:
    return np.stack([histogram.goods[:prebins], histogram.bads[:prebins]])


def _validates(counts: Counts, prebins: int) -> bool:
    return counts.validation is not None and bool(counts.validation.rows[:prebins].any())


def _trials(counts: Counts, prebins: int) -> list[_Trial]:
    """Give a trial for each fold, unless it holds all goods or all bads, and one on validation where there is one."""
    train = counts.train
    trials = [_Trial(Histogram(train.goods - fold.goods, train.bads - fold.bads), fold) for fold in counts.folds]
    trials = [trial for trial in trials if trial.fitted.goods.sum() > 0 and trial.fitted.bads.sum() > 0]
    if counts.validation is not None and _validates(counts, prebins):
        trials.append(_Trial(train, counts.validation))
    return trials


def _losses(
    trials: list[_Trial],
    shapes: dict[Trend, Partition],
    train: Histogram,
    *,
    prebins: int,
    limits: Limits,
    bins: int,
) -> dict[Trend, NDArray[np.float64]]:
    """Give, for each shape, the log-loss of a good and of a bad: an array by trial, outcome and pre-bin."""
    found: dict[Trend, list[NDArray[np.float64]]] = {trend: [] for trend in shapes}
    for trial in trials:
        share = float(trial.fitted.rows.sum() / train.rows.sum())
        fitted = shapes if share >= 1 else _best_of_each(trial.fitted, prebins, limits.scaled(share), bins)
        for trend, partition in fitted.items():
            found[trend].append(_loss(partition, trial.fitted, prebins))
    return {trend: np.array(losses).reshape(-1, 2, prebins) for trend, losses in found.items()}


def _loss(partition: Partition, fitted: Histogram, prebins: int) -> NDArray[np.float64]:
    """Give the log-loss of a good and of a bad in each pre-bin, at its bin's bad rate joined by one average row."""
    bins = partition.bins(prebins)
    pooled = Histogram(*_ordinary(fitted, prebins)).pooled(bins, len(partition.starts) + 1)
    rate = (pooled.bads + fitted.bads.sum() / fitted.rows.sum()) / (pooled.rows + 1)
    return -np.stack([np.log1p(-rate), np.log(rate)])[:, bins]


@dataclass(frozen=True, slots=True)
class _Excess:
    """By how much one shape's loss exceeds another's, per row, and the standard error of that."""

    mean: float
    error: float


def _excess(difference: NDArray[np.float64], judged: NDArray[np.float64]) -> _Excess:
    rows = float(judged.sum())
    if rows == 0:
        return _Excess(0.0, 0.0)
    mean = float(np.sum(difference * judged)) / rows
    variance = float(np.sum((difference - mean) ** 2 * judged)) / rows
    return _Excess(mean, float(np.sqrt(variance / rows)))


def _note(chosen: Trend, best: Trend, excess: _Excess, where: str) -> str:
    if chosen == best:
        return f"{chosen}: the least log-loss on {where}"
    return (
        f"{chosen}: its log-loss on {where} is {excess.mean:.1e} a row above that of {best}, "
        f"within one standard error ({excess.error:.1e})"
    )

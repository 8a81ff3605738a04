"""Which trend holds outside the rows it was fitted on.

Each shape is fitted on part of train and judged on rows that it has not seen: the folds of train in turn and, where
there is one, the validation sample. What is compared is the log-loss of the bins' bad rates, row by row. The shape with
the least loss is not simply taken: of all shapes whose loss exceeds it by less than the standard error of the difference,
the simplest is (Breiman et al. 1984, 3.4.3, the one-standard-error rule, here on paired differences). A bend must earn
its place.

All of it is read off the counts: rows of one pre-bin and one outcome have one loss.
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
    from obligor.models.partition import Segments

_SIMPLEST_FIRST = (Trend.EITHER, Trend.PEAK, Trend.VALLEY, Trend.FREE)


@dataclass(frozen=True, slots=True)
class Choice:
    """A partition of train, and why its trend was chosen."""

    partition: Partition
    note: str


@dataclass(frozen=True, slots=True)
class _Trial:
    """Rows to fit on, and rows to judge by."""

    fitted: Histogram
    judged: Histogram


def choose_trend(counts: Counts, prebins: int, *, limits: Limits, bins: int) -> Choice:
    """Give the best partition of the first `prebins` codes under the simplest trend that holds outside its own rows."""
    shapes = {
        trend: best_partition(_weighed(counts.train, prebins, limits), trend, bins=bins) for trend in _SIMPLEST_FIRST
    }
    trials = _trials(counts)
    judged = np.stack([_ordinary(trial.judged, prebins) for trial in trials])
    losses = {trend: _losses(trials, prebins, trend, limits=limits, bins=bins) for trend in shapes}
    best = min(shapes, key=lambda trend: float(np.sum(judged * losses[trend])))
    for trend in _SIMPLEST_FIRST:
        mean, error = _difference(losses[trend] - losses[best], judged)
        if mean <= error:
            return Choice(shapes[trend], _note(shapes[trend].trend, shapes[best].trend, mean, error))
    raise AssertionError("the best shape is within an error of itself")


MODE = "both"


def _trials(counts: Counts) -> list[_Trial]:
    train = counts.train
    within = [_Trial(Histogram(train.goods - fold.goods, train.bads - fold.bads), fold) for fold in counts.folds]
    if counts.validation is None or MODE == "cv":
        return within
    beyond = [] if counts.validation is None else [_Trial(train, counts.validation)]
    if MODE == "validation":
        return beyond
    return [*within, *beyond]


def _ordinary(histogram: Histogram, prebins: int) -> NDArray[np.float64]:
    return np.stack([histogram.goods[:prebins], histogram.bads[:prebins]])


def _weighed(histogram: Histogram, prebins: int, limits: Limits) -> Segments:
    goods, bads = float(histogram.goods.sum()), float(histogram.bads.sum())
    return segments(Histogram(*_ordinary(histogram, prebins)), limits, goods=goods, bads=bads)


def _losses(trials: list[_Trial], prebins: int, trend: Trend, *, limits: Limits, bins: int) -> NDArray[np.float64]:
    """Give the log-loss of a good and of a bad in each pre-bin of each trial."""
    out = []
    for t in trials:
        share = t.fitted.rows.sum() / trials[-1].fitted.rows.sum()
        p = best_partition(
            _weighed(t.fitted, prebins, Limits(limits.rows * share, limits.goods * share, limits.bads * share)),
            trend,
            bins=bins,
        )
        out.append(_loss(p, t.fitted, prebins))
    return np.stack(out)


def _loss(partition: Partition, fitted: Histogram, prebins: int) -> NDArray[np.float64]:
    goods, bads = _ordinary(fitted, prebins)
    which = partition.bins(prebins)
    pooled = Histogram(goods, bads).pooled(which, len(partition.starts) + 1)
    prior = fitted.bads.sum() / fitted.rows.sum()
    rate = (pooled.bads + prior) / (pooled.rows + 1)
    return -np.stack([np.log1p(-rate), np.log(rate)])[:, which]


def _difference(excess: NDArray[np.float64], judged: NDArray[np.float64]) -> tuple[float, float]:
    rows = judged.sum()
    if rows == 0:
        return 0.0, 0.0
    mean = float(np.sum(excess * judged) / rows)
    variance = float(np.sum((excess - mean) ** 2 * judged) / rows)
    return mean, (variance / rows) ** 0.5


def _note(chosen: Trend, best: Trend, mean: float, error: float) -> str:
    return f"{chosen} best {best} {mean:.2e} {error:.2e}"

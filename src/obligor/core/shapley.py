"""What each characteristic adds to a score, against the mean applicant of train: exact Shapley values, in closed form.

A characteristic plays by its bin. Where it does not play, its bin is drawn from the train rows, whatever the bins of
those that do play: the interventional value of Lundberg and Lee (2017), which the ``shap`` library computes from a masker of
independent background rows. A table then adds its points less their mean. A pair is a game of two: with g its grid, p and q
the shares of train in the bins of its first and its second characteristic, the first adds

    (g(a, b) + sum_b' q(b') g(a, b') - sum_a' p(a') g(a', b) - E g) / 2

and the second the same with the sums exchanged; E g is over the rows of train, so over both together. The contributions and
the mean score add up to the score. All that is needed stands on the card: the goods and bads of its bins and cells.

A grid is pure over the joint rows of train: its conditional means are zero. The sums above are over each characteristic by
itself, and are zero too only where the two do not hang together. Reasons share the shortfall of a pair alike (``reasons``),
which is the same thing in that case alone.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from obligor.core.clauses import CardScale
    from obligor.core.scorecard import Characteristic, Pair, Scorecard

    Grid = tuple[tuple[float, ...], ...]

_THOUSANDTHS = 1000


@dataclass(frozen=True, slots=True)
class ShapleyTables:
    """What every bin and cell of a card adds, in points."""

    names: tuple[str, ...]
    mean: float
    """The mean score of train."""
    tables: tuple[tuple[float, ...], ...]
    """By characteristic and bin."""
    pairs: tuple[tuple[int, int, Grid, Grid], ...]
    """The places of both characteristics, and what each cell adds to the first and to the second."""

    def of(self, bins: Sequence[int]) -> list[float]:
        """Give what each characteristic adds, its share of its pairs counted in, for the bins of an application."""
        parts = [[table[code]] for table, code in zip(self.tables, bins, strict=True)]
        for one, other, first, second in self.pairs:
            parts[one].append(first[bins[one]][bins[other]])
            parts[other].append(second[bins[one]][bins[other]])
        return [math.fsum(each) for each in parts]


def shapley_tables(card: Scorecard) -> ShapleyTables:
    """Lay out what every bin and cell of a card adds.

    Raises
    ------
    CardError
        Where a characteristic has no train rows to take the mean over.
    """
    places = {it.feature: at for at, it in enumerate(card.characteristics)}
    rows = [_rows(it) for it in card.characteristics]
    totals = [math.fsum(each) for each in rows]
    shares = [[held / total for held in each] for each, total in zip(rows, totals, strict=True)]
    means = [_weighted(share, it.points) for share, it in zip(shares, card.characteristics, strict=True)]
    tables = tuple(
        tuple((points - mean) / _THOUSANDTHS for points in it.points)
        for it, mean in zip(card.characteristics, means, strict=True)
    )
    pairs = []
    for pair in card.pairs:
        one, other = (places[name] for name in pair.features)
        mean = _joint_mean(pair, totals[one])
        means.append(mean)
        pairs.append((one, other, *_shared(pair.by_bin, shares[one], shares[other], mean)))
    return ShapleyTables(tuple(places), math.fsum((card.base_points, *means)) / _THOUSANDTHS, tables, tuple(pairs))


def in_log_odds(points: float, scale: CardScale) -> float:
    """Give a difference of points as a difference of log-odds of good, before the PDs were calibrated."""
    return points * math.log(2) / scale.pdo


def _rows(it: Characteristic) -> list[float]:
    rows = [row.goods + row.bads for row in it.bins]
    if not sum(rows) > 0:
        raise CardError(f"contributions: '{it.feature}' has no train rows in its bins; wanted their goods and bads")
    return rows


def _weighted(weights: Iterable[float], values: Iterable[float]) -> float:
    return math.fsum(map(operator.mul, weights, values))


def _joint_mean(pair: Pair, rows: float) -> float:
    """Give the mean points of a grid over all train rows; those outside its cells earn nothing."""
    held = [
        good + bad
        for goods, bads in zip(pair.goods, pair.bads, strict=True)
        for good, bad in zip(goods, bads, strict=True)
    ]
    return _weighted(held, [points for row in pair.points for points in row]) / rows


def _shared(
    cells: Sequence[Sequence[int]], first: Sequence[float], second: Sequence[float], mean: float
) -> tuple[Grid, Grid]:
    """Part what each cell adds among the two."""
    down = [_weighted(row, second) for row in cells]
    across = [_weighted(column, first) for column in zip(*cells, strict=True)]
    half = 2 * _THOUSANDTHS

    def part(sign: int) -> Grid:
        return tuple(
            tuple((points - mean + sign * (row - column)) / half for points, column in zip(line, across, strict=True))
            for line, row in zip(cells, down, strict=True)
        )

    return part(1), part(-1)

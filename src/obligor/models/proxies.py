"""How well the characteristics of a card tell a protected group from the others: whether they stand in for it.

Together: the bins of every row, as one logistic regression of the group with an L2 penalty (of strength 1 beside the summed
log loss, as scikit-learn's default), fitted on four fifths of the rows and asked about the fifth, five times over. Alone: the
share of the group in each bin, learnt and asked in the same way. The area under the curve is the share of pairs, one of the
group and one of the others, that are told apart: 0.5 is chance, 1 a perfect proxy. Beside it stands Cramer's V of the bins and
all groups, corrected for chance (Bergsma 2013, Journal of the Korean Statistical Society 42).

Rows count once each, whatever their weight: the question is what a characteristic knows, not how many loans a row stands for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import chi2_contingency

from obligor.measures.discrimination import auc, delong
from obligor.models.smoothing import Sample, fit_tables, independent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from obligor.measures.fairness import Groups

MOST_ROWS = 20_000
MOST_GROUPS = 12
_FOLDS = 5
_STRENGTH = 1.0


@dataclass(frozen=True, slots=True)
class ToldGroup:
    """How well all characteristics together tell one group from the others."""

    name: str
    rows: int
    auc: float
    auc_lower: float
    auc_upper: float


@dataclass(frozen=True, slots=True)
class Standing:
    """How well one characteristic tells the group that it tells best."""

    feature: str
    group: str
    auc: float
    cramers_v: float
    """Of its bins and all groups; 0 is no association, 1 a perfect one."""
    proxy: bool
    """Whether the area reaches the threshold of the contract."""


@dataclass(frozen=True, slots=True)
class Proxies:
    """What the characteristics of a card know of one protected column."""

    column: str
    rows: int
    """Rows whose group is known; of very many a spread of them is looked at."""
    groups: tuple[ToldGroup, ...]
    characteristics: tuple[Standing, ...]
    """The one that tells most comes first."""


def find_proxies(
    codes: Mapping[str, NDArray[np.uint8]], column: str, groups: Groups, *, fewest: int, threshold: float, seed: int
) -> Proxies:
    """Tell each group of so many rows from the others by the bins of the card.

    Of many groups the largest twelve are told; of two only the smaller, whose answer is also that of the other. Where all are
    of one group there is nothing to tell.
    """
    known = np.flatnonzero(groups.codes >= 0)
    known = known[:: max(1, -(-len(known) // MOST_ROWS))]
    member = groups.codes[known]
    bins = {name: column[known] for name, column in codes.items()}
    random = np.random.default_rng(seed)
    asked = {group: _dealt(member == group, random) for group in _asked(member, fewest=fewest)}
    together = [
        ToldGroup(groups.names[group], int((member == group).sum()), *_together(bins, member == group, fold))
        for group, fold in asked.items()
        if bins
    ]
    alone = [
        _alone(name, codes, member, asked, names=groups.names, threshold=threshold)
        for name, codes in bins.items()
        if asked
    ]
    return Proxies(
        column, len(known), tuple(together), tuple(sorted(alone, key=lambda it: (-it.auc, -it.cramers_v, it.feature)))
    )


def _asked(member: NDArray[np.int64], *, fewest: int) -> list[int]:
    """Choose the groups to tell from the others, the largest first."""
    if not len(member):
        return []
    sizes = np.bincount(member)
    enough = [int(at) for at in np.argsort(-sizes, kind="stable") if fewest <= sizes[at] <= len(member) - fewest]
    return enough[1:] if len(enough) == np.count_nonzero(sizes) == 2 else enough[:MOST_GROUPS]  # noqa: PLR2004  a pair


def _dealt(marked: NDArray[np.bool_], random: np.random.Generator) -> NDArray[np.int64]:
    """Deal the rows to folds at random, so that each has its share of the group."""
    fold = np.empty(len(marked), dtype=np.int64)
    fold[np.lexsort((random.random(len(marked)), marked))] = np.arange(len(marked)) % _FOLDS
    return fold


def _together(
    bins: Mapping[str, NDArray[np.uint8]], marked: NDArray[np.bool_], fold: NDArray[np.int64]
) -> tuple[float, float, float]:
    codes = np.vstack(list(bins.values()))
    blocks = [independent(name, at, int(codes[at].max()) + 1) for at, name in enumerate(bins)]
    whole = Sample(codes, marked.astype(np.float64), np.ones(len(marked)))
    strengths = {penalty.name: _STRENGTH for block in blocks for penalty in block.penalties}
    told = np.empty(len(marked))
    for part in range(_FOLDS):
        held = fold == part
        fitted = Sample(np.ascontiguousarray(codes[:, ~held]), whole.bad[~held], whole.weight[~held])
        told[held] = fit_tables(fitted, blocks, fixed=strengths).log_odds(whole)[held]
    found = delong(marked, told)
    return found.value, *found.interval


def _alone(
    name: str,
    codes: NDArray[np.uint8],
    member: NDArray[np.int64],
    asked: Mapping[int, NDArray[np.int64]],
    *,
    names: tuple[str, ...],
    threshold: float,
) -> Standing:
    areas = {group: auc(member == group, _shares(codes, member == group, fold)) for group, fold in asked.items()}
    best = max(areas, key=lambda group: areas[group])
    table = np.zeros((int(codes.max()) + 1, int(member.max()) + 1))
    np.add.at(table, (codes, member), 1)
    return Standing(name, names[best], areas[best], cramers_v(table), areas[best] >= threshold)


def _shares(codes: NDArray[np.uint8], marked: NDArray[np.bool_], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give each row the share of the group in its bin over the other folds, each bin joined by one average row."""
    size = int(codes.max()) + 1
    place = fold * size + codes
    rows, own = (
        np.bincount(place, weights=values, minlength=_FOLDS * size).reshape(_FOLDS, size)
        for values in (None, marked.astype(np.float64))
    )
    share = (own.sum(axis=0) - own + marked.mean()) / (rows.sum(axis=0) - rows + 1)
    return np.asarray(share[fold, codes])


def cramers_v(table: NDArray[np.float64]) -> float:
    """Give Cramer's V of a table of counts, corrected for chance; 0 where one side does not vary."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    rows, columns, n = *table.shape, float(table.sum())
    if min(rows, columns) < 2 or n < 2:  # noqa: PLR2004  an association takes two of each
        return 0.0
    square = chi2_contingency(table, correction=False).statistic / n
    square = max(0.0, square - (rows - 1) * (columns - 1) / (n - 1))
    least = min(rows - (rows - 1) ** 2 / (n - 1), columns - (columns - 1) ** 2 / (n - 1))
    return min(math.sqrt(square / (least - 1)), 1.0) if least > 1 else 0.0

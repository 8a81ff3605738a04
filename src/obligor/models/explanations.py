"""How a card's decisions are explained, as evidence: what moves scores, bins without a reason text, three applicants.

The applicants are of the test, chosen by their scores, without an identifier. A characteristic that reads a column whose
privacy is anything but none keeps its bin to itself: it is told with all others of the kind as one sum, and so is one
that earns points in a pair with it. The score is then told in whole points, which blurs the sum; where few characteristics are
withheld, arithmetic may still narrow down their bins, and a bin is mostly a range or a group.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from obligor.core.explanation import Explaining
from obligor.core.scorer import card_features
from obligor.models.columns import TEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from obligor.core.features import FeatureSet
    from obligor.core.scorecard import Scorecard
    from obligor.core.shapley import ShapleyTables
    from obligor.models.judged import Judged

_FAR_BELOW = 0.1


def explanations(judged: Judged) -> dict[str, Any]:
    """Give the importance of every characteristic, the bins without a reason text, and three applicants explained."""
    explaining = Explaining.of(judged.card)
    lacking: dict[str, list[str]] = {}
    for untold in explaining.untold:
        lacking.setdefault(untold.feature, []).append(untold.bin)
    private = withheld(judged.card)
    return {
        "importance": importance(judged, explaining.shapley),
        "reason_texts_lacking": [{"feature": name, "bins": bins} for name, bins in lacking.items()],
        "examples": [
            {"what": what, **explaining.explain(_bins(judged, row)).to_plain(withheld=private)}
            for what, row in _chosen(judged, private)
        ],
    }


def importance(judged: Judged, tables: ShapleyTables) -> list[dict[str, Any]]:
    """Give the mean of the absolute Shapley values on the test, by weight and in points, the largest first."""
    rows = np.flatnonzero(judged.rows.is_in(TEST))
    weight = np.ones(len(rows)) if judged.rows.weight is None else judged.rows.weight[rows]
    means = [
        float(np.abs(_added(judged, tables, at, rows)) @ weight / weight.sum()) if weight.sum() else None
        for at in range(len(tables.names))
    ]
    total = sum(mean or 0.0 for mean in means)
    found = [
        {"feature": name, "mean_abs_shap": mean, "share": mean / total if mean is not None and total else None}
        for name, mean in zip(tables.names, means, strict=True)
    ]
    return sorted(found, key=lambda it: -(it["mean_abs_shap"] or 0.0))


def _added(judged: Judged, tables: ShapleyTables, at: int, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give what a characteristic adds to the score of each row, its share of its pairs counted in."""
    codes = [judged.codes[name] for name in tables.names]
    added = np.array(tables.tables[at])[codes[at][rows]]
    for one, other, first, second in tables.pairs:
        if at in (one, other):
            added += np.array(first if at == one else second)[codes[one][rows], codes[other][rows]]
    return added


def withheld(card: Scorecard) -> frozenset[str]:
    """Name the characteristics that tell of a person's private columns, by themselves or in a pair."""
    features = card_features(card)
    private = {it.feature for it in card.characteristics if _is_private(card, features, it.feature)}
    beside = {name for pair in card.pairs if private & set(pair.features) for name in pair.features}
    return frozenset(private | beside)


def _is_private(card: Scorecard, features: FeatureSet, name: str) -> bool:
    for read in features.needed_for([name]):
        if read in card.applications.columns and card.applications.columns[read].privacy != "none":
            return True
        if read in features.aggregates:
            it = features.aggregates[read]
            columns = {column for part in (it.expression, it.where) if part for column in part.columns}
            if any(card.histories[it.table].columns[column].privacy != "none" for column in columns):
                return True
    return False


def _bins(judged: Judged, row: int) -> list[int]:
    return [int(judged.codes[it.feature][row]) for it in judged.card.characteristics]


def _chosen(judged: Judged, private: frozenset[str]) -> Iterator[tuple[str, int]]:
    """Choose applicants of the test: the nearest below the cut-off, one far below, and one with a missing value or approved."""
    rows = np.flatnonzero(judged.rows.is_in(TEST))
    rows = rows[np.argsort(judged.scores[rows], kind="stable")]
    below = judged.scores[rows] < judged.card.cutoff.score
    declined, approved = rows[below], rows[~below]
    taken: set[int] = set()

    def first(what: str, found: Sequence[int] | NDArray[np.int64]) -> Iterator[tuple[str, int]]:
        for row in found:
            if int(row) not in taken:
                taken.add(int(row))
                yield what, int(row)
                return

    yield from first("declined, the nearest below the cut-off", declined[::-1])
    yield from first("declined, far below the cut-off", declined[int(len(declined) * _FAR_BELOW) :])
    lacking = declined[_any_missing(judged, declined, private)]
    if len(lacking):
        yield from first("declined, with a missing value", lacking[len(lacking) // 2 :])
    else:
        yield from first("approved, in the middle", approved[len(approved) // 2 :])


def _any_missing(judged: Judged, rows: NDArray[np.int64], private: frozenset[str]) -> NDArray[np.bool_]:
    found = np.zeros(len(rows), dtype=np.bool_)
    for it in judged.card.characteristics:
        if it.feature not in private:
            found |= judged.codes[it.feature][rows] == it.binning.missing
    return found

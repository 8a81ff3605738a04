"""What would have to be otherwise for an application to reach the cut-off: the nearest changes of few characteristics.

Only characteristics that the contract calls changeable are moved, and only to ordinary bins: nobody is told to withhold a
value. Fewer characteristics are nearer; of as many, those that move over fewer bins; of these, those that keep the score
closest above the cut-off. Every answer is scored again, pairs included, before it is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.scorecard import Scorecard

MOST_CHANGES = 2


@dataclass(frozen=True, slots=True)
class Change:
    """One characteristic, the bin that the application is in, and one in which it would earn what it needs."""

    feature: str
    from_bin: str
    to_bin: str


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """Changes that together reach the cut-off, and the score that they give."""

    changes: tuple[Change, ...]
    score: int
    """In thousandths."""


def score_of_bins(card: Scorecard, bins: Sequence[int]) -> int:
    """Add up the points of some bins, in the order of the card, pairs included."""
    return _Tables.of(card).score(bins)


def counterfactuals(
    card: Scorecard, bins: Sequence[int], *, most_changes: int = MOST_CHANGES, most: int = 3
) -> tuple[Counterfactual, ...]:
    """Give the nearest ways to reach the cut-off, the nearest first; none where the application is there already.

    Parameters
    ----------
    bins
        The bin of each characteristic, in the order of the card.
    most_changes
        The most characteristics that may change at once.
    """
    tables = _Tables.of(card)
    if tables.score(bins) >= card.cutoff.score:
        return ()
    changeable = [at for at, it in enumerate(card.characteristics) if it.changeable]
    for count in range(1, most_changes + 1):
        ways = [way for places in combinations(changeable, count) for way in _ways(card, tables, bins, places)]
        if ways:
            return tuple(_told(card, bins, moved, score) for _, score, moved in sorted(ways)[:most])
    return ()


@dataclass(frozen=True, slots=True)
class _Tables:
    """The points of a card laid out by place: many sums are made of them."""

    base: int
    points: tuple[tuple[int, ...], ...]
    pairs: tuple[tuple[int, int, tuple[tuple[int, ...], ...]], ...]
    ordinary: tuple[int, ...]
    """The ordinary bins of each characteristic."""

    @classmethod
    def of(cls, card: Scorecard) -> _Tables:
        places = {it.feature: at for at, it in enumerate(card.characteristics)}
        return cls(
            card.base_points,
            tuple(it.points for it in card.characteristics),
            tuple((places[it.features[0]], places[it.features[1]], it.by_bin) for it in card.pairs),
            tuple(it.binning.ordinary for it in card.characteristics),
        )

    def score(self, bins: Sequence[int]) -> int:
        total = self.base + sum(points[code] for points, code in zip(self.points, bins, strict=True))
        return total + sum(cells[bins[one]][bins[other]] for one, other, cells in self.pairs)


def _ways(
    card: Scorecard, tables: _Tables, bins: Sequence[int], places: Sequence[int]
) -> list[tuple[int, int, tuple[tuple[int, int], ...]]]:
    """Give every move of some characteristics to other ordinary bins that reaches the cut-off: (steps, score, moves)."""
    choices = [[code for code in range(tables.ordinary[at]) if code != bins[at]] for at in places]
    found = []
    moved = list(bins)
    for codes in product(*choices):
        for at, code in zip(places, codes, strict=True):
            moved[at] = code
        score = tables.score(moved)
        if score >= card.cutoff.score:
            steps = sum(
                _steps(bins[at], code, ordinary=tables.ordinary[at], numeric=card.characteristics[at].kind == "numeric")
                for at, code in zip(places, codes, strict=True)
            )
            found.append((steps, score, tuple(zip(places, codes, strict=True))))
    return found


def _steps(here: int, there: int, *, ordinary: int, numeric: bool) -> int:
    """Count the bins between two places; groups of a category, and what is no value, are one step from everything."""
    return abs(here - there) if numeric and here < ordinary else 1


def _told(card: Scorecard, bins: Sequence[int], moved: Sequence[tuple[int, int]], score: int) -> Counterfactual:
    names = [(card.characteristics[at], bins[at], code) for at, code in moved]
    return Counterfactual(
        tuple(Change(it.feature, it.bins[here].label, it.bins[there].label) for it, here, there in names), score
    )

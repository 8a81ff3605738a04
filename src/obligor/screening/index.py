"""Finds, among all names of a list, the few that are worth comparing in full: those with the most pairs of letters in common.

Each part of a name gives its pairs of neighbouring letters, its first and last marked; a pair that few names have weighs more
(inverse document frequency). Names are ranked twice, by what is common to both wholes and by what is common to the smaller of
the two, so that a name with few parts is found inside one with many. The order of parts plays no role.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WHOLES: Final = 96
"""Names that are kept by what is common to both wholes; and as many halves by the smaller of the two."""


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Which names have which pairs of letters."""

    pairs: NDArray[np.bytes_]
    """Every pair that any name has, in alphabetical order."""
    starts: NDArray[np.int64]
    """Where the names of a pair begin, one more than pairs."""
    names: NDArray[np.int32]
    weights: NDArray[np.float64]
    """Of each pair."""
    lengths: NDArray[np.float64]
    """Of each name: the weights of its pairs."""

    def candidates(self, parts: Sequence[str]) -> NDArray[np.int64]:
        """Give the places of the names worth comparing, in ascending order."""
        mine = np.array(pairs_of(parts), dtype="S2")
        near = np.minimum(np.searchsorted(self.pairs, mine), len(self.pairs) - 1)
        known = near[self.pairs[near] == mine].tolist()
        if not known:
            return np.empty(0, dtype=np.int64)
        ranges = [self.names[self.starts[gram] : self.starts[gram + 1]] for gram in known]
        sizes = [len(it) for it in ranges]
        common = np.bincount(
            np.concatenate(ranges), weights=np.repeat(self.weights[known], sizes), minlength=len(self.lengths)
        )
        whole = self.weights[known].sum() + (len(mine) - len(known)) * self.weights.max()
        both = common / np.sqrt(whole * self.lengths)
        smaller = common / np.minimum(whole, self.lengths)
        return np.union1d(_best(both, WHOLES), _best(smaller * np.sqrt(both), WHOLES // 2))


def index_names(names: Sequence[Sequence[str]]) -> NameIndex:
    """Index the parts of each name."""
    having: dict[str, list[int]] = {}
    for place, parts in enumerate(names):
        for pair in pairs_of(parts):
            having.setdefault(pair, []).append(place)
    pairs = sorted(having)
    sizes = np.array([len(having[pair]) for pair in pairs])
    weights = np.log1p(len(names) / sizes)
    places = np.concatenate([np.array(having[pair], dtype=np.int32) for pair in pairs])
    lengths = np.bincount(places, weights=np.repeat(weights, sizes), minlength=len(names))
    starts = np.concatenate([[0], np.cumsum(sizes)])
    return NameIndex(np.array(pairs, dtype="S2"), starts, places, weights, lengths.astype(np.float64))


def pairs_of(parts: Sequence[str]) -> list[str]:
    """Give the pairs of neighbouring letters of all parts, each once, in the order they are met."""
    return list(dict.fromkeys(pair for part in parts for pair in _pairs(f" {part} ")))


def _pairs(text: str) -> list[str]:
    return [text[at : at + 2] for at in range(len(text) - 1)]


def _best(scores: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Give the places of the best, and of all that are level with the last of them."""
    if len(scores) <= most:
        return np.flatnonzero(scores > 0)
    level = np.partition(scores, len(scores) - most)[len(scores) - most]
    return np.flatnonzero(scores >= max(level, np.finfo(float).tiny))

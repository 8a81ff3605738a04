"""Finds, among all names of a list, the few that are worth comparing in full: those with the most pairs of letters in common.

Each part of a name gives its pairs of neighbouring letters, its first and last marked; a pair that few names have weighs more
(inverse document frequency). Names are ranked twice, by what is common to both wholes and by what is common to the smaller of
the two, so that a name with few parts is found inside one with many. The order of parts plays no role.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

WHOLES: Final = 96
"""Names that are kept by what is common to both wholes; and as many halves by the smaller of the two."""
_LEAST: Final = 0.25
"""What is common to the smaller of the two where a name is ranked at all: of a million names some 30,000 are."""


@dataclass(frozen=True, slots=True)
class NameIndex:
    """Which names have which pairs of letters."""

    pairs: NDArray[np.bytes_]
    """Every pair that any name has, in alphabetical order."""
    starts: NDArray[np.int64]
    """Where the names of a pair begin, one more than pairs."""
    names: NDArray[np.int32]
    weights: NDArray[np.float32]
    """Of each pair."""
    lengths: NDArray[np.float32]
    """Of each name: the weights of its pairs."""

    def candidates(self, parts: Sequence[str]) -> NDArray[np.int64]:
        """Give the places of the names worth comparing, in ascending order."""
        mine = np.array(pairs_of(parts), dtype="S2")
        near = np.minimum(np.searchsorted(self.pairs, mine), len(self.pairs) - 1)
        known = near[self.pairs[near] == mine].tolist()
        if not known:
            return np.empty(0, dtype=np.int64)
        common = np.zeros(len(self.lengths), dtype=np.float32)
        for pair in known:  # one by one: a name has a pair once, and who decides meanwhile never waits for all of them
            common[self.names[self.starts[pair] : self.starts[pair + 1]]] += self.weights[pair]
        whole = self.weights[known].sum() + (len(mine) - len(known)) * self.weights.max()
        some = np.flatnonzero(common >= _LEAST * np.minimum(whole, self.lengths))
        common, lengths = common[some], self.lengths[some]
        both = common / np.sqrt(whole * lengths)
        smaller = common / np.minimum(whole, lengths)
        return some[np.union1d(_best(both, WHOLES), _best(smaller * np.sqrt(both), WHOLES // 2))]


def index_names(names: Sequence[Sequence[str]]) -> NameIndex:
    """Index the parts of each name."""
    having: dict[str, array[int]] = {}
    for place, parts in enumerate(names):
        for pair in pairs_of(parts):
            having.setdefault(pair, array("i")).append(place)
    pairs = sorted(having)
    sizes = np.array([len(having[pair]) for pair in pairs])
    weights = np.log1p(len(names) / sizes).astype(np.float32)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places, lengths = np.empty(starts[-1], dtype=np.int32), np.zeros(len(names), dtype=np.float32)
    for pair, start, size, weight in zip(pairs, starts, sizes, weights, strict=False):
        places[start : start + size] = its = np.array(having.pop(pair), dtype=np.int32)
        lengths[its] += weight
    return NameIndex(np.array(pairs, dtype="S2"), starts, places, weights, lengths)


def pairs_of(parts: Sequence[str]) -> list[str]:
    """Give the pairs of neighbouring letters of all parts, each once, in the order they are met."""
    return list(dict.fromkeys(pair for part in parts for pair in _pairs(part)))


@lru_cache(maxsize=1 << 12)
def _pairs(part: str) -> list[str]:
    text = f" {part} "
    return [text[at : at + 2] for at in range(len(text) - 1)]


def _best(scores: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Give the places of the best, and of all that are level with the last of them."""
    if len(scores) <= most:
        return np.flatnonzero(scores > 0)
    level = np.partition(scores, len(scores) - most)[len(scores) - most]
    return np.flatnonzero(scores >= max(level, np.finfo(float).tiny))

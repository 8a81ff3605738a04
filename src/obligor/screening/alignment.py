"""How alike names are, part by part.

Each part of the applicant's name is paired with at most one of the list's, the most alike first. Two parts are alike by the
edits between them (one letter put in, left out, changed, or changed places with its neighbour), and not at all beyond so many
edits for their length. A rare part weighs more than a common one, an initial and a company's legal form weigh little. The
score is the weight of what is paired, each times its likeness, over that and the weight of what is left over on either side.
Where the names written in one word are more alike than their parts, that counts: a space may stand elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from rapidfuzz.distance import OSA
from rapidfuzz.process import cdist

from obligor.screening.words import Words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from obligor.screening.rules import Rules

LEGAL_FORMS: Final = frozenset(
    [
        "ag",
        "bv",
        "co",
        "company",
        "corp",
        "corporation",
        "gmbh",
        "inc",
        "incorporated",
        "jsc",
        "kg",
        "limited",
        "llc",
        "llp",
        "ltd",
        "ltda",
        "nv",
        "ooo",
        "oao",
        "pjsc",
        "plc",
        "pte",
        "pty",
        "pvt",
        "sa",
        "sal",
        "sarl",
        "sas",
        "spa",
        "srl",
        "sro",
        "zao",
    ]
)
_EDITS: Final = ((9, 3), (6, 2), (3, 1))
"""From so many letters of the shorter part, so many edits at most; none for fewer letters."""
_SHORT: Final = 5
"""Names of so many letters or fewer, in one word, are alike only where they are equal."""


class Alignment(NamedTuple):
    """For each candidate, a row: how its name goes with the applicant's."""

    score: NDArray[np.float64]
    """0 to 1."""
    paired: NDArray[np.int64]
    """For each of the applicant's parts, the place of its partner in the list's name; -1: none."""
    alike: NDArray[np.float64]
    """For each of the applicant's parts, how alike its partner is."""
    in_one_word: NDArray[np.bool_]
    """Whether the score is that of the names in one word."""


@dataclass(frozen=True, slots=True)
class NameTable:
    """The names of a list as rows of parts."""

    words: Words
    """Every part that any name has."""
    weights: NDArray[np.float64]
    """Of each word."""
    starts: NDArray[np.int32]
    """Where the parts of each name begin, one more than names."""
    parts: NDArray[np.int32]
    """The parts of all names, one name after another, as places of words."""

    def __len__(self) -> int:
        """How many names there are."""
        return len(self.starts) - 1

    def spelled(self, place: int) -> tuple[str, ...]:
        """Give the parts of the name at a place."""
        return tuple(self.words[it] for it in self.parts[self.starts[place] : self.starts[place + 1]].tolist())

    def align(self, parts: Sequence[str], places: NDArray[np.int64], rules: Rules) -> Alignment:
        """Compare the applicant's parts with the names at some places."""
        rows = self._rows(places)
        used, at = np.unique(rows, return_inverse=True)
        spelled = [self.words[word] if word >= 0 else "" for word in used.tolist()]
        at = at.reshape(rows.shape)
        weight = np.where(rows >= 0, self.weights[rows], 0.0)
        alike = _likeness(parts, spelled, rules)[:, at].transpose(1, 0, 2)
        paired, likeness = _pair(alike, weight)
        matched = np.where(paired >= 0, np.take_along_axis(weight, np.maximum(paired, 0), axis=1), 0.0)
        given = np.array([self._given_weight(part, rules) for part in parts])
        over = np.where(paired >= 0, 0.0, given).sum(axis=1)
        both = matched.sum(axis=1)
        out = weight.sum(axis=1) - both
        score = (matched * likeness).sum(axis=1) / (both + rules.left_over * over + rules.left_out * out)
        whole = _in_one_word(parts, [[spelled[it] for it in row] for row in at])
        return Alignment(np.maximum(score, whole), paired, likeness, whole > score)

    def _rows(self, places: NDArray[np.int64]) -> NDArray[np.int32]:
        """Give names by places of their parts: words, -1 where a name has no more."""
        starts, sizes = self.starts[places], self.starts[places + 1] - self.starts[places]
        within = np.arange(sizes.max())[None, :]
        there = within < sizes[:, None]
        return np.where(there, self.parts[np.where(there, starts[:, None] + within, 0)], np.int32(-1))

    def _given_weight(self, part: str, rules: Rules) -> float:
        word = self.words.find(part)
        return float(self.weights[word]) if word is not None else _weight(part, 0, len(self), rules)


def name_table(names: Sequence[Sequence[str]], rules: Rules) -> NameTable:
    """Lay out the parts of all names, with the weight of each."""
    words = Words.of({part for parts in names for part in parts})
    place = {words[at]: at for at in range(len(words))}
    flat = np.fromiter((place[part] for parts in names for part in parts), dtype=np.int32)
    counts = np.bincount(flat, minlength=len(words)).tolist()
    weights = np.array([_weight(words[at], count, len(names), rules) for at, count in enumerate(counts)])
    starts = np.concatenate([[0], np.cumsum([len(parts) for parts in names])]).astype(np.int32)
    return NameTable(words, weights, starts, flat)


def _weight(word: str, count: int, names: int, rules: Rules) -> float:
    """What a part weighs: from about 1/2 where every name has it to 3/2 where none has."""
    if len(word) == 1 or word in LEGAL_FORMS:
        return rules.light
    return 0.5 + float(np.log((names + 1) / (count + 1)) / np.log(names + 1))


def _likeness(parts: Sequence[str], words: Sequence[str], rules: Rules) -> NDArray[np.float64]:
    """How alike each part is to each word, 0 to 1."""
    edits = cdist(parts, words, scorer=OSA.distance, dtype=np.int32)
    mine, theirs = np.array([len(it) for it in parts])[:, None], np.array([len(it) for it in words])[None, :]
    shorter, longer = np.minimum(mine, theirs), np.maximum(mine, theirs)
    most = np.select([shorter >= letters for letters, _ in _EDITS], [edit for _, edit in _EDITS], 0)
    alike = np.where((edits <= most) & (theirs > 0), 1 - edits / np.maximum(longer, 1), 0.0)
    firsts = np.array([it[0] for it in parts])[:, None] == np.array([it[:1] for it in words])[None, :]
    return np.where((shorter == 1) & (longer > 1) & firsts, rules.initial, alike)


def _pair(alike: NDArray[np.float64], weight: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pair parts one to one, the most alike first, and of equally alike ones the rarer."""
    names, mine, theirs = alike.shape
    paired, likeness = np.full((names, mine), -1, dtype=np.int64), np.zeros((names, mine))
    left = alike * (1 + weight[:, None, :] / 100)
    for _ in range(min(mine, theirs)):
        best = left.reshape(names, -1).argmax(axis=1)
        given, listed = np.divmod(best, theirs)
        live = np.flatnonzero(left[np.arange(names), given, listed] > 0)
        if not len(live):
            break
        given, listed = given[live], listed[live]
        paired[live, given] = listed
        likeness[live, given] = alike[live, given, listed]
        left[live, given, :] = 0
        left[live, :, listed] = 0
    return paired, likeness


def _in_one_word(parts: Sequence[str], names: Sequence[Sequence[str]]) -> NDArray[np.float64]:
    """How alike the names are in one word, their parts as they stand or in alphabetical order."""
    as_given = _one_word("".join(parts), ["".join(it) for it in names])
    return np.maximum(as_given, _one_word("".join(sorted(parts)), ["".join(sorted(it)) for it in names]))


def _one_word(given: str, listed: Sequence[str]) -> NDArray[np.float64]:
    alike: NDArray[np.float64] = cdist([given], listed, scorer=OSA.normalized_similarity, dtype=np.float64)[0]
    return alike if len(given) > _SHORT else np.where(alike == 1, 1.0, 0.0)

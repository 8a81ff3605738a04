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

    words: dict[str, int]
    """Every part that any name has."""
    spelled: list[str]
    weights: NDArray[np.float64]
    """Of each word."""
    rows: NDArray[np.int32]
    """Names by places of their parts: words, -1 where a name has no more."""
    joined: list[str]
    ordered: list[str]
    """Each name in one word, its parts as they stand and in alphabetical order."""

    def align(self, parts: Sequence[str], places: NDArray[np.int64], rules: Rules) -> Alignment:
        """Compare the applicant's parts with the names at some places."""
        rows = self.rows[places]
        weight = np.where(rows >= 0, self.weights[rows], 0.0)
        alike = self._alike(parts, rows, rules)
        paired, likeness = _pair(alike, weight)
        matched = np.where(paired >= 0, np.take_along_axis(weight, np.maximum(paired, 0), axis=1), 0.0)
        given = np.array([self._given_weight(part, rules) for part in parts])
        over = np.where(paired >= 0, 0.0, given).sum(axis=1)
        both = matched.sum(axis=1)
        out = weight.sum(axis=1) - both
        score = (matched * likeness).sum(axis=1) / (both + rules.left_over * over + rules.left_out * out)
        whole = self._in_one_word(parts, places)
        return Alignment(np.maximum(score, whole), paired, likeness, whole > score)

    def _alike(self, parts: Sequence[str], rows: NDArray[np.int32], rules: Rules) -> NDArray[np.float64]:
        """How alike each of the applicant's parts is to each part of each name: names, parts given, parts listed."""
        used, at = np.unique(rows, return_inverse=True)
        table = _likeness(parts, [self.spelled[word] if word >= 0 else "" for word in used.tolist()], rules)
        return table[:, at.reshape(rows.shape)].transpose(1, 0, 2)

    def _in_one_word(self, parts: Sequence[str], places: NDArray[np.int64]) -> NDArray[np.float64]:
        at = places.tolist()
        as_given = _one_word("".join(parts), [self.joined[it] for it in at])
        return np.maximum(as_given, _one_word("".join(sorted(parts)), [self.ordered[it] for it in at]))

    def _given_weight(self, part: str, rules: Rules) -> float:
        word = self.words.get(part)
        return float(self.weights[word]) if word is not None else _weight(part, 0, len(self.rows), rules)


def name_table(names: Sequence[Sequence[str]], rules: Rules) -> NameTable:
    """Lay out the parts of all names, with the weight of each."""
    words: dict[str, int] = {}
    rows = np.full((len(names), max(map(len, names))), -1, dtype=np.int32)
    for at, parts in enumerate(names):
        rows[at, : len(parts)] = [words.setdefault(part, len(words)) for part in parts]
    counts = np.bincount(rows[rows >= 0], minlength=len(words)).tolist()
    weights = np.array([_weight(word, count, len(names), rules) for word, count in zip(words, counts, strict=True)])
    joined, ordered = ["".join(parts) for parts in names], ["".join(sorted(parts)) for parts in names]
    return NameTable(words, list(words), weights, rows, joined, ordered)


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


def _one_word(given: str, listed: Sequence[str]) -> NDArray[np.float64]:
    alike: NDArray[np.float64] = cdist([given], listed, scorer=OSA.normalized_similarity, dtype=np.float64)[0]
    return alike if len(given) > _SHORT else np.where(alike == 1, 1.0, 0.0)

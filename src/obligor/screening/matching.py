"""Compares one applicant with a list: the names, then what a birth date and the strength of an alias add or take away."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import numpy as np

from obligor.screening.births import Agreement, agreement
from obligor.screening.prepared import Prepared
from obligor.screening.rules import Rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.screening.alignment import Alignment
    from obligor.screening.births import BirthDate
    from obligor.screening.lists import ListedName, ListSnapshot

ALGORITHM: Final = f"obligor-names/2 anyascii/{version('anyascii')} rapidfuzz/{version('rapidfuzz')}"
"""How names are compared; another version of the libraries may read a letter differently."""


class Pair(NamedTuple):
    """A part of the applicant's name and the part of the list's that it was held to be."""

    given: str
    listed: str
    alike: float


class Hit(NamedTuple):
    """An entry that is alike enough, and why."""

    entry: str
    kind: str
    score: float
    """0 to 1."""
    name: ListedName
    """Which of its names."""
    by_name: float
    """The likeness of the names alone."""
    pairs: tuple[Pair, ...]
    in_one_word: bool
    """Whether the names in one word are what was alike."""
    born: Agreement
    by_birth: float
    """What the birth date added or took away; for a company, that the applicant has one."""
    by_strength: float
    """What a weak alias took away."""
    programmes: tuple[str, ...]
    version: str
    """The hash of what the list says of the entry: another where the list says something else of it."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """A list made ready to be compared, under the rules that it was made ready for."""

    prepared: Prepared
    rules: Rules

    @classmethod
    def of(cls, snapshot: ListSnapshot, rules: Rules | None = None) -> Self:
        """Make a list ready, which takes about half a second for 20,000 names."""
        rules = rules or Rules()
        return cls(Prepared.of(snapshot, rules), rules)

    def hits(self, parts: tuple[str, ...], born: BirthDate | None) -> tuple[Hit, ...]:
        """Give every entry that is alike enough, the most alike first, equal ones in the order of their ids.

        Parameters
        ----------
        parts
            Of the applicant's name (``names.name_parts``).
        """
        return self.compare(parts, born, self.prepared.index.candidates(parts))

    def hits_among_all(self, parts: tuple[str, ...], born: BirthDate | None) -> tuple[Hit, ...]:
        """Give the hits with every name compared in full: slow, and what the index is held to."""
        return self.compare(parts, born, np.arange(len(self.prepared.table)))

    def compare(self, parts: tuple[str, ...], born: BirthDate | None, candidates: NDArray[np.int64]) -> tuple[Hit, ...]:
        """Compare with the names at some places."""
        if not len(candidates):
            return ()
        found = self.prepared.table.align(parts, candidates, self.rules)
        best: dict[str, Hit] = {}
        for row in np.flatnonzero(found.score >= self.rules.threshold - self.rules.most_by_birth).tolist():
            hit = self._hit(parts, born, int(candidates[row]), found, row)
            known = best.get(hit.entry)
            if hit.score >= self.rules.threshold and (known is None or hit.score > known.score):
                best[hit.entry] = hit
        return tuple(sorted(best.values(), key=lambda it: (-it.score, it.entry)))

    def _hit(self, parts: tuple[str, ...], born: BirthDate | None, place: int, found: Alignment, row: int) -> Hit:
        entry, name, version = self.prepared.entries.at(place)
        agreed = agreement(born, entry.born)
        is_company = born is not None and entry.kind != "individual"
        by_birth = self.rules.company if is_company else self.rules.of_birth(agreed)
        by_strength = self.rules.weak_alias if name.strength == "weak" else 0.0
        listed = self.prepared.table.spelled(place)
        pairs = tuple(
            Pair(part, listed[at], round(float(found.alike[row, mine]), 4))
            for mine, part in enumerate(parts)
            if (at := int(found.paired[row, mine])) >= 0
        )
        by_name = float(found.score[row])
        score = round(min(1.0, max(0.0, by_name + by_birth + by_strength)), 4)
        return Hit(
            entry.id, entry.kind, score, name, round(by_name, 4), pairs, bool(found.in_one_word[row]), agreed, by_birth,
            by_strength, entry.programmes, version,
        )  # fmt: skip

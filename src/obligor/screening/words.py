"""Every part that any name of a list has, in alphabetical order, as one text: a fraction of what as many texts would take."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Words:
    """Words of small Latin letters and digits."""

    text: NDArray[np.uint8]
    ends: NDArray[np.int32]
    """Where each word ends; the next begins there."""

    @classmethod
    def of(cls, words: Collection[str]) -> Self:
        """Lay out words, each once."""
        ordered = sorted(set(words))
        return cls(
            np.frombuffer("".join(ordered).encode("ascii"), dtype=np.uint8),
            np.fromiter(accumulate(map(len, ordered)), dtype=np.int32, count=len(ordered)),
        )

    def __len__(self) -> int:
        """How many there are."""
        return len(self.ends)

    def __getitem__(self, place: int) -> str:
        """Give the word at a place."""
        start = int(self.ends[place - 1]) if place else 0
        return self.text[start : int(self.ends[place])].tobytes().decode("ascii")

    def __iter__(self) -> Iterator[str]:
        """Give them in alphabetical order."""
        return (self[place] for place in range(len(self)))

    def find(self, word: str) -> int | None:
        """Give the place of a word; none where no name has it."""
        place = bisect_left(range(len(self)), word, key=self.__getitem__)
        return place if place < len(self) and self[place] == word else None

"""How the values of one feature fall into bins.

A binning is a partition: every value has exactly one bin. The ordinary bins come first (intervals from low to
high, or groups of levels), then one bin for each special code in the order declared, then the bin of missing values
and, for categories, the bin of levels that were never seen. A *code* is the index of a bin in that order; it fits in a
byte.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.errors import CardError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_BINS = 250
_MOST_COMPARED = 24


@dataclass(frozen=True, slots=True)
class Levels:
    """A column of categories: ``names[codes[i]]`` is row i's level; a code of -1 is missing."""

    codes: NDArray[np.int32]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NumericBins:
    """Intervals ``[lower, upper)`` between ``cuts``, then special codes, then missing.

    ``cuts`` are the interior cut points in rising order: k cuts make k + 1 intervals, the first open to minus infinity
    and the last to plus infinity. A special code wins over the interval it lies in.
    """

    feature: str
    cuts: tuple[float, ...]
    specials: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        _refuse_crowd(self.feature, self.size)
        _refuse_repeats(self.feature, self.specials)
        if not all(math.isfinite(cut) for cut in (*self.cuts, *self.specials)):
            raise CardError(f"bins of '{self.feature}': cuts and special codes must be finite numbers")
        for left, right in zip(self.cuts, self.cuts[1:], strict=False):
            if not left < right:
                raise CardError(
                    f"bins of '{self.feature}' overlap or stand out of order: cut {right!r} follows {left!r}; "
                    "wanted cuts that rise"
                )

    @property
    def ordinary(self) -> int:
        """The number of intervals."""
        return len(self.cuts) + 1

    @property
    def missing(self) -> int:
        """The code of the bin of missing values."""
        return self.ordinary + len(self.specials)

    @property
    def size(self) -> int:
        """The number of bins."""
        return self.missing + 1

    def assign(self, value: float | None) -> int:
        """Give the code of one value; ``None`` is missing."""
        if value is None:
            return self.missing
        if value in self.specials:
            return self.ordinary + self.specials.index(value)
        return bisect_right(self.cuts, value)

    def assign_column(self, values: NDArray[np.float64]) -> NDArray[np.uint8]:
        """Give the code of each value of a column; NaN is missing."""
        import numpy as np

        if len(self.cuts) > _MOST_COMPARED:
            codes = np.searchsorted(np.asarray(self.cuts), values, side="right").astype(np.uint8)
        else:  # a comparison with every cut is some ten times as fast as a search among few
            codes = np.zeros(len(values), dtype=np.uint8)
            for cut in self.cuts:
                codes += np.greater_equal(values, cut).view(np.uint8)
        codes[np.isnan(values)] = self.missing
        for offset, special in enumerate(self.specials):
            codes[values == special] = self.ordinary + offset
        return codes

    def labels(self) -> tuple[str, ...]:
        """Name each bin for a person."""
        return (*_interval_labels(self.cuts), *(f"special {code:g}" for code in self.specials), "missing")


@dataclass(frozen=True, slots=True)
class CategoryBins:
    """Groups of levels, then special levels, then missing, then levels that were never seen."""

    feature: str
    groups: tuple[tuple[str, ...], ...]
    specials: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _refuse_crowd(self.feature, self.size)
        _refuse_repeats(self.feature, (*(level for group in self.groups for level in group), *self.specials))
        if not self.groups or not all(self.groups):
            raise CardError(f"bins of '{self.feature}' have a gap: every group needs at least one level")

    @property
    def ordinary(self) -> int:
        """The number of groups."""
        return len(self.groups)

    @property
    def missing(self) -> int:
        """The code of the bin of missing values."""
        return self.ordinary + len(self.specials)

    @property
    def unseen(self) -> int:
        """The code of the bin of levels that were never seen."""
        return self.missing + 1

    @property
    def size(self) -> int:
        """The number of bins."""
        return self.missing + 2

    def assign(self, level: str | None) -> int:
        """Give the code of one level; ``None`` is missing."""
        return self.missing if level is None else self.codes().get(level, self.unseen)

    def codes(self) -> dict[str, int]:
        """Map every known level to its code."""
        known = {level: code for code, group in enumerate(self.groups) for level in group}
        return known | {level: self.ordinary + offset for offset, level in enumerate(self.specials)}

    def assign_column(self, levels: Levels) -> NDArray[np.uint8]:
        """Give the code of each row of a column of categories."""
        import numpy as np

        known = self.codes()
        table = np.array([*(known.get(name, self.unseen) for name in levels.names), self.missing], dtype=np.uint8)
        return table[levels.codes]

    def labels(self) -> tuple[str, ...]:
        """Name each bin for a person."""
        groups = (", ".join(group) for group in self.groups)
        return (*groups, *(f"special {code}" for code in self.specials), "missing", "unseen")


Bins = NumericBins | CategoryBins


def _interval_labels(cuts: tuple[float, ...]) -> tuple[str, ...]:
    if not cuts:
        return ("any value",)
    inner = (f"{low:.6g} to {high:.6g}" for low, high in itertools.pairwise(cuts))
    return (f"below {cuts[0]:.6g}", *inner, f"{cuts[-1]:.6g} or more")


def _refuse_crowd(feature: str, size: int) -> None:
    if size > MOST_BINS:
        raise CardError(f"bins of '{feature}': got {size} bins, wanted at most {MOST_BINS}")


def _refuse_repeats(feature: str, values: tuple[float | str, ...]) -> None:
    repeated = sorted({str(value) for value, times in Counter(values).items() if times > 1})
    if repeated:
        raise CardError(f"bins of '{feature}' overlap: {', '.join(repeated[:5])} stand in more than one bin")

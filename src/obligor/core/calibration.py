"""The PD of a score: one monotone table, whatever fitted it.

Between two knots the PD runs in a straight line, beyond the outermost it stays. Reading it takes one search and
``+ - * /`` on doubles in a fixed order, so that every engine gives the same bits.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from obligor.core.errors import CardError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_KNOTS = 10_000


@dataclass(frozen=True, slots=True)
class PdTable:
    """Knots of score and PD.

    Parameters
    ----------
    scores : tuple of int
        In thousandths of a point, rising.
    pds : tuple of float
        The PD at each, in 0..1, never rising: a score rewards good.
    """

    scores: tuple[int, ...]
    pds: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.pds) or not 1 <= len(self.scores) <= MOST_KNOTS:
            raise CardError(
                f"PD table: {len(self.scores)} scores and {len(self.pds)} PDs; wanted as many, 1 to {MOST_KNOTS}"
            )
        if any(right <= left for left, right in pairwise(self.scores)):
            raise CardError("PD table: wanted scores that rise from knot to knot")
        if not all(math.isfinite(pd) and 0 <= pd <= 1 for pd in self.pds):
            raise CardError("PD table: wanted PDs from 0 to 1")
        if any(right > left for left, right in pairwise(self.pds)):
            raise CardError("PD table: wanted PDs that never rise with the score")

    def pd(self, score: int) -> float:
        """Give the PD of a score in thousandths."""
        scores, pds = self.scores, self.pds
        right = bisect_right(scores, score)
        if right == 0:
            return pds[0]
        if right == len(scores):
            return pds[-1]
        low, high = scores[right - 1], scores[right]
        start, end = pds[right - 1], pds[right]
        return start + (end - start) * ((score - low) / (high - low))

    def pd_column(self, scores: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the PD of each score; the same bits as :meth:`pd`."""
        import numpy as np

        knots, pds = np.array(self.scores, dtype=np.int64), np.array(self.pds, dtype=np.float64)
        right = np.searchsorted(knots, scores, side="right")
        if len(knots) == 1:
            return np.full(len(scores), pds[0])
        inner = np.clip(right, 1, len(knots) - 1)
        low, high = knots[inner - 1], knots[inner]
        start, end = pds[inner - 1], pds[inner]
        between = start + (end - start) * ((scores - low).astype(np.float64) / (high - low).astype(np.float64))
        return np.where(right == 0, pds[0], np.where(right == len(knots), pds[-1], between))

    def score_at(self, pd_max: float) -> int | None:
        """Give the lowest score whose PD is at most ``pd_max``; None where no score has so low a PD."""
        if self.pds[-1] > pd_max:
            return None
        low, high = self.scores[0] - 1, self.scores[-1]
        while high - low > 1:
            middle = (low + high) // 2
            if self.pd(middle) <= pd_max:
                high = middle
            else:
                low = middle
        return high

"""How surely the points of each bin are known: the covariance of the fine fit, carried over to coarse bins.

The log-odds of a bin are taken as the mean over its loans of what the characteristic's table and its grids tell, less the same
mean over all loans: a weighted sum of coefficients, whose variance the posterior covariance of the penalised fit gives
(Wood 2017, Generalized Additive Models, 6.10; Nychka 1988 on why its intervals cover across a whole curve about as often
as they say). That the cuts were chosen on the same loans is not counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from obligor.models.pairs import cell_codes
from obligor.models.projection import axes_of
from obligor.models.smoothing import by_cells

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from obligor.models.projection import Coarse
    from obligor.models.smoothing import Sample, Smooth


def standard_errors(
    sample: Sample, fit: Smooth, fitted: Sequence[Coarse], pairs: Sequence[tuple[int, int]], shown: Sequence[Coarse]
) -> tuple[NDArray[np.float64], ...]:
    """Give the standard error of the log-odds of each bin on the card; not a number for a bin without loans.

    Parameters
    ----------
    fitted, pairs
        What the fit was made on: its tables in their order, and after them its grids.
    shown
        The characteristics on the card, with their last bins.
    """
    axes, codes = axes_of(fitted), np.vstack([it.codes for it in fitted])
    places = {it.fine.feature: at for at, it in enumerate(fitted)}
    found = []
    for it in shown:
        at = places[it.fine.feature]
        lines = {at: sample.codes[at]} | {
            len(fitted) + grid: cell_codes(axes[one], axes[other], codes)
            for grid, (one, other) in enumerate(pairs)
            if at in (one, other)
        }
        found.append(_errors(it, lines, fit, sample.weight))
    return tuple(found)


def _errors(
    it: Coarse, lines: Mapping[int, NDArray[np.uint8]], fit: Smooth, weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    held = [by_cells(it.codes, line, weight, it.size, fit.blocks[at].size) for at, line in lines.items()]
    part = np.concatenate([fit.offsets[at] + np.arange(fit.blocks[at].size) for at in lines])
    loans = held[0].sum(axis=1)
    mean = np.hstack(held) / np.where(loans > 0, loans, np.nan)[:, None]
    contrast = mean - np.hstack(held).sum(axis=0) / loans.sum()
    variance = np.einsum("bi,ij,bj->b", contrast, fit.covariance[np.ix_(part, part)], contrast, optimize=True)
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))

"""A card between its fit and its assembly: the bins, the fit, the points and the scores of every row, still apart."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from obligor.models.binning import FittedBins
    from obligor.models.logistic import CodedDesign, LogitFit
    from obligor.models.scaling import Points
    from obligor.models.selection import Dropped


@dataclass(frozen=True, slots=True)
class Segment:
    """What was found of one segment: a bin of the segment's column."""

    bin: int
    """Its place among the bins of the column."""
    label: str
    rows: int
    bads: int
    """Of train."""
    gain: float | None
    """By how much its own points lower the mean log loss on its validation rows; None where it is too small to tell."""
    error: float | None
    """The standard error of the gain."""
    earned: bool
    characteristics: tuple[str, ...]
    """Where its points differ from everybody's."""


@dataclass(frozen=True, slots=True)
class FittedCard:
    """A fitted card, still apart: the bins of every predictor, what was dropped, the fit, the points, the scores."""

    bins: Mapping[str, FittedBins]
    """Of every predictor, on the card or not; their codes stand in ``design``."""
    design: CodedDesign
    """The codes of every row and the weights of evidence, of the features on the card."""
    dropped: tuple[Dropped, ...]
    fit: LogitFit
    points: Points
    scores: NDArray[np.int64]
    """Of every row, in thousandths."""
    segments: tuple[Segment, ...] = ()
    """What was found of each level of the segment's column, where there is one."""

    def first(self, rows: int) -> FittedCard:
        """Give the fit with the codes and scores of the first so many rows alone."""
        return replace(
            self, design=replace(self.design, matrix=self.design.matrix[:, :rows]), scores=self.scores[:rows]
        )

"""What the fitters read: named columns of equal length, and what is known of each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from obligor.core.bins import Levels
    from obligor.core.trend import Trend

TRAIN, VALIDATION, TEST = 0, 1, 2
SAMPLES = ("train", "validation", "test")


class Columns(Protocol):
    """Columns that can be fetched one at a time, so that they need not all stand in memory."""

    def numbers(self, name: str) -> NDArray[np.float64]:
        """Give a column of numbers; NaN is missing."""
        ...

    def levels(self, name: str) -> Levels:
        """Give a column of categories."""
        ...


@dataclass(frozen=True, slots=True)
class Predictor:
    """A column or feature that is offered to the card."""

    name: str
    kind: Literal["numeric", "category"]
    trend: Trend
    specials: tuple[float | str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rows:
    """What is known of each row beside its predictors."""

    bad: NDArray[np.uint8]
    """1 where the loan turned bad."""
    sample: NDArray[np.uint8]
    """0 train, 1 validation, 2 test."""
    weight: NDArray[np.float64] | None = None
    """Sample weights."""
    exposure: NDArray[np.float64] | None = None
    """The amount at risk, in the contract's currency."""
    period: NDArray[np.int32] | None = None
    """The month of application, as months since year 0."""

    def __post_init__(self) -> None:
        for name in ("sample", "weight", "exposure", "period"):
            found = getattr(self, name)
            if found is not None and len(found) != len(self.bad):
                raise InvalidInputError(f"rows: {name} has {len(found)} values, wanted {len(self.bad)}")
        for code, name in enumerate(SAMPLES[:2]):
            bad = self.bad[self.sample == code]
            if not bad.any() or bad.all():
                raise InvalidInputError(f"{name}: {len(bad)} rows with {int(bad.sum())} bads; wanted goods and bads")

    def first(self, rows: int) -> Rows:
        """Give the first so many rows."""
        return Rows(
            self.bad[:rows],
            self.sample[:rows],
            None if self.weight is None else self.weight[:rows],
            None if self.exposure is None else self.exposure[:rows],
            None if self.period is None else self.period[:rows],
        )

    def is_in(self, sample: int) -> NDArray[np.bool_]:
        """Mark the rows of a sample."""
        return np.equal(self.sample, sample)

"""What a challenger is once it is fitted: something that ranks, and how it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from obligor.models.boosting import Search


class Ranking(Protocol):
    """What ranks: inputs in, log-odds of bad out."""

    def log_odds(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the log-odds of bad of every row of a matrix of inputs."""
        ...

    def to_bytes(self) -> bytes:
        """Write it so that the same numbers are read back."""
        ...


@dataclass(frozen=True, slots=True)
class FittedChallenger:
    """A challenger after its search."""

    name: str
    file: str
    ranking: Ranking
    search: Search
    rounds: int
    """The number of its trees."""
    log_loss: float
    """On validation, before calibration."""
    pairs: tuple[tuple[str, str], ...] = ()
    """The predictors that it reads together, where it keeps to few pairs."""

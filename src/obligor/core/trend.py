"""How the bad rate may run over the bins of a characteristic, from low values to high."""

from __future__ import annotations

from enum import StrEnum


class Trend(StrEnum):
    """A shape that the bad rate keeps from bin to bin."""

    ASCENDING = "ascending"
    """Never falls."""
    DESCENDING = "descending"
    """Never rises."""
    EITHER = "either"
    """Ascending or descending, whichever tells more."""
    PEAK = "peak"
    """Rises, then falls."""
    VALLEY = "valley"
    """Falls, then rises."""
    FREE = "free"
    """Any shape."""
    AUTO = "auto"
    """The shape that holds best outside the rows it was fitted on."""

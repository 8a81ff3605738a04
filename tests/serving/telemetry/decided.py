"""What was decided, as far as a meter looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.core.decision import Decision
from obligor.core.profile import GATES
from obligor.core.scorer import Score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.profile import GateRecord


def decided(
    outcome: Any = "approve",
    band: str = "A",
    *,
    score: int = 0,
    bins: tuple[int, ...] = (0, 0, 0),
    unusual: tuple[str, ...] = (),
    gates: Sequence[GateRecord] = (),
) -> tuple[Score, Decision, tuple[str, ...]]:
    """Make what a meter is told; ``score`` is in thousandths, and the gates stand in the order of the profile's."""
    said = dict(zip(GATES, gates, strict=False))
    return Score(score, 0.1, band, bins, ()), Decision(outcome, "score", 0, (), (), said), unusual

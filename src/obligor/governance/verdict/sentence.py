"""One statement of the verdict, and what its words have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Tone = Literal["plain", "good", "watch", "act"]

MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement of the verdict and how it should be taken."""

    tone: Tone
    text: str


def first(names: Sequence[str]) -> str:
    """Name the first few, and say how many more there are."""
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def or_chance(lower: float, upper: float, *, none: float = 0.0) -> str:
    """Add that a difference may be chance, where its interval holds that there is none."""
    return ", which may be chance" if lower <= none <= upper else ""

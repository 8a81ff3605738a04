"""What counts as a hit, and what weighs how much: the numbers of the screening, as one value with a hash."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from obligor.core.canonical import canonical_json, sha256
from obligor.core.errors import ScreeningError

if TYPE_CHECKING:
    from obligor.screening.births import Agreement
    from obligor.screening.lists import EntryKind


@dataclass(frozen=True, slots=True)
class Rules:
    """What counts as a hit, and what weighs how much; two of the same content have the same hash."""

    threshold: float = 0.86
    """The score, 0 to 1, from which an entry is a hit."""
    kinds: tuple[EntryKind, ...] = ("individual", "entity")
    """What is compared at all: no applicant is a ship."""
    left_over: float = 0.5
    """How much a part of the applicant's name counts that the list's has no match for."""
    left_out: float = 0.2
    """How much a part of the list's name counts that the applicant's has no match for."""
    initial: float = 0.8
    """How alike an initial is to a part that begins with it."""
    light: float = 0.2
    """What an initial or a legal form weighs, in parts of another."""
    weak_alias: float = -0.1
    """What a hit by a weak alias alone takes away."""
    company: float = -0.1
    """What a company takes away where the applicant has a birth date."""
    exact: float = 0.06
    """What the same birth date adds; so the others."""
    swapped: float = 0.04
    compatible: float = 0.03
    near: float = -0.01
    different: float = -0.08

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ScreeningError(f"threshold: {self.threshold}: wanted more than 0 and at most 1")

    @property
    def sha256(self) -> str:
        """The hash of all rules."""
        return sha256(canonical_json(asdict(self)))

    @property
    def most_by_birth(self) -> float:
        """The most that a birth date can add."""
        return max(0.0, self.exact, self.swapped, self.compatible, self.near, self.different)

    def of_birth(self, agreed: Agreement) -> float:
        """Give what a birth date adds or takes away."""
        return 0.0 if agreed == "unknown" else float(getattr(self, agreed))

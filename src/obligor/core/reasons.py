"""Why a score is not higher: the principal reasons of an adverse action.

The method is one that Regulation B's official commentary names (12 CFR 1002, comment 9(b)(2)-5): a characteristic counts by how
far its points fall short of the mean points of applicants whose score was at the cut-off or slightly above. These means are
part of the card. Points below the maximum, which many scorecards use, are not such a method: they name whatever
has a wide range.

A pair of characteristics falls short for both alike, which is its Shapley value: half of its shortfall counts for each.
Characteristics of one reason family count together. Only what falls short is a reason, at most four by default (comment
-1), the larger first, and in the order of the card where they are equal. Everything is a whole number, in halves of a
thousandth of a point, so that every engine gives the same reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.errors import CardError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.core.scorecard import Characteristic, Scorecard

MOST_REASONS = 4


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason: what fell short, by how much, and the text that an applicant reads."""

    code: str
    """The reason family, or the characteristic where it stands alone."""
    feature: str
    """The characteristic of the family that fell short most."""
    shortfall: float
    """In points."""
    text: str
    """As the contract words it, for the value or for its absence; empty where the contract has none."""


@dataclass(frozen=True, slots=True)
class Shortfalls:
    """How far every bin falls short of the reference means, in halves of a thousandth."""

    names: tuple[str, ...]
    tables: tuple[tuple[int, ...], ...]
    """By characteristic and bin."""
    pairs: tuple[tuple[int, int, tuple[tuple[int, ...], ...]], ...]
    """The places of both characteristics, and what each of them falls short by in each cell."""
    families: tuple[int, ...]
    """The place of each characteristic's family among the families."""
    codes: tuple[str, ...]
    """The name of each family, in the order of the card."""

    def of(self, bins: Sequence[int]) -> list[int]:
        """Give the shortfall of each characteristic, half of its pairs counted in."""
        found = [table[code] for table, code in zip(self.tables, bins, strict=True)]
        for one, other, cells in self.pairs:
            short = cells[bins[one]][bins[other]]
            found[one] += short
            found[other] += short
        return found

    def by_family(self, own: Sequence[int]) -> list[int]:
        """Add up the shortfalls of each family."""
        if len(self.codes) == len(own):  # each stands alone
            return list(own)
        found = [0] * len(self.codes)
        for family, short in zip(self.families, own, strict=True):
            found[family] += short
        return found

    def principal(self, bins: Sequence[int], *, most: int = MOST_REASONS) -> list[tuple[int, int]]:
        """Give the families that fall short most, and by how much."""
        totals = self.by_family(self.of(bins))
        size = len(totals)
        ranked = [short * size + (size - 1 - place) for place, short in enumerate(totals) if short > 0]
        ranked.sort(reverse=True)
        return [(size - 1 - rank % size, rank // size) for rank in ranked[:most]]


def shortfalls_of(card: Scorecard) -> Shortfalls:
    """Lay out the shortfalls of a card.

    Raises
    ------
    CardError
        Where a characteristic or a pair has no reference mean.
    """
    lacking = [it.feature for it in card.characteristics if it.reference is None]
    lacking += [pair.name for pair in card.pairs if pair.reference is None]
    if lacking:
        raise CardError(f"reasons: '{lacking[0]}' has no reference mean; wanted the mean points near the cut-off")
    places = {it.feature: at for at, it in enumerate(card.characteristics)}
    families = [it.family or it.feature for it in card.characteristics]
    codes = tuple(dict.fromkeys(families))
    return Shortfalls(
        tuple(places),
        tuple(tuple(2 * ((it.reference or 0) - points) for points in it.points) for it in card.characteristics),
        tuple(
            (
                places[pair.features[0]],
                places[pair.features[1]],
                tuple(tuple((pair.reference or 0) - points for points in row) for row in pair.by_bin),
            )
            for pair in card.pairs
        ),
        tuple(codes.index(family) for family in families),
        codes,
    )


def explain(
    card: Scorecard, bins: Sequence[int], *, shortfalls: Shortfalls | None = None, most: int = MOST_REASONS
) -> tuple[Reason, ...]:
    """Give the principal reasons of an application, told by the bins of its characteristics."""
    known = shortfalls or shortfalls_of(card)
    own = known.of(bins)
    found = []
    for family, short in known.principal(bins, most=most):
        members = [at for at, its in enumerate(known.families) if its == family]
        worst = max(members, key=lambda at: (own[at], -at))
        it = card.characteristics[worst]
        found.append(Reason(known.codes[family], it.feature, short / 2000, text_of(it, bins[worst])))
    return tuple(found)


def text_of(characteristic: Characteristic, code: int) -> str:
    """Give the text for a bin: that of missing values has its own."""
    missing = code == characteristic.binning.missing
    return (characteristic.reason_missing or characteristic.reason) if missing else characteristic.reason

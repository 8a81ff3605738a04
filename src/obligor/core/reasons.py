"""Why a score is not higher: the principal reasons of an adverse action.

The method is one that Regulation B's official commentary names (12 CFR 1002, comment 9(b)(2)-5): a characteristic counts by how
far its points fall short of the mean points of applicants whose score was at the cut-off or slightly above. These means are
part of the card. Points below the maximum, which many scorecards use, are not such a method: they name whatever
has a wide range.

A pair of characteristics falls short for both alike: half of its shortfall counts for each (``shapley`` tells when that is
its Shapley value).
Characteristics of one reason family count together. Only what falls short is a reason, at most four by default (comment
-1), the larger first, and in the order of the card where they are equal. Everything is a whole number, in halves of a
thousandth of a point, so that every engine gives the same reasons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from obligor.core.errors import CardError
from obligor.core.expressions import define_function

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from obligor.core.scorecard import Characteristic, Scorecard

MOST_REASONS = 4


class Reason(NamedTuple):
    """One reason: what fell short, by how much, and the text that an applicant reads.

    A named tuple, since four of them are made for every decision and a frozen dataclass takes twice as long to make.
    """

    code: str
    """The reason family, or the characteristic where it stands alone."""
    feature: str
    """The characteristic of the family that fell short most."""
    shortfall: float
    """In points."""
    text: str
    """As the contract words it, for the value or for its absence; empty where the contract has none (``check_reasons``)."""


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
        found = [table[bins[at]] for at, table in enumerate(self.tables)]
        for one, other, cells in self.pairs:
            short = cells[bins[one]][bins[other]]
            found[one] += short
            found[other] += short
        return found


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


@dataclass(frozen=True, slots=True)
class Explainer:
    """The reasons of a card, compiled: one generated function ranks the families of an application."""

    shortfalls: Shortfalls
    texts: tuple[tuple[str, ...], ...]
    """By characteristic and bin."""
    members: tuple[tuple[int, ...], ...]
    """The characteristics of each family."""
    ranked: Callable[[Sequence[int]], list[int]]
    """Gives shortfall * families + place from the end for each family that falls short, the largest first."""

    def explain(self, bins: Sequence[int], *, most: int = MOST_REASONS) -> tuple[Reason, ...]:
        """Give the principal reasons of an application, told by the bins of its characteristics."""
        size, names, texts = len(self.members), self.shortfalls.names, self.texts
        found = []
        for rank in self.ranked(bins)[:most]:
            short, after = divmod(rank, size)
            family = size - 1 - after
            members = self.members[family]
            at = members[0] if len(members) == 1 else self._worst(members, bins)
            found.append(Reason(self.shortfalls.codes[family], names[at], short / 2000, texts[at][bins[at]]))
        return tuple(found)

    def _worst(self, members: Sequence[int], bins: Sequence[int]) -> int:
        own = self.shortfalls.of(bins)
        return max(members, key=own.__getitem__)


@dataclass(frozen=True, slots=True)
class ReasonSource:
    """The reasons of a card before they are compiled: lines of Python that rank its families, and what they name."""

    shortfalls: Shortfalls
    texts: tuple[tuple[str, ...], ...]
    members: tuple[tuple[int, ...], ...]
    lines: tuple[str, ...]
    constants: Mapping[str, object]


def reason_source(card: Scorecard) -> ReasonSource:
    """Write the lines that rank the families of an application by its bins, ``row``."""
    known = shortfalls_of(card)
    members = tuple(
        tuple(at for at, its in enumerate(known.families) if its == family) for family in range(len(known.codes))
    )
    texts = tuple(tuple(_text(it, code) for code in range(len(it.bins))) for it in card.characteristics)
    lines, constants = _rank_lines(known, members)
    return ReasonSource(known, texts, members, lines, constants)


def compile_reasons(card: Scorecard) -> Explainer:
    """Compile the reasons of a card."""
    source = reason_source(card)
    ranked = define_function(source.lines, constants=source.constants)
    return Explainer(source.shortfalls, source.texts, source.members, ranked)


def explain(card: Scorecard, bins: Sequence[int], *, most: int = MOST_REASONS) -> tuple[Reason, ...]:
    """Give the principal reasons of one application; for many, compile the card's reasons once."""
    return compile_reasons(card).explain(bins, most=most)


def _rank_lines(known: Shortfalls, members: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], dict[str, object]]:
    """Write the sum of each family, times their number, plus a place, so that no two are equal and order decides."""
    size = len(members)
    constants: dict[str, object] = {
        f"short{at}": tuple(short * size for short in table) for at, table in enumerate(known.tables)
    }
    terms = {at: [f"short{at}[bin{at}]"] for at in range(len(known.tables))}
    lines = [f"{''.join(f'bin{at}, ' for at in terms)}= row"] if terms else []
    for index, (one, other, cells) in enumerate(known.pairs):
        constants[f"cells{index}"] = tuple(tuple(short * size for short in row) for row in cells)
        lines.append(f"pair{index} = cells{index}[bin{one}][bin{other}]")
        for at in (one, other):
            terms[at].append(f"pair{index}")
    sums = [
        " + ".join((*(t for at in family for t in terms[at]), repr(size - 1 - place)))
        for place, family in enumerate(members)
    ]
    lines.append(f"ranked = [it for it in ({''.join(f'{each}, ' for each in sums)}) if it >= {size!r}]")
    lines += ["ranked.sort(reverse=True)", "return ranked"]
    return tuple(lines), constants


def _text(characteristic: Characteristic, code: int) -> str:
    """Give the text of a bin; what is said of a value is never said of its absence, which it would not describe."""
    return characteristic.reason_missing if code == characteristic.binning.missing else characteristic.reason


class Untold(NamedTuple):
    """A bin that can be a principal reason and has no text: a notice that needs it cannot be written."""

    feature: str
    bin: str
    """Its label."""


def check_reasons(card: Scorecard) -> tuple[Untold, ...]:
    """Name every bin of a card that can fall short of the reference means and has no reason text, in the order of the card.

    A bin can fall short where it does so in some cell of its pairs. The bin of missing values needs a text of its own, but
    for a column that must have a value and for a count.
    """
    known = shortfalls_of(card)
    found = []
    for at, it in enumerate(card.characteristics):
        for code, short in enumerate(_most_short(known, at)):
            impossible = code == it.binning.missing and _never_missing(card, it.feature)
            if short > 0 and not impossible and not _text(it, code):
                found.append(Untold(it.feature, it.bins[code].label))
    return tuple(found)


def _most_short(known: Shortfalls, at: int) -> list[int]:
    """Give the most by which each bin of a characteristic can fall short, its pairs counted in."""
    most = list(known.tables[at])
    for one, other, cells in known.pairs:
        if at == one:
            most = [short + max(row) for short, row in zip(most, cells, strict=True)]
        elif at == other:
            most = [short + max(column) for short, column in zip(most, zip(*cells, strict=True), strict=True)]
    return most


def _never_missing(card: Scorecard, name: str) -> bool:
    if name in card.features:
        return card.features[name].aggregate == "count"
    return card.applications.columns[name].required

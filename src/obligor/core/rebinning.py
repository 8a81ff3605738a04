"""Changes of bins by hand: each is a value, and gives new bins from old ones.

A person counts bins from 1, in the order in which the card shows them. Only ordinary bins (intervals, groups of levels) can
be changed: special codes, missing values and levels that were never seen keep bins of their own. Whatever the change, every
value still has exactly one bin.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from obligor.core.bins import Bins, CategoryBins, NumericBins
from obligor.core.errors import CardError, EditError
from obligor.core.faults import first_fault
from obligor.core.strict_json import StrictModel

_MOST_SHOWN = 60
_FEWEST = 2
_KINDS = {
    "merge": "merge",
    "split": "split at a cut",
    "split_levels": "split by levels",
    "move_cut": "move of a cut",
    "move_level": "move of a level",
    "undo": "change that is none",
}


class Merge(StrictModel):
    """Join bins: neighbours where they are intervals, any where they are groups of levels."""

    kind: Literal["merge"] = "merge"
    bins: tuple[int, ...]
    """The numbers of the bins."""


class Split(StrictModel):
    """Cut an interval in two."""

    kind: Literal["split"] = "split"
    at: float
    """The new cut: the lowest value of the upper bin."""


class SplitLevels(StrictModel):
    """Give some levels of a group a group of their own, behind it."""

    kind: Literal["split_levels"] = "split_levels"
    levels: tuple[str, ...]
    """Levels of one group; at least one other stays in it."""


class MoveCut(StrictModel):
    """Move a cut, but not past its neighbours."""

    kind: Literal["move_cut"] = "move_cut"
    cut: float
    """The cut, in full or as the labels of the bins show it."""
    to: float
    """Where it goes."""


class MoveLevel(StrictModel):
    """Move a level of a category to another group."""

    kind: Literal["move_level"] = "move_level"
    level: str
    """The level; it is not the last of its group."""
    bin: int
    """The number of the bin that it goes to."""


class Undo(StrictModel):
    """Take back the last change of the characteristic that was not taken back yet."""

    kind: Literal["undo"] = "undo"


Change = Annotated[Merge | Split | SplitLevels | MoveCut | MoveLevel | Undo, Field(discriminator="kind")]
_CHANGES: TypeAdapter[Change] = TypeAdapter(Change)


def parse_change(plain: object) -> Change:
    """Read a change from plain data.

    Raises
    ------
    EditError
        Where it is none, such as a cut that is not a finite number.
    """
    try:
        return _CHANGES.validate_python(plain, strict=False)
    except ValidationError as error:
        raise EditError(f"edit: {first_fault(error)}") from None


def rebin(change: Change, bins: Bins) -> Bins:
    """Give the bins after a change.

    Raises
    ------
    EditError
        Where the bins do not allow it; the message names the bin by its number.
    """
    try:
        match change, bins:
            case Merge(), NumericBins():
                return _merged_intervals(change, bins)
            case Merge(), CategoryBins():
                return _merged_groups(change, bins)
            case Split(), NumericBins():
                return _with_cuts(bins, (*bins.cuts, _new_cut(change.at, bins)))
            case MoveCut(), NumericBins():
                return _moved_cut(change, bins)
            case SplitLevels(), CategoryBins():
                return _split_group(change, bins)
            case MoveLevel(), CategoryBins():
                return _moved_level(change, bins)
            case _:
                raise EditError(_misfit(change, bins))
    except CardError as error:
        raise EditError(error.message) from None


def describe(change: Change, bins: Bins) -> str:
    """Say in words what a change does to some bins."""
    match change:
        case Merge(bins=numbers):
            return f"joined {' and '.join(_named(number, bins) for number in sorted(set(numbers)))}"
        case Split(at=at):
            return (
                f"split {_named(bins.assign(at) + 1, bins)} at {at:.6g}" if isinstance(bins, NumericBins) else "split"
            )
        case SplitLevels(levels=levels):
            source = f" from bin {bins.assign(levels[0]) + 1}" if isinstance(bins, CategoryBins) and levels else ""
            return f"split off {_listed(levels)}{source}"
        case MoveCut(cut=cut, to=to):
            return f"moved the cut {cut:.6g} to {to:.6g}"
        case MoveLevel(level=level, bin=number):
            source = f" from bin {bins.assign(level) + 1}" if isinstance(bins, CategoryBins) else ""
            return f"moved {_listed((level,))}{source} to bin {number}"
        case Undo():
            return "took back the last edit"


# --- intervals ---------------------------------------------------------------------------------------------------------


def _merged_intervals(change: Merge, bins: NumericBins) -> NumericBins:
    places = _places(change.bins, bins)
    apart = next((at for at in places[1:] if at - 1 not in places), None)
    if apart is not None:
        before = max(at for at in places if at < apart)
        raise EditError(
            f"'{bins.feature}': {_named(before + 1, bins)} and {_named(apart + 1, bins)} are not neighbours; "
            "wanted intervals that touch"
        )
    return _with_cuts(bins, bins.cuts[: places[0]] + bins.cuts[places[-1] :])


def _new_cut(at: float, bins: NumericBins) -> float:
    if at in bins.cuts:
        raise EditError(f"'{bins.feature}': has a cut at {at!r} already; wanted a number inside a bin")
    return at


def _moved_cut(change: MoveCut, bins: NumericBins) -> NumericBins:
    place = bins.cuts.index(_cut_named(change.cut, bins))
    low, high = ((None, *bins.cuts)[place], (*bins.cuts, None)[place + 1])
    if (low is not None and change.to <= low) or (high is not None and change.to >= high):
        between = " and ".join("no limit" if it is None else f"{it:.6g}" for it in (low, high))
        raise EditError(
            f"'{bins.feature}': the cut {change.cut:.6g} cannot go to {change.to:.6g}; "
            f"wanted a number between its neighbours, {between}",
            hint="merge the bins between them first",
        )
    return _with_cuts(bins, (*bins.cuts[:place], change.to, *bins.cuts[place + 1 :]))


def _cut_named(wanted: float, bins: NumericBins) -> float:
    """Find a cut by its value, or by the digits that labels show of it."""
    if wanted in bins.cuts:
        return wanted
    found = [cut for cut in bins.cuts if f"{cut:.6g}" == f"{wanted:.6g}"]
    if len(found) != 1:
        listed = ", ".join(f"{cut:.6g}" for cut in bins.cuts) or "none"
        raise EditError(
            f"'{bins.feature}': has {'no' if not found else 'more than one'} cut {wanted:.6g}; it has {listed}"
        )
    return found[0]


def _with_cuts(bins: NumericBins, cuts: tuple[float, ...]) -> NumericBins:
    return NumericBins(bins.feature, tuple(sorted(cut + 0.0 for cut in cuts)), bins.specials)  # -0.0 becomes 0.0


# --- groups of levels --------------------------------------------------------------------------------------------------


def _merged_groups(change: Merge, bins: CategoryBins) -> CategoryBins:
    first, *others = _places(change.bins, bins)
    joined = tuple(sorted(level for at in (first, *others) for level in bins.groups[at]))
    groups = (joined if at == first else group for at, group in enumerate(bins.groups) if at not in others)
    return CategoryBins(bins.feature, tuple(groups), bins.specials)


def _split_group(change: SplitLevels, bins: CategoryBins) -> CategoryBins:
    owners = {_group_of(level, bins) for level in change.levels}
    if len(owners) != 1:
        raise EditError(
            f"'{bins.feature}': the levels {_listed(change.levels)} stand in {len(owners)} bins; wanted levels of one bin"
        )
    owner = owners.pop()
    away, stay = _parted(bins.groups[owner], change.levels, bins)
    groups = (*bins.groups[:owner], stay, away, *bins.groups[owner + 1 :])
    return CategoryBins(bins.feature, groups, bins.specials)


def _moved_level(change: MoveLevel, bins: CategoryBins) -> CategoryBins:
    (target,), owner = _places((change.bin,), bins, least=1), _group_of(change.level, bins)
    if target == owner:
        raise EditError(
            f"'{bins.feature}': {_listed((change.level,))} stands in bin {change.bin} already; wanted another bin"
        )
    _, stay = _parted(bins.groups[owner], (change.level,), bins)
    moved = {owner: stay, target: tuple(sorted((*bins.groups[target], change.level)))}
    return CategoryBins(
        bins.feature, tuple(moved.get(at, group) for at, group in enumerate(bins.groups)), bins.specials
    )


def _parted(
    group: tuple[str, ...], away: tuple[str, ...], bins: CategoryBins
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    stay = tuple(level for level in group if level not in away)
    if not stay:
        raise EditError(
            f"'{bins.feature}': without {_listed(away)} {_named(bins.assign(group[0]) + 1, bins)} would have no level; "
            "wanted a level that stays",
            hint="merge two bins to be rid of one",
        )
    return tuple(sorted(set(away))), stay


def _group_of(level: str, bins: CategoryBins) -> int:
    code = bins.codes().get(level)
    if code is None:
        raise EditError(f"'{bins.feature}': has no level {_listed((level,))}; wanted a level that train shows")
    if code >= bins.ordinary:
        raise EditError(f"'{bins.feature}': {_listed((level,))} is a special code, which keeps a bin of its own")
    return code


# --- both --------------------------------------------------------------------------------------------------------------


def _places(numbers: tuple[int, ...], bins: Bins, *, least: int = _FEWEST) -> list[int]:
    """Give the codes of ordinary bins from their numbers, in order."""
    for number in numbers:
        if not 1 <= number <= bins.size:
            raise EditError(f"'{bins.feature}': has no bin {number}; wanted 1 to {bins.ordinary}")
        if number > bins.ordinary:
            raise EditError(
                f"'{bins.feature}': {_named(number, bins)} keeps a bin of its own; wanted 1 to {bins.ordinary}"
            )
    if len(set(numbers)) < least:
        raise EditError(f"'{bins.feature}': got {len(set(numbers))} bin to join, wanted at least {least}")
    return sorted({number - 1 for number in numbers})


def _named(number: int, bins: Bins) -> str:
    label = bins.labels()[number - 1] if 1 <= number <= bins.size else "unknown"
    return f"bin {number} ({label if len(label) <= _MOST_SHOWN else label[:_MOST_SHOWN] + '...'})"


def _listed(levels: tuple[str, ...]) -> str:
    return ", ".join(f"'{level}'" for level in levels)


def _misfit(change: Change, bins: Bins) -> str:
    own, wanted = ("a number", "cuts") if isinstance(bins, NumericBins) else ("a category", "levels")
    return (
        f"'{bins.feature}': is {own}, which has no place for a {_KINDS[change.kind]}; wanted a change of its {wanted}"
    )

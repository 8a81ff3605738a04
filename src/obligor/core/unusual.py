"""What is unusual about an application: values that the contract did not expect, and categories that the card never saw.

They are not refused, but for values beyond limits of which the contract says so. A value out of range, or a category that is
new, falls into the bin that the card declares for it; this tells which fields did, and why, and never a value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from obligor.core.bins import CategoryBins
from obligor.core.columns import Role
from obligor.core.expressions import define_function
from obligor.core.text import text_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from obligor.core.application import Form
    from obligor.core.columns import Column
    from obligor.core.scorecard import Scorecard

_BELOW = "below the lowest value that the contract expects"
_ABOVE = "above the highest value that the contract expects"
_NONE_OF = "none of the categories that the contract expects"
_UNSEEN = "a category that the card has never seen"


@dataclass(frozen=True, slots=True)
class Watch:
    """What is told of the applications of one form and card."""

    ranges: tuple[_Range, ...]
    levels: tuple[_Levels, ...]
    unseen: tuple[tuple[int, str, int], ...]
    """The place, the name and the bin of unseen levels of each characteristic that has one."""

    @classmethod
    def of(cls, form: Form, card: Scorecard) -> Watch:
        """Lay out what a form's columns and a card's characteristics expect."""
        columns = {name: it for name, it in form.columns.items() if Role.APPLIED_AT not in it.role}
        limited = {
            name: it for name, it in columns.items() if not it.refuses and (it.min is not None or it.max is not None)
        }
        return cls(
            tuple(_Range(name, it.min, it.max, {*it.special, *it.missing_numbers}) for name, it in limited.items()),
            tuple(_levels(name, it) for name, it in columns.items() if it.type == "text" and it.levels is not None),
            tuple(
                (at, it.feature, it.binning.unseen)
                for at, it in enumerate(card.characteristics)
                if isinstance(it.binning, CategoryBins)
            ),
        )

    def unusual(self, fields: Mapping[str, object], bins: Sequence[int]) -> tuple[str, ...]:
        """Tell of each field that is unusual, once: its name and why.

        Parameters
        ----------
        bins
            The bin of each characteristic, in the order of the card.
        """
        found: dict[str, str] = {}
        for limited in self.ranges:
            if why := limited.told(fields.get(limited.name)):
                found[limited.name] = why
        for listed in self.levels:
            level = listed.clean(fields.get(listed.name))
            if level is not None and level not in listed.known:
                found.setdefault(listed.name, _NONE_OF)
        for at, name, unseen in self.unseen:
            if bins[at] == unseen:
                found.setdefault(name, _UNSEEN)
        return tuple([f"{name}: {why}" for name, why in found.items()])


@dataclass(frozen=True, slots=True)
class _Range:
    name: str
    low: object
    high: object
    codes: Collection[object]

    def told(self, value: object) -> str:
        """Tell how a value is out of range; nothing where it is not."""
        if value is None or value in self.codes:
            return ""
        if self.low is not None and value < self.low:  # type: ignore[operator]  # of the column's type, as the limits are
            return _BELOW
        return _ABOVE if self.high is not None and value > self.high else ""  # type: ignore[operator]  # the same


@dataclass(frozen=True, slots=True)
class _Levels:
    name: str
    known: frozenset[object]
    clean: Callable[[object], object]


def _levels(name: str, column: Column) -> _Levels:
    lines, constants = text_lines(column, variable="row", slot="q")
    clean = define_function([*lines, "return row"], constants=constants)
    return _Levels(name, frozenset((*(column.levels or ()), *column.special)), clean)

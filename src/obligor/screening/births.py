"""What is known of a birth date: a day, a month, a year, a range, or about one of them; and how two of them agree."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, Literal, Self

from obligor.core.errors import ScreeningError

Agreement = Literal["exact", "swapped", "compatible", "near", "different", "unknown"]
"""From the strongest to the weakest; `unknown` where one side has no date, which speaks neither for nor against."""

_ABOUT: Final = timedelta(days=2 * 366)
_NEAR: Final = timedelta(days=366)
_ORDER: Final[tuple[Agreement, ...]] = ("exact", "swapped", "compatible", "near", "different", "unknown")
_RANGE: Final = re.compile(r"\s+to\s+|(?<=\d{4})\s*-\s*(?=\d{4}$)")
_PRECISIONS: Final = ("year", "month", "day")
_WORDS: Final = (("%d %b %Y", "day"), ("%b %Y", "month"), ("%Y", "year"))
_ISO_SHAPE: Final = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class BirthDate:
    """The first and the last day that somebody may be born on."""

    earliest: date
    latest: date
    about: bool = False
    """Whether the days are an estimate."""

    def __post_init__(self) -> None:
        if self.latest < self.earliest:
            raise ScreeningError("a birth date ends before it begins")

    @classmethod
    def on(cls, day: date) -> Self:
        """Give the birth date that is known to the day."""
        return cls(day, day)

    @property
    def is_day(self) -> bool:
        """Whether it is one day for certain."""
        return self.earliest == self.latest and not self.about


def parse_born(text: str) -> BirthDate:
    """Read the birth date of an applicant: ``1970-01-31``, ``1970-01`` or ``1970``; an error does not repeat it."""
    try:
        if _ISO_SHAPE.fullmatch(text):
            return _known(date.fromisoformat(f"{text}-01-01"[:10]), _PRECISIONS[text.count("-")])
    except ValueError:
        pass
    raise ScreeningError("born: is no date; wanted one such as 1970-01-31, 1970-01 or 1970")


def parse_listed(text: str) -> BirthDate:
    """Read a birth date as OFAC writes it: ``12 Mar 1952``, ``Mar 1952``, ``1952``, ``circa 1952``, ``1952 to 1954``."""
    told = " ".join(text.split())
    about = told.lower().startswith("circa ")
    sides = _RANGE.split(told[6:] if about else told)
    read = [_read(side) for side in sides]
    found = [it for it in read if it is not None]
    if len(found) != len(sides) or len(sides) > 2:  # noqa: PLR2004  a range has two sides
        raise ScreeningError(
            f"birth date {told[:60]!r}: cannot be read; wanted one such as '12 Mar 1952' or 'circa 1952'"
        )
    return BirthDate(found[0].earliest, found[-1].latest, about)


def agreement(born: BirthDate | None, listed: tuple[BirthDate, ...]) -> Agreement:
    """Tell how well an applicant's birth date goes with those of a list entry: the best of them."""
    if born is None or not listed:
        return "unknown"
    return min((_compared(born, it) for it in listed), key=_ORDER.index)


def _compared(born: BirthDate, listed: BirthDate) -> Agreement:
    if born.is_day and born == listed:
        return "exact"
    if born.is_day and listed.is_day and _swapped(born.earliest) == listed.earliest:
        return "swapped"
    gap = max(born.earliest - listed.latest, listed.earliest - born.latest)
    if gap <= (_ABOUT if listed.about or born.about else timedelta(0)):
        return "compatible"
    return "near" if gap <= _NEAR else "different"


def _swapped(day: date) -> date | None:
    """Give the date with day and month exchanged, where there is one."""
    try:
        return day.replace(month=day.day, day=day.month)
    except ValueError:
        return None


def _read(text: str) -> BirthDate | None:
    for form, precision in _WORDS:
        try:
            first = datetime.strptime(text.strip(), form).date()  # noqa: DTZ007  a birth date has no zone
        except ValueError:
            continue
        return _known(first, precision)
    return None


def _known(first: date, precision: str) -> BirthDate:
    """Give the birth date of which the first possible day is known to the day, the month or the year."""
    if precision == "day":
        return BirthDate(first, first)
    if precision == "month":
        return BirthDate(first, first.replace(day=monthrange(first.year, first.month)[1]))
    return BirthDate(first, date(first.year, 12, 31))

"""A list and rules, ready to screen applicants; what it says names the list, the algorithm and the rules it rests on."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from obligor.screening.births import parse_born
from obligor.screening.matching import ALGORITHM, Hit, Matcher
from obligor.screening.names import name_parts

if TYPE_CHECKING:
    from datetime import date

    from obligor.screening.births import BirthDate
    from obligor.screening.lists import About, ListSnapshot
    from obligor.screening.rules import Rules

MAX_AGE: Final = timedelta(days=10)
"""How old a list may be, where nothing else is said: the list of OFAC changes about every week."""
_MOST_KEPT: Final = 1 << 11
Asked = tuple[tuple[str, ...], "BirthDate | None"]
"""The parts of a name, and the birth date."""


@lru_cache(maxsize=_MOST_KEPT)
def asked_of(names: tuple[str, ...], born: str | None) -> tuple[Asked, ...]:
    """Give what is asked of a list for a person: each of their names, with the birth date.

    Raises
    ------
    ScreeningError
        Where a name cannot be compared, or the birth date is none; neither is repeated.
    """
    day = None if born is None else parse_born(born)
    return tuple((parts, day) for parts in dict.fromkeys(map(name_parts, names)))


class Screening(NamedTuple):
    """What a screening found, and on what it rests."""

    hits: tuple[Hit, ...]
    """The most alike first."""
    snapshot_sha256: str
    algorithm: str
    config_sha256: str
    stale: bool
    """Whether the list is too old to rely on: then no hit means nothing."""


@dataclass(frozen=True, slots=True)
class Screener:
    """Screens against one list.

    It remembers what it found for some thousand names, by their parts and birth dates. A new list is a new screener, which
    remembers nothing of the old one, nor do other rules.
    """

    matcher: Matcher
    max_age: timedelta = MAX_AGE
    config_sha256: str = field(init=False)
    _found: OrderedDict[Asked, tuple[Hit, ...]] = field(init=False, default_factory=OrderedDict, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "config_sha256", self.matcher.rules.sha256)

    @classmethod
    def of(cls, snapshot: ListSnapshot, rules: Rules | None = None, *, max_age: timedelta = MAX_AGE) -> Self:
        """Make a list ready to be screened against."""
        return cls(Matcher.of(snapshot, rules), max_age)

    @property
    def about(self) -> About:
        """Which list it is."""
        return self.matcher.prepared.about

    def screen(self, name: str, born: BirthDate | None = None, *, today: date) -> Screening:
        """Screen one applicant.

        Raises
        ------
        ScreeningError
            Where the name cannot be compared; the message does not repeat it.
        """
        return self.screening(self.hits((name_parts(name), born)), today=today)

    def screening(self, hits: tuple[Hit, ...], *, today: date) -> Screening:
        """Put what was found beside what it rests on."""
        stale = self.about.is_stale(today=today, max_age=self.max_age)
        return Screening(hits, self.about.sha256, ALGORITHM, self.config_sha256, stale)

    def asked(self, names: tuple[str, ...], born: str | None) -> tuple[Asked, ...]:
        """Give what is asked for a person, as ``asked_of`` does."""
        return asked_of(names, born)

    def hits(self, asked: Asked) -> tuple[Hit, ...]:
        """Give the entries that are alike enough, and remember them."""
        found = self.known(asked)
        if found is None:
            found = self._found[asked] = self.matcher.hits(*asked)
            if len(self._found) > _MOST_KEPT:
                self._found.popitem(last=False)
        return found

    def known(self, asked: Asked) -> tuple[Hit, ...] | None:
        """Give what was found for the same question before; none where it was not asked, or long ago."""
        return self._found.get(asked)

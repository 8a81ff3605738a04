"""A list and rules, ready to screen applicants; what it says names the list, the algorithm and the rules it rests on."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from obligor.screening.matching import ALGORITHM, Hit, Matcher
from obligor.screening.names import name_parts
from obligor.screening.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from obligor.screening.births import BirthDate
    from obligor.screening.lists import ListSnapshot

MAX_AGE: Final = timedelta(days=10)
"""How old a list may be, where nothing else is said: the list of OFAC changes about every week."""
_KEPT: Final = 1 << 12


class Screening(NamedTuple):
    """What a screening found, and on what it rests."""

    hits: tuple[Hit, ...]
    """The most alike first."""
    snapshot_sha256: str
    algorithm: str
    config_sha256: str
    stale: bool
    """Whether the list is too old to rely on: then no hit means nothing."""


@dataclass(frozen=True)
class Screener:
    """Screens against one list; building it takes about half a second for 20,000 names.

    It remembers what it found for some thousand names, by their parts and birth dates. A new list is a new screener, which
    remembers nothing of the old one.
    """

    snapshot: ListSnapshot
    rules: Rules = field(default_factory=Rules)
    max_age: timedelta = MAX_AGE

    def __post_init__(self) -> None:
        _ = self._hits  # what is costly is done when it is built

    def screen(self, name: str, born: BirthDate | None = None, *, today: date) -> Screening:
        """Screen one applicant.

        Raises
        ------
        ScreeningError
            Where the name cannot be compared; the message does not repeat it.
        """
        hits = self._hits(name_parts(name), born)
        stale = self.snapshot.is_stale(today=today, max_age=self.max_age)
        return Screening(hits, self.snapshot.sha256, ALGORITHM, self._config_sha256, stale)

    @cached_property
    def _hits(self) -> Callable[[tuple[str, ...], BirthDate | None], tuple[Hit, ...]]:
        return lru_cache(maxsize=_KEPT)(Matcher(self.snapshot, self.rules).hits)

    @cached_property
    def _config_sha256(self) -> str:
        return self.rules.sha256

"""Acts of the audit log, as people read them: who did what and when, of what was done nothing.

Some roles read every act. Others read their own, and those of the areas that the table of permissions gives their role: the
area of an act is the first word of its kind, and that of a proposal is the area of what was proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from obligor.security.permissions import areas_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from obligor.serving.acts import Caller

MOST_ACTS: Final = 200
"""How many a page tells."""
MOST_LOOKED_AT: Final = 10_000
"""How many leaves a page looks at, so that one who may read few keeps nobody waiting."""


class Span(NamedTuple):
    """Of which acts is asked: from a time, before another, and below a leaf."""

    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None


class Page(NamedTuple):
    """Acts, the newest first."""

    acts: list[dict[str, Any]]
    next: int | None
    """The leaf below which the next page begins; none where there is no more."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data, as it is answered."""
        return {"acts": self.acts, "next_cursor": None if self.next is None else str(self.next)}


class ActArchive(Protocol):
    """Where acts are found again."""

    async def bounds(self, span: Span) -> tuple[int, int]:
        """Give the first leaf of a span, and the one after its last."""
        ...

    async def acts(
        self, start: int, stop: int, *, by: str, areas: Sequence[str] | None, most: int
    ) -> list[dict[str, Any]]:
        """Give the newest acts between two leaves: those by somebody and those of areas; of all areas without any."""
        ...


async def read_acts(archive: ActArchive, caller: Caller, span: Span) -> Page:
    """Give a page of the acts that a caller may read; it may be empty, and the next is not.

    Raises
    ------
    ForbiddenError
        Where they may read none.
    """
    areas = areas_of(caller)
    start, stop = await archive.bounds(span)
    looked = max(start, stop - MOST_LOOKED_AT)
    found = await archive.acts(
        looked, stop, most=MOST_ACTS, by=caller.by, areas=None if areas is None else sorted(areas)
    )
    left = found[-1]["leaf_index"] if len(found) == MOST_ACTS else looked
    return Page(found, left if left > start else None)

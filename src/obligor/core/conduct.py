"""How people decide: how fast, with whom, and whether always alike; for who looks after the risk to look at.

Nothing here proves anything. Below the fewest that are named here nothing is told, since of few anything may be by chance.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

READING: Final = timedelta(seconds=30)
"""Nobody reads a case in less: some hundred words."""
WINDOW: Final = timedelta(minutes=5)
"""The time of which the busiest is looked for."""
FEWEST_TIMED: Final = 10
"""As many as can be read in the window."""
FEWEST_PAIRED: Final = 5


class Count(NamedTuple):
    """How many there are of one kind, by one person or the same two."""

    said: Mapping[str, str]
    """What they are counted by."""
    by: str
    agreed_by: str | None
    number: int


class Pace(NamedTuple):
    """How fast a person decided."""

    by: str
    number: int
    most_in_window: int
    median_gap_s: float | None
    """Between one and the next; none of a single one."""

    @property
    def hasty(self) -> bool:
        """Whether nobody can have read that fast: in the busiest window, or usually."""
        read = WINDOW // READING
        usual = self.median_gap_s is not None and self.median_gap_s < READING.total_seconds()
        return self.number >= FEWEST_TIMED and (self.most_in_window > read or usual)


def pairs(counts: Sequence[Count]) -> Iterator[dict[str, Any]]:
    """Tell who agreed to whose, to what share of those that took two, and whether it is always the same person."""
    found, took_two = Counter[tuple[str, str]](), Counter[str]()
    for it in counts:
        if it.agreed_by is not None:
            found[it.by, it.agreed_by] += it.number
            took_two[it.by] += it.number
    for (by, agreed_by), count in sorted(found.items()):
        always = count == took_two[by] >= FEWEST_PAIRED
        yield {
            "by": by,
            "agreed_by": agreed_by,
            "count": count,
            "of_agreed": rate(count, took_two[by]),
            "always": always,
        }


def one_way(
    counts: Sequence[Count], names: Sequence[str], *, fewest: int, never_all: Collection[str] = ()
) -> Iterator[dict[str, Any]]:
    """Tell of whom all are alike in what those of others are not, or in what nobody's should all be."""
    for by in sorted({it.by for it in counts}):
        own = [it for it in counts if it.by == by]
        count = sum(it.number for it in own)
        for name in names if count >= fewest else ():
            values = {it.said[name] for it in own}
            if len(values) == 1 and (values <= {*never_all} or {it.said[name] for it in counts} != values):
                yield {"by": by, "count": count, name: values.pop()}


def rate(count: int, of: int) -> float | None:
    """Give a rate; of nothing there is none."""
    return round(count / of, 6) if of else None

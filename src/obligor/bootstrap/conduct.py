"""Reports how people decide: on overrides, reviews, proposals of others, and alerts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from obligor.bootstrap.acting import with_reader
from obligor.core.conduct import Count, Pace, one_way, pairs, rate
from obligor.core.leaves import time_text

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.bootstrap.store import Store


@dataclass(frozen=True, slots=True)
class Matter:
    """What people decide on, and what is looked at."""

    name: str
    permission: str
    kinds: tuple[str, ...]
    """What it is counted by."""
    one_way: tuple[str, ...] = ()
    """In what somebody's may all be alike."""
    fewest: int = 5
    """Of fewer by one person it is not told that they are."""
    never_all: tuple[str, ...] = ()
    """What is told where all of somebody's are, whatever those of others are."""


OVERRIDES: Final = Matter(
    "overrides", "conduct.report", ("direction", "outcome", "reason"), ("direction", "outcome", "reason")
)
REVIEWS: Final = Matter(
    "reviews", "conduct.report", ("verdict", "outcome"), ("verdict",), fewest=20, never_all=("kept",)
)
"""Who should change one in seven keeps twenty in a row in fewer than one of twenty cases."""
AGREEMENTS: Final = Matter("agreements", "conduct.report", ("kind",))
ALERT_STEPS: Final = Matter("alert_steps", "alert.read", ("step",))
"""Most alerts are of somebody else, so that who clears them all is not told of."""


@dataclass(frozen=True, slots=True)
class Report:
    """How often people decided on something: what, who, with whom, and how fast.

    Who always agrees to the same person's, whose all go one way, and who decided faster than anybody reads, is for a person to
    look at.
    """

    matter: Matter
    counts: tuple[Count, ...]
    paces: tuple[Pace, ...]
    since: datetime | None
    until: datetime | None
    decisions: int | None = None
    """Of the same time, where it is told how many of them it is."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``; a rate of nothing is none."""
        matter, number = self.matter, sum(it.number for it in self.counts)
        times = {"from": self.since, "to": self.until}
        of = {} if self.decisions is None else {"decisions": self.decisions, "rate": rate(number, self.decisions)}
        alike = one_way(self.counts, matter.one_way, fewest=matter.fewest, never_all=matter.never_all)
        return {
            **{name: None if it is None else time_text(it) for name, it in times.items()},
            **of,
            matter.name: number,
            **{kind: self._by(kind, number) for kind in (*matter.kinds, "by")},
            "pairs": list(pairs(self.counts)),
            "one_way": list(alike),
            "hasty": [it._asdict() for it in self.paces if it.hasty],
        }

    def _by(self, name: str, number: int) -> dict[str, dict[str, Any]]:
        found: Counter[str] = Counter()
        for it in self.counts:
            found[it.by if name == "by" else it.said[name]] += it.number
        return {value: {"count": count} | self._shares(count, number) for value, count in sorted(found.items())}

    def _shares(self, count: int, number: int) -> dict[str, float | None]:
        shares = {f"of_{self.matter.name}": rate(count, number)}
        return shares if self.decisions is None else shares | {"of_decisions": rate(count, self.decisions)}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said, name = self.to_plain(), self.matter.name
        of = "" if self.decisions is None else f" of {self.decisions:,} decisions{_percent(said['rate'])}"
        told = [f"{said[name]:,} {name.replace('_', ' ')}{of}"]
        for kind in (*self.matter.kinds, "by"):
            told += [f"{kind} {value}: {it['count']:,}{_percent(it[f'of_{name}'])}" for value, it in said[kind].items()]
        told += [
            f"by {it['by']}, {it['agreed_by']} agreed: {it['count']:,}{_percent(it['of_agreed'])} of what anybody agreed to"
            f"{'  ALWAYS THE SAME TWO' if it['always'] else ''}"
            for it in said["pairs"]
        ]
        for it in said["one_way"]:
            *_, (kind, value) = it.items()
            told.append(f"all {it['count']:,} by {it['by']} go one way: {kind} {value}")
        told += [
            f"faster than anybody reads, {it['by']}: {it['number']:,}, up to {it['most_in_window']:,} in five minutes, "
            f"usually {it['median_gap_s']:.1f} seconds apart"
            for it in said["hasty"]
        ]
        return told


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({share:.2%})"


def report_on(matter: Matter, *, since: datetime | None, until: datetime | None) -> Report:
    """Report how people decided on a matter in a time."""

    async def counted(store: Store) -> Report:
        counts = await store.conduct.counts(matter.name, since=since, until=until)
        paces = await store.conduct.paces(matter.name, since=since, until=until)
        decisions = await store.conduct.decisions(since=since, until=until) if matter is OVERRIDES else None
        return Report(matter, counts, paces, since, until, decisions)

    return with_reader(counted, matter.permission)

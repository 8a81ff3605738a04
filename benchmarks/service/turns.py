"""Two servers under load, in turns within one window, and what each did."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.service.database import Database
    from benchmarks.service.wrk import Figures

OURS = "obligor"
PATH = "/v1/decisions"
SLOW_FLUSH_US = 4000


@dataclass(frozen=True)
class Effort:
    """How long to load, in seconds, and how often."""

    seconds: int
    rounds: int
    warm: int


@dataclass(frozen=True)
class Side:
    """A server with its load; the first of two sides is the anchor."""

    name: str
    press: Callable[[int, int], Figures]
    """The load, from connections and seconds."""
    cpu_s: Callable[[], float]


def in_turns(
    sides: tuple[Side, Side], database: Database, effort: Effort, connections: tuple[int, ...]
) -> dict[str, dict[str, Any]]:
    """Load two sides in turns, and give what each did and the median ratio of the second to the first."""
    before, answered = _decisions(database), 0
    for side in sides:
        answered += _counted(side, side.press(16, effort.warm))
    seen: dict[tuple[str, int], list[Figures]] = {}
    spent: dict[tuple[str, int], list[float]] = {}
    for number in range(effort.rounds):
        for at in connections:
            for side in sides:
                began = side.cpu_s()
                figures = side.press(at, effort.seconds)
                spent.setdefault((side.name, at), []).append(1e6 * (side.cpu_s() - began) / figures.requests)
                seen.setdefault((side.name, at), []).append(figures)
                answered += _counted(side, figures)
                print(f"round {number + 1}, {at} at once, {side.name}: {_told(figures)}", flush=True)
            database.query("CHECKPOINT")  # of what one side wrote, so that the other does not run beside it
    kept = _decisions(database) - before
    if kept < answered:
        raise RuntimeError(f"{answered} decisions were answered, {kept} were kept")
    return {
        str(at): {
            **{side.name: _median(seen[side.name, at], spent[side.name, at]) for side in sides},
            "ratio": _ratio(*(seen[side.name, at] for side in sides)),
        }
        for at in connections
    }


def _counted(side: Side, figures: Figures) -> int:
    return figures.requests if side.name == OURS else 0


def _median(figures: list[Figures], spent: list[float]) -> dict[str, float]:
    told = [it.plain() for it in figures]
    return {name: statistics.median(it[name] for it in told) for name in told[0]} | {
        "cpu_us": round(statistics.median(spent))
    }


def _ratio(theirs: list[Figures], ours: list[Figures]) -> float:
    return round(statistics.median(b.per_s / a.per_s for a, b in zip(theirs, ours, strict=True)), 3)


def _told(it: Figures) -> str:
    return f"{it.per_s:,.0f} a second, p50 {it.p50_ms:.2f} ms, p99 {it.p99_ms:.2f} ms"


def _decisions(database: Database) -> int:
    """Count what is durable."""
    return int(database.query("SELECT count(*) FROM obligor.decision")[0][0])

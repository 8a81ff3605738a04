"""What an examination of a store finds: checks, each with its verdict, why, and what was counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Verdict = Literal["ok", "look", "broken", "not applicable"]
"""``look``: nothing is broken, but somebody should look."""
_MARKS: Mapping[Verdict, str] = {"ok": "ok    ", "look": "LOOK  ", "broken": "BROKEN", "not applicable": "n/a   "}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold, and whether it does."""

    name: str
    """I1 to I8 for the invariants, a word for what else must hold."""
    claim: str
    """What must hold, in a sentence."""
    verdict: Verdict
    why: str = ""
    """What is wrong, or what the verdict does not cover."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was looked at, and what of it was wrong."""

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {
            "check": self.name,
            "claim": self.claim,
            "verdict": self.verdict,
            "why": self.why,
            "counts": dict(self.counts),
        }

    def line(self) -> str:
        """Say it in a line."""
        counted = ", ".join(f"{count:,} {what}" for what, count in self.counts.items())
        said = "; ".join(part for part in (counted, self.why) if part)
        return f"{_MARKS[self.verdict]}  {self.name:<9}  {self.claim}{': ' if said else ''}{said}"


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks of one moment of a store."""

    checks: tuple[Check, ...]
    strict: bool = False
    """Whether what somebody should look at counts as broken."""

    @property
    def sound(self) -> bool:
        """Whether nothing is broken."""
        return not self._unsound()

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {"sound": self.sound, "checks": [check.to_plain() for check in self.checks]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        broken = self._unsound()
        return [*(check.line() for check in self.checks), f"NOT SOUND: {', '.join(broken)}" if broken else "sound"]

    def _unsound(self) -> list[str]:
        bad = ("broken", "look") if self.strict else ("broken",)
        return [check.name for check in self.checks if check.verdict in bad]


class Faults:
    """Counts what is wrong, and keeps the first."""

    def __init__(self, messages: Iterable[str] = ()) -> None:
        self.first, self.count = "", 0
        for message in messages:
            self.add(message)

    def add(self, message: str) -> None:
        """Add one."""
        self.first = self.first or message
        self.count += 1

    def told(self) -> str:
        """Tell the first, and how many more there are."""
        return self.first if self.count <= 1 else f"{self.first} (and {self.count - 1:,} more)"


def judged(name: str, claim: str, faults: Faults, counts: Mapping[str, int], *, note: str = "") -> Check:
    """Give a check that is broken where there are faults; ``note`` tells what one that is not broken does not cover."""
    return Check(name, claim, "broken" if faults.count else "ok", faults.told() or note, counts)


def looked_at(name: str, claim: str, faults: Faults, counts: Mapping[str, int]) -> Check:
    """Give a check of what breaks nothing, and which somebody should look at all the same."""
    return Check(name, claim, "look" if faults.count else "ok", faults.told(), counts)

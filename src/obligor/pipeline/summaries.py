"""What the command line says at the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from obligor.core.scorecard import Scorecard


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A finished run in a few figures."""

    name: str
    accounting: Mapping[str, Any]
    characteristics: int
    samples: Mapping[str, Mapping[str, float | None]]
    cutoff: float
    """In points."""
    registered: str
    """The version in the registry; empty without one."""
    out: str
    report: str

    @classmethod
    def of(cls, card: Scorecard, evaluation: Mapping[str, Any], *, out: Path, registered: str) -> RunSummary:
        """Take the figures from the evaluation."""
        kept = ("n", "bads", "bad_rate", "auc", "gini", "ks", "brier", "log_loss")
        samples = {
            name: {key: evaluation[name][key] for key in kept}
            | {key: evaluation[name]["at_cutoff"][key] for key in ("approval_rate", "npl_rate")}
            for name in ("train", "validation", "test")
        }
        return cls(
            card.name,
            evaluation["accounting"],
            len(card.characteristics),
            samples,
            card.cutoff.score / 1000,
            registered,
            str(out),
            str(out / "report.html"),
        )

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        said = [f"{self.name}: {self.characteristics} characteristics, cut-off {self.cutoff:.0f} points", ""]
        said += accounting_lines(self.accounting)
        said += ["", f"{'':<12}{'loans':>9}{'bad rate':>10}{'Gini':>8}{'KS':>8}{'Brier':>8}{'approved':>10}{'NPL':>8}"]
        for name, it in self.samples.items():
            said.append(
                f"{name:<12}{it['n']:>9,}{_pct(it['bad_rate']):>10}{_num(it['gini']):>8}{_num(it['ks']):>8}"
                f"{_num(it['brier']):>8}{_pct(it['approval_rate']):>10}{_pct(it['npl_rate']):>8}"
            )
        if self.registered:
            said += ["", f"registered as {self.registered}"]
        return [*said, "", f"report: {self.report}"]


def accounting_lines(accounting: Mapping[str, Any]) -> list[str]:
    """Say where every row of a tape went, from the plain data of its accounting."""
    said = [f"{accounting['rows']:>9,} rows in the tape", f"{accounting['used']:>9,} used"]
    if accounting.get("declined"):
        said.append(f"{accounting['declined']:>9,} declined, without outcome")
    for fate in ("quarantined", "excluded"):
        said += [f"{count:>9,} {fate}: {reason}" for reason, count in accounting[fate].items()]
    return said


def _pct(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _num(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

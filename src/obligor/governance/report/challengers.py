"""What interpretability costs: the card beside the challengers, each at the cut-off that earns most on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import Frame, Series, line_chart
from obligor.governance.pages import NOTHING, amount, number, p_value
from obligor.governance.report.view import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.report.view import View

TITLES = {"boosted": "boosted trees", "additive": "additive tables"}

_CHANGES = (
    ("AUC", "auc", 4), ("Brier", "brier", 5), ("log loss", "log_loss", 5),
)  # fmt: skip


def fill(view: View) -> dict[str, Any] | None:
    """Put the card and the challengers into one table, and the changes into another."""
    challengers = view.evaluation["challengers"]
    if not challengers:
        return None
    rows = [("the card", challengers[0]["card"]), *((TITLES[it["name"]], it["test"]) for it in challengers)]
    return {
        "contenders": rows,
        "changes": _changes(challengers),
        "models": [(TITLES[it["name"]], it) for it in challengers],
        "held": challengers[0]["held_trends"],
        "roc": drawn(_roc(rows)),
    }


def _changes(challengers: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """Give each figure's change under every challenger, and below the AUC its p-value."""
    found = [it["against_card"] for it in challengers]
    rows = [(title, [_interval(it[name], digits) for it in found]) for title, name, digits in _CHANGES]
    rows.append(("profit per application", [_earned(it["profit_per_application"]) for it in found]))
    rows.insert(1, ("AUC, p", [p_value(it["auc"]["p"]) for it in found]))
    return rows


def _interval(change: Mapping[str, float | None], digits: int) -> str:
    if change["value"] is None:
        return NOTHING
    return f"{change['value']:+.{digits}f} ({number(change['lower'], digits)} to {number(change['upper'], digits)})"


def _earned(change: Mapping[str, float | None]) -> str:
    if change["value"] is None:
        return NOTHING
    return f"{amount(change['value'], '+')} ({amount(change['lower'])} to {amount(change['upper'])})"


def _roc(rows: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    frame = Frame((0, 1), (0, 1), "share of goods declined", "share of bads declined", "ROC on the test", height=360)
    lines = [Series(name, it["roc"], f"p{place}") for place, (name, it) in enumerate(rows)]
    return line_chart(frame, lines, diagonal=True)

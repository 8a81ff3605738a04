"""How groups fare, what stands in for them, and the cards that would treat them more alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import Cloud, Frame, Series, scatter_chart
from obligor.governance.report.view import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.report.view import View

_KINDS = (
    ("drop", "a characteristic left out", "p1"),
    ("bins", "coarser bins", "p3"),
    ("penalty", "a stronger penalty", "p2"),
)


def fill(view: View) -> dict[str, Any] | None:
    """Give the table of proxies and the frontiers; the comparison stands in the evaluation."""
    evaluation = view.evaluation
    if not evaluation["fairness"]:
        return None
    return {"proxies": _proxies(evaluation["proxies"]), "search": _search(evaluation["alternatives"])}


def _proxies(columns: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Give a line for all characteristics together and one for each, with a cell for every protected column."""
    told = [it for it in columns if it["groups"]]
    if not told:
        return None
    known = [{each["feature"]: each for each in column["characteristics"]} for column in told]
    names = list(dict.fromkeys(name for column in known for name in column))
    names.sort(key=lambda name: -max(column[name]["auc"] for column in known if name in column))
    return {
        "columns": [it["column"] for it in told],
        "together": [max(it["groups"], key=lambda group: group["auc"]) for it in told],
        "lines": [(name, [column.get(name) for column in known]) for name in names],
    }


def _search(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Give the frontier of each protected column, drawn, and a line for every card on one of them."""
    if not found:
        return None
    cards = found["alternatives"]
    columns = list(cards[0]["validation"]["impact_ratios"])
    return {
        "tried": len(cards) - 1,
        "failed": found["failed"],
        "columns": columns,
        "charts": [(column, drawn(svg)) for column in columns if (svg := _frontier(column, cards))],
        "lines": [it for it in cards if it["test"] is not None],
    }


def _frontier(column: str, cards: Sequence[Mapping[str, Any]]) -> str:
    points = [
        (it, (it["validation"]["impact_ratios"][column], it["validation"]["gini"], it["name"]))
        for it in cards
        if it["validation"]["impact_ratios"][column] is not None
    ]
    if not points:
        return ""
    clouds = [Cloud(name, style, [point for it, point in points if it["kind"] == kind]) for kind, name, style in _KINDS]
    clouds.append(Cloud("the card", "bads", [point for it, point in points if it["kind"] == "card"]))
    line = Series("frontier", sorted(point[:2] for it, point in points if column in it["on_frontier"]), "guide")
    ratios, ginis = ([point[at] for _, point in points] for at in (0, 1))
    frame = Frame(
        _span(ratios, most=1.0),
        _span(ginis, most=1.0),
        "impact ratio",
        "Gini",
        f"Gini against the impact ratio by {column}, on validation",
        height=340,
        y_text=lambda value: f"{value:.3g}",
    )
    return scatter_chart(frame, [it for it in clouds if it.points], line=line)


def _span(values: Sequence[float], *, most: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    reach = max((high - low) * 0.06, 0.005)
    return max(low - reach, 0.0), max(min(high + reach, most), high)

"""How the applicants have moved, and whether the bins keep their order over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import Frame, Series, line_chart
from obligor.governance.report.view import drawn, labels_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.report.view import View

_WATCH = 0.10


def fill(view: View) -> dict[str, Any]:
    """Give the index of the score and of each characteristic, by sample and by month, and the flips."""
    found = view.evaluation["stability"]
    rows = [("the score", found["score_psi"]), *((each["feature"], each) for each in found["characteristics"])]
    months = found["by_month"]
    by_month = {} if months is None else {each["feature"]: each for each in months["characteristics"]}
    if months is not None:
        by_month["the score"] = months["score"]
    return {
        "stability": [
            {
                "name": name,
                "validation": (row.get("validation") or {}).get("psi"),
                "test": (row.get("test") or {}).get("psi"),
                "chance": (row.get("test") or {}).get("quantile_95"),
                **_worst(months, by_month.get(name)),
            }
            for name, row in rows
        ],
        "months": months,
        "month_chart": drawn(_by_month(months)),
        "flips": found["flips"],
    }


def _worst(months: Mapping[str, Any] | None, row: Mapping[str, Any] | None) -> dict[str, Any]:
    """Count the months above 0.10 and above chance, and name the one of them that moved most."""
    if months is None or row is None:
        return {"moved": 0, "worst": None, "worst_month": ""}
    known = [
        (value, month, chance)
        for value, month, chance in zip(row["psi"], months["months"], row["quantile_95"], strict=True)
        if value is not None and chance is not None
    ]
    moved = [each for each in known if each[0] > max(_WATCH, each[2])]
    value, month, _ = max(moved, default=(None, "", None))
    return {"moved": len(moved), "worst": value, "worst_month": month}


def _by_month(months: Mapping[str, Any] | None) -> str:
    if months is None or len(months["months"]) < 2:  # noqa: PLR2004  a line needs two points
        return ""
    score = months["score"]
    lines = [
        Series(name, [(at, value) for at, value in enumerate(score[key]) if value is not None], style, dots=dots)
        for name, key, style, dots in (("PSI", "psi", "bads", True), ("by chance", "quantile_95", "goods", False))
    ]
    top = max([value for line in lines for _, value in line.points] + [_WATCH]) * 1.1
    frame = Frame(
        (0, len(months["months"]) - 1),
        (0, min(top, 1.0)),
        "",
        "PSI",
        "Population stability index of the score by month, against train",
        x_text=labels_at(months["months"]),
    )
    lines = [Series(it.name, [(x, min(y, 1.0)) for x, y in it.points], it.style, dots=it.dots) for it in lines]
    return line_chart(frame, lines)

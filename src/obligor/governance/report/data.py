"""Where every row went, and what the loans did over time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import Frame, Series, line_chart, percent
from obligor.governance.report.view import drawn, labels_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.report.view import View

_MOST_LINES = 6


def fill(view: View) -> dict[str, Any]:
    """Draw the vintages."""
    vintages = view.evaluation["vintages"]
    return {"vintages": drawn(_vintages(vintages["rates"])), "curves": drawn(_curves(vintages["curves"]))}


def _vintages(rates: Sequence[Mapping[str, Any]]) -> str:
    if len(rates) < 2:  # noqa: PLR2004  a line needs two points
        return ""
    top = max(row["rate"] or 0 for row in rates) * 1.15 or 1
    names = [row["vintage"] for row in rates]
    frame = Frame(
        (0, len(rates) - 1),
        (0, top),
        "vintage",
        "bad rate",
        "Bad rate by vintage",
        x_text=labels_at(names),
        y_text=percent,
    )
    return line_chart(
        frame,
        [
            Series(
                "bad rate",
                [(i, row["rate"]) for i, row in enumerate(rates) if row["rate"] is not None],
                "bads",
                dots=True,
            )
        ],
    )


def _curves(curves: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(row["vintage"] for row in curves))
    if not names:
        return ""
    shown = names[:: max(1, -(-len(names) // _MOST_LINES))]
    top = max(row["bad_share"] for row in curves) * 1.1 or 1
    months = max(row["months_on_book"] for row in curves)
    frame = Frame(
        (0, months), (0, top), "months on book", "share gone bad", "Share gone bad by months on book", y_text=percent
    )
    lines = [
        Series(
            name, [(row["months_on_book"], row["bad_share"]) for row in curves if row["vintage"] == name], f"p{index}"
        )
        for index, name in enumerate(shown)
    ]
    return line_chart(frame, lines)

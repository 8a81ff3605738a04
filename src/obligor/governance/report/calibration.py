"""Whether the PDs hold: predicted against observed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import Frame, error_chart, percent
from obligor.governance.report.view import SAMPLES, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.report.view import View


def fill(view: View) -> dict[str, Any]:
    """Draw the reliability curve."""
    return {"reliability": drawn(_reliability(view.evaluation))}


def _reliability(evaluation: Mapping[str, Any]) -> str:
    shown = [
        (
            sample,
            [(g["pd_mean"], g["bad_rate"], g["lower"], g["upper"]) for g in evaluation[sample]["reliability"]],
        )
        for sample in SAMPLES[1:]
    ]
    top = max([max(x, upper) for _, points in shown for x, _, _, upper in points] + [1e-9]) * 1.05
    frame = Frame(
        (0, top),
        (0, top),
        "predicted PD",
        "observed bad rate",
        "Predicted PD and observed bad rate",
        height=360,
        x_text=percent,
        y_text=percent,
    )
    return error_chart(frame, shown)

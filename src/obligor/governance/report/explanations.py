"""How decisions are explained: what moves the scores, and three applicants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import ranked_chart, waterfall_chart
from obligor.governance.report.view import drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.report.view import View


def fill(view: View) -> dict[str, Any]:
    """Give the importance of each characteristic, and each example with its waterfall."""
    cutoff = view.evaluation["cutoff"]["score"] / 1000
    shown = [(it["feature"], it["mean_abs_shap"]) for it in view.evaluation["importance"]]
    return {
        "importance_chart": drawn(
            ranked_chart(
                "Mean of what each characteristic adds or takes",
                [(name, mean) for name, mean in shown if mean is not None],
                text=lambda value: f"{value:.2f}",
            )
        ),
        "examples": [
            {**it, "chart": drawn(waterfall(it["waterfall"], cutoff=cutoff))} for it in view.evaluation["examples"]
        ],
    }


def waterfall(steps: list[Mapping[str, Any]], *, cutoff: float) -> str:
    """Draw how a score comes about from the mean of train."""
    return waterfall_chart(
        "From the mean score to the score of the applicant",
        [(it["name"], it["start"], it["end"]) for it in steps],
        mark=cutoff,
        text=lambda value: f"{value:+.1f}",
    )

"""How decisions are explained: what moves the scores, and three applicants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import ranked_chart
from obligor.governance.explained import explained
from obligor.governance.report.view import drawn

if TYPE_CHECKING:
    from obligor.governance.report.view import View


def fill(view: View) -> dict[str, Any]:
    """Give the importance of each characteristic, and each applicant explained."""
    means = [(it["feature"], it["mean_abs_shap"]) for it in view.evaluation["importance"]]
    chart = ranked_chart(
        "Mean size of what each characteristic adds",
        [(name, mean) for name, mean in means if mean is not None],
        text=lambda value: f"{value:.2f}",
    )
    return {
        "importance_chart": drawn(chart),
        "examples": [(each, explained(each)) for each in view.evaluation["examples"]],
    }

"""An explanation as a person reads it: a part of the report, or a page of its own that opens offline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import waterfall_chart
from obligor.governance.pages import template, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from markupsafe import Markup


def explained(plain: Mapping[str, Any]) -> Markup:
    """Write the plain data of an explanation: its waterfall, reasons, changes, and every bin with its points."""
    from markupsafe import Markup

    chart = waterfall_chart(
        "From the mean score to the score of the applicant",
        [(it["name"], it["start"], it["end"]) for it in plain["waterfall"]],
        mark=plain["cutoff"],
        text=lambda value: f"{value:+.1f}",
    )
    shown = template("explained.html.j2").render(it=plain, chart=Markup(chart))  # noqa: S704  charts escape every text
    return Markup(shown)  # noqa: S704  templates escape what they are given


def render_explanation(plain: Mapping[str, Any]) -> str:
    """Write the explanation of one application as a page."""
    from markupsafe import Markup

    css = Markup(text("report/report.css"))  # noqa: S704  our own style sheet
    return template("explanation.html.j2").render(it=plain, css=css, explained=explained(plain)) + "\n"

"""Puts the page together: the verdict, then one section after another.

It reads the plain data of the evaluation, so that no number on the page stands anywhere but in `evaluation.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from obligor.governance.pages import number, rate, template, text
from obligor.governance.report import (
    calibration,
    challengers,
    characteristics,
    data,
    edits,
    explanations,
    fairness,
    figures,
    policy,
    ranking,
    rejects,
    stability,
)
from obligor.governance.report.view import Section, View
from obligor.governance.verdict.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.contract import Contract
    from obligor.core.scorecard import Scorecard

SECTIONS = (
    Section("figures", "Figures", figures.fill),
    Section("ranking", "Ranking", ranking.fill),
    Section("policy", "Where to draw the line", policy.fill),
    Section("calibration", "Calibration", calibration.fill),
    Section("points", "Points", lambda view: {"characteristics": view.evaluation["characteristics"]}),
    Section("characteristics", "Characteristics", characteristics.fill),
    Section("proposals", "Ratios", lambda view: {} if view.evaluation["proposals"] else None),
    Section("segments", "Segments", lambda view: {} if view.evaluation["segments"] else None),
    Section("edits", "Edits by hand", edits.fill),
    Section("explanations", "Explanations", explanations.fill),
    Section("stability", "Stability", stability.fill),
    Section("challengers", "Challengers", challengers.fill),
    Section("fairness", "Groups", fairness.fill),
    Section("rejects", "Declined", rejects.fill),
    Section("data", "Data", data.fill),
    Section("making", "How it was made", lambda _: {}),
)


def render_report(
    contract: Contract,
    *,
    card: Scorecard,
    evaluation: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    making: Sequence[tuple[str, str]],
) -> str:
    """Write the report as one self-contained HTML page.

    Parameters
    ----------
    findings
        The plain data of the validation's findings.
    making
        Names and values of what went in: hashes, versions, seed.
    """
    view = View(contract, card, evaluation, findings, making)
    page = template("report/page.html.j2").render(
        title=contract.title or contract.name,
        css=Markup(text("report/report.css")),  # noqa: S704  our own style sheet
        script_sha256=policy.script_sha256(),
        card=card,
        evaluation=evaluation,
        verdict=verdict(evaluation),
        headline=_headline(evaluation),
        period=_period(evaluation),
        sections=[(each, shown) for each in SECTIONS if (shown := _shown(each, view))],
    )
    return page + "\n"


def _shown(section: Section, view: View) -> Markup | None:
    filled = section.fill(view)
    if filled is None:
        return None
    known = {"card": view.card, "evaluation": view.evaluation, "findings": view.findings, "making": view.making}
    written = template(f"report/{section.name}.html.j2").render(**known, **filled)
    return Markup(written)  # noqa: S704  templates escape what they are given


def _headline(evaluation: Mapping[str, Any]) -> list[tuple[str, str]]:
    test, at = evaluation["test"], evaluation["test"]["at_cutoff"]
    return [
        ("Gini on the test", number(test["gini"], 3)),
        ("KS on the test", number(test["ks"], 3)),
        ("approved at the cut-off", rate(at["approval_rate"])),
        ("of these turn bad", rate(at["npl_rate"])),
        ("turn bad of all", rate(test["bad_rate"])),
        ("observed / expected bads", number(test["observed_expected"], 2)),
    ]


def _period(evaluation: Mapping[str, Any]) -> tuple[str, str] | None:
    first, last = evaluation["train"].get("from"), evaluation["test"].get("to")
    return (first, last) if first and last else None

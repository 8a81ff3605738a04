"""How well the card ranks: ROC, KS, scores of goods and bads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.charts import Frame, Series, line_chart, percent, step_chart
from obligor.governance.report.view import SAMPLES, drawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.report.view import View


def fill(view: View) -> dict[str, Any]:
    """Draw the charts."""
    evaluation, cutoff = view.evaluation, view.evaluation["cutoff"]["score"] / 1000
    return {
        "roc": drawn(_roc(evaluation)),
        "ks": drawn(_ks(evaluation["test"], cutoff)),
        "scores": drawn(_scores(evaluation["test"], cutoff)),
    }


def _roc(evaluation: Mapping[str, Any]) -> str:
    frame = Frame((0, 1), (0, 1), "share of goods declined", "share of bads declined", "ROC curves", height=360)
    lines = [Series(sample, evaluation[sample]["roc"], sample) for sample in SAMPLES]
    return line_chart(frame, lines, diagonal=True)


def _ks(test: Mapping[str, Any], cutoff: float) -> str:
    curve = test["ks_curve"]
    if not curve:
        return ""
    frame = Frame(
        (curve[0][0], curve[-1][0]),
        (0, 1),
        "score",
        "share below",
        "KS: shares of goods and bads below each score",
        height=360,
    )
    goods = Series("goods", [(score, share) for score, share, _ in curve], "goods")
    bads = Series("bads", [(score, share) for score, _, share in curve], "bads")
    return line_chart(frame, [goods, bads], marks=[cutoff])


def _scores(test: Mapping[str, Any], cutoff: float) -> str:
    shown = test["score_distribution"]
    edges, top = shown["edges"], max([*shown["goods"], *shown["bads"], 1e-9])
    frame = Frame(
        (edges[0], edges[-1]), (0, top * 1.1), "score", "share", "Scores of goods and of bads", y_text=percent
    )
    return step_chart(frame, edges, [("goods", shown["goods"]), ("bads", shown["bads"])], marks=[cutoff])

"""The report: one page that opens offline, with the verdict in words first.

It reads the plain data of the evaluation, so that no number on the page stands anywhere but in `evaluation.json`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.core.bins import NumericBins
from obligor.governance.charts import (
    Frame,
    Series,
    bin_chart,
    error_chart,
    line_chart,
    percent,
    step_chart,
)
from obligor.governance.pages import NOTHING, count, number, rate, template, text
from obligor.governance.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from obligor.core.contract import Contract
    from obligor.core.scorecard import Characteristic, Pair, Scorecard

    Plain = Mapping[str, Any]

_SAMPLES = ("train", "validation", "test")
_MOST_LINES = 6
_RATES = frozenset(("bad rate", "mean PD", "approval rate", "NPL rate", "precision", "recall", "F1", "accuracy"))

_COUNTS = frozenset(
    ("loans", "bads", "bads declined", "goods declined", "goods approved", "bads approved", "cost", "profit")
)

_FIGURES = (
    ("loans", "n"), ("bads", "bads"), ("bad rate", "bad_rate"), ("mean PD", "mean_pd"), ("AUC", "auc"),
    ("AUC, from", "auc_lower"), ("AUC, to", "auc_upper"), ("Gini", "gini"), ("KS", "ks"), ("KS, from", "ks_lower"),
    ("KS, to", "ks_upper"), ("PR-AUC", "pr_auc"), ("Brier", "brier"), ("Brier: reliability", "brier_reliability"),
    ("Brier: resolution", "brier_resolution"), ("Brier: uncertainty", "brier_uncertainty"), ("log loss", "log_loss"),
    ("calibration slope", "calibration_slope"), ("calibration intercept", "calibration_intercept"),
    ("observed / expected bads", "observed_expected"), ("Spiegelhalter p", "spiegelhalter.p"),
    ("Hosmer-Lemeshow p", "hosmer_lemeshow.p"),
)  # fmt: skip
_CUTOFF_FIGURES = (
    ("approval rate", "approval_rate"), ("NPL rate", "npl_rate"), ("precision", "precision"), ("recall", "recall"),
    ("F1", "f1"), ("accuracy", "accuracy"), ("bads declined", "true_positives"), ("goods declined", "false_positives"),
    ("goods approved", "true_negatives"), ("bads approved", "false_negatives"), ("cost", "cost"), ("profit", "profit"),
)  # fmt: skip


def render_report(
    contract: Contract,
    *,
    card: Scorecard,
    evaluation: Plain,
    findings: Sequence[Plain],
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
    from markupsafe import Markup

    def drawn(svg: str) -> Markup:
        return Markup(svg)  # noqa: S704  charts escape every text that they are given

    charts = {name: drawn(svg) for name, svg in _charts(evaluation).items()}
    rows = [
        row | {name: drawn(row[name]) for name in ("chart", "over_time_chart")} for row in _characteristics(evaluation)
    ]
    return (
        template("report.html.j2").render(
            title=contract.title or contract.name,
            css=Markup(text("report.css")),  # noqa: S704  our own style sheet
            card=card,
            evaluation=evaluation,
            verdict=verdict(evaluation),
            headline=_headline(evaluation),
            period=_period(evaluation),
            samples=_SAMPLES,
            figures=_table(evaluation, _FIGURES),
            cutoff_figures=_table({sample: evaluation[sample]["at_cutoff"] for sample in _SAMPLES}, _CUTOFF_FIGURES),
            charts=charts,
            characteristics=rows,
            pairs=[_pair(card, pair) for pair in card.pairs],
            stability=_stability(evaluation),
            findings=findings,
            making=making,
        )
        + "\n"
    )


def _pair(card: Scorecard, pair: Pair) -> dict[str, Any]:
    """Give a grid with the bins of each row and column in words."""
    known = {it.feature: it for it in card.characteristics}
    rows, columns = (
        _places(known[name], axis) for name, axis in zip(pair.features, (pair.rows, pair.columns), strict=True)
    )
    cells = [
        [
            {"points": points, "n": goods + bads, "bad_rate": bads / (goods + bads) if goods + bads else None}
            for points, goods, bads in zip(*line, strict=True)
        ]
        for line in zip(pair.points, pair.goods, pair.bads, strict=True)
    ]
    return {
        "features": pair.features,
        "gain": pair.gain,
        "columns": columns,
        "lines": list(zip(rows, cells, strict=True)),
    }


def _places(it: Characteristic, axis: tuple[int, ...]) -> list[str]:
    """Name the rows of a grid by the bins in each: neighbouring intervals as one."""
    binning = it.binning
    if isinstance(binning, NumericBins):
        cuts = tuple(cut for at, cut in enumerate(binning.cuts) if axis[at] != axis[at + 1])
        labels = NumericBins(it.feature, cuts, binning.specials).labels()
        shown = [*dict.fromkeys(axis[: binning.ordinary]), *axis[binning.ordinary :]]
        return [label for label, place in zip(labels, shown, strict=True) if place >= 0]
    size = max(axis) + 1
    labels = binning.labels()
    return [", ".join(label for label, at in zip(labels, axis, strict=True) if at == place) for place in range(size)]


def _headline(evaluation: Plain) -> list[tuple[str, str]]:
    test, at = evaluation["test"], evaluation["test"]["at_cutoff"]
    return [
        ("Gini on the test", number(test["gini"], 3)),
        ("KS on the test", number(test["ks"], 3)),
        ("approved at the cut-off", rate(at["approval_rate"])),
        ("of these turn bad", rate(at["npl_rate"])),
        ("turn bad of all", rate(test["bad_rate"])),
        ("observed / expected bads", number(test["observed_expected"], 2)),
    ]


def _period(evaluation: Plain) -> tuple[str, str] | None:
    first, last = evaluation["train"].get("from"), evaluation["test"].get("to")
    return (first, last) if first and last else None


def _table(samples: Plain, figures: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    return [(name, [_figure(name, _at(samples[sample], path)) for sample in _SAMPLES]) for name, path in figures]


def _at(place: Plain, path: str) -> Any:
    for key in path.split("."):
        place = place[key] if place is not None else None
    return place


def _figure(name: str, value: Any) -> str:
    if value is None:
        return NOTHING
    if name in _COUNTS:
        return count(value)
    return rate(value) if name in _RATES else number(value)


def _charts(evaluation: Plain) -> dict[str, str]:
    cutoff = evaluation["cutoff"]["score"] / 1000
    return {
        "roc": _roc(evaluation),
        "ks": _ks(evaluation["test"], cutoff),
        "scores": _scores(evaluation["test"], cutoff),
        "frontier": _frontier(evaluation),
        "reliability": _reliability(evaluation),
        "vintages": _vintages(evaluation["vintages"]["rates"]),
        "curves": _curves(evaluation["vintages"]["curves"]),
    }


def _roc(evaluation: Plain) -> str:
    frame = Frame((0, 1), (0, 1), "share of goods declined", "share of bads declined", "ROC curves", height=360)
    lines = [Series(sample, evaluation[sample]["roc"], sample) for sample in _SAMPLES]
    return line_chart(frame, lines, diagonal=True)


def _ks(test: Plain, cutoff: float) -> str:
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


def _scores(test: Plain, cutoff: float) -> str:
    shown = test["score_distribution"]
    edges, top = shown["edges"], max([*shown["goods"], *shown["bads"], 1e-9])
    frame = Frame(
        (edges[0], edges[-1]), (0, top * 1.1), "score", "share", "Scores of goods and of bads", y_text=percent
    )
    return step_chart(frame, edges, [("goods", shown["goods"]), ("bads", shown["bads"])], marks=[cutoff])


def _frontier(evaluation: Plain) -> str:
    points = {
        sample: [(row[1], row[2]) for row in evaluation[sample]["frontier"] if row[2] is not None]
        for sample in _SAMPLES[1:]
    }
    top = max([npl for line in points.values() for _, npl in line] + [1e-9])
    frame = Frame(
        (0, 1),
        (0, top * 1.1),
        "approval rate",
        "NPL rate",
        "NPL rate at every approval rate",
        x_text=percent,
        y_text=percent,
    )
    lines = [Series(sample, line, sample) for sample, line in points.items()]
    return line_chart(frame, lines, marks=[evaluation["test"]["at_cutoff"]["approval_rate"]])


def _reliability(evaluation: Plain) -> str:
    shown = [
        (
            sample,
            [(g["pd_mean"], g["bad_rate"], g["lower"], g["upper"]) for g in evaluation[sample]["reliability"]],
        )
        for sample in _SAMPLES[1:]
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


def _vintages(rates: Sequence[Plain]) -> str:
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
        x_text=_label(names),
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


def _curves(curves: Sequence[Plain]) -> str:
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


def _label(names: Sequence[str]) -> Any:
    return lambda value: names[int(value)] if value == int(value) and 0 <= value < len(names) else ""


def _characteristics(evaluation: Plain) -> list[dict[str, Any]]:
    rows = []
    for each in evaluation["characteristics"]:
        bins = each["bins"]
        rates = [(sample, [row[sample]["bad_rate"] for row in bins]) for sample in _SAMPLES]
        points = [row["points"] for row in bins]
        rows.append(
            dict(each)
            | {
                "chart": bin_chart([row["label"] for row in bins], [row["train"]["share"] or 0 for row in bins], rates),
                "over_time_chart": _over_time(each),
                "low": min(points),
                "high": max(points),
                "about": f"information value {number(each['information_value'], 3)}, {each['trend']}",
            }
        )
    return rows


def _over_time(each: Plain) -> str:
    shown = each["over_time"]
    if not shown or len(shown["periods"]) < 2:  # noqa: PLR2004  a line needs two points
        return ""
    heavy = sorted(range(len(each["bins"])), key=lambda index: -(each["bins"][index]["train"]["share"] or 0))[
        :_MOST_LINES
    ]
    lines = [
        Series(
            each["bins"][index]["label"],
            [(at, bad) for at, bad in enumerate(shown["bad_rates"][index]) if bad is not None],
            f"p{place}",
        )
        for place, index in enumerate(sorted(heavy))
    ]
    top = max([bad for line in lines for _, bad in line.points] + [1e-9]) * 1.1
    frame = Frame(
        (0, len(shown["periods"]) - 1),
        (0, top),
        "",
        "bad rate",
        "Bad rate of each bin over time",
        width=520,
        height=230,
        x_text=_label(shown["periods"]),
        y_text=percent,
    )
    return line_chart(frame, lines)


def _stability(evaluation: Plain) -> list[dict[str, Any]]:
    found = evaluation["stability"]
    rows = [("the score", found["score_psi"]), *((each["feature"], each) for each in found["characteristics"])]
    return [
        {
            "name": name,
            "validation": (row.get("validation") or {}).get("psi"),
            "test": (row.get("test") or {}).get("psi"),
            "chance": (row.get("test") or {}).get("quantile_95"),
        }
        for name, row in rows
    ]

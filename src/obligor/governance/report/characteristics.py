"""The points, the characteristics one by one, and the pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.core.bins import NumericBins
from obligor.governance.charts import Frame, Series, bin_chart, line_chart, percent
from obligor.governance.pages import number
from obligor.governance.report.view import SAMPLES, drawn, labels_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.core.scorecard import Characteristic, Pair, Scorecard
    from obligor.governance.report.view import View

_MOST_LINES = 6


def fill(view: View) -> dict[str, Any]:
    """Give every characteristic with its charts, and the grids of the pairs."""
    return {
        "characteristics": _characteristics(view.evaluation),
        "pairs": [_pair(view.card, pair) for pair in view.card.pairs],
    }


def _characteristics(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for each in evaluation["characteristics"]:
        bins = each["bins"]
        rates = [(sample, [row[sample]["bad_rate"] for row in bins]) for sample in SAMPLES]
        points = [row["points"] for row in bins]
        rows.append(
            dict(each)
            | {
                "chart": drawn(
                    bin_chart([row["label"] for row in bins], [row["train"]["share"] or 0 for row in bins], rates)
                ),
                "rates_over_time": drawn(_over_time(each, "bad_rates", "bad rate")),
                "shares_over_time": drawn(_over_time(each, "shares", "share")),
                "low": min(points),
                "high": max(points),
                "about": f"information value {number(each['information_value'], 3)}, {each['trend']}",
            }
        )
    return rows


def _over_time(each: Mapping[str, Any], key: str, name: str) -> str:
    """Draw a rate of the fullest bins, period by period."""
    shown = each["over_time"]
    if not shown or len(shown["periods"]) < 2:  # noqa: PLR2004  a line needs two points
        return ""
    heavy = sorted(range(len(each["bins"])), key=lambda index: -(each["bins"][index]["train"]["share"] or 0))[
        :_MOST_LINES
    ]
    lines = [
        Series(
            each["bins"][index]["label"],
            [(at, rate) for at, rate in enumerate(shown[key][index]) if rate is not None],
            f"p{place}",
        )
        for place, index in enumerate(sorted(heavy))
    ]
    top = max([rate for line in lines for _, rate in line.points] + [1e-9]) * 1.1
    frame = Frame(
        (0, len(shown["periods"]) - 1),
        (0, top),
        "",
        name,
        f"{name.capitalize()} of each bin over time",
        width=520,
        height=230,
        x_text=labels_at(shown["periods"]),
        y_text=percent,
    )
    return line_chart(frame, lines)


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
        kept = [at for at in range(len(binning.cuts)) if axis[at] != axis[at + 1]]
        merged = NumericBins(it.feature, tuple(binning.cuts[at] for at in kept), binning.specials).labels()
        shown = [axis[at] for at in (*kept, binning.ordinary - 1)] + list(axis[binning.ordinary :])
    else:
        merged, shown = tuple(row.label for row in it.bins), list(axis)
    return [
        ", ".join(label for label, at in zip(merged, shown, strict=True) if at == place)
        for place in range(max(axis) + 1)
    ]

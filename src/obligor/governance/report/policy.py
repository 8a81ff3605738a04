"""Where to draw the line: what every cut-off would do, the ones worth naming, and thresholds by segment and amount."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from obligor.governance.charts import Frame, Mover, Series, line_chart, percent
from obligor.governance.pages import text
from obligor.governance.report.view import SAMPLES, drawn
from obligor.measures.decisions import FRONTIER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.governance.report.view import View

    Plain = Mapping[str, Any]

_SCRIPT = "report/frontier.js"
_FIGURES = (
    ("next score that occurs", "score"), ("approved", "approval_rate"), ("of these turn bad", "npl_rate"),
    ("profit, as it came", "profit"), ("profit, by the PDs", "expected_profit"), ("cost of errors", "cost"),
    ("bads declined", "bads_declined"), ("goods declined", "goods_declined"),
)  # fmt: skip
_STEP = 500  # thousandths from one place of the movable cut-off to the next
_SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4)
_RULES = {
    "profit": "the best profit",
    "break_even": "the PD that breaks even",
    "incumbent_approvals": "as many approved as by the incumbent",
    "incumbent_npl": "as many of them bad as with the incumbent",
}
_CHOSEN = {
    "profit": "profit",
    "cost": "the cost of errors",
    "pd": "a PD",
    "approval_rate": "an approval rate",
    "break_even": "break-even",
    "risk": "risk",
    "portfolio": "portfolio",
}


def script_sha256() -> str:
    """Give the hash by which the page allows its one script."""
    return base64.b64encode(hashlib.sha256(text(_SCRIPT).encode()).digest()).decode()


def fill(view: View) -> dict[str, Any] | None:
    """Give the frontier for the movable cut-off, the named cut-offs, the incumbent's and the thresholds."""
    evaluation, policy = view.evaluation, view.evaluation["policy"]
    if not evaluation["test"]["frontier"]:
        return None
    frontier = {name: _in_thousandths(evaluation[name]["frontier"]) for name in SAMPLES[1:]}
    return {
        "economics": view.contract.economics,
        "policy": policy,
        "script": Markup(text(_SCRIPT)),  # noqa: S704  our own script, allowed by its hash
        "frontier": {"names": FRONTIER, **frontier},
        "range": _range(frontier, cutoff=evaluation["cutoff"]["score"]),
        "figures": _FIGURES,
        "samples": SAMPLES[1:],
        "rates": drawn(_rates(evaluation)),
        "profits": drawn(_profits(evaluation)),
        "named": _named(evaluation),
        "shares": _shares(evaluation["test"]["frontier"]),
        "chosen": _CHOSEN,
        "differ": any(it["cutoff"] != evaluation["cutoff"]["score"] for it in policy["thresholds"]),
    }


def _in_thousandths(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [[round(row[0] * 1000), *row[1:]] for row in rows]


def _range(frontier: Mapping[str, Sequence[Sequence[Any]]], *, cutoff: int) -> dict[str, int]:
    """Let the movable cut-off pass through the chosen one, and reach from everybody to nobody."""
    scores = [row[0] for rows in frontier.values() for row in rows] + [cutoff]
    below, above = -(-(cutoff - min(scores)) // _STEP), -(-(max(scores) - cutoff) // _STEP)
    return {"min": cutoff - below * _STEP, "max": cutoff + above * _STEP, "step": _STEP, "value": cutoff}


def _at(rows: Sequence[Sequence[Any]], cutoff: int) -> dict[str, Any]:
    """Give the figures of a cut-off: those of the first score at or above it."""
    row = next((row for row in rows if round(row[0] * 1000) >= cutoff), rows[-1])
    return dict(zip(FRONTIER, row, strict=True))


def _movers(evaluation: Plain, places: Sequence[tuple[str, str, str]], *, x: str) -> list[Mover]:
    """Put a dot on each line, given by its style, its sample and its figure, where the cut-off stands."""
    found = []
    for style, sample, y in places:
        at = _at(evaluation[sample]["frontier"], evaluation["cutoff"]["score"])
        found.append(Mover((at[x] or 0.0, at[y] or 0.0), style, sample, x, y))
    return found


def _rates(evaluation: Plain) -> str:
    points = {
        sample: [(row[1], row[2]) for row in evaluation[sample]["frontier"] if row[2] is not None]
        for sample in SAMPLES[1:]
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
    movers = _movers(evaluation, [(sample, sample, "npl_rate") for sample in points], x="approval_rate")
    return line_chart(frame, lines, marks=[evaluation["test"]["at_cutoff"]["approval_rate"]], movers=movers)


def _profits(evaluation: Plain) -> str:
    rows = evaluation["test"]["frontier"]
    lines = [
        Series("as it came", [(row[1], row[3]) for row in rows], "test"),
        Series("by the PDs", [(row[1], row[4]) for row in rows if row[4] is not None], "p2"),
    ]
    values = [value for line in lines for _, value in line.points]
    low, high = min([0.0, *values]), max([0.0, *values])
    room = (high - low) * 0.06 or 1.0
    frame = Frame(
        (0, 1),
        (low - room * (low < 0), high + room),
        "approval rate",
        "profit",
        "Profit on the test at every approval rate",
        x_text=percent,
        y_text=_short,
    )
    places = [("test", "test", "profit"), ("p2", "test", "expected_profit")]
    movers = _movers(evaluation, places, x="approval_rate")
    return line_chart(frame, lines, marks=[evaluation["test"]["at_cutoff"]["approval_rate"]], movers=movers)


def _short(value: float) -> str:
    """Write an amount so that it fits beside an axis."""
    for size, letter in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _named(evaluation: Plain) -> list[dict[str, Any]]:
    """Give the cut-offs that have a name, with what they do on the test; equal ones on one line."""
    found: dict[int, dict[str, Any]] = {}
    for each in evaluation["policy"]["cutoffs"]:
        name = "the contract's" if each["rule"] == "contract" else _RULES[each["rule"]]
        line = found.setdefault(each["cutoff"], {"names": [], "cutoff": each["cutoff"], **each["test"]})
        line["names"].append(name)
    return sorted(found.values(), key=lambda line: line["cutoff"])


def _shares(rows: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
    """Give what approving nine in ten, eight in ten, and so on would do on the test."""
    found = [next((row for row in reversed(rows) if row[1] >= share), rows[0]) for share in _SHARES]
    return [dict(zip(FRONTIER, row, strict=True)) | {"cutoff": round(row[0] * 1000)} for row in found]

"""How the applicants have moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.report.view import View


def fill(view: View) -> dict[str, Any]:
    """Give the stability index of the score and of each characteristic."""
    return {"stability": _stability(view.evaluation)}


def _stability(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
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

"""Those who were declined, and how much the card hangs on what is assumed of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from obligor.governance.report.view import View

_NONE = "the accepted alone"


def fill(view: View) -> dict[str, Any] | None:
    """Give the plain card and each assumption of the band, where the contract says who was declined."""
    found = view.evaluation.get("rejects")
    if found is None:
        return None
    kept = found["uplift"] if found["method"] != "none" else None
    return {
        "rejects": found,
        "fitted_on": _NONE if kept is None else f"them too, by {found['method']} at {kept:g} times the odds",
        "band": [each | {"kept": each["uplift"] == kept} for each in found["band"]],
        "samples": list(found["samples"].items()),
    }

"""What people changed by hand, why, and what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.pages import number, rate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.report.view import View

_EFFECTS = (
    ("information value", "information_value", 4),
    ("Gini", "gini", 4),
    ("KS", "ks", 4),
    ("log loss", "log_loss", 5),
    ("approved", "approval_rate", None),
    ("NPL", "npl_rate", None),
    ("characteristics", "characteristics", 0),
)


def fill(view: View) -> dict[str, Any] | None:
    """Tell every edit with its effects on validation; nothing where no bin was edited."""
    told = view.evaluation["edits"]
    if not told["made"]:
        return None
    made = [edit | {"day": edit["at"][:16].replace("T", " "), "effects": _effects(edit)} for edit in told["made"]]
    return {"made": made, "bins_by_hand": told["bins_by_hand"], "effects": [title for title, _, _ in _EFFECTS]}


def _effects(edit: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Give each figure before and after, where both are known."""
    before, after = edit["before"], edit["after"] or {}
    return [(_written(before[key], digits), _written(after.get(key), digits)) for _, key, digits in _EFFECTS]


def _written(value: float | None, digits: int | None) -> str:
    return rate(value) if digits is None else number(value, digits)

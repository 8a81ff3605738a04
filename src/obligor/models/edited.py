"""What edits of bins by hand did, read from the drafts that they were made on: plain data for the evaluation."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any

from obligor.core.edits import Draft, Figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.bins import Bins
    from obligor.core.edits import Edit, Edits
    from obligor.core.scorecard import Origin


def figures_of(evaluation: Mapping[str, Any], characteristic: str) -> Figures:
    """Give what a draft is worth on validation, and the information value of a characteristic where it is on the card."""
    held, at = evaluation["validation"], evaluation["validation"]["at_cutoff"]
    values = {it["feature"]: it["information_value"] for it in evaluation["characteristics"]}
    return Figures(
        information_value=values.get(characteristic),
        characteristics=len(values),
        gini=held["gini"],
        ks=held["ks"],
        log_loss=held["log_loss"],
        approval_rate=at["approval_rate"],
        npl_rate=at["npl_rate"],
    )


def draft_of(evaluation: Mapping[str, Any], bins: Bins, origin: Origin) -> Draft:
    """Give the draft that an edit of some bins is made on."""
    return Draft(
        card_sha256=evaluation["card_sha256"],
        contract_sha256=origin.contract_sha256,
        snapshot_sha256=origin.snapshot_sha256,
        cuts=getattr(bins, "cuts", ()),
        groups=getattr(bins, "groups", ()),
        specials=bins.specials,
        validation=figures_of(evaluation, bins.feature),
    )


def tell_edits(edits: Edits, evaluation: Mapping[str, Any], origin: Origin) -> dict[str, Any]:
    """Tell each edit with the figures before it and after it, and what is to be said of the bins that stand.

    The figures after an edit are those of the draft that the next was made on, and after the last those of this card. An edit
    that was carried over from another contract or tape has none where the next draft is not of its own.
    """
    here = (origin.contract_sha256, origin.snapshot_sha256)
    made = [
        {
            "characteristic": edit.characteristic,
            "what": edit.what,
            "author": edit.author,
            "reason": edit.reason,
            "at": edit.at.astimezone(UTC).isoformat(),
            "card_sha256": edit.draft.card_sha256,
            "elsewhere": _place(edit) != here,
            "before": edit.draft.validation.model_dump(),
            "after": _after(edit, edits.edits[place:], evaluation, here),
        }
        for place, edit in enumerate(edits.edits, start=1)
    ]
    on_card = {it["feature"] for it in evaluation["characteristics"]}
    by_hand = [
        {"characteristic": name, "on_card": name in on_card, "note": evaluation["trends"].get(name, "")}
        for name in edits.fixed
    ]
    return {"made": made, "bins_by_hand": by_hand}


def _place(edit: Edit) -> tuple[str, str]:
    return edit.draft.contract_sha256, edit.draft.snapshot_sha256


def _after(
    edit: Edit, following: Sequence[Edit], evaluation: Mapping[str, Any], here: tuple[str, str]
) -> dict[str, Any] | None:
    """Give the figures after an edit; the information value is the next that is known of its characteristic."""
    now, own = (
        figures_of(evaluation, edit.characteristic),
        [it for it in following if it.characteristic == edit.characteristic],
    )
    after = following[0].draft.validation if following else now
    value = own[0].draft.validation if own else now
    if _place(edit) != (_place(following[0]) if following else here):
        return None
    known = _place(edit) == (_place(own[0]) if own else here)
    return after.model_dump() | {"information_value": value.information_value if known else None}

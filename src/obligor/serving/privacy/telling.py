"""What the person of a decision may read of its record, and why it may lack its explanation (``releases.wording``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.serving.gates.gate import told_outside

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_TOLD: Final = ("gates", "scopes", "bins", "points", "score", "cutoff")
_PD_DIGITS: Final = 3
ERASED: Final = "what it was decided on was erased"
LOST: Final = (
    "the card, the policy or the profile that it was decided by is no longer kept as it was, or cannot explain it"
)


def told_to_the_subject(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the person of a decision may read of its record: neither what the gates said nor numbers of the card.

    The PD stays, in thousandths: it is what the lender holds to be likely of them. The score says the same on the card's scale.
    """
    told = {name: it for name, it in record.items() if name not in _NOT_TOLD}
    if "because" in told:
        told["because"] = told_outside(told["because"], told["outcome"])
    if "pd" in told:
        told["pd"] = round(told["pd"], _PD_DIGITS)
    if "reasons" in told:
        told["reasons"] = [{"code": it["code"], "text": it["text"]} for it in told["reasons"]]
    return told

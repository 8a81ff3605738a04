"""The model card: what a card is, what it is for and where it stops, on a page of Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from obligor.governance.pages import template
from obligor.governance.verdict.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.contract import Contract
    from obligor.core.scorecard import Scorecard


def render_model_card(
    contract: Contract, *, card: Scorecard, evaluation: Mapping[str, Any], making: Sequence[tuple[str, str]]
) -> str:
    """Write the model card; every figure comes from the evaluation."""
    sentences = verdict(evaluation)
    return template("model_card.md.j2").render(
        title=contract.title or contract.name,
        description=contract.description,
        source=contract.source or "not stated",
        card=card,
        samples=[(name, evaluation[name]) for name in ("train", "validation", "test")],
        accounting=evaluation["accounting"],
        excluded=evaluation["accounting"]["excluded"],
        verdict=[sentence for sentence in sentences if sentence.tone in ("plain", "good")],
        cautions=[sentence for sentence in sentences if sentence.tone in ("watch", "act")],
        dropped=evaluation["dropped"],
        protected=evaluation["protected"],
        edits=evaluation["edits"],
        rejects=evaluation.get("rejects"),
        making=making,
    )

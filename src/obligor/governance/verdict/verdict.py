"""The verdict: every statement on a card, in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.governance.verdict import fair_lending, rejects, soundness, worth

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.governance.verdict.sentence import Sentence

_PARTS: Final = (
    worth.ranking, worth.decisions, worth.economics, worth.thresholds, worth.incumbent, worth.challengers,
    soundness.overfitting, soundness.leaks, soundness.calibration, soundness.stability, soundness.flips,
    soundness.withholding, soundness.proposals, soundness.segments,
    fair_lending.fairness, fair_lending.knockouts, fair_lending.proxies, fair_lending.alternatives,
    fair_lending.protected, fair_lending.reason_texts,
    rejects.declined, rejects.inference,
)  # fmt: skip


def verdict(evaluation: Mapping[str, Any]) -> tuple[Sentence, ...]:
    """Say what the card is worth, from the plain data of its evaluation."""
    return tuple(sentence for part in _PARTS for sentence in part(evaluation))

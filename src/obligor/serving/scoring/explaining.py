"""One application scored and explained."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from obligor.core.application import form_of, parse_application
from obligor.core.explanation import Explaining
from obligor.core.recourse import rescoring
from obligor.core.scorer import compile_card

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obligor.core.explanation import Explanation
    from obligor.core.reasons import Untold
    from obligor.core.scorecard import Scorecard

_LONGEST = 44


@dataclass(frozen=True, slots=True)
class Explained:
    """An explanation, and the bins of its card for which no reason could be worded."""

    explanation: Explanation
    untold: tuple[Untold, ...]

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return self.explanation.to_plain() | {"reason_texts_lacking": [it._asdict() for it in self.untold]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        plain = self.to_plain()
        return [*_decision(plain), "", *_sum(plain), "", *_reasons(plain), *_changes(plain), *_lacking(self.untold)]


def explain_application(data: bytes, card: Scorecard, *, most_reasons: int, most_changes: int) -> Explained:
    """Read one application as JSON, score it and explain it; changes are scored again as applications.

    Raises
    ------
    InvalidInputError
        Where the application does not fit the card.
    """
    scorer, explaining = compile_card(card), Explaining.of(card)
    application = parse_application(data, form_of(scorer))
    scored = scorer.score(application.fields, histories=application.histories)
    explanation = explaining.explain(
        scored.bins,
        most_reasons=most_reasons,
        most_changes=most_changes,
        check=rescoring(scorer, application.fields, application.histories),
    )
    return Explained(explanation, explaining.untold)


def _decision(plain: Mapping[str, Any]) -> Iterator[str]:
    word = "approved" if plain["approved"] else "declined"
    yield (
        f"score {plain['score']:.1f}, PD {100 * plain['pd']:.2f}% within {plain['horizon_months']} months, "
        f"band {plain['band']}: {word} at the cut-off of {plain['cutoff']:.1f}"
    )


def _sum(plain: Mapping[str, Any]) -> Iterator[str]:
    rows = [(it["feature"], _clipped(it["bin"]), it["points"], f"{it['shap']:+.1f}") for it in plain["contributions"]]
    rows += [(" x ".join(it["features"]), "together", it["points"], "") for it in plain["pairs"]]
    names, bins = (
        max(map(len, each)) + 2 for each in (["characteristic", *(r[0] for r in rows)], ["bin", *(r[1] for r in rows)])
    )
    yield f"{'characteristic':<{names}}{'bin':<{bins}}{'points':>9}{'adds':>9}"
    yield f"{'(everybody)':<{names}}{'':<{bins}}{plain['base_points']:>9.1f}"
    for name, label, points, shap in rows:
        yield f"{name:<{names}}{label:<{bins}}{points:>9.1f}{shap:>9}"
    yield f"'adds' is the Shapley value: together they lead from the mean score of {plain['mean']:.1f} to {plain['score']:.1f}"


def _clipped(label: str) -> str:
    return label if len(label) <= _LONGEST else f"{label[: _LONGEST - 1]}\u2026"


def _reasons(plain: Mapping[str, Any]) -> Iterator[str]:
    if not plain["reasons"]:
        yield "No reason: nothing falls short of applicants near the cut-off." + (
            "" if plain["approved"] else " A person must decide."
        )
        return
    yield "What falls short of applicants near the cut-off:" if plain["approved"] else "Principal reasons:"
    for place, it in enumerate(plain["reasons"], start=1):
        yield f"{place}. {it['text'] or '(no text)'} ({it['code']}, {it['shortfall']:.1f} points short)"


def _changes(plain: Mapping[str, Any]) -> Iterator[str]:
    if plain["approved"]:
        return
    yield ""
    if not plain["counterfactuals"]:
        yield "No change of few changeable characteristics reaches the cut-off."
        return
    yield "Nearest changes that reach the cut-off, each scored again:"
    for way in plain["counterfactuals"]:
        moved = "; ".join(f"{it['feature']}: {it['from_bin']} -> {it['to_bin']}" for it in way["changes"])
        yield f"- {moved} ({way['score']:.1f} points{', all other bins as they are' if way['scored'] == 'bins' else ''})"


def _lacking(untold: tuple[Untold, ...]) -> Iterator[str]:
    if untold:
        yield ""
        yield f"This card has no reason text for {len(untold)} bins that can be a reason:"
        for feature, bins in groupby(untold, key=lambda it: it.feature):
            yield f"- {feature}: {'; '.join(it.bin for it in bins)}"

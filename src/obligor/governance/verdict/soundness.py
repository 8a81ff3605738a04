"""Whether a card is sound: what it learnt holds, its PDs are right, and its characteristics know what they may."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.governance.pages import rate
from obligor.governance.verdict.sentence import MOST_NAMED, Sentence, Tone, first

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_OVERFIT: Final = 0.03
_DOUBT: Final = 0.01
_PSI_WATCH, _PSI_ACT = 0.10, 0.25
_SUSPICIOUS: Final = 1.0
"""In information value: from 0.5 on a characteristic is very strong as a rule (Siddiqi 2006)."""
_WITHHOLDING: Final = 1.0
"""In points."""


def overfitting(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether part of what the card learnt did not hold."""
    train, test = evaluation["train"]["auc"], evaluation["test"]["auc"]
    if train is not None and test is not None and train - test > _OVERFIT:
        yield Sentence(
            "watch",
            f"It ranks {100 * (train - test):.1f} points worse on the test than on the loans that it was fitted on: "
            "part of what it learnt did not hold.",
        )


def leaks(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics that tell more than what is known at the application tells as a rule."""
    values = {it["feature"]: it["information_value"] for it in evaluation["characteristics"]}
    told = _largest({name: value for name, value in values.items() if value > _SUSPICIOUS}, "{:.2f}")
    if told:
        yield Sentence(
            "watch",
            f"These may know the outcome, by their information value: {told}. What was not known when the applicant applied is "
            "`leakage` in the contract.",
        )


def calibration(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether the PDs hold."""
    test = evaluation["test"]
    ratio, p = test["observed_expected"], test["spiegelhalter"]["p"]
    if ratio is None or p is None:
        return
    told = f"it predicts {rate(test['mean_pd'])} bad on the test and {rate(test['bad_rate'])} turned bad"
    if p >= _DOUBT:
        yield Sentence("good", f"Its PDs hold: {told} (Spiegelhalter p = {p:.2f}).")
    else:
        side = "too low" if ratio > 1 else "too high"
        yield Sentence("watch", f"Its PDs are {side} by a factor of {max(ratio, 1 / ratio):.2f}: {told}.")


def stability(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether the applicants have changed."""
    score = evaluation["stability"]["score_psi"].get("test")
    if not score or score["psi"] is None:
        return
    psi, chance = score["psi"], score["quantile_95"]
    tone: Tone = "good" if psi <= _PSI_WATCH or psi <= chance else "watch" if psi <= _PSI_ACT else "act"
    have = {"good": "have not changed", "watch": "are changing", "act": "have changed"}[tone]
    yield Sentence(tone, f"The applicants {have}: the PSI of the score from train to test is {psi:.3f}.")
    moved = [
        each["feature"]
        for each in evaluation["stability"]["characteristics"]
        if (each.get("test") or {}).get("psi") is not None and each["test"]["psi"] > _PSI_ACT
    ]
    if moved:
        yield Sentence("watch", f"Characteristics that moved most: {', '.join(moved)}.")


def flips(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics whose bins changed places."""
    names = list(dict.fromkeys(flip["feature"] for flip in evaluation["stability"]["flips"]))
    if names:
        yield Sentence(
            "watch",
            f"Bins changed places in some period, by more than chance, in {first(names)}: their points did not always hold.",
        )


def withholding(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics of which an applicant earns more by no answer than by the average one."""
    gains = {it["feature"]: (it["withholding_gain"] or 0) / 1000 for it in evaluation["characteristics"]}
    told = _largest({name: gain for name, gain in gains.items() if gain >= _WITHHOLDING}, "{:+.1f} points")
    if told:
        yield Sentence(
            "watch",
            f"Withholding pays: without a value an applicant earns more than by the average answer in {told}. Unless to have "
            "none is an answer in itself, require a value, or refer who gives none by a knock-out.",
        )


def _largest(values: Mapping[str, float], form: str) -> str:
    """Name the characteristics with the largest values."""
    return first([f"{name} ({form.format(values[name])})" for name in sorted(values, key=lambda it: (-values[it], it))])


def proposals(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the ratios that would tell more."""
    found = evaluation["proposals"]
    if found:
        names = ", ".join(it["name"] for it in found[:MOST_NAMED])
        yield Sentence("plain", f"Ratios that would tell more than the card does, for a person to accept: {names}.")


def segments(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the segments that earned points of their own."""
    found = evaluation["segments"]
    if not found:
        return
    earned = [it for it in found["segments"] if it["earned"]]
    if not earned:
        yield Sentence("plain", f"No level of {found['column']} earned points of its own: one card serves all of them.")
        return
    told = ", ".join(
        f"{it['segment']} (test AUC {it['test_auc_own']:.3f} instead of {it['test_auc_common']:.3f})"
        if it["test_auc_own"] is not None
        else str(it["segment"])
        for it in earned
    )
    lost = any(it["test_auc_own"] is not None and it["test_auc_own"] < it["test_auc_common"] for it in earned)
    yield Sentence("watch" if lost else "good", f"Of {found['column']}, these have points of their own: {told}.")

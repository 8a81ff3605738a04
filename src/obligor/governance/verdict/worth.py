"""What a card is worth: how it ranks, what its cut-off does and earns, and what the incumbent and other models would do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.governance.pages import amount, rate
from obligor.governance.verdict.sentence import Sentence, Tone, or_chance

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_DOUBT: Final = 0.01
_RESTS_ON: Final = {
    "profit": ("margin", "lgd"),
    "break_even": ("margin", "lgd"),
    "cost": ("cost_declined_good", "cost_missed_default"),
}


def ranking(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say how the card ranks."""
    test = evaluation["test"]
    if test["auc"] is None:
        yield Sentence("act", "The test holds only one kind of outcome: how well the card ranks cannot be told.")
        return
    interval = (
        "" if test["gini_lower"] is None else f", 95% interval {test['gini_lower']:.3f} to {test['gini_upper']:.3f}"
    )
    yield Sentence(
        "plain",
        f"On {test['n']:,} loans that it never saw, the card puts the good loan above the bad one in "
        f"{rate(test['auc'])} of pairs (Gini {test['gini']:.3f}{interval}; KS {test['ks']:.3f}).",
    )


def decisions(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what the cut-off does."""
    test, at = evaluation["test"], evaluation["test"]["at_cutoff"]
    if at["npl_rate"] is None:
        yield Sentence("watch", "At the cut-off the card approves nobody on the test.")
        return
    cutoff = evaluation["cutoff"]
    yield Sentence(
        "plain",
        f"At the cut-off of {cutoff['score'] / 1000:.0f} points, chosen by {cutoff['chosen_by']} on validation, it "
        f"approves {rate(at['approval_rate'])} of them, of whom {rate(at['npl_rate'])} turn bad; "
        f"approving everybody would give {rate(test['bad_rate'])}.",
    )


def economics(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what a cut-off rests on that nobody stated."""
    it = evaluation["economics"]
    said = {
        "margin": f"a good loan earns {rate(it['margin'])} of its amount",
        "lgd": f"a bad loan loses {rate(it['lgd'])} of its amount",
        "cost_declined_good": f"declining a good loan costs {it['cost_declined_good']:g}",
        "cost_missed_default": f"approving a bad loan costs {it['cost_missed_default']:g}",
    }
    names = _RESTS_ON.get(evaluation["cutoff"]["chosen_by"], ())
    assumed = [said[name] for name in names if name in it["assumed"]]
    if assumed:
        yield Sentence(
            "watch",
            f"The cut-off rests on what Obligor assumes of any loan: {' and '.join(assumed)}. The contract's economics can "
            "state yours.",
        )


def thresholds(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether cut-offs by segment and amount pay, where they differ from the common one."""
    policy, common = evaluation["policy"], evaluation["cutoff"]["score"]
    gain, parted = policy["gain"], [it for it in (policy["segment"], policy["amount"]) if it]
    if gain is None or all(it["cutoff"] == common for it in policy["thresholds"]):
        return
    chance = or_chance(gain["lower"], gain["upper"])
    money = f" {evaluation['currency']}" if evaluation["currency"] else ""
    yield Sentence(
        _tone(chance, better=gain["value"] > 0),
        f"Cut-offs by {' and '.join(parted)} earn {abs(gain['value']):,.2f}{money} {'more' if gain['value'] >= 0 else 'less'} "
        "for each application of the test than the common one "
        f"(95% interval {gain['lower']:+,.2f} to {gain['upper']:+,.2f}{chance}).",
    )


def _tone(chance: str, *, better: bool) -> Tone:
    return "plain" if chance else "good" if better else "watch"


def incumbent(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what the card gains on the score that the lender has."""
    it = evaluation["test"].get("incumbent")
    if not it or it["auc"] is None or it["card_auc"] is None:
        return
    gain = it["card_auc"] - it["auc"]
    yield Sentence(
        "good" if gain > 0 else "watch",
        f"The incumbent's {it['column']} ranks {rate(it['auc'])} of the same pairs: the card is "
        f"{100 * abs(gain):.1f} points {'above' if gain > 0 else 'below'} it.",
    )
    if it.get("swap"):
        yield _swap(it["column"], it["swap"])


def _swap(column: str, swap: Mapping[str, Any]) -> Sentence:
    """Say what the card buys: fewer bads at the same approval rate, or more approvals at the same rate of bads."""
    npl, approvals = swap["npl_change"], swap["approval_change"]
    chance = or_chance(npl["lower"], npl["upper"])
    word = "lowers" if npl["value"] < 0 else "raises"
    more = "more" if approvals["value"] >= 0 else "fewer"
    return Sentence(
        _tone(chance, better=npl["value"] < 0),
        f"Approving the same {rate(swap['approval_rate'])} by the card instead of {column} {word} the share that turns "
        f"bad from {rate(swap['old_npl_rate'])} to {rate(swap['new_npl_rate'])} (change {100 * npl['value']:+.1f} points, "
        f"95% interval {100 * npl['lower']:+.1f} to {100 * npl['upper']:+.1f}{chance}): of all applications "
        f"{rate(swap['swapped'])} are swapped in, as many out. At the same share of bads it would approve "
        f"{abs(100 * approvals['value']):.1f} points {more} "
        f"({100 * approvals['lower']:+.1f} to {100 * approvals['upper']:+.1f}).",
    )


def challengers(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what a less readable model would gain, and whether that may be chance."""
    told = [it for it in evaluation.get("challengers", []) if it["against_card"]["auc"]["value"] is not None]
    if not told:
        return
    areas = [it["against_card"]["auc"] for it in told]
    costly = any(area["value"] > 0 and area["p"] < _DOUBT for area in areas)
    tone: Tone = "watch" if costly else "good" if all(area["value"] <= 0 for area in areas) else "plain"
    parts = "; ".join(_challenger(it, evaluation["currency"]) for it in told)
    yield Sentence(
        tone,
        f"What interpretability costs, on the test, each at the cut-off that earned most on validation: {parts}.",
    )


def _challenger(it: Mapping[str, Any], currency: str) -> str:
    area, profit = it["against_card"]["auc"], it["against_card"]["profit_per_application"]
    subject = {"boosted": "boosted trees", "additive": "additive tables of pairs"}[it["name"]]
    word = "better" if area["value"] >= 0 else "worse"
    said = f"{subject} rank {100 * abs(area['value']):.1f} points {word} than the card (p = {area['p']:.2g})"
    if profit["value"] is None:
        return said
    more = "more" if profit["value"] >= 0 else "less"
    chance = or_chance(profit["lower"], profit["upper"])
    earned = f"{amount(abs(profit['value']))} {currency}".strip()
    return (
        f"{said} and earn {earned} {more} per application "
        f"(95% interval {amount(profit['lower'], '+')} to {amount(profit['upper'], '+')}{chance})"
    )

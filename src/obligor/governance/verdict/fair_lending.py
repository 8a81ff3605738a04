"""Whether a card treats groups alike, and can tell whom it declines why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.governance.pages import rate
from obligor.governance.verdict.sentence import MOST_NAMED, Sentence, or_chance
from obligor.measures.fairness import evened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from obligor.governance.verdict.sentence import Tone

_TONES: Final[Mapping[str, Tone]] = {"hard": "act", "review": "watch"}
"""By the flag of a group."""


def fairness(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the groups that are approved less often than others."""
    rules = evaluation["fairness_rules"]
    if not rules["test"] and evaluation["protected"]:
        yield Sentence("watch", f"Groups of applicants are not compared. The contract's reason: {rules['because']}")
    flagged = [(column, group) for column in evaluation["fairness"] for group in _flagged(column)]
    for column, group in sorted(flagged, key=lambda it: _evenness(it[1]))[:MOST_NAMED]:
        often = _as_often(group, column["reference"])
        yield Sentence(_TONES[group["flag"]], f"{column['column']}: {group['name']} is approved {often}.")
    if flagged or not evaluation["fairness"]:
        return
    groups = [
        group for column in evaluation["fairness"] for group in column["groups"] if group["name"] != column["reference"]
    ]
    if all(group["impact_ratio"] is None for group in groups):
        yield Sentence(
            "watch", "No groups of the protected columns could be compared: they are too small or one of a kind."
        )
        return
    small = sum(group["flag"] == "insufficient" for group in groups)
    rest = f"; {small} were too small to compare" if small else ""
    yield Sentence(
        "good", f"No group of the protected columns is approved less than {rules['review']:.2f} times as often{rest}."
    )


def knockouts(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the rules that stop a group more often than another."""
    for rule in evaluation["knockouts"]:
        for column in rule["fairness"]:
            for group in sorted(_flagged(column), key=_evenness)[:1]:
                often = _as_often(group, column["reference"])
                told = f"{column['column']}: the rule {rule['name']} lets {group['name']} pass {often}."
                yield Sentence(_TONES[group["flag"]], told)


def _flagged(column: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [it for it in column["groups"] if it["flag"] in _TONES]


def _evenness(group: Mapping[str, Any]) -> float:
    return 0.0 if group["impact_ratio"] is None else evened(group["impact_ratio"])


def _as_often(group: Mapping[str, Any], reference: str) -> str:
    """Say how often a group gets through beside the reference group, and whether chance may explain it."""
    if group["impact_ratio"] is None:
        return f"in {rate(group['approval_rate'])} of cases, and {reference} never (p = {group['p']:.2g})"
    chance = or_chance(group["impact_lower"], group["impact_upper"], none=1)
    return (
        f"{group['impact_ratio']:.2f} times as often as {reference} "
        f"({group['impact_lower']:.2f} to {group['impact_upper']:.2f}, p = {group['p']:.2g}{chance})"
    )


def proxies(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics that tell a group from the others."""
    limit = evaluation["fairness_rules"]["proxy_auc"]
    for column in evaluation["proxies"]:
        strong = [it for it in column["characteristics"] if it["proxy"]]
        told = max(column["groups"], key=lambda it: it["auc"], default=None)
        if strong:
            named = ", ".join(f"{it['feature']} ({it['group']}: {rate(it['auc'])})" for it in strong[:MOST_NAMED])
            yield Sentence(
                "watch",
                f"Characteristics that stand in for {column['column']}, with the share of pairs in which each tells a group "
                f"from the others: {named}; half is chance.",
            )
        elif told and told["auc"] >= limit:
            yield Sentence(
                "watch",
                f"Together the characteristics tell {told['name']} by {column['column']} from the others in "
                f"{rate(told['auc'])} of pairs (half is chance); none alone reaches {rate(limit)}.",
            )


def alternatives(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether another card treats groups more alike, and what it costs."""
    found = evaluation["alternatives"]
    rules = evaluation["fairness_rules"]
    if not found:
        return
    known = {it["name"]: it for it in found["alternatives"]}
    card = found["alternatives"][0]
    for each in found["proposals"]:
        column = each["column"]
        if each["alternative"] is not None:
            other = known[each["alternative"]]
            before, after = (_ratios(it, column) for it in (card, other))
            cost = 100 * (card["validation"]["gini"] - other["validation"]["gini"])
            told = f"{after} instead of {before}, for {cost:.1f} points of Gini on validation"
            if each["holds"]:
                yield Sentence(
                    "act",
                    f"A card that treats groups of {column} more alike exists ({each['alternative']}): their impact ratio "
                    f"is {told}. A person must decide which card is used, and say why.",
                )
            else:
                yield Sentence(
                    "plain",
                    f"The card that treats groups of {column} most alike on validation ({each['alternative']}) does not do "
                    f"so on the test: their impact ratio is {told}.",
                )
        elif each["ratio"] < rules["review"]:
            yield Sentence(
                "plain",
                f"Of {len(known) - 1} other cards that were tried, none treats groups of {column} more alike within "
                f"{100 * rules['gini_cost']:.1f} points of Gini; the impact ratio on validation is {each['ratio']:.2f}.",
            )


def _ratios(alternative: Mapping[str, Any], column: str) -> str:
    test = alternative["test"]["impact_ratios"][column]
    told = "not known" if test is None else f"{test:.2f}"
    return f"{alternative['validation']['impact_ratios'][column]:.2f} (test: {told})"


def protected(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the protected columns that the card scores."""
    for each in evaluation["protected"]:
        if each["on_card"]:
            yield Sentence(
                "watch", f"The card scores the protected column {each['column']}. The contract's reason: {each['why']}"
            )


def reason_texts(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics of which a decline cannot be told its reasons."""
    lacking = [each["feature"] for each in evaluation["reason_texts_lacking"]]
    if lacking:
        are = "1 characteristic has" if len(lacking) == 1 else f"{len(lacking)} characteristics have"
        more = ", and others" if len(lacking) > MOST_NAMED else ""
        yield Sentence(
            "watch",
            f"{are} no reason text for some bins, so that not every decline can be told its reasons: "
            f"{', '.join(lacking[:MOST_NAMED])}{more}.",
        )

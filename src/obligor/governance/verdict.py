"""What the figures say, in words: the first thing that a risk officer reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from obligor.governance.pages import amount
from obligor.measures.fairness import evened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Tone = Literal["plain", "good", "watch", "act"]

_OVERFIT = 0.03
_DOUBT = 0.01
_PSI_WATCH, _PSI_ACT = 0.10, 0.25
_MOST_FLAGS = 5
_BEYOND = 0.20
_SUSPICIOUS = 1.0
"""In information value: from 0.5 on a characteristic is very strong as a rule (Siddiqi 2006)."""
_WITHHOLDING = 1.0
"""In points."""
_RESTS_ON = {
    "profit": ("margin", "lgd"),
    "break_even": ("margin", "lgd"),
    "cost": ("cost_declined_good", "cost_missed_default"),
}


@dataclass(frozen=True, slots=True)
class Sentence:
    """One statement of the verdict and how it should be taken."""

    tone: Tone
    text: str


def verdict(evaluation: Mapping[str, Any]) -> tuple[Sentence, ...]:
    """Say what the card is worth, from the plain data of its evaluation."""
    return tuple(
        sentence
        for part in (
            _ranking,
            _decisions,
            _economics,
            _thresholds,
            _incumbent,
            _challengers,
            _overfitting,
            _leaks,
            _calibration,
            _stability,
            _flips,
            _withholding,
            _proposals,
            _segments,
            _fairness,
            _rules,
            _proxies,
            _alternatives,
            _protected,
            _reason_texts,
            _declined,
            _inference,
        )
        for sentence in part(evaluation)
    )


def _ranking(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
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
        f"{_percent(test['auc'])} of pairs (Gini {test['gini']:.3f}{interval}; KS {test['ks']:.3f}).",
    )


def _decisions(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    test, at = evaluation["test"], evaluation["test"]["at_cutoff"]
    if at["npl_rate"] is None:
        yield Sentence("watch", "At the cut-off the card approves nobody on the test.")
        return
    cutoff = evaluation["cutoff"]
    yield Sentence(
        "plain",
        f"At the cut-off of {cutoff['score'] / 1000:.0f} points, chosen by {cutoff['chosen_by']} on validation, it "
        f"approves {_percent(at['approval_rate'])} of them, of whom {_percent(at['npl_rate'])} turn bad; "
        f"approving everybody would give {_percent(test['bad_rate'])}.",
    )


def _economics(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what a cut-off rests on that nobody stated."""
    it = evaluation["economics"]
    said = {
        "margin": f"a good loan earns {_percent(it['margin'])} of its amount",
        "lgd": f"a bad loan loses {_percent(it['lgd'])} of its amount",
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


def _thresholds(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether cut-offs by segment and amount pay, where they differ from the common one."""
    policy, common = evaluation["policy"], evaluation["cutoff"]["score"]
    gain, parted = policy["gain"], [it for it in (policy["segment"], policy["amount"]) if it]
    if gain is None or all(it["cutoff"] == common for it in policy["thresholds"]):
        return
    clear = gain["lower"] > 0 or gain["upper"] < 0
    tone: Tone = "plain" if not clear else "good" if gain["value"] > 0 else "watch"
    money = f" {evaluation['currency']}" if evaluation["currency"] else ""
    yield Sentence(
        tone,
        f"Cut-offs by {' and '.join(parted)} earn {abs(gain['value']):,.2f}{money} {'more' if gain['value'] >= 0 else 'less'} "
        f"for each application of the test than the common one (95% interval {gain['lower']:+,.2f} to {gain['upper']:+,.2f}"
        f"{'' if clear else ', which may be chance'}).",
    )


def _incumbent(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    incumbent = evaluation["test"].get("incumbent")
    if not incumbent or incumbent["auc"] is None or incumbent["card_auc"] is None:
        return
    gain = incumbent["card_auc"] - incumbent["auc"]
    tone: Tone = "good" if gain > 0 else "watch"
    word = "above" if gain > 0 else "below"
    yield Sentence(
        tone,
        f"The incumbent's {incumbent['column']} ranks {_percent(incumbent['auc'])} of the same pairs: the card is "
        f"{100 * abs(gain):.1f} points {word} it.",
    )
    if incumbent.get("swap"):
        yield _swap(incumbent["column"], incumbent["swap"])


def _swap(column: str, swap: Mapping[str, Any]) -> Sentence:
    """Say what the card buys: fewer bads at the same approval rate, or more approvals at the same rate of bads."""
    npl, approvals = swap["npl_change"], swap["approval_change"]
    clear = npl["upper"] < 0 or npl["lower"] > 0
    tone: Tone = "plain" if not clear else "good" if npl["value"] < 0 else "watch"
    word = "lowers" if npl["value"] < 0 else "raises"
    doubt = "" if clear else ", which may be chance"
    interval = f"95% interval {_points(npl['lower'])} to {_points(npl['upper'])}{doubt}"
    more = "more" if approvals["value"] >= 0 else "fewer"
    return Sentence(
        tone,
        f"Approving the same {_percent(swap['approval_rate'])} by the card instead of {column} {word} the share that turns "
        f"bad from {_percent(swap['old_npl_rate'])} to {_percent(swap['new_npl_rate'])} "
        f"(change {_points(npl['value'])} points, {interval}): of all applications {_percent(swap['swapped'])} are swapped "
        f"in, as many out. At the same share of bads it would approve {abs(100 * approvals['value']):.1f} points {more} "
        f"({_points(approvals['lower'])} to {_points(approvals['upper'])}).",
    )


def _challengers(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
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
    chance = "" if profit["lower"] > 0 or profit["upper"] < 0 else ", which may be chance"
    earned = f"{amount(abs(profit['value']))} {currency}".strip()
    return (
        f"{said} and earn {earned} {more} per application "
        f"(95% interval {amount(profit['lower'], '+')} to {amount(profit['upper'], '+')}{chance})"
    )


def _overfitting(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    train, test = evaluation["train"]["auc"], evaluation["test"]["auc"]
    if train is not None and test is not None and train - test > _OVERFIT:
        yield Sentence(
            "watch",
            f"It ranks {100 * (train - test):.1f} points worse on the test than on the loans that it was fitted on: "
            "part of what it learnt did not hold.",
        )


def _leaks(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics that tell more than what is known at the application tells as a rule."""
    values = {it["feature"]: it["information_value"] for it in evaluation["characteristics"]}
    found = sorted((name for name in values if values[name] > _SUSPICIOUS), key=lambda name: (-values[name], name))
    if found:
        told = _first([f"{name} ({values[name]:.2f})" for name in found])
        yield Sentence(
            "watch",
            f"These may know the outcome, by their information value: {told}. What was not known when the applicant applied is "
            "`leakage` in the contract.",
        )


def _calibration(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    test = evaluation["test"]
    ratio, p = test["observed_expected"], test["spiegelhalter"]["p"]
    if ratio is None or p is None:
        return
    told = f"it predicts {_percent(test['mean_pd'])} bad on the test and {_percent(test['bad_rate'])} turned bad"
    if p >= _DOUBT:
        yield Sentence("good", f"Its PDs hold: {told} (Spiegelhalter p = {p:.2f}).")
    else:
        side = "too low" if ratio > 1 else "too high"
        yield Sentence("watch", f"Its PDs are {side} by a factor of {max(ratio, 1 / ratio):.2f}: {told}.")


def _stability(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    score = evaluation["stability"]["score_psi"].get("test")
    if not score or score["psi"] is None:
        return
    psi, chance = score["psi"], score["quantile_95"]
    if psi > _PSI_ACT and psi > chance:
        yield Sentence("act", f"The applicants have changed: the PSI of the score from train to test is {psi:.3f}.")
    elif psi > _PSI_WATCH and psi > chance:
        yield Sentence("watch", f"The applicants are changing: the PSI of the score from train to test is {psi:.3f}.")
    else:
        yield Sentence(
            "good", f"The applicants have not changed: the PSI of the score from train to test is {psi:.3f}."
        )
    moved = [
        each["feature"]
        for each in evaluation["stability"]["characteristics"]
        if (each.get("test") or {}).get("psi") is not None and each["test"]["psi"] > _PSI_ACT
    ]
    if moved:
        yield Sentence("watch", f"Characteristics that moved most: {', '.join(moved)}.")


def _flips(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    names = list(dict.fromkeys(flip["feature"] for flip in evaluation["stability"]["flips"]))
    if names:
        yield Sentence(
            "watch",
            f"Bins changed places in some period, by more than chance, in {_first(names)}: their points did not always hold.",
        )


def _withholding(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the characteristics of which an applicant earns more by no answer than by the average one."""
    gains = {it["feature"]: (it["withholding_gain"] or 0) / 1000 for it in evaluation["characteristics"]}
    found = sorted((name for name in gains if gains[name] >= _WITHHOLDING), key=lambda name: (-gains[name], name))
    if found:
        told = _first([f"{name} ({gains[name]:+.1f} points)" for name in found])
        yield Sentence(
            "watch",
            f"Withholding pays: without a value an applicant earns more than by the average answer in {told}. Unless to have "
            "none is an answer in itself, require a value, or refer who gives none by a knock-out.",
        )


def _proposals(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    found = evaluation["proposals"]
    if found:
        names = ", ".join(it["name"] for it in found[:_MOST_FLAGS])
        yield Sentence("plain", f"Ratios that would tell more than the card does, for a person to accept: {names}.")


def _segments(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
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


def _fairness(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    rules = evaluation["fairness_rules"]
    if not rules["test"] and evaluation["protected"]:
        yield Sentence("watch", f"Groups of applicants are not compared. The contract's reason: {rules['because']}")
    flagged = [
        (column["column"], column["reference"], group)
        for column in evaluation["fairness"]
        for group in column["groups"]
        if group["flag"] in ("hard", "review")
    ]
    for column, reference, group in sorted(flagged, key=lambda it: _evenness(it[2]))[:_MOST_FLAGS]:
        yield Sentence(
            "act" if group["flag"] == "hard" else "watch",
            f"{column}: {group['name']} is approved {_as_often(group, reference)}.",
        )
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


def _rules(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Name the rules that stop a group more often than another."""
    for rule in evaluation["knockouts"]:
        for column in rule["fairness"]:
            flagged = [it for it in column["groups"] if it["flag"] in ("hard", "review")]
            for group in sorted(flagged, key=_evenness)[:1]:
                yield Sentence(
                    "act" if group["flag"] == "hard" else "watch",
                    f"{column['column']}: the rule {rule['name']} lets {group['name']} pass "
                    f"{_as_often(group, column['reference'])}.",
                )


def _evenness(group: Mapping[str, Any]) -> float:
    return 0.0 if group["impact_ratio"] is None else evened(group["impact_ratio"])


def _as_often(group: Mapping[str, Any], reference: str) -> str:
    """Say how often a group gets through beside the reference group, and whether chance may explain it."""
    if group["impact_ratio"] is None:
        return f"in {_percent(group['approval_rate'])} of cases, and {reference} never (p = {group['p']:.2g})"
    chance = ", which may be chance" if group["impact_lower"] <= 1 <= group["impact_upper"] else ""
    return (
        f"{group['impact_ratio']:.2f} times as often as {reference} "
        f"({group['impact_lower']:.2f} to {group['impact_upper']:.2f}, p = {group['p']:.2g}{chance})"
    )


def _proxies(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    limit = evaluation["fairness_rules"]["proxy_auc"]
    for column in evaluation["proxies"]:
        strong = [it for it in column["characteristics"] if it["proxy"]]
        told = max(column["groups"], key=lambda it: it["auc"], default=None)
        if strong:
            named = ", ".join(f"{it['feature']} ({it['group']}: {_percent(it['auc'])})" for it in strong[:_MOST_FLAGS])
            yield Sentence(
                "watch",
                f"Characteristics that stand in for {column['column']}, with the share of pairs in which each tells a group "
                f"from the others: {named}; half is chance.",
            )
        elif told and told["auc"] >= limit:
            yield Sentence(
                "watch",
                f"Together the characteristics tell {told['name']} by {column['column']} from the others in "
                f"{_percent(told['auc'])} of pairs (half is chance); none alone reaches {_percent(limit)}.",
            )


def _alternatives(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
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


def _protected(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    for each in evaluation["protected"]:
        if each["on_card"]:
            yield Sentence(
                "watch", f"The card scores the protected column {each['column']}. The contract's reason: {each['why']}"
            )


def _reason_texts(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    lacking = [each["feature"] for each in evaluation["reason_texts_lacking"]]
    if lacking:
        are = "1 characteristic has" if len(lacking) == 1 else f"{len(lacking)} characteristics have"
        more = ", and others" if len(lacking) > _MOST_FLAGS else ""
        yield Sentence(
            "watch",
            f"{are} no reason text for some bins, so that not every decline can be told its reasons: "
            f"{', '.join(lacking[:_MOST_FLAGS])}{more}.",
        )


def _declined(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say what was assumed of the declined, and how far the assumption reaches."""
    found = evaluation.get("rejects")
    if not found:
        return
    share = 1 - found["samples"]["test"]["approval_rate"]
    fitted = (
        "the card was fitted on the accepted alone"
        if found["method"] == "none"
        else f"the card was fitted with them by {found['method']}, as if they had {found['uplift']:g} times the odds of bad"
    )
    low, high = found["band"][0], found["band"][-1]
    approved = (
        ""
        if low["plain_bad_rate"] is None
        else ", and of all whom the plain card approves at its cut-off "
        f"{_percent(low['plain_bad_rate'])} to {_percent(high['plain_bad_rate'])}"
    )
    yield Sentence(
        "watch",
        f"The lender declined {_percent(share)} of the applications of the test, and nothing on the tape says how they "
        f"would have turned out: {fitted}. From {low['uplift']:g} to {high['uplift']:g} times the odds of accepted "
        f"applicants of their score, {_percent(low['assumed_bad_rate'])} to {_percent(high['assumed_bad_rate'])} of them "
        f"would be bad{approved}.",
    )
    if found["beyond"] > _BEYOND:
        yield Sentence(
            "watch",
            f"{_percent(found['beyond'])} of the declined score below 99% of the accepted: of them hardly any accepted loan "
            "tells anything.",
        )


def _inference(evaluation: Mapping[str, Any]) -> Iterator[Sentence]:
    """Say whether known outcomes can tell an inferred card from the plain one."""
    found = evaluation.get("rejects")
    if not found or found["plain"]["gini"] is None:
        return
    moves = [each["gini"] - found["plain"]["gini"] for each in found["band"]]
    clear = [each for each in found["band"] if each["p"] is not None and each["p"] < _DOUBT]
    reach = f"moves the Gini on accepted loans by {min(moves):+.3f} to {max(moves):+.3f}"
    if not clear:
        yield Sentence(
            "plain", f"Inference by {found['band_method']} {reach}: it moved nothing that the data could confirm."
        )
        return
    told = " and ".join(f"{each['uplift']:g}" for each in clear)
    yield Sentence(
        "watch",
        f"Inference by {found['band_method']} {reach}; at {told} times the odds that is more than chance. It speaks of the "
        "bins and of the accepted, and confirms nothing of what was assumed of the declined.",
    )


def _first(names: Sequence[str]) -> str:
    """Name the first few, and say how many more there are."""
    more = f" and {len(names) - _MOST_FLAGS} more" if len(names) > _MOST_FLAGS else ""
    return ", ".join(names[:_MOST_FLAGS]) + more


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}%"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"

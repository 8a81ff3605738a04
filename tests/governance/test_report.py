"""The report says the verdict first, opens offline, and draws what it says."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import lack

from obligor.bootstrap import load_card
from obligor.core.clauses import Economics
from obligor.governance.charts import (
    Cloud,
    Frame,
    Series,
    line_chart,
    ranked_chart,
    scatter_chart,
    ticks,
    waterfall_chart,
)
from obligor.governance.model_card import render_model_card
from obligor.governance.pages import p_value, text
from obligor.governance.report import challengers, render_report
from obligor.governance.report.view import View
from obligor.governance.verdict.verdict import verdict
from obligor.ingestion.contract_file import load_contract

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.conftest import LenderRun


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real Chromium."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        lack("browser", "Chromium is not installed")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=path, args=[*quiet, "--disable-component-update", "--disable-sync"]
        )
        yield opened
        opened.close()


def contrast(colour: Sequence[int]) -> float:
    """Give the contrast of a colour with white, as WCAG 2.2 defines it."""
    parts = [each / 255 for each in colour]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)


@pytest.mark.browser
def test_marks_of_a_chart_are_told_apart_without_colour_and_stand_out_from_the_page(
    browser: Any, lender_run: LenderRun
) -> None:
    page = browser.new_page(offline=True)
    page.goto((lender_run.out / "report.html").as_uri())
    legends = page.locator("ul.legend").evaluate_all(
        """lists => lists.map(list => [...list.querySelectorAll('svg.swatch > *')].map(mark => {
            const style = getComputedStyle(mark);
            return [[mark.tagName, mark.getAttribute('d'), style.strokeDasharray, style.fill === 'rgb(255, 255, 255)'],
                    style.stroke.match(/\\d+/g).map(Number)];
        }))"""
    )
    page.close()
    assert max(len(marks) for marks in legends) > 3
    for marks in legends:
        shapes = [json.dumps(shape) for shape, _ in marks]
        assert len(set(shapes)) == len(shapes)
        assert all(contrast(stroke) >= 3 for _, stroke in marks)


def test_lines_that_are_told_apart_by_number_have_strokes_of_their_own_and_colours_that_stand_out() -> None:
    css = text("report/report.css")
    strokes = [
        found[1] if (found := re.search(rf"path\.line\.p{at}\b[^{{}}]*{{ stroke-dasharray: ([\d ]+);", css)) else ""
        for at in range(6)
    ]
    assert len(set(strokes)) == 6
    named = dict(re.findall(r"--(\w+): (#\w{6});", css))
    drawn = re.findall(r"\.\w+ { stroke: (#\w{6}|var\(--\w+\)); fill: \1; }", css)
    assert len(drawn) == 11
    for colour in drawn:
        code = named[colour[6:-1]] if colour.startswith("var") else colour
        assert contrast(bytes.fromhex(code[1:])) >= 3, colour


def test_a_legend_shows_the_mark_that_it_names() -> None:
    frame = Frame((0, 1), (0, 1), "x", "y", "z")
    told = line_chart(frame, [Series("young", [(0, 0), (1, 1)], "p3")])
    assert '<path class="p3 line" d="M0,6L36,6"></path></svg>young</li>' in told
    told = scatter_chart(frame, [Cloud("a", "p1", [(0, 0, "x")]), Cloud("b", "bads", [])], line=Series("", [], "guide"))
    assert told.count('<path class="p1 dot"') == 2  # on the chart and in the legend
    assert '<circle class="bads dot"' in told


@pytest.mark.browser
@pytest.mark.parametrize("width", [1200, 420])
def test_the_report_opens_offline_without_an_error_and_fits_the_screen(
    browser: Any, lender_run: LenderRun, width: int
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, offline=True)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto((lender_run.out / "report.html").as_uri())
    assert errors == []
    assert [url for url in asked if not url.startswith("file:")] == []
    assert page.locator("h2").first.inner_text() == "The verdict"
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    frontiers = page.locator("#fairness svg.chart")
    assert frontiers.count() == 2
    assert all(frontiers.nth(at).bounding_box()["width"] > 250 for at in range(2))
    boxes = page.locator("#ranking svg.chart")
    assert boxes.count() == 3
    for at in range(3):
        box = boxes.nth(at).bounding_box()
        assert box["width"] > 250
        assert box["height"] > 150
    card = json.loads((lender_run.out / "scorecard.json").read_text())
    shown = page.locator("#points tbody tr").count()
    assert shown == sum(len(each["bins"]) for each in card["characteristics"])
    page.close()


@pytest.mark.browser
def test_moving_the_cutoff_tells_what_the_frontier_says(browser: Any, lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    page = browser.new_page(viewport={"width": 420, "height": 900}, offline=True)
    page.goto((lender_run.out / "report.html").as_uri())
    figure = {
        (sample, name): page.locator(f'#policy td[data-sample="{sample}"][data-figure="{name}"]')
        for sample in ("validation", "test")
        for name in ("score", "approval_rate", "npl_rate", "profit", "expected_profit", "bads_declined")
    }
    at = plain["test"]["at_cutoff"]
    assert figure["test", "approval_rate"].inner_text() == f"{100 * at['approval_rate']:.1f}%"
    assert figure["test", "npl_rate"].inner_text() == f"{100 * at['npl_rate']:.1f}%"
    assert figure["test", "profit"].inner_text() == f"{at['profit']:,.0f}"
    assert figure["test", "expected_profit"].inner_text() == f"{at['expected_profit']:,.0f}"
    assert figure["test", "bads_declined"].inner_text() == f"{at['true_positives']:,.0f}"
    dots = page.locator("#policy circle.here")
    before = [dots.nth(at).get_attribute("cx") for at in range(4)]
    page.locator("#cutoff").focus()
    for _ in range(40):
        page.keyboard.press("ArrowRight")
    moved = plain["cutoff"]["score"] + 40 * 500
    assert page.locator("#policy output").inner_text() == f"{moved / 1000:.1f} points"
    assert page.locator("#cutoff").get_attribute("aria-valuetext").startswith(f"{moved / 1000:.1f} points, approves")
    for sample in ("validation", "test"):
        row = next(row for row in plain[sample]["frontier"] if round(1000 * row[0]) >= moved)
        assert figure[sample, "score"].inner_text() == f"{row[0]:.1f}"
        assert figure[sample, "approval_rate"].inner_text() == f"{100 * row[1]:.1f}%"
        assert figure[sample, "npl_rate"].inner_text() == f"{100 * row[2]:.1f}%"
        assert figure[sample, "profit"].inner_text() == f"{row[3]:,.0f}"
    after = [dots.nth(at).get_attribute("cx") for at in range(4)]
    assert all(float(new) < float(old) for old, new in zip(before, after, strict=True))  # fewer are approved
    page.keyboard.press("End")
    assert figure["test", "approval_rate"].inner_text() == "0.0%"
    assert figure["test", "npl_rate"].inner_text() == "\u2013"
    assert dots.first.get_attribute("visibility") == "hidden"
    page.locator("#policy button").click()
    assert figure["test", "profit"].inner_text() == f"{at['profit']:,.0f}"
    page.close()


@pytest.mark.browser
def test_without_scripts_the_section_still_tells_a_few_cutoffs(browser: Any, lender_run: LenderRun) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((lender_run.out / "report.html").as_uri())
    assert not page.locator("#policy .mover").is_visible()
    shown = page.locator("#policy table").first.inner_text() + page.locator("#policy").inner_text()
    assert "approving" in shown
    assert f"{evaluation(lender_run)['cutoff']['score'] / 1000:.1f}" in shown
    context.close()


def test_the_page_holds_one_script_allowed_by_its_hash_and_no_address(lender_run: LenderRun) -> None:
    page = (lender_run.out / "report.html").read_text()
    (script,) = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    own = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{own}';" in page
    assert len(re.findall(r"<script", page)) == 2  # the other one is data, which no browser runs
    assert '<script type="application/json" id="frontier">' in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert not re.search(r"\bon[a-z]+=", page)


def test_the_verdict_on_the_page_is_told_apart_without_colour(lender_run: LenderRun) -> None:
    page = (lender_run.out / "report.html").read_text()
    grave = [it.tone for it in verdict(evaluation(lender_run)) if it.tone in ("watch", "act")]
    assert grave
    for tone in set(grave):
        assert page.count(f'<p class="{tone}"><b>{tone.capitalize()}:</b> ') == grave.count(tone)


def test_the_page_says_what_an_error_costs_and_what_profit_is_in(lender_run: LenderRun) -> None:
    page, economics = (lender_run.out / "report.html").read_text(), evaluation(lender_run)["economics"]
    assert f"Cost is {economics['cost_missed_default']:g} for each missed default" in page
    assert "Profit is in EUR, by loan_amount." in page


def test_no_p_value_is_told_as_nothing(lender_run: LenderRun) -> None:
    assert [p_value(it) for it in (None, 0.0, 0.00099, 0.001, 0.05, 1.0)] == [
        "\u2013", "< 0.001", "< 0.001", "0.001", "0.050", "1.000",
    ]  # fmt: skip
    least = min(it["p_value"] for it in evaluation(lender_run)["characteristics"])
    assert least < 0.0005
    assert "<td>&lt; 0.001</td>" in (lender_run.out / "report.html").read_text()
    assert "| < 0.001 |" in (lender_run.out / "model_card.md").read_text()


def test_every_check_on_the_page_names_its_table(lender_run: LenderRun) -> None:
    page = html.unescape((lender_run.out / "report.html").read_text())
    checks = page[page.index("<h3>Checks</h3>") :]
    rows = re.findall(r'<tr><td>([^<]*)</td><td class="text">([^<]*)</td><td class="text">([^<]*)</td>', checks)
    found = json.loads((lender_run.out / "findings.json").read_text())["findings"]
    assert rows == [(it["table"], it["column"] or "", it["check"]) for it in found]
    assert {table for table, *_ in rows} > {"applications", "repayments"}


def test_figures_on_the_page_are_those_of_the_evaluation(lender_run: LenderRun) -> None:
    page = (lender_run.out / "report.html").read_text()
    test = json.loads((lender_run.out / "evaluation.json").read_text())["test"]
    for shown in (f"{test['gini']:.4f}", f"{test['brier']:.4f}", f"{100 * test['at_cutoff']['npl_rate']:.1f}%"):
        assert shown in page


def evaluation(lender_run: LenderRun) -> dict[str, Any]:
    return json.loads((lender_run.out / "evaluation.json").read_text())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"auc": None}, "cannot be told"),
        ({"observed_expected": 1.5, "spiegelhalter": {"z": 9.0, "p": 0.0}}, "too low by a factor of 1.50"),
        ({"observed_expected": 0.5, "spiegelhalter": {"z": 9.0, "p": 0.0}}, "too high by a factor of 2.00"),
        ({"spiegelhalter": {"z": 0.1, "p": 0.9}}, "Its PDs hold"),
        ({"auc": 0.5}, "did not hold"),
    ],
)
def test_the_verdict_says_what_the_figures_say(lender_run: LenderRun, change: dict[str, Any], words: str) -> None:
    plain = evaluation(lender_run)
    plain["test"] |= change
    assert any(words in sentence.text for sentence in verdict(plain))


@pytest.mark.parametrize(
    ("chosen_by", "stated", "words"),
    [
        ("profit", {}, "a good loan earns 8.0% of its amount and a bad loan loses 60.0% of its amount."),
        ("profit", {"margin": 0.08}, "any loan: a bad loan loses 60.0% of its amount."),
        ("profit", {"margin": 0.08, "lgd": 0.6}, ""),  # stated, whatever the values
        ("break_even", {"lgd": 0.5}, "any loan: a good loan earns 8.0% of its amount."),
        ("cost", {"margin": 0.1, "lgd": 0.5}, "declining a good loan costs 1 and approving a bad loan costs 5."),
        ("cost", {"cost_declined_good": 1, "cost_missed_default": 5}, ""),
        ("pd", {}, ""),  # asks for no economics
    ],
)
def test_a_cutoff_that_rests_on_economics_that_nobody_stated_says_so(
    lender_run: LenderRun, chosen_by: str, stated: dict[str, float], words: str
) -> None:
    plain = evaluation(lender_run)
    assert not told(plain, "assumes of any loan")  # this lender states them
    economics = Economics.model_validate(stated)
    plain["economics"] = economics.model_dump(mode="json") | {"assumed": list(economics.assumed)}
    plain["cutoff"]["chosen_by"] = chosen_by
    sentences = told(plain, "assumes of any loan")
    assert len(sentences) == bool(words)
    assert all(it.startswith("watch: ") and words in it for it in sentences)


@pytest.mark.parametrize(
    ("value", "lower", "upper", "tone", "words"),
    [
        (2.5, 1.0, 4.0, "good", "earn 2.50 EUR more for each application"),
        (2.5, -1.0, 6.0, "plain", "-1.00 to +6.00, which may be chance"),
        (-2.5, -4.0, -1.0, "watch", "earn 2.50 EUR less"),
    ],
)
def test_the_verdict_says_whether_thresholds_pay(
    lender_run: LenderRun, value: float, lower: float, upper: float, tone: str, words: str
) -> None:
    plain = evaluation(lender_run)
    plain["policy"]["gain"] = {"value": value, "lower": lower, "upper": upper}
    plain["policy"]["thresholds"][0]["cutoff"] = plain["cutoff"]["score"] + 1
    told = [it for it in verdict(plain) if it.text.startswith("Cut-offs by channel and loan_amount")]
    assert [it.tone for it in told] == [tone]
    assert words in told[0].text
    for row in plain["policy"]["thresholds"]:
        row["cutoff"] = plain["cutoff"]["score"]
    assert not [it for it in verdict(plain) if "Cut-offs by" in it.text]  # nothing is parted


def test_groups_that_cannot_be_compared_are_not_called_fair(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    group = {"name": "f", "impact_ratio": None, "flag": "insufficient"}
    own = {"name": "m", "impact_ratio": 1.0, "flag": ""}
    plain["fairness"] = [{"column": "sex", "reference": "m", "groups": [group, own]}]
    told = [it for it in verdict(plain) if "protected columns" in it.text]
    assert [it.tone for it in told] == ["watch"]
    assert "could be compared" in told[0].text
    plain["fairness"][0]["groups"] += [group | {"impact_ratio": 0.97, "flag": ""}]
    told = [it for it in verdict(plain) if "protected columns" in it.text]
    assert [it.tone for it in told] == ["good"]
    assert "1 were too small" in told[0].text
    alone = {"column": "region", "reference": "south", "groups": [group | {"name": "south", "flag": ""}]}
    plain["fairness"] = [{"column": "sex", "reference": "m", "groups": [own, group | {"impact_ratio": 0.97}]}, alone]
    assert [it.tone for it in verdict(plain) if "protected columns" in it.text] == ["good"]


PLAIN_RATIOS = {"test": {"impact_ratios": {"sex": 0.94}}, "validation": {"gini": 0.5, "impact_ratios": {"sex": 0.95}}}


def searched(
    lender_run: LenderRun, *, alternative: str | None, holds: bool = True, ratio: float = 0.7
) -> dict[str, Any]:
    plain = evaluation(lender_run)
    card = {"name": "the card", "test": {"impact_ratios": {"sex": None}}}
    card["validation"] = {"gini": 0.504, "impact_ratios": {"sex": ratio}}
    proposals = [{"column": "sex", "ratio": ratio, "alternative": alternative, "holds": holds}]
    plain["alternatives"] = {"alternatives": [card, PLAIN_RATIOS | {"name": "without phone"}], "proposals": proposals}
    return plain


def told(plain: dict[str, Any], words: str) -> list[str]:
    return [f"{it.tone}: {it.text}" for it in verdict(plain) if words in it.text]


def test_a_fairer_card_within_the_price_must_be_decided_on(lender_run: LenderRun) -> None:
    (sentence,) = told(searched(lender_run, alternative="without phone"), "groups of sex")
    assert sentence.startswith("act: A card that treats groups of sex more alike exists (without phone)")
    assert "0.95 (test: 0.94) instead of 0.70 (test: not known), for 0.4 points of Gini" in sentence
    (sentence,) = told(searched(lender_run, alternative="without phone", holds=False), "groups of sex")
    assert sentence.startswith("plain: ")
    assert "does not do so on the test" in sentence


def test_a_search_that_finds_nothing_says_so_only_where_a_ratio_is_low(lender_run: LenderRun) -> None:
    (sentence,) = told(searched(lender_run, alternative=None), "groups of sex")
    assert "Of 1 other cards that were tried, none treats groups of sex more alike within 1.0 points" in sentence
    assert told(searched(lender_run, alternative=None, ratio=0.95), "groups of sex") == []
    assert told(evaluation(lender_run) | {"alternatives": None}, "other cards") == []


def test_a_strong_proxy_is_named_and_a_weak_one_is_not(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    phone = {"feature": "phone", "group": "f", "auc": 0.81, "cramers_v": 0.5, "proxy": True}
    together = {"name": "f", "rows": 900, "auc": 0.84, "auc_lower": 0.82, "auc_upper": 0.86}
    plain["proxies"] = [{"column": "sex", "rows": 2000, "groups": [together], "characteristics": [phone]}]
    (sentence,) = told(plain, "stand in for sex")
    assert "phone (f: 81.0%)" in sentence
    phone["proxy"] = False
    (sentence,) = told(plain, "by sex from the others")
    assert "84.0% of pairs" in sentence
    together["auc"] = 0.6
    assert told(plain, "from the others") == []


def test_groups_that_the_contract_does_not_compare_are_told_with_the_reason(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run) | {"fairness": [], "proxies": []}
    plain["fairness_rules"] |= {"test": False, "because": "no law of this land asks for it"}
    (sentence,) = told(plain, "not compared")
    assert sentence.startswith("watch: ")
    assert "no law of this land" in sentence


def test_a_flag_whose_interval_holds_one_may_be_chance_and_the_worst_comes_first(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    other = {"name": "f", "flag": "hard", "impact_ratio": 1.5, "impact_lower": 1.2, "impact_upper": 1.8, "p": 0.001}
    small = {"name": "x", "flag": "hard", "impact_ratio": 0.79, "impact_lower": 0.6, "impact_upper": 1.04, "p": 0.1}
    plain["fairness"] = [{"column": "sex", "reference": "m", "groups": [small, other]}]
    first, second = told(plain, "times as often as m")
    assert first.startswith("act: sex: f is approved 1.50 times")
    assert "chance" not in first
    assert second.endswith("which may be chance).")


def test_a_rule_that_stops_a_group_more_often_is_told_and_shown(lender_run: LenderRun, contracts: Path) -> None:
    plain = evaluation(lender_run)
    rule = next(it for it in plain["knockouts"] if it["name"] == "half_of_income_owed")
    column = next(it for it in rule["fairness"] if it["column"] == "sex")
    group = next(it for it in column["groups"] if it["name"] != column["reference"])
    assert rule["when"].replace(">", "&gt;") in (lender_run.out / "report.html").read_text()
    group |= {"flag": "hard", "impact_ratio": 0.66, "impact_lower": 0.61, "impact_upper": 0.71, "p": 0.0001}
    (sentence,) = told(plain, "rule half_of_income_owed")
    assert sentence.startswith(f"act: sex: the rule half_of_income_owed lets {group['name']} pass 0.66 times as often")
    assert "0.61 to 0.71" in groups_section(rendered(plain, lender_run, contracts))
    group |= {"impact_ratio": None, "impact_lower": None, "impact_upper": None, "approval_rate": 0.25}
    (sentence,) = told(plain, "rule half_of_income_owed")
    assert f"pass in 25.0% of cases, and {column['reference']} never (p = 0.0001)" in sentence
    shown = rendered(plain | {"knockouts": []}, lender_run, contracts)
    assert "Rules that decide" not in shown


def test_the_groups_section_shows_intervals_proxies_and_the_frontier(lender_run: LenderRun) -> None:
    page = (lender_run.out / "report.html").read_text()
    section = groups_section(page)
    plain = evaluation(lender_run)
    sex = next(it for it in plain["fairness"] if it["column"] == "sex")
    group = next(it for it in sex["groups"] if it["name"] != sex["reference"])
    for name in ("impact", "score_difference", "observed_expected"):
        assert f"{group[f'{name}_lower']:.2f} to {group[f'{name}_upper']:.2f}" in section
    assert f"{100 * group['declined_goods_lower']:+.1f} to {100 * group['declined_goods_upper']:+.1f}" in section
    best = plain["proxies"][0]["characteristics"][0]
    assert f"{100 * best['auc']:.1f}%" in section
    cards = plain["alternatives"]["alternatives"]
    columns = [it["column"] for it in plain["proxies"]]
    assert section.count('<svg class="chart"') == len(columns)
    for it in cards:
        assert section.count(f"<title>{it['name']}: impact ratio") == len(columns)
        assert (f'<td class="text">{it["name"]}</td>' in section) == (it["test"] is not None)


def test_a_run_that_was_asked_for_no_search_shows_none(lender_run: LenderRun, contracts: Path) -> None:
    shown = rendered(evaluation(lender_run) | {"alternatives": None}, lender_run, contracts)
    assert "Cards that would treat groups more alike" not in shown
    shown = rendered(evaluation(lender_run) | {"fairness": []}, lender_run, contracts)
    assert 'id="fairness"' not in shown
    assert 'href="#fairness"' not in shown


def test_groups_too_small_to_tell_leave_dashes_and_no_chart(lender_run: LenderRun, contracts: Path) -> None:
    plain = evaluation(lender_run)
    for column in plain["fairness"]:
        for group in column["groups"]:
            kept = {name: group[name] for name in ("name", "rows", "effective_rows")}
            group.update(dict.fromkeys(group) | kept | {"flag": "insufficient"})
    for column in plain["proxies"]:
        column.update({"groups": [], "characteristics": []})
    for it in plain["alternatives"]["alternatives"]:
        for figures in (it["validation"], it["test"] or {"impact_ratios": {}}):
            figures["impact_ratios"] = dict.fromkeys(figures["impact_ratios"])
    shown = rendered(plain, lender_run, contracts)
    section = groups_section(shown)
    assert "What stands in for a group" not in section
    assert "<svg" not in section


def groups_section(page: str) -> str:
    return page[page.index('<section id="fairness">') :].partition("</section>")[0]


def rendered(plain: dict[str, Any], lender_run: LenderRun, contracts: Path) -> str:
    contract = load_contract(contracts / "simulated-lender.yaml")
    card = load_card(lender_run.out / "scorecard.json")
    return render_report(contract, card=card, evaluation=plain, findings=[], making=[])


def change_of(value: float, p: float, profit: float) -> dict[str, Any]:
    area = {"value": value, "lower": value - 0.01, "upper": value + 0.01, "p": p}
    return {"auc": area, "profit_per_application": {"value": profit, "lower": profit - 2, "upper": profit + 2}}


@pytest.mark.parametrize(
    ("change", "tone", "words"),
    [
        (
            change_of(0.012, 0.001, 3.5),
            "watch",
            "rank 1.2 points better than the card (p = 0.001) and earn 3.50 EUR more",
        ),
        (change_of(0.012, 0.3, 1.5), "plain", "(95% interval -0.5 to +3.50, which may be chance)"),
        (
            change_of(-0.02, 0.001, -3.5),
            "good",
            "rank 2.0 points worse than the card (p = 0.001) and earn 3.50 EUR less",
        ),
    ],
)
def test_the_verdict_says_what_interpretability_costs(
    lender_run: LenderRun, change: dict[str, Any], tone: str, words: str
) -> None:
    plain = evaluation(lender_run)
    plain["challengers"] = [{"name": "boosted", "against_card": change}]
    told = [it for it in verdict(plain) if "interpretability" in it.text]
    assert [it.tone for it in told] == [tone]
    assert words in told[0].text


def test_of_challengers_that_nobody_asked_for_nothing_is_told(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run) | {"challengers": []}
    assert not [it for it in verdict(plain) if "interpretability" in it.text]
    assert challengers.fill(View(None, None, plain, [], [])) is None  # type: ignore[arg-type]  # reads the evaluation only


def test_the_section_of_challengers_shows_the_figures_of_the_evaluation(lender_run: LenderRun) -> None:
    page = (lender_run.out / "report.html").read_text()
    section = page[page.index('<section id="challengers">') :]
    for it in evaluation(lender_run)["challengers"]:
        assert f"{it['test']['auc']:.4f}" in section
        assert p_value(it["against_card"]["auc"]["p"]) in section
        assert f"{it['rounds']} trees" in section


SEGMENT = {"segment": "web", "rows": 900, "bads": 200, "gain": 0.004, "error": 0.001, "earned": True,
           "characteristics": ["income"], "test_rows": 500, "test_auc_common": 0.61, "test_auc_own": 0.66,
           "test_p": 0.01}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "tone", "words"),
    [
        ({}, "good", "these have points of their own: web (test AUC 0.660 instead of 0.610)"),
        ({"test_auc_own": 0.58}, "watch", "web (test AUC 0.580 instead of 0.610)"),
        ({"test_auc_own": None}, "good", "these have points of their own: web."),
        ({"earned": False}, "plain", "No level of channel earned points of its own"),
    ],
)
def test_the_verdict_says_which_segments_earned_points_of_their_own(
    lender_run: LenderRun, contracts: Path, change: dict[str, Any], tone: str, words: str
) -> None:
    plain = evaluation(lender_run)
    plain["segments"] = {"column": "channel", "on_card": True, "segments": [SEGMENT | change]}
    (sentence,) = told(plain, "of their own") or told(plain, "of its own")
    assert sentence.startswith(f"{tone}: ")
    assert words in sentence
    assert "<td>web</td>" in rendered(plain, lender_run, contracts)


def test_bins_that_changed_places_are_named_in_the_verdict_and_on_the_page(
    lender_run: LenderRun, contracts: Path
) -> None:
    plain = evaluation(lender_run)
    assert told(plain | {"stability": plain["stability"] | {"flips": []}}, "changed places") == []
    flip = {"feature": "income", "period": "2024-Q1", "better": "high", "worse": "low", "better_rate": 0.3,
            "worse_rate": 0.1, "p": 0.001}  # fmt: skip
    plain["stability"]["flips"] = [flip]
    (sentence,) = told(plain, "changed places")
    assert sentence.startswith("watch: ")
    assert "in income" in sentence
    assert '<td class="text">2024-Q1</td>' in rendered(plain, lender_run, contracts)


def test_what_may_know_the_outcome_is_named_for_a_person_to_look_at(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    for it in plain["characteristics"]:
        it["information_value"] = 1.0
    assert told(plain, "may know") == []
    plain["characteristics"][1]["information_value"] = 2.345
    (sentence,) = told(plain, "may know")
    assert sentence.startswith("watch: ")
    assert f"{plain['characteristics'][1]['feature']} (2.35). What was not known" in sentence


def test_where_withholding_pays_the_verdict_says_so(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    first, second, *rest = plain["characteristics"]
    for it in (*rest, first, second):
        it["withholding_gain"] = 999
    assert told(plain, "Withholding") == []
    first["withholding_gain"], second["withholding_gain"] = 1200, 3400
    rest[0]["withholding_gain"] = None
    (sentence,) = told(plain, "Withholding")
    assert sentence.startswith("watch: Withholding pays: ")
    assert f"in {second['feature']} (+3.4 points), {first['feature']} (+1.2 points). Unless" in sentence


def test_a_bin_of_which_train_shows_too_few_bads_is_marked_and_the_rule_said(
    lender_run: LenderRun, contracts: Path
) -> None:
    plain = evaluation(lender_run)
    bins = [row for it in plain["characteristics"] for row in it["bins"]]
    for row in bins:
        row["thin"] = False
    assert "too few bads to tell (*)" not in rendered(plain, lender_run, contracts)
    bins[-1]["thin"] = True
    page = rendered(plain, lender_run, contracts)
    assert "too few bads to tell (*) earns no more than the average" in page
    assert f'<td class="text">{html.escape(bins[-1]["label"])}*</td>' in page


def test_the_model_card_names_the_bins_of_which_train_shows_too_few_bads(
    lender_run: LenderRun, contracts: Path
) -> None:
    card, contract = load_card(lender_run.out / "scorecard.json"), load_contract(contracts / "simulated-lender.yaml")
    first, *rest = card.characteristics
    *others, last = first.bins
    thin = first.model_copy(update={"bins": (*others, last.model_copy(update={"thin": True, "bads": 3.0}))})
    page = render_model_card(
        contract,
        card=card.model_copy(update={"characteristics": (thin, *rest)}),
        evaluation=evaluation(lender_run),
        making=[],
    )
    assert f"Of {first.feature}, {last.label}: train shows too few bads to tell (3), so that it earns no more" in page


def test_proposed_ratios_are_told_as_expressions_to_accept(lender_run: LenderRun, contracts: Path) -> None:
    plain = evaluation(lender_run)
    assert told(plain | {"proposals": []}, "Ratios") == []
    plain["proposals"] = [
        {"name": "debt_to_income", "expression": "debt / income", "numerator": "debt",
         "denominator": "income", "gain": 21.5, "folds": 5, "validation_gain": 4.25}
    ]  # fmt: skip
    (sentence,) = told(plain, "Ratios")
    assert sentence.endswith("for a person to accept: debt_to_income.")
    page = rendered(plain, lender_run, contracts)
    fragment = html.unescape(page[page.index("<pre>features:") + 5 : page.index("</pre>")])
    assert yaml.safe_load(fragment) == {"features": {"debt_to_income": {"expression": "debt / income"}}}


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_ticks_are_few_rising_and_within(low: float, length: float) -> None:
    found = ticks((low, low + length))
    assert len(found) <= 12
    slack = length * 1e-6 + 4 * math.ulp(max(abs(low), abs(low + length)))  # doubles are no finer than that
    assert all(low - slack <= each <= low + length + slack for each in found)


def test_texts_from_a_tape_cannot_become_markup() -> None:
    drawn = line_chart(
        Frame((0, 1), (0, 1), "x", "y", "<b>"), [Series("<script>alert(1)</script>", [(0, 0), (1, 1)], "test")]
    )
    assert "<script" not in drawn
    assert "<b>" not in drawn


def test_the_report_shows_what_moves_scores_and_three_applicants_without_their_private_bins(
    lender_run: LenderRun,
) -> None:
    page = (lender_run.out / "report.html").read_text()
    section = page[page.index('<section id="explanations">') :].split("</section>")[0]
    plain = evaluation(lender_run)
    for it in plain["importance"]:
        assert f">{it['mean_abs_shap']:.2f}</text>" in section
    assert len(plain["examples"]) == section.count("<details") == 3
    card = json.loads((lender_run.out / "scorecard.json").read_text())
    columns = card["applications"]["columns"]
    for it in plain["examples"]:
        assert it["what"] in section
        shown = {each["feature"] for each in it["contributions"]}
        assert shown | set(it["withheld"]["features"]) == {each["feature"] for each in card["characteristics"]}
        assert all(columns[name]["privacy"] == "none" for name in shown if name in columns)
        assert "loan_to_income" not in shown  # it reads the income
    rows = section.count("withheld: personal")
    assert rows == 3


def test_a_contract_whose_texts_are_complete_is_not_warned_of_and_another_is(lender_run: LenderRun) -> None:
    plain = evaluation(lender_run)
    assert plain["reason_texts_lacking"] == []
    assert not [it for it in verdict(plain) if "reason text" in it.text]
    plain["reason_texts_lacking"] = [{"feature": f"x{at}", "bins": ["missing"]} for at in range(7)]
    (told,) = [it for it in verdict(plain) if "reason text" in it.text]
    assert told.tone == "watch"
    assert told.text.startswith("7 characteristics have no reason text")
    assert told.text.endswith("x0, x1, x2, x3, x4, and others.")


def bars(drawn: str) -> list[tuple[float, float]]:
    """Give the left and right ends of each bar, in pixels."""
    boxes = re.findall(r'area"[^>]*d="M([0-9.]+),[0-9.]+L([0-9.]+),', drawn)
    return [(float(left), float(right)) for left, right in boxes]


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=8))
def test_ranked_bars_are_as_long_as_their_values(values: list[float]) -> None:
    drawn = ranked_chart("t", [(f"<b{at}>", value) for at, value in enumerate(values)], text=lambda it: f"{it:.3f}")
    assert "<b0>" not in drawn
    lengths = [right - left for left, right in bars(drawn)]
    top = max(*values, 1e-9)
    assert lengths == pytest.approx([max(value / top * 270, 1.0) for value in values], abs=0.11)


@given(st.integers(-800, 800), st.lists(st.integers(-90, 90), min_size=1, max_size=8))
def test_each_bar_of_a_waterfall_begins_where_the_last_one_ended(mean: int, jumps: list[int]) -> None:
    steps, reached = [], float(mean)
    for at, jump in enumerate(jumps):
        steps.append((f"step {at}", reached, reached + jump))
        reached += jump
    drawn = waterfall_chart("t", steps, mark=mean, text=lambda it: f"{it:+.1f}")
    ends = bars(drawn)
    assert len(ends) == len(jumps)
    here = None
    for (left, right), jump in zip(ends, jumps, strict=True):
        start, end = (left, right) if jump >= 0 else (right, left)
        assert here is None or abs(start - here) <= 1.2  # a bar is a pixel wide at least
        here = end
    assert drawn.count('class="goods area"') == sum(jump >= 0 for jump in jumps)


def band_entry(uplift: float, gini: float, p: float, *, plain_bad_rate: float | None = 0.1) -> dict[str, Any]:
    return {"uplift": uplift, "gini": gini, "p": p, "assumed_bad_rate": uplift / 10, "plain_bad_rate": plain_bad_rate}


@pytest.mark.parametrize(
    ("changes", "tones", "words"),
    [
        (
            {},
            ["watch", "plain"],
            "moves the Gini on accepted loans by -0.020 to +0.010: it moved nothing that the data",
        ),
        ({"p": 0.001}, ["watch", "watch"], "at 3 times the odds that is more than chance"),
        ({"beyond": 0.4}, ["watch", "watch", "plain"], "40.0% of the declined score below 99% of the accepted"),
        ({"method": "fuzzy"}, ["watch", "plain"], "with them by fuzzy, as if they had 2 times the odds of bad"),
        ({"plain_bad_rate": None}, ["watch", "plain"], "10.0% to 30.0% of them would be bad."),
    ],
)
def test_the_verdict_says_how_much_hangs_on_the_declined(
    lender_run: LenderRun, changes: dict[str, Any], tones: list[str], words: str
) -> None:
    plain = evaluation(lender_run)
    before = verdict(plain)
    rate = {"plain_bad_rate": changes.get("plain_bad_rate", 0.1)}
    plain["rejects"] = {
        "method": changes.get("method", "none"),
        "uplift": 2.0,
        "band_method": "parcelling",
        "samples": {"test": {"declined": 10, "approval_rate": 0.6}},
        "beyond": changes.get("beyond", 0.1),
        "plain": {"gini": 0.5},
        "band": [band_entry(1.0, 0.51, 0.5, **rate), band_entry(3.0, 0.48, changes.get("p", 0.2), **rate)],
    }
    told = [it for it in verdict(plain) if it not in before]
    assert [it.tone for it in told] == tones
    assert any(words in it.text for it in told)
    assert "declined 40.0% of the applications of the test" in told[0].text

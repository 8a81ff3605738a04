"""The report says the verdict first, opens offline, and draws what it says."""

from __future__ import annotations

import json
import math
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import lack

from obligor.governance.charts import Frame, Series, line_chart, ranked_chart, ticks, waterfall_chart
from obligor.governance.verdict import verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    boxes = page.locator("#ranking svg.chart")
    assert boxes.count() == 4
    for at in range(4):
        box = boxes.nth(at).bounding_box()
        assert box["width"] > 250
        assert box["height"] > 150
    card = json.loads((lender_run.out / "scorecard.json").read_text())
    shown = page.locator("#points tbody tr").count()
    assert shown == sum(len(each["bins"]) for each in card["characteristics"])
    page.close()


def test_the_page_holds_no_script_and_no_address(lender_run: LenderRun) -> None:
    page = (lender_run.out / "report.html").read_text()
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#)", page)
    assert "default-src 'none'" in page


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

"""What the product cites of the law is in the lawbook, still holds, and was looked up not long ago."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import pytest

from obligor.core.errors import LawError
from obligor.governance.law.citations import check_text, citations
from obligor.governance.law.rules import RULES_FILE, STALE_AFTER, Lawbook, read_law, the_law
from obligor.governance.law.strict_yaml import read_yaml

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("docs", "src", "configs", "scripts", "notebooks")
KINDS = {".md", ".py", ".j2", ".yaml", ".yml", ".proto", ".html"}
SAY_HOW_TO_CITE = {RULES_FILE, RULES_FILE.with_name("citations.py")}
"""The lawbook itself, and the patterns that find citations."""
TEXTS = [
    path
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in KINDS and path not in SAY_HOW_TO_CITE
] + sorted(ROOT.glob("*.md"))
READ_ON = date(2026, 11, 27)
"""The day for which the texts are judged. Who moves it looks the rules up again first."""


def test_every_citation_of_the_product_is_of_a_rule_that_holds() -> None:
    found = [
        f"{path.relative_to(ROOT)}, line {it.line}: {it.text}: {it.message}"
        for path in TEXTS
        for it in check_text(path.read_text(encoding="utf-8"), the_law(), on=READ_ON)
    ]
    assert found == []


def test_citations_are_found_where_they_stand() -> None:
    cited = {it.rule.id for path in TEXTS for it in citations(path.read_text(encoding="utf-8"), the_law()) if it.rule}
    assert {
        "us.reg-b",
        "us.reg-b.comment-9b2",
        "us.reg-b.1002.6",
        "us.fcra",
        "eu.ecb.2019",
        "us.uniform-guidelines",
    } <= cited


def test_no_rule_that_is_cited_was_last_looked_up_more_than_180_days_ago() -> None:
    assert not any(it.stale(READ_ON) for it in the_law().rules)
    (looked_up,) = (it.last_verified for it in the_law().rules if it.id == "eu.gdpr")
    late = looked_up + STALE_AFTER + timedelta(days=1)
    assert [it.message for it in check_text("as the GDPR says", the_law(), on=late)] == [
        f"the rule 'eu.gdpr' was last looked up on {looked_up}"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("as 12 CFR 999.1 asks", "no rule of law.yaml is cited so"),
        ("see SR 99-1", "no rule of law.yaml is cited so"),
        ("see Directive (EU) 1999/1", "no rule of law.yaml is cited so"),
        ("CFPB Circular 2022-03 asks for it", "the rule 'us.cfpb.circular-2022-03' is withdrawn"),
        ("by SR 11-7, a model is validated", "the rule 'us.sr-11-7' is superseded"),
        ("section 1033 gives access", "the rule 'us.cfpb.1033' is enjoined"),
        ("the log is tamper-proof", "nothing is"),
        ("it guarantees compliance", "no software does"),
        ("Obligor is GDPR compliant", "say which duty is met"),
        ("a chain over two\nlines: SR\n11-7 asks", "the rule 'us.sr-11-7' is superseded"),
    ],
)
def test_what_no_longer_holds_and_what_no_software_does_may_not_be_said(text: str, message: str) -> None:
    (found, *_) = check_text(text, the_law(), on=READ_ON)
    assert message in found.message


def test_what_was_superseded_may_be_named_where_the_paragraph_says_so() -> None:
    assert check_text("SR 11-7, superseded in April 2026 by SR 26-2", the_law(), on=READ_ON) == ()
    elsewhere = "SR 11-7 asks.\n\nAnother paragraph: superseded."
    assert len(check_text(elsewhere, the_law(), on=READ_ON)) == 1


def test_a_citation_is_of_the_most_special_rule_that_is_named() -> None:
    (found,) = citations("12 CFR 1002.9(b)(2) asks", the_law())
    assert found.rule is not None
    assert found.rule.id == "us.reg-b.1002.9"


def test_a_rule_holds_from_its_day_on_and_only_where_it_is_in_force() -> None:
    law = the_law()
    assert not law.in_force("us-co.sb-26-189", date(2026, 12, 31))
    assert law.in_force("us-co.sb-26-189", date(2027, 1, 1))
    assert not law.in_force("eu.ai-act", date(2026, 8, 2))
    assert law.in_force("eu.ccd2", date(2026, 11, 20))
    assert law.rule("us.sr-11-7").superseded_by == "us.sr-26-2"
    assert not law.in_force("us.aml-programme", date(2030, 1, 1))
    with pytest.raises(LawError, match=r"there is no rule 'us\.nothing'"):
        law.rule("us.nothing")


RULE = """
- {id: us.a, title: a, jurisdiction: US, status: in_force, effective_from: 2020-01-01, source: s, evidence: primary,
   last_verified: 2026-01-01}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (RULE + RULE, "stands twice"),
        (RULE.replace("in_force", "superseded"), "wanted superseded_by"),
        (RULE.replace("in_force", "superseded").replace("title: a", "title: a, superseded_by: us.b"), "is not here"),
        (RULE.replace("in_force", "repealed"), "status"),
        (RULE.replace("title: a", "title: a, titel: b"), "titel"),
        (RULE.replace("title: a", "title: a, title: b"), "the key 'title' stands twice"),
        (RULE.replace("2020-01-01", "soon"), "effective_from"),
        (
            RULE.replace("title: a", "title: a, cited_as: [X]") + RULE.replace("us.a", "us.b, cited_as: [X]"),
            "two rules",
        ),
        ("- &a {id: us.a}\n- *a", "alias"),
        ("- !!python/object:os.system {}", "could not determine a constructor"),
        ("- {1: a}", "a key must be a text"),
        ("- [", "line"),
    ],
)
def test_a_lawbook_that_contradicts_itself_is_refused(text: str, message: str) -> None:
    with pytest.raises(LawError, match=message):
        read_yaml(f"schema: obligor/law/1\nrules:\n{text}".encode(), Lawbook, what="law.yaml")


def test_a_lawbook_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LawError, match=r"none\.yaml: cannot be read"):
        read_law(tmp_path / "none.yaml")

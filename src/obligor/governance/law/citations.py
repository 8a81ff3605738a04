"""Finds what a text cites of the law, and what it must not say.

A pattern tells what looks like a citation, whoever wrote it; the lawbook tells which of them it knows. So a citation of
something that nobody looked up is found as surely as one of something that no longer holds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from obligor.governance.law.rules import Lawbook, Rule

_LOOKS_LIKE_ONE: Final = re.compile(
    r"""
      \d+\ (?:CFR|U\.S\.C\.|NYCRR)\ (?:part\ )?\d+(?:\.\d+)?
    | Reg(?:ulation|\.)?\ [BVZ]\b
    | comments?\ 9\(b\)\(\d\)
    | \bSR\ \d{1,2}-\d{1,2}
    | \b(?:OCC|FIL)[ -](?:Bulletin\ )?\d{2,4}-\d+
    | \b(?:FCRA|Fair\ Credit\ Reporting\ Act|ECOA|Equal\ Credit\ Opportunity\ Act|Fair\ Housing\ Act|HMDA)\b
    | \b[Cc]ircular\ \d{4}-\d+
    | \b[Ss]ection\ (?:6\d\d\([a-z]\)|1033)
    | \bGDPR\b(?:,?\ Art(?:icle|\.)?\ \d+(?:\(\d\))?)?
    | \bAI\ Act\b(?:,?\ Art(?:icle|\.)?\ \d+(?:\(\d\))?)?
    | \bCCD2\b(?:,?\ Art(?:icle|\.)?\ \d+)?
    | \(EU\)\ (?:No\ )?\d{4}/\d+
    | \bSB\ ?\d\d-\d+
    | \bNYDFS\ \d+
    | \bECB(?:'s\ instructions|\ \d{4}|'s\ test|\ Guide)
    | \b(?:BCBS\ WP|Working\ Paper\ )\d+
    | \bC-\d+/\d+
    """,
    re.VERBOSE,
)
_FORBIDDEN: Final = (
    (re.compile(r"\btamper-?proof", re.IGNORECASE), "nothing is; say what is detected, and by whom"),
    (re.compile(r"\bguarante\w+ (?:\w+ )?compliance", re.IGNORECASE), "no software does"),
    (
        re.compile(r"\b(?:11-7|26-2|GDPR|ECOA|FCRA|1033|CCD2|AI Act|PCI|500)[- ]compliant", re.IGNORECASE),
        "say which duty is met, and how",
    ),
)
_SAYS_SO: Final = {
    "superseded": re.compile(r"supersed|rescind|takes the place|successor", re.IGNORECASE),
    "proposed": re.compile(r"propos", re.IGNORECASE),
    "enjoined": re.compile(r"enjoin", re.IGNORECASE),
    "withdrawn": re.compile(r"(?!)"),
}
"""What must stand in the same paragraph where a rule is named that does not hold; one that was withdrawn is not named."""


class Citation(NamedTuple):
    """One citation in a text."""

    line: int
    text: str
    rule: Rule | None
    """None: no rule of the lawbook is cited so."""
    paragraph: str


class LawFinding(NamedTuple):
    """One thing that a text must not say."""

    line: int
    text: str
    message: str


def citations(text: str, law: Lawbook) -> Iterator[Citation]:
    """Find every citation of a text, line breaks within it notwithstanding."""
    names = sorted(((name, rule) for rule in law.rules for name in rule.cited_as), key=lambda it: -len(it[0]))
    for line, paragraph in _paragraphs(text):
        joined = _joined(paragraph)
        for found in _LOOKS_LIKE_ONE.finditer(joined):
            rule = next((it for name, it in names if found[0].startswith(name)), None)
            yield Citation(line, found[0], rule, joined)


def check_text(text: str, law: Lawbook, *, on: date) -> tuple[LawFinding, ...]:
    """Find what a text may not cite on a day, and what it may not claim."""
    found = [it for each in citations(text, law) for it in _faults(each, on)]
    for line, paragraph in _paragraphs(text):
        for pattern, message in _FORBIDDEN:
            found += [LawFinding(line, claim[0], message) for claim in pattern.finditer(_joined(paragraph))]
    return tuple(found)


def _faults(cited: Citation, on: date) -> Iterator[LawFinding]:
    rule = cited.rule
    if rule is None:
        yield LawFinding(cited.line, cited.text, "no rule of law.yaml is cited so")
        return
    must = _SAYS_SO.get(rule.status)
    if must is not None and not must.search(cited.paragraph):
        yield LawFinding(
            cited.line, cited.text, f"the rule '{rule.id}' is {rule.status}, and the paragraph does not say so"
        )
    if rule.stale(on):
        yield LawFinding(cited.line, cited.text, f"the rule '{rule.id}' was last looked up on {rule.last_verified}")


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Give the paragraphs of a text, or the rows of a table, each with its line."""
    lines: list[str] = []
    start = 1
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        ends = not line.strip() or line.lstrip().startswith(("|", "- ", "#"))
        if ends and lines:
            yield start, "\n".join(lines)
            lines = []
        if line.strip():
            start = start if lines else number
            lines.append(line)


def _joined(paragraph: str) -> str:
    """Write a paragraph on one line, without what marks a comment."""
    return " ".join(re.sub(r"^[\s#>*]+", "", line) for line in paragraph.splitlines())

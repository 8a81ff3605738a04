"""A compiled policy reads what the policy says: the cut-off of an application, and the rules that fire for it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_policy import BY_CHANNEL_AND_AMOUNT, made, plain, threshold
from tests.core.test_scorer import CARD

from obligor.core.decision import decide
from obligor.core.errors import PolicyError, TapeError
from obligor.core.expressions import compile_expressions, parse_expression
from obligor.core.policy import Policy, cutoff_for, outcome_for, parse_policy
from obligor.core.policy_reader import PolicyReader, compile_policy
from obligor.core.profile import EVERYTHING_OFF
from obligor.core.reasons import Reason

if TYPE_CHECKING:
    from obligor.core.decision import Reading

COLUMNS = {
    "channel": {"type": "text", "case": "lower", "map": {"filiale": "branch"}, "special": {"x": "not asked"}},
    "amount": {"type": "number", "special": {"-1": "open"}, "missing": [-99]},
    "income": {"type": "number"},
    "applied_on": {"type": "date", "role": "applied_at", "required": True},
    "customer": {"type": "text", "role": "identifier"},
}
HISTORIES = {
    "bureau": {
        "columns": {"customer": {"type": "text"}, "at": {"type": "date"}, "balance": {"type": "number"}},
        "key": ["customer", "customer"],
        "event_at": "at",
    }
}
FEATURES = {
    "burden": {"expression": "amount / income"},
    "lines": {"history": "bureau", "aggregate": "count", "where": "balance > 0"},
}
BLANK = {"channel": None, "amount": None, "income": None, "applied_on": date(2026, 11, 26), "customer": "x"}


def rule(when: str, **said: Any) -> dict[str, Any]:
    return {"name": "rule", "when": when, "outcome": "decline", "reason": "A rule"} | said


def reader(*rules: dict[str, Any], thresholds: list[dict[str, Any]] | None = None, **said: Any) -> PolicyReader:
    whole = {"columns": COLUMNS, "histories": HISTORIES, "features": FEATURES, "knockouts": list(rules)} | said
    return compile_policy(made(thresholds, **whole))


def read(it: PolicyReader, histories: Any = None, **fields: Any) -> Reading:
    return it.read(BLANK | fields, histories=histories)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"channel": "branch", "amount": 999.99}, ("branch", 999.99, 540_000)),
        ({"channel": " FILIALE", "amount": 1000.0}, ("branch", 1000.0, 530_000)),
        ({"channel": "branch"}, ("branch", None, 540_000)),
        ({"channel": "branch", "amount": -1.0}, ("branch", None, 540_000)),  # a code is no amount
        ({"channel": "branch", "amount": -99.0}, ("branch", None, 540_000)),
        ({"channel": "web", "amount": 0.0}, ("web", 0.0, 560_000)),
        ({"channel": "x"}, ("x", None, 570_000)),
        ({"amount": 500.0}, (None, 500.0, 570_000)),
    ],
)
def test_an_application_meets_the_cutoff_of_its_segment_and_amount(fields: dict[str, Any], wanted: Any) -> None:
    for thresholds in (BY_CHANNEL_AND_AMOUNT, BY_CHANNEL_AND_AMOUNT[::-1]):  # in whatever order they are written
        assert read(reader(thresholds=thresholds), **fields)[:3] == wanted


@pytest.mark.parametrize(
    ("income", "level", "cutoff"), [(100.0, "true", 540_000), (300.0, "false", 530_000), (None, None, 560_000)]
)
def test_a_segment_may_be_a_feature_and_a_truth_is_a_level(
    income: float | None, level: str | None, cutoff: int
) -> None:
    own = [threshold(540_000, segment="true"), threshold(530_000, segment="false"), threshold()]
    it = reader(thresholds=own, segment="poor", features={"poor": {"expression": "income < 200"}})
    found = read(it, income=income)
    assert (found.segment, found.cutoff) == (level, cutoff)
    assert found.cutoff == cutoff_for(it.policy, segment=level)


@given(
    st.lists(st.floats(-1e6, 1e9), max_size=6, unique=True).map(sorted),
    st.sampled_from(["branch", "web", None]),
    st.none() | st.floats(-1e9, 1e12),
)
def test_a_compiled_policy_gives_the_cutoff_that_the_policy_gives(
    cuts: list[float], segment: str | None, amount: float | None
) -> None:
    rows = [
        threshold(500_000 + 7 * at % 5, segment=level, start=start, end=end)
        for level in ("branch", None)
        for at, (start, end) in enumerate(pairwise([None, *cuts, None]))
    ]
    policy = made(rows)
    found = compile_policy(policy).read({"channel": segment, "amount": amount})
    known = None if policy.amount is None else found.amount
    assert found.cutoff == cutoff_for(policy, segment=segment, amount=known)
    assert policy.amount is None or known == pytest.approx(amount, abs=1e-15)


@given(
    st.integers(520_000, 580_000),
    st.integers(0, 5000),
    st.sampled_from(["branch", "web", None]),
    st.none() | st.floats(0, 2000),
)
def test_without_rules_and_gates_the_outcome_is_that_of_the_policy(
    score: int, grey: int, segment: str | None, amount: float | None
) -> None:
    policy = made(BY_CHANNEL_AND_AMOUNT, grey=grey)
    found = compile_policy(policy).read({"channel": segment, "amount": amount})
    short = (Reason("income", "income", 1.0, "Income is low"),)
    decision = decide(score, found, reasons=short, profile=EVERYTHING_OFF, at=datetime(2026, 11, 26, tzinfo=UTC))
    assert decision.outcome == outcome_for(policy, score, segment=segment, amount=found.amount)
    assert decision.cutoff == cutoff_for(policy, segment=segment, amount=found.amount)


@pytest.mark.parametrize(
    ("said", "fields", "wanted"),
    [
        (rule("amount > 100"), {"amount": 101.0}, [("rule", "decline")]),
        (rule("amount > 100"), {"amount": 100.0}, []),
        (rule("amount > 100"), {"amount": None}, []),
        (rule("amount > 100", when_unknown="refer"), {"amount": None}, [("rule", "refer")]),
        (rule("amount > 100", when_unknown="refer"), {"amount": -1.0}, [("rule", "refer")]),
        (rule("amount > 100", when_unknown="refer"), {"amount": 1.0}, []),
        (rule("amount IS NULL"), {"amount": -99.0}, [("rule", "decline")]),
        (rule("channel = 'web'", outcome="refer"), {"channel": "WEB "}, [("rule", "refer")]),
        (rule("burden > 2"), {"amount": 300.0, "income": 100.0}, [("rule", "decline")]),
        (rule("burden > 2"), {"amount": 300.0, "income": 0.0}, []),
        (rule("amount > 100", active=False), {"amount": 101.0}, []),
    ],
)
def test_a_rule_fires_where_its_condition_is_true(said: dict[str, Any], fields: Any, wanted: Any) -> None:
    assert [it[:2] for it in read(reader(said), **fields).fired] == wanted


def test_rules_are_told_in_the_order_of_the_policy_each_with_its_reason() -> None:
    it = reader(rule("TRUE", name="b", code="K7", reason="Second"), rule("TRUE", name="a", reason="First"))
    assert [(each.name, each.reason) for each in read(it).fired] == [
        ("b", Reason("K7", "", 0.0, "Second")), ("a", Reason("a", "", 0.0, "First")),
    ]  # fmt: skip


def test_a_rule_reads_a_column_uncapped_and_a_feature_capped_as_on_the_card() -> None:
    it = reader(rule("amount > 100", name="raw"), rule("burden > 2", name="made"), caps={"amount": [0.0, 50.0]})
    assert [each.name for each in read(it, amount=300.0, income=100.0).fired] == ["raw"]
    assert [each.name for each in read(it, amount=300.0, income=20.0).fired] == ["raw", "made"]
    assert it.inputs == {"amount": "number", "income": "number"}


def test_a_rule_counts_what_a_history_knew_before_the_application() -> None:
    it = reader(rule("lines >= 1"))
    lines = [{"customer": "x", "at": date(2026, 11, day), "balance": 5.0} for day in (25, 26)]
    assert [each.name for each in read(it, {"bureau": lines}).fired] == ["rule"]
    assert not read(it, {"bureau": lines[1:]}).fired


@given(st.lists(st.tuples(st.none() | st.floats(-50, 50), st.none() | st.floats(-50, 50)), min_size=1, max_size=5))
def test_a_rule_means_what_its_expression_means(rows: list[tuple[float | None, float | None]]) -> None:
    when = "amount > income AND NOT amount BETWEEN 0 AND 7 OR income IS NULL"
    wanted = compile_expressions(
        {"rule": parse_expression(when, columns={"amount": "number", "income": "number"})},
    )
    it = reader(rule(when, when_unknown="refer"), columns=COLUMNS | {"amount": {"type": "number"}})
    for amount, income in rows:
        known = wanted({"amount": amount, "income": income})["rule"]
        found = [each.outcome for each in read(it, amount=amount, income=income).fired]
        assert found == {True: ["decline"], False: [], None: ["refer"]}[known]  # type: ignore[index]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"knockouts": [rule("amount > 'a'")]}, "knockouts: 'rule'"),
        ({"knockouts": [rule("age > 3")]}, "there is no column 'age'"),
        ({"knockouts": [rule("amount + 1")]}, "wanted a condition, got a number"),
        ({"features": {"burden": {"expression": "amount / wealth"}}}, "there is no column 'wealth'"),
        ({"segment": "income", "thresholds": [threshold()]}, "'income' is a number; wanted text or bool"),
    ],
)
def test_a_policy_that_cannot_be_computed_is_refused(said: dict[str, Any], words: str) -> None:
    policy = made(**({"columns": COLUMNS, "histories": HISTORIES} | said))
    with pytest.raises(PolicyError, match=words):
        compile_policy(policy)


@pytest.mark.parametrize(
    ("knockouts", "words"),
    [
        ([rule("TRUE"), rule("FALSE")], "the rule 'rule' stands twice"),
        ([rule("TRUE", reason=" ")], "needs a reason"),
        ([rule("TRUE", name="The rule")], "knockouts.0.name"),
        ([rule("TRUE", outcome="approve")], "knockouts.0.outcome"),
        ([rule("TRUE", colour=1)], "knockouts.0.colour: is a key that is not known"),
        ([rule("TRUE", name=f"r{at}") for at in range(201)], "knockouts: got a list, wanted at most 200 of them"),
    ],
    ids=lambda it: str(it)[:40],
)
def test_rules_that_cannot_be_told_are_refused(knockouts: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse_policy(json.dumps(plain(knockouts=knockouts)).encode())


def test_a_policy_without_rules_says_nothing_of_them_and_keeps_its_hash() -> None:
    every = {it.alias or name for name, it in Policy.model_fields.items()}
    assert json.loads(made().to_json()).keys() == every - {"knockouts", "histories", "authority"}
    with_rule = made(knockouts=[rule("amount > 1")], columns=COLUMNS, histories=HISTORIES)
    assert parse_policy(with_rule.to_json()) == with_rule
    first, second = (made(knockouts=[rule("TRUE", name=name) for name in names]) for names in ("ab", "ba"))
    assert first.sha256 != second.sha256  # the order decides which rule is told first


def test_a_column_that_is_absent_or_of_another_type_is_named() -> None:
    it = reader(rule("amount > 100"))
    with pytest.raises(TapeError, match="amount"):
        it.read({})
    with pytest.raises(TapeError, match="amount"):
        read(it, amount="100")


def test_the_columns_of_the_card_that_tests_share_are_those_of_a_policy_too() -> None:
    said = json.loads(CARD.to_json())
    columns, features = said["applications"]["columns"], said["features"]
    whole = {"columns": columns, "histories": said["histories"], "features": features, "caps": said["caps"]}
    it = compile_policy(made(knockouts=[rule("ratio > 1 AND lines = 0 AND owner")], **whole))
    fields = {"income": 1500.0, "amount": 3000.0, "owner": True, "applied_on": date(2024, 5, 1), "customer": "x"}
    assert [each.name for each in it.read(fields).fired] == ["rule"]

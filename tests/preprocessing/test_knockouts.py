"""A rule fires for the same applications of a tape as it does for each of them alone."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.test_policy import made

from obligor.core.contract import Contract, parse_contract
from obligor.core.features import check_features
from obligor.core.policy_reader import compile_policy
from obligor.preprocessing.knockouts import knockout_query

CAPS = {"amount": (0.0, 50.0)}
RULES = (
    {"name": "large", "when": "amount > 60 OR amount IS NULL"},
    {"name": "burdened", "when": "burden > 2", "when_unknown": "refer"},
    {"name": "off", "when": "TRUE", "active": False},
    {"name": "lines", "when": "lines >= 2 AND NOT (kind = 'new')", "when_unknown": "refer"},
    {"name": "days", "when": "full_months(applied_on, born_on) < 216"},
)
DAY = date(2026, 11, 26)


def contract() -> Contract:
    return parse_contract(
        {
            "schema": "obligor/contract/1",
            "name": "rules",
            "applications": {
                "columns": {
                    "customer": {"type": "text", "role": "identifier"},
                    "amount": {"type": "number", "role": "predictor", "special": {-1: "open"}, "cap": [0, 0.9]},
                    "income": {"type": "number"},
                    "kind": {"type": "text", "special": {"x": "not asked"}},
                    "born_on": {"type": "date"},
                    "applied_on": {"type": "date", "role": "applied_at", "required": True},
                    "status": {"type": "text", "role": "outcome"},
                }
            },
            "histories": {
                "bureau": {
                    "columns": {"customer": {"type": "text"}, "at": {"type": "date"}, "balance": {"type": "number"}},
                    "key": ["customer", "customer"],
                    "event_at": "at",
                }
            },
            "features": {
                "burden": {"expression": "amount / income"},
                "lines": {"history": "bureau", "aggregate": "count", "where": "balance > 0"},
            },
            "outcome": {"window_months": 12, "status": {"column": "status", "good": ["paid"], "bad": ["lost"]}},
            "split": {"random": {"seed": 1}},
            "knockouts": [{"outcome": "decline", "reason": "A rule"} | rule for rule in RULES],
        }
    )


SAID = contract()
FEATURES = check_features(SAID)
PLAIN = json.loads(SAID.model_dump_json(by_alias=True))
READER = compile_policy(
    made(
        knockouts=PLAIN["knockouts"],
        columns={name: it for name, it in PLAIN["applications"]["columns"].items() if name != "status"},
        histories=PLAIN["histories"],
        features=PLAIN["features"],
        caps=CAPS,
    )
)
AMOUNTS = st.none() | st.sampled_from([-1.0, 0.0, 60.0, 60.5]) | st.floats(-100, 200)
ROW = st.tuples(
    AMOUNTS,
    st.none() | st.sampled_from([0.0, 1e-9, 30.0]) | st.floats(-50, 100),
    st.none() | st.sampled_from(["new", "old", "x"]),
    st.none() | st.dates(date(2005, 1, 1), date(2010, 1, 1)),
    st.lists(st.tuples(st.dates(date(2026, 11, 20), DAY), st.none() | st.sampled_from([0.0, 1.0])), max_size=4),
)


@settings(max_examples=40)
@given(st.lists(ROW, min_size=1, max_size=20))
def test_a_rule_fires_for_the_rows_of_a_tape_as_for_each_application_alone(rows: list[tuple[Any, ...]]) -> None:
    with duckdb.connect() as db:
        db.execute(
            "CREATE TABLE rows_ (_row BIGINT, customer VARCHAR, amount DOUBLE, income DOUBLE, kind VARCHAR, "
            "born_on DATE, applied_on DATE)"
        )
        db.execute('CREATE TABLE history_bureau (customer VARCHAR, "at" DATE, balance DOUBLE)')
        lines = [(f"c{at}", *line) for at, row in enumerate(rows) for line in row[4]]
        for at, row in enumerate(rows):
            db.execute("INSERT INTO rows_ VALUES (?, ?, ?, ?, ?, ?, ?)", [at, f"c{at}", *row[:4], DAY])
        for line in lines:
            db.execute("INSERT INTO history_bureau VALUES (?, ?, ?)", list(line))
        query = knockout_query(SAID, features=FEATURES, caps=CAPS, rows="rows_")
        found = db.execute(query).fetchall()
    names = [rule["name"] for rule in RULES if rule.get("active", True)]
    for at, (row, fired) in enumerate(zip(rows, found, strict=True)):
        fields = dict(zip(("amount", "income", "kind", "born_on"), row[:4], strict=True))
        history = [{"customer": f"c{at}", "at": day, "balance": balance} for day, balance in row[4]]
        alone = READER.read(fields | {"applied_on": DAY, "customer": f"c{at}"}, histories={"bureau": history})
        assert [it.name for it in alone.fired] == [name for name, it in zip(names, fired[1:], strict=True) if it]
        assert fired[0] == at


def test_a_rule_that_reads_no_feature_needs_none() -> None:
    said = SAID.model_copy(update={"knockouts": SAID.knockouts[:1]})
    with duckdb.connect() as db:
        db.execute(
            "CREATE TABLE rows_ AS SELECT 3 AS _row, 61.0 AS amount UNION ALL SELECT 1, -1 UNION ALL SELECT 2, 60"
        )
        query = knockout_query(said, features=FEATURES, caps={}, rows="rows_")
        assert db.execute(query).fetchall() == [(1, True), (2, False), (3, True)]


@pytest.mark.parametrize("name", [rule["name"] for rule in RULES if rule.get("active", True)])
def test_the_rules_of_these_tests_fire_for_some_and_not_for_all(name: str) -> None:
    fields = {"amount": 61.0, "income": 10.0, "kind": "old", "born_on": date(2009, 1, 1), "applied_on": DAY}
    history = [{"at": date(2026, 11, day), "balance": 1.0} for day in (1, 2)]
    assert name in [it.name for it in READER.read(fields | {"customer": "x"}, histories={"bureau": history}).fired]
    calm = {"amount": 1.0, "income": 10.0, "kind": "new", "born_on": date(1980, 1, 1), "applied_on": DAY}
    assert name not in [it.name for it in READER.read(calm | {"customer": "x"}).fired]

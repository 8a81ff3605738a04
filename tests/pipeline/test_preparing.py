"""The group of an applicant is read off the tape as the contract says."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.contract import Contract, parse_contract
from obligor.pipeline.preparing import protected_of

if TYPE_CHECKING:
    from obligor.measures.fairness import Groups

DAYS = st.dates(date(1920, 1, 1), date(2010, 12, 31))
PLAIN: dict[str, Any] = {
    "schema": "obligor/contract/1",
    "name": "small",
    "outcome": {"window_months": 12, "status": {"column": "bad", "good": [0], "bad": [1]}},
    "split": {"random": {}},
}


def contract_of(*, dated: bool = True, fairness: dict[str, Any] | None = None, **born: Any) -> Contract:
    columns: dict[str, Any] = {
        "income": {"type": "number", "role": "predictor"},
        "bad": {"type": "number", "role": "outcome"},
        "born": {"type": "date", "role": "protected", **born},
        "sex": {"type": "text", "role": "protected"},
        "children": {"type": "number", "role": "protected", "special": {-1: "not asked"}, "groups": [1]},
    }
    if dated:
        columns["applied"] = {"type": "date", "role": "applied_at", "required": True}
    return parse_contract({**PLAIN, "applications": {"columns": columns}, "fairness": fairness or {}})


def groups_of(contract: Contract, rows: list[tuple[Any, ...]]) -> dict[str, Groups]:
    db = duckdb.connect()
    db.execute("CREATE TABLE used_rows (_row BIGINT, born DATE, applied DATE, sex VARCHAR, children DOUBLE)")
    db.executemany("INSERT INTO used_rows VALUES (?, ?, ?, ?, ?)", [(at, *row) for at, row in enumerate(rows)])
    return protected_of(SimpleNamespace(db=db), contract)  # type: ignore[arg-type]  only the engine of a tape is read


def names(groups: Groups) -> list[str | None]:
    return [groups.names[code] if code >= 0 else None for code in groups.codes.tolist()]


def test_a_birth_date_becomes_an_age_on_the_day_of_the_application() -> None:
    found = groups_of(
        contract_of(groups=[25, 60]),
        [
            (date(1990, 6, 15), date(2015, 6, 14), "f", 0.0),  # a day short of 25
            (date(1990, 6, 15), date(2015, 6, 15), "m", 1.0),
            (date(1950, 1, 1), date(2015, 6, 15), None, -1.0),
            (None, date(2015, 6, 15), "f", None),
        ],
    )
    assert names(found["born"]) == ["below 25", "25 to 60", "60 or more", None]
    assert names(found["sex"]) == ["f", "m", None, "f"]
    assert names(found["children"]) == ["below 1", "1 or more", None, None]


@given(st.lists(st.tuples(DAYS, DAYS), min_size=1, max_size=20))
def test_the_age_is_that_of_the_calendar(days: list[tuple[date, date]]) -> None:
    pairs = [(min(pair), max(pair)) for pair in days]
    ages = [b.year - a.year - ((b.month, b.day) < (a.month, a.day)) for a, b in pairs]
    found = groups_of(contract_of(groups=[18, 40]), [(a, b, None, None) for a, b in pairs])["born"]
    assert found.codes.tolist() == [int(age >= 18) + int(age >= 40) for age in ages]


def test_without_a_day_of_application_a_date_is_grouped_by_its_year() -> None:
    rows = [(date(year, 5, 5), None, None, None) for year in (1950, 1960, 1970, 1980)]
    found = groups_of(contract_of(dated=False, groups=[1965]), rows)["born"]
    assert names(found) == ["below 1965", "below 1965", "1965 or more", "1965 or more"]


def test_ages_without_stated_groups_part_at_their_quartiles() -> None:
    rows = [(date(2000 - age, 1, 1), date(2000, 1, 1), None, None) for age in range(20, 60)]
    found = groups_of(contract_of(), rows)["born"]
    assert len(found.names) == 4
    assert np.bincount(found.codes).min() >= 9


def test_where_the_contract_forbids_it_no_group_is_read() -> None:
    contract = contract_of(fairness={"test": False, "because": "no law of this land asks for it"})
    assert groups_of(contract, [(date(1990, 1, 1), date(2020, 1, 1), "f", 0.0)]) == {}

"""An application is read strictly, and what is wrong is told by its field and never by its value."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_scorer import CARD

from obligor.core.application import parse_application
from obligor.core.errors import InvalidInputError, ObligorError
from obligor.core.scorer import compile_card

SCORER = compile_card(CARD)
PLAIN: dict[str, Any] = {
    "income": 1500,
    "amount": 3000.0,
    "purpose": "CAR ",
    "owner": True,
    "applied_on": "2024-05-01",
    "bureau": [
        {"at": "2024-04-30", "balance": 5},
        {"at": "2024-04-29", "balance": None, "customer": "Jane Doe"},
    ],
}


def read(**changed: Any) -> Any:
    return parse_application(json.dumps(PLAIN | changed).encode(), SCORER)


def test_an_application_is_scored_as_it_stands() -> None:
    found = read()
    assert found.fields["income"] == 1500.0
    assert type(found.fields["income"]) is float
    assert found.fields["applied_on"] == date(2024, 5, 1)
    scored = SCORER.score(found.fields, histories=found.histories)
    assert scored.bins == (1, 1, 0, 0, 1)


def test_identifiers_may_stand_there_and_a_row_of_another_applicant_is_refused() -> None:
    read(customer="Jane Doe")
    with pytest.raises(InvalidInputError, match="row 2 of the history 'bureau': its 'customer' is another") as caught:
        read(customer="John Roe")
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"incme": 1}, "'incme' is not known to the card; did you mean 'income'?"),
        ({"income": "4711"}, "the field 'income': got a text, wanted a number"),
        ({"income": True}, "the field 'income': got true or false, wanted a number"),
        ({"income": [4711]}, "the field 'income': got a list"),
        ({"income": 4711e200}, "'income': wanted a number of at most 1e15"),
        ({"income": 4711 * 10**400}, "'income': wanted a number of at most 1e15"),
        ({"purpose": 4711}, "the field 'purpose': got a number, wanted a text"),
        ({"owner": "4711"}, "the field 'owner': got a text, wanted true or false"),
        ({"applied_on": "4711-02-30"}, "the field 'applied_on': got a text, wanted a day"),
        ({"applied_on": "20240501"}, "wanted a day as YYYY-MM-DD"),
        ({"applied_on": "2024-05-01T00:00"}, "wanted a day as YYYY-MM-DD"),
        ({"applied_on": "2024-05-0\u0661"}, "wanted a day as YYYY-MM-DD"),
        ({"applied_on": None}, "got null, wanted the day of the application"),
        ({"bureau": None}, "the history 'bureau': got null, wanted a list"),
        ({"bureau": [4711]}, "row 1 of the history 'bureau': got a number, wanted an object"),
        ({"bureau": [{"at": "2024-01-01"}]}, "row 1 of the history 'bureau': lacks 'balance'"),
        ({"bureau": [{"at": "2024-01-01", "balance": "4711"}]}, "row 1 of the history 'bureau': the field 'balance'"),
        ({"bureau": [{"at": "2024-01-01", "balance": 1, "x": 4711}]}, "the field 'x' is not known"),
    ],
    ids=str,
)
def test_what_is_wrong_is_told_by_its_field_and_never_by_its_value(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read(**changed)
    assert message in str(caught.value)
    assert "4711" not in str(caught.value)


def test_every_mistake_is_told_at_once_and_what_lacks_too() -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_application(b'{"income": "x", "colour": 1}', SCORER)
    assert len(caught.value.message.splitlines()) == 3
    assert "lacks 'purpose', 'owner', 'amount', 'applied_on', 'bureau'; wanted null" in str(caught.value)
    assert "Hint: this card reads income, purpose" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not JSON"),
        (b"[]", "got a list, wanted an object"),
        (b'"Jane Doe"', "got a text, wanted an object"),
        (b'{"income": 1, "income": 2}', "the key 'income' stands twice"),
        (b'{"income": NaN}', "NaN is not a number that JSON knows"),
        (b'{"income": -Infinity}', "-Infinity is not a number"),
        (b'{"income": 1e400}', "at most 1e15"),
        (b'{"income": ' + b"1" * 5000 + b"}", "too many digits"),
        (b'{"purpose": "\xff"}', "is not JSON: byte 13"),
        ('{"income": \uff11}'.encode(), "is not JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b" " * (1 << 20) + b"{}", "wanted at most 1048576 bytes"),
    ],
    ids=lambda it: str(it)[:24],
)  # fmt: skip
def test_what_is_no_application_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidInputError, match="application") as caught:
        parse_application(data, SCORER)
    assert message in str(caught.value)
    assert "Doe" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*PLAIN, "at", "balance"]), inner, max_size=4)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*PLAIN, "customer", "x"]), JSON, max_size=7), st.booleans())
def test_any_json_is_scored_or_refused_by_name(plain: dict[str, Any], whole: bool) -> None:  # noqa: FBT001
    try:
        found = parse_application(json.dumps((PLAIN if whole else {}) | plain).encode(), SCORER)
    except ObligorError:
        return
    SCORER.score(found.fields, histories=found.histories)


@given(st.permutations(list(PLAIN)))
def test_the_order_of_the_fields_is_nothing(order: list[str]) -> None:
    assert parse_application(json.dumps({name: PLAIN[name] for name in order}).encode(), SCORER) == read()

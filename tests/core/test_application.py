"""An application is read strictly, and what is wrong is told by its field and never by its value."""

from __future__ import annotations

import json
import unicodedata
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_policy import made
from tests.core.test_scorer import CARD

from obligor.core.application import MOST_VALUES, form_of, parse_application, read_application
from obligor.core.errors import ApplicationError, InvalidInputError, ObligorError
from obligor.core.policy_reader import compile_policy
from obligor.core.scorer import compile_card

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obligor.core.columns import Column
    from obligor.core.scorecard import Scorecard

SCORER = compile_card(CARD)
FORM = form_of(SCORER)
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


def refusing(card: Scorecard, kind: str = "refuse") -> Scorecard:
    """Give a card whose contract says limits, and what comes of a value beyond them."""

    def limited(columns: Mapping[str, Column], limits: Mapping[str, dict[str, Any]]) -> dict[str, Column]:
        return {
            **columns,
            **{name: columns[name].model_copy(update=it | {"beyond": kind}) for name, it in limits.items()},
        }

    first = date(2000, 1, 1)
    applications = {"income": {"min": 0.0, "max": 1e6}, "amount": {"min": 0.5}, "applied_on": {"min": first}}
    bureau = card.histories["bureau"]
    rows = limited(bureau.columns, {"balance": {"max": 1e4}, "at": {"min": first, "max": date(2100, 1, 1)}})
    told = {"columns": limited(card.applications.columns, applications)}
    return card.model_copy(
        update={
            "applications": card.applications.model_copy(update=told),
            "histories": {"bureau": bureau.model_copy(update={"columns": rows})},
        }
    )


LIMITED = form_of(compile_card(refusing(CARD)))
BEYOND: dict[str, tuple[dict[str, Any], str, str]] = {
    "below": ({"income": -5}, "/income", "wanted at least 0"),
    "above": ({"income": 1_000_000.01}, "/income", "wanted at most 1000000"),
    "below another": ({"amount": 0.49}, "/amount", "wanted at least 0.5"),
    "a day": ({"applied_on": "1999-12-31"}, "/applied_on", "wanted at least 2000-01-01"),
    "a row": ({"bureau": [{"at": "2024-04-30", "balance": 10_001}]}, "/bureau/0/balance", "wanted at most 10000"),
    "a day of a row": (
        {"bureau": [{"at": "2024-04-30", "balance": 1}, {"at": "2100-01-02", "balance": 1}]},
        "/bureau/1/at",
        "wanted at most 2100-01-01",
    ),
}
WITHIN: dict[str, dict[str, Any]] = {
    "the lowest": {"income": 0, "amount": 0.5, "applied_on": "2000-01-01"},
    "the highest": {"income": 1e6, "amount": 1e15, "bureau": [{"at": "2100-01-01", "balance": 1e4}]},
    "a special code": {"income": -1},
    "a missing code": {"income": -99.0},
    "not known": {"income": None, "amount": None},
}


@pytest.mark.parametrize("name", BEYOND)
def test_a_value_beyond_limits_that_refuse_is_refused_by_its_field_and_its_limit(name: str) -> None:
    changed, place, message = BEYOND[name]
    with pytest.raises(ApplicationError) as caught:
        read_application(PLAIN | changed, LIMITED)
    (problem,) = caught.value.problems
    assert ("/" + "/".join(map(str, problem.path)), problem.message) == (place, message)
    assert message in caught.value.message
    read_application(PLAIN | changed, form_of(compile_card(refusing(CARD, "flag"))))


@pytest.mark.parametrize("name", WITHIN)
def test_a_limit_itself_and_a_code_are_not_beyond(name: str) -> None:
    read_application(PLAIN | WITHIN[name], LIMITED)


@given(st.floats(-2e6, 2e6) | st.integers(-10, 10) | st.sampled_from([-1e300, 1e300]))
def test_no_refusal_repeats_a_value(income: float) -> None:
    told = (
        "wanted at least 0",
        "wanted at most 1000000",
        "got minus zero, wanted 0",
        "wanted a number of at most 1e15",
    )
    if 0 < income <= 1e6 or income in (-1, -99) or repr(income) in ("0", "0.0"):
        read_application(PLAIN | {"income": income}, LIMITED)
        return
    with pytest.raises(ApplicationError) as caught:
        read_application(PLAIN | {"income": income}, LIMITED)
    assert [it.message in told for it in caught.value.problems] == [True]


def read(**changed: Any) -> Any:
    return parse_application(json.dumps(PLAIN | changed).encode(), FORM)


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
        ({"applied_on": "4711-02-30"}, "the field 'applied_on': got a text that is no day, wanted a day"),
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
        parse_application(b'{"income": "x", "colour": 1}', FORM)
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
        parse_application(data, FORM)
    assert message in str(caught.value)
    assert "Doe" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"income": -0.0}, "the field 'income': got minus zero, wanted 0"),
        ({"income": 2**63}, "the field 'income': wanted a number of at most 1e15"),
        ({"income": "1e3"}, "the field 'income': got a text, wanted a number"),
        ({"income": "\uff11\uff12"}, "the field 'income': got a text, wanted a number"),
        ({"purpose": "4711\x00"}, "the field 'purpose': holds a control character"),
        ({"purpose": "4711\r\n"}, "the field 'purpose': holds a control character"),
        ({"purpose": "4711\x1b[31m"}, "the field 'purpose': holds a control character"),
        ({"purpose": "4711\u202e"}, "the field 'purpose': holds a control character"),
        ({"purpose": "4711\u2066"}, "a mark that turns the direction of text"),
        ({"purpose": "4711\u2029"}, "the field 'purpose': holds a control character"),
        ({"purpose": "4711\ud800"}, "half a surrogate pair"),
        ({"purpose": "4711" * 251}, "the field 'purpose': wanted a text of at most 1000 characters"),
        ({"customer": "4711\x85"}, "the field 'customer': holds a control character"),
        ({"bureau": [{"at": "2024-01-01", "balance": -0.0}]}, "row 1 of the history 'bureau': the field 'balance'"),
    ],
    ids=ascii,
)
def test_what_readers_read_in_different_ways_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ApplicationError) as caught:
        read(**changed)
    assert message in str(caught.value)
    assert "4711" not in str(caught.value)


def test_the_same_person_is_read_the_same_however_their_name_is_encoded() -> None:
    composed, apart = unicodedata.normalize("NFC", "Ren\u00e9e"), unicodedata.normalize("NFD", "Ren\u00e9e")
    assert composed != apart
    assert read(purpose=composed) == read(purpose=apart)
    rows = [{"at": "2024-04-30", "balance": 5, "customer": apart}]
    assert read(customer=composed, bureau=rows).fields["customer"] == composed
    assert read(purpose="e\u0301" * 1000).fields["purpose"] == "\u00e9" * 1000
    for name in ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\u0645\u06cc\u200c\u062e", "a" + "\u0301" * 999):
        read(purpose=name)


@given(st.text(max_size=20))
def test_a_text_that_was_read_is_read_again_as_the_same(text: str) -> None:
    try:
        found = read(purpose=text).fields["purpose"]
    except ApplicationError:
        return
    assert read(purpose=found).fields["purpose"] == found
    assert unicodedata.is_normalized("NFC", found)


@given(st.floats(-1e15, 1e15).filter(lambda it: it != 0 or str(it) == "0.0"))
def test_a_number_is_the_same_whichever_way_it_is_written(number: float) -> None:
    ways = {repr(number), f"{number:.25e}", f"{number:.17e}".upper()}
    ways |= {str(int(number)), f"{int(number)}.000"} if number.is_integer() else set()
    whole = json.dumps(PLAIN | {"income": "HERE"})
    found = {parse_application(whole.replace('"HERE"', way).encode(), FORM).fields["income"] for way in ways}
    assert found == {number}


def test_problems_are_values_with_the_path_of_their_field() -> None:
    with pytest.raises(ApplicationError) as caught:
        parse_application(b'{"income": "x", "bureau": [{"at": 5, "balance": 1}, 3, {"balance": 1}]}', FORM)
    found = {it.path: it.message for it in caught.value.problems}
    assert found["income",] == "got a text, wanted a number"
    assert found["purpose",] == "is absent; wanted null where it is not known"
    assert found["bureau", 0, "at"] == "got a number, wanted a day as YYYY-MM-DD"
    assert found["bureau", 1] == "got a number, wanted an object"
    assert found["bureau", 2, "at"] == "is absent; wanted null where it is not known"
    assert "row 3 of the history 'bureau': lacks 'at'" in str(caught.value)


@pytest.mark.parametrize(
    "made_up",
    [
        *(
            "Oleg Korvand",
            "Oleg-Korvand",
            "Олег",
            "",
            "\u202e\x1b[31m\r\n",
            "x" * 65,
            "4111111111111111",
            "n4111111111111111",
        ),
        *("a.b", "income ", "a/b", "a\n"),
    ],
)
def test_a_field_whose_name_could_say_anything_is_told_by_its_place_alone(made_up: str) -> None:
    """Whoever writes a person's name, or the number of a card, as the name of a field does not read it back."""
    for plain, place in (
        (PLAIN | {made_up: 1}, ()),
        (PLAIN | {"bureau": [{"at": "2024-01-01", "balance": 1, made_up: 1}]}, ("bureau", 0)),
    ):
        with pytest.raises(ApplicationError) as caught:
            read_application(plain, FORM)
        (problem,) = caught.value.problems
        assert (problem.path, problem.message) == (place, "holds a field that is not known to the card")
        where = "row 1 of the history 'bureau': " if place else ""
        assert str(caught.value).splitlines()[0] == f"application: {where}holds a field that is not known to the card"
    twice = json.dumps({made_up: 1})[:-1] + "," + json.dumps({made_up: 2})[1:]
    with pytest.raises(ApplicationError, match="application: a key stands twice"):
        parse_application(twice.encode(), FORM)


def test_a_field_whose_name_looks_like_one_is_told() -> None:
    for name in ("incme", "X" * 64, "field_7"):
        with pytest.raises(ApplicationError) as caught:
            read_application(PLAIN | {name: 1}, FORM)
        assert [it.path for it in caught.value.problems] == [(name,)]


def test_a_flood_of_mistakes_is_told_in_part_and_soon() -> None:
    unknown = b",".join(b'"x%d":1' % at for at in range(MOST_VALUES))
    rows = b",".join([b"1"] * MOST_VALUES)
    for data in (b"{%b}" % unknown, b'{"bureau":[%b]}' % rows):
        with pytest.raises(ApplicationError, match="more is wrong than is told here") as caught:
            parse_application(data, FORM)
        assert len(caught.value.problems) == 20
    twice = b"{%b,%b}" % (unknown, b'"x7999":1')
    with pytest.raises(ApplicationError, match="the key 'x7999' stands twice"):
        parse_application(twice, FORM)
    with pytest.raises(ApplicationError) as caught:
        parse_application(b'{"%b": 1, "%b": 2}' % ((b"y" * 5000,) * 2), FORM)
    assert len(str(caught.value)) < 200


def test_more_values_than_an_application_has_are_not_read() -> None:
    values = b",".join([b"[]"] * (MOST_VALUES + 2))
    with pytest.raises(ApplicationError, match=f"wanted at most {MOST_VALUES} values"):
        parse_application(b'{"bureau":[%b]}' % values, FORM)


def test_card_and_policy_are_read_from_one_application() -> None:
    said = json.loads(CARD.to_json())
    rule = {"name": "deep", "when": "debt > 5 AND worst > 3", "outcome": "refer"}
    columns = {"customer": {"type": "text"}, "at": {"type": "date"}, "days": {"type": "number"}}
    policy = made(
        knockouts=[rule],
        columns=said["applications"]["columns"] | {"debt": {"type": "number"}},
        histories={"bureau": said["histories"]["bureau"] | {"columns": columns}},
        features={"worst": {"history": "bureau", "aggregate": "max", "expression": "days"}},
    )
    form = form_of(SCORER, compile_policy(policy))
    assert set(form.needed) == {*FORM.needed, "debt"}
    assert set(form.histories["bureau"]) == {"customer", "at", "balance", "days"}
    with pytest.raises(ApplicationError, match="lacks 'debt'"):
        parse_application(json.dumps(PLAIN | {"bureau": []}).encode(), form)
    whole = PLAIN | {"debt": 6, "bureau": [{"at": "2024-04-30", "balance": 5, "days": 4}]}
    found = parse_application(json.dumps(whole).encode(), form)
    assert [it.name for it in compile_policy(policy).read(found.fields, histories=found.histories).fired] == ["deep"]


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
        found = parse_application(json.dumps((PLAIN if whole else {}) | plain).encode(), FORM)
    except ObligorError:
        return
    SCORER.score(found.fields, histories=found.histories)


@given(st.permutations(list(PLAIN)))
def test_the_order_of_the_fields_is_nothing(order: list[str]) -> None:
    assert parse_application(json.dumps({name: PLAIN[name] for name in order}).encode(), FORM) == read()

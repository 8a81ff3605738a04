"""The quick reader says what the strict reader says, or leaves it to it; and equal applications have equal bytes."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_application import BEYOND, FORM, LIMITED, PLAIN, WITHIN
from tests.core.test_scorer import SIMPLE

from obligor.core.application import Form, form_of, parse_application
from obligor.core.columns import Column
from obligor.core.errors import ApplicationError
from obligor.core.scorer import compile_card
from obligor.serving.encoding import encode, encode_application
from obligor.serving.reading import ApplicationReader

READER = ApplicationReader.of(FORM)
FLAT = form_of(compile_card(SIMPLE))
LIMITED_READER = ApplicationReader.of(LIMITED)
FLAT_READER = ApplicationReader.of(FLAT)
ODD = Form(
    {name: Column(type="number") for name in ('a"b', "a:b", "\u00e9", "\u202e", "a\nb")}, ('a"b', "a:b"), {}, {}, ()
)


def text(fields: object) -> bytes:
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")


def quick(data: bytes, reader: ApplicationReader = READER) -> Any:
    return reader._read_quickly(data)


def test_an_application_about_which_nothing_is_odd_is_read_quickly() -> None:
    for fields, reader in ((PLAIN, READER), (PLAIN | {"customer": "Jane Doe"}, READER)):
        found = quick(text(fields), reader)
        assert found == parse_application(text(fields), FORM)
        assert type(found.fields["income"]) is float
        assert type(found.fields["applied_on"]) is date
    flat = {"income": 1500, "purpose": "Caf\u00e9"}
    assert quick(text(flat), FLAT_READER) == parse_application(text(flat), FLAT)


@pytest.mark.parametrize(
    "data",
    [
        text(PLAIN | {"incme": 1}),
        text(PLAIN | {"customer": "a:b"}),
        text(PLAIN | {"income": -0.0}),
        text(PLAIN | {"income": 2e15}),
        text(PLAIN | {"purpose": "e\u0301"}),
        text(PLAIN | {"purpose": "\u00a0"}),
        text(PLAIN | {"purpose": "x" * 1001}),
        text(PLAIN | {"purpose": "\x7f"}),
        text(PLAIN | {"applied_on": None}),
        text(PLAIN | {"customer": "John Roe"}),
        text(PLAIN | {"bureau": [{"at": "2024-04-30", "balance": 5, "x": 1}]}),
        text(PLAIN)[:-1] + b', "income": 1500}',
        text(PLAIN)[:-1] + b', "inc\\u006fme": 1500}',
        text(PLAIN)[:-1] + b', "bureau": []}',
        text(PLAIN) + b" " * (1 << 20),
        b"\xef\xbb\xbf" + text(PLAIN),
        b"",
        b"[]",
        b"[" * 100_000,
        b'{"purpose": "\xff"}',
    ],
    ids=lambda it: ascii(it)[-60:],
)
def test_whatever_is_odd_is_left_to_the_strict_reader(data: bytes) -> None:
    assert quick(data) is None


@pytest.mark.parametrize("name", BEYOND)
def test_a_value_that_is_refused_is_left_to_the_strict_reader(name: str) -> None:
    changed, _, message = BEYOND[name]
    assert quick(text(PLAIN | changed), LIMITED_READER) is None
    with pytest.raises(ApplicationError, match=message):
        LIMITED_READER.read_json(text(PLAIN | changed))
    assert quick(text(PLAIN | changed)) is not None


@pytest.mark.parametrize("name", WITHIN)
def test_values_within_limits_are_read_quickly_and_codes_beyond_them_all_the_same(name: str) -> None:
    data = text(PLAIN | WITHIN[name])
    assert (quick(data, LIMITED_READER) is None) == name.endswith("code")
    assert LIMITED_READER.read_json(data) == parse_application(data, FORM)


def test_a_history_that_could_be_a_column_is_left_to_the_strict_reader() -> None:
    both = Form(FORM.columns, FORM.needed, {"income": FORM.histories["bureau"]}, {"income": FORM.keys["bureau"]}, ())
    assert quick(text(PLAIN), ApplicationReader.of(both)) is None


VALUE = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-5, 5)
    | st.floats()
    | st.sampled_from([-0.0, 1e15, 5e-324, "2024-02-29", "2023-02-29", "0001-01-01", "9999-12-31", "2024-05-01T00:00"])
    | st.text(max_size=4)
    | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.sampled_from([*PLAIN, "x"]), st.integers(), max_size=2)
)
ROW = st.dictionaries(st.sampled_from(["at", "balance", "customer", "x"]), VALUE, max_size=4)
GOOD_ROW = st.builds(
    lambda at, balance, more: {"at": at.isoformat(), "balance": balance, **more},
    st.dates(), st.none() | st.floats(-1e15, 1e15), st.sampled_from([{}, {"customer": "x"}]),
)  # fmt: skip
GOOD = st.fixed_dictionaries(
    {
        "income": st.none() | st.integers(-(10**16), 10**16) | st.floats(-2e15, 2e15),
        "amount": st.none() | st.floats(allow_nan=False),
        "purpose": st.none() | st.text(max_size=6),
        "owner": st.none() | st.booleans(),
        "applied_on": st.dates().map(str),
        "bureau": st.lists(GOOD_ROW, max_size=3),
    },
    optional={"customer": st.none() | st.sampled_from(["x", "y"]) | st.text(max_size=3)},
)
FIELDS = GOOD | st.dictionaries(st.sampled_from([*PLAIN, "customer", "x"]), VALUE | st.lists(ROW, max_size=2))


@given(
    FIELDS,
    st.dictionaries(st.sampled_from([*PLAIN, "customer"]), VALUE, max_size=1),
    st.sampled_from([(READER, FORM), (LIMITED_READER, LIMITED)]),
)
def test_what_the_quick_reader_takes_the_strict_one_takes_as_the_same(fields: Any, spoilt: Any, reading: Any) -> None:
    data, (reader, form) = text(fields | spoilt), reading
    found = quick(data, reader)
    if found is not None:
        strict = parse_application(data, form)
        assert repr(found) == repr(Application_in_the_order_of(found, strict))
        assert found == strict


def Application_in_the_order_of(found: Any, strict: Any) -> Any:  # noqa: N802 - reads as the sentence it is used in
    fields = {name: strict.fields[name] for name in found.fields}
    rows = {
        name: tuple({key: row[key] for key in own} for own, row in zip(found.histories[name], its, strict=True))
        for name, its in strict.histories.items()
    }
    return type(strict)(fields, rows)


@given(
    st.sampled_from(["income", "amount"]),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
)
def test_a_number_is_the_same_to_both_readers_however_it_is_written(name: str, number: str) -> None:
    data = text(PLAIN | {name: "HERE"}).replace(b'"HERE"', number.encode())
    found = quick(data)
    if found is not None:
        strict = parse_application(data, FORM)
        assert math.copysign(1, found.fields[name]) == math.copysign(1, strict.fields[name])
        assert encode_application(found) == encode_application(strict)


@given(st.binary(max_size=30), st.integers(0, 400), st.integers(0, 8))
def test_bytes_that_are_cut_into_an_application_are_read_alike_or_refused(cut: bytes, at: int, gone: int) -> None:
    whole = text(PLAIN)
    data = whole[:at] + cut + whole[at + gone :]
    found = quick(data)
    if found is not None:
        assert found == parse_application(data, FORM)


@given(st.dictionaries(st.sampled_from([*ODD.columns, "x"]), st.floats(-9, 9), max_size=5))
def test_fields_of_odd_names_are_read_alike(fields: dict[str, float]) -> None:
    reader = ApplicationReader.of(ODD)
    found = quick(text(fields), reader)
    if found is not None:
        assert found == parse_application(text(fields), ODD)


def test_what_is_refused_is_told_by_the_strict_reader_through_either_way() -> None:
    for read in (lambda it: READER.read_json(text(it)), READER.read_plain):
        with pytest.raises(ApplicationError, match="'incme' is not known to the card; did you mean 'income'"):
            read(PLAIN | {"incme": 1})
        assert read(PLAIN) == parse_application(text(PLAIN), FORM)


@pytest.mark.parametrize("income", ["1500", "1500.0", "1.5e3", "15E2", "1500.000000000000000000000"])
def test_two_ways_of_writing_a_number_give_the_same_hash(income: str) -> None:
    data = text(PLAIN | {"income": "HERE"}).replace(b'"HERE"', income.encode())
    found = encode_application(READER.read_json(data))
    assert found == encode_application(READER.read_plain(PLAIN))
    assert hashlib.sha256(found).hexdigest() == "55eea8cccc91e1bda61565f1430e94823e6e8d3aaaab0e23bcfa62619b6e5af7"


@given(st.permutations(list(PLAIN)))
def test_the_order_of_the_fields_does_not_reach_the_hash(order: list[str]) -> None:
    found = READER.read_json(text({name: PLAIN[name] for name in order}))
    assert encode_application(found) == encode_application(READER.read_plain(PLAIN))


def test_an_application_is_written_as_it_has_always_been() -> None:
    """The hash of an input is kept for years: these bytes may never change, whatever library writes them."""
    numbers = [1500.0, 0.0, 1e15, -1e15, 0.1, 1e-5, 1e-7, 123456789.125, 5e-324, 0.1 + 0.2, 1 / 3, 2.0**53]
    assert encode(numbers) == (
        b"[1500.0,0.0,1000000000000000.0,-1000000000000000.0,0.1,0.00001,1e-7,123456789.125,5e-324,"
        b"0.30000000000000004,0.3333333333333333,9007199254740992.0]"
    )
    assert encode({"b": date(2026, 11, 26), "\u00e9": None, "a": {"z": True, "c": 'a"\u00e9\u2028/\\'}}) == (
        '{"a":{"c":"a\\"\u00e9\u2028/\\\\","z":true},"b":"2026-11-26","\u00e9":null}'.encode()
    )


@given(st.floats(-1e15, 1e15))
def test_an_application_that_is_written_down_is_read_again_as_the_same(number: float) -> None:
    if number == 0:
        return
    found = READER.read_plain(PLAIN | {"income": number})
    again = parse_application(encode_application(found), FORM)
    assert again == found
    assert encode_application(again) == encode_application(found)

"""Numbers of payment cards, in every dress, are found; what only looks like one is not."""

from __future__ import annotations

import base64
import json
import random
import re
import time
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.core.card_numbers import (
    find_card_number,
    find_split,
    holds_card_number,
    is_card_number,
    resembles_card_number,
    resembles_split,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PAN = "4111111111111111"
GROUPED = "4111 1111 1111 1111"
OF_BRANDS = (
    "4111111111111111", "4222222222222", "5555555555554444", "2223003122003222", "378282246310005", "6011111111111117",
    "3056930009020004", "36227206271667", "3566002020360505", "6200000000000005", "2200000000000004", "6759649826438453",
)  # fmt: skip
"""Numbers that brands and processors publish for tests."""


def in_digits_from(first: int) -> str:
    return "".join(chr(first + int(digit)) for digit in PAN)


def each(pattern: str) -> str:
    return "".join(pattern.format(ord(digit)) for digit in PAN)


DISGUISES: Mapping[str, str] = {
    "plain": PAN,
    "blanks": GROUPED,
    "dashes": GROUPED.replace(" ", "-"),
    "dots": GROUPED.replace(" ", "."),
    "slashes and blanks": GROUPED.replace(" ", " / "),
    "a blank after every digit": " ".join(PAN),
    "no-break blanks": GROUPED.replace(" ", "\N{NO-BREAK SPACE}"),
    "full-width digits": in_digits_from(0xFF10),
    "Arabic digits": in_digits_from(0x660),
    "Devanagari digits": in_digits_from(0x966),
    "mathematical digits": in_digits_from(0x1D7CE),
    "Chinese noughts and nines": "3056930009020004".replace("0", "\N{IDEOGRAPHIC NUMBER ZERO}").replace("9", "九"),
    "Chinese digits": PAN.replace("4", "四").replace("1", "一"),
    "characters of no width": "\N{ZERO WIDTH SPACE}".join(PAN),
    "soft hyphens": "\N{SOFT HYPHEN}".join(PAN),
    "base64": base64.b64encode(PAN.encode()).decode(),
    "base64 of a sentence": base64.b64encode(f"card {GROUPED}, thanks".encode()).decode(),
    "base64 for URLs, unpadded": base64.urlsafe_b64encode(b"x" + PAN.encode()).decode().rstrip("="),
    "hexadecimal": PAN.encode().hex(),
    "hexadecimal by bytes": GROUPED.encode().hex(" "),
    "URL-encoded": each("%{:02x}"),
    "URL-encoded twice": quote(each("%{:02x}")),
    "HTML entities": each("&#{};"),
    "backslash escapes": each("\\u{:04x}"),
    "backslash escapes of bytes": each("\\x{:02x}"),
    "backslash escapes in octal": each("\\{:03o}"),
    "backslash escapes in braces": each("\\u{{{:x}}}"),
    "HTML entities in hexadecimal": each("&#x{:x};"),
    "hexadecimal with colons": PAN.encode().hex(":"),
    "hexadecimal with commas": PAN.encode().hex(","),
    "combining marks": "\N{COMBINING ACUTE ACCENT}".join(PAN),
    "the groups of American Express": "3782 822463 10005",
    "the groups of Diners": "3056 930902 0004",
    "a shorter last group": "4222 2222 2222 2",
    "a longest number": "4000 0000 0000 0000 006",
    "fives": "41111 11111 11111 1",
    "pairs": "41 11 11 11 11 11 11 11",
    "pairs and a last digit": "42 22 22 22 22 22 2",
    "numbers at its sides": "12 4111 1111 1111 1111 2027",
    "quoted-printable": each("={:02X}"),
    "quoted-printable dashes": GROUPED.replace(" ", "=2D"),
    "hexadecimal with dashes in it": GROUPED.replace(" ", "-").encode().hex(),
    "hexadecimal with dots in it": GROUPED.replace(" ", ".").encode().hex().upper(),
    "hexadecimal with low lines in it": GROUPED.replace(" ", "_").encode().hex(),
    "hexadecimal by bytes with dashes in it": GROUPED.replace(" ", "-").encode().hex(" "),
    "hexadecimal with colons and dots in it": GROUPED.replace(" ", ".").encode().hex(":").upper(),
    "a CSV cell": f"Smith;{PAN};12/27;123",
    "a sentence": f"Please take it from {GROUPED}, thanks",
    "track data": f";{PAN}=27121010000000000000?",
    "letters around it": f"PAN{PAN}x",
    "leading zeros": f"000{PAN}",
    "JSON in a text": json.dumps({"number": PAN}),
    "with its code": f"{GROUPED} 123",
}


def doors_into_json(dressed: str) -> Mapping[str, bytes]:
    return {
        "a value": json.dumps({"purpose": dressed}, ensure_ascii=False).encode(),
        "an escaped value": json.dumps({"purpose": dressed}).encode(),
        "a key": json.dumps({dressed: 1}, ensure_ascii=False).encode(),
        "a history": json.dumps({"bureau": [{"at": "2024-04-30", "note": dressed}]}).encode(),
        "a nested key": json.dumps({"bureau": [{dressed: {"deep": 1}}]}).encode(),
        "a broken body": json.dumps({"purpose": dressed}).encode()[:-1],
    }


@pytest.mark.parametrize("dressed", DISGUISES.values(), ids=DISGUISES)
def test_a_number_is_found_in_every_dress_and_place(dressed: str) -> None:
    assert holds_card_number(dressed)
    for place, body in doors_into_json(dressed).items():
        assert find_card_number(body) is not None, place


@pytest.mark.parametrize("number", OF_BRANDS)
def test_the_numbers_of_every_brand_count_and_no_other_check_digit(number: str) -> None:
    assert is_card_number(number)
    last = int(number[-1])
    for wrong in {*range(10)} - {last}:
        assert not is_card_number(f"{number[:-1]}{wrong}")
    assert find_card_number(json.dumps({"purpose": number}).encode()) == ("purpose",)


def completed(prefix: str, size: int) -> str:
    """A number of so many digits that begins so, with the check digit that is its own."""
    begun = f"{prefix}{'0' * size}"[: size - 1]
    doubled = (int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(begun)))
    return f"{begun}{-sum(it // 10 + it % 10 for it in doubled) % 10}"


INSIDE: Mapping[tuple[int, ...], str] = {
    (13, 16, 19): "4 49",
    (15,): "34 37",
    (14, 16, 19): "300 305 3095 36 38 39",
    (16,): "51 55 2221 2720 508 60 82 353 356 9792",
    (16, 17, 18, 19): "6011 644 649 65 622126 622925 3528 3589 62 81 2200 2204",
    (13, 14, 15, 16, 17, 18, 19): "5018 5020 5038 5893 6304 6759 6761 6763",
}
OUTSIDE = ["2220", "2721", "56", "33", "3527", "3590", "80", "83", "9791", "9793"]
FOR_LONGER = [
    "50",
    "35",
    "3094",
    "306",
    "3096",
    "5017",
    "5019",
    "5037",
    "5892",
    "6303",
    "6758",
    "6760",
    "6764",
    "2199",
    "2205",
    "0",
    "1",
    "7",
    "9",
]


@pytest.mark.parametrize(("sizes", "prefixes"), INSIDE.items())
def test_a_prefix_counts_with_the_lengths_of_its_brand(sizes: tuple[int, ...], prefixes: str) -> None:
    for prefix in prefixes.split():
        for size in sizes:
            assert is_card_number(completed(prefix, size)), (prefix, size)
        assert not is_card_number(completed(prefix, 12))
        assert not is_card_number(completed(prefix, 20))


def test_another_prefix_or_length_counts_for_no_brand() -> None:
    assert not any(
        is_card_number(completed(prefix, 16))
        for prefix in ["2220", "2721", "56", "33", "3527", "3590", "80", "83", "9791", "9793"]
    )
    assert not any(is_card_number(completed(prefix, 13)) for prefix in (*OUTSIDE, *FOR_LONGER))
    assert not any(is_card_number(completed("4", size)) for size in (14, 15, 17, 18))
    assert not any(is_card_number(completed("34", size)) for size in (13, 14, 16))
    assert not any(is_card_number(completed("51", size)) for size in (15, 17))
    assert not any(is_card_number(completed("36", size)) for size in (13, 15, 17))


@given(st.text("0123456789", min_size=15, max_size=15))
def test_the_check_digit_is_that_of_another_writing_of_luhn(digits: str) -> None:
    number = f"4{digits}"
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(number))]
    total = sum(it // 10 + it % 10 for it in doubled)
    assert is_card_number(number) == (total % 10 == 0)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"amount": 4111111111111111}', ("amount",)),
        (b'{"amount": 4111111111111111.0}', ("amount",)),
        (b'{"amount": 4.111111111111111e15}', ("amount",)),
        (b'{"bureau": [{"balance": 1}, {"balance": 378282246310005}]}', ("bureau", 1, "balance")),
        (b'{"a": 1, "4111111111111111": "x"}', ()),
        (b'{"a": {"4111111111111111": "4111111111111111"}}', ("a",)),
        (b'{"a": "4111111111111111", "a": "x"}', ("a",)),
        (b"card 4111 1111 1111 1111", ()),
        (b'{"amount": 4222222222222.0}', ("amount",)),
        (b'{"amount": -4.000000000000000006e18}', ("amount",)),
        (b'{"amount": 4222222222222.5}', None),
        (b'{"amount": 1e999999999, "serial": 1234567890123}', None),  # which no memory would hold
        (b'{"amount": 1e-999999999, "serial": 1234567890123}', None),
        (b"%41 is no JSON, and no number", None),
    ],
)
def test_the_place_is_told_and_is_never_the_number(body: bytes, place: tuple[str | int, ...] | None) -> None:
    assert find_card_number(body) == place


@pytest.mark.parametrize(
    "said",
    [
        {"ratio": 0.4111111111111111},
        {"rate": 4.111111111111111},
        {"at": "2024-05-01", "since": "2024-05-01T12:00:00.123456Z"},
        {"phone": "+1 415 555 0132", "zip": "94110-1234"},
        {"iban": "DE89370400440532013000"},
        {"serial": "411111111111111100000"},
        {"id": "018f4111-1111-4111-8111-111111111111"},
        {"hash": "4111111111111111" + "a" * 48},
        {"trace": "4111111111111111a1b2c3d4"},
        {"statuses": "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 0 0 0 0"},
        {"number": "4111111111111112"},
        {
            "groups": [
                "411 1111 1111 11111",
                "4111 111 1111 11111",
                "4111111 111 111111",
                "41 111111 1111 1111",
                "4111 1111 11111111",
            ]
        },
        {
            "words": ["4\u767e111111111111111", "3782822463\u5341005", "3782822463\u767e05", "4\u0f2b11111111111111"]
        },  # 100, 10, 100, 1.5
        {"number": "1111111111111117"},
        {"postal": "4111", "number": 1111, "floor": "11"},
        {"amounts": [41111111, 11111111]},
        {},
        [],
        "x" * 5000,
    ],
    ids=lambda it: str(it)[:30],
)
def test_what_is_no_number_of_a_card_is_let_through(said: Any) -> None:
    assert find_card_number(json.dumps(said).encode()) is None


def test_identifiers_and_measures_are_let_through_however_many_there_are() -> None:
    chance = random.Random(20261126)  # noqa: S311  the same every time
    make: tuple[Callable[[], object], ...] = (
        lambda: str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        lambda: chance.randbytes(32).hex(),
        lambda: base64.urlsafe_b64encode(chance.randbytes(48)).decode(),
        chance.random,
        lambda: chance.uniform(0, 1e6),
        lambda: f"application-2026-{chance.randrange(10**7):07}",
    )
    assert all(find_card_number(json.dumps({"it": one()}).encode()) is None for one in make for _ in range(3000))


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("4111", "1111", "1111", "1111"), True),
        (("Smith", "41111111", "11111111", "Berlin"), True),
        (("3782", "822463", "10005"), True),
        (("4111 ", " 1111-", "1111", in_digits_from(0xFF10)[-4:]), True),
        (("1234", "4111", "1111", "1111", "1111", "5678"), True),
        (("4000", "0000", "0000", "0000", "006"), True),
        (("4111", "1111", "1111", "1112"), False),
        (("4111", "111", "11111", "1111"), False),
        (("4111", "1111", "\u00d6", "1111", "1111"), False),
        (("4111", "1111", "\u00d6 1111", "1111"), False),
        (("41111115", "19700101"), True),
        (("41111115", "1970-01-01"), False),  # a day
        (("4111", "1111", "Smith", "1111", "1111"), False),
        (("411", "11111", "1111", "1111"), False),
        (("41111111", "1970-01-01", "11111111"), False),
        (("40001", "9876543210"), False),
        ((), False),
    ],
)
def test_a_number_over_texts_in_a_row_is_found_in_fours_and_eights(texts: tuple[str, ...], found: object) -> None:
    assert find_split(texts) is found


@pytest.mark.parametrize(
    "text", ["4111111111111112", "take 4111-1111-1111-1112 please", in_digits_from(0xFF10)[:-1] + "7"]
)
def test_a_number_with_a_wrong_check_digit_resembles_one_in_any_dress(text: str) -> None:
    assert not holds_card_number(text)
    assert resembles_card_number(text)
    assert resembles_card_number("x" * 9000 + text)


@pytest.mark.parametrize(
    "text", ["", "0" * 16, "Smith", "1111111111111112", "2024-05-01 12:00:00", "DE89370400440532013000", "411111111111"]
)
def test_what_has_no_prefix_or_length_of_a_brand_resembles_none(text: str) -> None:
    assert not resembles_card_number(text)


def test_a_number_that_is_split_anywhere_resembles_one() -> None:
    for texts in (["411", "11111", "1111", "1111"], ["Smith", "4111111111", "111111"], ["4", "111111111111111"]):
        assert not find_split(texts)
        assert resembles_split(texts)
    for texts in (["411", "11111", "Smith", "1111", "1111"], ["411", "11111", "1111", "1112"], []):
        assert not resembles_split(texts)


@given(st.text(max_size=60))
def test_any_text_is_looked_through_without_an_error(text: str) -> None:
    found = find_card_number(json.dumps({"it": text}).encode())
    assert found in (None, ("it",))
    if not re.search(r"\d", text):
        assert found is None or any(mark in text for mark in "\\%&=" + "".join(filter(str.isupper, text)))


@given(st.binary(max_size=200))
def test_any_bytes_are_looked_through_without_an_error(body: bytes) -> None:
    find_card_number(body)


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"it": "' + b"4 " * 500_000 + b'"}', None),  # longer than a field may be, and refused for that
        (json.dumps(["4111 1112 " * 99] * 1000).encode(), ()),
        (json.dumps(["MTEx" * 240] * 1000).encode(), ()),
        (json.dumps(["%25" * 330] * 1000).encode(), ()),
        (json.dumps(["34" * 500] * 1000).encode(), ()),
        (b"[" * 500_000, None),
    ],
    ids=("one long text", "groups", "base64", "escapes", "hexadecimal", "nesting"),
)
def test_a_body_made_to_be_looked_at_for_long_is_judged_after_so_much(body: bytes, wanted: object) -> None:
    assert find_card_number(body) == wanted


def test_a_body_of_backslashes_alone_takes_no_longer_than_another() -> None:
    body = json.dumps(["\\" * 4000] * 130).encode()
    began = time.process_time()
    assert find_card_number(body) == ()
    assert time.process_time() - began < 1, "it took seconds: a run was looked through again from each of its places"


def test_a_text_that_takes_too_long_to_look_through_is_taken_to_hold_a_number() -> None:
    assert not holds_card_number("4111 1112 " * 1000)
    assert holds_card_number("4111 1112 " * 30_000)


@pytest.mark.parametrize("before", ["", "x", "xx", "~~~", "\xff\xfe\xfb?>"])
@pytest.mark.parametrize("after", ["", "y", "yy", "\xff\xfb"])
def test_a_number_is_found_in_base64_wherever_it_stands_and_however_it_ends(before: str, after: str) -> None:
    said = f"{before}{PAN}{after}".encode("latin-1")
    padded, for_urls = base64.b64encode(said).decode(), base64.urlsafe_b64encode(said).decode()
    for text in (padded, for_urls, padded.rstrip("="), for_urls.rstrip("="), padded.rstrip("=") + "A"):
        assert holds_card_number(text)


@pytest.mark.parametrize(
    "text",
    ["4111 1111 1111 1112", "4111111111111112", "4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 2", in_digits_from(0x660)[:-1] + "7"],
    ids=("grouped", "plain", "single digits", "Arabic digits"),
)
def test_forty_thousand_texts_that_only_resemble_a_number_are_judged_within_a_tenth_of_a_second(text: str) -> None:
    """Whoever sends them holds everybody up for as long: F15."""
    body = json.dumps([text] * 40_000, ensure_ascii=False).encode()[: 1 << 20].rpartition(b",")[0] + b"]"

    def seconds() -> float:
        began = time.process_time()
        assert find_card_number(body) == ()
        return time.process_time() - began

    assert min(seconds() for _ in range(5)) < 0.1


@pytest.mark.parametrize("before", [3000, 3580, 4090, 5000, 9000])
def test_a_number_is_found_however_much_stands_before_it(before: int) -> None:
    text = "x" * before + " 4111 1111 1111 1111"
    assert holds_card_number(text)
    assert holds_card_number(text.encode())
    assert not holds_card_number("x" * before + " 4111 1111 1111 1112")


def test_a_body_of_half_a_million_short_numbers_costs_little_more_than_to_read_it() -> None:
    """Whoever sends it holds everybody up for as long."""

    def seconds(done: Callable[[bytes], object]) -> float:
        began = time.process_time()
        done(body)
        return time.process_time() - began

    body = b"[" + b"1," * 400_000 + b"1]"
    assert find_card_number(body) is None
    assert min(seconds(find_card_number) for _ in range(3)) < 6 * min(seconds(json.loads) for _ in range(3))

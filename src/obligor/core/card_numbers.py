"""Numbers of payment cards (PANs) in what somebody sends, however they are dressed up.

A number counts where it has 13 to 19 digits, the prefix and the length of a brand, and its check digit (Luhn, ISO/IEC 7812-1).
It is looked for in every text, key and whole number of a JSON text: with blanks, dashes, dots and the like between its digits
in the groups that cards have, in digits of other scripts, with characters that do not show in between, and under URL, HTML,
backslash and quoted-printable escapes, base64 and hexadecimal, up to three over each other; and over texts in a row that
hold nothing else, four or eight digits in each.

What is not looked for, because ordinary data would be taken for it: a number that is a part of a longer run of digits, of a
UUID or of a hash, the fraction of a number, and a number split at any place over any fields; nor base64 of base64, nor words.

An ordinary body is let through after one pass over its bytes, which costs about a microsecond.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from decimal import Decimal, InvalidOperation
from html import unescape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Path = tuple[str | int, ...]

LEAST, MOST = 13, 19
_DEEPEST = 3
_LONGEST = 4096
"""Characters of one text that are looked at; a field that is longer is refused for that (``application.MOST_CHARACTERS``)."""
_OVERLAP = 512
"""Characters that two pieces of a longer text share: more than a number takes, under three escapes."""
_MOST_LOOKED_AT = 1 << 18
"""Characters that may be looked at closely in one request, its decoded texts too; a request with more is taken to hold one."""

# Which prefixes have which lengths. Ranges of first digits, both ends included.
_VISA = (13, 16, 19)
_LONG = (16, 17, 18, 19)
_MAESTRO = tuple(range(LEAST, MOST + 1))
_BRANDS: Final[tuple[tuple[str, str, tuple[int, ...]], ...]] = (
    ("4", "4", _VISA),
    ("51", "55", (16,)), ("2221", "2720", (16,)),  # Mastercard
    ("34", "34", (15,)), ("37", "37", (15,)),  # American Express
    ("6011", "6011", _LONG), ("644", "649", _LONG), ("65", "65", _LONG), ("622126", "622925", _LONG),  # Discover
    ("300", "305", (14, 16, 19)), ("3095", "3095", (14, 16, 19)), ("36", "36", (14, 16, 19)), ("38", "39", (14, 16, 19)),
    ("3528", "3589", _LONG),  # JCB
    ("62", "62", _LONG), ("81", "81", _LONG),  # UnionPay, RuPay
    ("2200", "2204", _LONG),  # Mir
    ("508", "508", (16,)), ("60", "60", (16,)), ("82", "82", (16,)), ("353", "353", (16,)), ("356", "356", (16,)),  # RuPay
    ("9792", "9792", (16,)),  # Troy
    ("5018", "5018", _MAESTRO), ("5020", "5020", _MAESTRO), ("5038", "5038", _MAESTRO), ("5893", "5893", _MAESTRO),
    ("6304", "6304", _MAESTRO), ("6759", "6759", _MAESTRO), ("6761", "6763", _MAESTRO),
)  # fmt: skip
_BY_FIRST: Final = {first: [it for it in _BRANDS if it[0][0] <= first <= it[1][0]] for first in "0123456789"}
_DOUBLED = str.maketrans("0123456789", "0246813579")
"""A digit doubled, with the digits of the result added."""


class _TooMuchError(Exception):
    """So much that looks like a number, or like one in disguise, that it is no application."""


def is_card_number(digits: str) -> bool:
    """Tell whether ASCII digits are the number of a payment card."""
    if not LEAST <= len(digits) <= MOST:
        return False
    if not any(
        low <= digits[: len(low)] <= high and len(digits) in lengths for low, high, lengths in _BY_FIRST[digits[0]]
    ):
        return False
    turned = digits[::-1]
    return (sum(map(int, turned[::2])) + sum(map(int, turned[1::2].translate(_DOUBLED)))) % 10 == 0


def find_card_number(data: bytes) -> Path | None:
    """Give the place of a number of a payment card in a JSON text, or in another text; none where there is none.

    The place is a path of keys, up to one that itself holds the number; it is empty where the text is no JSON. A number that is
    split over texts is found by ``find_split``.
    """
    if _is_ordinary(data):
        return None
    try:
        plain = json.loads(data, object_pairs_hook=_Pairs, parse_int=str, parse_float=_whole, parse_constant=str)
    except (ValueError, RecursionError):
        return () if holds_card_number(data.decode("utf-8", "replace")) else None
    return _within(plain)


def holds_card_number(text: str | bytes) -> bool:
    """Tell whether a text holds the number of a payment card."""
    if text.isascii() and _is_ordinary(text.encode() if isinstance(text, str) else text):
        return False
    said, search = text if isinstance(text, str) else text.decode("utf-8", "replace"), _Search()
    try:
        return any(search.holds(said[start : start + _LONGEST]) for start in range(0, len(said), _LONGEST - _OVERLAP))
    except _TooMuchError:
        return True


def find_split(texts: Sequence[str]) -> bool:
    """Tell whether texts that follow each other hold a number between them, and nothing else: four digits in each, or eight."""
    alone: list[str] = []
    for text in texts:
        if text.isascii() and text.lower() != text.upper():  # it has a letter
            alone = []
            continue
        folded = _folded(text[:_LONGEST])
        if not _ALONE.fullmatch(folded) or _DAY.fullmatch(folded):
            alone = []
            continue
        alone = [*alone[-MOST // 4 :], "".join(_GROUP.findall(folded))]
        for count in range(2, len(alone) + 1):
            parts = alone[-count:]
            sizes = tuple(map(len, parts))
            if (sizes[0] in _SPLIT or sizes in _OF_CARDS) and _are_of_a_card(sizes) and is_card_number("".join(parts)):
                return True
    return False


# The one pass over the bytes


def _shape(byte: int) -> int:
    """Tell what a byte may be a part of: a number, an escape, or base64 of digits."""
    if byte >= 0x80 or chr(byte) in "\\%&":  # noqa: PLR2004  beyond ASCII
        return ord("E")
    if chr(byte).isdigit():
        return ord("0")
    return ord("U") if chr(byte) in "IJKLMNOP" else ord("x")


_SHAPES = bytes(map(_shape, range(256)))
_BETWEEN = bytes(byte for byte in range(0x80) if not chr(byte).isalnum() and chr(byte) not in "\\%&")
_RUN = b"0" * LEAST
_QUADS = r"(?:[I-P][CDSTijyz][AEIMQUYcgkosw048][g-z0-9+/_-]){3}"
"""Three times three characters of ASCII from the blank to the question mark, in base64."""
_QUADS_OF_BYTES = re.compile(_QUADS.encode())
_UPPER = bytes(ord("U") if chr(byte) in "IJKLMNOP" else ord("x") for byte in range(256))
_FEWEST = 3


def _is_ordinary(data: bytes) -> bool:
    """Whether bytes have nothing that could be a number: no escape, no run of digits, no base64 of digits."""
    shape = data.translate(_SHAPES, _BETWEEN)
    if b"E" in shape or _RUN in shape:
        return False
    return shape.count(b"U") < _FEWEST or not _may_be_base64(data)


def _may_be_base64(data: bytes) -> bool:
    """Look at every fourth byte first: the pattern alone would take a long look at texts in capital letters."""
    upper = data.translate(_UPPER)
    return any(b"UUU" in upper[start::4] for start in range(4)) and _QUADS_OF_BYTES.search(data) is not None


# The search

_CANDIDATES = re.compile(r"[0-9](?:[\W_]{0,3}[0-9]){12,}")
_SINGLES = re.compile(r"(?<![0-9])[0-9]([\W_]{1,3})[0-9](?:\1[0-9]){11,}(?![0-9])")
_PAIRS = re.compile(r"(?<![0-9])[0-9]{2}([\W_]{1,3})[0-9]{2}(?:\1[0-9]{2}){4,}(?:\1[0-9])?(?![0-9])")
_GROUP = re.compile(r"[0-9]+")
_IDS = re.compile(
    r"(?<![0-9A-Za-z])(?=[0-9-]{0,36}[A-Fa-f])(?:[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
    r"|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{32}|[0-9A-Fa-f]{24}|[0-9A-Fa-f]{16})(?![0-9A-Za-z])"
)
"""UUIDs and hashes, which have a letter: digits in them stand there by chance."""
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/_-]{4})?" + _QUADS + r"[A-Za-z0-9+/_-]*")
"""With the four before, which may end in the first digits."""
_HEX = re.compile(r"(?:[2-7][0-9A-Fa-f][ :,-]?){13,}")
_QUOTED = re.compile(r"=([2-7][0-9A-Fa-f])")
_BACKSLASH = re.compile(r"\\+(?:u\{0*([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-7]{3}))")
_ALONE = re.compile(r"[\W_]*[0-9](?:[\W_]*[0-9])*[\W_]*")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_NO_ASCII = re.compile(r"[^\x00-\x7f]")
_INVISIBLE = ("Cf", "Mn", "Me")
_LARGEST_CODE = 0x10FFFF
_OF_CARDS = ((4, 6, 5), (4, 6, 4))
_SPLIT = (4, 8)
_PAIR = 2


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON, with every pair that it has."""


def _whole(said: str) -> str | None:
    """Give a number with a fraction or an exponent as its digits, where it is whole after all."""
    try:
        number = Decimal(said)
    except InvalidOperation:
        return None
    if not LEAST <= number.adjusted() + 1 <= MOST or number != number.to_integral_value():
        return None
    return str(abs(int(number)))


def _within(plain: object) -> Path | None:
    """Look through what JSON holds, without recursion: its nesting is the sender's."""
    search, stack = _Search(), list[tuple[Path, object]]([((), plain)])
    try:
        while stack:
            path, value = stack.pop()
            if isinstance(value, _Pairs):
                if any(search.holds(key) for key, _ in value):
                    return path
                stack += _that_may_hold(value, path)
            elif isinstance(value, list):
                stack += _that_may_hold(enumerate(value), path)
            elif isinstance(value, str) and search.holds(value):
                return path
    except _TooMuchError:
        return ()
    return None


def _that_may_hold(values: Iterable[tuple[str | int, Any]], path: Path) -> list[tuple[Path, object]]:
    """Give what may hold a number, with its path, the first last: of half a million short numbers, none."""
    found = [
        ((*path, at), it) for at, it in values if (len(it) >= LEAST if it.__class__ is str else isinstance(it, list))
    ]
    return found[::-1]


class _Search:
    """Looks through one request, and counts how much it looked at."""

    def __init__(self) -> None:
        self._left = _MOST_LOOKED_AT

    def holds(self, text: str, *, depth: int = 0) -> bool:
        """Look through one text, and what it says under an encoding."""
        if len(text) < LEAST:
            return False
        text = text[:_LONGEST]
        if text.isascii() and _is_ordinary(text.encode()) and "=" not in text:
            return False
        self._left -= len(text)
        if self._left < 0:
            raise _TooMuchError
        folded = _folded(text)
        if any(_in_run(it[0]) for it in _CANDIDATES.finditer(_IDS.sub("x", folded))):
            return True
        return depth < _DEEPEST and any(self.holds(it, depth=depth + 1) for it in _decoded(text))


def _in_run(run: str) -> bool:
    """Try the groups of a run of digits: each by itself, and those in a row that make a card's groups.

    Single digits and pairs count only with all that stand apart in the same way: a row of statuses would hold any number.
    """
    if any(is_card_number("".join(_GROUP.findall(it[0]))) for it in (*_SINGLES.finditer(run), *_PAIRS.finditer(run))):
        return True
    groups = _GROUP.findall(run)
    if any(len(group) >= LEAST and (is_card_number(group) or is_card_number(group.lstrip("0"))) for group in groups):
        return True
    sizes = tuple(map(len, groups))
    return any(
        _are_of_a_card(sizes[first:after]) and is_card_number("".join(groups[first:after]))
        for first in range(len(groups))
        if sizes[first] > _PAIR
        for after in range(first + 2, min(first + MOST // _PAIR, len(groups)) + 1)
    )


def _are_of_a_card(sizes: tuple[int, ...]) -> bool:
    """Whether digits stand in groups as on a card: equal ones with a shorter last, or those of American Express and Diners."""
    if sizes in _OF_CARDS:
        return True
    first = sizes[0]
    return LEAST <= sum(sizes) <= MOST and sizes[-1] <= first and all(it == first for it in sizes[:-1])


def _folded(text: str) -> str:
    """Give a text with every digit in ASCII, and without what does not show."""
    if text.isascii():
        return text
    return _NO_ASCII.sub(_in_ascii, unicodedata.normalize("NFKC", text))


def _in_ascii(found: re.Match[str]) -> str:
    digit = unicodedata.numeric(found[0], None)
    if digit is not None and 0 <= digit <= 9 and digit == int(digit):  # noqa: PLR2004  a digit
        return str(int(digit))
    return "" if unicodedata.category(found[0]) in _INVISIBLE else found[0]


def _decoded(text: str) -> Iterator[str]:
    """Give what a text says under the encodings that it may have."""
    if "%" in text:
        yield unquote(text)
    if "&" in text:
        yield unescape(text)
    if "\\" in text:
        said = _BACKSLASH.sub(_character, text)
        yield said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two halves are one character
    if "=" in text:
        yield _QUOTED.sub(lambda it: chr(int(it[1], 16)), text)
    if _may_be_base64(text.encode("ascii", "replace")):
        for found in _BASE64.finditer(text):
            yield _from_base64(found[0])
    for found in _HEX.finditer(text):
        yield bytes.fromhex(re.sub("[ :,-]", "", found[0])).decode("latin-1")


def _character(found: re.Match[str]) -> str:
    code = int(found[4], 8) if found[4] else int(found[1] or found[2] or found[3], 16)
    return chr(code) if code <= _LARGEST_CODE else ""


def _from_base64(token: str) -> str:
    """Give what base64 says, padded or not; a character too many is left out."""
    said = token.replace("-", "+").replace("_", "/")
    said = said[:-1] if len(said) % 4 == 1 else said
    return base64.b64decode(said + "=" * (-len(said) % 4)).decode("latin-1")

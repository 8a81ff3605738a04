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
    from collections.abc import Callable, Iterable, Iterator, Sequence

Path = tuple[str | int, ...]

LEAST, MOST = 13, 19
_DEEPEST = 3
_LONGEST = 4096
"""Characters of one text that are looked at; a field that is longer is refused for that (``application.MOST_CHARACTERS``)."""
_OVERLAP = 512
"""Characters that two pieces of a longer text share: more than a number takes, under three escapes."""
_MOST_LOOKED_AT = 1 << 18
"""Characters that may be looked at closely in one request, its decoded texts too; a request with more is taken to hold one."""
_EACH = 16
"""Characters that a short run of digits, or a decoded text, counts for once more: many short ones cost more than a long one."""

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
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")
"""A digit doubled, with the digits of the result added."""
_ZERO = ord("0")


class _TooMuchError(Exception):
    """So much that looks like a number, or like one in disguise, that it is no application."""


def is_card_number(digits: str) -> bool:
    """Tell whether ASCII digits are the number of a payment card."""
    size = len(digits)
    if not LEAST <= size <= MOST:
        return False
    turned = digits.encode()[::-1]
    if (sum(turned[::2]) + sum(turned[1::2].translate(_DOUBLED)) - _ZERO * size) % 10:
        return False
    return _is_of_a_brand(digits)


def _is_of_a_brand(digits: str) -> bool:
    """Tell whether digits have the prefix and the length of a brand's numbers, whatever their check digit."""
    size = len(digits)
    return LEAST <= size <= MOST and any(
        size in lengths and low <= digits[: len(low)] <= high for low, high, lengths in _BY_FIRST[digits[0]]
    )


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
    return _Search().holds_in_pieces(text if isinstance(text, str) else text.decode("utf-8", "replace"))


def find_split(texts: Sequence[str]) -> bool:
    """Tell whether texts that follow each other hold a number between them, and nothing else: four digits in each, or eight."""
    return any(_is_split_as_cards_are(parts) and is_card_number("".join(parts)) for parts in _in_a_row(texts))


def resembles_card_number(text: str) -> bool:
    """Tell whether a text holds what is a number of a payment card, but for its check digit."""
    if text.isascii() and _is_ordinary(text.encode()):
        return False
    return _Search(_is_of_a_brand).holds_in_pieces(text)


def resembles_split(texts: Sequence[str]) -> bool:
    """Tell whether texts that follow each other hold a number between them, and nothing else, wherever it is split."""
    return any(is_card_number("".join(parts)) for parts in _in_a_row(texts))


def _in_a_row(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give the digits of every few texts that follow each other and hold nothing else, a day apart."""
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
            yield alone[-count:]


def _is_split_as_cards_are(parts: Sequence[str]) -> bool:
    sizes = tuple(map(len, parts))
    return sizes[0] in _SPLIT and _are_of_a_card(sizes)


# The one pass over the bytes


_ESCAPES = "\\%&="


def _shape(byte: int) -> int:
    """Tell what a byte may be a part of: a number, an escape, or base64 of digits."""
    if byte >= 0x80 or chr(byte) in _ESCAPES:  # noqa: PLR2004  beyond ASCII
        return ord("E")
    if chr(byte).isdigit():
        return ord("0")
    return ord("U") if chr(byte) in "IJKLMNOP" else ord("x")


_SHAPES = bytes(map(_shape, range(256)))
_BETWEEN = bytes(byte for byte in range(0x80) if not chr(byte).isalnum() and chr(byte) not in _ESCAPES)
_RUN = b"0" * LEAST
_QUADS = r"(?:[I-P][CDSTijyz][AEIMQUYcgkosw048][g-z0-9+/_-]){3}"
"""Three times three characters of ASCII from the blank to the question mark, in base64."""
_QUADS_OF_BYTES = re.compile(_QUADS.encode())
_UPPER = bytes(ord("U") if chr(byte) in "IJKLMNOP" else ord("x") for byte in range(256))
_FEWEST = 3
_RUN_IN_HEX = b"0" * 9
_HEX_APART = re.compile(rb"3[0-9][ :,-]?[25][A-Fa-f][ :,-]?3[0-9]")
"""Groups of four digits in hexadecimal, with a dash, a dot or a low line between them, whose letter parts the run of digits."""


def _is_ordinary(data: bytes) -> bool:
    """Whether bytes have nothing that could be a number: no escape, no run of digits, no base64 of digits."""
    shape = data.translate(_SHAPES, _BETWEEN)
    if b"E" in shape or _RUN in shape or (shape.count(b"U") >= _FEWEST and _may_be_base64(data)):
        return False
    return _RUN_IN_HEX not in shape or _HEX_APART.search(data) is None


def _may_be_base64(data: bytes) -> bool:
    """Look at every fourth byte first: the pattern alone would take a long look at texts in capital letters."""
    upper = data.translate(_UPPER)
    return any(b"UUU" in upper[start::4] for start in range(4)) and _QUADS_OF_BYTES.search(data) is not None


# The search

_CANDIDATES = re.compile(r"[0-9](?:[\W_]{0,3}[0-9]){12,}")
_SINGLES = re.compile(r"(?<![0-9])[0-9]([\W_]{1,3})[0-9](?:\1[0-9]){11,}(?![0-9])")
_PAIRS = re.compile(r"(?<![0-9])[0-9]{2}([\W_]{1,3})[0-9]{2}(?:\1[0-9]{2}){4,}(?:\1[0-9])?(?![0-9])")
_APART: Final = {1: _SINGLES, 2: _PAIRS}
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
_BACKSLASH = re.compile(r"(?<!\\)\\+(?:u\{0*([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-7]{3}))")
_ALONE = re.compile(r"[\W_]*[0-9](?:[\W_]*[0-9])*[\W_]*")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
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
    """Looks through one request, and counts how much it looked at; ``is_number`` tells which digits are looked for."""

    def __init__(self, is_number: Callable[[str], bool] = is_card_number) -> None:
        self._is_number = is_number
        self._left = _MOST_LOOKED_AT

    def holds_in_pieces(self, text: str) -> bool:
        """Look through a text of any length; where that takes too much, it is taken to hold one."""
        try:
            return any(self.holds(text[start : start + _LONGEST]) for start in range(0, len(text), _LONGEST - _OVERLAP))
        except _TooMuchError:
            return True

    def holds(self, text: str, *, depth: int = 0) -> bool:
        """Look through one text, and what it says under an encoding."""
        if len(text) < LEAST:
            return False
        text = text[:_LONGEST]
        if text.isascii() and _is_ordinary(text.encode()):
            return False
        self._look_at(len(text) + (_EACH if depth else 0))
        folded = _folded(text)
        if any(self._in_run(it[0]) for it in _CANDIDATES.finditer(_IDS.sub("x", folded))):
            return True
        return depth < _DEEPEST and any(self.holds(it, depth=depth + 1) for it in _decoded(text))

    def _in_run(self, run: str) -> bool:
        """Try the groups of a run of digits: each by itself, and those in a row that make a card's groups.

        Single digits and pairs count only with all that stand apart in the same way: a row of statuses would hold any number.
        """
        self._look_at(max(len(run), _EACH))
        is_number, groups = self._is_number, _GROUP.findall(run)
        sizes = tuple(map(len, groups))
        if any(len(it) >= LEAST and (is_number(it) or is_number(it.lstrip("0"))) for it in groups):
            return True
        alike = [pattern for size, pattern in _APART.items() if size in sizes]
        if any(is_number("".join(_GROUP.findall(it[0]))) for pattern in alike for it in pattern.finditer(run)):
            return True
        for first, size in enumerate(sizes):
            digits, after = size, first + 1
            while size > _PAIR and after < len(sizes) and digits + sizes[after] <= MOST:
                digits, after = digits + sizes[after], after + 1
                if digits >= LEAST and _are_of_a_card(sizes[first:after]) and is_number("".join(groups[first:after])):
                    return True
        return False

    def _look_at(self, characters: int) -> None:
        self._left -= characters
        if self._left < 0:
            raise _TooMuchError


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
    return unicodedata.normalize("NFKC", text).translate(_IN_ASCII)


class _InAscii(dict[int, str]):
    """What each character counts as, worked out when it is met; as many are remembered as a language has."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        digit = unicodedata.numeric(character, None)
        if digit is not None and 0 <= digit <= 9 and digit == int(digit):  # noqa: PLR2004  a digit
            character = str(int(digit))
        elif unicodedata.category(character) in _INVISIBLE:
            character = ""
        if len(self) < _MOST_REMEMBERED:
            self[code] = character
        return character


_MOST_REMEMBERED = 1 << 14
_IN_ASCII = _InAscii((code, chr(code)) for code in range(0x80))


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

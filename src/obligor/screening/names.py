"""A name as parts that can be compared: one case, one alphabet, no marks, no punctuation.

Compatibility forms are folded (NFKC), marks above and below letters fall away, a letter of another script that stands in for a
Latin one inside a Latin word is read as what it looks like, and what remains is written in Latin letters (anyascii).
Arabic and Hebrew are written without most vowels, so that a name in those scripts reads differently from its Latin form.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from anyascii import anyascii

from obligor.core.errors import ScreeningError

MOST_CHARACTERS: Final = 350
"""Of a name: the longest that the OFAC format allows."""
MOST_PARTS: Final = 24

_MARKS: Final = range(200, 256)
"""Combining classes of marks above, below and through letters; vowel signs of Indian scripts have none of these."""
_ARABIC_VOWELS: Final = range(27, 36)
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_APOSTROPHES: Final = re.compile("['`\u2018\u2019\u201b\u02bc\u02bb\u02b9\u00b4\uff07\u2032]")
_SPACE: Final = re.compile(r"[^a-z0-9]+")
_WORD: Final = re.compile(r"\w+")
_LATIN: Final = re.compile("[A-Za-z]")
_LOOK_ALIKE: Final = re.compile("[\u0370-\u03ff\u0400-\u04ff]")
_LOOKS_LIKE: Final = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d"
    "\u0410\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u0406\u0408\u0405"
    "\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03bf\u03bd\u03b1\u03c1",
    "aeopcyxijshdqw" "ABEKMHOPCTYXIJS" "ABEZHIKMNOPTYXovap",
)  # fmt: skip


def name_parts(name: str) -> tuple[str, ...]:
    """Give the parts of a name, in its own order.

    Raises
    ------
    ScreeningError
        Where nothing of the name can be compared, or it is longer than a name can be; the name is not repeated.
    """
    if len(name) > MOST_CHARACTERS:
        raise ScreeningError(f"name: has {len(name)} characters; wanted at most {MOST_CHARACTERS}")
    parts = spell(name)
    if not parts:
        raise ScreeningError("name: holds no letter or digit that could be compared")
    if len(parts) > MOST_PARTS:
        raise ScreeningError(f"name: has {len(parts)} parts; wanted at most {MOST_PARTS}")
    return parts


def spell(name: str) -> tuple[str, ...]:
    """Give the parts of a name of any length; none where nothing of it can be compared."""
    if (
        name.isascii() and name.isprintable()
    ):  # as most are: then only case and punctuation remain, in a tenth of the time
        return tuple(_SPACE.sub(" ", _APOSTROPHES.sub("", name).lower()).split())
    opened = unicodedata.normalize("NFKD", _APOSTROPHES.sub("", name))
    bare = unicodedata.normalize("NFKC", "".join(map(_kept, opened)))
    latin = anyascii(_WORD.sub(_unmasked, bare))
    return tuple(_SPACE.sub(" ", _APOSTROPHES.sub("", latin).lower()).split())


def _kept(letter: str) -> str:
    """Give a letter; of a space or a symbol a space, and nothing of a mark or of what cannot be seen."""
    category, level = unicodedata.category(letter), unicodedata.combining(letter)
    if letter.isspace() or category[0] == "S":
        return " "
    return "" if category in _UNSEEN or level in _MARKS or level in _ARABIC_VOWELS else letter


def _unmasked(word: re.Match[str]) -> str:
    """Read letters that only look Latin as the Latin ones, in a word that has both."""
    text = word[0]
    return text.translate(_LOOKS_LIKE) if _LATIN.search(text) and _LOOK_ALIKE.search(text) else text

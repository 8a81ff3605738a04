"""How the text of a category is normalised, the same for a tape and for one application."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.core.clauses import Column

LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def normaliser(column: Column) -> Callable[[str], str | None]:
    """Give the function that trims blanks, drops missing codes, sets the case of A to Z and renames levels."""
    missing = frozenset((*column.missing, ""))
    table = {"keep": None, "lower": LOWER, "upper": UPPER}[column.case]
    renamed = column.map

    def normalise(text: str) -> str | None:
        text = text.strip(" ")
        if text in missing:
            return None
        if table is not None:
            text = text.translate(table)
        return renamed.get(text, text)

    return normalise

"""How the text of a category is normalised, the same for a tape and for one application."""

from __future__ import annotations

import string
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obligor.core.columns import Column

LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def text_lines(column: Column, *, variable: str, slot: str) -> tuple[list[str], dict[str, object]]:
    """Write lines of Python that trim a text's blanks, drop missing codes, set the case of A to Z and rename levels.

    Parameters
    ----------
    variable
        The local variable that holds the text, or None.
    slot
        What the names of the constants begin with.
    """
    constants: dict[str, object] = {f"{slot}m": frozenset((*column.missing, ""))}
    lines = [f"if {variable} is not None:", f"    {variable} = {variable}.strip(' ')"]
    lines.append(f"    if {variable} in {slot}m: {variable} = None")
    known = []
    if column.case != "keep":
        known.append(f"{variable} = {variable}.translate({slot}t)")
        constants[f"{slot}t"] = LOWER if column.case == "lower" else UPPER
    if column.map:
        known.append(f"{variable} = {slot}r({variable}, {variable})")
        constants[f"{slot}r"] = dict(column.map).get
    if known:
        lines.append(f"    else: {'; '.join(known)}")
    return lines, constants

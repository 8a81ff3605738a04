"""What is wrong with a file that does not fit its model, in words of our own: where it is, what it got, and what was wanted.

Every reader of an artefact words by this one table what Pydantic found. A value is repeated where it cannot be a person's: a
number, a truth value, or what stands in place of a word that is asked for; of any other text its kind is told.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from obligor.core.card_numbers import holds_card_number
from obligor.core.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_BRANCHES: Final = frozenset(("[key]", "float", "int", "bool", "date", "str"))
"""What stands at the end of a place for a branch of a type, and not for a key."""
_NUMBER, _WHOLE, _TEXT, _LIST, _OBJECT = "a number", "a whole number", "a text", "a list", "an object"
_DAY, _INSTANT = "a day as YYYY-MM-DD", "an instant with its offset, such as 2026-11-26T00:00:00Z"
_WANTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float", "int_parsing_size"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), "true or false"),
    **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), _LIST),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type", "dataclass_type", "mapping_type"), _OBJECT),
    **dict.fromkeys(("date_type", "date_parsing", "date_from_datetime_parsing", "date_from_datetime_inexact"), _DAY),
    **dict.fromkeys(("datetime_type", "datetime_parsing", "datetime_from_date_parsing", "timezone_aware"), _INSTANT),
    "string_type": _TEXT,
    "finite_number": "a finite number",
    "none_required": "null",
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "enum": "{expected}",
    "string_pattern_mismatch": "a text of the form {pattern}",
    "string_too_short": "a text of at least {min_length} characters",
    "string_too_long": "a text of at most {max_length} characters",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
    "union_tag_invalid": "one of {expected_tags}",
}
_WHOLE_WORDS: Final[Mapping[str, str]] = {
    "json_invalid": "is not JSON",
    "union_tag_not_found": "lacks the key {discriminator}",
}
_OF_WORDS: Final = ("literal_error", "enum", "union_tag_invalid")
_KINDS: Final[Mapping[type, str]] = {str: _TEXT, list: _LIST, tuple: _LIST, dict: _OBJECT, type(None): "null"}
_LONGEST: Final = 40
_NAME: Final = re.compile("[A-Za-z0-9_]{1,64}")
_WORD: Final = re.compile(r"[a-z0-9_./-]{1,40}|[!-~]", re.ASCII)


def is_name(text: str) -> bool:
    """Tell whether what somebody wrote as a name looks like a field's, and may be repeated: another could say anything."""
    return _NAME.fullmatch(text) is not None and not holds_card_number(text)


def problem_of(detail: ErrorDetails) -> Problem:
    """Word one fault: a key that is lacking is told of where it lacks."""
    path, kind, value = detail["loc"], detail["type"], detail["input"]
    said = {name: str(it).removesuffix(".0") for name, it in detail.get("ctx", {}).items()}
    if kind in ("missing", "missing_argument"):
        return Problem(path[:-1], f"lacks the key '{path[-1]}'")
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        named = is_name(str(path[-1]))
        return Problem(path if named else path[:-1], f"{'is' if named else 'holds'} a key that is not known")
    while path and path[-1] in _BRANCHES:
        path = path[:-1]
    if kind in ("value_error", "assertion_error"):  # words of our own
        return Problem(path, detail["msg"].partition(", ")[2])
    if kind in _WHOLE_WORDS:
        return Problem(path, _WHOLE_WORDS[kind].format(**said))
    if kind == "union_tag_invalid":
        path, value = (*path, said["discriminator"].strip("'")), said["tag"]
    wanted = _WANTED.get(kind, "another form").format(**said)
    return Problem(path, f"got {_got(value, among=kind in _OF_WORDS)}, wanted {wanted}")


def first_fault(error: ValidationError) -> str:
    """Word the fault that matters most: another kind of file comes first, and then a key that is not known.

    A key that was mistyped is lacking, too.
    """
    found = error.errors(include_url=False)
    first = problem_of(min(found, key=lambda it: (it["loc"] != ("schema",), it["type"] != "extra_forbidden")))
    return ": ".join(filter(None, (".".join(map(str, first.path)), first.message)))


def _got(value: object, *, among: bool) -> str:
    """Tell what stands there; ``among`` says that it stands in place of one of some words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        said = repr(value)
        return _NUMBER if holds_card_number(said.removesuffix(".0")) else said[:_LONGEST]
    if among and isinstance(value, str) and _WORD.fullmatch(value) and not holds_card_number(value):
        return repr(value)
    return _KINDS.get(type(value), "something else")

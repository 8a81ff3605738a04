"""What a request says, read in one strict way, and what is said of an act; a refusal names a field, and never what it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

import msgspec

from obligor.core.clauses import close_to
from obligor.core.errors import ApplicationError, InvalidInputError, Problem, TooLargeError
from obligor.core.faults import is_name
from obligor.core.reasons import MOST_REASONS
from obligor.core.strict_json import read_strict_json
from obligor.serving.card_data import refuse_card_data, refuse_card_data_in
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Said = TypeVar("Said", bound=msgspec.Struct)
MOST_BECAUSE: Final = 500
_MOST_AUTHOR: Final = 100
_MOST_FACTOR: Final = 300
_LONGEST = 160
# What msgspec says, of which nothing is told that could repeat what somebody said.
_FAULT = re.compile(r"(?P<what>.*?)(?: - at `\$(?P<place>[\w.\[\]]*)`)?", re.DOTALL)
_FIELD = re.compile(r"Object (?P<how>contains unknown|missing required) field `(?P<name>[^`]*)`")
_TYPE = re.compile(r"Expected (?P<wanted>.*?)(?:, got (?P<got>`\w+`))?", re.DOTALL)
_KINDS: Final = {
    "array": "a list", "bool": "true or false", "date": "a day as YYYY-MM-DD", "float": "a number", "int": "a whole number",
    "null": "null", "object": "an object", "str": "a text", "uuid": "an id as an answer gave it",
    "datetime": "an instant such as 2026-11-26T00:00:00Z",
}  # fmt: skip


def read_said(body: bytes | Mapping[str, Any], shape: type[Said], *, what: str = "body", most: int) -> Said:
    """Read what a request says strictly; a message names a field, and never what it says.

    Raises
    ------
    ApplicationError, TooLargeError, CardDataError
        As they say.
    """
    if isinstance(body, bytes) and len(body) > most:
        raise TooLargeError(f"{what}: wanted at most {most} bytes")
    refuse_card_data(body)
    said = read_strict_json(body, what=what, error=ApplicationError) if isinstance(body, bytes) else body
    try:
        encode(said)  # which half a character, or a number that no other reader takes, cannot be
        return msgspec.convert(said, shape)
    except (UnicodeEncodeError, OverflowError, RecursionError):
        raise ApplicationError(f"{what}: holds half of a character, or a number that is too large") from None
    except msgspec.ValidationError as fault:
        raise field_error(what, *_told(str(fault), shape)) from None


def _told(fault: str, shape: type[msgspec.Struct]) -> tuple[str, str]:
    """Give where something is wrong, and what; of a field that is not known the name where it can be no more than one."""
    found = _FAULT.fullmatch(fault)
    what, place = (found["what"], found["place"] or "") if found else (fault, "")
    path = [it for it in place.replace("[...]", "").replace("[", ".").replace("]", "").split(".") if it]
    if what.startswith("Object "):
        field = _FIELD.fullmatch(what)
        if field is None or not is_name(field["name"]):
            return "", "holds a field that is not known"
        known = [] if path else [it.encode_name for it in msgspec.structs.fields(shape)]
        how = f"is not known{close_to(field['name'], known)}" if field["how"] == "contains unknown" else "is absent"
        return ".".join((*path, field["name"])), how
    if of_type := _TYPE.fullmatch(what):
        got = f"got {_named(of_type['got'])}, " if of_type["got"] else ""
        what = f"{got}wanted {_named(of_type['wanted'])}"
    elif what.startswith("Invalid enum value"):  # the rest is what was said
        what = f"wanted {_values(shape, path)}"
    elif what.startswith("Invalid "):
        what = f"wanted {_KINDS.get(what.rpartition(' ')[2].lower(), 'another form')}"
    return ".".join(path), what[:_LONGEST]


def _values(shape: type[msgspec.Struct], path: list[str]) -> str:
    """Name the values that a field takes."""
    for it in msgspec.structs.fields(shape):
        if path == [it.encode_name] and get_origin(it.type) is Literal:
            return ", ".join(get_args(it.type))
    return "one of the values that are known"


def _named(types: str) -> str:
    """Name types in the words of JSON."""
    return re.sub(r"`([^`]+)`", lambda it: " or ".join(_KINDS.get(each, each) for each in it[1].split(" | ")), types)


def field_error(what: str, field: str, message: str) -> ApplicationError:
    """Tell what is wrong with a field of a request; a dotted name is that of a field within one, an empty one all of it."""
    named = f"{what}: {field}: {message}" if field else f"{what}: {message}"
    return ApplicationError(named, problems=(Problem(tuple(field.split(".")) if field else (), message),))


def check_factors(factors: Sequence[str], *, of: str) -> None:
    """Refuse factors that no applicant could be told as the reasons of a decision.

    Raises
    ------
    InvalidInputError, CardDataError
        Where there are too many, or one is blank, too long, cannot be printed, or holds the number of a payment card.
    """
    if len(factors) > MOST_REASONS:
        raise InvalidInputError(f"{of}: {len(factors)} factors; wanted at most {MOST_REASONS}")
    for it in factors:
        refuse_card_data_in("factors", it)
        if not it.strip() or len(it) > _MOST_FACTOR or not it.isprintable():
            raise InvalidInputError(f"{of}: a factor: wanted one line of at most {_MOST_FACTOR} characters")


def says_why(because: str) -> bool:
    """Tell whether a text can be kept as why somebody did something: one line, not blank, of at most ``MOST_BECAUSE``."""
    return bool(because.strip()) and len(because) <= MOST_BECAUSE and because.isprintable()


def check_because(because: str) -> None:
    """Refuse a reason that is not kept; there need be none.

    Raises
    ------
    InvalidInputError, CardDataError
        Where it is too long, cannot be printed, or holds the number of a payment card.
    """
    if len(because) > MOST_BECAUSE or not because.isprintable():
        raise InvalidInputError(f"because: wanted at most {MOST_BECAUSE} printable characters; name nobody")
    refuse_card_data_in("because", because)


def check_author(by: str, *, of: str) -> None:
    """Refuse an act without the name of whose it is.

    Raises
    ------
    InvalidInputError
        Where the name is none, is too long, or cannot be printed.
    """
    if not by or len(by) > _MOST_AUTHOR or not by.isprintable():
        wanted = f"a name of at most {_MOST_AUTHOR} printable characters"
        raise InvalidInputError(f"{of} is somebody's act; wanted {wanted}", hint="set OBLIGOR_AUTHOR")

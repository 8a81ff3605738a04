"""What a request says, read in one strict way, and what is said of an act; a refusal names a field, and never what it says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from obligor.core.errors import ApplicationError, InvalidInputError, Problem, TooLargeError
from obligor.core.strict_json import is_name, read_strict_json
from obligor.serving.card_data import refuse_card_data, refuse_card_data_in
from obligor.serving.encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

Said = TypeVar("Said", bound=msgspec.Struct)
MOST_BECAUSE: Final = 500
_MOST_AUTHOR: Final = 100
_ECHO = re.compile(r"Invalid enum value .*", re.DOTALL)
"""A message that would repeat what was said."""
_UNKNOWN = "Object contains unknown field `"
_PLACE = re.compile(r"(?: - at `\$[\w.\[\]]*`)?")
_LONGEST = 160


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
        message, _, place = _told(str(fault)).partition(" - at `$")
        wanted = _ECHO.sub("wanted one of the values that are known", message)[:_LONGEST]
        path = ".".join(it for it in place.rstrip("`").split(".") if it)
        raise field_error(what, path, wanted) from None


def _told(fault: str) -> str:
    """Give what is wrong, with the name of a field that is not known where it can be no more than a name."""
    if not fault.startswith(_UNKNOWN):
        return fault
    name, _, place = fault.removeprefix(_UNKNOWN).partition("`")
    return fault if is_name(name) and _PLACE.fullmatch(place) else "holds a field that is not known"


def field_error(what: str, field: str, message: str) -> ApplicationError:
    """Tell what is wrong with a field of a request; a dotted name is that of a field within one, an empty one all of it."""
    named = f"{what}: {field}: {message}" if field else f"{what}: {message}"
    return ApplicationError(named, problems=(Problem(tuple(field.split(".")) if field else (), message),))


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

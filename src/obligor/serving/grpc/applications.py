"""From an application as a Struct to the JSON that every door hands to the service: one reader judges them all.

A number of a Struct is a double, so that 30000 arrives as 30000.0; the service takes the two for the same. What JSON cannot
say is refused here: NaN, an infinity, and a value that holds nothing, which is not null.

This runs for every field of every call, and asks little of the library: what a value is not reads as 0 or as an empty text, so
that most values tell what they are by being read, without being asked for their kind.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from obligor.core.application import MOST_VALUES, TOO_MANY_VALUES
from obligor.core.errors import ApplicationError, Problem
from obligor.core.faults import is_name
from obligor.serving.encoding import encode_in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.struct_pb2 import Struct, Value


def application_json(application: Struct) -> bytes:
    """Write an application as JSON.

    Raises
    ------
    ApplicationError
        Where it holds what JSON cannot say; it tells where.
    """
    try:
        return encode_in_order(_object(application.fields, [MOST_VALUES]))
    except _UnsayableError as fault:
        told = tuple(takewhile(lambda it: isinstance(it, int) or is_name(it), fault.path))
        raise ApplicationError(f"application: {fault.wanted}", problems=(Problem(told, fault.wanted),)) from None


class _UnsayableError(Exception):
    """A value that JSON cannot say; its path is known once the walk is back at the top."""

    def __init__(self, wanted: str) -> None:
        super().__init__(wanted)
        self.wanted = wanted
        self.path: tuple[str | int, ...] = ()


def _object(fields: Mapping[str, Value], left: list[int]) -> dict[str, object]:
    _take(len(fields), left)
    plain: dict[str, object] = {}
    name = ""
    try:
        for name in fields:
            plain[name] = _plain(fields[name], left)
    except _UnsayableError as fault:
        fault.path = (name, *fault.path)
        raise
    return plain


def _list(values: Sequence[Value], left: list[int]) -> list[object]:
    _take(len(values), left)
    plain: list[object] = []
    try:
        for value in values:
            plain.append(_plain(value, left))  # noqa: PERF401  its length is the place of a fault
    except _UnsayableError as fault:
        fault.path = (len(plain), *fault.path)
        raise
    return plain


def _take(count: int, left: list[int]) -> None:
    """Count values, of which only so many are left to an application."""
    left[0] -= count
    if left[0] < 0:
        raise ApplicationError(TOO_MANY_VALUES)


def _plain(value: Value, left: list[int]) -> object:
    number = value.number_value
    if number:
        if number - number:  # NaN, of NaN and of infinities
            raise _UnsayableError("got NaN or an infinity, wanted a number")
        return number
    return value.string_value or _of_kind(value, left)


def _of_kind(value: Value, left: list[int]) -> object:
    """Give a value that is neither a number other than 0 nor a text with letters."""
    match value.WhichOneof("kind"):
        case "number_value":
            return value.number_value
        case "string_value":
            return ""
        case "bool_value":
            return value.bool_value
        case "null_value":
            return None
        case "list_value":
            return _list(value.list_value.values, left)
        case "struct_value":
            return _object(value.struct_value.fields, left)
        case _:
            raise _UnsayableError("got a value that holds nothing; wanted null where it is not known")

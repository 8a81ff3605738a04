"""From an application as a Struct to the plain fields that the service reads as strictly as it reads JSON.

A number of a Struct is a double, so that 30000 arrives as 30000.0; the service takes the two for the same. What JSON cannot
say is refused here: NaN, an infinity, and a value that holds nothing, which is not null.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from obligor.core.errors import ApplicationError, Problem

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct, Value

    Path = tuple[str | int, ...]


def plain_application(application: Struct, *, place: int | None = None) -> dict[str, object]:
    """Give the fields of an application; ``place`` is its place among many.

    Raises
    ------
    ApplicationError
        Where it holds what JSON cannot say; it tells where.
    """
    return _fields(application, () if place is None else ("applications", place))


def _fields(struct: Struct, path: Path) -> dict[str, object]:
    return {name: _plain(value, (*path, name)) for name, value in struct.fields.items()}


def _plain(value: Value, path: Path) -> object:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        number = value.number_value
        if not isfinite(number):
            raise _refused(path, "got NaN or an infinity, wanted a number")
        return number
    if kind == "string_value":
        return value.string_value
    if kind == "bool_value":
        return value.bool_value
    if kind == "null_value":
        return None
    if kind == "list_value":
        return [_plain(it, (*path, place)) for place, it in enumerate(value.list_value.values)]
    if kind == "struct_value":
        return _fields(value.struct_value, path)
    raise _refused(path, "got a value that holds nothing; wanted null where it is not known")


def _refused(path: Path, wanted: str) -> ApplicationError:
    return ApplicationError(f"application: {wanted}", problems=(Problem(path, wanted),))

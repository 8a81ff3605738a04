"""A body of many applications, taken apart without being read: each is read by itself, and refused by itself."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from obligor.core.errors import ApplicationError, Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_AT_ONCE = 1000
_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"applications"[ \t\r\n]*:[ \t\r\n]*')
_TAIL = re.compile(rb"[ \t\r\n]*\}[ \t\r\n]*")
_NONE = msgspec.Raw()
_Items = msgspec.defstruct(
    "_Items",
    [(f"_{at}", msgspec.Raw, _NONE) for at in range(MOST_AT_ONCE)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""A list that is read to its thousandth item and no further: eight million of them would take half a gigabyte."""
_ITEMS = msgspec.json.Decoder(_Items)


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    applications: msgspec.Raw


_BODY = msgspec.json.Decoder(_Body)


def split_applications(body: bytes) -> Sequence[bytes]:
    """Give the bytes of each application in ``{"applications": [...]}``; what they hold is not looked at.

    Raises
    ------
    ApplicationError
        Where it is no such object, says it twice, or has more than a thousand.
    """
    try:
        inner = bytes(_BODY.decode(body).applications)
        head = _HEAD.match(body)
        if not head or body[head.end() : head.end() + len(inner)] != inner:
            raise _refused()
        if not _TAIL.fullmatch(body, head.end() + len(inner)):
            raise _refused()
        items = msgspec.structs.astuple(_items(inner))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise _refused() from None
    return [bytes(it) for it in items if it is not _NONE]


def _items(inner: bytes) -> Any:  # a class that is made here has no name for a type checker
    try:
        return _ITEMS.decode(inner)
    except msgspec.ValidationError:
        if inner.startswith(b"["):  # whatever stands in it is taken, but not so many
            raise _refused(f"got more than {MOST_AT_ONCE}, wanted at most {MOST_AT_ONCE}") from None
        raise


def _refused(
    message: str = f"wanted a JSON object with one field, a list of at most {MOST_AT_ONCE} applications",
) -> ApplicationError:
    return ApplicationError(f"applications: {message}", problems=(Problem(("applications",), message),))

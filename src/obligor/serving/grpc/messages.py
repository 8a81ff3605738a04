"""The bytes of a message, read only where they are few enough: a message takes far more memory than its bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from google.protobuf.message import DecodeError, Message

from obligor.core.application import MOST_BYTES
from obligor.core.errors import InvalidInputError, ObligorError, TooLargeError
from obligor.serving.deciding import MOST_AT_ONCE
from obligor.serving.grpc import decisions_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUND_IT: Final = 16
"""Bytes of a message that are not of its application: the field's number and length."""
_LENGTHS: Final = {1: 8, 5: 4}
"""Of the kinds of fields that have one length (protobuf's wire types I64 and I32)."""
_VARINT: Final = 0
_LONGEST_VARINT: Final = 10
_HAS_A_LENGTH: Final = 2


def read_message(kind: type[Message], data: bytes) -> Message | ObligorError:
    """Read a message; what is none, or too much, is given as what is wrong with it, to be told like any wrong request."""
    if kind is not pb.DecideManyRequest and len(data) > MOST_BYTES + _ROUND_IT:
        return TooLargeError(f"application: wanted at most {MOST_BYTES} bytes, got more")
    try:
        if sum(1 for _ in zip(_fields(data), range(MOST_AT_ONCE + 1), strict=False)) > MOST_AT_ONCE:
            return TooLargeError(f"applications: wanted at most {MOST_AT_ONCE}, got more")
        return kind.FromString(data)
    except (DecodeError, IndexError, KeyError):
        return InvalidInputError("the request is no message of decisions.proto")


def _fields(data: bytes) -> Iterator[int]:
    """Give where each field at the top of a message ends, without reading what it holds."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == _VARINT:
            _, at = _varint(data, at)
        elif tag & 7 == _HAS_A_LENGTH:
            length, at = _varint(data, at)
            at += length
        else:
            at += _LENGTHS[tag & 7]
        yield at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits in each byte, and give where it ends."""
    found = 0
    for place in range(_LONGEST_VARINT):
        byte = data[at + place]
        found |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004  no further byte
            return found, at + place + 1
    raise DecodeError

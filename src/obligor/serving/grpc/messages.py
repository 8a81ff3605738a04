"""The bytes of a message, read only where they are few enough: a message takes far more memory than its bytes.

So of many applications each is left in its own bytes, to be read when its turn comes, and forgotten before the next.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from google.protobuf.message import DecodeError, Message

from obligor.core.application import MOST_BYTES
from obligor.core.errors import InvalidInputError, ObligorError, TooLargeError
from obligor.serving.deciding import MOST_AT_ONCE
from obligor.serving.grpc import decisions_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROUND_IT: Final = 16
"""Bytes of a message that are not of its application: the field's number and length."""
_APPLICATION: Final = pb.DecideManyRequest.APPLICATIONS_FIELD_NUMBER << 3 | 2
_LENGTHS: Final = {1: 8, 5: 4}
"""Of the kinds of fields that have one length (protobuf's wire types I64 and I32)."""
_VARINT: Final = 0
_LONGEST_VARINT: Final = 10
_HAS_A_LENGTH: Final = 2
NO_MESSAGE: Final = "the request is no message of decisions.proto"


class Many(NamedTuple):
    """A `DecideManyRequest` whose applications are not read yet; whoever reads one takes it out."""

    applications: deque[bytes]


def read_message(kind: type[Message], data: bytes) -> Message | Many | ObligorError:
    """Read a message; what is none, or too much, is given as what is wrong with it, to be told like any wrong request."""
    if kind is not pb.DecideManyRequest and len(data) > MOST_BYTES + _ROUND_IT:
        return TooLargeError(f"application: wanted at most {MOST_BYTES} bytes, got more")
    try:
        fields = [it for it, _ in zip(_fields(data), range(MOST_AT_ONCE + 1), strict=False)]
        if len(fields) > MOST_AT_ONCE:
            return TooLargeError(f"applications: wanted at most {MOST_AT_ONCE}, got more")
        if kind is pb.DecideManyRequest:
            return Many(deque(data[start:end] for tag, start, end in fields if tag == _APPLICATION))
        return kind.FromString(data)
    except (DecodeError, IndexError, KeyError):
        return InvalidInputError(NO_MESSAGE)


def _fields(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give the tag of each field at the top of a message, and where its value begins and ends; what it holds is not read."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        start = at
        if tag & 7 == _VARINT:
            _, at = _varint(data, at)
        elif tag & 7 == _HAS_A_LENGTH:
            length, start = _varint(data, at)
            at = start + length
        else:
            at += _LENGTHS[tag & 7]
        if at > len(data) or not tag >> 3:
            raise DecodeError
        yield tag, start, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Read a number of seven bits in each byte, and give where it ends."""
    found = 0
    for place in range(_LONGEST_VARINT):
        byte = data[at + place]
        found |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004  no further byte
            return found, at + place + 1
    raise DecodeError

"""JSON of the decision service: one way to write a value, so that equal values have equal bytes."""

from __future__ import annotations

import msgspec

_SORTED = msgspec.json.Encoder(order="sorted")
_PLAIN = msgspec.json.Encoder()
_READ = msgspec.json.Decoder()


def sorted_json(value: object) -> bytes:
    """Write plain data with sorted keys and no spaces."""
    return _SORTED.encode(value)


def plain_json(value: object) -> bytes:
    """Write plain data with the keys in the order given, and no spaces."""
    return _PLAIN.encode(value)


def read_json(data: bytes) -> object:
    """Read what these wrote."""
    return _READ.decode(data)

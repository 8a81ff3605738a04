"""How an application is written down: equal applications have equal bytes, and equal hashes.

Keys stand in the order of their code points, without white space, in UTF-8. Numbers are binary64 in the fewest digits that give
them back, whole ones with `.0`; dates are texts YYYY-MM-DD.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from obligor.core.application import Application

_ENCODER: Final = msgspec.json.Encoder(order="sorted")
_IN_ORDER: Final = msgspec.json.Encoder()


def encode(value: object) -> bytes:
    """Write plain data as JSON with sorted keys."""
    return _ENCODER.encode(value)


def encode_in_order(value: object) -> bytes:
    """Write plain data as JSON with its keys as they stand."""
    return _IN_ORDER.encode(value)


def encode_application(application: Application) -> bytes:
    """Write an application as it was read, histories under their names."""
    if not application.histories:
        return _ENCODER.encode(application.fields)
    return _ENCODER.encode(application.to_plain())

"""One way to write a value down, so that equal values have equal bytes and equal hashes."""

from __future__ import annotations

import hashlib
import json


def canonical_json(value: object) -> bytes:
    """Write plain data as JSON with sorted keys, no spaces, UTF-8 and no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def readable_json(value: object) -> bytes:
    """Write plain data as indented JSON in the order given, UTF-8, no NaN, ending in a newline."""
    return (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def sha256(data: bytes) -> str:
    """Give the SHA-256 of bytes in hexadecimal."""
    return hashlib.sha256(data).hexdigest()

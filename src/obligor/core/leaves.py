"""Leaves of the audit log: what anybody may see of an act.

A leaf tells when, who, what kind of act, and on what subject; what was done stands in a *record*, which the leaf only commits
to. The commitment is an HMAC under a salt of the record's own, so that a record that is easy to guess cannot be found by
trying, and a record whose salt is destroyed cannot be confirmed by anybody. A leaf is canonical JSON (RFC 8785; it holds
strings alone, where sorted keys and UTF-8 are all that the standard asks), so that one leaf has one form and one hash.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from obligor.core.canonical import canonical_json
from obligor.core.errors import AuditError
from obligor.core.strict_json import read_strict_json

SCHEMA: Final = "obligor/leaf/1"
SALT_BYTES: Final = 16
_TIME_SHAPE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", re.ASCII)
_SHAPES: Final = {
    "by": re.compile(r"(client|person):[^\x00-\x1f\x7f]{1,200}"),
    "commitment": re.compile(r"[0-9a-f]{64}"),
    "kind": re.compile(r"[a-z]+(\.[a-z]+)*"),
    "subject": re.compile(r"[^\x00-\x1f\x7f]{1,200}"),
}
_KEYS: Final = frozenset((*_SHAPES, "at", "schema"))
_MOST_BYTES: Final = 4096
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Leaf:
    """One act, as the log tells it: time (UTC), actor, kind, subject, and the commitment to its record."""

    at: datetime
    by: str
    kind: str
    subject: str
    commitment: str

    def __post_init__(self) -> None:
        if self.at.tzinfo is None or self.at.utcoffset():
            raise AuditError("a leaf's at: wanted a time in UTC")
        for name, shape in _SHAPES.items():
            if not shape.fullmatch(getattr(self, name)):
                raise AuditError(f"a leaf's {name}: wanted text of the shape {shape.pattern}")

    def body(self) -> bytes:
        """Write the leaf down in its one form."""
        said = {name: getattr(self, name) for name in _SHAPES}
        try:
            return canonical_json({**said, "at": time_text(self.at), "schema": SCHEMA})
        except UnicodeEncodeError:
            raise AuditError("a leaf: holds half of a character, which UTF-8 cannot write") from None


def parse_leaf(body: bytes) -> Leaf:
    """Read a leaf, and refuse every form but the one it is written in.

    Raises
    ------
    AuditError
        Where it is not a leaf, or not in canonical form.
    """
    if len(body) > _MOST_BYTES:
        raise AuditError(f"a leaf: {len(body)} bytes are more than {_MOST_BYTES}")
    said = read_strict_json(body, what="a leaf", error=AuditError)
    if not isinstance(said, dict) or said.keys() != _KEYS or not all(isinstance(value, str) for value in said.values()):
        raise AuditError(f"a leaf: wanted an object of the texts {', '.join(sorted(_KEYS))}, and nothing else")
    if said["schema"] != SCHEMA:
        raise AuditError(f"a leaf: its schema is unknown; wanted {SCHEMA}")
    leaf = Leaf(at=parse_time(said["at"]), **{name: said[name] for name in _SHAPES})
    if leaf.body() != body:
        raise AuditError("a leaf: is not in canonical form")
    return leaf


def actor(client_id: str) -> str:
    """Name who acts, from whose the decision is: a client, or a person, whose id says so itself (``person:<user id>``)."""
    return client_id if client_id.startswith("person:") else f"client:{client_id}"


def commitment(record: bytes, salt: bytes) -> str:
    """Commit to a record: HMAC-SHA256 under its salt, in hexadecimal."""
    if len(salt) != SALT_BYTES:
        raise AuditError(f"a salt of {len(salt)} bytes; wanted {SALT_BYTES}")
    return hmac.digest(salt, record, "sha256").hex()


def is_committed(leaf: Leaf, *, record: bytes, salt: bytes) -> bool:
    """Tell whether a leaf commits to a record under a salt."""
    return len(salt) == SALT_BYTES and hmac.compare_digest(commitment(record, salt), leaf.commitment)


def time_text(at: datetime) -> str:
    """Write a time in UTC to the microsecond, always with the same number of digits."""
    since = at - _EPOCH
    return f"{_second_text(since.days, since.seconds)}.{since.microseconds:06d}Z"


@lru_cache(maxsize=256)
def _second_text(days: int, seconds: int) -> str:
    """Write a time since 1970 to the second: many acts share one, and to write it takes longer than anything else of a leaf."""
    return (_EPOCH + timedelta(days, seconds)).isoformat(timespec="seconds").removesuffix("+00:00")


def parse_time(text: str) -> datetime:
    """Read a time that :func:`time_text` wrote.

    Raises
    ------
    AuditError
        Where it is written in another way, or there is no such time.
    """
    if not _TIME_SHAPE.fullmatch(text):
        raise AuditError("a time: wanted the form 2026-11-26T19:40:00.123456Z")
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise AuditError("a time: there is no such day or hour") from None

"""Writes a batch of submissions down as one growth of the log: leaves, records, rows and answers, ready to be inserted."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from obligor.adapters.store.arrays import ARRAYS, BYTEA, INT8, TEXT, TIME, array, int2, int8, time
from obligor.adapters.store.inserts import INSERTS, NODE, REQUEST, Insert, values_of
from obligor.adapters.store.wire import Statement
from obligor.core.leaves import SCHEMA, Leaf, commitment, time_text
from obligor.core.merkle import leaf_hash
from obligor.serving.acts import Recorded

if TYPE_CHECKING:
    from obligor.adapters.store.inserts import Values
    from obligor.adapters.store.wire import Call
    from obligor.core.merkle import Frontier
    from obligor.serving.acts import Act, Request, Submission

_LEAVES: Final = Statement(
    "leaf",
    """INSERT INTO obligor.leaf (index, kind, body, hash)
    SELECT $1 + place - 1, kind, body, hash
    FROM unnest($2, $3, $4) WITH ORDINALITY AS given (kind, body, hash, place)""",
    (INT8, ARRAYS[TEXT], ARRAYS[BYTEA], ARRAYS[BYTEA]),
)
_RECORDS: Final = Statement(
    "record",
    """INSERT INTO obligor.record (leaf_index, body, salt)
    SELECT $1 + place - 1, body, salt FROM unnest($2, $3) WITH ORDINALITY AS given (body, salt, place)""",
    (INT8, ARRAYS[BYTEA], ARRAYS[BYTEA]),
)
TURN: Final = "1868720487, 1"
"""The advisory lock of whoever inserts."""
_LOCK: Final = Statement("lock", "SELECT size, at FROM obligor.tree_head WHERE one FOR UPDATE")
_MOVE: Final = """WITH moved AS (
        UPDATE obligor.tree_head SET size = $2, at = $3
        WHERE one AND size = $1 AND ($4 IS NULL OR $4 = (SELECT hash FROM obligor.leaf WHERE index = $1 - 1))
        RETURNING one
    ) SELECT 1 / count(*)"""
"""It fails where the head stands elsewhere: nothing that follows in the round is done then."""
STATEMENTS: Final = (
    _LEAVES,
    _RECORDS,
    _LOCK,
    Statement("move", f"{_MOVE} FROM moved", (INT8, INT8, TIME, BYTEA)),
    Statement("move_and_pass", f"{_MOVE}, pg_advisory_unlock({TURN}) FROM moved", (INT8, INT8, TIME, BYTEA)),
    *(Statement(insert.name, insert.sql, insert.parameters) for insert in INSERTS),
)
LOCK: Final[Call] = (b"lock", None)
"""Wait for the head, and give where it stands."""
_PLAIN: Final = re.compile(r"[A-Za-z0-9._-]{1,200}").fullmatch
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode


@dataclass(slots=True)
class Draft:
    """What a batch adds to the log after a frontier whose last leaf is of a time (None: the log is empty).

    ``last`` is the hash of that leaf, where it must be looked at again: others may have written as many in the meantime.
    """

    frontier: Frontier
    at: datetime | None
    last: bytes | None = None
    _kinds: list[bytes] = field(default_factory=list)
    _bodies: list[bytes] = field(default_factory=list)
    _hashes: list[bytes] = field(default_factory=list)
    _records: list[bytes] = field(default_factory=list)
    _salts: list[bytes] = field(default_factory=list)
    _rows: dict[str, tuple[Insert, list[Values]]] = field(default_factory=dict)

    @property
    def hashes(self) -> list[bytes]:
        """The hashes of its leaves."""
        return self._hashes

    def add(self, submission: Submission) -> Recorded:
        """Add the acts of a submission, all or none, and give its answer, which holds once the batch is durable."""
        first, at = self.frontier.size + len(self._hashes), self.at
        bodies: list[bytes] = []
        rows: list[tuple[Insert, Values]] = []
        for place, act in enumerate(submission.acts):
            at = act.at if at is None or act.at > at else at  # time in the log never goes back
            bodies.append(_leaf_body(act, at))
            if act.rows:
                leaf = int8(first + place)
                for row in act.rows:
                    rows += values_of(row, leaf)
        response = submission.respond(first)
        if submission.request is not None and at is not None:
            rows.append((REQUEST, _request(submission.request, submission.status, response, first=int8(first), at=at)))
        self.at = at
        self._keep(submission.acts, bodies, rows)
        return Recorded(response, submission.status, replayed=False, leaf_index=first)

    def _keep(self, acts: tuple[Act, ...], bodies: list[bytes], rows: list[tuple[Insert, Values]]) -> None:
        self._bodies += bodies
        self._hashes += map(leaf_hash, bodies)
        for act in acts:
            self._kinds.append(act.kind.encode())
            self._records.append(act.record)
            self._salts.append(act.salt)
        self._put(rows)

    def _put(self, rows: list[tuple[Insert, Values]]) -> None:
        for insert, values in rows:
            if insert.name in self._rows:
                self._rows[insert.name][1].append(values)
            else:
                self._rows[insert.name] = (insert, [values])

    def calls(self) -> tuple[Frontier, list[Call], Values]:
        """Give the tree as it will be, what to insert, and from where to where the head moves."""
        growth = self.frontier.extend(self._hashes)
        self._put([(NODE, (int2(node.level), int8(node.index), node.hash)) for node in growth.nodes])
        first = int8(self.frontier.size)
        inserts: list[Call] = [
            (b"leaf", [first, array(TEXT, self._kinds), array(BYTEA, self._bodies), array(BYTEA, self._hashes)]),
            (b"record", [first, array(BYTEA, self._records), array(BYTEA, self._salts)]),
            *((insert.name.encode(), _columns(insert, rows)) for insert, rows in self._rows.values()),
        ]
        move = (first, int8(growth.frontier.size), None if self.at is None else time(self.at), self.last)
        return growth.frontier, inserts, move


def _columns(insert: Insert, rows: list[Values]) -> list[bytes]:
    return [array(oid, column) for oid, column in zip(insert.types, zip(*rows, strict=True), strict=True)]


def _request(request: Request, status: int, response: bytes, *, first: bytes, at: datetime) -> Values:
    return (
        *(request.client_id.encode(), request.route.encode(), request.key.encode(), request.payload_sha256),
        *(int2(status), response, first, time(at)),
    )


def _leaf_body(act: Act, at: datetime) -> bytes:
    """Write a leaf: what :class:`Leaf` writes, four times as quickly where nothing in it needs a second look."""
    commits = commitment(act.record, act.salt)
    if not _PLAIN(act.subject):
        return Leaf(at=at, by=act.by, kind=act.kind, subject=act.subject, commitment=commits).body()
    before, after = _around(act.by, act.kind)
    return f'{{"at":"{time_text(at)}",{before}{commits}{after}{act.subject}"}}'.encode()


@lru_cache(maxsize=4096)
def _around(by: str, kind: str) -> tuple[str, str]:
    """Give what stands before and after the commitment, which is the same for all that one actor does; checked once."""
    Leaf(at=datetime(2000, 1, 1, tzinfo=UTC), by=by, kind=kind, subject="x", commitment="0" * 64).body()
    return f'"by":{_quoted(by)},"commitment":"', f'","kind":{_quoted(kind)},"schema":"{SCHEMA}","subject":"'

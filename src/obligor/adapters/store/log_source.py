"""The log as one moment of the database, streamed for verification."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from obligor.adapters.store.address import check_server, connection_info, unavailable
from obligor.adapters.store.proofs import RESTORES
from obligor.core.leaves import time_text
from obligor.core.merkle import StoredNode
from obligor.governance.audit.source import StoredArtefact, StoredLeaf, StoredNote, StoredRequest, StoredRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_AT_ONCE: Final = 2000
_LEAVES: Final = """
    SELECT index, kind, leaf.body, hash, record.body AS record, salt
    FROM obligor.leaf LEFT JOIN obligor.record ON leaf_index = index AND leaf_index >= %(start)s
    WHERE index >= %(start)s AND index < coalesce(%(stop)s, 9223372036854775807) ORDER BY index
"""
_REPEATED: Final = """
    SELECT index, first FROM (SELECT index, min(index) OVER (PARTITION BY hash) AS first FROM obligor.leaf) AS told
    WHERE index > first ORDER BY index
"""
_STRAY: Final = """
    SELECT leaf_index FROM obligor.record WHERE NOT EXISTS (SELECT FROM obligor.leaf WHERE index = leaf_index)
    ORDER BY leaf_index
"""
_GUARDS: Final = """
    SELECT tables.name, tgenabled::text, tgtype::int, prosrc
    FROM unnest(ARRAY['leaf', 'record']) AS tables (name)
    LEFT JOIN pg_trigger ON tgrelid = to_regclass('obligor.' || tables.name) AND tgname = 'append_only'
    LEFT JOIN pg_proc ON pg_proc.oid = tgfoid
    ORDER BY 1
"""
_GUARDED: Final = 2 + 8 + 16 + 32  # before, delete, update, truncate; for a statement
_WEBHOOKS: Final = """
    SELECT endpoint_id, client_id, url, event_types, state, encode(sha256(secret), 'hex') AS secret_sha256,
        encode(sha256(previous_secret), 'hex') AS previous_sha256, previous_until, created_at
    FROM obligor.webhook_endpoint ORDER BY endpoint_id
"""
_READABLE: Final = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = to_regclass('obligor.' || %s::text) AND attnum > 0 AND NOT attisdropped
        AND has_column_privilege(attrelid, attnum, 'SELECT')
"""
_PRIVACY: Final = {
    "erasure": "SELECT subject, at FROM obligor.erasure ORDER BY subject",
    "legal_hold": "SELECT subject, because, placed_at, by, released_at FROM obligor.legal_hold ORDER BY subject",
    "keyring": "SELECT purpose, version, proof, retired_at FROM obligor.keyring ORDER BY purpose, version",
}
_KEY_FAULTS: Final = {
    "keys of subjects are destroyed without an erasure": """
        SELECT count(*) FROM obligor.subject_key
        WHERE destroyed_at IS NOT NULL AND NOT EXISTS (SELECT FROM obligor.erasure WHERE erasure.subject = subject_key.subject)
    """,
    "keys of subjects that were erased are there again": """
        SELECT count(*) FROM obligor.subject_key JOIN obligor.erasure USING (subject)
        WHERE destroyed_at IS NULL AND created_at < at - interval '5 minutes'
    """,
    "decisions are on subjects of whom there is no key, nor a trace of one": """
        SELECT count(*) FROM obligor.decision
        WHERE subject IS NOT NULL AND NOT EXISTS (
            SELECT FROM obligor.subject_key WHERE subject_key.subject = decision.subject)
    """,
}
_PATIENCE: Final = "10min"


class PostgresLogSource:
    """Fulfils :class:`obligor.governance.audit.source.LogSource` over a transaction that sees one moment."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection
        self._streams = 0

    def head(self) -> int:
        """Give the number of leaves that the tree head tells; -1 where there is no head."""
        row = self._connection.execute("SELECT size FROM obligor.tree_head").fetchone()
        return -1 if row is None else int(row[0])

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[StoredLeaf]:
        """Give leaves from an index (closed) to another (open) or to the end, by index."""
        return (StoredLeaf(**row) for row in self._stream(_LEAVES, {"start": start, "stop": stop}))

    def restores(self) -> Iterator[StoredLeaf]:
        """Give the leaves by which people took note that the log was set back, by index."""
        return (StoredLeaf(**row) for row in self._stream(RESTORES))

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        """Give stored hashes of a level: of leaves (0), or of nodes."""
        if level:
            query = "SELECT hash FROM obligor.node WHERE level = %s AND index >= %s AND index < %s ORDER BY index"
            return [row[0] for row in self._connection.execute(query, (level, start, stop))]
        query = "SELECT hash FROM obligor.leaf WHERE index >= %s AND index < %s ORDER BY index"
        return [row[0] for row in self._connection.execute(query, (start, stop))]

    def nodes(self, level: int) -> Iterator[StoredNode]:
        """Give the nodes of a level, by index."""
        query = "SELECT level, index, hash FROM obligor.node WHERE level = %s ORDER BY index"
        return (StoredNode(**row) for row in self._stream(query, (level,)))

    def repeated(self) -> Iterator[tuple[int, int]]:
        """Give the leaves whose hash an earlier leaf has: their index and that of the first."""
        return ((row["index"], row["first"]) for row in self._stream(_REPEATED))

    def stray_records(self) -> Iterator[int]:
        """Give the indices of records that belong to no leaf."""
        return (row["leaf_index"] for row in self._stream(_STRAY))

    def rows(self, table: str) -> Iterator[StoredRow]:
        """Give the rows of a table that repeats records, by the index of their leaf; a store of earlier may lack the table."""
        there = self._connection.execute("SELECT to_regclass('obligor.' || %s::text)", (table,)).fetchone()
        if there is None or there[0] is None:
            return iter(())
        query = sql.SQL("SELECT * FROM obligor.{} ORDER BY leaf_index").format(sql.Identifier(table))
        return (StoredRow(row["leaf_index"], _plain(row)) for row in self._stream(query))

    def requests(self) -> Iterator[StoredRequest]:
        """Give the requests that recorded something, by the index of their first leaf."""
        query = "SELECT leaf_index, client_id, route, key, response FROM obligor.request ORDER BY leaf_index"
        return (StoredRequest(**row) for row in self._stream(query))

    def api_keys(self) -> Iterator[Mapping[str, object]]:
        """Give the API keys as they stand."""
        return (_plain(row) for row in self._stream("SELECT * FROM obligor.api_key ORDER BY key_id"))

    def people(self, table: str) -> Iterator[Mapping[str, object]]:
        """Give the rows of ``app_user`` or ``user_role`` as they stand, as far as one may read; none in an older store."""
        columns = [sql.Identifier(name) for (name,) in self._connection.execute(_READABLE, (table,)).fetchall()]
        if not columns:
            return iter(())
        query = sql.SQL("SELECT {} FROM obligor.{} ORDER BY leaf_index")
        return (_plain(row) for row in self._stream(query.format(sql.SQL(", ").join(columns), sql.Identifier(table))))

    def webhooks(self) -> Iterator[Mapping[str, object]]:
        """Give the endpoints of clients as they stand; of their secrets the SHA-256."""
        return (_plain(row) for row in self._stream(_WEBHOOKS)) if self._has("webhook_endpoint") else iter(())

    def privacy(self, table: str) -> Iterator[Mapping[str, object]]:
        """Give the rows of ``erasure``, ``legal_hold`` or ``keyring`` as they stand; none where the store is older."""
        return (_plain(row) for row in self._stream(_PRIVACY[table])) if self._has(table) else iter(())

    def key_faults(self) -> Sequence[str]:
        """Tell, in a sentence each, which keys of subjects are gone without an erasure, or there in spite of one."""
        if not self._has("subject_key"):
            return ()
        rows = ((said, self._connection.execute(query.encode()).fetchone()) for said, query in _KEY_FAULTS.items())
        return [f"{row[0]:,} {said}" for said, row in rows if row and row[0]]

    def artefacts(self) -> Iterator[StoredArtefact]:
        """Give every card, policy, profile and list, by hash, each by itself: a list may be a hundred megabytes."""
        query = "SELECT sha256, kind, body FROM obligor.artefact ORDER BY sha256"
        return (StoredArtefact(**row) for row in self._stream(query, at_once=1, binary=True))

    def checkpoints(self) -> Iterator[StoredNote]:
        """Give the checkpoints, by size."""
        return (StoredNote(**row) for row in self._stream("SELECT size, note FROM obligor.checkpoint ORDER BY size"))

    def unguarded(self) -> Sequence[str]:
        """Tell, in a sentence each, which guards of the append-only tables are missing or switched off."""
        return [fault for row in self._connection.execute(_GUARDS) if (fault := _fault(*row))]

    def _has(self, table: str) -> bool:
        """Tell whether there is a table, which older stores lack."""
        row = self._connection.execute("SELECT to_regclass(%s)", (f"obligor.{table}",)).fetchone()
        return row is not None and row[0] is not None

    def _stream(
        self,
        query: str | sql.Composed,
        parameters: Sequence[object] | Mapping[str, object] = (),
        *,
        at_once: int = _AT_ONCE,
        binary: bool = False,
    ) -> Iterator[dict[str, Any]]:
        self._streams += 1
        with self._connection.cursor(f"stream_{self._streams}", row_factory=dict_row) as cursor:
            cursor.itersize = at_once
            cursor.execute(query if isinstance(query, sql.Composed) else query.encode(), parameters, binary=binary)
            yield from cursor


@contextmanager
def open_log(url: str) -> Iterator[PostgresLogSource]:
    """Open one moment of the log of a database, for reading.

    Raises
    ------
    UnavailableError
        Where the database does not answer.
    """
    with one_moment(url, name="verification") as connection:
        yield PostgresLogSource(connection)


@contextmanager
def one_moment(url: str, *, name: str) -> Iterator[psycopg.Connection[Any]]:
    """Open a transaction that reads, and sees one moment of a database."""
    info = connection_info(url, name=name, session={"statement_timeout": _PATIENCE})
    try:
        with psycopg.connect(info) as connection:
            check_server(connection.info.server_version, url)
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            yield connection
    except psycopg.Error as error:
        raise unavailable(url, error) from error


def _plain(row: Mapping[str, Any]) -> dict[str, object]:
    """Write the values of a row as records write them."""
    return {name: _written(value) for name, value in row.items()}


def _written(value: object) -> object:
    match value:
        case datetime():
            return time_text(value)
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case _:
            return value


def _fault(table: str, enabled: str | None, kind: int | None, source: str | None) -> str:
    if enabled is None or kind is None or source is None:
        return f"table {table}: the trigger append_only is gone"
    if enabled != "A":
        return f"table {table}: the trigger append_only is switched off, or can be by a session"
    if kind & _GUARDED != _GUARDED or "RAISE EXCEPTION" not in source:
        return f"table {table}: the trigger append_only does not refuse every change"
    return ""

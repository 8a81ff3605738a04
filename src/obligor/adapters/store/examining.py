"""One moment of the store, as the doctor and those who make a decision again need it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from psycopg import sql
from psycopg.rows import dict_row

from obligor.adapters.store.log_source import PostgresLogSource, one_moment
from obligor.adapters.store.people import KNOWN, ROLES
from obligor.adapters.store.privacy import KEYRING, SUBJECT_KEYS
from obligor.adapters.store.pruning import PRUNED_BEFORE
from obligor.governance.audit.doctor import Hit
from obligor.governance.audit.told import StoredEvent
from obligor.security.sealing import KeptKey
from obligor.serving.archive import StoredRelease, StoredSubjectKey
from obligor.serving.people.access import Person
from obligor.serving.rows import UserRoleRow, UserRow

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

_SETTINGS: Final = """
    SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'data_checksums', 'server_version')
"""
_STRAY_OUTCOMES: Final = """
    SELECT leaf_index FROM obligor.outcome
    WHERE NOT EXISTS (SELECT FROM obligor.decision WHERE decision.decision_id = outcome.decision_id)
    ORDER BY 1
"""
_EVENTS: Final = """
    SELECT leaf_index, client_id, application_id, type, payload FROM obligor.outbox WHERE payload <> '' ORDER BY leaf_index
"""
_STRAY_DELIVERIES: Final = """
    SELECT count(*) FROM obligor.delivery LEFT JOIN obligor.outbox USING (event_id)
    LEFT JOIN obligor.webhook_endpoint USING (endpoint_id)
    WHERE outbox.event_id IS NULL OR webhook_endpoint.endpoint_id IS NULL
"""
_MISFILED: Final = """
    SELECT count(*) || ' reviews' FROM obligor.review LEFT JOIN obligor.review_decision USING (review_id)
    WHERE closed <> (verdict IS NOT NULL) HAVING count(*) > 0
    UNION ALL
    SELECT count(*) || ' alerts' FROM obligor.alert LEFT JOIN obligor.alert_step
        ON alert_step.alert_id = alert.alert_id AND step IN ('cleared', 'corrected')
    WHERE closed <> (step IS NOT NULL) HAVING count(*) > 0
"""
_COLUMNS: Final = """
    SELECT table_name, column_name, data_type FROM information_schema.columns
    WHERE table_schema = 'obligor' AND data_type IN ('text', 'character varying', 'bytea', 'ARRAY', 'json', 'jsonb')
    ORDER BY 1, 2
"""
_SEARCH: Final = """
    SELECT canary.number, count(*) FROM obligor.{table} AS searched
    JOIN unnest(%s::bytea[]) WITH ORDINALITY AS canary (word, number) ON position(canary.word IN {value}) > 0
    GROUP BY canary.number ORDER BY canary.number
"""
_HIDDEN: Final = ("decision", "outcome", "record", "request")
_HIDDEN_SINCE_0033: Final = ("override", "review", "review_decision")
_HIDDEN_SINCE_0035: Final = ("action",)
_UNHIDDEN: Final = """
    SELECT hidden.name FROM unnest(%s::text[]) AS hidden (name)
    LEFT JOIN pg_class ON pg_class.oid = to_regclass('obligor.' || hidden.name)
    LEFT JOIN pg_policy ON polrelid = pg_class.oid
    GROUP BY hidden.name, relrowsecurity
    HAVING relrowsecurity IS NOT true OR array_agg(polname::text ORDER BY polname) <> ARRAY['every_row', 'own_rows']
        OR bool_or(CASE polname
            WHEN 'every_row' THEN pg_get_expr(polqual, polrelid) NOT LIKE '%%CURRENT_USER <> ''obligor_reader''%%'
            ELSE pg_get_expr(polqual, polrelid) NOT SIMILAR TO '%%(obligor.client|decision_id|leaf_index|review_id)%%' END)
    ORDER BY 1
"""
_RELEASE: Final = """
    SELECT number, statement, signature,
        (SELECT body FROM obligor.artefact WHERE sha256 = card_sha256),
        (SELECT body FROM obligor.artefact WHERE sha256 = policy_sha256),
        (SELECT body FROM obligor.artefact WHERE sha256 = profile_sha256)
    FROM obligor.release ORDER BY number DESC LIMIT 1
"""
_RECORD: Final = "SELECT body FROM obligor.record JOIN obligor.decision USING (leaf_index) WHERE decision_id = %s"
_RECORDS: Final = "SELECT record.body FROM obligor.record JOIN obligor.decision USING (leaf_index) ORDER BY leaf_index"


class PostgresExamination(PostgresLogSource):
    """Fulfils :class:`obligor.governance.audit.doctor.Examined`, and finds records and artefacts."""

    def revision(self) -> str | None:
        """Give the revision of the tables; None where there are none."""
        found = self._connection.execute("SELECT to_regclass('obligor.alembic_version')").fetchone()
        if found is None or found[0] is None:
            return None
        row = self._connection.execute("SELECT version_num FROM obligor.alembic_version").fetchone()
        return None if row is None else str(row[0])

    def settings(self) -> Mapping[str, str]:
        """Give the server's settings on which durability rests, by name."""
        return dict(self._connection.execute(_SETTINGS).fetchall())

    def stray_outcomes(self) -> Sequence[int]:
        """Give the leaves of outcomes that are of no decision."""
        return [int(row[0]) for row in self._connection.execute(_STRAY_OUTCOMES)]

    def unhidden(self) -> Sequence[str]:
        """Name the tables whose rows the database does not hide from other clients, though it should."""
        revision = self.revision() or ""
        since = {"0033": _HIDDEN_SINCE_0033, "0035": _HIDDEN_SINCE_0035}
        hidden = [*_HIDDEN, *(table for first, tables in since.items() if revision >= first for table in tables)]
        return [str(row[0]) for row in self._connection.execute(_UNHIDDEN, (hidden,))]

    def events(self) -> Iterator[StoredEvent]:
        """Give what is told to clients' systems, by the index of the leaf."""
        if not self._has("outbox"):
            return iter(())
        return (StoredEvent(**row) for row in self._stream(_EVENTS))

    def pruned_before(self) -> datetime | None:
        """Tell up to when events were pruned; None: never."""
        row = self._connection.execute(PRUNED_BEFORE).fetchone() if self._has("outbox_pruned") else None
        return None if row is None else row[0]

    def stray_deliveries(self) -> int:
        """Count deliveries that are of no event or no endpoint."""
        row = self._connection.execute(_STRAY_DELIVERIES).fetchone() if self._has("delivery") else None
        return 0 if row is None else int(row[0])

    def misfiled(self) -> Sequence[str]:
        """Count the reviews and alerts that are open and noted as closed, or the other way about; none in an older store."""
        return [str(row[0]) for row in self._connection.execute(_MISFILED)] if self._has("outbox_pruned") else []

    def search(self, canaries: Sequence[str]) -> Iterator[Hit]:
        """Find strings, as UTF-8, in every column of the store that can hold text."""
        words = [canary.encode() for canary in canaries]
        for table, column, kind in self._connection.execute(_COLUMNS).fetchall():
            value = sql.SQL("searched.{}" if kind == "bytea" else "convert_to(searched.{}::text, 'UTF8')").format(
                sql.Identifier(column)
            )
            query = sql.SQL(_SEARCH).format(table=sql.Identifier(table), value=value)
            for number, rows in self._connection.execute(query, (words,)).fetchall():
                yield Hit(table, column, int(number), int(rows))

    def record(self, decision_id: UUID) -> bytes | None:
        """Give the record of a decision."""
        row = self._connection.execute(_RECORD, (decision_id,)).fetchone()
        return None if row is None else bytes(row[0])

    def persons(self) -> Sequence[Person]:
        """Give everybody with their roles, and never a password; nobody in a store of before there were any."""
        if self._lacks("app_user"):
            return ()
        with self._connection.cursor(row_factory=dict_row) as cursor:
            roles = [UserRoleRow(**it) for it in cursor.execute(ROLES.encode())]
            users = [UserRow(**it, password="") for it in cursor.execute(KNOWN.encode())]
        return [Person(it, tuple(role for role in roles if role.user_id == it.user_id)) for it in users]

    def keyring(self) -> tuple[KeptKey, ...]:
        """Give the keys of the deployment, as they are kept; none in a store of before there were any."""
        if self._lacks("keyring"):
            return ()
        return tuple(KeptKey(*row) for row in self._connection.execute(KEYRING.encode()))

    def subject_key(self, key_id: bytes) -> StoredSubjectKey | None:
        """Find the key of a subject."""
        row = self._connection.execute(f"{SUBJECT_KEYS} WHERE key_id = %s".encode(), (key_id,)).fetchone()
        return None if row is None else StoredSubjectKey(*row)

    def _lacks(self, table: str) -> bool:
        found = self._connection.execute("SELECT to_regclass(%s)", (f"obligor.{table}",)).fetchone()
        return found is None or found[0] is None

    def records(self) -> Iterator[bytes]:
        """Give the records of all decisions, in the order of the log."""
        return (bytes(row["body"]) for row in self._stream(_RECORDS))

    def decisions(self) -> int:
        """Count the decisions."""
        row = self._connection.execute("SELECT count(*) FROM obligor.decision").fetchone()
        return 0 if row is None else int(row[0])

    def artefact(self, sha256: str) -> bytes | None:
        """Give the bytes of a card, a policy or a profile, whatever they are."""
        row = self._connection.execute("SELECT body FROM obligor.artefact WHERE sha256 = %s", (sha256,)).fetchone()
        return None if row is None else bytes(row[0])

    def release(self) -> StoredRelease | None:
        """Give the newest release; what is gone of it is empty."""
        row = self._connection.execute(_RELEASE).fetchone()
        if row is None:
            return None
        number, *rest = row
        return StoredRelease(int(number), *(bytes(each or b"") for each in rest))


@contextmanager
def open_examination(url: str) -> Iterator[PostgresExamination]:
    """Open one moment of a database, for reading.

    Raises
    ------
    UnavailableError
        Where the database does not answer.
    """
    with one_moment(url, name="examination") as connection:
        yield PostgresExamination(connection)

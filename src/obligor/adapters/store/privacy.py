"""Reads what is kept of subjects and of their keys, and wraps keys anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from obligor.adapters.store.address import connection_info, unavailable
from obligor.adapters.store.inserts import decided_on, retained_since
from obligor.core.event_types import PERSON_ERASED
from obligor.security.sealing import KeptKey, Wrapped
from obligor.serving.archive import StoredDecision, StoredRecord
from obligor.serving.privacy.erasing import Concerned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.adapters.store.pool import Pool
    from obligor.security.sealing import Keyring

SUBJECT_KEYS: Final = "SELECT key_id, subject, version, wrapped FROM obligor.subject_key"
KEYRING: Final = "SELECT purpose, version, wrapped, proof FROM obligor.keyring ORDER BY purpose, version"
_DECISIONS: Final = """
    SELECT decision_id, client_id, leaf_index, leaf.body AS leaf, record.body AS record, record.salt
    FROM obligor.decision
    CROSS JOIN LATERAL (SELECT body FROM obligor.leaf WHERE index = leaf_index OFFSET 0) AS leaf
    CROSS JOIN LATERAL (SELECT body, salt FROM obligor.record WHERE record.leaf_index = decision.leaf_index OFFSET 0) AS record
    WHERE subject = %s ORDER BY leaf_index
"""
"""Here and below, what belongs to each decision is found one by one (``OFFSET 0`` keeps it so): otherwise the planner may
read all there is and leave out what is others'."""
_CONCERNED: Final = """
    SELECT client_id, array_agg(decision_id ORDER BY leaf_index) AS decisions, EXISTS (
        SELECT FROM obligor.webhook_endpoint
        WHERE webhook_endpoint.client_id = decision.client_id AND state = 'active' AND %s = ANY (event_types)) AS listens
    FROM obligor.decision WHERE subject = %s GROUP BY client_id ORDER BY client_id
"""
_REVIEWS: Final = """
    SELECT decision_id, said.row, said.leaf_index, leaf.body AS leaf, record.body AS record, record.salt
    FROM obligor.decision
    CROSS JOIN LATERAL (
        SELECT override.decision_id AS row, leaf_index FROM obligor.override WHERE override.decision_id = decision.decision_id
        UNION ALL
        SELECT action.decision_id, leaf_index FROM obligor.action WHERE action.decision_id = decision.decision_id
        UNION ALL
        SELECT review_id, said.leaf_index FROM (
            SELECT review_id, leaf_index FROM obligor.review WHERE review.decision_id = decision.decision_id OFFSET 0
        ) AS review CROSS JOIN LATERAL (
            SELECT review.leaf_index
            UNION ALL SELECT leaf_index FROM obligor.review_decision WHERE review_decision.review_id = review.review_id
            OFFSET 0
        ) AS said
        OFFSET 0
    ) AS said
    CROSS JOIN LATERAL (SELECT body FROM obligor.leaf WHERE index = said.leaf_index OFFSET 0) AS leaf
    CROSS JOIN LATERAL (SELECT body, salt FROM obligor.record WHERE record.leaf_index = said.leaf_index OFFSET 0) AS record
    WHERE subject = %s ORDER BY said.leaf_index
"""
_OUTCOMES: Final = """
    SELECT decision_id, told.report_id AS row, told.leaf_index, leaf.body AS leaf, record.body AS record, record.salt
    FROM obligor.decision
    CROSS JOIN LATERAL (
        SELECT report_id, leaf_index FROM obligor.outcome WHERE outcome.decision_id = decision.decision_id OFFSET 0
    ) AS told
    CROSS JOIN LATERAL (SELECT body FROM obligor.leaf WHERE index = told.leaf_index OFFSET 0) AS leaf
    CROSS JOIN LATERAL (SELECT body, salt FROM obligor.record WHERE record.leaf_index = told.leaf_index OFFSET 0) AS record
    WHERE subject = %s ORDER BY told.leaf_index
"""
_STANDING: Final = f"""
    SELECT
        decided.decisions, decided.latest,
        (SELECT count(*) FROM obligor.subject_key WHERE subject = %(subject)s AND destroyed_at IS NULL) AS keys,
        (SELECT at FROM obligor.erasure WHERE subject = %(subject)s) AS erased_at,
        (SELECT because FROM obligor.legal_hold WHERE subject = %(subject)s AND released_at IS NULL) AS held_because,
        (SELECT placed_at FROM obligor.legal_hold WHERE subject = %(subject)s AND released_at IS NULL) AS held_since,
        ({retained_since("%(subject)s")}) AS retained_since
    FROM ({decided_on("%(subject)s")}) AS decided (decisions, latest)
"""  # noqa: S608  words of our own
_ERASED_SINCE: Final = "SELECT subject FROM obligor.erasure WHERE at >= %s"
_OLD: Final = """
    SELECT key_id, subject, version, wrapped FROM obligor.subject_key
    WHERE version < %s ORDER BY version LIMIT %s FOR UPDATE SKIP LOCKED
"""
_ANEW: Final = """
    UPDATE obligor.subject_key SET version = given.version, wrapped = given.wrapped
    FROM unnest(%s::bytea[], %s::int[], %s::bytea[]) AS given (key_id, version, wrapped)
    WHERE subject_key.key_id = given.key_id AND destroyed_at IS NULL
"""


class PostgresPrivacy:
    """Fulfils :class:`obligor.serving.privacy.erasing.Subjects`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def keyring(self) -> tuple[KeptKey, ...]:
        """Give the keys of the deployment, as they are kept."""
        return tuple(KeptKey(**row) for row in await self._pool.rows(KEYRING))

    async def standing(self, subject: bytes) -> dict[str, Any]:
        """Tell how many decisions and keys a subject has, when it was last decided on or erased, and whether it is held."""
        (row,) = await self._pool.rows(_STANDING, {"subject": subject})
        return row

    async def decisions(self, subject: bytes) -> tuple[StoredDecision, ...]:
        """Give the decisions on a subject, in the order of the log."""
        return tuple(StoredDecision(**row) for row in await self._pool.rows(_DECISIONS, (subject,)))

    async def concerned(self, subject: bytes) -> tuple[Concerned, ...]:
        """Give the clients with decisions on a subject."""
        return tuple(Concerned(**row) for row in await self._pool.rows(_CONCERNED, (PERSON_ERASED, subject)))

    async def reviews(self, subject: bytes) -> tuple[StoredRecord, ...]:
        """Give what people said of those decisions, overrides, actions and reviews, in the order of the log."""
        return tuple(StoredRecord(**row) for row in await self._pool.rows(_REVIEWS, (subject,)))

    async def outcomes(self, subject: bytes) -> tuple[StoredRecord, ...]:
        """Give what was reported of those decisions, in the order of the log."""
        return tuple(StoredRecord(**row) for row in await self._pool.rows(_OUTCOMES, (subject,)))

    async def subjects(self, tag: str) -> tuple[bytes, ...]:
        """Give the subjects of an application, by the name it is searched by."""
        query = "SELECT DISTINCT subject FROM obligor.decision WHERE application_id = %s AND subject IS NOT NULL"
        return tuple(row["subject"] for row in await self._pool.rows(query, (tag,)))

    async def subject_of(self, decision_id: UUID) -> bytes | None:
        """Give the subject of a decision; None where nothing of it is sealed, and where there is none."""
        rows = await self._pool.rows("SELECT subject FROM obligor.decision WHERE decision_id = %s", (decision_id,))
        return rows[0]["subject"] if rows else None

    async def erased_since(self, at: datetime) -> tuple[bytes, ...]:
        """Give the subjects that were erased since a time."""
        return tuple(it["subject"] for it in await self._pool.rows(_ERASED_SINCE, (at,)))

    async def behind(self, version: int) -> int:
        """Count the keys that are wrapped by a version before."""
        (row,) = await self._pool.rows("SELECT count(*) AS n FROM obligor.subject_key WHERE version < %s", (version,))
        return int(row["n"])


def wrap_anew(
    url: str, keyring: Keyring, *, at_once: int = 2000, advance: Callable[[int], None] = lambda _: None
) -> int:
    """Wrap every key of a subject that an older version wraps by the newest, some thousands in a transaction.

    Whoever decides meanwhile waits for none of it, and what was done stays done when it is killed. Gives how many there were.

    Raises
    ------
    SealError
        Where a key is not what was wrapped; those before it stay done.
    UnavailableError
        Where the store does not answer.
    """
    done = 0
    try:
        with psycopg.connect(connection_info(url, name="rotation"), autocommit=True) as connection:
            while True:
                with connection.transaction():
                    old = connection.execute(_OLD, (keyring.current, at_once)).fetchall()
                    if old:
                        connection.execute(_ANEW, _columns(old, keyring))
                if not old:
                    return done
                done += len(old)
                advance(len(old))
    except psycopg.Error as error:
        raise unavailable(url, error) from error


def _columns(rows: Iterable[Sequence[Any]], keyring: Keyring) -> tuple[list[bytes], list[int], list[bytes]]:
    ids, versions, keys = [], [], []
    for key_id, subject, version, wrapped in rows:
        anew = keyring.wrap(keyring.unwrap(Wrapped(version, wrapped), key_id=key_id, subject=subject))
        ids.append(key_id)
        versions.append(anew.version)
        keys.append(anew.wrapped)
    return ids, versions, keys

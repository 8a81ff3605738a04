"""Finds lists that were loaded, alerts and what came of them, and the decisions that are screened again."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import msgspec
import psycopg

from obligor.adapters.store.address import connection_info, unavailable
from obligor.adapters.store.inserts import check_artefact
from obligor.serving.archive import StoredDecision
from obligor.serving.rows import AlertReportRow, YearlyReportRow
from obligor.serving.screening.alert_steps import StoredAlert
from obligor.serving.screening.lists import LoadedList
from obligor.serving.screening.reports import YearlyReports
from obligor.serving.screening.rescreening import Progress

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.adapters.store.pool import Pool
    from obligor.screening.lists import ListKind
    from obligor.serving.gates.aml import Cleared

_LISTS: Final = """
    SELECT list_sha256, source, published, entries, loaded_at, by, list_kind FROM obligor.screening_list
"""
_LAST_FIRST: Final = f"{_LISTS} ORDER BY leaf_index DESC"
_DECISIONS: Final = """
    SELECT decision_id, client_id, leaf_index, leaf.body AS leaf, record.body AS record, record.salt
    FROM (
        SELECT decision_id, client_id, leaf_index FROM obligor.decision
        WHERE leaf_index >= %s AND leaf_index < coalesce(%s, 9223372036854775807) ORDER BY leaf_index LIMIT %s
    ) AS next
    CROSS JOIN LATERAL (SELECT body FROM obligor.leaf WHERE index = leaf_index OFFSET 0) AS leaf
    CROSS JOIN LATERAL (SELECT body, salt FROM obligor.record WHERE record.leaf_index = next.leaf_index OFFSET 0) AS record
    ORDER BY leaf_index
"""
"""The few are chosen first, and what they say is found one by one (``OFFSET 0`` keeps it so): otherwise the planner may merge
decisions, leaves and records from the start of the log on."""
_PROGRESS: Final = """
    SELECT list_sha256, began, past, fresh, screened, opened, not_comparable
    FROM obligor.screening_progress WHERE list_sha256 = %s
"""
_BEGIN: Final = "SELECT size FROM obligor.tree_head"
_LEFT: Final = """
    SELECT (SELECT count(*) FROM obligor.decision WHERE leaf_index >= %s AND leaf_index < 9223372036854775807)
        + (SELECT count(*) FROM obligor.decision WHERE leaf_index >= %s AND leaf_index < %s) AS left
"""
_WAITS: Final = """
    SELECT coalesce((SELECT max(leaf_index) FROM obligor.decision) >= %s, false)
        OR coalesce((SELECT min(leaf_index) FROM obligor.decision WHERE leaf_index >= %s) < %s, false) AS waits
"""
_SAVE: Final = """
    INSERT INTO obligor.screening_progress
        (list_sha256, began, past, fresh, screened, opened, not_comparable, at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (list_sha256) DO UPDATE SET
        (past, fresh, screened, opened, not_comparable, at)
        = (excluded.past, excluded.fresh, excluded.screened, excluded.opened, excluded.not_comparable, excluded.at)
"""
_STANDING: Final = """
    SELECT hit.subject, hit.entry, hit.entry_sha256
    FROM unnest(%s::bytea[], %s::text[], %s::text[]) AS hit (subject, entry, entry_sha256)
    WHERE EXISTS (
        SELECT FROM obligor.alert
        LEFT JOIN LATERAL (
            SELECT alert_id, until FROM obligor.alert_step
            WHERE alert_step.alert_id = alert.alert_id AND step IN ('cleared', 'corrected') OFFSET 0
        ) AS cleared ON true
        LEFT JOIN LATERAL (
            SELECT alert_id FROM obligor.alert_step
            WHERE alert_step.alert_id = alert.alert_id AND step = 'confirmed' OFFSET 0
        ) AS confirmed ON true
        WHERE alert.subject = hit.subject AND alert.entry = hit.entry AND (
            (cleared.until IS NULL AND confirmed.alert_id IS NOT NULL)
            OR (alert.entry_sha256 = hit.entry_sha256 AND (cleared.until IS NULL OR cleared.until > %s))
        )
    )
"""
_CLEARED: Final = """
    SELECT subject, entry, entry_sha256, max(until) AS until FROM obligor.alert_step CROSS JOIN LATERAL (
        SELECT subject, entry, entry_sha256 FROM obligor.alert WHERE alert.alert_id = alert_step.alert_id OFFSET 0
    ) AS alert
    WHERE step IN ('cleared', 'corrected') AND until > %s AND until < 'infinity' GROUP BY subject, entry, entry_sha256
"""
"""Between two instants the planner expects few, and goes by their index."""
_CONFIRMED: Final = """
    SELECT DISTINCT subject FROM obligor.alert_step AS confirmed JOIN obligor.alert USING (alert_id)
    WHERE step = 'confirmed' AND (
        SELECT true FROM obligor.alert_step AS corrected
        WHERE corrected.alert_id = confirmed.alert_id AND corrected.step = 'corrected'
    ) IS NULL
"""
_ALERTS: Final = """
    SELECT alert.alert_id, decision_id, client_id, entry, score, list_sha256, opened_at, record.body AS record,
        coalesce((SELECT list_kind FROM obligor.screening_list AS list WHERE list.list_sha256 = alert.list_sha256 LIMIT 1),
            'sanctions') AS list_kind,
        proposed.by AS proposed_by, examined.by AS examined_by, cleared.by AS cleared_by,
        coalesce(cleared.finding, examined.finding) AS finding,
        confirmed.by AS confirmed_by, confirmed.at AS confirmed_at, doubted.by AS doubted_by,
        (SELECT coalesce(json_agg(report ORDER BY number), '[]')
            FROM obligor.alert_report AS report WHERE report.alert_id = alert.alert_id) AS reports,
        ARRAY(SELECT DISTINCT year FROM obligor.yearly_report) AS years_filed,
        coalesce(cleared.because, doubted.because, confirmed.because, examined.because, proposed.because) AS because,
        coalesce(cleared.until, doubted.until, CASE WHEN confirmed.by IS NULL THEN coalesce(examined.until, proposed.until) END)
            AS until
    FROM obligor.alert
    JOIN obligor.record ON record.leaf_index = alert.leaf_index
    LEFT JOIN obligor.alert_step AS proposed ON proposed.alert_id = alert.alert_id AND proposed.step = 'proposed'
    LEFT JOIN obligor.alert_step AS examined ON examined.alert_id = alert.alert_id AND examined.step = 'examined'
    LEFT JOIN obligor.alert_step AS confirmed ON confirmed.alert_id = alert.alert_id AND confirmed.step = 'confirmed'
    LEFT JOIN obligor.alert_step AS doubted ON doubted.alert_id = alert.alert_id AND doubted.step = 'doubted'
    LEFT JOIN obligor.alert_step AS cleared
        ON cleared.alert_id = alert.alert_id AND cleared.step IN ('cleared', 'corrected')
"""
_OPEN: Final = f"""
    {_ALERTS} WHERE alert.alert_id = ANY (ARRAY(SELECT alert_id FROM obligor.alert WHERE NOT closed)) AND cleared.by IS NULL
    ORDER BY (confirmed.by IS NULL OR doubted.by IS NOT NULL) DESC, score DESC, alert.leaf_index LIMIT %s
"""  # noqa: S608  words of our own
_YEARLY: Final = """
    SELECT year, number, reference, reported_on, alerts, because, at, by FROM obligor.yearly_report ORDER BY year, number
"""
_MATCHES: Final = (
    "SELECT alert_id, opened_at FROM obligor.alert_step JOIN obligor.alert USING (alert_id) WHERE step = 'confirmed'"
)
_PIECE: Final = "SELECT substring(body FROM %s FOR %s) AS piece FROM obligor.artefact WHERE sha256 = %s"
_PIECE_BYTES: Final = 1 << 18
_PART: Final = 16
"""A piece is at least that part of what came before it: what is packed is unpacked from its beginning for each, so that a large
list has few, and a small one leaves no large holes in the memory of a service."""
_KEEP: Final = "INSERT INTO obligor.artefact (sha256, kind, body) VALUES (%s, %s, %s) ON CONFLICT (sha256) DO NOTHING"
_ALONE: Final = "SELECT pg_try_advisory_lock(hashtext('obligor'), hashtext('screening')) AS alone"
_NOT_ALONE: Final = "SELECT pg_advisory_unlock_all()"


class PostgresScreening:
    """Fulfils the ports of the modules of :mod:`obligor.serving.screening`."""

    def __init__(self, pool: Pool, url: str) -> None:
        self._pool, self._url = pool, url

    async def newest_list(self, kind: ListKind) -> LoadedList | None:
        """Give the list of a kind that was loaded last."""
        found = await self._pool.rows(f"{_LISTS} WHERE list_kind = %s ORDER BY leaf_index DESC LIMIT 1", (kind,))
        return LoadedList(**found[0]) if found else None

    async def lists(self) -> tuple[LoadedList, ...]:
        """Give every list that was loaded, the last first."""
        return tuple(LoadedList(**row) for row in await self._pool.rows(_LAST_FIRST))

    async def keep(self, sha256: str, kind: str, body: bytes) -> None:
        """Keep what a list says, in a session of its own that takes its time: it may be a hundred megabytes."""
        check_artefact(sha256, body)
        try:
            async with await psycopg.AsyncConnection.connect(connection_info(self._url, name="lists")) as connection:
                await connection.execute(_KEEP.encode(), (sha256, kind, body))
        except (psycopg.Error, OSError) as error:
            raise unavailable(self._url, error) from error

    async def artefact(self, sha256: str) -> bytes | None:
        """Give what a list says; its hash was checked."""
        body = b"".join([it async for it in self.pieces(sha256)])
        if not body:
            return None
        check_artefact(sha256, body)
        return body

    async def pieces(self, sha256: str) -> AsyncIterator[bytes]:
        """Give what a list says, piece by piece; nothing of one that is not kept."""
        at, size = 1, _PIECE_BYTES
        while (found := await self._pool.rows(_PIECE, (at, size, sha256))) and (piece := found[0]["piece"]):
            yield piece
            at += size
            size = max(_PIECE_BYTES, at // _PART)

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[bool]:
        """Tell whether no other process is at it, and keep others from it meanwhile, by a lock of a session of its own."""
        info = connection_info(self._url, name="screening")
        try:
            async with await psycopg.AsyncConnection.connect(info, autocommit=True) as connection:
                row = await (await connection.execute(_ALONE.encode())).fetchone()
                yield bool(row and row[0])
                await connection.execute(_NOT_ALONE.encode())  # at once: a session ends a moment after it was closed
        except (psycopg.Error, OSError) as error:
            raise unavailable(self._url, error) from error

    async def progress(self, list_sha256: str) -> Progress:
        """Tell how far a list has come; one that has not begun begins."""
        found = await self._pool.rows(_PROGRESS, (list_sha256,))
        if found:
            return Progress(**found[0])
        (head,) = await self._pool.rows(_BEGIN)
        return Progress(list_sha256, head["size"], 0, head["size"])

    async def waits(self, progress: Progress) -> bool:
        """Tell whether any decision is still to be looked at."""
        (found,) = await self._pool.rows(_WAITS, (progress.fresh, progress.past, progress.began))
        return bool(found["waits"])

    async def left(self, progress: Progress) -> int:
        """Count the decisions that are still to be looked at."""
        (found,) = await self._pool.rows(_LEFT, (progress.fresh, progress.past, progress.began))
        return int(found["left"])

    async def save_progress(self, progress: Progress, *, at: datetime) -> None:
        """Keep how far a list has come."""
        await self._pool.write(_SAVE, (*progress, at))

    async def decisions_from(self, first: int, *, before: int | None, limit: int) -> tuple[StoredDecision, ...]:
        """Give decisions in the order of the log, from a leaf on (closed) and up to another (open)."""
        return tuple(StoredDecision(**row) for row in await self._pool.rows(_DECISIONS, (first, before, limit)))

    async def standing(self, hits: Sequence[Cleared], *, at: datetime) -> frozenset[Cleared]:
        """Give the hits that need no alert: one is open, was cleared and still holds, or was confirmed, of any version."""
        columns = [list(it) for it in zip(*hits, strict=True)]
        return frozenset(map(_key, await self._pool.rows(_STANDING, (*columns, at))))

    async def cleared(self, *, at: datetime) -> dict[Cleared, datetime]:
        """Give what was cleared and still holds, and until when."""
        return {_key(row): row["until"] for row in await self._pool.rows(_CLEARED, (at,))}

    async def confirmed(self) -> frozenset[bytes]:
        """Give the subjects whose match was confirmed, and not corrected."""
        return frozenset(bytes(row["subject"]) for row in await self._pool.rows(_CONFIRMED))

    async def alert(self, alert_id: UUID) -> StoredAlert | None:
        """Find an alert."""
        found = await self._pool.rows(f"{_ALERTS} WHERE alert.alert_id = %s", (alert_id,))
        return _stored(found[0]) if found else None

    async def alerts(self, *, limit: int) -> tuple[StoredAlert, ...]:
        """Give the alerts that nobody has cleared: those that wait, then those confirmed, each the most alike first."""
        return tuple(_stored(row) for row in await self._pool.rows(_OPEN, (limit,)))

    async def yearly_reports(self) -> YearlyReports:
        """Give what was said of yearly reports, and what they may name."""
        reports, matches = await self._pool.rows(_YEARLY), await self._pool.rows(_MATCHES)
        return YearlyReports(
            tuple(YearlyReportRow(**row | {"alerts": tuple(row["alerts"])}) for row in reports),
            {row["alert_id"]: row["opened_at"] for row in matches},
        )


def _stored(row: dict[str, Any]) -> StoredAlert:
    reports = msgspec.convert(row["reports"], tuple[AlertReportRow, ...])
    return StoredAlert(**row | {"reports": reports, "years_filed": tuple(row["years_filed"])})


def _key(row: dict[str, Any]) -> Cleared:
    return bytes(row["subject"]), row["entry"], row["entry_sha256"]

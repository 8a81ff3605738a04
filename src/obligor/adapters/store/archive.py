"""Finds what was recorded: decisions, outcomes, answers, artefacts, the release in force, API keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.adapters.store.privacy import SUBJECT_KEYS
from obligor.adapters.store.rows import check_artefact
from obligor.core.errors import IntegrityError
from obligor.serving.acts import Recorded
from obligor.serving.archive import StoredDecision, StoredRelease, StoredSubjectKey
from obligor.serving.rows import ApiKeyRow, OutcomeRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from obligor.adapters.store.pool import Pool
    from obligor.serving.acts import Request
    from obligor.serving.archive import Search

_DECISIONS: Final = """
    SELECT decision_id, client_id, leaf_index, leaf.body AS leaf, record.body AS record, record.salt
    FROM (SELECT decision_id, client_id, leaf_index FROM obligor.decision {which}) AS found
    JOIN obligor.leaf ON leaf.index = leaf_index
    JOIN obligor.record USING (leaf_index)
    ORDER BY leaf_index DESC
"""
"""Which they are is found first: otherwise the planner may merge decisions, leaves and records from an end of the log on."""
_OUTCOMES: Final = """
    SELECT report_id, decision_id, status, observed_on FROM obligor.outcome WHERE decision_id = %s ORDER BY leaf_index
"""
_RELEASE: Final = """
    SELECT number, statement, signature, card_sha256, policy_sha256, profile_sha256,
        (SELECT body FROM obligor.artefact WHERE sha256 = card_sha256) AS card,
        (SELECT body FROM obligor.artefact WHERE sha256 = policy_sha256) AS policy,
        (SELECT body FROM obligor.artefact WHERE sha256 = profile_sha256) AS profile
    FROM obligor.release ORDER BY number DESC LIMIT 1
"""
_RELEASES: Final = """
    SELECT number, card_sha256, policy_sha256, profile_sha256, at, by FROM obligor.release ORDER BY number DESC
"""
_API_KEY: Final = """
    SELECT key_id, client_id, name, scopes, secret_sha256, created_at, expires_at, revoked_at, replaced_by
    FROM obligor.api_key
"""
_REQUEST: Final = """
    SELECT payload_sha256, response, status, leaf_index FROM obligor.request WHERE client_id = %s AND route = %s AND key = %s
"""


class PostgresArchive:
    """Fulfils :class:`obligor.serving.archive.Archive`, and finds API keys."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision; one of another client is not found where a client is named."""
        found = await self._pool.rows_of(client_id, _DECISIONS.format(which="WHERE decision_id = %s"), (decision_id,))
        return StoredDecision(**found[0]) if found else None

    async def decisions(self, decision_ids: Sequence[UUID]) -> dict[UUID, StoredDecision]:
        """Find decisions by their ids."""
        found = await self._pool.rows(_DECISIONS.format(which="WHERE decision_id = ANY(%s)"), (list(decision_ids),))
        return {row["decision_id"]: StoredDecision(**row) for row in found}

    async def search(self, search: Search) -> tuple[StoredDecision, ...]:
        """Find decisions, the newest first."""
        asked: dict[str, object] = {
            "client_id = %s": search.client_id,
            "application_id = ANY(%s)": _names(search),
            "outcome = %s": search.outcome,
            "band = %s": search.band,
            "decided_at >= %s": search.since,
            "decided_at < %s": search.until,
            "leaf_index < %s": search.before,
        }
        held = {condition: value for condition, value in asked.items() if value is not None}
        where = f"WHERE {' AND '.join(held)}" if held else ""
        found = await self._pool.rows_of(
            search.client_id,
            _DECISIONS.format(which=f"{where} ORDER BY leaf_index DESC LIMIT %s"),
            (*held.values(), search.limit),
        )
        return tuple(StoredDecision(**row) for row in found)

    async def outcomes(self, decision_id: UUID, *, client_id: str | None = None) -> tuple[OutcomeRow, ...]:
        """Give what was reported of a decision, in the order of the log; of another client's nothing."""
        return tuple(OutcomeRow(**row) for row in await self._pool.rows_of(client_id, _OUTCOMES, (decision_id,)))

    async def artefact(self, sha256: str) -> bytes | None:
        """Give the bytes of a card, a policy or a profile; their hash was checked.

        Raises
        ------
        IntegrityError
            Where the bytes are not what their hash says.
        """
        found = await self._pool.rows("SELECT body FROM obligor.artefact WHERE sha256 = %s", (sha256,))
        if not found:
            return None
        body: bytes = found[0]["body"]
        check_artefact(sha256, body)
        return body

    async def release(self) -> StoredRelease | None:
        """Give the newest release.

        Raises
        ------
        IntegrityError
            Where one of its artefacts is gone, or is not what its hash says.
        """
        found = await self._pool.rows(_RELEASE)
        if not found:
            return None
        (row,) = found
        bodies = [_checked(row, kind) for kind in ("card", "policy", "profile")]
        return StoredRelease(row["number"], row["statement"], row["signature"], *bodies)

    async def newest_release(self) -> int:
        """Give the number of the newest release; 0 where there is none."""
        (row,) = await self._pool.rows("SELECT coalesce(max(number), 0) AS newest FROM obligor.release")
        return int(row["newest"])

    async def releases(self) -> list[dict[str, Any]]:
        """Give the number, hashes, time and person of every release, the newest first."""
        return await self._pool.rows(_RELEASES)

    async def api_key(self, key_id: str) -> ApiKeyRow | None:
        """Find an API key by its id."""
        found = await self._pool.rows(f"{_API_KEY} WHERE key_id = %s", (key_id,))
        return _api_key(found[0]) if found else None

    async def api_keys(self) -> tuple[ApiKeyRow, ...]:
        """Give every API key, by client and age."""
        return tuple(map(_api_key, await self._pool.rows(f"{_API_KEY} ORDER BY client_id, created_at, key_id")))

    async def subject_keys(self, key_ids: Sequence[bytes]) -> dict[bytes, StoredSubjectKey]:
        """Find the keys of subjects by their ids."""
        found = await self._pool.rows(f"{SUBJECT_KEYS} WHERE key_id = ANY(%s)", (list(key_ids),))
        return {row["key_id"]: StoredSubjectKey(**row) for row in found}

    async def answer(self, request: Request) -> tuple[bytes, Recorded] | None:
        """Give the hash of the payload and the answer that a request was given, where it was recorded."""
        found = await self._pool.rows_of(request.client_id, _REQUEST, (request.client_id, request.route, request.key))
        if not found:
            return None
        (row,) = found
        return row["payload_sha256"], Recorded(
            row["response"], row["status"], replayed=True, leaf_index=row["leaf_index"]
        )


def _names(search: Search) -> list[str] | None:
    """Give the names by which an application is looked for: the client's own in records of before, and that of sealed ones."""
    return [it for it in (search.application_id, search.application_tag) if it is not None] or None


def _checked(row: dict[str, Any], kind: str) -> bytes:
    name, body = row[f"{kind}_sha256"], row[kind]
    if body is None:
        raise IntegrityError(f"release {row['number']}: its {kind} {name[:12]} is gone")
    check_artefact(name, body)
    return bytes(body)


def _api_key(row: dict[str, Any]) -> ApiKeyRow:
    return ApiKeyRow(**{**row, "scopes": tuple(row["scopes"])})

"""Finds what was recorded: decisions, outcomes, answers, artefacts, the release in force, API keys."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from obligor.adapters.store.inserts import check_artefact
from obligor.adapters.store.privacy import SUBJECT_KEYS
from obligor.adapters.store.times import SINCE, UNTIL
from obligor.core.errors import IntegrityError
from obligor.core.leaves import is_committed, parse_leaf
from obligor.serving.acts import Recorded
from obligor.serving.archive import Link, Links, StoredDecision, StoredRelease, StoredSubjectKey, ToldRelease
from obligor.serving.last_word import LastWord
from obligor.serving.rows import ApiKeyRow, OutcomeRow, ReleaseRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from obligor.adapters.store.pool import Pool
    from obligor.serving.acts import Request
    from obligor.serving.archive import Search

_DECISIONS: Final = """
    SELECT decision_id, client_id, leaf_index, leaf.body AS leaf, record.body AS record, record.salt
    FROM ({found}) AS found
    CROSS JOIN LATERAL (SELECT body FROM obligor.leaf WHERE index = leaf_index OFFSET 0) AS leaf
    CROSS JOIN LATERAL (SELECT body, salt FROM obligor.record WHERE record.leaf_index = found.leaf_index OFFSET 0) AS record
    ORDER BY leaf_index DESC
"""
"""Which they are is found first, and what they say one by one (``OFFSET 0`` keeps it so): otherwise the planner may merge
decisions, leaves and records from an end of the log on."""
_FOUND: Final = "SELECT decision_id, client_id, leaf_index FROM obligor.decision"
_OF_APPLICATION: Final = """
    SELECT it.* FROM unnest(%(names)s::text[]) AS name CROSS JOIN LATERAL ({found}) AS it
    ORDER BY leaf_index DESC LIMIT %(limit)s
"""
"""By each name of it alone, whose decisions an index has in order, and not by the client (``|| ''``), who has many more."""
_OUTCOMES: Final = """
    SELECT report_id, decision_id, status, observed_on FROM obligor.outcome
    WHERE decision_id = %(decision)s AND decision_id::text = %(decision)s::text ORDER BY leaf_index
"""
"""The same is said twice, so that the planner expects few: for many, before a table was first analysed, it looked whose they
are in a list of all decisions of the client, which it made for that."""
_LAST_WORD: Final = """
    SELECT leaf_index, 'review' AS said_by, outcome, decided_at AS at, NULL::timestamptz AS expires_at, new_decision_id
    FROM (SELECT review_id FROM obligor.review WHERE review.decision_id = {of}.decision_id OFFSET 0) AS review
    CROSS JOIN LATERAL (
        SELECT * FROM obligor.review_decision WHERE review_decision.review_id = review.review_id OFFSET 0
    ) AS decided
    UNION ALL
    SELECT leaf_index, 'override', outcome, decided_at, expires_at, NULL
    FROM obligor.override WHERE override.decision_id = {of}.decision_id
    ORDER BY leaf_index DESC LIMIT 1
"""
_LAST_WORDS: Final = f"""
    SELECT asked.decision_id, said_by, outcome, at, expires_at, new_decision_id
    FROM unnest(%s::uuid[]) AS asked (decision_id) CROSS JOIN LATERAL ({_LAST_WORD.format(of="asked")}) AS word
"""  # noqa: S608  words of our own
_STANDS: Final = (
    f"coalesce((SELECT word.outcome FROM ({_LAST_WORD.format(of='decision')}) AS word), outcome) = %(stands)s"  # noqa: S608  ours
)
"""Looked up decision by decision, as a search goes through them anyway, and by keys."""
_LINKS: Final = """
    SELECT decision_id, why, earlier, at
    FROM (
        SELECT other_index, why, true AS earlier, at FROM obligor.link WHERE leaf_index = %(leaf)s
        UNION ALL (
            SELECT leaf_index, why, false, at FROM obligor.link WHERE other_index = %(leaf)s ORDER BY leaf_index DESC LIMIT 200
        )
    ) AS linked
    CROSS JOIN LATERAL (
        SELECT decision_id FROM obligor.decision WHERE leaf_index = other_index AND client_id = %(client)s OFFSET 0
    ) AS other
    ORDER BY other_index DESC, why
"""
_COMPARED: Final = "SELECT next > %s AS compared FROM obligor.link_progress"
_TOLD: Final = "SELECT index, body FROM obligor.leaf WHERE kind = 'release' ORDER BY index DESC LIMIT 1"
"""The last release that the log tells of, by an index of its own, which holds these few leaves alone."""
_TOLD_OF_IT: Final = "SELECT index, body FROM obligor.leaf WHERE kind = 'release' AND index = kept.leaf_index"
_RELEASE: Final = """
    SELECT kept.*, told.index AS told_index, told.body AS told,
        (SELECT body FROM obligor.artefact WHERE sha256 = card_sha256) AS card,
        (SELECT body FROM obligor.artefact WHERE sha256 = policy_sha256) AS policy,
        (SELECT body FROM obligor.artefact WHERE sha256 = profile_sha256) AS profile,
        (SELECT body FROM obligor.record WHERE record.leaf_index = told.index) AS record,
        (SELECT salt FROM obligor.record WHERE record.leaf_index = told.index) AS salt
    FROM (SELECT) AS one
    LEFT JOIN (
        SELECT number, leaf_index, statement, signature, card_sha256, policy_sha256, profile_sha256
        FROM obligor.release {which} ORDER BY number DESC LIMIT 1
    ) AS kept ON true
    LEFT JOIN LATERAL ({told}) AS told ON true
"""
_BEFORE: Final = """
    WITH RECURSIVE stood (number) AS (
        SELECT max(number) FROM obligor.release
        UNION
        SELECT coalesce(
            (SELECT (convert_from(body, 'UTF8')::json ->> 'puts_back')::bigint FROM obligor.record
                WHERE record.leaf_index = it.leaf_index),
            (SELECT number FROM obligor.release AS same WHERE same.number = it.number - 1
                AND (same.card_sha256, same.policy_sha256) = (it.card_sha256, it.policy_sha256))
        )
        FROM stood JOIN obligor.release AS it USING (number)
    )
    SELECT coalesce(min(number) - 1, 0) AS number FROM stood
"""
"""The one before the first of those by which what is in force came there: put back, or with another profile."""
_TOLD_RELEASE: Final = """
    SELECT leaf.index AS told_index, leaf.body AS told, record.body AS record, coalesce(salt, '') AS salt,
        number, release.leaf_index, card_sha256, policy_sha256, profile_sha256, at, by, statement, signature
    FROM obligor.leaf
    LEFT JOIN obligor.record ON record.leaf_index = leaf.index
    LEFT JOIN obligor.release ON number::text = convert_from(leaf.body, 'UTF8')::json ->> 'subject'
    WHERE kind = 'release' AND (%(number)s::text IS NULL OR convert_from(leaf.body, 'UTF8')::json ->> 'subject' = %(number)s)
    ORDER BY leaf.index DESC LIMIT 1
"""
_NEWEST: Final = f"""
    SELECT (SELECT max(number) FROM obligor.release) AS kept, body AS told
    FROM (SELECT) AS one LEFT JOIN ({_TOLD}) AS told ON true
"""  # noqa: S608  words of our own
_RELEASES: Final = """
    SELECT number, card_sha256, policy_sha256, profile_sha256, at, by FROM obligor.release ORDER BY number DESC
"""
_API_KEY: Final = """
    SELECT key_id, client_id, name, scopes, secret_sha256, created_at, expires_at, revoked_at, replaced_by, networks
    FROM obligor.api_key
"""
_REQUEST: Final = """
    SELECT payload_sha256, response, status, leaf_index FROM obligor.request WHERE client_id = %s AND route = %s AND key = %s
"""


class PostgresArchive:
    """Fulfils :class:`obligor.serving.archive.Archive`, and finds API keys."""

    def __init__(self, pool: Pool, *, searches: Pool | None = None) -> None:
        """With connections of their own, ``searches`` that read a long log keep nobody waiting who looks up a key."""
        self._pool, self._searches = pool, searches or pool

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision; one of another client is not found where a client is named."""
        found = await self._pool.rows_of(
            client_id, _DECISIONS.format(found=f"{_FOUND} WHERE decision_id = %s"), (decision_id,)
        )
        return StoredDecision(**found[0]) if found else None

    async def decisions(self, decision_ids: Sequence[UUID]) -> dict[UUID, StoredDecision]:
        """Find decisions by their ids."""
        found = await self._pool.rows(
            _DECISIONS.format(found=f"{_FOUND} WHERE decision_id = ANY(%s)"), (list(decision_ids),)
        )
        return {row["decision_id"]: StoredDecision(**row) for row in found}

    async def search(self, search: Search) -> tuple[StoredDecision, ...]:
        """Find decisions, the newest first."""
        found = await self._searches.rows_of(search.client_id, *_asked(search))
        return tuple(StoredDecision(**row) for row in found)

    async def outcomes(self, decision_id: UUID, *, client_id: str | None = None) -> tuple[OutcomeRow, ...]:
        """Give what was reported of a decision, in the order of the log; of another client's nothing."""
        return tuple(
            OutcomeRow(**row) for row in await self._pool.rows_of(client_id, _OUTCOMES, {"decision": decision_id})
        )

    async def last_words(self, decision_ids: Sequence[UUID]) -> dict[UUID, LastWord]:
        """Give what people last said of decisions, of those of which anybody did."""
        found = await self._pool.rows(_LAST_WORDS, (list(decision_ids),))
        return {it["decision_id"]: LastWord(**it) for it in found}

    async def links(self, stored: StoredDecision) -> Links:
        """Give what a decision was linked to, the newest first; of those that came later, 200 at most."""
        (progress,) = await self._pool.rows(_COMPARED, (stored.leaf_index,))
        found = await self._pool.rows(_LINKS, {"leaf": stored.leaf_index, "client": stored.client_id})
        return Links(progress["compared"], tuple(Link(**row) for row in found))

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
            Where it is not the one that the log tells last, or one of its artefacts is gone or is not what its hash says.
        """
        return await self._release("", _TOLD)

    async def release_before(self) -> StoredRelease | None:
        """Give the release of before the one in force; where that was put back, of before the one that it puts back.

        Raises
        ------
        IntegrityError
            Where it is lost, the log does not tell of it so, or as ``release``.
        """
        (row,) = await self._pool.rows(_BEFORE)
        number: int = row["number"]
        found = await self._release(f"WHERE number = {number}", _TOLD_OF_IT)
        if found is None and number:
            raise IntegrityError(
                f"release {number} is no longer kept, and what was in force before is not known",
                hint=f"obligor releases recover {number} puts it back",
            )
        return found

    async def _release(self, which: str, told: str) -> StoredRelease | None:
        (row,) = await self._pool.rows(_RELEASE.format(which=which, told=told))
        _check_told(row)
        if row["number"] is None:
            return None
        bodies = [_checked(row, kind) for kind in ("card", "policy", "profile")]
        return StoredRelease(row["number"], row["statement"], row["signature"], *bodies)

    async def told_release(self, number: int | None) -> ToldRelease | None:
        """Give what the log tells of a release, the last one without a number; None where it tells of none."""
        found = await self._pool.rows(_TOLD_RELEASE, {"number": None if number is None else str(number)})
        if not found:
            return None
        index, leaf, record, salt = map(found[0].pop, ("told_index", "told", "record", "salt"))
        kept = None if found[0]["number"] is None else ReleaseRow(**found[0], artefacts=())
        return ToldRelease(index, leaf, record, salt, kept)

    async def newest_release(self) -> int:
        """Give the number of the newest release, kept or told by the log; 0 where there is none."""
        (row,) = await self._pool.rows(_NEWEST)
        return max(row["kept"] or 0, _told_number(row))

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


def _asked(search: Search) -> tuple[str, dict[str, object]]:
    """Write a search as a query, with its parameters."""
    given = asdict(search) | {"names": _names(search)}
    conditions = {
        "client_id": "client_id = %(client_id)s" if given["names"] is None else "client_id || '' = %(client_id)s",
        "names": "application_id = name",
        "outcome": "outcome = %(outcome)s",
        "stands": _STANDS,
        "band": "band = %(band)s",
        "since": SINCE,
        "until": UNTIL,
        "before": "leaf_index < %(before)s",
    }
    held = [condition for name, condition in conditions.items() if given[name] is not None]
    where = f"WHERE {' AND '.join(held)}" if held else ""
    found = f"{_FOUND} {where} ORDER BY leaf_index DESC LIMIT %(limit)s"
    if given["names"] is not None:
        found = _OF_APPLICATION.format(found=found)
    return _DECISIONS.format(found=found), given


def _names(search: Search) -> list[str] | None:
    """Give the names by which an application is looked for: the client's own in records of before, and that of sealed ones."""
    return [it for it in (search.application_id, search.application_tag) if it is not None] or None


def _check_told(row: dict[str, Any]) -> None:
    """Refuse a release that is not the last one of the log: a row was taken away, changed, or added past the log."""
    kept, told = row["number"] or 0, _told_number(row)
    if kept != told:
        lacks, hint = f"the log tells of no release {kept}", "obligor audit verify"
        if kept < told:
            lacks, hint = f"release {told} of the log is no longer kept", "obligor releases recover puts it back"
        raise IntegrityError(f"{lacks}; it is not known what is in force", hint=hint)
    if kept and not _is_as_told(row):
        raise IntegrityError(f"release {kept}: what is kept is not what the log tells of", hint="obligor audit verify")


def _told_number(row: dict[str, Any]) -> int:
    """Give the number of the last release that the log tells of; 0 where it tells of none."""
    return 0 if row["told"] is None else int(parse_leaf(row["told"]).subject)


def _is_as_told(row: dict[str, Any]) -> bool:
    """Tell whether a release is the one of the record that its leaf commits to: signature, card, policy and profile."""
    record, salt = row["record"], row["salt"]
    if row["told_index"] != row["leaf_index"] or record is None:
        return False
    if not is_committed(parse_leaf(row["told"]), record=record, salt=salt):
        return False
    said = json.loads(record)
    named = all(row[it] == said[it] for it in ("card_sha256", "policy_sha256", "profile_sha256"))
    return bool(named and row["signature"].hex() == said["signature"])


def _checked(row: dict[str, Any], kind: str) -> bytes:
    name, body = row[f"{kind}_sha256"], row[kind]
    if body is None:
        raise IntegrityError(f"release {row['number']}: its {kind} {name[:12]} is gone")
    check_artefact(name, body)
    return bytes(body)


def _api_key(row: dict[str, Any]) -> ApiKeyRow:
    return ApiKeyRow(**{**row, "scopes": tuple(row["scopes"]), "networks": tuple(row["networks"])})

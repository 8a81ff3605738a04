"""How each kind of row is kept: the one place that knows which column takes what.

A row becomes the binary values of its columns; the rows of a batch become one array for each column, and one INSERT for each
table. A column is called as the field of the row that it takes; ``leaf_index`` takes the index of the leaf.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

from obligor.adapters.store.arrays import (
    ARRAYS,
    BYTEA,
    DATE,
    INT2,
    INT4,
    INT8,
    TEXT,
    TIME,
    UUID,
    day,
    int2,
    int4,
    int8,
    time,
)
from obligor.core.canonical import canonical_json
from obligor.core.errors import IntegrityError
from obligor.serving.rows import (
    RETAINED,
    ActionRow,
    AlertReportRow,
    AlertRow,
    AlertStepRow,
    ApiKeyRow,
    ArtefactRow,
    DecisionRow,
    ErasedRow,
    HoldRow,
    KeyringRow,
    ListRow,
    OutboxRow,
    OutcomeRow,
    OverrideRow,
    ProfileChangeRow,
    ProposalRow,
    ReleaseRow,
    ReviewDecisionRow,
    ReviewRow,
    SignInRow,
    SubjectKeyRow,
    UserRoleRow,
    UserRow,
    WebhookRow,
    YearlyReportRow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obligor.serving.rows import Row

    Pack = Callable[[Any], bytes]

Values = tuple[bytes | None, ...]


def _words(words: tuple[str, ...]) -> bytes:
    return " ".join(words).encode()


_TYPES: Final[dict[str, tuple[int, Pack]]] = {
    "text": (TEXT, str.encode),
    "words": (TEXT, _words),
    "bytea": (BYTEA, bytes),
    "int2": (INT2, int2),
    "int4": (INT4, int4),
    "int8": (INT8, int8),
    "date": (DATE, day),
    "time": (TIME, time),
    "uuid": (UUID, attrgetter("bytes")),
}
"""By name: the type of a column, and what packs a value of it. ``words`` are sent as one text, and kept as an array."""


@dataclass(frozen=True, slots=True)
class Insert:
    """One INSERT of many rows, by an array for each column."""

    name: str
    types: tuple[int, ...]
    sql: str
    values: Callable[[Any, bytes], Values]
    """Gives the values of a row under the index of its leaf (packed)."""

    @property
    def parameters(self) -> tuple[int, ...]:
        """The types of its parameters."""
        return tuple(ARRAYS[oid] for oid in self.types)


def retained_since(subject: str) -> str:
    """Write since when an alert that nobody cleared holds a subject, unless what it holds for was released since."""
    return f"""SELECT min(coalesce(confirmed.at, opened_at)) FROM obligor.decision CROSS JOIN LATERAL (
        SELECT alert_id, opened_at FROM obligor.alert WHERE alert.decision_id = decision.decision_id OFFSET 0
    ) AS alert LEFT JOIN LATERAL (
        SELECT at FROM obligor.alert_step WHERE alert_step.alert_id = alert.alert_id AND step = 'confirmed' OFFSET 0
    ) AS confirmed ON true
    WHERE decision.subject = {subject} AND (
        SELECT true FROM obligor.alert_step AS ended
        WHERE ended.alert_id = alert.alert_id AND ended.step IN ('cleared', 'corrected') LIMIT 1
    ) IS NULL AND NOT EXISTS (
        SELECT FROM obligor.legal_hold AS released
        WHERE released.subject = {subject} AND released_at >= coalesce(confirmed.at, opened_at)
            AND strpos(released.because, '{RETAINED}') > 0
    )"""  # noqa: S608  words of our own


def decided_on(subject: str) -> str:
    """Write how many decisions there are on a subject, and when the last was made, by a policy or by a person in its place."""
    return f"""SELECT count(*), max(greatest(decided_at, (
        SELECT decided_at FROM obligor.override WHERE override.decision_id = decision.decision_id
    ), (
        SELECT max(decided_at) FROM obligor.review_decision WHERE review_id = ANY (ARRAY(
            SELECT review_id FROM obligor.review WHERE review.decision_id = decision.decision_id))
    ))) FROM obligor.decision WHERE decision.subject = {subject}"""  # noqa: S608  words of our own


def _insert(
    table: str,
    columns: str,
    *,
    key: str = "",
    then: str = "",
    sql: str = "",
    values: Callable[[Any, bytes], Values] | None = None,
) -> Insert:
    """Write the INSERT of a table, by its columns with their types; a row whose ``key`` is there is replaced by a newer one.

    Where it is more than an INSERT, ``sql`` is the whole of it, which has the rows ``FROM given``. What comes with every
    decision is packed by ``values`` of its own, at two thirds of the cost.
    """
    types = dict(it.split() for it in columns.split(", "))
    names = ", ".join(types)
    arrays = ", ".join(f"${place}" for place in range(1, len(types) + 1))
    if not sql:
        taken = ", ".join(f"string_to_array({name}, ' ')" if it == "words" else name for name, it in types.items())
        sql = f"INSERT INTO obligor.{table} ({names}) SELECT {taken} FROM given"  # noqa: S608  names of our own
    if key:
        others = [name for name in types if name not in key.split(", ")]
        newer = ", ".join(f"excluded.{name}" for name in others)
        sql += f" ON CONFLICT ({key}) DO UPDATE SET ({', '.join(others)}) = ({newer})"
    return Insert(
        table,
        tuple(_TYPES[it][0] for it in types.values()),
        f"{sql.replace('FROM given', f'FROM unnest({arrays}) AS given ({names})')} {then}".strip(),
        values or _packing({name: _TYPES[it][1] for name, it in types.items()}),
    )


def _packing(packs: dict[str, Pack]) -> Callable[[Any, bytes], Values]:
    def values(row: object, leaf: bytes) -> Values:
        return tuple(
            leaf if name == "leaf_index" else _packed(getattr(row, name), pack) for name, pack in packs.items()
        )

    return values


def _packed(value: object, pack: Pack) -> bytes | None:
    return None if value is None else pack(value)


def _decision(row: DecisionRow, leaf: bytes) -> Values:
    application = None if row.application_id is None else row.application_id.encode()
    return (
        *(row.decision_id.bytes, leaf, row.client_id.encode(), application, time(row.decided_at)),
        *(row.outcome.encode(), row.band.encode(), int4(row.score), row.subject),
    )


def _event(row: OutboxRow, leaf: bytes) -> Values:
    application = None if row.application_id is None else row.application_id.encode()
    return (
        *(row.event_id.bytes, leaf, row.client_id.encode(), application, row.type.encode(), row.payload),
        time(row.created_at),
    )


def _subject_key(row: SubjectKeyRow, _: bytes) -> Values:
    return row.key_id, row.subject, int4(row.version), row.wrapped, time(row.created_at)


REQUEST: Final = _insert(
    "request",
    "client_id text, route text, key text, payload_sha256 bytea, status int2, response bytea, leaf_index int8, at time",
)
NODE: Final = _insert("node", "level int2, index int8, hash bytea")
_ARTEFACT: Final = _insert("artefact", "sha256 text, kind text, body bytea", then="ON CONFLICT (sha256) DO NOTHING")
_OUTBOX: Final = _insert(
    "outbox",
    "event_id uuid, leaf_index int8, client_id text, application_id text, type text, payload bytea, created_at time",
    values=_event,
    sql="""WITH event AS (
        INSERT INTO obligor.outbox (event_id, leaf_index, client_id, application_id, sequence, type, payload, created_at)
        SELECT event_id, leaf_index, client_id, application_id,
            CASE WHEN application_id IS NULL THEN 1 ELSE
                row_number() OVER (PARTITION BY client_id, application_id ORDER BY leaf_index) + coalesce(
                    (SELECT max(sequence) FROM obligor.outbox AS earlier
                     WHERE earlier.client_id = given.client_id AND earlier.application_id = given.application_id), 0)
            END, type, payload, created_at
        FROM given
        WHERE EXISTS (
            SELECT FROM obligor.webhook_endpoint AS listening
            WHERE listening.client_id = given.client_id AND state = 'active' AND given.type = ANY (event_types))
        RETURNING event_id, client_id, application_id, sequence, type, created_at
    )
    INSERT INTO obligor.delivery (event_id, endpoint_id, application_id, sequence, due_since, next_at)
    SELECT event_id, endpoint_id, application_id, sequence, event.created_at, event.created_at
    FROM event JOIN obligor.webhook_endpoint USING (client_id) WHERE state = 'active' AND type = ANY (event_types)""",
)
"""An event and its deliveries; none where the last endpoint for it ended since the process heard of it: it would be sent to
nobody, and so be pruned by nobody. Whoever took the same place in a batch ahead makes this one fail, and it goes again."""
_SUBJECT_KEY: Final = _insert(
    "subject_key",
    "key_id bytea, subject bytea, version int4, wrapped bytea, created_at time",
    values=_subject_key,
    sql="""INSERT INTO obligor.subject_key (key_id, subject, version, wrapped, created_at)
    SELECT key_id, subject,
        (SELECT keyring.version FROM obligor.keyring
         WHERE purpose = 'data' AND keyring.version = given.version AND keyring.wrapped IS NOT NULL),
        wrapped, created_at
    FROM given
    ON CONFLICT (key_id) DO NOTHING""",
)  # a key under a version that was retired has none, which the table refuses: nothing is recorded that nobody could read
_ERASED: Final = _insert(
    "erased",
    "subject bytea, at time, decisions int8, latest time",
    sql=f"""WITH gone AS (SELECT * FROM given),
    free AS (
        INSERT INTO obligor.erasure (subject, at)
        SELECT CASE WHEN (
            SELECT released_at IS NULL FROM obligor.legal_hold WHERE legal_hold.subject = gone.subject
        ) OR ({retained_since("gone.subject")}) IS NOT NULL OR EXISTS (
            SELECT FROM ({decided_on("gone.subject")}) AS decided (many, newest)
            WHERE (many, newest) IS DISTINCT FROM (decisions, latest)
        ) THEN NULL ELSE subject END, at FROM gone
        ON CONFLICT (subject) DO UPDATE SET at = excluded.at
        RETURNING subject, at, pg_notify('obligor_erasure', encode(subject, 'hex'))
    )
    UPDATE obligor.subject_key SET version = NULL, wrapped = NULL, destroyed_at = free.at
    FROM free WHERE subject_key.subject = free.subject AND destroyed_at IS NULL""",  # noqa: S608  words of our own
)  # under a hold, and of whom more was decided than was seen, the subject is null, which the table refuses
_HOLD: Final = _insert(
    "legal_hold",
    "subject bytea, because text, placed_at time, by text, released_at time, replaces text",
    sql="""INSERT INTO obligor.legal_hold (subject, because, placed_at, by, released_at)
    SELECT CASE WHEN replaces IS NOT DISTINCT FROM (
            SELECT held.because FROM obligor.legal_hold AS held
            WHERE held.subject = given.subject AND held.released_at IS NULL
        ) THEN subject END, because, placed_at, by, released_at
    FROM given
    ON CONFLICT (subject) DO UPDATE SET
        (because, placed_at, by, released_at) = (excluded.because, excluded.placed_at, excluded.by, excluded.released_at)""",
)  # where another hold stands than was seen the subject is null, which the table refuses
_KEYRING: Final = _insert(
    "keyring",
    "purpose text, version int4, wrapped bytea, proof bytea, created_at time, retired_at time",
    sql="""INSERT INTO obligor.keyring (purpose, version, wrapped, proof, created_at, retired_at)
    SELECT purpose, CASE WHEN wrapped IS NULL AND 0 < (
            SELECT count(*) FROM obligor.subject_key WHERE subject_key.version = given.version
        ) THEN NULL ELSE version END, wrapped, proof, created_at, retired_at
    FROM given
    ON CONFLICT (purpose, version) DO UPDATE SET wrapped = NULL, retired_at = excluded.retired_at
        WHERE excluded.wrapped IS NULL
    RETURNING pg_notify('obligor_keyring', version::text)""",
)  # a version that still wraps a key is null, which the table refuses

_KEPT: Final[dict[type, Insert]] = {
    DecisionRow: _insert(
        "decision",
        "decision_id uuid, leaf_index int8, client_id text, application_id text, decided_at time, outcome text, band text, "
        "score int4, subject bytea",
        values=_decision,
    ),
    ArtefactRow: _ARTEFACT,
    OutcomeRow: _insert("outcome", "report_id uuid, decision_id uuid, leaf_index int8, status text, observed_on date"),
    ReleaseRow: _insert(
        "release",
        "number int8, leaf_index int8, card_sha256 text, policy_sha256 text, profile_sha256 text, at time, by text, "
        "statement bytea, signature bytea",
        then="RETURNING pg_notify('obligor_release', number::text)",
    ),
    ApiKeyRow: _insert(
        "api_key",
        "key_id text, client_id text, name text, scopes words, secret_sha256 bytea, created_at time, expires_at time, "
        "revoked_at time, replaced_by text, networks words, leaf_index int8",
        then="""ON CONFLICT (key_id) DO UPDATE SET
            (client_id, name, scopes, secret_sha256, created_at, expires_at, revoked_at, replaced_by, networks, leaf_index)
            = (excluded.client_id, excluded.name, excluded.scopes, excluded.secret_sha256, excluded.created_at,
               excluded.expires_at, excluded.revoked_at, coalesce(excluded.replaced_by, api_key.replaced_by),
               excluded.networks, excluded.leaf_index)
            RETURNING pg_notify('obligor_api_key', key_id)""",
    ),
    UserRow: _insert(
        "app_user",
        "user_id text, password text, created_at time, disabled_at time, leaf_index int8",
        key="user_id",
        then="RETURNING pg_notify('obligor_api_key', user_id)",
    ),
    UserRoleRow: _insert(
        "user_role",
        "user_id text, role text, state text, proposed_by text, by text, at time, beside words, leaf_index int8",
        sql="""INSERT INTO obligor.user_role (user_id, role, state, proposed_by, by, at, leaf_index)
        SELECT CASE WHEN beside IS NULL OR (
                count(*) OVER (PARTITION BY user_id) = 1 AND string_to_array(beside, ' ') = ARRAY(
                    SELECT other.role FROM obligor.user_role AS other
                    WHERE other.user_id = given.user_id AND other.role <> given.role AND other.state <> 'revoked'
                    ORDER BY other.role COLLATE "C"
                ) AND (SELECT disabled_at FROM obligor.app_user WHERE app_user.user_id = given.user_id) IS NULL
            ) THEN user_id END, role, state, proposed_by, by, at, leaf_index
        FROM given""",
        then="""ON CONFLICT (user_id, role) DO UPDATE SET
            (state, proposed_by, by, at, leaf_index)
            = (excluded.state, excluded.proposed_by, excluded.by, excluded.at, excluded.leaf_index)
            RETURNING pg_notify('obligor_api_key', user_id)""",
    ),  # a role of who has others than were seen is nobody's, which the table refuses; two in one batch go again, each alone
    SignInRow: _insert("sign_in", "leaf_index int8, user_id text, at time"),
    ProfileChangeRow: _insert(
        "profile_change",
        "change_id text, step text, leaf_index int8, profile_sha256 text, replaces_sha256 text, because text, at time, "
        "by text",
    ),
    ProposalRow: _insert(
        "proposal",
        "proposal_id text, step text, kind text, said text, because text, proposed_by text, expires_at time, at time, by text, "
        "leaf_index int8",
    ),
    OutboxRow: _OUTBOX,
    WebhookRow: _insert(
        "webhook_endpoint",
        "endpoint_id text, client_id text, url text, event_types words, state text, secret bytea, previous_secret bytea, "
        "previous_until time, created_at time, leaf_index int8",
        then="""ON CONFLICT (endpoint_id) DO UPDATE SET
            (client_id, url, event_types, state, secret, previous_secret, previous_until, created_at, leaf_index)
            = (excluded.client_id, excluded.url, excluded.event_types,
               CASE WHEN excluded.state = 'disabled' OR (webhook_endpoint.state, excluded.state) = ('active', 'active')
                   OR (webhook_endpoint.secret = excluded.secret AND 'active' IN (webhook_endpoint.state, excluded.state))
               THEN excluded.state END,
               excluded.secret, excluded.previous_secret, excluded.previous_until, excluded.created_at, excluded.leaf_index)
            RETURNING pg_notify('obligor_webhook', endpoint_id)""",
    ),  # one that was stopped, or changed by a person, since it was looked at has no state, which the table refuses
    ReviewRow: _insert(
        "review",
        "review_id uuid, decision_id uuid, client_id text, leaf_index int8, requested_at time, due_at time, pack text",
        sql="""INSERT INTO obligor.review (review_id, decision_id, client_id, leaf_index, requested_at, due_at, pack)
        SELECT review_id, CASE WHEN row_number() OVER (PARTITION BY decision_id ORDER BY leaf_index) = 1
            AND (SELECT count(*) FROM obligor.review WHERE review.decision_id = given.decision_id AND NOT closed) = 0
            THEN decision_id END, client_id, leaf_index, requested_at, due_at, pack
        FROM given""",
    ),  # while another of its decision is open it has no decision, which the table refuses
    ReviewDecisionRow: _insert(
        "review_decision",
        "review_id uuid, leaf_index int8, verdict text, outcome text, decided_at time, by text, new_decision_id uuid",
    ),
    OverrideRow: _insert(
        "override",
        "decision_id uuid, leaf_index int8, client_id text, outcome text, direction text, reason text, role text, "
        "decided_at time, by text, agreed_by text, expires_at time",
        sql="""INSERT INTO obligor.override
            (decision_id, leaf_index, client_id, outcome, direction, reason, role, decided_at, by, agreed_by, expires_at)
        SELECT CASE WHEN (SELECT count(*) FROM obligor.review WHERE review.decision_id = given.decision_id) = 0 AND NOT EXISTS (
                SELECT FROM obligor.decision JOIN obligor.erasure USING (subject)
                WHERE decision.decision_id = given.decision_id AND erasure.at >= decision.decided_at
            ) THEN decision_id END,
            leaf_index, client_id, outcome, direction, reason, role, decided_at, by, agreed_by, expires_at
        FROM given""",
    ),  # where a review was asked for meanwhile, or the person was erased, it has no decision, which the table refuses
    ActionRow: _insert(
        "action",
        "decision_id uuid, step text, leaf_index int8, client_id text, done_on date, until date, at time, by text",
        sql="""INSERT INTO obligor.action (decision_id, step, leaf_index, client_id, done_on, until, at, by)
        SELECT CASE WHEN (
                SELECT true FROM obligor.decision JOIN obligor.erasure USING (subject)
                WHERE decision.decision_id = given.decision_id AND erasure.at >= decision.decided_at
            ) IS NULL THEN decision_id END,
            step, leaf_index, client_id, done_on, until, at, by
        FROM given""",
    ),  # where the person was erased it has no decision, which the table refuses
    ListRow: _insert(
        "screening_list",
        "leaf_index int8, list_sha256 text, source text, published date, entries int4, loaded_at time, by text, list_kind text",
        then="RETURNING pg_notify('obligor_list', list_sha256)",
    ),
    AlertRow: _insert(
        "alert",
        "alert_id uuid, decision_id uuid, client_id text, subject bytea, entry text, entry_sha256 text, score int4, "
        "list_sha256 text, opened_at time, leaf_index int8",
    ),
    AlertStepRow: _insert(
        "alert_step",
        "alert_id uuid, step text, because text, until time, at time, by text, leaf_index int8, finding text",
        then="RETURNING pg_notify('obligor_alert', step)",
    ),
    AlertReportRow: _insert(
        "alert_report",
        "alert_id uuid, number int2, reference text, reported_on date, because text, at time, by text, leaf_index int8",
    ),
    YearlyReportRow: _insert(
        "yearly_report",
        "year int2, number int2, reference text, reported_on date, alerts words, because text, at time, by text, "
        "leaf_index int8",
    ),
    SubjectKeyRow: _SUBJECT_KEY,
    ErasedRow: _ERASED,
    HoldRow: _HOLD,
    KeyringRow: _KEYRING,
}
INSERTS: Final = (*_KEPT.values(), REQUEST, NODE)


def values_of(row: Row, leaf: bytes) -> Iterator[tuple[Insert, Values]]:
    """Give the values of a row, and of those that come with it, under the index of its leaf (packed)."""
    if isinstance(row, ReleaseRow | ProfileChangeRow):
        for artefact in row.artefacts:
            check_artefact(artefact.sha256, artefact.body)
            yield _ARTEFACT, _ARTEFACT.values(artefact, leaf)
        if isinstance(row, ReleaseRow) and row.leaf_index is not None:
            leaf = int8(row.leaf_index)
    insert = _KEPT[type(row)]
    yield insert, insert.values(row, leaf)


def check_artefact(name: str, body: bytes) -> None:
    """Refuse an artefact whose content is not what its hash says: of its bytes, or of its JSON in canonical form."""
    if sha256(body).hexdigest() == name:
        return
    try:
        said = canonical_json(json.loads(body))
    except ValueError:
        said = b""
    if sha256(said).hexdigest() != name:
        raise IntegrityError(f"the artefact {name[:12]} is not what its hash says")

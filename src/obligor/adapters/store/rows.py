"""How each kind of row is kept: the one place that knows which column takes what.

A row becomes the binary values of its columns; the rows of a batch become one array for each column, and one INSERT for each
table.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
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
    int4,
    int8,
    time,
)
from obligor.core.canonical import canonical_json
from obligor.core.errors import IntegrityError
from obligor.serving.acts import (
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
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from obligor.serving.acts import Row

Values = tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Insert:
    """One INSERT of many rows, by an array for each column."""

    name: str
    types: tuple[int, ...]
    sql: str

    @property
    def parameters(self) -> tuple[int, ...]:
        """The types of its parameters."""
        return tuple(ARRAYS[oid] for oid in self.types)


def _insert(table: str, columns: dict[str, int], *, then: str = "", written: str = "*") -> Insert:
    arrays = ", ".join(f"${place}" for place in range(1, len(columns) + 1))
    sql = (
        f"INSERT INTO obligor.{table} ({', '.join(columns)}) "  # noqa: S608  names of our own
        f"SELECT {written} FROM unnest({arrays}) AS given ({', '.join(columns)}) {then}"
    )
    return Insert(table, tuple(columns.values()), sql.strip())


REQUEST: Final = _insert(
    "request",
    {
        "client_id": TEXT,
        "route": TEXT,
        "key": TEXT,
        "payload_sha256": BYTEA,
        "status": INT2,
        "response": BYTEA,
        "leaf_index": INT8,
        "at": TIME,
    },
)
NODE: Final = _insert("node", {"level": INT2, "index": INT8, "hash": BYTEA})
_DECISION = _insert(
    "decision",
    {
        "decision_id": UUID,
        "leaf_index": INT8,
        "client_id": TEXT,
        "application_id": TEXT,
        "decided_at": TIME,
        "outcome": TEXT,
        "band": TEXT,
        "score": INT4,
        "subject": BYTEA,
    },
)
_OUTCOME = _insert(
    "outcome", {"report_id": UUID, "decision_id": UUID, "leaf_index": INT8, "status": TEXT, "observed_on": DATE}
)
_ARTEFACT = _insert("artefact", {"sha256": TEXT, "kind": TEXT, "body": BYTEA}, then="ON CONFLICT (sha256) DO NOTHING")
_RELEASE = _insert(
    "release",
    {
        "number": INT8,
        "leaf_index": INT8,
        "card_sha256": TEXT,
        "policy_sha256": TEXT,
        "profile_sha256": TEXT,
        "at": TIME,
        "by": TEXT,
        "statement": BYTEA,
        "signature": BYTEA,
    },
    then="RETURNING pg_notify('obligor_release', number::text)",
)
_API_KEY = _insert(
    "api_key",
    {
        "key_id": TEXT,
        "client_id": TEXT,
        "name": TEXT,
        "scopes": TEXT,
        "secret_sha256": BYTEA,
        "created_at": TIME,
        "expires_at": TIME,
        "revoked_at": TIME,
        "replaced_by": TEXT,
        "leaf_index": INT8,
    },
    written="""key_id, client_id, name, string_to_array(scopes, ' '), secret_sha256, created_at, expires_at, revoked_at,
        replaced_by, leaf_index""",
    then="""ON CONFLICT (key_id) DO UPDATE SET
        (client_id, name, scopes, secret_sha256, created_at, expires_at, revoked_at, replaced_by, leaf_index)
        = (excluded.client_id, excluded.name, excluded.scopes, excluded.secret_sha256, excluded.created_at,
           excluded.expires_at, excluded.revoked_at, coalesce(excluded.replaced_by, api_key.replaced_by),
           excluded.leaf_index)
        RETURNING pg_notify('obligor_api_key', key_id)""",
)
_OUTBOX = Insert(
    "outbox",
    (UUID, INT8, TEXT, TEXT, TEXT, BYTEA, TIME),
    """WITH event AS (
        INSERT INTO obligor.outbox (event_id, leaf_index, client_id, application_id, sequence, type, payload, created_at)
        SELECT event_id, leaf_index, client_id, application_id,
            CASE WHEN application_id IS NULL THEN 1 ELSE
                row_number() OVER (PARTITION BY client_id, application_id ORDER BY leaf_index) + coalesce(
                    (SELECT max(sequence) FROM obligor.outbox AS earlier
                     WHERE earlier.client_id = given.client_id AND earlier.application_id = given.application_id), 0)
            END, type, payload, created_at
        FROM unnest($1, $2, $3, $4, $5, $6, $7)
            AS given (event_id, leaf_index, client_id, application_id, type, payload, created_at)
        RETURNING event_id, client_id, application_id, sequence, type, created_at
    )
    INSERT INTO obligor.delivery (event_id, endpoint_id, application_id, sequence, due_since, next_at)
    SELECT event_id, endpoint_id, application_id, sequence, event.created_at, event.created_at
    FROM event JOIN obligor.webhook_endpoint USING (client_id) WHERE state = 'active' AND type = ANY (event_types)""",
)
"""An event and its deliveries; who inserts holds the head of the log, so that places are taken one after the other."""
_WEBHOOK = _insert(
    "webhook_endpoint",
    {
        "endpoint_id": TEXT,
        "client_id": TEXT,
        "url": TEXT,
        "event_types": TEXT,
        "state": TEXT,
        "secret": BYTEA,
        "previous_secret": BYTEA,
        "previous_until": TIME,
        "created_at": TIME,
        "leaf_index": INT8,
    },
    written="""endpoint_id, client_id, url, string_to_array(event_types, ' '), state, secret, previous_secret, previous_until,
        created_at, leaf_index""",
    then="""ON CONFLICT (endpoint_id) DO UPDATE SET
        (client_id, url, event_types, state, secret, previous_secret, previous_until, created_at, leaf_index)
        = (excluded.client_id, excluded.url, excluded.event_types, excluded.state, excluded.secret,
           excluded.previous_secret, excluded.previous_until, excluded.created_at, excluded.leaf_index)
        RETURNING pg_notify('obligor_webhook', endpoint_id)""",
)

_USER = _insert(
    "app_user",
    {"user_id": TEXT, "password": TEXT, "created_at": TIME, "disabled_at": TIME, "leaf_index": INT8},
    then="""ON CONFLICT (user_id) DO UPDATE SET
        (password, created_at, disabled_at, leaf_index)
        = (excluded.password, excluded.created_at, excluded.disabled_at, excluded.leaf_index)
        RETURNING pg_notify('obligor_api_key', user_id)""",
)
_USER_ROLE = _insert(
    "user_role",
    {
        "user_id": TEXT,
        "role": TEXT,
        "state": TEXT,
        "proposed_by": TEXT,
        "by": TEXT,
        "at": TIME,
        "leaf_index": INT8,
    },
    then="""ON CONFLICT (user_id, role) DO UPDATE SET
        (state, proposed_by, by, at, leaf_index)
        = (excluded.state, excluded.proposed_by, excluded.by, excluded.at, excluded.leaf_index)
        RETURNING pg_notify('obligor_api_key', user_id)""",
)
_SIGN_IN = _insert("sign_in", {"leaf_index": INT8, "user_id": TEXT, "at": TIME})
_PROFILE_CHANGE = _insert(
    "profile_change",
    {
        "change_id": TEXT,
        "step": TEXT,
        "leaf_index": INT8,
        "profile_sha256": TEXT,
        "replaces_sha256": TEXT,
        "because": TEXT,
        "at": TIME,
        "by": TEXT,
    },
)
_PROPOSAL = _insert(
    "proposal",
    {
        "proposal_id": TEXT,
        "step": TEXT,
        "kind": TEXT,
        "said": TEXT,
        "because": TEXT,
        "proposed_by": TEXT,
        "expires_at": TIME,
        "at": TIME,
        "by": TEXT,
        "leaf_index": INT8,
    },
)

_REVIEW = _insert(
    "review",
    {
        "review_id": UUID,
        "decision_id": UUID,
        "client_id": TEXT,
        "leaf_index": INT8,
        "requested_at": TIME,
        "due_at": TIME,
        "pack": TEXT,
    },
)
_REVIEW_DECISION = _insert(
    "review_decision",
    {
        "review_id": UUID,
        "leaf_index": INT8,
        "verdict": TEXT,
        "outcome": TEXT,
        "decided_at": TIME,
        "by": TEXT,
        "new_decision_id": UUID,
    },
)
_LIST = _insert(
    "screening_list",
    {
        "leaf_index": INT8,
        "list_sha256": TEXT,
        "source": TEXT,
        "published": DATE,
        "entries": INT4,
        "loaded_at": TIME,
        "by": TEXT,
    },
    then="RETURNING pg_notify('obligor_list', list_sha256)",
)
_ALERT = _insert(
    "alert",
    {
        "alert_id": UUID,
        "decision_id": UUID,
        "client_id": TEXT,
        "subject": BYTEA,
        "entry": TEXT,
        "entry_sha256": TEXT,
        "score": INT4,
        "list_sha256": TEXT,
        "opened_at": TIME,
        "leaf_index": INT8,
    },
)
_ALERT_STEP = _insert(
    "alert_step",
    {
        "alert_id": UUID,
        "step": TEXT,
        "because": TEXT,
        "until": TIME,
        "at": TIME,
        "by": TEXT,
        "leaf_index": INT8,
    },
    then="RETURNING pg_notify('obligor_alert', step)",
)
_SUBJECT_KEY = Insert(
    "subject_key",
    (BYTEA, BYTEA, INT4, BYTEA, TIME),
    """INSERT INTO obligor.subject_key (key_id, subject, version, wrapped, created_at)
    SELECT key_id, subject,
        (SELECT keyring.version FROM obligor.keyring
         WHERE purpose = 'data' AND keyring.version = given.version AND keyring.wrapped IS NOT NULL),
        wrapped, created_at
    FROM unnest($1, $2, $3, $4, $5) AS given (key_id, subject, version, wrapped, created_at)
    ON CONFLICT (key_id) DO NOTHING""",
)  # a key under a version that was retired has none, which the table refuses: nothing is recorded that nobody could read
_ERASED = Insert(
    "erased",
    (BYTEA, TIME),
    """WITH given AS (SELECT * FROM unnest($1, $2) AS given (subject, at)),
    free AS (
        INSERT INTO obligor.erasure (subject, at)
        SELECT CASE WHEN (
            SELECT released_at IS NULL FROM obligor.legal_hold WHERE legal_hold.subject = given.subject
        ) THEN NULL ELSE subject END, at FROM given
        ON CONFLICT (subject) DO UPDATE SET at = excluded.at
        RETURNING subject, at, pg_notify('obligor_erasure', encode(subject, 'hex'))
    )
    UPDATE obligor.subject_key SET version = NULL, wrapped = NULL, destroyed_at = free.at
    FROM free WHERE subject_key.subject = free.subject AND destroyed_at IS NULL""",
)  # under a hold the subject is null, which the table refuses
_HOLD = _insert(
    "legal_hold",
    {"subject": BYTEA, "because": TEXT, "placed_at": TIME, "by": TEXT, "released_at": TIME},
    then="""ON CONFLICT (subject) DO UPDATE SET (because, placed_at, by, released_at)
        = (excluded.because, excluded.placed_at, excluded.by, excluded.released_at)""",
)
_KEYRING = Insert(
    "keyring",
    (TEXT, INT4, BYTEA, BYTEA, TIME, TIME),
    """INSERT INTO obligor.keyring (purpose, version, wrapped, proof, created_at, retired_at)
    SELECT purpose, CASE WHEN wrapped IS NULL AND 0 < (
            SELECT count(*) FROM obligor.subject_key WHERE subject_key.version = given.version
        ) THEN NULL ELSE version END, wrapped, proof, created_at, retired_at
    FROM unnest($1, $2, $3, $4, $5, $6) AS given (purpose, version, wrapped, proof, created_at, retired_at)
    ON CONFLICT (purpose, version) DO UPDATE SET wrapped = NULL, retired_at = excluded.retired_at
        WHERE excluded.wrapped IS NULL
    RETURNING pg_notify('obligor_keyring', version::text)""",
)  # a version that still wraps a key is null, which the table refuses


def _decision(row: DecisionRow, leaf: bytes) -> Values:
    application = None if row.application_id is None else row.application_id.encode()
    return (
        *(row.decision_id.bytes, leaf, row.client_id.encode(), application, time(row.decided_at)),
        *(row.outcome.encode(), row.band.encode(), int4(row.score), row.subject),
    )


def _outcome(row: OutcomeRow, leaf: bytes) -> Values:
    return row.report_id.bytes, row.decision_id.bytes, leaf, row.status.encode(), day(row.observed_on)


def _artefact(row: ArtefactRow, _: bytes) -> Values:
    check_artefact(row.sha256, row.body)
    return row.sha256.encode(), row.kind.encode(), row.body


def _release(row: ReleaseRow, leaf: bytes) -> Values:
    return (
        *(int8(row.number), leaf, row.card_sha256.encode(), row.policy_sha256.encode(), row.profile_sha256.encode()),
        *(time(row.at), row.by.encode(), row.statement, row.signature),
    )


def _api_key(row: ApiKeyRow, leaf: bytes) -> Values:
    return (
        *(row.key_id.encode(), row.client_id.encode(), row.name.encode(), " ".join(row.scopes).encode()),
        *(row.secret_sha256, time(row.created_at), time(row.expires_at)),
        None if row.revoked_at is None else time(row.revoked_at),
        None if row.replaced_by is None else row.replaced_by.encode(),
        leaf,
    )


def _user(row: UserRow, leaf: bytes) -> Values:
    disabled = None if row.disabled_at is None else time(row.disabled_at)
    return row.user_id.encode(), row.password.encode(), time(row.created_at), disabled, leaf


def _user_role(row: UserRoleRow, leaf: bytes) -> Values:
    said = (row.user_id, row.role, row.state, row.proposed_by, row.by)
    return (*(it.encode() for it in said), time(row.at), leaf)


def _sign_in(row: SignInRow, leaf: bytes) -> Values:
    return leaf, row.user_id.encode(), time(row.at)


def _profile_change(row: ProfileChangeRow, leaf: bytes) -> Values:
    return (
        *(row.change_id.encode(), row.step.encode(), leaf, row.profile_sha256.encode(), row.replaces_sha256.encode()),
        *(row.because.encode(), time(row.at), row.by.encode()),
    )


def _proposal(row: ProposalRow, leaf: bytes) -> Values:
    said = (row.proposal_id, row.step, row.kind, row.said, row.because, row.proposed_by)
    return (*(it.encode() for it in said), time(row.expires_at), time(row.at), row.by.encode(), leaf)


def _outbox(row: OutboxRow, leaf: bytes) -> Values:
    application = None if row.application_id is None else row.application_id.encode()
    return (
        *(row.event_id.bytes, leaf, row.client_id.encode(), application, row.type.encode(), row.payload),
        time(row.created_at),
    )


def _webhook(row: WebhookRow, leaf: bytes) -> Values:
    return (
        *(row.endpoint_id.encode(), row.client_id.encode(), row.url.encode(), " ".join(row.event_types).encode()),
        *(row.state.encode(), row.secret, row.previous_secret),
        None if row.previous_until is None else time(row.previous_until),
        time(row.created_at),
        leaf,
    )


def _review(row: ReviewRow, leaf: bytes) -> Values:
    return (
        *(row.review_id.bytes, row.decision_id.bytes, row.client_id.encode(), leaf),
        *(time(row.requested_at), time(row.due_at), row.pack.encode()),
    )


def _review_decision(row: ReviewDecisionRow, leaf: bytes) -> Values:
    said = (row.verdict.encode(), row.outcome.encode(), time(row.decided_at), row.by.encode())
    return row.review_id.bytes, leaf, *said, None if row.new_decision_id is None else row.new_decision_id.bytes


def _list(row: ListRow, leaf: bytes) -> Values:
    return (
        *(leaf, row.list_sha256.encode(), row.source.encode(), day(row.published), int4(row.entries)),
        *(time(row.loaded_at), row.by.encode()),
    )


def _alert(row: AlertRow, leaf: bytes) -> Values:
    return (
        *(row.alert_id.bytes, row.decision_id.bytes, row.client_id.encode(), row.subject, row.entry.encode()),
        *(row.entry_sha256.encode(), int4(row.score), row.list_sha256.encode(), time(row.opened_at), leaf),
    )


def _alert_step(row: AlertStepRow, leaf: bytes) -> Values:
    said = (row.alert_id.bytes, row.step.encode(), row.because.encode(), time(row.until), time(row.at))
    return *said, row.by.encode(), leaf


def _subject_key(row: SubjectKeyRow, _: bytes) -> Values:
    return row.key_id, row.subject, int4(row.version), row.wrapped, time(row.created_at)


def _erased(row: ErasedRow, _: bytes) -> Values:
    return row.subject, time(row.at)


def _hold(row: HoldRow, _: bytes) -> Values:
    released = None if row.released_at is None else time(row.released_at)
    return row.subject, row.because.encode(), time(row.placed_at), row.by.encode(), released


def _keyring(row: KeyringRow, _: bytes) -> Values:
    retired = None if row.retired_at is None else time(row.retired_at)
    return row.purpose.encode(), int4(row.version), row.wrapped, row.proof, time(row.created_at), retired


_KEPT: Final[dict[type, tuple[Insert, Callable[[Any, bytes], Values]]]] = {
    DecisionRow: (_DECISION, _decision),
    OutcomeRow: (_OUTCOME, _outcome),
    ArtefactRow: (_ARTEFACT, _artefact),
    ReleaseRow: (_RELEASE, _release),
    ApiKeyRow: (_API_KEY, _api_key),
    UserRow: (_USER, _user),
    UserRoleRow: (_USER_ROLE, _user_role),
    SignInRow: (_SIGN_IN, _sign_in),
    ProfileChangeRow: (_PROFILE_CHANGE, _profile_change),
    ProposalRow: (_PROPOSAL, _proposal),
    OutboxRow: (_OUTBOX, _outbox),
    WebhookRow: (_WEBHOOK, _webhook),
    ReviewRow: (_REVIEW, _review),
    ReviewDecisionRow: (_REVIEW_DECISION, _review_decision),
    ListRow: (_LIST, _list),
    AlertRow: (_ALERT, _alert),
    AlertStepRow: (_ALERT_STEP, _alert_step),
    SubjectKeyRow: (_SUBJECT_KEY, _subject_key),
    ErasedRow: (_ERASED, _erased),
    HoldRow: (_HOLD, _hold),
    KeyringRow: (_KEYRING, _keyring),
}
INSERTS: Final = (*(insert for insert, _ in _KEPT.values()), REQUEST, NODE)


def values_of(row: Row, leaf: bytes) -> Iterator[tuple[Insert, Values]]:
    """Give the values of a row, and of those that come with it, under the index of its leaf (packed)."""
    if isinstance(row, ReleaseRow | ProfileChangeRow | ListRow):
        for artefact in row.artefacts:
            yield _ARTEFACT, _artefact(artefact, leaf)
    insert, values = _KEPT[type(row)]
    yield insert, values(row, leaf)


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

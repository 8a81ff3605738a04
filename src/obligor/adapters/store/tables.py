"""The tables of the store, in the schema ``obligor``.

The *log* is what the others rest on: a leaf for every act, its private record, the roots of complete subtrees, and one row
with the size of it all. ``decision``, ``outcome``, ``review``, ``release`` and others are projections of records, kept to be
searched; ``obligor audit verify`` holds them against the records. Text compares byte by byte, times are in UTC, hashes are
32 bytes.

Rows of one transaction come from one writer, which holds ``tree_head``: so nothing refers to a leaf by a foreign key, whose
check would cost every decision more.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)

SCHEMA: Final = "obligor"

METADATA: Final = MetaData(schema=SCHEMA)

_TIME = DateTime(timezone=True)
_PASSWORD_SHA256 = (
    r"CASE WHEN password = '' THEN '' ELSE encode(sha256(replace(password, '\', '\\')::bytea), 'hex') END"  # noqa: S105  of its hash
)


def _hash_of_32(column: str) -> CheckConstraint:
    return CheckConstraint(f"octet_length({column}) = 32", name=f"{column}_is_sha256")


LEAF: Final = Table(
    "leaf",
    METADATA,
    Column("index", BigInteger, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("index", name="leaf_pkey"),
    _hash_of_32("hash"),
    Index("leaf_releases", "index", postgresql_where=text("kind = 'release'")),
    Index("leaf_restores", "index", postgresql_where=text("kind IN ('restore.proposed', 'restore.acknowledged')")),
    comment="The audit log: one act in each row, told without what is private. Rows are added, never changed.",
)

RECORD: Final = Table(
    "record",
    METADATA,
    Column("leaf_index", BigInteger, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    PrimaryKeyConstraint("leaf_index", name="record_pkey"),
    comment="What a leaf commits to: the whole act, private. Rows are added, never changed.",
)

NODE: Final = Table(
    "node",
    METADATA,
    Column("level", SmallInteger, autoincrement=False),
    Column("index", BigInteger, autoincrement=False),
    Column("hash", LargeBinary, nullable=False),
    PrimaryKeyConstraint("level", "index", name="node_pkey"),
    _hash_of_32("hash"),
    comment="The roots of complete subtrees of 256^level leaves, so that a proof reads few rows.",
)

TREE_HEAD: Final = Table(
    "tree_head",
    METADATA,
    Column("one", Boolean),
    Column("size", BigInteger, nullable=False),
    Column("at", _TIME),
    PrimaryKeyConstraint("one", name="tree_head_pkey"),
    CheckConstraint("one", name="one_row"),
    comment="One row: how many leaves there are, and the time of the last. Who writes holds it.",
)

DECISION: Final = Table(
    "decision",
    METADATA,
    Column("decision_id", Uuid),
    Column("leaf_index", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("application_id", Text),
    Column("decided_at", _TIME, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("band", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("subject", LargeBinary),
    PrimaryKeyConstraint("decision_id", name="decision_pkey"),
    UniqueConstraint("leaf_index", name="decision_leaf_index_key"),
    Index("decision_client", "client_id", "leaf_index"),
    Index("decision_application", "application_id", "leaf_index"),
    Index("decision_held", "leaf_index", postgresql_where=text("outcome = 'hold'")),
    Index("decision_subject", "subject", "leaf_index", postgresql_where=text("subject IS NOT NULL")),
    comment="What a decision is searched by; the score is in thousandths.",
)

REQUEST: Final = Table(
    "request",
    METADATA,
    Column("client_id", Text),
    Column("route", Text),
    Column("key", Text),
    Column("payload_sha256", LargeBinary, nullable=False),
    Column("status", SmallInteger, nullable=False),
    Column("response", LargeBinary, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("client_id", "route", "key", name="request_pkey"),
    comment="The answer of every request, by its idempotency key: sent again, it is answered with the same bytes.",
)

OUTCOME: Final = Table(
    "outcome",
    METADATA,
    Column("report_id", Uuid),
    Column("decision_id", Uuid, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("observed_on", Date, nullable=False),
    PrimaryKeyConstraint("report_id", name="outcome_pkey"),
    UniqueConstraint("leaf_index", name="outcome_leaf_index_key"),
    Index("outcome_decision", "decision_id", "leaf_index"),
    comment="What became of a loan, as the client reported it.",
)

ARTEFACT: Final = Table(
    "artefact",
    METADATA,
    Column("sha256", Text),
    Column("kind", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("sha256", name="artefact_pkey"),
    comment="The bytes of cards, policies and profiles, by the hash of what they say.",
)

RELEASE: Final = Table(
    "release",
    METADATA,
    Column("number", BigInteger, autoincrement=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("card_sha256", Text, nullable=False),
    Column("policy_sha256", Text, nullable=False),
    Column("profile_sha256", Text, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("signature", LargeBinary, nullable=False),
    PrimaryKeyConstraint("number", name="release_pkey"),
    UniqueConstraint("leaf_index", name="release_leaf_index_key"),
    comment="Which card, policy and profile were put in force together; the one with the highest number is.",
)

API_KEY: Final = Table(
    "api_key",
    METADATA,
    Column("key_id", Text),
    Column("client_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("secret_sha256", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("revoked_at", _TIME),
    Column("leaf_index", BigInteger, nullable=False),
    Column("replaced_by", Text),
    Column("networks", ARRAY(Text), nullable=False, server_default="{}"),
    PrimaryKeyConstraint("key_id", name="api_key_pkey"),
    _hash_of_32("secret_sha256"),
    comment="The API keys of clients; of a secret only its hash is kept. The leaf is that of the last change.",
)

REVIEW: Final = Table(
    "review",
    METADATA,
    Column("review_id", Uuid),
    Column("decision_id", Uuid, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("requested_at", _TIME, nullable=False),
    Column("due_at", _TIME, nullable=False),
    Column("pack", Text, nullable=False),
    Column("closed", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("review_id", name="review_pkey"),
    UniqueConstraint("leaf_index", name="review_leaf_index_key"),
    Index("review_decision_id", "decision_id", "leaf_index"),
    Index("review_open", "due_at", postgresql_where=text("NOT closed")),
    comment="Who asked that a person looks at which decision, and by when; what they wrote is in the record alone.",
)

REVIEW_DECISION: Final = Table(
    "review_decision",
    METADATA,
    Column("review_id", Uuid),
    Column("leaf_index", BigInteger, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("decided_at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("new_decision_id", Uuid),
    PrimaryKeyConstraint("review_id", name="review_decision_pkey"),
    UniqueConstraint("leaf_index", name="review_decision_leaf_index_key"),
    comment="What came of a review: once, as the key says.",
)

OVERRIDE: Final = Table(
    "override",
    METADATA,
    Column("decision_id", Uuid),
    Column("leaf_index", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("decided_at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("agreed_by", Text),
    Column("expires_at", _TIME),
    PrimaryKeyConstraint("decision_id", name="override_pkey"),
    UniqueConstraint("leaf_index", name="override_leaf_index_key"),
    CheckConstraint("outcome IN ('approve', 'decline')", name="override_outcome"),
    CheckConstraint("(expires_at IS NOT NULL) = (outcome = 'approve')", name="override_that_approves_expires"),
    comment="What a person decided in place of a decision: once, as the key says; what they wrote is in the record alone.",
)

ACTION: Final = Table(
    "action",
    METADATA,
    Column("decision_id", Uuid),
    Column("step", Text),
    Column("leaf_index", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("done_on", Date, nullable=False),
    Column("until", Date),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    PrimaryKeyConstraint("decision_id", "step", name="action_pkey"),
    UniqueConstraint("leaf_index", name="action_leaf_index_key"),
    CheckConstraint("step IN ('offered', 'accepted', 'not_accepted', 'incomplete')", name="action_step"),
    CheckConstraint("(until IS NOT NULL) = (step IN ('offered', 'incomplete'))", name="action_that_waits_ends"),
    Index("action_answer", "decision_id", unique=True, postgresql_where=text("step IN ('accepted', 'not_accepted')")),
    comment="What a lender did beside a decision; what was offered, or is missing, is in the record alone.",
)

KEYRING: Final = Table(
    "keyring",
    METADATA,
    Column("purpose", Text),
    Column("version", Integer, autoincrement=False),
    Column("wrapped", LargeBinary),
    Column("proof", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("retired_at", _TIME),
    PrimaryKeyConstraint("purpose", "version", name="keyring_pkey"),
    CheckConstraint("(wrapped IS NULL) = (retired_at IS NOT NULL)", name="retired_is_gone"),
    comment="The keys that wrap the keys of subjects, and the one that names them, wrapped by the KMS.",
)

SUBJECT_KEY: Final = Table(
    "subject_key",
    METADATA,
    Column("key_id", LargeBinary),
    Column("subject", LargeBinary, nullable=False),
    Column("version", Integer),
    Column("wrapped", LargeBinary),
    Column("created_at", _TIME, nullable=False),
    Column("destroyed_at", _TIME),
    PrimaryKeyConstraint("key_id", name="subject_key_pkey"),
    CheckConstraint(
        "(destroyed_at IS NULL) = (version IS NOT NULL) AND (destroyed_at IS NULL) = (wrapped IS NOT NULL)",
        name="destroyed_is_gone",
    ),
    Index("subject_key_subject", "subject"),
    Index("subject_key_version", "version"),
    comment="The keys that personal data are sealed by, wrapped. One that was destroyed stays as a row without a key.",
)

ERASURE: Final = Table(
    "erasure",
    METADATA,
    Column("subject", LargeBinary),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("subject", name="erasure_pkey"),
    Index("erasure_at", "at"),
    comment="When the keys of a subject were destroyed, the last time.",
)

LEGAL_HOLD: Final = Table(
    "legal_hold",
    METADATA,
    Column("subject", LargeBinary),
    Column("because", Text, nullable=False),
    Column("placed_at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("released_at", _TIME),
    PrimaryKeyConstraint("subject", name="legal_hold_pkey"),
    comment="Who may not be erased, and why.",
)

LINK_MARK: Final = Table(
    "link_mark",
    METADATA,
    Column("leaf_index", BigInteger, autoincrement=False),
    Column("kind", Text),
    Column("mark", LargeBinary, nullable=False),
    Column("beside", LargeBinary, nullable=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("leaf_index", "kind", name="link_mark_pkey"),
    CheckConstraint("kind IN ('application', 'person', 'number', 'named')", name="link_mark_kind"),
    Index("link_mark_mark", "mark", "leaf_index"),
    comment="By what an application is alike to others of its client, and what is then compared: keyed hashes.",
)

LINK: Final = Table(
    "link",
    METADATA,
    Column("leaf_index", BigInteger, autoincrement=False),
    Column("why", Text),
    Column("other_index", BigInteger, nullable=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("leaf_index", "why", name="link_pkey"),
    CheckConstraint(
        "why IN ('repeated', 'contradicting', 'velocity', 'other_person', 'other_number')", name="link_why"
    ),
    Index("link_other", "other_index"),
    comment="Which decision was linked to which earlier one, by their leaves, and why.",
)

LINK_PROGRESS: Final = Table(
    "link_progress",
    METADATA,
    Column("one", Boolean),
    Column("next", BigInteger, nullable=False),
    Column("at", _TIME),
    PrimaryKeyConstraint("one", name="link_progress_pkey"),
    CheckConstraint("one", name="link_progress_one_row"),
    comment="One row: the leaf from which on decisions are still to be linked.",
)

CHECKPOINT: Final = Table(
    "checkpoint",
    METADATA,
    Column("size", BigInteger, autoincrement=False),
    Column("at", _TIME, nullable=False),
    Column("note", LargeBinary, nullable=False),
    PrimaryKeyConstraint("size", name="checkpoint_pkey"),
    comment="Signed heads of the log, as notes that anchors keep too.",
)

ANCHORING: Final = Table(
    "anchoring",
    METADATA,
    Column("anchor", Text),
    Column("size", BigInteger, autoincrement=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("anchor", "size", name="anchoring_pkey"),
    comment="Which checkpoint was handed to which anchor, and when.",
)

# People

APP_USER: Final = Table(
    "app_user",
    METADATA,
    Column("user_id", Text),
    Column("password", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("disabled_at", _TIME),
    Column("leaf_index", BigInteger, nullable=False),
    Column("password_sha256", Text, Computed(_PASSWORD_SHA256), nullable=False),
    PrimaryKeyConstraint("user_id", name="app_user_pkey"),
    comment="The people who may sign in; of a password only its hash (argon2id) is kept, and the SHA-256 of that, which "
    "the log tells. The leaf is that of the last change.",
)

USER_ROLE: Final = Table(
    "user_role",
    METADATA,
    Column("user_id", Text),
    Column("role", Text),
    Column("state", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    PrimaryKeyConstraint("user_id", "role", name="user_role_pkey"),
    CheckConstraint("state IN ('proposed', 'granted', 'revoked')", name="state_is_known"),
    comment="The roles of people: proposed by one person, granted by another. The leaf is that of the last change.",
)

SIGN_IN: Final = Table(
    "sign_in",
    METADATA,
    Column("leaf_index", BigInteger, autoincrement=False),
    Column("user_id", Text, nullable=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("leaf_index", name="sign_in_pkey"),
    Index("sign_in_user", "user_id", "at"),
    comment="When somebody signed in with a password.",
)

PROFILE_CHANGE: Final = Table(
    "profile_change",
    METADATA,
    Column("change_id", Text),
    Column("step", Text),
    Column("leaf_index", BigInteger, nullable=False),
    Column("profile_sha256", Text, nullable=False),
    Column("replaces_sha256", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    PrimaryKeyConstraint("change_id", "step", name="profile_change_pkey"),
    UniqueConstraint("leaf_index", name="profile_change_leaf_index_key"),
    CheckConstraint("step IN ('proposed', 'approved')", name="step_is_known"),
    comment="Proposals and approvals of compliance profiles: one row for each step.",
)

PROPOSAL: Final = Table(
    "proposal",
    METADATA,
    Column("proposal_id", Text),
    Column("step", Text),
    Column("kind", Text, nullable=False),
    Column("said", Text, nullable=False),
    Column("because", Text, nullable=False),
    Column("proposed_by", Text, nullable=False),
    Column("expires_at", _TIME, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    PrimaryKeyConstraint("proposal_id", "step", name="proposal_pkey"),
    UniqueConstraint("leaf_index", name="proposal_leaf_index_key"),
    CheckConstraint("step IN ('proposed', 'agreed', 'done', 'withdrawn')", name="proposal_step_is_known"),
    Index("proposal_expires_at", "expires_at"),
    comment="Acts that take two people: one proposes, another agrees, the first does it or takes it back; a row for each step.",
)

WEBHOOK_ENDPOINT: Final = Table(
    "webhook_endpoint",
    METADATA,
    Column("endpoint_id", Text),
    Column("client_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("event_types", ARRAY(Text), nullable=False),
    Column("state", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False),
    Column("previous_secret", LargeBinary),
    Column("previous_until", _TIME),
    Column("created_at", _TIME, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    PrimaryKeyConstraint("endpoint_id", name="webhook_endpoint_pkey"),
    CheckConstraint("state IN ('active', 'disabled', 'gone')", name="webhook_endpoint_state"),
    Index("webhook_endpoint_client", "client_id"),
    comment="Where clients are told of events, and what signs it. The leaf is that of the last change.",
)

OUTBOX: Final = Table(
    "outbox",
    METADATA,
    Column("event_id", Uuid),
    Column("leaf_index", BigInteger, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("application_id", Text),
    Column("sequence", BigInteger, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("created_at", _TIME, nullable=False),
    PrimaryKeyConstraint("event_id", name="outbox_pkey"),
    UniqueConstraint("leaf_index", name="outbox_leaf_index_key"),
    UniqueConstraint("client_id", "application_id", "sequence", name="outbox_sequence_key"),
    comment="What is told to clients, written with the act that it tells of; in order for each application.",
)

_PENDING = text("state = 'pending'")

DELIVERY: Final = Table(
    "delivery",
    METADATA,
    Column("event_id", Uuid),
    Column("endpoint_id", Text),
    Column("application_id", Text),
    Column("sequence", BigInteger, nullable=False),
    Column("state", Text, nullable=False, server_default="pending"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_since", _TIME, nullable=False),
    Column("tried_since", _TIME),
    Column("next_at", _TIME, nullable=False),
    Column("claim", Uuid),
    Column("last_status", SmallInteger),
    Column("last_trouble", Text),
    Column("settled_at", _TIME),
    PrimaryKeyConstraint("event_id", "endpoint_id", name="delivery_pkey"),
    CheckConstraint("state IN ('pending', 'delivered', 'dead')", name="delivery_state"),
    Index("delivery_due", "endpoint_id", "next_at", postgresql_where=_PENDING),
    Index("delivery_application", "application_id", "endpoint_id", "sequence", postgresql_where=_PENDING),
    Index("delivery_dead", "endpoint_id", "settled_at", postgresql_where=text("state = 'dead'")),
    Index("delivery_settled", "settled_at", postgresql_where=text("settled_at IS NOT NULL")),
    comment="How far an event came on its way to an endpoint.",
)

OUTBOX_PRUNED: Final = Table(
    "outbox_pruned",
    METADATA,
    Column("one", Boolean),
    Column("before", _TIME, nullable=False),
    PrimaryKeyConstraint("one", name="outbox_pruned_pkey"),
    CheckConstraint("one", name="outbox_pruned_one_row"),
    CheckConstraint("isfinite(before)", name="outbox_pruned_before"),
    comment="One row, once it is pruned: events that were settled before then are gone, but for those under a legal hold.",
)

SCREENING_LIST: Final = Table(
    "screening_list",
    METADATA,
    Column("leaf_index", BigInteger, autoincrement=False),
    Column("list_sha256", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("published", Date, nullable=False),
    Column("entries", Integer, nullable=False),
    Column("loaded_at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("list_kind", Text, nullable=False, server_default="sanctions"),
    PrimaryKeyConstraint("leaf_index", name="screening_list_pkey"),
    CheckConstraint("list_kind IN ('sanctions', 'pep')", name="screening_list_kind_is_known"),
    comment="Which lists of names were loaded; the last one of each kind is screened against. What it says is an artefact.",
)

ALERT: Final = Table(
    "alert",
    METADATA,
    Column("alert_id", Uuid),
    Column("decision_id", Uuid, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("subject", LargeBinary, nullable=False),
    Column("entry", Text, nullable=False),
    Column("entry_sha256", Text, nullable=False),
    Column("score", Integer, nullable=False),
    Column("list_sha256", Text, nullable=False),
    Column("opened_at", _TIME, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("closed", Boolean, nullable=False, server_default="false"),
    PrimaryKeyConstraint("alert_id", name="alert_pkey"),
    UniqueConstraint("leaf_index", name="alert_leaf_index_key"),
    Index("alert_subject", "subject"),
    Index("alert_decision", "decision_id"),
    Index("alert_open", text("score DESC"), postgresql_where=text("NOT closed")),
    comment="Whose name is alike to which entry of a list; a person is named by a keyed hash, the score in ten-thousandths.",
)

ALERT_STEP: Final = Table(
    "alert_step",
    METADATA,
    Column("alert_id", Uuid),
    Column("step", Text),
    Column("because", Text, nullable=False),
    Column("until", _TIME),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("finding", Text),
    PrimaryKeyConstraint("alert_id", "step", name="alert_step_pkey"),
    UniqueConstraint("leaf_index", name="alert_step_leaf_index_key"),
    CheckConstraint(
        "step IN ('proposed', 'cleared', 'confirmed', 'doubted', 'corrected', 'examined')", name="alert_step_is_known"
    ),
    CheckConstraint("finding IN ('somebody_else', 'due_diligence')", name="alert_step_finding_is_known"),
    CheckConstraint("(step = 'confirmed') = (until IS NULL)", name="alert_step_ends"),
    Index("alert_step_confirmed", "alert_id", postgresql_where=text("step = 'confirmed'")),
    Index("alert_step_until", "until", postgresql_where=text("step IN ('cleared', 'corrected')")),
    comment="Who cleared an alert, or confirmed it, or proposed to clear it after all, why, and until when the hit does not "
    "count for this person.",
)

ALERT_REPORT: Final = Table(
    "alert_report",
    METADATA,
    Column("alert_id", Uuid),
    Column("reference", Text, nullable=False),
    Column("reported_on", Date, nullable=False),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    Column("number", SmallInteger, server_default=text("1"), autoincrement=False),
    Column("because", Text),
    PrimaryKeyConstraint("alert_id", "number", name="alert_report_pkey"),
    UniqueConstraint("leaf_index", name="alert_report_leaf_index_key"),
    CheckConstraint("(number = 1) = (because IS NULL)", name="alert_report_says_why"),
    comment="Which confirmed matches were reported to OFAC, on which day, and by which reference the report is found; of the "
    "reports of one match, the last counts.",
)

YEARLY_REPORT: Final = Table(
    "yearly_report",
    METADATA,
    Column("year", SmallInteger, autoincrement=False),
    Column("number", SmallInteger, autoincrement=False),
    Column("reference", Text, nullable=False),
    Column("reported_on", Date, nullable=False),
    Column("alerts", ARRAY(Text), nullable=False),
    Column("because", Text),
    Column("at", _TIME, nullable=False),
    Column("by", Text, nullable=False),
    Column("leaf_index", BigInteger, nullable=False),
    PrimaryKeyConstraint("year", "number", name="yearly_report_pkey"),
    UniqueConstraint("leaf_index", name="yearly_report_leaf_index_key"),
    CheckConstraint("(number = 1) = (because IS NULL)", name="yearly_report_says_why"),
    comment="Which confirmed matches the report to OFAC of what was blocked on 30 June of a year named, on which day it was "
    "filed, and by which reference it is found; of the reports of one year, the last counts.",
)

SCREENING_PROGRESS: Final = Table(
    "screening_progress",
    METADATA,
    Column("list_sha256", Text),
    Column("began", BigInteger, nullable=False),
    Column("past", BigInteger, nullable=False),
    Column("fresh", BigInteger, nullable=False),
    Column("screened", BigInteger, nullable=False),
    Column("opened", BigInteger, nullable=False),
    Column("not_comparable", BigInteger, nullable=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("list_sha256", name="screening_progress_pkey"),
    comment="How far the decisions of the store were screened against a list: those of before it came, and those since.",
)

KYC_EVIDENCE: Final = Table(
    "kyc_evidence",
    METADATA,
    Column("evidence_hash", LargeBinary),
    Column("subject_hash", LargeBinary, nullable=False),
    Column("at", _TIME, nullable=False),
    PrimaryKeyConstraint("evidence_hash", name="kyc_evidence_pkey"),
    comment="For whom evidence of an identity was shown first: hashes under a key of the deployment, which tell nothing "
    "without it.",
)

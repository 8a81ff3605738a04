"""A small lender's log: acts of every kind, made from a seed, and a log in memory that keeps them as the store does."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from obligor.core.canonical import canonical_json, sha256
from obligor.core.checkpoints import Checkpoint
from obligor.core.leaves import Leaf, commitment, time_text
from obligor.core.merkle import Frontier, StoredNode, leaf_hash
from obligor.governance.audit.source import StoredArtefact, StoredLeaf, StoredNote, StoredRequest, StoredRow
from obligor.security.signing import SigningKey, Verifier
from obligor.serving.acts import Act, Request, Submission
from obligor.serving.encoding import encode
from obligor.serving.rows import (
    AlertReportRow,
    AlertStepRow,
    ApiKeyRow,
    ArtefactRow,
    DecisionRow,
    OutcomeRow,
    ReleaseRow,
    ReviewDecisionRow,
    ReviewRow,
    YearlyReportRow,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
KEY = SigningKey("obligor-test", Ed25519PrivateKey.from_private_bytes(bytes(32)))
VERIFIER = Verifier(KEY.verifier)
CARD, POLICY, PROFILE = (canonical_json({"kind": kind, "made": "for tests"}) for kind in ("card", "policy", "profile"))
PINS = {"card_sha256": sha256(CARD), "policy_sha256": sha256(POLICY), "profile_sha256": sha256(PROFILE)}
CLIENTS = ("acme", "bank-of-b")


class Lender:
    """Makes the submissions of a lender's day, always the same."""

    def __init__(self, seed: int = 1, *, key: SigningKey = KEY) -> None:
        self.signer = key
        self.random = random.Random(seed)  # noqa: S311  salts of tests
        self.at = NOON
        self.decided: list[tuple[str, UUID]] = []

    def day(self, decisions: int) -> Iterator[Submission]:
        """Give keys for two clients, a release, and decisions with a reported outcome after every tenth."""
        for client in CLIENTS:
            yield self.api_key(client)
        yield self.release()
        while len(self.decided) < decisions:
            yield self.decision(CLIENTS[len(self.decided) % 2])
            if not len(self.decided) % 10:
                yield self.outcome(*self.decided[-3])

    def decision(self, client: str, *, key: str | None = None, **more: object) -> Submission:
        decision, number = self.uuid(), len(self.decided)
        self.decided.append((client, decision))
        outcome, at = self.random.choice(["approve", "refer", "decline"]), self.now()
        said = {
            "schema": "obligor/decision/1",
            "decision_id": str(decision),
            "client_id": client,
            "application_id": f"A-{number}" if number % 3 else None,
            "decided_at": time_text(at),
            "idempotency_key": key or f"key-{number}",
            "route": "POST /v1/decisions",
            "input": {"annual_income": 31_000.5 + number},
            "score": 600_000 + number,
            "pd": (0.0123 * (1 + number % 7), 1.25e-7)[number % 2],
            "band": "B",
            "outcome": outcome,
            "because": "score",
            "reasons": [{"code": "R01", "text": "Income is low for the amount asked"}],
            "pins": {**PINS, "release": 1, "code": "test"},
            **more,
        }
        row = DecisionRow(decision, client, f"A-{number}" if number % 3 else None, at, outcome, "B", 600_000 + number)
        answer = canonical_json({"decision_id": str(decision), "outcome": outcome})
        request = Request(client, "POST /v1/decisions", f"key-{number}", self.random.randbytes(32))
        act = self.act("decision", f"client:{client}", str(decision), said, (row,), at=at)
        return Submission((act,), lambda _: answer, request, status=201)

    def bulk(self, client: str, count: int) -> Submission:
        """Give decisions that were asked for together."""
        parts = [self.decision(client, key="bulk") for _ in range(count)]
        answer = encode({"results": [{"decision": json.loads(part.respond(0))} for part in parts]})
        request = Request(client, "POST /v1/decisions", "bulk", self.random.randbytes(32))
        return Submission(tuple(act for part in parts for act in part.acts), lambda _: answer, request)

    def outcome(self, client: str, decision: UUID) -> Submission:
        report = self.uuid()
        said = {"report_id": str(report), "decision_id": str(decision), "status": "repaid", "observed_on": "2026-11-26"}
        row = OutcomeRow(report, decision, "repaid", date(2026, 11, 26))
        act = self.act("outcome", f"client:{client}", str(report), {"schema": "obligor/outcome/1", **said}, (row,))
        request = Request(client, "POST /v1/decisions/{id}/outcomes", str(report), self.random.randbytes(32))
        return Submission((act,), lambda _: b"{}", request, status=201)

    def api_key(
        self, client: str, *, revoked: bool = False, networks: tuple[str, ...] = (), silent: bool = False
    ) -> Submission:
        """Make a key, or revoke it; ``silent`` as a version that knew no networks."""
        made = NOON - timedelta(days=1)
        row = ApiKeyRow(
            key_id=sha256(client.encode())[:12],
            client_id=client,
            name="first",
            scopes=("decide", "read"),
            secret_sha256=bytes.fromhex(sha256(b"secret of " + client.encode())),
            created_at=made,
            expires_at=made + timedelta(days=365),
            revoked_at=self.at if revoked else None,
            networks=networks,
        )
        said = {"schema": "obligor/api-key/1", **columns_of(row)}
        if silent:
            del said["networks"]
        kind = "key.revoked" if revoked else "key.created"
        return Submission((self.act(kind, "person:ada", row.key_id, said, (row,)),), lambda _: b"")

    def release(self) -> Submission:
        at = self.now()
        said = {"schema": "obligor/release/1", "number": 1, **PINS, "at": time_text(at), "by": "ada"}
        statement = canonical_json(said)
        signature = self.signer.sign_statement(statement, purpose="release")
        said |= {"signature": signature.hex()}
        kept = zip(PINS.values(), ("card", "policy", "profile"), (CARD, POLICY, PROFILE), strict=True)
        artefacts = tuple(ArtefactRow(*each) for each in kept)
        row = ReleaseRow(1, *PINS.values(), at, "ada", statement, signature, artefacts)
        return Submission((self.act("release", "person:ada", "1", said, (row,), at=at),), lambda _: b"")

    def export(self, since: datetime, until: datetime) -> Submission:
        said = {"schema": "obligor/export/1", "from": time_text(since), "to": time_text(until)}
        return Submission((self.act("export", "person:ada", "export", said, ()),), lambda _: b"")

    def act(
        self,
        kind: str,
        by: str,
        subject: str,
        said: Mapping[str, Any],
        rows: tuple[Any, ...],
        at: datetime | None = None,
    ) -> Act:
        salt = self.random.randbytes(16)
        return Act(kind, at or self.now(), by, subject, encode(said), salt, rows)

    def uuid(self) -> UUID:
        return UUID(bytes=self.random.randbytes(16), version=4)

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at


TABLES = (
    *(
        "decision",
        "outcome",
        "review",
        "review_decision",
        "override",
        "action",
        "release",
        "profile_change",
        "proposal",
    ),
    *("screening_list", "alert", "alert_step", "alert_report", "yearly_report"),
)


@dataclass
class MemoryLog:
    """Keeps acts as the store does, in lists that a test may tamper with."""

    kept: list[StoredLeaf] = field(default_factory=list)
    nodes_kept: list[StoredNode] = field(default_factory=list)
    tables: dict[str, list[StoredRow]] = field(default_factory=lambda: {it: [] for it in TABLES})
    asked: list[StoredRequest] = field(default_factory=list)
    keys: dict[str, Mapping[str, object]] = field(default_factory=dict)
    endpoints: list[Mapping[str, object]] = field(default_factory=list)
    people_kept: dict[str, list[Mapping[str, object]]] = field(
        default_factory=lambda: {"app_user": [], "user_role": []}
    )
    artefacts_kept: list[StoredArtefact] = field(default_factory=list)
    notes: list[StoredNote] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    size: int = 0

    def record(self, submission: Submission) -> int:
        """Record the acts of a submission, and give the index of the first."""
        first = self.size
        if submission.request:
            asked = submission.request
            self.asked.append(StoredRequest(first, asked.client_id, asked.route, asked.key, submission.respond(first)))
        for act in submission.acts:
            leaf = Leaf(act.at, act.by, act.kind, act.subject, commitment(act.record, act.salt))
            body = leaf.body()
            self.kept.append(StoredLeaf(self.size, act.kind, body, leaf_hash(body), act.record, act.salt))
            growth = self.frontier.extend([leaf_hash(body)])
            self.frontier = growth.frontier
            self.nodes_kept += growth.nodes
            for row in act.rows:
                self._keep(row, self.size)
            self.size += 1
        return first

    def checkpoint(self) -> bytes:
        """Sign the tree as it stands, keep the checkpoint, and give it."""
        note = KEY.sign_note(Checkpoint(KEY.name, self.size, self.frontier.root).text()).encode()
        self.notes.append(StoredNote(self.size, note))
        return note

    def _keep(self, row: Any, index: int) -> None:
        values = columns_of(row)
        match row:
            case DecisionRow():
                self.tables["decision"].append(StoredRow(index, values))
            case OutcomeRow():
                self.tables["outcome"].append(StoredRow(index, values))
            case ReviewRow():
                self.tables["review"].append(StoredRow(index, values))
            case ReviewDecisionRow():
                self.tables["review_decision"].append(StoredRow(index, values))
            case AlertStepRow():
                self.tables["alert_step"].append(StoredRow(index, values))
            case AlertReportRow():
                self.tables["alert_report"].append(StoredRow(index, values))
            case YearlyReportRow():
                self.tables["yearly_report"].append(StoredRow(index, values))
            case ReleaseRow():
                self.tables["release"].append(StoredRow(index, values))
                self.artefacts_kept += [StoredArtefact(each.sha256, each.kind, each.body) for each in row.artefacts]
            case ApiKeyRow():
                self.keys[row.key_id] = values

    # What verifying asks

    def head(self) -> int:
        return self.size

    def leaves(self, start: int = 0, stop: int | None = None) -> Iterator[StoredLeaf]:
        return (leaf for leaf in self.kept if start <= leaf.index and (stop is None or leaf.index < stop))

    def restores(self) -> Iterator[StoredLeaf]:
        return (leaf for leaf in self.leaves() if leaf.kind.startswith("restore."))

    def hashes(self, level: int, start: int, stop: int) -> Sequence[bytes]:
        rows = self.kept if level == 0 else [node for node in self.nodes_kept if node.level == level]
        return [row.hash for row in rows if start <= row.index < stop]

    def nodes(self, level: int) -> Iterator[StoredNode]:
        return (node for node in self.nodes_kept if node.level == level)

    def repeated(self) -> Iterator[tuple[int, int]]:
        first: dict[bytes, int] = {}
        for leaf in self.kept:
            if first.setdefault(leaf.hash, leaf.index) < leaf.index:
                yield leaf.index, first[leaf.hash]

    def stray_records(self) -> Iterator[int]:
        return iter(())

    def rows(self, table: str) -> Iterator[StoredRow]:
        return iter(self.tables[table])

    def requests(self) -> Iterator[StoredRequest]:
        return iter(self.asked)

    def api_keys(self) -> Iterator[Mapping[str, object]]:
        return iter(self.keys.values())

    def people(self, table: str) -> Iterator[Mapping[str, object]]:
        return iter(self.people_kept[table])

    def privacy(self, table: str) -> Iterator[Mapping[str, object]]:
        return iter(())

    def key_faults(self) -> list[str]:
        return []

    def webhooks(self) -> Iterator[Mapping[str, object]]:
        return iter(self.endpoints)

    def artefacts(self) -> Iterator[StoredArtefact]:
        return iter(self.artefacts_kept)

    def checkpoints(self) -> Iterator[StoredNote]:
        return iter(self.notes)

    def unguarded(self) -> Sequence[str]:
        return ()


def columns_of(row: Any) -> dict[str, object]:
    """Give the columns of a row, as records write them."""
    return {name: plain(getattr(row, name)) for name in type(row).__annotations__ if name != "artefacts"}


def plain(value: object) -> object:
    """Write a value as records do."""
    match value:
        case datetime():
            return time_text(value)
        case date():
            return value.isoformat()
        case UUID():
            return str(value)
        case bytes():
            return value.hex()
        case tuple():
            return list(value)
        case _:
            return value


def log_of(decisions: int, *, every: int = 50, seed: int = 1) -> MemoryLog:
    """Give the log of a lender's day, with a checkpoint after every so many leaves."""
    log = MemoryLog()
    for submission in Lender(seed).day(decisions):
        log.record(submission)
        if not log.size % every:
            log.checkpoint()
    return log


def changed(leaf: StoredLeaf, **what: Any) -> StoredLeaf:
    """Give a leaf with something changed."""
    return replace(leaf, **what)

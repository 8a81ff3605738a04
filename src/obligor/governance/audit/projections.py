"""Rows that are kept beside the log to be found again, held against the records that the log commits to.

A record is the truth; a row repeats some of it. Rows of decisions, outcomes, reviews, overrides, actions, releases and alerts
come in the order of their leaves, and are held against each leaf as it passes. API keys, endpoints and people change, so that
what their events leave is gathered and compared at the end.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from obligor.core.canonical import canonical_json
from obligor.core.errors import AuditError
from obligor.core.leaves import actor
from obligor.core.strict_json import read_strict_json
from obligor.governance.audit.findings import Findings, Kind
from obligor.governance.audit.kept_keys import KeptKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from obligor.core.leaves import Leaf
    from obligor.governance.audit.source import LogSource, Signatures, StoredRequest, StoredRow

RELEASE_PURPOSE: Final = "release"
_PINNED: Final = ("card_sha256", "policy_sha256", "profile_sha256")
_HELD: Final[Mapping[str, tuple[str, ...]]] = {
    "decision": ("decision_id", "client_id", "application_id", "decided_at", "outcome", "band", "score", "subject"),
    "outcome": ("report_id", "decision_id", "status", "observed_on"),
    "review": ("review_id", "decision_id", "client_id", "requested_at", "due_at", "pack"),
    "review_decision": ("review_id", "verdict", "outcome", "decided_at", "by", "new_decision_id"),
    "override": (
        *("decision_id", "client_id", "outcome", "direction", "reason", "role"),
        *("decided_at", "by", "agreed_by", "expires_at"),
    ),
    "action": ("decision_id", "step", "client_id", "done_on", "until", "at", "by"),
    "release": ("number", *_PINNED, "at", "by", "signature"),
    "profile_change": ("change_id", "step", "profile_sha256", "replaces_sha256", "because", "at", "by"),
    "proposal": (*("proposal_id", "step", "kind", "said", "because"), *("proposed_by", "expires_at", "at", "by")),
    "screening_list": ("list_sha256", "source", "published", "entries", "loaded_at", "by", "list_kind"),
    "alert": (
        *(
            "alert_id",
            "decision_id",
            "client_id",
            "subject",
            "entry",
            "entry_sha256",
            "score",
            "list_sha256",
            "opened_at",
        ),
    ),
    "alert_report": ("alert_id", "number", "reference", "reported_on", "because", "at", "by"),
    "alert_step": ("alert_id", "step", "because", "until", "at", "by", "finding"),
    "yearly_report": ("year", "number", "reference", "reported_on", "alerts", "because", "at", "by"),
}
_TABLES: Final[Mapping[str, str]] = {
    "profile.proposed": "profile_change",
    "profile.approved": "profile_change",
    "act.proposed": "proposal",
    "act.agreed": "proposal",
    "act.done": "proposal",
    "act.withdrawn": "proposal",
    "review.requested": "review",
    "review.decided": "review_decision",
    "override.decided": "override",
    "offer.made": "action",
    "offer.answered": "action",
    "application.incomplete": "action",
    "list.loaded": "screening_list",
    "alert.opened": "alert",
    "alert.proposed": "alert_step",
    "alert.cleared": "alert_step",
    "alert.confirmed": "alert_step",
    "alert.doubted": "alert_step",
    "alert.corrected": "alert_step",
    "alert.examined": "alert_step",
    "alert.reported": "alert_report",
    "alert.reported.yearly": "yearly_report",
}
"""Where the rows of an act are kept, where its kind is not the name of the table."""
_NAMED: Final[Mapping[str, tuple[str, ...]]] = {
    "decision": _PINNED,
    "release": _PINNED,
    "list.loaded": ("list_sha256",),
    "profile.proposed": ("profile_sha256",),
    "profile.approved": ("profile_sha256",),
}
"""Which artefacts an act names."""
_KEPT_BEFORE: Final = "list"
"""The kind of artefact that is kept before its act: where loading it was stopped between the two, no act names it."""
_STATED: Final = ("number", *_PINNED, "at", "by")
_KEY_COLUMNS: Final = (
    "client_id",
    "name",
    "scopes",
    "secret_sha256",
    "created_at",
    "expires_at",
    "revoked_at",
    "replaced_by",
    "networks",
)
_PEOPLE: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "app_user": (("user_id",), ("password_sha256", "created_at", "disabled_at")),
    "user_role": (("user_id", "role"), ("state", "proposed_by", "by", "at")),
}
"""What a row of people is known by, and what else it says."""
_PEOPLE_ACTS: Final[Mapping[str, str]] = {
    "user.added": "app_user",
    "user.disabled": "app_user",
    "role.proposed": "user_role",
    "role.granted": "user_role",
    "role.revoked": "user_role",
}
_WEBHOOK_COLUMNS: Final = (
    *("client_id", "url", "event_types", "state", "secret_sha256", "previous_sha256", "previous_until", "created_at"),
)
_LAST: Final[Mapping[Kind, tuple[str, tuple[str, ...]]]] = {
    Kind.API_KEY: ("key_id", _KEY_COLUMNS),
    Kind.WEBHOOK: ("endpoint_id", _WEBHOOK_COLUMNS),
}
_ABSENT: Final = object()
_OPTIONAL: Final[Mapping[str, object]] = {
    "subject": None,
    "number": 1,
    "because": None,
    "networks": [],
    "list_kind": "sanctions",
    "finding": None,
}
"""Columns that records, and tables, of before do not have, and what then stands for them."""


class _AtLeaf(Protocol):
    @property
    def leaf_index(self) -> int: ...


Item = TypeVar("Item", bound=_AtLeaf)


class AtLeaves(Generic[Item]):
    """A stream in the order of leaves, read leaf by leaf."""

    def __init__(self, items: Iterator[Item]) -> None:
        self._items = items
        self._next = next(items, None)

    def before(self, index: int) -> Iterator[Item]:
        """Give what belongs to leaves before an index, and was not asked for."""
        return self._while(lambda item: item.leaf_index < index)

    def at(self, index: int) -> Iterator[Item]:
        """Give what belongs to the leaf at an index."""
        return self._while(lambda item: item.leaf_index == index)

    def rest(self) -> Iterator[Item]:
        """Give all that is left."""
        return self._while(lambda _: True)

    def _while(self, wanted: Callable[[Item], bool]) -> Iterator[Item]:
        while (item := self._next) is not None and wanted(item):
            self._next = next(self._items, None)
            yield item


@dataclass(frozen=True, slots=True)
class Act:
    """A leaf of the log with what its record says."""

    index: int
    leaf: Leaf
    said: Mapping[str, Any]


class Projections:
    """The streams of rows, and what was gathered of API keys, endpoints and artefacts so far."""

    def __init__(self, source: LogSource, signatures: Signatures, findings: Findings) -> None:
        self._source, self._signatures, self._findings = source, signatures, findings
        self._rows = {table: AtLeaves(source.rows(table)) for table in _HELD}
        self._requests = AtLeaves(source.requests())
        self._request: StoredRequest | None = None
        self._told: Mapping[str, list[object]] = {}
        self._keys: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._people: dict[tuple[str, ...], tuple[int, Mapping[str, Any]]] = {}
        self._webhooks: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._pinned: dict[str, int] = {}
        self._kept_keys = KeptKeys(source, findings)

    def hold(self, act: Act) -> None:
        """Hold the rows of a leaf against its record."""
        self._pass_over(act.index)
        own = _TABLES.get(act.leaf.kind, act.leaf.kind)
        for table, rows in self._rows.items():
            found = list(rows.at(act.index))
            for row in found if table == own else ():
                self._hold_row(table, row, act)
            wanted = int(table == own)
            if len(found) < wanted:
                said = f"no row of table {table} for this {act.leaf.kind}, which was deleted or stands twice in the log"
                self._findings.add(Kind.ROW_MISSING, act.index, said, about=table)
            if len(found) > wanted:
                self._stray(table, act.index)
        self._follow_requests(act.index, by=act.leaf.by)
        self._kept_keys.take(act.leaf.kind, act.index, act.said)
        if names := _NAMED.get(act.leaf.kind):
            self._pin(act.said.get("pins", act.said), names, act.index)
        if act.leaf.kind == "decision":
            self._hold_request(act)
        elif act.leaf.kind.startswith("key."):
            self._take_keys(act)
        elif table_of_people := _PEOPLE_ACTS.get(act.leaf.kind):
            self._people[_named(table_of_people, act.said)] = (act.index, act.said)
        elif act.leaf.kind.startswith("webhook."):
            self._webhooks[str(act.said.get("endpoint_id"))] = (act.index, act.said)

    def _take_keys(self, act: Act) -> None:
        for key in (it for it in _objects(act.said) if "key_id" in it):
            _, before = self._keys.get(str(key["key_id"]), (None, {}))
            replaced_by = key.get("replaced_by") or before.get("replaced_by")  # which nothing takes back
            networks = key.get("networks", before.get("networks", []))  # of which an act of before does not tell
            self._keys[str(key["key_id"])] = (act.index, {**key, "replaced_by": replaced_by, "networks": networks})

    def skip(self, index: int) -> None:
        """Leave the rows of a leaf alone, whose record is not there or cannot be read."""
        self._pass_over(index)
        for rows in self._rows.values():
            deque(rows.at(index), maxlen=0)
        self._follow_requests(index)

    def _pass_over(self, index: int) -> None:
        """Note rows of leaves before an index that no leaf claimed."""
        for table, rows in self._rows.items():
            for row in rows.before(index):
                self._stray(table, row.leaf_index)

    def finish(self) -> None:
        """Note what is left over, and hold API keys, endpoints and artefacts against what the log says of them."""
        for table, rows in self._rows.items():
            for row in rows.rest():
                self._stray(table, row.leaf_index)
        for request in self._requests.rest():
            self._stray("request", request.leaf_index)
        self._hold_last("API key", Kind.API_KEY, self._source.api_keys(), self._keys)
        self._hold_last("endpoint", Kind.WEBHOOK, self._source.webhooks(), self._webhooks)
        self._hold_people()
        self._hold_artefacts()
        self._kept_keys.finish()

    # Rows

    def _hold_row(self, table: str, row: StoredRow, act: Act) -> None:
        for column in _HELD[table]:
            wanted = act.said.get(column, _OPTIONAL.get(column, _ABSENT))
            if not _same(wanted, row.values.get(column, _OPTIONAL.get(column))):
                said = f"table {table}: {column} is not what the record of this {table} says"
                self._findings.add(Kind.ROW_CHANGED, act.index, said, about=table)
                break
        if table == "release":
            self._hold_release(row, act.index)

    def _hold_release(self, row: StoredRow, index: int) -> None:
        statement, signature = (bytes.fromhex(str(row.values[name])) for name in ("statement", "signature"))
        if not self._signatures.signed_statement(statement, signature, purpose=RELEASE_PURPOSE):
            said = f"release {row.values['number']}: its statement is not signed by the key of this log"
            self._findings.add(Kind.RELEASE_SIGNATURE, index, said)
        elif not _speaks_of(statement, row):
            said = f"release {row.values['number']}: the signed statement names other artefacts than the row"
            self._findings.add(Kind.ROW_CHANGED, index, said, about="statement")

    def _pin(self, pins: object, names: tuple[str, ...], index: int) -> None:
        if isinstance(pins, dict):
            for name in names:
                self._pinned.setdefault(str(pins.get(name)), index)

    def _stray(self, table: str, index: int) -> None:
        said = f"a row of table {table} belongs to no act of its kind in the log"
        self._findings.add(Kind.ROW_STRAY, index, said, about=table)

    # Requests: the acts of one stand together, so that each covers the leaves up to the next

    def _follow_requests(self, index: int, *, by: str | None = None) -> None:
        """Take up the request that a leaf answers; of two for one leaf, or one of another client, one was put there."""
        for request in self._requests.before(index):
            self._stray("request", request.leaf_index)
        found = list(self._requests.at(index))
        if found:
            self._request, self._told = found[0], {}
        if len(found) > 1 or (found and by is not None and by != actor(found[0].client_id)):
            self._stray("request", index)

    def _hold_request(self, act: Act) -> None:
        asked, request = tuple(act.said.get(name) for name in ("client_id", "route", "idempotency_key")), self._request
        if request is None or asked != (request.client_id, request.route, request.key):
            said = "no request is kept that was answered with this decision"
            self._findings.add(Kind.REQUEST_MISSING, act.index, said)
            return
        self._told = self._told or _outcomes_in(request.response)
        if set(self._told.get(act.leaf.subject, ["nothing"])) != {act.said.get("outcome")}:
            said = "the answer that is kept for its request tells another outcome than the record"
            self._findings.add(Kind.REQUEST_CHANGED, act.index, said)

    # Keys, endpoints and artefacts

    def _hold_last(
        self,
        what: str,
        kind: Kind,
        rows: Iterator[Mapping[str, object]],
        left: dict[str, tuple[int, Mapping[str, Any]]],
    ) -> None:
        """Hold rows that change against what the last act of each left."""
        name, columns = _LAST[kind]
        for row in rows:
            index, said = left.pop(str(row[name]), (None, {}))
            if index is None:
                self._findings.add(kind, None, f"{what} {row[name]}: no act of the log made it", about="stray")
                continue
            kept = {**_OPTIONAL, **row}
            wrong = next((column for column in columns if not _same(said.get(column, _ABSENT), kept.get(column))), None)
            if wrong:
                self._findings.add(kind, index, f"{what} {row[name]}: its {wrong} is not what its last act left")
        for gone, (index, _) in left.items():
            self._findings.add(kind, index, f"{what} {gone}: its row is gone", about="gone")

    def _hold_people(self) -> None:
        for table, (_, columns) in _PEOPLE.items():
            for row in self._source.people(table):
                who = " ".join(_named(table, row)[1:])
                index, said = self._people.pop(_named(table, row), (None, {}))
                if index is None:
                    self._findings.add(Kind.PERSON, None, f"{table} {who}: no act of the log made it", about="stray")
                    continue
                known = _with_password(row)
                wrong = next((name for name in columns if not _same(said.get(name, _ABSENT), known[name])), None)
                if wrong:
                    self._findings.add(Kind.PERSON, index, f"{table} {who}: its {wrong} is not what its last act left")
        for name, (index, _) in self._people.items():
            self._findings.add(Kind.PERSON, index, f"{name[0]} {' '.join(name[1:])}: its row is gone", about="gone")

    def _hold_artefacts(self) -> None:
        for artefact in self._source.artefacts():
            index = self._pinned.pop(artefact.sha256, None)
            if index is None and artefact.kind != _KEPT_BEFORE:
                said = f"the {artefact.kind} {artefact.sha256[:12]}… is named by no act in the log"
                self._findings.add(Kind.ROW_STRAY, None, said, about="artefact")
            if not is_artefact(artefact.body, artefact.sha256):
                said = f"the {artefact.kind} {artefact.sha256[:12]}…: its bytes are others than its hash says"
                self._findings.add(Kind.ARTEFACT_CHANGED, index, said)
        for sha256, index in self._pinned.items():
            self._findings.add(Kind.ARTEFACT_MISSING, index, f"the artefact {sha256[:12]}… that this act names is gone")


def _with_password(row: Mapping[str, object]) -> dict[str, object]:
    """Add what the log tells of a password; what the database says of it, to who may not read the hash itself."""
    if "password" not in row:
        return dict(row)
    password = str(row["password"])
    return {**row, "password_sha256": hashlib.sha256(password.encode()).hexdigest() if password else ""}


def _named(table: str, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Name a row of people: its table, and what it is known by."""
    return table, *(str(said.get(name)) for name in _PEOPLE[table][0])


def is_artefact(body: bytes, sha256: str) -> bool:
    """Tell whether the bytes of an artefact have a hash, as they stand or in canonical form."""
    if hashlib.sha256(body).hexdigest() == sha256:
        return True
    try:
        said = read_strict_json(body, what="an artefact", error=AuditError)
    except AuditError:
        return False
    return hashlib.sha256(canonical_json(said)).hexdigest() == sha256


def _speaks_of(statement: bytes, row: StoredRow) -> bool:
    try:
        said = read_strict_json(statement, what="a statement", error=AuditError)
    except AuditError:
        return False
    return isinstance(said, dict) and all(_same(said.get(name, _ABSENT), row.values[name]) for name in _STATED)


def _outcomes_in(response: bytes) -> Mapping[str, list[object]]:
    """Give the outcomes that an answer tells, by the decision."""
    try:
        said = read_strict_json(response, what="an answer", error=AuditError)
    except AuditError:
        return {}
    told: dict[str, list[object]] = {}
    for each in _objects(said):
        if "decision_id" in each:
            told.setdefault(str(each["decision_id"]), []).append(each.get("outcome"))
    return told


def _objects(said: object) -> Iterator[Mapping[str, Any]]:
    """Give an object, and those within it."""
    if isinstance(said, dict):
        yield said
        for value in said.values():
            yield from _objects(value)
    elif isinstance(said, list):
        for value in said:
            yield from _objects(value)


def _same(one: object, other: object) -> bool:
    """Tell whether two plain values are equal; times are, however many digits they were written with."""
    if one == other:
        return type(one) is type(other)
    if isinstance(one, list) and isinstance(other, list):
        return sorted(map(str, one)) == sorted(map(str, other))
    if isinstance(one, str) and isinstance(other, str):
        try:
            return datetime.fromisoformat(one) == datetime.fromisoformat(other)
        except ValueError:
            return False
    return False

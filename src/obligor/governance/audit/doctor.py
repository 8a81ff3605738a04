"""What must hold in a store whatever happened to it, looked at on one moment of a live database or of a snapshot of one.

Eight invariants are numbered: I1 one decision for a client and key; I2 one leaf and one request for a decision, one event
where its client has an endpoint, and it can be made again; I3 nobody approved against an enforced gate; I4 the audit log
verifies and is anchored; I5 no one approves their own; I6 no personal data outside the records; I7 nothing of one client with
another; I8 nothing told outside that was not decided. Beside them stands what they rest on: the shape of the tables, their
guards, artefacts, the release in force, durability, the signing key and clocks. What breaks nothing and somebody should look at
all the same, such as roles that do not go together, is told apart, and counts where the examination is strict.

The whole log is verified (``verifying``), and each decision is read once more. Every decision is made again where the
examination is strict, and otherwise a sample that is spread evenly over the log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from obligor.core.errors import AuditError, ErasedError, IntegrityError, ObligorError, UnavailableError
from obligor.core.leaves import actor, parse_leaf, parse_time
from obligor.core.profile import not_passed
from obligor.core.strict_json import read_strict_json
from obligor.governance.audit.anchored import AnchoredNote
from obligor.governance.audit.authority import Kept, Overrides
from obligor.governance.audit.examination import Check, Examination, Faults, judged
from obligor.governance.audit.findings import Kind
from obligor.governance.audit.lateness import Clocks
from obligor.governance.audit.people import Persons
from obligor.governance.audit.projections import AtLeaves
from obligor.governance.audit.reporting import Reports
from obligor.governance.audit.source import LogSource
from obligor.governance.audit.told import Told
from obligor.governance.audit.verifying import verify_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from obligor.core.leaves import Leaf
    from obligor.governance.audit.findings import Finding
    from obligor.governance.audit.findings import Verdict as LogVerdict
    from obligor.governance.audit.people import Conflict
    from obligor.governance.audit.source import Signatures, StoredLeaf
    from obligor.governance.audit.told import StoredEvent
    from obligor.progress import Progress

SAMPLE: Final = 500
SEALED_NOWHERE_YET: Final = frozenset({("record", "body")})
"""Where an applicant's data stand: in the records of decisions, and nowhere else; there, what has a privacy class is sealed."""
_TOLERATED: Final = timedelta(minutes=1)
_EVERY: Final = 1000
_REQUESTS: Final = frozenset({Kind.REQUEST_MISSING, Kind.REQUEST_CHANGED})
_WHOLENESS: Final = frozenset(
    {
        *(Kind.LEAF_MISSING, Kind.LEAF_REPEATED, Kind.HEAD, *_REQUESTS),
        *(Kind.RECORD_MISSING, Kind.RECORD_CHANGED, Kind.RECORD_FORM, Kind.RECORD_STRAY),
        *(Kind.ROW_MISSING, Kind.ROW_CHANGED, Kind.ROW_STRAY),
    }
)
_ARTEFACTS: Final = frozenset({Kind.ARTEFACT_CHANGED, Kind.ARTEFACT_MISSING})


class Hit(NamedTuple):
    """Where a canary was found: the column, the number of the canary among those given, and in how many rows."""

    table: str
    column: str
    canary: int
    rows: int


class Examined(LogSource, Kept, Protocol):
    """One moment of a store, as the doctor needs it."""

    def revision(self) -> str | None:
        """Give the revision of the tables; None where there are none."""
        ...

    def settings(self) -> Mapping[str, str]:
        """Give the server's settings on which durability rests, by name."""
        ...

    def stray_outcomes(self) -> Sequence[int]:
        """Give the leaves of outcomes that are of no decision."""
        ...

    def unhidden(self) -> Sequence[str]:
        """Name the tables whose rows the database does not hide from other clients, though it should."""
        ...

    def events(self) -> Iterator[StoredEvent]:
        """Give what is told to clients' systems, by the index of the leaf."""
        ...

    def pruned_before(self) -> datetime | None:
        """Tell up to when events were pruned; None: never."""
        ...

    def stray_deliveries(self) -> int:
        """Count deliveries that are of no event or no endpoint."""
        ...

    def misfiled(self) -> Sequence[str]:
        """Count the reviews and alerts that are open and noted as closed, or the other way about."""
        ...

    def search(self, canaries: Sequence[str]) -> Iterator[Hit]:
        """Find strings in every column that can hold text."""
        ...


@dataclass(frozen=True, slots=True)
class Reached:
    """What an anchor that is set up answered: its newest checkpoint, or why it gave none."""

    name: str
    note: bytes | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an examination needs besides the store."""

    signatures: Signatures
    anchors: tuple[Reached, ...]
    replay: Callable[[bytes], Sequence[str]]
    """Makes a decision again from its record; gives the fields that do not follow. IntegrityError: it is not what is pinned.
    ErasedError: what it was decided on was erased. UnavailableError: the keys that open it are not here."""
    release: Callable[[], str]
    """Opens the release in force and says which it is; empty where there is none. ObligorError: it cannot be trusted."""
    key: Callable[[], str] | None
    """Looks at the signing key and names it; None: the store lies apart from it. ObligorError: others may reach it."""
    conflict: Conflict
    """Gives two roles of those that somebody holds which nobody holds together, where there are such."""
    newest: str
    """The revision of the tables that this code was written for."""
    now: datetime
    events_kept: timedelta
    """For how long events are kept that are over."""
    canaries: tuple[str, ...] = ()
    strict: bool = False
    """Whether every decision is made again, and what somebody should look at counts as broken."""
    known: frozenset[int] = frozenset()
    """The leaves by which two people acknowledged that the log was set back, as far as is known here."""


def examine(store: Examined, around: Surroundings, *, progress: Progress) -> Examination:
    """Examine a store; what is wrong is told in the checks, and never raised."""
    found = store.revision()
    schema = _schema(found, around.newest)
    if found is None:
        return Examination((schema,))
    notes = [AnchoredNote(each.name, each.note, each.name) for each in around.anchors if each.note is not None]
    log = verify_log(store, signatures=around.signatures, anchors=notes, known=around.known, progress=progress)
    walk = _Walk(
        around, size=log.size, told=Told(AtLeaves(store.events()), store.pruned_before()), overrides=Overrides(store)
    )
    with progress.step("reading every decision", total=log.size) as advance:
        for count, leaf in enumerate(store.leaves(), start=1):
            walk.take(leaf)
            if not count % _EVERY:
                advance(_EVERY)
    return Examination(
        (
            _one_for_a_key(log, walk),
            _whole_and_repeatable(log, walk, strict=around.strict),
            judged(
                "I3",
                "nobody is approved against an enforced gate",
                walk.ungated,
                {"approved": walk.counts["approved"]},
            ),
            _anchored(log, around.anchors),
            walk.persons.by_two(),
            _canaries(store, around.canaries),
            _apart(store, walk),
            walk.told.check(store.stray_deliveries(), around.now, kept=around.events_kept),
            schema,
            judged("queues", "what waits for somebody is in its queue", _misfiled(store), {}),
            _of_kinds("guards", "the log's tables refuse changes", log, frozenset({Kind.UNGUARDED})),
            _of_kinds("artefacts", "cards, policies and profiles are what their hashes say", log, _ARTEFACTS),
            _release(log, around),
            _durable(store.settings()),
            _key(around),
            _clocks(walk, around.now),
            walk.persons.done(around.now),
            walk.persons.once(),
            walk.persons.apart(around.conflict),
            walk.reports.check(around.now),
            walk.late.check(around.now),
            walk.overrides.check(),
        ),
        strict=around.strict,
    )


@dataclass(slots=True)
class _Walk:
    """What was seen of the decisions, leaf by leaf."""

    around: Surroundings
    size: int
    told: Told
    overrides: Overrides
    counts: Counter[str] = field(default_factory=Counter)
    ungated: Faults = field(default_factory=Faults)
    stopped: set[str] = field(default_factory=set)
    """The decisions that an enforced gate did not pass."""
    foreign: Faults = field(default_factory=Faults)
    persons: Persons = field(default_factory=Persons)
    reports: Reports = field(default_factory=Reports)
    late: Clocks = field(default_factory=Clocks)
    changed: Faults = field(default_factory=Faults)
    latest: datetime | None = None
    due: int = 0

    def take(self, stored: StoredLeaf) -> None:
        leaf, said = _read(stored)
        self.latest = self.latest if leaf is None else leaf.at
        if leaf is None or said is None:
            return  # what cannot be read is found where the log is verified
        self.persons.take(leaf, said)
        self.reports.take(leaf, said)
        self.late.take(stored.index, leaf, said)
        self.told.take(stored.index, leaf, said)
        if leaf.kind in ("review.decided", "override.decided"):
            self._take_word(stored, leaf, said)
        if leaf.kind not in ("decision", "outcome"):
            return
        where = f"{leaf.kind} {leaf.subject} at leaf {stored.index}"
        self.counts[f"{leaf.kind}s"] += 1
        if leaf.by != actor(str(said.get("client_id"))):
            self.foreign.add(f"{where}: its leaf names another client than its record")
        if leaf.kind == "decision":
            self._take_decision(stored, leaf, said, where)

    def _take_decision(self, stored: StoredLeaf, leaf: Leaf, said: Mapping[str, Any], where: str) -> None:
        failed = list(_failed_gates(said.get("gates")))
        if failed:
            self.stopped.add(leaf.subject)
        if said.get("outcome") == "approve":
            self.counts["approved"] += 1
            for gate in failed:
                self.ungated.add(f"{where}: approved, and {gate}")
        if _backdated(leaf, said):
            self.counts["backdated"] += 1
        if self.around.strict or stored.index >= self.due:
            self.due = stored.index + max(1, self.size // SAMPLE)
            self._make_again(stored.record or b"", where)

    def _take_word(self, stored: StoredLeaf, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Look at what a person decided; what was decided again is a decision of its own."""
        what = leaf.kind.partition(".")[0]
        approved = said.get("outcome") == "approve" and said.get("new_decision_id") is None
        if approved and said.get("decision_id") in self.stopped:
            where = f"{what} {leaf.subject} at leaf {stored.index}"
            self.ungated.add(f"{where}: approved what an enforced gate did not pass")
        if what == "override":
            self.overrides.take(stored.index, leaf, said)

    def _make_again(self, record: bytes, where: str) -> None:
        self.counts["made again"] += 1
        try:
            fields = self.around.replay(record)
        except ErasedError:
            self.counts["erased"] += 1
        except UnavailableError:
            self.counts["sealed"] += 1
        except IntegrityError as error:
            self.changed.add(f"{where}: {error.message}")
        else:
            if fields:
                self.changed.add(f"{where}: {', '.join(fields)} do not follow")


def _read(stored: StoredLeaf) -> tuple[Leaf | None, Mapping[str, Any] | None]:
    try:
        leaf = parse_leaf(stored.body)
        said = read_strict_json(stored.record or b"", what="a record", error=AuditError)
    except AuditError:
        return None, None
    return leaf, said if isinstance(said, dict) else None


def _failed_gates(gates: object) -> Iterator[str]:
    if not isinstance(gates, dict):
        yield "no gate is recorded"
        return
    for name in not_passed(gates):
        yield f"the gate {name} is enforced and says {gates[name].get('result')}"


def _backdated(leaf: Leaf, said: Mapping[str, Any]) -> bool:
    """Tell whether the clock of who decided was behind that of the log."""
    try:
        return leaf.at - parse_time(str(said.get("decided_at"))) > _TOLERATED
    except AuditError:
        return False


# The invariants


def _one_for_a_key(log: LogVerdict, walk: _Walk) -> Check:
    faults = _messages(log.findings, _REQUESTS)
    counts = {"decisions": walk.counts["decisions"]}
    return judged("I1", "a client's idempotency key stands for one request and its decisions", faults, counts)


def _whole_and_repeatable(log: LogVerdict, walk: _Walk, *, strict: bool) -> Check:
    faults = _messages(log.findings, _WHOLENESS)
    for found in (walk.changed, walk.told.missing):
        if found.count:
            faults.add(found.told())
    note = "" if strict else "a sample; --strict makes all again"
    counts = {name: walk.counts[name] for name in ("decisions", "made again")}
    counts |= {name: walk.counts[name] for name in ("erased", "sealed") if walk.counts[name]}
    return judged(
        "I2", "every decision has its leaf, record, request and event, and follows again", faults, counts, note=note
    )


def _anchored(log: LogVerdict, anchors: Sequence[Reached]) -> Check:
    faults = [str(finding) for finding in log.findings]
    note = "; ".join(str(finding) for finding in log.acknowledged)
    faults += [f"{each.name}: {each.trouble}" for each in anchors if each.trouble]
    if not anchors:
        faults.append("no anchor is set: a rewrite by somebody with the database and the signing key would not be seen")
    elif log.size and not log.anchored:
        faults.append("no anchor that tells what it has confirms the log")
    counts = {"leaves": log.size, "anchors": len(anchors), "leaves after the newest anchored": log.size - log.anchored}
    return judged("I4", "the audit log verifies and is anchored", Faults(faults), counts, note=note)


def _canaries(store: Examined, canaries: Sequence[str]) -> Check:
    claim = "no personal data outside the records of decisions"
    if not canaries:
        return Check("I6", claim, "not applicable", "no canaries were given (--canary FILE)")
    hits = [hit for hit in store.search(canaries) if (hit.table, hit.column) not in SEALED_NOWHERE_YET]
    faults = Faults(f"canary {it.canary} stands in {it.table}.{it.column}, in {it.rows:,} rows" for it in hits)
    return judged("I6", claim, faults, {"canaries": len(canaries)})


def _apart(store: Examined, walk: _Walk) -> Check:
    for index in store.stray_outcomes():
        walk.foreign.add(f"outcome at leaf {index}: of a decision that is not there")
    for table in store.unhidden():
        walk.foreign.add(f"table {table}: the policy that hides rows of other clients is gone or switched off")
    counts = {name: walk.counts[name] for name in ("decisions", "outcomes")}
    return judged("I7", "every decision and report is its client's", walk.foreign, counts)


# What they rest on


def _misfiled(store: Examined) -> Faults:
    return Faults(f"{each} are open and noted as closed, or the other way about" for each in store.misfiled())


def _schema(found: str | None, newest: str) -> Check:
    claim = "the tables have the newest shape"
    if found is None:
        return Check("schema", claim, "broken", "there are no tables")
    if found < newest:
        return Check("schema", claim, "broken", f"revision {found}; wanted {newest}")
    return Check("schema", claim, "ok", f"revision {found}")


def _release(log: LogVerdict, around: Surroundings) -> Check:
    claim = "the release in force is what was signed"
    signed = _of_kinds("release", claim, log, frozenset({Kind.RELEASE_SIGNATURE}))
    if signed.verdict == "broken":
        return signed
    told = _said("release", claim, around.release)
    return told if told.why else Check("release", claim, "not applicable", "none is in force")


def _durable(settings: Mapping[str, str]) -> Check:
    wanted = ("fsync", "full_page_writes")
    faults = Faults(f"{name} is {settings.get(name)}; wanted on" for name in wanted if settings.get(name) != "on")
    note = f"PostgreSQL {settings.get('server_version')}, checksums of pages {settings.get('data_checksums')}"
    return judged("durable", "what is committed is on the disk", faults, {}, note=note)


def _key(around: Surroundings) -> Check:
    claim = "the signing key is its owner's alone"
    if around.key is None:
        return Check("key", claim, "not applicable", "the public key was given")
    return _said("key", claim, around.key)


def _clocks(walk: _Walk, now: datetime) -> Check:
    claim = "the log's time is not ahead of the clock"
    counts = {"decisions by a clock a minute behind the log": walk.counts["backdated"]}
    ahead = walk.latest is not None and walk.latest - now > _TOLERATED
    said = "the last leaf is of the future: a clock that wrote here is ahead, or that of this machine behind"
    return judged("clocks", claim, Faults([said] if ahead else ()), counts)


def _of_kinds(name: str, claim: str, log: LogVerdict, kinds: frozenset[Kind]) -> Check:
    return judged(name, claim, _messages(log.findings, kinds), {})


def _said(name: str, claim: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, claim, "ok", look())
    except ObligorError as error:
        return Check(name, claim, "broken", error.message)


def _messages(findings: Iterable[Finding], kinds: frozenset[Kind]) -> Faults:
    return Faults(str(finding) for finding in findings if finding.kind in kinds)

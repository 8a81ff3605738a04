"""The whole log, held against itself, against what is kept beside it, and against checkpoints that were kept elsewhere.

One pass over the leaves, in their order, does nearly all of it: the tree grows as they pass, and each stored node, checkpoint
and anchor is compared when the tree reaches its size. Rows come in the same order and are held against the record of their
leaf. Memory holds the right edge of the tree, the checkpoints of anchors, API keys and the hashes of artefacts; not the log.

What it cannot see: a log that was rewritten from some leaf on, with everything beside it, by somebody who holds the signing key
and the database. Only a checkpoint that was kept elsewhere shows that. Where none is given the verdict says so.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from obligor.core.errors import AuditError
from obligor.core.leaves import actor, is_committed, parse_leaf
from obligor.core.merkle import Frontier, StoredNode, leaf_hash
from obligor.governance.audit.anchored import AnchoredHead, AnchoredNote, one_for_each_size, part_lost, signed_heads
from obligor.governance.audit.findings import Finding, Findings, Kind, Verdict
from obligor.governance.audit.heads import Heads
from obligor.governance.audit.projections import Act, Projections
from obligor.governance.audit.restores import acknowledgements, read_restores

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from obligor.core.leaves import Leaf
    from obligor.governance.audit.restores import Restore
    from obligor.governance.audit.source import LogSource, Signatures, StoredLeaf
    from obligor.progress import Progress

_EVERY: Final = 1000
NO_ANCHORS: Final = (
    "no checkpoint of an anchor was given: a full rewrite of the log by somebody who holds the database and the signing key, "
    "or the restoring of an old backup, cannot be seen by this check"
)


def verify_log(
    source: LogSource,
    *,
    signatures: Signatures,
    anchors: Iterable[AnchoredNote] = (),
    findings: Findings | None = None,
    known: frozenset[int] = frozenset(),
    progress: Progress,
) -> Verdict:
    """Verify a log, and tell everything that is wrong.

    Parameters
    ----------
    anchors
        Checkpoints that were kept outside the store.
    findings
        What was found before, while the anchors were read.
    known
        The leaves by which two people acknowledged that the log was set back, as far as whoever verifies knows of them. The
        log itself cannot vouch for them: whoever holds the database and the key could have written them.
    """
    found = findings or Findings()
    for said in source.unguarded():
        found.add(Kind.UNGUARDED, None, said, about=said)
    given = tuple(anchors)
    parted = part_lost(signed_heads(given, signatures, found), acknowledgements(read_restores(source.restores())))
    acknowledged = _tell_lost(parted.lost, known, found)
    walk = _Walk(source, signatures, one_for_each_size(parted.heads, found), found)
    with progress.step("verifying the log", total=source.head()) as advance:
        for count, leaf in enumerate(source.leaves(), start=1):
            walk.take(leaf)
            if not count % _EVERY:
                advance(_EVERY)
    walk.finish()
    return Verdict(
        size=walk.frontier.size,
        root=walk.frontier.root,
        counts=walk.counts,
        anchored=walk.anchored,
        findings=found.all(),
        cautions=_cautions(walk, given=bool(given)),
        acknowledged=acknowledged,
    )


def _tell_lost(
    lost: Iterable[tuple[AnchoredHead, Restore]], known: frozenset[int], findings: Findings
) -> tuple[Finding, ...]:
    """Tell of logs that were lost and acknowledged: as known, or as wrong where whoever verifies does not know of it."""
    told = Findings()
    for head, it in sorted(lost, key=lambda pair: -pair[0].checkpoint.size):
        size, who = head.checkpoint.size, f"{it.proposed_by} and {it.by} acknowledged that at leaf {it.index:,}"
        said = f"{head.place} keeps a log of {size:,} leaves, lost from leaf {it.present.size:,} on; {who}"
        into, more = (told, "") if it.index in known else (findings, f" (--acknowledged {it.index}: you know of it)")
        into.add(Kind.ROLLED_BACK, it.present.size, said + more, about=f"acknowledged {it.index}")
    return told.all()


def _cautions(walk: _Walk, *, given: bool) -> tuple[str, ...]:
    if not given:
        return (NO_ANCHORS,)
    later = walk.frontier.size - walk.anchored
    if later <= 0:
        return ()
    return (f"the last {later:,} leaves came after the newest anchor that was given: only the store speaks for them",)


class _Walk:
    """Where the pass over the leaves stands."""

    def __init__(
        self, source: LogSource, signatures: Signatures, heads: Iterable[AnchoredHead], findings: Findings
    ) -> None:
        self.frontier = Frontier()
        self.counts: Counter[str] = Counter()
        self._source, self._findings = source, findings
        self._projections = Projections(source, signatures, findings)
        self._heads = Heads(source, signatures, heads, findings)
        self._nodes: dict[int, Iterator[StoredNode]] = {}
        self._latest: datetime | None = None
        self._due = 0
        self._compare_heads()

    def take(self, stored: StoredLeaf) -> None:
        """Take the next leaf."""
        self.counts["leaves"] += 1
        self._require_next(stored.index)
        own = leaf_hash(stored.body)
        if own != stored.hash:
            self._findings.add(Kind.LEAF_HASH, stored.index, "its stored hash is not that of its body")
        growth = self.frontier.extend((own,))
        self.frontier = growth.frontier
        for node in growth.nodes:
            self._compare_node(node)
        self._compare_heads()
        leaf = self._read_leaf(stored)
        said = self._read_record(stored, leaf)
        if leaf is None or said is None:
            self._projections.skip(stored.index)
        else:
            self._projections.hold(Act(stored.index, leaf, said))

    @property
    def anchored(self) -> int:
        """The largest size that an anchor confirms."""
        return self._heads.anchored

    def finish(self) -> None:
        """Compare what is left when the leaves have ended."""
        size = self.frontier.size
        told = self._source.head()
        if told != size:
            said = f"the tree head tells {told:,} leaves; there are {size:,}"
            self._findings.add(Kind.HEAD, max(0, min(told, size)), said)
        for index, first in self._source.repeated():
            self._findings.add(Kind.LEAF_REPEATED, index, f"is leaf {first} again")
        for index in self._source.stray_records():
            self._findings.add(Kind.RECORD_STRAY, index, "a record of a leaf that is not there")
        for level, nodes in self._nodes.items():
            for node in nodes:
                said = f"a node of level {level} over leaves that are not there"
                self._findings.add(Kind.NODE, min(size, node.index << 8 * level), said, about="beyond")
        self._heads.finish(size)
        self._projections.finish()

    def _require_next(self, index: int) -> None:
        if index > self._due:
            self._findings.add(Kind.LEAF_MISSING, self._due, f"leaves {self._due} to {index - 1} are not there")
        elif index < self._due:
            self._findings.add(Kind.LEAF_REPEATED, index, "the index stands twice", about="index")
        self._due = max(self._due, index + 1)

    def _compare_node(self, node: StoredNode) -> None:
        nodes = self._nodes.setdefault(node.level, self._source.nodes(node.level))
        stored = next(nodes, None)
        self.counts["nodes"] += 1
        if stored != node:
            what = "is missing" if stored is None or stored.index != node.index else "is not that of its leaves"
            first = node.index << 8 * node.level
            self._findings.add(Kind.NODE, first, f"node {node.index} of level {node.level} {what}")

    def _compare_heads(self) -> None:
        self.counts["checkpoints"] += self._heads.compare(self.frontier)

    def _read_leaf(self, stored: StoredLeaf) -> Leaf | None:
        try:
            leaf = parse_leaf(stored.body)
        except AuditError as error:
            self._findings.add(Kind.LEAF_FORM, stored.index, str(error))
            return None
        if leaf.kind != stored.kind:
            self._findings.add(
                Kind.LEAF_FORM, stored.index, f"is kept as {stored.kind[:40]}; its body says {leaf.kind}"
            )
        if self._latest is not None and leaf.at < self._latest:
            self._findings.add(Kind.CLOCK, stored.index, "is older than the leaf before it")
        self._latest = leaf.at
        return leaf

    def _read_record(self, stored: StoredLeaf, leaf: Leaf | None) -> dict[str, object] | None:
        """Give what a record says, where the leaf commits to it."""
        if stored.record is None or stored.salt is None:
            self._findings.add(Kind.RECORD_MISSING, stored.index, "its record is not there")
            return None
        if leaf is None:
            return None
        self.counts["records"] += 1
        if not is_committed(leaf, record=stored.record, salt=stored.salt):
            self._findings.add(
                Kind.RECORD_CHANGED, stored.index, "the record, or its salt, is not what the leaf commits to"
            )
            return None
        said = _read_one_form(stored.record)
        if said is None:
            self._findings.add(Kind.RECORD_FORM, stored.index, "the record is not an object in its one form of JSON")
            return None
        if leaf.kind == "decision" and _told_of(said) != (leaf.subject, leaf.by):
            self._findings.add(
                Kind.RECORD_FORM, stored.index, "the record tells of another decision or client", about="of"
            )
        return said


def _read_one_form(record: bytes) -> dict[str, object] | None:
    """Read a record as the service writes records: sorted keys, no white space, numbers in the fewest digits."""
    try:
        said = msgspec.json.decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return said if isinstance(said, dict) and msgspec.json.encode(said, order="sorted") == record else None


def _told_of(said: dict[str, object]) -> tuple[object, str]:
    return said.get("decision_id"), actor(str(said.get("client_id")))

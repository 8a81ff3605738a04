"""Tree heads that were told before, in the store and by anchors, held against the tree as it grows over the leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.checkpoints import parse_checkpoint, parse_note
from obligor.core.errors import AuditError
from obligor.governance.audit.findings import Findings, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from obligor.core.merkle import Frontier
    from obligor.governance.audit.anchored import AnchoredHead
    from obligor.governance.audit.source import LogSource, Signatures, StoredNote


class Heads:
    """The heads still to compare, and how far those compared confirm the log."""

    def __init__(
        self, source: LogSource, signatures: Signatures, anchored: Iterable[AnchoredHead], findings: Findings
    ) -> None:
        self.anchored = 0
        """The largest size that an anchor confirms."""
        self._confirmed = 0
        """The largest size below which no head, of the store or of an anchor, is contradicted."""
        self._signatures, self._findings = signatures, findings
        self._checkpoints: Iterator[StoredNote] = source.checkpoints()
        self._anchors = iter(anchored)
        self._checkpoint = next(self._checkpoints, None)
        self._anchor = next(self._anchors, None)

    def compare(self, frontier: Frontier) -> int:
        """Compare what was told of the tree at its present size; give how many were."""
        read, size, right = 0, frontier.size, True
        while self._checkpoint is not None and self._checkpoint.size <= size:
            right &= self._is_right(self._checkpoint, frontier)
            self._checkpoint, read = next(self._checkpoints, None), read + 1
        if self._anchor is not None and self._anchor.checkpoint.size == size:
            right &= self._is_confirmed(self._anchor, frontier)
            self._anchor, read = next(self._anchors, None), read + 1
        if read and right:
            self._confirmed = size
        return read

    def finish(self, size: int) -> None:
        """Note the heads of a longer log than this."""
        while self._checkpoint is not None:
            said = f"a checkpoint in the store is of {self._checkpoint.size:,} leaves; there are {size:,}"
            self._findings.add(Kind.CHECKPOINT_BEYOND, size, said)
            self._checkpoint = next(self._checkpoints, None)
        while self._anchor is not None:
            said = f"{self._anchor.place} keeps a log of {self._anchor.checkpoint.size:,} leaves; there are {size:,}"
            self._findings.add(Kind.ROLLED_BACK, size, f"{said}: the tail was deleted, or an old backup restored")
            self._anchor = next(self._anchors, None)

    def _is_right(self, stored: StoredNote, frontier: Frontier) -> bool:
        """Hold a checkpoint of the store against the tree."""
        try:
            note = parse_note(stored.note)
            checkpoint = parse_checkpoint(note.text)
        except AuditError as error:
            self._findings.add(Kind.CHECKPOINT_FORM, None, f"the checkpoint of {stored.size:,} leaves: {error}")
            return False
        if checkpoint.size != stored.size or stored.size != frontier.size:
            said = f"the checkpoint kept for {stored.size:,} leaves tells {checkpoint.size:,}"
            self._findings.add(Kind.CHECKPOINT_FORM, None, said)
            return False
        if not self._signatures.signed_note(note):
            said = f"the checkpoint of {stored.size:,} leaves is not signed by the key of this log"
            self._findings.add(Kind.CHECKPOINT_SIGNATURE, None, said)
            return False
        if checkpoint.root != frontier.root:
            said = f"{self._between(stored.size)} the log is not the one that a checkpoint in the store tells of"
            self._findings.add(Kind.CHECKPOINT_ROOT, self._confirmed, said)
            return False
        return True

    def _is_confirmed(self, head: AnchoredHead, frontier: Frontier) -> bool:
        """Hold a head that an anchor keeps against the tree."""
        if head.checkpoint.root == frontier.root:
            self.anchored = frontier.size
            return True
        said = f"{self._between(frontier.size)} the log is not the one that {head.place} keeps the root of"
        self._findings.add(Kind.REWRITTEN, self._confirmed, said)
        return False

    def _between(self, size: int) -> str:
        return f"from leaf {self._confirmed} on, and before leaf {size},"

"""What verifying finds: kinds that can be counted, the first index that is wrong, and the verdict over all of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST_HEX = 16


class Kind(StrEnum):
    """What is wrong."""

    LEAF_MISSING = "leaf-missing"
    """An index is not there: a leaf was deleted."""
    LEAF_REPEATED = "leaf-repeated"
    """A leaf stands twice, or an index does."""
    LEAF_HASH = "leaf-hash"
    """The stored hash is not that of the body: one of them was edited."""
    LEAF_FORM = "leaf-form"
    """The body is not a leaf in canonical form, or its kind is not the one it is kept under."""
    CLOCK = "clock"
    """A leaf is older than the one before it."""
    NODE = "node"
    """A stored node is not that of the leaves: leaves were changed, moved, inserted or deleted."""
    HEAD = "head"
    """The tree head tells another size than there are leaves."""
    RECORD_MISSING = "record-missing"
    RECORD_CHANGED = "record-changed"
    """The record, or its salt, is not what the leaf commits to."""
    RECORD_FORM = "record-form"
    """The record is not canonical JSON, or does not speak of its leaf's subject and actor."""
    RECORD_STRAY = "record-stray"
    """A record belongs to no leaf."""
    ROW_MISSING = "row-missing"
    ROW_CHANGED = "row-changed"
    """A row that is kept to be found again does not say what the record says."""
    ROW_STRAY = "row-stray"
    """A row belongs to no leaf of its kind."""
    REQUEST_MISSING = "request-missing"
    """A decision was recorded and no request was answered with it."""
    REQUEST_CHANGED = "request-changed"
    """The answer that is kept for a request tells something else than the record."""
    RELEASE_SIGNATURE = "release-signature"
    ARTEFACT_CHANGED = "artefact-changed"
    ARTEFACT_MISSING = "artefact-missing"
    API_KEY = "api-key"
    """An API key does not stand as its events leave it."""
    PERSON = "person"
    """A person, or a role of theirs, does not stand as its events leave it."""
    WEBHOOK = "webhook"
    """An endpoint of a client does not stand as its events leave it."""
    PRIVACY = "privacy"
    """An erasure, a hold or a key of personal data does not stand as its acts leave it."""
    CHECKPOINT_FORM = "checkpoint-form"
    CHECKPOINT_SIGNATURE = "checkpoint-signature"
    CHECKPOINT_ROOT = "checkpoint-root"
    """A checkpoint in the store has another root than the leaves give: leaves were changed after it."""
    CHECKPOINT_BEYOND = "checkpoint-beyond"
    """A checkpoint in the store is of a longer log: leaves were deleted from the tail."""
    ANCHOR_FORM = "anchor-form"
    ANCHOR_SIGNATURE = "anchor-signature"
    ANCHOR_EMPTY = "anchor-empty"
    ROLLED_BACK = "rolled-back"
    """An anchor knows a longer log: the tail was deleted, or an old backup restored."""
    REWRITTEN = "rewritten"
    """An anchor has another root for a size: the log was rewritten, or it was shown in two versions."""
    SPLIT_VIEW = "split-view"
    """Two checkpoints that the key signed have different roots for one size."""
    UNGUARDED = "unguarded"
    """A guard of an append-only table is missing or switched off."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of thing that is wrong: where it is first so, in a sentence, and how often."""

    kind: Kind
    index: int | None
    """The first leaf that it concerns; None where it concerns no leaf."""
    message: str
    times: int = 1

    def to_plain(self) -> dict[str, Any]:
        """Give plain data."""
        return {"kind": str(self.kind), "first_index": self.index, "message": self.message, "times": self.times}

    def __str__(self) -> str:
        where = "" if self.index is None else f" at leaf {self.index}"
        more = "" if self.times == 1 else f" (and {self.times - 1:,} more)"
        return f"{self.kind}{where}: {self.message}{more}"


class Findings:
    """Gathers what is found: of each kind the first, and how many."""

    def __init__(self) -> None:
        self._first: dict[tuple[Kind, str], Finding] = {}

    def add(self, kind: Kind, index: int | None, message: str, *, about: str = "") -> None:
        """Add one; ``about`` parts those of a kind that are counted apart."""
        known = self._first.get((kind, about))
        if known is None:
            self._first[kind, about] = Finding(kind, index, message)
            return
        first = known if index is None or (known.index is not None and known.index <= index) else None
        kept = first or Finding(kind, index, message)
        self._first[kind, about] = Finding(kind, kept.index, kept.message, known.times + 1)

    def all(self) -> tuple[Finding, ...]:
        """Give them, the first leaves first."""
        return tuple(sorted(self._first.values(), key=lambda it: (it.index is None, it.index or 0)))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying says of a log."""

    size: int
    root: bytes
    counts: Mapping[str, int]
    """How many of each thing were read."""
    anchored: int
    """The largest size that an anchor confirms; 0 where none does."""
    findings: tuple[Finding, ...]
    cautions: tuple[str, ...]
    """What this verdict cannot exclude."""
    acknowledged: tuple[Finding, ...] = ()
    """What was wrong, as two people acknowledged and whoever verifies knows."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        return {
            "sound": self.sound,
            "size": self.size,
            "root": self.root.hex(),
            "counts": dict(self.counts),
            "anchored": self.anchored,
            "findings": [finding.to_plain() for finding in self.findings],
            "cautions": list(self.cautions),
            "acknowledged": [finding.to_plain() for finding in self.acknowledged],
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        read = ", ".join(f"{count:,} {name}" for name, count in self.counts.items() if count)
        told = [f"log: {self.size:,} leaves, root {self.root.hex()[:_MOST_HEX]}…; read {read or 'nothing'}"]
        told += [f"WRONG  {finding}" for finding in self.findings]
        told += [f"KNOWN  {finding}" for finding in self.acknowledged]
        told += [f"note   {caution}" for caution in self.cautions]
        count = sum(finding.times for finding in self.findings)
        return [*told, f"NOT SOUND: {count:,} finding{'s' * (count > 1)}" if count else "sound"]

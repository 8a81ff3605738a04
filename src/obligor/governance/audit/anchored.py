"""Checkpoints that were kept outside the store, against which the log is held."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from obligor.core.checkpoints import MOST_NOTE_BYTES, Checkpoint, parse_checkpoint, parse_note
from obligor.core.errors import AuditError, InvalidInputError
from obligor.governance.audit.findings import Findings, Kind
from obligor.governance.audit.restores import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from obligor.governance.audit.restores import Restore
    from obligor.governance.audit.source import Signatures

SUFFIX: Final = ".checkpoint"
_LOG: Final = "checkpoints.log"
_LINE: Final = re.compile(r"([0-9]{1,20}) ([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AnchoredNote:
    """A signed checkpoint as an anchor keeps it, and where."""

    place: str
    note: bytes
    keeper: str = ""
    """The anchor: what keeps the checkpoints of one log, one after the other."""


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """A tree head that the deployment's key signed once, and where it is kept."""

    place: str
    checkpoint: Checkpoint
    keeper: str = ""


def read_anchors(places: Iterable[Path], findings: Findings) -> tuple[AnchoredNote, ...]:
    """Read every checkpoint of files and of folders; a folder's own list of them must agree.

    Raises
    ------
    InvalidInputError
        Where there is no such file or folder, or it cannot be read.
    """
    return tuple(note for place in places for note in _read_place(place, findings))


@dataclass(frozen=True, slots=True)
class Parted:
    """Tree heads that the log must go on from, and those that it lost, with who acknowledged that."""

    heads: tuple[AnchoredHead, ...]
    lost: tuple[tuple[AnchoredHead, Restore], ...]


def signed_heads(notes: Iterable[AnchoredNote], signatures: Signatures, findings: Findings) -> tuple[AnchoredHead, ...]:
    """Give the tree heads of notes whose form and signature are right."""
    found = ((each, _signed_head(each, signatures, findings)) for each in notes)
    return tuple(AnchoredHead(each.place, head, each.keeper) for each, head in found if head is not None)


def part_lost(heads: Iterable[AnchoredHead], acknowledged: Iterable[Restore]) -> Parted:
    """Part heads of a log that was lost, as two people acknowledged, from those that must be of this one.

    The two named the newest head of an anchor. An anchor takes no shorter log than it has: so what else it keeps above the
    log that was there then, and up to that head, is of the lost one. What other anchors keep is not; and where the log had
    grown past that head before anybody looked, what lies below it cannot be told from a rewrite, and stays wrong.
    """
    given, known = tuple(heads), tuple(acknowledged)
    names = {(head.keeper, Tree(head.checkpoint.size, head.checkpoint.root)) for head in given}
    kept, lost = [], []
    for head in given:
        restore = next((it for it in known if _is_lost(head, it, names)), None)
        if restore is None:
            kept.append(head)
        else:
            lost.append((head, restore))
    return Parted(tuple(kept), tuple(lost))


def _is_lost(head: AnchoredHead, restore: Restore, names: set[tuple[str, Tree]]) -> bool:
    size = head.checkpoint.size
    if Tree(size, head.checkpoint.root) in restore.names:
        return True
    return size > restore.present.size and any(
        size <= tree.size and (head.keeper, tree) in names for tree in restore.names
    )


def one_for_each_size(heads: Iterable[AnchoredHead], findings: Findings) -> tuple[AnchoredHead, ...]:
    """Give heads by size; two roots for one size are a split view."""
    known: dict[int, AnchoredHead] = {}
    for head in heads:
        size = head.checkpoint.size
        first = known.setdefault(size, head)
        if first.checkpoint.root != head.checkpoint.root:
            said = f"{first.place} and {head.place} keep different roots for {size} leaves, both signed"
            findings.add(Kind.SPLIT_VIEW, _last_known(known, size), said)
    return tuple(known[size] for size in sorted(known))


def _last_known(heads: dict[int, AnchoredHead], size: int) -> int:
    """Give the size before this one that an anchor keeps: the leaves below it are not in doubt by this."""
    return max((known for known in heads if known < size), default=0)


def _signed_head(each: AnchoredNote, signatures: Signatures, findings: Findings) -> Checkpoint | None:
    try:
        note = parse_note(each.note)
        checkpoint = parse_checkpoint(note.text)
    except AuditError as error:
        findings.add(Kind.ANCHOR_FORM, None, f"{each.place}: {error}")
        return None
    if not signatures.signed_note(note):
        findings.add(Kind.ANCHOR_SIGNATURE, None, f"{each.place}: is not signed by the key of this log")
        return None
    return checkpoint


def _read_place(place: Path, findings: Findings) -> Sequence[AnchoredNote]:
    if place.is_file():
        return [_read(place)]
    if not place.is_dir():
        raise InvalidInputError(f"{place}: there is no such folder or file of checkpoints")
    notes = [_read(path) for path in sorted(place.rglob(f"*{SUFFIX}")) if path.is_file()]
    if not notes:
        findings.add(Kind.ANCHOR_EMPTY, None, f"{place}: holds no checkpoint")
    _hold_against_list(place, findings)
    return notes


def _read(path: Path) -> AnchoredNote:
    try:
        with path.open("rb") as file:
            return AnchoredNote(str(path), file.read(MOST_NOTE_BYTES + 1), str(path.parent))
    except OSError as error:
        raise InvalidInputError(f"{path}: cannot be read ({error.strerror})") from None


def _hold_against_list(folder: Path, findings: Findings) -> None:
    """Hold the files of an anchor against the list that it appended a line to for each."""
    listed = folder / _LOG
    if not listed.is_file():
        return
    for line in listed.read_text(encoding="ascii", errors="replace").splitlines():
        found = _LINE.fullmatch(line)
        if not found:
            continue  # a line that an interrupted run left torn
        path = folder / f"{int(found[1]):020d}{SUFFIX}"
        if not path.is_file():
            findings.add(Kind.ANCHOR_FORM, None, f"{folder}: its list names {path.name}, which is gone")
        elif hashlib.sha256(_read(path).note).hexdigest() != found[2]:
            findings.add(Kind.ANCHOR_FORM, None, f"{path}: is not the checkpoint that the anchor's list names")

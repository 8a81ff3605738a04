"""Checkpoints that were kept outside the store, against which the log is held."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from obligor.core.checkpoints import MOST_NOTE_BYTES, Checkpoint, parse_checkpoint, parse_note
from obligor.core.errors import AuditError, InvalidInputError
from obligor.governance.audit.findings import Findings, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from obligor.governance.audit.source import Signatures

SUFFIX: Final = ".checkpoint"
_LOG: Final = "checkpoints.log"
_LINE: Final = re.compile(r"([0-9]{1,20}) ([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, slots=True)
class AnchoredNote:
    """A signed checkpoint as an anchor keeps it, and where."""

    place: str
    note: bytes


@dataclass(frozen=True, slots=True)
class AnchoredHead:
    """A tree head that the deployment's key signed once, and where it is kept."""

    place: str
    checkpoint: Checkpoint


def read_anchors(places: Iterable[Path], findings: Findings) -> tuple[AnchoredNote, ...]:
    """Read every checkpoint of files and of folders; a folder's own list of them must agree.

    Raises
    ------
    InvalidInputError
        Where there is no such file or folder, or it cannot be read.
    """
    return tuple(note for place in places for note in _read_place(place, findings))


def heads_of(notes: Iterable[AnchoredNote], signatures: Signatures, findings: Findings) -> tuple[AnchoredHead, ...]:
    """Give the tree heads of notes whose form and signature are right, by size; two roots for one size are a split view."""
    heads: dict[int, AnchoredHead] = {}
    for each in notes:
        checkpoint = _signed_head(each, signatures, findings)
        if checkpoint is None:
            continue
        known = heads.setdefault(checkpoint.size, AnchoredHead(each.place, checkpoint))
        if known.checkpoint.root != checkpoint.root:
            said = f"{known.place} and {each.place} keep different roots for {checkpoint.size} leaves, both signed"
            findings.add(Kind.SPLIT_VIEW, _last_known(heads, checkpoint.size), said)
    return tuple(heads[size] for size in sorted(heads))


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
            return AnchoredNote(str(path), file.read(MOST_NOTE_BYTES + 1))
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

"""Checkpoints: a tree head as text, in the forms that witnesses and monitors of other logs read.

A *note* is text with signature lines under it (C2SP signed-note); a *checkpoint* is a note whose text tells a log's origin, its
size and its root (C2SP tlog-checkpoint)::

    obligor-3f1c9a7be0d25f48
    4096
    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

    — obligor-3f1c9a7be0d25f48 Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=

Nothing here signs or checks a signature; ``security.signing`` does.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from obligor.core.errors import AuditError

MOST_NOTE_BYTES: Final = 64 * 1024
_ROOT_BYTES: Final = 32
_KEY_BYTES: Final = 32
_ED25519: Final = b"\x01"  # the type of signature, in the words of signed-note
_KEY_ID_BYTES: Final = 4
_NAME: Final = re.compile(r"[^\s+]{1,200}")
_DECIMAL: Final = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIGNATURE_LINE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)")
_VERIFIER_KEY: Final = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_LEAST_LINES: Final = 3


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature of a note: whose it says it is, the id of the key, and the bytes."""

    name: str
    key_id: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text of whole lines, and what was signed under it."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        _require_note_text(self.text)

    def encode(self) -> bytes:
        """Write the note down."""
        lines = [f"— {s.name} {_base64(s.key_id + s.value)}\n" for s in self.signatures]
        return f"{self.text}\n{''.join(lines)}".encode()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A tree head: which log, how many leaves, and their root; other lines that a log adds are kept as they are."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.origin):
            raise AuditError("a checkpoint's origin: wanted 1 to 200 characters, none of them a space or a plus")
        if not 0 <= self.size < 1 << 63 or len(self.root) != _ROOT_BYTES:
            raise AuditError(f"a checkpoint: got size {self.size} and a root of {len(self.root)} bytes; wanted 32")

    def text(self) -> str:
        """Write the text that is signed."""
        return "".join(f"{line}\n" for line in (self.origin, self.size, _base64(self.root), *self.extensions))


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public key that checks a log's signatures, with the log's name: what an auditor is given once, by another way."""

    name: str
    public: bytes

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.public) != _KEY_BYTES:
            raise AuditError("a verifier key: wanted a name without spaces or plus, and 32 bytes")

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a signature line names its key."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_KEY_ID_BYTES]

    def text(self) -> str:
        """Write the key as ``name+id+base64``."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(_ED25519 + self.public)}"


def parse_note(data: bytes) -> Note:
    """Read a note.

    Raises
    ------
    AuditError
        Where it is not UTF-8, holds a control character, lacks a signature, or has a line that is none.
    """
    if len(data) > MOST_NOTE_BYTES:
        raise AuditError(f"a note: {len(data)} bytes are more than {MOST_NOTE_BYTES}")
    try:
        whole = data.decode()
    except UnicodeDecodeError:
        raise AuditError("a note: is not UTF-8") from None
    text, gap, lines = whole.rpartition("\n\n")
    if not gap or not lines.endswith("\n"):
        raise AuditError("a note: wanted text, an empty line, and lines of signatures that end")
    return Note(text + "\n", tuple(_parse_signature(line) for line in lines[:-1].split("\n")))


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a note as a checkpoint.

    Raises
    ------
    AuditError
        Where it lacks a line, or a line is not written in its one form.
    """
    lines = text.split("\n")[:-1]
    if len(lines) < _LEAST_LINES or not all(lines):
        raise AuditError(f"a checkpoint: got {len(lines)} lines; wanted an origin, a size and a root, and none empty")
    if not _DECIMAL.fullmatch(lines[1]):
        raise AuditError("a checkpoint's size: wanted a whole number in decimal, without zeros before it")
    return Checkpoint(lines[0], int(lines[1]), _bytes(lines[2], "a checkpoint's root"), tuple(lines[3:]))


def parse_verifier_key(text: str) -> VerifierKey:
    """Read a verifier key for Ed25519.

    Raises
    ------
    AuditError
        Where it is of another form or type, or its id is not its own.
    """
    found = _VERIFIER_KEY.fullmatch(text.strip())
    if not found:
        raise AuditError("a verifier key: wanted the form name+id+base64")
    data = _bytes(found[3], "a verifier key")
    if data[:1] != _ED25519:
        raise AuditError("a verifier key: is not of the type Ed25519")
    key = VerifierKey(found[1], data[1:])
    if key.key_id.hex() != found[2]:
        raise AuditError("a verifier key: its id is not that of its name and bytes")
    return key


def _require_note_text(text: str) -> None:
    if not text.endswith("\n") or any(letter < " " and letter != "\n" for letter in text):
        raise AuditError("a note: wanted whole lines without control characters")


def _parse_signature(line: str) -> Signature:
    found = _SIGNATURE_LINE.fullmatch(line)
    if not found:
        raise AuditError("a note: a line under its text is not a signature")
    data = _bytes(found[2], "a signature")
    if len(data) <= _KEY_ID_BYTES:
        raise AuditError("a note: a signature is shorter than the id of its key")
    return Signature(found[1], data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str, what: str) -> bytes:
    """Read base64 that is written in its one form: several texts may decode to the same bytes."""
    try:
        data = base64.b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or _base64(data) != text:
        raise AuditError(f"{what}: is not base64 in its one form")
    return data

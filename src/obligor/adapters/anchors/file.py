"""An anchor that is a folder: on another host's disk, a share, or a mounted medium that is written once.

::

    00000000000000001200.checkpoint      a signed note, one file for each size
    checkpoints.log                      one line for each of them, in order: size, SHA-256 of the note

A file is whole and on the disk before its line is written, and the line before ``publish`` returns. The log is only ever
appended to, so that it may carry the file system's append-only attribute (``chattr +a``).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from obligor.adapters.anchors.following import follows, head_of, kept_head, require_same_root
from obligor.core.errors import IntegrityError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG: Final = "checkpoints.log"
_LINE: Final = re.compile(rb"(\d{1,20}) ([0-9a-f]{64})")
_TAIL_BYTES: Final = 1024


class FileAnchor:
    """Keeps checkpoints in a folder; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = 0
        """The size of the newest checkpoint that was seen in the folder; 0 before there was any."""
        self.name = f"file://{folder}"

    def publish(self, note: bytes) -> None:
        """Keep a checkpoint; return once it is on the disk.

        Raises
        ------
        SplitViewError, RollbackError
            Where the folder has another root for this size, or a longer log.
        UnavailableError
            Where the folder cannot be written, or no longer has what was seen in it: it is not begun anew.
        """
        given = head_of(note)
        with self._trouble(), self._locked() as log:
            latest = self._latest(log)
            known = None if latest is None else kept_head(latest, anchor=self.name)
            if follows(given, known, anchor=self.name):
                kept = self._keep(given.size, note)
                require_same_root(given, kept_head(kept, anchor=self.name), anchor=self.name)
                _append(log, b"%d %s\n" % (given.size, _sha256(kept)))
            self._seen = given.size

    def latest(self) -> bytes | None:
        """Give the newest checkpoint; none where there is none yet.

        Raises
        ------
        IntegrityError
            Where the log names a checkpoint whose file is gone, or is another.
        """
        with self._trouble():
            try:
                log = os.open(self._folder / _LOG, os.O_RDONLY)  # who only looks makes nothing
            except FileNotFoundError:
                return None
            try:
                fcntl.flock(log, fcntl.LOCK_SH)
                return self._latest(log)
            finally:
                os.close(log)

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _latest(self, log: int) -> bytes | None:
        found = _last_line(log)
        if found is None:
            return None
        size, sha256 = found
        path = self._path(size)
        try:
            note = path.read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"{self.name}: its log names {path.name}, and there is no such file") from None
        if _sha256(note) != sha256:
            raise IntegrityError(f"{self.name}: {path.name} is not the checkpoint that its log names")
        self._seen = max(self._seen, size)
        return note

    def _keep(self, size: int, note: bytes) -> bytes:
        """Give what stands in the file of a size: the note, or what an interrupted run left there before its line."""
        path = self._path(size)
        if path.exists():
            return path.read_bytes()
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=self._folder)
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(note)
                file.flush()
                os.fchmod(handle, 0o444)
                os.fsync(handle)
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
        self._settle()
        return note

    def _path(self, size: int) -> Path:
        return self._folder / f"{size:020d}.checkpoint"

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Open the log for appending, alone among the processes that share the folder."""
        if self._seen:
            self._require_seen()
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
        log = os.open(self._folder / _LOG, os.O_RDWR | os.O_APPEND | (0 if self._seen else os.O_CREAT), 0o644)
        try:
            fcntl.flock(log, fcntl.LOCK_EX)
            self._settle()
            yield log
        finally:
            os.close(log)

    def _require_seen(self) -> None:
        """Refuse a folder that was removed, or emptied, while this process runs: nobody would learn that it began anew."""
        path = self._path(self._seen)
        if not path.exists():
            raise UnavailableError(
                f"{self.name}: kept {path.name}, and has it no longer",
                hint="put the folder back; a service that is started again begins it anew",
            )

    def _settle(self) -> None:
        """See the names in the folder on the disk."""
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UnavailableError(f"{self.name}: the folder did not do its part ({error.strerror})") from error


def _append(log: int, line: bytes) -> None:
    """Append a line; one that an interrupted run left without its end stays behind as a line of its own."""
    end = os.fstat(log).st_size
    torn = end > 0 and os.pread(log, 1, end - 1) != b"\n"
    os.write(log, b"\n" + line if torn else line)
    os.fsync(log)


def _last_line(log: int) -> tuple[int, bytes] | None:
    """Give the size and the hash of the last whole line."""
    end = os.fstat(log).st_size
    tail = os.pread(log, _TAIL_BYTES, max(0, end - _TAIL_BYTES))
    whole = tail.split(b"\n")[:-1]
    for line in reversed(whole):
        if match := _LINE.fullmatch(line):
            return int(match[1]), match[2]
    return None


def _sha256(note: bytes) -> bytes:
    return hashlib.sha256(note).hexdigest().encode()

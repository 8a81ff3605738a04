"""What every anchor asks of a new checkpoint: the log only grows, and has one root for one size."""

from __future__ import annotations

from obligor.core.checkpoints import Checkpoint, parse_checkpoint, parse_note
from obligor.core.errors import AuditError, IntegrityError, RollbackError, SplitViewError


def head_of(note: bytes) -> Checkpoint:
    """Read the checkpoint in a signed note; who signed it is not asked here."""
    return parse_checkpoint(parse_note(note).text)


def kept_head(note: bytes, *, anchor: str) -> Checkpoint:
    """Read a checkpoint that an anchor kept.

    Raises
    ------
    IntegrityError
        Where what it kept is no checkpoint.
    """
    try:
        return head_of(note)
    except AuditError as error:
        raise IntegrityError(f"{anchor}: what it kept is no checkpoint ({error.message})") from None


def follows(given: Checkpoint, known: Checkpoint | None, *, anchor: str) -> bool:
    """Tell whether a checkpoint is new to an anchor whose newest one is known, or that one once more.

    Raises
    ------
    SplitViewError
        Where the anchor has another root for the same size.
    RollbackError
        Where the anchor has a checkpoint of a longer log.
    IntegrityError
        Where the anchor keeps another log.
    """
    if known is None:
        return True
    if given.origin != known.origin:
        raise IntegrityError(f"{anchor}: keeps the log {known.origin}, got the log {given.origin}")
    if given.size < known.size:
        raise RollbackError(
            f"{anchor}: got a checkpoint of {given.size} leaves and has one of {known.size}; wanted a log that grew",
            size=known.size,
        )
    if given.size == known.size:
        require_same_root(given, known, anchor=anchor)
    return given.size > known.size


def require_same_root(given: Checkpoint, known: Checkpoint, *, anchor: str) -> None:
    """Refuse a second root for one size."""
    if given.root != known.root:
        raise SplitViewError(
            f"{anchor}: has another root for the log of {given.size} leaves; there are two histories of it"
        )

"""Examines a store, and makes its decisions again, from the command line; nothing is written."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from obligor.bootstrap.acting import named
from obligor.bootstrap.anchors import open_anchors
from obligor.bootstrap.store import existing_database, service_settings
from obligor.core.checkpoints import parse_verifier_key
from obligor.core.errors import InvalidInputError, NotFoundError, ObligorError, UnavailableError
from obligor.settings import read_anchor_settings, read_event_days

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from uuid import UUID

    from obligor.adapters.store.examining import PostgresExamination
    from obligor.governance.audit.doctor import Reached
    from obligor.governance.audit.examination import Examination
    from obligor.progress import Progress
    from obligor.security.signing import Verifier
    from obligor.serving.audit.anchoring import Anchor
    from obligor.serving.audit.replays import Remade
    from obligor.serving.privacy.sealed import Unsealing
    from obligor.settings import Settings

_REPLAY = "log.read"
"""To make a decision again is to hold the log's record of it against the card it pins."""
_LEAST_CANARY = 4
_MOST_CANARIES = 10_000
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def examine_store(
    *, strict: bool, canary: Path | None, key: str | None, known: Sequence[int] = (), progress: Progress
) -> Examination:
    """Examine the store; what is wrong is told, not raised.

    Parameters
    ----------
    canary
        A file with strings, one in each line, that may stand nowhere but in records.
    key
        The public key of the log, where the store is a copy that lies apart from its signing key.
    known
        The leaves of acknowledged losses that whoever examines knows of.
    """
    from obligor.adapters.store.migrating import NEWEST
    from obligor.governance.audit.doctor import Surroundings, examine
    from obligor.security.permissions import permissions
    from obligor.security.signing import Verifier, read_verifier
    from obligor.serving.audit.replays import Replays

    settings = service_settings()
    canaries = () if canary is None else _read_canaries(canary)
    verifier = Verifier(parse_verifier_key(key)) if key else read_verifier(settings.audit_key)
    reached = _reach(settings)  # before the store is looked at, which may grow meanwhile
    with _opened(settings) as store:
        replays = Replays(store.artefact, _unsealing(store, settings))
        around = Surroundings(
            signatures=verifier,
            anchors=reached,
            replay=lambda record: [it.field for it in replays.again(record)[1]],
            release=partial(_tell_release, store, verifier),
            key=partial(_tell_key, settings.audit_key, verifier.key.name) if not key else None,
            conflict=permissions().conflict,
            newest=NEWEST,
            now=datetime.now(UTC),
            events_kept=timedelta(days=read_event_days(os.environ)),
            canaries=canaries,
            strict=strict,
            known=frozenset(known),
        )
        return examine(store, around, progress=progress)


def remake_decision(decision_id: UUID, *, progress: Progress) -> Remade:
    """Make a decision again from its record and what it pins.

    Raises
    ------
    ForbiddenError
        Where the store knows active people, and this is none of them, or one without the permission.
    NotFoundError
        Where there is no such decision.
    """
    from obligor.serving.audit.replays import Replays, remake

    settings = service_settings()
    with _opened(settings) as store:
        named(store.persons(), _REPLAY)
        record = store.record(decision_id)
        if record is None:
            raise NotFoundError(f"decision {decision_id}: there is none")
        return remake([record], Replays(store.artefact, _unsealing(store, settings)), total=1, progress=progress)


def remake_all(*, progress: Progress) -> Remade:
    """Make every decision again, in the order of the log."""
    from obligor.serving.audit.replays import Replays, remake

    settings = service_settings()
    with _opened(settings) as store:
        named(store.persons(), _REPLAY)
        replays = Replays(store.artefact, _unsealing(store, settings))
        return remake(store.records(), replays, total=store.decisions(), progress=progress)


def _unsealing(store: PostgresExamination, settings: Settings) -> Unsealing:
    """Open sealed records with the keys of the deployment, which are unwrapped when the first is met."""
    from obligor.bootstrap.privacy import open_kms
    from obligor.security.sealing import open_keyring
    from obligor.serving.privacy.sealed import Unsealing

    return Unsealing(
        lambda: open_keyring(store.keyring(), open_kms(settings, anew=False), random=os.urandom), store.subject_key
    )


@contextmanager
def _opened(settings: Settings) -> Iterator[PostgresExamination]:
    from obligor.adapters.store.examining import open_examination

    with existing_database(settings) as url, open_examination(url) as store:
        yield store


def _reach(settings: Settings) -> tuple[Reached, ...]:
    anchors = open_anchors(read_anchor_settings(os.environ), s3_endpoint=settings.s3_endpoint)
    try:
        return tuple(map(_ask, anchors))
    finally:
        for anchor in anchors:
            anchor.close()


def _ask(anchor: Anchor) -> Reached:
    from obligor.governance.audit.doctor import Reached

    try:
        return Reached(anchor.name, anchor.latest())
    except ObligorError as error:
        return Reached(anchor.name, trouble=error.message.removeprefix(f"{anchor.name}: "))


def _tell_release(store: PostgresExamination, verifier: Verifier) -> str:
    from obligor.serving.releases.release import PURPOSE, open_release

    stored = store.release()
    if stored is None:
        return ""
    release = open_release(stored, signed=partial(verifier.signed_statement, purpose=PURPOSE))
    return f"release {release.number}, card {release.card.sha256[:12]}"


def _tell_key(path: Path, name: str) -> str:
    """Name the signing key, which only its owner may read, or replace."""
    from obligor.security.private_files import read_private

    read_private(path)
    mode = path.parent.stat().st_mode
    if mode & _WRITABLE_BY_OTHERS:
        raise InvalidInputError(f"{path.parent}: others may write here (mode {mode & 0o777:04o}), and replace the key")
    return name


def _read_canaries(path: Path) -> tuple[str, ...]:
    """Read strings that must not be found, one in each line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise InvalidInputError(f"{path}: there is no such file; wanted one canary in each line") from None
    except OSError as error:
        raise UnavailableError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InvalidInputError(f"{path}: is not UTF-8; wanted one canary in each line") from None
    found = tuple(line for line in lines if line.strip())
    short = next((number for number, line in enumerate(lines, 1) if line.strip() and len(line) < _LEAST_CANARY), None)
    if short is not None:
        raise InvalidInputError(
            f"{path}: line {short}: wanted at least {_LEAST_CANARY} characters, or all rows are found"
        )
    if not 0 < len(found) <= _MOST_CANARIES:
        raise InvalidInputError(f"{path}: got {len(found)} canaries, wanted 1 to {_MOST_CANARIES}")
    return found

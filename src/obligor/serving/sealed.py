"""Records whose personal fields are sealed under the key of the person they are about.

A record says in the clear what was decided and by what. What the applicant said of themselves, the histories, the hash of the
input and what the client calls the application stand together in one sealed text, bound to the subject, to its column and to
the id of the decision. The leaf commits to the record with that text, so that the log verifies whether or not it can be read.

A process makes the key of a subject that it does not hold, and hands it over to be kept with the decision, in one transaction:
nothing is looked up while deciding. So a subject may have several keys; erasing destroys all of them.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from obligor.core.errors import ErasedError, SealError
from obligor.security.sealing import NONCE_BYTES, Wrapped
from obligor.serving.acts import SubjectKeyRow
from obligor.serving.encoding import encode
from obligor.serving.personal import DECISION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.security.sealing import DataKey, Keyring
    from obligor.serving.acts import StoredDecision, StoredSubjectKey
    from obligor.serving.personal import Personal
    from obligor.serving.sources import Sources

COLUMN: Final = "sealed"
SEALED_SCHEMA: Final = "obligor/decision/2"
_MOST_HELD: Final = 4096
_ID_CHARACTERS: Final = 36


class SubjectKeys(Protocol):
    """Where the keys of subjects are kept."""

    async def subject_keys(self, key_ids: Sequence[bytes]) -> Mapping[bytes, StoredSubjectKey]:
        """Find keys by their ids."""
        ...


class Sealed(NamedTuple):
    """What a record holds in place of personal fields, and the key to keep with it where it is new."""

    record: dict[str, Any]
    """The parts of the record: input, sealed, key_id, subject, and the name to search the application by."""
    tag: str | None
    subject: bytes
    rows: tuple[SubjectKeyRow, ...]


@dataclass(slots=True)
class _Held:
    key: DataKey
    row: SubjectKeyRow | None
    """What is to be kept with the next record, until one is durable."""


@dataclass(slots=True)
class Sealer:
    """Seals records, and opens them; holds the keys of the subjects it met last."""

    keyring: Keyring
    keys: SubjectKeys
    sources: Sources
    most_held: int = _MOST_HELD
    _held: OrderedDict[bytes, _Held] = field(init=False, default_factory=OrderedDict)

    def seal(
        self,
        application: Application,
        personal: Personal,
        *,
        decision_id: UUID,
        application_id: str | None,
        input_sha256: str,
        at: datetime,
    ) -> Sealed:
        """Seal what is personal of an application."""
        named = personal.subject(application) or (DECISION, str(decision_id))
        subject = self.keyring.subject(*named)
        held = self._of(subject, at)
        clear, private = personal.part(application)
        box = held.key.seal(
            encode({"application_id": application_id, "input": private, "input_sha256": input_sha256}),
            column=COLUMN,
            row=decision_id.bytes,
            nonce=self.sources.random(NONCE_BYTES),
        )
        tag = None if application_id is None else self.keyring.tag(application_id)
        record = {
            "schema": SEALED_SCHEMA,
            "application_id": tag,
            "input": clear,
            COLUMN: b64encode(box).decode(),
            "key_id": held.key.key_id.hex(),
            "subject": subject.hex(),
        }
        return Sealed(record, tag, subject, () if held.row is None else (held.row,))

    def kept(self, rows: Iterable[SubjectKeyRow]) -> None:
        """Know that keys are durable, and need not be handed over again."""
        for row in rows:
            held = self._held.get(row.subject)
            if held is not None and held.key.key_id == row.key_id:
                held.row = None

    def forget(self, subject: bytes) -> None:
        """Let the key of a subject go, which was destroyed."""
        self._held.pop(subject, None)

    def turn(self, keyring: Keyring) -> None:
        """Take up a keyring with a newer version; keys that are not durable yet are made anew, under it."""
        self.keyring = keyring
        for subject in [subject for subject, it in self._held.items() if it.row is not None]:
            del self._held[subject]

    def _of(self, subject: bytes, at: datetime) -> _Held:
        held = self._held.get(subject)
        if held is None:
            key, (version, wrapped) = self._new(subject)
            held = self._held[subject] = _Held(key, SubjectKeyRow(key.key_id, subject, version, wrapped, at))
            if len(self._held) > self.most_held:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(subject)
        return held

    def _new(self, subject: bytes) -> tuple[DataKey, tuple[int, bytes]]:
        key, wrapped = self.keyring.new_data_key(subject)
        return key, (wrapped.version, wrapped.wrapped)

    async def open(self, stored: Sequence[StoredDecision]) -> list[Opened]:
        """Open the records of decisions; one whose key was destroyed says so.

        Raises
        ------
        SealError
            Where one was changed or moved, or its key is gone without having been destroyed.
        """
        records = [msgspec.json.decode(it.record) for it in stored]
        ids = {key_of(it) for it in records if is_sealed(it)}
        keys = await self.keys.subject_keys(sorted(ids)) if ids else {}
        return [
            open_record(record, self.keyring, keys, decision_id=it.decision_id)
            for record, it in zip(records, stored, strict=True)
        ]


class Opened(NamedTuple):
    """The record of a decision; without what was personal where that was erased."""

    record: dict[str, Any]
    erased: bool

    def whole(self) -> dict[str, Any]:
        """Give all of the record.

        Raises
        ------
        ErasedError
            Where what was personal was erased.
        """
        if self.erased:
            raise ErasedError(f"decision {self.record['decision_id']}: its personal data were erased")
        return self.record


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Tell whether a record holds its personal fields sealed; those of before do not."""
    return record.get("schema") == SEALED_SCHEMA


def key_of(record: Mapping[str, Any]) -> bytes:
    """Name the key that a sealed record is opened by.

    Raises
    ------
    SealError
        Where it names none.
    """
    try:
        return bytes.fromhex(record["key_id"])
    except (KeyError, TypeError, ValueError):
        raise SealError(f"decision {record.get('decision_id')}: its record names no key") from None


def open_record(
    record: dict[str, Any],
    keyring: Keyring,
    keys: Mapping[bytes, StoredSubjectKey],
    *,
    decision_id: UUID | None = None,
) -> Opened:
    """Open a record with the key that it names; ``decision_id`` is the one that it is kept for, by default its own."""
    if not is_sealed(record):
        return Opened(record, erased=False)
    key_id = key_of(record)
    try:
        subject, box = bytes.fromhex(record["subject"]), b64decode(record[COLUMN], validate=True)
        decision_id = decision_id or UUID(record["decision_id"])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise SealError(f"decision {decision_id}: its record is not of the form that is sealed here") from None
    kept = keys.get(key_id)
    if kept is None:
        raise SealError(f"decision {decision_id}: the key of its personal data is gone, and nobody destroyed it")
    if kept.wrapped is None or kept.version is None:
        return Opened({**record, "application_id": None}, erased=True)
    try:
        key = keyring.unwrap(Wrapped(kept.version, kept.wrapped), key_id=key_id, subject=subject)
        said = msgspec.json.decode(key.open(box, column=COLUMN, row=decision_id.bytes))
    except SealError as error:
        raise SealError(f"decision {decision_id}: {error.message}") from None
    return Opened({**record, **said, "input": record["input"] | said["input"]}, erased=False)


@dataclass(slots=True)
class Unsealing:
    """Opens records one by one, for whoever makes decisions again; the keyring is opened when the first sealed one is met."""

    keyring: Callable[[], Keyring]
    key: Callable[[bytes], StoredSubjectKey | None]
    _opened: Keyring | None = field(init=False, default=None)

    def __call__(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Open a record.

        Raises
        ------
        SealError, ErasedError, UnavailableError
            Where it was tampered with, where its key was destroyed, where the keys of the deployment are not at hand.
        """
        if self._opened is None:
            self._opened = self.keyring()
        key = self.key(key_of(record))
        keys = {} if key is None else {key.key_id: key}
        return open_record(dict(record), self._opened, keys).whole()


def without_seal(record: Mapping[str, Any]) -> dict[str, Any]:
    """Give an opened record as those look that were never sealed."""
    return {name: it for name, it in record.items() if name not in (COLUMN, "key_id", "subject")}


# What is answered is kept without the application's name, which the same request brings again.

_NAMELESS: Final = b'"application_id":null'
_BEFORE: Final = len(b'{"decision_id":"",') + _ID_CHARACTERS
_IN_BULK: Final = b'{"decision":{"decision_id":"'


def named(answer: bytes, application_id: str | None, *, start: int = 0) -> bytes:
    """Put what the client calls the application into an answer that is kept without it."""
    at = start + _BEFORE
    if application_id is None or not answer.startswith(_NAMELESS, at):
        return answer
    return b"%b%b%b" % (
        answer[: at + len(_NAMELESS) - len(b"null")],
        msgspec.json.encode(application_id),
        answer[at + len(_NAMELESS) :],
    )


def named_in_bulk(answer: bytes, application_ids: Sequence[str | None]) -> bytes:
    """Do the same for each decision among many, in order."""
    first, *rest = answer.split(_IN_BULK)  # no text in JSON holds this, whose quotes it would escape
    if len(rest) != len(application_ids):
        return answer
    opening = len(b'{"decision_id":"')
    parts = [named(b'{"decision_id":"' + part, it)[opening:] for part, it in zip(rest, application_ids, strict=True)]
    return _IN_BULK.join((first, *parts))

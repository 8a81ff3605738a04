"""Records whose personal fields are sealed under the key of the person they are about.

A record says in the clear what was decided and by what. What the applicant said of themselves, the histories, the hash of the
input and what the client calls the application stand together in one sealed text, bound to the subject, to its column and to
the id of the decision. The leaf commits to the record with that text, so that the log verifies whether or not it can be read.

A process makes the key of a subject that it does not hold, and hands it over to be kept with the decision, in one transaction:
nothing is looked up while deciding. So a subject may have several keys; erasing destroys all of them.
"""

from __future__ import annotations

from base64 import b64decode
from binascii import b2a_base64
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec

from obligor.core.errors import ErasedError, SealError
from obligor.security.sealing import NONCE_BYTES, Wrapped
from obligor.serving.encoding import encode
from obligor.serving.privacy.personal import DECISION
from obligor.serving.rows import SubjectKeyRow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from obligor.core.application import Application
    from obligor.security.sealing import DataKey, Keyring
    from obligor.serving.archive import Stored, StoredSubjectKey
    from obligor.serving.privacy.personal import Personal
    from obligor.serving.sources import Sources

COLUMN: Final = "sealed"
SEALED_SCHEMA: Final = "obligor/decision/2"
SEALED_REVIEW: Final = "obligor/review/2"
SEALED_FINDING: Final = "obligor/review-decision/2"
SEALED_OVERRIDE: Final = "obligor/override/2"
SEALED_OFFER: Final = "obligor/offer/2"
SEALED_INCOMPLETE: Final = "obligor/incomplete/2"
_BOUND: Final[Mapping[str, tuple[str, str]]] = {
    SEALED_SCHEMA: ("decision", "decision_id"),
    SEALED_REVIEW: ("review", "review_id"),
    SEALED_FINDING: ("finding", "review_id"),
    SEALED_OVERRIDE: ("override", "decision_id"),
    SEALED_OFFER: ("offer", "decision_id"),
    SEALED_INCOMPLETE: ("incomplete", "decision_id"),
}
"""By the schema of a record: as which column its sealed text was sealed, and which of its ids names the row."""
_MOST_HELD: Final = 4096
_ID_CHARACTERS: Final = 36


class SubjectKeys(Protocol):
    """Where the keys of subjects are kept."""

    async def subject_keys(self, key_ids: Sequence[bytes]) -> Mapping[bytes, StoredSubjectKey]:
        """Find keys by their ids."""
        ...


class Sealed(msgspec.Struct, frozen=True):
    """What a record holds in place of what is personal, and the key to keep with it where it is new."""

    record: dict[str, Any]
    """The parts of the record: sealed, key_id, subject, and what else its schema has."""
    subject: bytes | None
    """Whom it is about; None where nothing is sealed."""
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
        """Seal what is personal of an application; its name in the record is the one that it is searched by."""
        named = personal.subject(application) or (DECISION, str(decision_id))
        clear, private = personal.part(application)
        said = {"application_id": application_id, "input": private, "input_sha256": input_sha256}
        sealed = self._sealed(SEALED_SCHEMA, said, subject=self.keyring.subject(*named), row=decision_id, at=at)
        sealed.record["application_id"] = None if application_id is None else self.keyring.tag(application_id)
        sealed.record["input"] = msgspec.Raw(encode(clear))
        return sealed

    def seal_of(
        self, stored: Mapping[str, Any], schema: str, said: Mapping[str, Any], *, row: UUID, at: datetime
    ) -> Sealed:
        """Seal what was said of a decision under the key of whom it is about; ``stored`` is the record of the decision."""
        subject = stored.get("subject")
        named = self.keyring.subject(DECISION, stored["decision_id"]) if subject is None else bytes.fromhex(subject)
        return self._sealed(schema, said, subject=named, row=row, at=at)

    def _sealed(self, schema: str, said: Mapping[str, Any], *, subject: bytes, row: UUID, at: datetime) -> Sealed:
        held = self._of(subject, at)
        nonce = self.sources.random(NONCE_BYTES)
        box = held.key.seal(encode(said), column=_BOUND[schema][0], row=row.bytes, nonce=nonce)
        record = {
            "schema": schema,
            COLUMN: b2a_base64(box, newline=False).decode(),
            "key_id": held.key.key_id.hex(),
            "subject": subject.hex(),
        }
        return Sealed(record, subject, () if held.row is None else (held.row,))

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

    async def open(self, stored: Sequence[Stored]) -> list[Opened]:
        """Open records; one whose key was destroyed says so.

        Raises
        ------
        SealError
            Where one was changed or moved, or its key is gone without having been destroyed.
        """
        return await self._open([(msgspec.json.decode(it.record), it.row) for it in stored])

    async def open_bodies(self, bodies: Sequence[bytes]) -> list[Opened]:
        """Open records of any kind; those that hold nothing sealed stay as they are."""
        return await self._open([(msgspec.json.decode(it), None) for it in bodies])

    async def _open(self, records: Sequence[tuple[dict[str, Any], UUID | None]]) -> list[Opened]:
        ids = {key_of(it) for it, _ in records if is_sealed(it)}
        keys = await self.keys.subject_keys(sorted(ids)) if ids else {}
        return [open_record(it, self.keyring, keys, row=row) for it, row in records]


class Opened(NamedTuple):
    """A record; without what was personal where that was erased."""

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
            raise ErasedError(f"decision {self.record.get('decision_id')}: its personal data were erased")
        return self.record


def is_sealed(record: Mapping[str, Any]) -> bool:
    """Tell whether a record holds its personal fields sealed; those of before do not."""
    return record.get("schema") in _BOUND


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
    record: dict[str, Any], keyring: Keyring, keys: Mapping[bytes, StoredSubjectKey], *, row: UUID | None = None
) -> Opened:
    """Open a record with the key that it names; ``row`` is what it is kept for, by default what it says itself."""
    if not is_sealed(record):
        return Opened(record, erased=False)
    what, key_id = f"decision {record.get('decision_id')}", key_of(record)
    column, name = _BOUND[record["schema"]]
    try:
        subject, box = bytes.fromhex(record["subject"]), b64decode(record[COLUMN], validate=True)
        row = row or UUID(record[name])
    except (AttributeError, KeyError, TypeError, ValueError):
        raise SealError(f"{what}: its record is not of the form that is sealed here") from None
    kept = keys.get(key_id)
    if kept is None:
        raise SealError(f"{what}: the key of its personal data is gone, and nobody destroyed it")
    if kept.wrapped is None or kept.version is None:
        return Opened({**record, "application_id": None} if "application_id" in record else record, erased=True)
    try:
        key = keyring.unwrap(Wrapped(kept.version, kept.wrapped), key_id=key_id, subject=subject)
        said = msgspec.json.decode(key.open(box, column=column, row=row.bytes))
    except SealError as error:
        raise SealError(f"{what}: {error.message}") from None
    if "input" in record:
        said["input"] = record["input"] | said["input"]
    return Opened({**record, **said}, erased=False)


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

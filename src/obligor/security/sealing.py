"""Personal data under keys of their own: whoever a record is about can be forgotten by destroying a key.

Keys stand in three rows. A key management service (KMS), or a file where nothing is at stake, holds the *master key*, which
never comes here. It wraps the *key-encryption keys* (KEKs) of the deployment, each a version, and the *name key*. A KEK wraps
*data keys*, and a data key seals what is known of one subject, in one or more records. All of it is AES-256 in Galois/Counter
mode with random nonces of 96 bits; what is sealed is bound to where it belongs, so that nothing can be moved to another
subject, column or row, and nothing that was tampered with is read at all.

The name key never turns: by a hash under it (BLAKE2b with a key, RFC 7693: a quarter of the time of an HMAC here) a subject and
an application have a name that tells nothing, and stays the same.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from obligor.core.errors import SealError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

KEY_BYTES: Final = 32
ID_BYTES: Final = 16
NAME_BYTES: Final = 32
NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_FORM: Final = b"\x01"
_LEAST_BYTES: Final = len(_FORM) + NONCE_BYTES + _TAG_BYTES
DATA: Final = "data"
NAMES: Final = "names"
TAGGED: Final = "tag:"
_TAG_SHOWN: Final = 40


@dataclass(frozen=True, slots=True)
class Generated:
    """A new key, and the same wrapped."""

    key: bytes = field(repr=False)
    wrapped: bytes


class Kms(Protocol):
    """What holds the master key; ``context`` says what a key is for, and must be the same when it is unwrapped."""

    @property
    def name(self) -> str:
        """Which master key it is, to be told; nothing secret."""
        ...

    def generate(self, *, context: str) -> Generated:
        """Make a key of 32 bytes."""
        ...

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """Unwrap a key.

        Raises
        ------
        SealError
            Where it was wrapped by another master key, for another context, or was changed.
        UnavailableError
            Where the service does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key of the deployment as it is kept."""

    purpose: str
    """``data`` for a KEK, ``names`` for the name key."""
    version: int
    wrapped: bytes | None
    """None where it was retired: then nobody has it any more."""
    proof: bytes
    """Shows that an unwrapped key is the one that was wrapped, whatever the KMS says."""


def make_kept(purpose: str, version: int, kms: Kms) -> KeptKey:
    """Make a key of the deployment."""
    made = kms.generate(context=_context(purpose, version))
    if len(made.key) != KEY_BYTES:
        raise SealError(f"{kms.name}: made a key of {len(made.key)} bytes; wanted {KEY_BYTES}")
    return KeptKey(purpose, version, made.wrapped, _proof(made.key, purpose, version))


@dataclass(slots=True)
class DataKey:
    """A key of one subject; its text form is never shown. Not frozen, for one is made in many a decision."""

    key_id: bytes
    subject: bytes
    _secret: bytes = field(repr=False)
    _cipher: AESGCM = field(repr=False)

    @classmethod
    def of(cls, key_id: bytes, subject: bytes, secret: bytes) -> DataKey:
        """Take up the bytes of a key."""
        return cls(key_id, subject, secret, AESGCM(secret))

    def seal(self, plain: bytes, *, column: str, row: bytes, nonce: bytes) -> bytes:
        """Seal what belongs to a column of a row.

        Parameters
        ----------
        nonce
            Twelve random bytes, which are never used again.
        """
        return b"%b%b%b" % (_FORM, nonce, self._cipher.encrypt(nonce, plain, self._bound(column, row)))

    def open(self, sealed: bytes, *, column: str, row: bytes) -> bytes:
        """Open what was sealed for a column of a row.

        Raises
        ------
        SealError
            Where it was sealed by another key, for another subject, column or row, or was changed.
        """
        return _opened(self._cipher, sealed, self._bound(column, row), what=f"the {column} of a record")

    def _bound(self, column: str, row: bytes) -> bytes:
        return b"obligor/%b/1\x00%b%b%b" % (column.encode(), self.subject, self.key_id, row)


class Wrapped(NamedTuple):
    """A data key as it is kept, under the version of a KEK."""

    version: int
    wrapped: bytes


class Keyring:
    """The KEKs of a deployment and its name key, unwrapped."""

    def __init__(self, keks: Mapping[int, bytes], names: bytes, *, random: Callable[[int], bytes]) -> None:
        self._keks = {version: AESGCM(key) for version, key in keks.items()}
        self._subjects, self._tags, self._payloads, self._requests = (
            blake2b(key=names, digest_size=NAME_BYTES, person=use)
            for use in (b"obligor:subject", b"obligor:tag", b"obligor:payload", b"obligor:request")
        )
        self._random = random
        self.current = max(self._keks)

    @property
    def versions(self) -> tuple[int, ...]:
        """The versions of KEKs that open."""
        return tuple(self._keks)

    @property
    def min_version(self) -> int:
        """The oldest version of a KEK that still opens; those before were retired."""
        return min(self._keks)

    def new_data_key(self, subject: bytes) -> tuple[DataKey, Wrapped]:
        """Make a key for a subject, wrapped by the newest KEK."""
        chance = self._random(
            ID_BYTES + KEY_BYTES + NONCE_BYTES
        )  # one call: asking the system costs more than the bytes
        key = DataKey.of(chance[:ID_BYTES], subject, chance[ID_BYTES:-NONCE_BYTES])
        return key, self._wrapped(key, chance[-NONCE_BYTES:])

    def wrap(self, key: DataKey) -> Wrapped:
        """Wrap a data key by the newest KEK."""
        return self._wrapped(key, self._random(NONCE_BYTES))

    def _wrapped(self, key: DataKey, nonce: bytes) -> Wrapped:
        bound = _bound_key(self.current, key.subject, key.key_id)
        sealed = self._keks[self.current].encrypt(nonce, key._secret, bound)  # noqa: SLF001  its own half
        return Wrapped(self.current, b"%b%b%b" % (_FORM, nonce, sealed))

    def unwrap(self, wrapped: Wrapped, *, key_id: bytes, subject: bytes) -> DataKey:
        """Unwrap a data key.

        Raises
        ------
        SealError
            Where its version was retired or is not known, or it was wrapped for another subject, or was changed.
        """
        kek = self._keks.get(wrapped.version)
        if kek is None:
            known = f"wanted {self.min_version} to {self.current}"
            raise SealError(f"a data key is wrapped by version {wrapped.version} of the key above it; {known}")
        bound = _bound_key(wrapped.version, subject, key_id)
        return DataKey.of(key_id, subject, _opened(kek, wrapped.wrapped, bound, what="a data key"))

    def subject(self, kind: str, value: str) -> bytes:
        """Name a subject, by what kind of thing identifies it (person, application, decision) and by which value."""
        return _hashed(self._subjects, f"{kind}\0{value}".encode())

    def tag(self, application_id: str) -> str:
        """Name an application, to be searched by."""
        return TAGGED + _hashed(self._tags, application_id.encode()).hex()[:_TAG_SHOWN]

    def fingerprint(self, payload: bytes) -> bytes:
        """Tell a payload from others: equal ones have one fingerprint, which nobody without the key can try values against."""
        return _hashed(self._payloads, payload)

    def request(self, idempotency_key: str) -> str:
        """Name a request by its idempotency key, into which clients write what they like."""
        return TAGGED + _hashed(self._requests, idempotency_key.encode()).hex()[:_TAG_SHOWN]


def _hashed(begun: blake2b, message: bytes) -> bytes:
    hashing = begun.copy()
    hashing.update(message)
    return hashing.digest()


def open_keyring(kept: Iterable[KeptKey], kms: Kms, *, random: Callable[[int], bytes]) -> Keyring:
    """Unwrap the keys of a deployment.

    Raises
    ------
    SealError
        Where the KMS gives another key than was wrapped, or there is none for data or for names.
    """
    keys: dict[tuple[str, int], bytes] = {}
    for it in kept:
        if it.wrapped is not None:
            keys[it.purpose, it.version] = _checked(
                it, kms.unwrap(it.wrapped, context=_context(it.purpose, it.version))
            )
    keks = {version: key for (purpose, version), key in keys.items() if purpose == DATA}
    names = [key for (purpose, _), key in keys.items() if purpose == NAMES]
    if not keks or len(names) != 1:
        raise SealError(
            f"the keys of personal data: got {len(keks)} KEKs and {len(names)} name keys, wanted 1 or more, and 1"
        )
    return Keyring(keks, names[0], random=random)


def _checked(kept: KeptKey, key: bytes) -> bytes:
    if len(key) != KEY_BYTES or not hmac.compare_digest(_proof(key, kept.purpose, kept.version), kept.proof):
        raise SealError(
            f"the key {kept.purpose} {kept.version}: what the KMS unwrapped is another key than was wrapped"
        )
    return key


def _context(purpose: str, version: int) -> str:
    return f"obligor/{purpose}/{version}"


def _proof(key: bytes, purpose: str, version: int) -> bytes:
    return hmac.digest(key, b"obligor proof\x00" + _context(purpose, version).encode(), "sha256")


def _bound_key(version: int, subject: bytes, key_id: bytes) -> bytes:
    return b"obligor/data-key/1\x00%b%b%b" % (version.to_bytes(8, "big"), subject, key_id)


def _opened(cipher: AESGCM, sealed: bytes, bound: bytes, *, what: str) -> bytes:
    if len(sealed) < _LEAST_BYTES or not sealed.startswith(_FORM):
        raise SealError(f"{what}: is not of the form that is sealed here")
    start = len(_FORM) + NONCE_BYTES
    try:
        return cipher.decrypt(sealed[len(_FORM) : start], sealed[start:], bound)
    except InvalidTag:
        raise SealError(f"{what}: was changed, or belongs elsewhere; it is not opened") from None

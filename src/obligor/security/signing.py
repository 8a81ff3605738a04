"""The signing key of the deployment: Ed25519, in a file that only its owner may read.

It signs two kinds of things, and a signature of one is never valid for the other. Notes (checkpoints) are signed as they stand,
as signed-note demands. Statements (releases) are signed after a prefix that names their purpose and begins with a zero byte,
which no note may hold.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from obligor.core.checkpoints import Note, Signature, VerifierKey
from obligor.core.errors import InvalidInputError
from obligor.files import disk_trouble
from obligor.security.private_files import private_file

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key under the name of the log it signs; it is never shown."""

    name: str
    _private: Ed25519PrivateKey = field(repr=False)

    @property
    def verifier(self) -> VerifierKey:
        """The public key that checks what this one signs."""
        return VerifierKey(self.name, self._private.public_key().public_bytes_raw())

    def sign_note(self, text: str) -> Note:
        """Sign a text of whole lines."""
        Note(text, ())  # refuses what no note may be before it is signed
        return Note(text, (Signature(self.name, self.verifier.key_id, self._private.sign(text.encode())),))

    def sign_statement(self, statement: bytes, *, purpose: str) -> bytes:
        """Sign a statement for one purpose, which is part of what is signed."""
        return self._private.sign(_statement(statement, purpose))

    def derived(self, purpose: str) -> bytes:
        """Derive a secret of 32 bytes for one purpose (HKDF-SHA256, RFC 5869): the same for as long as the key is."""
        return HKDF(SHA256(), length=32, salt=None, info=f"obligor {purpose}".encode()).derive(
            self._private.private_bytes_raw()
        )


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks what one key signed."""

    key: VerifierKey

    def signed_note(self, note: Note) -> bool:
        """Tell whether a note bears a true signature of the key."""
        return verify_note(note, self.key)

    def signed_statement(self, statement: bytes, signature: bytes, *, purpose: str) -> bool:
        """Tell whether a statement was signed for this purpose."""
        return verify_statement(statement, signature, purpose=purpose, key=self.key)


def verify_note(note: Note, key: VerifierKey) -> bool:
    """Tell whether a note bears a true signature of a key; lines of other keys do not count."""
    mine = [each for each in note.signatures if each.name == key.name and each.key_id == key.key_id]
    return bool(mine) and all(_signed(each.value, note.text.encode(), key) for each in mine)


def verify_statement(statement: bytes, signature: bytes, *, purpose: str, key: VerifierKey) -> bool:
    """Tell whether a statement was signed by a key for this purpose."""
    return _signed(signature, _statement(statement, purpose), key)


def open_signing_key(path: Path, *, name: str | None = None) -> SigningKey:
    """Read the signing key, or make it where there is none; two processes that start at once come to have the same.

    Parameters
    ----------
    name : str, optional
        The name of the log; by default one made of the key's own fingerprint, so that no two logs share a name.

    Raises
    ------
    InvalidInputError
        Where the file is not an Ed25519 key, or others than its owner may read it.
    """
    with disk_trouble(str(path)):
        private = _parsed(path, private_file(path, _new))
    return _named(private, name)


def read_verifier(path: Path) -> Verifier:
    """Read what verifies by a signing key that must be there, whoever else may read its file: to look, and sign nothing.

    Raises
    ------
    InvalidInputError
        Where there is none, or it is not an Ed25519 key.
    """
    _need(path)
    with disk_trouble(str(path)):
        return Verifier(_named(_parsed(path, path.read_bytes())).verifier)


def read_signing_key(path: Path) -> SigningKey:
    """Read a signing key that must be there."""
    _need(path)
    return open_signing_key(path)


def _need(path: Path) -> None:
    if not path.exists():
        raise InvalidInputError(f"{path}: there is no such signing key", hint="where it is not kept here, name --key")


def _named(private: Ed25519PrivateKey, name: str | None = None) -> SigningKey:
    fingerprint = hashlib.sha256(private.public_key().public_bytes_raw()).hexdigest()
    return SigningKey(name or f"obligor-{fingerprint[:16]}", private)


def _new() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _parsed(path: Path, data: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInputError(f"{path}: is not an Ed25519 key in PEM without a password")
    return key


def _statement(statement: bytes, purpose: str) -> bytes:
    return b"\x00obligor statement\x00" + purpose.encode() + b"\x00" + statement


def _signed(signature: bytes, message: bytes, key: VerifierKey) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True

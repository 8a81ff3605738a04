"""The master key in a file beside the data: for development, where nobody's data are at stake."""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from obligor.core.errors import InvalidInputError, SealError
from obligor.files import disk_trouble
from obligor.security.private_files import private_file
from obligor.security.sealing import KEY_BYTES, NONCE_BYTES, Generated

if TYPE_CHECKING:
    from pathlib import Path

_HEAD: Final = b"obligor-master-key-1:"


class FileKms:
    """Wraps keys by AES-256-GCM under a key in a file of mode 0600."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._cipher = AESGCM(key)

    @property
    def name(self) -> str:
        """The path of the file."""
        return str(self._path)

    def generate(self, *, context: str) -> Generated:
        """Make a key of 32 bytes."""
        key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
        return Generated(key, nonce + self._cipher.encrypt(nonce, key, context.encode()))

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """Unwrap a key."""
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError):
            raise SealError(f"{self.name}: does not unwrap the key {context}: it is another master key") from None


def open_file_kms(path: Path, *, production: bool) -> FileKms:
    """Read the master key from its file, or make it where there is none.

    Raises
    ------
    InvalidInputError
        In production; where others may read the file, or it holds no master key.
    """
    if production:
        raise InvalidInputError(
            "OBLIGOR_DATA_KEY: a key file is for development; in production the master key is held by a service",
            hint="OBLIGOR_DATA_KEY=aws-kms:<key id or ARN>, or vault:<key>",
        )
    with disk_trouble(str(path)):
        text = private_file(path, _new)
    try:
        key = b64decode(text.removeprefix(_HEAD).strip(), validate=True)
    except ValueError:
        key = b""
    if not text.startswith(_HEAD) or len(key) != KEY_BYTES:
        raise InvalidInputError(f"{path}: is not a master key of Obligor")
    return FileKms(path, key)


def _new() -> bytes:
    return _HEAD + b64encode(os.urandom(KEY_BYTES)) + b"\n"

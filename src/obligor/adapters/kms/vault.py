"""The master key in the transit engine of HashiCorp Vault, or of OpenBao: it never leaves there, and each use is in its audit.

Vault is found and asked as its own tools do: by ``VAULT_ADDR``, ``VAULT_NAMESPACE``, ``VAULT_CACERT``, and ``VAULT_TOKEN`` or
the file that ``VAULT_TOKEN_FILE`` names, which is read at each request, so that an agent may renew what stands there. A key is
made here and wrapped there; what it is for is wrapped with it, for not every Vault checks what is said beside a ciphertext.
"""

from __future__ import annotations

import hmac
import os
import re
import ssl
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpcore

from obligor.adapters.outgoing import GuardedBackend, check_address, may_ask
from obligor.core.errors import InvalidInputError, SealError, UnavailableError
from obligor.core.strict_json import read_strict_json
from obligor.security.sealing import KEY_BYTES, Generated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_WANTED: Final = re.compile(r"(?:[A-Za-z0-9_-]+/)*[A-Za-z0-9_-][A-Za-z0-9_.-]*", re.ASCII)
_WRAPPED: Final = re.compile(rb"vault:v[1-9][0-9]*:[A-Za-z0-9+/=]+")
_PRINTABLE: Final = re.compile(r"[!-~]+")
_PRINTED: Final = "wanted letters, digits and signs of ASCII, without spaces"
_SECONDS: Final = {"connect": 5.0, "read": 10.0, "write": 5.0, "pool": 5.0}
_MOST_BYTES: Final = 1 << 16
_OK, _WRONG = 200, 400
_HINTS: Final = {
    403: "its token has ended, or has no right to it",
    404: "no transit engine is there: see the mount in OBLIGOR_DATA_KEY, VAULT_NAMESPACE and VAULT_ADDR",
    503: "it is sealed, or no node of it is active",
}


class VaultKms:
    """Wraps keys by a key of the transit engine, named ``key``, or ``mount/key`` where the engine stands elsewhere.

    Parameters
    ----------
    environ
        Where Vault is, and what lets in there.
    production : bool
        Refuse plain HTTP even to this machine, and this machine itself.
    resolve : callable
        Gives the addresses of a host and port, as text.
    """

    def __init__(
        self,
        key: str,
        *,
        environ: Mapping[str, str],
        production: bool,
        resolve: Callable[[str, int], Iterable[str]] | None = None,
    ) -> None:
        if not _WANTED.fullmatch(key):
            raise InvalidInputError("OBLIGOR_DATA_KEY: wanted vault:KEY, or vault:MOUNT/KEY, of a transit engine")
        mount, _, name = key.rpartition("/")
        self._key, self._environ = key, environ
        address = environ.get("VAULT_ADDR", "").strip().rstrip("/")
        scheme = check_address(address, what="VAULT_ADDR", production=production, reach=may_ask).scheme
        if set("?#") & set(address):
            raise InvalidInputError("VAULT_ADDR: got an address with a query; wanted https://host, or with a path")
        self._namespace = environ.get("VAULT_NAMESPACE", "").strip()
        if self._namespace and not _PRINTABLE.fullmatch(self._namespace):
            raise InvalidInputError(f"VAULT_NAMESPACE: {_PRINTED}")
        self._urls = {it: f"{address}/v1/{mount or 'transit'}/{it}/{name}" for it in ("encrypt", "decrypt")}
        self._pool = httpcore.ConnectionPool(
            ssl_context=_trusted(environ.get("VAULT_CACERT", "")),
            keepalive_expiry=0,
            network_backend=GuardedBackend(
                wanted=may_ask(scheme, production=production), resolve=resolve, what=self.name
            ),
        )

    @property
    def name(self) -> str:
        """The key, as it was named."""
        return f"vault:{self._key}"

    def generate(self, *, context: str) -> Generated:
        """Make a key of 32 bytes."""
        key = os.urandom(KEY_BYTES)
        wrapped = self._ask("encrypt", "plaintext", _told(_bound(context) + key), wanted="ciphertext").encode()
        if not _WRAPPED.fullmatch(wrapped):
            raise UnavailableError(f"{self.name}: answered what is no ciphertext")
        return Generated(key, wrapped)

    def unwrap(self, wrapped: bytes, *, context: str) -> bytes:
        """Unwrap a key."""
        refused = SealError(
            f"{self.name}: does not unwrap the key {context}: it is another key, or a version refused there, or was changed"
        )
        if not _WRAPPED.fullmatch(wrapped):
            raise refused
        answer = self._ask("decrypt", "ciphertext", wrapped.decode(), wanted="plaintext", refused=refused)
        try:
            plain = b64decode(answer, validate=True)
        except ValueError:
            raise UnavailableError(f"{self.name}: answered what is no plaintext") from None
        bound = _bound(context)
        if not hmac.compare_digest(plain[: len(bound)], bound):
            raise refused
        return plain[len(bound) :]

    def _ask(self, what: str, name: str, said: str, *, wanted: str, refused: SealError | None = None) -> str:
        """Have Vault encrypt or decrypt; ``refused`` is raised where it says that what was sent is wrong."""
        headers = [("X-Vault-Token", self._token()), ("X-Vault-Request", "true"), ("User-Agent", "obligor")]
        if self._namespace:
            headers.append(("X-Vault-Namespace", self._namespace))
        body = f'{{"{name}":"{said}"}}'.encode()
        status, answer = self._post(self._urls[what], headers, body)
        if status == _WRONG and refused is not None:
            raise refused
        if status != _OK:
            raise UnavailableError(f"{self.name}: answered {status} to {what}; wanted 200", hint=_HINTS.get(status))
        try:
            told: Any = read_strict_json(answer, what="an answer", error=InvalidInputError)
        except InvalidInputError:
            raise UnavailableError(f"{self.name}: answered what is no JSON") from None
        found = (
            told.get("data", {}).get(wanted) if isinstance(told, dict) and isinstance(told.get("data"), dict) else None
        )
        if not isinstance(found, str):
            raise UnavailableError(f"{self.name}: answered without a {wanted}")
        return found

    def _post(self, url: str, headers: list[tuple[str, str]], body: bytes) -> tuple[int, bytes]:
        answer = bytearray()
        try:
            with self._pool.stream("POST", url, headers=headers, content=body, extensions={"timeout": _SECONDS}) as it:
                for part in it.iter_stream():
                    answer += part
                    if len(answer) > _MOST_BYTES:
                        raise UnavailableError(f"{self.name}: answered with too much")
                return it.status, bytes(answer)
        except (
            *(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError),
            UnicodeError,  # a host of a name that none can have
        ) as error:
            raise UnavailableError(f"{self.name}: did not answer ({type(error).__name__})") from error

    def _token(self) -> str:
        path = self._environ.get("VAULT_TOKEN_FILE", "")
        if path:
            try:
                token = Path(path).read_text("utf-8", errors="replace").strip()
            except OSError as error:
                raise UnavailableError(f"{self.name}: VAULT_TOKEN_FILE cannot be read ({error.strerror})") from None
        else:
            token = self._environ.get("VAULT_TOKEN", "").strip()
        if not token:
            raise UnavailableError(f"{self.name}: has no token", hint="VAULT_TOKEN, or VAULT_TOKEN_FILE")
        if not _PRINTABLE.fullmatch(token):
            raise InvalidInputError(f"{'VAULT_TOKEN_FILE' if path else 'VAULT_TOKEN'}: {_PRINTED}")
        return token


def _trusted(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path or None)
    except OSError:
        raise InvalidInputError("VAULT_CACERT: wanted a file of certificates in PEM") from None


def _bound(context: str) -> bytes:
    return sha256(context.encode()).digest()


def _told(data: bytes) -> str:
    return b64encode(data).decode()

"""An identity provider of our own: keys, tokens in every wrong form, and a key set over HTTP on this machine."""

from __future__ import annotations

import base64
import json
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, OKPKey, RSAKey

if TYPE_CHECKING:
    from collections.abc import Iterator

ISSUER, AUDIENCE = "https://id.bank.example", "obligor"


def _pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


RSA = RSAKey.import_key(_pem(generate_rsa(65537, 2048)))
OTHER_RSA = RSAKey.import_key(_pem(generate_rsa(65537, 2048)))
EC = ECKey.import_key(_pem(generate_ec(SECP256R1())))
ED = OKPKey.import_key(_pem(Ed25519PrivateKey.generate()))
KEYS = {"rsa-1": ("RS256", RSA), "ec-1": ("ES256", EC), "ed-1": ("EdDSA", ED)}


def public(key: Any, kid: str, **more: str) -> dict[str, Any]:
    return {**key.as_dict(private=False), "kid": kid, "use": "sig", **more}


def key_set(**keys: tuple[str, Any]) -> bytes:
    named = keys or {kid.replace("-", "_"): it for kid, it in KEYS.items()}
    return json.dumps(
        {"keys": [public(key, kid.replace("_", "-"), alg=algorithm) for kid, (algorithm, key) in named.items()]}
    ).encode()


def b64(said: Any) -> str:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def claims(**changed: Any) -> dict[str, Any]:
    """What a good token says now; what is changed to None is left out."""
    now = int(time.time())
    said = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "5e0f-ada",
        "client_id": "console",
        "iat": now,
        "exp": now + 300,
        "roles": ["analyst"],
    }
    return {name: it for name, it in {**said, **changed}.items() if it is not None}


def token(said: dict[str, Any] | bytes | None = None, *, kid: str = "rsa-1", key: Any = None, **header: Any) -> str:
    """Sign a token; what the header says is added, or is left out where it is None."""
    algorithm, known = KEYS.get(kid, KEYS["rsa-1"])
    head = {"alg": algorithm, "kid": kid, "typ": "at+jwt", **header}
    head = {name: it for name, it in head.items() if it is not None}
    payload = said if isinstance(said, bytes) else json.dumps(claims() if said is None else said).encode()
    return signed(json.dumps(head).encode(), payload, key or known, algorithm)


def signed(head: bytes, payload: bytes, key: Any, algorithm: str) -> str:
    """Sign any bytes as header and payload, which no library would."""
    from joserfc.jws import JWSRegistry

    text = f"{b64(head)}.{b64(payload)}"
    signature = JWSRegistry.algorithms[algorithm].sign(text.encode(), key)
    return f"{text}.{b64(signature)}"


@dataclass
class Provider:
    """What the provider answers with; a test may turn it."""

    port: int = 0
    body: bytes = field(default_factory=key_set)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    slow_s: float = 0.0
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/keys"


@contextmanager
def provider() -> Iterator[Provider]:
    it = Provider()

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            it.asked.append(self.path)
            time.sleep(it.slow_s)
            self.send_response(it.status)
            for name, value in it.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(it.body)))
            self.end_headers()
            self.wfile.write(it.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    it.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

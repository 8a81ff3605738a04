"""A Vault of our own on this machine: the two requests of its transit engine, and every way in which it may fail."""

from __future__ import annotations

import json
import os
import threading
from base64 import b64decode, b64encode
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "hvs.CANARY-4471"  # noqa: S105  of nothing


@dataclass
class Vault:
    """What it is, what it was asked, and what it says instead of what it should."""

    url: str = ""
    token: str = TOKEN
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    instead: tuple[int, bytes] | None = None
    keys: dict[str, AESGCM] = field(default_factory=lambda: {"transit/obligor": AESGCM(os.urandom(32))})

    @property
    def environ(self) -> dict[str, str]:
        return {"VAULT_ADDR": self.url, "VAULT_TOKEN": self.token}

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.asked.append((path, headers))
        if self.instead is not None:
            return self.instead
        if headers.get("x-vault-token") != TOKEN:
            return 403, b'{"errors":["permission denied"]}'
        *_, mount, what, name = path.split("/")
        key, said = self.keys.get(f"{mount}/{name}"), json.loads(body)
        if key is None:
            return 400, b'{"errors":["encryption key not found"]}'
        if what == "encrypt":
            nonce = os.urandom(12)
            sealed = nonce + key.encrypt(nonce, b64decode(said["plaintext"], validate=True), None)
            return 200, _data(ciphertext=f"vault:v1:{b64encode(sealed).decode()}", key_version=1)
        try:
            sealed = b64decode(said["ciphertext"].split(":")[2], validate=True)
            return 200, _data(plaintext=b64encode(key.decrypt(sealed[:12], sealed[12:], None)).decode())
        except (InvalidTag, ValueError):
            return 400, b'{"errors":["cipher: message authentication failed"]}'


def _data(**said: Any) -> bytes:
    return json.dumps({"request_id": "r", "lease_id": "", "renewable": False, "data": said, "auth": None}).encode()


@contextmanager
def vault() -> Iterator[Vault]:
    """Run one."""
    it = Vault()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = it.answer(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(status)
            if status == 307:
                self.send_header("Location", f"{it.url}/v1/transit/encrypt/obligor")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()

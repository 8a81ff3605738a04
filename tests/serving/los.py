"""A loan origination system on loopback: takes webhooks as the specification says, and misbehaves as it is told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

if TYPE_CHECKING:
    import ssl

Answer = Callable[[BaseHTTPRequestHandler], None]


def verified(body: bytes, headers: Mapping[str, str], public_key: str) -> bool:
    """Verify a message by a public key, as the specification says; its library has secrets alone."""
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    for signature in headers["webhook-signature"].split(" "):
        version, _, text = signature.partition(",")
        with suppress(InvalidSignature):
            if version == "v1a":
                key.verify(base64.b64decode(text), signed)
                return True
    return False


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    """With the five that it has otherwise, some of those who connect at once on a busy machine are not heard."""


class Los:
    """Keeps for each application the outcome with the highest sequence; what does not verify is answered with 401."""

    def __init__(self, secret: str = "", *, tls: ssl.SSLContext | None = None) -> None:
        self.secret = secret
        self.came: list[dict[str, Any]] = []
        """The messages that were verified, in the order in which they came; without a secret, all."""
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.refused = 0
        self.state: dict[str, tuple[int, str]] = {}
        self.answers: list[Answer] = []
        """How the next messages are answered, before it goes on with 204."""
        self.lock = threading.Lock()
        los = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with los.lock:
                    answer = los.answers.pop(0) if los.answers else None
                    ok = los.take(body, dict(self.headers.items()))
                (answer or say(204 if ok else 401))(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a caller that hangs up is no news
        self.port = self._server.server_address[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}/hooks?token=hush"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def _read(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        if not self.secret.startswith("whpk_"):
            read: dict[str, Any] = Webhook(self.secret).verify(body, headers) if self.secret else json.loads(body)
            return read
        if not verified(body, {name.lower(): it for name, it in headers.items()}, self.secret):
            raise WebhookVerificationError("no signature of this key")
        verified_body: dict[str, Any] = json.loads(body)
        return verified_body

    def take(self, body: bytes, headers: dict[str, str]) -> bool:
        """Verify a message and act on it once, whatever comes twice or late."""
        self.headers.append(headers)
        self.bodies.append(body)
        try:
            message = self._read(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return False
        self.came.append(message)
        self.apply(message)
        return True

    def apply(self, message: dict[str, Any]) -> None:
        """Keep what is newer than what is known."""
        application = message["data"].get("application_id")
        if application is not None and message["sequence"] > self.state.get(application, (0, ""))[0]:
            self.state[application] = (message["sequence"], message["data"]["outcome"])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def say(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer with a status."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def drop(handler: BaseHTTPRequestHandler) -> None:
    """Say 200, promise a body, and hang up."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"half")
    handler.close_connection = True


def pour(handler: BaseHTTPRequestHandler) -> None:
    """Say 200, and go on for ever."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        handler.close_connection = True


def hang(released: threading.Event) -> Answer:
    """Say nothing until let go."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        released.wait(30)
        handler.close_connection = True

    return answer

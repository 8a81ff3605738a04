from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.adapters.anchors.certificates import write_certificate
from tests.adapters.anchors.notes import KEY, note

from obligor.adapters.anchors import webhook
from obligor.adapters.anchors.webhook import WebhookAnchor
from obligor.adapters.outgoing import is_public
from obligor.core.checkpoints import parse_note
from obligor.core.errors import InvalidInputError, RollbackError, SplitViewError, UnavailableError
from obligor.security.signing import verify_note

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Answer = Callable[[BaseHTTPRequestHandler], None]


class Receiver:
    """A receiver on loopback: keeps what came, and answers as it is told."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.came: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: Answer = say(204)
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((self.path, dict(self.headers), body))
                receiver.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a client that hangs up is no news
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def say(status: int, body: bytes = b"", **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.close()


def pour(handler: BaseHTTPRequestHandler) -> None:
    """Say yes, and go on for ever."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver by plain HTTP, as in development on one machine."""
    with Receiver() as receiver:
        yield receiver


@contextmanager
def _anchor(url: str, **named: object) -> Iterator[WebhookAnchor]:
    anchor = WebhookAnchor(url, **{"production": False, **named})  # type: ignore[arg-type]
    try:
        yield anchor
    finally:
        anchor.close()


def _url(receiver: Receiver) -> str:
    return f"http://127.0.0.1:{receiver.port}/checkpoints?token=hush"


def test_the_note_itself_is_sent_and_its_signature_holds(receiver: Receiver) -> None:
    with _anchor(_url(receiver)) as anchor:
        anchor.publish(note(3))
        anchor.publish(note(12))
        assert anchor.latest() is None
    assert [body for _, _, body in receiver.came] == [note(3), note(12)]
    path, headers, body = receiver.came[0]
    assert path == "/checkpoints?token=hush"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
    assert verify_note(parse_note(body), KEY.verifier)


def test_the_name_of_an_anchor_tells_its_host_and_no_token(receiver: Receiver) -> None:
    with _anchor(_url(receiver)) as anchor, _anchor(_url(receiver).replace("hush", "other")) as other:
        assert anchor.name.startswith("http://127.0.0.1#")
        assert "hush" not in anchor.name
        assert anchor.name != other.name


def test_what_was_sent_before_is_not_sent_again_and_nothing_older_or_other(receiver: Receiver) -> None:
    with _anchor(_url(receiver)) as anchor:
        anchor.publish(note(12))
        anchor.publish(note(12))
        with pytest.raises(SplitViewError):
            anchor.publish(note(12, "forged"))
        with pytest.raises(RollbackError):
            anchor.publish(note(3))
    assert len(receiver.came) == 1


def test_a_receiver_that_knows_another_root_says_so(receiver: Receiver) -> None:
    receiver.answer = say(409)
    with (
        _anchor(_url(receiver)) as anchor,
        pytest.raises(SplitViewError, match="says that it has another history of the log of 3 leaves"),
    ):
        anchor.publish(note(3))


def test_a_receiver_that_knows_a_longer_log_says_its_size(receiver: Receiver) -> None:
    receiver.answer = say(409, b"12\n")
    with _anchor(_url(receiver)) as anchor, pytest.raises(RollbackError, match=r"of 3 leaves .* one of 12") as refused:
        anchor.publish(note(3))
    assert refused.value.size == 12


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (say(500), "answered 500; wanted 2xx"),
        (say(401), "answered 401; wanted 2xx"),
        (say(301, Location="http://127.0.0.1:1/elsewhere"), "answered 301; wanted 2xx; a redirect is not followed"),
        (say(307, Location="/checkpoints"), "a redirect is not followed"),
        (hang_up, "did not answer"),
    ],
    ids=["broken", "unknown", "moved", "again", "hangs up"],
)
def test_a_checkpoint_that_was_not_taken_is_not_counted_as_kept(receiver: Receiver, answer: Answer, told: str) -> None:
    receiver.answer = answer
    with _anchor(_url(receiver)) as anchor:
        with pytest.raises(UnavailableError, match=told) as refused:
            anchor.publish(note(3))
        assert "hush" not in str(refused.value)
        assert len(receiver.came) == 1
        receiver.answer = say(200)
        anchor.publish(note(3))
    assert len(receiver.came) == 2


def test_a_body_without_end_is_not_read(receiver: Receiver) -> None:
    receiver.answer = pour
    with _anchor(_url(receiver)) as anchor:
        anchor.publish(note(3))


def test_a_receiver_that_hangs_costs_its_timeout(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(webhook._SECONDS, "read", 0.05)
    receiver.answer = lambda _: time.sleep(0.5)
    with _anchor(_url(receiver)) as anchor, pytest.raises(UnavailableError, match=r"did not answer \(ReadTimeout\)"):
        anchor.publish(note(3))


def test_a_receiver_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and never listening: every connection is refused
        with (
            _anchor(f"http://127.0.0.1:{nobody.getsockname()[1]}/") as anchor,
            pytest.raises(UnavailableError, match="did not answer"),
        ):
            anchor.publish(note(3))


# Which addresses are reached

REFUSED_IN_PRODUCTION = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.3.4",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104  not bound to
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::a00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", REFUSED_IN_PRODUCTION)
def test_in_production_a_name_that_stands_for_a_private_address_is_not_reached(address: str) -> None:
    with (
        _anchor("https://siem.example/", production=True, resolve=lambda *_: [address]) as anchor,
        pytest.raises(UnavailableError, match="stands for an address that is refused here"),
    ):
        anchor.publish(note(3))


def test_in_production_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    resolve = lambda *_: ["93.184.215.14", "10.0.0.1"]  # noqa: E731
    with (
        _anchor("https://siem.example/", production=True, resolve=resolve) as anchor,
        pytest.raises(UnavailableError, match="stands for an address that is refused here"),
    ):
        anchor.publish(note(3))


def test_a_name_that_changes_its_meaning_is_looked_up_once_and_what_was_looked_at_is_reached(
    receiver: Receiver,
) -> None:
    """A name that first stands for this machine and then for another (DNS re-binding)."""
    asked: list[str] = []

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["203.0.113.1"]

    with _anchor(f"http://localhost:{receiver.port}/", resolve=resolve) as anchor:
        anchor.publish(note(3))
        assert asked == ["localhost"]
        with pytest.raises(UnavailableError, match="stands for an address that is refused here"):
            anchor.publish(note(12))
    assert len(receiver.came) == 1


@given(st.ip_addresses(v=4))
def test_an_address_within_an_address_counts_as_the_inner_one(inner: ipaddress.IPv4Address) -> None:
    wrapped = [f"::ffff:{inner}", f"64:ff9b::{inner}"]
    assert {is_public(ipaddress.ip_address(each)) for each in wrapped} == {is_public(inner)}


@pytest.mark.parametrize(
    ("url", "production"),
    [
        ("http://siem.example/", False),
        ("http://10.0.0.1/", False),
        ("http://127.0.0.1/", True),
        ("http://localhost/", True),
        ("https://", False),
        ("https://user:hush@siem.example/", False),
        ("https://siem.example/#hush", False),
        ("https://siem.example:port/hush", False),
        ("https://siem.example/hush hush", False),
        ("https://siem.example/hush\r\nX: y", False),
        ("ftp://siem.example/hush", False),
        ("https://[::1/hush", False),
    ],
)
def test_an_address_that_is_no_https_is_refused_and_its_path_not_repeated(url: str, *, production: bool) -> None:
    with pytest.raises(InvalidInputError, match="wanted https://host/path") as refused:
        WebhookAnchor(url, production=production)
    assert "hush" not in str(refused.value)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and key of ``siem.example``, signed by itself."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "siem.pem", "siem.example")


@pytest.fixture
def secure(certificate: Path) -> Iterator[Receiver]:
    """A receiver by HTTPS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with Receiver(tls) as receiver:
        yield receiver


def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(secure: Receiver, certificate: Path) -> None:
    here = lambda *_: ["127.0.0.1"]  # noqa: E731
    trust = ssl.create_default_context(cafile=str(certificate))
    with _anchor(f"https://siem.example:{secure.port}/", tls=trust, resolve=here) as anchor:
        anchor.publish(note(3))
    assert [body for _, _, body in secure.came] == [note(3)]
    with (
        _anchor(f"https://other.example:{secure.port}/", tls=trust, resolve=here) as anchor,
        pytest.raises(UnavailableError, match="did not answer"),
    ):
        anchor.publish(note(12))
    assert len(secure.came) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(secure: Receiver) -> None:
    with (
        _anchor(f"https://siem.example:{secure.port}/", resolve=lambda *_: ["127.0.0.1"]) as anchor,
        pytest.raises(UnavailableError, match="did not answer"),
    ):
        anchor.publish(note(3))
    assert secure.came == []

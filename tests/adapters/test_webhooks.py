"""What is sent to a client's system goes to the address that was looked at, and takes no more of an answer than its status."""

from __future__ import annotations

import asyncio
import ssl
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.adapters.anchors.certificates import write_certificate
from tests.serving.los import Los, drop, hang, pour, say

from obligor.adapters.webhooks import WebhookSender
from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.serving.webhooks.delivering import Answered

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BODY = b'{"data":{}}'


def send(url: str, *, times: int = 1, **named: Any) -> list[int]:
    """Send a message so many times; give the statuses."""

    async def sent() -> list[int]:
        sender = WebhookSender(**{"production": False, "patience_s": 5.0, **named})
        try:
            return [(await sender.send(url, headers={"webhook-id": "msg_1"}, body=BODY)).status for _ in range(times)]
        finally:
            await sender.close()

    return asyncio.run(sent())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate and key of ``los.example``, signed by itself."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "los.pem", "los.example")


@pytest.fixture
def secure(certificate: Path) -> Iterator[Los]:
    """A system by HTTPS."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    with Los(tls=tls) as los:
        yield los


def test_a_message_arrives_as_it_is(los: Los) -> None:
    assert send(los.url, times=3) == [204] * 3
    assert los.bodies == [BODY] * 3
    assert los.headers[0]["webhook-id"] == "msg_1"
    assert los.headers[0]["Content-Type"] == "application/json"
    assert los.headers[0]["User-Agent"] == "obligor"


def test_when_to_come_again_is_heard(los: Los) -> None:
    los.answers = [say(429, **{"Retry-After": "7"}), say(429)]

    async def told() -> list[Answered]:
        sender = WebhookSender(production=False, patience_s=5.0)
        try:
            return [await sender.send(los.url, headers={}, body=BODY) for _ in range(2)]
        finally:
            await sender.close()

    assert asyncio.run(told()) == [Answered(429, "7"), Answered(429, "")]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_to_the_inside_is_told_and_not_followed(los: Los, status: int) -> None:
    with Los() as inside:
        los.answers = [say(status, Location=inside.url)]
        assert send(los.url) == [status]
        assert inside.bodies == []
    assert len(los.bodies) == 1


def test_a_name_that_changes_its_meaning_is_looked_up_once_for_a_connection(los: Los) -> None:
    """A name that first stands for this machine and then for another (DNS re-binding), seen at the next connection."""
    asked: list[str] = []

    def resolve(host: str, _: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    url = f"http://localhost:{los.port}/"
    assert send(url, resolve=resolve) == [204]
    assert asked == ["localhost"]
    with pytest.raises(UnavailableError, match="stands for an address that is refused here"):
        send(url, resolve=resolve)
    assert len(los.bodies) == 1


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "127.0.0.1"])
def test_in_production_a_name_that_stands_for_the_inside_is_not_reached(address: str) -> None:
    for found in ([address], ["93.184.215.14", address]):
        with pytest.raises(UnavailableError, match="stands for an address that is refused here"):
            send("https://los.example/", production=True, resolve=lambda *_, found=found: found)


def test_an_endpoint_that_was_added_in_development_is_not_reached_in_production(los: Los) -> None:
    with pytest.raises(InvalidInputError, match="wanted https"):
        send(los.url, production=True)
    assert los.bodies == []


def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(secure: Los, certificate: Path) -> None:
    here = lambda *_: ["127.0.0.1"]  # noqa: E731
    trust = ssl.create_default_context(cafile=str(certificate))
    assert send(f"https://los.example:{secure.port}/", tls=trust, resolve=here) == [204]
    assert secure.headers[0]["Host"] == f"los.example:{secure.port}"
    with pytest.raises(UnavailableError, match="did not answer"):
        send(f"https://other.example:{secure.port}/", tls=trust, resolve=here)
    with pytest.raises(UnavailableError, match="did not answer"):
        send(f"https://los.example:{secure.port}/", resolve=here)  # nobody vouches for it
    assert len(secure.bodies) == 1


def test_an_answer_that_breaks_off_does_not_count(los: Los) -> None:
    los.answers = [drop]
    with pytest.raises(UnavailableError, match="did not answer"):
        send(los.url)


def test_an_answer_without_end_is_not_read(los: Los) -> None:
    los.answers = [pour]
    assert send(los.url) == [200]


def test_a_receiver_that_hangs_costs_its_time_and_no_more(los: Los) -> None:
    released = threading.Event()
    los.answers = [hang(released)]
    with pytest.raises(UnavailableError, match=r"did not answer in 0.3 s"):
        send(los.url, patience_s=0.3)
    released.set()


def test_a_proxy_of_the_environment_is_not_used(los: Los, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert send(los.url) == [204]

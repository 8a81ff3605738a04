"""Tokens that are bound to a key: whoever holds it is let in, whoever only has the token is told what a stranger is (F30)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import ssl
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from tests.serving.http.fakes import BODY, PLAIN, House, house, posting
from tests.serving.http.serving import run, served
from tests.serving.people.providers import AUDIENCE, EC, ED, ISSUER, OTHER_RSA, b64, claims, provider, signed, token
from tests.serving.people.test_tokens import WHOSE, Clock, Known, answer, authenticator
from tests.serving.test_encryption import write_pair

from obligor.bootstrap.certificates import Certificates
from obligor.core.errors import InvalidInputError
from obligor.security import proofs
from obligor.security.jose import TokenError
from obligor.security.proofs import is_same_address
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsStub
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.http import Hot
from obligor.serving.people.proving import Proofs
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import TlsSettings, read_provider_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.serving.people import providers

    from obligor.security.tokens import Issuer

URL = "http://obligor.test/v1/release"


@pytest.fixture(scope="module")
def running() -> Iterator[providers.Provider]:
    with provider() as it:
        yield it


def thumbprint(key: Any) -> str:
    return str(key.thumbprint())


def bound(key: Any = EC, **changed: Any) -> str:
    """A token that is bound to a key."""
    return token(claims(cnf={"jkt": thumbprint(key)}, **changed))


def proof(text: str, key: Any = EC, algorithm: str = "ES256", header: dict[str, Any] | None = None, **said: Any) -> str:
    """A proof for a token; what is None is left out."""
    head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=False), **(header or {})}
    good = {
        "jti": str(uuid.uuid4()),
        "htm": "GET",
        "htu": URL,
        "iat": int(time.time()),
        "ath": b64(hashlib.sha256(text.encode()).digest()),
        **said,
    }
    parts = ({name: it for name, it in each.items() if it is not None} for each in (head, good))
    return signed(*(json.dumps(it).encode() for it in parts), key, algorithm)


def home(url: str, *, issuer: Issuer = WHOSE, origin: str = "", clock: Clock | None = None) -> House:
    clock = clock or Clock()
    return house(authenticating=authenticator(url, clock, Known(), issuer), proofs=Proofs(now=clock.now, origin=origin))


async def asked(of: House, *shown: tuple[str, str]) -> Any:
    """Ask for the release in force with headers, and give the answer as ``answer`` does."""
    transport = httpx.ASGITransport(app=of.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://obligor.test") as client:
        told = await client.get("/v1/release", headers=list(shown))
    return told.status_code, told.content, sorted(told.headers.raw)


@pytest.fixture(scope="module")
def uniform() -> Any:
    return asyncio.run(answer(None))


@pytest.mark.parametrize(("key", "algorithm"), [(EC, "ES256"), (ED, "EdDSA"), (OTHER_RSA, "RS256")])
def test_whoever_proves_that_they_hold_the_key_is_let_in(running: providers.Provider, key: Any, algorithm: str) -> None:
    text = bound(key)
    shown = ("authorization", f"DPoP {text}"), ("dpop", proof(text, key, algorithm))
    assert asyncio.run(asked(home(running.url), *shown))[0] == 200


def stolen(text: str) -> str:
    """Somebody else's proof, with their own key."""
    return proof(text, ED, "EdDSA")


WRONG: dict[str, Callable[[str], str]] = {
    "of another key": stolen,
    "for another method": lambda text: proof(text, htm="POST"),
    "for another path": lambda text: proof(text, htu="http://obligor.test/v1/policy"),
    "for another host": lambda text: proof(text, htu="http://other.test/v1/release"),
    "for another scheme": lambda text: proof(text, htu="https://obligor.test/v1/release"),
    "for another port": lambda text: proof(text, htu="http://obligor.test:81/v1/release"),
    "for no address": lambda text: proof(text, htu="http://[/v1/release"),
    "for another token": lambda text: proof(text + "x"),
    "for no token": lambda text: proof(text, ath=None),
    "of more than a minute ago": lambda text: proof(text, iat=int(time.time()) - 62),
    "of more than a minute from now": lambda text: proof(text, iat=int(time.time()) + 62),
    "of no time": lambda text: proof(text, iat=None),
    "without a name": lambda text: proof(text, jti=None),
    "with an empty name": lambda text: proof(text, jti=""),
    "with a name of half a character": lambda text: proof(text, jti="\ud800"),
    "with a name without end": lambda text: proof(text, jti="x" * 257),
    "with a name that is a list": lambda text: proof(text, jti=["x"]),
    "without a method": lambda text: proof(text, htm=None),
    "of another type": lambda text: proof(text, header={"typ": "JWT"}),
    "of no type": lambda text: proof(text, header={"typ": None}),
    "without its key": lambda text: proof(text, header={"jwk": None}),
    "whose key is a text": lambda text: proof(text, header={"jwk": "key"}),
    "with the private key": lambda text: proof(text, header={"jwk": EC.as_dict(private=True)}),
    "whose key is a secret": lambda text: proof(text, header={"alg": "HS256", "jwk": {"kty": "oct", "k": "AAAA"}}),
    "of another algorithm than its key's": lambda text: proof(text, header={"alg": "RS256"}),
    "of no algorithm": lambda text: proof(text, header={"alg": "none"}),
    "whose key is named elsewhere": lambda text: proof(text, header={"kid": "ec-1"}),
    "that asks for understanding": lambda text: proof(text, header={"crit": ["x"], "x": 1}),
    "signed by another key": lambda text: f"{proof(text).rpartition('.')[0]}.{stolen(text).rpartition('.')[2]}",
    "that was changed": lambda text: f"{proof(text).split('.')[0]}.{'.'.join(proof(text, htm='POST').split('.')[1:])}",
    "of two parts": lambda text: proof(text).rpartition(".")[0],
    "that is huge": lambda text: proof(text, pad="x" * 4096),
    "that is empty": lambda _: "",
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_proof_opens_nothing_and_is_answered_as_no_token_is(
    running: providers.Provider, uniform: Any, wrong: str
) -> None:
    text, of = bound(), home(running.url)
    shown = ("authorization", f"DPoP {text}"), ("dpop", WRONG[wrong](text))
    assert asyncio.run(asked(of, *shown)) == uniform
    good = ("authorization", f"DPoP {text}"), ("dpop", proof(text))
    assert asyncio.run(asked(of, *good))[0] == 200


def test_a_bound_token_without_a_proof_or_as_a_bearer_opens_nothing(running: providers.Provider, uniform: Any) -> None:
    text, of = bound(), home(running.url)
    for shown in (
        (("authorization", f"DPoP {text}"),),
        (("authorization", f"Bearer {text}"),),
        (("authorization", f"Bearer {text}"), ("dpop", proof(text))),
        (("authorization", f"DPoP {token()}"), ("dpop", proof(token()))),
        (("authorization", f"Basic {token()}"),),
    ):
        assert asyncio.run(asked(of, *shown)) == uniform
    assert asyncio.run(asked(of, ("authorization", f"Bearer {token()}")))[0] == 200


def test_a_proof_is_taken_once_and_of_two_none(running: providers.Provider, uniform: Any) -> None:
    text, of = bound(), home(running.url)
    shown = ("authorization", f"DPoP {text}"), ("dpop", once := proof(text))
    assert asyncio.run(asked(of, *shown))[0] == 200
    assert asyncio.run(asked(of, *shown)) == uniform
    assert asyncio.run(asked(of, shown[0], ("dpop", proof(text)), ("dpop", once)))[0] == 400


def test_a_proof_has_a_name_of_so_many_characters() -> None:
    for name in ("x", "x" * 256):
        assert proofs.read_proof(proof(bound(), jti=name), key_sha256=hashed(EC)).id == name


def test_of_too_many_proofs_the_oldest_is_forgotten_and_no_sooner() -> None:
    text, clock = bound(), Clock()
    once = Proofs(now=clock.now, most_kept=3)

    def take(shown: str) -> bool:
        return once.take(
            shown,
            token=text,
            key_sha256=hashed(EC),
            method="GET",
            origin="http://obligor.test",
            path="/v1/release",
        )

    made = [proof(text) for _ in range(4)]
    assert [take(it) for it in made[:3]] == [True] * 3
    assert [take(it) for it in made[:3]] == [False] * 3
    assert take(made[3])
    assert [take(it) for it in made[1:]] == [False] * 3
    clock.ahead_s = 59
    assert not take(made[3])
    clock.ahead_s = 125
    assert not take(made[3])
    assert take(proof(text, iat=int(clock.now().timestamp())))
    assert len(once._taken) == 1


def hashed(key: Any) -> bytes:
    return base64.urlsafe_b64decode(thumbprint(key) + "=")


def test_behind_a_proxy_proofs_name_the_address_that_clients_see(running: providers.Provider, uniform: Any) -> None:
    text, of = bound(), home(running.url, origin="https://decisions.bank.example")
    token_shown = ("authorization", f"DPoP {text}")
    good = proof(text, htu="https://decisions.bank.example/v1/release?page=2#top")
    assert asyncio.run(asked(of, token_shown, ("dpop", good)))[0] == 200
    assert asyncio.run(asked(of, token_shown, ("dpop", proof(text)))) == uniform


def test_addresses_are_one_however_they_are_written() -> None:
    for one, other in (
        ("https://Bank.Example/v1", "https://bank.example:443/v1"),
        ("http://bank.example", "http://bank.example:80/"),
        ("HTTPS://bank.example/v1?a#b", "https://bank.example/v1"),
    ):
        assert is_same_address(one, other)
    for one, other in (
        ("https://bank.example/V1", "https://bank.example/v1"),
        ("https://bank.example/v1/", "https://bank.example/v1"),
        ("https://bank.example:8443/v1", "https://bank.example/v1"),
        ("https://bank.example.evil.test/v1", "https://bank.example/v1"),
        ("https://bank.example:x/v1", "https://bank.example/v1"),
        ("http://bank.example:443/v1", "https://bank.example/v1"),
        ("//bank.example/v1", "https://bank.example/v1"),
    ):
        assert not is_same_address(one, other)


@pytest.mark.parametrize(
    "cnf",
    [
        {"jwk": {"kty": "EC"}},
        {"kid": "ec-1"},
        {"kid": thumbprint(EC)},
        {},
        {"jkt": "x" * 43},
        {"jkt": "AAAA"},
        {"jkt": 7},
        {"jkt": thumbprint(EC), "x5t#S256": "A" * 43},
        [thumbprint(EC)],
        "key",
        False,
    ],
)
def test_a_binding_that_is_not_understood_opens_nothing(running: providers.Provider, uniform: Any, cnf: Any) -> None:
    text, of = token(claims(cnf=cnf)), home(running.url)
    for scheme in ("Bearer", "DPoP"):
        assert asyncio.run(asked(of, ("authorization", f"{scheme} {text}"), ("dpop", proof(text)))) == uniform


def test_where_the_lender_wants_it_a_token_without_a_binding_opens_nothing(
    running: providers.Provider, uniform: Any
) -> None:
    of = home(running.url, issuer=replace(WHOSE, bound=True))
    assert asyncio.run(asked(of, ("authorization", f"Bearer {token()}"))) == uniform
    text = bound()
    assert asyncio.run(asked(of, ("authorization", f"DPoP {text}"), ("dpop", proof(text))))[0] == 200


def test_settings_say_whether_tokens_are_bound_and_by_which_address_clients_come() -> None:
    named = {
        "OBLIGOR_OIDC_ISSUER": ISSUER,
        "OBLIGOR_OIDC_AUDIENCE": AUDIENCE,
        "OBLIGOR_OIDC_JWKS_URL": "https://id.bank.example/keys",
    }
    settings = read_provider_settings(named)
    assert settings is not None
    assert (settings.bound, settings.origin) == (False, "")
    settings = read_provider_settings(
        named | {"OBLIGOR_OIDC_BOUND": "yes", "OBLIGOR_ORIGIN": "https://bank.example:8443"}
    )
    assert settings is not None
    assert (settings.bound, settings.origin) == (True, "https://bank.example:8443")
    for wrong in (
        {"OBLIGOR_OIDC_BOUND": "perhaps"},
        {"OBLIGOR_ORIGIN": "bank.example"},
        {"OBLIGOR_ORIGIN": "https://bank.example/"},
        {"OBLIGOR_ORIGIN": "ftp://bank.example"},
    ):
        with pytest.raises(InvalidInputError, match="wanted"):
            read_provider_settings(named | wrong)


# Bound to a client certificate (RFC 8705)


def certified(tls: TlsSettings, **changed: Any) -> str:
    """A token of a system, bound to its certificate."""
    assert tls.cert is not None
    der = x509.load_pem_x509_certificate(tls.cert.read_bytes()).public_bytes(Encoding.DER)
    cnf = {"x5t#S256": b64(hashlib.sha256(der).digest())}
    return token(claims(cnf=cnf, roles=["los"], client_id="loan-desk", **changed))


def pairs(folder: Path) -> tuple[TlsSettings, TlsSettings]:
    """The service's certificate, which is a client's as well, and another client's; both are trusted."""
    (folder / "other").mkdir()
    ours, other = write_pair(folder, 1), write_pair(folder / "other", 2)
    assert ours.cert is not None
    assert other.cert is not None
    trusted = folder / "clients.pem"
    trusted.write_bytes(ours.cert.read_bytes() + other.cert.read_bytes())
    return replace(ours, client_ca=trusted), other


def client_of(ours: TlsSettings, shown: TlsSettings, port: int) -> httpx.AsyncClient:
    context = ssl.create_default_context(cafile=str(ours.cert))
    assert shown.cert is not None
    context.load_cert_chain(shown.cert, shown.key)
    return httpx.AsyncClient(verify=context, base_url=f"https://localhost:{port}")


def test_a_token_of_a_certificate_decides_for_its_client_and_is_nothing_to_another(
    running: providers.Provider, tmp_path: Path
) -> None:
    async def main() -> None:
        ours, other = pairs(tmp_path)
        of, text = home(running.url), certified(ours)
        encryption = Certificates(ours).encryption
        async with (
            served(of.app, seats=of.door.seats, encryption=encryption, hot=Hot(of.door)) as server,
            client_of(ours, ours, server.port) as mine,
            client_of(ours, other, server.port) as theirs,
        ):
            seen = []
            for place in range(3):  # the first is looked at, the others are decided on where they arrive
                for client in (mine, theirs):
                    headers = {"authorization": f"Bearer {text}"} | posting(f"{place} {id(client)}".replace(" ", "-"))
                    seen.append((await client.post("/v1/decisions", content=BODY, headers=headers)).status_code)
            assert seen == [201, 401] * 3
            assert (await theirs.get("/v1/release", headers={"authorization": f"Bearer {text}"})).status_code == 401
            assert (await mine.get("/v1/release", headers={"authorization": f"Bearer {text}"})).status_code == 200
        assert len(of.store.leaves) == 3

    run(main())


def test_a_token_of_a_certificate_opens_nothing_where_none_is_shown(
    running: providers.Provider, tmp_path: Path
) -> None:
    text = certified(write_pair(tmp_path, 1))
    assert asyncio.run(asked(home(running.url), ("authorization", f"Bearer {text}")))[0] == 401


def test_over_grpc_a_token_of_a_certificate_is_its_clients_alone_and_one_of_a_key_opens_nothing(
    running: providers.Provider, tmp_path: Path
) -> None:
    async def main() -> None:
        ours, other = pairs(tmp_path)
        of = home(running.url)
        servicer = Servicer(
            of.door.service, of.door.register, of.door.authenticator, seats=of.door.seats, meter=NoMeter()
        )
        server = Server(servicer, credentials=Certificates(ours).credentials)
        port = await server.start("127.0.0.1", 0)
        try:
            text, keyed = certified(ours), bound(roles=["los"], client_id="loan-desk")
            assert [await decide(port, ours, ours, f"Bearer {text}") for _ in range(3)] == [grpc.StatusCode.OK] * 3
            refused = grpc.StatusCode.UNAUTHENTICATED
            assert [await decide(port, ours, other, f"Bearer {text}") for _ in range(3)] == [refused] * 3
            assert await decide(port, ours, ours, f"DPoP {keyed}") == refused
            assert await decide(port, ours, ours, f"Bearer {keyed}") == refused
        finally:
            await server.stop(grace=0.0)
        assert len(of.store.leaves) == 3

    asyncio.run(main())


async def decide(port: int, ours: TlsSettings, shown: TlsSettings, authorization: str) -> grpc.StatusCode:
    """Ask for a decision with a certificate, and give the status."""
    assert ours.cert is not None
    assert shown.cert is not None
    assert shown.key is not None
    credentials = grpc.ssl_channel_credentials(ours.cert.read_bytes(), shown.key.read_bytes(), shown.cert.read_bytes())
    request = pb.DecideRequest()
    request.application.update(PLAIN)
    metadata = (("authorization", authorization), ("idempotency-key", str(uuid.uuid4())))
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        try:
            await DecisionsStub(channel).Decide(request, metadata=metadata, timeout=10)
        except grpc.aio.AioRpcError as error:
            return error.code()
    return grpc.StatusCode.OK


def test_a_key_that_takes_long_to_check_by_is_not_tried_where_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    text = bound()

    def never(*_: object) -> None:
        pytest.fail("it was tried")

    monkeypatch.setattr(proofs, "check_signature", never)
    with pytest.raises(TokenError):
        proofs.read_proof(stolen(text), key_sha256=hashed(EC))

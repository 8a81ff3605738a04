"""Both doors are opened with a certificate, ask clients for theirs where told so, and never in plain text in production."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.serving.http.fakes import house
from tests.serving.http.serving import run, served

from obligor.adapters.store.address import check_encrypted
from obligor.bootstrap.certificates import Certificates
from obligor.core.errors import InvalidInputError
from obligor.serving.grpc.server import Server
from obligor.serving.grpc.servicer import Servicer
from obligor.serving.http import RunLimits, make_server
from obligor.serving.telemetry.meter import NoMeter
from obligor.settings import TlsSettings, read_tls_settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMITS = RunLimits(notice_seconds=0.0, drain_seconds=1)


def write_pair(folder: Path, serial: int) -> TlsSettings:
    """Write a certificate for this machine, which is its own root, and passes for a client's as well."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"localhost {serial}")])
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), x509.IPAddress(IPv4Address("127.0.0.1"))]
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert, private = folder / "cert.pem", folder / "key.pem"
    cert.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return TlsSettings(cert, private, cert)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsSettings:
    return write_pair(tmp_path_factory.mktemp("tls"), 1)


async def _ask(tls: TlsSettings, *, shown: bool) -> int:
    """Ask for health over HTTPS, with a certificate of the client's or without one."""
    home = house()
    server = make_server(
        home.app,
        seats=home.door.seats,
        host="127.0.0.1",
        port=0,
        limits=LIMITS,
        encryption=Certificates(tls).encryption,
    )
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            await asyncio.sleep(0.01)
        context = ssl.create_default_context(cafile=str(tls.cert))
        if shown:
            context.load_cert_chain(str(tls.cert), str(tls.key))
        async with httpx.AsyncClient(verify=context) as client:
            with pytest.raises(httpx.HTTPError):
                await client.get(f"http://127.0.0.1:{server.port}/health/live")
            return (await client.get(f"https://127.0.0.1:{server.port}/health/live")).status_code
    finally:
        server.should_exit = True
        await running


def test_rest_answers_over_tls_and_nothing_in_plain_text(tls: TlsSettings) -> None:
    assert asyncio.run(_ask(TlsSettings(tls.cert, tls.key, None), shown=False)) == 200


def test_rest_asks_a_client_for_its_certificate(tls: TlsSettings) -> None:
    assert asyncio.run(_ask(tls, shown=True)) == 200
    with pytest.raises(httpx.TransportError):
        asyncio.run(_ask(tls, shown=False))


def test_a_connection_that_never_shakes_hands_is_closed_soon(tls: TlsSettings) -> None:
    async def main() -> None:
        home, limits = house(), replace(LIMITS, handshake_seconds=0.2)
        async with served(home.app, limits=limits, encryption=Certificates(tls).encryption) as server:
            for begun in (b"", b"\x16\x03\x01\x02\x00\x01"):  # nothing, and the beginning of a hello
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(begun)
                async with asyncio.timeout(5):
                    assert await reader.read() == b""
                writer.close()

    run(main())


def test_of_those_who_never_shake_hands_the_oldest_give_way_to_those_who_do(tls: TlsSettings) -> None:
    async def main() -> None:
        home, limits = house(), replace(LIMITS, handshakes=20)
        async with served(home.app, limits=limits, encryption=Certificates(tls).encryption) as server:
            silent = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(60)]
            mine = ssl.create_default_context(cafile=str(tls.cert))
            mine.load_cert_chain(str(tls.cert), str(tls.key))
            async with httpx.AsyncClient(verify=mine) as client:
                assert (await client.get(f"https://127.0.0.1:{server.port}/health/live")).status_code == 200
            gone = [asyncio.create_task(reader.read()) for reader, _ in silent]
            async with asyncio.timeout(5):
                while sum(it.done() for it in gone) < 41:
                    await asyncio.sleep(0.01)
            assert sum(it.done() for it in gone) == 41
            assert not any(it.done() for it in gone[41:])
        await asyncio.gather(*gone, return_exceptions=True)  # the service ended
        for _, writer in silent:
            writer.close()

    run(main())


def open_sockets() -> int:
    return sum(it.is_socket() for it in Path("/proc/self/fd").iterdir())


def test_who_left_before_shaking_hands_leaves_nothing_behind(tls: TlsSettings) -> None:
    async def main() -> None:
        home = house()
        async with served(home.app, limits=LIMITS, encryption=Certificates(tls).encryption) as server:
            before = open_sockets()
            for said in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
                for _ in range(20):
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                    writer.write(said)
                    await writer.drain()
                    writer.transport.abort()
            async with asyncio.timeout(5):
                while open_sockets() > before:
                    await asyncio.sleep(0.01)

    run(main())


async def _health(tls: TlsSettings, *, shown: bool) -> int:
    assert tls.cert is not None
    assert tls.key is not None
    home = house()
    servicer = Servicer(
        home.door.service, home.door.register, home.door.authenticator, seats=home.door.seats, meter=NoMeter()
    )
    server = Server(servicer, credentials=Certificates(tls).credentials)
    port = await server.start("127.0.0.1", 0)
    mine = (tls.key.read_bytes(), tls.cert.read_bytes()) if shown else (None, None)
    credentials = grpc.ssl_channel_credentials(tls.cert.read_bytes(), *mine)
    try:
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            told = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
            return int(told.status)
    finally:
        await server.stop(grace=0.0)


def test_grpc_answers_over_tls_and_asks_a_client_for_its_certificate(tls: TlsSettings) -> None:
    assert asyncio.run(_health(TlsSettings(tls.cert, tls.key, None), shown=False)) == 1
    assert asyncio.run(_health(tls, shown=True)) == 1
    with pytest.raises(grpc.aio.AioRpcError):
        asyncio.run(_health(tls, shown=False))


@asynccontextmanager
async def both_doors(certificates: Certificates) -> AsyncIterator[tuple[int, int]]:
    """Open REST and gRPC, and give their ports."""
    home = house()
    servicer = Servicer(
        home.door.service, home.door.register, home.door.authenticator, seats=home.door.seats, meter=NoMeter()
    )
    grpc_server = Server(servicer, credentials=certificates.credentials)
    port = await grpc_server.start("127.0.0.1", 0)
    try:
        async with served(home.app, limits=LIMITS, encryption=certificates.encryption) as rest:
            yield rest.port, port
    finally:
        await grpc_server.stop(grace=0.0)


def test_a_certificate_that_is_renewed_is_shown_at_both_doors_and_half_of_one_is_not(tmp_path: Path) -> None:
    tls = replace(write_pair(tmp_path, 1), client_ca=None)
    (new := tmp_path / "new").mkdir()

    async def main() -> None:
        certificates = Certificates(tls)
        async with both_doors(certificates) as ports:
            assert await _serials(*ports) == [1, 1]
            assert not certificates.look()
            later = write_pair(new, 2)
            (new / "cert.pem").replace(tmp_path / "cert.pem")
            with pytest.raises(InvalidInputError, match="cannot be used"):
                certificates.look()
            assert await _serials(*ports) == [1, 1]
            assert later.key is not None
            later.key.replace(tmp_path / "key.pem")
            assert certificates.look()
            assert await _serials(*ports) == [2, 2]

    run(main())


def test_an_authority_of_clients_that_is_renewed_lets_its_clients_in_at_both_doors_and_no_others(
    tmp_path: Path,
) -> None:
    folders = {name: tmp_path / name for name in ("ours", "old", "new")}
    for it in folders.values():
        it.mkdir()
    ours, old, new = (write_pair(it, at) for at, it in enumerate(folders.values(), 1))
    authority = tmp_path / "clients.pem"
    assert old.cert is not None
    assert new.cert is not None
    authority.write_bytes(old.cert.read_bytes())

    async def main() -> None:
        certificates = Certificates(replace(ours, client_ca=authority))
        async with both_doors(certificates) as ports:
            assert [await _lets_in(ports, ours, it) for it in (old, new)] == [(True, True), (False, False)]
            authority.write_bytes(b"no certificate")
            with pytest.raises(InvalidInputError, match="cannot be used"):
                certificates.look()
            assert await _lets_in(ports, ours, old) == (True, True)
            authority.write_bytes(new.cert.read_bytes())
            assert certificates.look()
            assert [await _lets_in(ports, ours, it) for it in (old, new)] == [(False, False), (True, True)]

    run(main())


async def _lets_in(ports: tuple[int, int], ours: TlsSettings, shown: TlsSettings) -> tuple[bool, bool]:
    """Tell whether a client with a certificate is let in by REST, and by gRPC."""
    assert ours.cert is not None
    assert shown.cert is not None
    assert shown.key is not None
    rest, port = ports
    context = ssl.create_default_context(cafile=str(ours.cert))
    context.load_cert_chain(shown.cert, shown.key)
    credentials = grpc.ssl_channel_credentials(ours.cert.read_bytes(), shown.key.read_bytes(), shown.cert.read_bytes())
    by_rest = by_grpc = True
    try:
        async with httpx.AsyncClient(verify=context) as client:
            await client.get(f"https://127.0.0.1:{rest}/health/live")
    except httpx.TransportError:
        by_rest = False
    try:
        async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10)
    except grpc.aio.AioRpcError:
        by_grpc = False
    return by_rest, by_grpc


async def _serials(*ports: int) -> list[int]:
    """Give the numbers of the certificates that are shown at some ports."""

    def shown(port: int) -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    return [await asyncio.to_thread(shown, port) for port in ports]


def test_a_key_of_another_certificate_is_refused(tls: TlsSettings, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    private = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    other.write_bytes(private)
    with pytest.raises(InvalidInputError, match="cannot be used"):
        Certificates(TlsSettings(tls.cert, other, None))


def test_in_production_nothing_is_served_in_plain_text_unless_a_proxy_is_declared(tls: TlsSettings) -> None:
    production = {"OBLIGOR_ENV": "production"}
    with pytest.raises(InvalidInputError, match="not opened in plain text"):
        read_tls_settings(production)
    assert read_tls_settings(production | {"OBLIGOR_BEHIND_PROXY": "yes"}).cert is None
    assert read_tls_settings({}).cert is None
    whole = {"OBLIGOR_TLS_CERT": str(tls.cert), "OBLIGOR_TLS_KEY": str(tls.key)}
    assert read_tls_settings(production | whole).key == tls.key
    for wrong in (
        {"OBLIGOR_TLS_CERT": str(tls.cert)},
        {"OBLIGOR_TLS_CLIENT_CA": str(tls.cert)},
        whole | {"OBLIGOR_TLS_KEY": "/nowhere"},
        {"OBLIGOR_BEHIND_PROXY": "perhaps"},
    ):
        with pytest.raises(InvalidInputError, match="wanted"):
            read_tls_settings(wrong)


@pytest.mark.parametrize("mode", ["", "?sslmode=disable", "?sslmode=prefer", "?sslmode=require", "?sslmode=verify-ca"])
def test_in_production_the_database_is_reached_with_its_certificate_checked(mode: str) -> None:
    with pytest.raises(InvalidInputError, match="sslmode=verify-full") as refused:
        check_encrypted(f"postgresql://bank:secret@db.example/decisions{mode}")
    assert "secret" not in str(refused.value)


def test_a_database_on_this_machine_or_with_its_certificate_checked_is_let_in() -> None:
    check_encrypted("postgresql://bank@db.example/decisions?sslmode=verify-full")
    check_encrypted("postgresql://bank@/decisions?host=/run/postgresql")


def test_a_key_under_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """OpenSSL asks at the terminal, or reads what stands on standard input; the loop would stand still meanwhile."""
    tls = write_pair(tmp_path, 1)
    key = ec.generate_private_key(ec.SECP256R1())
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a phrase"))
    (tmp_path / "key.pem").write_bytes(locked)
    with pytest.raises(InvalidInputError, match="cannot be used"):
        Certificates(tls)
    assert capfd.readouterr().err == ""


REFUSED = ("TLSV1_ALERT_PROTOCOL_VERSION", "UNEXPECTED_EOF_WHILE_READING")
"""What a client meets that the server refuses: told why, or cut off."""


def test_neither_door_speaks_tls_of_before_1_2(tls: TlsSettings) -> None:
    def speaks(port: int, version: ssl.TLSVersion) -> str:
        context = ssl.create_default_context(cafile=str(tls.cert))
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the old ones
            context.minimum_version = context.maximum_version = version
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
                context.wrap_socket(plain, server_hostname="localhost") as it,
            ):
                return str(it.version())
        except ssl.SSLError as error:
            return str(error.reason)

    async def main() -> None:
        async with both_doors(Certificates(replace(tls, client_ca=None))) as ports:
            for port in ports:
                assert await asyncio.to_thread(speaks, port, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
                for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
                    assert await asyncio.to_thread(speaks, port, old) in REFUSED

    run(main())

"""The certificate of both doors, and whose clients may come; what is renewed is taken up as its files change."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final, cast

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from pathlib import Path

    from grpc import ServerCertificateConfiguration, ServerCredentials

    from obligor.serving.http.handshakes import Encryption
    from obligor.serving.telemetry.journal import Telling
    from obligor.settings import TlsSettings

_LOOK_SECONDS: Final = 10.0


class Certificates:
    """The certificate, its key and the authority of clients, as their files are now; connections that are open keep theirs.

    Raises
    ------
    InvalidInputError
        Where the files cannot be used.
    """

    def __init__(self, tls: TlsSettings) -> None:
        self._tls = tls
        self._seen = self._stamps()
        self._context = self._made() if self._files else None
        self._renewed: ServerCertificateConfiguration | None = None
        """For gRPC, which asks at each handshake."""

    @property
    def encryption(self) -> Encryption | None:
        """What REST asks at each handshake; none where it is not encrypted here."""
        return None if self._context is None else lambda: cast("ssl.SSLContext", self._context)

    @property
    def credentials(self) -> ServerCredentials | None:
        """What gRPC is opened with: the same certificate, and a client is asked for one where REST asks."""
        from grpc import dynamic_ssl_server_credentials

        if self._context is None:
            return None
        asks = self._tls.client_ca is not None
        return dynamic_ssl_server_credentials(
            self._configuration(),
            self._turn,  # type: ignore[arg-type]  # it may give none, where nothing turned
            require_client_authentication=asks,
        )

    def look(self) -> bool:
        """Take up what was renewed, for REST and for gRPC; tell whether anything was.

        Raises
        ------
        InvalidInputError
            Where the files cannot be used as they are, such as one without the other: what was in use stays.
        """
        seen = self._stamps()
        if seen == self._seen:
            return False
        self._seen = seen
        self._context, self._renewed = self._made(), self._configuration()
        return True

    async def run(self, journal: Telling) -> None:
        """Look every few seconds."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if self.look():
                    journal.tell("certificate_renewed")
            except InvalidInputError as error:
                journal.failed("certificate_refused", error)

    def _turn(self) -> ServerCertificateConfiguration | None:
        renewed, self._renewed = self._renewed, None
        return renewed

    def _made(self) -> ssl.SSLContext:
        """Make a context anew: from one that is in use an authority cannot be taken away."""
        cert, key, *client_ca = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(cert, key, password="")  # else OpenSSL asks whoever sits there
            for it in client_ca:
                context.load_verify_locations(it)
                context.verify_mode = ssl.CERT_REQUIRED
        except (ssl.SSLError, OSError) as error:
            raise _unusable(error) from None
        return context

    def _configuration(self) -> ServerCertificateConfiguration:
        from grpc import ssl_server_certificate_configuration

        try:
            cert, key, *roots = (it.read_bytes() for it in self._files)
        except OSError as error:
            raise _unusable(error) from None
        return ssl_server_certificate_configuration([(key, cert)], *roots)

    @property
    def _files(self) -> list[Path]:
        return [it for it in (self._tls.cert, self._tls.key, self._tls.client_ca) if it is not None]

    def _stamps(self) -> list[tuple[int, int, int]]:
        try:
            return [(it.st_ino, it.st_mtime_ns, it.st_size) for it in (path.stat() for path in self._files)]
        except OSError as error:
            raise _unusable(error) from None


def _unusable(error: OSError) -> InvalidInputError:
    return InvalidInputError(f"TLS: certificate, key or authority cannot be used ({type(error).__name__})")

"""The certificate of both doors; one that is renewed is taken up as its files change, and nobody need restart for it."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Final

from obligor.core.errors import InvalidInputError

if TYPE_CHECKING:
    from grpc import ServerCertificateConfiguration, ServerCredentials

    from obligor.serving.http import Encryption
    from obligor.serving.telemetry.journal import Telling
    from obligor.settings import TlsSettings

_LOOK_SECONDS: Final = 10.0


class Certificates:
    """The certificate and its key, as their files are now; connections that are open keep theirs."""

    def __init__(self, tls: TlsSettings) -> None:
        self._tls = tls
        self._files = tuple(it for it in (tls.cert, tls.key) if it is not None)
        self._seen = self._stamps()
        self._renewed: ServerCertificateConfiguration | None = None
        """For gRPC, which asks at each handshake."""

    @property
    def encryption(self) -> Encryption | None:
        """What REST is opened with; none where it is not encrypted here."""
        from obligor.serving.http import Encryption

        cert, key = self._tls.cert, self._tls.key
        return None if cert is None or key is None else Encryption(cert, key, self._tls.client_ca)

    @property
    def credentials(self) -> ServerCredentials | None:
        """What gRPC is opened with: the same certificate, and a client is asked for one where REST asks."""
        from grpc import dynamic_ssl_server_credentials

        if not self._files:
            return None
        asks = self._tls.client_ca is not None
        return dynamic_ssl_server_credentials(
            self._configuration(),
            self._turn,  # type: ignore[arg-type]  # it may give none, where nothing turned
            require_client_authentication=asks,
        )

    def look(self, context: ssl.SSLContext) -> bool:
        """Take up a certificate that was renewed, for REST's context and for gRPC; tell whether one was.

        Raises
        ------
        InvalidInputError
            Where the files cannot be used as they are, such as one without the other: what was in use stays.
        """
        try:
            seen = self._stamps()
            if seen == self._seen:
                return False
            self._seen = seen
            cert, key = self._files
            for it in (ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), context):  # tried on one that nobody uses first
                it.load_cert_chain(cert, key)
            self._renewed = self._configuration()
        except (ssl.SSLError, OSError) as error:
            raise InvalidInputError(f"TLS: certificate and key cannot be used ({type(error).__name__})") from None
        return True

    async def run(self, context: ssl.SSLContext, journal: Telling) -> None:
        """Look every few seconds, in the loop: a context must not be changed while another thread makes a connection of it."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                if self.look(context):
                    journal.tell("certificate_renewed")
            except InvalidInputError as error:
                journal.failed("certificate_refused", error)

    def _turn(self) -> ServerCertificateConfiguration | None:
        renewed, self._renewed = self._renewed, None
        return renewed

    def _configuration(self) -> ServerCertificateConfiguration:
        from grpc import ssl_server_certificate_configuration

        cert, key = (it.read_bytes() for it in self._files)
        roots = None if self._tls.client_ca is None else self._tls.client_ca.read_bytes()
        return ssl_server_certificate_configuration([(key, cert)], roots)

    def _stamps(self) -> list[tuple[int, int, int]]:
        return [(it.st_ino, it.st_mtime_ns, it.st_size) for it in (path.stat() for path in self._files)]

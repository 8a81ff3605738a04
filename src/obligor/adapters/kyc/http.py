"""Evidence of identity from a provider over HTTPS: one question, one answer, no redirect, and a rest after failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from obligor.adapters.outgoing import Outgoing, may_reach
from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.serving.gates.kyc import hashed, read_evidence

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable

    from obligor.serving.gates.kyc import KycEvidence, Person

_WHO: Final = "the KYC provider"
_JSON: Final = "application/json"
_MOST_BYTES: Final = 1 << 16
_FAILURES: Final = 5
_REST_S: Final = 10.0
_OK, _NONE = 200, 404


class HttpKyc:
    """Asks a provider: POST of the person as JSON, answered with evidence (200), or with 404 where there is none.

    Whoever asks waits no longer than ``patience_s``.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str,
        patience_s: float,
        tls: ssl.SSLContext | None = None,
        resolve: Callable[[str, int], Iterable[str]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise InvalidInputError("OBLIGOR_KYC: wanted an https:// address without a password, or the path of a file")
        self._url, self._clock = url, clock
        self._failures, self._rests_until = 0, 0.0
        self._headers = {"Authorization": f"Bearer {token}", "Accept": _JSON, "Content-Type": _JSON}
        self._outgoing = Outgoing(
            what=_WHO,
            wanted={"https": may_reach("https", production=False)},  # it may well run beside the service
            tls=tls,
            resolve=resolve,
            patience_s=patience_s,
            most_bytes=_MOST_BYTES,
        )

    async def check(self, person: Person) -> KycEvidence | None:
        """Give the evidence of a person.

        Raises
        ------
        UnavailableError
            Where the provider does not answer as it should, or rests after five failures in a row.
        """
        if self._clock() < self._rests_until:
            raise UnavailableError(f"{_WHO} rests after failures")
        try:
            found = await self._ask(person)
        except UnavailableError:
            self._failures += 1
            if self._failures >= _FAILURES:
                self._rests_until = self._clock() + _REST_S
            raise
        self._failures = 0
        return found

    async def close(self) -> None:
        """Close the connections."""
        await self._outgoing.close()

    async def _ask(self, person: Person) -> KycEvidence | None:
        asked = {
            "name": person.name,
            "date_of_birth": person.date_of_birth,
            "address": person.address,
            "id_number_sha256": hashed(person.id_number),
            "evidence_id": person.evidence_id,
        }
        answer = await self._outgoing.ask("POST", self._url, headers=self._headers, body=msgspec.json.encode(asked))
        if answer.status == _NONE:
            return None
        if answer.status != _OK or answer.kind != _JSON:
            raise UnavailableError(f"{_WHO} did not answer with evidence")
        if len(answer.body) > _MOST_BYTES:
            raise UnavailableError(f"{_WHO} answered with too much")
        return read_evidence(answer.body)

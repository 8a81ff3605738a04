"""Evidence of identity from a provider over HTTPS: one question, one answer, no redirect, and a rest after failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import httpx

from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.serving.kyc import hashed, read_evidence

if TYPE_CHECKING:
    from collections.abc import Callable

    from obligor.serving.kyc import KycEvidence, Person

_TIMEOUT_S: Final = 0.25
_MOST_BYTES: Final = 1 << 16
_FAILURES: Final = 5
_REST_S: Final = 10.0
_OK, _NONE = 200, 404


class HttpKyc:
    """Asks a provider: POST of the person as JSON, answered with evidence (200), or with 404 where there is none."""

    def __init__(
        self,
        url: str,
        *,
        token: str,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or not parts.hostname or parts.username or parts.password:
            raise InvalidInputError("OBLIGOR_KYC: wanted an https:// address without a password, or the path of a file")
        self._url, self._clock = url, clock
        self._failures, self._rests_until = 0, 0.0
        self._client = httpx.AsyncClient(
            transport=transport,
            timeout=_TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
            headers={"authorization": f"Bearer {token}", "accept": "application/json"},
        )

    async def check(self, person: Person) -> KycEvidence | None:
        """Give the evidence of a person.

        Raises
        ------
        UnavailableError
            Where the provider does not answer as it should, or rests after five failures in a row.
        """
        if self._clock() < self._rests_until:
            raise UnavailableError("the KYC provider rests after failures")
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
        await self._client.aclose()

    async def _ask(self, person: Person) -> KycEvidence | None:
        asked = {
            "name": person.name,
            "date_of_birth": person.date_of_birth,
            "address": person.address,
            "id_number_sha256": hashed(person.id_number),
            "evidence_id": person.evidence_id,
        }
        try:
            async with self._client.stream("POST", self._url, json=asked) as answer:
                if answer.status_code == _NONE:
                    return None
                kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
                if answer.status_code != _OK or kind != "application/json":
                    raise UnavailableError("the KYC provider did not answer with evidence")
                body = b""
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > _MOST_BYTES:
                        raise UnavailableError("the KYC provider answered with too much")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError("the KYC provider does not answer") from error
        return read_evidence(body)

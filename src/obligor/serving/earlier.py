"""Answers of before, to requests that cannot be decided on now.

A key stands for its decision for ever; but an application is read by the release in force, which may read other fields than the
one of then, or have a profile that is over, and a limit may hold up all that is asked. Where that refuses a request, the answer
of its key is looked for, and the request read as it was then, by the release that the answer names: the same one is answered
with the same bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from obligor.core.errors import ApplicationError, ObligorError
from obligor.serving.applications import fingerprint, fingerprint_of_many, read_by, read_many
from obligor.serving.idempotency import request_of
from obligor.serving.privacy.sealed import named, named_in_bulk
from obligor.serving.telemetry.meter import NoMeter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.serving.acts import Caller, Recorded
    from obligor.serving.once import Answers
    from obligor.serving.privacy.sealed import Sealer
    from obligor.serving.releases.release import Releases

_NOT_COUNTED = NoMeter()


class EarlierAnswers:
    """Finds what a request on applications was answered, where it is the one that its key stands for."""

    def __init__(self, answers: Answers, releases: Releases, sealer: Sealer | None) -> None:
        self._answers, self._releases, self._sealer = answers, releases, sealer

    async def one(
        self, caller: Caller, *, route: str, key: str, application: bytes | Mapping[str, object]
    ) -> Recorded | None:
        """Find the answer to one application.

        Raises
        ------
        IntegrityError, UnavailableError
            Where what decided it is no longer kept; where the store does not answer.
        """
        if (found := await self._found(caller, route, key)) is None:
            return None
        payload, recorded, said = found
        release = await self._releases.pinned(said["pins"])
        try:
            read = read_by(release, application)
        except ApplicationError:
            return None
        if payload != self._payload(caller, route, key, fingerprint(application, read)):
            return None
        return _with(recorded, named(recorded.response, release.application_id(read)))

    async def many(
        self,
        caller: Caller,
        *,
        route: str,
        key: str,
        applications: Sequence[bytes | Mapping[str, object] | ApplicationError],
    ) -> Recorded | None:
        """Find the answer to many applications, one of which was decided on.

        Raises
        ------
        CardDataError, IntegrityError, UnavailableError
            As for one; and where an application holds the number of a payment card.
        """
        if (found := await self._found(caller, route, key)) is None:
            return None
        payload, recorded, said = found
        decided = [it.get("decision") for it in said["results"]]
        release = await self._releases.pinned(next(it["pins"] for it in decided if it))
        reads = await read_many(release, applications, _NOT_COUNTED)
        whole = await fingerprint_of_many(applications, reads)
        if payload != self._payload(caller, route, key, whole):
            return None
        names = [
            release.application_id(read)
            for read, it in zip(reads, decided, strict=True)
            if it and not isinstance(read, ObligorError)
        ]
        return _with(recorded, named_in_bulk(recorded.response, names))

    async def _found(self, caller: Caller, route: str, key: str) -> tuple[bytes, Recorded, dict[str, Any]] | None:
        known = await self._answers.answer(request_of(self._sealer, caller, route, key, b""))
        return known and (*known, msgspec.json.decode(known[1].response))

    def _payload(self, caller: Caller, route: str, key: str, sha: bytes) -> bytes:
        return request_of(self._sealer, caller, route, key, sha).payload_sha256


def _with(recorded: Recorded, response: bytes) -> Recorded:
    return msgspec.structs.replace(recorded, response=response, replayed=True)

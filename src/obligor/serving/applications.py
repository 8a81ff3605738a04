"""Applications as a client sends them: read by a release, searched for what may not enter, and told apart by what they say."""

from __future__ import annotations

import asyncio
import json
from hashlib import sha256
from time import perf_counter
from typing import TYPE_CHECKING

from obligor.core.application import check_size
from obligor.core.errors import ApplicationError, InvalidInputError, ObligorError
from obligor.serving.card_data import CardDataError, refuse_card_data, refuse_split_card_data
from obligor.serving.encoding import encode_application, encode_in_order
from obligor.serving.errors import problem_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.application import Application
    from obligor.serving.releases.release import Release
    from obligor.serving.telemetry.meter import Meter


def read_by(release: Release, application: bytes | Mapping[str, object], *, place: int | None = None) -> Application:
    """Read an application; ``place`` is the one that it has among many.

    Raises
    ------
    ApplicationError, CardDataError
        As they say.
    """
    if isinstance(application, bytes):
        check_size(application)  # before it is searched
    refuse_card_data(application, place=place)
    read = release.read(application)
    refuse_split_card_data(read, release.texts, place=place)
    return read


async def read_many(
    release: Release, applications: Sequence[bytes | Mapping[str, object] | ApplicationError], meter: Meter
) -> list[Application | ObligorError]:
    """Read each of many applications, or tell what is wrong with it; others have their turn in between.

    Raises
    ------
    CardDataError
        Where one holds the number of a payment card, which refuses the whole request.
    """
    reads: list[Application | ObligorError] = []
    for application in applications:
        if isinstance(application, ApplicationError):
            reads.append(application)
            continue
        await asyncio.sleep(0)  # others wait for the loop
        started = perf_counter()
        try:
            reads.append(read_by(release, application, place=len(reads)))
            meter.stage("read", perf_counter() - started)
        except CardDataError:
            raise
        except InvalidInputError as error:
            reads.append(error.alone())
    return reads


async def fingerprint_of_many(
    applications: Sequence[bytes | Mapping[str, object] | ApplicationError], reads: Sequence[Application | ObligorError]
) -> bytes:
    """Tell many applications from others, and others have their turn in between."""
    whole = sha256()
    for application, read in zip(applications, reads, strict=True):
        whole.update(fingerprint(application, read))
        await asyncio.sleep(0)
    return whole.digest()


def fingerprint(
    application: bytes | Mapping[str, object] | ApplicationError, read: Application | ObligorError
) -> bytes:
    """Tell an application from others: by what it says where it could be read, and otherwise as it came."""
    if isinstance(application, ApplicationError):
        return sha256(encode_in_order(problem_of(application))).digest()
    if not isinstance(read, ObligorError):
        return sha256(encode_application(read)).digest()
    return sha256(application if isinstance(application, bytes) else json.dumps(application).encode()).digest()

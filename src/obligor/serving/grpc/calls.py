"""What a call brings: its metadata, its applications, and whether its client still waits."""

from __future__ import annotations

import asyncio
from hashlib import sha256
from ssl import PEM_cert_to_DER_cert
from typing import TYPE_CHECKING, Any
from uuid import UUID

from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct

from obligor.core.application import MOST_BYTES
from obligor.core.errors import ApplicationError, InvalidInputError, NotFoundError, Problem, TooLargeError
from obligor.serving.card_data import UNSEARCHED, refuse_card_data_in
from obligor.serving.grpc.applications import application_json
from obligor.serving.grpc.messages import NO_MESSAGE

if TYPE_CHECKING:
    from collections import deque

    import grpc

    from obligor.security.tokens import Bound

    Context = grpc.aio.ServicerContext[Any, Any]

_KEY = "idempotency-key"
_TOO_LONG = f"application: wanted at most {MOST_BYTES} bytes, got more"
_READ = frozenset({"authorization", _KEY})
_UNSEARCHED_WITH_KEY = UNSEARCHED | {_KEY}


def heads_of(context: Context, *, keyed: bool = False) -> dict[str, str]:
    """Read the metadata of a call; where it is ``keyed``, the use case is left to search the idempotency key.

    Raises
    ------
    InvalidInputError
        Where what counts stands twice: whoever is in between may have read the other; where any holds a card's number.
    """
    found: dict[str, str] = {}
    searched: list[str] = []
    unsearched = _UNSEARCHED_WITH_KEY if keyed else UNSEARCHED
    for name, value in context.invocation_metadata() or ():
        if name not in unsearched:
            searched += (name, value if isinstance(value, str) else value.decode("latin-1"))
        if name in _READ:
            if name in found:
                raise InvalidInputError(f"metadata: {name} stands twice")
            found[name] = str(value)
    refuse_card_data_in("metadata", "\n".join(searched))
    return found


def holds(context: Context, bound: Bound, _token: str) -> bool:
    """Tell whether who calls showed the certificate to which their token is bound; a call brings no other proof."""
    shown = next(iter(context.auth_context().get("x509_pem_cert", ())), None)
    if shown is None or bound.to != "certificate":
        return False
    return sha256(PEM_cert_to_DER_cert(shown.decode())).digest() == bound.sha256


def key_in(heads: dict[str, str]) -> str:
    """Give the idempotency key.

    Raises
    ------
    ApplicationError
        Where there is none.
    """
    try:
        return heads[_KEY]
    except KeyError:
        wanted = "is absent; wanted a text of your own for this request"
        problem = Problem((_KEY,), wanted)
        raise ApplicationError(f"metadata: {_KEY}: {wanted}", problems=(problem,)) from None


def application_in(struct: Struct) -> bytes:
    """Give an application as JSON.

    Raises
    ------
    TooLargeError, ApplicationError
        Where it is too long, or holds what JSON cannot say.
    """
    if struct.ByteSize() > MOST_BYTES:
        raise TooLargeError(_TOO_LONG)
    return application_json(struct)


async def applications_in(messages: deque[bytes]) -> list[bytes | ApplicationError]:
    """Give applications as JSON, from the bytes of their messages; of one that JSON cannot say, what is wrong with it.

    Raises
    ------
    TooLargeError, InvalidInputError
        Where one is too long, or is no message.
    """
    written: list[bytes | ApplicationError] = []
    while messages:
        try:
            written.append(_written(messages.popleft()))
        except ApplicationError as error:
            written.append(error.alone())
        await asyncio.sleep(0)  # others wait for the loop
    return written


def _written(message: bytes) -> bytes:
    if len(message) > MOST_BYTES:
        raise TooLargeError(_TOO_LONG)
    try:
        return application_json(Struct.FromString(message))
    except DecodeError:
        raise InvalidInputError(NO_MESSAGE) from None


def decision_id_in(text: str) -> UUID:
    """Give the id of a decision.

    Raises
    ------
    NotFoundError
        Where it is none.
    """
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundError("there is no such decision") from None


def is_late(context: Context) -> bool:
    """Tell whether the deadline of a call has passed."""
    left: float | None = context.time_remaining()
    return left is not None and left <= 0

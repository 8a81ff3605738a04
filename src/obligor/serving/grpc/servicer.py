"""The five calls: each translates, asks the one use case, and translates back.

A call whose deadline has passed is not started. Where the deadline passes, or the client leaves, while a decision waits to be
recorded, the recorder drops it, unless it has begun: then the decision stands, and the same idempotency key finds it.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from contextvars import ContextVar
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import grpc

from obligor.core.application import MOST_BYTES
from obligor.core.errors import (
    ApplicationError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    ObligorError,
    Problem,
    TooLargeError,
    UnavailableError,
)
from obligor.serving.authenticating import network_of
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.deciding import MOST_AT_ONCE
from obligor.serving.encoding import encode_in_order
from obligor.serving.errors import ANSWERS
from obligor.serving.grpc import decisions_pb2 as pb
from obligor.serving.grpc.applications import application_json
from obligor.serving.grpc.decisions_pb2_grpc import DecisionsServicer
from obligor.serving.grpc.refusals import DETAILS, INTERNAL, refusal_of
from obligor.serving.grpc.replies import decided, decided_many, found, simulated
from obligor.serving.refusals import TOLD_OF, NoRefusals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from google.protobuf.struct_pb2 import Struct
    from google.rpc.status_pb2 import Status

    from obligor.serving.acts import Caller
    from obligor.serving.authenticating import Authenticator
    from obligor.serving.deciding import DecisionService
    from obligor.serving.meter import Meter
    from obligor.serving.refusals import Refuses
    from obligor.serving.register import Register
    from obligor.serving.seats import Seats

    Context = grpc.aio.ServicerContext[Any, Any]

_DONE, _GONE, _FAILED = 200, 499, 500
_READ = frozenset({"authorization", "idempotency-key"})
_ROUTES = {name: f"grpc/{name}" for name in ("Decide", "DecideMany", "Simulate", "GetDecision", "GetReceipt")}
"""What each call is counted as."""
_UNTOLD = NoRefusals()
_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Who was let in, of the call at work."""
_UNSEARCHED = frozenset({"authorization", "traceparent"})
_log = logging.getLogger("obligor.grpc")

Ask = TypeVar("Ask")
Told = TypeVar("Told")


class Servicer(DecisionsServicer):
    """Answers the calls of `decisions.proto`; belongs to one event loop, and shares its seats with the REST door."""

    def __init__(
        self,
        service: DecisionService,
        register: Register,
        authenticator: Authenticator,
        *,
        seats: Seats,
        meter: Meter,
        refusals: Refuses = _UNTOLD,
    ) -> None:
        self._service, self._register = service, register
        self._authenticator, self._refusals = authenticator, refusals
        self._seats, self._meter = seats, meter

    async def Decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        """Decide on one application and record the decision."""
        return await self._answer("Decide", self._decide, request, context)

    async def DecideMany(self, request: pb.DecideManyRequest, context: Context) -> pb.DecideManyResponse:
        """Decide on many applications, each by itself."""
        return await self._answer("DecideMany", self._decide_many, request, context)

    async def Simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        """Tell how an application would be decided."""
        return await self._answer("Simulate", self._simulate, request, context)

    async def GetDecision(self, request: pb.GetDecisionRequest, context: Context) -> pb.GetDecisionResponse:
        """Find a decision."""
        return await self._answer("GetDecision", self._get_decision, request, context)

    async def GetReceipt(self, request: pb.GetReceiptRequest, context: Context) -> pb.GetReceiptResponse:
        """Prove that a decision stands in the audit log."""
        return await self._answer("GetReceipt", self._get_receipt, request, context)

    async def _decide(self, request: pb.DecideRequest, context: Context) -> pb.DecideResponse:
        heads = _heads(context)
        caller = await self._caller(heads, context)
        with self._seats.of(caller.client_id):
            application, key = _application(request.application), _key(heads)
            made = self._service.decide_at_once(caller, key=key, application=application)
            if made is None:
                return decided(await self._service.decide(caller, key=key, application=application))
            return decided(made.done(await made.recorded))

    async def _decide_many(self, request: pb.DecideManyRequest, context: Context) -> pb.DecideManyResponse:
        heads = _heads(context)
        caller = await self._caller(heads, context)
        with self._seats.of(caller.client_id):
            applications = await _applications(request.applications)
            return decided_many(await self._service.decide_many(caller, key=_key(heads), applications=applications))

    async def _simulate(self, request: pb.SimulateRequest, context: Context) -> pb.SimulateResponse:
        caller = await self._caller(_heads(context), context)
        with self._seats.of(caller.client_id):
            return simulated(self._service.simulate(caller, _application(request.application)))

    async def _get_decision(self, request: pb.GetDecisionRequest, context: Context) -> pb.GetDecisionResponse:
        caller = await self._caller(_heads(context), context)
        return found(await self._register.decision(caller, _id(request.decision_id)))

    async def _get_receipt(self, request: pb.GetReceiptRequest, context: Context) -> pb.GetReceiptResponse:
        caller = await self._caller(_heads(context), context)
        receipt = await self._register.receipt(caller, _id(request.decision_id))
        return pb.GetReceiptResponse(receipt=encode_in_order(receipt).decode())

    async def _answer(
        self, name: str, work: Callable[[Ask, Context], Awaitable[Told]], request: Ask | None, context: Context
    ) -> Told:
        """Do the work of a call, and tell what went wrong; no request is one that could not be read."""
        begun, status, seats = perf_counter(), _GONE, self._seats
        _CALLER.set(None)
        self._meter.entered()
        try:
            self._need_seat()
            seats.open += 1
            try:
                told = await work(_readable(request), context)
            finally:
                seats.open -= 1
        except ObligorError as error:
            status = ANSWERS[error.kind].status
            if isinstance(error, ForbiddenError):
                self._meter.refused("scope")
            if status in TOLD_OF:
                network = network_of(context.peer())
                self._refusals.refused(_CALLER.get(), route=f"grpc/{name}", why=TOLD_OF[status], network=network)
            await refuse(context, refusal_of(error))
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001  the last one who can tell the client
            status = _FAILED
            _tell_of(error)
            await refuse(context, INTERNAL)
        else:
            status = _DONE
            return told
        finally:
            self._meter.left(_ROUTES[name], status, perf_counter() - begun)
        raise AssertionError  # a refusal does not return

    def _need_seat(self) -> None:
        if self._seats.open >= self._seats.most:
            self._meter.refused("shed")
            raise UnavailableError("too many requests are open; nothing was recorded", told=True)

    async def _caller(self, heads: dict[str, str], context: Context) -> Caller:
        shown = heads.get("authorization")
        caller = None if shown is None else self._authenticator.known(shown)
        if caller is None:
            caller = await self._authenticator.authenticate(shown, peer=context.peer())
        _CALLER.set(caller)
        left = context.time_remaining()
        if left is not None and left <= 0:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the deadline passed before the call was begun")
        return caller


async def refuse(context: Context, status: Status) -> None:
    """End a call with a status and its details."""
    code = next(it for it in grpc.StatusCode if it.value[0] == status.code)
    await context.abort(code, status.message, ((DETAILS, status.SerializeToString()),))


def _heads(context: Context) -> dict[str, str]:
    """Read the metadata of a call.

    Raises
    ------
    InvalidInputError
        Where what counts stands twice: whoever is in between may have read the other; where any holds a card's number.
    """
    found: dict[str, str] = {}
    searched: list[str] = []
    for name, value in context.invocation_metadata() or ():
        if name not in _UNSEARCHED:
            searched += (name, value if isinstance(value, str) else value.decode("latin-1"))
        if name in _READ:
            if name in found:
                raise InvalidInputError(f"metadata: {name} stands twice")
            found[name] = str(value)
    refuse_card_data_in("metadata", "\n".join(searched))
    return found


def _readable(request: Ask | None) -> Ask:
    if request is None:
        raise InvalidInputError("the request is no message of decisions.proto")
    return request


def _key(heads: dict[str, str]) -> str:
    try:
        return heads["idempotency-key"]
    except KeyError:
        wanted = "is absent; wanted a text of your own for this request"
        problem = Problem(("idempotency-key",), wanted)
        raise ApplicationError(f"metadata: idempotency-key: {wanted}", problems=(problem,)) from None


async def _applications(structs: Sequence[Struct]) -> list[bytes]:
    if len(structs) > MOST_AT_ONCE:
        raise TooLargeError(f"applications: got {len(structs)}, wanted at most {MOST_AT_ONCE}")
    written = []
    for place, it in enumerate(structs):
        written.append(_application(it, place=place))
        await asyncio.sleep(0)  # others wait for the loop
    return written


def _application(struct: Struct, *, place: int | None = None) -> bytes:
    if struct.ByteSize() > MOST_BYTES:
        raise TooLargeError(f"application: wanted at most {MOST_BYTES} bytes, got more")
    return application_json(struct, place=place)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFoundError("there is no such decision") from None


def _tell_of(error: BaseException) -> None:
    """Write where something failed: the kind and the places, not the message, which may hold a person's value."""
    places = traceback.extract_tb(error.__traceback__)[-5:]
    where = " < ".join(f"{it.name}:{it.lineno}" for it in reversed(places))
    _log.error("%s at %s", type(error).__name__, where)
